/**
 * Textures and surfaces: a buffer's bytes as texels, which kernels read by coordinates with filtering (textures), or read and write (surfaces).
 * Each is made by one round trip, since the device says by which number kernels know it. What there is on which device, see proto/README.md,
 * "Textures and surfaces".
 */
import { SluiceError } from "../shared/errors.ts";
import {
  decodeSurfaceCreateAnswer,
  decodeTextureCreateAnswer,
  encodeSurfaceCreateCall,
  encodeSurfaceDestroyCall,
  encodeTextureCreateCall,
  encodeTextureDestroyCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { type DeviceMemory, placeOf } from "./buffer.ts";
import { type DeviceContext, foreignError, issueEnd, refuseInRecording } from "./context.ts";
import { type KnownOptions, refuseUnknown } from "./known-options.ts";
import type { WaitOptions } from "./stream.ts";

/** Formats of a number: bytes, and the number that calls have for it. */
const formats = {
  u8: [1, 1],
  u16: [2, 2],
  u32: [4, 3],
  s8: [1, 8],
  s16: [2, 9],
  s32: [4, 10],
  f16: [2, 16],
  f32: [4, 32],
} as const;
const addressModes = { wrap: 0, clamp: 1, mirror: 2, border: 3 } as const;
const filters = { nearest: 0, linear: 1 } as const;

export type TexelFormat = keyof typeof formats;
export type AddressMode = keyof typeof addressModes;

/**
 * How texels lie in a buffer: rows one behind the other, planes or layers of rows too. On a GPU a surface, and a texture with planes or layers, sees what
 * copies and fills write to the buffer, not what kernels write there by its address; copies see what kernels store through a surface.
 */
export interface SurfaceOptions extends WaitOptions {
  /** Texels in a row. */
  readonly width: number;
  /** Rows. Default: none, for one dimension. */
  readonly height?: number;
  /** Planes, for three dimensions. Default: none. */
  readonly depth?: number;
  /** Layers of rows or planes, which are never filtered across. Default: none. */
  readonly layers?: number;
  /** Of a number. */
  readonly format: TexelFormat;
  /** Numbers per texel. Default 1. */
  readonly channels?: 1 | 2 | 4;
  /** Bytes from one row to the next, a multiple of a texel's. Default: rows stand close together. */
  readonly rowBytes?: number;
}

export interface TextureOptions extends SurfaceOptions {
  /** What stands for a place outside, along all directions or each. Default `clamp`: the nearest texel. */
  readonly address?: AddressMode | readonly AddressMode[];
  /** Default `nearest`; `linear` blends the texels around a place, in steps of 1/256. */
  readonly filter?: keyof typeof filters;
  /** Whether coordinates go from 0 to 1 rather than from 0 to the size. Default false. */
  readonly normalized?: boolean;
  /** Whether whole numbers of 8 and 16 bits are read as fractions of their largest. Default false. */
  readonly fractions?: boolean;
  /** Whether such fractions of `u8` are sRGB and become linear, but for a texel's fourth. Default false. */
  readonly srgb?: boolean;
  /** Whether six layers each are the faces of a cube, read by a direction. Default false. */
  readonly cube?: boolean;
  /** Up to four numbers that are read outside with `border`. Default: zeros. */
  readonly border?: readonly number[];
}

const surfaceOptions = {
  width: true,
  height: true,
  depth: true,
  layers: true,
  format: true,
  channels: true,
  rowBytes: true,
  signal: true,
} satisfies KnownOptions<SurfaceOptions>;

const textureOptions = {
  ...surfaceOptions,
  address: true,
  filter: true,
  normalized: true,
  fractions: true,
  srgb: true,
  cube: true,
  border: true,
} satisfies KnownOptions<TextureOptions>;

/** CALL's `resource`. */
const Resource = { LINE: 0, ROWS: 1, ARRAY: 2 } as const;
const Flag = { INTEGERS: 1, NORMALIZED: 2, CUBE: 4, SRGB: 8 } as const;

/** What textures and surfaces have in common. */
export abstract class TexelObject {
  /** What kernels know it by: for those that find it in memory or in a struct. */
  readonly object: bigint;
  /** @internal */
  readonly context: DeviceContext;
  protected readonly handle: number;
  #destroyed = false;

  /** @internal */
  constructor(context: DeviceContext, made: { readonly handle: number; readonly object: number }) {
    this.context = context;
    this.handle = made.handle;
    this.object = BigInt(made.object);
  }

  /** @internal Whether a kernel of this device may be given it. */
  isFor(user: DeviceContext): boolean {
    if (this.#destroyed || user !== this.context) return false;
    user.session.recorder?.need(this, { what: this.name, hasEnded: () => this.#destroyed });
    return true;
  }

  /** @internal */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  protected abstract readonly name: string;
  protected abstract end(): void;

  /** Destroys it, not the buffer; kernels that still run must not use it. Idempotent. */
  destroy(): void {
    if (this.#destroyed) return;
    this.end();
    this.#destroyed = true;
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/** A texture of one device, from `gpu.texture()`: an argument of kernels. */
export class Texture extends TexelObject {
  protected readonly name = "A texture";

  protected end(): void {
    refuseInRecording(this.context, Opcode.textureDestroy);
    const fields = { texture: this.handle };
    issueEnd(this.context, () =>
      this.context.session.issueAlways(Opcode.textureDestroy, fields, encodeTextureDestroyCall),
    );
  }
}

/** A surface of one device, from `gpu.surface()`: an argument of kernels. */
export class Surface extends TexelObject {
  protected readonly name = "A surface";

  protected end(): void {
    refuseInRecording(this.context, Opcode.surfaceDestroy);
    const fields = { surface: this.handle };
    issueEnd(this.context, () =>
      this.context.session.issueAlways(Opcode.surfaceDestroy, fields, encodeSurfaceDestroyCall),
    );
  }
}

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** The number behind a word. */
function named<Words extends Record<string, unknown>>(
  what: string,
  words: Words,
  word: keyof Words,
): Words[keyof Words] {
  if (Object.hasOwn(words, word)) return words[word];
  throw bad(`${what} is [${String(word)}]; there are [${Object.keys(words).join(", ")}].`);
}

/** The fields that both calls have, over memory that is large enough. */
function layoutOf(context: DeviceContext, memory: DeviceMemory, options: SurfaceOptions) {
  const { buffer, offset } = placeOf("The memory of texels", memory);
  if (buffer.context !== context) throw foreignError("A buffer", { owner: buffer.context, user: context });
  const { width, height = 0, depth = 0, layers = 0, channels = 1 } = options;
  const [numberBytes, format] = named("The format of texels", formats, options.format);
  for (const [name, size] of Object.entries({ width, height, depth, layers })) {
    if (!Number.isInteger(size) || size < 0 || size >= 2 ** 32) throw bad(`Texels have the ${name} [${size}].`);
  }
  const texelBytes = numberBytes * channels;
  const rowBytes = options.rowBytes ?? width * texelBytes;
  const planeBytes = rowBytes * Math.max(1, height);
  const planes = Math.max(1, depth) * Math.max(1, layers);
  const byteCount = (planes - 1) * planeBytes + (Math.max(1, height) - 1) * rowBytes + width * texelBytes;
  buffer.checkRange({ offset, byteCount });
  return { address: buffer.address + offset, rowBytes, planeBytes, width, height, depth, layers, format, channels };
}

/** Bits of the border's numbers, as they are read. */
function borderBits({ border = [], format, fractions = false }: TextureOptions): Uint32Array {
  if (border.length > 4) throw bad(`A border has [${border.length}] numbers; a texel has at most 4.`);
  const isFloat = format.startsWith("f") || (fractions && !format.endsWith("32"));
  const numbers = isFloat ? new Float32Array(4) : new Int32Array(4);
  numbers.set(border);
  return new Uint32Array(numbers.buffer);
}

/** A direction's mode: one word is for all. */
function modesOf(address: TextureOptions["address"] = "clamp"): readonly [number, number, number] {
  const mode = (axis: number): number =>
    named("An address mode", addressModes, typeof address === "string" ? address : (address[axis] ?? "clamp"));
  return [mode(0), mode(1), mode(2)];
}

/** Behind `gpu.texture`. */
export async function createTexture(
  context: DeviceContext,
  memory: DeviceMemory,
  options: TextureOptions,
): Promise<Texture> {
  refuseUnknown("a texture", options, textureOptions);
  const layout = layoutOf(context, memory, options);
  const { normalized = false, fractions = false, srgb = false, cube = false, filter = "nearest" } = options;
  const [addressModeX, addressModeY, addressModeZ] = modesOf(options.address);
  const [borderX, borderY, borderZ, borderW] = borderBits(options);
  const isFlat = layout.depth === 0 && layout.layers === 0;
  const fields = {
    texture: context.handles.textures.next(),
    resource: !isFlat ? Resource.ARRAY : layout.height === 0 ? Resource.LINE : Resource.ROWS,
    ...layout,
    addressModeX,
    addressModeY,
    addressModeZ,
    filter: named("The filter of a texture", filters, filter),
    flags:
      (fractions ? 0 : Flag.INTEGERS) |
      (normalized || cube ? Flag.NORMALIZED : 0) |
      (cube ? Flag.CUBE : 0) |
      (srgb ? Flag.SRGB : 0),
    borderX: borderX!,
    borderY: borderY!,
    borderZ: borderZ!,
    borderW: borderW!,
    levelFilter: 0,
    levelBias: 0,
    levelLeast: 0,
    levelMost: 0,
    levels: [],
  };
  const call = { fields, encode: encodeTextureCreateCall, decode: decodeTextureCreateAnswer };
  const { object } = await context.session.request(Opcode.textureCreate, call, options.signal);
  return new Texture(context, { handle: fields.texture, object });
}

/** Behind `gpu.surface`. */
export async function createSurface(
  context: DeviceContext,
  memory: DeviceMemory,
  options: SurfaceOptions,
): Promise<Surface> {
  refuseUnknown("a surface", options, surfaceOptions);
  const fields = { surface: context.handles.surfaces.next(), ...layoutOf(context, memory, options), flags: 0 };
  const call = { fields, encode: encodeSurfaceCreateCall, decode: decodeSurfaceCreateAnswer };
  const { object } = await context.session.request(Opcode.surfaceCreate, call, options.signal);
  return new Surface(context, { handle: fields.surface, object });
}
