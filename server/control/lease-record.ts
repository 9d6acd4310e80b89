/** What the control plane keeps of a lease beside the pool: its secret, its holders, its use, and for a while how it ended. */
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import type { ExecutorUsage } from "../executor/control-messages.ts";
import type { EndCode, NoticeKind, Slice } from "../pool/types.ts";
import { LeaseActivity } from "./lease-activity.ts";
import { type LeaseSecret, SecretHash } from "./lease-secret.ts";
import type { StoredEnd } from "./lease-store.ts";

/** Ended leases remembered, so that a late question gets the reason and not "unknown". */
const ENDED_LEASES_MAX = 10_000;

/** What a lease has used; see `Usage` in pool.proto. */
export interface LeaseUsage extends ExecutorUsage {
  readonly heldMs: number;
}

export const noUsage: ExecutorUsage = {
  calls: 0,
  batches: 0,
  answers: 0,
  bytesReceived: 0,
  bytesSent: 0,
  deviceMs: 0,
};

export interface LeaseNotice {
  readonly kind: NoticeKind | "device-unhealthy";
  readonly message: string;
  /** Milliseconds since the epoch; 0: none. */
  readonly deadlineAtMs: number;
}

/** A slice with a new size; `revision` grows with every change of its lease. */
export interface Resized {
  readonly slice: Slice;
  readonly revision: number;
}

/** One Hold stream. */
export interface Holder {
  notice(notice: LeaseNotice): void;
  /** A slice has a new size. */
  resized(size: Resized): void;
  /** The last word. */
  ended(reason: SluiceError): void;
}

export interface LeaseRecord {
  readonly secret: LeaseSecret;
  readonly holders: Set<Holder>;
  /** Called when the lease is closed, with what it used. */
  readonly onClosed: ((usage: LeaseUsage) => void)[];
  usage: ExecutorUsage;
  readonly activity: LeaseActivity;
  clientAddress: string;
  /** The last notice, for holders that come later. */
  notice: LeaseNotice | undefined;
  /** That it is suspended, for the same; undefined while it is not. */
  suspension: LeaseNotice | undefined;
}

/** The record of a lease that nobody holds yet. */
export const newRecord = (secret: LeaseSecret, usage = noUsage): LeaseRecord => ({
  secret,
  holders: new Set(),
  onClosed: [],
  usage,
  activity: new LeaseActivity(usage),
  clientAddress: "",
  notice: undefined,
  suspension: undefined,
});

export interface EndedLease {
  readonly tenant: string;
  /** What is left of its secret. */
  readonly secret: Pick<LeaseSecret, "matches">;
  readonly code: ErrorCode;
  readonly message: string;
  readonly usage: LeaseUsage;
}

/** The code that a lease's end has towards clients: a plain release is LEASE_ENDED to those who did not ask for it. */
export const endErrorCode = (code: EndCode): ErrorCode => (code === "RELEASED" ? "LEASE_ENDED" : code);

/** The leases that ended last; of earlier ones, those before a restart too, the store is asked. */
export class EndedLeases {
  readonly #byId = new Map<string, EndedLease>();
  readonly #recall: (leaseId: string) => StoredEnd | undefined;

  constructor(recall: (leaseId: string) => StoredEnd | undefined) {
    this.#recall = recall;
  }

  add(leaseId: string, ended: EndedLease): void {
    this.#byId.set(leaseId, ended);
    if (this.#byId.size <= ENDED_LEASES_MAX) return;
    for (const oldest of this.#byId.keys()) {
      this.#byId.delete(oldest);
      break;
    }
  }

  get(leaseId: string): EndedLease | undefined {
    const known = this.#byId.get(leaseId);
    const stored = known === undefined ? this.#recall(leaseId) : undefined;
    if (stored === undefined) return known;
    const { tenant, code, message, usage, secretHash } = stored;
    return { tenant, code: endErrorCode(code), message, usage, secret: new SecretHash(secretHash) };
  }
}

export const notFound = (leaseId: string): SluiceError =>
  new SluiceError("LEASE_NOT_FOUND", `There is no lease [${leaseId.replace(/[^\w-]/g, "?").slice(0, 64)}].`);

export const wrongSecret = (leaseId: string): SluiceError =>
  new SluiceError("WRONG_SECRET", `The secret is not that of the lease [${leaseId}].`);
