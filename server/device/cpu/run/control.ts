/**
 * The words that the slice and its workers share beside the linear memory: one launch at a time is described here. Kernels cannot
 * reach them. Each worker sleeps on a word of its own; the last one to finish wakes the slice.
 */
import { OUTPUT_BYTES_MAX, PARAM_BYTES_MAX } from "../../../../shared/limits.ts";

/** Indices of 32-bit words. */
export const Word = {
  /** Number of the last launch that all its workers have finished. */
  DONE: 0,
  FINISHED_WORKERS: 1,
  WANTED_WORKERS: 2,
  /** Next chunk of blocks to deal. */
  NEXT_CHUNK: 3,
  CHUNKS: 4,
  BLOCKS_PER_CHUNK: 5,
  LAUNCH: 6,
  KERNEL: 7,
  GRID: 8,
  BLOCK: 11,
  SHARED_BYTES: 14,
  DYNAMIC_SHARED_BYTES: 15,
  PARAM_BYTES: 16,
  /** 0, or the kind of fault that ends the launch, plus 1. */
  FAULT: 17,
  FAULT_LINE: 18,
  FAULT_ADDRESS: 20,
  FAULT_BLOCK: 22,
  FAULT_TEXT_BYTES: 25,
  OUTPUT_BYTES: 26,
  OUTPUT_DROPPED: 27,
  /** Two words; see Context.MEETING_PLACE. */
  MEETING_PLACE: 28,
  /** Where the heap of kernels lies in linear memory and its size, 0 without one; and who works on it. */
  HEAP: 30,
  HEAP_BYTES: 31,
  HEAP_LOCK: 32,
  /** One word per worker to sleep on. */
  WAKE: 64,
} as const;

/** More workers per slice would fight over memory rather than compute. */
export const WORKERS_MAX = 32;

/** What a fault of Sluice's own leaves for the message. */
const FAULT_TEXT_BYTES_MAX = 1024;

const WORDS_BYTES = 1024;
const PARAMS_AT = WORDS_BYTES;
const TEXT_AT = PARAMS_AT + Math.ceil(PARAM_BYTES_MAX / 8) * 8;
const OUTPUT_AT = TEXT_AT + FAULT_TEXT_BYTES_MAX;
const CONTROL_BYTES = OUTPUT_AT + OUTPUT_BYTES_MAX;

/** Kinds of faults beyond those that kernels report themselves. */
export const FaultKind = {
  ADDRESS: 1,
  TRAP: 2,
  STACK: 3,
  DEADLOCK: 4,
  INTERNAL: 5,
  ASSERTION: 6,
  IMAGE: 7,
  BOUNDARY: 8,
  REDUCTION: 9,
} as const;

export interface Control {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly params: Uint8Array<SharedArrayBuffer>;
  readonly text: Uint8Array<SharedArrayBuffer>;
  readonly output: Uint8Array<SharedArrayBuffer>;
}

export function controlOver(buffer = new SharedArrayBuffer(CONTROL_BYTES)): Control {
  return {
    buffer,
    words: new Int32Array(buffer, 0, WORDS_BYTES / 4),
    params: new Uint8Array(buffer, PARAMS_AT, PARAM_BYTES_MAX),
    text: new Uint8Array(buffer, TEXT_AT, FAULT_TEXT_BYTES_MAX),
    output: new Uint8Array(buffer, OUTPUT_AT, OUTPUT_BYTES_MAX),
  };
}
