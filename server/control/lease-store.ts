/** What the broker wants of a store: that it forgets no grant and no request. */
import type { ExecutorUsage } from "../executor/control-messages.ts";
import type { EndCode, Lease, PoolRequest, Slice, StoredLease, Suspension, SuspensionState } from "../pool/types.ts";
import type { LeaseUsage } from "./lease-record.ts";

/** What is stored with a lease and is not the pool's. */
export interface GrantTerms {
  readonly secret: Uint8Array;
  /** SHA-256 of the secret: what is kept of it when the lease has ended. */
  readonly secretHash: Uint8Array;
  /** The client's own id of the request; empty: none. */
  readonly requestId: string;
}

/** A suspension as the store keeps it. What is left of the lease's duration follows from its end and `since`. */
export interface StoredSuspension extends Omit<Suspension, "timeLeftMs"> {
  readonly state: SuspensionState;
}

/** A lease that has ended, by the store. */
export interface StoredEnd {
  readonly tenant: string;
  readonly code: EndCode;
  readonly message: string;
  readonly usage: LeaseUsage;
  /** SHA-256 of its secret; empty where there is none. */
  readonly secretHash: Uint8Array;
}

/** Where grants are kept; what it throws becomes STORE_FAILED. */
export interface LeaseStore {
  /** Does all of what is stored inside `work`, or nothing; it is on disk when this returns. */
  atomically(work: () => void): void;
  /** Stores a grant; it is on disk when this returns. */
  saveLease(lease: StoredLease, terms: GrantTerms): void;
  /** Stores a request that waits; never throws. */
  saveRequest(request: PoolRequest, requestId: string): void;
  /** Forgets a request that waits no more and is no lease; never throws. */
  dropRequest(id: string): void;
  /** Notes what a lease has used so far; never throws. */
  saveUsage(leaseId: string, usage: ExecutorUsage): void;
  /** Notes that a lease ends at another time than it was to, and why; never throws. */
  saveEnd(lease: Pick<StoredLease, "id" | "endsAt" | "endsWith">): void;
  /** Notes that a slice has another size from `at` on; it is on disk when this returns. */
  saveSize(leaseId: string, slice: Slice, at: number): void;
  /** Notes how far a lease's suspension has come at `at`, or that it has none any more; it is on disk when this returns. */
  saveSuspension(leaseId: string, suspension: StoredSuspension | undefined, at: number): void;
  /** How a lease ended. */
  endedLease(leaseId: string): StoredEnd | undefined;
  /** Closes a lease's record; never throws. */
  closeLease(lease: Lease, usage: LeaseUsage): void;
}

/** A lease as the store keeps it. */
export function toStored(lease: Lease): StoredLease {
  const { id, tenant, name, slices, detached, requestedAt, grantedAt, priority } = lease;
  const { endsAt, endsWith, idleMs, reservation, tokenId } = lease;
  return {
    ...{ id, tenant, name, slices, detached, requestedAt, grantedAt, priority },
    ...(endsAt === undefined ? {} : { endsAt }),
    ...(endsWith === undefined ? {} : { endsWith }),
    ...(idleMs === undefined ? {} : { idleMs }),
    ...(reservation === undefined ? {} : { reservation }),
    ...(tokenId === undefined ? {} : { tokenId }),
  };
}
