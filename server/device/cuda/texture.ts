/**
 * Textures of a slice: the driver's texture objects over memory of the arena. A GPU's arrays lie beside the arena, in memory of the driver's own
 * shape and size, so they would break the slice's exact bound; hence lines and rows of memory alone, and no surfaces, which are over arrays only.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceImage } from "../device.ts";
import { type TextureOptions, texelBytes } from "../texel.ts";
import type { CudaContext } from "./context.ts";

/** CUresourcetype. */
const Resource = { LINEAR: 2, PITCH2D: 3 } as const;

/** Bits of CUDA_TEXTURE_DESC's flags. */
const Flag = { READ_AS_INTEGER: 1, NORMALIZED_COORDINATES: 2, SRGB: 0x10 } as const;

/** Sizes of the structs in cuda.h. */
const RESOURCE_BYTES = 144;
const TEXTURE_BYTES = 104;

/** CUDA_RESOURCE_DESC. */
export function describeResource({ resource, layout }: TextureOptions): Uint8Array {
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

/** CUDA_TEXTURE_DESC; there is one level of detail, so that what chooses among several stays 0. */
export function describeTexture(options: TextureOptions): Uint8Array {
  const { addressModes, filter, readsIntegers, isNormalized, convertsSrgb, border } = options;
  const words = new Uint32Array(TEXTURE_BYTES / 4);
  words.set(addressModes, 0);
  words[3] = filter === "linear" ? 1 : 0;
  words[4] =
    (readsIntegers ? Flag.READ_AS_INTEGER : 0) |
    (isNormalized ? Flag.NORMALIZED_COORDINATES : 0) |
    (convertsSrgb ? Flag.SRGB : 0);
  words.set(border, 10);
  return new Uint8Array(words.buffer);
}

export class CudaTextures {
  readonly #context: CudaContext;
  readonly #objects = new Set<number>();

  constructor(context: CudaContext) {
    this.#context = context;
  }

  /** @throws SluiceError UNSUPPORTED for arrays, BAD_ARGUMENT for what the card does not take (alignment, sizes) */
  create(options: TextureOptions): DeviceImage {
    if (options.resource === "array") {
      const words = "of a GPU a slice has memory and no arrays; a texture is over a line or over rows of it";
      throw new SluiceError("UNSUPPORTED", `A device of the kind [cuda] has no textures over arrays: ${words}.`);
    }
    this.#context.enter();
    const object = new BigUint64Array(1);
    const result = this.#context.api.cuTexObjectCreate(
      object,
      describeResource(options),
      describeTexture(options),
      null,
    );
    this.#context.check(result, "make a texture", "BAD_ARGUMENT");
    const number = Number(object[0]);
    if (!Number.isSafeInteger(number)) {
      this.#context.api.cuTexObjectDestroy(object[0]!);
      throw new SluiceError("DEVICE_FAILED", `The driver names a texture by [${object[0]}], which does not travel.`);
    }
    this.#objects.add(number);
    return { object: number };
  }

  destroy({ object }: DeviceImage): void {
    this.#context.enter();
    this.#objects.delete(object);
    this.#context.check(this.#context.api.cuTexObjectDestroy(object), "destroy a texture");
  }

  /** Ends all of them, in a context that may be lost. */
  release(): void {
    for (const object of this.#objects) this.#context.api.cuTexObjectDestroy(object);
    this.#objects.clear();
  }
}
