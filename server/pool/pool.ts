/**
 * The pool: (state, event, now) -> effects. Every decision about who gets which part of which device is made here. No clock, no
 * socket, no file, no randomness; the words are in types.ts. This file alone is the door of the room.
 */

import { formatDuration } from "../../shared/units.ts";
import { askReservation, newRecord, refusalOf } from "./admission.ts";
import { type Amount, amountOf, covers, freeOn, NOTHING, plus } from "./amount.ts";
import { restoreUsage } from "./fair-share.ts";
import { blockersOf, findPassage, withoutHeadRoom } from "./head-room.ts";
import { addDevice, clearHeadRoom, closeDevice, forgetDevice, lookAgain, setCordon } from "./inventory.ts";
import {
  checkBeat,
  checkIdle,
  endAllOn,
  endLease,
  extendLease,
  giveNotice,
  keptSlices,
  noteActivity,
  reclaimLease,
  startLease,
  takeBack,
  warnOfEnd,
} from "./leases.ts";
import { queuePlace } from "./listing.ts";
import { findPlace, slicesAt, warningsAt } from "./placement.ts";
import {
  dequeue,
  enqueue,
  findWaiting,
  firstInOrder,
  positionOf,
  promote,
  removeRequest,
  setPriority,
  settleTenant,
  tenantOf,
  waitingOf,
} from "./queue.ts";
import { quotaObstacle } from "./quota.ts";
import { EXPLAINED_MAX, reasonsFor } from "./reasons.ts";
import { isPossibleWithoutQuota, leasesFrom, replan } from "./request.ts";
import {
  addReservation,
  blockersInside,
  dropReservation,
  fitsInside,
  forgetReservedOn,
  placeInside,
  slicesAgain,
  slicesInside,
} from "./reservation.ts";
import { askResize, finishResize } from "./resize.ts";
import { refuse, runPass, serveReservations, tryToPass } from "./schedule.ts";
import type { DeviceRecord, Ending, LeaseRecord, PoolState, RequestRecord, ReservationRecord, Timer } from "./state.ts";
import {
  askResume,
  askSuspend,
  comeBack,
  confirmParked,
  confirmUnparked,
  failParked,
  failUnparked,
  restIsOver,
  takeUpSuspension,
} from "./suspension.ts";
import type { Effect, Explanation, PoolEvent, PoolRequest, Slice, StoredLease } from "./types.ts";

export {
  findDevice,
  findLease,
  listDevices,
  listLeases,
  listQueue,
  listQueueHead,
  listReservations,
  listTenants,
  nextDeadline,
  queuePlace,
} from "./listing.ts";
export { createPool, type PoolState } from "./state.ts";

/** A timer this late means that the pool was not listening, so heartbeats may have been missed. */
const DEAF_MS = 10_000;

/** Events that move nobody when they have no effects. */
const quietKinds: ReadonlySet<PoolEvent["kind"]> = new Set(["tick", "heartbeat", "attached", "detached", "active"]);

const RELEASED: Ending = { code: "RELEASED", message: "The lease is released." };

/**
 * Lets an event happen at `now` and returns what is to be done about it, in order. Changes the state in place. `now` is in
 * milliseconds of a clock that does not run backwards; an earlier time than the last one counts as that one.
 */
export function decide(state: PoolState, event: PoolEvent, now: number): readonly Effect[] {
  const effects = advance(state, now);
  look(state, effects);
  effects.push(...happen(state, event));
  look(state, effects);
  if (effects.length > 0 || !quietKinds.has(event.kind)) state.changes++;
  return effects;
}

/** Serves whoever has found room since the last look. */
function look(state: PoolState, effects: Effect[]): void {
  while (state.toServe.size > 0 || state.passNeeded) {
    if (state.toServe.size > 0) effects.push(...serveReservations(state));
    if (state.passNeeded) effects.push(...runPass(state));
  }
}

/** Lets time pass: everything that is due happens. */
function advance(state: PoolState, now: number): Effect[] {
  const effects: Effect[] = [];
  const due = state.timers.next();
  state.now = Math.max(state.now, now);
  if (due !== undefined && state.now - due > DEAF_MS) state.deafUntil = state.now + state.options.heartbeatTimeoutMs;
  for (let timer = state.timers.due(state.now); timer !== undefined; timer = state.timers.due(state.now)) {
    effects.push(...ring(state, timer));
  }
  return effects;
}

function ring(state: PoolState, timer: Timer): Effect[] {
  switch (timer.kind) {
    case "wait":
      return [refuse(state, timer.request, waitIsOver(timer.request))];
    case "promote":
      promote(state, timer.request);
      return [];
    case "beat":
      return checkBeat(state, timer.lease);
    case "idle":
      return checkIdle(state, timer.lease);
    case "notice":
      return timer.lease.endsAt > state.now ? [warnOfEnd(timer.lease)] : [];
    case "end":
      return endLease(state, timer.lease, timer.lease.endsWith);
    case "rest":
      restIsOver(state, timer.lease);
      return [];
    case "settle":
      settleTenant(state, timer.tenant);
      return [];
    case "reservation":
      return unreserve(state, timer.reservation);
  }
}

function waitIsOver(record: RequestRecord): { code: "NO_CAPACITY"; message: string } {
  const { waitMs } = record.request;
  const message =
    waitMs === 0
      ? "There is no room now, and the request does not wait."
      : `There is no room within the wait of [${formatDuration(waitMs)}].`;
  return { code: "NO_CAPACITY", message };
}

function happen(state: PoolState, event: PoolEvent): Effect[] {
  switch (event.kind) {
    case "requested":
      return request(state, event.request);
    case "withdrawn":
      return withdraw(state, event.id);
    case "cancelled":
    case "prioritySet": {
      const record = state.requests.get(event.id);
      return record === undefined ? [] : changeRequest(state, record, event);
    }
    case "reserveAsked":
      return askReservation(state, event.request);
    case "unreserved": {
      const reservation = state.reservations.get(event.id);
      return reservation === undefined ? [] : unreserve(state, reservation);
    }
    case "reservationAdopted":
      if (!state.reservations.has(event.reservation.id)) addReservation(state, event.reservation);
      return [];
    case "shutdown":
      return shutDown(state, event.graceMs);
    case "adopted":
      return adopt(state, event.lease);
    case "deviceAdded":
      if (addDevice(state, event.device)) state.passNeeded = true;
      return [];
    case "deviceRemoved":
    case "deviceCordoned":
    case "deviceUncordoned":
    case "deviceDrained": {
      const device = state.devices.get(event.deviceId);
      return device === undefined || device.removed ? [] : changeDevice(state, device, event);
    }
    case "tenantSet":
      return setTenant(state, event);
    case "usageRestored": {
      const tenant = tenantOf(state, event.tenant);
      restoreUsage(state, tenant, event.byteMs);
      settleTenant(state, tenant);
      return [];
    }
    case "tick":
      return [];
    default: {
      const lease = state.leases.get(event.id);
      return lease === undefined ? [] : changeLease(state, lease, event);
    }
  }
}

type DeviceEvent = PoolEvent & { kind: "deviceRemoved" | "deviceCordoned" | "deviceUncordoned" | "deviceDrained" };

function changeDevice(state: PoolState, device: DeviceRecord, event: DeviceEvent): Effect[] {
  state.passNeeded = true;
  for (const reservation of state.reservations.values()) state.toServe.add(reservation);
  switch (event.kind) {
    case "deviceCordoned":
      setCordon(device, { code: event.code, message: event.message });
      return [];
    case "deviceUncordoned":
      setCordon(device, undefined);
      device.draining = false;
      return [];
    case "deviceDrained":
      return drain(state, device, event);
    case "deviceRemoved": {
      if (state.headRoom?.devices.includes(device)) clearHeadRoom(state);
      closeDevice(state, device);
      forgetReservedOn(state, event.deviceId);
      const effects = endAllOn(state, device, { code: "DEVICE_FAILED", message: event.message });
      if (device.leases.size > 0) return [...effects, ...refuseImpossible(state)];
      forgetDevice(state, device);
      return [{ kind: "deviceGone", deviceId: event.deviceId }, ...refuseImpossible(state)];
    }
  }
}

/** Closes a device and tells all that runs there to end. */
function drain(state: PoolState, device: DeviceRecord, event: PoolEvent & { kind: "deviceDrained" }): Effect[] {
  const { deviceId, graceMs, message } = event;
  setCordon(device, { code: "DEVICE_CORDONED", message });
  device.draining = true;
  if (device.leases.size === 0) return [{ kind: "deviceEmpty", deviceId }];
  return [...device.leases].flatMap((lease) => giveNotice(state, lease, { notice: "revoked", graceMs, message }));
}

type LeaseEvent = Extract<
  PoolEvent,
  {
    kind:
      | "grantConfirmed"
      | "grantFailed"
      | "heartbeat"
      | "attached"
      | "detached"
      | "released"
      | "failed"
      | "revoked"
      | "extended"
      | "reclaimed"
      | "active"
      | "resizeAsked"
      | "resizeConfirmed"
      | "resizeFailed"
      | "suspendAsked"
      | "parked"
      | "parkFailed"
      | "resumeAsked"
      | "unparked"
      | "unparkFailed";
  }
>;

function changeLease(state: PoolState, lease: LeaseRecord, event: LeaseEvent): Effect[] {
  switch (event.kind) {
    case "grantConfirmed":
      if (lease.state !== "granting") return [];
      lease.state = "granted";
      // It may be suspended from now on.
      lookAgain(state);
      return [];
    case "grantFailed":
      return takeBack(state, lease);
    case "active":
      noteActivity(state, lease, event.isBusy);
      return [];
    case "resizeAsked":
      return askResize(state, lease, event);
    case "resizeConfirmed":
    case "resizeFailed":
      return finishResize(state, lease, event.kind);
    case "suspendAsked":
      return askSuspend(state, lease, event);
    case "parked":
      return confirmParked(state, lease, event);
    case "parkFailed":
      return failParked(state, lease);
    case "resumeAsked":
      return askResume(state, lease);
    case "unparked":
      return confirmUnparked(state, lease);
    case "unparkFailed":
      return failUnparked(state, lease, event);
    case "heartbeat":
      lease.lastBeatAt = state.now;
      return [];
    case "attached":
    case "detached":
      lease.attached = event.kind === "attached";
      return [];
    case "released":
      return endLease(state, lease, RELEASED);
    case "failed":
      return endLease(state, lease, { code: event.code, message: event.message });
    case "revoked":
      return giveNotice(state, lease, { notice: "revoked", graceMs: event.graceMs, message: event.message });
    case "extended":
      return extendLease(state, lease, event.byMs);
    case "reclaimed":
      return reclaimLease(state, lease);
  }
}

/** What an admin does to a request that waits. */
function changeRequest(
  state: PoolState,
  record: RequestRecord,
  event: PoolEvent & { kind: "cancelled" | "prioritySet" },
): Effect[] {
  if (event.kind === "cancelled") return [refuse(state, record, { code: "CANCELLED", message: event.message })];
  // What it has in mind already may not be kept under the new priority, and it may now push aside what it could not.
  if (state.headRoom?.holder === record) clearHeadRoom(state);
  state.passNeeded = true;
  record.request = { ...record.request, priority: event.priority };
  record.hasPreempted = false;
  setPriority(state, record, event.priority);
  return [];
}

function setTenant(state: PoolState, event: PoolEvent & { kind: "tenantSet" }): Effect[] {
  const tenant = tenantOf(state, event.tenant);
  settleTenant(state, tenant);
  tenant.weight = event.weight ?? tenant.weight;
  tenant.quota = event.quota ?? tenant.quota;
  if (!(tenant.weight > 0)) throw new Error(`The weight of tenant ${tenant.name} is out of range [${tenant.weight}].`);
  for (const record of waitingOf(tenant)) replan(state, record);
  for (const reservation of tenant.reservations) state.toServe.add(reservation);
  settleTenant(state, tenant);
  state.passNeeded = true;
  return [];
}

function request(state: PoolState, wish: PoolRequest): Effect[] {
  if (state.requests.has(wish.id) || leasesFrom(state, wish.id, wish.leases).length > 0) return [];
  const refused = refusalOf(state, wish);
  if (refused !== undefined) return [{ kind: "refused", id: wish.id, ...refused }];
  const record = newRecord(state, wish);
  enqueue(state, record);
  return serve(state, record);
}

/** What would become of a request made now. Changes nothing that matters to any decision. */
export function explain(state: PoolState, wish: PoolRequest): Explanation {
  const refused = refusalOf(state, wish);
  if (refused !== undefined) return { kind: "refused", ...refused };
  const record = newRecord(state, wish);
  const inside = explainInside(state, record);
  if (inside !== undefined) return inside;
  enqueue(state, record);
  const isFirst = firstInOrder(state) === record;
  const position = positionOf(state, record);
  const parked = quotaObstacle(record);
  dequeue(state, record);
  const place = isFirst
    ? withoutHeadRoom(state, () => findPlace(state, record.plan))
    : parked === undefined && state.headRoom && findPassage(state, state.headRoom, record)?.place;
  if (place)
    return { kind: "granted", slices: slicesAt(record.plan, place).flat(), warnings: warningsAt(record.plan, place) };
  const reasons = reasonsFor(state, record, EXPLAINED_MAX);
  if (wish.waitMs > 0) return { kind: "queued", position, reasons, ...blockersOf(state, record.plan) };
  return { kind: "refused", ...waitIsOver(record), reasons };
}

/** What would become of it in a reservation; undefined when it would wait, or be served, as others are. */
function explainInside(state: PoolState, record: RequestRecord): Explanation | undefined {
  const { request: wish, plan, reservation, tenant } = record;
  const isHeldUp = quotaObstacle(record, "inside") !== undefined;
  for (const own of reservation === undefined ? tenant.reservations : [reservation]) {
    const found = wish.mode === "profile" && !isHeldUp && own.waiting.size === 0 ? placeInside(own, plan) : undefined;
    if (found === undefined) continue;
    return { kind: "granted", slices: slicesInside(found, plan.leases).flat(), warnings: [] };
  }
  if (reservation === undefined) return undefined;
  const reasons = reasonsFor(state, record);
  if (wish.waitMs === 0) return { kind: "refused", ...waitIsOver(record), reasons };
  const ahead = [...reservation.waiting].filter(({ priority }) => priority >= record.priority).length;
  return { kind: "queued", position: ahead + 1, reasons, ...blockersInside(state, reservation, plan) };
}

/** Why a waiting request waits, and for what; undefined when it does not wait. Changes nothing. */
export function explainWaiting(state: PoolState, id: string): Explanation | undefined {
  const place = queuePlace(state, id);
  const record = findWaiting(state, id);
  if (place === undefined || record === undefined) return undefined;
  const { reservation, plan } = record;
  const blockers = reservation === undefined ? blockersOf(state, plan) : blockersInside(state, reservation, plan);
  return { kind: "queued", position: place.position, reasons: reasonsFor(state, record, EXPLAINED_MAX), ...blockers };
}

/** Serves a new request at once, lets it wait, or refuses it. */
function serve(state: PoolState, record: RequestRecord): Effect[] {
  if (record.request.mode === "profile") for (const own of record.tenant.reservations) state.toServe.add(own);
  const effects: Effect[] = serveReservations(state);
  const waits = (): boolean => state.requests.has(record.request.id);
  if (waits() && record.reservation === undefined) {
    if (firstInOrder(state) === record) effects.push(...runPass(state));
    else {
      const granted = tryToPass(state, record);
      if (granted !== undefined) effects.push(granted);
    }
  }
  // What that has brought about may serve the request too: it is answered once.
  look(state, effects);
  return waits() ? waitOrRefuse(state, record, effects) : effects;
}

function waitOrRefuse(state: PoolState, record: RequestRecord, effects: readonly Effect[]): Effect[] {
  if (record.deadlineAt <= state.now) return [...effects, refuse(state, record, waitIsOver(record))];
  record.timer = state.timers.add(record.deadlineAt, { kind: "wait", request: record });
  const promotesAt = Math.max(state.now, record.requestedAt + state.options.promoteAfterMs);
  record.promotion = state.timers.add(promotesAt, { kind: "promote", request: record });
  const reasons = reasonsFor(state, record);
  return [...effects, { kind: "queued", id: record.request.id, position: positionOf(state, record), reasons }];
}

function withdraw(state: PoolState, id: string): Effect[] {
  const record = state.requests.get(id);
  if (record === undefined) return leasesFrom(state, id).flatMap((lease) => endLease(state, lease, RELEASED));
  removeRequest(state, record);
  return [];
}

/** Refuses waiting requests that no device left in the pool could ever serve. */
function refuseImpossible(state: PoolState): Effect[] {
  const effects: Effect[] = [];
  for (const record of [...state.requests.values()]) {
    replan(state, record);
    const isPossible = record.reservation
      ? fitsInside(record.reservation, record.plan)
      : record.plan.possible || isPossibleWithoutQuota(state, record.request);
    if (isPossible) continue;
    const message = "The devices that could have served the request are gone.";
    effects.push(refuse(state, record, { code: "IMPOSSIBLE_REQUEST", message }));
  }
  return effects;
}

function shutDown(state: PoolState, graceMs: number): Effect[] {
  if (state.shutdown !== undefined) return [];
  state.shutdown = { deadline: state.now + graceMs };
  const message = "The server is stopping.";
  const refused = [...state.requests.values()].map((record) =>
    refuse(state, record, { code: "SHUTTING_DOWN", message }),
  );
  const leases = [...state.leases.values()];
  return [...refused, ...leases.flatMap((lease) => giveNotice(state, lease, { notice: "shutdown", graceMs, message }))];
}

/** Ends a reservation, and refuses whoever waits for it alone. */
function unreserve(state: PoolState, reservation: ReservationRecord): Effect[] {
  const message = `The reservation [${reservation.terms.id}] has ended.`;
  const suspended = [...reservation.waiting].flatMap(({ lease }) => lease ?? []);
  const refused = [...reservation.waiting].flatMap((record) =>
    record.lease === undefined ? [refuse(state, record, { code: "RESERVATION_NOT_FOUND", message })] : [],
  );
  for (const { suspension } of suspended) removeRequest(state, suspension!.comeback!);
  const ended = dropReservation(state, reservation);
  for (const lease of suspended) comeBack(state, lease);
  return [...refused, ended];
}

/** Whether the stored slices can be held as they stand. */
function slicesFit(state: PoolState, slices: readonly Slice[]): boolean {
  const taken = new Map<string, Amount>();
  for (const slice of slices) {
    const device = state.devices.get(slice.deviceId);
    const sum = plus(taken.get(slice.deviceId) ?? NOTHING, amountOf(slice));
    if (device === undefined || device.removed || !covers(freeOn(device), sum)) return false;
    taken.set(slice.deviceId, sum);
  }
  return true;
}

/** Whether a suspended lease of the store has the devices that it was on, large enough to have it again. */
const mayComeBack = (state: PoolState, { slices, suspension }: StoredLease): boolean =>
  slices.every(({ deviceId }) => {
    const here = slices.filter((slice) => slice.deviceId === deviceId);
    const bytes = here.reduce((sum, slice) => sum + slice.bytes + slice.overheadBytes, 0);
    return bytes <= (state.devices.get(deviceId)?.spec.memoryBytes ?? -1);
  }) && slicesFit(state, keptSlices(state, slices, suspension?.keptBytes));

function adopt(state: PoolState, stored: StoredLease): Effect[] {
  if (state.leases.has(stored.id) || state.requests.has(stored.id)) return [];
  const never = Number.POSITIVE_INFINITY;
  const { endsAt = never, priority = 0, idleMs = never, reservation, tokenId } = stored;
  const terms = { ...stored, endsAt, priority, idleMs, reservation, tokenId };
  const home = reservation === undefined ? undefined : state.reservations.get(reservation);
  const isSuspended = stored.suspension !== undefined && (stored.suspensionState ?? "suspended") === "suspended";
  const reserved = isSuspended ? undefined : home && slicesAgain(home, stored.slices);
  const fits = isSuspended ? mayComeBack(state, stored) : slicesFit(state, stored.slices);
  if (reserved === undefined && !fits) {
    const lease = startLease(state, { ...terms, slices: [] }, { phase: "granted" });
    const message = "The lease's slices do not fit the server's devices any more.";
    return endLease(state, lease, { code: "LEASE_ENDED", message });
  }
  lookAgain(state);
  if (stored.suspension !== undefined) return takeUpSuspension(state, terms, { stored, reserved });
  startLease(state, terms, { phase: "granted", reserved });
  return [];
}
