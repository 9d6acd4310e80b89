/**
 * Texels in device memory, as textures and surfaces see them: formats, shapes, and where each one lies. Rows stand one behind the
 * other, planes (of depth or of layers) too, so that all of it is one range of the arena.
 */

/** Formats by their numbers in CUarray_format of cuda.h. */
export const texelFormats = {
  1: { name: "u8", bytes: 1 },
  2: { name: "u16", bytes: 2 },
  3: { name: "u32", bytes: 4 },
  8: { name: "s8", bytes: 1 },
  9: { name: "s16", bytes: 2 },
  10: { name: "s32", bytes: 4 },
  16: { name: "f16", bytes: 2 },
  32: { name: "f32", bytes: 4 },
} as const;
export type TexelFormatNumber = keyof typeof texelFormats;

/** Where texels lie. */
export interface TexelLayout {
  /** Address of the first. */
  readonly address: number;
  /** CUarray_format. */
  readonly format: TexelFormatNumber;
  /** Numbers per texel: 1, 2 or 4. */
  readonly channels: number;
  /** Texels in a row. */
  readonly width: number;
  /** Rows in a plane; 0 in one dimension. */
  readonly height: number;
  /** Planes; 0 in less than three dimensions. */
  readonly depth: number;
  /** Layers of rows or of planes; 0 where there are none. Six, or a multiple of it, for cubes. */
  readonly layers: number;
  /** Bytes from one row to the next. */
  readonly rowBytes: number;
  /** Bytes from one plane, or layer, to the next. */
  readonly planeBytes: number;
}

export const texelBytes = ({ format, channels }: Pick<TexelLayout, "format" | "channels">): number =>
  texelFormats[format].bytes * channels;

/** Bytes from the first texel to behind the last. A number beyond 2^53 is inexact, and beyond every arena all the same. */
export function layoutBytes(layout: TexelLayout): number {
  const planes = Math.max(1, layout.depth) * Math.max(1, layout.layers);
  const rows = Math.max(1, layout.height);
  return (planes - 1) * layout.planeBytes + (rows - 1) * layout.rowBytes + layout.width * texelBytes(layout);
}

/** Where a level of detail lies. */
export type LevelPlace = Pick<TexelLayout, "address" | "rowBytes" | "planeBytes">;

const half = (size: number): number => (size === 0 ? 0 : Math.max(1, Math.floor(size / 2)));

/** The level behind one: half as large in every direction, with as many layers. */
export const nextLevel = (layout: TexelLayout, place: LevelPlace): TexelLayout => ({
  ...layout,
  ...place,
  width: half(layout.width),
  height: half(layout.height),
  depth: half(layout.depth),
});

/** How many levels there can be: the last has one texel in every direction. */
export const levelsMax = ({ width, height, depth }: TexelLayout): number =>
  1 + Math.floor(Math.log2(Math.max(width, height, depth)));

/** What becomes of a coordinate outside, as CUaddress_mode numbers it. */
export const AddressMode = { WRAP: 0, CLAMP: 1, MIRROR: 2, BORDER: 3 } as const;

/** How kernels that store texels by their format have numbers become texels. */
export interface SurfaceOptions {
  readonly layout: TexelLayout;
  /** Whether numbers of 8 and 16 bits stand for parts of their largest, so that floats are stored. */
  readonly storesParts: boolean;
}

/** Levels of detail, and how one is chosen. */
export interface LevelsOfDetail {
  /** Those behind the first, each half as large as the one before. */
  readonly further: readonly TexelLayout[];
  /** Between two: the nearer one, or both. */
  readonly filter: "point" | "linear";
  /** Added to a level before it is held within bounds. */
  readonly bias: number;
  readonly least: number;
  readonly most: number;
}

/** How a kernel's coordinates become numbers. */
export interface TextureOptions {
  /** A line of memory, read by whole numbers alone; rows of memory; or an array, which is memory too, but only this makes it one. */
  readonly resource: "linear" | "rows" | "array";
  readonly layout: TexelLayout;
  /** Along x, y and z: numbers of AddressMode. */
  readonly addressModes: readonly [x: number, y: number, z: number];
  readonly filter: "point" | "linear";
  /** Whether integers are read as they are, rather than as parts of their largest value. Those of 32 bits always are. */
  readonly readsIntegers: boolean;
  /** Whether coordinates go from 0 to 1. */
  readonly isNormalized: boolean;
  /** Whether six layers each are the faces of a cube. */
  readonly isCube: boolean;
  /** Whether kernels name a cube by a number, though there be one. Default: where there are several. */
  readonly hasCubeLayers?: boolean;
  /** Whether those are filtered across the cube's edges, whatever the address modes. */
  readonly isSeamless: boolean;
  /** What is read outside with AddressMode.BORDER: four words, floats where floats are read. */
  readonly border: readonly [number, number, number, number];
  /** Whether numbers of 8 bits, read as parts of the largest, are sRGB and become linear; the fourth of a texel always is. */
  readonly convertsSrgb: boolean;
  /** Undefined where there is one. */
  readonly levels: LevelsOfDetail | undefined;
}
