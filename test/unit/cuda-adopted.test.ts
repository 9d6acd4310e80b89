/**
 * Copies through page-locked memory that the executor fills or sends by itself: what it shares with a client, what it reads from the network to, and
 * what it sends from. Right also where the system does not allow to lock it.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceSlice } from "../../server/device/device.ts";
import { StagingFile } from "../../server/executor/staging-file.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";

const MiB = 1024 * 1024;

async function openSlice(device = 0): Promise<DeviceSlice> {
  const descriptions = await cudaDriver.discover("");
  return cudaDriver.open({
    description: descriptions[device]!,
    arenaBytes: 16 * MiB,
    arenaBase: ARENA_BASE + device * ARENA_STRIDE_BYTES,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
  });
}

/** As an executor copies what is in shared memory. */
const copyFrom = (slice: DeviceSlice, { address, part }: { address: number; part: Uint8Array }): void | Promise<void> =>
  slice.fetch!(address, part, undefined) ?? slice.write(address, part, undefined);

const pageLocked = (): number => Number(/hosts=(\d+)/.exec(standin.report())?.[1] ?? 0);

/** A pattern that fits no power of two, so that no part looks like another. */
const bytesOf = (seed: number): Uint8Array => Buffer.alloc(MiB, Buffer.of(seed, 1, 2, 3, 4, 5, 6));

describe.skipIf(standinMissing !== undefined)("memory that is shared with a client", () => {
  let file: StagingFile;

  beforeEach(() => {
    standin.clear();
    file = StagingFile.create()!;
  });
  afterEach(() => {
    standin.delay(0);
    file.close();
    expect(standin.report(), "nothing is left on the device, and nothing was misused").toBe("");
  });

  /** Writes from all of its parts and reads into them; whoever fills them may change them when a copy is said to be over. */
  async function copiesAreRight(slice: DeviceSlice): Promise<void> {
    slice.adopt!(file.bytes);
    for (let round = 0; round < 16; round++) {
      const part = file.part((round % 8) * MiB, MiB);
      part.set(bytesOf(round));
      await copyFrom(slice, { address: ARENA_BASE + round * MiB, part });
      part.fill(0);
    }
    for (let round = 0; round < 16; round++) {
      const part = file.part((round % 8) * MiB, MiB);
      await slice.read(ARENA_BASE + round * MiB, part, undefined);
      expect(Buffer.compare(part, bytesOf(round)), `${round}`).toBe(0);
    }
  }

  it("is page-locked once, and the device copies from and to it by itself", async () => {
    const slice = await openSlice();
    const before = pageLocked();
    standin.delay(200);
    await copiesAreRight(slice);
    await copiesAreRight(slice);
    expect(pageLocked()).toBe(before + 1);
    await slice.close();
  });

  it.each([
    ["memory that may be locked is short", 2],
    ["the system cannot do it", 801],
    ["another device of the lease has it", 712],
  ])("is copied as all other memory where %s", async (_, code) => {
    const slice = await openSlice();
    const before = pageLocked();
    standin.inject({ function: "cuMemHostRegister_v2", code, count: -1 });
    await copiesAreRight(slice);
    expect(pageLocked()).toBe(before);
    standin.clear();
    await slice.close();
  });

  it("may serve both devices of a lease", async () => {
    const [first, second] = [await openSlice(0), await openSlice(1)];
    first.adopt!(file.bytes);
    second.adopt!(file.bytes);
    const part = file.part(0, MiB);
    part.set(bytesOf(1));
    await copyFrom(second, { address: ARENA_BASE + ARENA_STRIDE_BYTES, part });
    await copyFrom(first, { address: ARENA_BASE, part });
    part.fill(0);
    for (const [slice, base] of [
      [first, ARENA_BASE],
      [second, ARENA_BASE + ARENA_STRIDE_BYTES],
    ] as const) {
      await slice.read(base, part, undefined);
      expect(Buffer.compare(part, bytesOf(1))).toBe(0);
    }
    await Promise.all([first.close(), second.close()]);
  });

  it("does not hold up calls behind a kernel: a copy that would have to wait is taken over at once", async () => {
    const slice = await openSlice();
    slice.adopt!(file.bytes);
    const module = await slice.loadModule(Buffer.from(knownKernels));
    const kernel = module.kernels.findIndex(({ name }) => name === "pause_for");
    const params = new Uint8Array(Uint32Array.of(300_000).buffer);
    const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0 } as const;
    await slice.launch({ module, kernel, ...shape, params, stream: undefined });
    const part = file.part(0, MiB);
    part.set(bytesOf(3));
    expect(slice.fetch!(ARENA_BASE, part, undefined)).toBeUndefined();
    expect(slice.write(ARENA_BASE, part, undefined)).toBeUndefined();
    part.fill(0);
    await slice.read(ARENA_BASE, part, undefined);
    expect(Buffer.compare(part, bytesOf(3))).toBe(0);
    await slice.close();
  });

  it("is let go with its slice, also behind a fault", async () => {
    const slice = await openSlice();
    slice.adopt!(file.bytes);
    standin.inject({ function: "cuMemcpyHtoDAsync_v2", code: 700 });
    const part = file.part(0, MiB);
    await expect((async () => copyFrom(slice, { address: ARENA_BASE, part }))()).rejects.toMatchObject({
      code: "ILLEGAL_ADDRESS",
    });
    await slice.close();
  });

  it("is fetched part by part with no wait in between, as long as nothing else is in the stream", async () => {
    const slice = await openSlice();
    slice.adopt!(file.bytes);
    standin.delay(50_000);
    const part = (index: number): Uint8Array => file.part(index * MiB, MiB);
    const fetches = [0, 1, 2].map((index) => {
      part(index).set(bytesOf(index));
      return slice.fetch!(ARENA_BASE + index * MiB, part(index), undefined);
    });
    expect(fetches.every((fetch) => fetch instanceof Promise)).toBe(true);
    // What the stream waits for may be far away.
    const event = slice.createEvent(0);
    slice.recordEvent(event, undefined);
    slice.waitEvent(undefined, event);
    expect(slice.fetch!(ARENA_BASE, part(3), undefined)).toBeUndefined();
    await slice.fill({ address: ARENA_BASE + 8 * MiB, count: 4, width: 1, value: 1 }, undefined);
    expect(slice.fetch!(ARENA_BASE, part(3), undefined)).toBeUndefined();
    for (const [index, fetch] of fetches.entries()) {
      await fetch;
      part(index).fill(0);
    }
    standin.delay(0);
    for (const index of [0, 1, 2]) {
      const read = new Uint8Array(MiB);
      await slice.read(ARENA_BASE + index * MiB, read, undefined);
      expect(Buffer.compare(read, bytesOf(index)), `${index}`).toBe(0);
    }
    await slice.close();
  });

  it("tells whoever waits for a fetch that it fails, and lets go of one at whose slice nobody is any more", async () => {
    const slice = await openSlice();
    slice.adopt!(file.bytes);
    standin.delay(30_000);
    const fetch = slice.fetch!(ARENA_BASE, file.part(0, MiB), undefined);
    await slice.close();
    await fetch;
    standin.delay(0);
    const other = await openSlice();
    other.adopt!(file.bytes);
    standin.inject({ function: "cuEventQuery", code: 700, count: -1 });
    await expect((async () => other.fetch!(ARENA_BASE, file.part(0, MiB), undefined))()).rejects.toMatchObject({
      code: "ILLEGAL_ADDRESS",
    });
    standin.clear();
    await other.close();
  });
});

describe.skipIf(standinMissing !== undefined)("memory that a copy's data is read to", () => {
  let slice: DeviceSlice;

  beforeEach(async () => {
    standin.clear();
    slice = await openSlice();
  });
  afterEach(async () => {
    standin.delay(0);
    await slice.close();
    expect(standin.report(), "nothing is left on the device, and nothing was misused").toBe("");
  });

  it("is fetched by the device, and not lent again before it has", async () => {
    standin.delay(100_000);
    const lent: Uint8Array[] = [];
    for (let place = slice.place!(ARENA_BASE, MiB); place !== undefined; place = slice.place!(ARENA_BASE, MiB)) {
      place.set(bytesOf(lent.length));
      expect(slice.write(ARENA_BASE + lent.length * MiB, place, undefined)).toBeUndefined();
      lent.push(place);
    }
    expect(lent.length).toBe(4);
    // What comes meanwhile takes the ring.
    const more = Buffer.from(bytesOf(9));
    await slice.write(ARENA_BASE + 4 * MiB, more, undefined);
    more.fill(0);
    standin.delay(0);
    await slice.synchronize();
    expect(slice.place!(ARENA_BASE, MiB)?.buffer).toBe(lent[0]!.buffer);
    for (const [index, seed] of [0, 1, 2, 3, 9].entries()) {
      const read = new Uint8Array(MiB);
      await slice.read(ARENA_BASE + index * MiB, read, undefined);
      expect(Buffer.compare(read, bytesOf(seed)), `${index}`).toBe(0);
    }
  });

  it("is lent again when the data never comes, whatever was copied meanwhile", async () => {
    const place = slice.place!(ARENA_BASE, MiB)!;
    place.fill(1, 0, 1000);
    const other = Buffer.from(bytesOf(4));
    for (let index = 0; index < 12; index++) await slice.write(ARENA_BASE + index * MiB, other, undefined);
    const next = slice.place!(ARENA_BASE + MiB, 70_000)!;
    expect([next.buffer, next.byteLength]).toEqual([place.buffer, 70_000]);
    next.set(bytesOf(5).subarray(0, 70_000));
    await slice.write(ARENA_BASE + MiB, next, undefined);
    const read = new Uint8Array(MiB);
    await slice.read(ARENA_BASE + MiB, read, undefined);
    expect(Buffer.compare(read.subarray(0, 70_000), bytesOf(5).subarray(0, 70_000))).toBe(0);
    expect(Buffer.compare(read.subarray(70_000), bytesOf(4).subarray(70_000))).toBe(0);
  });

  it("is none for more than a call's data, and none on a device that is lost", async () => {
    expect(slice.place!(ARENA_BASE, MiB + 8)).toBeUndefined();
    const place = slice.place!(ARENA_BASE, MiB)!;
    standin.inject({ function: "cuMemcpyHtoDAsync_v2", code: 700 });
    expect(() => slice.write(ARENA_BASE, place, undefined)).toThrow(/ILLEGAL_ADDRESS|illegal/i);
    await expect(
      (async () => slice.write(ARENA_BASE, slice.place!(ARENA_BASE, MiB)!, undefined))(),
    ).rejects.toMatchObject({
      code: "ILLEGAL_ADDRESS",
    });
  });
});
