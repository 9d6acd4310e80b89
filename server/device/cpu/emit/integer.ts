/** Integer arithmetic: sums with and without carry, products, quotients, minimum, maximum, and their relatives. */
import { type Emitter, isSigned, wasmType } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { integerTypes, typeAmong } from "./handler.ts";

/** The instruction of the type's word: `word("add", "u64")` is `i64.add`. */
export const word = (name: string, type: PtxType): OpName => `${wasmType(type)}.${name}` as OpName;
/** The same with a sign: `signed("shr", "s32")` is `i32.shr_s`. */
export const signed = (name: string, type: PtxType): OpName => word(`${name}_${isSigned(type) ? "s" : "u"}`, type);

/** Pushes operands 1 to `count` as the type. */
export function pushAll(emitter: Emitter, instruction: Instruction, options: { type: PtxType; count: number }): void {
  for (let index = 1; index <= options.count; index++) {
    emitter.push(instruction.operands[index], options.type, instruction);
  }
}

const half = (type: PtxType): PtxType =>
  (({ u32: "u64", s32: "s64", u16: "u32", s16: "s32" }) as Partial<Record<PtxType, PtxType>>)[type] ?? type;

const carryName = "carry";

export function addOrSubtract(emitter: Emitter, instruction: Instruction, name: "add" | "sub"): void {
  const type = typeAmong(instruction, integerTypes);
  const { modifiers } = instruction.mnemonic;
  if (modifiers.has("cc")) {
    pushAll(emitter, instruction, { type, count: 2 });
    emitCarry(emitter, instruction, { type, name, takes: false });
  } else if (modifiers.has("sat")) {
    if (type !== "s32") throw unsupported(instruction, "saturation on other types than s32");
    emitter.push(instruction.operands[1], "s32", instruction);
    emitter.op("i64.extend_i32_s");
    emitter.push(instruction.operands[2], "s32", instruction);
    emitter.op("i64.extend_i32_s").op(`i64.${name}`);
    saturate(emitter);
  } else {
    pushAll(emitter, instruction, { type, count: 2 });
    emitter.op(word(name, type));
  }
  emitter.pop(instruction.operands[0], type, instruction);
}

/** A 64-bit number clamped to the range of a signed 32-bit one. */
function saturate(emitter: Emitter): void {
  const value = emitter.scratch("i64", "value");
  const { code } = emitter;
  code.set(value);
  for (const [limit, compare] of [
    [0x7fffffffn, "i64.gt_s"],
    [-0x80000000n, "i64.lt_s"],
  ] as const) {
    code.i64(limit).get(value).get(value).i64(limit).op(compare).op("select").set(value);
  }
  code.get(value).op("i32.wrap_i64");
}

/**
 * With two numbers pushed: leaves their sum or difference, and sets the carry. A difference is `a + ~b + 1`, as in hardware: its carry is set
 * where nothing is borrowed. So compilers may read with `addc` whether a `sub.cc` borrowed; nvcc's 128-bit division does.
 */
function emitCarry(
  emitter: Emitter,
  instruction: Instruction,
  { type, name, takes }: { type: PtxType; name: "add" | "sub"; takes: boolean },
): void {
  const kind = wasmType(type);
  if (typeBytes[type] < 4) throw unsupported(instruction, "a carry on 16 bits");
  const { code } = emitter;
  const a = emitter.scratch(kind, "a");
  const b = emitter.scratch(kind, "b");
  const out = emitter.scratch(kind, "out");
  const carry = emitter.scratch("i32", carryName);
  const gives = instruction.mnemonic.modifiers.has("cc");
  code.set(b).set(a);
  code.get(a).get(b).op(word(name, type)).set(out);
  // A borrow and a carry are each other's opposite.
  const turned = () => (name === "sub" ? code.op("i32.eqz") : code);
  const lost = () => (name === "add" ? code.get(out).get(a) : code.get(a).get(b)).op(word("lt_u", type));
  if (!takes) {
    lost();
    turned().set(carry);
    code.get(out);
    return;
  }
  // Either step may carry, never both.
  lost();
  code.get(out).get(carry);
  turned();
  if (kind === "i64") code.op("i64.extend_i32_u");
  code.op(word(name, type)).set(a);
  const second = () => (name === "add" ? code.get(a).get(out) : code.get(out).get(a)).op(word("lt_u", type));
  second().op("i32.or");
  if (gives) turned().set(carry);
  else code.op("drop");
  code.get(a);
}

export function addOrSubtractCarry(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, integerTypes);
  pushAll(emitter, instruction, { type, count: 2 });
  emitCarry(emitter, instruction, { type, name: instruction.mnemonic.base === "addc" ? "add" : "sub", takes: true });
  emitter.pop(instruction.operands[0], type, instruction);
}

/** Leaves the low, high or wide product of operands 1 and 2; returns the type it has. */
function product(emitter: Emitter, instruction: Instruction, type: PtxType): PtxType {
  const { modifiers } = instruction.mnemonic;
  const extend: OpName = isSigned(type) ? "i64.extend_i32_s" : "i64.extend_i32_u";
  const size = typeBytes[type];
  if (modifiers.has("lo")) {
    pushAll(emitter, instruction, { type, count: 2 });
    emitter.op(word("mul", type));
    return type;
  }
  const wide = modifiers.has("wide");
  if (!wide && !modifiers.has("hi")) throw badImage(instruction.line, "a product is neither lo, hi nor wide");
  if (size === 8) {
    if (wide) throw unsupported(instruction, "a 128-bit product");
    pushAll(emitter, instruction, { type, count: 2 });
    emitter.helper(isSigned(type) ? "mul_hi_s64" : "mul_hi_u64");
    return type;
  }
  for (const index of [1, 2]) {
    emitter.push(instruction.operands[index], type, instruction);
    if (size === 4) emitter.op(extend);
  }
  emitter.op(size === 4 ? "i64.mul" : "i32.mul");
  if (wide) return half(type);
  if (size === 4) emitter.code.i64(32n).op("i64.shr_u").op("i32.wrap_i64");
  else emitter.code.i32(16).op("i32.shr_s");
  return type;
}

/** Two signed numbers on the stack become their sum, clamped. */
export function addSaturated(emitter: Emitter): void {
  const addend = emitter.scratch("i32", "addend");
  emitter.code.set(addend).op("i64.extend_i32_s").get(addend).op("i64.extend_i32_s").op("i64.add");
  saturate(emitter);
}

export function multiply(emitter: Emitter, instruction: Instruction): void {
  const result = product(emitter, instruction, typeAmong(instruction, integerTypes));
  emitter.pop(instruction.operands[0], result, instruction);
}

export function multiplyAdd(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, integerTypes);
  const { base, modifiers } = instruction.mnemonic;
  const result = product(emitter, instruction, type);
  emitter.push(instruction.operands[3], result, instruction);
  if (modifiers.has("sat")) {
    if (type !== "s32" || !modifiers.has("hi")) throw unsupported(instruction);
    addSaturated(emitter);
  } else if (modifiers.has("cc") || base === "madc") {
    emitCarry(emitter, instruction, { type: result, name: "add", takes: base === "madc" });
  } else emitter.op(word("add", result));
  emitter.pop(instruction.operands[0], result, instruction);
}

/** 24-bit products: the operands' upper byte is ignored. */
export function multiply24(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["u32", "s32"]);
  const { base, modifiers } = instruction.mnemonic;
  const { code } = emitter;
  for (const index of [1, 2]) {
    emitter.push(instruction.operands[index], type, instruction);
    code.i32(8).op("i32.shl").i32(8).op(signed("shr", type));
    code.op(isSigned(type) ? "i64.extend_i32_s" : "i64.extend_i32_u");
  }
  code.op("i64.mul");
  if (modifiers.has("hi")) code.i64(16n).op("i64.shr_u");
  code.op("i32.wrap_i64");
  if (base === "mad24") {
    emitter.push(instruction.operands[3], type, instruction);
    if (modifiers.has("sat")) {
      if (type !== "s32" || !modifiers.has("hi")) throw unsupported(instruction);
      addSaturated(emitter);
    } else code.op("i32.add");
  }
  emitter.pop(instruction.operands[0], type, instruction);
}

export function divide(emitter: Emitter, instruction: Instruction, name: "div" | "rem"): void {
  const type = typeAmong(instruction, integerTypes);
  pushAll(emitter, instruction, { type, count: 2 });
  const divisor = instruction.operands[2];
  const isPlain = divisor?.kind === "integer" && divisor.value !== 0n && divisor.value !== -1n;
  if (isPlain) emitter.op(signed(name, type));
  else emitter.helper(`${name}_${isSigned(type) ? "s" : "u"}_${wasmType(type)}`);
  emitter.pop(instruction.operands[0], type, instruction);
}

export function absolute(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["s16", "s32", "s64"]);
  const value = emitter.scratch(wasmType(type), "value");
  const { code } = emitter;
  pushAll(emitter, instruction, { type, count: 1 });
  code.set(value);
  pushZero(emitter, type);
  code.get(value).op(word("sub", type)).get(value).get(value);
  pushZero(emitter, type);
  code.op(word("lt_s", type)).op("select");
  emitter.pop(instruction.operands[0], type, instruction);
}

export function negate(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, ["s16", "s32", "s64"]);
  pushZero(emitter, type);
  pushAll(emitter, instruction, { type, count: 1 });
  emitter.op(word("sub", type));
  emitter.pop(instruction.operands[0], type, instruction);
}

export function pushZero(emitter: Emitter, type: PtxType): void {
  if (wasmType(type) === "i64") emitter.code.i64(0n);
  else emitter.code.i32(0);
}

/** min and max. */
export function choose(emitter: Emitter, instruction: Instruction, name: "min" | "max"): void {
  const type = typeAmong(instruction, integerTypes);
  const { code } = emitter;
  const a = emitter.scratch(wasmType(type), "a");
  const b = emitter.scratch(wasmType(type), "b");
  pushAll(emitter, instruction, { type, count: 2 });
  code.set(b).set(a);
  code
    .get(a)
    .get(b)
    .get(a)
    .get(b)
    .op(signed(name === "min" ? "lt" : "gt", type))
    .op("select");
  if (instruction.mnemonic.modifiers.has("relu")) {
    if (type !== "s32") throw unsupported(instruction);
    code.tee(a).i32(0).get(a).i32(0).op("i32.gt_s").op("select");
  }
  emitter.pop(instruction.operands[0], type, instruction);
}

/** |a - b| + c */
export function absoluteDifference(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, integerTypes);
  const { code } = emitter;
  const a = emitter.scratch(wasmType(type), "a");
  const b = emitter.scratch(wasmType(type), "b");
  pushAll(emitter, instruction, { type, count: 2 });
  code.set(b).set(a);
  code.get(a).get(b).op(word("sub", type)).get(b).get(a).op(word("sub", type));
  code.get(a).get(b).op(signed("gt", type)).op("select");
  emitter.push(instruction.operands[3], type, instruction);
  code.op(word("add", type));
  emitter.pop(instruction.operands[0], type, instruction);
}

export function dot(emitter: Emitter, instruction: Instruction): void {
  const [left, right] = instruction.mnemonic.types;
  const sign = (type: PtxType | undefined) => (type === "s32" ? "s" : "u");
  for (const index of [1, 2, 3]) emitter.push(instruction.operands[index], "u32", instruction);
  emitter.helper(`dp4a_${sign(left)}_${sign(right)}`);
  emitter.pop(instruction.operands[0], "u32", instruction);
}
