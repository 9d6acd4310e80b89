/**
 * Video instructions on single words: sums, differences and choices of numbers of either sign, kept exactly, clamped to the result's type where
 * asked for, and joined with a third. GCC writes some. Parts of words (`%r1.b2`) are refused: no compiler writes those.
 */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import type { Handler, Handlers } from "./handler.ts";

/** Pushes a word as a number of 64 bits, by its sign. */
function pushNumber(
  emitter: Emitter,
  instruction: Instruction,
  { index, type }: { index: number; type: PtxType },
): void {
  emitter.push(instruction.operands[index], type, instruction);
  emitter.op(type === "s32" ? "i64.extend_i32_s" : "i64.extend_i32_u");
}

function typesOf(instruction: Instruction, count: number): readonly PtxType[] {
  const { types, text } = instruction.mnemonic;
  if (types.length !== count) throw badImage(instruction.line, `[${text}] names [${types.length}] types`);
  if (instruction.operands.some(({ kind }) => kind === "list")) throw unsupported(instruction, "parts of words");
  if (types.some((type) => type !== "u32" && type !== "s32")) throw unsupported(instruction);
  return types;
}

/** Leaves the smaller or the larger of two numbers in the first local. */
function choose(emitter: Emitter, { best, other, isMax }: { best: number; other: number; isMax: boolean }): void {
  const { code } = emitter;
  code.get(best).get(other).get(best).get(other);
  code
    .op(isMax ? "i64.gt_s" : "i64.lt_s")
    .op("select")
    .set(best);
}

/** Clamps the number in `value`, joins it with the third operand, and pops the result. */
function finish(emitter: Emitter, instruction: Instruction, { value, type }: { value: number; type: PtxType }): void {
  const { code } = emitter;
  const { modifiers } = instruction.mnemonic;
  const other = emitter.scratch("i64", "video other");
  if (modifiers.has("sat")) {
    const [min, max] = type === "s32" ? [-(2n ** 31n), 2n ** 31n - 1n] : [0n, 2n ** 32n - 1n];
    code.i64(max).set(other);
    choose(emitter, { best: value, other, isMax: false });
    code.i64(min).set(other);
    choose(emitter, { best: value, other, isMax: true });
  }
  const joins = (["add", "min", "max"] as const).filter((name) => modifiers.has(name));
  if (instruction.operands.length !== (joins.length === 0 ? 3 : 4) || joins.length > 1) throw unsupported(instruction);
  if (joins.length === 1) {
    pushNumber(emitter, instruction, { index: 3, type });
    code.set(other);
    if (joins[0] === "add") code.get(value).get(other).op("i64.add").set(value);
    else choose(emitter, { best: value, other, isMax: joins[0] === "max" });
  }
  code.get(value).op("i32.wrap_i64");
  emitter.pop(instruction.operands[0], type, instruction);
}

const joinable = "sat add min max";

/** An operation on two numbers, which it leaves in the first local. */
const arithmetic = (operate: (emitter: Emitter, left: number, right: number) => void): Handler => ({
  allows: joinable,
  emit(emitter, instruction) {
    const [type, leftType, rightType] = typesOf(instruction, 3);
    const left = emitter.scratch("i64", "video left");
    const right = emitter.scratch("i64", "video right");
    pushNumber(emitter, instruction, { index: 1, type: leftType! });
    emitter.code.set(left);
    pushNumber(emitter, instruction, { index: 2, type: rightType! });
    emitter.code.set(right);
    operate(emitter, left, right);
    finish(emitter, instruction, { value: left, type: type! });
  },
});

const combine =
  (name: OpName) =>
  ({ code }: Emitter, left: number, right: number): void => {
    code.get(left).get(right).op(name).set(left);
  };

/** The distance of two numbers, which has no sign. */
function distance({ code }: Emitter, left: number, right: number): void {
  code.get(left).get(right).op("i64.sub").get(right).get(left).op("i64.sub");
  code.get(left).get(right).op("i64.gt_s").op("select").set(left);
}

const comparisons: Record<string, OpName> = {
  eq: "i64.eq",
  ne: "i64.ne",
  lt: "i64.lt_s",
  le: "i64.le_s",
  gt: "i64.gt_s",
  ge: "i64.ge_s",
};

function compare(emitter: Emitter, instruction: Instruction): void {
  const [leftType, rightType] = typesOf(instruction, 2);
  const name = Object.keys(comparisons).find((each) => instruction.mnemonic.modifiers.has(each));
  if (name === undefined) throw unsupported(instruction);
  const value = emitter.scratch("i64", "video left");
  pushNumber(emitter, instruction, { index: 1, type: leftType! });
  pushNumber(emitter, instruction, { index: 2, type: rightType! });
  emitter.op(comparisons[name]!).op("i64.extend_i32_u");
  emitter.code.set(value);
  // The result counts as a number without a sign.
  finish(emitter, instruction, { value, type: "u32" });
}

export const videoHandlers: Handlers = {
  vadd: arithmetic(combine("i64.add")),
  vsub: arithmetic(combine("i64.sub")),
  vabsdiff: arithmetic(distance),
  vmin: arithmetic((emitter, best, other) => choose(emitter, { best, other, isMax: false })),
  vmax: arithmetic((emitter, best, other) => choose(emitter, { best, other, isMax: true })),
  vset: { allows: "eq ne lt le gt ge add min max", emit: compare },
};
