/**
 * Devices and what is free on them: the only place that changes a device's sums. Keeps the indexes by which placement finds room
 * in logarithmic time. Sums are exact: granted, overhead and free add up to the device's memory after every call, and so does its time.
 */
import { classFacts } from "./filter.ts";
import { OrderedTree } from "./ordered-tree.ts";
import type { DeviceClass, DeviceRecord, LeaseRecord, Nest, PoolState, ServerRecord } from "./state.ts";
import { COMPUTE_WHOLE, type Cordon, type PoolDevice, type Slice } from "./types.ts";

/** What devices must have in common to be of one class: all that decides whether a request fits. */
function classKey(device: PoolDevice): string {
  const { memoryBytes, granularityBytes, overheadBytes, sliceBytesMax, sharing = { mode: "dynamic" } } = device;
  return JSON.stringify([memoryBytes, granularityBytes, overheadBytes, sliceBytesMax, sharing, ...classFacts(device)]);
}

const byFree = (a: DeviceRecord, b: DeviceRecord): number => a.freeBytes - b.freeBytes || a.order - b.order;

function classOf(state: PoolState, device: PoolDevice): DeviceClass {
  const key = classKey(device);
  let found = state.classes.get(key);
  if (found === undefined) {
    found = { key, sample: device, devices: new OrderedTree(byFree), nests: [], members: new Set(), largestNest: 0 };
    state.classes.set(key, found);
  }
  return found;
}

function serverOf(state: PoolState, name: string): ServerRecord {
  let found = state.servers.get(name);
  if (found === undefined) {
    found = { name, devices: new Set(), nests: new Map() };
    state.servers.set(name, found);
  }
  return found;
}

function nestOf(state: PoolState, server: ServerRecord, deviceClass: DeviceClass): Nest {
  let found = server.nests.get(deviceClass);
  if (found === undefined) {
    found = { order: state.nextOrder++, server, class: deviceClass, open: [], filed: [], memberCount: 0 };
    server.nests.set(deviceClass, found);
    if (server.nests.size > 1) state.mixedServers.add(server);
  }
  return found;
}

/** The tree of nests by their k-th freest device. */
function nestTree(deviceClass: DeviceClass, k: number): OrderedTree<Nest> {
  while (deviceClass.nests.length <= k) {
    const at = deviceClass.nests.length;
    deviceClass.nests.push(new OrderedTree((a, b) => a.filed[at]! - b.filed[at]! || a.order - b.order));
  }
  return deviceClass.nests[k]!;
}

/** Brings the nest's places in the trees up to date with its open devices, which are sorted. */
function fileNest(nest: Nest): void {
  const before = nest.filed.length;
  for (let k = 2; k < Math.max(before, nest.open.length + 1); k++) {
    const free = nest.open[k - 1]?.freeBytes;
    const filed = nest.filed[k];
    if (filed === free) continue;
    const tree = nestTree(nest.class, k);
    if (filed !== undefined) tree.remove(nest);
    if (free === undefined) continue;
    nest.filed[k] = free;
    tree.insert(nest);
  }
  nest.filed.length = nest.open.length > 1 ? nest.open.length + 1 : 0;
}

const isOpen = (device: DeviceRecord): boolean => !device.removed && !device.withheld && device.cordon === undefined;

/** Changes a device by `change` while it is out of the indexes, and files it again where it then belongs. */
function refile(device: DeviceRecord, change: () => void): void {
  const nest = device.server.nests.get(device.class)!;
  if (device.filed) {
    device.class.devices.remove(device);
    nest.open.splice(nest.open.indexOf(device), 1);
  }
  change();
  device.filed = isOpen(device);
  if (device.filed) {
    device.class.devices.insert(device);
    const at = nest.open.findIndex((other) => byFree(other, device) < 0);
    nest.open.splice(at < 0 ? nest.open.length : at, 0, device);
  }
  fileNest(nest);
}

/** Adds a device; false when its id is known. */
export function addDevice(state: PoolState, spec: PoolDevice): boolean {
  if (state.devices.has(spec.id)) return false;
  for (const value of [spec.memoryBytes, spec.granularityBytes, spec.overheadBytes, spec.sliceBytesMax]) {
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`Device ${spec.id} has a bad size [${value}].`);
  }
  const { sharing } = spec;
  if (sharing?.mode === "profile" && !(Number.isSafeInteger(sharing.profileBytes) && sharing.profileBytes > 0)) {
    throw new Error(`Device ${spec.id} has a bad profile [${sharing.profileBytes}].`);
  }
  if (spec.granularityBytes === 0) throw new Error(`Device ${spec.id} has no granularity.`);
  const server = serverOf(state, spec.server ?? "");
  const deviceClass = classOf(state, spec);
  const device: DeviceRecord = {
    spec,
    order: state.nextOrder++,
    class: deviceClass,
    server,
    freeBytes: spec.memoryBytes,
    grantedBytes: 0,
    overheadBytes: 0,
    reservedBytes: 0,
    freeCompute: COMPUTE_WHOLE,
    leases: new Set(),
    cordon: undefined,
    draining: false,
    removed: false,
    withheld: false,
    filed: false,
  };
  state.devices.set(spec.id, device);
  server.devices.add(device);
  deviceClass.members.add(device);
  const nest = nestOf(state, server, deviceClass);
  nest.memberCount++;
  deviceClass.largestNest = Math.max(deviceClass.largestNest, nest.memberCount);
  refile(device, () => {});
  state.plans.clear();
  state.inventoryVersion++;
  return true;
}

/** Closes a device for good. It stays listed until `forgetDevice`. */
export function closeDevice(state: PoolState, device: DeviceRecord): void {
  refile(device, () => {
    device.removed = true;
  });
  device.server.nests.get(device.class)!.memberCount--;
  const counts = [...state.servers.values()].map((server) => server.nests.get(device.class)?.memberCount ?? 0);
  device.class.largestNest = Math.max(...counts);
  state.plans.clear();
  state.inventoryVersion++;
}

/** Drops a closed device that no lease holds. */
export function forgetDevice(state: PoolState, device: DeviceRecord): void {
  if (!device.removed || device.leases.size > 0) throw new Error(`Device ${device.spec.id} is still in use.`);
  state.devices.delete(device.spec.id);
  device.class.members.delete(device);
  if (device.class.members.size === 0) state.classes.delete(device.class.key);
  const { server } = device;
  server.devices.delete(device);
  if (![...server.devices].some((other) => other.class === device.class)) server.nests.delete(device.class);
  if (server.nests.size < 2) state.mixedServers.delete(server);
  if (server.devices.size === 0) state.servers.delete(server.name);
  state.plans.clear();
  state.inventoryVersion++;
}

export function setCordon(device: DeviceRecord, cordon: Cordon | undefined): void {
  refile(device, () => {
    device.cordon = cordon;
  });
}

export function setWithheld(device: DeviceRecord, withheld: boolean): void {
  if (device.withheld === withheld) return;
  refile(device, () => {
    device.withheld = withheld;
  });
}

/** Changes the size of one slice of a lease; the device must have room for what it grows. */
export function resizeSlice(state: PoolState, before: Slice, after: Slice): void {
  const device = deviceOf(state, before);
  const more = after.bytes - before.bytes;
  if (more > device.freeBytes) throw new Error(`Device ${device.spec.id} has no room to grow a slice.`);
  refile(device, () => {
    device.grantedBytes += more;
    device.freeBytes -= more;
  });
}

/** Moves bytes between granted and free, or reserved where the slice is: `sign` 1 takes a slice, -1 gives it back. */
function move(device: DeviceRecord, slice: Slice, how: { readonly sign: 1 | -1; readonly isReserved: boolean }): void {
  const { sign, isReserved } = how;
  const bytes = sign * (slice.bytes + slice.overheadBytes);
  device.grantedBytes += sign * slice.bytes;
  device.overheadBytes += sign * slice.overheadBytes;
  if (isReserved) device.reservedBytes -= bytes;
  else {
    device.freeCompute -= sign * computeOf(slice);
    refile(device, () => {
      device.freeBytes -= bytes;
    });
  }
  requireSums(device);
}

const computeOf = ({ compute = 0 }: Slice): number => compute;

function requireSums(device: DeviceRecord): void {
  const { freeBytes, grantedBytes, overheadBytes, reservedBytes, freeCompute } = device;
  if (!(freeCompute >= 0 && freeCompute <= COMPUTE_WHOLE)) {
    throw new Error(`Device ${device.spec.id} has [${freeCompute}] thousandths of its time left.`);
  }
  if (freeBytes >= 0 && grantedBytes >= 0 && overheadBytes >= 0 && reservedBytes >= 0) return;
  throw new Error(`Device ${device.spec.id} does not add up: free [${freeBytes}], reserved [${reservedBytes}] bytes.`);
}

/** Keeps a fixed slice out of the free bytes. */
export function reserveSlice(device: DeviceRecord, slice: Slice): void {
  const bytes = slice.bytes + slice.overheadBytes;
  refile(device, () => {
    device.reservedBytes += bytes;
    device.freeBytes -= bytes;
    device.freeCompute -= computeOf(slice);
  });
  requireSums(device);
}

/** Gives a reserved slice that no lease has back to the free bytes. */
export function unreserveSlice(device: DeviceRecord, slice: Slice): void {
  const bytes = slice.bytes + slice.overheadBytes;
  refile(device, () => {
    device.reservedBytes -= bytes;
    device.freeBytes += bytes;
    device.freeCompute += computeOf(slice);
  });
  requireSums(device);
}

const deviceOf = (state: PoolState, slice: Slice): DeviceRecord => state.devices.get(slice.deviceId)!;

/** Keeps nothing for the first of the queue any more. */
export function clearHeadRoom(state: PoolState): void {
  for (const device of state.headRoom?.devices ?? []) setWithheld(device, false);
  state.headRoom = undefined;
}

/** What decides when, or by whose end, the first of the queue is served has changed: if one waits, the next look takes it in. */
export function lookAgain(state: PoolState): void {
  if (state.headRoom !== undefined) state.passNeeded = true;
}

export function takeSlices(state: PoolState, lease: LeaseRecord): void {
  for (const slice of lease.held) {
    const device = deviceOf(state, slice);
    const reserved = lease.reserved?.[slice.index];
    move(device, slice, { sign: 1, isReserved: reserved !== undefined });
    if (reserved !== undefined) reserved.lease = lease;
    device.leases.add(lease);
  }
}

/** Gives back all that the lease holds, and returns the devices that are now empty and were to become so. */
export function giveBackSlices(state: PoolState, lease: LeaseRecord): DeviceRecord[] {
  for (const slice of lease.held) {
    const device = deviceOf(state, slice);
    const reserved = lease.reserved?.[slice.index];
    move(device, slice, { sign: -1, isReserved: reserved !== undefined });
    if (reserved !== undefined) reserved.lease = undefined;
    device.leases.delete(lease);
  }
  return lease.devices.filter((device) => (device.removed || device.draining) && device.leases.size === 0);
}
