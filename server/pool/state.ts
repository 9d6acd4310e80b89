/**
 * Everything that a pool remembers. Only the rooms of server/pool look inside; to the rest of the house it is opaque. No clock, no
 * randomness: equal events at equal times give equal states.
 */
import { HEARTBEAT_TIMEOUT_MS, QUEUE_ENTRIES_MAX } from "../../shared/limits.ts";
import type { Amount } from "./amount.ts";
import { type Deadline, Deadlines } from "./deadlines.ts";
import type { Filter } from "./filter.ts";
import type { OrderedTree } from "./ordered-tree.ts";
import type {
  Cordon,
  EndCode,
  LeaseState,
  PoolDevice,
  PoolOptions,
  PoolRequest,
  Quota,
  Reservation,
  Slice,
} from "./types.ts";

const HOUR_MS = 3_600_000;

/** Devices that are alike in everything but their id and server: what fits one fits all. */
export interface DeviceClass {
  readonly key: string;
  readonly sample: PoolDevice;
  /** Devices open for new slices, by free bytes. */
  readonly devices: OrderedTree<DeviceRecord>;
  /** At k: nests by the free bytes of their k-th freest open device. Index 0 and 1 stay empty: `devices` serves them. */
  readonly nests: OrderedTree<Nest>[];
  /** All devices, open or not. */
  readonly members: Set<DeviceRecord>;
  /** The most devices of the class that one server has. */
  largestNest: number;
}

/** The devices of one class on one server. */
export interface Nest {
  readonly order: number;
  readonly server: ServerRecord;
  readonly class: DeviceClass;
  /** Open devices, the freest first. */
  readonly open: DeviceRecord[];
  /** At k: free bytes of the k-th freest open device, as filed in `class.nests`. */
  readonly filed: number[];
  memberCount: number;
}

export interface ServerRecord {
  readonly name: string;
  readonly devices: Set<DeviceRecord>;
  readonly nests: Map<DeviceClass, Nest>;
}

export interface DeviceRecord {
  readonly spec: PoolDevice;
  readonly order: number;
  readonly class: DeviceClass;
  readonly server: ServerRecord;
  freeBytes: number;
  grantedBytes: number;
  overheadBytes: number;
  /** In reservations, and not in use by a lease. */
  reservedBytes: number;
  /** Thousandths of the device's time that are promised to nobody. */
  freeCompute: number;
  readonly leases: Set<LeaseRecord>;
  cordon: Cordon | undefined;
  /** Its leases have notice to end. */
  draining: boolean;
  removed: boolean;
  /** Kept for the blocked head of the queue: nobody else's slices are placed here. */
  withheld: boolean;
  /** Whether the indexes of class and nest hold it. */
  filed: boolean;
}

/** What a request takes on a device of one class. */
export interface Fit {
  readonly class: DeviceClass;
  readonly sliceBytes: number;
  /** Charged for every lease on a device, however many of its slices are there, or for every slice of a profile. */
  readonly overheadBytes: number;
  /** How often it is charged on one device at most. */
  readonly overheadsMax: number;
  /** Thousandths of the device's time that each slice has. */
  readonly compute: number;
}

/** What a request takes on each class of devices; shared by all requests that ask for the same. */
export interface Plan {
  readonly key: string;
  /** `inventoryVersion` when it was worked out; of another version it is stale. */
  readonly version: number;
  readonly fits: readonly Fit[];
  readonly fitOf: ReadonlyMap<DeviceClass, Fit>;
  /** Slices of all leases together. */
  readonly count: number;
  readonly leases: number;
  /** How many of them may be on one device. */
  readonly perDevice: number;
  /** The least that it can take in all: what it weighs in the queue. */
  readonly costBytes: number;
  /** The most that it can take in all: what quotas are compared with. */
  readonly costMostBytes: number;
  /** Whether a device with the memory may lack the time. */
  readonly isComputeBound: boolean;
  readonly policy: NonNullable<PoolRequest["policy"]>;
  readonly filters: readonly Filter[];
  /** The only devices that may serve it, where filters tell devices of one class apart. */
  readonly narrow: ReadonlySet<DeviceRecord> | undefined;
  /** Whether the empty pool could serve it. */
  readonly possible: boolean;
  /** For a suspended lease: these devices, all of them and no others, with what it takes on each. Then there are no `fits`. */
  readonly exact?: ReadonlyMap<DeviceRecord, Amount>;
}

export interface RequestRecord {
  /** As it was made, but for a priority that an admin has set. */
  request: PoolRequest;
  readonly order: number;
  readonly tenant: TenantRecord;
  readonly requestedAt: number;
  readonly deadlineAt: number;
  /** Weight in its tenant's queue; fixed when the request joins. */
  readonly costBytes: number;
  /** The end of its wait. */
  timer: Deadline<Timer> | undefined;
  promotion: Deadline<Timer> | undefined;
  /** That of the request, or what an admin has set, or a higher one after a long wait. */
  priority: number;
  plan: Plan;
  /** The reservation that it waits for, in whose line. */
  readonly reservation: ReservationRecord | undefined;
  /** The suspended lease that waits to come back, where it is no request for a new one. */
  readonly lease: LeaseRecord | undefined;
  /** How often another request was served before this one, while this was the head, though it may delay this one. */
  passes: number;
  /** Whether leases were told to make room for it. */
  hasPreempted: boolean;
}

export interface TenantRecord {
  readonly name: string;
  weight: number;
  /** Bytes x milliseconds used, in units that grow with time instead of decaying (see fair-share.ts), up to `settledAt`. */
  usage: number;
  settledAt: number;
  quota: Quota;
  heldBytes: number;
  sliceCount: number;
  leaseCount: number;
  waitingCount: number;
  readonly queues: Map<number, TenantQueue>;
  readonly reservations: Set<ReservationRecord>;
  timer: Deadline<Timer> | undefined;
}

/** The waiting requests of one tenant in one priority class, first come first. */
export interface TenantQueue {
  readonly tenant: TenantRecord;
  readonly band: Band;
  readonly requests: OrderedTree<RequestRecord>;
  /** As filed in the band: fair-share key, and the order of the first request. */
  key: number;
  firstOrder: number;
  /** The first request, as filed. */
  first: RequestRecord | undefined;
  /** How much the key grows per byte granted. */
  step: number;
  /** The tree that holds it. */
  filedIn: OrderedTree<TenantQueue> | undefined;
}

/** One priority class of the queue. */
export interface Band {
  readonly priority: number;
  /** Tenants with waiting requests, the one to be served next first. */
  readonly tenants: OrderedTree<TenantQueue>;
  /** Tenants whose first request has to wait for their quota; nobody waits for them. */
  readonly parked: OrderedTree<TenantQueue>;
  size: number;
  /** The request that was first and found no room; it stays first. */
  head: RequestRecord | undefined;
}

/** Devices kept for the blocked head. */
export interface HeadRoom {
  readonly holder: RequestRecord;
  readonly devices: readonly DeviceRecord[];
  /** When the devices have room for the holder at the latest; undefined while a lease on them has no known end. */
  startsAt: number | undefined;
}

/** One fixed slice of a reservation. */
export interface ReservedSlice {
  readonly slice: Slice;
  readonly device: DeviceRecord;
  /** Which lease has it now. */
  lease: LeaseRecord | undefined;
}

export interface ReservationRecord {
  readonly terms: Reservation;
  readonly tenant: TenantRecord;
  slices: readonly ReservedSlice[];
  /** Requests that name it, the next one first. */
  readonly waiting: OrderedTree<RequestRecord>;
  timer: Deadline<Timer> | undefined;
}

/** Why a lease ends. */
export interface Ending {
  readonly code: EndCode;
  readonly message: string;
}

/** What a lease is made of. */
export interface LeaseTerms {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly detached: boolean;
  readonly requestedAt: number;
  readonly grantedAt: number;
  /** End of its duration; Infinity: none. */
  readonly endsAt: number;
  /** What happens then; undefined: its duration is over. */
  readonly endsWith?: Ending | undefined;
  readonly slices: readonly Slice[];
  readonly priority: number;
  /** It ends without calls for so long; Infinity: never. */
  readonly idleMs: number;
  readonly reservation: string | undefined;
  readonly tokenId: string | undefined;
}

/** What is known of a suspension from its beginning until the memory is back. */
export interface SuspensionRecord {
  message: string;
  comesBack: boolean;
  byAdmin: boolean;
  since: number;
  savedBytes: number;
  /** What is left of the duration while its clock stands still. */
  timeLeftMs: number | undefined;
  /** The reservation whose slices it had. */
  home: ReservationRecord | undefined;
  /** Its place in the queue while it waits to come back. */
  comeback: RequestRecord | undefined;
}

export interface LeaseRecord {
  readonly terms: LeaseTerms;
  readonly tenant: TenantRecord;
  /** The order of its request, in which it waits when it is suspended. */
  readonly order: number;
  slices: readonly Slice[];
  /** What of the slices it holds: all, or while it is suspended the overhead of devices and what modules have. */
  held: readonly Slice[];
  /** At the index of each slice the bytes that its modules have of it and would keep while it is suspended, as far as it has been; else none. */
  kept: readonly number[];
  /** At the index of each slice: the reserved slice that it fills, if it does. Those cost the tenant nothing more. */
  reserved: readonly (ReservedSlice | undefined)[] | undefined;
  /** The devices of the slices, each once. */
  readonly devices: readonly DeviceRecord[];
  state: LeaseState;
  lastBeatAt: number;
  attached: boolean;
  /** End of the duration or of a grace; Infinity: none. */
  endsAt: number;
  /** What happens at `endsAt`. */
  endsWith: Ending;
  ended: Ending | undefined;
  lastActiveAt: number;
  /** Whether kernels run. */
  isBusy: boolean;
  idleWarned: boolean;
  /** A slice that is changing its size, as it was before. */
  resizing: { readonly before: Slice; readonly after: Slice } | undefined;
  suspension: SuspensionRecord | undefined;
  /** It makes room for nobody until then: it has just come back, or could not be suspended. */
  restsUntil: number;
  /** The end of that rest; while it is suspended, of the pause before it tries to come back again. */
  restTimer: Deadline<Timer> | undefined;
  idleTimer: Deadline<Timer> | undefined;
  beatTimer: Deadline<Timer> | undefined;
  endTimer: Deadline<Timer> | undefined;
  noticeTimer: Deadline<Timer> | undefined;
}

export type Timer =
  | { readonly kind: "wait"; readonly request: RequestRecord }
  | { readonly kind: "promote"; readonly request: RequestRecord }
  | { readonly kind: "beat"; readonly lease: LeaseRecord }
  | { readonly kind: "idle"; readonly lease: LeaseRecord }
  | { readonly kind: "notice"; readonly lease: LeaseRecord }
  | { readonly kind: "end"; readonly lease: LeaseRecord }
  | { readonly kind: "rest"; readonly lease: LeaseRecord }
  | { readonly kind: "settle"; readonly tenant: TenantRecord }
  | { readonly kind: "reservation"; readonly reservation: ReservationRecord };

export interface PoolState {
  readonly options: Required<PoolOptions>;
  readonly devices: Map<string, DeviceRecord>;
  readonly servers: Map<string, ServerRecord>;
  readonly classes: Map<string, DeviceClass>;
  /** Servers whose devices are of more than one class. */
  readonly mixedServers: Set<ServerRecord>;
  readonly leases: Map<string, LeaseRecord>;
  readonly requests: Map<string, RequestRecord>;
  readonly tenants: Map<string, TenantRecord>;
  readonly reservations: Map<string, ReservationRecord>;
  /** Reservations in which somebody may find room since they were looked at last. */
  readonly toServe: Set<ReservationRecord>;
  /** The highest priority first. */
  readonly bands: Band[];
  readonly timers: Deadlines<Timer>;
  readonly plans: Map<string, Plan>;
  /** Changes with the devices that there are. */
  inventoryVersion: number;
  headRoom: HeadRoom | undefined;
  shutdown: { readonly deadline: number } | undefined;
  /** The latest time seen: the pool's time never runs backwards. */
  now: number;
  /** Where the growing units of usage are 1. */
  usageEpoch: number;
  /** Heartbeats count as heard until then: the pool itself was not listening before. */
  deafUntil: number;
  nextOrder: number;
  /** Counts what has happened, but for what moves nobody. */
  changes: number;
  /** Starts of the first of the queue, worked out after so many changes. */
  estimates: { readonly changes: number; readonly starts: ReadonlyMap<RequestRecord, number> } | undefined;
  /** Whether something has become free, or the queue's head has gone, since the last pass over the queue. */
  passNeeded: boolean;
}

/** A pool without devices. Throws nothing; options out of range are the caller's bug and fail an assertion. */
export function createPool(options: PoolOptions = {}): PoolState {
  const complete: Required<PoolOptions> = {
    heartbeatTimeoutMs: options.heartbeatTimeoutMs ?? HEARTBEAT_TIMEOUT_MS,
    queueEntriesMax: options.queueEntriesMax ?? QUEUE_ENTRIES_MAX,
    waitMsMax: options.waitMsMax ?? 30 * 24 * HOUR_MS,
    endNoticeMs: options.endNoticeMs ?? 60_000,
    usageHalfLifeMs: options.usageHalfLifeMs ?? 24 * HOUR_MS,
    passesMax: options.passesMax ?? 16,
    promoteAfterMs: options.promoteAfterMs ?? HOUR_MS,
    idleMs: options.idleMs ?? 0,
    idleNoticeMs: options.idleNoticeMs ?? 60_000,
    preemption: options.preemption ?? false,
    preemptionGraceMs: options.preemptionGraceMs ?? 30_000,
    suspensionRestMs: options.suspensionRestMs ?? 60_000,
  };
  for (const [name, value] of Object.entries(complete)) {
    if (typeof value === "number" && !(Number.isFinite(value) && value >= 0))
      throw new Error(`The pool's option ${name} is out of range [${value}].`);
  }
  return {
    options: complete,
    devices: new Map(),
    servers: new Map(),
    classes: new Map(),
    mixedServers: new Set(),
    leases: new Map(),
    requests: new Map(),
    tenants: new Map(),
    reservations: new Map(),
    toServe: new Set(),
    bands: [],
    timers: new Deadlines(),
    plans: new Map(),
    inventoryVersion: 0,
    headRoom: undefined,
    shutdown: undefined,
    now: 0,
    usageEpoch: 0,
    deafUntil: 0,
    nextOrder: 0,
    changes: 0,
    estimates: undefined,
    passNeeded: false,
  };
}
