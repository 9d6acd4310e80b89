/** The calls about textures and surfaces, as a session sees them: what they may be made over, and whose they are. */
import { beforeEach, describe, expect, it } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceDescription, DeviceSlice } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { layoutBytes, type SurfaceOptions, type TextureOptions } from "../../server/device/texel.ts";
import { allocate, free } from "../../server/executor/memory-calls.ts";
import { attach } from "../../server/executor/stream-calls.ts";
import { surfaceCreate, surfaceDestroy, textureCreate, textureDestroy } from "../../server/executor/texture-calls.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import type { SurfaceCreateCall, TextureCreateCall } from "../../shared/generated/calls.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { seeded } from "../kernels/support.ts";
import { codeOf } from "../support/failures.ts";

const MiB = 1024 ** 2;
const [description] = (await nullDriver.discover("1x64MiB")) as [DeviceDescription];

async function open(change: Partial<DeviceSlice> = {}): Promise<Workspace> {
  const assignments = [0, 1].map((index) => ({
    description,
    arenaBytes: 16 * MiB,
    arenaBase: ARENA_BASE + index * ARENA_STRIDE_BYTES,
  }));
  const work = new Workspace(assignments, async (assignment) =>
    Object.assign(await nullDriver.open({ ...assignment, kernelTimeoutMs: 0, onOutput: () => {} }), change),
  );
  await attach(work, { device: 0 });
  await attach(work, { device: 1 });
  return work;
}

const ROWS = ARENA_BASE + 4096;
const surface: SurfaceCreateCall = {
  surface: 1,
  address: ROWS,
  rowBytes: 64,
  planeBytes: 0,
  width: 16,
  height: 8,
  depth: 0,
  layers: 0,
  format: 32,
  channels: 1,
  flags: 0,
};
const { surface: _, flags: __, ...layout } = surface;
const texture: TextureCreateCall = {
  texture: 1,
  resource: 1,
  ...layout,
  addressModeX: 1,
  addressModeY: 1,
  addressModeZ: 1,
  filter: 0,
  flags: 1,
  borderX: 0,
  borderY: 0,
  borderZ: 0,
  borderW: 0,
  levelFilter: 0,
  levelBias: 0,
  levelLeast: 0,
  levelMost: 0,
  levels: [],
};

let work: Workspace;
beforeEach(async () => {
  work = await open();
  await allocate(work, { address: ROWS, byteCount: 8 * 64 });
});

describe("a texture", () => {
  it("gets a number for kernels that is not 0 and never comes again", async () => {
    const { object } = await textureCreate(work, texture);
    await textureDestroy(work, { texture: 1 });
    const again = await textureCreate(work, { ...texture, texture: 2 });
    expect(object).toBeGreaterThan(0);
    expect(again.object).not.toBe(object);
    expect((await surfaceCreate(work, surface)).object).not.toBe(again.object);
  });

  it("has another number on another device of the lease", async () => {
    const [cpu] = (await cpuDriver.discover("1x64MiB")) as [DeviceDescription];
    const objects = await Promise.all(
      [0, 1].map(async (index) => {
        const arenaBase = ARENA_BASE + index * ARENA_STRIDE_BYTES;
        const slice = await cpuDriver.open({
          description: cpu,
          arenaBytes: MiB,
          arenaBase,
          kernelTimeoutMs: 0,
          onOutput: () => {},
        });
        const own = new Workspace([{ description: cpu, arenaBytes: MiB, arenaBase }], async () => slice);
        await attach(own, { device: 0 });
        await allocate(own, { address: arenaBase, byteCount: 512 });
        const { object } = await textureCreate(own, { ...texture, address: arenaBase });
        await own.close();
        return object;
      }),
    );
    expect(objects[0]).not.toBe(objects[1]);
  });

  it("lies within one allocation, to its last row and not beyond", async () => {
    expect(await codeOf(() => textureCreate(work, { ...texture, height: 9 }))).toBe("NOT_ALLOCATED");
    expect(await codeOf(() => textureCreate(work, { ...texture, texture: 2, address: ROWS + 64 }))).toBe(
      "NOT_ALLOCATED",
    );
    expect(await codeOf(() => textureCreate(work, { ...texture, texture: 3, address: 0x1000 }))).toBe(
      "ADDRESS_OUTSIDE_ARENA",
    );
    expect(await codeOf(() => textureCreate(work, { ...texture, texture: 4, rowBytes: 128 }))).toBe("NOT_ALLOCATED");
    // The last row ends where its texels do.
    expect(await codeOf(() => textureCreate(work, { ...texture, texture: 5, rowBytes: 68, width: 4 }))).toBe("none");
    free(work, { address: ROWS });
    expect(await codeOf(() => textureCreate(work, { ...texture, texture: 6 }))).toBe("NOT_ALLOCATED");
    expect(await codeOf(() => textureDestroy(work, { texture: 6 }))).toBe("NO_SUCH_HANDLE");
  });

  it.each([
    ["of sizes whose product passes every number", { width: 2 ** 32 - 1, height: 2 ** 32 - 1, rowBytes: 2 ** 52 }],
    ["of planes that pass every number", { resource: 2, depth: 2 ** 32 - 1, planeBytes: 2 ** 52 }],
    ["of a width that passes the arena", { resource: 0, height: 0, width: 2 ** 32 - 1 }],
  ])("%s is outside", async (_name, change) => {
    expect(await codeOf(() => textureCreate(work, { ...texture, ...change }))).toMatch("ADDRESS_OUTSIDE_ARENA");
  });

  it.each([
    ["no such format", { format: 4 }],
    ["a format from a prototype", { format: Number.NaN }],
    ["three channels", { channels: 3 }],
    ["no width", { width: 0 }],
    ["rows that overlap", { rowBytes: 60 }],
    ["rows that split texels", { rowBytes: 66 }],
    ["a misaligned address", { address: ROWS + 2 }],
    ["planes that overlap", { resource: 2, depth: 2, height: 4, planeBytes: 128 }],
    ["planes and layers", { resource: 2, depth: 2, height: 2, layers: 2, planeBytes: 128 }],
    ["planes without rows", { resource: 2, depth: 2, height: 0, planeBytes: 128 }],
    ["no such resource", { resource: 3 }],
    ["a line of several rows", { resource: 0 }],
    ["rows of several planes", { depth: 2, height: 4, planeBytes: 256 }],
    ["no such filter", { filter: 2 }],
    ["no such address mode", { addressModeZ: 4 }],
    ["faces that are no squares", { resource: 2, flags: 5, layers: 6, height: 1, planeBytes: 64 }],
    ["five faces", { resource: 2, flags: 5, layers: 5, width: 1, height: 1, planeBytes: 64 }],
    ["edges to be filtered of what is no cube", { resource: 2, flags: 19 }],
    ["whole numbers to be filtered", { format: 1, filter: 1 }],
    ["whole numbers of 32 bits to be filtered", { format: 3, filter: 1, flags: 0 }],
  ])("with %s is refused, and its handle is used up", async (_name, change) => {
    expect(await codeOf(() => textureCreate(work, { ...texture, ...change }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(() => textureDestroy(work, { texture: 1 }))).toBe("NO_SUCH_HANDLE");
    expect(await codeOf(() => textureCreate(work, texture))).toBe("HANDLE_IN_USE");
  });

  it("that is destroyed is not there again", async () => {
    await textureCreate(work, texture);
    await textureDestroy(work, { texture: 1 });
    expect(await codeOf(() => textureDestroy(work, { texture: 1 }))).toBe("NO_SUCH_HANDLE");
    expect(await codeOf(() => surfaceDestroy(work, { surface: 1 }))).toBe("NO_SUCH_HANDLE");
  });
});

describe("levels of detail", () => {
  const LEVEL = ARENA_BASE + 65_536;
  const detailed: TextureCreateCall = {
    ...texture,
    resource: 2,
    flags: 3,
    levelMost: 3,
    // Of 16 by 8: 8 by 4, 4 by 2, 2 by 1, 1 by 1, close together.
    levels: [
      { address: LEVEL, rowBytes: 32, planeBytes: 128 },
      { address: LEVEL + 128, rowBytes: 16, planeBytes: 32 },
      { address: LEVEL + 160, rowBytes: 8, planeBytes: 8 },
      { address: LEVEL + 168, rowBytes: 4, planeBytes: 4 },
    ],
  };
  const changed = (level: number, change: object) => ({
    levels: detailed.levels.map((each, index) => (index === level ? { ...each, ...change } : each)),
  });
  beforeEach(() => allocate(work, { address: LEVEL, byteCount: 172 }));

  it("each lie within one allocation, of the same device", async () => {
    expect(await codeOf(() => textureCreate(work, detailed))).toBe("none");
    const last = detailed.levels[3]!;
    const further = (address: number) => changed(3, { ...last, address });
    const wrong = (change: object) => codeOf(() => textureCreate(work, { ...detailed, ...change }));
    expect(await wrong({ texture: 2, ...further(LEVEL + 172) })).toBe("NOT_ALLOCATED");
    expect(await wrong({ texture: 3, ...further(0x1000) })).toBe("ADDRESS_OUTSIDE_ARENA");
    const other = ARENA_BASE + ARENA_STRIDE_BYTES;
    await allocate(work, { address: other, byteCount: 4 });
    expect(await wrong({ texture: 4, ...further(other) })).toBe("BAD_ARGUMENT");
  });

  it.each([
    ["one level too many", { levels: [...detailed.levels, { address: LEVEL, rowBytes: 4, planeBytes: 4 }] }],
    ["a thousand levels", { levels: Array.from({ length: 1000 }, () => detailed.levels[3]!) }],
    ["rows that overlap", changed(0, { rowBytes: 28 })],
    ["rows that split texels", changed(0, { rowBytes: 34 })],
    ["a misaligned level", changed(2, { address: LEVEL + 2 })],
    ["rows of memory", { resource: 1 }],
    ["coordinates that count texels", { flags: 1 }],
    ["no such filter between levels", { levelFilter: 2 }],
    ["planes that overlap", { layers: 2, height: 4, planeBytes: 256, ...changed(0, { planeBytes: 60 }) }],
  ])("with %s are refused", async (_name, change) => {
    expect(await codeOf(() => textureCreate(work, { ...detailed, ...change }))).toBe("BAD_ARGUMENT");
  });

  it("pass every number where their rows do", async () => {
    const far = changed(0, { rowBytes: 2 ** 52 });
    expect(await codeOf(() => textureCreate(work, { ...detailed, ...far }))).toMatch("ADDRESS_OUTSIDE_ARENA");
  });
});

it("conversion from sRGB is of unsigned bytes that are read as parts of the largest", async () => {
  const bytes = { ...texture, format: 1, flags: 8 };
  expect(await codeOf(() => textureCreate(work, bytes))).toBe("none");
  expect(await codeOf(() => textureCreate(work, { ...bytes, texture: 2, flags: 9 }))).toBe("BAD_ARGUMENT");
  expect(await codeOf(() => textureCreate(work, { ...bytes, texture: 3, format: 2 }))).toBe("BAD_ARGUMENT");
  expect(await codeOf(() => textureCreate(work, { ...bytes, texture: 4, format: 32 }))).toBe("BAD_ARGUMENT");
});

it("whatever a client says of a texture or a surface, it is made within what is allocated, or refused by name", async () => {
  const { int } = seeded(20_261_126);
  const START = ARENA_BASE + 1_048_576;
  const BYTES = 4096;
  await allocate(work, { address: START, byteCount: BYTES });
  let made: TextureOptions | SurfaceOptions | undefined;
  const [slice] = [work.within(START, 1)];
  Object.assign(slice.device, {
    createTexture: (options: TextureOptions) => {
      made = options;
      return { object: 1 };
    },
    createSurface: (options: SurfaceOptions) => {
      made = options;
      return { object: 1 };
    },
  });
  const u32 = () => [0, 1, 2, 3, 4, 6, 8, 12, 16, 64, 2 ** 31, 2 ** 32 - 1][int(12)]!;
  const small = () => [0, 0, 1, 1, 2, 3, 4, 6, 7][int(9)]!;
  const u64 = () => [0, 4, 8, 16, 32, 64, 128, 256, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER][int(11)]!;
  const address = () => [START, START, START + 4 * int(64), START + BYTES - 8 * int(8), u64(), START - 4][int(6)]!;
  const size = () => (int(3) === 0 ? u32() : small());
  const allowed = ["BAD_ARGUMENT", "ADDRESS_OUTSIDE_ARENA", "NOT_ALLOCATED"];
  let good = 0;
  for (let round = 1; round <= 20_000; round++) {
    const shape = { address: address(), rowBytes: u64(), planeBytes: u64(), width: size(), height: size() };
    const rest = {
      depth: int(2) * size(),
      layers: int(2) * size(),
      format: [1, 2, 3, 8, 9, 10, 16, 32, u32()][int(9)]!,
    };
    const texels = { ...shape, ...rest, channels: [1, 1, 2, 4, u32()][int(5)]!, flags: int(3) === 0 ? u32() : int(4) };
    const levels = Array.from({ length: int(4) }, () => ({ address: address(), rowBytes: u64(), planeBytes: u64() }));
    const modes = {
      addressModeX: int(5),
      addressModeY: int(5),
      addressModeZ: int(5),
      filter: int(3),
      resource: int(4),
    };
    made = undefined;
    const code = await codeOf(() =>
      int(2) === 0
        ? surfaceCreate(work, { surface: round, ...texels })
        : textureCreate(work, { ...texture, ...modes, texture: round, ...texels, levels, levelFilter: int(3) }),
    );
    if (code !== "none") {
      expect(allowed).toContain(code);
      expect(made).toBeUndefined();
      continue;
    }
    good++;
    const { layout, ...others } = made!;
    const all = [layout, ...("levels" in others ? (others.levels?.further ?? []) : [])];
    for (const each of all) {
      expect(each.address).toBeGreaterThanOrEqual(START);
      expect(each.address + layoutBytes(each), JSON.stringify(each)).toBeLessThanOrEqual(START + BYTES);
      expect(each.width).toBeGreaterThan(0);
    }
  }
  expect(good).toBeGreaterThan(100);
});

describe("a surface", () => {
  it("lies within one allocation too", async () => {
    expect(await codeOf(() => surfaceCreate(work, { ...surface, height: 9 }))).toBe("NOT_ALLOCATED");
    expect(await codeOf(() => surfaceCreate(work, { ...surface, surface: 2, channels: 3 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(() => surfaceCreate(work, { ...surface, surface: 3, flags: 1 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(() => surfaceCreate(work, { ...surface, surface: 4, flags: 1, format: 9 }))).toBe("none");
    expect(await codeOf(() => surfaceCreate(work, { ...surface, surface: 5 }))).toBe("none");
    await surfaceDestroy(work, { surface: 5 });
    expect(await codeOf(() => surfaceDestroy(work, { surface: 5 }))).toBe("NO_SUCH_HANDLE");
  });
});

it("a device that has no textures says so by its kind", async () => {
  const without = await open({ createTexture: undefined, createSurface: undefined } as unknown as Partial<DeviceSlice>);
  await allocate(without, { address: ROWS, byteCount: 8 * 64 });
  expect(() => textureCreate(without, texture)).toThrow("A device of the kind [null] has no textures.");
  expect(() => surfaceCreate(without, surface)).toThrow("A device of the kind [null] has no surfaces.");
});
