/** Who wants to count what happens in the pool, such as metrics: told of it, with no way to change it. */
import type { CallShape } from "../executor/call-shape.ts";
import type { ExecutorUsage } from "../executor/control-messages.ts";
import type { Lease } from "../pool/types.ts";

/** Several observers as one. */
export const together = (...observers: readonly PoolObserver[]): PoolObserver => ({
  granted: (lease) => {
    for (const observer of observers) observer.granted(lease);
  },
  refused: (code) => {
    for (const observer of observers) observer.refused(code);
  },
  ended: (lease, heldMs) => {
    for (const observer of observers) observer.ended(lease, heldMs);
  },
  used: (tenant, use) => {
    for (const observer of observers) observer.used(tenant, use);
  },
  connected: (tenant, isResumed) => {
    for (const observer of observers) observer.connected(tenant, isResumed);
  },
});

export interface PoolObserver {
  granted(lease: Lease): void;
  /** A request ends without a grant. */
  refused(code: string): void;
  /** A lease is over and its memory back in the pool. */
  ended(lease: Lease, heldMs: number): void;
  /** What a lease of the tenant has used, before and now, and what is new of the shape of its calls. */
  used(
    tenant: string,
    use: { readonly before: ExecutorUsage; readonly usage: ExecutorUsage; readonly shape: CallShape | undefined },
  ): void;
  /** A data connection works under a lease of the tenant: of a new session, or of one whose last connection broke. */
  connected(tenant: string, isResumed: boolean): void;
}
