/**
 * Dot products of a row and a column of 16-bit floats that lie in the exchange planes, two numbers in a word. Products are exact in 32 bits;
 * each sum is rounded. See wasm/assembly.ts for the notation.
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

const dot = (format: "f16" | "bf16", { a, b, words }: { a: Side; b: Side; words: number }): Assembly => {
  const half = (word: string, cut: string) => `${word} ${cut} @widen_${format}`;
  const low = "i32.const 65535 i32.and";
  const high = "i32.const 16 i32.shr_u";
  return {
    params: "a:i32 b:i32 sum:f32",
    result: "f32",
    locals: "x:i32 y:i32",
    body: `${Array.from({ length: words }, (_, k) => k)
      .map(
        (k) => `
        $a i32.const ${a.at(k)} i32.add i32.load =x $b i32.const ${b.at(k)} i32.add i32.load =y
        ${[low, high].map((cut) => `$sum ${half("$x", cut)} ${half("$y", cut)} f32.mul f32.add =sum`).join(" ")}`,
      )
      .join("")} $sum`,
  };
};

const formats = ["f16", "bf16"] as const;

export const matrixHelpers: Readonly<Record<string, Assembly>> = Object.fromEntries(
  formats.flatMap((format) => [
    ...([8, 4] as const).map((words) => [
      `dot_${format}_k${words * 2}`,
      dot(format, { a: mmaSides("a", words), b: mmaSides("b", words), words }),
    ]),
    ...([16, 32, 8] as const).map((m) => [
      `dot_${format}_m${m}`,
      dot(format, { a: wmmaSides[m]!, b: wmmaSides[256 / m]!, words: 8 }),
    ]),
  ]),
);
