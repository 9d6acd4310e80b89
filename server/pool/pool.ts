/**
 * The pool: (state, event, now) -> effects. Every decision about who gets which part of which device is made here. No clock, no
 * socket, no file, no randomness; the words are in types.ts. This file alone is the door of the room.
 */

import { formatSize } from "../../shared/units.ts";
import { restoreUsage } from "./fair-share.ts";
import { blockersOf, clearHeadRoom, findPassage, withoutHeadRoom } from "./head-room.ts";
import { addDevice, closeDevice, forgetDevice, setCordon } from "./inventory.ts";
import {
  checkBeat,
  checkIdle,
  endAllOn,
  endLease,
  extendLease,
  giveNotice,
  noteActivity,
  reclaimLease,
  startLease,
  takeBack,
  warnOfEnd,
} from "./leases.ts";
import { findPlace, slicesAt, warningsAt } from "./placement.ts";
import {
  dequeue,
  enqueue,
  firstInOrder,
  positionOf,
  promote,
  setPriority,
  settleTenant,
  tenantOf,
  waitingOf,
} from "./queue.ts";
import { quotaObstacle, quotaRefusal } from "./quota.ts";
import { impossibleReasons, reasonsFor } from "./reasons.ts";
import { checkRequest, isPossibleWithoutQuota, planFor } from "./request.ts";
import { askResize, finishResize } from "./resize.ts";
import { refuse, removeRequest, runPass, tryToPass } from "./schedule.ts";
import type { DeviceRecord, Ending, LeaseRecord, PoolState, RequestRecord, Timer } from "./state.ts";
import type { Effect, Explanation, PoolEvent, PoolRequest, StoredLease } from "./types.ts";

export {
  findDevice,
  findLease,
  listDevices,
  listLeases,
  listQueue,
  listQueueHead,
  listTenants,
  nextDeadline,
  queuePlace,
} from "./listing.ts";
export { createPool, type PoolState } from "./state.ts";

/** A timer this late means that the pool was not listening, so heartbeats may have been missed. */
const DEAF_MS = 10_000;

const RELEASED: Ending = { code: "RELEASED", message: "The lease is released." };

/**
 * Lets an event happen at `now` and returns what is to be done about it, in order. Changes the state in place. `now` is in
 * milliseconds of a clock that does not run backwards; an earlier time than the last one counts as that one.
 */
export function decide(state: PoolState, event: PoolEvent, now: number): readonly Effect[] {
  const effects = advance(state, now);
  if (state.passNeeded) effects.push(...runPass(state));
  effects.push(...happen(state, event));
  if (state.passNeeded) effects.push(...runPass(state));
  return effects;
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
    case "settle":
      settleTenant(state, timer.tenant);
      return [];
  }
}

function waitIsOver(record: RequestRecord): { code: "NO_CAPACITY"; message: string } {
  return { code: "NO_CAPACITY", message: `No device has room within the wait of [${record.request.waitMs}] ms.` };
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
      | "resizeFailed";
  }
>;

function changeLease(state: PoolState, lease: LeaseRecord, event: LeaseEvent): Effect[] {
  switch (event.kind) {
    case "grantConfirmed":
      if (lease.state === "granting") lease.state = "granted";
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
  record.request = { ...record.request, priority: event.priority };
  record.hasPreempted = false;
  setPriority(state, record, event.priority);
  return [];
}

type Refused = Omit<Effect & { kind: "refused" }, "kind" | "id">;

/** Why the request is refused without waiting; undefined when it may wait. */
function refusalOf(state: PoolState, wish: PoolRequest): Refused | undefined {
  const wrong = checkRequest(state, wish);
  if (wrong !== undefined) return { ...wrong, reasons: [] };
  if (state.shutdown !== undefined) {
    const message = "The server is stopping and grants no new leases.";
    return { code: "SHUTTING_DOWN", message, reasons: [] };
  }
  const overQuota = quotaRefusal(tenantOf(state, wish.tenant), wish);
  if (overQuota !== undefined) return quotaExceeded(overQuota);
  const plan = planFor(state, wish);
  if (!plan.possible) {
    const { memoryBytes } = tenantOf(state, wish.tenant).quota;
    if (memoryBytes !== undefined && isPossibleWithoutQuota(state, wish)) {
      return quotaExceeded(`The quota of the tenant allows [${formatSize(memoryBytes)}], less than the request takes.`);
    }
    const message = `No server has [${wish.count}] devices that could ever serve the request.`;
    return { code: "IMPOSSIBLE_REQUEST", message, reasons: impossibleReasons(state, plan, wish) };
  }
  if (state.requests.size >= state.options.queueEntriesMax) {
    const message = `The queue holds [${state.requests.size}] requests, as many as it may.`;
    return { code: "QUEUE_FULL", message, reasons: [] };
  }
  return undefined;
}

const quotaExceeded = (message: string): Refused => ({
  code: "QUOTA_EXCEEDED",
  message,
  reasons: [{ device: "", code: "QUOTA_EXCEEDED", message }],
});

function setTenant(state: PoolState, event: PoolEvent & { kind: "tenantSet" }): Effect[] {
  const tenant = tenantOf(state, event.tenant);
  settleTenant(state, tenant);
  tenant.weight = event.weight ?? tenant.weight;
  tenant.quota = event.quota ?? tenant.quota;
  if (!(tenant.weight > 0)) throw new Error(`The weight of tenant ${tenant.name} is out of range [${tenant.weight}].`);
  for (const record of waitingOf(tenant)) record.plan = planFor(state, record.request);
  settleTenant(state, tenant);
  state.passNeeded = true;
  return [];
}

function newRecord(state: PoolState, wish: PoolRequest): RequestRecord {
  const plan = planFor(state, wish);
  const requestedAt = Math.min(wish.requestedAt ?? state.now, state.now);
  return {
    request: wish,
    order: state.nextOrder++,
    tenant: tenantOf(state, wish.tenant),
    requestedAt,
    deadlineAt: requestedAt + wish.waitMs,
    costBytes: plan.costBytes,
    timer: undefined,
    promotion: undefined,
    priority: wish.priority ?? 0,
    plan,
    passes: 0,
    hasPreempted: false,
  };
}

function request(state: PoolState, wish: PoolRequest): Effect[] {
  if (state.requests.has(wish.id) || state.leases.has(wish.id)) return [];
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
  enqueue(state, record);
  const isFirst = firstInOrder(state) === record;
  const position = positionOf(state, record);
  const parked = quotaObstacle(record);
  dequeue(state, record);
  const place = isFirst
    ? withoutHeadRoom(state, () => findPlace(state, record.plan))
    : parked === undefined && state.headRoom && findPassage(state, state.headRoom, record)?.place;
  if (place) return { kind: "granted", slices: slicesAt(record.plan, place), warnings: warningsAt(record.plan, place) };
  const reasons = reasonsFor(state, record);
  if (wish.waitMs > 0) return { kind: "queued", position, reasons, ...blockersOf(state, record.plan) };
  return { kind: "refused", ...waitIsOver(record), reasons };
}

/** Serves a new request at once, lets it wait, or refuses it. */
function serve(state: PoolState, record: RequestRecord): Effect[] {
  const effects: Effect[] = [];
  if (firstInOrder(state) === record) effects.push(...runPass(state));
  else {
    const granted = tryToPass(state, record);
    if (granted !== undefined) effects.push(granted);
  }
  if (!state.requests.has(record.request.id)) return effects;
  if (record.deadlineAt <= state.now) return [...effects, refuse(state, record, waitIsOver(record))];
  record.timer = state.timers.add(record.deadlineAt, { kind: "wait", request: record });
  const promotesAt = Math.max(state.now, record.requestedAt + state.options.promoteAfterMs);
  record.promotion = state.timers.add(promotesAt, { kind: "promote", request: record });
  const reasons = reasonsFor(state, record);
  return [...effects, { kind: "queued", id: record.request.id, position: positionOf(state, record), reasons }];
}

function withdraw(state: PoolState, id: string): Effect[] {
  const lease = state.leases.get(id);
  if (lease !== undefined) return endLease(state, lease, RELEASED);
  const record = state.requests.get(id);
  if (record !== undefined) removeRequest(state, record);
  return [];
}

/** Refuses waiting requests that no device left in the pool could ever serve. */
function refuseImpossible(state: PoolState): Effect[] {
  const effects: Effect[] = [];
  for (const record of [...state.requests.values()]) {
    record.plan = planFor(state, record.request);
    if (record.plan.possible || isPossibleWithoutQuota(state, record.request)) continue;
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

/** Whether the stored slices can be held as they stand. */
function slicesFit(state: PoolState, lease: StoredLease): boolean {
  const taken = new Map<string, number>();
  for (const slice of lease.slices) {
    const device = state.devices.get(slice.deviceId);
    const bytes = (taken.get(slice.deviceId) ?? 0) + slice.bytes + slice.overheadBytes;
    if (device === undefined || device.removed || bytes > device.freeBytes) return false;
    taken.set(slice.deviceId, bytes);
  }
  return true;
}

function adopt(state: PoolState, stored: StoredLease): Effect[] {
  if (state.leases.has(stored.id) || state.requests.has(stored.id)) return [];
  const never = Number.POSITIVE_INFINITY;
  const { endsAt = never, priority = 0, idleMs = never } = stored;
  const terms = { ...stored, endsAt, priority, idleMs };
  if (!slicesFit(state, stored)) {
    const lease = startLease(state, { ...terms, slices: [] }, "granted");
    const message = "The lease's slices do not fit the server's devices any more.";
    return endLease(state, lease, { code: "LEASE_ENDED", message });
  }
  startLease(state, terms, "granted");
  if (state.headRoom !== undefined) state.passNeeded = true;
  return [];
}
