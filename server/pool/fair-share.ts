/**
 * Who has had how much: each tenant's use in bytes x milliseconds, where use of the past counts half after every half-life. Instead
 * of letting all old numbers shrink, the unit of new use grows: the order of tenants then changes only when one uses something.
 * Tenants are compared by (use so far + what they hold now for the next `HORIZON_MS`) / weight, so that grants of one moment
 * already count against each other.
 */
import type { PoolState, TenantRecord } from "./state.ts";

const HORIZON_MS = 60_000;
/** The growing unit starts again at 1 after so many half-lives, far before a double overflows. */
const HALF_LIVES_MAX = 256;

const unitAt = (state: PoolState, now: number): number =>
  2 ** ((now - state.usageEpoch) / state.options.usageHalfLifeMs);

/** Adds what the tenant has used since it was last settled. */
export function settle(state: PoolState, tenant: TenantRecord): void {
  const elapsed = state.now - tenant.settledAt;
  tenant.settledAt = state.now;
  if (elapsed <= 0 || tenant.heldBytes === 0) return;
  // The integral of the growing unit over the elapsed time.
  const halfLife = state.options.usageHalfLifeMs;
  const grown = (unitAt(state, state.now) * (1 - 2 ** (-elapsed / halfLife)) * halfLife) / Math.LN2;
  tenant.usage += tenant.heldBytes * grown;
}

/** By what tenants are compared; smaller is served first. Up to date only after `settle`. */
export function fairKey(state: PoolState, tenant: TenantRecord): number {
  return (tenant.usage + tenant.heldBytes * HORIZON_MS * unitAt(state, tenant.settledAt)) / tenant.weight;
}

/** How much a tenant's key grows when it is granted that many bytes more. */
export const keyStep = (state: PoolState, tenant: TenantRecord): number =>
  (HORIZON_MS * unitAt(state, tenant.settledAt)) / tenant.weight;

/** The tenant's use as it counts at `now`, in bytes x milliseconds. */
export function usageNow(state: PoolState, tenant: TenantRecord): number {
  const halfLife = state.options.usageHalfLifeMs;
  const elapsed = state.now - tenant.settledAt;
  const since = (tenant.heldBytes * (1 - 2 ** (-elapsed / halfLife)) * halfLife) / Math.LN2;
  return tenant.usage / unitAt(state, state.now) + since;
}

/** Sets the tenant's use of the past to so many bytes x milliseconds, as they count now. */
export function restoreUsage(state: PoolState, tenant: TenantRecord, byteMs: number): void {
  settle(state, tenant);
  tenant.usage = byteMs * unitAt(state, state.now);
}

/** Whether the growing unit has to start again; then every tenant's place must be found anew. */
export const needsNewEpoch = (state: PoolState): boolean =>
  state.now - state.usageEpoch > HALF_LIVES_MAX * state.options.usageHalfLifeMs;

/** Starts the growing unit again at 1. All tenants must be out of the queue's trees. */
export function startEpoch(state: PoolState): void {
  for (const tenant of state.tenants.values()) {
    settle(state, tenant);
    tenant.usage /= unitAt(state, state.now);
  }
  state.usageEpoch = state.now;
}
