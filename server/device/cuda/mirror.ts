/**
 * Keeps a GPU's arrays in step with the memory of the arena that a program uses as such: copies and fills of that memory go on into the array, and what
 * kernels may have written through a surface comes back before that memory is read; all in the stream of the call that asks, so in the order that
 * CUDA promises. So arrays hold nothing that the arena has not. What kernels write to that memory by its address does not reach the array.
 */
import { layoutBytes, type TexelLayout } from "../texel.ts";
import { type ArrayShape, type Box, boxesOf, CudaArray } from "./array.ts";
import type { CudaContext } from "./context.ts";
import type { Allowance } from "./overhead.ts";
import type { CudaStream } from "./stream.ts";

/** Addresses from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export const rangeOf = (address: number, byteCount: number): Range => ({ start: address, end: address + byteCount });
const overlap = (a: Range, b: Range): boolean => a.start < b.end && b.start < a.end;
const rangeOfLevel = (layout: TexelLayout): Range => rangeOf(layout.address, layoutBytes(layout));

/** An array and the memory that it stands for. */
export interface Mirror {
  readonly array: CudaArray;
  readonly ranges: readonly Range[];
  /** Textures and surfaces over it. */
  users: number;
  /** Whether there has been a surface over it, through which kernels may have written. */
  isWritten: boolean;
  /** False once the memory was freed, and may be anything else's. */
  isTied: boolean;
}

interface MirrorsOptions {
  /** What arrays are taken from. */
  readonly outside: Allowance;
  /** Resolves when the device has nothing under way. */
  readonly idle: () => void | Promise<void>;
  readonly defaultStream: CudaStream;
}

export class Mirrors {
  readonly #context: CudaContext;
  readonly #options: MirrorsOptions;
  readonly #mirrors = new Set<Mirror>();
  /** Memory that textures read by themselves, by their numbers. */
  readonly #readers = new Map<number, Range>();

  constructor(context: CudaContext, options: MirrorsOptions) {
    this.#context = context;
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#mirrors.size === 0;
  }

  /** The array for a shape, there already or made and filled; each is to be released once. Throws as CudaArray. */
  async acquire(shape: ArrayShape): Promise<Mirror> {
    let mirror = [...this.#mirrors].find((known) => serves(known, shape));
    if (mirror === undefined) {
      // Whatever is under way may write to the memory, and whatever comes next may read the array, in any stream.
      await this.#options.idle();
      mirror = this.#make(shape);
      await this.#options.idle();
    }
    mirror.users++;
    mirror.isWritten ||= shape.isSurface;
    return mirror;
  }

  #make(shape: ArrayShape): Mirror {
    this.#context.enter();
    const array = new CudaArray(this.#context, shape, this.#options.outside);
    const mirror = { array, ranges: shape.levels.map(rangeOfLevel), users: 0, isWritten: false, isTied: true };
    try {
      this.#copyAll(mirror, { isInto: true, stream: this.#options.defaultStream });
    } catch (error) {
      array.destroy();
      throw error;
    }
    this.#mirrors.add(mirror);
    return mirror;
  }

  /** With the last user the array goes; what is in it comes back first. */
  async release(mirror: Mirror): Promise<void> {
    if (--mirror.users > 0) return;
    await this.#options.idle();
    this.#context.enter();
    if (mirror.isWritten && mirror.isTied) {
      this.#copyAll(mirror, { isInto: false, stream: this.#options.defaultStream });
      await this.#options.idle();
      this.#context.enter();
    }
    this.#mirrors.delete(mirror);
    mirror.array.destroy();
  }

  /** A texture reads memory by itself. */
  addReader(object: number, range: Range): void {
    this.#readers.set(object, range);
  }

  dropReader(object: number): void {
    this.#readers.delete(object);
  }

  /** Memory is going to be read. */
  willRead(range: Range, stream: CudaStream): void {
    this.#each(range, (mirror, level, box) => {
      if (mirror.isWritten) mirror.array.copy(level, box, { isInto: false, stream: stream.handle });
    });
  }

  /** Memory is going to be written: of texels that are written in part the rest comes back. */
  willWrite(range: Range, stream: CudaStream): void {
    this.#each(range, (mirror, level, box) => {
      if (mirror.isWritten && box.isRounded) mirror.array.copy(level, box, { isInto: false, stream: stream.handle });
    });
  }

  /** Memory has been written by what was queued in the stream. */
  wrote(range: Range, stream: CudaStream): void {
    this.#each(range, (mirror, level, box) => mirror.array.copy(level, box, { isInto: true, stream: stream.handle }));
  }

  /** A kernel was queued: what it may have written through a surface is there for all others that are over the same memory. */
  launched(stream: CudaStream): void {
    const written = [...this.#mirrors].filter((mirror) => mirror.isWritten && mirror.isTied && this.#isShared(mirror));
    for (const mirror of written) {
      this.#copyAll(mirror, { isInto: false, stream });
      for (const other of this.#mirrors)
        for (const range of other === mirror ? [] : mirror.ranges)
          this.#within(other, range, (level, box) =>
            other.array.copy(level, box, { isInto: true, stream: stream.handle }),
          );
    }
  }

  /** Memory is free, and what comes there next is nobody's array. */
  freed(range: Range): void {
    for (const mirror of this.#mirrors) if (mirror.ranges.some((own) => overlap(own, range))) mirror.isTied = false;
  }

  /** Destroys all arrays, in a context that may be lost. */
  close(): void {
    for (const { array } of this.#mirrors) array.destroy();
    this.#mirrors.clear();
    this.#readers.clear();
  }

  #isShared(mirror: Mirror): boolean {
    const others = [...this.#mirrors]
      .filter((other) => other !== mirror && other.isTied)
      .flatMap(({ ranges }) => ranges);
    return [...others, ...this.#readers.values()].some((range) => mirror.ranges.some((own) => overlap(own, range)));
  }

  #copyAll(mirror: Mirror, { isInto, stream }: { readonly isInto: boolean; readonly stream: CudaStream }): void {
    for (const range of mirror.ranges)
      this.#within(mirror, range, (level, box) => mirror.array.copy(level, box, { isInto, stream: stream.handle }));
  }

  #each(range: Range, visit: (mirror: Mirror, level: number, box: Box) => void): void {
    if (this.isEmpty || range.start === range.end) return;
    this.#context.enter();
    for (const mirror of this.#mirrors) this.#within(mirror, range, (level, box) => visit(mirror, level, box));
  }

  /** The texels of a mirror within a range of memory. */
  #within(mirror: Mirror, { start, end }: Range, visit: (level: number, box: Box) => void): void {
    if (!mirror.isTied) return;
    for (const [level, layout] of mirror.array.shape.levels.entries()) {
      const own = mirror.ranges[level]!;
      if (!overlap(own, { start, end })) continue;
      const within = {
        start: Math.max(start, own.start) - layout.address,
        end: Math.min(end, own.end) - layout.address,
      };
      for (const box of boxesOf(layout, within)) visit(level, box);
    }
  }
}

/** Whether an array is what a shape asks for. Cubes are layers to surfaces. */
function serves({ array, isTied }: Mirror, wish: ArrayShape): boolean {
  const { shape, isWritable } = array;
  if (!isTied || (wish.isSurface && !isWritable) || shape.storesParts !== wish.storesParts) return false;
  if (!wish.isSurface && (shape.isCube !== wish.isCube || shape.hasCubeLayers !== wish.hasCubeLayers)) return false;
  return JSON.stringify(shape.levels) === JSON.stringify(wish.levels);
}
