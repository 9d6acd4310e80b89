/**
 * What lanes of a warp do together with small matrices: products by `mma` and `wmma`, and exchanges of rows (matrix-rows.ts). Lanes leave their
 * words in the exchange planes, and each takes from there the rows and columns that its results need. What this device lacks is refused by name.
 */
import type { Emitter } from "../compile/emitter.ts";
import { dotName, kindOf, laidSide, mmaSide, type Side } from "../compile/helpers-matrix.ts";
import { type Instruction, type PtxType, unsupported } from "../ptx/program.ts";
import { laneType, narrow, widenLane } from "./half.ts";
import { addSaturated } from "./integer.ts";
import { elementsOf, numberTypes, pushLane, requireModifiers, type Shape, shapeOf } from "./matrix-operands.ts";
import { isRowExchange, readRowExchange, writeRowExchange } from "./matrix-rows.ts";

interface Product {
  readonly helper: string;
  readonly a: Side;
  readonly b: Side;
  /** Type of the results, and of the addend. */
  readonly result: PtxType;
  readonly addend: PtxType;
  /** Whether numbers take two words. */
  readonly isDouble: boolean;
  /** Whether the sum of integers is clamped. */
  readonly isClamped: boolean;
  /** Columns of the result. */
  readonly n: number;
  /** Results of a lane; with 16 rows by `mma` the second half of them is eight rows further down. */
  readonly count: number;
  readonly isSplit: boolean;
}

/** Whether A and B have the shape, with so many words in a row of A. */
function isKnown(instruction: Instruction, { m, n }: Shape, { bits, words }: { bits: number; words: number }): boolean {
  if (m === 8 && n === 8) return bits === 64 ? words === 8 : bits <= 8 && words === 4;
  if (instruction.mnemonic.base === "mma") return m === 16 && n === 8 && bits < 64 && (words === 4 || words === 8);
  if (m * n !== 256 || ![8, 16, 32].includes(m)) return false;
  return bits === 8 ? words === 4 : (bits === 16 || (bits === 32 && m === 16)) && words === 8;
}

function productOf(instruction: Instruction): Product {
  const { base, modifiers } = instruction.mnemonic;
  requireModifiers(instruction, "sync aligned row col mma satfinite xor and popc rn");
  const shape = shapeOf(instruction);
  const types = numberTypes(instruction);
  // `wmma` on f16 names the types of its sums alone.
  const [result, a, b, addend] = types.length === 2 ? [types[0], "f16", "f16", types[1]] : types;
  const kind = types.length === 2 || types.length === 4 ? kindOf(a!, b!) : undefined;
  if (kind === undefined) throw unsupported(instruction);
  const { m, n, k } = shape;
  const words = (k * kind.bits) / 32;
  const isSum = (type: string) =>
    kind.sum === "i32" ? type === "s32" : kind.sum === "f64" ? type === "f64" : /^f(16|32)$/.test(type);
  // `wmma` has none of these.
  if (kind.bits === 8 && kind.sum === "f32" && base !== "mma") throw unsupported(instruction);
  if (!isSum(result!) || !isSum(addend!) || !isKnown(instruction, shape, { bits: kind.bits, words }))
    throw unsupported(instruction);
  const isBits = kind.bits === 1;
  const isClamped = modifiers.has("satfinite");
  if (
    isBits !== modifiers.has("popc") ||
    (isClamped && kind.sum !== "i32") ||
    (modifiers.has("rn") && kind.sum !== "f64")
  )
    throw unsupported(instruction);
  const isSplit = base === "mma" && m === 16;
  const combine = modifiers.has("and") ? "and" : "xor";
  return {
    helper: dotName({ types: [a!, b!], combine, shape: isSplit ? "mma" : [m, n], words }),
    a: isSplit ? mmaSide("a", words) : laidSide(m, words),
    b: isSplit ? mmaSide("b", words) : laidSide(n, words),
    result: result as PtxType,
    addend: addend as PtxType,
    isDouble: kind.bits === 64,
    isClamped,
    n,
    count: (m * n) / 32,
    isSplit,
  };
}

/** How many exchange planes the instruction uses. */
export function matrixPlanes(instruction: Instruction): number {
  if (isRowExchange(instruction)) return 2;
  const { a, b } = productOf(instruction);
  return Math.max(2, a.planes + b.planes);
}

/** Emits what a lane leaves for the others. */
export function writeMatrices(
  emitter: Emitter,
  instruction: Instruction,
  write: (plane: number, push: () => void) => void,
): void {
  if (isRowExchange(instruction)) {
    writeRowExchange(emitter, instruction, write);
    return;
  }
  const { a, b, isDouble } = productOf(instruction);
  const perNumber = isDouble ? 2 : 1;
  for (const [index, { planes }] of [a, b].entries()) {
    const elements = elementsOf(instruction.operands[1 + index], planes / perNumber, instruction);
    for (let plane = 0; plane < planes; plane++)
      write(plane + index * a.planes, () => {
        const element = elements[Math.floor(plane / perNumber)];
        emitter.push(element, isDouble ? "b64" : "b32", instruction);
        if (isDouble && plane % 2 === 1) emitter.code.i64(32n).op("i64.shr_u");
        if (isDouble) emitter.op("i32.wrap_i64");
      });
  }
}

/** Emits what a lane makes of the words of all. */
export function readMatrices(emitter: Emitter, instruction: Instruction, pushPlane: (plane: number) => void): void {
  if (isRowExchange(instruction)) {
    readRowExchange(emitter, instruction, pushPlane);
    return;
  }
  const product = productOf(instruction);
  const { result, addend, count } = product;
  const { code } = emitter;
  const sums = elementsOf(instruction.operands[3], addend === "f16" ? count / 2 : count, instruction);
  const held = result === "s32" ? "i32" : result === "f64" ? "f64" : "f32";
  // All results are made before any is written: registers of the addend may be those of the results.
  const values = Array.from({ length: count }, (_, index) => emitter.scratch(held, `result ${index}`));
  for (const [index, value] of values.entries()) {
    const pushAddend = () => {
      if (addend !== "f16") emitter.push(sums[index], addend, instruction);
      else {
        emitter.push(sums[index >> 1], "b32", instruction);
        widenLane(emitter, "f16", index & 1);
      }
    };
    pushLines(emitter, product, { index, pushPlane });
    if (product.isClamped) code.i32(0);
    else pushAddend();
    emitter.helper(product.helper);
    if (product.isClamped) {
      pushAddend();
      addSaturated(emitter);
    }
    code.set(value);
  }
  popResults(emitter, instruction, { values, result });
}

/** Pushes where the row of A and the column of B begin whose product result `index` of the lane is. */
function pushLines(
  emitter: Emitter,
  { a, b, n, count, isSplit }: Product,
  { index, pushPlane }: { index: number; pushPlane: (plane: number) => void },
): void {
  const { code } = emitter;
  const perRow = isSplit ? 2 : count;
  const first = () => pushLane(emitter).i32(perRow).op("i32.mul");
  pushPlane(isSplit && index > 1 ? 1 : 0);
  first().i32(Math.log2(n)).op("i32.shr_u").i32(a.stride).op("i32.mul").op("i32.add");
  pushPlane(a.planes);
  first()
    .i32(n - 1)
    .op("i32.and")
    .i32(isSplit ? index & 1 : index)
    .op("i32.add");
  code.i32(b.stride).op("i32.mul").op("i32.add");
}

function popResults(
  emitter: Emitter,
  instruction: Instruction,
  { values, result }: { values: readonly number[]; result: PtxType },
): void {
  const { code } = emitter;
  const { length } = values;
  const targets = elementsOf(instruction.operands[0], result === "f16" ? length / 2 : length, instruction);
  if (result !== "f16") {
    for (const [index, value] of values.entries()) {
      code.get(value);
      emitter.pop(targets[index], result, instruction);
    }
    return;
  }
  for (let pair = 0; pair < length / 2; pair++) {
    for (const lane of [0, 1]) {
      code.get(values[pair * 2 + lane]!).op("f64.promote_f32");
      narrow(emitter, laneType("f16"));
    }
    code.i32(16).op("i32.shl").op("i32.or");
    emitter.pop(targets[pair], "b32", instruction);
  }
}
