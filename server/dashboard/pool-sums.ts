/** What a device's memory is, added up: lent by tenant, overhead, free, and free but out of reach. Pure. */
import type { Device, Lease } from "./live/pool-model.ts";

/** A slice with the lease that holds it. */
export interface HeldSlice {
  readonly lease: Lease;
  readonly bytes: number;
  readonly index: number;
}

export interface DeviceSums {
  readonly device: Device;
  /** The largest first within a tenant. */
  readonly slices: readonly HeldSlice[];
  readonly overheadBytes: number;
  /** Kept for a tenant that does not use it now. */
  readonly reservedBytes: number;
  /** Free and within reach of some request. */
  readonly freeBytes: number;
  /** Free, but no request can have it now. */
  readonly strandedBytes: number;
  /** Why it is out of reach; empty where nothing is. */
  readonly strandedWhy: string;
  /** Part of the time that the device works, 0 to 1. */
  readonly load: number;
  /** Whether the hardware said so, or only the leases' own device time is known. */
  readonly isLoadMeasured: boolean;
}

/** Why the free memory of a device can not be had now; empty where it can. */
function strandedWhy(device: Device): string {
  if (device.draining) return "the device is being drained";
  if (device.cordon !== null) return "the device is cordoned";
  if (device.mode === "SHARING_MODE_EXCLUSIVE" && device.slices > 0) return "the device is lent as a whole";
  return "";
}

function strandedBytes(device: Device): number {
  if (strandedWhy(device) !== "") return device.freeBytes;
  if (device.mode === "SHARING_MODE_PROFILE" && device.profileBytes > 0) return device.freeBytes % device.profileBytes;
  return device.freeBytes < device.granularityBytes + device.overheadPerLeaseBytes ? device.freeBytes : 0;
}

function sumsOf(device: Device, slices: readonly HeldSlice[]): DeviceSums {
  const stranded = strandedBytes(device);
  const utilization = device.health?.utilization;
  const own = slices.reduce((sum, { lease }) => sum + (lease.activity?.deviceLoad ?? 0) / lease.slices.length, 0);
  return {
    device,
    slices,
    overheadBytes: device.overheadBytes,
    reservedBytes: device.reservedBytes,
    freeBytes: device.freeBytes - stranded,
    strandedBytes: stranded,
    strandedWhy: strandedWhy(device) || (stranded > 0 ? "what is left is smaller than any slice" : ""),
    load: Math.min(1, utilization ?? own),
    isLoadMeasured: utilization !== undefined,
  };
}

/** All devices with their sums, by their ids as people count: cpu:2 before cpu:10. */
export function sumsOfPool(devices: Iterable<Device>, leases: Iterable<Lease>): DeviceSums[] {
  const byDevice = new Map<string, HeldSlice[]>();
  for (const lease of leases) {
    if (lease.state === "LEASE_STATE_SUSPENDED") continue;
    for (const { deviceId, memoryBytes, index } of lease.slices) {
      const held = byDevice.get(deviceId) ?? [];
      held.push({ lease, bytes: memoryBytes, index });
      byDevice.set(deviceId, held);
    }
  }
  const order = new Intl.Collator("en", { numeric: true });
  return [...devices]
    .sort((a, b) => order.compare(a.id, b.id))
    .map((device) => {
      const slices = byDevice.get(device.id) ?? [];
      slices.sort((a, b) => order.compare(a.lease.tenant, b.lease.tenant) || a.lease.grantedAtMs - b.lease.grantedAtMs);
      return sumsOf(device, slices);
    });
}

/** Names of states that a device is marked with and filtered by. */
export function statesOf({ device, slices, strandedBytes: stranded }: DeviceSums): string[] {
  const states: string[] = [];
  if (device.cordon?.code === "DEVICE_UNHEALTHY" || (device.health?.problems.length ?? 0) > 0) states.push("unhealthy");
  if (device.draining) states.push("draining");
  else if (device.cordon?.code === "DEVICE_CORDONED") states.push("cordoned");
  if ((device.health?.throttling.length ?? 0) > 0) states.push("throttled");
  if (device.slices === 0) states.push("empty");
  else if (device.freeBytes - stranded === 0) states.push("full");
  if (slices.length > 0) states.push("used");
  return states;
}
