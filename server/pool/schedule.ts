/**
 * The pass over the queue: grants whoever is first while there is room, then keeps devices for the first who finds none, and lets
 * others pass it as far as head-room.ts allows.
 */

import { LEASES_PER_REQUEST_MAX } from "../../shared/limits.ts";
import { placeToPass, reserveFor } from "./head-room.ts";
import { clearHeadRoom, lookAgain } from "./inventory.ts";
import { startLease, viewLease } from "./leases.ts";
import { deal, findPlace, type Place, placeOnServer, slicesAt, warningsAt } from "./placement.ts";
import { preemptFor } from "./preemption.ts";
import { bandOfRequest, firstInOrder, inOrder, refileTenant, removeRequest } from "./queue.ts";
import { durationOf, quotaObstacle } from "./quota.ts";
import { reasonsFor } from "./reasons.ts";
import { isUsable, leaseIdOf, refreshPlan } from "./request.ts";
import { fitsInside, placeInside, slicesAgain, slicesInside } from "./reservation.ts";
import type { PoolState, RequestRecord, ReservationRecord, ReservedSlice } from "./state.ts";
import { resume } from "./suspension.ts";
import type { Effect, PoolRequest, Slice } from "./types.ts";

/** Waiting requests behind the head that one pass looks at. */
const LOOK_AHEAD_MAX = 32;

/** Grants a place on devices, or lets a suspended lease come back there. */
const grant = (state: PoolState, record: RequestRecord, place: Place): Effect =>
  record.lease === undefined
    ? start(state, record, { slices: slicesAt(record.plan, place), warnings: warningsAt(record.plan, place) })
    : resume(state, record.lease);

/** Grants slices of a reservation. */
function grantInside(state: PoolState, record: RequestRecord, inside: readonly ReservedSlice[]): Effect {
  if (record.lease !== undefined) return resume(state, record.lease, inside);
  const reserved = deal(inside, record.plan.leases);
  return start(state, record, { slices: slicesInside(inside, record.plan.leases), warnings: [], reserved });
}

interface Found {
  /** Of each lease. */
  readonly slices: readonly (readonly Slice[])[];
  readonly warnings: readonly string[];
  readonly reserved?: readonly (readonly ReservedSlice[])[];
}

function start(state: PoolState, record: RequestRecord, found: Found): Effect {
  const { request } = record;
  const { warnings, reserved } = found;
  removeRequest(state, record);
  const terms = {
    tenant: request.tenant,
    name: request.name,
    detached: request.detached === true,
    requestedAt: record.requestedAt,
    grantedAt: state.now,
    endsAt: state.now + durationOf(record.tenant, request),
    priority: request.priority ?? 0,
    idleMs: idleOf(state, request),
    tokenId: request.tokenId,
    reservation: reserved === undefined ? undefined : reservationOf(record, reserved),
  };
  const [lease, ...others] = found.slices.map((slices, index) => {
    const own = { ...terms, id: leaseIdOf(request.id, index), slices };
    // Each has an order of its own, between those of two requests.
    const order = record.order + index / (2 * LEASES_PER_REQUEST_MAX);
    return viewLease(startLease(state, own, { phase: "granting", reserved: reserved?.[index], order }));
  });
  return { kind: "granted", lease: lease!, ...(others.length === 0 ? {} : { others }), warnings };
}

const reservationOf = ({ tenant }: RequestRecord, [first]: readonly (readonly ReservedSlice[])[]): string | undefined =>
  [...tenant.reservations].find(({ slices }) => slices.includes(first![0]!))?.terms.id;

/** Grants what there is room for in reservations that somebody may find room in; in each strictly in order. */
export function serveReservations(state: PoolState): Effect[] {
  const effects: Effect[] = [];
  for (const reservation of state.toServe) {
    state.toServe.delete(reservation);
    for (const record of candidatesFor(state, reservation)) {
      refreshPlan(state, record);
      // Who can never be served here is in nobody's way.
      if (record.reservation === undefined && !fitsInside(reservation, record.plan)) continue;
      const inside = quotaObstacle(record, "inside") === undefined ? roomInside(reservation, record) : undefined;
      if (inside === undefined) break;
      effects.push(grantInside(state, record, inside));
      // The grant itself looks like news about the reservation.
      state.toServe.delete(reservation);
    }
  }
  return effects;
}

/** Slices of the reservation for the request; for a lease that comes back such as it had. */
const roomInside = (reservation: ReservationRecord, record: RequestRecord): ReservedSlice[] | undefined =>
  record.lease === undefined ? placeInside(reservation, record.plan) : slicesAgain(reservation, record.lease.slices);

/** Who may be served inside, in order: first its own line, then the first of the tenant's other requests for fixed slices. */
function candidatesFor(state: PoolState, reservation: ReservationRecord): RequestRecord[] {
  if (state.shutdown !== undefined) return [];
  const records = [...reservation.waiting];
  const queues = [...reservation.tenant.queues.values()].sort((a, b) => b.band.priority - a.band.priority);
  let left = LOOK_AHEAD_MAX;
  for (const { requests } of queues) {
    for (const record of requests) {
      if (left-- === 0) return records;
      if (record.request.mode === "profile") records.push(record);
    }
  }
  return records;
}

/** The idle time of a lease: the pool's, or the request's if it is shorter. */
function idleOf(state: PoolState, request: PoolRequest): number {
  const most = state.options.idleMs === 0 ? Number.POSITIVE_INFINITY : state.options.idleMs;
  return Math.min(most, request.idleMs ?? Number.POSITIVE_INFINITY);
}

/** Takes a request out of the queue and says why. */
export function refuse(
  state: PoolState,
  record: RequestRecord,
  why: Pick<Effect & { kind: "refused" }, "code" | "message">,
): Effect {
  const reasons = why.code === "NO_CAPACITY" ? reasonsFor(state, record) : [];
  removeRequest(state, record);
  return { kind: "refused", id: record.request.id, ...why, reasons };
}

/** Room for the head of the queue, including on the devices that are kept for it. */
function placeForHead(state: PoolState, head: RequestRecord): Place | undefined {
  const kept = state.headRoom;
  if (kept !== undefined && kept.holder !== head) clearHeadRoom(state);
  else if (kept?.devices[0] !== undefined) {
    const place = placeOnServer(kept.devices[0].server, head.plan, isUsable);
    if (place !== undefined) return place;
  }
  return findPlace(state, head.plan);
}

/** Grants as far as the queue's order and the room go. */
export function runPass(state: PoolState): Effect[] {
  const effects: Effect[] = [];
  do {
    state.passNeeded = false;
    const head = grantInOrder(state, effects);
    if (head === undefined) {
      clearHeadRoom(state);
      return effects;
    }
    bandOfRequest(state, head).head = head;
    reserveFor(state, head);
    effects.push(...preemptFor(state, head));
    letPass(state, effects);
  } while (state.passNeeded);
  return effects;
}

/** Grants the first request again and again until one finds no room, and returns that one. */
function grantInOrder(state: PoolState, effects: Effect[]): RequestRecord | undefined {
  for (let head = firstInOrder(state); head !== undefined; head = firstInOrder(state)) {
    refreshPlan(state, head);
    if (quotaObstacle(head) !== undefined) {
      // Other devices than when it came: it would take more of its tenant's quota now.
      const band = bandOfRequest(state, head);
      if (band.head === head) band.head = undefined;
      refileTenant(state, head.tenant);
      continue;
    }
    const place = placeForHead(state, head);
    if (place === undefined) return head;
    effects.push(grant(state, head, place));
    state.passNeeded = false;
  }
  return undefined;
}

/** The first requests of the queue, as many as one pass looks at. */
function nextInOrder(state: PoolState): RequestRecord[] {
  const records: RequestRecord[] = [];
  for (const record of inOrder(state)) {
    records.push(record);
    if (records.length === LOOK_AHEAD_MAX) break;
  }
  return records;
}

/** Lets requests behind the head pass it. What failed once fails for all that ask for the same: room only shrinks meanwhile. */
function letPass(state: PoolState, effects: Effect[]): void {
  const failed = new Set<string>();
  const room = largestRoom(state);
  for (const record of nextInOrder(state)) {
    // A grant may have used up the quota of the head's tenant: then there is another head.
    if (state.passNeeded) return;
    refreshPlan(state, record);
    // Most of those who wait in a full pool want more than any device has.
    if (record.lease === undefined && record.plan.costBytes / record.plan.count > room) continue;
    const key = `${record.plan.key} ${record.request.durationMs ?? ""} ${record.tenant.quota.durationMs ?? ""}`;
    if (failed.has(key)) continue;
    const granted = tryToPass(state, record);
    if (granted !== undefined) effects.push(granted);
    else if (quotaObstacle(record) === undefined) failed.add(key);
  }
}

/** The most that any device has free, kept for the head or not. */
function largestRoom(state: PoolState): number {
  let most = 0;
  for (const device of state.headRoom?.devices ?? []) most = Math.max(most, device.freeBytes);
  for (const deviceClass of state.classes.values()) most = Math.max(most, deviceClass.devices.last()?.freeBytes ?? 0);
  return most;
}

/** Tries one request behind a blocked head. */
export function tryToPass(state: PoolState, record: RequestRecord): Effect | undefined {
  const { headRoom } = state;
  if (headRoom === undefined || headRoom.holder === record || quotaObstacle(record) !== undefined) return undefined;
  const place = placeToPass(state, headRoom, record);
  if (place === undefined) return undefined;
  // Others may be placed elsewhere beside it, where they are not in the way of the first.
  lookAgain(state);
  return grant(state, record, place);
}
