/** cuSPARSE, which has the same major version for every CUDA that is served. What its descriptors hold and keep is checked by its table (library-functions.ts). */
import { SluiceError } from "../../../shared/errors.ts";
import type { LibraryArgument } from "../../../shared/library-functions.ts";
import { sparse } from "../../../shared/sparse-functions.ts";
import { HandleLibrary, type HandleLibraryKind } from "./handle-library.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { LibraryValue } from "./native-library.ts";

export const sparseOfHandles: HandleLibraryKind = {
  table: sparse,
  file: "cusparse",
  variable: "SLUICE_CUSPARSE_LIBRARY",
  behind: 0,
  major: 12,
  create: "cusparseCreate",
  destroy: "cusparseDestroy",
  setStream: "cusparseSetStream",
  getProperty: "cusparseGetProperty",
  statuses: {
    ...{ NOT_INITIALIZED: 1, ALLOC_FAILED: 2, INVALID_VALUE: 3 },
    ...{ EXECUTION_FAILED: 6, INTERNAL_ERROR: 7, NOT_SUPPORTED: 10 },
  },
};

/** CUSPARSE_STATUS_ZERO_PIVOT */
export const ZERO_PIVOT = 9;

const sizeTypes = ["uint64_t", "void *", "void *", "void *"];

export class SparseLibrary extends HandleLibrary {
  readonly #getSize: ((...values: readonly unknown[]) => number) | undefined;

  constructor(driverVersion: number) {
    super(sparseOfHandles, driverVersion);
    this.#getSize = this.bind("cusparseSpMatGetSize", sizeTypes);
  }

  /** Where the zero on the diagonal is. */
  hasResults(status: number): boolean {
    return status === ZERO_PIVOT;
  }

  /** How many elements a matrix has is known once it is computed, and before its memory is given. */
  changed({ what, handle, facts }: CudaDescriptor): void {
    if (what !== "spMat") return;
    const [rows, columns, count] = [new BigInt64Array(1), new BigInt64Array(1), new BigInt64Array(1)];
    if (this.#getSize?.(handle, rows, columns, count) === 0) facts.set("nnz", count[0]!);
  }

  /** The size of the work area that a descriptor has. */
  override measured({ name }: LibraryArgument, _value: LibraryValue, descriptor: CudaDescriptor | undefined): number {
    const area = descriptor?.areas.get(name);
    if (area !== undefined) return area.byteCount;
    throw new SluiceError("BAD_ARGUMENT", `The descriptor has no work area [${name}]: nothing was analysed by it.`);
  }
}
