/**
 * The life of a lease: granting, granted, ending, gone; what lies between while it is suspended is in suspension.ts. Memory comes back only
 * when the executor is known to be dead (`reclaim`) or to hold it no more, or when a grant fails before there is one.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { forgetDevice, giveBackSlices, lookAgain, takeSlices } from "./inventory.ts";
import { changeHeld, removeRequest, tenantOf } from "./queue.ts";
import type {
  DeviceRecord,
  Ending,
  LeaseRecord,
  LeaseTerms,
  PoolState,
  ReservedSlice,
  SuspensionRecord,
} from "./state.ts";
import type { Effect, Lease, NoticeKind, Slice, Suspension } from "./types.ts";

/** What the lease costs its tenant beside what the tenant has reserved. */
function heldBytes(lease: LeaseRecord): number {
  let sum = 0;
  for (const slice of lease.held) {
    if (lease.reserved?.[slice.index] === undefined) sum += slice.bytes + slice.overheadBytes;
  }
  return sum;
}

/** When a lease is gone at the latest, or its memory saved; Infinity when nobody knows. */
export const endOf = (state: PoolState, lease: LeaseRecord): number =>
  lease.state === "ending" || lease.state === "suspending" ? state.now : lease.endsAt;

/** What a suspended lease holds of a slice: what the device needs for the context that stays, and the bytes at its index in `kept`. */
export function keptOf(slice: Slice, device: DeviceRecord, kept: readonly number[]): Slice {
  const { index, deviceId, bytes, overheadBytes } = slice;
  const keptBytes = Math.min(bytes, kept[index] ?? 0);
  return { index, deviceId, bytes: keptBytes, overheadBytes: Math.min(overheadBytes, device.spec.overheadBytes) };
}

export const keptSlices = (state: PoolState, slices: readonly Slice[], kept: readonly number[] = []): Slice[] =>
  slices.map((slice) => keptOf(slice, state.devices.get(slice.deviceId)!, kept));

const TIME_OVER: Ending = { code: "LEASE_TIME_OVER", message: "The lease reaches its maximum duration." };

/** The lease as plain data. */
export function viewLease(lease: LeaseRecord): Lease {
  const { terms, state, attached, lastBeatAt, endsAt, endsWith, ended, suspension } = lease;
  return {
    id: terms.id,
    tenant: terms.tenant,
    name: terms.name,
    state,
    slices: lease.slices,
    detached: terms.detached,
    requestedAt: terms.requestedAt,
    grantedAt: terms.grantedAt,
    lastBeatAt,
    attached,
    priority: terms.priority,
    ...(terms.reservation === undefined ? {} : { reservation: terms.reservation }),
    ...(endsAt === Number.POSITIVE_INFINITY ? {} : { endsAt }),
    ...(endsWith === TIME_OVER ? {} : { endsWith }),
    ...(terms.idleMs === Number.POSITIVE_INFINITY ? {} : { idleMs: terms.idleMs }),
    ...(terms.tokenId === undefined ? {} : { tokenId: terms.tokenId }),
    ...(suspension === undefined ? {} : { suspension: viewSuspension(suspension, lease.kept) }),
    ...(ended === undefined ? {} : { endCode: ended.code, endMessage: ended.message }),
  };
}

function viewSuspension(
  { home: _home, comeback: _comeback, timeLeftMs, ...known }: SuspensionRecord,
  keptBytes: readonly number[],
): Suspension {
  const kept = keptBytes.length === 0 ? {} : { keptBytes };
  return { ...known, ...kept, ...(timeLeftMs === undefined ? {} : { timeLeftMs }) };
}

export interface Start {
  readonly phase: "granting" | "granted" | "suspending" | "suspended" | "resuming";
  readonly reserved?: readonly ReservedSlice[] | undefined;
  /** The place of its request in the order of all. Default: behind those that there are. */
  readonly order?: number;
  readonly suspension?: SuspensionRecord | undefined;
  /** As LeaseRecord. Default: none. */
  readonly kept?: readonly number[] | undefined;
}

/** Takes the slices, those of a reservation where they are `reserved`, and starts the lease's clocks. */
export function startLease(state: PoolState, terms: LeaseTerms, how: Start): LeaseRecord {
  const devices = new Set(terms.slices.map((slice) => state.devices.get(slice.deviceId)!));
  const lease: LeaseRecord = {
    terms,
    tenant: tenantOf(state, terms.tenant),
    order: how.order ?? state.nextOrder++,
    slices: terms.slices,
    held: how.phase === "suspended" ? keptSlices(state, terms.slices, how.kept) : terms.slices,
    kept: how.kept ?? [],
    reserved: how.reserved,
    devices: [...devices],
    state: how.phase,
    lastBeatAt: state.now,
    attached: false,
    endsAt: terms.endsAt,
    endsWith: terms.endsWith ?? TIME_OVER,
    ended: undefined,
    lastActiveAt: state.now,
    isBusy: false,
    idleWarned: false,
    resizing: undefined,
    suspension: how.suspension,
    restsUntil: 0,
    restTimer: undefined,
    idleTimer: undefined,
    beatTimer: undefined,
    endTimer: undefined,
    noticeTimer: undefined,
  };
  state.leases.set(terms.id, lease);
  takeSlices(state, lease);
  changeHeld(state, lease.tenant, { bytes: heldBytes(lease), slices: lease.slices.length, leases: 1 });
  if (how.phase === "granting" || how.phase === "granted") armIdle(state, lease);
  if (!terms.detached)
    lease.beatTimer = state.timers.add(state.now + state.options.heartbeatTimeoutMs, { kind: "beat", lease });
  armEnd(state, lease);
  return lease;
}

/** Sets the clocks for the end of the lease, if it has one, and for the warning before it. */
function armEnd(state: PoolState, lease: LeaseRecord): void {
  const { endsAt, terms } = lease;
  if (endsAt === Number.POSITIVE_INFINITY) return;
  lease.endTimer = state.timers.add(endsAt, { kind: "end", lease });
  const warning = Math.min(state.options.endNoticeMs, (endsAt - terms.grantedAt) / 2);
  lease.noticeTimer = state.timers.add(endsAt - warning, { kind: "notice", lease });
}

/** Lets the lease's maximum duration stand still; returns what is left of it. The end of a grace comes all the same. Nothing is idle meanwhile. */
export function stopClocks(state: PoolState, lease: LeaseRecord): number | undefined {
  state.timers.cancel(lease.idleTimer);
  if (lease.endsWith !== TIME_OVER || lease.endsAt === Number.POSITIVE_INFINITY) return undefined;
  for (const timer of [lease.endTimer, lease.noticeTimer]) state.timers.cancel(timer);
  const leftMs = lease.endsAt - state.now;
  lease.endsAt = Number.POSITIVE_INFINITY;
  return leftMs;
}

/** Lets the rest of the maximum duration run, unless another end has been set meanwhile. */
export function startClocks(state: PoolState, lease: LeaseRecord, leftMs: number | undefined): void {
  lease.lastActiveAt = state.now;
  lease.idleWarned = false;
  armIdle(state, lease);
  if (leftMs === undefined || lease.endsAt !== Number.POSITIVE_INFINITY) return;
  lease.endsAt = state.now + leftMs;
  armEnd(state, lease);
  lookAgain(state);
}

/** Changes what the lease holds of its slices, and where they are reserved ones. */
export function changeHolding(
  state: PoolState,
  lease: LeaseRecord,
  to: { readonly held: readonly Slice[]; readonly reserved?: readonly ReservedSlice[] | undefined },
): void {
  const before = heldBytes(lease);
  giveBackSlices(state, lease);
  lease.held = to.held;
  lease.reserved = to.reserved;
  takeSlices(state, lease);
  changeHeld(state, lease.tenant, { bytes: heldBytes(lease) - before, slices: 0, leases: 0 });
}

/** Moves the end of a lease later, whatever set it. */
export function extendLease(state: PoolState, lease: LeaseRecord, byMs: number): Effect[] {
  const isBound = lease.endsAt !== Number.POSITIVE_INFINITY && state.shutdown === undefined;
  if (lease.state === "ending" || !isBound || !(byMs > 0)) return [];
  lease.endsAt = Math.min(lease.endsAt + byMs, Number.MAX_SAFE_INTEGER);
  for (const timer of [lease.endTimer, lease.noticeTimer]) state.timers.cancel(timer);
  armEnd(state, lease);
  lookAgain(state);
  const message = "An admin has moved the end of the lease.";
  return [{ kind: "notice", id: lease.terms.id, notice: "extended", deadline: lease.endsAt, message }];
}

/** Moves a living lease to its end. Its memory stays held until `reclaimLease`. */
export function endLease(state: PoolState, lease: LeaseRecord, why: Ending): Effect[] {
  if (lease.state === "ending") return [];
  lease.state = "ending";
  lease.ended = why;
  stopTimers(state, lease);
  lookAgain(state);
  if (lease.suspension?.comeback !== undefined) removeRequest(state, lease.suspension.comeback);
  return [{ kind: "end", id: lease.terms.id, ...why }];
}

function stopTimers(state: PoolState, lease: LeaseRecord): void {
  const { beatTimer, endTimer, noticeTimer, idleTimer, restTimer } = lease;
  for (const timer of [beatTimer, endTimer, noticeTimer, idleTimer, restTimer]) state.timers.cancel(timer);
}

/** Forgets the lease: its memory is free again. */
function dropLease(state: PoolState, lease: LeaseRecord): Effect[] {
  stopTimers(state, lease);
  state.leases.delete(lease.terms.id);
  const emptied = giveBackSlices(state, lease);
  changeHeld(state, lease.tenant, { bytes: -heldBytes(lease), slices: -lease.slices.length, leases: -1 });
  state.passNeeded = true;
  // Its place in the quota may be what somebody waits for there.
  for (const record of lease.tenant.reservations) state.toServe.add(record);
  for (const device of emptied) if (device.removed) forgetDevice(state, device);
  return emptied.map((device) => ({
    kind: device.removed ? "deviceGone" : "deviceEmpty",
    deviceId: device.spec.id,
  }));
}

/** The executor is dead: the memory of an ending lease is free. */
export function reclaimLease(state: PoolState, lease: LeaseRecord): Effect[] {
  if (lease.state !== "ending") return [];
  const view = viewLease(lease);
  return [{ kind: "closed", lease: view }, ...dropLease(state, lease)];
}

/** Takes back a grant that nobody has used yet. */
export const takeBack = (state: PoolState, lease: LeaseRecord): Effect[] =>
  lease.state === "granting" ? dropLease(state, lease) : [];

/** Tells the lease that it ends after a grace, unless it ends sooner anyway. */
export function giveNotice(
  state: PoolState,
  lease: LeaseRecord,
  why: { readonly notice: NoticeKind; readonly graceMs: number; readonly message: string; readonly code?: ErrorCode },
): Effect[] {
  if (lease.state === "ending") return [];
  const deadline = Math.min(lease.endsAt, state.now + Math.max(0, why.graceMs));
  if (deadline < lease.endsAt) {
    lease.endsAt = deadline;
    lease.endsWith = { code: why.code ?? "LEASE_REVOKED", message: why.message };
    state.timers.cancel(lease.endTimer);
    lease.endTimer = state.timers.add(deadline, { kind: "end", lease });
    lookAgain(state);
  }
  state.timers.cancel(lease.noticeTimer);
  return [{ kind: "notice", id: lease.terms.id, notice: why.notice, deadline, message: why.message }];
}

/** Warns a lease that its duration is nearly over. */
export const warnOfEnd = (lease: LeaseRecord): Effect => ({
  kind: "notice",
  id: lease.terms.id,
  notice: "time-almost-over",
  deadline: lease.endsAt,
  message: lease.endsWith.message,
});

/** No beat came by the time of the timer: ends the lease, unless one came since or the pool itself was not listening. */
export function checkBeat(state: PoolState, lease: LeaseRecord): Effect[] {
  const { heartbeatTimeoutMs } = state.options;
  const dueAt = Math.max(lease.lastBeatAt + heartbeatTimeoutMs, state.deafUntil);
  if (dueAt > state.now) {
    lease.beatTimer = state.timers.add(dueAt, { kind: "beat", lease });
    return [];
  }
  const silentMs = state.now - lease.lastBeatAt;
  return endLease(state, lease, { code: "LEASE_EXPIRED", message: `No heartbeat comes for [${silentMs}] ms.` });
}

/** Calls have come: the lease is not idle. */
export function noteActivity(state: PoolState, lease: LeaseRecord, isBusy: boolean): void {
  lease.lastActiveAt = state.now;
  lease.isBusy = isBusy;
  lease.idleWarned = false;
}

/** Sets the clock for the next look at whether the lease is idle: at the warning, then at the end. */
function armIdle(state: PoolState, lease: LeaseRecord): void {
  const { idleMs } = lease.terms;
  if (idleMs === Number.POSITIVE_INFINITY) return;
  const endsAt = lease.lastActiveAt + idleMs;
  const warnsAt = endsAt - Math.min(state.options.idleNoticeMs, idleMs / 2);
  lease.idleTimer = state.timers.add(lease.idleWarned ? endsAt : warnsAt, { kind: "idle", lease });
}

/** Warns or ends a lease without calls; never while its kernels run. */
export function checkIdle(state: PoolState, lease: LeaseRecord): Effect[] {
  const { idleMs } = lease.terms;
  if (lease.isBusy) lease.lastActiveAt = state.now;
  const endsAt = lease.lastActiveAt + idleMs;
  const message = `The lease makes no calls for [${idleMs}] ms.`;
  if (lease.idleWarned && state.now >= endsAt) return endLease(state, lease, { code: "LEASE_IDLE", message });
  const isWarning = !lease.idleWarned && state.now >= endsAt - Math.min(state.options.idleNoticeMs, idleMs / 2);
  if (!isWarning) {
    armIdle(state, lease);
    return [];
  }
  // A warning that comes late still leaves time to make a call.
  const deadline = Math.max(endsAt, state.now + Math.min(state.options.idleNoticeMs, idleMs / 2));
  lease.lastActiveAt = deadline - idleMs;
  lease.idleWarned = true;
  armIdle(state, lease);
  return [{ kind: "notice", id: lease.terms.id, notice: "idle", deadline, message }];
}

/** Ends every lease on a device. */
export function endAllOn(state: PoolState, device: DeviceRecord, why: Ending): Effect[] {
  return [...device.leases].flatMap((lease) => endLease(state, lease, why));
}
