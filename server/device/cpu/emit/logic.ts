/** Bitwise logic, shifts, bit fields, counting, moves and packing. */
import { type Emitter, isSigned, wasmType } from "../compile/emitter.ts";
import { badImage, type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { bitTypes, type Handlers, typeAmong } from "./handler.ts";
import { pushAll, pushZero, signed, word } from "./integer.ts";

const logicTypes: readonly PtxType[] = ["pred", ...bitTypes];

function logic(name: "and" | "or" | "xor") {
  return (emitter: Emitter, instruction: Instruction): void => {
    const type = typeAmong(instruction, logicTypes);
    pushAll(emitter, instruction, { type, count: 2 });
    emitter.op(word(name, type));
    emitter.pop(instruction.operands[0], type, instruction);
  };
}

function not(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, logicTypes);
  pushAll(emitter, instruction, { type, count: 1 });
  if (type === "pred") emitter.op("i32.eqz");
  else if (wasmType(type) === "i64") emitter.code.i64(-1n).op("i64.xor");
  else emitter.code.i32(-1).op("i32.xor");
  emitter.pop(instruction.operands[0], type, instruction);
}

/** 1 where the operand is zero. */
function logicalNot(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, bitTypes);
  pushAll(emitter, instruction, { type, count: 1 });
  emitter.op(word("eqz", type));
  if (wasmType(type) === "i64") emitter.op("i64.extend_i32_u");
  emitter.pop(instruction.operands[0], type, instruction);
}

/** Shifts clamp their count to the width, where WebAssembly takes it modulo the width. */
function shift(emitter: Emitter, instruction: Instruction): void {
  const isLeft = instruction.mnemonic.base === "shl";
  const type = typeAmong(instruction, isLeft ? bitTypes : [...bitTypes, "u16", "u32", "u64", "s16", "s32", "s64"]);
  const bits = typeBytes[type] * 8;
  const { code } = emitter;
  const isWide = wasmType(type) === "i64";
  const name = isLeft ? word("shl", type) : signed("shr", type);
  const arithmetic = !isLeft && isSigned(type);
  const count = instruction.operands[2];
  emitter.push(instruction.operands[1], type, instruction);
  if (count?.kind === "integer") {
    const amount = Number(BigInt.asUintN(32, count.value));
    if (amount >= bits && !arithmetic) {
      code.op("drop");
      pushZero(emitter, type);
    } else {
      const clamped = Math.min(amount, bits - 1);
      if (isWide) code.i64(BigInt(clamped));
      else code.i32(clamped);
      code.op(name);
    }
  } else {
    const amount = emitter.scratch("i32", "count");
    emitter.push(count, "u32", instruction);
    code.set(amount);
    if (arithmetic)
      code
        .get(amount)
        .i32(bits - 1)
        .get(amount)
        .i32(bits)
        .op("i32.lt_u")
        .op("select");
    else code.get(amount);
    if (isWide) code.op("i64.extend_i32_u");
    code.op(name);
    if (!arithmetic) {
      pushZero(emitter, type);
      code.get(amount).i32(bits).op("i32.lt_u").op("select");
    }
  }
  emitter.pop(instruction.operands[0], type, instruction);
}

/** Funnel shift of two words: the wanted half of the shifted double word. */
function funnel(emitter: Emitter, instruction: Instruction): void {
  typeAmong(instruction, ["b32"]);
  const { modifiers } = instruction.mnemonic;
  const { code } = emitter;
  const amount = emitter.scratch("i32", "count");
  emitter.push(instruction.operands[3], "u32", instruction);
  if (modifiers.has("wrap")) code.i32(31).op("i32.and").set(amount);
  else {
    code.set(amount);
    code.get(amount).i32(32).get(amount).i32(32).op("i32.lt_u").op("select").set(amount);
  }
  emitter.push(instruction.operands[2], "u32", instruction);
  code.op("i64.extend_i32_u").i64(32n).op("i64.shl");
  emitter.push(instruction.operands[1], "u32", instruction);
  code.op("i64.extend_i32_u").op("i64.or").get(amount).op("i64.extend_i32_u");
  if (modifiers.has("l")) code.op("i64.shl").i64(32n).op("i64.shr_u");
  else code.op("i64.shr_u");
  code.op("i32.wrap_i64");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

function extractField(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["u32", "s32", "u64", "s64"]);
  emitter.push(instruction.operands[1], type, instruction);
  for (const index of [2, 3]) emitter.push(instruction.operands[index], "u32", instruction);
  emitter.helper(`bfe_${isSigned(type) ? "s" : "u"}_${wasmType(type)}`);
  emitter.pop(instruction.operands[0], type, instruction);
}

function insertField(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["b32", "b64"]);
  for (const index of [1, 2]) emitter.push(instruction.operands[index], type, instruction);
  for (const index of [3, 4]) emitter.push(instruction.operands[index], "u32", instruction);
  emitter.helper(`bfi_${wasmType(type)}`);
  emitter.pop(instruction.operands[0], type, instruction);
}

/** Position of the highest bit that differs from the sign; all ones where there is none. */
function findBit(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["u32", "s32", "u64", "s64"]);
  const { code } = emitter;
  const isWide = wasmType(type) === "i64";
  const bits = isWide ? 64 : 32;
  const value = emitter.scratch(wasmType(type), "value");
  emitter.push(instruction.operands[1], type, instruction);
  if (isSigned(type)) {
    code.tee(value).get(value);
    if (isWide) code.i64(63n).op("i64.shr_s").op("i64.xor");
    else code.i32(31).op("i32.shr_s").op("i32.xor");
  }
  code.op(word("clz", type));
  if (isWide) code.op("i32.wrap_i64");
  const zeroes = emitter.scratch("i32", "zeroes");
  code.set(zeroes);
  if (instruction.mnemonic.modifiers.has("shiftamt")) {
    code.get(zeroes).i32(-1).get(zeroes).i32(bits).op("i32.ne").op("select");
  } else
    code
      .i32(bits - 1)
      .get(zeroes)
      .op("i32.sub");
  emitter.pop(instruction.operands[0], "u32", instruction);
}

function count(name: "popcnt" | "clz") {
  return (emitter: Emitter, instruction: Instruction): void => {
    const type = typeAmong(instruction, ["b32", "b64"]);
    pushAll(emitter, instruction, { type, count: 1 });
    emitter.op(word(name, type));
    if (type === "b64") emitter.op("i32.wrap_i64");
    emitter.pop(instruction.operands[0], "u32", instruction);
  };
}

function reverse(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["b32", "b64"]);
  pushAll(emitter, instruction, { type, count: 1 });
  emitter.helper(`brev_${wasmType(type)}`);
  emitter.pop(instruction.operands[0], type, instruction);
}

/** Selectors of prmt's modes for each value of the control's two low bits, one nibble per byte. */
const permuteModes: Record<string, readonly [number, number, number, number]> = {
  f4e: [0x3210, 0x4321, 0x5432, 0x6543],
  b4e: [0x5670, 0x6701, 0x7012, 0x0123],
  rc8: [0x0000, 0x1111, 0x2222, 0x3333],
  ecl: [0x3210, 0x3211, 0x3222, 0x3333],
  ecr: [0x0000, 0x1110, 0x2210, 0x3210],
  rc16: [0x1010, 0x3232, 0x1010, 0x3232],
};

function permute(emitter: Emitter, instruction: Instruction): void {
  const [mode] = instruction.mnemonic.modifiers;
  const { code } = emitter;
  pushAll(emitter, instruction, { type: "b32", count: 3 });
  if (mode !== undefined) {
    const control = emitter.scratch("i32", "control");
    const selectors = permuteModes[mode]!;
    code.i32(3).op("i32.and").set(control);
    code.i32(selectors[0]);
    for (const value of [1, 2, 3]) {
      const chosen = emitter.scratch("i32", "chosen");
      code.set(chosen).i32(selectors[value]!).get(chosen).get(control).i32(value).op("i32.eq").op("select");
    }
  }
  emitter.helper("prmt");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

/** Any function of three bits, as (a and f1) or (not a and f0), where f1 and f0 are functions of the other two. */
function lookup(emitter: Emitter, instruction: Instruction): void {
  typeAmong(instruction, ["b32"]);
  const { code } = emitter;
  const table = instruction.operands[4];
  const combine = (["or", "and"] as const).find((name) => instruction.mnemonic.modifiers.has(name));
  if (table?.kind !== "integer" || instruction.operands.length !== (combine === undefined ? 5 : 6))
    throw unsupported(instruction);
  const bits = Number(table.value & 0xffn);
  const [a, b, c] = ["a", "b", "c"].map((name) => emitter.scratch("i32", name)) as [number, number, number];
  pushAll(emitter, instruction, { type: "b32", count: 3 });
  code.set(c).set(b).set(a);
  pushFunctionOfTwo(emitter, { b, c, table: bits >>> 4 });
  if (bits >>> 4 !== (bits & 15)) {
    // f0 ^ ((f0 ^ f1) & a)
    pushFunctionOfTwo(emitter, { b, c, table: bits & 15 });
    code.op("i32.xor").get(a).op("i32.and");
    pushFunctionOfTwo(emitter, { b, c, table: bits & 15 });
    code.op("i32.xor");
  }
  if (combine === undefined) emitter.pop(instruction.operands[0], "b32", instruction);
  else popWithPredicate(emitter, instruction, combine);
}

/** The second result is whether the first is not zero, combined with the last operand. */
function popWithPredicate(emitter: Emitter, instruction: Instruction, combine: "or" | "and"): void {
  const [target] = instruction.operands;
  if (target?.kind !== "pair") throw badImage(instruction.line, `[${instruction.mnemonic.text}] has two results`);
  const { code } = emitter;
  const result = emitter.scratch("i32", "a");
  code.set(result).get(result).i32(0).op("i32.ne");
  emitter.push(instruction.operands[5], "pred", instruction);
  code.op(`i32.${combine}`);
  emitter.pop(target.second, "pred", instruction);
  code.get(result);
  emitter.pop(target.first, "b32", instruction);
}

/** Bit b * 2 + c of `table` is the function's value; the upper eight are complements of the lower eight. */
function pushFunctionOfTwo({ code }: Emitter, { b, c, table }: { b: number; c: number; table: number }): void {
  const pair = (name: OpName) => code.get(b).get(c).op(name);
  const positive: Record<number, () => unknown> = {
    0: () => code.i32(0),
    1: () => pair("i32.or").i32(-1).op("i32.xor"),
    2: () => code.get(b).i32(-1).op("i32.xor").get(c).op("i32.and"),
    3: () => code.get(b).i32(-1).op("i32.xor"),
    4: () => code.get(c).i32(-1).op("i32.xor").get(b).op("i32.and"),
    5: () => code.get(c).i32(-1).op("i32.xor"),
    6: () => pair("i32.xor"),
    7: () => pair("i32.and").i32(-1).op("i32.xor"),
  };
  if (table < 8) positive[table]!();
  else {
    positive[15 - table]!();
    code.i32(-1).op("i32.xor");
  }
}

/** mov: also takes a register apart into a vector, or puts one together. */
function move(emitter: Emitter, instruction: Instruction): void {
  const type = instruction.mnemonic.types[0];
  const [target, source] = instruction.operands;
  if (type === undefined || type === "b128") throw unsupported(instruction);
  if (source?.kind === "vector") pack(emitter, instruction, { type, parts: source.elements });
  else if (target?.kind === "vector") unpack(emitter, instruction, { type, parts: target.elements });
  else {
    if (typeBytes[type] === 4 && emitter.isVectorOperand(source) && emitter.isVectorOperand(target)) {
      emitter.pushVector(source, instruction);
      emitter.popVector(target, instruction);
      return;
    }
    emitter.push(source, type, instruction);
    emitter.pop(target, type, instruction);
  }
}

interface Parts {
  readonly type: PtxType;
  readonly parts: readonly Operand[];
}

function partType({ type, parts }: Parts, at: Instruction): PtxType {
  const part = ({ 1: "b8", 2: "b16", 4: "b32" } as Record<number, PtxType>)[typeBytes[type] / parts.length];
  if (part === undefined) throw badImage(at.line, "a vector does not fit its register");
  return part;
}

function pack(emitter: Emitter, instruction: Instruction, options: Parts): void {
  const { type, parts } = options;
  const part = partType(options, instruction);
  const isWide = typeBytes[type] === 8;
  const whole: PtxType = isWide ? "b64" : "b32";
  const { code } = emitter;
  parts.forEach((operand, index) => {
    emitter.push(operand, part, instruction);
    if (isWide) code.op("i64.extend_i32_u");
    if (index === 0) return;
    if (isWide) code.i64(BigInt(index * typeBytes[part] * 8));
    else code.i32(index * typeBytes[part] * 8);
    code.op(word("shl", whole)).op(word("or", whole));
  });
  emitter.pop(instruction.operands[0], typeBytes[type] === 2 ? "b16" : whole, instruction);
}

function unpack(emitter: Emitter, instruction: Instruction, options: Parts): void {
  const { type, parts } = options;
  const part = partType(options, instruction);
  const isWide = typeBytes[type] === 8;
  const { code } = emitter;
  const value = emitter.scratch(isWide ? "i64" : "i32", "whole");
  emitter.push(instruction.operands[1], isWide ? "b64" : typeBytes[type] === 2 ? "b16" : "b32", instruction);
  code.set(value);
  parts.forEach((operand, index) => {
    code.get(value);
    const shift = index * typeBytes[part] * 8;
    if (isWide) code.i64(BigInt(shift)).op("i64.shr_u").op("i32.wrap_i64");
    else code.i32(shift).op("i32.shr_u");
    if (typeBytes[part] < 4) code.i32(typeBytes[part] === 1 ? 0xff : 0xffff).op("i32.and");
    emitter.pop(operand, part, instruction);
  });
}

/** bmsk: as many ones as the second number says, from the bit that the first one says. */
function maskOfBits(emitter: Emitter, instruction: Instruction): void {
  typeAmong(instruction, ["b32"]);
  const { code } = emitter;
  const wraps = instruction.mnemonic.modifiers.has("wrap");
  const [start, width] = ["start", "width"].map((name) => emitter.scratch("i32", name)) as [number, number];
  pushAll(emitter, instruction, { type: "u32", count: 2 });
  for (const local of [width, start]) {
    code.set(local).get(local);
    // Beyond 32 all are alike.
    if (wraps) code.i32(31).op("i32.and");
    else code.i32(32).get(local).i32(32).op("i32.lt_u").op("select");
    code.set(local);
  }
  const ones = (count: () => unknown) => {
    code.i64(1n);
    count();
    code.op("i64.extend_i32_u").op("i64.shl").i64(1n).op("i64.sub").op("i32.wrap_i64");
  };
  ones(() =>
    code
      .get(start)
      .get(width)
      .op("i32.add")
      .i32(32)
      .get(start)
      .get(width)
      .op("i32.add")
      .i32(32)
      .op("i32.lt_u")
      .op("select"),
  );
  ones(() => code.get(start));
  code.i32(-1).op("i32.xor").op("i32.and");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

/** szext: the lowest bits of a number, as many as the second one says, extended by zeroes or by their sign. */
function extendBits(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["u32", "s32"]);
  const { code } = emitter;
  const dropped = emitter.scratch("i32", "dropped");
  emitter.push(instruction.operands[2], "u32", instruction);
  code.set(dropped).get(dropped);
  if (instruction.mnemonic.modifiers.has("wrap")) code.i32(31).op("i32.and");
  else code.i32(32).get(dropped).i32(32).op("i32.lt_u").op("select");
  code.set(dropped).i32(32).get(dropped).op("i32.sub").set(dropped);
  emitter.push(instruction.operands[1], "u32", instruction);
  code.op("i64.extend_i32_u").get(dropped).op("i64.extend_i32_u").op("i64.shl").op("i32.wrap_i64");
  code
    .op(isSigned(type) ? "i64.extend_i32_s" : "i64.extend_i32_u")
    .get(dropped)
    .op("i64.extend_i32_u");
  code.op(isSigned(type) ? "i64.shr_s" : "i64.shr_u").op("i32.wrap_i64");
  emitter.pop(instruction.operands[0], "u32", instruction);
}

export const logicHandlers: Handlers = {
  and: { allows: "", emit: logic("and") },
  or: { allows: "", emit: logic("or") },
  xor: { allows: "", emit: logic("xor") },
  not: { allows: "", emit: not },
  cnot: { allows: "", emit: logicalNot },
  shl: { allows: "", emit: shift },
  shr: { allows: "", emit: shift },
  shf: { allows: "l r wrap clamp", emit: funnel },
  bfe: { allows: "", emit: extractField },
  bfi: { allows: "", emit: insertField },
  bfind: { allows: "shiftamt", emit: findBit },
  popc: { allows: "", emit: count("popcnt") },
  clz: { allows: "", emit: count("clz") },
  brev: { allows: "", emit: reverse },
  bmsk: { allows: "clamp wrap", emit: maskOfBits },
  szext: { allows: "clamp wrap", emit: extendBits },
  prmt: { allows: "f4e b4e rc8 ecl ecr rc16", emit: permute },
  lop3: { allows: "or and", emit: lookup },
  mov: { allows: "", emit: move },
};
