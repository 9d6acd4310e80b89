/** Questions to the ledger: who held how much of what, when, and what for. Reads only. */
import type { Store } from "./store.ts";

/** A span of time in milliseconds since the epoch, `from` included, `to` not. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The use of one tenant in a span. A lease that is partly outside counts with the time inside; its calls count where it began. */
export interface TenantUsage {
  readonly tenant: string;
  readonly leases: number;
  /** Time that leases were held, summed. */
  readonly heldMs: number;
  /** Bytes of device memory (slices and overhead) times milliseconds held; a float, as it leaves 2^53 behind. */
  readonly byteMs: number;
  readonly calls: number;
  readonly batches: number;
  readonly answers: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly deviceMs: number;
}

const question = `
  WITH held AS (
    SELECT leases.*,
      min(coalesce(ended_at, :now), :to) - max(granted_at, :from) AS held_ms,
      granted_at >= :from AS is_new,
      (SELECT sum(bytes + overhead_bytes) FROM slices WHERE lease_id = leases.id) AS bytes
    FROM leases
    WHERE granted_at < :to AND (ended_at IS NULL OR ended_at > :from OR granted_at >= :from)
      AND (:tenant = '' OR tenant = :tenant)
  )
  SELECT tenant, count(*) AS leases, sum(max(held_ms, 0)) AS heldMs,
    sum(CAST(max(held_ms, 0) AS REAL) * coalesce(bytes, 0)) AS byteMs,
    sum(is_new * calls) AS calls, sum(is_new * batches) AS batches, sum(is_new * answers) AS answers,
    sum(is_new * bytes_received) AS bytesReceived, sum(is_new * bytes_sent) AS bytesSent,
    sum(is_new * device_ms) AS deviceMs
  FROM held GROUP BY tenant ORDER BY byteMs DESC, tenant`;

/** Use by tenant in a span, the largest user first. `now` is the end of leases that still run; an empty tenant means all. */
export function usageByTenant(
  store: Store,
  span: Span,
  of: { readonly now: number; readonly tenant?: string },
): TenantUsage[] {
  const sql = question
    .replaceAll(":from", "?1")
    .replaceAll(":tenant", "?4")
    .replaceAll(":to", "?2")
    .replaceAll(":now", "?3");
  const rows = store.query<TenantUsage & { _metadata?: unknown }>(sql, span.from, span.to, of.now, of.tenant ?? "");
  return rows.map(({ _metadata, ...row }) => row);
}
