/**
 * A surface as kernels read and write it: by bytes along a row, or by texels, whose format then says what becomes of numbers. Nothing outside
 * its memory is given out.
 */
import { type SurfaceOptions, type TexelLayout, texelBytes } from "../../texel.ts";
import { numberWriter, type WriteNumber } from "./texel-writer.ts";

/** What becomes of a place outside: the kernel ends, the nearest place stands for it, or there is nothing. */
export const Boundary = { TRAP: 0, CLAMP: 1, ZERO: 2 } as const;

export interface SurfacePlace {
  /** In bytes. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly layer: number;
  /** Bytes of the access. */
  readonly bytes: number;
}

export class Surface {
  readonly layout: TexelLayout;
  readonly texelBytes: number;
  readonly #start: number;
  readonly #rowEnd: number;
  readonly #write: WriteNumber;

  constructor(memory: ArrayBufferLike, { layout, storesParts }: SurfaceOptions, arenaBase: number) {
    this.layout = layout;
    this.texelBytes = texelBytes(layout);
    this.#start = layout.address - arenaBase;
    this.#rowEnd = layout.width * this.texelBytes;
    this.#write = numberWriter(memory, layout.format, storesParts);
  }

  /** Where in linear memory a place is; undefined outside, and where the access is not aligned. */
  locate({ x, y, z, layer, bytes }: SurfacePlace, boundary: number): number | undefined {
    const { height, depth, layers, rowBytes, planeBytes } = this.layout;
    const last = [this.#rowEnd - bytes, Math.max(1, height) - 1, Math.max(1, depth) - 1, Math.max(1, layers) - 1];
    const place = [x, y, z, layer];
    if (x % bytes !== 0 || last[0]! < 0) return undefined;
    for (let axis = 0; axis < 4; axis++) {
      const at = place[axis]!;
      if (at >= 0 && at <= last[axis]!) continue;
      if (boundary !== Boundary.CLAMP) return undefined;
      // The row may end within an access.
      place[axis] = at < 0 ? 0 : axis === 0 ? last[0]! - (last[0]! % bytes) : last[axis]!;
    }
    return this.#start + place[0]! + place[1]! * rowBytes + (place[2]! + place[3]!) * planeBytes;
  }

  /** Makes the texel at an index of the first so many of four words; its further numbers become 0. */
  store(index: number, words: Int32Array<ArrayBufferLike>, count: number): void {
    const { channels } = this.layout;
    const bytes = this.texelBytes / channels;
    for (let channel = 0; channel < channels; channel++) {
      this.#write(index / bytes + channel, channel < count ? words[channel]! : 0);
    }
  }

  /** Whether its numbers are whole ones of 32 bits, and whether those have a sign. */
  get words(): "signed" | "unsigned" | undefined {
    const { format, channels } = this.layout;
    if (channels !== 1) return undefined;
    return format === 10 ? "signed" : format === 3 ? "unsigned" : undefined;
  }
}
