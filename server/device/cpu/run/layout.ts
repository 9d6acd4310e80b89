/**
 * Where everything lies in a slice's linear memory, and what the words of a worker's context mean. Compiled kernels, the
 * workers and the slice all read this file and nothing else about places.
 *
 *   0            arena          the slice's bytes: an address is its offset plus the arena's base
 *   arenaBytes   gap            nothing: a kernel that strays past the arena faults; room for the arena to grow
 *   then         globals        variables of loaded modules, at addresses that follow the arena's
 *   then         one context per worker: header, parameters, exchange planes, shared memory, threads
 *
 * Kernels reach the arena by one bounds check and globals by a second; a context only through checks of its own (shared, local).
 */
import { SluiceError } from "../../../../shared/errors.ts";

export const PAGE_BYTES = 65_536;

/** Linear memory has 32-bit addresses. */
const MEMORY_BYTES_MAX = 2 ** 32;

/** Variables of all modules of a slice: CUDA programs use kilobytes; untouched memory costs nothing. */
const GLOBALS_BYTES = 48 * 1024 * 1024;

/** Strides past the arena's end up to this length fault rather than hit a global. */
const GAP_BYTES = 16 * 1024 * 1024;

export const THREADS_PER_BLOCK_MAX = 1024;
export const WARP_SIZE = 32;

/** Shared memory per block, as on compute capability 8.0: without and with opting in. */
export const SHARED_BYTES_DEFAULT_MAX = 49_152;
export const SHARED_BYTES_MAX = 166_912;

/** Generic addresses of shared, local and parameter memory: a window is named by the high half. */
export const Window = { SHARED: 1, LOCAL: 2, PARAM: 3 } as const;
export const WINDOW_BYTES = 2 ** 32;

/** Byte offsets in a worker's context. */
export const Context = {
  BLOCK_SIZE: 0,
  GRID_SIZE: 12,
  BLOCK_INDEX: 24,
  SHARED_BYTES: 36,
  DYNAMIC_SHARED_BYTES: 40,
  /** Addresses of the exchange planes that are read and written at this step. */
  EXCHANGE_READ: 44,
  EXCHANGE_WRITE: 48,
  WORKER: 56,
  WORKERS: 60,
  GRID_ID: 64,
  BARRIER_RESULT: 72,
  /** Address of the memory by which the blocks of a cooperative launch wait for each other; 0 in other launches. */
  MEETING_PLACE: 80,
  /** Four words: what a texture gives, and where a surface has nothing. */
  TEXEL: 96,
  /** One mask of participating lanes per warp. */
  ACTIVE_LANES: 128,
  PARAMS: 1024,
  /** Per thread: the region it goes on with, or EXITED. */
  STATE: 33_792,
  /** Two sets of planes of one word per thread; sets swap at each step. */
  EXCHANGE: 37_888,
  /** Per thread: the mask of a warp operation, or the number of a barrier; and the barrier's thread count. */
  SYNC: 119_808,
  SYNC_COUNT: 123_904,
  SHARED: 131_072,
  THREADS: 131_072 + SHARED_BYTES_MAX,
} as const;

export const PLANE_BYTES = THREADS_PER_BLOCK_MAX * 4;
/** Bytes of a set: 10 planes, as many as a product of matrices needs. Other operations use the first two. */
export const EXCHANGE_BYTES = 10 * PLANE_BYTES;

/**
 * What becomes of the lanes of a warp of which one stands for all: they rest or wake by the program's word; or are used until a function ends,
 * unless they were awake before.
 */
export const LaneSwitch = { REST: 0, WAKE: 1, USE: 2, END: 3 } as const;

/** State of a thread that has ended. */
export const EXITED = -1;
/** Result of a region whose threads did not all stop at the same place. */
export const MIXED = -2;

/** A context is at least this large, so that ordinary kernels run with full blocks; and at most this large. */
const CONTEXT_BYTES_MIN = 8 * 1024 * 1024;
const CONTEXT_BYTES_GOOD = 32 * 1024 * 1024;
const CONTEXT_BYTES_MAX = 64 * 1024 * 1024;

export interface MemoryLayout {
  readonly arenaBytes: number;
  /** What the arena can grow to: everything else lies behind that. */
  readonly capacityBytes: number;
  /** High half of every address in the arena. */
  readonly arenaBase: number;
  readonly globalsOffset: number;
  /** First byte behind the globals. */
  readonly globalsEnd: number;
  readonly contextOffset: number;
  readonly contextBytes: number;
  readonly workers: number;
  readonly memoryPages: number;
}

/** The largest arena with this many workers. */
export const arenaBytesMax = (workers: number): number =>
  MEMORY_BYTES_MAX - GAP_BYTES - GLOBALS_BYTES - workers * CONTEXT_BYTES_MIN;

/** `capacityBytes`: the most that the arena may be asked to grow to; it may get less room, and never less than it has. */
export function planMemory(options: {
  arenaBytes: number;
  arenaBase: number;
  workers: number;
  capacityBytes?: number;
}): MemoryLayout {
  const { arenaBytes, arenaBase, workers } = options;
  if (arenaBytes <= 0 || arenaBytes % PAGE_BYTES !== 0 || arenaBytes > arenaBytesMax(workers)) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `A slice of the cpu device has a multiple of [${PAGE_BYTES}] and at most [${arenaBytesMax(workers)}] bytes, not [${arenaBytes}].`,
    );
  }
  // Contexts of a good size come before room to grow.
  const spacious = MEMORY_BYTES_MAX - GAP_BYTES - GLOBALS_BYTES - workers * CONTEXT_BYTES_GOOD;
  const growable = Math.min(options.capacityBytes ?? arenaBytes, Math.max(0, spacious));
  const capacityBytes = Math.max(arenaBytes, Math.floor(growable / PAGE_BYTES) * PAGE_BYTES);
  const globalsOffset = capacityBytes + GAP_BYTES;
  const globalsEnd = globalsOffset + GLOBALS_BYTES;
  const room = Math.floor((MEMORY_BYTES_MAX - globalsEnd) / workers / PAGE_BYTES) * PAGE_BYTES;
  const contextBytes = Math.min(CONTEXT_BYTES_MAX, room);
  return {
    arenaBytes,
    capacityBytes,
    arenaBase,
    globalsOffset,
    globalsEnd,
    contextOffset: globalsEnd,
    contextBytes,
    workers,
    memoryPages: (globalsEnd + workers * contextBytes) / PAGE_BYTES,
  };
}

/** Whether a range lies within the arena or within the globals. */
export function isGlobalRange(
  layout: MemoryLayout,
  { offset, byteCount }: { offset: number; byteCount: number },
): boolean {
  const end = offset + byteCount;
  if (offset >= layout.globalsOffset) return end <= layout.globalsEnd;
  return offset >= 0 && end <= layout.arenaBytes;
}
