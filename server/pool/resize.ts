/**
 * Growing and shrinking a slice of a running lease. What it grows is held from the moment of the effect `resize`; what it shrinks is
 * free only once the executor has confirmed it. One resize of a lease at a time.
 */

import type { ErrorCode } from "../../shared/errors.ts";
import { formatSize } from "../../shared/units.ts";
import { lookAgain, resizeSlice } from "./inventory.ts";
import { changeHeld } from "./queue.ts";
import type { LeaseRecord, PoolState } from "./state.ts";
import type { Effect, PoolEvent, Slice } from "./types.ts";

type Asked = PoolEvent & { kind: "resizeAsked" };

const refused = (id: string, code: ErrorCode, message: string): Effect[] => [
  { kind: "resizeRefused", id, code, message },
];

export function askResize(state: PoolState, lease: LeaseRecord, asked: Asked): Effect[] {
  const { id } = asked;
  const before = lease.slices[asked.index];
  if (before === undefined) return refused(id, "NO_SUCH_DEVICE", `The lease has no slice [${asked.index}].`);
  if (lease.suspension !== undefined && lease.state !== "ending")
    return refused(id, "SESSION_BUSY", `The lease is [${lease.state}]: it can change its size when it goes on.`);
  if (lease.state !== "granted")
    return refused(id, "LEASE_ENDED", `The lease is [${lease.state}], and keeps its size.`);
  if (lease.resizing !== undefined) return refused(id, "SESSION_BUSY", "The lease is changing its size already.");
  if (!Number.isSafeInteger(asked.bytes) || asked.bytes < 1) {
    return refused(id, "BAD_ARGUMENT", `The size [${asked.bytes}] is not a whole number of bytes from 1 to 2^53-1.`);
  }
  const device = state.devices.get(before.deviceId)!;
  if (device.spec.sharing !== undefined && device.spec.sharing.mode !== "dynamic") {
    return refused(id, "UNSUPPORTED", `Device [${before.deviceId}] lends no other sizes.`);
  }
  const unit = device.spec.granularityBytes;
  const bytes = Math.ceil(asked.bytes / unit) * unit;
  if (bytes < asked.usedBytes) {
    const sizes = `[${formatSize(bytes)}] is less than the [${formatSize(asked.usedBytes)}] in use`;
    return refused(id, "BAD_ARGUMENT", `The new size ${sizes}.`);
  }
  if (bytes > device.spec.sliceBytesMax) {
    const most = formatSize(device.spec.sliceBytesMax);
    return refused(id, "IMPOSSIBLE_REQUEST", `Device [${before.deviceId}] has no slices larger than [${most}].`);
  }
  return bytes > before.bytes
    ? grow(state, lease, { ...before, bytes })
    : begin(lease, { before, after: { ...before, bytes } });
}

function begin(lease: LeaseRecord, change: { readonly before: Slice; readonly after: Slice }): Effect[] {
  lease.resizing = change;
  return [{ kind: "resize", id: lease.terms.id, slice: change.after, previousBytes: change.before.bytes }];
}

function grow(state: PoolState, lease: LeaseRecord, after: Slice): Effect[] {
  const before = lease.slices[after.index]!;
  const device = state.devices.get(after.deviceId)!;
  const more = after.bytes - before.bytes;
  const { quota, heldBytes } = lease.tenant;
  if (quota.memoryBytes !== undefined && heldBytes + more > quota.memoryBytes) {
    const message = `The tenant holds [${formatSize(heldBytes)}], and its quota allows [${formatSize(quota.memoryBytes)}].`;
    return refused(lease.terms.id, "QUOTA_EXCEEDED", message);
  }
  if (device.withheld || device.freeBytes < more) {
    const why = device.withheld
      ? "is kept for the first request of the queue"
      : `has [${formatSize(device.freeBytes)}] free`;
    const message = `Device [${after.deviceId}] ${why}, and the slice would take [${formatSize(more)}] more.`;
    return refused(lease.terms.id, "NO_CAPACITY", message);
  }
  replace(state, lease, after);
  return begin(lease, { before, after });
}

/** Gives the slice its new size in all sums. */
function replace(state: PoolState, lease: LeaseRecord, after: Slice): void {
  const before = lease.slices[after.index]!;
  resizeSlice(state, before, after);
  lease.slices = lease.slices.with(after.index, after);
  lease.held = lease.slices;
  changeHeld(state, lease.tenant, { bytes: after.bytes - before.bytes, slices: 0, leases: 0 });
  if (after.bytes < before.bytes) state.passNeeded = true;
  else lookAgain(state);
}

/** The executor has changed the slice, or it could not. */
export function finishResize(
  state: PoolState,
  lease: LeaseRecord,
  outcome: "resizeConfirmed" | "resizeFailed",
): Effect[] {
  const { resizing } = lease;
  if (resizing === undefined || lease.state === "ending") return [];
  lease.resizing = undefined;
  lookAgain(state);
  const slice = outcome === "resizeConfirmed" ? resizing.after : resizing.before;
  if (lease.slices[slice.index]!.bytes !== slice.bytes) replace(state, lease, slice);
  return [];
}
