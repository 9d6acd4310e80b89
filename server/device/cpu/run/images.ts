/**
 * The textures and surfaces that a worker's kernels can name, and the functions by which they do. A number that names none ends the kernel,
 * as does a place outside a surface where the kernel says so.
 */
import { FaultKind } from "./control.ts";
import { projectOnFace } from "./cube.ts";
import type { WorkerMessage } from "./messages.ts";
import { Reducer, ReductionFlag } from "./reduction.ts";
import { Boundary, Surface, type SurfacePlace } from "./surface.ts";
import { Texture } from "./texture.ts";
import type { Place } from "./texture-level.ts";

/** What a kernel asks of a texture: bits of a number. */
export const TextureOperation = {
  /** Coordinates are whole texels. */
  IS_WHOLE: 1,
  /** They are a direction from the middle of a cube. */
  IS_CUBE: 2,
  /** One component of four texels; which one stands from bit 4 on. */
  GATHERS: 4,
  /** The level follows from changes, which were told before. */
  HAS_CHANGES: 8,
  COMPONENT_SHIFT: 4,
} as const;

/** What a kernel asks about a texture or a surface; the first three also about a level of detail. */
export const ImageQuestion = { WIDTH: 0, HEIGHT: 1, DEPTH: 2, LAYERS: 3, IS_NORMALIZED: 4, LEVELS: 5 } as const;

const FACES = 6;

export interface ImagesOptions {
  readonly memory: ArrayBufferLike;
  readonly arenaBase: number;
  /** Where in linear memory the four words of a texel go. */
  readonly texelAt: number;
  readonly fault: (kind: number, line: number, address: bigint) => never;
}

export class Images {
  readonly #options: ImagesOptions;
  readonly #known = new Map<number, Texture | Surface>();
  readonly #texel: Int32Array<ArrayBufferLike>;
  readonly #at = new Float64Array(3);
  readonly #place: Place = { at: this.#at, layer: 0, isWhole: false };
  readonly #changes = [new Float64Array(3), new Float64Array(3)] as const;
  readonly #reducer: Reducer;
  /** What was found last: kernels ask for one again and again. */
  #last: Texture | Surface | undefined;
  #lastObject = 0;

  constructor(options: ImagesOptions) {
    this.#options = options;
    this.#texel = new Int32Array(options.memory, options.texelAt, 4);
    this.#reducer = new Reducer(options.memory);
  }

  receive(message: Extract<WorkerMessage, { kind: "texture" | "surface" | "drop-image" }>): void {
    const { memory, arenaBase, texelAt } = this.#options;
    this.#last = undefined;
    if (message.kind === "drop-image") this.#known.delete(message.object);
    else if (message.kind === "surface")
      this.#known.set(message.object, new Surface(memory, message.options, arenaBase));
    else this.#known.set(message.object, new Texture(memory, message.options, { arenaBase, at: texelAt }));
  }

  /** By the names under which kernels import them; see compile/unit.ts. */
  readonly imports = {
    texture: (
      operation: number,
      line: number,
      low: number,
      high: number,
      layer: number,
      x: number,
      y: number,
      z: number,
      level: number,
    ): void => {
      const texture = this.#find(low, high);
      if (!(texture instanceof Texture)) throw this.#unknown(line, low, high);
      const at = this.#at;
      at[0] = x;
      at[1] = y;
      at[2] = z;
      const { GATHERS, HAS_CHANGES, IS_CUBE, IS_WHOLE, COMPONENT_SHIFT } = TextureOperation;
      const changes = (operation & HAS_CHANGES) === 0 ? undefined : this.#changes;
      const face = (operation & IS_CUBE) === 0 ? undefined : projectOnFace(at, changes);
      const place = this.#place;
      // The nearest layer stands for those beyond, and so does the last cube.
      place.layer = face === undefined ? layer : this.#cube(layer, texture) * FACES + face;
      place.isWhole = (operation & IS_WHOLE) !== 0;
      if ((operation & GATHERS) !== 0) texture.gather(place, operation >> COMPONENT_SHIFT);
      else texture.fetch(place, changes === undefined ? level : texture.levelOf(changes));
    },
    /** How coordinates change from one fetch to the next in two directions: of the fetch that follows. */
    changes: (x: number, y: number, z: number, otherX: number, otherY: number, otherZ: number): void => {
      this.#changes[0].set([x, y, z]);
      this.#changes[1].set([otherX, otherY, otherZ]);
    },
    surface: (
      boundary: number,
      line: number,
      bytes: number,
      low: number,
      high: number,
      layer: number,
      x: number,
      y: number,
      z: number,
    ): number => {
      const surface = this.#surface(line, low, high);
      const index = this.#locate(surface, { x, y, z, layer: layer >>> 0, bytes }, { boundary, line });
      if (index !== undefined) return index;
      // There is nothing: zeros are read from here, and what is written here nobody reads.
      this.#texel.fill(0);
      return this.#options.texelAt;
    },
    surface_store: (
      boundary: number,
      line: number,
      count: number,
      low: number,
      high: number,
      layer: number,
      x: number,
      y: number,
      z: number,
    ): void => {
      const surface = this.#surface(line, low, high);
      const bytes = surface.texelBytes;
      const index = this.#locate(surface, { x: x * bytes, y, z, layer: layer >>> 0, bytes }, { boundary, line });
      if (index !== undefined) surface.store(index, this.#texel, count);
    },
    surface_reduce: (
      flags: number,
      line: number,
      low: number,
      high: number,
      layer: number,
      x: number,
      y: number,
      z: number,
    ): void => {
      const surface = this.#surface(line, low, high);
      const { IS_LONG, IS_TEXEL, IS_SIGNED, BOUNDARY_SHIFT } = ReductionFlag;
      const bytes = (flags & IS_LONG) !== 0 ? 8 : 4;
      const isTexel = (flags & IS_TEXEL) !== 0;
      if (isTexel && surface.words === undefined) this.#options.fault(FaultKind.REDUCTION, line, 0n);
      const place = { x: isTexel ? x * bytes : x, y, z, layer: layer >>> 0, bytes };
      const index = this.#locate(surface, place, { boundary: flags >> BOUNDARY_SHIFT, line });
      if (index === undefined) return;
      if (index % bytes !== 0) this.#options.fault(FaultKind.REDUCTION, line, 0n);
      const isSigned = isTexel && surface.words === "signed" ? IS_SIGNED : 0;
      this.#reducer.reduce(flags | isSigned, index, this.#options.texelAt);
    },
    image_query: (question: number, line: number, low: number, high: number, level: number): number => {
      const image = this.#find(low, high);
      if (image === undefined) return this.#unknown(line, low, high);
      const { width, height, depth, layers } = image instanceof Texture ? image.options.layout : image.layout;
      const isNormalized = image instanceof Texture && image.options.isNormalized;
      const levels = image instanceof Texture ? image.levels : 1;
      // Nothing is of any size on a level that there is not.
      if (level >>> 0 >= levels) return 0;
      const sizes = [width, height, depth].map((size) => (size === 0 ? 0 : Math.max(1, Math.floor(size / 2 ** level))));
      return [...sizes, layers, isNormalized ? 1 : 0, levels][question]!;
    },
  };

  #surface(line: number, low: number, high: number): Surface {
    const surface = this.#find(low, high);
    return surface instanceof Surface ? surface : this.#unknown(line, low, high);
  }

  /** Undefined where there is nothing, and the kernel knows it. */
  #locate(surface: Surface, place: SurfacePlace, at: { boundary: number; line: number }): number | undefined {
    const index = surface.locate(place, at.boundary);
    if (index === undefined && (at.boundary !== Boundary.ZERO || place.x % place.bytes !== 0)) {
      return this.#options.fault(FaultKind.BOUNDARY, at.line, 0n);
    }
    return index;
  }

  #find(low: number, high: number): Texture | Surface | undefined {
    const object = (high >>> 0) * 2 ** 32 + (low >>> 0);
    if (this.#last === undefined || this.#lastObject !== object) {
      this.#last = this.#known.get(object);
      this.#lastObject = object;
    }
    return this.#last;
  }

  /** The nearest cube that there is; the number has no sign. */
  #cube(number: number, { options }: Texture): number {
    return Math.min(number >>> 0, Math.max(1, Math.floor(options.layout.layers / FACES)) - 1);
  }

  #unknown(line: number, low: number, high: number): never {
    return this.#options.fault(FaultKind.IMAGE, line, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
  }
}
