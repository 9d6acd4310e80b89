/** The libraries of a slice, by their numbers (shared/libraries.ts). */
import { libraries } from "../../../shared/libraries.ts";
import type { CudaContext } from "./context.ts";
import { CudaDnn } from "./dnn.ts";
import { FftLibrary } from "./fft-library.ts";
import { BlasLibrary, SolverLibrary } from "./handle-library.ts";
import type { NativeLibrary } from "./native-library.ts";
import { RandLibrary } from "./rand-library.ts";
import { type LibraryOptions, SliceLibrary, startLibrary } from "./slice-library.ts";
import { SparseLibrary } from "./sparse-library.ts";
import type { CudaStream } from "./stream.ts";

type Opener = (context: CudaContext, options: LibraryOptions) => Promise<SliceLibrary>;

/** Opens one that has nothing beside its functions. */
const opening =
  (Native: new (driverVersion: number) => NativeLibrary): Opener =>
  async (context, options) => {
    const native = options.longWork(() => new Native(options.driverVersion));
    return new SliceLibrary(await startLibrary(native, context, options));
  };

const openers: Readonly<Record<(typeof libraries)[number]["word"], Opener>> = {
  dnn: (context, options) => CudaDnn.open(context, options),
  solver: opening(SolverLibrary),
  fft: opening(FftLibrary),
  blas: opening(BlasLibrary),
  rand: opening(RandLibrary),
  sparse: opening(SparseLibrary),
};

export class SliceLibraries {
  readonly #open: SliceLibrary[] = [];

  /** @throws SluiceError UNSUPPORTED where the server has none, OUT_OF_MEMORY where the lease has no room for it */
  async open(number: number, context: CudaContext, options: LibraryOptions): Promise<SliceLibrary> {
    const { word } = libraries[number]!;
    const library = await openers[word](context, options);
    this.#open.push(library);
    return library;
  }

  forgetStream(stream: CudaStream): void {
    for (const library of this.#open) library.forgetStream(stream);
  }

  /** Nothing may be under way. */
  close(): void {
    for (const library of this.#open) library.close();
  }
}
