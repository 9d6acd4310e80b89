/**
 * What the cpu device says about itself, numbered as CUdevice_attribute in cuda.h. It stands for compute capability 8.0; where a
 * number describes hardware that is not there, it is what makes programs behave.
 */
import type { DeviceAttributes } from "../device.ts";
import { SHARED_BYTES_DEFAULT_MAX, SHARED_BYTES_MAX, THREADS_PER_BLOCK_MAX, WARP_SIZE } from "./run/layout.ts";

export const CAPABILITY = { major: 8, minor: 0 } as const;

/** CUDA 12.4: the first with all that the table of calls offers. */
const DRIVER_VERSION = 12_040;

export const GRID_MAX = [2_147_483_647, 65_535, 65_535] as const;
export const BLOCK_MAX = [1024, 1024, 64] as const;

/** `workers`: how many blocks run at once. */
export function describeAttributes(workers: number): DeviceAttributes {
  const values: readonly (readonly [attribute: number, value: number])[] = [
    [1, THREADS_PER_BLOCK_MAX],
    [2, BLOCK_MAX[0]],
    [3, BLOCK_MAX[1]],
    [4, BLOCK_MAX[2]],
    [5, GRID_MAX[0]],
    [6, GRID_MAX[1]],
    [7, GRID_MAX[2]],
    // Shared memory per block; constant memory; warp size; pitch; registers per block.
    [8, SHARED_BYTES_DEFAULT_MAX],
    [9, 65_536],
    [10, WARP_SIZE],
    [11, 2_147_483_647],
    [12, 65_536],
    // Clock rate in kHz; texture alignment; copies overlap (no).
    [13, 1_000_000],
    [14, 512],
    [15, 0],
    // Multiprocessors; kernels run in bounded time; integrated; maps host memory; compute mode.
    [16, workers],
    [17, 1],
    [18, 0],
    [19, 0],
    [20, 0],
    // Surface alignment; concurrent kernels; ECC; PCI bus, device; TCC driver.
    [30, 512],
    [31, 0],
    [32, 0],
    [33, 0],
    [34, 0],
    [35, 0],
    // Memory clock in kHz, bus width in bits, level 2 cache in bytes; threads per multiprocessor.
    [36, 1_000_000],
    [37, 64],
    [38, 1_048_576],
    [39, THREADS_PER_BLOCK_MAX],
    // Asynchronous engines; unified addressing; PCI domain; texture pitch alignment.
    [40, 0],
    [41, 1],
    [50, 0],
    [51, 32],
    [75, CAPABILITY.major],
    [76, CAPABILITY.minor],
    // Stream priorities; caching of global and local memory in level 1.
    [78, 0],
    [79, 1],
    [80, 1],
    // Shared memory and registers per multiprocessor; managed memory; multi-GPU board.
    [81, SHARED_BYTES_MAX + 1024],
    [82, 65_536],
    [83, 0],
    [84, 0],
    [85, 0],
    // Ratio of single to double performance; pageable and concurrent managed access; preemption; cooperative launch.
    [87, 2],
    [88, 0],
    [89, 0],
    [90, 0],
    [95, 1],
    // Shared memory per block with opting in; virtual memory management; blocks per multiprocessor; reserved shared memory.
    [97, SHARED_BYTES_MAX],
    [102, 0],
    [106, 1],
    [111, 0],
  ];
  return {
    capabilityMajor: CAPABILITY.major,
    capabilityMinor: CAPABILITY.minor,
    driverVersion: DRIVER_VERSION,
    attributes: values.map(([attribute, value]) => ({ attribute, value })),
  };
}
