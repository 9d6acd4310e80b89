/** What tenants may have: refuses what a quota never allows, and tells what has to wait until the tenant gives something back. */
import { formatDuration, formatSize } from "../../shared/units.ts";
import { slicesOf } from "./request.ts";
import type { LeaseRecord, RequestRecord, TenantRecord } from "./state.ts";
import type { PoolRequest } from "./types.ts";

const over = (what: string, asked: string | number, allowed: string | number): string =>
  `The quota of the tenant allows [${allowed}] ${what}, and the request is for [${asked}].`;

/** Why the tenant's quota never allows the request; undefined when it may. */
export function quotaRefusal(tenant: TenantRecord, request: PoolRequest): string | undefined {
  const { quota } = tenant;
  const { leases = 1, durationMs, priority = 0 } = request;
  const slices = slicesOf(request);
  if (quota.devices !== undefined && slices > quota.devices) return over("slices", slices, quota.devices);
  if (quota.leases !== undefined && leases > quota.leases) return over("leases", leases, quota.leases);
  if (quota.priority !== undefined && priority > quota.priority) return over("as priority", priority, quota.priority);
  if (quota.durationMs !== undefined && durationMs !== undefined && durationMs > quota.durationMs) {
    return over("for a lease", formatDuration(durationMs), formatDuration(quota.durationMs));
  }
  if (quota.requests !== undefined && tenant.waitingCount >= quota.requests) {
    return `The quota of the tenant allows [${quota.requests}] waiting requests, and it has [${tenant.waitingCount}].`;
  }
  return undefined;
}

/**
 * Which quota the request has to wait for, as a sentence; undefined when none is in its way now. What is reserved is held already, so
 * that `inside` a reservation no memory is added.
 */
export function quotaObstacle(record: RequestRecord, where: "anywhere" | "inside" = "anywhere"): string | undefined {
  const { tenant, plan, lease } = record;
  const { quota } = tenant;
  if (lease !== undefined) return where === "inside" ? undefined : comebackObstacle(lease, plan.costMostBytes);
  if (quota.leases !== undefined && tenant.leaseCount + plan.leases > quota.leases) {
    return `The tenant holds [${tenant.leaseCount}] leases, and its quota allows [${quota.leases}].`;
  }
  if (quota.devices !== undefined && tenant.sliceCount + plan.count > quota.devices) {
    return `The tenant holds [${tenant.sliceCount}] slices, and its quota allows [${quota.devices}].`;
  }
  if (where === "inside") return undefined;
  if (quota.memoryBytes !== undefined && plan.fits.length === 0) {
    return `The quota of the tenant allows [${formatSize(quota.memoryBytes)}], less than the request takes.`;
  }
  if (quota.memoryBytes !== undefined && tenant.heldBytes + plan.costMostBytes > quota.memoryBytes) {
    return `The tenant holds [${formatSize(tenant.heldBytes)}], and its quota allows [${formatSize(quota.memoryBytes)}].`;
  }
  return undefined;
}

/** A suspended lease counts as one, and its slices too; its memory has to find room in the quota again, beside what else there is. */
function comebackObstacle({ tenant, held }: LeaseRecord, bytes: number): string | undefined {
  const { memoryBytes } = tenant.quota;
  const own = held.reduce((sum, slice) => sum + slice.bytes + slice.overheadBytes, 0);
  if (memoryBytes === undefined || tenant.heldBytes <= own || tenant.heldBytes + bytes <= memoryBytes) return undefined;
  return `The tenant holds [${formatSize(tenant.heldBytes)}], and its quota allows [${formatSize(memoryBytes)}].`;
}

/** The duration that a request gets: its own, or the longest that the quota allows. */
export const durationOf = (tenant: TenantRecord, request: PoolRequest): number =>
  request.durationMs ?? tenant.quota.durationMs ?? Number.POSITIVE_INFINITY;
