/**
 * The kernels of a program, each compiled when it is first asked for. A kernel of which a forecast is certain waits for its first launch; any other is
 * compiled when the program is loaded, so that what the device cannot run is refused there, and a mistake in the text refuses its image.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { functionsThatWait } from "./compile/calls.ts";
import { forecastKernel } from "./compile/forecast.ts";
import { type CompiledKernel, compileKernel, type KernelFacts, type KernelOptions } from "./compile/kernel.ts";
import type { Pointers } from "./compile/pointers.ts";
import { type WarpShape, warpShapeOf } from "./compile/warp-shape.ts";
import { LANE_SWITCH } from "./ptx/lanes.ts";
import type { Outline, Program, Routine, Variable } from "./ptx/program.ts";
import { probeFeatures } from "./run/features.ts";
import { type MemoryLayout, WARP_SIZE } from "./run/layout.ts";

/** A kernel, with what a launch needs. */
export interface LoadedKernel {
  compiled: CompiledKernel;
  /** Number by which the workers know it, once it has been launched. */
  id: number | undefined;
}

/** Where a program's variables and functions are. */
export interface ProgramPlaces {
  readonly addresses: ReadonlyMap<Variable, bigint>;
  readonly pointers: Pointers;
}

/** A kernel as it is compiled for warps of one shape or another; for "any" if it is the same for all. */
type Compiled = Map<WarpShape | "any" | undefined, LoadedKernel>;

export class KernelTable {
  readonly entries: readonly Outline[];
  /** What each kernel needs, or why this device cannot run it: every launch of it fails so. */
  readonly facts: readonly (KernelFacts | SluiceError)[];
  readonly #functions: ReadonlyMap<string, Outline>;
  readonly #places: ProgramPlaces;
  readonly #loaded: (Compiled | SluiceError | undefined)[];
  /** Whether it may have kernels in which one lane of each warp stands for all. */
  readonly #isUniform: boolean;
  #layout: MemoryLayout;

  /** @throws SluiceError BAD_IMAGE */
  constructor(program: Program, { layout, ...places }: ProgramPlaces & { layout: MemoryLayout }) {
    this.entries = program.routines.filter(({ isEntry }) => isEntry);
    this.#functions = new Map(
      program.routines.filter(({ isEntry }) => !isEntry).map((outline) => [outline.name, outline]),
    );
    this.#places = places;
    this.#isUniform = program.variables.some(({ name }) => name === LANE_SWITCH);
    this.#layout = layout;
    const forecasts = this.entries.map((entry) =>
      forecastKernel(entry, { functions: this.#functions, layout, isUniform: this.#isUniform }),
    );
    this.#loaded = this.#compileUncertain(forecasts);
    this.facts = forecasts.map((forecast, index) => forecast ?? factsOf(this.#loaded[index]!));
  }

  /**
   * `block`: the threads of a block that it is to run.
   * @throws SluiceError NO_SUCH_KERNEL, or why the device cannot run it
   */
  get(index: number, block: readonly [number, number, number]): LoadedKernel {
    const entry = this.entries[index];
    if (entry === undefined) throw new SluiceError("NO_SUCH_KERNEL", `The module has no kernel [${index}].`);
    const shape = warpShapeOf(block);
    const known = this.#loaded[index];
    const found = known instanceof Map ? (known.get("any") ?? known.get(shape)) : undefined;
    if (found !== undefined) return found;
    const made =
      known instanceof SluiceError
        ? known
        : this.#compile(entry.read(), { ...this.#optionsFor(this.#reached(entry)), shape });
    if (known === undefined || made instanceof SluiceError) this.#loaded[index] ??= made;
    if (made instanceof SluiceError) throw new SluiceError(made.code, made.message);
    if (known instanceof Map) for (const [one, kernel] of made) known.set(one, kernel);
    return [...made.values()][0]!;
  }

  /** Whether `get` has it at once. */
  isCompiled(index: number, block: readonly [number, number, number]): boolean {
    const known = this.#loaded[index];
    return known instanceof Map ? known.has("any") || known.has(warpShapeOf(block)) : known !== undefined;
  }

  /** The workers' numbers of kernels that were launched. */
  launched(): number[] {
    const kernels = this.#loaded.flatMap((compiled) => (compiled instanceof Map ? [...compiled.values()] : []));
    return kernels.flatMap(({ id }) => (id === undefined ? [] : [id]));
  }

  /** Kernels know the arena's size: for another one they are compiled anew. Returns the workers' numbers of those that are gone. */
  fit(layout: MemoryLayout): number[] {
    const gone = this.launched();
    this.#layout = layout;
    for (const [index, kernel] of this.#loaded.entries()) if (kernel instanceof Map) this.#loaded[index] = undefined;
    return gone;
  }

  #compileUncertain(forecasts: readonly (KernelFacts | undefined)[]): (Compiled | SluiceError | undefined)[] {
    let options: Omit<KernelOptions, "shape"> | undefined;
    return this.entries.map((entry, index) => {
      if (forecasts[index] !== undefined) return undefined;
      // Some kernel is likely to need each function: they are read once for all.
      options ??= this.#optionsFor(this.#functions.values());
      return this.#compile(entry.read(), {
        ...options,
        shape: warpShapeOf(entry.threadsRequired ?? [WARP_SIZE, 1, 1]),
      });
    });
  }

  /** The functions that a kernel may call. */
  #reached(entry: Outline): Set<Outline> {
    const reached = new Set([entry]);
    for (const [name, { routine }] of this.#places.pointers)
      if (!routine.isEntry) reached.add(this.#functions.get(name)!);
    for (const { survey } of reached) {
      for (const name of [...survey.calls, ...survey.addresses]) {
        const callee = this.#functions.get(name);
        if (callee !== undefined) reached.add(callee);
      }
    }
    reached.delete(entry);
    return reached;
  }

  #optionsFor(outlines: Iterable<Outline>): Omit<KernelOptions, "shape"> {
    const functions = [...outlines].map((outline) => outline.read());
    return {
      ...this.#places,
      layout: this.#layout,
      features: probeFeatures(),
      functions: new Map(functions.map((routine) => [routine.name, routine])),
      waiting: functionsThatWait(functions, { pointers: this.#places.pointers, isUniform: this.#isUniform }),
    };
  }

  /** What this device lacks concerns that kernel alone; a mistake in the text is its whole image's. */
  #compile(routine: Routine, options: KernelOptions): Compiled | SluiceError {
    const tooMuch = (why: string, cause?: unknown) =>
      new SluiceError("UNSUPPORTED", `The kernel [${routine.name}] ${why} for the cpu device.`, { cause });
    try {
      const compiled = compileKernel(routine, options);
      if (!WebAssembly.validate(compiled.bytes)) return tooMuch("is too large");
      return new Map([[compiled.hangsOnShape ? options.shape : "any", { compiled, id: undefined }]]);
    } catch (error) {
      // The text decides how deep the compiler recurses.
      if (error instanceof RangeError) return tooMuch("nests too deep", error);
      if (error instanceof SluiceError && error.code !== "BAD_IMAGE") return error;
      throw error;
    }
  }
}

const factsOf = (kernel: Compiled | SluiceError): KernelFacts | SluiceError =>
  kernel instanceof SluiceError ? kernel : [...kernel.values()][0]!.compiled;
