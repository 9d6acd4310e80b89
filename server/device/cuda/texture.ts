/**
 * Textures and surfaces of a slice: the driver's objects, over lines and rows of the arena's memory, or over arrays of the device that stand for
 * some of it (mirror.ts).
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceImage } from "../device.ts";
import { layoutBytes, type SurfaceOptions, type TextureOptions, texelBytes } from "../texel.ts";
import type { CudaContext } from "./context.ts";
import { type Mirror, type Mirrors, rangeOf } from "./mirror.ts";

/** CUresourcetype. */
const Resource = { ARRAY: 0, MIPMAPPED_ARRAY: 1, LINEAR: 2, PITCH2D: 3 } as const;

/** Bits of CUDA_TEXTURE_DESC's flags. */
const Flag = { READ_AS_INTEGER: 1, NORMALIZED_COORDINATES: 2, SRGB: 0x10, SEAMLESS_CUBEMAP: 0x40 } as const;

/** Sizes of the structs in cuda.h. */
const RESOURCE_BYTES = 144;
const TEXTURE_BYTES = 104;

/** CUDA_RESOURCE_DESC of memory. */
export function describeMemory({ resource, layout }: Pick<TextureOptions, "resource" | "layout">): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(RESOURCE_BYTES));
  const { address, format, channels, width, height, rowBytes } = layout;
  bytes.setInt32(0, resource === "linear" ? Resource.LINEAR : Resource.PITCH2D, true);
  bytes.setBigUint64(8, BigInt(address), true);
  bytes.setInt32(16, format, true);
  bytes.setUint32(20, channels, true);
  const sizes = resource === "linear" ? [width * texelBytes(layout)] : [width, height, rowBytes];
  for (const [index, size] of sizes.entries()) bytes.setBigUint64(24 + 8 * index, BigInt(size), true);
  return new Uint8Array(bytes.buffer);
}

/** CUDA_RESOURCE_DESC of an array. */
export function describeArrayResource({ isMipmapped, handle }: { isMipmapped: boolean; handle: bigint }): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(RESOURCE_BYTES));
  bytes.setInt32(0, isMipmapped ? Resource.MIPMAPPED_ARRAY : Resource.ARRAY, true);
  bytes.setBigUint64(8, handle, true);
  return new Uint8Array(bytes.buffer);
}

/** CUDA_TEXTURE_DESC. */
export function describeTexture(options: TextureOptions): Uint8Array {
  const { addressModes, filter, readsIntegers, isNormalized, isSeamless, convertsSrgb, border, levels } = options;
  const words = new Uint32Array(TEXTURE_BYTES / 4);
  words.set(addressModes, 0);
  words[3] = filter === "linear" ? 1 : 0;
  words[4] =
    (readsIntegers ? Flag.READ_AS_INTEGER : 0) |
    (isNormalized ? Flag.NORMALIZED_COORDINATES : 0) |
    (convertsSrgb ? Flag.SRGB : 0) |
    (isSeamless ? Flag.SEAMLESS_CUBEMAP : 0);
  if (levels !== undefined) {
    words[6] = levels.filter === "linear" ? 1 : 0;
    new Float32Array(words.buffer).set([levels.bias, levels.least, levels.most], 7);
  }
  words.set(border, 10);
  return new Uint8Array(words.buffer);
}

export class CudaTextures {
  readonly #context: CudaContext;
  readonly #mirrors: Mirrors;
  /** By their numbers, with the array that each is over, if any. */
  readonly #textures = new Map<number, Mirror | undefined>();
  readonly #surfaces = new Map<number, Mirror>();

  constructor(context: CudaContext, mirrors: Mirrors) {
    this.#context = context;
    this.#mirrors = mirrors;
  }

  /** @throws SluiceError BAD_ARGUMENT for what the card does not take (alignment, sizes), OUT_OF_MEMORY */
  createTexture(options: TextureOptions): DeviceImage | Promise<DeviceImage> {
    if (options.resource === "array") return this.#createOverArray(options);
    const object = this.#makeTexture(describeMemory(options), options);
    this.#textures.set(object, undefined);
    this.#mirrors.addReader(object, rangeOf(options.layout.address, layoutBytes(options.layout)));
    return { object };
  }

  async #createOverArray(options: TextureOptions): Promise<DeviceImage> {
    const { layout, levels, isCube, hasCubeLayers = layout.layers > 6 } = options;
    const mirror = await this.#mirrors.acquire({
      levels: [layout, ...(levels?.further ?? [])],
      isCube,
      hasCubeLayers,
      storesParts: false,
      isSurface: false,
    });
    return this.#over(mirror, () => {
      const object = this.#makeTexture(describeArrayResource(mirror.array.resource), options);
      this.#textures.set(object, mirror);
      return { object };
    });
  }

  /** @throws SluiceError as createTexture */
  async createSurface({ layout, storesParts }: SurfaceOptions): Promise<DeviceImage> {
    const shape = { levels: [layout], isCube: false, hasCubeLayers: false, storesParts, isSurface: true };
    const mirror = await this.#mirrors.acquire(shape);
    return this.#over(mirror, () => {
      this.#context.enter();
      const made = new BigUint64Array(1);
      const { api } = this.#context;
      const result = api.cuSurfObjectCreate(made, describeArrayResource(mirror.array.resource));
      this.#context.check(result, "make a surface", "BAD_ARGUMENT");
      const object = this.#numberOf(made[0]!, "surface");
      this.#surfaces.set(object, mirror);
      return { object };
    });
  }

  destroyTexture({ object }: DeviceImage): void | Promise<void> {
    this.#context.enter();
    const mirror = this.#textures.get(object);
    this.#textures.delete(object);
    this.#mirrors.dropReader(object);
    this.#context.check(this.#context.api.cuTexObjectDestroy(object), "destroy a texture");
    if (mirror !== undefined) return this.#mirrors.release(mirror);
  }

  destroySurface({ object }: DeviceImage): Promise<void> {
    this.#context.enter();
    const mirror = this.#surfaces.get(object)!;
    this.#surfaces.delete(object);
    this.#context.check(this.#context.api.cuSurfObjectDestroy(object), "destroy a surface");
    return this.#mirrors.release(mirror);
  }

  /** Ends all of them, in a context that may be lost. */
  release(): void {
    for (const object of this.#textures.keys()) this.#context.api.cuTexObjectDestroy(object);
    for (const object of this.#surfaces.keys()) this.#context.api.cuSurfObjectDestroy(object);
    this.#textures.clear();
    this.#surfaces.clear();
    this.#mirrors.close();
  }

  /** Gives the array back where nothing comes of what is to be over it. */
  async #over(mirror: Mirror, make: () => DeviceImage): Promise<DeviceImage> {
    try {
      return make();
    } catch (error) {
      if (this.#context.failure === undefined) await this.#mirrors.release(mirror);
      throw error;
    }
  }

  #makeTexture(resource: Uint8Array, options: TextureOptions): number {
    this.#context.enter();
    const made = new BigUint64Array(1);
    const result = this.#context.api.cuTexObjectCreate(made, resource, describeTexture(options), null);
    this.#context.check(result, "make a texture", "BAD_ARGUMENT");
    return this.#numberOf(made[0]!, "texture");
  }

  #numberOf(object: bigint, kind: "texture" | "surface"): number {
    const number = Number(object);
    if (Number.isSafeInteger(number)) return number;
    const { api } = this.#context;
    if (kind === "texture") api.cuTexObjectDestroy(object);
    else api.cuSurfObjectDestroy(object);
    throw new SluiceError("DEVICE_FAILED", `The driver names a ${kind} by [${object}], which does not travel.`);
  }
}
