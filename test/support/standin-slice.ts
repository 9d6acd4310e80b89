/** A slice of the stand-in's first card, in this process, whose account begins anew. */
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceSlice, SliceOptions } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin } from "../cuda/standin.ts";
import { isAll } from "./is-all.ts";

const GRANULE_BYTES = 2 * 1024 * 1024;
const PAGE_BYTES = 4096;

export async function openStandinSlice(
  options: Pick<SliceOptions, "arenaBytes"> & Partial<SliceOptions>,
): Promise<DeviceSlice> {
  standin.clear();
  const [description] = await cudaDriver.discover("0");
  const plain = { description: description!, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput: () => undefined };
  return cudaDriver.open({ ...plain, ...options });
}

/**
 * Whether memory is zero wherever the stand-in leaves what others had: in the first and the last page of each granule. To touch every page of some hundred
 * MiB takes seconds.
 */
export async function isZeroed(
  slice: DeviceSlice,
  { address, byteCount }: { readonly address: number; readonly byteCount: number },
): Promise<boolean> {
  const end = address + byteCount;
  for (let edge = address - (address % GRANULE_BYTES); edge <= end; edge += GRANULE_BYTES) {
    const [from, to] = [Math.max(address, edge - PAGE_BYTES), Math.min(end, edge + PAGE_BYTES)];
    const bytes = new Uint8Array(Math.max(0, to - from));
    if (bytes.byteLength > 0) await slice.read(from, bytes, undefined);
    if (!isAll(bytes, 0)) return false;
  }
  return true;
}
