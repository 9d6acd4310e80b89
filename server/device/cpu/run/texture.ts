/**
 * A texture as kernels fetch from it: which of its levels of detail a fetch reads, by the rules of OpenGL 4.6 (8.14), which CUDA's documents
 * leave to the hardware: a level is what the kernel asks for, or follows from how fast coordinates change; the texture's bias is added, and
 * its bounds hold. Filtering is the same in all directions, whatever anisotropy is wished.
 */
import type { TextureOptions } from "../../texel.ts";
import { readsFloats } from "./texel-reader.ts";
import { inSteps, type Place, TextureLevel } from "./texture-level.ts";

export class Texture {
  readonly options: TextureOptions;
  readonly #levels: readonly [TextureLevel, ...TextureLevel[]];
  readonly #isFloat: boolean;
  readonly #words: Int32Array<ArrayBufferLike>;
  readonly #floats: Float32Array<ArrayBufferLike>;
  readonly #found = new Float64Array(4);
  readonly #next = new Float64Array(4);

  /** `at`: where in linear memory the four words of a result go. */
  constructor(memory: ArrayBufferLike, options: TextureOptions, { arenaBase, at }: { arenaBase: number; at: number }) {
    const { layout, levels } = options;
    this.options = options;
    this.#isFloat = readsFloats(layout.format, options.readsIntegers);
    this.#words = new Int32Array(memory, at, 4);
    this.#floats = new Float32Array(memory, at, 4);
    const [first, ...further] = [layout, ...(levels?.further ?? [])].map(
      (each) => new TextureLevel(memory, options, each, arenaBase),
    );
    this.#levels = [first!, ...further];
  }

  get levels(): number {
    return this.#levels.length;
  }

  /** Writes the four words at a place; `level` is the one that is asked for, whole or not. */
  fetch(place: Place, level = 0): void {
    const { levels } = this.options;
    if (levels === undefined) this.#levels[0].fetch(place, this.#found);
    else {
      const bounded = Math.min(this.#bounded(level), this.#levels.length - 1);
      if (levels.filter === "linear") this.#fetchBoth(place, bounded);
      // Half way between two it is the one before.
      else this.#levels[Math.max(0, Math.ceil(bounded + 0.5) - 1)]!.fetch(place, this.#found);
    }
    this.#put();
  }

  /** One number of each of the four texels around a place in two dimensions, of the first level. */
  gather(place: Place, component: number): void {
    this.#levels[0].gather(place, component, this.#found);
    this.#put();
  }

  /** The level for coordinates that change by so much from one fetch to the next, in two directions. */
  levelOf(changes: readonly ArrayLike<number>[]): number {
    return Math.log2(Math.max(...changes.map((change) => this.#levels[0].distance(change))));
  }

  /** At least 0; the least that there may be for what is no number. */
  #bounded(level: number): number {
    const { bias, least, most } = this.options.levels!;
    const biased = level + bias;
    const bounded = Math.min(biased >= least ? biased : least, most);
    return bounded >= 0 ? bounded : 0;
  }

  #fetchBoth(place: Place, level: number): void {
    const below = Math.floor(level);
    const weight = inSteps(level - below);
    this.#levels[below]!.fetch(place, this.#found);
    if (weight === 0) return;
    this.#levels[below + 1]!.fetch(place, this.#next);
    for (let channel = 0; channel < 4; channel++) {
      const [near, far] = [this.#found[channel]!, this.#next[channel]!];
      this.#found[channel] = weight === 1 ? far : (1 - weight) * near + weight * far;
    }
  }

  #put(): void {
    // One by one: setting an array from one of another type costs more than all the rest of a fetch.
    if (this.#isFloat) for (let channel = 0; channel < 4; channel++) this.#floats[channel] = this.#found[channel]!;
    else for (let channel = 0; channel < 4; channel++) this.#words[channel] = this.#found[channel]!;
  }
}
