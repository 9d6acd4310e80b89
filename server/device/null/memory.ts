/**
 * The memory of a null slice: zeroed, of any size, and real only where it was written. Offsets are bytes from the start of the
 * arena; the caller keeps them inside.
 */
import { giveBackPages } from "../host-memory.ts";

/** Small enough to come and go quickly, large enough that copies of a call rarely cross two. */
const SEGMENT_BYTES = 4 * 1024 * 1024;

/** Up to this size a loop copies sooner than a view is made (64 bytes: 38 and 57 ns). */
const SMALL_BYTES = 64;

export class SparseMemory {
  #segments: (Uint8Array<ArrayBuffer> | undefined)[] = [];

  write(offset: number, data: Uint8Array): void {
    this.#pieces(offset, data.length, (at, length, done) => {
      const segment = this.#segment(at);
      // Data that was read into its place is there.
      const isThere = data.buffer === segment.buffer && data.byteOffset + done === at % SEGMENT_BYTES;
      if (!isThere) segment.set(data.subarray(done, done + length), at % SEGMENT_BYTES);
    });
  }

  /** The memory itself, to be written to and then given to `write` for the same range; undefined where the range is in two segments. */
  place(offset: number, byteCount: number): Uint8Array | undefined {
    const start = offset % SEGMENT_BYTES;
    if (start + byteCount > SEGMENT_BYTES) return undefined;
    return this.#segment(offset).subarray(start, start + byteCount);
  }

  read(offset: number, into: Uint8Array): void {
    const index = Math.floor(offset / SEGMENT_BYTES);
    const from = offset - index * SEGMENT_BYTES;
    const near = into.length <= SMALL_BYTES && from + into.length <= SEGMENT_BYTES ? this.#segments[index] : undefined;
    if (near !== undefined) {
      for (let at = 0; at < into.length; at++) into[at] = near[from + at]!;
      return;
    }
    this.#pieces(offset, into.length, (at, length, done) => {
      const segment = this.#segments[Math.floor(at / SEGMENT_BYTES)];
      const start = at % SEGMENT_BYTES;
      if (segment === undefined) into.fill(0, done, done + length);
      else into.set(segment.subarray(start, start + length), done);
    });
  }

  /** The memory itself; undefined where a range is in two segments, or was never written. */
  view(offset: number, byteCount: number): Uint8Array | undefined {
    const start = offset % SEGMENT_BYTES;
    if (start + byteCount > SEGMENT_BYTES) return undefined;
    return this.#segments[Math.floor(offset / SEGMENT_BYTES)]?.subarray(start, start + byteCount);
  }

  /** Copies between ranges that are equal or do not overlap. */
  copy(to: { readonly destination: number; readonly source: number; readonly byteCount: number }): void {
    this.#pieces(to.source, to.byteCount, (at, length, done) => {
      const start = at % SEGMENT_BYTES;
      const segment = this.#segments[Math.floor(at / SEGMENT_BYTES)];
      if (segment === undefined) this.#zero(to.destination + done, length);
      else this.write(to.destination + done, segment.subarray(start, start + length));
    });
  }

  /** Repeats `pattern`, whose length divides that of the range and that of a segment. */
  fill(offset: number, byteCount: number, pattern: Uint8Array): void {
    if (pattern.every((byte) => byte === 0)) {
      this.#zero(offset, byteCount);
      return;
    }
    this.#pieces(offset, byteCount, (at, length) => {
      const start = at % SEGMENT_BYTES;
      const range = this.#segment(at).subarray(start, start + length);
      if (pattern.every((byte) => byte === pattern[0])) {
        range.fill(pattern[0]!);
        return;
      }
      range.set(pattern);
      // Doubling what is there is a plain memory copy each time.
      for (let filled = pattern.byteLength; filled < length; filled *= 2) {
        range.copyWithin(filled, 0, Math.min(filled, length - filled));
      }
    });
  }

  /** Forgets a range: it reads as zero, and what was real of it goes back to the system where it is whole segments. */
  forget({ from, to }: { readonly from: number; readonly to: number }): void {
    if (from >= to) return;
    for (let index = Math.ceil(from / SEGMENT_BYTES); (index + 1) * SEGMENT_BYTES <= to; index++) {
      this.#segments[index] = undefined;
    }
    this.#zero(from, to - from);
  }

  /** All of it goes back to the system and reads as zero. It stays where it is, for whoever holds a view of it. */
  giveBack(): void {
    for (const segment of this.#segments) if (segment !== undefined) giveBackPages(segment);
  }

  clear(): void {
    this.#segments = [];
  }

  /** Zeroes what is there, and leaves alone what was never written. */
  #zero(offset: number, byteCount: number): void {
    this.#pieces(offset, byteCount, (at, length) => {
      const start = at % SEGMENT_BYTES;
      this.#segments[Math.floor(at / SEGMENT_BYTES)]?.fill(0, start, start + length);
    });
  }

  /** Calls `run` for each part of a range that lies within one segment. */
  #pieces(offset: number, byteCount: number, run: (at: number, length: number, done: number) => void): void {
    for (let done = 0; done < byteCount; ) {
      const at = offset + done;
      const length = Math.min(byteCount - done, SEGMENT_BYTES - (at % SEGMENT_BYTES));
      run(at, length, done);
      done += length;
    }
  }

  #segment(at: number): Uint8Array<ArrayBuffer> {
    const index = Math.floor(at / SEGMENT_BYTES);
    const segment = this.#segments[index] ?? new Uint8Array(SEGMENT_BYTES);
    this.#segments[index] = segment;
    return segment;
  }
}
