/** wmma.load and wmma.store: each lane moves its own numbers between memory and registers. Which those are is this device's choice. */
import type { Emitter } from "../compile/emitter.ts";
import { addressOperand, spaceOf } from "../compile/memory-access.ts";
import { type Instruction, type Operand, type PtxType, typeBytes, unsupported } from "../ptx/program.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { pushIndex } from "./address.ts";
import type { Handlers } from "./handler.ts";
import {
  elementsOf,
  narrowPointer,
  numberTypes,
  pushBase,
  pushLane,
  requireModifiers,
  shapeOf,
  widePointer,
} from "./matrix-operands.ts";

interface Fragment {
  /** Bits of a number. */
  readonly bits: number;
  /** Bytes that are moved at once: a number, or a word of several that are shorter than a byte. */
  readonly unitBytes: 1 | 2 | 4 | 8;
  /** How the registers hold it. */
  readonly held: PtxType;
  /** Units of a lane, one behind the other in the order of lines. */
  readonly count: number;
  /** Units in a line of the order in which lanes hold them: a row, in B a column. */
  readonly line: number;
  /** Whether a line is one in memory too. */
  readonly isAlong: boolean;
  /** Numbers in a line of memory where no stride is given. */
  readonly stride: number;
}

const bitsOf: Readonly<Record<string, number>> = {
  ...{ f16: 16, bf16: 16, tf32: 32, f64: 64, s8: 8, u8: 8, s4: 4, u4: 4, b1: 1 },
  ...{ f32: 32, s32: 32 },
};

/** Shapes of A, B and the sums, by the bits of the numbers in A and B, as m, n and k. */
const shapes: Readonly<Record<number, readonly string[]>> = {
  1: ["8 8 128"],
  4: ["8 8 32"],
  8: ["16 16 16", "32 8 16", "8 32 16"],
  16: ["16 16 16", "32 8 16", "8 32 16"],
  32: ["16 16 8"],
  64: ["8 8 4"],
};
const allShapes: readonly string[] = Object.values(shapes).flat();

function fragmentOf(instruction: Instruction): Fragment {
  const { modifiers } = instruction.mnemonic;
  requireModifiers(instruction, "load store a b c d sync aligned row col global shared shared::cta");
  const { m, n, k } = shapeOf(instruction);
  const [type = ""] = numberTypes(instruction);
  const bits = bitsOf[type];
  const isSum = modifiers.has("c") || modifiers.has("d");
  const known = isSum ? allShapes : shapes[bits ?? 0];
  if (bits === undefined || !known?.includes(`${m} ${n} ${k}`)) throw unsupported(instruction);
  const isRow = modifiers.has("row");
  if (isSum) {
    if (!/^(f16|f32|f64|s32)$/.test(type)) throw unsupported(instruction);
    const held: PtxType = type === "f16" ? "b32" : (type as PtxType);
    const unitBytes = (bits / 8) as Fragment["unitBytes"];
    return { bits, unitBytes, held, count: (m * n) / 32, line: n, isAlong: isRow, stride: isRow ? n : m };
  }
  const isA = modifiers.has("a");
  if (!isA && !modifiers.has("b")) throw unsupported(instruction);
  const rows = isA ? m : n;
  const perUnit = bits < 8 ? 32 / bits : 1;
  const isAlong = isRow === isA;
  if (perUnit > 1 && !isAlong) throw unsupported(instruction);
  return {
    bits,
    unitBytes: (bits < 8 ? 4 : bits / 8) as Fragment["unitBytes"],
    held: bits === 64 ? "f64" : "b32",
    count: (rows * k) / 32 / perUnit,
    line: k / perUnit,
    isAlong,
    stride: isAlong ? k : rows,
  };
}

/** Sets the pointer to the lane's first unit; returns the local with the bytes from one line to the next. */
function findFirst(
  emitter: Emitter,
  instruction: Instruction,
  fragment: Fragment,
): { pointer: number; wide: boolean; step: number } {
  const { bits, unitBytes, count, line, isAlong, stride } = fragment;
  const { code } = emitter;
  const { base, offset } = addressOperand(instruction, instruction.mnemonic.modifiers.has("store") ? 0 : 1);
  const space = spaceOf(instruction);
  const wide = base !== undefined && ("space" in base ? space === undefined : typeBytes[base.type] === 8);
  const pointer = emitter.register(wide ? widePointer : narrowPointer);
  const [step, major, minor] = ["step", "major", "minor"].map((name) => emitter.scratch("i32", name)) as [
    number,
    number,
    number,
  ];
  const strideOperand: Operand = instruction.operands[2] ?? { kind: "integer", value: BigInt(stride) };
  emitter.push(strideOperand, "u32", instruction);
  code.i32(bits).op("i32.mul").i32(3).op("i32.shr_u").set(step);
  // `major` lines down, and `minor` along.
  pushLane(emitter).i32(count).op("i32.mul").tee(major);
  code
    .i32(line - 1)
    .op("i32.and")
    .set(minor);
  code.get(major).i32(Math.log2(line)).op("i32.shr_u").set(major);
  pushBase(emitter, instruction, { base, offset, wide });
  code
    .get(isAlong ? major : minor)
    .get(step)
    .op("i32.mul");
  code
    .get(isAlong ? minor : major)
    .i32(unitBytes)
    .op("i32.mul")
    .op("i32.add");
  if (wide) code.op("i64.extend_i32_u").op("i64.add");
  else code.op("i32.add");
  code.set(pointer);
  return { pointer, wide, step };
}

const loads: Record<number, OpName> = { 1: "i32.load8_u", 2: "i32.load16_u", 4: "i32.load", 8: "f64.load" };
const stores: Record<number, OpName> = { 1: "i32.store8", 2: "i32.store16", 4: "i32.store", 8: "f64.store" };

function moveFragment(emitter: Emitter, instruction: Instruction): void {
  const isStore = instruction.mnemonic.modifiers.has("store");
  const fragment = fragmentOf(instruction);
  const { unitBytes, held, count, isAlong } = fragment;
  const { code } = emitter;
  const perRegister = unitBytes < 4 ? 4 / unitBytes : 1;
  const registers = elementsOf(instruction.operands[isStore ? 1 : 0], count / perRegister, instruction);
  const { pointer, wide, step } = findFirst(emitter, instruction, fragment);
  const operand = { kind: "memory", base: wide ? widePointer : narrowPointer, offset: 0 } as const;
  const place = () => pushIndex(emitter, operand, { space: spaceOf(instruction), bytes: unitBytes, at: instruction });
  const word = emitter.scratch("i32", "word");
  for (let index = 0; index < count; index++) {
    const register = registers[Math.floor(index / perRegister)];
    const shift = (index % perRegister) * unitBytes * 8;
    if (isStore) {
      const constant = place();
      emitter.push(register, held === "f64" ? "f64" : "b32", instruction);
      if (shift > 0) code.i32(shift).op("i32.shr_u");
      code.access(stores[unitBytes]!, constant);
    } else {
      code.access(loads[unitBytes]!, place());
      if (shift > 0) code.i32(shift).op("i32.shl").get(word).op("i32.or");
      if (perRegister === 1) emitter.pop(register, held === "f64" ? "f64" : "b32", instruction);
      else if ((index + 1) % perRegister > 0) code.set(word);
      else emitter.pop(register, "b32", instruction);
    }
    code.get(pointer);
    if (isAlong) code.i32(unitBytes);
    else code.get(step);
    if (wide) code.op("i64.extend_i32_u").op("i64.add");
    else code.op("i32.add");
    code.set(pointer);
  }
  // Fragments of f16 have more registers than the numbers of a lane need.
  if (isStore) return;
  for (const register of registers.slice(count / perRegister)) {
    code.i32(0);
    emitter.pop(register, "b32", instruction);
  }
}

export const fragmentHandlers: Handlers = {
  wmma: {
    allows: `load store a b c d sync aligned row col global shared shared::cta s4 u4 b1 ${allShapes.map((shape) => shape.replace(/(\d+) (\d+) (\d+)/, "m$1n$2k$3")).join(" ")}`,
    emit: moveFragment,
  },
};
