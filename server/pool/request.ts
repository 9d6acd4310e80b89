/** What a request means: checks its values, and works out what it takes on every class of devices. */
import type { ErrorCode } from "../../shared/errors.ts";
import { NAME_LENGTH_MAX, SLICES_PER_LEASE_MAX } from "../../shared/limits.ts";
import type { Fit, Plan, PoolState } from "./state.ts";
import { type PoolDevice, type PoolRequest, PRIORITY_MAX, type Share } from "./types.ts";

/** Plans kept for requests that ask for the same; beyond it they are worked out anew. */
const PLANS_MAX = 4096;

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

const bad = (message: string): Refusal => ({ code: "BAD_ARGUMENT", message });

function checkShare(share: Share): Refusal | undefined {
  if (share.kind === "fraction") {
    if (share.fraction > 0 && share.fraction <= 1) return undefined;
    return bad(`The fraction [${share.fraction}] of a device is not above 0 and at most 1.`);
  }
  if (!Number.isSafeInteger(share.bytes) || share.bytes < 1) {
    return bad(`The size [${share.bytes}] is not a whole number of bytes from 1 to 2^53-1.`);
  }
  return undefined;
}

function checkTime(name: string, value: number, bounds: { min: number; max: number }): Refusal | undefined {
  if (Number.isSafeInteger(value) && value >= bounds.min && value <= bounds.max) return undefined;
  return bad(`The ${name} [${value}] is not a whole number of milliseconds from ${bounds.min} to ${bounds.max}.`);
}

/** What is wrong with the request whatever the pool holds; undefined when nothing is. */
export function checkRequest(state: PoolState, request: PoolRequest): Refusal | undefined {
  for (const [name, value] of [
    ["id", request.id],
    ["tenant", request.tenant],
  ] as const) {
    if (value.length < 1 || value.length > NAME_LENGTH_MAX) {
      return bad(`The ${name} has [${value.length}] characters, not 1 to ${NAME_LENGTH_MAX}.`);
    }
  }
  if (request.name.length > NAME_LENGTH_MAX) {
    return bad(`The name has [${request.name.length}] characters, more than ${NAME_LENGTH_MAX}.`);
  }
  if (!Number.isInteger(request.count) || request.count < 1 || request.count > SLICES_PER_LEASE_MAX) {
    return bad(`The number of devices [${request.count}] is not a whole number from 1 to ${SLICES_PER_LEASE_MAX}.`);
  }
  const priority = request.priority ?? 0;
  if (!Number.isInteger(priority) || Math.abs(priority) > PRIORITY_MAX) {
    return bad(`The priority [${priority}] is not a whole number from -${PRIORITY_MAX} to ${PRIORITY_MAX}.`);
  }
  if (request.detached && request.durationMs === undefined) {
    return bad("A detached lease has no heartbeats, so it needs a duration.");
  }
  const max = Number.MAX_SAFE_INTEGER;
  return (
    checkShare(request.share) ??
    checkTime("wait", request.waitMs, { min: 0, max: state.options.waitMsMax }) ??
    (request.durationMs === undefined ? undefined : checkTime("duration", request.durationMs, { min: 1, max })) ??
    (request.requestedAt === undefined
      ? undefined
      : checkTime("time of the request", request.requestedAt, { min: 0, max }))
  );
}

const roundDown = (bytes: number, unit: number): number => bytes - (bytes % unit);

/** What a share takes on a device, or undefined when even an empty one cannot serve it. */
export function fitShare(share: Share, device: PoolDevice): { sliceBytes: number; overheadBytes: number } | undefined {
  const { memoryBytes, granularityBytes: unit, overheadBytes } = device;
  const sliceBytes =
    share.kind === "bytes"
      ? roundDown(share.bytes + unit - 1, unit)
      : roundDown(roundDown(Math.floor(memoryBytes * share.fraction), unit) - overheadBytes, unit);
  const fits = sliceBytes > 0 && sliceBytes <= device.sliceBytesMax && sliceBytes + overheadBytes <= memoryBytes;
  return fits ? { sliceBytes, overheadBytes } : undefined;
}

/** Bytes that `slices` slices of one lease take together on one device. */
export const chargeOf = (fit: Fit, slices: number): number => fit.sliceBytes * slices + fit.overheadBytes;

/** How many slices of one lease a device with `freeBytes` has room for, at most `max`. */
export function slicesWithin(fit: Fit, room: { freeBytes: number; max: number }): number {
  const left = room.freeBytes - fit.overheadBytes;
  return left < fit.sliceBytes ? 0 : Math.min(room.max, Math.floor(left / fit.sliceBytes));
}

/** Whether some server, were it empty, has room for all slices. */
function isPossible(state: PoolState, plan: Omit<Plan, "possible" | "key">): boolean {
  const roomOn = (fit: Fit | undefined): number => {
    if (fit === undefined) return 0;
    if (!plan.sameDevice) return 1;
    return slicesWithin(fit, { freeBytes: fit.class.sample.memoryBytes, max: plan.count });
  };
  if (plan.fits.some((fit) => fit.class.largestNest * roomOn(fit) >= plan.count)) return true;
  for (const server of state.mixedServers) {
    let room = 0;
    for (const nest of server.nests.values()) room += nest.memberCount * roomOn(plan.fitOf.get(nest.class));
    if (room >= plan.count) return true;
  }
  return false;
}

/** The plan of a request, shared with all that ask for the same while the inventory stays. */
export function planFor(state: PoolState, request: PoolRequest): Plan {
  const { share, count } = request;
  const sameDevice = request.sameDevice === true && count > 1;
  const size = share.kind === "bytes" ? `b${share.bytes}` : `f${share.fraction}`;
  const key = `${size} ${count} ${sameDevice}`;
  const known = state.plans.get(key);
  if (known !== undefined) return known;
  const fits: Fit[] = [];
  for (const deviceClass of state.classes.values()) {
    const fit = fitShare(share, deviceClass.sample);
    if (fit !== undefined) fits.push({ class: deviceClass, ...fit });
  }
  const fitOf = new Map(fits.map((fit) => [fit.class, fit]));
  const each = fits.reduce(
    (least, fit) => Math.min(least, fit.sliceBytes + fit.overheadBytes),
    Number.POSITIVE_INFINITY,
  );
  const costBytes = fits.length === 0 ? 1 : each * count;
  const parts = { fits, fitOf, count, sameDevice, costBytes };
  const plan: Plan = { key, ...parts, possible: isPossible(state, parts) };
  if (state.plans.size >= PLANS_MAX) state.plans.clear();
  state.plans.set(key, plan);
  return plan;
}
