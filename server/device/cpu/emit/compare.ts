/** Comparisons and selections: set, setp, selp, slct. */
import { type Emitter, isSigned, wasmType } from "../compile/emitter.ts";
import { badImage, type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { flush } from "./float.ts";
import { F16_NORMAL_MIN, isHalf, laneCount, laneType, popLanes, pushLane, wordOf } from "./half.ts";
import type { Handlers } from "./handler.ts";

const names = ["eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"];
const unordered: Record<string, string> = { equ: "eq", neu: "ne", ltu: "lt", leu: "le", gtu: "gt", geu: "ge" };
const unsignedNames: Record<string, string> = { lo: "lt", ls: "le", hi: "gt", hs: "ge" };
const opposites: Record<string, string> = { eq: "ne", ne: "eq", lt: "ge", le: "gt", gt: "le", ge: "lt" };
const combinations = ["and", "or", "xor"] as const;

const comparisons = [...names, ...Object.keys(unordered), "num", "nan", ...combinations, "ftz"].join(" ");

/** Leaves 1 or 0 for the comparison of operands 1 and 2; of their `lane`, where they hold two halves. Halves are compared as 32-bit floats. */
function pushComparison(emitter: Emitter, instruction: Instruction, compared: PtxType, lane = 0): void {
  const type = isHalf(compared) ? "f32" : compared;
  const { modifiers } = instruction.mnemonic;
  const compare = [...modifiers].find(
    (name) => names.includes(name) || name in unordered || name === "num" || name === "nan",
  );
  if (compare === undefined) throw badImage(instruction.line, "a comparison names no relation");
  const { code } = emitter;
  const operand = (index: number) => {
    if (isHalf(compared)) {
      pushLane(emitter, compared, { word: wordOf(emitter, instruction, { type: compared, index }), lane });
      if (modifiers.has("ftz") && laneType(compared) === "f16") flush(emitter, F16_NORMAL_MIN);
      return;
    }
    emitter.push(instruction.operands[index], type, instruction);
    if (modifiers.has("ftz") && type === "f32") flush(emitter);
  };
  if (type !== "f32" && type !== "f64") {
    if (typeBytes[type] === 1) throw unsupported(instruction);
    operand(1);
    operand(2);
    const relation = unsignedNames[compare] ?? compare;
    if (relation in unordered || relation === "num" || relation === "nan") {
      throw badImage(instruction.line, `[${compare}] compares floats`);
    }
    const sign =
      relation === "eq" || relation === "ne" ? "" : isSigned(type) && !(compare in unsignedNames) ? "_s" : "_u";
    code.op(`${wasmType(type)}.${relation}${sign}` as OpName);
    return;
  }
  operand(1);
  operand(2);
  if (compare === "num" || compare === "nan") {
    const [a, b] = [emitter.scratch(type, "a"), emitter.scratch(type, "b")];
    code.set(b).set(a).get(a).get(a).op(`${type}.eq`).get(b).get(b).op(`${type}.eq`).op("i32.and");
    if (compare === "nan") code.op("i32.eqz");
    return;
  }
  // Unordered relations hold for NaN too: they are the opposite relation's failure. WebAssembly's `ne` is unordered already.
  const plain = unordered[compare];
  if (compare === "ne") {
    const [a, b] = [emitter.scratch(type, "a"), emitter.scratch(type, "b")];
    code.set(b).set(a).get(a).get(b).op(`${type}.lt`).get(a).get(b).op(`${type}.gt`).op("i32.or");
  } else if (compare === "equ") {
    const [a, b] = [emitter.scratch(type, "a"), emitter.scratch(type, "b")];
    code.set(b).set(a).get(a).get(b).op(`${type}.lt`).get(a).get(b).op(`${type}.gt`).op("i32.or").op("i32.eqz");
  } else if (compare === "neu") code.op(`${type}.ne`);
  else if (plain !== undefined) code.op(`${type}.${opposites[plain]}` as OpName).op("i32.eqz");
  else if (compare in opposites) code.op(`${type}.${compare}` as OpName);
  else throw badImage(instruction.line, `[${compare}] compares integers`);
}

/** Combines 0 or 1 on the stack with the predicate behind the compared operands, if the instruction has one. */
function combine(emitter: Emitter, instruction: Instruction): void {
  const { modifiers } = instruction.mnemonic;
  const name = combinations.find((one) => modifiers.has(one));
  if (name === undefined) return;
  emitter.push(instruction.operands[3], "pred", instruction);
  emitter.op(`i32.${name}`);
}

function setPredicate(emitter: Emitter, instruction: Instruction): void {
  const type = instruction.mnemonic.types[0];
  if (type === undefined || instruction.mnemonic.types.length !== 1) throw unsupported(instruction);
  const [target] = instruction.operands;
  pushComparison(emitter, instruction, type);
  const { code } = emitter;
  const isPair = target?.kind === "pair";
  const first: Operand | undefined = isPair ? target.first : target;
  if (laneCount(type) === 2) {
    // Each lane has its predicate.
    if (!isPair) throw badImage(instruction.line, "a comparison of two halves needs two predicates");
    combine(emitter, instruction);
    pushComparison(emitter, instruction, type, 1);
    combine(emitter, instruction);
    emitter.pop(target.second, "pred", instruction);
    emitter.pop(first, "pred", instruction);
    return;
  }
  if (isPair) {
    // The second result is the complement, combined with the same predicate; both are made before either is written.
    const value = emitter.scratch("i32", "compared");
    const second = emitter.scratch("i32", "second");
    code.tee(value).op("i32.eqz");
    combine(emitter, instruction);
    code.set(second).get(value);
    combine(emitter, instruction);
    emitter.pop(first, "pred", instruction);
    code.get(second);
    emitter.pop(target.second, "pred", instruction);
    return;
  }
  combine(emitter, instruction);
  emitter.pop(first, "pred", instruction);
}

/** 1.0 in each format, by the type of a result that has a half's width per lane. */
const halfOnes: Partial<Record<PtxType, number>> = { f16: 0x3c00, bf16: 0x3f80, f16x2: 0x3c00, bf16x2: 0x3f80 };

/** set on halves: a lane of the result for each lane compared. */
function setHalves(
  emitter: Emitter,
  instruction: Instruction,
  { result, type }: { result: PtxType; type: PtxType },
): void {
  const lanes = laneCount(type);
  const isWord = ["u32", "s32", "b32"].includes(result);
  const one = halfOnes[result] ?? (isWord && lanes === 1 ? -1 : isWord || typeBytes[result] === 2 ? 0xffff : undefined);
  if (one === undefined || (isHalf(result) && laneCount(result) !== lanes)) throw unsupported(instruction);
  const each = (lane: number) => {
    pushComparison(emitter, instruction, type, lane);
    combine(emitter, instruction);
    emitter.code.i32(one).op("i32.mul");
  };
  if (lanes === 2 || typeBytes[result] === 2)
    popLanes(emitter, instruction, { type: lanes === 2 ? type : "f16", each });
  else {
    each(0);
    emitter.pop(instruction.operands[0], result, instruction);
  }
}

/** set: all ones or zero for integers, 1.0 or 0.0 for floats. */
function set(emitter: Emitter, instruction: Instruction): void {
  const [result, type] = instruction.mnemonic.types;
  if (result !== undefined && isHalf(type)) {
    setHalves(emitter, instruction, { result, type });
    return;
  }
  if (result === undefined || type === undefined || !["u32", "s32", "b32", "f32"].includes(result))
    throw unsupported(instruction);
  pushComparison(emitter, instruction, type);
  combine(emitter, instruction);
  if (result === "f32") emitter.op("f32.convert_i32_u");
  else {
    const value = emitter.scratch("i32", "compared");
    emitter.code.set(value).i32(0).get(value).op("i32.sub");
  }
  emitter.pop(instruction.operands[0], result, instruction);
}

function requireSelectable(type: PtxType | undefined, instruction: Instruction): PtxType {
  if (type === undefined || type === "pred" || typeBytes[type] === 1 || typeBytes[type] === 16)
    throw unsupported(instruction);
  return type;
}

function selectByPredicate(emitter: Emitter, instruction: Instruction): void {
  const type = requireSelectable(instruction.mnemonic.types[0], instruction);
  const [target, yes, no, predicate] = instruction.operands;
  const isVector = type === "f32" && [target, yes, no].every((operand) => emitter.isVectorOperand(operand));
  for (const operand of [yes, no]) {
    if (isVector) emitter.pushVector(operand, instruction);
    else emitter.push(operand, type, instruction);
  }
  emitter.push(predicate, "pred", instruction);
  emitter.op("select");
  if (isVector) emitter.popVector(target, instruction);
  else emitter.pop(target, type, instruction);
}

/** slct d, a, b, c: a where c >= 0, else b. */
function selectBySign(emitter: Emitter, instruction: Instruction): void {
  const { types, modifiers } = instruction.mnemonic;
  const type = requireSelectable(types[0], instruction);
  const { code } = emitter;
  emitter.push(instruction.operands[1], type, instruction);
  emitter.push(instruction.operands[2], type, instruction);
  if (types[1] === "f32") {
    emitter.push(instruction.operands[3], "f32", instruction);
    if (modifiers.has("ftz")) flush(emitter);
    code.f32(0).op("f32.ge");
  } else if (types[1] === "s32") {
    emitter.push(instruction.operands[3], "s32", instruction);
    code.i32(0).op("i32.ge_s");
  } else throw unsupported(instruction);
  code.op("select");
  emitter.pop(instruction.operands[0], type, instruction);
}

export const compareHandlers: Handlers = {
  setp: { allows: comparisons, emit: setPredicate },
  set: { allows: comparisons, emit: set },
  selp: { allows: "", emit: selectByPredicate },
  slct: { allows: "ftz", emit: selectBySign },
};
