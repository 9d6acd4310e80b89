/** Whatever shape a texture or surface has and whatever place a kernel names, what is touched lies within its texels: many random ones of both. */
import { expect, test } from "vitest";
import { Boundary, Surface } from "../../server/device/cpu/run/surface.ts";
import { Texture } from "../../server/device/cpu/run/texture.ts";
import { type LevelsOfDetail, layoutBytes, type TexelLayout, texelBytes } from "../../server/device/texel.ts";
import { seeded } from "../kernels/support.ts";

const SEED = 20_261_125;
const ROUNDS = 20_000;
/** Words: where results go, and where texels begin. */
const RESULT = 16;
const TEXELS = 1024;
/** A float as texels have it, and one that nothing may find. */
const INSIDE = 3;
const OUTSIDE = 777;

type Random = ReturnType<typeof seeded>;

/** A shape of every kind, with gaps behind rows and planes. */
function shape({ int }: Random): TexelLayout {
  const channels = [1, 2, 4][int(3)]!;
  const bytes = channels * 4;
  const width = 1 + int(9);
  const height = int(3) === 0 ? 0 : 1 + int(6);
  const depth = height > 0 && int(2) === 0 ? 1 + int(4) : 0;
  const layers = depth === 0 && int(2) === 0 ? 1 + int(4) : 0;
  const rowBytes = (width + int(3)) * bytes;
  const planeBytes = rowBytes * Math.max(1, height) + int(2) * bytes;
  return { address: TEXELS * 4, format: 32, channels, width, height, depth, layers, rowBytes, planeBytes };
}

/** Up to four levels behind a first, each behind a gap. */
function levelsBehind(first: TexelLayout, { int }: Random): readonly TexelLayout[] {
  const levels: TexelLayout[] = [];
  let last = first;
  const half = (size: number) => (size === 0 ? 0 : Math.max(1, size >> 1));
  for (let count = int(5); count > 0 && Math.max(last.width, last.height, last.depth) > 1; count--) {
    const bytes = texelBytes(last);
    const [width, height, depth] = [half(last.width), half(last.height), half(last.depth)];
    const rowBytes = (width + int(2)) * bytes;
    const address = last.address + layoutBytes(last) + int(3) * bytes;
    last = { ...last, address, width, height, depth, rowBytes, planeBytes: rowBytes * Math.max(1, height) };
    levels.push(last);
  }
  return levels;
}

/** Ordinary places, and those that programs reach by mistake. */
function place({ int }: Random, width: number): number {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -1e30, -0, 2 ** 31, -(2 ** 31)];
  const common = [int(1000) / 100 - 3, int(7) - 3, width, 1, int(100) / 100];
  return [...odd, ...common, ...common][int(odd.length + 2 * common.length)]!;
}

test(`a fetch finds texels, or nothing (SEED=${SEED})`, () => {
  const random = seeded(SEED);
  const { int } = random;
  const memory = new SharedArrayBuffer(64 * 1024);
  const floats = new Float32Array(memory).fill(OUTSIDE);
  const three = new Uint32Array(Float32Array.of(INSIDE).buffer)[0]!;
  for (let round = 0; round < ROUNDS; round++) {
    const layout = shape(random);
    const further = levelsBehind(layout, random);
    const fill = (number: number) => {
      for (const { address, ...level } of [layout, ...further])
        floats.fill(number, address / 4, address / 4 + layoutBytes({ address, ...level }) / 4);
    };
    fill(INSIDE);
    const isLine = layout.height === 0 && layout.layers === 0 && int(2) === 0;
    const bound = () => place(random, further.length);
    const levels: LevelsOfDetail | undefined =
      further.length === 0 || isLine
        ? undefined
        : { further, filter: int(2) === 0 ? "point" : "linear", bias: bound(), least: bound(), most: bound() };
    const texture = new Texture(
      memory,
      {
        resource: isLine ? "linear" : "array",
        layout,
        addressModes: [int(4), int(4), int(4)],
        filter: int(2) === 0 ? "point" : "linear",
        readsIntegers: true,
        isNormalized: int(2) === 0,
        isCube: false,
        isSeamless: false,
        border: [three, three, three, three],
        convertsSrgb: false,
        levels,
      },
      { arenaBase: 0, at: RESULT * 4 },
    );
    const at = [0, 1, 2].map(() => place(random, layout.width));
    const where = { at, layer: int(2) === 0 ? int(6) : -int(2 ** 31), isWhole: int(2) === 0 };
    if (int(4) === 0) texture.gather(where, int(4));
    else texture.fetch(where, int(2) === 0 ? place(random, 3) : texture.levelOf([at, [place(random, 1), 0, 0]]));
    const found = [...floats.subarray(RESULT, RESULT + 4)];
    expect(
      found.every((value) => value === INSIDE || value === 0),
      JSON.stringify({ layout, at, found }),
    ).toBe(true);
    fill(OUTSIDE);
  }
});

test(`a fetch across the edges of a cube finds texels of that cube (SEED=${SEED})`, () => {
  const random = seeded(SEED);
  const { int } = random;
  const memory = new SharedArrayBuffer(64 * 1024);
  const floats = new Float32Array(memory);
  for (let round = 0; round < ROUNDS / 10; round++) {
    const width = 1 + int(5);
    const cubes = 1 + int(3);
    const sizes = {
      width,
      height: width,
      depth: 0,
      layers: 6 * cubes,
      rowBytes: width * 4,
      planeBytes: width * width * 4,
    };
    const layout: TexelLayout = { address: TEXELS * 4, format: 32, channels: 1, ...sizes };
    floats.fill(OUTSIDE);
    // Each cube has its own number.
    for (let cube = 0; cube < cubes; cube++)
      floats.fill(cube, TEXELS + cube * 6 * width * width, TEXELS + (cube + 1) * 6 * width * width);
    const modes = { addressModes: [int(4), int(4), int(4)], filter: "linear", readsIntegers: true } as const;
    const kind = {
      isNormalized: true,
      isCube: true,
      isSeamless: true,
      convertsSrgb: false,
      levels: undefined,
    } as const;
    const texture = new Texture(
      memory,
      { resource: "array", layout, ...modes, ...kind, border: [1, 1, 1, 1] },
      { arenaBase: 0, at: RESULT * 4 },
    );
    const cube = int(cubes);
    const at = [0, 1].map(() => (int(2) === 0 ? int(1000) / 1000 : place(random, width)));
    texture.fetch({ at, layer: cube * 6 + int(6), isWhole: false });
    expect(floats[RESULT], JSON.stringify({ layout, at })).toBeCloseTo(cube, 5);
  }
});

test(`a surface's place is in a row of it, or nowhere (SEED=${SEED})`, () => {
  const random = seeded(SEED);
  const { int } = random;
  let places = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const layout = shape(random);
    const surface = new Surface(new SharedArrayBuffer(16), { layout, storesParts: false }, 0);
    const bytes = [1, 2, 4, 8, 16][int(5)]!;
    const coordinate = () => [int(12), -int(5), 2 ** 31 - 1, -(2 ** 31)][int(4)]!;
    const x = coordinate() * (int(2) === 0 ? bytes : 1);
    const boundary = [Boundary.TRAP, Boundary.CLAMP, Boundary.ZERO][int(3)]!;
    const layer = int(2) === 0 ? int(6) : int(2 ** 31);
    const found = surface.locate({ x, y: coordinate(), z: coordinate(), layer, bytes }, boundary);
    if (found === undefined) continue;
    places++;
    const offset = found - layout.address;
    const inPlane = offset % layout.planeBytes;
    expect(offset).toBeGreaterThanOrEqual(0);
    expect(offset + bytes, JSON.stringify({ layout, found })).toBeLessThanOrEqual(layoutBytes(layout));
    expect((inPlane % layout.rowBytes) + bytes).toBeLessThanOrEqual(layout.width * texelBytes(layout));
  }
  expect(places).toBeGreaterThan(ROUNDS / 20);
});
