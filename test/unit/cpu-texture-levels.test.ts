/**
 * Levels of detail of the cpu device's textures, fetched by hand-written PTX and held against test/support/texture-model.ts: levels that a
 * kernel names or that follow from how coordinates change, filters, bias and bounds; conversion from sRGB.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LevelsOfDetail, type TexelLayout, type TextureOptions, texelBytes } from "../../server/device/texel.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { detailed, type ModelTexture } from "../support/texture-model.ts";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

const TEXELS = ARENA_BASE + 0x4_0000;
const PLACES = 0x1_0000;
const RESULTS = 0x2_0000;

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(async () => {
  await machine.slice.close();
});

type Sizes = readonly [width: number, height: number, depth: number, layers: number];

/** All levels of an array of one float per texel, one behind the other. */
function levelsOf([width, height, depth, layers]: Sizes, count: number): readonly TexelLayout[] {
  const half = (size: number, level: number) => (size === 0 ? 0 : Math.max(1, size >> level));
  let address = TEXELS;
  return Array.from({ length: count }, (_, level) => {
    const sizes = { width: half(width, level), height: half(height, level), depth: half(depth, level), layers };
    const rowBytes = sizes.width * 4;
    const planeBytes = rowBytes * Math.max(1, sizes.height);
    const layout: TexelLayout = { address, format: 32, channels: 1, rowBytes, planeBytes, ...sizes };
    address += planeBytes * Math.max(1, sizes.depth) * Math.max(1, layers);
    return layout;
  });
}

/** A number for every texel: the level counts hundreds. */
const texel = (level: number, [x = 0, y = 0, z = 0]: readonly number[], layer = 0): number =>
  100 * level + ((x * 7 + y * 13 + z * 29 + layer * 41) % 64) / 2;

async function fill(levels: readonly TexelLayout[]): Promise<void> {
  for (const [level, layout] of levels.entries()) {
    const { width, height, depth, layers } = layout;
    const numbers: number[] = [];
    for (let plane = 0; plane < Math.max(1, depth) * Math.max(1, layers); plane++)
      for (let y = 0; y < Math.max(1, height); y++)
        for (let x = 0; x < width; x++)
          numbers.push(texel(level, [x, y, depth > 0 ? plane : 0], depth > 0 ? 0 : plane));
    await machine.slice.write(layout.address, new Uint8Array(Float32Array.from(numbers).buffer), undefined);
  }
}

const model = (layouts: readonly TexelLayout[], dimensions: number, layer = 0): readonly ModelTexture[] =>
  layouts.map(({ width, height, depth }, level) => ({
    sizes: [width, height, depth].slice(0, dimensions),
    texel: (at) => texel(level, at, layer),
    modes: ["wrap", "wrap", "wrap"],
    isNormalized: true,
    border: 0,
  }));

const optionsOf = (layouts: readonly TexelLayout[], change: Partial<LevelsOfDetail> = {}): TextureOptions => ({
  resource: "array",
  layout: layouts[0]!,
  addressModes: [0, 0, 0],
  filter: "point",
  readsIntegers: true,
  isNormalized: true,
  isCube: false,
  isSeamless: false,
  border: [0, 0, 0, 0],
  convertsSrgb: false,
  levels: { further: layouts.slice(1), filter: "point", bias: 0, least: 0, most: 100, ...change },
});

/** What a kernel fetches: each place is four numbers in %f0 to %f3 (%r1 to %r4 as bits), and the first word of each result is %r10. */
async function run(options: TextureOptions, fetch: string, places: readonly (readonly number[])[]): Promise<number[]> {
  const texture = machine.slice.createTexture!(options);
  const numbers = Float32Array.from(places.flatMap((place) => [0, 1, 2, 3].map((axis) => place[axis] ?? 0)));
  await machine.slice.write(ARENA_BASE + PLACES, new Uint8Array(numbers.buffer), undefined);
  const body = `shl.b32 %r1, %r0, 4; cvt.u64.u32 %rd5, %r1; add.u64 %rd1, %rd1, %rd5; add.u64 %rd2, %rd2, %rd5;
    ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%rd1]; cvt.rni.s32.f32 %r3, %f2; cvt.rni.s32.f32 %r4, %f3;
    ${fetch}
    st.global.v4.b32 [%rd2], {%r10, %r11, %r12, %r13};`;
  try {
    const args = [texture.object, ARENA_BASE + PLACES, ARENA_BASE + RESULTS];
    await runPtx(machine, ptxKernel(body, { params: 3 }), { block: places.length, args });
  } finally {
    machine.slice.destroyTexture!(texture);
  }
  const words = readWords(machine, places.length * 4, RESULTS);
  return [...new Float32Array(words.buffer, words.byteOffset, words.length)];
}

const firsts = (numbers: readonly number[]): number[] => numbers.filter((_, index) => index % 4 === 0);
const result = "{%r10, %r11, %r12, %r13}";

const asked = [-3, -0.4, 0, 0.2, 0.49, 0.51, 1, 1.25, 1.75, 2, 2.501, 3.7, 5, 40];

const filters = (["point", "linear"] as const).flatMap((filter) =>
  (["point", "linear"] as const).map((levelFilter) => ({ filter, levelFilter })),
);

describe.each(filters)("levels of detail, $filter within a level and $levelFilter between two", (each) => {
  const { filter, levelFilter } = each;
  const name = (word: "point" | "linear") => (word === "point" ? ("nearest" as const) : word);

  it.each([
    { geometry: "1d", sizes: [32, 0, 0, 0], coordinates: "{%f0}" },
    { geometry: "2d", sizes: [16, 8, 0, 0], coordinates: "{%f0, %f1}" },
    { geometry: "3d", sizes: [16, 8, 4, 0], coordinates: "{%f0, %f1, %f2, %f2}" },
    { geometry: "a1d", sizes: [16, 0, 0, 3], coordinates: "{%r3, %f0}" },
    { geometry: "a2d", sizes: [16, 8, 0, 3], coordinates: "{%r3, %f0, %f1, %f1}" },
  ] as const)("of $geometry are read where a kernel says which", async ({ geometry, sizes, coordinates }) => {
    const layouts = levelsOf(sizes, 5);
    await fill(layouts);
    const isLayered = geometry.startsWith("a");
    const dimensions = sizes.slice(0, 3).filter((size) => size > 0).length;
    const bounds = { bias: 0.25, least: 0.5, most: 3.25 };
    const places = asked.map((level, index) => [
      ((index * 5) % 16) / 8 - 0.3,
      ((index * 3) % 16) / 8 - 0.4,
      isLayered ? index % 3 : ((index * 7) % 16) / 8,
      level,
    ]);
    for (const change of [{}, bounds]) {
      const options = { ...optionsOf(layouts, { filter: levelFilter, ...change }), filter };
      const fetch = `tex.level.${geometry}.v4.f32.f32 {%f10, %f11, %f12, %f13}, [%rd0, ${coordinates}], %f3; mov.b32 %r10, %f10;`;
      const expected = places.map((place) => {
        const [x, y, z, level] = place.map(Math.fround) as [number, number, number, number];
        const levels = model(layouts, dimensions, isLayered ? z : 0);
        const how = { levels, filter: name(filter), levelFilter: name(levelFilter), bias: 0, least: 0, most: 100 };
        return detailed({ ...how, ...change }, [x, y, z].slice(0, dimensions), level);
      });
      const found = firsts(await run(options, fetch, places));
      for (const [index, value] of found.entries()) expect(value).toBeCloseTo(expected[index]!, 3);
    }
  });
});

describe("a level of detail", () => {
  const layouts = levelsOf([16, 8, 0, 0], 4);
  const fetch2 = (mode: string, rest = "") => `tex${mode}.2d.v4.u32.f32 ${result}, [%rd0, {%f0, %f1}]${rest};`;

  it("is the first where a kernel names none, within the texture's bounds", async () => {
    await fill(layouts);
    for (const mode of ["", ".base"]) {
      expect(firsts(await run(optionsOf(layouts), fetch2(mode), [[0, 0]]))).toEqual([0]);
      expect(firsts(await run(optionsOf(layouts, { least: 2 }), fetch2(mode), [[0, 0]]))).toEqual([200]);
    }
  });

  it("follows from the larger of two changes, counted in texels", async () => {
    await fill(layouts);
    const fetch = fetch2(".grad", ", {%f2, %f3}, {%f3, %f2}");
    // One texel along x is 1/16, and along y 1/8.
    const places = [1 / 64, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 2, 0].map((change) => [0, 0, change, 0]);
    expect(firsts(await run(optionsOf(layouts), fetch, places))).toEqual([0, 0, 100, 200, 300, 300, 0]);
    // Sideways as much as along: the square root of both.
    const along = fetch2(".grad", ", {%f2, %f3}, {0f00000000, 0f00000000}");
    const both = optionsOf(layouts, { filter: "linear" });
    const [number] = await run(both, along, [[0, 0, 1 / 8, 1 / 4]]);
    expect(number).toBeCloseTo(150, 1);
  });

  it("follows from changes of a direction from the middle of a cube", async () => {
    const faces = levelsOf([16, 16, 0, 6], 5);
    await fill(faces);
    const options = { ...optionsOf(faces), isCube: true };
    // On the face of x = 1 the place is (1 - z) / 2: a change of 1/4 is one of 1/8, two of 16 texels.
    const fetch = `mov.f32 %f4, 0f00000000; mov.f32 %f5, 0f3F800000;
      tex.grad.cube.v4.f32.f32 {%f10, %f11, %f12, %f13}, [%rd0, {%f5, %f0, %f1, %f4}], {%f4, %f4, %f2, %f4}, {%f4, %f3, %f4, %f4}; mov.b32 %r10, %f10;`;
    const places = [
      [0, 0, 0.25],
      [0, 0, 0.5],
      [0, 0, 0, 1],
      [0, 0, 0, 0],
    ];
    const levels = firsts(await run(options, fetch, places)).map((value) => Math.floor(value / 100));
    expect(levels).toEqual([1, 2, 3, 0]);
    const asked = `mov.f32 %f5, 0f3F800000; tex.level.cube.v4.f32.f32 {%f10, %f11, %f12, %f13}, [%rd0, {%f5, %f0, %f1, %f1}], %f3; mov.b32 %r10, %f10;`;
    const [found] = await run(options, asked, [[-0.99, 0.99, 0, 2]]);
    // Up and to the left as one looks along x: the last row's first texel.
    expect(found).toBe(texel(2, [0, 3], 0));
  });

  it("may be a whole number where coordinates are", async () => {
    await fill(layouts);
    const fetch = `mov.u32 %r5, 3; mov.u32 %r6, 1;
      tex.level.2d.v4.u32.s32 ${result}, [%rd0, {%r5, %r6}], %r4;`;
    expect(
      firsts(
        await run(optionsOf(layouts), fetch, [
          [0, 0, 0, 0],
          [0, 0, 0, 1],
          [0, 0, 0, 9],
        ]),
      ),
    ).toEqual([texel(0, [3, 1]), texel(1, [3, 1]), texel(3, [1, 0])]);
  });

  it("that is no number, or infinite, is within the bounds all the same", async () => {
    await fill(layouts);
    const fetch = fetch2(".level", ", %f3");
    const places = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((level) => [0, 0, 0, level]);
    expect(firsts(await run(optionsOf(layouts), fetch, places))).toEqual([0, 300, 0]);
    const odd = { bias: Number.NaN, least: 1, most: Number.POSITIVE_INFINITY };
    expect(firsts(await run(optionsOf(layouts, odd), fetch, places))).toEqual([100, 100, 100]);
    const none = { least: Number.NaN, most: Number.NaN };
    expect(firsts(await run(optionsOf(layouts, none), fetch, places))).toEqual([0, 0, 0]);
    const crossed = { least: 3, most: 1 };
    expect(firsts(await run(optionsOf(layouts, crossed), fetch, places))).toEqual([100, 100, 100]);
  });

  it("is asked for its sizes, and the texture for their number", async () => {
    const fetch = `txq.num_mipmap_levels.b32 %r10, [%rd0]; mov.u32 %r5, 2; txq.level.width.b32 %r11, [%rd0], %r5;
      txq.level.height.b32 %r12, [%rd0], 3; txq.level.width.b32 %r13, [%rd0], 4;`;
    const words = await run(optionsOf(layouts), fetch, [[0]]);
    expect([...new Uint32Array(Float32Array.from(words).buffer)]).toEqual([4, 4, 1, 0]);
  });

  it("is the first for gathers", async () => {
    await fill(layouts);
    const fetch = "tld4.r.2d.v4.f32.f32 {%f10, %f11, %f12, %f13}, [%rd0, {%f0, %f1}]; mov.b32 %r10, %f10;";
    const [found] = await run(optionsOf(layouts, { least: 2 }), fetch, [[1 / 8, 1 / 4]]);
    expect(found).toBe(texel(0, [1, 2]));
  });

  it("holds back memory that the slice has given back", async () => {
    const own = await openCpu();
    const options = optionsOf([layouts[0]!, { ...layouts[1]!, address: ARENA_BASE + 0x8_0000 }]);
    const { object } = own.slice.createTexture!(options);
    await own.slice.resize!(0x8_0000);
    const body = `tex.2d.v4.u32.f32 ${result}, [%rd0, {0f00000000, 0f00000000}];`;
    await expect(runPtx(own, ptxKernel(body), { args: [object] })).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
    await own.slice.close();
  });
});

describe("a cube that is filtered across its edges", () => {
  const SIDE = 4;
  const STEP = 1 / SIDE;
  type Place = readonly [x: number, y: number, z: number];
  /** Where texels of the faces are on the cube of all places whose largest coordinate is 1: the table of the guide, from faces to places. */
  const surfaces: readonly ((s: number, t: number) => Place)[] = [
    (s, t) => [1, -t, -s],
    (s, t) => [-1, -t, s],
    (s, t) => [s, 1, t],
    (s, t) => [s, -1, -t],
    (s, t) => [s, -t, 1],
    (s, t) => [-s, -t, -1],
  ];
  const color = ([x, y, z]: Place): number => 100 * x + 10 * y + z;
  const layout = levelsOf([SIDE, SIDE, 0, 6], 1)[0]!;
  const cube: TextureOptions = {
    ...optionsOf([layout]),
    levels: undefined,
    isCube: true,
    isSeamless: true,
    filter: "linear",
    addressModes: [3, 3, 3],
  };
  const fetch = "tex.cube.v4.f32.f32 {%f10, %f11, %f12, %f13}, [%rd0, {%f0, %f1, %f2, %f2}]; mov.b32 %r10, %f10;";
  const centre = (index: number): number => (2 * index + 1) * STEP - 1;

  async function fillCube(): Promise<void> {
    const numbers = surfaces.flatMap((place) =>
      Array.from({ length: SIDE * SIDE }, (_, index) =>
        color(place(centre(index % SIDE), centre(Math.floor(index / SIDE)))),
      ),
    );
    await machine.slice.write(layout.address, new Uint8Array(Float32Array.from(numbers).buffer), undefined);
  }

  it("blends the texels on both sides of each edge", async () => {
    await fillCube();
    const places: Place[] = [];
    const expected: number[] = [];
    const near = 1 - STEP;
    for (const along of [0, 1, 2]) {
      const [first, second] = [0, 1, 2].filter((axis) => axis !== along) as [number, number];
      for (const [one, two] of [
        [1, 1],
        [1, -1],
        [-1, 1],
        [-1, -1],
      ] as const)
        for (let index = 0; index < SIDE; index++) {
          const at = (a: number, b: number): Place => {
            const place = [0, 0, 0];
            place[along] = centre(index);
            place[first] = a * one;
            place[second] = b * two;
            return place as unknown as Place;
          };
          places.push(at(1, 1));
          expected.push((color(at(1, near)) + color(at(near, 1))) / 2);
          // A quarter of a texel from the edge, on the first of both faces.
          places.push(at(1, 1 - STEP / 2));
          expected.push(0.75 * color(at(1, near)) + 0.25 * color(at(near, 1)));
        }
    }
    const found = firsts(await run(cube, fetch, places));
    for (const [index, value] of found.entries()) expect(value, `${places[index]}`).toBeCloseTo(expected[index]!, 3);
  });

  it("takes the mean of three for the fourth texel around a corner, and clamps where it does not filter", async () => {
    await fillCube();
    const near = 1 - STEP;
    const corner = [color([1, near, near]), color([near, 1, near]), color([near, near, 1])];
    const mean = corner.reduce((sum, value) => sum + value, 0) / 3;
    const [found] = await run(cube, fetch, [[1, 1, 1]]);
    expect(found).toBeCloseTo(mean, 3);
    const [texel] = await run({ ...cube, filter: "point" }, fetch, [[0.2, 0.999, 1]]);
    expect(texel).toBe(Math.fround(color([centre(2), near, 1])));
  });

  it("stays inside for directions that are none", async () => {
    await fillCube();
    const odd = [Number.NaN, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((x) => [x, x, x]);
    for (const value of firsts(await run(cube, fetch, odd))) expect(Math.abs(value)).toBeLessThan(112);
  });
});

describe("conversion from sRGB", () => {
  it.each([1, 2, 4])(
    "makes bytes of %i channels linear before they are filtered, but for the fourth",
    async (channels) => {
      const layout: TexelLayout = { ...levelsOf([256, 0, 0, 0], 1)[0]!, format: 1, channels, rowBytes: 256 * channels };
      expect(texelBytes(layout)).toBe(channels);
      const bytes = Uint8Array.from({ length: 256 * channels }, (_, index) => Math.floor(index / channels));
      await machine.slice.write(layout.address, bytes, undefined);
      const options: TextureOptions = {
        ...optionsOf([layout]),
        levels: undefined,
        readsIntegers: false,
        isNormalized: false,
        convertsSrgb: true,
        filter: "linear",
      };
      const fetch = `tex.1d.v4.u32.f32 ${result}, [%rd0, {%f0}];`;
      const places = [0, 1, 10, 11, 128, 200, 255].map((byte) => [byte + 0.5]);
      const found = await run(options, fetch, [...places, [11], [0.5 + 100.25]]);
      // The definition of IEC 61966-2-1.
      const linearOf = (byte: number) => {
        const c = byte / 255;
        return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
      };
      const between = (byte: number, read: (byte: number) => number) => {
        const below = Math.floor(byte);
        return read(below) + (byte - below) * (read(below + 1) - read(below));
      };
      const wanted = [0, 1, 10, 11, 128, 200, 255, 10.5, 100.25].flatMap((byte) =>
        [0, 1, 2, 3].map((channel) =>
          channel >= channels ? 0 : channel === 3 ? byte / 255 : byte === 255 ? 1 : between(byte, linearOf),
        ),
      );
      for (const [index, value] of found.entries()) expect(value).toBeCloseTo(wanted[index]!, 6);
    },
  );
});
