/** The calls about memory: which ranges are used, copies and fills. Every address is checked here; see proto/calls.ts. */
import { SluiceError } from "../../shared/errors.ts";
import type {
  AllocateCall,
  CopyFromDeviceAnswer,
  CopyFromDeviceCall,
  CopyFromDeviceStagedCall,
  CopyOnDeviceCall,
  CopyToDeviceCall,
  CopyToDeviceStagedCall,
  FillCall,
  FreeCall,
  HeapCall,
  MemoryInfoAnswer,
  MemoryInfoCall,
  StackLimitAnswer,
  StackLimitCall,
} from "../../shared/generated/calls.ts";
import { ALLOCATION_GRANULARITY_BYTES, ALLOCATIONS_MAX, CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { BULK_BYTES_MIN } from "./answer-stream.ts";
import { Fetching } from "./call-function.ts";
import type { OpenSlice, Workspace } from "./workspace.ts";

const hex = (address: number): string => `0x${address.toString(16)}`;
const paddedBytes = (byteCount: number): number =>
  Math.ceil(byteCount / ALLOCATION_GRANULARITY_BYTES) * ALLOCATION_GRANULARITY_BYTES;

export function allocate(work: Workspace, { address, byteCount }: AllocateCall): void | Promise<void> {
  const slice = work.sliceAt(address);
  const arenaEnd = slice.arenaBase + slice.assignment.arenaBytes;
  if (byteCount > arenaEnd - address) {
    throw new SluiceError(
      "ADDRESS_OUTSIDE_ARENA",
      `The allocation of [${byteCount}] bytes at [${hex(address)}] passes the arena's end [${hex(arenaEnd)}] of device [${slice.index}].`,
    );
  }
  if (byteCount === 0 || address % ALLOCATION_GRANULARITY_BYTES !== 0) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `An allocation of [${byteCount}] bytes at [${hex(address)}] is empty, or not aligned to [${ALLOCATION_GRANULARITY_BYTES}] bytes.`,
    );
  }
  if (slice.allocations.count >= ALLOCATIONS_MAX) {
    throw new SluiceError("TOO_MANY_HANDLES", `The device [${slice.index}] has [${ALLOCATIONS_MAX}] live allocations.`);
  }
  if (!slice.allocations.add({ start: address, end: address + byteCount })) {
    throw new SluiceError(
      "RANGE_IN_USE",
      `The allocation of [${byteCount}] bytes at [${hex(address)}] overlaps a live one.`,
    );
  }
  slice.usedBytes += paddedBytes(byteCount);
  const coming = slice.device.allocated?.(address, byteCount);
  return coming?.catch((error: unknown) => {
    slice.allocations.remove(address);
    slice.usedBytes -= paddedBytes(byteCount);
    throw error;
  });
}

export function free(work: Workspace, { address }: FreeCall): void {
  const slice = work.sliceAtOrUndefined(address);
  const byteCount = slice?.allocations.remove(address);
  if (slice === undefined || byteCount === undefined) {
    throw new SluiceError("NOT_ALLOCATED", `No live allocation starts at [${hex(address)}].`);
  }
  if (slice.heap !== undefined && slice.heap >= address && slice.heap < address + byteCount) {
    slice.allocations.add({ start: address, end: address + byteCount });
    throw new SluiceError("RANGE_IN_USE", `The allocation at [${hex(address)}] holds the heap of kernels.`);
  }
  slice.usedBytes -= paddedBytes(byteCount);
  slice.device.freed?.(address, byteCount);
}

export function heap(work: Workspace, { address, byteCount }: HeapCall): void {
  const slice = work.sliceAt(address);
  work.within(address, byteCount);
  const { device, index } = slice;
  if (slice.heap !== undefined)
    throw new SluiceError("BAD_ARGUMENT", `The device [${index}] has a heap at [${hex(slice.heap)}] already.`);
  if (device.setHeap === undefined)
    throw new SluiceError("UNSUPPORTED", `Kernels of the device [${index}] take no heap of the session's.`);
  if (address % ALLOCATION_GRANULARITY_BYTES !== 0)
    throw new SluiceError(
      "BAD_ARGUMENT",
      `A heap at [${hex(address)}] is not aligned to [${ALLOCATION_GRANULARITY_BYTES}] bytes.`,
    );
  device.setHeap(address, byteCount);
  slice.heap = address;
}

export async function stackLimit(
  work: Workspace,
  { device: index, threadBytes }: StackLimitCall,
): Promise<StackLimitAnswer> {
  const reservedBytes = await work.slice(index).device.setStack?.(threadBytes);
  return { reservedBytes: reservedBytes ?? 0 };
}

export function copyToDevice(work: Workspace, call: CopyToDeviceCall): void | Promise<void> {
  const slice = work.within(call.address, call.data.byteLength);
  const stream = work.stream(call.stream, slice);
  return slice.device.write(call.address, call.data, stream);
}

/** For what is gone before the next call runs: one piece of memory serves them all. */
let scratch: Uint8Array<ArrayBuffer> | undefined;
/** The same for small reads, and the part of it used last: reads of one size often follow each other. */
const smallScratch = new Uint8Array(BULK_BYTES_MIN);
let smallPart = smallScratch;

function takeSmall(byteCount: number): Uint8Array<ArrayBuffer> {
  if (smallPart.length !== byteCount) smallPart = smallScratch.subarray(0, byteCount);
  return smallPart;
}

export function copyFromDevice(
  work: Workspace,
  call: CopyFromDeviceCall,
): CopyFromDeviceAnswer | Promise<CopyFromDeviceAnswer> {
  if (call.byteCount > CALL_DATA_BYTES_MAX) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `A copy from the device of [${call.byteCount}] bytes is larger than [${CALL_DATA_BYTES_MAX}].`,
    );
  }
  const slice = work.within(call.address, call.byteCount);
  const stream = work.stream(call.stream, slice);
  const isBulk = call.byteCount >= BULK_BYTES_MIN;
  // Small data is copied into its frame before the next call runs; large data is sent from where it is, or is the frame's own in a block.
  const lent = isBulk && work.lends ? slice.device.view?.(call.address, call.byteCount) : undefined;
  if (lent !== undefined) return { data: lent };
  const data = isBulk ? work.blocks.take(call.byteCount) : takeSmall(call.byteCount);
  if (isBulk && work.blocks.isWorthLocking(data)) slice.device.adopt?.(data);
  const reading = slice.device.read(call.address, data, stream);
  return reading instanceof Promise ? reading.then(() => ({ data })) : { data };
}

export function copyToDeviceStaged(work: Workspace, call: CopyToDeviceStagedCall): void | Fetching | Promise<void> {
  const part = stagedPart(work, call);
  const slice = work.within(call.address, call.byteCount);
  slice.device.adopt?.(work.staging!.bytes);
  work.staged.toDevice += call.byteCount;
  const stream = work.stream(call.stream, slice);
  const fetched = slice.device.fetch?.(call.address, part, stream);
  if (fetched !== undefined) return new Fetching(fetched);
  return noteCopy(work, slice.device.write(call.address, part, stream));
}

export function copyFromDeviceStaged(work: Workspace, call: CopyFromDeviceStagedCall): void | Promise<void> {
  const part = stagedPart(work, call);
  const slice = work.within(call.address, call.byteCount);
  slice.device.adopt?.(work.staging!.bytes);
  work.staged.fromDevice += call.byteCount;
  return noteCopy(work, slice.device.read(call.address, part, work.stream(call.stream, slice)));
}

/** The file's memory must stay as long as a device uses it. */
function noteCopy(work: Workspace, copying: void | Promise<void>): void | Promise<void> {
  if (copying instanceof Promise) work.stagedCopy = copying;
  return copying;
}

function stagedPart(
  { staging }: Workspace,
  { offset, byteCount }: { readonly offset: number; readonly byteCount: number },
): Uint8Array {
  if (byteCount > CALL_DATA_BYTES_MAX) {
    throw new SluiceError("BAD_ARGUMENT", `A copy of [${byteCount}] bytes is larger than [${CALL_DATA_BYTES_MAX}].`);
  }
  if (staging === undefined) throw new SluiceError("BAD_ARGUMENT", "The session has no staging file.");
  return staging.part(offset, byteCount);
}

export function copyOnDevice(work: Workspace, call: CopyOnDeviceCall): void | Promise<void> {
  const { source, destination, byteCount } = call;
  const from = work.within(source, byteCount);
  const to = work.within(destination, byteCount);
  if (from === to) {
    if (source !== destination && Math.abs(source - destination) < byteCount) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `The copy of [${byteCount}] bytes from [${hex(source)}] to [${hex(destination)}] overlaps itself.`,
      );
    }
    return to.device.copy({ destination, source, byteCount }, work.stream(call.stream, to));
  }
  if (call.stream !== 0) {
    const owner = work.streams.get(call.stream).slice;
    if (owner !== from && owner !== to) work.stream(call.stream, to);
  }
  return copyBetween({ from, to }, call);
}

/**
 * Between two devices of a lease the bytes take the devices' own link, or else go through this process; behind all work of
 * both devices and before all that follows.
 */
async function copyBetween(
  slices: { readonly from: OpenSlice; readonly to: OpenSlice },
  { source, destination, byteCount }: CopyOnDeviceCall,
): Promise<void> {
  const { from, to } = slices;
  await from.device.synchronize();
  await to.device.synchronize();
  if (to.device.copyFrom?.(from.device, { source, destination, byteCount }, undefined)) {
    await to.device.synchronize();
    return;
  }
  scratch ??= new Uint8Array(CALL_DATA_BYTES_MAX);
  for (let done = 0; done < byteCount; done += CALL_DATA_BYTES_MAX) {
    const piece = scratch.subarray(0, Math.min(CALL_DATA_BYTES_MAX, byteCount - done));
    await from.device.read(source + done, piece, undefined);
    await to.device.write(destination + done, piece, undefined);
  }
  await to.device.synchronize();
}

export function fill(work: Workspace, call: FillCall): void | Promise<void> {
  const { address, count, width, value } = call;
  if ((width !== 1 && width !== 2 && width !== 4) || address % width !== 0) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `A fill at [${hex(address)}] with elements of [${width}] bytes: the width is 1, 2 or 4, and the address a multiple of it.`,
    );
  }
  const slice = work.within(address, count * width);
  return slice.device.fill({ address, count, width, value }, work.stream(call.stream, slice));
}

export function memoryInfo(work: Workspace, { device }: MemoryInfoCall): MemoryInfoAnswer {
  const slice = work.slice(device);
  const totalBytes = slice.assignment.arenaBytes;
  return { totalBytes, freeBytes: Math.max(0, totalBytes - slice.usedBytes) };
}
