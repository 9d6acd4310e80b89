/**
 * Dot products of a row and a column that lie in the exchange planes, one to thirty-two numbers in a word, or one in two words. Products of floats
 * of at most 16 bits and of tf32 are exact in 32 bits and each sum is rounded; sums of integers wrap. Written when first asked for: there are many.
 * See wasm/assembly.ts for the notation.
 */
import { PLANE_BYTES } from "../run/layout.ts";
import type { Assembly } from "../wasm/assembly.ts";

/** How the words of one row (or column) lie: by its position in a plane, and for word `k` at an offset from there. */
export interface Side {
  /** Bytes from one row's first word to the next one's. */
  readonly stride: number;
  readonly at: (k: number) => number;
  /** Planes that all rows take. */
  readonly planes: number;
}

/** Rows lie one behind the other over the lanes, each lane with as many words as there are planes. So `mma` has it with eight rows, and so `wmma` may. */
export function laidSide(rows: number, words: number): Side {
  const planes = (rows * words) / 32;
  return {
    stride: (words / planes) * 4,
    at: (k) => Math.floor(k / planes) * 4 + (k % planes) * PLANE_BYTES,
    planes,
  };
}

/** `mma` with 16 rows: four lanes hold a row's words in turn; in A every second plane, since the ones between hold the lower eight rows. */
export function mmaSide(kind: "a" | "b", words: number): Side {
  const step = kind === "a" ? 2 : 1;
  return { stride: 16, at: (k) => (k & 3) * 4 + (k >> 2) * step * PLANE_BYTES, planes: (words / 4) * step };
}

type Sum = "f32" | "f64" | "i32";

/** How numbers of a type become those that are multiplied. */
interface Kind {
  readonly bits: number;
  readonly sum: Sum;
  /** Number `index` of a word. */
  readonly take: (word: string, index: number) => string;
}

const half = (widen: string): Kind => ({
  bits: 16,
  sum: "f32",
  take: (word, index) => `${word} ${index === 0 ? "i32.const 65535 i32.and" : "i32.const 16 i32.shr_u"} @${widen}`,
});

/** Of a byte, or of four bits: shifted to the top and back, with the sign or without. */
const integer = (bits: 4 | 8, sign: "s" | "u"): Kind => ({
  bits,
  sum: "i32",
  take: (word, index) => `${word} i32.const ${32 - bits * (index + 1)} i32.shl i32.const ${32 - bits} i32.shr_${sign}`,
});

const float8 = (name: string): Kind => ({
  bits: 8,
  sum: "f32",
  take: (word, index) => `${word} i32.const ${8 * index} i32.shr_u i32.const 255 i32.and @widen_${name}`,
});

const kinds: Readonly<Record<string, Kind>> = {
  f16: half("widen_f16"),
  bf16: half("widen_bf16"),
  e4m3: float8("e4m3"),
  e5m2: float8("e5m2"),
  /** The lower 13 bits count for nothing. */
  tf32: { bits: 32, sum: "f32", take: (word) => `${word} i32.const -8192 i32.and f32.reinterpret_i32` },
  f64: { bits: 64, sum: "f64", take: (word) => word },
  s8: integer(8, "s"),
  u8: integer(8, "u"),
  s4: integer(4, "s"),
  u4: integer(4, "u"),
  b1: { bits: 1, sum: "i32", take: (word) => word },
};

/** Types of A and B that can be multiplied: bits of a number, and what products are summed in. Undefined where there is no such product. */
export function kindOf(a: string, b: string): { bits: number; sum: Sum } | undefined {
  const [left, right] = [kinds[a], kinds[b]];
  if (left === undefined || right === undefined) return undefined;
  const isPair = a === b || (left.sum === right.sum && left.bits === right.bits && left.bits > 1 && left.bits <= 8);
  return isPair ? { bits: left.bits, sum: left.sum } : undefined;
}

/** Multiplies word `k` of both sides, in `$x` and `$y`, onto the sum. */
function step(a: string, b: string, combine: string): string {
  if (a === "b1") return `$sum $x $y i32.${combine} i32.popcnt i32.add =sum`;
  const [left, right] = [kinds[a]!, kinds[b]!];
  return Array.from({ length: 32 / left.bits }, (_, index) => index)
    .map((index) => `$sum ${left.take("$x", index)} ${right.take("$y", index)} ${left.sum}.mul ${left.sum}.add =sum`)
    .join(" ");
}

const load = (base: string, offset: number): string => `$${base} i32.const ${offset} i32.add i32.load`;

interface Dot {
  readonly sides: readonly [a: Side, b: Side];
  readonly words: number;
}

function dot(types: readonly [a: string, b: string], combine: string, { sides: [a, b], words }: Dot): Assembly {
  const sum = kinds[types[0]]!.sum;
  const each = step(...types, combine);
  const steps = Array.from({ length: words }, (_, k) => `${load("a", a.at(k))} =x ${load("b", b.at(k))} =y ${each}`);
  return {
    params: `a:i32 b:i32 sum:${sum}`,
    result: sum,
    locals: "x:i32 y:i32",
    body: `${steps.join(" ")} $sum`,
  };
}

/** Numbers of 64 bits lie in two words, and their products are rounded where the machine cannot do both at once. */
function dot64({ sides: [a, b], words }: Dot, isFused: boolean): Assembly {
  const number = (base: string, side: Side, k: number) =>
    `${load(base, side.at(2 * k))} i64.extend_i32_u ${load(base, side.at(2 * k + 1))} i64.extend_i32_u i64.const 32 i64.shl i64.or f64.reinterpret_i64`;
  const steps = Array.from({ length: words / 2 }, (_, k) =>
    isFused
      ? `${number("a", a, k)} f64x2.splat ${number("b", b, k)} f64x2.splat $sum f64x2.splat f64x2.relaxed_madd f64x2.extract0 =sum`
      : `$sum ${number("a", a, k)} ${number("b", b, k)} f64.mul f64.add =sum`,
  );
  return { params: "a:i32 b:i32 sum:f64", result: "f64", body: `${steps.join(" ")} $sum` };
}

/** The name of a helper: types, how bits are combined, and the sides: `mma`, or rows of A and columns of B that are laid one behind the other. */
export const dotName = (options: {
  readonly types: readonly [a: string, b: string];
  readonly combine: string;
  readonly shape: "mma" | readonly [m: number, n: number];
  readonly words: number;
}): string => {
  const { types, combine, shape, words } = options;
  return ["dot", ...types, combine, shape === "mma" ? shape : shape.join("x"), words].join("_");
};

/** The helper of such a name; undefined for other names. */
export function matrixHelper(name: string): Assembly | undefined {
  const match = /^dot_([a-z0-9]+)_([a-z0-9]+)_(xor|and)_(?:mma|(\d+)x(\d+))_(\d+)(\.fused)?$/.exec(name);
  if (match === null) return undefined;
  const [, a = "", b = "", combine = "", rows, columns, length, fused] = match;
  const words = Number(length);
  const sides: [Side, Side] =
    rows === undefined
      ? [mmaSide("a", words), mmaSide("b", words)]
      : [laidSide(Number(rows), words), laidSide(Number(columns), words)];
  if (a === "f64") return dot64({ sides, words }, fused !== undefined);
  return fused === undefined ? dot([a, b], combine, { sides, words }) : undefined;
}
