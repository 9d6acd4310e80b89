/**
 * The pool as a reader of WatchPool knows it, and the rule by which a message changes its copy (proto/sluice/v1/pool.proto,
 * WatchPoolResponse). Pure. It knows of items only what tells them apart.
 */

interface Identified {
  readonly id: string;
}
interface Named {
  readonly name: string;
}

export interface PoolCopy<Device, Lease, QueueEntry, Tenant> {
  /** Of the last message; 0 before the first. */
  readonly sequence: number;
  /** The server's clock when it last said something. */
  readonly nowAtMs: number;
  readonly devices: ReadonlyMap<string, Device>;
  readonly leases: ReadonlyMap<string, Lease>;
  /** The first of those who wait. */
  readonly queue: readonly QueueEntry[];
  /** How many wait in all. */
  readonly waiting: number;
  /** Only admins and monitors are told of them. */
  readonly tenants: ReadonlyMap<string, Tenant>;
}

/** What of WatchPoolResponse the rule looks at. */
export interface PoolChange<Device, Lease, QueueEntry, Tenant> {
  readonly sequence: number;
  readonly snapshot: boolean;
  readonly nowAtMs: number;
  readonly devices: readonly Device[];
  readonly goneDeviceIds: readonly string[];
  readonly leases: readonly Lease[];
  readonly goneLeaseIds: readonly string[];
  readonly queueChanged: boolean;
  readonly queue: readonly QueueEntry[];
  readonly waiting: number;
  readonly tenants: readonly Tenant[];
  readonly goneTenants: readonly string[];
}

/** What a reader knows before the first message. */
export const emptyCopy: PoolCopy<never, never, never, never> = {
  sequence: 0,
  nowAtMs: 0,
  devices: new Map<string, never>(),
  leases: new Map<string, never>(),
  queue: [],
  waiting: 0,
  tenants: new Map<string, never>(),
};

/** The copy after a message; undefined when one before it is missing, and the stream has to be opened anew. */
export function changedCopy<Device extends Identified, Lease extends Identified, QueueEntry, Tenant extends Named>(
  copy: PoolCopy<Device, Lease, QueueEntry, Tenant>,
  message: PoolChange<Device, Lease, QueueEntry, Tenant>,
): PoolCopy<Device, Lease, QueueEntry, Tenant> | undefined {
  if (message.sequence !== 1 && message.sequence !== copy.sequence + 1) return undefined;
  const before = message.snapshot ? emptyCopy : copy;
  const idOf = ({ id }: Identified): string => id;
  return {
    sequence: message.sequence,
    nowAtMs: message.nowAtMs,
    devices: merged(before.devices, { items: message.devices, gone: message.goneDeviceIds, keyOf: idOf }),
    leases: merged(before.leases, { items: message.leases, gone: message.goneLeaseIds, keyOf: idOf }),
    queue: message.queueChanged ? message.queue : before.queue,
    waiting: message.queueChanged ? message.waiting : before.waiting,
    tenants: merged(before.tenants, { items: message.tenants, gone: message.goneTenants, keyOf: ({ name }) => name }),
  };
}

function merged<Item>(
  before: ReadonlyMap<string, Item>,
  change: {
    readonly items: readonly Item[];
    readonly gone: readonly string[];
    readonly keyOf: (item: Item) => string;
  },
): ReadonlyMap<string, Item> {
  if (change.items.length === 0 && change.gone.length === 0) return before;
  const after = new Map(before);
  for (const key of change.gone) after.delete(key);
  for (const item of change.items) after.set(change.keyOf(item), item);
  return after;
}
