/** Textures of a CUDA device over the stand-in for the driver: what is made, what is refused, and that nothing of it is left. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceSlice } from "../../server/device/device.ts";
import type { TextureOptions } from "../../server/device/texel.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { fetchingKernel } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";

const MiB = 1024 * 1024;
const OUT = ARENA_BASE + MiB;

const rows: TextureOptions = {
  resource: "rows",
  layout: {
    address: ARENA_BASE + 512,
    format: 3,
    channels: 2,
    width: 6,
    height: 4,
    depth: 0,
    layers: 0,
    rowBytes: 64,
    planeBytes: 0,
  },
  addressModes: [1, 1, 1],
  filter: "point",
  readsIntegers: true,
  isNormalized: false,
  convertsSrgb: false,
  levels: undefined,
  isCube: false,
  isSeamless: false,
  border: [0, 0, 0, 0],
};
const line: TextureOptions = { ...rows, resource: "linear", layout: { ...rows.layout, width: 32, height: 0 } };

describe.skipIf(standinMissing !== undefined)("a texture of a CUDA device", () => {
  let slice: DeviceSlice;

  beforeEach(async () => {
    standin.clear();
    const [description] = await cudaDriver.discover("");
    slice = await cudaDriver.open({
      description: description!,
      arenaBytes: 4 * MiB,
      arenaBase: ARENA_BASE,
      kernelTimeoutMs: 0,
      onOutput: () => undefined,
    });
    const words = Uint32Array.from({ length: 512 }, (_, index) => index);
    await slice.write(ARENA_BASE, new Uint8Array(words.buffer), undefined);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report(), "nothing is left on the device, and nothing was misused").toBe("");
  });

  async function fetched(object: number, x: number, y: number): Promise<number[]> {
    const module = await slice.loadModule(Buffer.from(fetchingKernel));
    const params = new DataView(new ArrayBuffer(24));
    params.setBigUint64(0, BigInt(object), true);
    params.setUint32(8, x, true);
    params.setUint32(12, y, true);
    params.setBigUint64(16, BigInt(OUT), true);
    await slice.launch({
      module,
      kernel: 0,
      grid: [1, 1, 1],
      block: [1, 1, 1],
      sharedBytes: 0,
      params: new Uint8Array(params.buffer),
      stream: undefined,
    });
    const words = new Uint32Array(4);
    await slice.read(OUT, new Uint8Array(words.buffer), undefined);
    return [...words];
  }

  it("over rows, or over a line, gives kernels what memory holds", async () => {
    const texture = await slice.createTexture!(rows);
    expect(await fetched(texture.object, 5, 3)).toEqual([128 + 48 + 10, 128 + 48 + 11, 0, 0]);
    const other = await slice.createTexture!(line);
    expect(other.object).not.toBe(texture.object);
    expect(await fetched(other.object, 7, 0)).toEqual([142, 143, 0, 0]);
    slice.destroyTexture!(texture);
  });

  it("ends with its slice where the session does not end it", () => {
    slice.createTexture!(rows);
    slice.createTexture!(line);
  });

  it("that is destroyed fails the kernel that uses it, and the slice with it", async () => {
    const texture = await slice.createTexture!(rows);
    slice.destroyTexture!(texture);
    await expect(fetched(texture.object, 0, 0)).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
    expect(() => slice.createTexture!(rows)).toThrow(expect.objectContaining({ code: "ILLEGAL_ADDRESS" }));
  });

  it.each([
    ["misaligned memory", { ...rows, layout: { ...rows.layout, address: ARENA_BASE + 8 } }],
    ["rows that the card's textures do not take", { ...rows, layout: { ...rows.layout, rowBytes: 56 } }],
    ["more rows than they take", { ...rows, layout: { ...rows.layout, height: 65_001, rowBytes: 32, width: 4 } }],
    ["filtered whole numbers", { ...rows, filter: "linear" as const }],
  ])("with %s is the driver's to refuse, and costs the slice nothing", async (_name, options) => {
    let error: unknown;
    try {
      slice.createTexture!(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: "BAD_ARGUMENT", details: { nativeName: "CUDA_ERROR_INVALID_VALUE" } });
    expect(await fetched((await slice.createTexture!(rows)).object, 0, 0)).toEqual([128, 129, 0, 0]);
  });

  it("for which the driver has no room says so", () => {
    standin.inject({ function: "cuTexObjectCreate", code: 2 });
    expect(() => slice.createTexture!(rows)).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
  });
});
