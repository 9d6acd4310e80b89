/** A slice of the stand-in's first card, in this process, whose account begins anew. */
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceSlice, SliceOptions } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin } from "../cuda/standin.ts";

export async function openStandinSlice(
  options: Pick<SliceOptions, "arenaBytes"> & Partial<SliceOptions>,
): Promise<DeviceSlice> {
  standin.clear();
  const [description] = await cudaDriver.discover("0");
  const plain = { description: description!, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput: () => undefined };
  return cudaDriver.open({ ...plain, ...options });
}
