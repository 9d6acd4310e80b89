/** What a restarted server knows of the run before it: the words between the store, the executors that were found, and the broker. */
import type { ErrorCode } from "../../shared/errors.ts";
import type { ExecutorUsage } from "../executor/control-messages.ts";
import type { PoolRequest, StoredLease } from "../pool/types.ts";

export interface RestoredLease {
  readonly lease: StoredLease;
  /** Undefined for one that nobody can use any more. */
  readonly secret: Buffer | undefined;
  readonly requestId: string;
  readonly usage: ExecutorUsage;
  /** Set when it cannot go on, such as for want of its executor. */
  readonly failure?: { readonly code: ErrorCode; readonly message: string };
}

export interface RestoredState {
  /** The oldest first. Their executors, where they have one, are known to whoever ends them. */
  readonly leases: readonly RestoredLease[];
  /** In their order in the queue. */
  readonly requests: readonly { readonly request: PoolRequest; readonly requestId: string }[];
  /** Bytes x milliseconds by tenant, as they count now. */
  readonly usage: ReadonlyMap<string, number>;
}
