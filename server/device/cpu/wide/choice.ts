/** Decides which regions of a kernel are written for threads side by side: those where that is possible, and promises to pay. */

import type { Block } from "../compile/graph.ts";
import { memoryAccess } from "../compile/memory-access.ts";
import { loopsOf, type Region, type Regions, regionBlocks } from "../compile/regions.ts";
import { accesses } from "../compile/traits.ts";
import type { Unit } from "../compile/unit.ts";
import type { Instruction, Operand, Register, Variable } from "../ptx/program.ts";
import { isStepping } from "./access.ts";
import { vectorForm } from "./arithmetic.ts";
import { hasExchange } from "./exchange.ts";
import type { Group } from "./group.ts";
import type { Replay } from "./replay.ts";
import { GROUP_THREADS, operandShape, resultShape, type Shapes } from "./shape.ts";

/** Opcodes that need nothing of a thread but its registers, and memory that is the same for all. */
const known = new Set(
  (
    "mov ld st cvta cvt add sub mul mad fma div rem neg abs min max and or xor not cnot shl shr shf bfe bfi bfind brev popc clz prmt lop3 " +
    "selp setp set slct rcp sqrt rsqrt ex2 lg2 sin cos tanh copysign testp sad mul24 mad24 dp4a dp2a szext bmsk atom red membar fence " +
    "prefetch prefetchu trap"
  ).split(" "),
);

/** Modifiers that order accesses, or carry from one instruction to the next. */
const unknown = ["volatile", "acquire", "release", "relaxed", "mmio", "cc"];

/** Modifiers of accesses by which threads watch others, and of vectors: the two together must be moved whole (emit/whole-access.ts). */
const uncached = ["cg", "cv", "wt"];
const vectors = ["v2", "v4", "v8"];

/** Compiling twice takes longer: kernels beyond this stay as they are. */
const INSTRUCTIONS_MAX = 4000;

/** Whether a kernel's regions may be written for threads side by side at all. */
export function mayStandSideBySide(unit: Unit, regions: Regions, instructions: readonly Instruction[]): boolean {
  const isPlain = unit.stackEndAt === undefined && unit.callsAt === undefined && unit.localBytes === 0;
  return isPlain && regions.yields.size === 0 && instructions.length <= INSTRUCTIONS_MAX;
}

export interface ChoiceOptions {
  readonly unit: Unit;
  readonly shapes: Shapes;
  readonly replay: Replay;
  readonly mayRepeat: (at: Instruction) => boolean;
  /** For questions about forms; nothing is written. */
  readonly group: Group;
}

export function standsSideBySide(region: Region, options: ChoiceOptions): boolean {
  const blocks = regionBlocks(region.start);
  if (region.instruction !== undefined && !hasExchange(region.instruction)) return false;
  return blocks.every((block) => isPossible(block, options)) && pays(region, blocks, options);
}

function isPossible(block: Block, options: ChoiceOptions): boolean {
  const { instructions, end } = block;
  const { shapes, replay } = options;
  const isSame = (operand: Operand) => operandShape(operand, shapes)?.step === 0;
  if (!instructions.every((instruction) => isKnown(instruction, options))) return false;
  if (end.kind === "suspend") return hasExchange(end.instruction) && !asksForThread(end.instruction);
  if (end.kind === "table") return isSame(end.index);
  // Threads may part only where they can be run anew.
  return end.kind !== "branch" || shapes.get(end.register)?.step === 0 || !replay.spoiledEnds.has(block);
}

const asksForThread = ({ operands }: Instruction): boolean =>
  operands.some((operand) => operand.kind === "special" || operand.kind === "function");

function isKnown(instruction: Instruction, { unit, shapes, mayRepeat }: ChoiceOptions): boolean {
  const { mnemonic, operands } = instruction;
  if (!known.has(mnemonic.base) || unknown.some((name) => mnemonic.modifiers.has(name))) return false;
  const hasOne = (names: readonly string[]) => names.some((name) => mnemonic.modifiers.has(name));
  if (hasOne(uncached) && hasOne(vectors)) return false;
  if (["ld", "st", "atom", "red"].includes(mnemonic.base)) {
    const operand = operands.find(({ kind }) => kind === "memory");
    const base = operand?.kind === "memory" ? operand.base : undefined;
    if (base !== undefined && isVariable(base)) {
      if (base.space === "param") return unit.params.has(base);
      if (base.space === "local") return false;
    }
    if (mnemonic.modifiers.has("local") || mnemonic.modifiers.has("param")) return false;
  }
  if (!asksForThread(instruction)) return true;
  return mnemonic.base === "mov" && resultShape(instruction, shapes, mayRepeat)?.step !== "varying";
}

/** What an instruction of a single thread costs, about, in simple instructions. */
function weight({ mnemonic: { base, types } }: Instruction): number {
  if (["ld", "st", "atom", "red"].includes(base)) return 6;
  if (["ex2", "lg2", "sin", "cos", "tanh"].includes(base)) return 12;
  return types.some((type) => /16/.test(type)) ? 8 : 1;
}

/** Loops are taken to run this often. */
const LOOP_RUNS = 8;

function pays(region: Region, blocks: readonly Block[], options: ChoiceOptions): boolean {
  const loops = loopsOf(region.start);
  let single = region.live.length * GROUP_THREADS;
  let sideBySide = region.live.length * (GROUP_THREADS * 1.5 + 4);
  for (const block of blocks) {
    const runs = LOOP_RUNS ** Math.min(3, loops.filter((body) => body.has(block)).length);
    for (const instruction of block.instructions) {
      single += runs * GROUP_THREADS * weight(instruction);
      sideBySide += runs * cost(instruction, options);
    }
    single += runs * GROUP_THREADS * 2;
    sideBySide += runs * 8;
  }
  return sideBySide < single * 0.7;
}

/** What an instruction of threads side by side costs. */
function cost(instruction: Instruction, { group, shapes, mayRepeat }: ChoiceOptions): number {
  const own = weight(instruction);
  const { base } = instruction.mnemonic;
  const isStore = base === "st" || base === "red";
  if (!isStore && resultShape(instruction, shapes, mayRepeat)?.step !== "varying") return own + 1;
  if (!isStore && vectorForm(group, instruction) !== undefined) return 3;
  if (isStepping(group, instruction)) {
    const { count, bytes, operand } = memoryAccess(instruction);
    return own + (operandShape(operand, shapes)?.step === bytes && count === 1 ? 2 : GROUP_THREADS * count);
  }
  const { reads, writes } = accesses(instruction);
  return GROUP_THREADS * (own + 2 * (reads.length + writes.length));
}

const isVariable = (base: Register | Variable): base is Variable => "space" in base;
