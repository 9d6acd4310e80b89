/**
 * Libraries that are a handle with a stream and functions of it: cuSOLVER, and of cuBLAS what works on batches. They are found as cuBLASLt is (toolkit.ts), or
 * named by a variable. Their statuses are those of their headers; the reference is NVIDIA's documentation of them.
 */
import type { LibraryHandle } from "koffi";
import { blas } from "../../../shared/blas-functions.ts";
import { type ErrorCode, SluiceError } from "../../../shared/errors.ts";
import type { Library, LibraryArgument } from "../../../shared/library-functions.ts";
import { solver } from "../../../shared/solver-functions.ts";
import type { LibraryOutcome, LibraryVersions } from "../libraries.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { LibraryValue, NativeLibrary } from "./native-library.ts";
import { bindIfThere } from "./symbols.ts";
import { openBehind } from "./toolkit.ts";

/** Of a library's statuses those that are told apart. */
export interface HandleLibraryStatuses {
  readonly NOT_INITIALIZED: number;
  readonly ALLOC_FAILED: number;
  readonly INVALID_VALUE: number;
  readonly EXECUTION_FAILED: number;
  readonly INTERNAL_ERROR: number;
  readonly NOT_SUPPORTED: number;
}

export interface HandleLibraryKind {
  readonly table: Library;
  /** In the file's name, and the variable that names another file. */
  readonly file: string;
  readonly variable: string;
  /** How far its major version is behind that of CUDA. */
  readonly behind: number;
  /** Its major version, where that is no CUDA's. */
  readonly major?: number;
  readonly create: string;
  readonly destroy: string;
  readonly setStream: string;
  /** Tells one of three parts of the version. */
  readonly getProperty: string;
  readonly statuses: HandleLibraryStatuses;
}

export const solverOfHandles: HandleLibraryKind = {
  table: solver,
  file: "cusolver",
  variable: "SLUICE_CUSOLVER_LIBRARY",
  behind: 1,
  create: "cusolverDnCreate",
  destroy: "cusolverDnDestroy",
  setStream: "cusolverDnSetStream",
  getProperty: "cusolverGetProperty",
  statuses: {
    ...{ NOT_INITIALIZED: 1, ALLOC_FAILED: 2, INVALID_VALUE: 3 },
    ...{ EXECUTION_FAILED: 6, INTERNAL_ERROR: 7, NOT_SUPPORTED: 9 },
  },
};

export const blasOfHandles: HandleLibraryKind = {
  table: blas,
  file: "cublas",
  variable: "SLUICE_CUBLAS_LIBRARY",
  behind: 0,
  create: "cublasCreate_v2",
  destroy: "cublasDestroy_v2",
  setStream: "cublasSetStream_v2",
  getProperty: "cublasGetProperty",
  statuses: {
    ...{ NOT_INITIALIZED: 1, ALLOC_FAILED: 3, INVALID_VALUE: 7 },
    ...{ EXECUTION_FAILED: 13, INTERNAL_ERROR: 14, NOT_SUPPORTED: 15 },
  },
};

/** What the functions beside the table take. */
export const handleSignatures = ({
  create,
  destroy,
  setStream,
  getProperty,
}: HandleLibraryKind): Readonly<Record<string, readonly string[]>> => ({
  [create]: ["memory"],
  [destroy]: ["u64"],
  [setStream]: ["u64", "u64"],
  [getProperty]: ["i32", "memory"],
});

/** koffi's names for those. */
const nativeTypes: Readonly<Record<string, string>> = { memory: "void *", u64: "uint64_t", i32: "int32_t" };

export class HandleLibrary implements NativeLibrary {
  readonly table: Library;
  readonly descriptorType = "uint64_t";
  readonly notSupported: number;
  readonly loadsForQuestions = true;
  readonly versions: LibraryVersions;
  readonly #kind: HandleLibraryKind;
  readonly #library: LibraryHandle;
  readonly #bound = new Map<string, (...values: readonly unknown[]) => number>();
  #handle = 0;

  /** @throws SluiceError UNSUPPORTED where the server has none, or none that works with the driver. */
  constructor(kind: HandleLibraryKind, driverVersion: number) {
    this.#kind = kind;
    this.table = kind.table;
    this.notSupported = kind.statuses.NOT_SUPPORTED;
    const { table, file, variable, behind, major, getProperty } = kind;
    const spec = { title: table.name, name: file, variable, behind, major, getProperty };
    const { handle, path, version } = openBehind(spec, driverVersion);
    this.#library = handle;
    for (const symbol of Object.keys(handleSignatures(kind))) {
      if (this.bind(symbol, []) !== undefined) continue;
      throw new SluiceError("UNSUPPORTED", `The ${table.name} library [${path}] lacks [${symbol}].`);
    }
    this.versions = { version, cudartVersion: 0, maxDeviceVersion: 0 };
  }

  get handle(): number {
    return this.#handle;
  }

  start(): number {
    const handle = new BigUint64Array(1);
    const status = this.#call(this.#kind.create, handle);
    this.#handle = Number(handle[0]);
    return status;
  }

  close(): void {
    this.#call(this.#kind.destroy, this.#handle);
  }

  setStream(stream: number): number {
    return this.#call(this.#kind.setStream, this.#handle, stream);
  }

  /** A function of the library; undefined where it has none of that name. */
  bind(name: string, kinds: readonly string[]): ((...values: readonly unknown[]) => number) | undefined {
    return bindIfThere(this.#library, name, kinds);
  }

  /** It has no words for what fails. */
  outcome(status: number): LibraryOutcome {
    return { status, message: "" };
  }

  isDevices(status: number): boolean {
    const { EXECUTION_FAILED, INTERNAL_ERROR, NOT_INITIALIZED } = this.#kind.statuses;
    return status === EXECUTION_FAILED || status === INTERNAL_ERROR || status === NOT_INITIALIZED;
  }

  failure({ status }: LibraryOutcome, doing: string): SluiceError {
    const { ALLOC_FAILED, INVALID_VALUE, NOT_SUPPORTED } = this.#kind.statuses;
    const codes: Readonly<Record<number, ErrorCode>> = {
      [ALLOC_FAILED]: "OUT_OF_MEMORY",
      [INVALID_VALUE]: "BAD_ARGUMENT",
      [NOT_SUPPORTED]: "UNSUPPORTED",
    };
    const text = `${this.table.name} fails to ${doing} [status ${status}].`;
    return new SluiceError(codes[status] ?? "DEVICE_FAILED", text);
  }

  /** All sizes are in its table. */
  extentsSet(): undefined {
    return undefined;
  }

  measured(_argument: LibraryArgument, _value: LibraryValue, _descriptor: CudaDescriptor | undefined): number {
    return 1;
  }

  #call(name: string, ...values: readonly unknown[]): number {
    let bound = this.#bound.get(name);
    if (bound === undefined) {
      const types = handleSignatures(this.#kind)[name]!.map((kind) => nativeTypes[kind]!);
      bound = this.bind(name, types)!;
      this.#bound.set(name, bound);
    }
    return bound(...values);
  }
}

export class SolverLibrary extends HandleLibrary {
  constructor(driverVersion: number) {
    super(solverOfHandles, driverVersion);
  }
}

export class BlasLibrary extends HandleLibrary {
  constructor(driverVersion: number) {
    super(blasOfHandles, driverVersion);
  }
}
