/** The pool as the page knows it: its copy of the pool, and what each lease did while the page looked. Pure. */
import type { Device__Output } from "../../../proto/generated/sluice/v1/Device.ts";
import type { Lease__Output } from "../../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry__Output } from "../../../proto/generated/sluice/v1/QueueEntry.ts";
import type { Tenant__Output } from "../../../proto/generated/sluice/v1/Tenant.ts";
import type { WatchPoolResponse__Output } from "../../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { changedCopy, emptyCopy, type PoolCopy } from "../../../shared/pool-copy.ts";

export type Device = Device__Output;
export type Lease = Lease__Output;
export type QueueEntry = QueueEntry__Output;
export type Tenant = Tenant__Output;

export interface PoolModel extends PoolCopy<Device, Lease, QueueEntry, Tenant> {
  /** What the leases did lately, the oldest first. */
  readonly pasts: ReadonlyMap<string, readonly Moment[]>;
}

/** What a lease did at a moment; see `LeaseActivity`. */
export interface Moment {
  readonly atMs: number;
  readonly callsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly deviceLoad: number;
}

/** A moment of what a lease does. */
export const momentOf = (atMs: number, activity: Lease["activity"]): Moment => ({
  atMs,
  callsPerSecond: activity?.callsPerSecond ?? 0,
  bytesPerSecond: (activity?.bytesReceivedPerSecond ?? 0) + (activity?.bytesSentPerSecond ?? 0),
  deviceLoad: activity?.deviceLoad ?? 0,
});

/** Further apart than this, nothing was done between two moments. */
const PAUSE_MS = 12_000;

/** Moments with zeros where nothing was done, so that no line crosses a pause. */
export function withPauses(moments: readonly Moment[]): Moment[] {
  return moments.flatMap((each, index) => {
    const before = moments[index - 1];
    if (before === undefined || each.atMs - before.atMs <= PAUSE_MS) return [each];
    return [momentOf(before.atMs + 1_000, null), momentOf(each.atMs - 1_000, null), each];
  });
}

/** Moments kept of each lease, at most one a second: five minutes. */
const MOMENTS_MAX = 300;
const MOMENT_MS = 1_000;

export const emptyModel: PoolModel = { ...emptyCopy, pasts: new Map() };

/** The model after a message; undefined when one before it is missing, and the stream has to be opened anew. */
export function applied(model: PoolModel, message: WatchPoolResponse__Output): PoolModel | undefined {
  const copy = changedCopy(model, message);
  return copy && { ...copy, pasts: remembered(model.pasts, copy) };
}

function remembered(
  before: PoolModel["pasts"],
  { leases, nowAtMs }: Pick<PoolModel, "leases" | "nowAtMs">,
): PoolModel["pasts"] {
  const after = new Map<string, readonly Moment[]>();
  for (const [id, { activity }] of leases) {
    const past = before.get(id) ?? [];
    const last = past.at(-1);
    if (activity === null || (last !== undefined && nowAtMs - last.atMs < MOMENT_MS)) {
      after.set(id, past);
      continue;
    }
    after.set(id, [...past.slice(-MOMENTS_MAX + 1), momentOf(nowAtMs, activity)]);
  }
  return after;
}
