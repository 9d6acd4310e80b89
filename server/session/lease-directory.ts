/** What the data plane may know of leases and has to tell about them: the seam between this room and the control plane. */
import type { ErrorCode } from "../../shared/errors.ts";
import type { CallShape } from "../executor/call-shape.ts";
import type { ExecutorUsage, SliceAssignment } from "../executor/control-messages.ts";

/** Proves the knowledge of a lease's secret; never shows it. */
export interface LeaseKey {
  /** HMAC-SHA256 of the secret over the parts in order. */
  sign(...parts: readonly Uint8Array[]): Buffer;
}

/** A lease that sessions may work under. */
export interface SessionLease {
  readonly id: string;
  readonly tenant: string;
  readonly key: LeaseKey;
  readonly slices: readonly SliceAssignment[];
  /** What it has used so far. */
  readonly usage: ExecutorUsage;
  /** Whether it is suspended, or about to be: a session that begins waits. Default false. */
  readonly isParked?: boolean;
}

export interface LeaseDirectory {
  /** @throws SluiceError LEASE_NOT_FOUND, or why the lease has ended. */
  find(leaseId: string): SessionLease;
}

/** How a data connection comes to its lease: with a new session, with one whose last connection broke, or it was there before this server. */
export type Attachment = "begun" | "resumed" | "found";

/** What becomes of sessions, for the control plane. */
export interface SessionEvents {
  attached(leaseId: string, clientAddress: string, how: Attachment): void;
  detached(leaseId: string): void;
  /** The use so far, and what is new of its shape. */
  used(leaseId: string, usage: ExecutorUsage, shape?: CallShape): void;
  /** Calls have come, or kernels run. */
  active(leaseId: string, isBusy: boolean): void;
  failed(leaseId: string, code: ErrorCode, message: string): void;
}
