/**
 * cuDNN 9, where the server has it: found as cuBLASLt is (toolkit.ts), or named by `SLUICE_CUDNN_LIBRARY`. Its functions, and the numbers of it that the
 * server must know, which are those of its headers; the reference is NVIDIA's cuDNN documentation.
 */
import type { LibraryHandle } from "koffi";
import { dnn } from "../../../shared/dnn-functions.ts";
import { SluiceError } from "../../../shared/errors.ts";
import type { LibraryArgument, LibraryFunction } from "../../../shared/library-functions.ts";
import { DnnStatus, dnnFailure } from "../dnn.ts";
import type { LibraryOutcome, LibraryVersions } from "../libraries.ts";
import { DnnSizes, extentsSet } from "./dnn-sizes.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { LibraryExtents, LibraryValue, NativeLibrary } from "./native-library.ts";
import { type Bound, bind, bindIfThere } from "./symbols.ts";
import { openBeside, openToolkitLibrary } from "./toolkit.ts";

/** Every function of cuDNN that graphs are made with, and those that tell how large something is. */
export const dnnSignatures = {
  cudnnCreate: ["memory"],
  cudnnDestroy: ["u64"],
  cudnnSetStream: ["u64", "u64"],
  cudnnGetTensorSizeInBytes: ["u64", "memory"],
  cudnnGetTensorNdDescriptor: ["u64", "i32", "memory", "memory", "memory", "memory"],
  cudnnGetFilterSizeInBytes: ["u64", "memory"],
  cudnnBackendCreateDescriptor: ["u32", "memory"],
  cudnnBackendDestroyDescriptor: ["u64"],
  cudnnBackendSetAttribute: ["u64", "u32", "u32", "u64", "memory"],
  cudnnBackendGetAttribute: ["u64", "u32", "u32", "u64", "memory", "memory"],
  cudnnBackendFinalize: ["u64"],
  cudnnBackendExecute: ["u64", "u64", "u64"],
} as const;

/** cudnnBackendDescriptorType_t, those that are looked at. */
export const Backend = { ENGINEHEUR: 4, EXECUTION_PLAN: 5, VARIANT_PACK: 16, TENSOR: 17 } as const;

/** cudnnBackendAttributeName_t, the same. */
export const Attribute = {
  EXECUTION_PLAN_WORKSPACE_SIZE: 402,
  TENSOR_DATA_TYPE: 901,
  TENSOR_DIMENSIONS: 902,
  TENSOR_STRIDES: 903,
  TENSOR_VECTOR_COUNT: 904,
  TENSOR_UNIQUE_ID: 906,
  TENSOR_IS_BY_VALUE: 908,
  TENSOR_RAGGED_OFFSET_DESC: 913,
  VARIANT_PACK_UNIQUE_IDS: 1000,
  VARIANT_PACK_DATA_POINTERS: 1001,
  VARIANT_PACK_WORKSPACE: 1003,
} as const;

/** cudnnBackendAttributeType_t, the same. */
export const AttributeType = {
  HANDLE: 0,
  BOOLEAN: 2,
  INT64: 3,
  DOUBLE: 5,
  VOID_PTR: 6,
  BACKEND_DESCRIPTOR: 15,
  CHAR: 24,
  FRACTION: 26,
} as const;

/** Newest type of attribute whose size is known: those behind it may have any. */
export const ATTRIBUTE_TYPE_MAX = 32;

/** Bytes of an element, by its cudnnBackendAttributeType_t: enumerations, and all that is not named here, have 4. Undefined for a type that is not known. */
export function elementBytes(type: number): number | undefined {
  const { HANDLE, BOOLEAN, INT64, DOUBLE, VOID_PTR, BACKEND_DESCRIPTOR, CHAR, FRACTION } = AttributeType;
  if (type > ATTRIBUTE_TYPE_MAX) return undefined;
  if (type === BOOLEAN || type === CHAR) return 1;
  if (type === FRACTION) return 16;
  return [HANDLE, INT64, DOUBLE, VOID_PTR, BACKEND_DESCRIPTOR].some((wide) => wide === type) ? 8 : 4;
}

const MAJOR = 9;
/** From here on a status tells of the device and not of the call. */
const INTERNAL_ERROR = 4000;
const MESSAGE_BYTES_MAX = 1024;

export class DnnLibrary implements NativeLibrary {
  readonly table = dnn;
  readonly descriptorType = "uint64_t";
  readonly notSupported = DnnStatus.NOT_SUPPORTED;
  readonly failure = dnnFailure;
  readonly api: Bound<typeof dnnSignatures>;
  readonly versions: LibraryVersions;
  readonly #sizes: DnnSizes = new DnnSizes(this);
  #started = 0;
  readonly #handle: LibraryHandle;
  readonly #lastError: (text: Uint8Array, bytes: number) => void;

  /** @throws SluiceError UNSUPPORTED where the server has none, or none that works with the driver. */
  constructor(driverVersion: number) {
    const named = process.env["SLUICE_CUDNN_LIBRARY"];
    const library = openToolkitLibrary("cudnn", { named, driverVersion, majors: [MAJOR] });
    if (library === undefined) {
      const name = named || `libcudnn.so.${MAJOR}`;
      throw new SluiceError("UNSUPPORTED", `This server has no cuDNN [${name}]; have its admin install it.`);
    }
    const { handle, path } = library;
    const lacking = (symbol: string): string => `The cuDNN library [${path}] lacks [${symbol}].`;
    this.#handle = handle;
    this.api = bind(handle, dnnSignatures, { lacking });
    const version = (name: string): number => Number(handle.func(name, "uint64_t", [])());
    this.versions = {
      version: version("cudnnGetVersion"),
      cudartVersion: version("cudnnGetCudartVersion"),
      maxDeviceVersion: version("cudnnGetMaxDeviceVersion"),
    };
    this.#lastError = handle.func("cudnnGetLastErrorString", "void", ["void *", "uint64_t"]);
    this.#checkVersions(path, driverVersion);
    // It opens compilers by their names alone, which the loader finds where they are open already.
    for (const name of ["nvrtc", "cublasLt"]) {
      const beside = openToolkitLibrary(name, { named: undefined, driverVersion });
      if (name === "nvrtc" && beside !== undefined) openBeside(beside, "libnvrtc-builtins.so");
    }
  }

  get handle(): number {
    return this.#started;
  }

  start(): number {
    const handle = new BigUint64Array(1);
    const status = this.api.cudnnCreate(handle);
    this.#started = Number(handle[0]);
    return status;
  }

  close(): void {
    this.api.cudnnDestroy(this.#started);
  }

  setStream(stream: number): number {
    return this.api.cudnnSetStream(this.#started, stream);
  }

  isDevices(status: number): boolean {
    return status >= INTERNAL_ERROR;
  }

  extentsSet(called: LibraryFunction, values: readonly LibraryValue[]): LibraryExtents | undefined {
    return extentsSet(called, values);
  }

  measured(argument: LibraryArgument, value: LibraryValue, descriptor: CudaDescriptor | undefined): number {
    return this.#sizes.measured(argument, value, descriptor);
  }

  /** A function of the library; undefined where it has none of that name. */
  bind(name: string, kinds: readonly string[]): ((...values: readonly unknown[]) => number) | undefined {
    return bindIfThere(this.#handle, name, kinds);
  }

  /** What a status stands for, with the library's words for the last failure. */
  outcome(status: number): LibraryOutcome {
    if (status === DnnStatus.SUCCESS) return { status, message: "" };
    const text = new Uint8Array(MESSAGE_BYTES_MAX);
    this.#lastError(text, text.byteLength);
    const end = text.indexOf(0);
    return { status, message: Buffer.from(text.subarray(0, end < 0 ? text.length : end)).toString() };
  }

  #checkVersions(path: string, driverVersion: number): void {
    const { version, cudartVersion } = this.versions;
    if (Math.floor(version / 10_000) !== MAJOR) {
      throw new SluiceError("UNSUPPORTED", `The cuDNN library [${path}] has the version [${version}], not ${MAJOR}.`);
    }
    if (Math.floor(cudartVersion / 1000) <= Math.floor(driverVersion / 1000)) return;
    const versions = `CUDA [${cudartVersion}], and the driver is for [${driverVersion}]`;
    throw new SluiceError("UNSUPPORTED", `The cuDNN library [${path}] is for ${versions}.`);
  }
}
