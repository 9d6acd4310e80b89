/**
 * The textures and surfaces that a worker's kernels can name, and the functions by which they do. A number that names none ends the kernel,
 * as does a place outside a surface where the kernel says so.
 */
import { FaultKind } from "./control.ts";
import type { WorkerMessage } from "./messages.ts";
import { Boundary, Surface } from "./surface.ts";
import { Texture } from "./texture.ts";

/** What a kernel asks of a texture: bits of a number. */
export const TextureOperation = {
  /** Coordinates are whole texels. */
  IS_WHOLE: 1,
  /** They are a direction from the middle of a cube. */
  IS_CUBE: 2,
  /** One component of four texels; which one stands from bit 4 on. */
  GATHERS: 4,
  COMPONENT_SHIFT: 4,
} as const;

/** What a kernel asks about a texture or a surface. */
export const ImageQuestion = { WIDTH: 0, HEIGHT: 1, DEPTH: 2, LAYERS: 3, IS_NORMALIZED: 4 } as const;

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
  readonly #place = new Float64Array(3);
  /** What was found last: kernels ask for one again and again. */
  #last: Texture | Surface | undefined;
  #lastObject = 0;

  constructor(options: ImagesOptions) {
    this.#options = options;
    this.#texel = new Int32Array(options.memory, options.texelAt, 4);
  }

  receive(message: Extract<WorkerMessage, { kind: "texture" | "surface" | "drop-image" }>): void {
    const { memory, arenaBase, texelAt } = this.#options;
    this.#last = undefined;
    if (message.kind === "drop-image") this.#known.delete(message.object);
    else if (message.kind === "surface") this.#known.set(message.object, new Surface(message.layout, arenaBase));
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
    ): void => {
      const texture = this.#find(low, high);
      if (!(texture instanceof Texture)) throw this.#unknown(line, low, high);
      const place = this.#place;
      place[0] = x;
      place[1] = y;
      place[2] = z;
      const { GATHERS, IS_CUBE, IS_WHOLE, COMPONENT_SHIFT } = TextureOperation;
      if ((operation & GATHERS) !== 0) texture.gather(place, operation >> COMPONENT_SHIFT);
      else if ((operation & IS_CUBE) !== 0) texture.fetch(place, (layer >>> 0) * FACES + projectOnFace(place), false);
      else texture.fetch(place, layer, (operation & IS_WHOLE) !== 0);
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
      const surface = this.#find(low, high);
      if (!(surface instanceof Surface)) return this.#unknown(line, low, high);
      const index = surface.locate({ x, y, z, layer: layer >>> 0, bytes }, boundary);
      if (index !== undefined) return index;
      if (boundary !== Boundary.ZERO || x % bytes !== 0) return this.#options.fault(FaultKind.BOUNDARY, line, 0n);
      // There is nothing: zeros are read from here, and what is written here nobody reads.
      this.#texel.fill(0);
      return this.#options.texelAt;
    },
    image_query: (question: number, line: number, low: number, high: number): number => {
      const image = this.#find(low, high);
      if (image === undefined) return this.#unknown(line, low, high);
      const { width, height, depth, layers } = image instanceof Texture ? image.options.layout : image.layout;
      const isNormalized = image instanceof Texture && image.options.isNormalized;
      return [width, height, depth, layers, isNormalized ? 1 : 0][question]!;
    },
  };

  #find(low: number, high: number): Texture | Surface | undefined {
    const object = (high >>> 0) * 2 ** 32 + (low >>> 0);
    if (this.#last === undefined || this.#lastObject !== object) {
      this.#last = this.#known.get(object);
      this.#lastObject = object;
    }
    return this.#last;
  }

  #unknown(line: number, low: number, high: number): never {
    return this.#options.fault(FaultKind.IMAGE, line, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
  }
}

/**
 * Replaces a direction by the place where it meets a face of the cube, both coordinates from 0 to 1; returns the face's number. By the
 * table of the CUDA C++ Programming Guide ("Cubemap Textures").
 */
export function projectOnFace(place: Float64Array): number {
  const [x, y, z] = [place[0]!, place[1]!, place[2]!];
  const [across, up, along] = [Math.abs(x), Math.abs(y), Math.abs(z)];
  let face: number;
  let [m, s, t] = [across, 0, 0];
  if (across > up && across > along) {
    face = x >= 0 ? 0 : 1;
    [s, t] = [x >= 0 ? -z : z, -y];
  } else if (up > along) {
    face = y >= 0 ? 2 : 3;
    [m, s, t] = [up, x, y >= 0 ? z : -z];
  } else {
    face = z >= 0 ? 4 : 5;
    [m, s, t] = [along, z >= 0 ? x : -x, -y];
  }
  place[0] = (s / m + 1) / 2;
  place[1] = (t / m + 1) / 2;
  place[2] = 0;
  return face;
}
