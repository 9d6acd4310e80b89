/**
 * What a texture gives, straight from the formulas of the CUDA C++ Programming Guide ("Texture Fetching"): an independent reference for tests,
 * which reads its texels from plain arrays and knows nothing of memory.
 */
export interface ModelTexture {
  /** Sizes along x, y, z; one, two or three. */
  readonly sizes: readonly number[];
  /** The number of a texel's channel, by whole coordinates. */
  readonly texel: (at: readonly number[]) => number;
  readonly modes: readonly ("wrap" | "clamp" | "mirror" | "border")[];
  readonly isNormalized: boolean;
  readonly border: number;
}

const mirrored = (x: number): number => {
  const even = Math.floor(x) % 2 === 0;
  const part = x - Math.floor(x);
  return even ? part : 1 - part;
};

/** The whole coordinate that stands for one along an axis; undefined for the border. */
function fold(texture: ModelTexture, axis: number, at: number): number | undefined {
  const size = texture.sizes[axis]!;
  const mode = texture.modes[axis]!;
  if (at >= 0 && at < size) return at;
  if (mode === "border") return undefined;
  if (mode === "wrap" && texture.isNormalized) return ((at % size) + size) % size;
  return Math.min(Math.max(at, 0), size - 1);
}

/** The coordinate in texels. */
function inTexels(texture: ModelTexture, axis: number, x: number): number {
  const size = texture.sizes[axis]!;
  if (!texture.isNormalized) return x;
  const mode = texture.modes[axis]!;
  if (mode === "wrap") return (x - Math.floor(x)) * size;
  return (mode === "mirror" ? mirrored(x) : x) * size;
}

function texelAt(texture: ModelTexture, at: readonly number[]): number {
  const folded = at.map((coordinate, axis) => fold(texture, axis, coordinate));
  return folded.includes(undefined) ? texture.border : texture.texel(folded as number[]);
}

export function nearest(texture: ModelTexture, place: readonly number[]): number {
  return texelAt(
    texture,
    place.map((x, axis) => Math.floor(inTexels(texture, axis, x))),
  );
}

/** Weights have nine bits, eight of them behind the point. */
export function linear(texture: ModelTexture, place: readonly number[]): number {
  const axes = place.map((x, axis) => {
    const b = inTexels(texture, axis, x) - 0.5;
    return { i: Math.floor(b), a: Math.round((b - Math.floor(b)) * 256) / 256 };
  });
  const blend = (axis: number, at: number[]): number => {
    if (axis < 0) return texelAt(texture, at);
    const { i, a } = axes[axis]!;
    return (1 - a) * blend(axis - 1, [i, ...at]) + a * blend(axis - 1, [i + 1, ...at]);
  };
  return Math.fround(blend(place.length - 1, []));
}

/** Levels of detail, the first the finest, and how one is chosen. */
export interface ModelLevels {
  readonly levels: readonly ModelTexture[];
  readonly filter: "nearest" | "linear";
  readonly levelFilter: "nearest" | "linear";
  readonly bias: number;
  readonly least: number;
  readonly most: number;
}

/** What is read at a level of detail, by OpenGL 4.6, 8.14: lambda is within its bounds, and its fraction has eight bits. */
export function detailed(texture: ModelLevels, place: readonly number[], level: number): number {
  const { levels, least, most, bias } = texture;
  const read = (index: number) => (texture.filter === "linear" ? linear : nearest)(levels[index]!, place);
  const lambda = Math.max(0, Math.min(Math.max(level + bias, least), most, levels.length - 1));
  if (texture.levelFilter === "nearest") return read(lambda <= 0.5 ? 0 : Math.ceil(lambda + 0.5) - 1);
  const fine = Math.min(Math.floor(lambda), levels.length - 1);
  const weight = Math.round((lambda - fine) * 256) / 256;
  return weight === 0 ? read(fine) : (1 - weight) * read(fine) + weight * read(fine + 1);
}
