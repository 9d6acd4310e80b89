/**
 * What is kept for the blocked head of the queue, so that a big request cannot starve: devices on which nothing more is placed, and
 * the time at which they have room for it where the ends of all leases on them are known. Decides also who may pass the head:
 * freely whoever cannot delay it, and a bounded number of others.
 */
import { type Amount, amountOf, covers, freeOn, minus, NOTHING, plus } from "./amount.ts";
import { clearHeadRoom, setWithheld } from "./inventory.ts";
import { endOf, keptOf } from "./leases.ts";
import { findPlace, type Place } from "./placement.ts";
import { mayServe, mostFor, needFor } from "./request.ts";
import type { DeviceRecord, HeadRoom, LeaseRecord, Plan, PoolState, RequestRecord, ServerRecord } from "./state.ts";

/** Devices or nests looked at per class when the head's place is chosen; all devices of their servers are compared. */
const CANDIDATES_MAX = 4;

/** What is free on a device when a lease ends, or is suspended: not what goes back to a reservation. */
export function heldOn(lease: LeaseRecord, device: DeviceRecord, how: "ended" | "suspended" = "ended"): Amount {
  const isKept = how === "suspended" || lease.state === "suspending";
  let sum = NOTHING;
  for (const slice of lease.held) {
    if (slice.deviceId !== device.spec.id || lease.reserved?.[slice.index] !== undefined) continue;
    const amount = amountOf(slice);
    sum = plus(sum, isKept ? minus(amount, amountOf(keptOf(slice, device, lease.kept))) : amount);
  }
  return sum;
}

/** The device's leases in the order in which they end, those that end no later than `latest`. */
const leasesByEnd = (state: PoolState, device: DeviceRecord, latest = Number.POSITIVE_INFINITY): LeaseRecord[] =>
  [...device.leases]
    .filter((lease) => endOf(state, lease) <= latest)
    .sort((a, b) => compareTimes(endOf(state, a), endOf(state, b)));

/** When the device has so much free at the latest, if nothing more is placed on it; Infinity when nobody knows, or not until `latest`. */
function freeAt(state: PoolState, device: DeviceRecord, need: Amount, latest?: number): number {
  let free = freeOn(device);
  if (covers(free, need)) return state.now;
  for (const lease of leasesByEnd(state, device, latest)) {
    free = plus(free, heldOn(lease, device));
    if (covers(free, need)) return endOf(state, lease);
  }
  return Number.POSITIVE_INFINITY;
}

/** What is free on the device at a time, if nothing more is placed on it. */
function freeOnAt(state: PoolState, device: DeviceRecord, at: number): Amount {
  let free = freeOn(device);
  for (const lease of device.leases) if (endOf(state, lease) <= at) free = plus(free, heldOn(lease, device));
  return free;
}

interface Choice {
  readonly devices: readonly DeviceRecord[];
  readonly startsAt: number;
  readonly freeBytes: number;
}

const isBetter = (a: Choice, b: Choice | undefined): boolean =>
  b === undefined || a.startsAt < b.startsAt || (a.startsAt === b.startsAt && a.freeBytes > b.freeBytes);

/** The devices of a server that have room for the plan soonest, where that is no later than `latest`. */
function chooseOnServer(state: PoolState, server: ServerRecord, plan: Plan, latest?: number): Choice | undefined {
  const found: { device: DeviceRecord; at: number; room: number }[] = [];
  for (const device of server.devices) {
    const most = mostFor(plan, device);
    if (most === undefined || device.withheld || !mayServe(plan, device)) continue;
    found.push({ device, at: freeAt(state, device, most.need, latest), room: most.room });
  }
  found.sort(
    (a, b) => compareTimes(a.at, b.at) || b.device.freeBytes - a.device.freeBytes || a.device.order - b.device.order,
  );
  const devices: DeviceRecord[] = [];
  let room = 0;
  let startsAt = state.now;
  let freeBytes = 0;
  for (const one of found) {
    if (room >= plan.count) break;
    devices.push(one.device);
    room += one.room;
    startsAt = Math.max(startsAt, one.at);
    freeBytes += one.device.freeBytes;
  }
  return room >= plan.count ? { devices, startsAt, freeBytes } : undefined;
}

const compareTimes = (a: number, b: number): number => (a === b ? 0 : a - b);

/** Servers worth looking at: those that have the most free for this plan. */
export function* candidates(state: PoolState, plan: Plan): IterableIterator<ServerRecord> {
  if (plan.narrow !== undefined) {
    let left = CANDIDATES_MAX;
    for (const device of plan.narrow) {
      if (left-- === 0) return;
      yield device.server;
    }
    return;
  }
  for (const fit of plan.fits) {
    let left = CANDIDATES_MAX;
    if (plan.count === 1 || plan.perDevice > 1) {
      for (const device of fit.class.devices.backwards()) {
        if (left-- === 0) break;
        yield device.server;
      }
      continue;
    }
    const tree = fit.class.nests[plan.count];
    if (tree === undefined) continue;
    for (const nest of tree.backwards()) {
      if (left-- === 0) break;
      yield nest.server;
    }
  }
  let left = CANDIDATES_MAX;
  for (const server of state.mixedServers) {
    if (left-- === 0) return;
    yield server;
  }
}

function choose(state: PoolState, plan: Plan): Choice | undefined {
  const servers = new Set(candidates(state, plan));
  let best: Choice | undefined;
  for (const server of servers) {
    const choice = chooseOnServer(state, server, plan, best?.startsAt);
    if (choice !== undefined && isBetter(choice, best)) best = choice;
  }
  return best;
}

/** Looks for something as if nothing were kept for anybody. */
export function withoutHeadRoom<T>(state: PoolState, look: () => T): T {
  const devices = state.headRoom?.devices ?? [];
  for (const device of devices) setWithheld(device, false);
  const found = look();
  for (const device of devices) setWithheld(device, true);
  return found;
}

/** Keeps these devices for the head, which has room on them when all that is told to go is gone. */
export function keepFor(state: PoolState, head: RequestRecord, devices: readonly DeviceRecord[]): void {
  clearHeadRoom(state);
  for (const device of devices) setWithheld(device, true);
  state.headRoom = { holder: head, devices, startsAt: startOn(state, devices, head.plan) };
}

/** Leases that would have to end for the plan to have room, where it has room soonest, and when they have where that is known. */
export function blockersOf(state: PoolState, plan: Plan): { readonly blockers: string[]; readonly startsAt?: number } {
  const choice = withoutHeadRoom(state, () => choose(state, plan));
  const ids = new Set<string>();
  for (const device of choice?.devices ?? []) {
    const need = mostFor(plan, device)?.need ?? NOTHING;
    let free = freeOn(device);
    for (const lease of leasesByEnd(state, device)) {
      if (covers(free, need)) break;
      const held = heldOn(lease, device);
      free = plus(free, held);
      if (held.bytes > 0) ids.add(lease.terms.id);
    }
  }
  const startsAt = choice?.startsAt ?? Number.POSITIVE_INFINITY;
  return { blockers: [...ids], ...(startsAt === Number.POSITIVE_INFINITY ? {} : { startsAt }) };
}

/** Keeps devices for the head of the queue, or brings up to date what is kept. */
export function reserveFor(state: PoolState, head: RequestRecord): HeadRoom {
  const kept = state.headRoom;
  if (
    kept?.holder === head &&
    kept.startsAt !== undefined &&
    kept.devices.every((device) => mayServe(head.plan, device))
  ) {
    const startsAt = startOn(state, kept.devices, head.plan);
    if (startsAt !== undefined) {
      state.headRoom = { ...kept, startsAt };
      return state.headRoom;
    }
  }
  clearHeadRoom(state);
  const choice = choose(state, head.plan);
  const devices = choice?.devices ?? [];
  for (const device of devices) setWithheld(device, true);
  const startsAt = choice === undefined || choice.startsAt === Number.POSITIVE_INFINITY ? undefined : choice.startsAt;
  state.headRoom = { holder: head, devices, startsAt };
  return state.headRoom;
}

function startOn(state: PoolState, devices: readonly DeviceRecord[], plan: Plan): number | undefined {
  let startsAt = state.now;
  for (const device of devices) {
    const most = mostFor(plan, device);
    if (most === undefined) return undefined;
    startsAt = Math.max(startsAt, freeAt(state, device, most.need));
  }
  return startsAt === Number.POSITIVE_INFINITY ? undefined : startsAt;
}

/** A place among the devices kept for the head where the request is gone, or out of the way, when the head starts. */
function placeBeforeHead(state: PoolState, headRoom: HeadRoom, record: RequestRecord): Place | undefined {
  const { holder } = headRoom;
  if (headRoom.startsAt === undefined || record.plan.count > 1) return undefined;
  // What ends is gone at the present moment at the latest, whenever that was looked at.
  const startsAt = Math.max(headRoom.startsAt, state.now);
  // The time of a lease that comes back runs only once it is there.
  const durationMs = record.lease === undefined ? record.request.durationMs : undefined;
  const isGone = state.now + (durationMs ?? Number.POSITIVE_INFINITY) <= startsAt;
  for (const device of headRoom.devices) {
    const need = needFor(record.plan, device, 1);
    if (need === undefined || !covers(freeOn(device), need) || !mayServe(record.plan, device)) continue;
    const spare = minus(freeOnAt(state, device, startsAt), mostFor(holder.plan, device)?.need ?? NOTHING);
    if (isGone || covers(spare, need)) return [device];
  }
  return undefined;
}

/** Where a request may be served before the blocked head, and whether that counts as a pass because it may delay the head. */
export function findPassage(
  state: PoolState,
  headRoom: HeadRoom,
  record: RequestRecord,
): { readonly place: Place; readonly counts: boolean } | undefined {
  const { holder } = headRoom;
  const place = findPlace(state, record.plan);
  if (place === undefined) {
    const early = placeBeforeHead(state, headRoom, record);
    return early === undefined ? undefined : { place: early, counts: false };
  }
  const isHarmless = headRoom.startsAt !== undefined || !place.some((device) => mayUse(holder.plan, device));
  if (isHarmless) return { place, counts: false };
  return holder.passes < state.options.passesMax ? { place, counts: true } : undefined;
}

const mayUse = (plan: Plan, device: DeviceRecord): boolean =>
  needFor(plan, device, 1) !== undefined && plan.narrow?.has(device) !== false;

/** As `findPassage`, and counts the pass. */
export function placeToPass(state: PoolState, headRoom: HeadRoom, record: RequestRecord): Place | undefined {
  const passage = findPassage(state, headRoom, record);
  if (passage?.counts) headRoom.holder.passes++;
  return passage?.place;
}
