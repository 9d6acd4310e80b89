/**
 * The calls about textures and surfaces; see proto/calls.ts. What one is made over must lie within one live allocation when it is made.
 * Afterwards the program may free that memory, as in CUDA: kernels then read what the lease has there, and nobody else's.
 */
import { SluiceError } from "../../shared/errors.ts";
import type {
  SurfaceCreateAnswer,
  SurfaceCreateCall,
  SurfaceDestroyCall,
  TextureCreateAnswer,
  TextureCreateCall,
  TextureDestroyCall,
} from "../../shared/generated/calls.ts";
import type { DeviceImage } from "../device/device.ts";
import {
  AddressMode,
  type LevelsOfDetail,
  layoutBytes,
  levelsMax,
  nextLevel,
  type TexelLayout,
  type TextureOptions,
  texelBytes,
  texelFormats,
} from "../device/texel.ts";
import type { OpenSlice, Workspace } from "./workspace.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

const resources = ["linear", "rows", "array"] as const;
const filters = ["point", "linear"] as const;
/** Bits of `flags`. */
const Flag = {
  READS_INTEGERS: 1,
  IS_NORMALIZED: 2,
  IS_CUBE: 4,
  CONVERTS_SRGB: 8,
  IS_SEAMLESS: 16,
  HAS_CUBE_LAYERS: 32,
} as const;
const SurfaceFlag = { STORES_PARTS: 1 } as const;
const FACES = 6;

export function textureCreate(
  work: Workspace,
  call: TextureCreateCall,
): TextureCreateAnswer | Promise<TextureCreateAnswer> {
  work.textures.claim(call.texture);
  const options = textureOptions(call);
  const slice = work.within(call.address, layoutBytes(options.layout));
  for (const level of options.levels?.further ?? []) {
    if (work.within(level.address, layoutBytes(level)) === slice) continue;
    throw bad(`A level of detail at [0x${level.address.toString(16)}] is on another device than the first.`);
  }
  if (slice.device.createTexture === undefined) throw without(slice, "textures");
  const keep = (texture: DeviceImage): TextureCreateAnswer => {
    work.textures.set(call.texture, { slice, texture });
    return { object: texture.object };
  };
  const made = slice.device.createTexture(options);
  return made instanceof Promise ? made.then(keep) : keep(made);
}

export function textureDestroy(work: Workspace, call: TextureDestroyCall): void | Promise<void> {
  const { slice, texture } = work.textures.remove(call.texture);
  return slice.device.destroyTexture?.(texture);
}

export function surfaceCreate(
  work: Workspace,
  call: SurfaceCreateCall,
): SurfaceCreateAnswer | Promise<SurfaceCreateAnswer> {
  work.surfaces.claim(call.surface);
  const layout = checkedLayout(call);
  const storesParts = (call.flags & SurfaceFlag.STORES_PARTS) !== 0;
  if (storesParts && !["u8", "s8", "u16", "s16"].includes(texelFormats[layout.format].name)) {
    throw bad(`Numbers of [${texelFormats[layout.format].name}] stand for themselves in a surface.`);
  }
  const slice = work.within(call.address, layoutBytes(layout));
  if (slice.device.createSurface === undefined) throw without(slice, "surfaces");
  const keep = (surface: DeviceImage): SurfaceCreateAnswer => {
    work.surfaces.set(call.surface, { slice, surface });
    return { object: surface.object };
  };
  const made = slice.device.createSurface({ layout, storesParts });
  return made instanceof Promise ? made.then(keep) : keep(made);
}

export function surfaceDestroy(work: Workspace, call: SurfaceDestroyCall): void | Promise<void> {
  const { slice, surface } = work.surfaces.remove(call.surface);
  return slice.device.destroySurface?.(surface);
}

const without = ({ assignment }: OpenSlice, what: string): SluiceError =>
  new SluiceError("UNSUPPORTED", `A device of the kind [${assignment.description.kind}] has no ${what}.`);

function textureOptions(call: TextureCreateCall): TextureOptions {
  const layout = checkedLayout(call);
  const resource = resources[call.resource];
  const filter = filters[call.filter];
  const addressModes = [call.addressModeX, call.addressModeY, call.addressModeZ] as const;
  if (resource === undefined || filter === undefined || addressModes.some((mode) => mode > AddressMode.BORDER)) {
    throw bad(
      `A texture has the resource [${call.resource}], the filter [${call.filter}] and the address modes [${addressModes.join(", ")}].`,
    );
  }
  const { height, depth, layers } = layout;
  const axes = [height, depth, layers].map((size) => size > 0);
  if ((resource === "linear" && axes.includes(true)) || (resource === "rows" && axes.join() !== "true,false,false")) {
    throw bad(`A texture over ${resource} memory has [${height}, ${depth}, ${layers}] rows, planes and layers.`);
  }
  const isCube = (call.flags & Flag.IS_CUBE) !== 0;
  if (isCube && (layers === 0 || layers % FACES !== 0 || height !== layout.width)) {
    throw bad(`The faces of a cube are [${layout.width}, ${height}] in size, and [${layers}] in number.`);
  }
  const hasCubeLayers = layers > FACES || (call.flags & Flag.HAS_CUBE_LAYERS) !== 0;
  const isSeamless = (call.flags & Flag.IS_SEAMLESS) !== 0;
  if (isSeamless && !isCube) throw bad("Only cubes are filtered across their edges.");
  const readsIntegers = (call.flags & Flag.READS_INTEGERS) !== 0;
  const convertsSrgb = (call.flags & Flag.CONVERTS_SRGB) !== 0;
  const isNormalized = (call.flags & Flag.IS_NORMALIZED) !== 0;
  const { name, bytes } = texelFormats[layout.format];
  if (convertsSrgb && (name !== "u8" || readsIntegers)) {
    throw bad(`Texels of [${name}]${readsIntegers ? ", read as they are," : ""} are not converted from sRGB.`);
  }
  if (filter === "linear" && !name.startsWith("f") && (readsIntegers || bytes === 4)) {
    throw bad(`Integers [${name}] are read as they are, so that the filter cannot be linear.`);
  }
  const levels = levelsOf(call, layout);
  if (levels !== undefined && (resource !== "array" || !isNormalized)) {
    throw bad("A texture with several levels of detail is over an array and has coordinates from 0 to 1.");
  }
  return {
    resource,
    layout,
    addressModes,
    filter,
    readsIntegers,
    isNormalized,
    isCube,
    hasCubeLayers: isCube && hasCubeLayers,
    isSeamless,
    border: [call.borderX, call.borderY, call.borderZ, call.borderW],
    convertsSrgb,
    levels,
  };
}

/** Each behind the first half as large as the one before; undefined where there are none. */
function levelsOf(call: TextureCreateCall, first: TexelLayout): LevelsOfDetail | undefined {
  const filter = filters[call.levelFilter];
  if (filter === undefined) throw bad(`Levels of detail have the filter [${call.levelFilter}].`);
  if (call.levels.length >= levelsMax(first)) {
    throw bad(
      `An array has [${call.levels.length + 1}] levels of detail; at most [${levelsMax(first)}] make one texel.`,
    );
  }
  if (call.levels.length === 0) return undefined;
  const further: TexelLayout[] = [];
  let layout = first;
  for (const place of call.levels) {
    layout = nextLevel(layout, place);
    requirePlaced(layout);
    further.push(layout);
  }
  return { further, filter, bias: call.levelBias, least: call.levelLeast, most: call.levelMost };
}

/** The shape of texels, such that each is within the whole and none is another. */
function checkedLayout(call: Omit<SurfaceCreateCall, "surface" | "flags">): TexelLayout {
  const { address, channels, width, height, depth, layers, rowBytes, planeBytes } = call;
  const format = call.format as TexelLayout["format"];
  if (!Object.hasOwn(texelFormats, format) || ![1, 2, 4].includes(channels)) {
    throw bad(`Texels have the format [${format}] and [${channels}] channels; 1, 2 or 4 can be.`);
  }
  const layout: TexelLayout = { address, format, channels, width, height, depth, layers, rowBytes, planeBytes };
  const isEmpty = width === 0 || (depth > 0 && height === 0) || (depth > 0 && layers > 0);
  if (isEmpty) throw bad(`Texels of [${width}, ${height}, ${depth}] with [${layers}] layers are no shape.`);
  requirePlaced(layout);
  return layout;
}

/** Each texel at a multiple of its bytes, and none over another. */
function requirePlaced(layout: TexelLayout): void {
  const { address, width, height, depth, layers, rowBytes, planeBytes } = layout;
  const bytes = texelBytes(layout);
  if (address % bytes !== 0 || rowBytes % bytes !== 0 || planeBytes % bytes !== 0) {
    throw bad(
      `Texels of [${bytes}] bytes are at [0x${address.toString(16)}], rows [${rowBytes}] and planes [${planeBytes}] bytes apart.`,
    );
  }
  const rows = Math.max(1, height);
  const planes = Math.max(1, depth) * Math.max(1, layers);
  const planeEnd = (rows - 1) * rowBytes + width * bytes;
  if ((rows > 1 && rowBytes < width * bytes) || (planes > 1 && planeBytes < planeEnd)) {
    throw bad(
      `Rows of [${width * bytes}] bytes are [${rowBytes}] apart, and planes of [${planeEnd}] bytes [${planeBytes}].`,
    );
  }
}
