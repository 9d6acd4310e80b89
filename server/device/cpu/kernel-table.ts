/**
 * The kernels of a program, each compiled when it is first asked for. A kernel of which a forecast is certain waits for its first launch; any other is
 * compiled when the program is loaded, so that what the device cannot run is refused there, and a mistake in the text refuses its image.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { functionsThatWait } from "./compile/calls.ts";
import { forecastKernel } from "./compile/forecast.ts";
import { type CompiledKernel, compileKernel, type KernelFacts, type KernelOptions } from "./compile/kernel.ts";
import type { Pointers } from "./compile/pointers.ts";
import { LANE_SWITCH } from "./ptx/lanes.ts";
import type { Outline, Program, Routine, Variable } from "./ptx/program.ts";
import { probeFeatures } from "./run/features.ts";
import type { MemoryLayout } from "./run/layout.ts";

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

export class KernelTable {
  readonly entries: readonly Outline[];
  /** What each kernel needs, or why this device cannot run it: every launch of it fails so. */
  readonly facts: readonly (KernelFacts | SluiceError)[];
  readonly #functions: ReadonlyMap<string, Outline>;
  readonly #places: ProgramPlaces;
  readonly #loaded: (LoadedKernel | SluiceError | undefined)[];
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
    const forecasts = this.entries.map((entry) => forecastKernel(entry, { functions: this.#functions, layout }));
    this.#loaded = this.#compileUncertain(forecasts);
    this.facts = forecasts.map((forecast, index) => forecast ?? factsOf(this.#loaded[index]!));
  }

  /** @throws SluiceError NO_SUCH_KERNEL, or why the device cannot run it */
  get(index: number): LoadedKernel {
    const entry = this.entries[index];
    if (entry === undefined) throw new SluiceError("NO_SUCH_KERNEL", `The module has no kernel [${index}].`);
    this.#loaded[index] ??= this.#compile(entry.read(), this.#optionsFor(this.#reached(entry)));
    const kernel = this.#loaded[index];
    if (kernel instanceof SluiceError) throw new SluiceError(kernel.code, kernel.message);
    return kernel;
  }

  /** Whether `get` has it at once. */
  isCompiled(index: number): boolean {
    return this.#loaded[index] !== undefined;
  }

  /** The workers' numbers of kernels that were launched. */
  launched(): number[] {
    return this.#loaded.flatMap((kernel) =>
      kernel === undefined || kernel instanceof SluiceError || kernel.id === undefined ? [] : [kernel.id],
    );
  }

  /** Kernels know the arena's size: for another one they are compiled anew. Returns the workers' numbers of those that are gone. */
  fit(layout: MemoryLayout): number[] {
    const gone = this.launched();
    this.#layout = layout;
    for (const [index, kernel] of this.#loaded.entries())
      if (!(kernel instanceof SluiceError)) this.#loaded[index] = undefined;
    return gone;
  }

  #compileUncertain(forecasts: readonly (KernelFacts | undefined)[]): (LoadedKernel | SluiceError | undefined)[] {
    let options: KernelOptions | undefined;
    return this.entries.map((entry, index) => {
      if (forecasts[index] !== undefined) return undefined;
      // Some kernel is likely to need each function: they are read once for all.
      options ??= this.#optionsFor(this.#functions.values());
      return this.#compile(entry.read(), options);
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

  #optionsFor(outlines: Iterable<Outline>): KernelOptions {
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
  #compile(routine: Routine, options: KernelOptions): LoadedKernel | SluiceError {
    const tooMuch = (why: string, cause?: unknown) =>
      new SluiceError("UNSUPPORTED", `The kernel [${routine.name}] ${why} for the cpu device.`, { cause });
    try {
      const compiled = compileKernel(routine, options);
      return WebAssembly.validate(compiled.bytes) ? { compiled, id: undefined } : tooMuch("is too large");
    } catch (error) {
      // The text decides how deep the compiler recurses.
      if (error instanceof RangeError) return tooMuch("nests too deep", error);
      if (error instanceof SluiceError && error.code !== "BAD_IMAGE") return error;
      throw error;
    }
  }
}

const factsOf = (kernel: LoadedKernel | SluiceError): KernelFacts | SluiceError =>
  kernel instanceof SluiceError ? kernel : kernel.compiled;
