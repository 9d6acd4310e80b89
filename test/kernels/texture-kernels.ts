/**
 * The kernels of test/kernels/cu/textures.cu, which fetch from textures of every kind and move texels of surfaces of every kind, on a slice: what they
 * give, beside what they must. For the cpu device and for real cards.
 */
import type { DeviceImage, DeviceSlice } from "../../server/device/device.ts";
import type { TexelLayout, TextureOptions } from "../../server/device/texel.ts";
import { fixture } from "./support.ts";

const [WIDTH, HEIGHT, DEPTH] = [8, 8, 12] as const;
const TEXELS = WIDTH * HEIGHT * DEPTH;
/** Each surface has memory of its own, at a multiple of what a card's textures want. */
const TEXELS_BYTES = 4096;

export interface Outcome {
  readonly actual: readonly number[];
  readonly wanted: readonly number[];
}

/** Texels that stand one behind the other. */
function layoutsAt(address: number) {
  const layout = (height: number, depth: number, layers: number): TexelLayout => {
    const rowBytes = WIDTH * 4;
    const planeBytes = height === 0 ? rowBytes : rowBytes * HEIGHT;
    return { address, format: 32, channels: 1, width: WIDTH, height, depth, layers, rowBytes, planeBytes };
  };
  return {
    row: layout(0, 0, 0),
    plane: layout(HEIGHT, 0, 0),
    volume: layout(HEIGHT, DEPTH, 0),
    rows: layout(0, 0, DEPTH),
    planes: layout(HEIGHT, 0, DEPTH),
  };
}

/** Reads texels as they are, with coordinates that are clamped. */
export const plainTexture: Omit<TextureOptions, "layout"> = {
  resource: "array",
  addressModes: [1, 1, 1],
  filter: "point",
  readsIntegers: true,
  isNormalized: false,
  isCube: false,
  isSeamless: false,
  border: [0, 0, 0, 0],
  convertsSrgb: false,
  levels: undefined,
};

export const texture = (layout: TexelLayout, change: Partial<TextureOptions> = {}): TextureOptions => ({
  ...plainTexture,
  layout,
  ...change,
});

/** A texel's number is its place: x + 8 y + 64 z. */
async function fill(slice: DeviceSlice, address: number): Promise<void> {
  const numbers = Float32Array.from({ length: TEXELS }, (_, index) => index);
  await slice.write(address, new Uint8Array(numbers.buffer), undefined);
}

async function numbersAt(slice: DeviceSlice, address: number, count: number): Promise<number[]> {
  const numbers = new Float32Array(count);
  await slice.read(address, new Uint8Array(numbers.buffer), undefined);
  return [...numbers];
}

/** One thread of a kernel. */
async function launch(slice: DeviceSlice, name: string, params: Uint8Array): Promise<void> {
  const module = await slice.loadModule(fixture("textures").slice());
  const kernel = module.kernels.findIndex((each) => each.name === name);
  const one = [1, 1, 1] as const;
  await slice.launch({ module, kernel, grid: one, block: one, sharedBytes: 0, params, stream: undefined });
  await slice.synchronize();
}

/** Lines, rows, planes, volumes, layers and cubes; gathered, by a level and by changes of coordinates too. */
export async function fetchFromAll(slice: DeviceSlice, base: number): Promise<Outcome> {
  const out = base + TEXELS_BYTES;
  await fill(slice, base);
  const { row, plane, volume, rows, planes } = layoutsAt(base);
  const cube = { isCube: true, isNormalized: true } as const;
  const wishes = [
    texture({ ...row, width: 64 }, { resource: "linear" }),
    ...[row, plane, volume, rows, planes].map((layout) => texture(layout)),
    texture({ ...planes, layers: 6 }, cube),
    texture(planes, cube),
  ];
  const textures: DeviceImage[] = [];
  for (const wish of wishes) textures.push(await slice.createTexture!(wish));
  const params = new DataView(new ArrayBuffer(88));
  for (const [index, { object }] of textures.entries()) params.setBigUint64(index * 8, BigInt(object), true);
  for (const [index, at] of [5.5, 3.25, 2.75].entries()) params.setFloat32(64 + index * 4, at, true);
  params.setInt32(76, 1, true);
  params.setBigUint64(80, BigInt(out), true);
  await launch(slice, "fetch_all", new Uint8Array(params.buffer));
  const actual = await numbersAt(slice, out, 14);
  for (const each of textures) await slice.destroyTexture!(each);
  const at = 5 + 8 * 3;
  // On the first face, s = -z and t = -y are a little below the middle; on the second of the second cube, s = z is a little above it.
  const faces = [3 + 8 * 3, 64 * 7 + 4 + 8 * 3];
  const corners = [5 + 8 * 3, 6 + 8 * 3, 6 + 8 * 2, 5 + 8 * 2];
  return { actual, wanted: [5, 5, at, at + 64 * 2, 5 + 8, at + 64, ...faces, at, at + 64 * 2, ...corners] };
}

/** What the kernel read; then of each surface the texels that changed, as place and number. */
export async function moveInAll(slice: DeviceSlice, base: number): Promise<Outcome> {
  const out = base + 6 * TEXELS_BYTES;
  const layouts = Object.values(layoutsAt(0)).map((layout, index) => ({
    ...layout,
    address: base + index * TEXELS_BYTES,
  }));
  const surfaces: DeviceImage[] = [];
  for (const layout of layouts) {
    await fill(slice, layout.address);
    surfaces.push(await slice.createSurface!({ layout, storesParts: false }));
  }
  const params = new DataView(new ArrayBuffer(72));
  for (const [index, { object }] of surfaces.entries()) params.setBigUint64(index * 8, BigInt(object), true);
  for (const [index, at] of [4, 3, 2, 7, 6, 5].entries()) params.setInt32(40 + index * 4, at, true);
  params.setBigUint64(64, BigInt(out), true);
  await launch(slice, "move_all", new Uint8Array(params.buffer));
  const actual = await numbersAt(slice, out, 6);
  for (const { address } of layouts) {
    const after = await numbersAt(slice, address, TEXELS);
    actual.push(...[...after.entries()].filter(([index, value]) => index !== value).flat());
  }
  for (const each of surfaces) await slice.destroySurface!(each);
  const read = [4, 4 + 24, 4 + 24 + 128, 4 + 16, 4 + 24 + 128, 0];
  // In the plane also a pair has changed places.
  const plane = [4 + 24, 29, 5 + 24, 28, 7 + 48, 28];
  return { actual, wanted: [...read, 7, 4, ...plane, 7 + 48 + 64 * 5, 156, 7 + 8 * 5, 20, 7 + 48 + 64 * 5, 156] };
}
