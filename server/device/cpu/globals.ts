/**
 * Places the variables of modules in the slice's window for globals, and takes the room back when a module goes. Numbers the functions
 * whose addresses programs take; a number is never used again, so that a stale pointer calls nothing.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { MemoryLayout } from "./run/layout.ts";

/** CUDA aligns module memory at least so. */
const ALIGNMENT = 256;

interface Range {
  readonly start: number;
  readonly end: number;
}

export class GlobalsWindow {
  readonly #start: number;
  readonly #end: number;
  /** Ranges in use, in order. */
  #used: Range[] = [];
  #codes = 0;

  constructor({ globalsOffset, globalsEnd }: MemoryLayout) {
    this.#start = globalsOffset;
    this.#end = globalsEnd;
  }

  /** Offset in linear memory of the first gap of `byteCount`; throws OUT_OF_MEMORY. */
  take(byteCount: number): number {
    const size = Math.max(ALIGNMENT, Math.ceil(byteCount / ALIGNMENT) * ALIGNMENT);
    let start = this.#start;
    let index = 0;
    for (; index < this.#used.length; index++) {
      const range = this.#used[index]!;
      if (range.start - start >= size) break;
      start = range.end;
    }
    if (start + size > this.#end) {
      throw new SluiceError(
        "OUT_OF_MEMORY",
        `The module's variables take [${byteCount}] bytes; [${this.#end - this.#start}] are there for all modules of a slice.`,
      );
    }
    this.#used.splice(index, 0, { start, end: start + size });
    return start;
  }

  /** The first of so many new numbers of functions. */
  takeCode(count: number): number {
    const first = this.#codes;
    this.#codes += count;
    return first;
  }

  free(start: number): void {
    this.#used = this.#used.filter((range) => range.start !== start);
  }
}
