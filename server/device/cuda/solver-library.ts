/**
 * cuSOLVER, where the server has it: found as cuBLASLt is (toolkit.ts), or named by `SLUICE_CUSOLVER_LIBRARY`. Its statuses are those of its headers; the reference
 * is NVIDIA's cuSOLVER documentation.
 */
import type { LibraryHandle } from "koffi";
import { type ErrorCode, SluiceError } from "../../../shared/errors.ts";
import { solver } from "../../../shared/solver-functions.ts";
import type { LibraryOutcome, LibraryVersions } from "../libraries.ts";
import type { NativeLibrary } from "./native-library.ts";
import { type Bound, bind, bindIfThere } from "./symbols.ts";
import { openBehind } from "./toolkit.ts";

export const solverSignatures = {
  cusolverDnCreate: ["memory"],
  cusolverDnDestroy: ["u64"],
  cusolverDnSetStream: ["u64", "u64"],
} as const;

/** Of cusolverStatus_t those that are told apart. */
export const SolverStatus = {
  SUCCESS: 0,
  NOT_INITIALIZED: 1,
  ALLOC_FAILED: 2,
  INVALID_VALUE: 3,
  EXECUTION_FAILED: 6,
  INTERNAL_ERROR: 7,
  NOT_SUPPORTED: 9,
} as const;

const codes: Readonly<Record<number, ErrorCode>> = {
  [SolverStatus.ALLOC_FAILED]: "OUT_OF_MEMORY",
  [SolverStatus.INVALID_VALUE]: "BAD_ARGUMENT",
  [SolverStatus.NOT_SUPPORTED]: "UNSUPPORTED",
};

export class SolverLibrary implements NativeLibrary {
  readonly table = solver;
  readonly descriptorType = "uint64_t";
  readonly notSupported = SolverStatus.NOT_SUPPORTED;
  readonly loadsForQuestions = true;
  readonly versions: LibraryVersions;
  readonly #library: LibraryHandle;
  readonly #api: Bound<typeof solverSignatures>;
  #handle = 0;

  /** @throws SluiceError UNSUPPORTED where the server has none, or none that works with the driver. */
  constructor(driverVersion: number) {
    const spec = {
      title: "cuSOLVER",
      name: "cusolver",
      variable: "SLUICE_CUSOLVER_LIBRARY",
      version: "cusolverGetVersion",
    };
    const { handle, path, version } = openBehind(spec, driverVersion);
    this.#library = handle;
    this.#api = bind(handle, solverSignatures, {
      lacking: (symbol) => `The cuSOLVER library [${path}] lacks [${symbol}].`,
    });
    this.versions = { version, cudartVersion: 0, maxDeviceVersion: 0 };
  }

  get handle(): number {
    return this.#handle;
  }

  start(): number {
    const handle = new BigUint64Array(1);
    const status = this.#api.cusolverDnCreate(handle);
    this.#handle = Number(handle[0]);
    return status;
  }

  close(): void {
    this.#api.cusolverDnDestroy(this.#handle);
  }

  setStream(stream: number): number {
    return this.#api.cusolverDnSetStream(this.#handle, stream);
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
    return (
      status === SolverStatus.EXECUTION_FAILED ||
      status === SolverStatus.INTERNAL_ERROR ||
      status === SolverStatus.NOT_INITIALIZED
    );
  }

  failure({ status }: LibraryOutcome, doing: string): SluiceError {
    return new SluiceError(codes[status] ?? "DEVICE_FAILED", `cuSOLVER fails to ${doing} [status ${status}].`);
  }

  /** All sizes are in its table. */
  extentsSet(): undefined {
    return undefined;
  }

  measured(): number {
    return 1;
  }
}
