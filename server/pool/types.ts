/**
 * The words of the pool: what goes in (events), what comes out (effects), and what can be asked (listings). Plain data.
 * Times are milliseconds of the caller's clock, sizes are bytes, both whole and below 2^53. Ids come in with the events.
 * An event about something unknown, gone or already so is harmless: it has no effects. Effects are to be carried out in their
 * order; none is assumed to succeed, and what became of it comes back as an event. The functions are those of pool.ts:
 *   createPool(options?: PoolOptions): PoolState
 *   decide(state: PoolState, event: PoolEvent, now: number): readonly Effect[]     changes the state in place
 *   nextDeadline(state): number | undefined                                        when to send the next `tick`
 *   listDevices(state): DeviceListing[]      listLeases(state): Lease[]            findLease(state, id): Lease | undefined
 *   listQueue(state): QueueListing[]         queuePlace(state, id): QueuePlace | undefined
 *   listTenants(state): TenantListing[]            listReservations(state): ReservationListing[]
 *   explain(state, request): Explanation                                           changes nothing
 */
import type { DeviceReason, ErrorCode } from "../../shared/errors.ts";

/** Bounds and times of a pool. Every field has a default, so `{}` is a sensible pool. */
export interface PoolOptions {
  /** A lease that beats ends after this long without a beat. Default HEARTBEAT_TIMEOUT_MS. */
  readonly heartbeatTimeoutMs?: number;
  /** Requests that may wait at once. Default QUEUE_ENTRIES_MAX. */
  readonly queueEntriesMax?: number;
  /** The longest wait that a request may ask for. Default: 30 days. */
  readonly waitMsMax?: number;
  /** How long before the end of its duration a lease is warned. Default: one minute, at most half the duration. */
  readonly endNoticeMs?: number;
  /** After this time, use of the past weighs half as much when tenants are compared. Default: a day. */
  readonly usageHalfLifeMs?: number;
  /** A lease without calls for this long is warned, then ends; 0: never. A request may ask for less. Default 0. */
  readonly idleMs?: number;
  /** How long before its end an idle lease is warned. Default: one minute, at most half the idle time. */
  readonly idleNoticeMs?: number;
  /**
   * Whether running leases of lower priority make room for the first of the queue: `true` ends them after a notice and a grace, `suspend`
   * suspends them, and they come back by themselves. Default false.
   */
  readonly preemption?: boolean | "suspend";
  /** How long a lease that makes room by ending still has. Default: 30 seconds. */
  readonly preemptionGraceMs?: number;
  /** A lease that goes on after a suspension makes room for nobody for this long. Default: one minute. */
  readonly suspensionRestMs?: number;
  /** A request that has waited this long moves up to the next higher priority that waits, so that nobody starves. Default: one hour. */
  readonly promoteAfterMs?: number;
  /** How many requests may be served before the first of the queue although they may delay it. Default: 16. */
  readonly passesMax?: number;
}

/** All of a device's time, in the thousandths in which it is promised. */
export const COMPUTE_WHOLE = 1000;

/** The bound of priorities on both sides of 0. */
export const PRIORITY_MAX = 100;

/** One device as the pool sees it. */
export interface PoolDevice {
  /** Stable and unique in the pool, such as `cpu:0`. */
  readonly id: string;
  /** The server that owns it: all slices of a lease are on one. Default: the empty name, one server. */
  readonly server?: string;
  /** Bytes that can be lent. */
  readonly memoryBytes: number;
  /** Slices are whole multiples of this. */
  readonly granularityBytes: number;
  /** Bytes charged once per lease on this device beside its slices (a CUDA context). */
  readonly overheadBytes: number;
  /** Largest slice that one lease may have on this device. */
  readonly sliceBytesMax: number;
  /** Which requests it serves. Default: dynamic. */
  readonly sharing?: Sharing;
  /**
   * What filters ask about: `server.addr`, `server.hostname`, `server.has-rdma`, `server.cuda-version`, `server.driver-version`,
   * `device.name`, `device.kind`, `device.capability`. `device.id` and `device.phy-memory` follow from the fields above.
   */
  readonly facts?: Readonly<Record<string, string>>;
  /** Asked about as `label.KEY`, and by a request's `avoid`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Keys of labels that keep away every request that does not tolerate them. */
  readonly taints?: readonly string[];
  /** Devices of the same server that it is joined to by NVLink, with the number of links. */
  readonly links?: Readonly<Record<string, number>>;
}

/**
 * How a device is shared. `dynamic`: any sizes side by side. `exclusive`: as a whole to one lease. `profile`: in equal fixed slices
 * of `profileBytes`, overhead inside.
 */
export type Sharing =
  | { readonly mode: "dynamic" }
  | { readonly mode: "exclusive" }
  | { readonly mode: "profile"; readonly profileBytes: number };

/** What a tenant may have at most. A field that is not set is no bound. */
export interface Quota {
  /** Bytes held at once, overhead included. */
  readonly memoryBytes?: number;
  /** Slices held at once. */
  readonly devices?: number;
  readonly leases?: number;
  /** Requests waiting at once. */
  readonly requests?: number;
  /** The longest lease; also the duration of a lease that asks for none. */
  readonly durationMs?: number;
  /** The highest priority of a request. */
  readonly priority?: number;
}

/**
 * How much of each device is wanted. `bytes` is rounded up to the device's granularity, and its overhead is charged on top.
 * `fraction` (above 0, at most 1) is a part of the whole device with the overhead inside, rounded down, so that four quarters always fit.
 */
export type Share =
  | { readonly kind: "bytes"; readonly bytes: number }
  | { readonly kind: "fraction"; readonly fraction: number };

/** A wish for a lease, or for several. Its lease, once granted, keeps the id. */
export interface PoolRequest {
  /** Unique among all requests and leases, for ever. */
  readonly id: string;
  readonly tenant: string;
  /** What the user calls the job; may be empty. */
  readonly name: string;
  readonly share: Share;
  /** Number of slices of each lease, 1 to SLICES_PER_LEASE_MAX. */
  readonly count: number;
  /**
   * Leases to be granted together or not at all, all on one server, each with its own overhead: 1 to LEASES_PER_REQUEST_MAX. The first
   * keeps the request's id, the others have `-2`, `-3` and so on behind it. Default 1.
   */
  readonly leases?: number;
  /** Whether several of the slices may be on one device. Default false. */
  readonly sameDevice?: boolean;
  /** How long to wait for capacity; 0: now or never. */
  readonly waitMs: number;
  /** The lease ends by itself after this time. Default: no such end. */
  readonly durationMs?: number;
  /** The lease lives without heartbeats, until it is released, revoked or its duration is over, which it must have. Default false. */
  readonly detached?: boolean;
  /** Higher ones are served first: a whole number from -PRIORITY_MAX to PRIORITY_MAX. Default 0. */
  readonly priority?: number;
  /**
   * `dynamic`: a part of a device. `exclusive`: whole devices with nothing beside the lease, whatever the share says. `profile`: one
   * fixed slice that is at least the share. Default: dynamic.
   */
  readonly mode?: Sharing["mode"];
  /** `pack`: leave the least behind. `spread`: the emptiest device. `topology`: devices joined by NVLink. Default: pack. */
  readonly policy?: "pack" | "spread" | "topology";
  /** Conditions that every device must meet, such as `device.name~A100` or `server.cuda-version>=12.4` (see filter.ts). */
  readonly filters?: readonly string[];
  /** Labels, as KEY or KEY=VALUE: tainted devices that the request may use, and devices that it must not use. */
  readonly tolerate?: readonly string[];
  readonly avoid?: readonly string[];
  /** The lease ends when it makes no calls for this long; bounded by the pool's `idleMs`. */
  readonly idleMs?: number;
  /**
   * Part of each device's time that is promised to the lease, in thousandths: 1 to COMPUTE_WHOLE. Default: none, and a fixed slice has its
   * part and a whole device has all all the same.
   */
  readonly compute?: number;
  /** The reservation to be served inside, and nowhere else; the tenant's own, and the mode is profile. */
  readonly reservation?: string;
  /** When the request was made, if earlier than now: one restored from the store keeps its place in time. Default: now. */
  readonly requestedAt?: number;
  /** Id of the token that asks; decides nothing here. Default: none was asked for. */
  readonly tokenId?: string;
}

export interface Slice {
  /** Index of the slice within its lease, from 0. */
  readonly index: number;
  readonly deviceId: string;
  /** Exact size of the arena in bytes. */
  readonly bytes: number;
  /** Bytes charged beside the slice; stands on the first slice that a lease has on a device. */
  readonly overheadBytes: number;
  /** Part of the device's time that is promised, in thousandths. Absent: none. */
  readonly compute?: number;
}

/** Fixed slices that a tenant holds, whether or not leases use them. */
export interface Reservation {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  /** Their indices count within the reservation. Every one carries its overhead. */
  readonly slices: readonly Slice[];
  readonly createdAt: number;
  /** When it ends by itself; without it, when it is given up. */
  readonly endsAt?: number;
}

export interface ReservationListing extends Reservation {
  /** Without those on devices that are gone. */
  readonly slices: readonly (Slice & {
    /** The lease in it now. */
    readonly leaseId?: string;
  })[];
  /** Requests that wait for it by its id. */
  readonly waiting: number;
}

/**
 * `granting`: the effect `granted` is out, not yet confirmed. `granted`: the lease lives. `suspending`: its memory is being saved, and still
 * held. `suspended`: of its slices it holds what its modules have, and the overhead of its devices. `resuming`: its slices are held again and being filled.
 * `ending`: its executor is to be killed; its memory is still held, and is free again only after the event `reclaimed`.
 */
export type LeaseState = "granting" | "granted" | "suspending" | "suspended" | "resuming" | "ending";

/** Why and since when a lease is suspended, and what becomes of it. */
export interface Suspension {
  /** Why, as a sentence. */
  readonly message: string;
  /** Whether it comes back when there is room; else when it is told to. */
  readonly comesBack: boolean;
  /** Whether an admin wants it so; nothing follows from it here. */
  readonly byAdmin: boolean;
  /** When its memory was given back; while that is under way, when it began. */
  readonly since: number;
  /** Bytes saved on the host; 0 until they are. */
  readonly savedBytes: number;
  /** By the index of each slice the bytes of it that it holds all the same, as last told: what its modules have. Default: none. */
  readonly keptBytes?: readonly number[];
  /** What is left of its duration, whose clock stands still. Not set while it runs, or where there is no such end. */
  readonly timeLeftMs?: number;
}

/** Why a lease ended: `RELEASED` for the plain end, else an error's code. */
export type EndCode = "RELEASED" | ErrorCode;

export interface Lease {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly state: LeaseState;
  /** While it is suspended: those that it gets back. */
  readonly slices: readonly Slice[];
  readonly detached: boolean;
  readonly requestedAt: number;
  readonly grantedAt: number;
  readonly lastBeatAt: number;
  /** Whether a session is attached. */
  readonly attached: boolean;
  /** When the lease ends at the latest: the end of its duration, or of the grace after a notice. */
  readonly endsAt?: number;
  readonly priority: number;
  /** The reservation whose slices it has. */
  readonly reservation?: string;
  /** It ends without calls for so long, where it does. */
  readonly idleMs?: number;
  /** Id of the token that asked for it. */
  readonly tokenId?: string;
  /** Why it ends at `endsAt`, where that is not the end of its duration. */
  readonly endsWith?: { readonly code: EndCode; readonly message: string };
  /** Set from the beginning of a suspension until its memory is back. */
  readonly suspension?: Suspension;
  /** Set while `ending`. */
  readonly endCode?: EndCode;
  readonly endMessage?: string;
}

/** A lease as the store remembers it, for taking it up again after a restart. */
export interface StoredLease {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly slices: readonly Slice[];
  readonly detached: boolean;
  readonly requestedAt: number;
  readonly grantedAt: number;
  /** The end of its duration or of a grace, where it has one, and why it ends then if not for its duration. */
  readonly endsAt?: number;
  readonly endsWith?: { readonly code: EndCode; readonly message: string };
  readonly priority?: number;
  readonly idleMs?: number;
  readonly reservation?: string;
  readonly tokenId?: string;
  readonly suspension?: Suspension;
  /** How far its suspension had come: a step that was under way is taken again. Default: suspended. */
  readonly suspensionState?: SuspensionState;
}

export type SuspensionState = "suspending" | "suspended" | "resuming";

/** Why nothing new is placed on a device: an admin wants it so, or it is ill. */
export interface Cordon {
  readonly code: "DEVICE_CORDONED" | "DEVICE_UNHEALTHY";
  readonly message: string;
}

export type PoolEvent =
  /** A device joins. One with a known id is ignored. */
  | { readonly kind: "deviceAdded"; readonly device: PoolDevice }
  /** A device leaves: its leases end (DEVICE_FAILED), and it is gone once they are reclaimed. */
  | { readonly kind: "deviceRemoved"; readonly deviceId: string; readonly message: string }
  /** Nothing new is placed on the device until it is uncordoned; what runs there runs on. */
  | ({ readonly kind: "deviceCordoned"; readonly deviceId: string } & Cordon)
  | { readonly kind: "deviceUncordoned"; readonly deviceId: string }
  /** As `deviceCordoned`, and all that runs there gets a notice and ends after the grace. Answered by `deviceEmpty`, in the end. */
  | { readonly kind: "deviceDrained"; readonly deviceId: string; readonly graceMs: number; readonly message: string }
  /** Answered at once by `granted`, `queued` or `refused`. */
  | { readonly kind: "requested"; readonly request: PoolRequest }
  /** The client does not want its request any more; if it has become a lease meanwhile, or several, those are released. */
  | { readonly kind: "withdrawn"; readonly id: string }
  /** An admin takes a request out of the queue: it is refused with CANCELLED. */
  | { readonly kind: "cancelled"; readonly id: string; readonly message: string }
  /** An admin gives a waiting request another priority. */
  | { readonly kind: "prioritySet"; readonly id: string; readonly priority: number }
  /** The grant is stored and the client knows it. */
  | { readonly kind: "grantConfirmed"; readonly id: string }
  /** The grant could not be stored or told, and no executor was started: its memory is free at once. */
  | { readonly kind: "grantFailed"; readonly id: string }
  | { readonly kind: "heartbeat"; readonly id: string }
  /** A session begins or ends under the lease. Only shown; the heartbeat decides about life. */
  | { readonly kind: "attached"; readonly id: string }
  | { readonly kind: "detached"; readonly id: string }
  /** What the executor reports: calls have come, and whether kernels run now. A lease is not idle while they do. */
  | { readonly kind: "active"; readonly id: string; readonly isBusy: boolean }
  /**
   * A slice is to become larger or smaller, rounded up to the granularity. `usedBytes`: how far into the slice memory is used.
   * Answered by `resize` or `resizeRefused`.
   */
  | {
      readonly kind: "resizeAsked";
      readonly id: string;
      readonly index: number;
      readonly bytes: number;
      readonly usedBytes: number;
    }
  /** What became of the effect `resize`. */
  | { readonly kind: "resizeConfirmed"; readonly id: string }
  | { readonly kind: "resizeFailed"; readonly id: string }
  /** A tenant's weight in the fair share (default 1) and quota. Takes effect at once, and takes nothing away from anybody. */
  | { readonly kind: "tenantSet"; readonly tenant: string; readonly weight?: number; readonly quota?: Quota }
  /** After a restart: a tenant's use of the past, in bytes x milliseconds, as it counts now. */
  | { readonly kind: "usageRestored"; readonly tenant: string; readonly byteMs: number }
  /**
   * The lease is to give its memory back for a while. It comes back when it is told to. Answered by `suspend` or `suspendRefused`; without an
   * effect for one that is suspended already, or about to be: it then does not come back by itself any more. One that is coming back is suspended
   * once it has.
   */
  | { readonly kind: "suspendAsked"; readonly id: string; readonly message: string; readonly byAdmin: boolean }
  /** What became of the effect `suspend`: the memory is saved, stored to be so, and free; or all is as it was, and why. */
  | ({ readonly kind: "parked"; readonly id: string } & Pick<Suspension, "savedBytes" | "keptBytes">)
  | { readonly kind: "parkFailed"; readonly id: string; readonly message: string }
  /** A suspended lease is to come back as soon as there is room: it waits in the queue in the place of its own request. */
  | { readonly kind: "resumeAsked"; readonly id: string }
  /** What became of the effect `resume`: its memory is back; or it is saved as before, and why. */
  | { readonly kind: "unparked"; readonly id: string }
  | ({ readonly kind: "unparkFailed"; readonly id: string; readonly message: string } & Pick<Suspension, "keptBytes">)
  /** The client gives the lease back. */
  | { readonly kind: "released"; readonly id: string }
  /** The lease cannot go on, such as with EXECUTOR_FAILED. */
  | { readonly kind: "failed"; readonly id: string; readonly code: ErrorCode; readonly message: string }
  /** An admin ends the lease: it gets a notice, and ends after the grace. */
  | { readonly kind: "revoked"; readonly id: string; readonly graceMs: number; readonly message: string }
  /** An admin moves the end of a lease later, whatever set it; one without an end stays so. */
  | { readonly kind: "extended"; readonly id: string; readonly byMs: number }
  /** The executor of an ending lease is known to be dead, and nothing of it is left on the devices. */
  | { readonly kind: "reclaimed"; readonly id: string }
  /**
   * Fixed slices are to be held for the request's tenant for its duration, or until they are given up. Answered at once by `reserved` or
   * `reserveRefused`: nobody waits to reserve. The request's mode is profile; its priority, wait and idle time mean nothing.
   */
  | { readonly kind: "reserveAsked"; readonly request: PoolRequest }
  /** A reservation is given up: leases in it run on, requests that wait for it are refused. Answered by `reservationEnded`. */
  | { readonly kind: "unreserved"; readonly id: string }
  /** After a restart, before the leases: a reservation of the store. What its devices have not free any more is left out. */
  | { readonly kind: "reservationAdopted"; readonly reservation: Reservation }
  /** No more leases: waiting requests are refused, running leases get a notice and end after the grace. */
  | { readonly kind: "shutdown"; readonly graceMs: number }
  /**
   * After a restart: a lease of the store whose executor was found. If it does not fit any more, it ends. Suspended ones come last: they might
   * come back to where another is that is not known yet.
   */
  | { readonly kind: "adopted"; readonly lease: StoredLease }
  /** Nothing but time has passed. */
  | { readonly kind: "tick" };

/** Why a notice is given. */
export type NoticeKind =
  | "revoked"
  | "shutdown"
  | "time-almost-over"
  | "idle"
  | "preempted"
  | "extended"
  | "suspended"
  | "resumed";

export type Effect =
  /** Store the lease, or all of them or none, tell the client, then report `grantConfirmed` or `grantFailed` of each. */
  | {
      readonly kind: "granted";
      readonly lease: Lease;
      /** The others of a request for several. */
      readonly others?: readonly Lease[];
      /** What the client should know about its slices, such as that no link joins them. */
      readonly warnings: readonly string[];
    }
  /**
   * Let the executor change the slice to its new size, then report `resizeConfirmed` or `resizeFailed`. An executor that starts
   * meanwhile has to end up with the size that is reported, too.
   */
  | { readonly kind: "resize"; readonly id: string; readonly slice: Slice; readonly previousBytes: number }
  | { readonly kind: "resizeRefused"; readonly id: string; readonly code: ErrorCode; readonly message: string }
  /** Store that the lease is suspending, let its executor save its memory and give it back, store that it has, then report `parked` or `parkFailed`. */
  | { readonly kind: "suspend"; readonly id: string }
  | { readonly kind: "suspendRefused"; readonly id: string; readonly code: ErrorCode; readonly message: string }
  /** Store that the lease is resuming, let its executor take its memory back, then report `unparked` or `unparkFailed`. */
  | { readonly kind: "resume"; readonly id: string }
  /** Tell the client that it waits: its place (1 is next), and why no device serves it now. Told once; ask `queuePlace` for news. */
  | {
      readonly kind: "queued";
      readonly id: string;
      readonly position: number;
      readonly reasons: readonly DeviceReason[];
    }
  /** Tell the client no. The request is forgotten. */
  | {
      readonly kind: "refused";
      readonly id: string;
      readonly code: ErrorCode;
      readonly message: string;
      readonly reasons: readonly DeviceReason[];
    }
  /** Tell the client that its lease ends at `deadline`; of `suspended` and `resumed`, that it is so since then. */
  | {
      readonly kind: "notice";
      readonly id: string;
      readonly notice: NoticeKind;
      readonly deadline: number;
      readonly message: string;
    }
  /** Kill the lease's executor if it has one, tell the client, then report `reclaimed`. */
  | { readonly kind: "end"; readonly id: string; readonly code: EndCode; readonly message: string }
  /** The lease's memory is free again and the pool has forgotten the lease. Close its record. */
  | { readonly kind: "closed"; readonly lease: Lease }
  /** The last lease on a removed device is gone, and so is the device. */
  | { readonly kind: "deviceGone"; readonly deviceId: string }
  /** Store the reservation; if that fails, report `unreserved`. */
  | { readonly kind: "reserved"; readonly reservation: Reservation }
  | {
      readonly kind: "reserveRefused";
      readonly id: string;
      readonly code: ErrorCode;
      readonly message: string;
      readonly reasons: readonly DeviceReason[];
    }
  /** The reservation is over: forget it. */
  | { readonly kind: "reservationEnded"; readonly id: string }
  /** No lease is left on a device that is drained. */
  | { readonly kind: "deviceEmpty"; readonly deviceId: string };

export interface DeviceListing {
  readonly device: PoolDevice;
  /** Bytes in slices of leases, bytes charged as overhead, bytes reserved and not in use, and the rest; they add up to the device's memory. */
  readonly grantedBytes: number;
  readonly overheadBytes: number;
  readonly reservedBytes: number;
  readonly freeBytes: number;
  /** Thousandths of its time that are promised to nobody. */
  readonly freeCompute: number;
  /** Ids of the leases with slices here. */
  readonly leases: readonly string[];
  /** Set while nothing new is placed here. */
  readonly cordon?: Cordon;
  /** Whether its leases have notice to end. */
  readonly draining: boolean;
  readonly removed: boolean;
}

export interface QueueListing {
  readonly request: PoolRequest;
  /** That of the request, or what an admin has set, or a higher one after a long wait. */
  readonly priority: number;
  /** 1 is next. */
  readonly position: number;
  readonly requestedAt: number;
  /** When the wait is over; Infinity for a suspended lease. */
  readonly deadline: number;
  /** It is a suspended lease that waits to come back, and this its id. */
  readonly leaseId?: string;
  /**
   * When it is served, if all who hold or are ahead use their whole time and nobody comes before it; for the first of the queue that is the
   * latest. Only for the first few, and where those times are known.
   */
  readonly startsAt?: number;
}

export interface QueuePlace extends QueueListing {
  readonly reasons: readonly DeviceReason[];
}

/** What a tenant has and may have. */
export interface TenantListing {
  readonly tenant: string;
  readonly weight: number;
  readonly quota: Quota;
  readonly heldBytes: number;
  readonly heldSlices: number;
  readonly leases: number;
  readonly waiting: number;
  /** Use in bytes x milliseconds as it counts now, decayed. */
  readonly usage: number;
}

/** What would become of a request now, without making it. */
export type Explanation =
  /** The slices of all of its leases, one after the other. */
  | { readonly kind: "granted"; readonly slices: readonly Slice[]; readonly warnings: readonly string[] }
  | {
      readonly kind: "queued";
      readonly position: number;
      readonly reasons: readonly DeviceReason[];
      /** Leases that would have to end first, on the devices that have room soonest. */
      readonly blockers: readonly string[];
      /** When those have ended at the latest, where their ends are known: the start, if nobody else were served before. */
      readonly startsAt?: number;
    }
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly message: string;
      readonly reasons: readonly DeviceReason[];
    };
