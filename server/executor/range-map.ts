/**
 * Which ranges of one slice are in use: disjoint ranges in order of address, cut into short chunks, so that a look-up is two
 * binary searches and an insertion moves a few hundred numbers, also with a million ranges. Knows no device and no errors.
 */

const CHUNK_RANGES_MAX = 256;

interface Chunk {
  readonly starts: number[];
  readonly ends: number[];
}

/** Index of the last number in `sorted` that is at most `value`; -1 when there is none. */
function floorIndex(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Disjoint half-open ranges [start, end). */
export class RangeMap {
  /** The first start of each chunk, beside the chunks. Chunks are never empty. */
  readonly #firsts: number[] = [];
  readonly #chunks: Chunk[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The highest end of all ranges; 0 when there is none. */
  get end(): number {
    return this.#chunks.at(-1)?.ends.at(-1) ?? 0;
  }

  /** All of them, in order of address. */
  *ranges(): Generator<{ readonly start: number; readonly end: number }> {
    for (const { starts, ends } of this.#chunks)
      for (let at = 0; at < starts.length; at++) yield { start: starts[at]!, end: ends[at]! };
  }

  /** End of the range that holds `address`; undefined when none does. */
  endOfRangeAt(address: number): number | undefined {
    const chunk = this.#chunks[floorIndex(this.#firsts, address)];
    if (chunk === undefined) return undefined;
    const end = chunk.ends[floorIndex(chunk.starts, address)]!;
    return end > address ? end : undefined;
  }

  /** Adds a range with start < end; false, and no change, when it overlaps another. */
  add(range: { readonly start: number; readonly end: number }): boolean {
    const { start, end } = range;
    const at = floorIndex(this.#firsts, start);
    if (at < 0) return this.#addFirst(range);
    const chunk = this.#chunks[at]!;
    const before = floorIndex(chunk.starts, start);
    const next = chunk.starts[before + 1] ?? this.#firsts[at + 1] ?? Number.POSITIVE_INFINITY;
    if (chunk.ends[before]! > start || next < end) return false;
    chunk.starts.splice(before + 1, 0, start);
    chunk.ends.splice(before + 1, 0, end);
    this.#count++;
    if (chunk.starts.length > CHUNK_RANGES_MAX) this.#split(at);
    return true;
  }

  /** Removes the range that starts exactly at `start`; returns its size, or undefined when there is none. */
  remove(start: number): number | undefined {
    const at = floorIndex(this.#firsts, start);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return undefined;
    const index = floorIndex(chunk.starts, start);
    if (chunk.starts[index] !== start) return undefined;
    const size = chunk.ends[index]! - start;
    chunk.starts.splice(index, 1);
    chunk.ends.splice(index, 1);
    this.#count--;
    if (chunk.starts.length === 0) {
      this.#chunks.splice(at, 1);
      this.#firsts.splice(at, 1);
    } else this.#firsts[at] = chunk.starts[0]!;
    return size;
  }

  /** A range before all others goes to the front of the first chunk. */
  #addFirst({ start, end }: { readonly start: number; readonly end: number }): boolean {
    const chunk = this.#chunks[0];
    if (chunk === undefined) {
      this.#chunks.push({ starts: [start], ends: [end] });
      this.#firsts.push(start);
    } else {
      if (chunk.starts[0]! < end) return false;
      chunk.starts.unshift(start);
      chunk.ends.unshift(end);
      this.#firsts[0] = start;
      if (chunk.starts.length > CHUNK_RANGES_MAX) this.#split(0);
    }
    this.#count++;
    return true;
  }

  #split(at: number): void {
    const chunk = this.#chunks[at]!;
    const half = chunk.starts.length >>> 1;
    const starts = chunk.starts.splice(half);
    const ends = chunk.ends.splice(half);
    this.#chunks.splice(at + 1, 0, { starts, ends });
    this.#firsts.splice(at + 1, 0, starts[0]!);
  }
}
