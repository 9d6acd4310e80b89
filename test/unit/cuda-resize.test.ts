/** A slice of a GPU that grows and shrinks while a session lives: content, zeros, exact bytes, and every step failing. Over the stand-in. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription, DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";

const MiB = 1024 * 1024;
/** Of more than one piece of the arena, the last of them a shorter one. */
const BYTES = 80 * MiB;
let description: DeviceDescription;
let slice: DeviceSlice;

const used = async (): Promise<number> => (await cudaDriver.health!([description]))[0]!.memoryUsedBytes!;

/** A word for each granule, which is different in each. */
async function mark(end: number): Promise<void> {
  for (let at = 0; at < end; at += 2 * MiB) {
    await slice.write(ARENA_BASE + at, new Uint8Array(Uint32Array.of(at + 1).buffer), undefined);
  }
}

async function words(from: number, end: number): Promise<number[]> {
  const found: number[] = [];
  for (let at = from; at < end; at += 2 * MiB) {
    const into = new Uint8Array(4);
    await slice.read(ARENA_BASE + at, into, undefined);
    found.push(new Uint32Array(into.buffer)[0]!);
  }
  return found;
}

const marks = (end: number): number[] => Array.from({ length: end / MiB / 2 }, (_, index) => index * 2 * MiB + 1);

describe.skipIf(standinMissing !== undefined)("a slice of a CUDA device that changes its size", () => {
  beforeEach(async () => {
    standin.clear();
    [description] = (await cudaDriver.discover("0")) as [DeviceDescription];
    slice = await cudaDriver.open({
      description,
      arenaBytes: BYTES,
      arenaBase: ARENA_BASE,
      kernelTimeoutMs: 0,
      onOutput: () => undefined,
    });
    await mark(BYTES);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report(), "nothing is left on the device").toBe("");
  });

  it("keeps what it had, finds zeros in what is new, and takes exactly its bytes of the card", async () => {
    const before = await used();
    await slice.resize!(BYTES + 6 * MiB);
    expect(await used()).toBe(before + 6 * MiB);
    expect(await words(0, BYTES)).toEqual(marks(BYTES));
    expect(await words(BYTES, BYTES + 6 * MiB)).toEqual([0, 0, 0]);
    // Through what is old and new at once.
    await slice.fill({ address: ARENA_BASE + BYTES - 4, count: 2, width: 4, value: 7 }, undefined);
    const into = new Uint32Array(2);
    await slice.read(ARENA_BASE + BYTES - 4, new Uint8Array(into.buffer), undefined);
    expect([...into]).toEqual([7, 7]);
  });

  it.each([BYTES - 2 * MiB, BYTES - 4 * MiB, 62 * MiB, 2 * MiB])(
    "keeps what lies below a size of %i bytes",
    async (size) => {
      const before = await used();
      await slice.resize!(size);
      expect(await used()).toBe(before - (BYTES - size));
      expect(await words(0, size)).toEqual(marks(size));
      await expect(async () => slice.read(ARENA_BASE + size, new Uint8Array(4), undefined)).rejects.toThrow();
    },
  );

  it("does not show again what was cut off", async () => {
    await slice.resize!(BYTES - 10 * MiB);
    await slice.resize!(BYTES);
    expect(await words(0, BYTES - 10 * MiB)).toEqual(marks(BYTES - 10 * MiB));
    expect(new Set(await words(BYTES - 10 * MiB, BYTES))).toEqual(new Set([0]));
  });

  it("waits for the work under way", async () => {
    standin.delay(5000);
    for (let round = 0; round < 5; round++) {
      void slice.fill({ address: ARENA_BASE, count: 1, width: 4, value: round + 100 }, undefined);
    }
    await slice.resize!(2 * MiB);
    standin.delay(0);
    expect(await words(0, 2 * MiB)).toEqual([104]);
  });

  it("takes no memory away while anything is under way behind the copies that save what stays", async () => {
    standin.delay(1000);
    await slice.resize!(smaller);
    standin.delay(0);
    expect(await words(0, smaller)).toEqual(marks(smaller));
  });

  it("does not reach with its kernels what was cut off", async () => {
    const module = await slice.loadModule(Buffer.from(knownKernels));
    await slice.resize!(2 * MiB);
    const view = new DataView(new ArrayBuffer(12));
    view.setBigUint64(0, BigInt(ARENA_BASE + 2 * MiB), true);
    const kernel = module.kernels.findIndex(({ name }) => name === "store_at");
    const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, stream: undefined } as const;
    await slice.launch({ module, kernel, ...shape, params: new Uint8Array(view.buffer) });
    await expect(async () => slice.synchronize()).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
  });

  it.each([
    ["beyond the card", 4096 * MiB, "OUT_OF_MEMORY"],
    ["of no whole granules", BYTES + 1, "BAD_ARGUMENT"],
    ["of nothing", 0, "BAD_ARGUMENT"],
  ])("refuses a size %s, and stays as it was", async (_, size, code) => {
    const before = await used();
    await expect(async () => slice.resize!(size)).rejects.toMatchObject({ code });
    expect(await used()).toBe(before);
    expect(await words(0, BYTES)).toEqual(marks(BYTES));
  });

  // Growing takes three pieces, and the second fails. Shrinking cuts the last piece.
  const [larger, smaller] = [BYTES + 160 * MiB, BYTES - 2 * MiB];
  it.each([
    ["cuMemCreate", 2, larger, 1],
    ["cuMemMap", 1, larger, 1],
    ["cuMemSetAccess", 1, larger, 1],
    ["cuMemsetD32Async", 1, larger, 0],
    ["cuMemcpyDtoHAsync_v2", 1, smaller, 0],
  ])("stays as it was when %s fails with %i on the way to %i bytes", async (name, code, size, skip) => {
    const before = await used();
    standin.inject({ function: name, code, skip });
    await expect(async () => slice.resize!(size)).rejects.toMatchObject({ details: { nativeCode: code } });
    expect(await used()).toBe(before);
    expect(await words(0, BYTES)).toEqual(marks(BYTES));
    await slice.resize!(size);
    expect(await words(0, Math.min(size, BYTES))).toEqual(marks(Math.min(size, BYTES)));
  });

  it("shrinks on a card that is full, and at no moment takes more of it than before", async () => {
    const others = 1024 * MiB - (await used());
    standin.occupy(0, others);
    try {
      await expect(async () => slice.resize!(BYTES + 2 * MiB)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
      await slice.resize!(smaller);
      expect(await used()).toBe(1024 * MiB - 2 * MiB);
      expect(await words(0, smaller)).toEqual(marks(smaller));
    } finally {
      standin.occupy(0, -others);
    }
  });

  it("is lost when the card has nothing for what stays after all", async () => {
    standin.inject({ function: "cuMemCreate", code: 2 });
    await expect(async () => slice.resize!(smaller)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    await expect(async () => slice.synchronize()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(slice.needsNewProcess).toBe(true);
  });

  it("is lost when what stays of a piece cannot come back to its place", async () => {
    standin.inject({ function: "cuMemMap", code: 1 });
    await expect(async () => slice.resize!(smaller)).rejects.toMatchObject({ details: { nativeCode: 1 } });
    await expect(async () => slice.synchronize()).rejects.toMatchObject({ details: { nativeCode: 1 } });
    expect(slice.needsNewProcess).toBe(true);
  });

  it("gives everything back when it is closed in the middle", async () => {
    standin.delay(5000);
    const resizing = Promise.resolve(slice.resize!(smaller)).catch(() => undefined);
    await slice.close();
    await resizing;
  });
});
