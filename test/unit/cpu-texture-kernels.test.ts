/** Textures and surfaces in what CUDA's own compiler writes (test/kernels/cu/textures.cu), on the cpu device. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TexelLayout, TextureOptions } from "../../server/device/texel.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { fixture } from "../kernels/support.ts";
import { type CpuMachine, openCpu } from "./cpu-machine.ts";

const TEXELS = ARENA_BASE + 0x1_0000;
const OUT = ARENA_BASE;
const [WIDTH, HEIGHT, DEPTH] = [8, 8, 12] as const;

/** Numbers one behind the other, so that a texel's number is its place: x + 8 y + 64 z. */
function layout(height: number, depth: number, layers: number): TexelLayout {
  const rowBytes = WIDTH * 4;
  const planeBytes = height === 0 ? rowBytes : rowBytes * HEIGHT;
  return { address: TEXELS, format: 32, channels: 1, width: WIDTH, height, depth, layers, rowBytes, planeBytes };
}

const shapes = {
  row: layout(0, 0, 0),
  plane: layout(HEIGHT, 0, 0),
  volume: layout(HEIGHT, DEPTH, 0),
  rows: layout(0, 0, DEPTH),
  planes: layout(HEIGHT, 0, DEPTH),
};

const options = (of: TexelLayout, change: Partial<TextureOptions> = {}): TextureOptions => ({
  resource: "array",
  layout: of,
  addressModes: [1, 1, 1],
  filter: "point",
  readsIntegers: true,
  isNormalized: false,
  isCube: false,
  isSeamless: false,
  border: [0, 0, 0, 0],
  convertsSrgb: false,
  levels: undefined,
  ...change,
});

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
  const numbers = Float32Array.from({ length: WIDTH * HEIGHT * DEPTH }, (_, index) => index);
  await machine.slice.write(TEXELS, new Uint8Array(numbers.buffer), undefined);
});
afterAll(async () => {
  await machine.slice.close();
});

/** Launches one thread of a kernel; returns the first numbers that it wrote. */
async function run(name: string, params: Uint8Array, count: number): Promise<number[]> {
  const module = await machine.slice.loadModule(fixture("textures"));
  const kernel = module.kernels.findIndex((each) => each.name === name);
  expect(module.kernels[kernel]!.paramBytes).toBe(params.byteLength);
  const one = [1, 1, 1] as const;
  await machine.slice.launch({ module, kernel, grid: one, block: one, sharedBytes: 0, params, stream: undefined });
  const numbers = new Float32Array(count);
  await machine.slice.read(OUT, new Uint8Array(numbers.buffer), undefined);
  return [...numbers];
}

it("fetches from every kind of texture", async () => {
  const cube = { isCube: true, isNormalized: true } as const;
  const textures = [
    options({ ...shapes.row, width: 64 }, { resource: "linear" }),
    options(shapes.row),
    options(shapes.plane),
    options(shapes.volume),
    options(shapes.rows),
    options(shapes.planes),
    options({ ...shapes.planes, layers: 6 }, cube),
    options(shapes.planes, cube),
  ].map((each) => machine.slice.createTexture!(each));
  const params = new DataView(new ArrayBuffer(88));
  for (const [index, { object }] of textures.entries()) params.setBigUint64(index * 8, BigInt(object), true);
  for (const [index, at] of [5.5, 3.25, 2.75].entries()) params.setFloat32(64 + index * 4, at, true);
  params.setInt32(76, 1, true);
  params.setBigUint64(80, BigInt(OUT), true);
  const numbers = await run("fetch_all", new Uint8Array(params.buffer), 14);
  const plane = 5 + 8 * 3;
  expect(numbers.slice(0, 6)).toEqual([5, 5, plane, plane + 64 * 2, 5 + 8, plane + 64]);
  // On the first face, s = -z and t = -y are a little below the middle; on the second of the second cube, s = z is a little above it.
  expect(numbers.slice(6, 8)).toEqual([3 + 8 * 3, 64 * 7 + 4 + 8 * 3]);
  expect(numbers.slice(8, 10)).toEqual([plane, plane + 64 * 2]);
  expect(numbers.slice(10)).toEqual([5 + 8 * 3, 6 + 8 * 3, 6 + 8 * 2, 5 + 8 * 2]);
});

it("reads and writes every kind of surface", async () => {
  const surfaces = Object.values(shapes).map((each) =>
    machine.slice.createSurface!({ layout: each, storesParts: false }),
  );
  const params = new DataView(new ArrayBuffer(72));
  for (const [index, { object }] of surfaces.entries()) params.setBigUint64(index * 8, BigInt(object), true);
  for (const [index, at] of [4, 3, 2, 7, 6, 5].entries()) params.setInt32(40 + index * 4, at, true);
  params.setBigUint64(64, BigInt(OUT), true);
  const numbers = await run("move_all", new Uint8Array(params.buffer), 6);
  expect(numbers).toEqual([4, 4 + 24, 4 + 24 + 128, 4 + 16, 4 + 24 + 128, 0]);
  const after = new Float32Array(WIDTH * HEIGHT * DEPTH);
  await machine.slice.read(TEXELS, new Uint8Array(after.buffer), undefined);
  const changed = new Map([...after.entries()].filter(([index, value]) => index !== value));
  // The last two are a pair that has changed places.
  const expected: [number, number][] = [
    [7, 4],
    [7 + 48, 28],
    [7 + 48 + 64 * 5, 156],
    [7 + 8 * 5, 20],
    [4 + 24, 29],
    [5 + 24, 28],
  ];
  expect(changed).toEqual(new Map(expected.sort(([a], [b]) => a - b)));
});
