/** A slice of a GPU whose memory is given back and taken again while its session lives: content, exact bytes, arrays, and every step failing. Over the stand-in. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription, DeviceModule, DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { patterned } from "../support/device-stand.ts";

const MiB = 1024 * 1024;
/** Of more than one piece of the arena, the last of them a shorter one. */
const BYTES = 80 * MiB;
const pattern = patterned(3 * MiB + 20);
const places = [0, 62 * MiB, 76 * MiB];

let descriptions: DeviceDescription[];
let folder: string;
let work: Workspace;

const usedOn = async (index: number): Promise<number> =>
  (await cudaDriver.health!([descriptions[index]!]))[0]!.memoryUsedBytes!;
const used = (): Promise<number> => usedOn(0);
const device = (index = 0): DeviceSlice => work.slice(index).device;
const base = (index: number): number => ARENA_BASE + index * ARENA_STRIDE_BYTES;

async function fill(index: number): Promise<void> {
  const slice = await work.open(index);
  for (const at of places) {
    const address = base(index) + at;
    slice.allocations.add({ start: address, end: address + pattern.byteLength });
    await device(index).write(address, pattern, undefined);
  }
}

async function expectFilled(index: number): Promise<void> {
  for (const at of places) {
    const into = new Uint8Array(pattern.byteLength);
    await device(index).read(base(index) + at, into, undefined);
    expect(pattern.equals(into), `device ${index} at ${at}`).toBe(true);
  }
}

/** Launches the kernel that stores a word. */
async function store(
  module: DeviceModule,
  stream: DeviceStream,
  what: { address: number; value: number },
): Promise<void> {
  const kernel = module.kernels.findIndex(({ name }) => name === "store_at");
  const params = new DataView(new ArrayBuffer(module.kernels[kernel]!.paramBytes));
  params.setBigUint64(0, BigInt(what.address), true);
  params.setUint32(8, what.value, true);
  const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0 } as const;
  await device().launch({ module, kernel, ...shape, params: new Uint8Array(params.buffer), stream });
}

describe.skipIf(standinMissing !== undefined)("slices of CUDA devices whose lease is suspended", () => {
  beforeEach(async () => {
    standin.clear();
    folder = mkdtempSync(join(tmpdir(), "sluice-parking-"));
    descriptions = await cudaDriver.discover("");
    const assignments = [0, 1].map((index) => ({
      description: descriptions[index]!,
      arenaBytes: BYTES,
      arenaBase: base(index),
    }));
    work = new Workspace(assignments, (assignment, usedBytes) =>
      cudaDriver.open({ ...assignment, usedBytes, kernelTimeoutMs: 0, onOutput: () => undefined }),
    );
    await fill(0);
  });

  afterEach(async () => {
    await work.close();
    expect(standin.report(), "nothing is left on the device").toBe("");
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  it("give the card exactly their bytes, and have every byte again, at its address", async () => {
    await fill(1);
    const before = [await usedOn(0), await usedOn(1)];
    const saved = await work.park(folder);
    expect(saved).toBeGreaterThan(6 * pattern.byteLength);
    expect(saved).toBeLessThan(6 * pattern.byteLength + 4096);
    expect([await usedOn(0), await usedOn(1)]).toEqual(before.map((bytes) => bytes - BYTES));
    await work.unpark();
    expect([await usedOn(0), await usedOn(1)]).toEqual(before);
    await expectFilled(0);
    await expectFilled(1);
  });

  it("find zeros in what was free, whoever had the memory meanwhile", async () => {
    await device().write(ARENA_BASE + 30 * MiB, Uint8Array.of(9), undefined);
    await work.park(folder);
    await work.unpark();
    const into = new Uint8Array(20 * MiB).fill(1);
    await device().read(ARENA_BASE + 20 * MiB, into, undefined);
    expect(Buffer.compare(into, new Uint8Array(into.byteLength))).toBe(0);
  });

  it("keep their modules, streams and events, and run on", async () => {
    const slice = device();
    const module = (await slice.loadModule(Buffer.from(knownKernels))) as DeviceModule;
    const [stream, event] = [slice.createStream({ flags: 0, priority: 0 }), slice.createEvent(0)];
    slice.recordEvent(event, stream);
    await work.park(folder);
    expect(slice.isBusy!()).toBe(false);
    await work.unpark();
    expect(slice.queryEvent(event)).toBe(true);
    await store(module, stream, { address: ARENA_BASE + 62 * MiB, value: 1234 });
    await slice.synchronizeStream(stream);
    const word = new Uint32Array(1);
    await slice.read(ARENA_BASE + 62 * MiB, new Uint8Array(word.buffer), undefined);
    expect(word[0]).toBe(1234);
    await slice.unloadModule(module);
    slice.destroyEvent(event);
    slice.destroyStream(stream);
  });

  it("that another tenant has taken the memory of stay parked, and go on once it is there", async () => {
    const { memoryBytes } = descriptions[0]!;
    const before = await used();
    await work.park(folder);
    const taken = memoryBytes - (await used()) - 2 * MiB;
    standin.occupy(0, taken);
    for (let count = 0; count < 2; count++)
      await expect(work.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(await used()).toBe(before - BYTES + taken);
    standin.occupy(0, -taken);
    await work.unpark();
    expect(await used()).toBe(before);
    await expectFilled(0);
  });

  it.each([
    // The first device has two pieces, and so has the second.
    ["cuMemCreate", [0, 1, 3]],
    ["cuMemMap", [0, 1, 3]],
    ["cuMemSetAccess", [0, 1, 3]],
    ["cuMemsetD32Async", [0, 1]],
  ])("take nothing where %s fails, of any device, and lose nothing", async (name, skips) => {
    await fill(1);
    const before = [await usedOn(0), await usedOn(1)];
    await work.park(folder);
    for (const skip of skips) {
      standin.inject({ function: name, code: 2, skip });
      await expect(work.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
      standin.clear();
      expect([await usedOn(0), await usedOn(1)]).toEqual(before.map((bytes) => bytes - BYTES));
    }
    await work.unpark();
    await expectFilled(0);
    await expectFilled(1);
  });

  it("of which one has modules keep what those have there, and nothing else, whichever step fails on the other", async () => {
    const other = await work.open(1);
    other.allocations.add({ start: base(1), end: base(1) + pattern.byteLength });
    await device(1).write(base(1), pattern, undefined);
    const large = Buffer.from(`${knownKernels}\n.visible .global .align 4 .b8 large[190][1024][1024];\n`);
    const module = await device(1).loadModule(large);
    const { address } = module.globals.find(({ name }) => name === "large")!;
    const word = Uint8Array.of(1, 2, 3, 4);
    await device(1).write(address, word, undefined);
    const before = [await usedOn(0), await usedOn(1)];
    // What the first has is read in four pieces for each place.
    standin.inject({ function: "cuMemcpyDtoHAsync_v2", code: 2, skip: 12 });
    await expect(work.park(folder)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    standin.clear();
    expect([await usedOn(0), await usedOn(1)]).toEqual(before);
    await work.park(folder);
    const [none, kept] = work.keptBytes as [number, number];
    expect([none, kept % (2 * MiB)]).toEqual([0, 0]);
    expect(kept).toBeGreaterThan(0);
    const parked = before.map((bytes, index) => bytes - BYTES + work.keptBytes[index]!);
    expect([await usedOn(0), await usedOn(1)]).toEqual(parked);
    // The second's first piece is the third.
    standin.inject({ function: "cuMemCreate", code: 2, skip: 2 });
    await expect(work.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    standin.clear();
    expect([await usedOn(0), await usedOn(1)]).toEqual(parked);
    expect(work.keptBytes).toEqual([0, kept]);
    await work.unpark();
    expect([await usedOn(0), await usedOn(1)]).toEqual(before);
    await expectFilled(0);
    const [found, into] = [new Uint8Array(4), new Uint8Array(pattern.byteLength)];
    await device(1).read(address, found, undefined);
    await device(1).read(base(1), into, undefined);
    expect([found, pattern.equals(into)]).toEqual([word, true]);
  });

  it("whose memory cannot be read run on as before", async () => {
    const before = await used();
    standin.inject({ function: "cuMemcpyDtoHAsync_v2", code: 2, skip: 3 });
    await expect(work.park(folder)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    standin.clear();
    expect(await used()).toBe(before);
    await expectFilled(0);
  });

  it("change their size, and copy to each other, after it as before", async () => {
    await fill(1);
    const [source, destination, byteCount] = [base(0) + places[1]!, base(1) + 30 * MiB, pattern.byteLength];
    const copied = async (): Promise<void> => {
      expect(device(1).copyFrom!(device(0), { source, destination, byteCount }, undefined)).toBe(true);
      const into = new Uint8Array(byteCount);
      await device(1).read(destination, into, undefined);
      expect(pattern.equals(into)).toBe(true);
      await device(1).fill({ address: destination, count: byteCount, width: 1, value: 0 }, undefined);
    };
    await copied();
    await work.park(folder);
    await work.unpark();
    await copied();
    await work.resize(0, BYTES + 6 * MiB);
    await work.resize(0, BYTES);
    await expectFilled(0);
    await expectFilled(1);
  });

  it("move no memory that a copy of another device still reads", async () => {
    await fill(1);
    const [source, destination, byteCount] = [base(0) + places[1]!, base(1) + 30 * MiB, pattern.byteLength];
    work.slice(1).allocations.add({ start: destination, end: destination + byteCount });
    await work.resize(0, BYTES + 6 * MiB);
    for (const change of [() => work.resize(0, BYTES), () => work.park(folder)]) {
      standin.delay(10_000);
      expect(device(1).copyFrom!(device(0), { source, destination, byteCount }, undefined)).toBe(true);
      await change();
      standin.delay(0);
      await work.unpark();
      const into = new Uint8Array(byteCount);
      await device(1).read(destination, into, undefined);
      expect(pattern.equals(into)).toBe(true);
    }
  });

  it("end while they are parked, and leave nothing", async () => {
    await work.park(folder);
  });
});
