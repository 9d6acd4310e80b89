/**
 * Floats of 16 bits, alone (f16, bf16) or two in a word (f16x2, bf16x2): arithmetic in 64 bits, in which sums and products of halves
 * are exact or nearly so, rounded once. They are held as their bits (compile/helpers-half.ts).
 */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, unsupported } from "../ptx/program.ts";
import { clampToUnit } from "./float.ts";
import type { Handler } from "./handler.ts";
import { NORMAL_MIN } from "./tiny.ts";

type Emit = Handler["emit"];

export const isHalf = (type: PtxType | undefined): type is "f16" | "bf16" | "f16x2" | "bf16x2" =>
  type === "f16" || type === "bf16" || type === "f16x2" || type === "bf16x2";

/** The type of one lane. */
export const laneType = (type: PtxType): "f16" | "bf16" => (type.startsWith("b") ? "bf16" : "f16");
export const laneCount = (type: PtxType): 1 | 2 => (type.endsWith("x2") ? 2 : 1);
const wordType = (type: PtxType): PtxType => (laneCount(type) === 2 ? "b32" : "b16");

/** Pushes lane `lane` of the word in a local as a 32-bit float, exactly. */
export function pushLane(emitter: Emitter, type: PtxType, { word, lane }: { word: number; lane: number }): void {
  const { code } = emitter;
  code.get(word);
  if (lane === 1) code.i32(16).op("i32.shr_u");
  else if (laneCount(type) === 2) code.i32(0xffff).op("i32.and");
  emitter.helper(`widen_${laneType(type)}`);
}

/** One half of the word on the stack as a 32-bit float. */
export function widenLane(emitter: Emitter, type: PtxType, lane: number): void {
  if (lane === 1) emitter.code.i32(16).op("i32.shr_u");
  else emitter.code.i32(0xffff).op("i32.and");
  emitter.helper(`widen_${laneType(type)}`);
}

/** Rounds the 64-bit float on the stack to a half's bits. */
export function narrow(emitter: Emitter, type: PtxType, rounding = "rn"): void {
  emitter.helper(`narrow_${laneType(type)}_${rounding}`);
}

/** Replaces what is below zero on the stack by zero; NaN stays. */
export function rectify(emitter: Emitter): void {
  const { code } = emitter;
  const value = emitter.scratch("f64", "rectify");
  code.set(value).f64(0).get(value).get(value).f64(0).op("f64.le").op("select");
}

/** Operand `index` in a local, as bits. */
export function wordOf(
  emitter: Emitter,
  instruction: Instruction,
  { type, index }: { type: PtxType; index: number },
): number {
  const word = emitter.scratch("i32", `half ${index}`);
  emitter.push(instruction.operands[index], wordType(type), instruction);
  emitter.code.set(word);
  return word;
}

/** Combines lanes' bits, pushed by `each`, into the first operand. */
export function popLanes(
  emitter: Emitter,
  instruction: Instruction,
  options: { type: PtxType; each: (lane: number) => void },
): void {
  const { type, each } = options;
  each(0);
  if (laneCount(type) === 2) {
    each(1);
    emitter.code.i32(16).op("i32.shl").op("i32.or");
  }
  emitter.pop(instruction.operands[0], wordType(type), instruction);
}

/** Smallest normal f16. */
export const F16_NORMAL_MIN = 2 ** -14;

/** What would be rounded to the smallest normal f16, and is flushed nevertheless, ends here (tiny.ts): halfway between that and the last number below. */
const FLUSHED_END = F16_NORMAL_MIN * (1 - 2 ** -12);

/** Replaces a subnormal half on the stack, as a 64-bit float that need not be rounded yet, by zero with its sign. */
function flushHalf(emitter: Emitter, type: PtxType): void {
  const { code } = emitter;
  const value = emitter.scratch("f64", "flush");
  code.set(value).f64(0).get(value).op("f64.copysign").get(value);
  const end = laneType(type) === "f16" ? FLUSHED_END : NORMAL_MIN;
  code.get(value).op("f64.abs").f64(end).op("f64.lt").op("select");
}

/** An operation on `count` operands: `compute` takes their values as 64-bit floats from the stack and leaves the result, not yet rounded. */
const elementwise =
  (count: number, compute: (emitter: Emitter, instruction: Instruction) => void): Emit =>
  (emitter, instruction) => {
    const type = instruction.mnemonic.types[0];
    const { modifiers } = instruction.mnemonic;
    if (!isHalf(type) || instruction.mnemonic.types.length !== 1) throw unsupported(instruction);
    if (instruction.operands.length !== count + 1)
      throw badImage(instruction.line, `[${instruction.mnemonic.text}] needs [${count + 1}] operands`);
    const flushes = modifiers.has("ftz");
    const words = Array.from({ length: count }, (_, at) => wordOf(emitter, instruction, { type, index: at + 1 }));
    const each = (lane: number) => {
      for (const word of words) {
        pushLane(emitter, type, { word, lane });
        emitter.op("f64.promote_f32");
        if (flushes) flushHalf(emitter, type);
      }
      compute(emitter, instruction);
      if (modifiers.has("sat")) clampToUnit(emitter, "f64");
      if (modifiers.has("relu")) rectify(emitter);
      if (flushes) flushHalf(emitter, type);
      narrow(emitter, type);
    };
    popLanes(emitter, instruction, { type, each });
  };

/** The product is exact, and the sum is rounded to odd, so that the one rounding to a half is right. */
function fuse(emitter: Emitter): void {
  const addend = emitter.scratch("f64", "addend");
  emitter.code.set(addend).op("f64.mul").get(addend);
  emitter.helper("add_odd");
}

const choose =
  (name: "min" | "max") =>
  (emitter: Emitter, { mnemonic }: Instruction): void => {
    const { code } = emitter;
    if (mnemonic.modifiers.has("NaN")) {
      code.op(`f64.${name}`);
      return;
    }
    const a = emitter.scratch("f64", "a");
    const b = emitter.scratch("f64", "b");
    code.set(b).set(a);
    code.get(b).get(a).get(a).get(b).op(`f64.${name}`);
    code.get(b).get(b).op("f64.ne").op("select");
    code.get(a).get(a).op("f64.ne").op("select");
  };

const through32 = (helper: string) => (emitter: Emitter) =>
  void emitter.op("f32.demote_f64").helper(helper).op("f64.promote_f32");

export const halfOperations = {
  add: elementwise(2, (emitter) => emitter.op("f64.add")),
  sub: elementwise(2, (emitter) => emitter.op("f64.sub")),
  mul: elementwise(2, (emitter) => emitter.op("f64.mul")),
  fma: elementwise(3, fuse),
  abs: elementwise(1, (emitter) => emitter.op("f64.abs")),
  neg: elementwise(1, (emitter) => emitter.op("f64.neg")),
  min: elementwise(2, choose("min")),
  max: elementwise(2, choose("max")),
  ex2: elementwise(1, through32("ex2")),
  tanh: elementwise(1, through32("tanh")),
} as const;

/** Pushes the sum of the halves in two locals, as bits. */
export function pushSum(emitter: Emitter, type: PtxType, { left, right }: { left: number; right: number }): void {
  for (let lane = 0; lane < laneCount(type); lane++) {
    for (const word of [left, right]) {
      pushLane(emitter, type, { word, lane });
      emitter.op("f64.promote_f32");
    }
    emitter.op("f64.add");
    narrow(emitter, type);
    if (lane === 1) emitter.code.i32(16).op("i32.shl").op("i32.or");
  }
}
