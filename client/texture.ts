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
import { orAborted } from "./abort.ts";
import { type DeviceMemory, placeOf } from "./buffer.ts";
import { type DeviceContext, foreignError, refuseInRecording } from "./context.ts";
import { checkOptions, type KnownOptions, named } from "./known-options.ts";
import { shown } from "./shown.ts";
import { type WaitOptions, waitOptions } from "./stream.ts";

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
  ...waitOptions,
  width: "number",
  height: "number",
  depth: "number",
  layers: "number",
  format: "any",
  channels: "number",
  rowBytes: "number",
} satisfies KnownOptions<SurfaceOptions>;

const textureOptions = {
  ...surfaceOptions,
  address: "any",
  filter: "any",
  normalized: "boolean",
  fractions: "boolean",
  srgb: "boolean",
  cube: "boolean",
  border: "any",
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
    this.context.session.issueEnd(Opcode.textureDestroy, fields, encodeTextureDestroyCall);
  }
}

/** A surface of one device, from `gpu.surface()`: an argument of kernels. */
export class Surface extends TexelObject {
  protected readonly name = "A surface";

  protected end(): void {
    refuseInRecording(this.context, Opcode.surfaceDestroy);
    const fields = { surface: this.handle };
    this.context.session.issueEnd(Opcode.surfaceDestroy, fields, encodeSurfaceDestroyCall);
  }
}

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** The fields that both calls have, over memory that is large enough. */
function layoutOf(context: DeviceContext, memory: DeviceMemory, options: SurfaceOptions) {
  const { buffer, offset } = placeOf("The memory of texels", memory);
  if (buffer.context !== context) throw foreignError("A buffer", { owner: buffer.context, user: context });
  const { width, height = 0, depth = 0, layers = 0, channels = 1 } = options;
  const [numberBytes, format] = named("The format of texels", formats, options.format);
  for (const [name, size] of Object.entries({ width, height, depth, layers })) {
    if (!isWhole(size, { least: name === "width" ? 1 : 0 })) throw bad(`Texels have the ${name} [${shown(size)}].`);
  }
  if (![1, 2, 4].includes(channels)) throw bad(`Texels have [${channels}] channels; 1, 2 or 4 can be.`);
  const texelBytes = numberBytes * channels;
  const { rowBytes = width * texelBytes } = options;
  if (!isWhole(rowBytes, { least: width * texelBytes })) {
    throw bad(`Rows of [${width}] texels of [${texelBytes}] bytes are [${rowBytes}] bytes apart.`);
  }
  const planeBytes = rowBytes * Math.max(1, height);
  const planes = Math.max(1, depth) * Math.max(1, layers);
  const byteCount = (planes - 1) * planeBytes + (Math.max(1, height) - 1) * rowBytes + width * texelBytes;
  buffer.checkRange({ offset, byteCount });
  return { address: buffer.address + offset, rowBytes, planeBytes, width, height, depth, layers, format, channels };
}

const isWhole = (size: number | undefined, { least }: { readonly least: number }): boolean =>
  Number.isInteger(size) && size! >= least && size! < 2 ** 32;

/** Bits of the border's numbers, as they are read; integers take those of unsigned ones too. */
function borderBits({ border = [], format, fractions = false }: TextureOptions): Uint32Array {
  const isFloat = format.startsWith("f") || (fractions && !format.endsWith("32"));
  const fits = (number: unknown): boolean =>
    typeof number === "number" && (isFloat || number === (number | 0) || number === number >>> 0);
  if (!Array.isArray(border) || border.length > 4 || !border.every(fits)) {
    const given = Array.isArray(border) ? border.map(shown).join(", ") : shown(border);
    throw bad(`A border is [${given}], and not up to four numbers as a texel has them.`);
  }
  const numbers = isFloat ? new Float32Array(4) : new Int32Array(4);
  numbers.set(border);
  return new Uint32Array(numbers.buffer);
}

/** A direction's mode: one word is for all. */
function modesOf(address: TextureOptions["address"] = "clamp"): readonly [number, number, number] {
  const modes: readonly AddressMode[] = Array.isArray(address) ? address : [address, address, address];
  if (modes.length > 3) throw bad(`There are [${modes.length}] address modes; a texture has at most 3 directions.`);
  const mode = (axis: number): number => named("An address mode", addressModes, modes[axis] ?? "clamp");
  return [mode(0), mode(1), mode(2)];
}

/** One that comes when nobody waits for it any more is destroyed. */
function made<T extends TexelObject>(
  { session }: DeviceContext,
  {
    make,
    signal,
  }: { readonly make: () => Promise<{ readonly object: number }>; readonly signal: AbortSignal | undefined },
  wrap: (object: number) => T,
): Promise<T> {
  session.checkRequest(signal);
  return orAborted(
    make().then(({ object }) => wrap(object)),
    signal,
    (late) => late.destroy(),
  );
}

/** Behind `gpu.texture`. */
export async function createTexture(
  context: DeviceContext,
  memory: DeviceMemory,
  options: TextureOptions,
): Promise<Texture> {
  checkOptions("a texture", options, textureOptions);
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
  const make = () => context.session.request(Opcode.textureCreate, call);
  return await made(
    context,
    { make, signal: options.signal },
    (object) => new Texture(context, { handle: fields.texture, object }),
  );
}

/** Behind `gpu.surface`. */
export async function createSurface(
  context: DeviceContext,
  memory: DeviceMemory,
  options: SurfaceOptions,
): Promise<Surface> {
  checkOptions("a surface", options, surfaceOptions);
  const fields = { surface: context.handles.surfaces.next(), ...layoutOf(context, memory, options), flags: 0 };
  const call = { fields, encode: encodeSurfaceCreateCall, decode: decodeSurfaceCreateAnswer };
  const make = () => context.session.request(Opcode.surfaceCreate, call);
  return await made(
    context,
    { make, signal: options.signal },
    (object) => new Surface(context, { handle: fields.surface, object }),
  );
}
