/** Float arithmetic with rounding modes, flushing and saturation, and the approximate functions. */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { floatTypes, type Handlers, typeAmong } from "./handler.ts";
import { flushTiny, keepOperands, mayBeTiny, NORMAL_MIN } from "./tiny.ts";

/** Smallest normal 64-bit number. */
const DOUBLE_NORMAL_MIN = 2 ** -1022;

/** Number of an operation and of a rounding for the import `exact`. */
const exactOperations = { add: 0, mul: 1, fma: 2, div: 3, sqrt: 4 } as const;
export const exactRoundings = { rn: 0, rz: 1, rm: 2, rp: 3 } as const;

export type Rounding = keyof typeof exactRoundings;

export const roundingOf = ({ mnemonic }: Instruction): Rounding =>
  (["rz", "rm", "rp"] as const).find((mode) => mnemonic.modifiers.has(mode)) ?? "rn";

const isFlushing = ({ mnemonic }: Instruction): boolean => mnemonic.modifiers.has("ftz");

/** Replaces a subnormal 32-bit number on the stack, or one below another bound, by zero with its sign. */
export function flush(emitter: Emitter, normalMin = NORMAL_MIN): void {
  const { code } = emitter;
  const value = emitter.scratch("f32", "flush");
  code.set(value).f32(0).get(value).op("f32.copysign").get(value);
  code.get(value).op("f32.abs").f32(normalMin).op("f32.lt").op("select");
}

/** Pushes operands 1 to `count`, flushed where the instruction says so. */
function pushFloats(emitter: Emitter, instruction: Instruction, options: { type: PtxType; count: number }): void {
  const { type, count } = options;
  for (let index = 1; index <= count; index++) {
    emitter.push(instruction.operands[index], type, instruction);
    if (type === "f32" && isFlushing(instruction)) flush(emitter);
  }
}

interface Arithmetic {
  readonly name: "add" | "sub" | "mul" | "div" | "sqrt" | "fma";
  readonly type: PtxType;
  /** Of the operands, which are pushed. */
  readonly count: number;
}

/** An operation on pushed operands, rounded, flushed and saturated as the instruction says, and popped. */
function finish(emitter: Emitter, instruction: Instruction, operation: Arithmetic): void {
  const { name, type, count } = operation;
  if (type === "f32" && isFlushing(instruction) && mayBeTiny(name)) {
    const operands = keepOperands(emitter, count);
    arithmetic(emitter, instruction, operation);
    flushTiny(emitter, { name, rounding: roundingOf(instruction) }, operands);
    popNormal(emitter, instruction, type);
  } else {
    arithmetic(emitter, instruction, operation);
    popFloat(emitter, instruction, type);
  }
}

/** Pops a float result: flushed and saturated to [0, 1] where the instruction says so. */
export function popFloat(emitter: Emitter, instruction: Instruction, type: PtxType): void {
  if (type === "f32" && isFlushing(instruction)) flush(emitter);
  popNormal(emitter, instruction, type);
}

function popNormal(emitter: Emitter, instruction: Instruction, type: PtxType): void {
  if (instruction.mnemonic.modifiers.has("sat")) clampToUnit(emitter, type);
  emitter.pop(instruction.operands[0], type, instruction);
}

/** NaN becomes 0. */
export function clampToUnit(emitter: Emitter, type: PtxType): void {
  const kind = type === "f64" ? "f64" : "f32";
  const value = emitter.scratch(kind, "clamp");
  const { code } = emitter;
  const constant = (number: number) => (kind === "f64" ? code.f64(number) : code.f32(number));
  code.set(value);
  code.get(value);
  constant(0);
  code.get(value);
  constant(0);
  code.op(`${kind}.gt`).op("select");
  constant(1);
  code.op(`${kind}.min`);
}

/** An operation on pushed operands, rounded as the instruction says. `count`: its operands. */
export function arithmetic(emitter: Emitter, instruction: Instruction, { name, type, count }: Arithmetic): void {
  const rounding = roundingOf(instruction);
  const { code } = emitter;
  if (rounding !== "rn" && type === "f64") {
    if (name === "sub") code.op("f64.neg");
    const operation = exactOperations[name === "sub" ? "add" : name];
    const locals = ["x", "y", "z"].slice(0, count).map((key) => emitter.scratch("f64", `exact ${key}`));
    for (const local of [...locals].reverse()) code.set(local);
    code.i32(operation * 4 + exactRoundings[rounding]);
    for (const local of locals) code.get(local);
    for (let missing = count; missing < 3; missing++) code.f64(0);
    emitter.import("exact");
  } else if (rounding !== "rn") emitter.helper(`${name}_f32_${rounding}`);
  else if (name === "fma") fused(emitter, type);
  else emitter.op(`${type}.${name}` as OpName);
}

/** Three pushed operands become one product and sum, rounded once. */
function fused(emitter: Emitter, type: PtxType): void {
  const kind = type === "f64" ? "f64" : "f32";
  if (!emitter.unit.features.fusedMultiplyAdd) {
    emitter.helper(`fma_${kind}`);
    return;
  }
  const { code } = emitter;
  const b = emitter.scratch(kind, "factor");
  const c = emitter.scratch(kind, "addend");
  const shape = kind === "f64" ? "f64x2" : "f32x4";
  code.set(c).set(b);
  code.op(`${shape}.splat`).get(b).op(`${shape}.splat`).get(c).op(`${shape}.splat`).op(`${shape}.relaxed_madd`);
  code.lane(`${shape}.extract_lane`, 0);
}

/** Whether the plain vector instruction does exactly what the instruction says. */
function isPlainVector(emitter: Emitter, instruction: Instruction, type: PtxType): boolean {
  const { modifiers } = instruction.mnemonic;
  if (type !== "f32" || !emitter.isVectorOperand(instruction.operands[0])) return false;
  if (instruction.mnemonic.base === "div" && modifiers.has("approx")) return false;
  return roundingOf(instruction) === "rn" && !modifiers.has("ftz") && !modifiers.has("sat");
}

/** An operation on vectors, of which only the lowest lane counts. */
function vectorOperation(emitter: Emitter, instruction: Instruction, name: OpName): void {
  for (const operand of instruction.operands.slice(1)) emitter.pushVector(operand, instruction);
  emitter.op(name);
  emitter.popVector(instruction.operands[0], instruction);
}

function requireOperands(instruction: Instruction, count: number): void {
  if (instruction.operands.length !== count) {
    throw badImage(instruction.line, `[${instruction.mnemonic.text}] needs [${count}] operands`);
  }
}

function binary(name: "add" | "sub" | "mul") {
  return (emitter: Emitter, instruction: Instruction): void => {
    const type = typeAmong(instruction, floatTypes);
    requireOperands(instruction, 3);
    if (isPlainVector(emitter, instruction, type)) {
      vectorOperation(emitter, instruction, `f32x4.${name}`);
      return;
    }
    pushFloats(emitter, instruction, { type, count: 2 });
    finish(emitter, instruction, { name, type, count: 2 });
  };
}

/** fma, and mad on floats, which is the same since compute capability 2.0. */
export function fusedMultiplyAdd(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  requireOperands(instruction, 4);
  if (isPlainVector(emitter, instruction, type)) {
    vectorOperation(emitter, instruction, "f32x4.relaxed_madd");
    return;
  }
  pushFloats(emitter, instruction, { type, count: 3 });
  finish(emitter, instruction, { name: "fma", type, count: 3 });
}

export function divideFloat(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  requireOperands(instruction, 3);
  if (isPlainVector(emitter, instruction, type)) {
    vectorOperation(emitter, instruction, "f32x4.div");
    return;
  }
  pushFloats(emitter, instruction, { type, count: 2 });
  if (type === "f32" && instruction.mnemonic.modifiers.has("approx")) {
    divideRoughly(emitter, instruction);
    return;
  }
  finish(emitter, instruction, { name: "div", type, count: 2 });
}

/** By a larger divisor than this `div.approx` gives zero, and NaN for infinity: hardware multiplies by a reciprocal, which is flushed. */
export const ROUGH_DIVISOR_MAX = 2 ** 126;

function divideRoughly(emitter: Emitter, instruction: Instruction): void {
  const { code } = emitter;
  const [dividend, divisor] = [emitter.scratch("f32", "dividend"), emitter.scratch("f32", "divisor")];
  code.set(divisor).set(dividend);
  code.get(dividend).f32(0).get(divisor).op("f32.copysign").op("f32.mul").get(dividend).get(divisor).op("f32.div");
  code.get(divisor).op("f32.abs").f32(ROUGH_DIVISOR_MAX).op("f32.gt").op("select");
  popFloat(emitter, instruction, "f32");
}

/** The approximations of f64 look at the upper words of their operands, without subnormal numbers. */
function pushUpperWord(emitter: Emitter, instruction: Instruction): void {
  emitter.push(instruction.operands[1], "f64", instruction);
  emitter.op("i64.reinterpret_f64").code.i64(-(1n << 32n));
  emitter.op("i64.and").op("f64.reinterpret_i64");
  flushDouble(emitter);
}

/** Replaces a subnormal 64-bit number on the stack by zero with its sign. */
function flushDouble(emitter: Emitter): void {
  const { code } = emitter;
  const value = emitter.scratch("f64", "flush");
  code.set(value).f64(0).get(value).op("f64.copysign").get(value);
  code.get(value).op("f64.abs").f64(DOUBLE_NORMAL_MIN).op("f64.lt").op("select");
}

/** Pushes the operand of a reciprocal, or of one of a root. */
function pushDivisor(emitter: Emitter, instruction: Instruction, type: PtxType): void {
  if (type === "f64" && isFlushing(instruction)) pushUpperWord(emitter, instruction);
  else pushFloats(emitter, instruction, { type, count: 1 });
}

function reciprocal(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  if (type === "f64") emitter.code.f64(1);
  else emitter.code.f32(1);
  pushDivisor(emitter, instruction, type);
  if (type === "f64" && isFlushing(instruction)) {
    emitter.op("f64.div");
    flushDouble(emitter);
    popNormal(emitter, instruction, type);
  } else finish(emitter, instruction, { name: "div", type, count: 2 });
}

function squareRoot(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  pushFloats(emitter, instruction, { type, count: 1 });
  finish(emitter, instruction, { name: "sqrt", type, count: 1 });
}

function reciprocalRoot(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  emitter.code.f64(1);
  pushDivisor(emitter, instruction, type);
  if (type === "f32") emitter.op("f64.promote_f32");
  emitter.op("f64.sqrt").op("f64.div");
  if (type === "f32") emitter.op("f32.demote_f64");
  popFloat(emitter, instruction, type);
}

function approximate(helper: string) {
  return (emitter: Emitter, instruction: Instruction): void => {
    const type = typeAmong(instruction, ["f32"]);
    pushFloats(emitter, instruction, { type, count: 1 });
    emitter.helper(helper);
    popFloat(emitter, instruction, type);
  };
}

export function absoluteOrNegate(emitter: Emitter, instruction: Instruction, name: "abs" | "neg"): void {
  const type = typeAmong(instruction, floatTypes);
  requireOperands(instruction, 2);
  if (isPlainVector(emitter, instruction, type)) {
    vectorOperation(emitter, instruction, `f32x4.${name}`);
    return;
  }
  pushFloats(emitter, instruction, { type, count: 1 });
  emitter.op(`${type}.${name}` as OpName);
  popFloat(emitter, instruction, type);
}

/** min and max: the operand that is a number wins over NaN, unless `.NaN` is given. */
export function chooseFloat(emitter: Emitter, instruction: Instruction, name: "min" | "max"): void {
  const type = typeAmong(instruction, floatTypes);
  const { modifiers } = instruction.mnemonic;
  const xorsign = modifiers.has("xorsign");
  if (xorsign !== modifiers.has("abs") || (xorsign && type !== "f32") || instruction.operands.length !== 3)
    throw unsupported(instruction);
  const kind = type === "f64" ? "f64" : "f32";
  const { code } = emitter;
  pushFloats(emitter, instruction, { type, count: 2 });
  if (xorsign) takeMagnitudes(emitter);
  if (!modifiers.has("NaN")) {
    const a = emitter.scratch(kind, "a");
    const b = emitter.scratch(kind, "b");
    code.set(b).set(a);
    code.get(b).get(a).get(a).get(b).op(`${kind}.${name}`);
    code.get(b).get(b).op(`${kind}.ne`).op("select");
    code.get(a).get(a).op(`${kind}.ne`).op("select");
  } else code.op(`${kind}.${name}`);
  if (xorsign) code.get(emitter.scratch("i32", "sign")).op("f32.reinterpret_i32").op("f32.copysign");
  popFloat(emitter, instruction, type);
}

/** Two 32-bit numbers on the stack become their magnitudes; the sign of their product stays in a local. */
function takeMagnitudes(emitter: Emitter): void {
  const { code } = emitter;
  const [a, b] = [emitter.scratch("f32", "a"), emitter.scratch("f32", "b")];
  code.set(b).set(a).get(a).op("i32.reinterpret_f32").get(b).op("i32.reinterpret_f32").op("i32.xor");
  code.set(emitter.scratch("i32", "sign")).get(a).op("f32.abs").get(b).op("f32.abs");
}

/** copysign d, a, b: the magnitude of b with the sign of a. */
function copySign(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  emitter.push(instruction.operands[2], type, instruction);
  emitter.push(instruction.operands[1], type, instruction);
  emitter.op(`${type}.copysign` as OpName);
  emitter.pop(instruction.operands[0], type, instruction);
}

function testProperty(emitter: Emitter, instruction: Instruction): void {
  const type = typeAmong(instruction, floatTypes);
  const kind = type === "f64" ? "f64" : "f32";
  const { code } = emitter;
  const value = emitter.scratch(kind, "value");
  const [property] = instruction.mnemonic.modifiers;
  const constant = (number: number) => (kind === "f64" ? code.f64(number) : code.f32(number));
  const normal = kind === "f64" ? DOUBLE_NORMAL_MIN : NORMAL_MIN;
  emitter.push(instruction.operands[1], type, instruction);
  code.op(`${kind}.abs`).set(value);
  const compare = (limit: number, name: "lt" | "ge" | "eq") => {
    code.get(value);
    constant(limit);
    code.op(`${kind}.${name}`);
  };
  if (property === "finite") compare(Number.POSITIVE_INFINITY, "lt");
  else if (property === "infinite") compare(Number.POSITIVE_INFINITY, "eq");
  else if (property === "number") code.get(value).get(value).op(`${kind}.eq`);
  else if (property === "notanumber") code.get(value).get(value).op(`${kind}.ne`);
  else if (property === "normal") {
    compare(normal, "ge");
    compare(Number.POSITIVE_INFINITY, "lt");
    code.op("i32.and");
    // Zero is normal.
    compare(0, "eq");
    code.op("i32.or");
  } else if (property === "subnormal") {
    compare(normal, "lt");
    code.get(value);
    constant(0);
    code.op(`${kind}.ne`).op("i32.and");
  } else throw badImage(instruction.line, "testp names no property");
  emitter.pop(instruction.operands[0], "pred", instruction);
}

export const rounded = "rn rz rm rp ftz sat";
export const addFloat = binary("add");
export const subtractFloat = binary("sub");
export const multiplyFloat = binary("mul");

export const floatHandlers: Handlers = {
  fma: { allows: rounded, emit: fusedMultiplyAdd },
  rcp: { allows: `${rounded} approx`, emit: reciprocal },
  sqrt: { allows: `${rounded} approx`, emit: squareRoot },
  rsqrt: { allows: "approx ftz", emit: reciprocalRoot },
  ex2: { allows: "approx ftz", emit: approximate("ex2") },
  lg2: { allows: "approx ftz", emit: approximate("lg2") },
  sin: { allows: "approx ftz", emit: approximate("sin") },
  cos: { allows: "approx ftz", emit: approximate("cos") },
  tanh: { allows: "approx", emit: approximate("tanh") },
  copysign: { allows: "", emit: copySign },
  testp: { allows: "finite infinite number notanumber normal subnormal", emit: testProperty },
};
