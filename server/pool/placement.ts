/**
 * Finds room for a request among the open devices: of all places that fit, one that leaves the least behind. Decides nothing else
 * and changes nothing. Logarithmic in the number of devices; linear only in those of a single server, and over servers with devices
 * of several classes.
 */
import { chargeOf, slicesWithin } from "./request.ts";
import type { DeviceRecord, Fit, Nest, Plan, PoolState, ServerRecord } from "./state.ts";
import type { Slice } from "./types.ts";

/** Devices in the order of the lease's slices; one stands several times when several slices are on it. */
export type Place = readonly DeviceRecord[];

const leftOver = (device: DeviceRecord, fit: Fit): number => device.freeBytes - chargeOf(fit, 1);

/** The best place on one server for all slices, looking at the devices for which `usable` holds. */
export function placeOnServer(
  server: ServerRecord,
  plan: Plan,
  usable: (device: DeviceRecord) => boolean,
): Place | undefined {
  const found: { device: DeviceRecord; room: number; left: number }[] = [];
  for (const device of server.devices) {
    const fit = plan.fitOf.get(device.class);
    if (fit === undefined || !usable(device)) continue;
    const room = slicesWithin(fit, { freeBytes: device.freeBytes, max: plan.sameDevice ? plan.count : 1 });
    if (room > 0) found.push({ device, room, left: leftOver(device, fit) });
  }
  found.sort((a, b) => a.left - b.left || a.device.order - b.device.order);
  const place: DeviceRecord[] = [];
  for (const { device, room } of found) {
    for (let slice = 0; slice < room && place.length < plan.count; slice++) place.push(device);
  }
  return place.length === plan.count ? place : undefined;
}

const isOpen = (device: DeviceRecord): boolean => device.filed;

/** All slices on one device. */
function placeOnOne(plan: Plan): Place | undefined {
  let best: { device: DeviceRecord; left: number } | undefined;
  for (const fit of plan.fits) {
    const charge = chargeOf(fit, plan.count);
    const device = fit.class.devices.ceiling((candidate) => candidate.freeBytes >= charge);
    if (device === undefined) continue;
    const left = device.freeBytes - charge;
    if (best === undefined || left < best.left) best = { device, left };
  }
  return best === undefined ? undefined : Array.from({ length: plan.count }, () => best.device);
}

function placeInNest(state: PoolState, plan: Plan): Place | undefined {
  let best: { nest: Nest; left: number } | undefined;
  for (const fit of plan.fits) {
    const charge = chargeOf(fit, 1);
    const nest = fit.class.nests[plan.count]?.ceiling((candidate) => candidate.filed[plan.count]! >= charge);
    if (nest === undefined) continue;
    const left = nest.filed[plan.count]! - charge;
    if (best === undefined || left < best.left) best = { nest, left };
  }
  if (best !== undefined) return placeOnServer(best.nest.server, plan, isOpen);
  return placeOnAny(state.mixedServers, plan);
}

function placeOnAny(servers: Iterable<ServerRecord>, plan: Plan): Place | undefined {
  for (const server of servers) {
    const place = placeOnServer(server, plan, isOpen);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** Room for all slices on open devices, or undefined. */
export function findPlace(state: PoolState, plan: Plan): Place | undefined {
  if (plan.count === 1) return placeOnOne(plan);
  if (!plan.sameDevice) return placeInNest(state, plan);
  return placeOnOne(plan) ?? placeOnAny(state.servers.values(), plan);
}

/** The slices that a plan has at a place. */
export function slicesAt(plan: Plan, place: Place): Slice[] {
  return place.map((device, index) => {
    const fit = plan.fitOf.get(device.class)!;
    const isFirst = place.indexOf(device) === index;
    return {
      index,
      deviceId: device.spec.id,
      bytes: fit.sliceBytes,
      overheadBytes: isFirst ? fit.overheadBytes : 0,
    };
  });
}
