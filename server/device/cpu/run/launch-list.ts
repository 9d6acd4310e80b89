/**
 * What kernels have launched, read from the memory where they have left it (ptx/launches.ts). Any kernel may have written there, so whatever is
 * read is checked before it is followed.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { Launch, TAIL_STREAM } from "../ptx/launches.ts";
import type { HeapRange } from "./heap.ts";

export interface LaunchRecord {
  /** Place of the record in linear memory. */
  readonly offset: number;
  readonly kernel: bigint;
  readonly grid: [number, number, number];
  readonly block: [number, number, number];
  readonly sharedBytes: number;
}

export interface LaunchMemory {
  readonly bytes: Uint8Array<ArrayBufferLike>;
  /** Address of the memory's first byte. */
  readonly base: number;
  readonly heap: HeapRange;
  /** Place of the word that names the newest record. */
  readonly listAt: number;
}

const damaged = (): SluiceError =>
  new SluiceError("ILLEGAL_ADDRESS", "A kernel has overwritten what kernels have launched in their heap.");

/** Takes all records off the list: in their order, those that wait for all others last. @throws SluiceError ILLEGAL_ADDRESS */
export function takeLaunches({ bytes, base, heap, listAt }: LaunchMemory): LaunchRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first: LaunchRecord[] = [];
  const last: LaunchRecord[] = [];
  let next = view.getBigUint64(listAt, true);
  view.setBigUint64(listAt, 0n, true);
  // More than the heap has room for is a list that runs in a circle.
  const countMax = heap.byteCount / Launch.PARAMS;
  for (let count = 0; next !== 0n; count++) {
    const offset = Number(next) - base;
    const end = heap.offset + heap.byteCount - Launch.PARAMS;
    if (count >= countMax || offset % 16 !== 0 || offset < heap.offset || offset > end) throw damaged();
    const word = (at: number) => view.getUint32(offset + at, true);
    const three = (at: number): [number, number, number] => [word(at), word(at + 4), word(at + 8)];
    const isTail = view.getBigUint64(offset + Launch.STREAM, true) === TAIL_STREAM;
    (isTail ? last : first).push({
      offset,
      kernel: view.getBigUint64(offset + Launch.KERNEL, true),
      grid: three(Launch.GRID),
      block: three(Launch.BLOCK),
      sharedBytes: word(Launch.SHARED_BYTES),
    });
    next = view.getBigUint64(offset + Launch.NEXT, true);
  }
  return [...first.reverse(), ...last.reverse()];
}

/** A copy of a launch's parameters. @throws SluiceError ILLEGAL_ADDRESS */
export function launchParams(record: LaunchRecord, byteCount: number, { bytes, heap }: LaunchMemory): Uint8Array {
  const start = record.offset + Launch.PARAMS;
  if (start + byteCount > heap.offset + heap.byteCount) throw damaged();
  return bytes.slice(start, start + byteCount);
}
