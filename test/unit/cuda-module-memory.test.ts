/** What modules take of a card: from the lease's allowance, then from what is free of its slice, and never from anybody else. Over the stand-in. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { overheadOf } from "../../server/device/cuda/overhead.ts";
import type { DeviceDescription, DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { allocate, stackLimit } from "../../server/executor/memory-calls.ts";
import { imageWrite, moduleKeeper, moduleLoadCached } from "../../server/executor/module-calls.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { ModuleLoadCachedAnswer } from "../../shared/generated/calls.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { isAll } from "../support/is-all.ts";
import { isZeroed } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const BYTES = 512 * MiB;
/** Of the stand-in: its context. */
const CONTEXT_BYTES = 96 * MiB;
const refused = { code: "OUT_OF_MEMORY" };
/** Of the driver. */
const OUT_OF_MEMORY = 2;
const INVALID_PTX = 218;

let work: Workspace;
const device = (): DeviceSlice => work.slice(0).device;
const used = async (): Promise<number> => {
  const [description] = (await cudaDriver.discover("0")) as [DeviceDescription];
  return (await cudaDriver.health!([description]))[0]!.memoryUsedBytes!;
};
const load = async (mebibytes: number): Promise<DeviceModule> =>
  device().loadModule(Buffer.from(`${knownKernels}\n.global .align 4 .b8 large[${mebibytes}][1024][1024];\n`));
const take = async (offset: number, byteCount: number): Promise<void> =>
  allocate(work, { address: ARENA_BASE + offset, byteCount });
async function bytesAt(offset: number, byteCount: number): Promise<Uint8Array> {
  const into = new Uint8Array(byteCount);
  await device().read(ARENA_BASE + offset, into, undefined);
  return into;
}

describe.skipIf(standinMissing !== undefined)("the modules of a lease on a CUDA device", () => {
  beforeEach(async () => {
    standin.clear();
    const [description] = (await cudaDriver.discover("0")) as [DeviceDescription];
    const options = { kernelTimeoutMs: 0, onOutput: () => undefined };
    work = new Workspace([{ description, arenaBytes: BYTES, arenaBase: ARENA_BASE }], (assignment, usedBytes) =>
      cudaDriver.open({ ...assignment, ...options, usedBytes }),
    );
    await work.open(0);
  });

  afterEach(async () => {
    await work.close();
    expect(await used()).toBe(0);
    expect(standin.report(), "nothing is left on the device, and nothing was resized under work").toBe("");
  });

  it("are paid from what it has beside its slice first", async () => {
    await load(100);
    expect(device().reservedBytes).toBe(0);
    expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    await take(0, BYTES);
  });

  it("are paid from the free end of the slice beyond that, and buffers stay as they are", async () => {
    await take(0, 130 * MiB);
    await device().fill({ address: ARENA_BASE + 128 * MiB, count: 2 * MiB, width: 1, value: 7 }, undefined);
    for (let index = 0; index < 4; index++) await load(100);
    const reserved = device().reservedBytes!;
    expect(reserved).toBeGreaterThanOrEqual((400 - 152) * MiB);
    expect(reserved).toBeLessThan(BYTES - 130 * MiB);
    expect(await used()).toBe(CONTEXT_BYTES + BYTES - reserved);
    expect(isAll(await bytesAt(128 * MiB, 2 * MiB), 7)).toBe(true);
    await take(130 * MiB, BYTES - reserved - 130 * MiB);
    await expect(take(BYTES - reserved, 256)).rejects.toMatchObject(refused);
    await expect(load(200)).rejects.toMatchObject(refused);
    expect(device().reservedBytes).toBe(reserved);
  });

  it("are refused where the slice is in use to its end and nothing is left beside it, but for what is kept for streams and products", async () => {
    await take(0, BYTES);
    await load(100);
    await load(100);
    await expect(load(100)).rejects.toMatchObject(refused);
    expect(device().reservedBytes).toBe(0);
  });

  it("take nothing of the slice where the driver refuses them, since nobody is told of what they would have", async () => {
    await take(0, MiB);
    await device().fill({ address: ARENA_BASE, count: MiB, width: 1, value: 7 }, undefined);
    for (const refusal of [{ code: OUT_OF_MEMORY }, { code: INVALID_PTX }]) {
      standin.inject({ function: "cuModuleLoadDataEx", ...refusal });
      await expect(load(400)).rejects.toThrow(SluiceError);
      expect(device().reservedBytes).toBe(0);
      expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    }
    // What the driver holds on to comes back when somebody uses it.
    standin.inject({ function: "cuModuleLoadDataEx", code: INVALID_PTX });
    standin.inject({ function: "cuMemCreate", code: OUT_OF_MEMORY });
    await expect(load(400)).rejects.toMatchObject({ code: "BAD_IMAGE" });
    await take(MiB, BYTES - MiB);
    expect(isAll(await bytesAt(0, MiB), 7)).toBe(true);
    expect(await isZeroed(device(), { address: ARENA_BASE + MiB, byteCount: BYTES - MiB })).toBe(true);
  });

  it("take nothing of the slice where they have more kernels than an answer describes, and nothing of them is left", async () => {
    await take(0, MiB);
    await device().fill({ address: ARENA_BASE, count: MiB, width: 1, value: 7 }, undefined);
    const module = await load(300);
    expect(device().reservedBytes).toBeGreaterThan(0);
    const kernels = Array.from({ length: 1000 }, () => ({ name: "k".repeat(2000), params: [], refusal: "" }));
    Object.defineProperty(module, "kernels", { value: kernels });
    const keep = moduleKeeper(work, { module: 1, slice: work.slice(0), imageBytes: 1 });
    await expect((async () => keep(module))()).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect(device().reservedBytes).toBe(0);
    expect(await used()).toBe(CONTEXT_BYTES + BYTES);
    await take(MiB, BYTES - MiB);
    expect(isAll(await bytesAt(0, MiB), 7)).toBe(true);
    await load(150);
  });

  it("may be forbidden to take the slice's end, and are kept by the cache until they may", async () => {
    const kept: Uint8Array[] = [];
    const keep = async (piece: Uint8Array): Promise<void> => void kept.push(Uint8Array.from(piece));
    Object.assign(work, { cache: { keep, settled: async () => undefined } });
    const data = Buffer.from(`${knownKernels}\n.global .align 4 .b8 large[300][1024][1024];\n`);
    const ask = async (image: number, leavesEnd: number): Promise<ModuleLoadCachedAnswer> => {
      imageWrite(work, { image, totalBytes: data.byteLength, offset: 0, data });
      const named = { totalBytes: 0, hashes: new Uint8Array(0) };
      return moduleLoadCached(work, { module: image, image, device: 0, ...named, leavesEnd });
    };
    await expect(ask(1, 1)).rejects.toMatchObject(refused);
    expect([device().reservedBytes, Buffer.concat(kept).equals(data)]).toEqual([0, true]);
    expect((await ask(2, 0)).reservedBytes).toBeGreaterThan(0);
    // What is refused for another reason is not worth it.
    kept.length = 0;
    standin.inject({ function: "cuModuleLoadDataEx", code: INVALID_PTX });
    await expect(ask(3, 0)).rejects.toThrow(SluiceError);
    expect(kept).toEqual([]);
  });

  it("leave room for the streams and the products of a framework", async () => {
    await load(100);
    await load(200);
    for (let index = 0; index < 128; index++) device().createStream({ flags: 1, priority: 0 });
    expect(device().reservedBytes).toBeGreaterThan(0);
  });

  it("keep what they have when stacks change, and when the slice does", async () => {
    await load(100);
    await load(100);
    const reserved = device().reservedBytes!;
    const { reservedBytes } = await stackLimit(work, { device: 0, threadBytes: 32_768 });
    expect(reservedBytes).toBeGreaterThan(reserved);
    expect(await stackLimit(work, { device: 0, threadBytes: 0 })).toEqual({ reservedBytes: reserved });
    expect(await used()).toBe(CONTEXT_BYTES + BYTES - reserved);
    await expect(take(BYTES - reserved, 256)).rejects.toMatchObject(refused);
    await work.resize(0, BYTES + 64 * MiB);
    expect(device().reservedBytes).toBe(reserved);
    await expect(work.resize(0, reserved)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await used()).toBe(CONTEXT_BYTES + BYTES + 64 * MiB - reserved);
    await take(0, BYTES + 64 * MiB - reserved);
  });

  describe("of which some have a part of the slice, when the lease is suspended", () => {
    let folder: string;
    let others = 0;
    /** Whoever else is on the card has all of it but so much. */
    const leave = async (byteCount: number): Promise<void> => {
      const [description] = (await cudaDriver.discover("0")) as [DeviceDescription];
      const more = description.memoryBytes - (await used()) - byteCount;
      standin.occupy(0, more);
      others += more;
    };
    const own = async (): Promise<number> => (await used()) - others;
    /** Writes to a variable of a module, which kernels find where it is. */
    const store = async (module: DeviceModule, value: number): Promise<number> => {
      const { address } = module.globals.find(({ name }) => name === "large")!;
      await device().write(address, Uint8Array.of(value), undefined);
      return address;
    };
    const byteAt = async (address: number): Promise<number> => {
      const into = new Uint8Array(1);
      await device().read(address, into, undefined);
      return into[0]!;
    };

    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), "sluice-modules-"));
      process.env["SLUICE_STANDIN_MODULE_MEMORY"] = "1";
      others = 0;
      await take(0, MiB);
      await device().fill({ address: ARENA_BASE, count: MiB, width: 1, value: 5 }, undefined);
    });

    afterEach(() => {
      delete process.env["SLUICE_STANDIN_MODULE_MEMORY"];
      standin.occupy(0, -others);
      rmSync(folder, { recursive: true });
    });

    it("keep that part and their values at their addresses, and all else of it is others' to the byte", async () => {
      const charged = BYTES + overheadOf(CONTEXT_BYTES, 2 * MiB);
      await leave(charged - (await used()));
      const modules = [await load(100), await load(100), await load(120)];
      for (const [index, module] of modules.entries()) await store(module, index + 1);
      for (let round = 0; round < 2; round++) {
        expect(await own()).toBeLessThanOrEqual(charged);
        await work.park(folder);
        const [keptBytes] = work.keptBytes;
        expect(keptBytes).toBe(device().reservedBytes);
        const heldBytes = charged - BYTES + keptBytes!;
        expect(await own()).toBeGreaterThanOrEqual(CONTEXT_BYTES + 320 * MiB);
        expect(await own()).toBeLessThanOrEqual(heldBytes);
        // Somebody has all that the lease does not hold, and then a granule of it.
        await leave(0);
        await expect(work.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
        standin.occupy(0, -(BYTES - keptBytes!) + 2 * MiB);
        await expect(work.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
        standin.occupy(0, -2 * MiB);
        others -= BYTES - keptBytes!;
        expect(work.keptBytes).toEqual([keptBytes]);
        await work.unpark();
        for (const [index, module] of modules.entries())
          expect(await byteAt(module.globals.find(({ name }) => name === "large")!.address)).toBe(index + 1);
        expect(isAll(await bytesAt(0, MiB), 5)).toBe(true);
      }
    });

    it("go on to grow, and so does the slice, behind it", async () => {
      await load(100);
      await load(100);
      await work.park(folder);
      await work.unpark();
      const reserved = device().reservedBytes!;
      await load(100);
      expect(device().reservedBytes).toBeGreaterThan(reserved);
      await work.resize(0, BYTES + 32 * MiB);
      await work.park(folder);
      expect(work.keptBytes).toEqual([device().reservedBytes]);
      await work.unpark();
      await work.resize(0, BYTES);
      await take(MiB, BYTES - MiB - device().reservedBytes!);
      expect(isAll(await bytesAt(0, MiB), 5)).toBe(true);
    });

    it("share the rest with stacks, which go and come back", async () => {
      await load(200);
      const modulesBytes = device().reservedBytes!;
      const { reservedBytes } = await stackLimit(work, { device: 0, threadBytes: 32_768 });
      const taken = await used();
      await work.park(folder);
      expect(work.keptBytes).toEqual([modulesBytes]);
      expect(reservedBytes).toBeGreaterThan(modulesBytes);
      expect((await used()) - CONTEXT_BYTES - 200 * MiB).toBeLessThan(4096);
      await work.unpark();
      expect(await used()).toBe(taken);
      expect(await stackLimit(work, { device: 0, threadBytes: 32_768 })).toEqual({ reservedBytes });
    });

    it("are away as before where there is room for the slice again and not for the stacks beside it", async () => {
      await load(200);
      await stackLimit(work, { device: 0, threadBytes: 65_536 });
      const taken = await used();
      await work.park(folder);
      const parked = await used();
      await leave(taken - parked - 2 * MiB);
      for (let count = 0; count < 2; count++) {
        await expect(work.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
        expect(await own()).toBe(parked);
      }
      standin.occupy(0, -2 * MiB);
      others -= 2 * MiB;
      await work.unpark();
      expect(await own()).toBe(taken);
      expect(isAll(await bytesAt(0, MiB), 5)).toBe(true);
    });

    it("run on as before where what buffers hold cannot be saved", async () => {
      const module = await load(200);
      const address = await store(module, 9);
      const taken = await used();
      await expect(work.park(join(folder, "none\0"))).rejects.toMatchObject({ code: "STORE_FAILED" });
      standin.inject({ function: "cuMemcpyDtoHAsync_v2", code: OUT_OF_MEMORY });
      await expect(work.park(folder)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
      expect([await used(), await byteAt(address)]).toEqual([taken, 9]);
      expect(isAll(await bytesAt(0, MiB), 5)).toBe(true);
      await load(100);
    });

    it("go with it where it ends meanwhile", async () => {
      await load(200);
      await work.park(folder);
    });
  });
});
