/**
 * How the values of a register differ between threads that stand side by side: not at all, by a fixed step from one to the next, or in any way.
 * That holds while the threads of a group go the same way, which the code that relies on it watches.
 */
import { memoryAccess } from "../compile/memory-access.ts";
import { accesses } from "../compile/traits.ts";
import { type Instruction, type Operand, type PtxType, type Register, typeBytes } from "../ptx/program.ts";

/** Threads that stand side by side: as many as fill a few vectors, and no more than divide a warp. */
export const GROUP_THREADS = 8;

/** The step from one thread to the next, or "varying". `isAligned`: the first thread's value is a multiple of GROUP_THREADS. */
export interface Shape {
  readonly step: number | "varying";
  readonly isAligned: boolean;
}

const uniform: Shape = { step: 0, isAligned: false };
export const varying: Shape = { step: "varying", isAligned: false };
const stepping = (step: number, isAligned = false): Shape =>
  Math.abs(step) <= STEP_MAX ? { step, isAligned: isAligned && step === 1 } : varying;

/** Beyond this the accesses of a group lie too far apart for one check. */
const STEP_MAX = 1 << 16;

export type Shapes = ReadonlyMap<Register, Shape>;

/** Special registers that are one number for all threads of a block. */
const uniformSpecials =
  /^%(ctaid|nctaid|ntid|clusterid|nclusterid)\.|^%(smid|nsmid|gridid|dynamic_smem_size|total_smem_size|aggr_smem_size|nwarpid|warpid)$/;

/** Shapes of all registers of a kernel. `mayRepeat`: whether the code before an instruction may run twice (see replay.ts). */
export function shapesOf(instructions: readonly Instruction[], mayRepeat: (at: Instruction) => boolean): Shapes {
  const shapes = new Map<Register, Shape>();
  const sweep = (): boolean => {
    let changed = false;
    for (const instruction of instructions) {
      const shape = resultShape(instruction, shapes, mayRepeat);
      if (shape === undefined) continue;
      for (const register of accesses(instruction).writes) {
        const joined = join(shapes.get(register), fitting(shape, register));
        if (joined === shapes.get(register)) continue;
        shapes.set(register, joined);
        changed = true;
      }
    }
    return changed;
  };
  while (sweep());
  // What depends on registers that nothing sets: those are zero in all threads.
  for (const instruction of instructions)
    for (const register of accesses(instruction).reads) if (!shapes.has(register)) shapes.set(register, uniform);
  while (sweep());
  return shapes;
}

function join(before: Shape | undefined, next: Shape): Shape {
  if (before === undefined) return next;
  if (before.step !== next.step) return before.step === "varying" ? before : varying;
  return before.isAligned && !next.isAligned ? next : before;
}

/** Only whole words step. */
const fitting = (shape: Shape, { type }: Register): Shape =>
  shape.step === 0 || shape.step === "varying" || isWord(type) ? shape : varying;

const isWord = (type: PtxType): boolean => /^[bus](32|64)$/.test(type);

/** The shape of an operand; undefined where it is not known yet. */
export function operandShape(operand: Operand | undefined, shapes: Shapes): Shape | undefined {
  switch (operand?.kind) {
    case "register":
      return shapes.get(operand.register);
    case "special":
      if (operand.name === "%tid.x" || operand.name === "%laneid") return { step: 1, isAligned: true };
      return operand.name === "%tid.y" || operand.name === "%tid.z" || uniformSpecials.test(operand.name)
        ? uniform
        : varying;
    case "memory":
      return operand.base === undefined || "space" in operand.base ? uniform : shapes.get(operand.base);
    case "vector":
    case "list":
      return all(operand.elements.map((element) => operandShape(element, shapes)));
    case "pair":
      return varying;
    default:
      return uniform;
  }
}

/** Uniform where all are. */
function all(shapes: readonly (Shape | undefined)[]): Shape | undefined {
  if (shapes.some((shape) => shape?.step === "varying")) return varying;
  if (shapes.includes(undefined)) return undefined;
  return shapes.every((shape) => shape!.step === 0) ? uniform : varying;
}

/** Opcodes whose results are each thread's own, whatever their operands. */
const own = new Set("atom shfl vote match activemask redux bar barrier".split(" "));

/** The shape of what an instruction writes; undefined where that depends on what is not known yet. */
export function resultShape(
  instruction: Instruction,
  shapes: Shapes,
  mayRepeat: (at: Instruction) => boolean,
): Shape | undefined {
  const { mnemonic, operands, guard } = instruction;
  if (own.has(mnemonic.base)) return varying;
  const sources = operands.slice(1).map((operand) => operandShape(operand, shapes));
  if (guard !== undefined) {
    const shape = shapes.get(guard.register);
    if (shape?.step !== 0) return shape && varying;
  }
  const simple = all(sources);
  if (simple === undefined) return undefined;
  if (simple.step === 0) return uniform;
  if (sources.some((shape) => shape?.step === "varying") || operands[0]?.kind !== "register") return varying;
  if (mnemonic.base === "ld") return varying;
  return steppingResult(instruction, sources as Shape[], mayRepeat);
}

/** What becomes of steps in the few instructions that keep them. */
function steppingResult(
  instruction: Instruction,
  sources: readonly Shape[],
  mayRepeat: (at: Instruction) => boolean,
): Shape {
  const { mnemonic, operands } = instruction;
  const { base, modifiers, types } = mnemonic;
  const [a, b, c] = sources.map(({ step }) => step as number) as [number, number, number];
  const type = types[0]!;
  const target = operands[0]?.kind === "register" ? operands[0].register.type : "pred";
  if (modifiers.has("sat") || modifiers.has("cc") || !isWord(type)) return varying;
  if (base === "cvta") return stepping(a);
  if (base === "cvt") return convertedStep(types, a, () => mayRepeat(instruction));
  const isWide = modifiers.has("wide");
  if (typeBytes[target] !== typeBytes[type] * (isWide ? 2 : 1)) return varying;
  const aligned = sources[0]!.isAligned;
  switch (base) {
    case "mov":
      return stepping(a, aligned);
    case "add":
      return stepping(a + b);
    case "sub":
      return stepping(a - b);
    case "mul":
    case "mad": {
      const product = steppingProduct(operands, [a, b]);
      if (product === undefined || (!modifiers.has("lo") && !isWide)) return varying;
      if (isWide && a + b !== 0 && (base === "mad" || !mayRepeat(instruction))) return varying;
      return stepping(product + (base === "mad" ? c : 0));
    }
    case "shl": {
      const count = constant(operands[2]);
      return b === 0 && count !== undefined && count >= 0 && count < 16 ? stepping(a * 2 ** count) : varying;
    }
    case "and":
    case "shr":
      return aligned ? alignedResult(base, constant(operands[2])) : varying;
    default:
      return varying;
  }
}

/** A conversion between words keeps the step; to more bits it does while no thread's value wraps, which is looked at when it runs. */
function convertedStep([to, from]: readonly PtxType[], step: number, mayRepeat: () => boolean): Shape {
  if (to === undefined || from === undefined || !isWord(to) || !isWord(from)) return varying;
  return typeBytes[to] <= typeBytes[from] || mayRepeat() ? stepping(step) : varying;
}

const constant = (operand: Operand | undefined): number | undefined =>
  operand?.kind === "integer" ? Number(BigInt.asIntN(32, operand.value)) : undefined;

/** The step of a product by a constant, or of uniform factors. */
function steppingProduct(operands: readonly Operand[], [a, b]: readonly [number, number]): number | undefined {
  if (a === 0 && b === 0) return 0;
  const factor = a === 0 ? constant(operands[1]) : b === 0 ? constant(operands[2]) : undefined;
  return factor === undefined ? undefined : (a + b) * factor;
}

/** Low bits of numbers that count from a multiple of the group on; and what is the same in all of a group. */
function alignedResult(base: "and" | "shr", count: number | undefined): Shape {
  if (count === undefined) return varying;
  const low = GROUP_THREADS - 1;
  if (base === "shr") return 2 ** count >= GROUP_THREADS && count < 32 ? uniform : varying;
  if ((count & low) === 0) return uniform;
  return (count & low) === low ? stepping(1, true) : varying;
}

/** Whether an instruction makes a word longer, so that a stepping value must not wrap in any thread. */
export function extension({ mnemonic }: Instruction): "s" | "u" | undefined {
  const { base, modifiers, types } = mnemonic;
  const from = base === "cvt" ? types[1] : types[0];
  const isLonger = base === "cvt" ? typeBytes[types[0]!] > typeBytes[from!] : modifiers.has("wide");
  if (!isLonger) return undefined;
  return from!.startsWith("s") ? "s" : "u";
}

/** The step of an address, where it is one by which a group's accesses can be checked together. */
export function addressStep(instruction: Instruction, shapes: Shapes): number | undefined {
  const { operand, bytes, space } = memoryAccess(instruction);
  const step = operandShape(operand, shapes)?.step;
  if (typeof step !== "number" || step < 0 || step % bytes !== 0) return undefined;
  return space === undefined && step > 0 ? undefined : step;
}
