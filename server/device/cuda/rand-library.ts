/**
 * cuRAND, where the server has it: found as cuBLASLt is (toolkit.ts), or named by `SLUICE_CURAND_LIBRARY`. Numbers are those of its headers. What a generator takes
 * of the device for its state, as it first makes numbers, is measured and paid for, and comes back with it (library-loading.ts).
 */
import { type ErrorCode, SluiceError } from "../../../shared/errors.ts";
import { rand } from "../../../shared/rand-functions.ts";
import type { LibraryVersions } from "../libraries.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { NativeLibrary } from "./native-library.ts";
import { PlanLibrary } from "./plan-library.ts";
import { type Bound, bind } from "./symbols.ts";
import { openToolkitLibrary } from "./toolkit.ts";

/** Those that are called beside the functions of the table. */
export const randSignatures = {
  curandGetVersion: ["memory"],
  curandSetStream: ["u64", "u64"],
} as const;

/** Of curandStatus_t those that are told apart. */
export const RandStatus = {
  SUCCESS: 0,
  ALLOCATION_FAILED: 102,
  TYPE_ERROR: 103,
  OUT_OF_RANGE: 104,
  LENGTH_NOT_MULTIPLE: 105,
  LAUNCH_FAILURE: 201,
  ARCH_MISMATCH: 204,
  INTERNAL_ERROR: 999,
} as const;

const codes: Readonly<Record<number, ErrorCode>> = {
  [RandStatus.ALLOCATION_FAILED]: "OUT_OF_MEMORY",
  [RandStatus.TYPE_ERROR]: "BAD_ARGUMENT",
  [RandStatus.OUT_OF_RANGE]: "BAD_ARGUMENT",
  [RandStatus.LENGTH_NOT_MULTIPLE]: "BAD_ARGUMENT",
  [RandStatus.ARCH_MISMATCH]: "UNSUPPORTED",
};

/** The one version in its name, of CUDA 12 and 13 alike. */
const MAJOR = 10;

export class RandLibrary extends PlanLibrary implements NativeLibrary {
  readonly table = rand;
  protected readonly codes = codes;
  readonly descriptorType = "uint64_t";
  readonly notSupported = RandStatus.ARCH_MISMATCH;
  readonly versions: LibraryVersions;
  readonly #api: Bound<typeof randSignatures>;

  /** @throws SluiceError UNSUPPORTED where the server has none */
  constructor(driverVersion: number) {
    const named = process.env["SLUICE_CURAND_LIBRARY"];
    const library = openToolkitLibrary("curand", { named, driverVersion, majors: [MAJOR] });
    if (library === undefined) {
      const file = named || `libcurand.so.${MAJOR}`;
      throw new SluiceError("UNSUPPORTED", `This server has no cuRAND [${file}]; have its admin install it.`);
    }
    const { handle, path } = library;
    super(handle);
    this.#api = bind(handle, randSignatures, {
      lacking: (symbol) => `The cuRAND library [${path}] lacks [${symbol}].`,
    });
    const version = new Int32Array(1);
    this.#api.curandGetVersion(version);
    this.versions = { version: version[0]!, cudartVersion: 0, maxDeviceVersion: 0 };
  }

  setStream(stream: number, generator: CudaDescriptor | undefined): number {
    return generator === undefined ? RandStatus.SUCCESS : this.#api.curandSetStream(generator.handle, stream);
  }

  /** All sizes are in its table. */
  extentsSet(): undefined {
    return undefined;
  }

  measured(): number {
    return 1;
  }
}
