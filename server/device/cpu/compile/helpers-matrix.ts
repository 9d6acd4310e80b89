/**
 * Dot products of a row and a column that lie in the exchange planes, one to four numbers in a word. Products of floats are exact in 32 bits
 * and each sum is rounded; sums of integers wrap. See wasm/assembly.ts for the notation.
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

/** `wmma` leaves open which lane has which number: here rows lie one behind the other over the lanes, each lane with as many words as there are planes. */
const laid = (planes: number): Side => ({
  stride: (8 / planes) * 4,
  at: (k) => Math.floor(k / planes) * 4 + (k % planes) * PLANE_BYTES,
  planes,
});

/** Sides of `wmma` by the number of rows, each of 8 words. */
export const wmmaSides: Readonly<Record<number, Side>> = { 8: laid(2), 16: laid(4), 32: laid(8) };

/** `mma` fixes it: four lanes hold a row's words in turn; in A every second plane, since the ones between hold the lower eight rows. */
export const mmaSides = (kind: "a" | "b", words: number): Side => {
  const step = kind === "a" ? 2 : 1;
  return { stride: 16, at: (k) => (k & 3) * 4 + (k >> 2) * step * PLANE_BYTES, planes: (words / 4) * step };
};

/** What can be multiplied: numbers in a word, the type that they are summed in, and how number `index` of a word becomes of that type. */
interface Kind {
  readonly numbers: number;
  readonly sum: "f32" | "i32";
  readonly take: (word: string, index: number) => string;
}

const half = (widen: string): Kind => ({
  numbers: 2,
  sum: "f32",
  take: (word, index) => `${word} ${index === 0 ? "i32.const 65535 i32.and" : "i32.const 16 i32.shr_u"} @${widen}`,
});

/** The lower 13 bits of a tf32 count for nothing. */
const tf32: Kind = { numbers: 1, sum: "f32", take: (word) => `${word} i32.const -8192 i32.and f32.reinterpret_i32` };

const byte = (cut: string): Kind => ({
  numbers: 4,
  sum: "i32",
  take: (word, index) => `${word} i32.const ${index * 8} i32.shr_u ${cut}`,
});

const signedByte = byte("i32.extend8_s");
const unsignedByte = byte("i32.const 255 i32.and");

/** The types of A and B by name, as `mma` has them. */
const kinds: Readonly<Record<string, readonly [a: Kind, b: Kind]>> = {
  f16: [half("widen_f16"), half("widen_f16")],
  bf16: [half("widen_bf16"), half("widen_bf16")],
  tf32: [tf32, tf32],
  s8: [signedByte, signedByte],
  u8: [unsignedByte, unsignedByte],
  s8_u8: [signedByte, unsignedByte],
  u8_s8: [unsignedByte, signedByte],
};

/** The name of a pair of types in the names of helpers, and how many numbers a word has; undefined where there is no such product. */
export function kindOf(a: string, b: string): { name: string; numbers: number; isInteger: boolean } | undefined {
  const name = a === b ? a : `${a}_${b}`;
  if (!Object.hasOwn(kinds, name)) return undefined;
  const [{ numbers, sum }] = kinds[name]!;
  return { name, numbers, isInteger: sum === "i32" };
}

const dot = (kind: string, { a, b, words }: { a: Side; b: Side; words: number }): Assembly => {
  const [left, right] = kinds[kind]!;
  const { sum, numbers } = left;
  return {
    params: `a:i32 b:i32 sum:${sum}`,
    result: sum,
    locals: "x:i32 y:i32",
    body: `${Array.from({ length: words }, (_, k) => k)
      .map(
        (k) => `
        $a i32.const ${a.at(k)} i32.add i32.load =x $b i32.const ${b.at(k)} i32.add i32.load =y
        ${Array.from({ length: numbers }, (_, index) => `$sum ${left.take("$x", index)} ${right.take("$y", index)} ${sum}.mul ${sum}.add =sum`).join(" ")}`,
      )
      .join("")} $sum`,
  };
};

/** `mma` by the rows of A, 16 or 8, and the words of a row. */
const mmaHelpers = Object.keys(kinds).flatMap((kind) =>
  (
    [
      [16, 8],
      [16, 4],
      [8, 4],
    ] as const
  ).map(([m, words]): [string, Assembly] => [
    `dot_${kind}_${m}x${words}`,
    dot(kind, { a: mmaSides(m === 16 ? "a" : "b", words), b: mmaSides("b", words), words }),
  ]),
);

const wmmaHelpers = ["f16", "bf16"].flatMap((kind) =>
  ([16, 32, 8] as const).map((m): [string, Assembly] => [
    `dot_${kind}_m${m}`,
    dot(kind, { a: wmmaSides[m]!, b: wmmaSides[256 / m]!, words: 8 }),
  ]),
);

export const matrixHelpers: Readonly<Record<string, Assembly>> = Object.fromEntries([...mmaHelpers, ...wmmaHelpers]);
