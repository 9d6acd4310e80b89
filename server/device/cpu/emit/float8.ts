/**
 * Floats of 8 bits, two in a half word: e4m3 (no infinities, one NaN) and e5m2 (the upper half of an f16). Results are rounded to nearest, ties to even,
 * and never beyond the largest number; NaN has one form.
 */
import type { Emitter } from "../compile/emitter.ts";
import { badImage, type Instruction, unsupported } from "../ptx/program.ts";
import { narrow, pushLane, rectify } from "./half.ts";

interface Format {
  readonly mantissaBits: number;
  readonly bias: number;
  readonly largest: number;
}
const formats: Readonly<Record<string, Format>> = {
  e4m3x2: { mantissaBits: 3, bias: 7, largest: 448 },
  e5m2x2: { mantissaBits: 2, bias: 15, largest: 57_344 },
};
const NAN = 0x7f;

const formatOf = ({ mnemonic }: Instruction): string | undefined =>
  Object.keys(formats).find((name) => mnemonic.modifiers.has(name));

export const isFloat8 = (instruction: Instruction): boolean => formatOf(instruction) !== undefined;

/** `cvt` to or from a pair of them. */
export function convertFloat8(emitter: Emitter, instruction: Instruction): void {
  const { text, types, modifiers } = instruction.mnemonic;
  const name = formatOf(instruction)!;
  const parts = text.split(".");
  const other = types[0];
  if (types.length !== 1 || !modifiers.has("rn") || other === undefined) throw unsupported(instruction);
  const isResult = parts.indexOf(name) < parts.lastIndexOf(other);
  if (!isResult) fromPair(emitter, instruction, name);
  else if (modifiers.has("satfinite")) toPair(emitter, instruction, name);
  else throw unsupported(instruction);
}

/** Of two operands the first is the upper number; of a pair of halves each goes to its own place. */
function toPair(emitter: Emitter, instruction: Instruction, name: string): void {
  const { code } = emitter;
  const isPacked = instruction.mnemonic.types[0] === "f16x2";
  if (!isPacked && instruction.mnemonic.types[0] !== "f32") throw unsupported(instruction);
  if (instruction.operands.length !== (isPacked ? 2 : 3))
    throw badImage(instruction.line, `[${instruction.mnemonic.text}] has a wrong number of operands`);
  const word = emitter.scratch("i32", "float8 word");
  if (isPacked) {
    emitter.push(instruction.operands[1], "b32", instruction);
    code.set(word);
  }
  for (const lane of [0, 1]) {
    if (isPacked) pushLane(emitter, "f16x2", { word, lane });
    else emitter.push(instruction.operands[2 - lane], "f32", instruction);
    code.op("f64.promote_f32");
    if (instruction.mnemonic.modifiers.has("relu")) rectify(emitter);
    encode(emitter, formats[name]!);
    if (lane === 1) code.i32(8).op("i32.shl").op("i32.or");
  }
  emitter.pop(instruction.operands[0], "b16", instruction);
}

/** The 64-bit float on the stack becomes 8 bits. Below the normal numbers its distance from zero is counted in steps of the smallest one. */
function encode(emitter: Emitter, { mantissaBits, bias, largest }: Format): void {
  const { code } = emitter;
  const value = emitter.scratch("f64", "float8");
  const size = emitter.scratch("f64", "float8 size");
  const bits = emitter.scratch("i64", "float8 bits");
  const shift = BigInt(52 - mantissaBits);
  code.tee(value).op("f64.abs").f64(largest).op("f64.min").tee(size).op("i64.reinterpret_f64").set(bits);
  code.get(bits).get(bits).i64(shift).op("i64.shr_u").i64(1n).op("i64.and").op("i64.add");
  code
    .i64((1n << (shift - 1n)) - 1n)
    .op("i64.add")
    .i64(shift)
    .op("i64.shr_u");
  code
    .op("i32.wrap_i64")
    .i32((1023 - bias) << mantissaBits)
    .op("i32.sub");
  code
    .get(size)
    .f64(2 ** (bias - 1 + mantissaBits))
    .op("f64.mul")
    .op("f64.nearest")
    .op("i32.trunc_sat_f64_u");
  code
    .get(size)
    .f64(2 ** (1 - bias))
    .op("f64.ge")
    .op("select");
  code
    .get(value)
    .op("i64.reinterpret_f64")
    .i64(63n)
    .op("i64.shr_u")
    .op("i32.wrap_i64")
    .i32(7)
    .op("i32.shl")
    .op("i32.or");
  code.i32(NAN).get(value).get(value).op("f64.eq").op("select");
}

function fromPair(emitter: Emitter, instruction: Instruction, name: string): void {
  const { code } = emitter;
  if (instruction.mnemonic.types[0] !== "f16x2") throw unsupported(instruction);
  const pair = emitter.scratch("i32", "float8 pair");
  emitter.push(instruction.operands[1], "b16", instruction);
  code.set(pair);
  for (const lane of [0, 1]) {
    code
      .get(pair)
      .i32(8 * lane)
      .op("i32.shr_u")
      .i32(0xff)
      .op("i32.and");
    emitter.helper(`widen_${name.slice(0, 4)}`).op("f64.promote_f32");
    if (instruction.mnemonic.modifiers.has("relu")) rectify(emitter);
    narrow(emitter, "f16");
    if (lane === 1) code.i32(16).op("i32.shl").op("i32.or");
  }
  emitter.pop(instruction.operands[0], "b32", instruction);
}
