/** Why a request is not served now, device by device, in words. Changes nothing. */
import type { DeviceReason } from "../../shared/errors.ts";
import { formatSize } from "../../shared/units.ts";
import { allOf, freeOn } from "./amount.ts";
import { labelObstacle, meets } from "./filter.ts";
import { quotaObstacle } from "./quota.ts";
import { chargeOf, isUsable, profileCompute, slicesWithin } from "./request.ts";
import { countInside } from "./reservation.ts";
import type { DeviceRecord, Plan, PoolState, RequestRecord, ReservationRecord, ServerRecord } from "./state.ts";
import { COMPUTE_WHOLE, type PoolRequest } from "./types.ts";

/** Devices that reasons are given for, those nearest to having room first. A server has fewer; a large pool has no use for more. */
const REASONS_MAX = 16;
/** Who asks for an explanation gets a reason for every device that one server can have. */
export const EXPLAINED_MAX = 256;

function memoryReason(device: DeviceRecord, plan: Plan, request: PoolRequest): DeviceReason | undefined {
  const { id, memoryBytes, sliceBytesMax, overheadBytes } = device.spec;
  const fit = plan.fitOf.get(device.class);
  const reason = (message: string): DeviceReason => ({ device: id, code: "NOT_ENOUGH_MEMORY", message });
  if (fit !== undefined) {
    const charge = chargeOf(fit, 1);
    if (device.freeBytes >= charge) return computeReason(device, fit.compute);
    if (request.mode === "exclusive") {
      const message = `Device [${id}] has [${device.leases.size}] leases, and the request wants it whole.`;
      return { device: id, code: "EXCLUSIVE_CONFLICT", message };
    }
    return reason(
      `Device [${id}] has [${formatSize(device.freeBytes)}] free, and the request takes [${formatSize(charge)}].`,
    );
  }
  const { sharing } = device.spec;
  const part = sharing?.mode === "profile" ? profileCompute(memoryBytes, sharing.profileBytes) : COMPUTE_WHOLE;
  if ((request.compute ?? 0) > part) {
    const parts = `[${part / COMPUTE_WHOLE}] of its time, and the request asks for [${request.compute! / COMPUTE_WHOLE}]`;
    return { device: id, code: "NOT_ENOUGH_COMPUTE", message: `A slice of device [${id}] has ${parts}.` };
  }
  if (request.share.kind === "fraction") {
    return reason(
      `The fraction [${request.share.fraction}] of device [${id}] is less than its smallest slice, or more than its largest.`,
    );
  }
  const most = Math.min(sliceBytesMax, memoryBytes - overheadBytes);
  return reason(
    `Device [${id}] lends [${formatSize(most)}] at most, and the request asks for [${formatSize(request.share.bytes)}].`,
  );
}

/** Whether all has been promised that the request wants of the device's time. */
function computeReason({ spec: { id }, freeCompute }: DeviceRecord, wanted: number): DeviceReason | undefined {
  if (freeCompute >= wanted) return undefined;
  const parts = `[${freeCompute / COMPUTE_WHOLE}] of its time to promise, and the request asks for [${wanted / COMPUTE_WHOLE}]`;
  return { device: id, code: "NOT_ENOUGH_COMPUTE", message: `Device [${id}] has ${parts}.` };
}

/** Which condition of the request the device does not meet. */
function filterReason(device: DeviceRecord, plan: Plan, request: PoolRequest): string | undefined {
  const { spec } = device;
  const failed = plan.filters.find((filter) => !meets(spec, filter));
  if (failed !== undefined) return `does not meet the filter [${failed.text}]`;
  const obstacle = labelObstacle(spec, request);
  if (obstacle !== undefined) return obstacle;
  const mode = request.mode ?? "dynamic";
  const sharing = spec.sharing?.mode ?? "dynamic";
  const serves = mode === sharing || (mode === "exclusive" && sharing === "dynamic");
  return serves ? undefined : `serves [${sharing}] requests, and this one is [${mode}]`;
}

/** Why one device does not serve the request now; undefined when it has room. */
function deviceReason(device: DeviceRecord, plan: Plan, request: PoolRequest): DeviceReason | undefined {
  const device_ = device.spec.id;
  if (device.removed) {
    return { device: device_, code: "DEVICE_UNHEALTHY", message: `Device [${device_}] is being removed.` };
  }
  if (device.cordon !== undefined) {
    const { code, message } = device.cordon;
    return { device: device_, code, message: `Device [${device_}] takes no new leases: ${message}` };
  }
  const filtered = filterReason(device, plan, request);
  if (filtered !== undefined)
    return { device: device_, code: "FILTERED_OUT", message: `Device [${device_}] ${filtered}.` };
  const memory = memoryReason(device, plan, request);
  if (memory !== undefined) return memory;
  if (!device.withheld) return undefined;
  return {
    device: device_,
    code: "AHEAD_IN_QUEUE",
    message: `Device [${device_}] is kept for the first request of the queue.`,
  };
}

function* nearestDevices(state: PoolState, max: number): IterableIterator<DeviceRecord> {
  if (state.devices.size <= max) {
    yield* state.devices.values();
    return;
  }
  for (const deviceClass of state.classes.values()) {
    let left = Math.ceil(max / state.classes.size);
    for (const device of deviceClass.devices.backwards()) {
      if (left-- === 0) break;
      yield device;
    }
  }
}

/** Why the request waits: what stands in its way on each device, or that others are before it. */
export function reasonsFor(state: PoolState, record: RequestRecord, max = REASONS_MAX): DeviceReason[] {
  const { plan, request } = record;
  const reasons: DeviceReason[] = [];
  const quota = quotaObstacle(record, record.reservation === undefined ? "anywhere" : "inside");
  if (quota !== undefined) reasons.push({ device: "", code: "QUOTA_EXCEEDED", message: quota });
  if (record.reservation !== undefined) return [...reasons, insideReason(record, record.reservation)];
  const isHolder = state.headRoom?.holder === record;
  if (plan.exact !== undefined) return [...reasons, ...comebackReasons(plan.exact, isHolder)];
  let withRoom = 0;
  for (const device of nearestDevices(state, max)) {
    const reason = deviceReason(device, plan, request);
    // What is kept for the request itself is not in its way.
    if (reason === undefined || (isHolder && reason.code === "AHEAD_IN_QUEUE")) withRoom++;
    else if (reasons.length < max) reasons.push(reason);
  }
  if (quota !== undefined) return reasons;
  const together =
    plan.perDevice > 1 && withRoom > 0 ? mostTogether(state, plan, isHolder ? "kept" : "now") : plan.count;
  if (together < plan.count) {
    const message = `A server has room for [${together}] of the [${plan.count}] slices that the request takes together.`;
    reasons.unshift({ device: "", code: "NOT_ENOUGH_MEMORY", message });
  } else if (withRoom >= plan.count || (withRoom > 0 && plan.perDevice > 1)) {
    reasons.unshift({
      device: "",
      code: "AHEAD_IN_QUEUE",
      message: "There may be room, but other requests are served first.",
    });
  } else if (withRoom > 0) {
    const message = `Only [${withRoom}] of the [${plan.count}] devices that one server must have for the request have room.`;
    reasons.unshift({ device: "", code: "TOO_FEW_DEVICES", message });
  }
  return reasons;
}

/** What keeps a suspended lease away. */
function comebackReasons(exact: NonNullable<Plan["exact"]>, isHolder: boolean): DeviceReason[] {
  const reasons = [...exact].flatMap(([device, { bytes, compute }]): DeviceReason[] => {
    const { id } = device.spec;
    if (device.freeBytes < bytes) {
      const message = `Device [${id}] has [${formatSize(device.freeBytes)}] free, and the suspended lease takes [${formatSize(bytes)}] there.`;
      return [{ device: id, code: "NOT_ENOUGH_MEMORY", message }];
    }
    const short = computeReason(device, compute);
    if (short !== undefined) return [short];
    if (!device.withheld || isHolder) return [];
    const message = `Device [${id}] is kept for the first request of the queue.`;
    return [{ device: id, code: "AHEAD_IN_QUEUE", message }];
  });
  if (reasons.length > 0) return reasons;
  return [{ device: "", code: "AHEAD_IN_QUEUE", message: "There may be room, but other requests are served first." }];
}

function insideReason({ plan }: RequestRecord, reservation: ReservationRecord): DeviceReason {
  const { free, all } = countInside(reservation, plan);
  const sizes = `[${free}] of its [${all}] slices free`;
  const message = `The reservation [${reservation.terms.id}] has ${sizes}, and the request wants [${plan.count}].`;
  if (free < plan.count) return { device: "", code: "RESERVATION_FULL", message };
  return {
    device: "",
    code: "AHEAD_IN_QUEUE",
    message: "There may be room in the reservation, but other requests are served first.",
  };
}

/** Why no pool with these devices could ever serve the request. */
export function impossibleReasons(state: PoolState, plan: Plan, request: PoolRequest): DeviceReason[] {
  const reasons: DeviceReason[] = [];
  for (const device of state.devices.values()) {
    if (reasons.length >= EXPLAINED_MAX) break;
    if (isUsable(device) && plan.fitOf.has(device.class) && plan.narrow?.has(device) !== false) continue;
    const reason = deviceReason(device, plan, request);
    if (reason !== undefined) reasons.push(reason);
  }
  if (plan.fits.length > 0) {
    const most = mostTogether(state, plan, "empty");
    const message =
      plan.perDevice === 1
        ? `The request needs [${plan.count}] devices on one server, and no server has more than [${most}] that could serve it.`
        : `The request needs room for [${plan.count}] slices on one server, and no server has it for more than [${most}].`;
    reasons.unshift({ device: "", code: "TOO_FEW_DEVICES", message });
  }
  return reasons;
}

/** The most slices of the plan that one server has room for: now, also on what is kept for the first of the queue, or were it empty. */
const mostTogether = (state: PoolState, plan: Plan, when: "now" | "kept" | "empty"): number =>
  Math.max(0, ...[...state.servers.values()].map((server) => roomOn(server, plan, when)));

function roomOn(server: ServerRecord, plan: Plan, when: "now" | "kept" | "empty"): number {
  let room = 0;
  for (const device of server.devices) {
    const fit = plan.fitOf.get(device.class);
    if (fit === undefined || device.removed || plan.narrow?.has(device) === false) continue;
    if (when !== "empty" && (device.cordon !== undefined || (device.withheld && when === "now"))) continue;
    room += slicesWithin(fit, when === "empty" ? allOf(device.spec) : freeOn(device), plan.perDevice);
  }
  return room;
}
