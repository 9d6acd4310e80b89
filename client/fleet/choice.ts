/**
 * Which of several servers that could serve a request now is asked for it: by the policy by which each of them chooses among its own
 * devices (server/pool/placement.ts), `pack` unless the request names another. Pure.
 */
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { Device__Output as DeviceInfo } from "../../proto/generated/sluice/v1/Device.ts";
import type { Slice__Output as SliceInfo } from "../../proto/generated/sluice/v1/Slice.ts";

/** What a server would grant, and its devices as they are without it. */
export interface Offer {
  readonly slices: readonly SliceInfo[];
  readonly warnings: readonly string[];
  readonly devices: readonly DeviceInfo[];
}

interface Measure {
  readonly warnings: number;
  /** Bytes free afterwards on the devices that are taken. */
  readonly left: number;
  /** Their whole size. */
  readonly size: number;
  /** Bytes free on the server now. */
  readonly free: number;
}

function measure({ slices, warnings, devices }: Offer): Measure {
  const taken = devices.filter(({ id }) => slices.some(({ deviceId }) => deviceId === id));
  const sum = (bytes: readonly number[]): number => bytes.reduce((all, one) => all + one, 0);
  return {
    warnings: warnings.length,
    left:
      sum(taken.map(({ freeBytes }) => freeBytes)) -
      sum(slices.map(({ memoryBytes, overheadBytes }) => memoryBytes + overheadBytes)),
    size: sum(taken.map(({ memoryBytes }) => memoryBytes)),
    free: sum(devices.map(({ freeBytes }) => freeBytes)),
  };
}

/** Below 0 when `a` is the better offer, 0 when both are as good. */
export function compareOffers(a: Offer, b: Offer, policy: AllocateRequest["policy"]): number {
  const [one, other] = [measure(a), measure(b)];
  if (policy === "PLACEMENT_POLICY_SPREAD") return other.left - one.left || other.free - one.free;
  const joined = policy === "PLACEMENT_POLICY_TOPOLOGY" ? one.warnings - other.warnings : 0;
  // What leaves a whole server empty leaves room for those who need many devices of one.
  return joined || one.left - other.left || one.size - other.size || one.free - other.free;
}
