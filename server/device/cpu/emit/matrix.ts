/**
 * Products of small matrices by a warp: `mma` and `wmma` on f16 and bf16, `mma` on tf32 and bytes, `ldmatrix` and `movmatrix`. Lanes leave their words in the exchange planes, and
 * each takes from there the rows and columns that its results need. What this device lacks is refused by name.
 */
import type { Emitter } from "../compile/emitter.ts";
import { kindOf, mmaSides, type Side, wmmaSides } from "../compile/helpers-matrix.ts";
import { addressOperand, spaceOf } from "../compile/memory-access.ts";
import {
  badImage,
  type Instruction,
  type Operand,
  type PtxType,
  type Register,
  typeBytes,
  unsupported,
} from "../ptx/program.ts";
import { Window } from "../run/layout.ts";
import type { OpName } from "../wasm/opcodes.ts";
import { pushIndex } from "./address.ts";
import { laneType, narrow, widenLane } from "./half.ts";
import type { Handlers } from "./handler.ts";

type Format = "f16" | "bf16";

interface Product {
  readonly helper: string;
  readonly a: Side;
  readonly b: Side;
  /** Type of the results, and of the addend. */
  readonly result: PtxType;
  readonly addend: PtxType;
  /** Pushes the row, or the column, of the lane's result `index`. */
  readonly row: (emitter: Emitter, index: number) => void;
  readonly column: (emitter: Emitter, index: number) => void;
  /** Results of a lane. */
  readonly count: number;
}

const formatOf = (type: PtxType | undefined): Format | undefined =>
  type === "f16" || type === "bf16" ? type : undefined;
const accumulates = (type: PtxType | undefined): type is "f16" | "f32" => type === "f16" || type === "f32";

function shapeOf(instruction: Instruction): { m: number; n: number; k: number } {
  for (const modifier of instruction.mnemonic.modifiers) {
    const found = /^m(\d+)n(\d+)k(\d+)$/.exec(modifier);
    if (found !== null) return { m: Number(found[1]), n: Number(found[2]), k: Number(found[3]) };
  }
  throw badImage(instruction.line, `[${instruction.mnemonic.text}] names no shape`);
}

const pushLane = ({ code, frame }: Emitter) => code.get(frame.thread).i32(31).op("i32.and");

/** What is multiplied and summed, as the types of the mnemonic say. */
function typesOf(instruction: Instruction): { a: PtxType; b: PtxType; result: PtxType; addend: PtxType } {
  const { types } = instruction.mnemonic;
  const [result, a, b] = types;
  const addend = types[types.length - 1];
  // `wmma` on f16 names the types of its sums alone.
  if (types.length === 2) return { a: "f16", b: "f16", result: result!, addend: addend! };
  if (types.length !== 4) throw unsupported(instruction);
  return { a: a!, b: b!, result: result!, addend: addend! };
}

function productOf(instruction: Instruction): Product {
  const { base, modifiers } = instruction.mnemonic;
  for (const modifier of modifiers)
    if (!/^(sync|aligned|row|col|mma|m\d+n\d+k\d+)$/.test(modifier)) throw unsupported(instruction);
  const { m, n, k } = shapeOf(instruction);
  const { a, b, result, addend } = typesOf(instruction);
  const kind = kindOf(a, b);
  if (kind === undefined) throw unsupported(instruction);
  const isSum = kind.isInteger ? (type: PtxType) => type === "s32" : accumulates;
  if (!isSum(result) || !isSum(addend)) throw unsupported(instruction);
  if (base === "mma") {
    const words = k / kind.numbers;
    const isLow = m === 8 && words === 4 && kind.isInteger;
    if (n !== 8 || !(isLow || (m === 16 && (words === 4 || words === 8)))) throw unsupported(instruction);
    return {
      helper: `dot_${kind.name}_${m}x${words}`,
      a: mmaSides(isLow ? "b" : "a", words),
      b: mmaSides("b", words),
      result,
      addend,
      // The lower eight rows lie a plane further, at the same place.
      row: (emitter) => void pushLane(emitter).i32(2).op("i32.shr_u"),
      column: (emitter, index) =>
        void pushLane(emitter)
          .i32(3)
          .op("i32.and")
          .i32(1)
          .op("i32.shl")
          .i32(index & 1)
          .op("i32.add"),
      count: isLow ? 2 : 4,
    };
  }
  if (k !== 16 || m * n !== 256 || wmmaSides[m] === undefined || wmmaSides[n] === undefined)
    throw unsupported(instruction);
  if (formatOf(a) === undefined || a !== b) throw unsupported(instruction);
  return {
    helper: `dot_${a}_m${m}`,
    a: wmmaSides[m],
    b: wmmaSides[n],
    result,
    addend,
    row: (emitter) => void pushLane(emitter).i32(8).op("i32.mul").i32(Math.log2(n)).op("i32.shr_u"),
    column: (emitter, index) =>
      void pushLane(emitter)
        .i32(8)
        .op("i32.mul")
        .i32(n - 1)
        .op("i32.and")
        .i32(index)
        .op("i32.add"),
    count: 8,
  };
}

/** How many exchange planes the instruction uses. */
export function matrixPlanes(instruction: Instruction): number {
  if (/^(ld|mov)matrix$/.test(instruction.mnemonic.base)) return 2;
  const { a, b } = productOf(instruction);
  return Math.max(2, a.planes + b.planes);
}

function elementsOf(operand: Operand | undefined, count: number, at: Instruction): readonly Operand[] {
  const elements = operand?.kind === "vector" ? operand.elements : operand === undefined ? [] : [operand];
  if (elements.length < count) throw badImage(at.line, `[${at.mnemonic.text}] has too few registers`);
  return elements;
}

/** Emits what a lane leaves for the others. */
export function writeMatrices(
  emitter: Emitter,
  instruction: Instruction,
  write: (plane: number, push: () => void) => void,
): void {
  if (instruction.mnemonic.base === "ldmatrix") {
    const { base, offset } = addressOperand(instruction, 1);
    const isGeneric = spaceOf(instruction) === undefined;
    write(0, () => {
      pushBase(emitter, instruction, { base, offset, wide: isGeneric });
      if (isGeneric) pushSharedAddress(emitter);
    });
    return;
  }
  if (instruction.mnemonic.base === "movmatrix") {
    write(0, () => emitter.push(instruction.operands[1], "b32", instruction));
    return;
  }
  const { a, b } = productOf(instruction);
  for (const [index, { planes }] of [a, b].entries()) {
    const elements = elementsOf(instruction.operands[1 + index], planes, instruction);
    for (let plane = 0; plane < planes; plane++)
      write(plane + index * a.planes, () => emitter.push(elements[plane], "b32", instruction));
  }
}

/** Emits what a lane makes of the words of all: its results. */
export function readMatrices(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  if (instruction.mnemonic.base === "ldmatrix") {
    readRows(emitter, instruction, pushPlane);
    return;
  }
  if (instruction.mnemonic.base === "movmatrix") {
    readTransposed(emitter, instruction, pushPlane);
    return;
  }
  const { a, b, helper, result, addend, row, column, count } = productOf(instruction);
  const { code } = emitter;
  const isMma = instruction.mnemonic.base === "mma";
  const sums = elementsOf(instruction.operands[3], addend === "f16" ? count / 2 : count, instruction);
  // All results are made before any is written: registers of the addend may be those of the results.
  const kind = result === "s32" ? "i32" : "f32";
  const values = Array.from({ length: count }, (_, index) => emitter.scratch(kind, `result ${index}`));
  for (const [index, value] of values.entries()) {
    // With `mma`, results 2 and 3 are those of the row eight further down.
    pushPlane(isMma && index > 1 ? 1 : 0);
    row(emitter, index);
    code.i32(a.stride).op("i32.mul").op("i32.add");
    pushPlane(a.planes);
    column(emitter, index);
    code.i32(b.stride).op("i32.mul").op("i32.add");
    if (addend !== "f16") emitter.push(sums[index], addend, instruction);
    else {
      emitter.push(sums[index >> 1], "b32", instruction);
      widenLane(emitter, "f16", index & 1);
    }
    emitter.helper(helper);
    code.set(value);
  }
  const targets = elementsOf(instruction.operands[0], result === "f16" ? count / 2 : count, instruction);
  if (result !== "f16") {
    for (const [index, value] of values.entries()) {
      code.get(value);
      emitter.pop(targets[index], result, instruction);
    }
    return;
  }
  for (let pair = 0; pair < count / 2; pair++) {
    for (const lane of [0, 1]) {
      code.get(values[pair * 2 + lane]!).op("f64.promote_f32");
      narrow(emitter, laneType("f16"));
    }
    code.i32(16).op("i32.shl").op("i32.or");
    emitter.pop(targets[pair], "b32", instruction);
  }
}

/** Pushes a base address with its offset, as 64 or 32 bits. */
function pushBase(
  emitter: Emitter,
  at: Instruction,
  { base, offset, wide }: { base: ReturnType<typeof addressOperand>["base"]; offset: number; wide: boolean },
): void {
  const { code } = emitter;
  if (base === undefined) {
    if (wide) code.i64(BigInt(offset));
    else code.i32(offset);
    return;
  }
  if ("space" in base) {
    emitter.push({ kind: "variable", variable: base, offset }, wide ? "u64" : "u32", at);
    return;
  }
  emitter.push({ kind: "register", register: base, negated: false }, wide ? "u64" : "u32", at);
  if (wide) code.i64(BigInt(offset)).op("i64.add");
  else code.i32(offset).op("i32.add");
}

/** The high half of a generic address names its memory: where that is not shared, the address becomes an offset that no block has. */
function pushSharedAddress(emitter: Emitter): void {
  const { code } = emitter;
  const wide = emitter.scratch("i64", "matrix");
  code.tee(wide).op("i32.wrap_i64").i32(-16).get(wide).i64(32n).op("i64.shr_u");
  code.i64(BigInt(Window.SHARED)).op("i64.eq").op("select");
}

/** Registers of this file's own, in which computed addresses stand for `pushIndex`. */
const narrowPointer: Register = { name: "a matrix's address", type: "u32" };
const widePointer: Register = { name: "a matrix's address", type: "u64" };

/** ldmatrix: eight rows of 16 bytes per matrix, whose addresses are the lanes'; transposed, a lane's numbers are one below the other. */
function readRows(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  const { modifiers, types } = instruction.mnemonic;
  const count = modifiers.has("x4") ? 4 : modifiers.has("x2") ? 2 : 1;
  const space = spaceOf(instruction) ?? "shared";
  if (!modifiers.has("m8n8") || types[0] !== "b16" || space !== "shared") throw unsupported(instruction);
  for (const modifier of modifiers)
    if (!/^(sync|aligned|m8n8|x1|x2|x4|trans|shared|shared::cta)$/.test(modifier)) throw unsupported(instruction);
  const { code } = emitter;
  const targets = elementsOf(instruction.operands[0], count, instruction);
  const pointer = emitter.register(narrowPointer);
  const values = targets.map((_, index) => emitter.scratch("i32", `row ${index}`));
  const load = (bytes: 2 | 4, name: OpName, row: () => void, within: () => void) => {
    pushPlane(0);
    row();
    code.i32(2).op("i32.shl").op("i32.add").access("i32.load", 0);
    within();
    code.op("i32.add").set(pointer);
    const operand = { kind: "memory", base: narrowPointer, offset: 0 } as const;
    code.access(name, pushIndex(emitter, operand, { space: "shared", bytes, at: instruction }));
  };
  for (let matrix = 0; matrix < count; matrix++) {
    if (modifiers.has("trans")) {
      for (const part of [0, 1]) {
        const row = () =>
          void pushLane(emitter)
            .i32(3)
            .op("i32.and")
            .i32(1)
            .op("i32.shl")
            .i32(part + matrix * 8)
            .op("i32.add");
        load(2, "i32.load16_u", row, () => void pushLane(emitter).i32(2).op("i32.shr_u").i32(1).op("i32.shl"));
      }
      code.i32(16).op("i32.shl").op("i32.or");
    } else {
      const row = () =>
        void pushLane(emitter)
          .i32(2)
          .op("i32.shr_u")
          .i32(matrix * 8)
          .op("i32.add");
      load(4, "i32.load", row, () => void pushLane(emitter).i32(3).op("i32.and").i32(2).op("i32.shl"));
    }
    code.set(values[matrix]!);
  }
  for (const [matrix, value] of values.slice(0, count).entries()) {
    code.get(value);
    emitter.pop(targets[matrix], "b32", instruction);
  }
}

/** movmatrix: a lane's two numbers stand one below the other in the matrix of which four lanes hold a row. */
function readTransposed(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  const { modifiers, types } = instruction.mnemonic;
  if (!modifiers.has("m8n8") || !modifiers.has("trans") || types[0] !== "b16") throw unsupported(instruction);
  for (const modifier of modifiers) if (!/^(sync|aligned|m8n8|trans)$/.test(modifier)) throw unsupported(instruction);
  const { code } = emitter;
  for (const part of [0, 1]) {
    pushPlane(0);
    // Rows of four words: the row is the lane's column, the column its row.
    pushLane(emitter).i32(3).op("i32.and").i32(5).op("i32.shl").op("i32.add");
    pushLane(emitter).i32(2).op("i32.shr_u").i32(1).op("i32.shl").op("i32.add");
    code.access("i32.load16_u", part * 16);
  }
  code.i32(16).op("i32.shl").op("i32.or");
  emitter.pop(instruction.operands[0], "b32", instruction);
}

interface Fragment {
  readonly type: PtxType;
  /** Numbers of a lane, one behind the other in the order of `major`. */
  readonly count: number;
  /** Numbers in a line of the order in which lanes hold them. */
  readonly line: number;
  /** Whether a line is one in memory too. */
  readonly isAlong: boolean;
  /** Length of a line in memory where no stride is given. */
  readonly stride: number;
}

function fragmentOf(instruction: Instruction): Fragment {
  const { modifiers, types } = instruction.mnemonic;
  for (const modifier of modifiers)
    if (!/^(load|store|a|b|c|d|sync|aligned|row|col|m\d+n\d+k\d+|global|shared|shared::cta)$/.test(modifier))
      throw unsupported(instruction);
  const { m, n, k } = shapeOf(instruction);
  const type = types[0];
  if (k !== 16 || m * n !== 256 || wmmaSides[m] === undefined || type === undefined) throw unsupported(instruction);
  const isRow = modifiers.has("row");
  if (modifiers.has("a") || modifiers.has("b")) {
    if (formatOf(type) === undefined) throw unsupported(instruction);
    const isA = modifiers.has("a");
    const rows = isA ? m : n;
    return { type, count: (rows * k) / 32, line: k, isAlong: isRow === isA, stride: isRow === isA ? k : rows };
  }
  if (!accumulates(type)) throw unsupported(instruction);
  return { type, count: 8, line: n, isAlong: isRow, stride: isRow ? n : m };
}

/** wmma.load and wmma.store: each lane moves its own numbers. */
function moveFragment(emitter: Emitter, instruction: Instruction): void {
  const isStore = instruction.mnemonic.modifiers.has("store");
  const { type, count, line, isAlong, stride } = fragmentOf(instruction);
  const { code } = emitter;
  const size = typeBytes[type];
  const { base, offset } = addressOperand(instruction, isStore ? 0 : 1);
  const strideOperand: Operand = instruction.operands[2] ?? { kind: "integer", value: BigInt(stride) };
  const registers = elementsOf(instruction.operands[isStore ? 1 : 0], size === 4 ? count : count / 2, instruction);
  const space = spaceOf(instruction);
  const wide = base !== undefined && ("space" in base ? space === undefined : typeBytes[base.type] === 8);
  const pointerRegister = wide ? widePointer : narrowPointer;
  const pointer = emitter.register(pointerRegister);
  const [step, major] = [emitter.scratch("i32", "step"), emitter.scratch("i32", "major")];
  emitter.push(strideOperand, "u32", instruction);
  code.i32(size).op("i32.mul").set(step);
  // The lane's first number: `major` lines down, and `minor` along.
  pushLane(emitter)
    .i32(count)
    .op("i32.mul")
    .tee(major)
    .i32(line - 1)
    .op("i32.and")
    .set(emitter.scratch("i32", "minor"));
  code.get(major).i32(Math.log2(line)).op("i32.shr_u").set(major);
  const minor = emitter.scratch("i32", "minor");
  const along = (local: number) => code.get(local).i32(size).op("i32.mul");
  const across = (local: number) => code.get(local).get(step).op("i32.mul");
  pushBase(emitter, instruction, { base, offset, wide });
  across(isAlong ? major : minor);
  along(isAlong ? minor : major);
  code.op("i32.add");
  if (wide) code.op("i64.extend_i32_u").op("i64.add");
  else code.op("i32.add");
  code.set(pointer);
  const advance = () => {
    code.get(pointer);
    if (isAlong) code.i32(size);
    else code.get(step);
    if (wide) code.op("i64.extend_i32_u").op("i64.add");
    else code.op("i32.add");
    code.set(pointer);
  };
  const operand = { kind: "memory", base: pointerRegister, offset: 0 } as const;
  const place = () => pushIndex(emitter, operand, { space, bytes: size, at: instruction });
  const word = emitter.scratch("i32", "word");
  for (let index = 0; index < count; index++) {
    const register = registers[size === 4 ? index : index >> 1];
    const isHigh = size === 2 && (index & 1) === 1;
    if (isStore) {
      const constant = place();
      emitter.push(register, size === 4 ? "f32" : "b32", instruction);
      if (isHigh) code.i32(16).op("i32.shr_u");
      code.access(size === 4 ? "f32.store" : "i32.store16", constant);
    } else {
      code.access(size === 4 ? "f32.load" : "i32.load16_u", place());
      if (size === 4) emitter.pop(register, "f32", instruction);
      else if (isHigh) {
        code.i32(16).op("i32.shl").get(word).op("i32.or");
        emitter.pop(register, "b32", instruction);
      } else code.set(word);
    }
    advance();
  }
  if (isStore) return;
  // Fragments have more registers than the numbers of a lane need.
  for (const register of registers.slice(size === 4 ? count : count / 2)) {
    code.i32(0);
    emitter.pop(register, "b32", instruction);
  }
}

export const matrixHandlers: Handlers = {
  wmma: {
    allows: "load store a b c d sync aligned row col m16n16k16 m32n8k16 m8n32k16 global shared shared::cta",
    emit: moveFragment,
  },
};
