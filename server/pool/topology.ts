/** Which devices of a server are joined by NVLink, and which set of several belongs together best. */
import type { DeviceRecord } from "./state.ts";

const linksBetween = (a: DeviceRecord, b: DeviceRecord): number =>
  Math.max(a.spec.links?.[b.spec.id] ?? 0, b.spec.links?.[a.spec.id] ?? 0);

/** How well a set is joined: first the number of pairs with a link, then the number of links. */
export interface Joint {
  readonly pairs: number;
  readonly links: number;
}

export function jointOf(devices: readonly DeviceRecord[]): Joint {
  let pairs = 0;
  let links = 0;
  for (const [index, device] of devices.entries()) {
    for (const other of devices.slice(index + 1)) {
      const count = linksBetween(device, other);
      links += count;
      if (count > 0 || device === other) pairs++;
    }
  }
  return { pairs, links };
}

/** Whether every pair of the set has a link. */
export const isJoined = (devices: readonly DeviceRecord[]): boolean =>
  jointOf(devices).pairs === (devices.length * (devices.length - 1)) / 2;

/** Of several sets, each for itself. */
export const sumOf = (joints: readonly Joint[]): Joint => ({
  pairs: joints.reduce((sum, { pairs }) => sum + pairs, 0),
  links: joints.reduce((sum, { links }) => sum + links, 0),
});

export const isBetterJoint = (a: Joint, b: Joint): boolean =>
  a.pairs > b.pairs || (a.pairs === b.pairs && a.links > b.links);

/**
 * `count` of the devices that are joined best, found from every device as a seed by adding the one that is joined best to those
 * taken. Earlier devices win ties. Not always the very best set, but a fully joined group of a switch or a ring is found.
 */
export function bestJoined(devices: readonly DeviceRecord[], count: number): DeviceRecord[] | undefined {
  if (devices.length < count) return undefined;
  let best: DeviceRecord[] | undefined;
  for (const seed of devices) {
    const taken = [seed];
    while (taken.length < count) taken.push(nextJoined(devices, taken));
    if (best === undefined || isBetterJoint(jointOf(taken), jointOf(best))) best = taken;
  }
  return best;
}

function nextJoined(devices: readonly DeviceRecord[], taken: readonly DeviceRecord[]): DeviceRecord {
  let best: { device: DeviceRecord; joint: Joint } | undefined;
  for (const device of devices) {
    if (taken.includes(device)) continue;
    const joint = jointOf([...taken, device]);
    if (best === undefined || isBetterJoint(joint, best.joint)) best = { device, joint };
  }
  return best!.device;
}
