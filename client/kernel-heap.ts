/**
 * The memory on which kernels of a device allocate by themselves (malloc, new): a buffer of the slice, taken with the first module that has such
 * kernels and kept to the session's end, since what they have allocated outlives them.
 */
import { encodeHeapCall, Opcode } from "../shared/generated/calls.ts";
import { type Size, sizeInBytes } from "./allocate-options.ts";
import { DeviceBuffer } from "./buffer.ts";
import type { DeviceContext } from "./context.ts";
import type { Module } from "./module.ts";

/** As in CUDA. */
const HEAP_SIZE_DEFAULT: Size = "8MiB";

export interface HeapOptions {
  /**
   * The memory of the slice on which kernels of this device allocate by themselves (malloc, new). It is taken with the first module that has such
   * kernels, and serves all others to the end of the session; what a later one asks for counts no more. Not on devices whose driver has a heap of
   * its own (`cuda`). Default `8MiB`.
   */
  readonly heap?: Size;
}

/** @throws SluiceError BAD_ARGUMENT */
export const heapBytesOf = ({ heap = HEAP_SIZE_DEFAULT }: HeapOptions): number => sizeInBytes(heap, "heap of kernels");

/** Gives the device a heap if the module's kernels use one and there is none. Without room for it the module is unloaded. @throws SluiceError OUT_OF_MEMORY */
export function provideHeap(context: DeviceContext, module: Module, heapBytes: number): Module {
  if (context.heap.isThere || !module.kernels.some(({ usesHeap }) => usesHeap !== 0)) return module;
  try {
    const { address, byteLength } = new DeviceBuffer(context, heapBytes);
    context.session.issue(Opcode.heap, { address, byteCount: byteLength }, encodeHeapCall);
    context.heap.isThere = true;
  } catch (error) {
    module.unload();
    throw error;
  }
  return module;
}
