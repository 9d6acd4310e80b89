/**
 * The pass over the queue: grants whoever is first while there is room, then keeps devices for the first who finds none, and lets
 * others pass it as far as reservation.ts allows.
 */
import { startLease, viewLease } from "./leases.ts";
import { findPlace, type Place, placeOnServer, slicesAt } from "./placement.ts";
import { dequeue, firstInOrder, inOrder } from "./queue.ts";
import { reasonsFor } from "./reasons.ts";
import { planFor } from "./request.ts";
import { clearReservation, isUsable, placeToPass, reserveFor } from "./reservation.ts";
import type { Band, PoolState, RequestRecord, Reservation } from "./state.ts";
import type { Effect } from "./types.ts";

/** Waiting requests behind the head that one pass looks at. */
const LOOK_AHEAD_MAX = 64;

export function grant(state: PoolState, record: RequestRecord, place: Place): Effect {
  const { request } = record;
  removeRequest(state, record);
  const terms = {
    id: request.id,
    tenant: request.tenant,
    name: request.name,
    detached: request.detached === true,
    requestedAt: record.requestedAt,
    grantedAt: state.now,
    endsAt: request.durationMs === undefined ? Number.POSITIVE_INFINITY : state.now + request.durationMs,
    slices: slicesAt(record.plan, place),
  };
  return { kind: "granted", lease: viewLease(startLease(state, terms, "granting")) };
}

/** Takes a request out of the queue; what was kept for it is free. */
export function removeRequest(state: PoolState, record: RequestRecord): void {
  if (state.reservation?.holder === record) {
    clearReservation(state);
    state.passNeeded = true;
  }
  dequeue(state, record);
}

/** Takes a request out of the queue and says why. */
export function refuse(
  state: PoolState,
  record: RequestRecord,
  why: Pick<Effect & { kind: "refused" }, "code" | "message">,
): Effect {
  const reasons = why.code === "NO_CAPACITY" ? reasonsFor(state, record.plan, record.request) : [];
  removeRequest(state, record);
  return { kind: "refused", id: record.request.id, ...why, reasons };
}

/** Room for the head of the queue, including on the devices that are kept for it. */
function placeForHead(state: PoolState, head: RequestRecord): Place | undefined {
  const kept = state.reservation;
  if (kept !== undefined && kept.holder !== head) clearReservation(state);
  else if (kept?.devices[0] !== undefined) {
    const place = placeOnServer(kept.devices[0].server, head.plan, isUsable);
    if (place !== undefined) return place;
  }
  return findPlace(state, head.plan);
}

const bandOfFirst = (state: PoolState): Band => state.bands[0]!;

/** Grants as far as the queue's order and the room go. */
export function runPass(state: PoolState): Effect[] {
  const effects: Effect[] = [];
  let head = firstInOrder(state);
  while (head !== undefined) {
    refreshPlan(state, head);
    const place = placeForHead(state, head);
    if (place === undefined) break;
    effects.push(grant(state, head, place));
    head = firstInOrder(state);
  }
  state.passNeeded = false;
  if (head === undefined) {
    clearReservation(state);
    return effects;
  }
  bandOfFirst(state).head = head;
  letPass(state, reserveFor(state, head), effects);
  state.passNeeded = false;
  return effects;
}

/** Lets requests behind the head pass it. What failed once fails for all that ask for the same: room only shrinks meanwhile. */
function letPass(state: PoolState, reservation: Reservation, effects: Effect[]): void {
  const failed = new Set<string>();
  for (;;) {
    const granted = passOne(state, reservation, failed);
    if (granted === undefined) return;
    effects.push(granted);
  }
}

function passOne(state: PoolState, reservation: Reservation, failed: Set<string>): Effect | undefined {
  let left = LOOK_AHEAD_MAX;
  for (const record of inOrder(state)) {
    if (left-- === 0) return undefined;
    if (record === reservation.holder) continue;
    refreshPlan(state, record);
    const key = `${record.plan.key} ${record.request.durationMs ?? ""}`;
    if (failed.has(key)) continue;
    const place = placeToPass(state, reservation, record);
    if (place !== undefined) return grant(state, record, place);
    failed.add(key);
  }
  return undefined;
}

/** Tries one new request behind a blocked head. */
export function tryToPass(state: PoolState, record: RequestRecord): Effect | undefined {
  if (state.reservation === undefined) return undefined;
  const place = placeToPass(state, state.reservation, record);
  return place === undefined ? undefined : grant(state, record, place);
}

/** Plans are worked out anew after the inventory has changed. */
export function refreshPlan(state: PoolState, record: RequestRecord): void {
  if (state.plans.get(record.plan.key) !== record.plan) record.plan = planFor(state, record.request);
}
