/**
 * Compiles one kernel with the functions it calls into a WebAssembly module: places its variables, cuts it into regions, writes
 * each. Everything that this device does not support is refused here: an error concerns this kernel alone, unless it is BAD_IMAGE.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { type Suspension, suspensionOf } from "../emit/warp.ts";
import { badImage, type Header, type Instruction, type Routine, type Variable } from "../ptx/program.ts";
import { Context, type MemoryLayout, SHARED_BYTES_MAX, THREADS_PER_BLOCK_MAX } from "../run/layout.ts";
import type { Callee } from "./emitter.ts";
import { writeFunction } from "./function-writer.ts";
import { type Graph, GraphBuilder } from "./graph.ts";
import { placeFrame, placeParams } from "./places.ts";
import { calleesOf, type Pointers } from "./pointers.ts";
import { planRecord } from "./record.ts";
import { writeKernelRegion } from "./region-writer.ts";
import { cutRegions, hasSpinLoop } from "./regions.ts";
import { isSuspension, usesStack } from "./traits.ts";
import { threadBytes, Unit, type UnitOptions } from "./unit.ts";

/** Local memory that recursion may use beyond one frame of each function, and what functions allocate in their frames. */
const STACK_BYTES = 16 * 1024;

/** What a thread's record has beside registers: the end of its stack. */
const STACK_WORDS_BYTES = 16;

/** What a kernel needs. */
export interface KernelFacts {
  readonly threadsMax: number;
  readonly sharedBytes: number;
  readonly localBytes: number;
  /** Whether it allocates on the heap of kernels. */
  readonly usesHeap: boolean;
}

export interface CompiledKernel extends KernelFacts {
  readonly name: string;
  /** The WebAssembly module. Region `n` is its export `rn`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What threads wait for before each region. */
  readonly suspensions: readonly Suspension[];
  /** Bytes in a worker's context per thread. */
  readonly threadBytes: number;
  readonly paramBytes: number;
  readonly threadsRequired: readonly [x: number, y: number, z: number] | undefined;
}

/** Functions of a program that must be copied into their callers. */
export function functionsToInline(routines: readonly Routine[], pointers: Pointers): Map<string, Routine> {
  const inlined = new Map<string, Routine>();
  const functions = routines.filter(({ isEntry }) => !isEntry);
  const calls = new Map(functions.map((routine) => [routine.name, calledNames(routine.instructions, pointers)]));
  const isRecursive = (name: string): boolean => {
    const seen = new Set(calls.get(name));
    for (const called of seen) for (const next of calls.get(called) ?? []) seen.add(next);
    return seen.has(name);
  };
  for (const routine of functions) {
    const meets = routine.instructions.some(
      (instruction) => isSuspension(instruction) || instruction.mnemonic.base === "exit",
    );
    const hasSpin = () => hasSpinLoop(new GraphBuilder(new Map()).build(routine));
    const spins = () => !isRecursive(routine.name) && unlessRefused(hasSpin, false);
    if (meets || spins()) inlined.set(routine.name, routine);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const routine of functions) {
      if (inlined.has(routine.name)) continue;
      if (![...(calls.get(routine.name) ?? [])].some((name) => inlined.has(name))) continue;
      inlined.set(routine.name, routine);
      grown = true;
    }
  }
  return inlined;
}

function calledNames(instructions: readonly Instruction[], pointers: Pointers): Set<string> {
  const calls = instructions.filter(({ mnemonic }) => mnemonic.base === "call");
  return new Set(calls.flatMap((instruction) => unlessRefused(() => calleesOf(instruction, pointers), [])));
}

/** What `ask` finds, or `otherwise` where it meets what this device lacks: the kernels that need it are refused when they are written. */
function unlessRefused<T>(ask: () => T, otherwise: T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof SluiceError && error.code !== "BAD_IMAGE") return otherwise;
    throw error;
  }
}

/** A function's graph, and where its variables lie in its frame. */
export interface PlacedRoutine {
  readonly routine: Routine;
  readonly graph: Graph;
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly frameBytes: number;
  readonly calls: ReadonlySet<string>;
}

function placeRoutine(routine: Routine, { inlined, pointers }: KernelOptions): PlacedRoutine {
  const graph = new GraphBuilder(inlined).build(routine);
  const { offsets, byteCount: frameBytes } = placeFrame(graph.frame);
  const instructions = graph.blocks.flatMap((block) => block.instructions);
  return { routine, graph, offsets, frameBytes, calls: calledNames(instructions, pointers) };
}

export interface KernelOptions extends UnitOptions {
  readonly functions: ReadonlyMap<string, Routine>;
  readonly inlined: ReadonlyMap<string, Routine>;
}

export function compileKernel(routine: Routine, options: KernelOptions): CompiledKernel {
  const unit = new Unit(options);
  const kernel = placeRoutine(routine, options);
  const callees = placeCallees(kernel, options);
  const params = placeParams(routine);
  for (const [param, offset] of params.offsets) unit.params.set(param, offset);
  unit.paramBytes = params.byteCount;
  unit.placeShared([kernel, ...callees.values()].flatMap(usedShared));
  const allocates = [kernel, ...callees.values()].some(allocatesOnStack);
  unit.localBytes = stackBytes(kernel, callees) + (allocates ? STACK_BYTES : 0);
  const regions = cutRegions(kernel.graph);
  const record = planRecord(regions.list);
  unit.recordBytes = record.bytes + (allocates ? STACK_WORDS_BYTES : 0);
  if (allocates) unit.stackEndAt = record.bytes;
  requireRoom(unit, routine);
  const functions = new Map<string, Callee>();
  for (const [name, callee] of callees) {
    const { params, returns } = callee.routine;
    const pointers = [...params, ...returns].map(() => "i32" as const);
    const index = unit.writer.declare({ params: ["i32", "i32", "i32", ...pointers], results: [] });
    functions.set(name, { index, params, returns });
  }
  for (const [name, callee] of callees)
    unit.writer.define(functions.get(name)!.index, writeFunction(unit, callee, functions));
  for (const region of regions.list) {
    const index = unit.writer.declare({ params: ["i32", "i32", "i32"], results: ["i32"] });
    unit.writer.define(index, writeKernelRegion(unit, region, { kernel, regions, record, functions }));
    unit.writer.export(`r${region.id}`, index);
  }
  const suspensions = regions.list.map(({ id, instruction }): Suspension => {
    if (instruction !== undefined) return suspensionOf(instruction);
    return { kind: id === 0 ? "entry" : "yield" };
  });
  return {
    name: routine.name,
    bytes: unit.writer.finish(),
    suspensions,
    sharedBytes: unit.sharedBytes,
    localBytes: unit.localBytes,
    threadBytes: unit.threadBytes,
    paramBytes: unit.paramBytes,
    usesHeap: unit.usesHeap,
    threadsMax: threadsMax(routine, unit),
    threadsRequired: routine.threadsRequired,
  };
}

/** Functions that the kernel reaches by calls that stay calls. */
function placeCallees(kernel: PlacedRoutine, options: KernelOptions): Map<string, PlacedRoutine> {
  const { functions, inlined } = options;
  const callees = new Map<string, PlacedRoutine>();
  const open = [...kernel.calls];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const routine = functions.get(name);
    // What must be copied into its callers cannot be called through a pointer; the call itself says so.
    if (routine === undefined || callees.has(name) || inlined.has(name)) continue;
    const placed = placeRoutine(routine, options);
    callees.set(name, placed);
    open.push(...placed.calls);
  }
  return callees;
}

/** Shared variables that a routine declares or mentions. */
function usedShared({ graph }: PlacedRoutine): Variable[] {
  const used = new Set<Variable>(graph.shared);
  for (const { instructions, end } of graph.blocks) {
    for (const { operands } of end.kind === "suspend" ? [...instructions, end.instruction] : instructions) {
      for (const operand of operands) {
        if (operand.kind === "variable" && operand.variable.space === "shared") used.add(operand.variable);
        if (operand.kind === "memory" && operand.base !== undefined && "space" in operand.base) {
          if (operand.base.space === "shared") used.add(operand.base);
        }
      }
    }
  }
  return [...used];
}

const allocatesOnStack = ({ graph }: PlacedRoutine): boolean =>
  graph.blocks.some(({ instructions }) => instructions.some(usesStack));

/** Bytes of all frames that can be open at once. */
function stackBytes(kernel: PlacedRoutine, callees: ReadonlyMap<string, PlacedRoutine>): number {
  const known = new Map<PlacedRoutine, number>();
  const open = new Set<PlacedRoutine>();
  const depth = (placed: PlacedRoutine): number => {
    const before = known.get(placed);
    if (before !== undefined) return before;
    // A function that is open already is recursive: it gets a fixed reserve, and overflow is checked.
    if (open.has(placed)) return STACK_BYTES;
    open.add(placed);
    let below = 0;
    for (const name of placed.calls) {
      const callee = callees.get(name);
      if (callee !== undefined) below = Math.max(below, depth(callee));
    }
    open.delete(placed);
    known.set(placed, placed.frameBytes + below);
    return placed.frameBytes + below;
  };
  return depth(kernel);
}

/** Threads to a block that have room in a context. */
export function threadsMax(
  { threadsMax: wanted }: Pick<Header, "threadsMax">,
  { layout, ...bytes }: { layout: MemoryLayout; recordBytes: number; localBytes: number },
): number {
  const room = Math.floor((layout.contextBytes - Context.THREADS) / threadBytes(bytes));
  return Math.min(THREADS_PER_BLOCK_MAX, wanted === 0 ? THREADS_PER_BLOCK_MAX : wanted, room);
}

function requireRoom(unit: Unit, routine: Routine): void {
  if (unit.sharedBytes > SHARED_BYTES_MAX) {
    throw badImage(
      routine.line,
      `[${routine.name}] has [${unit.sharedBytes}] of at most [${SHARED_BYTES_MAX}] bytes of shared memory`,
    );
  }
  if (threadsMax(routine, unit) < 1) {
    throw new SluiceError(
      "OUT_OF_MEMORY",
      `The kernel [${routine.name}] needs [${unit.threadBytes}] bytes of local memory per thread; a context has [${unit.layout.contextBytes}].`,
    );
  }
}
