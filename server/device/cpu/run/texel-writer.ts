/**
 * Writes numbers of texels to linear memory by their format, from the words in which kernels have them (PTX ISA, "sust"): floats for floats and
 * for parts of the largest, whole numbers with or without a sign for the others. What does not fit becomes the nearest that does.
 */
import { type TexelLayout, texelFormats } from "../../texel.ts";

/** Writes a word to an index, counted in numbers of the format from the start of linear memory. */
export type WriteNumber = (index: number, word: number) => void;

const word = new Int32Array(1);
const float = new Float32Array(word.buffer);

function floatOf(bits: number): number {
  word[0] = bits;
  return float[0]!;
}

/** Bits of the nearest float of 16 bits, of two the even one. */
function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const value = Math.abs(floatOf(bits));
  if (Number.isNaN(value)) return 0x7fff;
  // Half way from the largest to what would follow is rounded up.
  if (value >= 65_520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(value)));
  const parts = value * 2 ** (10 - exponent);
  const below = Math.floor(parts);
  const rest = parts - below;
  const rounded = below + (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0);
  // A number of the next exponent is one more; small ones have the least exponent and no leading one.
  return sign | ((exponent + 14) * 1024 + rounded);
}

const within = (value: number, least: number, most: number): number => Math.min(Math.max(value, least), most);

/** `isSigned` numbers of as many bits, which stand for themselves or for parts of the largest. */
function converter(bits: number, isSigned: boolean, storesParts: boolean): (word: number) => number {
  const most = 2 ** (isSigned ? bits - 1 : bits) - 1;
  const least = isSigned ? -most - 1 : 0;
  if (!storesParts) return (value) => within(isSigned ? value | 0 : value >>> 0, least, most);
  return (value) => {
    const part = floatOf(value);
    return Number.isNaN(part) ? 0 : Math.round(within(part, isSigned ? -1 : 0, 1) * most);
  };
}

export function numberWriter(
  memory: ArrayBufferLike,
  format: TexelLayout["format"],
  storesParts: boolean,
): WriteNumber {
  const { name, bytes } = texelFormats[format];
  const into = bytes === 1 ? new Uint8Array(memory) : bytes === 2 ? new Uint16Array(memory) : new Int32Array(memory);
  let convert: (word: number) => number;
  if (name === "f16") convert = halfOf;
  else if (bytes === 4) convert = (value) => value;
  else convert = converter(bytes * 8, name.startsWith("s"), storesParts);
  return (index, value) => {
    into[index] = convert(value);
  };
}
