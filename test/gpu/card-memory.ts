/** Memory of the card that is in use, as NVML tells it, and what is left of it behind a piece of work: a driver gives back late. */
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { withinTime } from "../support/time-left.ts";
import type { Row } from "./job.ts";

export interface MemoryOf {
  readonly device: DeviceDescription;
  /** Within this time the driver gives the memory of a process back that has ended. */
  readonly returnLimitMs: number;
}

/** Bytes; undefined where the card does not tell. */
export const usedBytes = async (device: DeviceDescription): Promise<number | undefined> =>
  (await cudaDriver.health!([device]))[0]!.memoryUsedBytes;

/** Waits until no more memory is used than before; tells how much is left over. */
export async function leftOver(
  { device, returnLimitMs }: MemoryOf,
  before: number | undefined,
): Promise<number | undefined> {
  if (before === undefined) return undefined;
  const deadline = performance.now() + withinTime(returnLimitMs);
  for (;;) {
    const left = ((await usedBytes(device)) ?? before) - before;
    if (left <= 0 || performance.now() > deadline) return Math.max(0, left);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const leakRow = (group: string, left: number | undefined): Row => ({
  group,
  name: "bytes left on the card afterwards",
  unit: "B",
  ...(left === undefined ? { note: "NVML does not tell" } : { value: left, ok: left === 0 }),
});
