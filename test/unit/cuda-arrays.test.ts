/** A GPU's own arrays over the stand-in for the driver: in step with the memory that they stand for, charged, and gone with their last user. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Box, boxesOf } from "../../server/device/cuda/array.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceImage, DeviceModule, DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import { nextLevel, type TexelLayout, texelBytes } from "../../server/device/texel.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { arrayKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { texture as textureOver } from "../kernels/texture-kernels.ts";

const MiB = 1024 * 1024;
const OUT = ARENA_BASE + 3 * MiB;

/** Texels of one word each, rows and planes close together. */
const words = (sizes: Partial<TexelLayout>): TexelLayout => {
  const { width = 8, height = 0 } = sizes;
  const common = { address: ARENA_BASE, format: 3, channels: 1, width, height, depth: 0, layers: 0 } as const;
  return { ...common, rowBytes: 4 * width, planeBytes: 4 * width * Math.max(1, height), ...sizes };
};

const volume = words({ width: 8, height: 4, depth: 3 });

describe.skipIf(standinMissing !== undefined)("an array of a CUDA device", () => {
  let slice: DeviceSlice;
  let kernels: DeviceModule;

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
    kernels = await slice.loadModule(Buffer.from(arrayKernels));
    await put(ARENA_BASE, ...Array.from({ length: 4096 }, (_, index) => index));
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report(), "nothing is left on the device, and nothing was misused").toBe("");
  });

  const bytesOf = (values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

  async function put(address: number, ...values: number[]): Promise<void> {
    await slice.write(address, bytesOf(values), undefined);
  }

  async function taken(address: number, count: number): Promise<number[]> {
    const values = new Uint32Array(count);
    await slice.read(address, new Uint8Array(values.buffer), undefined);
    return [...values];
  }

  async function launch(name: string, [object, ...numbers]: readonly number[], stream?: DeviceStream): Promise<void> {
    const kernel = kernels.kernels.findIndex((info) => info.name === name);
    const params = new DataView(new ArrayBuffer(kernels.kernels[kernel]!.paramBytes));
    params.setBigUint64(0, BigInt(object!), true);
    numbers.forEach((number, index) => {
      params.setUint32(8 + 4 * index, number, true);
    });
    if (name.startsWith("fetch")) params.setBigUint64(params.byteLength - 8, BigInt(OUT), true);
    const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0 } as const;
    await slice.launch({ module: kernels, kernel, ...shape, params: new Uint8Array(params.buffer), stream });
  }

  async function fetched({ object }: DeviceImage, [x, y = 0, z = 0, level = 0]: readonly number[]): Promise<number> {
    await launch("fetch_at", [object, x!, y, z, level]);
    return (await taken(OUT, 1))[0]!;
  }

  const store = ({ object }: DeviceImage, [x, y = 0, z = 0]: readonly number[], value: number): Promise<void> =>
    launch("store_texel", [object, x!, y, z, value]);

  it.each([
    ["one dimension", words({ width: 300 }), {}],
    ["three dimensions", volume, {}],
    ["layers of rows", words({ width: 8, layers: 5 }), {}],
    ["layers", words({ width: 8, height: 4, layers: 5 }), {}],
    ["a cube", words({ width: 8, height: 8, layers: 6 }), { isCube: true }],
    ["several cubes", words({ width: 8, height: 8, layers: 12 }), { isCube: true }],
    ["a cube named by a number", words({ width: 8, height: 8, layers: 6 }), { isCube: true, hasCubeLayers: true }],
    ["two dimensions", words({ width: 8, height: 4, rowBytes: 64 }), {}],
  ])("of %s shows kernels what memory holds", async (_name, layout, more) => {
    const texture = await slice.createTexture!(textureOver(layout, more));
    const z = Math.max(0, layout.depth + layout.layers - 1);
    const y = Math.max(0, layout.height - 1);
    const last = (z * layout.planeBytes + y * layout.rowBytes) / 4 + layout.width - 1;
    expect(await fetched(texture, [0])).toBe(0);
    expect(await fetched(texture, [layout.width - 1, y, z])).toBe(last);
    await put(ARENA_BASE + 4 * last, 77);
    expect(await fetched(texture, [layout.width - 1, y, z])).toBe(77);
    await slice.destroyTexture!(texture);
  });

  it("keeps what it has while the arena's memory is given back, and is in step again afterwards", async () => {
    const [surface, texture] = [
      await slice.createSurface!({ layout: volume, storesParts: false }),
      await slice.createTexture!(textureOver(volume)),
    ];
    await store(surface, [3, 2, 1], 55);
    const saved = new Uint8Array(4 * 4096);
    await slice.readAsIs!(ARENA_BASE, saved);
    await slice.releaseMemory!();
    await slice.retakeMemory!();
    await slice.writeAsIs!(ARENA_BASE, saved);
    await slice.synchronize();
    expect(await fetched(texture, [3, 2, 1])).toBe(55);
    expect(await taken(ARENA_BASE + volume.planeBytes + 2 * volume.rowBytes, 5)).toEqual([48, 49, 50, 55, 52]);
    await put(ARENA_BASE, 77);
    expect(await fetched(texture, [0, 0, 0])).toBe(77);
    await slice.destroyTexture!(texture);
    await slice.destroySurface!(surface);
  });

  it("of levels of detail shows each of them", async () => {
    const first = words({ width: 8, height: 8 });
    const place = (address: number, width: number) => ({ address, rowBytes: 4 * width, planeBytes: 4 * width * width });
    const second = nextLevel(first, place(ARENA_BASE + 256, 4));
    const further = [second, nextLevel(second, place(ARENA_BASE + 320, 2))];
    const levels = { further, filter: "point" as const, bias: 0, least: 0, most: 2 };
    const texture = await slice.createTexture!(textureOver(first, { isNormalized: true, levels }));
    expect(await fetched(texture, [7, 7, 0, 0])).toBe(63);
    expect(await fetched(texture, [3, 3, 0, 1])).toBe(64 + 15);
    await put(ARENA_BASE + 320, 1, 2, 3, 4);
    expect(await fetched(texture, [1, 1, 0, 2])).toBe(4);
    // A surface over one of its levels, which is an array of its own here.
    const surface = await slice.createSurface!({ layout: second, storesParts: false });
    await store(surface, [3, 3], 99);
    expect(await fetched(texture, [3, 3, 0, 1])).toBe(99);
    expect(await taken(ARENA_BASE + 256 + 60, 1)).toEqual([99]);
  });

  it("shows nothing of what its memory was before, in no texel", async () => {
    const layout = words({ width: 5, height: 3, depth: 2, rowBytes: 32, planeBytes: 4096, address: ARENA_BASE + MiB });
    const texture = await slice.createTexture!(textureOver(layout));
    for (let z = 0; z < 2; z++)
      for (let y = 0; y < 3; y++) for (let x = 0; x < 5; x++) expect(await fetched(texture, [x, y, z])).toBe(0);
  });

  it("follows copies, fills and copies on the device, whatever part of it they are of", async () => {
    const texture = await slice.createTexture!(textureOver(volume));
    // From within a row to within one of another plane.
    await put(ARENA_BASE + 4 * 13, ...Array.from({ length: 50 }, (_, index) => 1000 + index));
    expect(await fetched(texture, [5, 1, 0])).toBe(1000);
    expect(await fetched(texture, [6, 3, 1])).toBe(1049);
    expect(await fetched(texture, [7, 3, 1])).toBe(63);
    await slice.fill({ address: ARENA_BASE + 128, count: 3, width: 4, value: 5 }, undefined);
    expect([await fetched(texture, [2, 0, 1]), await fetched(texture, [3, 0, 1])]).toEqual([5, 1022]);
    await slice.copy({ destination: ARENA_BASE + 256, source: ARENA_BASE + 8192, byteCount: 128 }, undefined);
    expect(await fetched(texture, [7, 3, 2])).toBe(2048 + 31);
  });

  it("gives back what kernels store through a surface, to copies of every kind", async () => {
    const surface = await slice.createSurface!({ layout: volume, storesParts: false });
    await store(surface, [1, 2, 2], 42);
    expect(await taken(ARENA_BASE + 4 * 80, 3)).toEqual([80, 42, 82]);
    await store(surface, [2, 2, 2], 43);
    await slice.copy({ destination: OUT + 64, source: ARENA_BASE + 4 * 80, byteCount: 16 }, undefined);
    expect(await taken(OUT + 64, 4)).toEqual([80, 42, 43, 83]);
    // A texture over the same is over the same array.
    const texture = await slice.createTexture!(textureOver(volume));
    await store(surface, [3, 2, 2], 44);
    expect(await fetched(texture, [3, 2, 2])).toBe(44);
    // Half a texel that is written keeps the other half of what a kernel has stored.
    await store(surface, [0], 0x1111_2222);
    await slice.write(ARENA_BASE, Uint8Array.of(0x33, 0x33), undefined);
    expect(await fetched(texture, [0])).toBe(0x1111_3333);
    await slice.destroySurface!(surface);
    await slice.destroyTexture!(texture);
    expect(await taken(ARENA_BASE + 4 * 80, 4)).toEqual([80, 42, 43, 44]);
  });

  it("is seen by a texture over the same memory itself", async () => {
    const layout = words({ width: 8, height: 4, address: ARENA_BASE + 512, rowBytes: 32 });
    const rows = await slice.createTexture!(textureOver(layout, { resource: "rows" }));
    const surface = await slice.createSurface!({ layout, storesParts: false });
    await store(surface, [3, 2], 7);
    await launch("fetch_texel", [rows.object, 3, 2]);
    expect(await taken(OUT, 1)).toEqual([7]);
    await slice.destroyTexture!(rows);
  });

  it("has nothing to do with what comes where its memory was", async () => {
    const surface = await slice.createSurface!({ layout: volume, storesParts: false });
    await store(surface, [0], 5);
    slice.freed!(ARENA_BASE, 384);
    await put(ARENA_BASE, 8, 9);
    expect(await taken(ARENA_BASE, 2)).toEqual([8, 9]);
    await slice.destroySurface!(surface);
    expect(await taken(ARENA_BASE, 2)).toEqual([8, 9]);
  });

  it("follows writes in the order of their stream, however slow the device is", async () => {
    const texture = await slice.createTexture!(textureOver(volume));
    const [one, other] = [0, 1].map(() => slice.createStream({ flags: 1, priority: 0 }));
    standin.delay(3000);
    await slice.write(ARENA_BASE, bytesOf([500]), one);
    // Of another stream, and no reason for this one's write to be over.
    await launch("fetch_at", [texture.object, 1, 0, 0, 0], other);
    await launch("fetch_at", [texture.object, 0, 0, 0, 0], one);
    await slice.synchronizeStream(one);
    standin.delay(0);
    expect(await taken(OUT, 1)).toEqual([500]);
  });

  it("is taken from what the lease is charged for beside its slice, and given back", async () => {
    const layout = words({ width: 512, height: 512, layers: 1 });
    const textures: DeviceImage[] = [];
    // Each is another array; all of them are over the same memory.
    const create = async (address: number): Promise<void> => {
      textures.push(await slice.createTexture!(textureOver({ ...layout, address })));
    };
    const failure = async (): Promise<unknown> => {
      for (let index = 0; index < 1000; index++) {
        try {
          await create(ARENA_BASE + 4 * index);
        } catch (error) {
          return error;
        }
      }
      return undefined;
    };
    expect(await failure()).toMatchObject({ code: "OUT_OF_MEMORY" });
    // 256 MiB for all that is beside the slice, of which 8 are kernels' heap.
    expect(textures.length).toBe(248);
    await slice.destroyTexture!(textures.pop()!);
    await create(ARENA_BASE + 16_384);
    for (const texture of textures) await slice.destroyTexture!(texture);
  });

  it("is charged by an estimate where the driver does not tell its size", async () => {
    standin.inject({ function: "cuArrayGetMemoryRequirements", code: 801, count: -1 });
    const texture = await slice.createTexture!(textureOver(volume));
    expect(await fetched(texture, [1])).toBe(1);
  });

  it("that the device has no room for is refused, and costs the slice nothing", async () => {
    standin.inject({ function: "cuArray3DCreate_v2", code: 2, skip: 1 });
    await expect(slice.createTexture!(textureOver(volume))).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    const texture = await slice.createTexture!(textureOver(volume));
    expect(await fetched(texture, [1])).toBe(1);
  });

  it.each([
    ["more texels than a card takes", textureOver(words({ width: 131_073 }))],
    ["filtered whole numbers", textureOver(volume, { filter: "linear" })],
  ])("of %s is the driver's to refuse, and leaves nothing", async (_name, options) => {
    await expect(slice.createTexture!(options)).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
      details: { nativeName: "CUDA_ERROR_INVALID_VALUE" },
    });
  });

  it("can be wider for textures than surfaces allow", async () => {
    const texture = await slice.createTexture!(textureOver(words({ width: 100_000 })));
    expect(await fetched(texture, [4000])).toBe(4000);
    const wide = { layout: words({ width: 100_000 }), storesParts: false };
    await expect(slice.createSurface!(wide)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("of numbers that stand for parts of their largest is another than that of the same bytes", async () => {
    const layout = { ...words({ width: 8, height: 4 }), format: 1 as const, channels: 4 };
    const [parts, whole] = [
      await slice.createSurface!({ layout, storesParts: true }),
      await slice.createSurface!({ layout, storesParts: false }),
    ];
    await store(parts, [1], 6);
    expect(await taken(ARENA_BASE + 4, 1)).toEqual([0x0606_0606]);
    await slice.destroySurface!(parts);
    await slice.destroySurface!(whole);
  });

  it("that a faulting kernel leaves behind goes with its slice", async () => {
    const texture = await slice.createTexture!(textureOver(volume));
    await slice.createSurface!({ layout: volume, storesParts: false });
    await launch("fetch_at", [texture.object, 8, 0, 0, 0]);
    await expect((async () => slice.synchronize())()).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
  });
});

describe("the boxes of a range of memory", () => {
  it("have each texel of the range that is one, once, and no others", () => {
    const layouts = fc.record({
      width: fc.integer({ min: 1, max: 5 }),
      height: fc.integer({ min: 0, max: 4 }),
      planes: fc.integer({ min: 0, max: 4 }),
      rowGap: fc.integer({ min: 0, max: 2 }),
      planeGap: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(layouts, fc.nat(700), fc.nat(700), (sizes, a, b) => {
        const { width, height, planes, rowGap, planeGap } = sizes;
        const rowBytes = 4 * (width + rowGap);
        const planeBytes = rowBytes * Math.max(1, height) + 4 * planeGap;
        const layout = words({ width, height, layers: planes, rowBytes, planeBytes });
        const [start, end] = a < b ? [a, b] : [b, a + 1];
        const wanted = new Set<string>();
        for (let z = 0; z < Math.max(1, planes); z++)
          for (let y = 0; y < Math.max(1, height); y++)
            for (let x = 0; x < width; x++) {
              const at = (planes > 1 ? z * planeBytes : 0) + (height > 1 ? y * rowBytes : 0) + 4 * x;
              if (at < end && at + 4 > start) wanted.add(`${x},${y},${z}`);
            }
        const seen: string[] = [];
        for (const box of boxesOf(layout, { start, end })) seen.push(...texelsOf(box, layout));
        expect(new Set(seen)).toEqual(wanted);
        expect(seen.length).toBe(wanted.size);
      }),
      { numRuns: 3000 },
    );
  });

  const texelsOf = (box: Box, layout: TexelLayout): string[] => {
    const texel = texelBytes(layout);
    const found: string[] = [];
    for (let z = 0; z < box.depth; z++)
      for (let y = 0; y < box.height; y++)
        for (let x = 0; x < box.widthBytes / texel; x++) found.push(`${box.x / texel + x},${box.y + y},${box.z + z}`);
    return found;
  };
});
