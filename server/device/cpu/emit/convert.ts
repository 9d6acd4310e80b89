/** cvt: between integers, between floats, and from one to the other, with rounding and saturation. */
import { type Emitter, isSigned, wasmType } from "../compile/emitter.ts";
import { badImage, type Instruction, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { clampToUnit, exactRoundings, flush, roundingOf } from "./float.ts";
import { convertFloat8, isFloat8 } from "./float8.ts";
import { isHalf, laneCount, laneType, narrow as narrowHalf, popLanes, pushLane, rectify, wordOf } from "./half.ts";
import { floatTypes, type Handlers, integerTypes } from "./handler.ts";
import { packClamped } from "./packed.ts";

const integers: readonly PtxType[] = [...integerTypes, "u8", "s8", "b8", "b16", "b32", "b64"];
const isFloat = (type: PtxType): boolean => floatTypes.includes(type);

function convert(emitter: Emitter, instruction: Instruction): void {
  if (instruction.mnemonic.modifiers.has("pack")) {
    packClamped(emitter, instruction);
    return;
  }
  if (isFloat8(instruction)) {
    convertFloat8(emitter, instruction);
    return;
  }
  if (instruction.mnemonic.modifiers.has("satfinite")) throw unsupported(instruction);
  const [to, from, more] = instruction.mnemonic.types;
  if (to === undefined || from === undefined || more !== undefined) throw unsupported(instruction);
  if (to === "tf32") {
    toTf32(emitter, instruction, from);
    return;
  }
  if (isHalf(to) || isHalf(from)) {
    convertHalf(emitter, instruction, { to, from });
    return;
  }
  if (instruction.mnemonic.modifiers.has("relu")) throw unsupported(instruction);
  for (const type of [to, from]) {
    if (!isFloat(type) && !integers.includes(type)) throw unsupported(instruction, `on [${type}]`);
  }
  emitter.push(instruction.operands[1], from, instruction);
  if (isFloat(from) && isFloat(to)) floatToFloat(emitter, instruction, { to, from });
  else if (isFloat(from)) floatToInteger(emitter, instruction, { to, from });
  else if (isFloat(to)) integerToFloat(emitter, instruction, { to, from });
  else integerToInteger(emitter, instruction, { to, from });
  emitter.pop(instruction.operands[0], to, instruction);
}

/** From a half: exactly to 32 bits, then on from there. To a half: to 64 bits without loss that counts, then rounded once. */
function convertHalf(emitter: Emitter, instruction: Instruction, { to, from }: Conversion): void {
  const isPacked = laneCount(to) === 2;
  if (isPacked ? from !== "f32" : laneCount(from) === 2) throw unsupported(instruction);
  if (!isHalf(to)) {
    if (!isFloat(to) && !integers.includes(to)) throw unsupported(instruction, `on [${to}]`);
    pushWidened(emitter, instruction, { from, index: 1 });
    if (isFloat(to)) floatToFloat(emitter, instruction, { to, from: "f32" });
    else floatToInteger(emitter, instruction, { to, from: "f32" });
    emitter.pop(instruction.operands[0], to, instruction);
    return;
  }
  // Of a pair, the first operand is the upper lane.
  const each = (lane: number) => {
    pushAs64(emitter, instruction, { from, index: isPacked ? 2 - lane : 1 });
    if (instruction.mnemonic.modifiers.has("sat")) clampToUnit(emitter, "f64");
    if (instruction.mnemonic.modifiers.has("relu")) rectify(emitter);
    narrowHalf(emitter, to, roundingOf(instruction));
  };
  popLanes(emitter, instruction, { type: to, each });
}

/** Pushes a half as a 32-bit float. */
function pushWidened(
  emitter: Emitter,
  instruction: Instruction,
  { from, index }: { from: PtxType; index: number },
): void {
  const word = wordOf(emitter, instruction, { type: laneType(from), index });
  pushLane(emitter, from, { word, lane: 0 });
}

/** Pushes a number of any type as a 64-bit float: whole where the instruction says so, and 64-bit integers rounded to odd. */
function pushAs64(emitter: Emitter, instruction: Instruction, { from, index }: { from: PtxType; index: number }): void {
  const { code } = emitter;
  const whole = integralRounding(instruction);
  if (isHalf(from)) pushWidened(emitter, instruction, { from, index });
  else {
    if (!isFloat(from) && !integers.includes(from)) throw unsupported(instruction, `on [${from}]`);
    emitter.push(instruction.operands[index], from, instruction);
  }
  if (isHalf(from) || from === "f32") code.op("f64.promote_f32");
  else if (from !== "f64" && wasmType(from) === "i32")
    code.op(isSigned(from) ? "f64.convert_i32_s" : "f64.convert_i32_u");
  else if (from !== "f64") {
    pushHalves(emitter, from, emitter.scratch("i64", "value"));
    emitter.helper("add_odd");
  }
  if (whole !== undefined) code.op(`f64.${integral[whole]}` as OpName);
}

/** The 64-bit integer on the stack becomes two 64-bit floats, whose sum it is. */
function pushHalves(emitter: Emitter, from: PtxType, value: number): void {
  emitter.code
    .tee(value)
    .i64(32n)
    .op(isSigned(from) ? "i64.shr_s" : "i64.shr_u")
    .op(isSigned(from) ? "f64.convert_i64_s" : "f64.convert_i64_u")
    .f64(2 ** 32)
    .op("f64.mul");
  emitter.code.get(value).op("i32.wrap_i64").op("f64.convert_i32_u");
}

interface Conversion {
  readonly to: PtxType;
  readonly from: PtxType;
}

/** The 19 bits of a tf32 in a word: to nearest, ties away from zero or to even, or towards zero. Infinities stay; NaN is one of those that hardware gives. */
function toTf32(emitter: Emitter, instruction: Instruction, from: PtxType): void {
  const { modifiers } = instruction.mnemonic;
  if (from !== "f32") throw unsupported(instruction);
  const { code } = emitter;
  const bits = emitter.scratch("i32", "tf32");
  emitter.push(instruction.operands[1], "b32", instruction);
  code.set(bits);
  // What is below zero becomes zero; NaN stays.
  if (modifiers.has("relu"))
    code
      .i32(0)
      .get(bits)
      .get(bits)
      .i32(-0x800000)
      .op("i32.le_u")
      .get(bits)
      .i32(0)
      .op("i32.lt_s")
      .op("i32.and")
      .op("select")
      .set(bits);
  code.get(bits);
  if (modifiers.has("rna")) code.i32(0x1000).op("i32.add");
  else if (modifiers.has("rn"))
    code.i32(0xfff).op("i32.add").get(bits).i32(13).op("i32.shr_u").i32(1).op("i32.and").op("i32.add");
  else if (!modifiers.has("rz")) throw unsupported(instruction);
  code.i32(-0x2000).op("i32.and");
  const rounded = emitter.scratch("i32", "tf32 rounded");
  code.set(rounded);
  // What has all bits of the exponent: without the bits that a tf32 has not, or one NaN for all.
  code.get(bits).i32(-0x2000).op("i32.and");
  if (!modifiers.has("rna"))
    code.i32(0x7fffe000).get(bits).i32(0x7fffffff).op("i32.and").i32(0x7f800000).op("i32.le_u").op("select");
  code.get(rounded).get(bits).i32(0x7f800000).op("i32.and").i32(0x7f800000).op("i32.eq").op("select");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

/** Range of an integer type. */
function range(type: PtxType): { min: bigint; max: bigint } {
  const bits = BigInt(typeBytes[type] * 8);
  if (isSigned(type)) return { min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n };
  return { min: 0n, max: (1n << bits) - 1n };
}

/** Cuts a number held in 32 bits down to its type. */
function narrow({ code }: Emitter, type: PtxType): void {
  const size = typeBytes[type];
  if (size >= 4) return;
  if (isSigned(type)) code.op(size === 1 ? "i32.extend8_s" : "i32.extend16_s");
  else code.i32(size === 1 ? 0xff : 0xffff).op("i32.and");
}

function integerToInteger(emitter: Emitter, instruction: Instruction, { to, from }: Conversion): void {
  const { code } = emitter;
  if (instruction.mnemonic.modifiers.has("sat")) {
    if (typeBytes[from] < 8) code.op(isSigned(from) ? "i64.extend_i32_s" : "i64.extend_i32_u");
    clampInteger(emitter, { to, from });
    if (typeBytes[to] < 8) code.op("i32.wrap_i64");
  } else if (typeBytes[to] === 8 && typeBytes[from] < 8) {
    code.op(isSigned(from) ? "i64.extend_i32_s" : "i64.extend_i32_u");
  } else if (typeBytes[to] < 8 && typeBytes[from] === 8) code.op("i32.wrap_i64");
  narrow(emitter, to);
}

function clampInteger(emitter: Emitter, { to, from }: Conversion): void {
  const { code } = emitter;
  const value = emitter.scratch("i64", "clamp");
  const source = range(from);
  const target = range(to);
  const sign = isSigned(from) ? "s" : "u";
  code.set(value);
  if (source.max > target.max) {
    code.i64(target.max).get(value).get(value).i64(target.max).op(`i64.gt_${sign}`).op("select").set(value);
  }
  if (source.min < target.min)
    code.i64(target.min).get(value).get(value).i64(target.min).op("i64.lt_s").op("select").set(value);
  code.get(value);
}

function integerToFloat(emitter: Emitter, instruction: Instruction, { to, from }: Conversion): void {
  const { code } = emitter;
  const rounding = roundingOf(instruction);
  const sign = isSigned(from) ? "s" : "u";
  const kind = wasmType(from);
  if (rounding === "rn" || (to === "f64" && kind === "i32")) code.op(`${to}.convert_${kind}_${sign}` as OpName);
  else if (kind === "i32") {
    code.op(`f64.convert_i32_${sign}`);
    emitter.helper(`demote_${rounding}`);
  } else {
    // The two halves are exact; their sum is rounded once.
    const value = emitter.scratch("i64", "value");
    if (to === "f64") code.set(value).i32(exactRoundings[rounding]).get(value);
    pushHalves(emitter, from, value);
    if (to === "f64") {
      code.f64(0);
      emitter.import("exact");
    } else emitter.helper("add_odd").helper(`demote_${rounding}`);
  }
  if (instruction.mnemonic.modifiers.has("sat")) clampToUnit(emitter, to);
}

const integral: Record<string, string> = { rni: "nearest", rzi: "trunc", rmi: "floor", rpi: "ceil" };

const integralRounding = ({ mnemonic }: Instruction): string | undefined =>
  Object.keys(integral).find((name) => mnemonic.modifiers.has(name));

function floatToInteger(emitter: Emitter, instruction: Instruction, { to, from }: Conversion): void {
  const { code } = emitter;
  const rounding = integralRounding(instruction);
  if (rounding === undefined)
    throw badImage(instruction.line, "a conversion to an integer needs .rni, .rzi, .rmi or .rpi");
  if (from === "f32" && instruction.mnemonic.modifiers.has("ftz")) flush(emitter);
  if (rounding !== "rzi") code.op(`${from}.${integral[rounding]}` as OpName);
  // NaN becomes 0, but the top bit where either side has 64 bits.
  const keepsNaN = from === "f32" && typeBytes[to] < 8;
  const source = emitter.scratch(from === "f32" ? "f32" : "f64", "source");
  if (!keepsNaN) code.tee(source);
  code.op(`${wasmType(to)}.trunc_sat_${from}_${isSigned(to) ? "s" : "u"}` as OpName);
  if (typeBytes[to] < 4) clampNarrow(emitter, to);
  if (keepsNaN) return;
  const top = 1n << BigInt(typeBytes[to] * 8 - 1);
  if (typeBytes[to] === 8) code.i64(BigInt.asIntN(64, top));
  else code.i32(Number(isSigned(to) ? BigInt.asIntN(typeBytes[to] * 8, top) : top));
  code
    .get(source)
    .get(source)
    .op(`${from}.eq` as OpName)
    .op("select");
}

/** Clamps a number held in 32 bits to the range of a narrower type. */
function clampNarrow(emitter: Emitter, to: PtxType): void {
  const { code } = emitter;
  const sign = isSigned(to) ? "s" : "u";
  const value = emitter.scratch("i32", "clamp");
  const { min, max } = range(to);
  code.set(value);
  code.i32(Number(max)).get(value).get(value).i32(Number(max)).op(`i32.gt_${sign}`).op("select").set(value);
  if (isSigned(to)) code.i32(Number(min)).get(value).get(value).i32(Number(min)).op("i32.lt_s").op("select").set(value);
  code.get(value);
}

function floatToFloat(emitter: Emitter, instruction: Instruction, { to, from }: Conversion): void {
  const { code } = emitter;
  const { modifiers } = instruction.mnemonic;
  const flushes = modifiers.has("ftz");
  if (from === "f32" && flushes) flush(emitter);
  const rounding = integralRounding(instruction);
  if (rounding !== undefined) code.op(`${from}.${integral[rounding]}` as OpName);
  if (from === "f32" && to === "f64") code.op("f64.promote_f32");
  if (from === "f64" && to === "f32") {
    const direction = roundingOf(instruction);
    if (direction === "rn") code.op("f32.demote_f64");
    else emitter.helper(`demote_${direction}`);
  }
  if (to === "f32" && flushes) flush(emitter);
  if (modifiers.has("sat")) clampToUnit(emitter, to);
}

export const convertHandlers: Handlers = {
  cvt: {
    allows: "rn rz rm rp rna rni rzi rmi rpi ftz sat relu pack u4 s4 u2 s2 satfinite e4m3x2 e5m2x2",
    emit: convert,
  },
};
