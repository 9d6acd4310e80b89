/**
 * Arrays of a GPU: memory in the driver's own shape and size, which textures of other kinds than lines and rows, and all surfaces, are over. How
 * they are described, made and copied to and from memory; what keeps one in step with the arena is in mirror.ts.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { layoutBytes, type TexelLayout, texelBytes, texelFormats } from "../texel.ts";
import { CUresult } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import { isSticky } from "./native-error.ts";
import type { Allowance } from "./overhead.ts";

/** CUDA_ARRAY3D_*. */
export const ArrayFlag = {
  LAYERED: 1,
  SURFACE_LDST: 2,
  CUBEMAP: 4,
  TEXTURE_GATHER: 8,
  DEFERRED_MAPPING: 0x80,
} as const;
/** CUmemorytype. */
export const MemoryType = { DEVICE: 2, ARRAY: 3 } as const;
/** CU_AD_FORMAT_*: numbers that always stand for parts of their largest; the next two are of 2 and of 4 channels. */
export const PartsFormat = { u8: 0xc0, u16: 0xc3, s8: 0xc6, s16: 0xc9 } as const;

/** What an array is to hold. */
export interface ArrayShape {
  /** Of each level of detail, the first one first: one, or those of a mipmapped array. */
  readonly levels: readonly TexelLayout[];
  readonly isCube: boolean;
  /** Whether kernels name cubes by a number, though there be one. */
  readonly hasCubeLayers: boolean;
  /** As in SurfaceOptions. */
  readonly storesParts: boolean;
  /** Whether surfaces must be possible over it. */
  readonly isSurface: boolean;
}

/** Flags that the kind of array demands. */
function kindFlags({ levels, isCube, hasCubeLayers }: ArrayShape): number {
  if (!isCube) return levels[0]!.layers > 0 ? ArrayFlag.LAYERED : 0;
  return ArrayFlag.CUBEMAP | (hasCubeLayers ? ArrayFlag.LAYERED : 0);
}

/** Flags to try, the best first: surfaces and gathers have limits of their own, and a texture can do without. */
function flagsToTry(shape: ArrayShape): number[] {
  const kind = kindFlags(shape);
  const { height, depth, layers } = shape.levels[0]!;
  const isPlain = height > 0 && depth === 0 && layers === 0;
  const { SURFACE_LDST, TEXTURE_GATHER } = ArrayFlag;
  const surfaces = [...(isPlain ? [kind | SURFACE_LDST | TEXTURE_GATHER] : []), kind | SURFACE_LDST];
  return shape.isSurface ? surfaces : [...surfaces, ...(isPlain ? [kind | TEXTURE_GATHER] : []), kind];
}

/** CUDA_ARRAY3D_DESCRIPTOR. */
export function describeArray({ levels, storesParts }: ArrayShape, flags: number): Uint8Array {
  const { width, height, depth, layers, format, channels } = levels[0]!;
  const { name } = texelFormats[format];
  const bytes = new DataView(new ArrayBuffer(40));
  for (const [index, size] of [width, height, depth + layers].entries())
    bytes.setBigUint64(8 * index, BigInt(size), true);
  const parts = storesParts ? PartsFormat[name as keyof typeof PartsFormat] + Math.log2(channels) : format;
  bytes.setInt32(24, parts, true);
  bytes.setUint32(28, channels, true);
  bytes.setUint32(32, flags, true);
  return new Uint8Array(bytes.buffer);
}

/** Some of an array's texels: from where on, in bytes along a row, rows and planes (or layers); how many; and how far behind the layout's address. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly widthBytes: number;
  readonly height: number;
  readonly depth: number;
  readonly offset: number;
  /** Whether it is more than was asked for, as texels are copied whole. */
  readonly isRounded: boolean;
}

/** Bytes from row to row and from plane to plane, also of what has one only. */
function stepsOf(layout: TexelLayout) {
  const rowLength = layout.width * texelBytes(layout);
  const rows = Math.max(1, layout.height);
  const planes = Math.max(1, layout.depth) * Math.max(1, layout.layers);
  const rowStep = rows > 1 ? layout.rowBytes : rowLength;
  const planeLength = (rows - 1) * rowStep + rowLength;
  return { rowLength, rows, planes, rowStep, planeLength, planeStep: planes > 1 ? layout.planeBytes : planeLength };
}

/** CUDA_MEMCPY3D, into an array or out of it. */
export function describeCopy(
  box: Box,
  { layout, array, isInto }: { readonly layout: TexelLayout; readonly array: bigint; readonly isInto: boolean },
): BigUint64Array {
  const words = new BigUint64Array(25);
  const { rowStep, planeStep } = stepsOf(layout);
  const height = box.depth > 1 ? planeStep / rowStep : box.height;
  // What a copy says of its source stands in words 0 to 10, of its destination in 11 to 21.
  const [memory, texels] = isInto ? [0, 11] : [11, 0];
  words[memory + 4] = BigInt(MemoryType.DEVICE);
  words[memory + 6] = BigInt(layout.address + box.offset);
  words[memory + 9] = BigInt(rowStep);
  words[memory + 10] = BigInt(height);
  words.set([BigInt(box.x), BigInt(box.y), BigInt(box.z)], texels);
  words[texels + 4] = BigInt(MemoryType.ARRAY);
  words[texels + 7] = array;
  words.set([BigInt(box.widthBytes), BigInt(box.height), BigInt(box.depth)], 22);
  return words;
}

/** The boxes of texels that bytes from `start` to before `end` behind the layout's address are of. */
export function boxesOf(layout: TexelLayout, { start, end }: { readonly start: number; readonly end: number }): Box[] {
  const { planes, rowStep, planeLength, planeStep } = stepsOf(layout);
  const boxes: Box[] = [];
  const last = Math.min(planes - 1, Math.floor((end - 1) / planeStep));
  for (let z = Math.max(0, Math.floor(start / planeStep)); z <= last; ) {
    let whole = 0;
    while (z + whole <= last && start <= (z + whole) * planeStep && end >= (z + whole) * planeStep + planeLength)
      whole++;
    // Planes are told apart by whole rows; where they are not, each is a copy of its own.
    const depth = planeStep % rowStep === 0 ? whole : Math.min(1, whole);
    const within = { start: Math.max(0, start - z * planeStep), end: Math.min(planeLength, end - z * planeStep) };
    const [first, ...others] = rowBoxes(layout, z, within);
    if (first !== undefined) boxes.push(depth > 1 ? { ...first, depth } : first, ...others);
    z += Math.max(1, depth);
  }
  return boxes;
}

/** The same within one plane. */
function rowBoxes(
  layout: TexelLayout,
  z: number,
  { start, end }: { readonly start: number; readonly end: number },
): Box[] {
  const { rows, rowLength, rowStep, planeStep } = stepsOf(layout);
  const texel = texelBytes(layout);
  const boxes: Box[] = [];
  const last = Math.min(rows - 1, Math.floor((end - 1) / rowStep));
  for (let y = Math.floor(start / rowStep); y <= last; ) {
    let whole = 0;
    while (y + whole <= last && start <= (y + whole) * rowStep && end >= (y + whole) * rowStep + rowLength) whole++;
    const from = Math.max(0, start - y * rowStep);
    const to = Math.min(rowLength, end - y * rowStep);
    const x = from - (from % texel);
    const widthBytes = Math.ceil(to / texel) * texel - x;
    const offset = z * planeStep + y * rowStep + x;
    const isRounded = x !== from || widthBytes !== to - x;
    // A range may begin behind a row, in what lies between it and the next.
    if (from < to) boxes.push({ x, y, z, widthBytes, height: Math.max(1, whole), depth: 1, offset, isRounded });
    y += Math.max(1, whole);
  }
  return boxes;
}

/** What the driver may take for an array that it does not tell of: rows and planes are padded to its tiles. */
const ESTIMATE_FACTOR = 2;
const ARRAY_BYTES_UNIT = 64 * 1024;

export class CudaArray {
  readonly shape: ArrayShape;
  /** Whether surfaces can be over it. */
  readonly isWritable: boolean;
  readonly #context: CudaContext;
  readonly #outside: Allowance;
  readonly #handle: bigint;
  /** The driver's array of each level. */
  readonly #levels: readonly bigint[];
  readonly #byteCount: number;

  /**
   * Takes its memory from `outside`. What it holds is undefined.
   * @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT for a shape that the card does not take
   */
  constructor(context: CudaContext, shape: ArrayShape, outside: Allowance) {
    this.#context = context;
    this.#outside = outside;
    this.shape = shape;
    let result: number = CUresult.INVALID_VALUE;
    for (const flags of flagsToTry(shape)) {
      const byteCount = this.#measure(flags);
      if (!outside.take(byteCount)) {
        const left = `the lease has [${outside.leftBytes}] left beside its slice`;
        throw new SluiceError("OUT_OF_MEMORY", `An array of the device takes [${byteCount}] bytes, and ${left}.`);
      }
      const made = this.#make(flags);
      if (made.result === CUresult.SUCCESS) {
        this.#handle = made.handle;
        this.#byteCount = byteCount;
        this.isWritable = (flags & ArrayFlag.SURFACE_LDST) !== 0;
        this.#levels = this.#findLevels();
        return;
      }
      outside.give(byteCount);
      result = made.result;
      if (result === CUresult.OUT_OF_MEMORY || isSticky(result)) break;
    }
    context.fail(result, "make an array", "BAD_ARGUMENT");
  }

  /** What a CUDA_RESOURCE_DESC says of it. */
  get resource(): { readonly isMipmapped: boolean; readonly handle: bigint } {
    return { isMipmapped: this.#isMipmapped, handle: this.#handle };
  }

  /** Queues a copy of some of a level's texels from the arena, or to it. */
  copy(level: number, box: Box, { isInto, stream }: { readonly isInto: boolean; readonly stream: number }): void {
    const layout = this.shape.levels[level]!;
    const copy = describeCopy(box, { layout, array: this.#levels[level]!, isInto });
    this.#context.check(this.#context.api.cuMemcpy3DAsync_v2(copy, stream), "copy an array");
  }

  /** Nothing may use it any more. */
  destroy(): void {
    this.#destroy(this.#handle);
    this.#outside.give(this.#byteCount);
  }

  get #isMipmapped(): boolean {
    return this.shape.levels.length > 1;
  }

  #make(flags: number): { result: number; handle: bigint } {
    const { api } = this.#context;
    const handle = new BigUint64Array(1);
    const wish = describeArray(this.shape, flags);
    const result = this.#isMipmapped
      ? api.cuMipmappedArrayCreate(handle, wish, this.shape.levels.length)
      : api.cuArray3DCreate_v2(handle, wish);
    return { result, handle: handle[0]! };
  }

  /** Bytes of one with these flags: the driver tells them of a twin that gets no memory. */
  #measure(flags: number): number {
    const { api, device } = this.#context;
    const twin = this.#make(flags | ArrayFlag.DEFERRED_MAPPING);
    const told = new BigUint64Array(4);
    let result = twin.result;
    if (result === CUresult.SUCCESS) {
      result = this.#isMipmapped
        ? api.cuMipmappedArrayGetMemoryRequirements(told, twin.handle, device)
        : api.cuArrayGetMemoryRequirements(told, twin.handle, device);
      this.#destroy(twin.handle);
    }
    const own = this.shape.levels.reduce((sum, level) => sum + layoutBytes(level), 0);
    const byteCount = result === CUresult.SUCCESS ? Number(told[0]) : own * ESTIMATE_FACTOR;
    return Math.ceil(byteCount / ARRAY_BYTES_UNIT) * ARRAY_BYTES_UNIT;
  }

  #findLevels(): bigint[] {
    if (!this.#isMipmapped) return [this.#handle];
    try {
      return this.shape.levels.map((_, index) => {
        const level = new BigUint64Array(1);
        const result = this.#context.api.cuMipmappedArrayGetLevel(level, this.#handle, index);
        this.#context.check(result, "find a level of detail");
        return level[0]!;
      });
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  #destroy(handle: bigint): void {
    const { api } = this.#context;
    if (this.#isMipmapped) api.cuMipmappedArrayDestroy(handle);
    else api.cuArrayDestroy(handle);
  }
}
