/**
 * Suspension: a lease gives its memory back for a while and gets it again on the same devices. What becomes of its executor is told by events;
 * memory counts as held until it is known to be saved, and again from the moment at which it is to be filled. A lease that is to come back
 * waits in the queue in the place of its own request.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { type Amount, amountOf, minus, NOTHING, plus } from "./amount.ts";
import { clearHeadRoom, lookAgain } from "./inventory.ts";
import { changeHolding, keptOf, keptSlices, startClocks, startLease, stopClocks } from "./leases.ts";
import { enqueue, removeRequest } from "./queue.ts";
import type {
  DeviceRecord,
  LeaseRecord,
  LeaseTerms,
  Plan,
  PoolState,
  RequestRecord,
  ReservedSlice,
  SuspensionRecord,
} from "./state.ts";
import type { Effect, PoolRequest, StoredLease, Suspension } from "./types.ts";

/** How long a lease that could not come back waits before it tries again. */
const RETRY_MS = 10_000;

type Parked = Pick<Suspension, "savedBytes" | "keptBytes">;

interface Obstacle {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Why a lease can not be suspended now; undefined when it can. */
export function suspensionObstacle(state: PoolState, lease: LeaseRecord): Obstacle | undefined {
  const { id } = lease.terms;
  if (lease.state === "ending") return { code: "LEASE_ENDED", message: `The lease [${id}] ends.` };
  if (state.shutdown !== undefined) return { code: "SHUTTING_DOWN", message: "The server is stopping." };
  if (lease.state !== "granted") return { code: "SESSION_BUSY", message: `The lease [${id}] is [${lease.state}].` };
  if (lease.resizing !== undefined)
    return {
      code: "SESSION_BUSY",
      message: `The lease [${id}] is changing its size: it can be suspended a moment later.`,
    };
  const full = lease.devices.find(({ spec }) => spec.sharing?.mode === "profile" && spec.overheadBytes > 0);
  if (full === undefined) return undefined;
  const why = "its context stays in the fixed slice, which no other lease could then have";
  return { code: "UNSUPPORTED", message: `The lease [${id}] cannot be suspended on device [${full.spec.id}]: ${why}.` };
}

/** An admin, or the lease's own tenant, wants its memory back; of a lease that is coming back, as soon as it has come. */
export function askSuspend(
  state: PoolState,
  lease: LeaseRecord,
  { message, byAdmin }: { readonly message: string; readonly byAdmin: boolean },
): Effect[] {
  const { suspension } = lease;
  if (suspension !== undefined && lease.state !== "ending") {
    suspension.message = message;
    suspension.comesBack = false;
    suspension.byAdmin ||= byAdmin;
    state.timers.cancel(lease.restTimer);
    if (suspension.comeback !== undefined) removeRequest(state, suspension.comeback);
    return [];
  }
  const obstacle = suspensionObstacle(state, lease);
  if (obstacle !== undefined) return [{ kind: "suspendRefused", id: lease.terms.id, ...obstacle }];
  return [beginSuspension(state, lease, { message, comesBack: false, byAdmin })];
}

/** For a lease that can be suspended. */
export function beginSuspension(
  state: PoolState,
  lease: LeaseRecord,
  why: Pick<SuspensionRecord, "message" | "comesBack" | "byAdmin">,
): Effect {
  lease.state = "suspending";
  lease.suspension = { ...why, since: state.now, savedBytes: 0, ...nothingYet };
  lookAgain(state);
  return { kind: "suspend", id: lease.terms.id };
}

const nothingYet = { timeLeftMs: undefined, home: undefined, comeback: undefined } as const;

/** Its memory is saved: others may have it. */
export function confirmParked(state: PoolState, lease: LeaseRecord, parked: Parked): Effect[] {
  const { suspension, terms } = lease;
  const { savedBytes, keptBytes = [] } = parked;
  if (lease.state !== "suspending" || suspension === undefined) return [];
  lease.state = "suspended";
  suspension.since = state.now;
  suspension.savedBytes = savedBytes;
  suspension.timeLeftMs = stopClocks(state, lease);
  suspension.home =
    lease.reserved === undefined || terms.reservation === undefined
      ? undefined
      : state.reservations.get(terms.reservation);
  giveBack(state, lease, keptBytes);
  if (suspension.comesBack) comeBack(state, lease);
  return [{ kind: "notice", id: terms.id, notice: "suspended", deadline: state.now, message: suspension.message }];
}

/** Whoever waits for it may get less than it has counted on, and then looks elsewhere. */
function giveBack(state: PoolState, lease: LeaseRecord, kept: readonly number[]): void {
  const isLess = kept.some((bytes, index) => bytes > (lease.kept[index] ?? 0));
  lease.kept = kept;
  changeHolding(state, lease, { held: keptSlices(state, lease.slices, kept) });
  if (isLess) lookElsewhere(state, lease);
  for (const reservation of lease.tenant.reservations) state.toServe.add(reservation);
  state.passNeeded = true;
}

/** Its memory could not be saved: all is as it was. Whoever was to have it looks elsewhere. */
export function failParked(state: PoolState, lease: LeaseRecord): Effect[] {
  if (lease.state !== "suspending") return [];
  lease.state = "granted";
  lease.suspension = undefined;
  rest(state, lease);
  lookElsewhere(state, lease);
  state.passNeeded = true;
  return [];
}

/** Has whoever was to get the lease's memory ask anew where there is room, and who is to make it. */
function lookElsewhere(state: PoolState, lease: LeaseRecord): void {
  if (!state.headRoom?.devices.some((device) => lease.devices.includes(device))) return;
  state.headRoom.holder.hasPreempted = false;
  clearHeadRoom(state);
}

/** Lets nobody preempt the lease for a while, so that two never suspend each other in turn without getting anything done. */
function rest(state: PoolState, lease: LeaseRecord): void {
  lease.restsUntil = state.now + state.options.suspensionRestMs;
  state.timers.cancel(lease.restTimer);
  lease.restTimer = state.timers.add(lease.restsUntil, { kind: "rest", lease });
}

/** The lease may make room again; or one that could not come back tries again. */
export function restIsOver(state: PoolState, lease: LeaseRecord): void {
  if (lease.state === "suspended" && lease.suspension?.comesBack) comeBack(state, lease);
  state.passNeeded = true;
}

/** The lease is to come back as soon as there is room. */
export function askResume(state: PoolState, lease: LeaseRecord): Effect[] {
  const { suspension } = lease;
  if (suspension === undefined || suspension.comesBack) return [];
  suspension.comesBack = true;
  if (lease.state === "suspended") comeBack(state, lease);
  return [];
}

/** Lets a suspended lease wait in the place of its own request: in the line of the reservation whose slices it had, if that lives. */
export function comeBack(state: PoolState, lease: LeaseRecord): void {
  const { suspension, terms, tenant } = lease;
  if (suspension === undefined || suspension.comeback !== undefined) return;
  const { home, timeLeftMs } = suspension;
  const reservation = home !== undefined && state.reservations.get(home.terms.id) === home ? home : undefined;
  const plan = planOf(state, lease);
  const request: PoolRequest = {
    id: terms.id,
    tenant: terms.tenant,
    name: terms.name,
    share: { kind: "bytes", bytes: lease.slices[0]?.bytes ?? 1 },
    count: Math.max(1, lease.slices.length),
    waitMs: 0,
    priority: terms.priority,
    requestedAt: terms.requestedAt,
    ...(timeLeftMs === undefined ? {} : { durationMs: timeLeftMs }),
    ...(reservation === undefined ? {} : { reservation: reservation.terms.id }),
  };
  const record: RequestRecord = {
    ...{ request, order: lease.order, tenant, requestedAt: terms.requestedAt, priority: terms.priority },
    ...{ deadlineAt: Number.POSITIVE_INFINITY, timer: undefined, promotion: undefined },
    ...{ plan, costBytes: plan.costBytes, reservation, lease, passes: 0, hasPreempted: false },
  };
  suspension.comeback = record;
  enqueue(state, record);
  record.promotion = state.timers.add(state.now + state.options.promoteAfterMs, { kind: "promote", request: record });
  state.passNeeded = true;
}

/** What a suspended lease takes to come back, and where. */
function planOf(state: PoolState, lease: LeaseRecord): Plan {
  const exact = new Map<DeviceRecord, Amount>();
  for (const slice of lease.slices) {
    const device = state.devices.get(slice.deviceId)!;
    const taken = minus(amountOf(slice), amountOf(keptOf(slice, device, lease.kept)));
    exact.set(device, plus(exact.get(device) ?? NOTHING, taken));
  }
  const { bytes } = [...exact.values()].reduce(plus, NOTHING);
  return {
    ...{ key: `resume ${lease.terms.id}`, version: state.inventoryVersion, fits: [], fitOf: new Map(), filters: [] },
    ...{ count: exact.size, leases: 1, perDevice: 1, policy: "pack", possible: true, isComputeBound: false },
    ...{ costBytes: Math.max(1, bytes), costMostBytes: bytes, narrow: new Set(exact.keys()), exact },
  };
}

/** There is room for the lease: it holds its slices again, and its executor is to fill them. */
export function resume(state: PoolState, lease: LeaseRecord, reserved?: readonly ReservedSlice[]): Effect {
  if (lease.suspension?.comeback !== undefined) removeRequest(state, lease.suspension.comeback);
  lease.state = "resuming";
  changeHolding(state, lease, { held: lease.slices, reserved });
  return { kind: "resume", id: lease.terms.id };
}

/** Its memory is back, and it goes on: unless somebody wants it again by now. */
export function confirmUnparked(state: PoolState, lease: LeaseRecord): Effect[] {
  const { suspension } = lease;
  if (lease.state !== "resuming" || suspension === undefined) return [];
  lease.state = "granted";
  lease.suspension = undefined;
  startClocks(state, lease, suspension.timeLeftMs);
  if (!suspension.comesBack) return [beginSuspension(state, lease, suspension)];
  rest(state, lease);
  const message = "The lease goes on.";
  return [{ kind: "notice", id: lease.terms.id, notice: "resumed", deadline: state.now, message }];
}

/** Its memory could not be filled: it is suspended as before, and tries again in a while. */
export function failUnparked(
  state: PoolState,
  lease: LeaseRecord,
  why: Pick<Suspension, "message" | "keptBytes">,
): Effect[] {
  const { suspension } = lease;
  if (lease.state !== "resuming" || suspension === undefined) return [];
  lease.state = "suspended";
  if (suspension.comesBack) suspension.message = why.message;
  giveBack(state, lease, why.keptBytes ?? []);
  state.timers.cancel(lease.restTimer);
  lease.restTimer = state.timers.add(state.now + RETRY_MS, { kind: "rest", lease });
  return [];
}

/** After a restart: the lease is where its suspension had come to, and the step that was under way is taken again. */
export function takeUpSuspension(
  state: PoolState,
  terms: LeaseTerms,
  from: { readonly stored: StoredLease; readonly reserved?: readonly ReservedSlice[] | undefined },
): Effect[] {
  const { suspension: known, suspensionState: phase = "suspended" } = from.stored;
  const home = terms.reservation === undefined ? undefined : state.reservations.get(terms.reservation);
  const isBound = terms.endsAt !== Number.POSITIVE_INFINITY && terms.endsWith === undefined;
  const isStopped = isBound && phase !== "suspending";
  const timeLeftMs = isStopped ? Math.max(0, terms.endsAt - known!.since) : undefined;
  const { keptBytes: kept, ...rest } = known!;
  const suspension: SuspensionRecord = { ...rest, timeLeftMs, home, comeback: undefined };
  const endsAt = isStopped ? Number.POSITIVE_INFINITY : terms.endsAt;
  const lease = startLease(state, { ...terms, endsAt }, { phase, reserved: from.reserved, suspension, kept });
  if (phase !== "suspended") return [{ kind: phase === "suspending" ? "suspend" : "resume", id: terms.id }];
  if (suspension.comesBack) comeBack(state, lease);
  return [];
}
