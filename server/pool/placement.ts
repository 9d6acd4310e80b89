/**
 * Finds room for a request among the open devices, by its policy: leaving the least behind, on the emptiest devices, or on devices
 * joined by NVLink. Decides nothing else and changes nothing. Logarithmic in the number of devices; linear only in those of a few
 * servers, over servers with devices of several classes, over the devices that filters on single devices leave, and for who asks for time.
 */
import { covers, freeOn } from "./amount.ts";
import { chargeOf, needOf, slicesWithin } from "./request.ts";
import type { DeviceRecord, Fit, Nest, Plan, PoolState, ServerRecord } from "./state.ts";
import { bestJoined, isBetterJoint, isJoined, type Joint, jointOf, sumOf } from "./topology.ts";
import type { Slice } from "./types.ts";

/** Servers that are compared for the best joined devices. */
const TOPOLOGY_SERVERS_MAX = 8;

/** Devices in the order of the lease's slices; one stands several times when several slices are on it. */
export type Place = readonly DeviceRecord[];

type Usable = (device: DeviceRecord) => boolean;

/** The best place on one server for all slices, looking at the devices for which `usable` holds. */
export function placeOnServer(server: ServerRecord, plan: Plan, usable: Usable): Place | undefined {
  if (plan.exact !== undefined) return placeAgain(plan.exact, () => true);
  const found: { device: DeviceRecord; room: number; left: number }[] = [];
  for (const device of server.devices) {
    const fit = plan.fitOf.get(device.class);
    if (fit === undefined || !usable(device) || plan.narrow?.has(device) === false) continue;
    const room = slicesWithin(fit, freeOn(device), plan.perDevice);
    if (room > 0) found.push({ device, room, left: device.freeBytes - chargeOf(fit, 1) });
  }
  const sign = plan.policy === "spread" ? -1 : 1;
  found.sort((a, b) => sign * (a.left - b.left) || a.device.order - b.device.order);
  return (plan.policy === "topology" ? shareJoined(found, plan) : undefined) ?? share(found, plan);
}

/** The devices that a suspended lease was on, if all of them have room for it. */
function placeAgain(exact: NonNullable<Plan["exact"]>, usable: Usable): Place | undefined {
  const hasRoom = [...exact].every(
    ([device, need]) => !device.removed && usable(device) && covers(freeOn(device), need),
  );
  return hasRoom ? [...exact.keys()] : undefined;
}

type Found = readonly { readonly device: DeviceRecord; readonly room: number }[];

/** Gives each lease the devices that are joined best, of those that still have room. Not where slices of one lease may be on one device. */
function shareJoined(found: Found, plan: Plan): Place | undefined {
  const { leases, count, perDevice } = plan;
  if (perDevice !== leases) return undefined;
  const taken = new Map<DeviceRecord, number>();
  const parts: DeviceRecord[][] = [];
  while (parts.length < leases) {
    const left = found.filter(({ device, room }) => (taken.get(device) ?? 0) < room);
    const part = bestJoined(
      left.map(({ device }) => device),
      count / leases,
    );
    if (part === undefined) return undefined;
    for (const device of part) taken.set(device, (taken.get(device) ?? 0) + 1);
    parts.push(part);
  }
  // In the order in which `deal` gives them out.
  return Array.from({ length: count }, (_, index) => parts[index % leases]![Math.floor(index / leases)]!);
}

/** Fills one device after the other; leases that are to be spread go to all of them in turn. Slices on one device stand together. */
function share(found: Found, plan: Plan): Place | undefined {
  const step = plan.leases > 1 && plan.policy === "spread" ? 1 : plan.count;
  const taken = found.map(() => 0);
  let left = plan.count;
  for (let least = 0; left > 0 && found.some(({ room }) => room > least); least += step) {
    for (const [index, { room }] of found.entries()) {
      const more = Math.min(Math.max(0, room - taken[index]!), step, left);
      taken[index]! += more;
      left -= more;
    }
  }
  return left > 0
    ? undefined
    : found.flatMap(({ device }, index) => Array.from({ length: taken[index]! }, () => device));
}

const isOpen: Usable = (device) => device.filed;

/** Whether a place that leaves `left` bytes is better than the best so far. */
const isBetterLeft = (plan: Plan, left: number, best: { readonly left: number } | undefined): boolean =>
  best === undefined || (plan.policy === "spread" ? left > best.left : left < best.left);

/** All slices on one device. */
function placeOnOne(plan: Plan): Place | undefined {
  let best: { device: DeviceRecord; left: number } | undefined;
  for (const fit of plan.fits) {
    const charge = chargeOf(fit, plan.count);
    const { devices } = fit.class;
    const device =
      plan.policy === "spread" ? devices.last() : devices.ceiling((candidate) => candidate.freeBytes >= charge);
    if (device === undefined || device.freeBytes < charge) continue;
    const left = device.freeBytes - charge;
    if (isBetterLeft(plan, left, best)) best = { device, left };
  }
  return best === undefined ? undefined : Array.from({ length: plan.count }, () => best.device);
}

/** All slices on one device, where they may be and are not to be spread. */
const placeTogether = (plan: Plan): Place | undefined =>
  plan.perDevice < plan.count || (plan.leases > 1 && plan.policy === "spread") ? undefined : placeOnOne(plan);

/** Devices of one class on one server. */
function placeInNest(plan: Plan): Place | undefined {
  const { count } = plan;
  let best: { nest: Nest; left: number } | undefined;
  for (const fit of plan.fits) {
    const charge = chargeOf(fit, 1);
    const tree = fit.class.nests[count];
    const nest =
      plan.policy === "spread" ? tree?.last() : tree?.ceiling((candidate) => candidate.filed[count]! >= charge);
    if (nest === undefined || nest.filed[count]! < charge) continue;
    const left = nest.filed[count]! - charge;
    if (isBetterLeft(plan, left, best)) best = { nest, left };
  }
  return best === undefined ? undefined : placeOnServer(best.nest.server, plan, isOpen);
}

/** Servers with so many devices, those first that the policy looks at first. */
function* serversWithRoom(state: PoolState, plan: Plan): IterableIterator<ServerRecord> {
  for (const fit of plan.fits) {
    const charge = chargeOf(fit, 1);
    let left = TOPOLOGY_SERVERS_MAX;
    for (const nest of fit.class.nests[plan.count]?.backwards() ?? []) {
      if (nest.filed[plan.count]! < charge || left-- === 0) break;
      yield nest.server;
    }
  }
  yield* state.mixedServers;
}

/** Room on the first of the servers that has it; by topology, on the one whose devices are joined best. */
function placeOnAny(servers: Iterable<ServerRecord>, plan: Plan): Place | undefined {
  let best: { place: Place; joint: Joint } | undefined;
  for (const server of servers) {
    const place = placeOnServer(server, plan, isOpen);
    if (place === undefined) continue;
    if (plan.policy !== "topology") return place;
    const parts = deal(place, plan.leases);
    if (parts.every(isJoined)) return place;
    const joint = sumOf(parts.map(jointOf));
    if (best === undefined || isBetterJoint(joint, best.joint)) best = { place, joint };
  }
  return best?.place;
}

/** The best single device of these. */
function placeAmong(devices: Iterable<DeviceRecord>, plan: Plan): Place | undefined {
  let best: { device: DeviceRecord; left: number } | undefined;
  for (const device of devices) {
    const fit: Fit | undefined = plan.fitOf.get(device.class);
    if (fit === undefined || !device.filed) continue;
    const left = device.freeBytes - chargeOf(fit, 1);
    if (covers(freeOn(device), needOf(fit, 1)) && isBetterLeft(plan, left, best)) best = { device, left };
  }
  return best === undefined ? undefined : [best.device];
}

/** The devices that the request fits on, whatever else is there. */
function* membersOf(plan: Plan): IterableIterator<DeviceRecord> {
  for (const fit of plan.fits) yield* fit.class.members;
}

/** Room for all slices on open devices, or undefined. */
export function findPlace(state: PoolState, plan: Plan): Place | undefined {
  if (plan.exact !== undefined) return placeAgain(plan.exact, (device) => !device.withheld);
  if (plan.narrow !== undefined) {
    if (plan.count === 1) return placeAmong(plan.narrow, plan);
    return placeOnAny(new Set([...plan.narrow].map((device) => device.server)), plan);
  }
  // The indexes know of memory alone.
  if (plan.isComputeBound)
    return plan.count === 1 ? placeAmong(membersOf(plan), plan) : placeOnAny(state.servers.values(), plan);
  if (plan.count === 1) return placeOnOne(plan);
  if (plan.perDevice > 1) return placeTogether(plan) ?? placeOnAny(state.servers.values(), plan);
  if (plan.policy === "topology") return placeOnAny(serversWithRoom(state, plan), plan);
  return placeInNest(plan) ?? placeOnAny(state.mixedServers, plan);
}

/** The slices that each lease of a plan has at a place. */
export function slicesAt(plan: Plan, place: Place): Slice[][] {
  return deal(place, plan.leases).map((part) =>
    part.map((device, index) => {
      const fit = plan.fitOf.get(device.class)!;
      const isCharged = fit.overheadsMax === Number.POSITIVE_INFINITY || part.indexOf(device) === index;
      return {
        index,
        deviceId: device.spec.id,
        bytes: fit.sliceBytes,
        overheadBytes: isCharged ? fit.overheadBytes : 0,
        ...(fit.compute === 0 ? {} : { compute: fit.compute }),
      };
    }),
  );
}

/** Gives each of several leases its part of what is at a place, in order: of each device one slice, where slices on it stand together. */
export const deal = <T>(all: readonly T[], leases: number): T[][] =>
  Array.from({ length: leases }, (_, lease) => all.filter((_, index) => index % leases === lease));

/** What a client should know about its place. */
export function warningsAt(plan: Plan, place: Place): string[] {
  const apart = plan.policy === "topology" ? deal(place, plan.leases).find((part) => !isJoined(part)) : undefined;
  if (apart === undefined) return [];
  return [`No NVLink joins all of the devices [${apart.map((device) => device.spec.id).join(", ")}].`];
}
