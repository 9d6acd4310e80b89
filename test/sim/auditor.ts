/**
 * Follows a pool by its effects alone, keeps books of its own, and throws on the first thing that does not add up. It shares no
 * code with the pool beyond the words of types.ts. Used by the property tests and by the simulator.
 */
import {
  listDevices,
  listLeases,
  listQueue,
  listReservations,
  listTenants,
  nextDeadline,
  type PoolState,
} from "../../server/pool/pool.ts";
import type {
  Effect,
  Lease,
  PoolDevice,
  PoolEvent,
  PoolRequest,
  QueueListing,
  Quota,
  Reservation,
  Slice,
} from "../../server/pool/types.ts";
import { check } from "./check.ts";
import { expectedSlice, mentions, shapeOf } from "./expectations.ts";
import { lookAgain } from "./second-look.ts";

interface Account {
  readonly request: { readonly tenant: string };
  slices: readonly Slice[];
  resizing?: { readonly before: Slice; readonly after: Slice } | undefined;
  phase: "granting" | "granted" | "suspending" | "suspended" | "resuming" | "ending";
  /** Whether its memory is saved elsewhere: then it holds the overhead of its devices, and what modules have, also while it ends. */
  isParked?: boolean;
  /** What it holds of each slice then. */
  kept?: readonly number[] | undefined;
  /** Whether it is to come back when there is room. */
  comesBack?: boolean;
  /** When it tries again at the latest, after it could not come back. */
  triesAgainAt?: number;
  /** The reservation that it goes back to. */
  formerHome?: Holding | undefined;
  /** The reservation whose slices it has. */
  home?: Holding | undefined;
}

/** A reservation, by the books. */
interface Holding {
  readonly tenant: string;
  slices: readonly Slice[];
}

/** How long a lease that could not come back waits before it stands in the queue again. */
const TRIES_AGAIN_MS_MAX = 10_000;

/** Every event of a story gets a second look; of a long life each fourth, or it would cost as much as all other checks. */
const FIRST_EVENTS = 1000;
const EVENTS_PER_SECOND_LOOK = 4;

/** Events that change nothing in queue and leases when they have no effects. */
const quietKinds: ReadonlySet<PoolEvent["kind"]> = new Set(["tick", "heartbeat", "attached", "detached", "active"]);

export class Auditor {
  readonly #pool: PoolState;
  readonly devices = new Map<string, PoolDevice>();
  readonly closed = new Set<string>();
  readonly leases = new Map<string, Account>();
  readonly waiting = new Map<string, { readonly request: PoolRequest; readonly deadline: number }>();
  readonly #wishes = new Map<string, PoolRequest>();
  readonly reservations = new Map<string, Holding>();
  readonly quotas = new Map<string, Quota>();
  #isShutDown = false;
  #events = 0;
  granted = 0;
  /** The request that is served next. */
  first: string | undefined;
  #earliestDeadline = Number.POSITIVE_INFINITY;

  constructor(pool: PoolState) {
    this.#pool = pool;
  }

  /** Books one decision and checks the pool after it. Let time pass with a `tick` of its own before any other event. */
  observe(event: PoolEvent, effects: readonly Effect[], now: number): void {
    this.#bookEvent(event, effects, now);
    for (const effect of effects) this.#bookEffect(event, effect, now);
    if (event.kind === "requested") this.#wishes.delete(event.request.id);
    if (event.kind === "withdrawn") this.waiting.delete(event.id);
    this.#checkDevices();
    const isQuiet = effects.length === 0 && quietKinds.has(event.kind);
    if (isQuiet && now < this.#earliestDeadline) return;
    this.#checkLeases();
    this.#checkQueue(now);
    if (++this.#events > FIRST_EVENTS && this.#events % EVENTS_PER_SECOND_LOOK > 0) return;
    this.#checkTenants();
    lookAgain(this.#pool, event, now);
  }

  #bookEvent(event: PoolEvent, effects: readonly Effect[], now: number): void {
    switch (event.kind) {
      case "deviceAdded":
        if (!this.devices.has(event.device.id)) this.devices.set(event.device.id, event.device);
        return;
      case "deviceRemoved":
        for (const holding of this.reservations.values()) {
          holding.slices = holding.slices.filter(({ deviceId }) => deviceId !== event.deviceId);
        }
        if (this.devices.has(event.deviceId)) this.closed.add(event.deviceId);
        return;
      case "reservationAdopted":
        if (!this.reservations.has(event.reservation.id)) this.#bookReservation(event.reservation);
        return;
      case "deviceCordoned":
      case "deviceDrained":
        if (this.devices.has(event.deviceId)) this.closed.add(event.deviceId);
        return;
      case "deviceUncordoned":
        if (!listDevices(this.#pool).find((listing) => listing.device.id === event.deviceId)?.removed) {
          this.closed.delete(event.deviceId);
        }
        return;
      case "requested":
        if (!this.#isKnown(event.request.id)) {
          this.#wishes.set(event.request.id, event.request);
          const answers = ["queued", "refused"] as const;
          const words = answers.filter((kind) => mentions(effects, event.request.id, kind));
          const grants = effects.filter((effect) => effect.kind === "granted" && effect.lease.id === event.request.id);
          check(words.length + grants.length === 1, `Request ${event.request.id} gets one answer.`);
        } else check(!mentions(effects, event.request.id, "refused"), "A repeated request is harmless.");
        return;
      case "grantConfirmed":
        if (this.leases.get(event.id)?.phase === "granting") this.leases.get(event.id)!.phase = "granted";
        return;
      case "grantFailed":
        if (this.leases.get(event.id)?.phase === "granting") this.leases.delete(event.id);
        return;
      case "resizeConfirmed":
      case "resizeFailed":
        this.#bookResized(event);
        return;
      case "suspendAsked":
        this.#bookWish(event.id, false);
        return;
      case "resumeAsked":
        this.#bookWish(event.id, true);
        return;
      case "parked":
      case "parkFailed":
      case "unparked":
      case "unparkFailed":
        if (event.kind === "unparked" && this.leases.get(event.id)?.phase === "resuming") {
          const stays = mentions(effects, event.id, "suspend");
          check(
            stays !== this.leases.get(event.id)!.comesBack,
            `Lease ${event.id} goes on where that is the last word.`,
          );
        }
        this.#bookSuspension(event, now);
        return;
      case "prioritySet": {
        const entry = this.waiting.get(event.id);
        if (entry !== undefined) {
          this.waiting.set(event.id, { ...entry, request: { ...entry.request, priority: event.priority } });
        }
        return;
      }
      case "tenantSet":
        if (event.quota !== undefined) this.quotas.set(event.tenant, event.quota);
        if (Object.keys(event.quota ?? { none: 0 }).length === 0) this.quotas.delete(event.tenant);
        return;
      case "adopted":
        if (!this.leases.has(event.lease.id) && !this.waiting.has(event.lease.id)) {
          const fits = !mentions(effects, event.lease.id, "end");
          const { suspension, suspensionState = "suspended" } = event.lease;
          const isParked = suspension !== undefined && suspensionState === "suspended";
          const listed = listLeases(this.#pool).find(({ id }) => id === event.lease.id);
          this.leases.set(event.lease.id, {
            request: event.lease,
            slices: fits ? event.lease.slices : [],
            phase: suspension === undefined || !fits ? "granted" : suspensionState,
            isParked,
            kept: suspension?.keptBytes,
            comesBack: suspension?.comesBack ?? false,
            home: isParked || listed?.reservation === undefined ? undefined : this.reservations.get(listed.reservation),
            formerHome: listed?.reservation === undefined ? undefined : this.reservations.get(listed.reservation),
          });
        }
        return;
      case "shutdown":
        this.#isShutDown = true;
    }
  }

  /** Whether the request waits, or lives in a lease. */
  #isKnown(id: string): boolean {
    const parts = Array.from({ length: 64 }, (_, index) => (index === 0 ? id : `${id}-${index + 1}`));
    return this.waiting.has(id) || parts.some((part) => this.leases.has(part));
  }

  #bookEffect(event: PoolEvent, effect: Effect, now: number): void {
    switch (effect.kind) {
      case "granted":
        this.#bookGrants([effect.lease, ...(effect.others ?? [])], now);
        return;
      case "queued": {
        const request = this.#wishes.get(effect.id);
        check(request !== undefined, `Only a new request is queued, not ${effect.id}.`);
        check(request.waitMs > 0, "A request that does not wait is not queued.");
        const asked = Math.min(request.requestedAt ?? now, now);
        this.waiting.set(effect.id, { request, deadline: asked + request.waitMs });
        return;
      }
      case "refused":
        check(this.waiting.has(effect.id) || this.#wishes.has(effect.id), `Request ${effect.id} is refused once.`);
        // An admin's words are the admin's.
        check(event.kind === "cancelled" || effect.message.endsWith("."), `A refusal is a sentence: ${effect.message}`);
        this.waiting.delete(effect.id);
        return;
      case "end": {
        const account = this.leases.get(effect.id);
        check(account !== undefined && account.phase !== "ending", `Lease ${effect.id} ends once.`);
        account.phase = "ending";
        return;
      }
      case "suspend": {
        const account = this.leases.get(effect.id);
        const isAgain = event.kind === "adopted" && account?.phase === "suspending";
        check(isAgain || account?.phase === "granted", `Lease ${effect.id} may be suspended.`);
        account.phase = "suspending";
        // One that is to be so again as soon as it has come back stays.
        const isAsked = event.kind === "suspendAsked" || event.kind === "unparked";
        if (!isAgain) account.comesBack = !isAsked || event.id !== effect.id;
        return;
      }
      case "resume": {
        const account = this.leases.get(effect.id);
        const isAgain = event.kind === "adopted" && account?.phase === "resuming";
        check(isAgain || account?.phase === "suspended", `Lease ${effect.id} may come back.`);
        check(isAgain || account.comesBack === true, `Lease ${effect.id} comes back only where it is to.`);
        account.phase = "resuming";
        account.isParked = false;
        account.home = [...this.reservations.values()].find((one) => one === account.formerHome);
        return;
      }
      case "resize": {
        const account = this.leases.get(effect.id);
        const before = account?.slices[effect.slice.index];
        check(
          account?.phase === "granted" && before?.bytes === effect.previousBytes,
          `Lease ${effect.id} may be resized.`,
        );
        account.resizing = { before, after: effect.slice };
        if (effect.slice.bytes > before.bytes) account.slices = account.slices.with(before.index, effect.slice);
        return;
      }
      case "closed":
        check(
          event.kind === "reclaimed" && event.id === effect.lease.id,
          "Memory comes back only when it is reclaimed.",
        );
        check(this.leases.get(effect.lease.id)?.phase === "ending", "Only a lease that ends is closed.");
        this.leases.delete(effect.lease.id);
        return;
      case "deviceGone":
        check(this.closed.has(effect.deviceId), "Only a removed device goes.");
        this.devices.delete(effect.deviceId);
        this.closed.delete(effect.deviceId);
        return;
      case "reserved":
        check(event.kind === "reserveAsked", "Only who asks reserves.");
        this.#bookReservation(effect.reservation);
        return;
      case "reservationEnded": {
        const holding = this.reservations.get(effect.id);
        check(holding !== undefined, `Reservation ${effect.id} ends once.`);
        for (const account of this.leases.values()) if (account.home === holding) account.home = undefined;
        this.reservations.delete(effect.id);
        return;
      }
      case "deviceEmpty":
        check(this.closed.has(effect.deviceId), "Only a device that takes no leases is emptied.");
        check(
          ![...this.leases.values()].some(({ slices }) => slices.some(({ deviceId }) => deviceId === effect.deviceId)),
          `Device ${effect.deviceId} is empty.`,
        );
        return;
      case "notice":
        check(this.leases.has(effect.id), "A notice is about a lease.");
        check(effect.deadline >= now, "A notice is about the future.");
    }
  }

  /** Whether a lease that is suspended, is being so or comes back is to run, by the last word. */
  #bookWish(id: string, comesBack: boolean): void {
    const account = this.leases.get(id);
    if (account !== undefined && /^suspend|^resuming/.test(account.phase)) account.comesBack = comesBack;
  }

  #bookSuspension(
    event: PoolEvent & { kind: "parked" | "parkFailed" | "unparked" | "unparkFailed" },
    now: number,
  ): void {
    const { kind, id } = event;
    const account = this.leases.get(id);
    if (account === undefined || account.phase !== (kind.startsWith("park") ? "suspending" : "resuming")) return;
    const isParked = kind === "parked" || kind === "unparkFailed";
    account.phase = isParked ? "suspended" : "granted";
    account.isParked = isParked;
    if (kind === "unparkFailed") account.triesAgainAt = now + TRIES_AGAIN_MS_MAX;
    if (!isParked) return;
    account.kept = "keptBytes" in event ? event.keptBytes : undefined;
    account.formerHome = account.home;
    account.home = undefined;
  }

  /** What a lease holds: its slices, or while it is suspended the contexts on their devices and what modules have. */
  #heldBy({ slices, isParked = false, kept = [] }: Account): readonly Slice[] {
    if (!isParked) return slices;
    return slices.map((slice, index) => {
      const { overheadBytes } = this.devices.get(slice.deviceId)!;
      return {
        ...slice,
        bytes: kept[index] ?? 0,
        compute: 0,
        overheadBytes: Math.min(slice.overheadBytes, overheadBytes),
      };
    });
  }

  #bookResized(event: PoolEvent & { kind: "resizeConfirmed" | "resizeFailed" }): void {
    const account = this.leases.get(event.id);
    if (account?.resizing === undefined || account.phase === "ending") return;
    const slice = event.kind === "resizeConfirmed" ? account.resizing.after : account.resizing.before;
    account.slices = account.slices.with(slice.index, slice);
    account.resizing = undefined;
  }

  #bookReservation(reservation: Reservation): void {
    const { id, tenant } = reservation;
    const listed = listReservations(this.#pool).find((one) => one.id === id);
    check(listed !== undefined, `Reservation ${id} is listed.`);
    // After a restart some of it may not be there any more; never is there more.
    for (const { index, deviceId, bytes } of listed.slices) {
      const asked = reservation.slices.find((slice) => slice.index === index);
      check(asked?.deviceId === deviceId && asked.bytes === bytes, `Slice [${index}] of ${id} is as stored.`);
      check(this.devices.get(deviceId)?.sharing?.mode === "profile", `Slice [${index}] of ${id} is a fixed one.`);
    }
    this.reservations.set(id, { tenant, slices: listed.slices });
  }

  /** Bytes on every device that are reserved and that no lease has. */
  #reserved(): Map<string, number> {
    const sums = new Map<string, number>();
    const add = (slice: Slice, sign: number): void => {
      sums.set(slice.deviceId, (sums.get(slice.deviceId) ?? 0) + sign * (slice.bytes + slice.overheadBytes));
    };
    for (const { slices } of this.reservations.values()) for (const slice of slices) add(slice, 1);
    for (const { home, slices } of this.leases.values()) {
      if (home === undefined) continue;
      const devices = new Set(home.slices.map(({ deviceId }) => deviceId));
      for (const slice of slices) if (devices.has(slice.deviceId)) add(slice, -1);
    }
    return sums;
  }

  #heldByTenant(tenant: string): { readonly leases: number; readonly slices: number; readonly bytes: number } {
    const leases = [...this.leases.values()].filter((account) => account.request.tenant === tenant);
    const slices = leases.flatMap((account) => account.slices);
    const isInside = (home: Holding | undefined, slice: Slice): boolean =>
      home?.slices.some(({ deviceId }) => deviceId === slice.deviceId) ?? false;
    const outside = leases.flatMap((account) =>
      this.#heldBy(account).filter((slice) => !isInside(account.home, slice)),
    );
    const reserved = [...this.reservations.values()].filter((one) => one.tenant === tenant);
    const held = [...outside, ...reserved.flatMap((one) => one.slices)];
    const bytes = held.reduce((sum, slice) => sum + slice.bytes + slice.overheadBytes, 0);
    return { leases: leases.length, slices: slices.length, bytes };
  }

  #checkQuota(tenant: string): void {
    const quota = this.quotas.get(tenant);
    if (quota === undefined) return;
    const { leases, slices, bytes } = this.#heldByTenant(tenant);
    check(leases <= (quota.leases ?? leases), `Tenant ${tenant} has no more leases than its quota.`);
    check(slices <= (quota.devices ?? slices), `Tenant ${tenant} has no more slices than its quota.`);
    check(bytes <= (quota.memoryBytes ?? bytes), `Tenant ${tenant} has no more memory than its quota.`);
  }

  /** All leases of a request: each as asked for, all on one server, none missing. */
  #bookGrants(leases: readonly Lease[], now: number): void {
    const { id } = leases[0]!;
    const wish = this.waiting.get(id)?.request ?? this.#wishes.get(id);
    check(wish !== undefined, `Grant ${id} answers a request.`);
    check(!this.#isShutDown, "Nothing is granted after a shutdown.");
    const deadline = this.waiting.get(id)?.deadline;
    check(deadline === undefined || deadline >= now, `Request ${id} is granted within its wait.`);
    check(leases.length === (wish.leases ?? 1), `Request ${id} gets all of its leases.`);
    const slices = leases.flatMap((lease) => lease.slices);
    const servers = new Set(slices.map((slice) => this.devices.get(slice.deviceId)!.server ?? ""));
    check(servers.size === 1, "All slices are on one server.");
    this.#checkTurn(wish);
    this.waiting.delete(id);
    for (const lease of leases) this.#bookGrant(lease, wish);
    this.granted++;
  }

  #bookGrant(lease: Lease, wish: PoolRequest): void {
    check(!this.leases.has(lease.id), `Request ${lease.id} is granted once.`);
    check(lease.slices.length === wish.count, `Lease ${lease.id} has as many slices as asked for.`);
    const charged = new Set<string>();
    const { mode } = wish;
    for (const [index, slice] of lease.slices.entries()) {
      const device = this.devices.get(slice.deviceId);
      check(device !== undefined && !this.closed.has(slice.deviceId), `Device ${slice.deviceId} takes new leases.`);
      check(slice.index === index, "Slices are numbered in order.");
      const expected = expectedSlice(wish, device);
      check(slice.bytes === expected?.bytes, `Slice [${slice.bytes}] of ${lease.id} is exact.`);
      check((slice.compute ?? 0) === expected.compute, `Slice [${slice.index}] of ${lease.id} has its part of time.`);
      const isCharged = mode === "profile" || !charged.has(device.id);
      check(slice.overheadBytes === (isCharged ? expected.overheadBytes : 0), "Overhead is charged as promised.");
      charged.add(device.id);
    }
    check(wish.sameDevice === true || charged.size === wish.count, "Slices are on different devices.");
    const home = lease.reservation === undefined ? undefined : this.reservations.get(lease.reservation);
    if (lease.reservation !== undefined) {
      check(home?.tenant === wish.tenant, `Lease ${lease.id} is inside a reservation of its tenant.`);
    }
    check(wish.reservation === undefined || wish.reservation === lease.reservation, "A lease is where it was to be.");
    this.leases.set(lease.id, { request: wish, slices: lease.slices, phase: "granting", home });
    if (home === undefined) this.#checkQuota(wish.tenant);
  }

  /** Of one tenant's requests for the same thing, the one that came first is served first. */
  #checkTurn(wish: PoolRequest): void {
    const shape = shapeOf(wish);
    for (const { request } of this.waiting.values()) {
      if (request.id === wish.id) return;
      check(shapeOf(request) !== shape, `Request ${wish.id} does not overtake its twin ${request.id}.`);
    }
  }

  /** Bytes held on every device, and thousandths of its time, by the books. */
  held(): Map<string, { granted: number; overhead: number; compute: number }> {
    const sums = new Map<string, { granted: number; overhead: number; compute: number }>();
    for (const id of this.devices.keys()) sums.set(id, { granted: 0, overhead: 0, compute: 0 });
    for (const account of this.leases.values()) {
      for (const slice of this.#heldBy(account)) {
        const sum = sums.get(slice.deviceId)!;
        sum.granted += slice.bytes;
        sum.overhead += slice.overheadBytes;
        sum.compute += slice.compute ?? 0;
      }
    }
    return sums;
  }

  #checkDevices(): void {
    const sums = this.held();
    const reservations = this.#reserved();
    const listing = listDevices(this.#pool);
    check(listing.length === this.devices.size, "The pool lists every device.");
    for (const device of listing) {
      const { granted, overhead, compute } = sums.get(device.device.id)!;
      const id = device.device.id;
      check(compute <= 1000, `Device ${id} promises [${compute}] thousandths of its time.`);
      const isFixed = device.device.sharing?.mode === "profile";
      // There what is reserved counts too, which the books of bytes have.
      check(isFixed || device.freeCompute === 1000 - compute, `Device ${id} has [${device.freeCompute}] time left.`);
      check(
        device.grantedBytes === granted,
        `Device ${id} has [${device.grantedBytes}] granted, the books [${granted}].`,
      );
      check(device.overheadBytes === overhead, `Device ${id} has the overhead of its leases.`);
      const reserved = reservations.get(id) ?? 0;
      check(
        reserved >= 0 && device.reservedBytes === reserved,
        `Device ${id} has [${reserved}] reserved, by the books.`,
      );
      check(device.freeBytes === device.device.memoryBytes - granted - overhead - reserved, `Device ${id} adds up.`);
      check(device.freeBytes >= 0, `Device ${id} has [${device.freeBytes}] free.`);
    }
  }

  #checkLeases(): void {
    const leases = listLeases(this.#pool);
    check(
      leases.length === this.leases.size,
      `The pool has [${leases.length}] leases, the books [${this.leases.size}].`,
    );
    for (const lease of leases)
      check(this.leases.get(lease.id)?.phase === lease.state, `Lease ${lease.id} is ${lease.state}.`);
  }

  #checkQueue(now: number): void {
    const listed = listQueue(this.#pool);
    this.#checkComebacks(listed, now);
    const queue = listed.filter(({ leaseId }) => leaseId === undefined);
    check(queue.length === this.waiting.size, `[${queue.length}] requests wait, by the books [${this.waiting.size}].`);
    const next = nextDeadline(this.#pool) ?? Number.POSITIVE_INFINITY;
    this.first = listed[0]?.request.id;
    this.#earliestDeadline = Number.POSITIVE_INFINITY;
    let position = 1;
    let priority = Number.POSITIVE_INFINITY;
    let line: string | undefined;
    for (const entry of listed) {
      if (entry.request.reservation !== line) {
        line = entry.request.reservation;
        [position, priority] = [1, Number.POSITIVE_INFINITY];
      }
      if (entry.leaseId !== undefined) {
        check(entry.position === position++ && entry.priority <= priority, "A suspended lease waits in its place.");
        priority = entry.priority;
        continue;
      }
      const booked = this.waiting.get(entry.request.id);
      check(booked !== undefined, `Request ${entry.request.id} waits.`);
      check(entry.position === position++, "Positions count from 1.");
      check(
        entry.deadline === booked.deadline && booked.deadline > now,
        `The wait of ${entry.request.id} ends in time.`,
      );
      check(
        entry.startsAt === undefined || entry.startsAt >= now,
        `${entry.request.id} is not to be served in the past.`,
      );
      check(entry.priority >= (booked.request.priority ?? 0), `${entry.request.id} loses no priority by waiting.`);
      check(next <= entry.deadline, "The next deadline is no later than the end of a wait.");
      this.#earliestDeadline = Math.min(this.#earliestDeadline, entry.deadline);
      check(entry.priority <= priority, "Higher priorities come first.");
      priority = entry.priority;
    }
    // A tenant with a quota may wait for that.
    const first = listed.find((entry) => !this.quotas.has(entry.request.tenant));
    if (first !== undefined && first === listed[0] && first.request.reservation === undefined) {
      const hasRoom = first.leaseId === undefined ? this.hasRoom(first.request) : this.#hasRoomAgain(first.leaseId);
      check(!hasRoom, `The first request ${first.request.id} finds no room.`);
      check(this.#pool.headRoom?.holder.request.id === first.request.id, "Devices are kept for the first request.");
    }
  }

  /** Whoever is to come back waits, once, unless it has failed to a moment ago; and nobody else does. */
  #checkComebacks(queue: readonly QueueListing[], now: number): void {
    const waiting = queue.flatMap(({ leaseId }) => leaseId ?? []);
    check(new Set(waiting).size === waiting.length, "A suspended lease waits once.");
    for (const [id, { phase, comesBack, triesAgainAt = now }] of this.leases) {
      const isToWait = phase === "suspended" && comesBack === true;
      const waits = waiting.includes(id);
      check(isToWait || !waits, `Lease ${id} is suspended, and to come back.`);
      check(waits || !isToWait || triesAgainAt > now, `Lease ${id} waits to come back.`);
    }
  }

  /** What each tenant holds, and how many of its requests wait. */
  #checkTenants(): void {
    for (const { tenant, leases, heldSlices, heldBytes, waiting } of listTenants(this.#pool)) {
      const held = this.#heldByTenant(tenant);
      const requests = [...this.waiting.values()].filter(({ request }) => request.tenant === tenant).length;
      check(leases === held.leases, `Tenant ${tenant} has [${leases}] leases, by the books [${held.leases}].`);
      check(heldSlices === held.slices, `Tenant ${tenant} has [${heldSlices}] slices, by the books [${held.slices}].`);
      check(heldBytes === held.bytes, `Tenant ${tenant} holds [${heldBytes}] bytes, by the books [${held.bytes}].`);
      check(waiting === requests, `Tenant ${tenant} has [${waiting}] requests that wait, by the books [${requests}].`);
    }
  }

  /** Whether the devices of a suspended lease have room for it. */
  #hasRoomAgain(id: string): boolean {
    const kept = this.#heldBy({ ...this.leases.get(id)!, isParked: true });
    const free = new Map(listDevices(this.#pool).map((one) => [one.device.id, [one.freeBytes, one.freeCompute]]));
    for (const [index, slice] of this.leases.get(id)!.slices.entries()) {
      const [bytes, compute] = free.get(slice.deviceId)! as [number, number];
      const more = slice.bytes + slice.overheadBytes - kept[index]!.bytes - kept[index]!.overheadBytes;
      free.set(slice.deviceId, [bytes - more, compute - (slice.compute ?? 0)]);
    }
    return [...free.values()].flat().every((left) => left >= 0);
  }

  /** Whether some server has room for the request now, found the slow way. */
  hasRoom(request: PoolRequest): boolean {
    const sums = this.held();
    const reserved = this.#reserved();
    const rooms = new Map<string, number>();
    for (const [id, device] of this.devices) {
      const slice = expectedSlice(request, device);
      if (slice === undefined || this.closed.has(id)) continue;
      const { granted, overhead, compute } = sums.get(id)!;
      const time = device.sharing?.mode === "profile" ? Number.POSITIVE_INFINITY : 1000 - compute;
      const taken = granted + overhead + (reserved.get(id) ?? 0);
      const free = device.memoryBytes - taken;
      const most = request.sameDevice === true ? request.count * (request.leases ?? 1) : (request.leases ?? 1);
      const takenBy = (count: number): number =>
        slice.bytes * count + slice.overheadBytes * Math.min(count, slice.overheadsMax);
      let room = 0;
      while (room < most && takenBy(room + 1) <= free && slice.compute * (room + 1) <= time) room++;
      rooms.set(device.server ?? "", (rooms.get(device.server ?? "") ?? 0) + room);
    }
    return [...rooms.values()].some((room) => room >= request.count * (request.leases ?? 1));
  }
}
