/**
 * Compiles one kernel with the functions it calls into a WebAssembly module: places its variables, cuts it into regions, writes
 * each. Everything that this device does not support is refused here: an error concerns this kernel alone, unless it is BAD_IMAGE.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { type Suspension, suspensionOf } from "../emit/warp.ts";
import { LANES } from "../ptx/lanes.ts";
import { badImage, type Header, type Instruction, type Routine, type Variable } from "../ptx/program.ts";
import { Context, type MemoryLayout, SHARED_BYTES_MAX, THREADS_PER_BLOCK_MAX } from "../run/layout.ts";
import { planGroups } from "../wide/plan.ts";
import { type Activation, CALLS_BYTES, placeActivation } from "./activation.ts";
import { type CallPlan, calledNames, planCalls } from "./calls.ts";
import type { Callee } from "./emitter.ts";
import { writeFunction } from "./function-writer.ts";
import { type Graph, GraphBuilder } from "./graph.ts";
import { findHazards } from "./hazards.ts";
import { meetAtHazards, meetBeforeStores } from "./lockstep.ts";
import { placeFrame, placeParams } from "./places.ts";
import { calleesOf } from "./pointers.ts";
import { planRecord, type RecordPlan } from "./record.ts";
import { writeThreads } from "./region-writer.ts";
import { cutRegions, type Region } from "./regions.ts";
import { usesStack } from "./traits.ts";
import { threadBytes, Unit, type UnitOptions } from "./unit.ts";
import type { WarpShape } from "./warp-shape.ts";

/** Local memory that recursion may use beyond one frame of each function, and what functions allocate in their frames. */
const STACK_BYTES = 16 * 1024;

/** Above the number of any region. */
const REGIONS_MAX = 2 ** 30;

/** What a thread's record has for the end of its stack. */
const STACK_END_BYTES = 16;

/** Regions as functions: context, first thread, end of threads; where they stopped. */
const REGION = { params: ["i32", "i32", "i32"], results: ["i32"] } as const;

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
  /** Whether one lane of each warp stands for all at first: see ../ptx/lanes.ts. */
  readonly isUniform: boolean;
  /** Whether it is right only for warps of the shape that it was compiled for. */
  readonly hangsOnShape: boolean;
  readonly paramBytes: number;
  readonly threadsRequired: readonly [x: number, y: number, z: number] | undefined;
}

/** A function's graph, and where its variables lie in its frame. */
export interface PlacedRoutine {
  readonly routine: Routine;
  readonly graph: Graph;
  readonly offsets: ReadonlyMap<Variable, number>;
  readonly frameBytes: number;
  /** Whether it may be another for warps of another shape. */
  readonly hangsOnShape: boolean;
  readonly calls: ReadonlySet<string>;
}

function placeRoutine(routine: Routine, { inlined, resumable, pointers, isUniform, shape }: Placing): PlacedRoutine {
  const mayWait = (call: Instruction) =>
    resumable.size > 0 && calleesOf(call, pointers).some((name) => resumable.has(name));
  const built = new GraphBuilder({ inlined, mayWait, isUniform }).build(routine);
  const hazards = isUniform ? undefined : findHazards(built, shape);
  const graph = hazards === undefined ? meetBeforeStores(built) : meetAtHazards(built, hazards);
  const { offsets, byteCount: frameBytes } = placeFrame(graph.frame);
  const instructions = graph.blocks.flatMap((block) =>
    block.end.kind === "suspend" ? [...block.instructions, block.end.instruction] : block.instructions,
  );
  const hangsOnShape = hazards?.hangsOnShape ?? false;
  return { routine, graph, offsets, frameBytes, hangsOnShape, calls: calledNames(instructions, pointers) };
}

export interface KernelOptions extends UnitOptions {
  readonly functions: ReadonlyMap<string, Routine>;
  /** Functions in which threads may wait. */
  readonly waiting: ReadonlyMap<string, Routine>;
  /** The shape of the warps that it is compiled for; undefined for any. */
  readonly shape: WarpShape | undefined;
}

type Placing = KernelOptions & CallPlan & { readonly isUniform: boolean };

export function compileKernel(routine: Routine, options: KernelOptions): CompiledKernel {
  const unit = new Unit(options);
  const isUniform = routine.instructions.some(
    ({ mnemonic }) => mnemonic.base === LANES && !mnemonic.modifiers.has("step"),
  );
  const placing = { ...options, ...planCalls(routine, options), isUniform };
  const kernel = placeRoutine(routine, placing);
  const regions = cutRegions(kernel.graph);
  const record = planRecord(regions.list);
  const callees = placeCallees(kernel, placing);
  const activations = placeActivations(callees, placing, regions.list.length);
  const placed = [kernel, ...callees.values()].map((each) => activations.get(each.routine.name)?.placed ?? each);
  const params = placeParams(routine);
  for (const [param, offset] of params.offsets) unit.params.set(param, offset);
  unit.paramBytes = params.byteCount;
  unit.placeShared(placed.flatMap(usedShared));
  placeRecord(unit, { record, placed, hasActivations: activations.size > 0 });
  requireRoom(unit, routine);
  const functions = writePlainFunctions(unit, placed.slice(1), activations);
  const own = { placed: kernel, regions, slots: record.slots };
  const bodies = [own, ...activations.values()];
  const waits = bodies.reduce((count, body) => count + body.regions.list.length, 0) > 1;
  const wide = isUniform ? undefined : planGroups(unit, kernel.graph, regions);
  for (const body of bodies) {
    for (const region of body.regions.list) {
      const parts = { ...body, functions, activations, waits };
      const index = unit.writer.declare(REGION);
      unit.writer.define(index, writeThreads(unit, region, parts));
      const groups = body === own ? wide?.write(region, { ...parts, single: index }) : undefined;
      unit.writer.export(`r${region.id}`, groups ?? index);
    }
  }
  return {
    name: routine.name,
    bytes: unit.writer.finish(),
    suspensions: bodies.flatMap((body) => body.regions.list.map((region) => suspensionBefore(region, body === own))),
    sharedBytes: unit.sharedBytes,
    localBytes: unit.localBytes,
    threadBytes: unit.threadBytes,
    isUniform,
    hangsOnShape: placed.some((each) => each.hangsOnShape),
    paramBytes: unit.paramBytes,
    usesHeap: unit.usesHeap,
    threadsMax: threadsMax(routine, unit),
    threadsRequired: routine.threadsRequired,
  };
}

/** What a thread waits for before a region of the kernel itself, or of a function. */
function suspensionBefore({ id, instruction, isEntry }: Region, isKernel: boolean): Suspension {
  if (instruction !== undefined) {
    if (instruction.mnemonic.base === "call") return { kind: "call" };
    const suspension = suspensionOf(instruction);
    // Regions are numbered as control flows; who is in a function has not gone on behind its call.
    return suspension.kind === "active" ? { kind: "active", order: isKernel ? id : id - REGIONS_MAX } : suspension;
  }
  if (isEntry) return { kind: isKernel ? "entry" : "call" };
  return { kind: "yield" };
}

/** Lays out those of the functions that are called as activations; their regions are numbered from `first` on. */
function placeActivations(
  callees: ReadonlyMap<string, PlacedRoutine>,
  { resumable }: CallPlan,
  first: number,
): Map<string, Activation> {
  const activations = new Map<string, Activation>();
  let next = first;
  for (const [name, callee] of callees) {
    if (!resumable.has(name)) continue;
    const activation = placeActivation(callee, next);
    activations.set(name, activation);
    next += activation.regions.list.length;
  }
  return activations;
}

/** Sizes of a thread's record and its local memory. */
function placeRecord(
  unit: Unit,
  options: { record: RecordPlan; placed: readonly PlacedRoutine[]; hasActivations: boolean },
): void {
  const { record, placed, hasActivations } = options;
  const allocates = placed.some(allocatesOnStack);
  unit.localBytes = stackBytes(placed) + (allocates ? STACK_BYTES : 0);
  unit.recordBytes = record.bytes;
  if (allocates) {
    unit.stackEndAt = unit.recordBytes;
    unit.recordBytes += STACK_END_BYTES;
  }
  if (hasActivations) {
    unit.callsAt = unit.recordBytes;
    unit.recordBytes += CALLS_BYTES;
  }
}

/** Writes the functions that stay functions of WebAssembly. */
function writePlainFunctions(
  unit: Unit,
  placed: readonly PlacedRoutine[],
  activations: ReadonlyMap<string, Activation>,
): Map<string, Callee> {
  const functions = new Map<string, Callee>();
  const plain = placed.filter(({ routine }) => !activations.has(routine.name));
  for (const { routine } of plain) {
    const { name, params, returns } = routine;
    const pointers = [...params, ...returns].map(() => "i32" as const);
    const index = unit.writer.declare({ params: ["i32", "i32", "i32", ...pointers], results: [] });
    functions.set(name, { index, params, returns });
  }
  for (const each of plain) {
    unit.writer.define(functions.get(each.routine.name)!.index, writeFunction(unit, each, functions));
  }
  return functions;
}

/** Functions that the kernel reaches by calls that stay calls. */
function placeCallees(kernel: PlacedRoutine, options: Placing): Map<string, PlacedRoutine> {
  const { functions, inlined } = options;
  const callees = new Map<string, PlacedRoutine>();
  const open = [...kernel.calls];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const routine = functions.get(name);
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

/** Bytes of all frames that can be open at once: the kernel's, which is the first, and those of functions. */
function stackBytes(placed: readonly PlacedRoutine[]): number {
  const byName = new Map(placed.slice(1).map((each) => [each.routine.name, each]));
  const known = new Map<PlacedRoutine, number>();
  const open = new Set<PlacedRoutine>();
  const depth = (each: PlacedRoutine): number => {
    const before = known.get(each);
    if (before !== undefined) return before;
    // A function that is open already is recursive: it gets a fixed reserve, and overflow is checked.
    if (open.has(each)) return STACK_BYTES;
    open.add(each);
    let below = 0;
    for (const name of each.calls) {
      const callee = byName.get(name);
      if (callee !== undefined) below = Math.max(below, depth(callee));
    }
    open.delete(each);
    known.set(each, each.frameBytes + below);
    return each.frameBytes + below;
  };
  return depth(placed[0]!);
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
