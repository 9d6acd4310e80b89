/**
 * Reads numbers of texels from linear memory: whole numbers as they are, floats, or whole numbers as parts of their largest value, by
 * the rules of the CUDA C++ Programming Guide ("Texture Fetching", "Texture memory").
 */
import { type TexelLayout, texelFormats } from "../../texel.ts";

/** The number at an index, counted in numbers of the format from the start of linear memory. */
export type ReadNumber = (index: number) => number;

let halves: Float32Array | undefined;

/** All 16-bit floats by their bits. */
function halfTable(): Float32Array {
  if (halves !== undefined) return halves;
  halves = Float32Array.from({ length: 0x1_0000 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
  });
  return halves;
}

/** Whether reading gives floats. */
export const readsFloats = (format: TexelLayout["format"], readsIntegers: boolean): boolean => {
  const { name, bytes } = texelFormats[format];
  return name.startsWith("f") || (!readsIntegers && bytes < 4);
};

/** How numbers are read: `isSrgb` counts for unsigned ones of 8 bits that are read as floats. */
export interface Reading {
  readonly asFloats: boolean;
  readonly isSrgb: boolean;
}

let linears: Float32Array | undefined;

/** Linear numbers by the byte that stands for each in sRGB (IEC 61966-2-1). */
function srgbTable(): Float32Array {
  linears ??= Float32Array.from({ length: 256 }, (_, byte) => {
    const part = byte / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return linears;
}

export function numberReader(
  memory: ArrayBufferLike,
  format: TexelLayout["format"],
  { asFloats, isSrgb }: Reading,
): ReadNumber {
  switch (texelFormats[format].name) {
    case "u8":
      if (asFloats && isSrgb) {
        const table = srgbTable();
        const bytes = new Uint8Array(memory);
        return (index) => table[bytes[index]!]!;
      }
      return over(new Uint8Array(memory), asFloats ? 255 : 0);
    case "s8":
      return over(new Int8Array(memory), asFloats ? 127 : 0);
    case "u16":
      return over(new Uint16Array(memory), asFloats ? 65_535 : 0);
    case "s16":
      return over(new Int16Array(memory), asFloats ? 32_767 : 0);
    case "u32":
      return over(new Uint32Array(memory), 0);
    case "s32":
      return over(new Int32Array(memory), 0);
    case "f32":
      return over(new Float32Array(memory), 0);
    case "f16": {
      const table = halfTable();
      const bits = new Uint16Array(memory);
      return (index) => table[bits[index]!]!;
    }
  }
}

/** `largest`: what is read as 1; 0 where numbers are read as they are. The smallest signed number reads as -1, as the one above it. */
function over(numbers: { readonly [index: number]: number }, largest: number): ReadNumber {
  if (largest === 0) return (index) => numbers[index]!;
  return (index) => Math.max(numbers[index]! / largest, -1);
}
