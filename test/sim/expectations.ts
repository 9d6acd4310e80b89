/** What a request must get of a device, worked out anew and without the pool: for the checks of the auditor. */
import type { Effect, PoolDevice, PoolRequest } from "../../server/pool/types.ts";

interface Expected {
  readonly bytes: number;
  readonly overheadBytes: number;
  /** How often the overhead is charged on one device at most: once for each lease, or for each slice. */
  readonly overheadsMax: number;
  /** Thousandths of the device's time. */
  readonly compute: number;
}

const floorTo = (bytes: number, unit: number): number => Number((BigInt(bytes) / BigInt(unit)) * BigInt(unit));

/** What one slice of a request must be on a device, worked out anew; undefined when the device can never serve it. */
export function expectedSlice(request: PoolRequest, device: PoolDevice): Expected | undefined {
  const { share, mode = "dynamic", compute = 0 } = request;
  const overheadsMax = request.leases ?? 1;
  const { memoryBytes, granularityBytes: unit, overheadBytes, sharing = { mode: "dynamic" } } = device;
  const most = Math.min(device.sliceBytesMax, memoryBytes - overheadBytes);
  const part = share.kind === "fraction" ? Math.floor(memoryBytes * share.fraction) : 0;
  if (!meetsLabels(request, device)) return undefined;
  if (mode === "exclusive") {
    if (sharing.mode === "profile" || most < unit) return undefined;
    const bytes = floorTo(most, unit);
    return { bytes, overheadBytes: memoryBytes - bytes, overheadsMax, compute: 1000 };
  }
  if (mode !== sharing.mode) return undefined;
  if (sharing.mode === "profile") {
    const { profileBytes } = sharing;
    const bytes = Math.min(floorTo(profileBytes - overheadBytes, unit), floorTo(device.sliceBytesMax, unit));
    const asked = share.kind === "bytes" ? share.bytes : part - overheadBytes;
    const time = Math.floor(1000 / Math.floor(memoryBytes / profileBytes));
    return asked > bytes || compute > time
      ? undefined
      : { bytes, overheadBytes: profileBytes - bytes, overheadsMax: Number.POSITIVE_INFINITY, compute: time };
  }
  const wanted =
    share.kind === "bytes" ? floorTo(share.bytes + unit - 1, unit) : floorTo(floorTo(part, unit) - overheadBytes, unit);
  return wanted > 0 && wanted <= most ? { bytes: wanted, overheadBytes, overheadsMax, compute } : undefined;
}

/** Knows only the filters `device.id=X` and `label.K=V`, which is enough for tests of placement. */
function meetsLabels(request: PoolRequest, device: PoolDevice): boolean {
  for (const filter of request.filters ?? []) {
    const [key, value] = filter.split("=") as [string, string];
    const fact = key === "device.id" ? device.id : device.labels?.[key.slice("label.".length)];
    if (fact !== value) return false;
  }
  const labels = Object.keys(device.labels ?? {});
  if (labels.some((label) => request.avoid?.includes(label))) return false;
  return (device.taints ?? []).every((taint) => labels.includes(taint) && request.tolerate?.includes(taint) === true);
}

/** What requests must have in common to be interchangeable. */
export function shapeOf(request: PoolRequest): string {
  const {
    id: _id,
    name: _name,
    waitMs: _waitMs,
    requestedAt: _requestedAt,
    idleMs: _idleMs,
    detached: _detached,
    ...rest
  } = request;
  return JSON.stringify(Object.entries(rest).sort());
}

/** Whether one of the effects is of the kind, and about the id. */
export const mentions = (effects: readonly Effect[], id: string, kind: Effect["kind"]): boolean =>
  effects.some((effect) => effect.kind === kind && "id" in effect && effect.id === id);
