/**
 * One level of detail of a texture: coordinates become texels by the formulas of the CUDA C++ Programming Guide ("Texture Fetching"), the
 * weights of linear filtering with eight bits of fraction. Whatever the coordinates are, nothing outside the level's memory is read.
 */
import { AddressMode, type TexelLayout, type TextureOptions, texelBytes, texelFormats } from "../../texel.ts";
import { acrossEdge, type FacePlace } from "./cube.ts";
import { numberReader, type ReadNumber, readsFloats } from "./texel-reader.ts";

/** Steps in which the weights of linear filtering are told. */
const WEIGHT_STEPS = 256;

const FACES = 6;

/** Of a place in three dimensions; in a cube three may stand for one of four. */
const TEXELS_MAX = 8;

/** A texel outside, for which the border stands. */
const OUTSIDE = -1;

/** One direction of a texture. */
interface Axis {
  readonly size: number;
  readonly mode: number;
  readonly isNormalized: boolean;
  /** Numbers from one texel to the next in this direction. */
  readonly stride: number;
}

/** Where a fetch falls along an axis: two texels side by side, of which the second counts for `weight`. */
interface Position {
  first: number;
  second: number;
  weight: number;
}

/** A fetch uses one and the same again and again. */
export interface Place {
  readonly at: ArrayLike<number>;
  layer: number;
  /** Coordinates count texels, whatever else is said of them, and nothing is filtered. */
  isWhole: boolean;
}

/** A weight in the steps in which it counts; 0 for what is no number: infinities are as far out as anything. */
export function inSteps(weight: number): number {
  const rounded = Math.round(weight * WEIGHT_STEPS) / WEIGHT_STEPS;
  return rounded >= 0 ? rounded : 0;
}

export class TextureLevel {
  readonly #isFiltered: boolean;
  readonly #isSeamless: boolean;
  readonly #channels: number;
  /** As many as the texture has dimensions. */
  readonly #axes: readonly Axis[];
  readonly #positions: readonly Position[];
  readonly #read: ReadNumber;
  /** Of a texel's fourth number. */
  readonly #readLast: ReadNumber;
  /** Index of the first number, and numbers from one layer to the next. */
  readonly #start: number;
  readonly #layerStride: number;
  readonly #layers: number;
  readonly #border: ArrayLike<number>;
  /** The layer that is read, the index of its first number, and its texels that count. */
  #layer = 0;
  #base = 0;
  #count = 0;
  readonly #indexes = new Float64Array(TEXELS_MAX);
  readonly #weights = new Float64Array(TEXELS_MAX);

  constructor(memory: ArrayBufferLike, options: TextureOptions, layout: TexelLayout, arenaBase: number) {
    const { addressModes, resource } = options;
    const { bytes } = texelFormats[layout.format];
    const isFloat = readsFloats(layout.format, options.readsIntegers);
    const read = numberReader(memory, layout.format, { asFloats: isFloat, isSrgb: options.convertsSrgb });
    const readLast = options.convertsSrgb
      ? numberReader(memory, layout.format, { asFloats: isFloat, isSrgb: false })
      : read;
    this.#read = read;
    this.#readLast = readLast;
    this.#isSeamless = options.isSeamless;
    this.#isFiltered = options.filter === "linear" && resource !== "linear";
    this.#channels = layout.channels;
    this.#start = (layout.address - arenaBase) / bytes;
    this.#layerStride = layout.planeBytes / bytes;
    this.#layers = Math.max(1, layout.layers);
    const axis = (index: 0 | 1 | 2, size: number, strideBytes: number): Axis => ({
      size: Math.max(1, size),
      // Outside of lines is nothing; folding coordinates is defined for those that go from 0 to 1.
      mode: resource === "linear" ? AddressMode.BORDER : options.isSeamless ? AddressMode.CLAMP : addressModes[index],
      isNormalized: options.isNormalized,
      stride: strideBytes / bytes,
    });
    this.#axes = [
      axis(0, layout.width, texelBytes(layout)),
      ...(layout.height > 0 ? [axis(1, layout.height, layout.rowBytes)] : []),
      ...(layout.depth > 0 ? [axis(2, layout.depth, layout.planeBytes)] : []),
    ];
    this.#positions = this.#axes.map(() => ({ first: 0, second: 0, weight: 0 }));
    const border = Uint32Array.from(resource === "linear" ? [0, 0, 0, 0] : options.border);
    this.#border = isFloat ? new Float32Array(border.buffer) : new Int32Array(border.buffer);
  }

  /** Writes the four numbers at a place. */
  fetch({ at, layer, isWhole }: Place, into: Float64Array): void {
    const isLinear = this.#isFiltered && !isWhole;
    this.#locate(at, isLinear, isWhole);
    this.#choose(layer);
    if (isLinear) {
      for (let corner = 0; corner < 1 << this.#axes.length; corner++) this.#add(corner, this.#weight(corner));
      for (let channel = 0; channel < 4; channel++) into[channel] = channel < this.#channels ? this.#sum(channel) : 0;
    } else {
      const index = this.#index(0);
      for (let channel = 0; channel < 4; channel++) {
        into[channel] = channel < this.#channels ? this.#number(index, channel) : 0;
      }
    }
  }

  /** One number of each of the four texels around a place in two dimensions, counter-clockwise from the one below at the left. */
  gather({ at, layer }: Place, component: number, into: Float64Array): void {
    this.#locate(at, true, false);
    for (const [index, corner] of [2, 3, 1, 0].entries()) {
      this.#choose(layer);
      this.#add(corner, 1);
      into[index] = component < this.#channels ? this.#sum(component) : 0;
    }
  }

  /** By how many texels a change of coordinates moves. */
  distance(change: ArrayLike<number>): number {
    return Math.hypot(...this.#axes.map(({ size, isNormalized }, index) => change[index]! * (isNormalized ? size : 1)));
  }

  /** Begins to sum up texels of a layer; the nearest that there is, whose number has no sign. */
  #choose(layer: number): void {
    this.#layer = Math.min(layer >>> 0, this.#layers - 1);
    this.#base = this.#start + this.#layer * this.#layerStride;
    this.#count = 0;
  }

  #locate(place: ArrayLike<number>, isLinear: boolean, isWhole: boolean): void {
    for (let index = 0; index < this.#axes.length; index++) {
      const axis = this.#axes[index]!;
      const position = this.#positions[index]!;
      const at = isWhole ? place[index]! : scale(axis, place[index]!);
      const below = Math.floor(isLinear ? at - 0.5 : at);
      // Beyond an edge of a cube is another face, which is found texel by texel.
      const crosses = this.#isSeamless && isLinear && below >= -1 && below < axis.size;
      position.first = crosses ? below : resolve(axis, below);
      if (!isLinear) continue;
      if (crosses) position.second = below + 1;
      else position.second = resolve(axis, below + 1);
      position.weight = inSteps(at - 0.5 - below);
    }
  }

  /** How much the texel at a corner counts: bits of `corner` say along which axes it is the second. */
  #weight(corner: number): number {
    let weight = 1;
    for (let axis = 0; axis < this.#axes.length; axis++) {
      const { weight: second } = this.#positions[axis]!;
      weight *= (corner & (1 << axis)) === 0 ? 1 - second : second;
    }
    return weight;
  }

  /** Adds a corner's texel to the sum. What does not count may be infinite, and is left out. */
  #add(corner: number, weight: number): void {
    if (weight === 0) return;
    if (this.#isSeamless) {
      this.#addOfCube(corner, weight);
      return;
    }
    this.#put(this.#index(corner), weight);
  }

  /** Index of a corner's texel, which may be OUTSIDE. */
  #index(corner: number): number {
    let index = this.#base;
    for (let axis = 0; axis < this.#axes.length; axis++) {
      const { first, second } = this.#positions[axis]!;
      const texel = (corner & (1 << axis)) === 0 ? first : second;
      if (texel === OUTSIDE) return OUTSIDE;
      index += texel * this.#axes[axis]!.stride;
    }
    return index;
  }

  #number(index: number, channel: number): number {
    if (index === OUTSIDE) return this.#border[channel]!;
    return channel < 3 ? this.#read(index + channel) : this.#readLast(index + channel);
  }

  #put(index: number, weight: number): void {
    this.#indexes[this.#count] = index;
    this.#weights[this.#count++] = weight;
  }

  #addOfCube(corner: number, weight: number): void {
    const [across, along] = this.#positions;
    const { size } = this.#axes[0]!;
    const x = (corner & 1) === 0 ? across!.first : across!.second;
    const y = (corner & 2) === 0 ? along!.first : along!.second;
    const face = this.#layer % FACES;
    const inside = (at: number) => Math.min(Math.max(at, 0), size - 1);
    const [nearX, nearY] = [inside(x), inside(y)];
    if (x === nearX && y === nearY) this.#put(this.#indexOn({ face, x, y }), weight);
    else if (x === nearX || y === nearY) this.#put(this.#indexOn(acrossEdge({ face, x, y }, size)), weight);
    else {
      // Three faces meet in a corner, where there is no fourth texel: the mean of the others stands for it.
      const beside = acrossEdge({ face, x, y: nearY }, size);
      const above = acrossEdge({ face, x: nearX, y }, size);
      for (const place of [{ face, x: nearX, y: nearY }, beside, above]) this.#put(this.#indexOn(place), weight / 3);
    }
  }

  /** Index of a texel on a face of the cube that is read. */
  #indexOn({ face, x, y }: FacePlace): number {
    const layer = this.#layer - (this.#layer % FACES) + face;
    const [across, along] = this.#axes;
    return this.#start + layer * this.#layerStride + x * across!.stride + y * along!.stride;
  }

  #sum(channel: number): number {
    let sum = 0;
    for (let each = 0; each < this.#count; each++) {
      const weight = this.#weights[each]!;
      const value = this.#number(this.#indexes[each]!, channel);
      if (weight === 1) return value;
      sum += weight * value;
    }
    return sum;
  }
}

/** A coordinate in texels; folded back where that is asked of coordinates from 0 to 1. */
function scale({ size, mode, isNormalized }: Axis, coordinate: number): number {
  if (!isNormalized) return coordinate;
  const whole = Math.floor(coordinate);
  const part = coordinate - whole;
  if (mode === AddressMode.WRAP) return part * size;
  if (mode === AddressMode.MIRROR) return (whole % 2 === 0 ? part : 1 - part) * size;
  return coordinate * size;
}

/** The texel that stands for one that may be outside; the first for what is no number. */
function resolve({ size, mode, isNormalized }: Axis, texel: number): number {
  if (texel >= 0 && texel < size) return texel;
  if (mode === AddressMode.BORDER) return OUTSIDE;
  if (mode === AddressMode.WRAP && isNormalized) {
    const rest = texel % size;
    return rest < 0 ? rest + size : rest || 0;
  }
  return texel >= size ? size - 1 : 0;
}
