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
      granted_at >= :from AS is_new
    FROM leases
    WHERE granted_at < :to AND (ended_at IS NULL OR ended_at > :from OR granted_at >= :from)
      AND (:tenant = '' OR tenant = :tenant)
  ),
  -- How long each slice had each of its sizes: the past ones in order, then the one of now. While its lease is suspended it has what modules keep.
  sizes AS (
    SELECT held.id, slices.slice_index, past_sizes.until_at, past_sizes.bytes + overhead_bytes AS bytes, past_sizes.rowid AS turn
      FROM held JOIN slices ON slices.lease_id = held.id
      JOIN past_sizes ON past_sizes.lease_id = held.id AND past_sizes.slice_index = slices.slice_index
    UNION ALL
    SELECT held.id, slice_index, coalesce(ended_at, :now), iif(is_parked, kept_bytes, bytes) + overhead_bytes, 9223372036854775807
      FROM held JOIN slices ON slices.lease_id = held.id
  ),
  spans AS (
    SELECT sizes.id, bytes, min(sizes.until_at, :to) AS span_to,
      max(coalesce(lag(sizes.until_at) OVER (PARTITION BY sizes.id, slice_index ORDER BY turn), granted_at), :from) AS span_from
    FROM sizes JOIN held ON held.id = sizes.id
  ),
  charged AS (SELECT id, sum(CAST(max(span_to - span_from, 0) AS REAL) * bytes) AS byte_ms FROM spans GROUP BY id)
  SELECT tenant, count(*) AS leases, sum(max(held_ms, 0)) AS heldMs,
    sum(coalesce(byte_ms, 0)) AS byteMs,
    sum(is_new * calls) AS calls, sum(is_new * batches) AS batches, sum(is_new * answers) AS answers,
    sum(is_new * bytes_received) AS bytesReceived, sum(is_new * bytes_sent) AS bytesSent,
    sum(is_new * device_ms) AS deviceMs
  FROM held LEFT JOIN charged ON charged.id = held.id GROUP BY tenant ORDER BY byteMs DESC, tenant`;

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

/** After so many half-lives use of the past is as good as nothing. */
export const HALF_LIVES = 20;

/** Every size that a slice has had, and from when to when. */
const spansQuestion = `
  WITH held AS (
    SELECT id, tenant, granted_at, is_parked, coalesce(ended_at, ?1) AS ended FROM leases WHERE ended_at IS NULL OR ended_at > ?2
  ),
  sizes AS (
    SELECT held.id, slices.slice_index, past_sizes.until_at, past_sizes.bytes + overhead_bytes AS bytes, past_sizes.rowid AS turn
      FROM held JOIN slices ON slices.lease_id = held.id
      JOIN past_sizes ON past_sizes.lease_id = held.id AND past_sizes.slice_index = slices.slice_index
    UNION ALL
    SELECT held.id, slice_index, ended, iif(is_parked, kept_bytes, bytes) + overhead_bytes, 9223372036854775807
      FROM held JOIN slices ON slices.lease_id = held.id
  )
  SELECT tenant, bytes, until_at AS toAt,
    coalesce(lag(until_at) OVER (PARTITION BY sizes.id, slice_index ORDER BY turn), granted_at) AS fromAt
  FROM sizes JOIN held ON held.id = sizes.id`;

/**
 * What every tenant has used until now as it counts in the fair share, in bytes x milliseconds: memory held, of which each moment counts
 * half after every half-life. Leases that still run count until now.
 */
export function decayedUsage(
  store: Store,
  { now, halfLifeMs }: { readonly now: number; readonly halfLifeMs: number },
): ReadonlyMap<string, number> {
  type Row = { tenant: string; bytes: number; fromAt: number; toAt: number };
  const rows = store.query<Row>(spansQuestion, now, now - HALF_LIVES * halfLifeMs);
  const weightOf = (at: number): number => 2 ** ((Math.min(at, now) - now) / halfLifeMs);
  const usage = new Map<string, number>();
  for (const { tenant, bytes, fromAt, toAt } of rows) {
    // The integral of the weight over the time that it was held.
    const used = (bytes * Math.max(0, weightOf(toAt) - weightOf(fromAt)) * halfLifeMs) / Math.LN2;
    usage.set(tenant, (usage.get(tenant) ?? 0) + used);
  }
  return usage;
}
