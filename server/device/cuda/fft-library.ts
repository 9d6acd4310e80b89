/**
 * cuFFT, where the server has it: found as cuBLASLt is (toolkit.ts), or named by `SLUICE_CUFFT_LIBRARY`. Numbers are those of its headers; how far a plan reaches
 * follows from what it was made of, as NVIDIA's cuFFT documentation has its data layout. The library allocates no work areas: its plans have those of the client's
 * memory, with each call, so that they are paid for and checked as all of that is, and two streams may have one each. What a plan takes beside, for tables of its
 * own, is measured and paid for, and comes back with it (library-loading.ts).
 */
import { type ErrorCode, SluiceError } from "../../../shared/errors.ts";
import { fft } from "../../../shared/fft-functions.ts";
import type { LibraryArgument, LibraryFunction } from "../../../shared/library-functions.ts";
import type { LibraryVersions } from "../libraries.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { LibraryExtents, LibraryValue, NativeLibrary } from "./native-library.ts";
import { PlanLibrary } from "./plan-library.ts";
import { type Bound, bind } from "./symbols.ts";
import { openBehind } from "./toolkit.ts";

/** Those that are called beside the functions of the table. */
export const fftSignatures = {
  cufftSetStream: ["i32", "u64"],
  cufftSetAutoAllocation: ["i32", "i32"],
  cufftGetSize: ["i32", "memory"],
} as const;

/** cufftResult. */
export const FftStatus = {
  SUCCESS: 0,
  INVALID_PLAN: 1,
  ALLOC_FAILED: 2,
  INVALID_TYPE: 3,
  INVALID_VALUE: 4,
  INTERNAL_ERROR: 5,
  EXEC_FAILED: 6,
  SETUP_FAILED: 7,
  INVALID_SIZE: 8,
  UNALIGNED_DATA: 9,
  INVALID_DEVICE: 11,
  NO_WORKSPACE: 13,
  NOT_IMPLEMENTED: 14,
  NOT_SUPPORTED: 16,
  MISSING_DEPENDENCY: 17,
  NVRTC_FAILURE: 18,
  NVJITLINK_FAILURE: 19,
} as const;

const codes: Readonly<Record<number, ErrorCode>> = {
  [FftStatus.INVALID_PLAN]: "BAD_ARGUMENT",
  [FftStatus.ALLOC_FAILED]: "OUT_OF_MEMORY",
  [FftStatus.INVALID_TYPE]: "BAD_ARGUMENT",
  [FftStatus.INVALID_VALUE]: "BAD_ARGUMENT",
  [FftStatus.INVALID_SIZE]: "BAD_ARGUMENT",
  [FftStatus.UNALIGNED_DATA]: "BAD_ARGUMENT",
  [FftStatus.INVALID_DEVICE]: "BAD_ARGUMENT",
  [FftStatus.NO_WORKSPACE]: "BAD_ARGUMENT",
  [FftStatus.NOT_IMPLEMENTED]: "UNSUPPORTED",
  [FftStatus.NOT_SUPPORTED]: "UNSUPPORTED",
  [FftStatus.MISSING_DEPENDENCY]: "UNSUPPORTED",
  [FftStatus.NVRTC_FAILURE]: "UNSUPPORTED",
  [FftStatus.NVJITLINK_FAILURE]: "UNSUPPORTED",
};

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** Bytes of an element by its cudaDataType, and whether it is a real number. */
const types: Readonly<Record<number, { readonly bytes: bigint; readonly isReal: boolean }>> = {
  0: { bytes: 4n, isReal: true },
  1: { bytes: 8n, isReal: true },
  2: { bytes: 2n, isReal: true },
  14: { bytes: 2n, isReal: true },
  4: { bytes: 8n, isReal: false },
  5: { bytes: 16n, isReal: false },
  6: { bytes: 4n, isReal: false },
  15: { bytes: 4n, isReal: false },
};

export class FftLibrary extends PlanLibrary implements NativeLibrary {
  readonly table = fft;
  protected readonly codes = codes;
  readonly descriptorType = "int32_t";
  readonly notSupported = FftStatus.NOT_SUPPORTED;
  readonly versions: LibraryVersions;
  readonly #api: Bound<typeof fftSignatures>;

  /** @throws SluiceError UNSUPPORTED where the server has none */
  constructor(driverVersion: number) {
    const spec = {
      title: "cuFFT",
      name: "cufft",
      variable: "SLUICE_CUFFT_LIBRARY",
      behind: 1,
      getProperty: "cufftGetProperty",
    };
    const { handle, path, version } = openBehind(spec, driverVersion);
    super(handle);
    this.#api = bind(handle, fftSignatures, { lacking: (symbol) => `The cuFFT library [${path}] lacks [${symbol}].` });
    this.versions = { version, cudartVersion: 0, maxDeviceVersion: 0 };
  }

  setStream(stream: number, plan: CudaDescriptor | undefined): number {
    return plan === undefined ? FftStatus.SUCCESS : this.#api.cufftSetStream(plan.handle, stream);
  }

  made(plan: CudaDescriptor): number {
    return this.#api.cufftSetAutoAllocation(plan.handle, 0);
  }

  extentsSet({ arguments: all }: LibraryFunction, values: readonly LibraryValue[]): LibraryExtents | undefined {
    if (!all.some(({ role }) => role === "fill")) return undefined;
    const named = (name: string): LibraryValue => values[all.findIndex((each) => each.name === name)]!;
    const number = (name: string): bigint => BigInt(named(name) as number | bigint);
    const [input, output] = [typeOf(number("inputtype")), typeOf(number("outputtype"))];
    const [dims, inembed, onembed] = [longs(named("n"))!, longs(named("inembed")), longs(named("onembed"))];
    if ((inembed === undefined) !== (onembed === undefined)) {
      throw bad("A plan of cuFFT has the layout of its input and not of its output, or the other way round.");
    }
    const batch = number("batch");
    const bytes = ({ bytes: each, isReal }: Type, layout: Omit<Layout, "dims">): number => {
      const isHalf = !isReal && (input.isReal || output.isReal);
      return Number(each * extentOf({ dims: isHalf ? halved(dims) : dims, ...layout }, batch));
    };
    return {
      input: bytes(input, { embed: inembed, stride: number("istride"), distance: number("idist") }),
      output: bytes(output, { embed: onembed, stride: number("ostride"), distance: number("odist") }),
    };
  }

  measured({ name, measure }: LibraryArgument, _value: LibraryValue, plan: CudaDescriptor | undefined): number {
    const size = measure === "work" ? this.#workBytes(plan) : plan?.extents?.[measure ?? ""];
    if (size !== undefined) return size;
    throw bad(`The plan by which [${name}] is measured is not made.`);
  }

  #workBytes(plan: CudaDescriptor | undefined): number | undefined {
    const size = new BigUint64Array(1);
    if (plan?.extents === undefined || this.#api.cufftGetSize(plan.handle, size) !== FftStatus.SUCCESS)
      return undefined;
    return Number(size[0]);
  }
}

type Type = (typeof types)[number];

/** How the data of one side stands in memory: without `embed` one element behind the other. */
interface Layout {
  readonly dims: readonly bigint[];
  readonly embed: readonly bigint[] | undefined;
  readonly stride: bigint;
  readonly distance: bigint;
}

function typeOf(number: bigint): Type {
  const type = types[Number(number)];
  if (type === undefined) throw bad(`cuFFT has no data of the cudaDataType [${number}].`);
  return type;
}

function longs(value: LibraryValue): readonly bigint[] | undefined {
  if (value === null) return undefined;
  const { buffer, byteOffset, byteLength } = value as Uint8Array;
  return [...new BigInt64Array(buffer, byteOffset, byteLength / 8)];
}

/** What there is of a transform of real numbers on its complex side. */
const halved = (dims: readonly bigint[]): bigint[] =>
  dims.map((dim, index) => (index === dims.length - 1 ? dim / 2n + 1n : dim));

/** Elements from the first to behind the last of all transforms of a batch. @throws SluiceError BAD_ARGUMENT where one could lie before the first */
function extentOf({ dims, embed, stride, distance }: Layout, batch: bigint): bigint {
  if (embed === undefined) return dims.reduce((product, dim) => product * dim, batch);
  if ([...embed, stride, distance].some((each) => each < 0n)) throw bad("A plan of cuFFT has strides below zero.");
  const last = dims.reduce((at, dim, index) => at * (index === 0 ? 0n : embed[index]!) + dim - 1n, 0n);
  return (batch - 1n) * distance + last * stride + 1n;
}
