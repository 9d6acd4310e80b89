/** The pool as the page knows it, and the rule by which messages of WatchPool change it. Pure. */
import type { Device__Output } from "../../../proto/generated/sluice/v1/Device.ts";
import type { Lease__Output } from "../../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry__Output } from "../../../proto/generated/sluice/v1/QueueEntry.ts";
import type { Tenant__Output } from "../../../proto/generated/sluice/v1/Tenant.ts";
import type { WatchPoolResponse__Output } from "../../../proto/generated/sluice/v1/WatchPoolResponse.ts";

export type Device = Device__Output;
export type Lease = Lease__Output;
export type QueueEntry = QueueEntry__Output;
export type Tenant = Tenant__Output;

export interface PoolModel {
  /** Of the last message; 0 before the first. */
  readonly sequence: number;
  readonly devices: ReadonlyMap<string, Device>;
  readonly leases: ReadonlyMap<string, Lease>;
  readonly queue: readonly QueueEntry[];
  readonly waiting: number;
  readonly tenants: ReadonlyMap<string, Tenant>;
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

export const emptyModel: PoolModel = {
  sequence: 0,
  devices: new Map(),
  leases: new Map(),
  queue: [],
  waiting: 0,
  tenants: new Map(),
  pasts: new Map(),
};

/** The model after a message; undefined when one before it is missing, and the stream has to be opened anew. */
export function applied(model: PoolModel, message: WatchPoolResponse__Output): PoolModel | undefined {
  if (message.sequence !== 1 && message.sequence !== model.sequence + 1) return undefined;
  const before = message.snapshot ? { ...emptyModel, pasts: model.pasts } : model;
  const leases = merged(before.leases, { items: message.leases, gone: message.goneLeaseIds, idOf: ({ id }) => id });
  return {
    sequence: message.sequence,
    devices: merged(before.devices, { items: message.devices, gone: message.goneDeviceIds, idOf: ({ id }) => id }),
    leases,
    queue: message.queueChanged ? message.queue : before.queue,
    waiting: message.queueChanged ? message.waiting : before.waiting,
    tenants: merged(before.tenants, { items: message.tenants, gone: message.goneTenants, idOf: ({ name }) => name }),
    pasts: remembered(before.pasts, { leases, nowAtMs: message.nowAtMs }),
  };
}

function merged<Item>(
  before: ReadonlyMap<string, Item>,
  change: {
    readonly items: readonly Item[];
    readonly gone: readonly string[];
    readonly idOf: (item: Item) => string;
  },
): ReadonlyMap<string, Item> {
  if (change.items.length === 0 && change.gone.length === 0) return before;
  const after = new Map(before);
  for (const id of change.gone) after.delete(id);
  for (const item of change.items) after.set(change.idOf(item), item);
  return after;
}

function remembered(
  before: PoolModel["pasts"],
  { leases, nowAtMs }: { readonly leases: PoolModel["leases"]; readonly nowAtMs: number },
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
