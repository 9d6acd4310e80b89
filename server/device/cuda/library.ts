/**
 * The CUDA driver, `libcuda.so.1`, loaded through koffi: documented entry points only, under the versioned names that cuda.h maps to.
 * No compile step and no private table. `SLUICE_CUDA_LIBRARY` names another library file in its place, such as the tests' stand-in.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { CUresult, DRIVER_VERSION_MIN } from "./constants.ts";
import { type Bound, bind, openDriver, textAt } from "./symbols.ts";

/** What is needed to ask how old the driver is, and to name its errors. Every driver has these. */
const firstSignatures = {
  cuInit: ["u32"],
  cuDriverGetVersion: ["memory"],
  cuGetErrorName: ["i32", "memory"],
  cuGetErrorString: ["i32", "memory"],
} as const;

/** Every function that is used, with the kinds of its arguments. */
export const cudaSignatures = {
  ...firstSignatures,
  cuDeviceGetCount: ["memory"],
  cuDeviceGet: ["memory", "i32"],
  cuDeviceGetName: ["memory", "i32", "i32"],
  cuDeviceGetUuid_v2: ["memory", "i32"],
  cuDeviceTotalMem_v2: ["memory", "i32"],
  cuDeviceGetAttribute: ["memory", "i32", "i32"],
  cuDeviceGetPCIBusId: ["memory", "i32", "i32"],
  cuDeviceCanAccessPeer: ["memory", "i32", "i32"],
  cuDevicePrimaryCtxRetain: ["memory", "i32"],
  cuDevicePrimaryCtxRelease_v2: ["i32"],
  cuDevicePrimaryCtxSetFlags_v2: ["i32", "u32"],
  cuCtxSetCurrent: ["u64"],
  cuCtxSynchronize: [],
  cuCtxGetLimit: ["memory", "i32"],
  cuCtxSetLimit: ["i32", "u64"],
  cuMemGetInfo_v2: ["memory", "memory"],
  cuMemGetAllocationGranularity: ["memory", "memory", "i32"],
  cuMemAddressReserve: ["memory", "u64", "u64", "u64", "u64"],
  cuMemAddressFree: ["u64", "u64"],
  cuMemCreate: ["memory", "u64", "memory", "u64"],
  cuMemRelease: ["u64"],
  cuMemMap: ["u64", "u64", "u64", "u64", "u64"],
  cuMemUnmap: ["u64", "u64"],
  cuMemSetAccess: ["u64", "u64", "memory", "u64"],
  cuMemAlloc_v2: ["memory", "u64"],
  cuMemFree_v2: ["u64"],
  cuMemHostAlloc: ["memory", "u64", "u32"],
  cuMemFreeHost: ["u64"],
  cuMemHostRegister_v2: ["u64", "u64", "u32"],
  cuMemHostUnregister: ["u64"],
  cuMemcpyHtoDAsync_v2: ["u64", "u64", "u64", "u64"],
  cuMemcpyDtoHAsync_v2: ["u64", "u64", "u64", "u64"],
  cuMemcpyDtoDAsync_v2: ["u64", "u64", "u64", "u64"],
  cuMemsetD8Async: ["u64", "u8", "u64", "u64"],
  cuMemsetD16Async: ["u64", "u16", "u64", "u64"],
  cuMemsetD32Async: ["u64", "u32", "u64", "u64"],
  cuModuleLoadDataEx: ["memory", "memory", "u32", "memory", "memory"],
  cuModuleUnload: ["u64"],
  cuLinkCreate_v2: ["u32", "memory", "memory", "memory"],
  cuLinkAddData_v2: ["u64", "i32", "memory", "u64", "text", "u32", "memory", "memory"],
  cuLinkComplete: ["u64", "memory", "memory"],
  cuLinkDestroy: ["u64"],
  cuModuleGetFunctionCount: ["memory", "u64"],
  cuModuleEnumerateFunctions: ["memory", "u32", "u64"],
  cuModuleGetGlobal_v2: ["memory", "memory", "u64", "text"],
  cuFuncGetName: ["memory", "u64"],
  cuFuncGetParamInfo: ["u64", "u64", "memory", "memory"],
  cuFuncLoad: ["u64"],
  cuFuncGetAttribute: ["memory", "i32", "u64"],
  cuFuncSetAttribute: ["u64", "i32", "i32"],
  cuLaunchKernel: ["u64", "u32", "u32", "u32", "u32", "u32", "u32", "u32", "u64", "memory", "memory"],
  cuLaunchKernelEx: ["memory", "u64", "memory", "memory"],
  cuArray3DCreate_v2: ["memory", "memory"],
  cuArrayDestroy: ["u64"],
  cuArrayGetMemoryRequirements: ["memory", "u64", "i32"],
  cuMipmappedArrayCreate: ["memory", "memory", "u32"],
  cuMipmappedArrayDestroy: ["u64"],
  cuMipmappedArrayGetLevel: ["memory", "u64", "u32"],
  cuMipmappedArrayGetMemoryRequirements: ["memory", "u64", "i32"],
  cuMemcpy3DAsync_v2: ["memory", "u64"],
  cuSurfObjectCreate: ["memory", "memory"],
  cuSurfObjectDestroy: ["u64"],
  cuTexObjectCreate: ["memory", "memory", "memory", "memory"],
  cuTexObjectDestroy: ["u64"],
  cuStreamCreateWithPriority: ["memory", "u32", "i32"],
  cuStreamDestroy_v2: ["u64"],
  cuStreamQuery: ["u64"],
  cuStreamSynchronize: ["u64"],
  cuStreamWaitEvent: ["u64", "u64", "u32"],
  cuEventCreate: ["memory", "u32"],
  cuEventDestroy_v2: ["u64"],
  cuEventRecord: ["u64", "u64"],
  cuEventQuery: ["u64"],
  cuEventSynchronize: ["u64"],
  cuEventElapsedTime: ["memory", "u64", "u64"],
} as const;

export type CudaApi = Bound<typeof cudaSignatures>;
type ErrorApi = Pick<CudaApi, "cuGetErrorName" | "cuGetErrorString">;

export interface CudaLibrary {
  readonly api: CudaApi;
  /** Driver API version as major * 1000 + minor * 10. */
  readonly driverVersion: number;
}

/** 12040 as `12.4`. */
export const versionText = (version: number): string =>
  `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;

/** The driver's name of an error, such as `CUDA_ERROR_ILLEGAL_ADDRESS`. */
export function errorName(api: ErrorApi, result: number): string {
  const pointer = new BigUint64Array(1);
  return api.cuGetErrorName(result, pointer) === CUresult.SUCCESS ? textAt(pointer[0]!) : `CUDA_ERROR_${result}`;
}

/** The driver's words for an error. */
export function errorText(api: ErrorApi, result: number): string {
  const pointer = new BigUint64Array(1);
  return api.cuGetErrorString(result, pointer) === CUresult.SUCCESS ? textAt(pointer[0]!) : "unknown error";
}

/** Sets elements of 1, 2 or 4 bytes in a stream; returns the driver's result. */
export function setMemory(
  api: CudaApi,
  { address, count, width, value }: { address: number; count: number; width: 1 | 2 | 4; value: number },
  stream: number,
): number {
  if (width === 1) return api.cuMemsetD8Async(address, value & 0xff, count, stream);
  if (width === 2) return api.cuMemsetD16Async(address, value & 0xffff, count, stream);
  return api.cuMemsetD32Async(address, value >>> 0, count, stream);
}

/** Why cuInit refuses, in one sentence: these are what an admin meets when a machine is set up. */
function startFailure(api: ErrorApi, result: number): SluiceError {
  const sentences: Record<number, string> = {
    [CUresult.STUB_LIBRARY]:
      "The libcuda.so.1 that is found is the toolkit's stub, not the driver's; remove the stub's folder from the library path.",
    [CUresult.NO_DEVICE]: "The NVIDIA driver is there, but it shows this process no GPU.",
    [CUresult.OPERATING_SYSTEM]: "The NVIDIA driver may not be used by this user; look at the rights on /dev/nvidia*.",
    [CUresult.NOT_PERMITTED]: "The NVIDIA driver may not be used by this user; look at the rights on /dev/nvidia*.",
    [CUresult.SYSTEM_NOT_READY]:
      "The NVIDIA driver waits for its fabric manager, or for confidential computing to be made ready; start that first.",
    [CUresult.SYSTEM_DRIVER_MISMATCH]:
      "The NVIDIA kernel module and libcuda.so.1 have different versions; reboot or reload the module.",
    [CUresult.COMPAT_NOT_SUPPORTED_ON_DEVICE]:
      "The CUDA compatibility library does not support this GPU; use the driver's own libcuda.so.1.",
    [CUresult.UNKNOWN]:
      "The NVIDIA driver fails to start; look at the rights on /dev/nvidia-uvm and at the kernel's log.",
  };
  const nativeName = errorName(api, result);
  const sentence = sentences[result] ?? "The NVIDIA driver fails to start.";
  return new SluiceError("DEVICE_FAILED", `${sentence} [${nativeName}]`, { nativeCode: result, nativeName });
}

const loaded = new Map<string, CudaLibrary>();

/**
 * Loads and initialises the driver once per process and library path; creates no context.
 * @throws SluiceError DEVICE_FAILED with one sentence: no driver, too old a driver, no permission, no GPU.
 */
export function loadCuda(): CudaLibrary {
  const path = process.env["SLUICE_CUDA_LIBRARY"] || "libcuda.so.1";
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const opened = openDriver(path);
  if ("failure" in opened) {
    throw new SluiceError("DEVICE_FAILED", `This machine has no usable NVIDIA driver [${path}: ${opened.failure}].`);
  }
  // The order in which nvidia-smi counts; the driver's own default depends on which GPU it takes for the fastest.
  process.env["CUDA_DEVICE_ORDER"] ??= "PCI_BUS_ID";
  // The driver becomes a client of a Multi-Process Service that runs on the machine, whose clients share their fatal errors. Unless told so.
  process.env["CUDA_MPS_PIPE_DIRECTORY"] ??= "/nonexistent/sluice-uses-no-mps";
  const lacking = (name: string): string =>
    `The NVIDIA driver [${path}] lacks [${name}]; Sluice needs a driver for CUDA ${versionText(DRIVER_VERSION_MIN)} or later.`;
  const first = bind(opened.handle, firstSignatures, { lacking });
  const version = new Int32Array(1);
  if (first.cuDriverGetVersion(version) === CUresult.SUCCESS && version[0]! < DRIVER_VERSION_MIN) {
    throw new SluiceError(
      "DEVICE_FAILED",
      `The NVIDIA driver is for CUDA [${versionText(version[0]!)}]; Sluice needs a driver for CUDA ${versionText(DRIVER_VERSION_MIN)} or later.`,
    );
  }
  const result = first.cuInit(0);
  if (result !== CUresult.SUCCESS) throw startFailure(first, result);
  const library = { api: bind(opened.handle, cudaSignatures, { lacking }), driverVersion: version[0]! };
  loaded.set(path, library);
  return library;
}
