/** What kernels' threads take of a card: from the lease's allowance, then from what is free of its slice, and never from anybody else. Over the stand-in. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { overheadOf } from "../../server/device/cuda/overhead.ts";
import type { DeviceDescription, DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { allocate, free, stackLimit } from "../../server/executor/memory-calls.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { failureOf } from "../support/failures.ts";
import { isAll } from "../support/is-all.ts";
import { isZeroed } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const BYTES = 400 * MiB;
const OUT_OF_MEMORY = 2;
/** What a lease on the stand-in is charged for beside its slice, a context of which is measured. */
const OVERHEAD_BYTES = overheadOf(96 * MiB, 2 * MiB);
/** Of the stand-in: what a context takes, and what the threads of the kernel `ample` take beyond that. */
const CONTEXT_BYTES = 96 * MiB;
const AMPLE_BYTES = (65_536 - 1024) * 4 * 2048;
const kernels = Buffer.from(
  `${knownKernels}\n.visible .entry roomy() { ret; }\n.visible .entry ample() { ret; }\n.visible .entry recurse(.param .u32 bytes) { ret; }\n`,
);

let description: DeviceDescription;
let work: Workspace;
let others = 0;

const used = async (): Promise<number> => (await cudaDriver.health!([description]))[0]!.memoryUsedBytes! - others;
const device = (index = 0): DeviceSlice => work.slice(index).device;

/** Whoever else is on the card has all that the lease is not charged for. */
function fillCard(charged: number): void {
  others = description.memoryBytes - charged;
  standin.occupy(0, others);
}

async function openWork(sizes: readonly number[]): Promise<void> {
  const assignments = sizes.map((arenaBytes, index) => ({
    description,
    arenaBytes,
    arenaBase: ARENA_BASE + index * ARENA_STRIDE_BYTES,
  }));
  const options = { kernelTimeoutMs: 0, onOutput: () => undefined };
  work = new Workspace(assignments, (assignment, usedBytes) =>
    cudaDriver.open({ ...assignment, ...options, usedBytes }),
  );
  for (const index of sizes.keys()) await work.open(index);
}

async function run(module: DeviceModule, name: string, index = 0, params = new Uint8Array(0)): Promise<void> {
  const kernel = module.kernels.findIndex((each) => each.name === name);
  const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0 } as const;
  await device(index).launch({ module, kernel, ...shape, params, stream: undefined });
}

const at = (offset: number): number => ARENA_BASE + offset;
const take = async (offset: number, byteCount: number): Promise<void> =>
  allocate(work, { address: at(offset), byteCount });

async function bytesAt(offset: number, byteCount: number): Promise<Uint8Array> {
  const into = new Uint8Array(byteCount);
  await device().read(at(offset), into, undefined);
  return into;
}

describe.skipIf(standinMissing !== undefined)("the local memory of a lease's kernels on a CUDA device", () => {
  let module: DeviceModule;

  beforeEach(async () => {
    standin.clear();
    [description] = (await cudaDriver.discover("0")) as [DeviceDescription];
    others = 0;
    await openWork([BYTES]);
    // All below has to do with what the lease is charged for, to the byte.
    fillCard(BYTES + OVERHEAD_BYTES);
    module = await device().loadModule(kernels);
  });

  afterEach(async () => {
    await work.close();
    expect(await used()).toBe(0);
    standin.occupy(0, -others);
    expect(standin.report(), "nothing is left on the device, and nothing was resized under work").toBe("");
  });

  it("comes from its allowance first, without touching the slice", async () => {
    expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    await run(module, "roomy");
    expect(await used()).toBe(CONTEXT_BYTES + BYTES + (16_384 - 1024) * 4 * 2048);
  });

  it("comes from the free end of the slice beyond that, on a card that others fill", async () => {
    await take(0, 100 * MiB);
    await device().fill({ address: at(98 * MiB), count: 2 * MiB, width: 1, value: 7 }, undefined);
    await run(module, "ample");
    await device().synchronize();
    const taken = await used();
    expect(taken).toBeGreaterThanOrEqual(CONTEXT_BYTES + 100 * MiB + AMPLE_BYTES);
    expect(taken).toBeLessThanOrEqual(BYTES + OVERHEAD_BYTES);
    expect(isAll(await bytesAt(98 * MiB, 2 * MiB), 7)).toBe(true);
    // The same again, and less, costs nothing.
    await run(module, "ample");
    await run(module, "roomy");
    expect(await used()).toBe(taken);
  });

  it("goes back before a byte of the slice is used that it had: zero, and all of it", async () => {
    await run(module, "ample");
    await take(0, BYTES);
    expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    expect(await isZeroed(device(), { address: at(0), byteCount: BYTES })).toBe(true);
    await device().write(at(BYTES - 3), Uint8Array.of(1, 2, 3), undefined);
    expect([...(await bytesAt(BYTES - 3, 3))]).toEqual([1, 2, 3]);
    const error = await failureOf(() => run(module, "ample"));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toMatch(/\[ample\] wants \[65536\] bytes .* \[8192\] threads .*\[504MiB\].*\[248MiB\]/);
    free(work, { address: at(0) });
    await run(module, "ample");
  });

  it("stays where it is while what is allocated lies below", async () => {
    await run(module, "ample");
    const taken = await used();
    await take(64 * MiB, 32 * MiB);
    await device().write(at(64 * MiB), Uint8Array.of(5), undefined);
    expect(await used()).toBe(taken);
  });

  it("is never had from memory that is in use, and the smallest part of a piece is enough", async () => {
    // A little more than 260 MiB are wanted of 400, so that 138 MiB may be in use, which is within a piece.
    await take(0, 139 * MiB);
    expect((await failureOf(() => run(module, "ample"))).code).toBe("OUT_OF_MEMORY");
    expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    free(work, { address: at(0) });
    await take(0, 138 * MiB);
    const pattern = Uint8Array.from({ length: 10 * MiB }, (_, index) => (index * 2_654_435_761) >>> 24);
    await device().write(at(128 * MiB), pattern, undefined);
    await run(module, "ample");
    expect(Buffer.compare(await bytesAt(128 * MiB, 10 * MiB), pattern)).toBe(0);
    await take(138 * MiB, 1);
    expect(Buffer.compare(await bytesAt(128 * MiB, 10 * MiB), pattern)).toBe(0);
  });

  it("is what variables of modules have left, and they have what it leaves", async () => {
    const large = Buffer.from(`${knownKernels}\n.global .align 4 .b8 large[200][1024][1024];\n`);
    const variables = await device().loadModule(large);
    await take(0, 120 * MiB);
    expect((await failureOf(() => run(module, "ample"))).code).toBe("OUT_OF_MEMORY");
    await device().unloadModule(variables);
    await run(module, "ample");
    await device().loadModule(large);
    expect((await failureOf(() => run(module, "ample"))).code).toBe("OUT_OF_MEMORY");
  });

  it("waits for the work under way, and does not hold up the process meanwhile", async () => {
    const params = new Uint8Array(Uint32Array.of(60_000).buffer);
    let turns = 0;
    const timer = setInterval(() => turns++, 2);
    await run(module, "pause_for", 0, params);
    await run(module, "ample");
    await run(module, "pause_for", 0, params);
    await take(0, BYTES);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
  });

  it("that the driver refuses leaves the slice as it was", async () => {
    standin.inject({ function: "cuCtxSetLimit", code: OUT_OF_MEMORY });
    const error = await failureOf(() => run(module, "ample"));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.details.nativeName).toBe("CUDA_ERROR_OUT_OF_MEMORY");
    expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    await run(module, "ample");
    await take(0, BYTES);
  });

  it("that does not come back fails the allocation alone, which can be tried again", async () => {
    await take(0, 64 * MiB);
    await device().fill({ address: at(62 * MiB), count: 2 * MiB, width: 1, value: 3 }, undefined);
    await run(module, "ample");
    standin.inject({ function: "cuMemCreate", code: OUT_OF_MEMORY });
    expect((await failureOf(() => take(64 * MiB, BYTES - 64 * MiB))).code).toBe("OUT_OF_MEMORY");
    expect(() => work.within(at(64 * MiB), 1)).toThrow("not within one live allocation");
    await take(64 * MiB, BYTES - 64 * MiB);
    expect(isAll(await bytesAt(62 * MiB, 2 * MiB), 3)).toBe(true);
    expect(await isZeroed(device(), { address: at(64 * MiB), byteCount: BYTES - 64 * MiB })).toBe(true);
  });

  it("is no part of a lease that is suspended", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-local-"));
    try {
      await take(0, 8 * MiB);
      await device().fill({ address: at(0), count: 8 * MiB, width: 1, value: 9 }, undefined);
      await run(module, "ample");
      await work.park(folder);
      expect(await used()).toBe(CONTEXT_BYTES);
      await work.unpark();
      expect(await used()).toBe(CONTEXT_BYTES + BYTES);
      expect(isAll(await bytesAt(0, 8 * MiB), 9)).toBe(true);
      await run(module, "ample");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([BYTES - 100 * MiB, BYTES])("leaves room for the slice's new size of %i bytes", async (size) => {
    await run(module, "ample");
    await work.resize(0, size);
    expect(await used()).toBe(CONTEXT_BYTES + size);
    await take(0, size);
    expect(await isZeroed(device(), { address: at(0), byteCount: size })).toBe(true);
  });

  describe("as stacks of a size that the program sets", () => {
    const LARGE = 65_536;
    const recurse = (bytes: number): Promise<void> =>
      run(module, "recurse", 0, new Uint8Array(Uint32Array.of(bytes).buffer)).then(() => device().synchronize());
    const limit = (threadBytes: number) => stackLimit(work, { device: 0, threadBytes });

    it("is there as long, and what it takes of the slice is told and cannot be allocated", async () => {
      expect((await failureOf(() => limit(600_000))).code).toBe("OUT_OF_MEMORY");
      const { reservedBytes } = await limit(LARGE);
      expect(reservedBytes).toBeGreaterThanOrEqual(AMPLE_BYTES - 248 * MiB);
      expect(await used()).toBe(CONTEXT_BYTES + BYTES - reservedBytes + AMPLE_BYTES);
      await recurse(LARGE);
      await take(0, BYTES - reservedBytes);
      const error = await failureOf(() => take(BYTES - reservedBytes, 1));
      expect(error.code).toBe("OUT_OF_MEMORY");
      expect(error.message).toContain(
        "Modules and the stacks of kernels' threads have [262MiB] of the slice's [400MiB]",
      );
      await recurse(LARGE);
      expect(await isZeroed(device(), { address: at(0), byteCount: BYTES - reservedBytes })).toBe(true);
      free(work, { address: at(0) });
      expect(await limit(0)).toEqual({ reservedBytes: 0 });
      expect(await used()).toBe(CONTEXT_BYTES + BYTES);
      await take(0, BYTES);
    });

    it("is as it was where more is refused, by the slice or by the driver", async () => {
      const before = await limit(LARGE);
      const taken = await used();
      await take(0, 100 * MiB);
      expect((await failureOf(() => limit(LARGE + 8192))).code).toBe("OUT_OF_MEMORY");
      standin.inject({ function: "cuCtxSetLimit", code: 1, skip: 1 });
      expect((await failureOf(() => limit(32_768))).code).toBe("BAD_ARGUMENT");
      expect(await used()).toBe(taken);
      await recurse(LARGE);
      expect(await limit(LARGE)).toEqual(before);
    });

    it("waits for the work under way, and does not hold up the process meanwhile", async () => {
      const pause = new Uint8Array(Uint32Array.of(60_000).buffer);
      let turns = 0;
      const timer = setInterval(() => turns++, 2);
      for (const threadBytes of [LARGE, 16_384, 0]) {
        await run(module, "pause_for", 0, pause);
        await limit(threadBytes);
        expect(device().isBusy!()).toBe(false);
      }
      clearInterval(timer);
      expect(turns).toBeGreaterThan(5);
    });

    it("stays when a kernel that wanted more gives that back", async () => {
      const { reservedBytes } = await limit(16_384);
      expect(reservedBytes).toBe(0);
      const taken = await used();
      await run(module, "ample");
      await take(0, BYTES);
      expect(await used()).toBe(taken);
      await recurse(16_384);
    });

    it("is given back with a lease that is suspended, and is there when it comes back", async () => {
      const folder = mkdtempSync(join(tmpdir(), "sluice-local-"));
      try {
        const { reservedBytes } = await limit(LARGE);
        const taken = await used();
        await take(0, 8 * MiB);
        await device().fill({ address: at(0), count: 8 * MiB, width: 1, value: 9 }, undefined);
        for (let count = 0; count < 2; count++) {
          await work.park(folder);
          expect(await used()).toBe(CONTEXT_BYTES);
          await work.unpark();
          expect(await used()).toBe(taken);
        }
        await recurse(LARGE);
        expect(isAll(await bytesAt(0, 8 * MiB), 9)).toBe(true);
        await take(8 * MiB, BYTES - reservedBytes - 8 * MiB);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it("keeps its size while the slice changes its own, which leaves room for it", async () => {
      const { reservedBytes } = await limit(LARGE);
      await take(0, 64 * MiB);
      expect((await failureOf(() => work.resize(0, reservedBytes + 32 * MiB))).code).toBe("BAD_ARGUMENT");
      await work.resize(0, reservedBytes + 64 * MiB);
      await recurse(LARGE);
      await work.resize(0, BYTES);
      await recurse(LARGE);
      await take(64 * MiB, BYTES - reservedBytes - 64 * MiB);
    });
  });

  it("of a lease with two slices on the device goes back with both, and comes back", async () => {
    await work.close();
    await openWork([BYTES - 32 * MiB, 32 * MiB]);
    module = await device(0).loadModule(kernels);
    const { reservedBytes } = await stackLimit(work, { device: 0, threadBytes: 65_536 });
    const taken = await used();
    const folder = mkdtempSync(join(tmpdir(), "sluice-local-"));
    try {
      await work.park(folder);
      expect(await used()).toBe(CONTEXT_BYTES);
      await work.unpark();
      expect(await used()).toBe(taken);
      expect(await stackLimit(work, { device: 0, threadBytes: 65_536 })).toEqual({ reservedBytes });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is one for all slices of a lease on the device, and so is the allowance", async () => {
    await work.close();
    await openWork([BYTES / 2, BYTES / 2]);
    const [first, second] = [await device(0).loadModule(kernels), await device(1).loadModule(kernels)];
    await run(first, "roomy");
    const taken = await used();
    await run(second, "roomy", 1);
    expect(await used()).toBe(taken);
    const large = Buffer.from(`${knownKernels}\n.global .align 4 .b8 large[100][1024][1024];\n`);
    for (const index of [0, 1])
      await allocate(work, { address: ARENA_BASE + index * ARENA_STRIDE_BYTES, byteCount: BYTES / 2 });
    await device(0).loadModule(large);
    expect((await failureOf(() => device(1).loadModule(large))).code).toBe("OUT_OF_MEMORY");
  });
});
