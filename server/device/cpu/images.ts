/** The textures and surfaces of a slice: numbers for kernels, and what the workers hear of them. */
import { ARENA_STRIDE_BYTES } from "../../../shared/limits.ts";
import type { DeviceImage } from "../device.ts";
import { layoutBytes, type SurfaceOptions, type TexelLayout, type TextureOptions } from "../texel.ts";
import type { MemoryLayout } from "./run/layout.ts";
import type { WorkerPool } from "./run/worker-pool.ts";

/** Numbers of one slice: those of others of the lease name nothing here, nor does a small number that a kernel has by mistake. */
const NUMBERS = 2 ** 32;
const SLICES = 256;

export class SliceImages {
  readonly #pool: WorkerPool;
  readonly #arenaBase: number;
  /** Where the levels of each end, counted from the arena's first byte. */
  readonly #ends = new Map<number, readonly number[]>();
  #next: number;

  constructor(pool: WorkerPool, { arenaBase }: Pick<MemoryLayout, "arenaBase">) {
    this.#pool = pool;
    this.#arenaBase = arenaBase;
    this.#next = ((Math.floor(arenaBase / ARENA_STRIDE_BYTES) % SLICES) + 1) * NUMBERS + 1;
  }

  createTexture(options: TextureOptions): DeviceImage {
    const object = this.#number(options.layout, options.levels?.further);
    this.#pool.addImage({ kind: "texture", object, options });
    return { object };
  }

  createSurface(options: SurfaceOptions): DeviceImage {
    const object = this.#number(options.layout);
    this.#pool.addImage({ kind: "surface", object, options });
    return { object };
  }

  destroy({ object }: DeviceImage): void {
    this.#ends.delete(object);
    this.#pool.dropImage(object);
  }

  /** The arena has another size: what is over memory that is gone, and so was freed, ends. Globals stay where they are. */
  fit({ arenaBytes, capacityBytes }: MemoryLayout): void {
    for (const [object, ends] of this.#ends)
      if (ends.some((end) => end > arenaBytes && end <= capacityBytes)) this.destroy({ object });
  }

  #number(layout: TexelLayout, further: readonly TexelLayout[] = []): number {
    const object = this.#next++;
    const ends = [layout, ...further].map((each) => each.address - this.#arenaBase + layoutBytes(each));
    this.#ends.set(object, ends);
    return object;
  }
}
