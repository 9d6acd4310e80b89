/** What the broker wants of a store: that it forgets no grant and no request. */
import type { ExecutorUsage } from "../executor/control-messages.ts";
import type { Lease, PoolRequest, Slice, StoredLease } from "../pool/types.ts";
import type { LeaseUsage } from "./lease-record.ts";

/** Where grants are kept; what it throws becomes STORE_FAILED. */
export interface LeaseStore {
  /** Stores a grant; it is on disk when this returns. */
  saveLease(lease: StoredLease, terms: { readonly secret: Uint8Array; readonly requestId: string }): void;
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
  /** Closes a lease's record; never throws. */
  closeLease(lease: Lease, usage: LeaseUsage): void;
}

/** A lease as the store keeps it. */
export function toStored(lease: Lease): StoredLease {
  const { id, tenant, name, slices, detached, requestedAt, grantedAt, priority } = lease;
  const { endsAt, endsWith, idleMs, reservation } = lease;
  return {
    ...{ id, tenant, name, slices, detached, requestedAt, grantedAt, priority },
    ...(endsAt === undefined ? {} : { endsAt }),
    ...(endsWith === undefined ? {} : { endsWith }),
    ...(idleMs === undefined ? {} : { idleMs }),
    ...(reservation === undefined ? {} : { reservation }),
  };
}
