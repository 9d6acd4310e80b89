/**
 * What the cpu device says about itself, numbered as CUdevice_attribute in cuda.h. It stands for compute capability 8.0 unless its admin
 * says another; where a number describes hardware that is not there, it is what makes programs behave.
 */
import { ALLOCATION_GRANULARITY_BYTES } from "../../../shared/limits.ts";
import type { DeviceAttributes, DeviceDescription } from "../device.ts";
import { SHARED_BYTES_DEFAULT_MAX, SHARED_BYTES_MAX, THREADS_PER_BLOCK_MAX, WARP_SIZE } from "./run/layout.ts";

type Capability = Pick<DeviceDescription, "capabilityMajor" | "capabilityMinor">;

export const CAPABILITY = { major: 8, minor: 0 } as const;

/** CUDA 12.4: the first with all that the table of calls offers. */
const DRIVER_VERSION = 12_040;

export const GRID_MAX = [2_147_483_647, 65_535, 65_535] as const;
export const BLOCK_MAX = [1024, 1024, 64] as const;

type Attribute = readonly [attribute: number, value: number];

/** The largest textures and surfaces: memory is the only bound here, so these are those of compute capability 8.0. */
const imageSizes: readonly Attribute[] = [
  // Widths, heights, depths and layers of textures on arrays: 1D, 2D, 3D, layered 2D, layered 1D; gathered 2D; 3D of another shape.
  [21, 131_072],
  [22, 131_072],
  [23, 65_536],
  [24, 16_384],
  [25, 16_384],
  [26, 16_384],
  [27, 32_768],
  [28, 32_768],
  [29, 2048],
  [42, 32_768],
  [43, 2048],
  [45, 32_768],
  [46, 32_768],
  [47, 16_384],
  [48, 16_384],
  [49, 16_384],
  // Cubes of textures, alone and in layers; surfaces 1D, 2D, 3D, layered 1D, layered 2D, cubes; textures on lines of memory, on rows of it.
  [52, 32_768],
  [53, 32_768],
  [54, 2046],
  [55, 32_768],
  [56, 131_072],
  [57, 65_536],
  [58, 16_384],
  [59, 16_384],
  [60, 16_384],
  [61, 32_768],
  [62, 2048],
  [63, 32_768],
  [64, 32_768],
  [65, 2048],
  [66, 32_768],
  [67, 32_768],
  [68, 2046],
  [69, 268_435_456],
  [70, 131_072],
  [71, 65_000],
  [72, 2_097_120],
  // Textures with levels of detail: 2D, 1D.
  [73, 32_768],
  [74, 32_768],
  [77, 32_768],
];

/** `workers`: how many blocks run at once. */
export function describeAttributes(
  workers: number,
  { capabilityMajor, capabilityMinor }: Capability,
): DeviceAttributes {
  const values: readonly Attribute[] = [
    ...imageSizes,
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
    // Clock rate in kHz; texture alignment, which every allocation has; copies overlap (no).
    [13, 1_000_000],
    [14, ALLOCATION_GRANULARITY_BYTES],
    [15, 0],
    // Multiprocessors; kernels run in bounded time; integrated; maps host memory; compute mode.
    [16, workers],
    [17, 1],
    [18, 0],
    [19, 0],
    [20, 0],
    // Surface alignment; concurrent kernels; ECC; PCI bus, device; TCC driver.
    [30, ALLOCATION_GRANULARITY_BYTES],
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
    [75, capabilityMajor],
    [76, capabilityMinor],
    // Stream priorities; caching of global and local memory in level 1.
    [78, 1],
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
    capabilityMajor,
    capabilityMinor,
    driverVersion: DRIVER_VERSION,
    attributes: values.map(([attribute, value]) => ({ attribute, value })),
  };
}
