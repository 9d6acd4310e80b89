/**
 * How much memory cuDNN's functions take to stand behind their arguments: of tensors and filters the library says it, of other descriptors it follows from the
 * call that has set them.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { LibraryArgument, LibraryFunction } from "../../../shared/library-functions.ts";
import { DnnStatus } from "../dnn.ts";
import type { DnnLibrary } from "./dnn-library.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { LibraryExtents, LibraryValue } from "./native-library.ts";

/** Most dimensions of anything (CUDNN_DIM_MAX). */
export const DIMENSIONS_MAX = 8;

/** Bits of an element of a tensor at least, by its cudnnDataType_t; newer ones have 4. */
const elementBits = [32, 64, 16, 8, 32, 32, 8, 32, 256, 16, 64, 1, 8, 8, 8, 8, 4, 4, 4, 32, 64, 128];

/** Bytes that so many elements of a tensor have at least. */
export const tensorBytes = (dataType: number, elements: number): number =>
  Math.ceil((elements * (elementBits[dataType] ?? 4)) / 8);

/** cudnnRNNDataLayout_t: no room for what shorter sequences lack. */
const SEQ_MAJOR_PACKED = 1;

const product = (factors: Iterable<number>): number => [...factors].reduce((all, factor) => all * factor, 1);
const sum = (terms: Iterable<number>): number => [...terms].reduce((all, term) => all + term, 0);

/** Elements of an array of i32. */
const integers = (value: LibraryValue | undefined): Int32Array => {
  const bytes = value as Uint8Array;
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
};

/** What a call says of the descriptor that it sets; undefined where the library tells that. */
export function extentsSet(
  { name, arguments: all }: LibraryFunction,
  values: readonly LibraryValue[],
): LibraryExtents | undefined {
  const valueAt = (argument: string): LibraryValue | undefined =>
    values[all.findIndex((each) => each.name === argument)];
  const number = (argument: string): number => Number(valueAt(argument));
  if (name === "cudnnSetRNNDataDescriptor") {
    const sequences = number("batchSize");
    const isPacked = number("layout") === SEQ_MAJOR_PACKED;
    const steps = isPacked ? sum(integers(valueAt("seqLengthArray"))) : number("maxSeqLength") * sequences;
    return { all: tensorBytes(number("dataType"), steps * number("vectorSize")), sequences };
  }
  if (name !== "cudnnSetSpatialTransformerNdDescriptor") return undefined;
  const [images = 0, , ...spatial] = integers(valueAt("dimA"));
  const bytes = (elements: number): number => tensorBytes(number("dataType"), images * elements);
  const { length } = spatial;
  return { theta: bytes(length * (length + 1)), grid: bytes(product(spatial) * length) };
}

export class DnnSizes {
  readonly #library: DnnLibrary;

  constructor(library: DnnLibrary) {
    this.#library = library;
  }

  /**
   * Bytes behind a pointer, or elements of an array, of whose size another argument's value says something.
   * @throws SluiceError BAD_ARGUMENT where that is a descriptor which does not say it
   */
  measured({ name, measure }: LibraryArgument, value: LibraryValue, descriptor: CudaDescriptor | undefined): number {
    if (measure === "sum") return lengths(value);
    if (measure === "sequences") return this.#sequences(name, descriptor);
    if (measure !== undefined) return known(name, descriptor?.extents?.[measure]);
    if (descriptor === undefined) return 1;
    if (descriptor.what === "rnnData") return known(name, descriptor.extents?.["all"]);
    const { cudnnGetTensorSizeInBytes, cudnnGetFilterSizeInBytes } = this.#library.api;
    const size = new BigUint64Array(1);
    const tell = descriptor.what === "filter" ? cudnnGetFilterSizeInBytes : cudnnGetTensorSizeInBytes;
    return tell(descriptor.handle, size) === DnnStatus.SUCCESS ? Number(size[0]) : 1;
  }

  /** Of a tensor they are its second dimension. */
  #sequences(name: string, descriptor: CudaDescriptor | undefined): number {
    if (descriptor?.what !== "tensor") return known(name, descriptor?.extents?.["sequences"]);
    const [type, count] = [new Int32Array(1), new Int32Array(1)];
    const [dims, strides] = [new Int32Array(DIMENSIONS_MAX), new Int32Array(DIMENSIONS_MAX)];
    const { cudnnGetTensorNdDescriptor } = this.#library.api;
    const status = cudnnGetTensorNdDescriptor(descriptor.handle, DIMENSIONS_MAX, type, count, dims, strides);
    return known(name, status === DnnStatus.SUCCESS && count[0]! > 1 ? dims[1] : undefined);
  }
}

function known(name: string, size: number | undefined): number {
  if (size !== undefined) return size;
  throw new SluiceError("BAD_ARGUMENT", `The descriptor by which [${name}] is measured is not set.`);
}

function lengths(value: LibraryValue): number {
  const all = integers(value);
  if (all.every((length) => length >= 0)) return sum(all);
  throw new SluiceError("BAD_ARGUMENT", "A length of cuDNN's is below zero.");
}
