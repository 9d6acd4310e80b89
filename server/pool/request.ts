/** What a request means: checks its values, and works out what it takes on every class of devices. */
import type { ErrorCode } from "../../shared/errors.ts";
import { LEASES_PER_REQUEST_MAX, NAME_LENGTH_MAX, SLICES_PER_LEASE_MAX } from "../../shared/limits.ts";
import { type Amount, allOf } from "./amount.ts";
import { type Filter, labelObstacle, meets, parseFilter } from "./filter.ts";
import type {
  DeviceClass,
  DeviceRecord,
  Fit,
  LeaseRecord,
  Plan,
  PoolState,
  RequestRecord,
  ServerRecord,
} from "./state.ts";
import { COMPUTE_WHOLE, type PoolDevice, type PoolRequest, PRIORITY_MAX, type Share } from "./types.ts";

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
  const { leases = 1 } = request;
  if (!Number.isInteger(leases) || leases < 1 || leases > LEASES_PER_REQUEST_MAX) {
    return bad(`The number of leases [${leases}] is not a whole number from 1 to ${LEASES_PER_REQUEST_MAX}.`);
  }
  const priority = request.priority ?? 0;
  if (!Number.isInteger(priority) || Math.abs(priority) > PRIORITY_MAX) {
    return bad(`The priority [${priority}] is not a whole number from -${PRIORITY_MAX} to ${PRIORITY_MAX}.`);
  }
  const { compute = 1 } = request;
  if (!Number.isInteger(compute) || compute < 1 || compute > COMPUTE_WHOLE) {
    return bad(`The compute share [${compute / COMPUTE_WHOLE}] is not at least [${1 / COMPUTE_WHOLE}] and at most 1.`);
  }
  if (request.detached && request.durationMs === undefined) {
    return bad("A detached lease has no heartbeats, so it needs a duration.");
  }
  for (const text of request.filters ?? []) {
    const filter = parseFilter(text);
    if (typeof filter === "string") return bad(filter);
  }
  const max = Number.MAX_SAFE_INTEGER;
  return (
    checkShare(request.share) ??
    (request.idleMs === undefined ? undefined : checkTime("idle time", request.idleMs, { min: 1, max })) ??
    checkTime("wait", request.waitMs, { min: 0, max: state.options.waitMsMax }) ??
    (request.durationMs === undefined ? undefined : checkTime("duration", request.durationMs, { min: 1, max })) ??
    (request.requestedAt === undefined
      ? undefined
      : checkTime("time of the request", request.requestedAt, { min: 0, max }))
  );
}

/** The id of one of the leases that a request becomes, counted from 0. */
export const leaseIdOf = (id: string, index: number): string => (index === 0 ? id : `${id}-${index + 1}`);

/** The leases there are that a request with this id, for so many at most, became. */
export const leasesFrom = (state: PoolState, id: string, most = LEASES_PER_REQUEST_MAX): LeaseRecord[] =>
  Array.from({ length: most }, (_, index) => state.leases.get(leaseIdOf(id, index)) ?? []).flat();

/** Slices of all leases of a request. */
export const slicesOf = ({ count, leases = 1 }: PoolRequest): number => count * leases;

const roundDown = (bytes: number, unit: number): number => bytes - (bytes % unit);

/** What a request's slice takes on a device, or undefined when even an empty one cannot serve it. */
function fitSlice(
  request: PoolRequest,
  device: PoolDevice,
): Pick<Fit, "sliceBytes" | "overheadBytes" | "compute"> | undefined {
  const { memoryBytes, granularityBytes: unit, overheadBytes, sharing = dynamic } = device;
  const { share, mode = "dynamic", compute = 0 } = request;
  const most = Math.min(device.sliceBytesMax, memoryBytes - overheadBytes);
  if (mode === "exclusive") {
    if (sharing.mode === "profile") return undefined;
    const sliceBytes = roundDown(most, unit);
    return sliceBytes > 0 ? { sliceBytes, overheadBytes: memoryBytes - sliceBytes, compute: COMPUTE_WHOLE } : undefined;
  }
  if (mode !== sharing.mode) return undefined;
  if (sharing.mode === "profile") {
    const sliceBytes = Math.min(
      roundDown(sharing.profileBytes - overheadBytes, unit),
      roundDown(device.sliceBytesMax, unit),
    );
    const asked = share.kind === "bytes" ? share.bytes : Math.floor(memoryBytes * share.fraction) - overheadBytes;
    if (sliceBytes <= 0 || asked > sliceBytes || sharing.profileBytes > memoryBytes) return undefined;
    const part = profileCompute(memoryBytes, sharing.profileBytes);
    return compute > part ? undefined : { sliceBytes, overheadBytes: sharing.profileBytes - sliceBytes, compute: part };
  }
  const sliceBytes =
    share.kind === "bytes"
      ? roundDown(share.bytes + unit - 1, unit)
      : roundDown(roundDown(Math.floor(memoryBytes * share.fraction), unit) - overheadBytes, unit);
  return sliceBytes > 0 && sliceBytes <= most ? { sliceBytes, overheadBytes, compute } : undefined;
}

/** Each of the equal slices of a device has the same part of its time. */
export const profileCompute = (memoryBytes: number, profileBytes: number): number =>
  Math.floor(COMPUTE_WHOLE / Math.max(1, Math.floor(memoryBytes / profileBytes)));

const dynamic = { mode: "dynamic" } as const;

/** Bytes that `slices` slices of a request take together on one device; they belong to as many of its leases as can be. */
export const chargeOf = (fit: Fit, slices: number): number =>
  fit.sliceBytes * slices + fit.overheadBytes * Math.min(slices, fit.overheadsMax);

/** The same, and the time that they take. */
export const needOf = (fit: Fit, slices: number): Amount => ({
  bytes: chargeOf(fit, slices),
  compute: fit.compute * slices,
});

/** How many slices of a request there is room for, at most `max`. */
export function slicesWithin(fit: Fit, amount: Amount, max: number): number {
  const { sliceBytes, overheadBytes, overheadsMax, compute } = fit;
  const most = compute === 0 ? max : Math.min(max, Math.floor(amount.compute / compute));
  const charged = Math.floor(amount.bytes / (sliceBytes + overheadBytes));
  if (charged < overheadsMax) return Math.min(most, charged);
  return Math.min(most, Math.floor((amount.bytes - overheadsMax * overheadBytes) / sliceBytes));
}

/** Whether slices may be placed on the device, were it not kept for the head. */
export const isUsable = (device: DeviceRecord): boolean => !device.removed && device.cordon === undefined;

/** As `isUsable`, for what the plan may use. What comes back is not new on its device, so that a cordon does not keep it away. */
export const mayServe = (plan: Plan, device: DeviceRecord): boolean =>
  (plan.exact === undefined ? isUsable(device) : !device.removed) && plan.narrow?.has(device) !== false;

/** What so many slices of a plan take on a device; undefined where it has no use for the device. */
export function needFor(plan: Plan, device: DeviceRecord, slices: number): Amount | undefined {
  if (plan.exact !== undefined) return plan.exact.get(device);
  const fit = plan.fitOf.get(device.class);
  return fit === undefined ? undefined : needOf(fit, slices);
}

/** The most that a plan takes on a device: how many of its slices, and what they need. */
export function mostFor(
  plan: Plan,
  device: DeviceRecord,
): { readonly room: number; readonly need: Amount } | undefined {
  const fit = plan.fitOf.get(device.class);
  const room = fit === undefined ? 1 : slicesWithin(fit, allOf(device.spec), plan.perDevice);
  const need = needFor(plan, device, room);
  return need === undefined ? undefined : { room, need };
}

type Parts = Omit<Plan, "possible" | "key" | "version">;

/** Whether some server, were it empty, has room for all slices. */
function isPossible(state: PoolState, parts: Parts): boolean {
  const roomOn = (fit: Fit | undefined): number => {
    if (fit === undefined) return 0;
    if (parts.perDevice === 1) return 1;
    return slicesWithin(fit, allOf(fit.class.sample), parts.perDevice);
  };
  if (parts.narrow !== undefined) return isPossibleOn(parts.narrow, parts, roomOn);
  if (parts.fits.some((fit) => fit.class.largestNest * roomOn(fit) >= parts.count)) return true;
  for (const server of state.mixedServers) if (isPossibleOn(server.devices, parts, roomOn)) return true;
  return false;
}

function isPossibleOn(
  devices: Iterable<DeviceRecord>,
  parts: Parts,
  roomOn: (fit: Fit | undefined) => number,
): boolean {
  const rooms = new Map<ServerRecord, number>();
  for (const device of devices) {
    if (device.removed) continue;
    const room = (rooms.get(device.server) ?? 0) + roomOn(parts.fitOf.get(device.class));
    if (room >= parts.count) return true;
    rooms.set(device.server, room);
  }
  return false;
}

/** What tells plans apart; the quota belongs to it, as it rules out devices on which the request would be too large. */
function planKey(request: PoolRequest, memoryMaxBytes: number): string {
  const { share, count, leases = 1, mode, policy, filters, tolerate, avoid } = request;
  const size = share.kind === "bytes" ? `b${share.bytes}` : `f${share.fraction}`;
  const most = `${memoryMaxBytes} ${request.compute ?? ""}`;
  const plain = `${size} ${count} ${leases} ${perDevice(request)} ${mode ?? ""} ${policy ?? ""} ${most}`;
  if (filters === undefined && tolerate === undefined && avoid === undefined) return plain;
  return `${plain} ${JSON.stringify([filters, tolerate, avoid])}`;
}

/** Leases do not mind each other on a device; slices of one lease do, unless the request says otherwise. */
const perDevice = (request: PoolRequest): number =>
  request.sameDevice === true ? slicesOf(request) : (request.leases ?? 1);

function fitsOf(
  state: PoolState,
  request: PoolRequest,
  limits: { filters: readonly Filter[]; memoryMaxBytes: number },
): Fit[] {
  const fits: Fit[] = [];
  const slices = slicesOf(request);
  const overheadsMax = request.mode === "profile" ? Number.POSITIVE_INFINITY : (request.leases ?? 1);
  const broad = limits.filters.filter((filter) => !filter.isNarrow);
  for (const deviceClass of state.classes.values()) {
    const { sample } = deviceClass;
    const fit = fitSlice(request, sample);
    if (fit === undefined || (fit.sliceBytes + fit.overheadBytes) * slices > limits.memoryMaxBytes) continue;
    if (!broad.every((filter) => meets(sample, filter)) || labelObstacle(sample, request) !== undefined) continue;
    fits.push({ class: deviceClass, ...fit, overheadsMax });
  }
  // An exclusive request leaves shared devices to others where it can.
  const isShared = (fit: Fit): number => (fit.class.sample.sharing?.mode === "exclusive" ? 0 : 1);
  return request.mode === "exclusive" ? fits.sort((a, b) => isShared(a) - isShared(b)) : fits;
}

function narrowDevices(
  state: PoolState,
  fitOf: ReadonlyMap<DeviceClass, Fit>,
  filters: readonly Filter[],
): Set<DeviceRecord> | undefined {
  const narrow = filters.filter((filter) => filter.isNarrow);
  if (narrow.length === 0) return undefined;
  const all = [...state.devices.values()];
  return new Set(
    all.filter((device) => fitOf.has(device.class) && narrow.every((filter) => meets(device.spec, filter))),
  );
}

/** The plan of a request, shared with all that ask for the same while the inventory stays. */
export function planFor(state: PoolState, request: PoolRequest): Plan {
  return planWithin(state, request, state.tenants.get(request.tenant)?.quota.memoryBytes ?? Number.POSITIVE_INFINITY);
}

/** As `planFor`, as if the tenant might hold everything: also for what it holds already, in a reservation. */
export const planWithoutQuota = (state: PoolState, request: PoolRequest): Plan =>
  planWithin(state, request, Number.POSITIVE_INFINITY);

export const isPossibleWithoutQuota = (state: PoolState, request: PoolRequest): boolean =>
  planWithin(state, request, Number.POSITIVE_INFINITY).possible;

function planWithin(state: PoolState, request: PoolRequest, memoryMaxBytes: number): Plan {
  const key = planKey(request, memoryMaxBytes);
  const known = state.plans.get(key);
  if (known !== undefined) return known;
  const filters = (request.filters ?? []).map(parseFilter).filter((filter) => typeof filter !== "string");
  const fits = fitsOf(state, request, { filters, memoryMaxBytes });
  const fitOf = new Map(fits.map((fit) => [fit.class, fit]));
  const count = slicesOf(request);
  const costs = fits.map((fit) => (fit.sliceBytes + fit.overheadBytes) * count);
  const parts: Parts = {
    fits,
    fitOf,
    count,
    leases: request.leases ?? 1,
    perDevice: perDevice(request),
    costBytes: costs.length === 0 ? 1 : Math.min(...costs),
    costMostBytes: Math.max(0, ...costs),
    // A device that is empty of leases has all its time, and one of fixed slices has as many parts of it.
    isComputeBound: request.compute !== undefined && (request.mode ?? "dynamic") === "dynamic",
    policy: request.policy ?? "pack",
    filters,
    narrow: narrowDevices(state, fitOf, filters),
  };
  const plan: Plan = { key, version: state.inventoryVersion, ...parts, possible: isPossible(state, parts) };
  if (state.plans.size >= PLANS_MAX) state.plans.clear();
  state.plans.set(key, plan);
  return plan;
}

/** Plans are worked out anew after the inventory has changed. */
export function refreshPlan(state: PoolState, record: RequestRecord): void {
  if (record.plan.version !== state.inventoryVersion) replan(state, record);
}

export function replan(state: PoolState, record: RequestRecord): void {
  if (record.lease !== undefined) return;
  record.plan = (record.reservation === undefined ? planFor : planWithoutQuota)(state, record.request);
}
