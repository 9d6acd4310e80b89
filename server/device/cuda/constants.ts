/**
 * Numbers of the CUDA driver API and of NVML that this room uses, under the names that cuda.h and nvml.h give them. Nothing else stands here;
 * the references are the CUDA Driver API and the NVML API Reference of NVIDIA.
 */

/** Oldest driver API that offers all that is needed: 12.4 brought cuFuncGetParamInfo and cuModuleEnumerateFunctions. */
export const DRIVER_VERSION_MIN = 12_040;

export const CUresult = {
  SUCCESS: 0,
  INVALID_VALUE: 1,
  OUT_OF_MEMORY: 2,
  STUB_LIBRARY: 34,
  DEVICE_UNAVAILABLE: 46,
  NO_DEVICE: 100,
  INVALID_IMAGE: 200,
  NO_BINARY_FOR_GPU: 209,
  ECC_UNCORRECTABLE: 214,
  INVALID_PTX: 218,
  NVLINK_UNCORRECTABLE: 220,
  JIT_COMPILER_NOT_FOUND: 221,
  UNSUPPORTED_PTX_VERSION: 222,
  JIT_COMPILATION_DISABLED: 223,
  CONTAINED: 226,
  INVALID_SOURCE: 300,
  SHARED_OBJECT_SYMBOL_NOT_FOUND: 302,
  SHARED_OBJECT_INIT_FAILED: 303,
  OPERATING_SYSTEM: 304,
  INVALID_HANDLE: 400,
  NOT_FOUND: 500,
  NOT_READY: 600,
  ILLEGAL_ADDRESS: 700,
  LAUNCH_OUT_OF_RESOURCES: 701,
  LAUNCH_TIMEOUT: 702,
  CONTEXT_IS_DESTROYED: 709,
  ASSERT: 710,
  HARDWARE_STACK_ERROR: 714,
  ILLEGAL_INSTRUCTION: 715,
  MISALIGNED_ADDRESS: 716,
  INVALID_ADDRESS_SPACE: 717,
  INVALID_PC: 718,
  LAUNCH_FAILED: 719,
  COOPERATIVE_LAUNCH_TOO_LARGE: 720,
  TENSOR_MEMORY_LEAK: 721,
  NOT_PERMITTED: 800,
  NOT_SUPPORTED: 801,
  SYSTEM_NOT_READY: 802,
  SYSTEM_DRIVER_MISMATCH: 803,
  COMPAT_NOT_SUPPORTED_ON_DEVICE: 804,
  EXTERNAL_DEVICE: 911,
  FUNCTION_NOT_LOADED: 913,
  UNKNOWN: 999,
} as const;

/** CUdevice_attribute, the few that decide something here. */
export const DeviceAttributeNumber = {
  MAX_THREADS_PER_BLOCK: 1,
  MAX_BLOCK_DIM_X: 2,
  MAX_BLOCK_DIM_Y: 3,
  MAX_BLOCK_DIM_Z: 4,
  MAX_GRID_DIM_X: 5,
  MAX_GRID_DIM_Y: 6,
  MAX_GRID_DIM_Z: 7,
  MULTIPROCESSOR_COUNT: 16,
  INTEGRATED: 18,
  COMPUTE_MODE: 20,
  MAX_THREADS_PER_MULTIPROCESSOR: 39,
  COMPUTE_CAPABILITY_MAJOR: 75,
  COMPUTE_CAPABILITY_MINOR: 76,
  PAGEABLE_MEMORY_ACCESS: 88,
  MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: 97,
  VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED: 102,
} as const;

/** Attributes are asked for one after the other up to here; a number that the driver does not know is left out. */
export const DEVICE_ATTRIBUTE_MAX = 160;

/** CUcomputemode: the admin of the machine allows no context on the device, or one process at a time. */
export const ComputeMode = { PROHIBITED: 2, EXCLUSIVE_PROCESS: 3 } as const;

export const FunctionAttribute = {
  MAX_THREADS_PER_BLOCK: 0,
  SHARED_SIZE_BYTES: 1,
  CONST_SIZE_BYTES: 2,
  LOCAL_SIZE_BYTES: 3,
  NUM_REGS: 4,
  PTX_VERSION: 5,
  BINARY_VERSION: 6,
  MAX_DYNAMIC_SHARED_SIZE_BYTES: 8,
} as const;

export const JitOption = {
  ERROR_LOG_BUFFER: 5,
  ERROR_LOG_BUFFER_SIZE_BYTES: 6,
} as const;

/** CU_LAUNCH_PARAM_*: the keys of the `extra` array of cuLaunchKernel. */
export const LaunchParam = { END: 0, BUFFER_POINTER: 1, BUFFER_SIZE: 2 } as const;

export const CTX_SCHED_BLOCKING_SYNC = 4;
export const EVENT_DISABLE_TIMING = 2;
/** The stream does not wait for the default stream; the table of calls has the same number. */
export const STREAM_NON_BLOCKING = 1;
export const MEM_ALLOCATION_TYPE_PINNED = 1;
export const MEM_LOCATION_TYPE_DEVICE = 1;
export const MEM_ACCESS_READWRITE = 3;
export const MEM_GRANULARITY_MINIMUM = 0;
export const LIMIT_STACK_SIZE = 0;
/** The heap on which kernels allocate by themselves. */
export const LIMIT_MALLOC_HEAP_SIZE = 2;

/** nvmlReturn_t. */
export const NvmlReturn = {
  SUCCESS: 0,
  NO_PERMISSION: 4,
  NOT_FOUND: 6,
  TIMEOUT: 10,
  FUNCTION_NOT_FOUND: 13,
  GPU_IS_LOST: 15,
  RESET_REQUIRED: 16,
} as const;

export const NVML_TEMPERATURE_GPU = 0;
export const NVML_ECC_UNCORRECTED = 1;
/** Since the driver was loaded. */
export const NVML_ECC_VOLATILE = 0;
export const NVML_P2P_CAPS_NVLINK = 2;
export const NVML_NVLINK_LINKS_MAX = 18;
export const NVML_EVENT_XID = 8;
/** Of one card; a server has fewer leases on it. */
export const NVML_PROCESSES_MAX = 1024;
/** In place of a number that is not known. */
export const NVML_VALUE_NOT_AVAILABLE = 0xffff_ffff_ffff_ffffn;
/** The second version of a struct, beside its size in its first word. */
export const NVML_STRUCT_V2 = 2 << 24;

/** Bits of nvmlClocksEventReasons that slow a device down against its owner's wish; idle and chosen clocks do not count. */
export const clockReasons = [
  [0x4, "power cap"],
  [0x8, "hardware slowdown"],
  [0x20, "software thermal slowdown"],
  [0x40, "hardware thermal slowdown"],
  [0x80, "hardware power brake"],
] as const;
