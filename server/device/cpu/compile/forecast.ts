/**
 * Tells of a kernel what compiling it would tell, by what is known of its body and of those of the functions that it calls: that the device takes it,
 * and what it needs. Undefined where that is not certain.
 */
import { allocates, isRuntimeFunction } from "../emit/call.ts";
import type { Call, Outline, Variable } from "../ptx/program.ts";
import { type MemoryLayout, SHARED_BYTES_MAX } from "../run/layout.ts";
import { type KernelFacts, threadsMax } from "./kernel.ts";
import { placeShared } from "./places.ts";
import { fits } from "./pointers.ts";

export function forecastKernel(
  kernel: Outline,
  {
    functions,
    layout,
    isUniform,
  }: { functions: ReadonlyMap<string, Outline>; layout: MemoryLayout; isUniform: boolean },
): KernelFacts | undefined {
  const reach = new Reach(functions, isUniform);
  const localBytes = reach.stackBytes(kernel);
  const { forecast } = kernel.survey;
  if (localBytes === undefined || forecast === undefined) return undefined;
  const sharedBytes = placeShared(reach.shared).byteCount;
  const most = threadsMax(kernel, { layout, recordBytes: forecast.recordBytesMax, localBytes });
  // Compiling may find that less outlives a suspension, and so that more threads have room.
  if (most < threadsMax(kernel, { layout, recordBytes: 0, localBytes })) return undefined;
  if (most < 1 || sharedBytes > SHARED_BYTES_MAX) return undefined;
  return { threadsMax: most, sharedBytes, localBytes, usesHeap: reach.usesHeap };
}

/** What a kernel reaches by calls. */
class Reach {
  readonly shared = new Set<Variable>();
  usesHeap = false;
  readonly #functions: ReadonlyMap<string, Outline>;
  /** Bytes of a routine's frame and of those below it; undefined while it is open, and where nothing is certain. */
  readonly #stackBytes = new Map<Outline, number | undefined>();

  readonly #isUniform: boolean;

  constructor(functions: ReadonlyMap<string, Outline>, isUniform: boolean) {
    this.#functions = functions;
    this.#isUniform = isUniform;
  }

  stackBytes(routine: Outline): number | undefined {
    if (this.#stackBytes.has(routine)) return this.#stackBytes.get(routine);
    this.#stackBytes.set(routine, undefined);
    const { forecast } = routine.survey;
    if (forecast === undefined) return undefined;
    for (const variable of forecast.shared) this.shared.add(variable);
    let below = 0;
    for (const call of forecast.calls) {
      const bytes = this.#callBytes(call);
      if (bytes === undefined) return undefined;
      below = Math.max(below, bytes);
    }
    const bytes = forecast.frameBytes + below;
    this.#stackBytes.set(routine, bytes);
    return bytes;
  }

  #callBytes({ name = "", args, results }: Call): number | undefined {
    const callee = this.#functions.get(name);
    if (callee === undefined) {
      this.usesHeap ||= allocates(name);
      return isRuntimeFunction(name) ? 0 : undefined;
    }
    const { forecast } = callee.survey;
    // Where lanes must go in step, it is copied into its callers (calls.ts).
    const isCalled = forecast?.canBeCalled && (this.#isUniform || !forecast.writesShared);
    const isCertain = isCalled && fits(callee.params, args) && fits(callee.returns, results);
    return isCertain ? this.stackBytes(callee) : undefined;
  }
}
