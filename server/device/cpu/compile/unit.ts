/**
 * One WebAssembly module in the making: a kernel with the functions it calls. Holds what all its functions share: imports,
 * helpers on demand, places in memory, addresses of variables.
 */
import { badImage, type Variable } from "../ptx/program.ts";
import { type MemoryLayout, WINDOW_BYTES, Window } from "../run/layout.ts";
import { type Assembly, assemble, paramTypes } from "../wasm/assembly.ts";
import type { Code, WasmType } from "../wasm/code.ts";
import { ModuleWriter } from "../wasm/module.ts";
import { findHelper } from "./helpers.ts";
import { align, placeShared } from "./places.ts";
import type { Pointers } from "./pointers.ts";

/** Functions that the workers give to kernels. */
const imports = {
  /** kind, line, address: never returns. */
  fault: { params: ["i32", "i32", "i64"], results: [] },
  /** address of the format, address of the arguments, thread's frame: number of arguments. */
  vprintf: { params: ["i64", "i64", "i32"], results: ["i32"] },
  /** message, file, line, function, thread's frame, thread: never returns. */
  assertfail: { params: ["i64", "i64", "i32", "i64", "i32", "i32"], results: [] },
  /** bytes, alignment: address, or 0. */
  malloc: { params: ["i64", "i64"], results: ["i64"] },
  /** address, line. */
  free: { params: ["i64", "i32"], results: [] },
  sin: { params: ["f64"], results: ["f64"] },
  cos: { params: ["f64"], results: ["f64"] },
  exp: { params: ["f64"], results: ["f64"] },
  log: { params: ["f64"], results: ["f64"] },
  pow: { params: ["f64", "f64"], results: ["f64"] },
  tanh: { params: ["f64"], results: ["f64"] },
  /** operation * 4 + rounding, three operands: the exactly rounded result. */
  exact: { params: ["i32", "f64", "f64", "f64"], results: ["f64"] },
  /** Operation, line, object (low and high half), layer, place, level of detail: writes the texel's words into the context. See emit/texture.ts. */
  texture: { params: ["i32", "i32", "i32", "i32", "i32", "f64", "f64", "f64", "f64"], results: [] },
  /** How coordinates change in two directions, three numbers each: of the fetch that follows. */
  changes: { params: ["f64", "f64", "f64", "f64", "f64", "f64"], results: [] },
  /** The same with the bytes of the access behind the line; results in its index in linear memory. */
  surface: { params: ["i32", "i32", "i32", "i32", "i32", "i32", "f64", "f64", "f64"], results: ["i32"] },
  /** Boundary, line, number of words in the context, object, layer, place in texels: stores a texel by its format. */
  surface_store: { params: ["i32", "i32", "i32", "i32", "i32", "i32", "f64", "f64", "f64"], results: [] },
  /** Bits of run/reduction.ts, line, object, layer, place: reduces with what is in the context. */
  surface_reduce: { params: ["i32", "i32", "i32", "i32", "i32", "f64", "f64", "f64"], results: [] },
  /** Number of the question, line, object, level of detail. */
  image_query: { params: ["i32", "i32", "i32", "i32", "i32"], results: ["i32"] },
  /** Nanoseconds of a clock that does not run backwards. */
  clock: { params: [], results: ["i64"] },
} as const satisfies Record<string, { params: readonly WasmType[]; results: readonly WasmType[] }>;
export type ImportName = keyof typeof imports;

/** What a machine's WebAssembly can do beyond the standard of the oldest Node.js; probed once. */
export interface Features {
  /** `relaxed_madd` exists and rounds once. */
  readonly fusedMultiplyAdd: boolean;
}

export interface UnitOptions {
  readonly layout: MemoryLayout;
  readonly features: Features;
  /** Addresses of module variables as 64-bit kernels see them. */
  readonly addresses: ReadonlyMap<Variable, bigint>;
  /** Functions that a pointer may name. */
  readonly pointers: Pointers;
}

export class Unit {
  readonly writer: ModuleWriter;
  readonly layout: MemoryLayout;
  readonly features: Features;
  readonly arenaBase: bigint;
  readonly pointers: Pointers;
  /** Offsets of the kernel's shared variables in its window. */
  readonly shared = new Map<Variable, number>();
  /** Static shared memory in bytes. */
  sharedBytes = 0;
  /** Bytes of a thread's record, and of its local memory behind it. */
  recordBytes = 0;
  localBytes = 0;
  /** Where a thread's record has the lower end of what its functions have allocated, which grows down; undefined where none does. */
  stackEndAt: number | undefined;
  /** Where a thread's record has its open calls of functions that may wait (see activation.ts); undefined where there are none. */
  callsAt: number | undefined;
  /** Offset of each kernel parameter in the parameter block. */
  readonly params = new Map<Variable, number>();
  paramBytes = 0;
  /** Whether anything in it allocates memory. */
  usesHeap = false;
  readonly #addresses: ReadonlyMap<Variable, bigint>;
  readonly #imports = new Map<ImportName, number>();
  readonly #helpers = new Map<string, number>();

  constructor({ layout, features, addresses, pointers }: UnitOptions) {
    this.layout = layout;
    this.pointers = pointers;
    this.features = features;
    this.arenaBase = BigInt(layout.arenaBase);
    this.#addresses = addresses;
    this.writer = new ModuleWriter(layout.memoryPages);
    for (const [name, signature] of Object.entries(imports)) {
      this.#imports.set(name as ImportName, this.writer.import(name, signature));
    }
  }

  get threadBytes(): number {
    return threadBytes(this);
  }

  /** Pushes the offset in the thread's local memory that frames of functions end before. */
  pushStackEnd(code: Code, record: number): void {
    if (this.stackEndAt === undefined) code.i32(this.localBytes);
    else code.get(record).access("i32.load", this.stackEndAt);
  }

  import(name: ImportName): number {
    return this.#imports.get(name)!;
  }

  /** Index of a helper function, written when first asked for. */
  helper(name: string): number {
    const known = this.#helpers.get(name);
    if (known !== undefined) return known;
    const source = this.#source(name);
    const index = this.writer.declare({ params: paramTypes(source), results: [source.result] });
    this.#helpers.set(name, index);
    const resolve = (called: string) => (called in imports ? this.import(called as ImportName) : this.helper(called));
    this.writer.define(index, assemble(source, resolve));
    return index;
  }

  /** Address of a variable of the module or the kernel, as `mov` gives it; undefined for variables of a frame. */
  address(variable: Variable): bigint | undefined {
    if (variable.space !== "shared") return this.#addresses.get(variable);
    const offset = this.shared.get(variable);
    if (offset === undefined) throw badImage(variable.line, `the variable [${variable.name}] has no place`);
    return BigInt(offset);
  }

  placeShared(variables: Iterable<Variable>): void {
    const { offsets, byteCount } = placeShared(variables);
    for (const [variable, offset] of offsets) this.shared.set(variable, offset);
    this.sharedBytes = byteCount;
  }

  #source(name: string): Assembly {
    const fused = this.features.fusedMultiplyAdd ? findHelper(`${name}.fused`) : undefined;
    const source = fused ?? findHelper(name);
    if (source === undefined) throw new Error(`no helper ${name}`);
    return source;
  }
}

/** Bytes from one thread's record to the next. A multiple of a large power of two would make all threads share cache sets. */
export function threadBytes({ recordBytes, localBytes }: { recordBytes: number; localBytes: number }): number {
  const bytes = align(recordBytes + localBytes, 16);
  return bytes % 512 === 0 ? bytes + 64 : bytes;
}

/** Start of a window of generic addresses. */
export const windowBase = (window: keyof typeof Window): bigint => BigInt(Window[window]) * BigInt(WINDOW_BYTES);
