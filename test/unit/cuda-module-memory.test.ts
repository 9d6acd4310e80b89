/** What modules take of a card: from the lease's allowance, then from what is free of its slice, and never from anybody else. Over the stand-in. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription, DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { allocate, stackLimit } from "../../server/executor/memory-calls.ts";
import { moduleKeeper } from "../../server/executor/module-calls.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { isAll } from "../support/is-all.ts";

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
    await device().fill({ address: ARENA_BASE, count: 130 * MiB, width: 1, value: 7 }, undefined);
    for (let index = 0; index < 4; index++) await load(100);
    const reserved = device().reservedBytes!;
    expect(reserved).toBeGreaterThanOrEqual((400 - 152) * MiB);
    expect(reserved).toBeLessThan(BYTES - 130 * MiB);
    expect(await used()).toBe(CONTEXT_BYTES + BYTES - reserved);
    expect(isAll(await bytesAt(0, 130 * MiB), 7)).toBe(true);
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
    expect(isAll(await bytesAt(MiB, BYTES - MiB), 0)).toBe(true);
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

  it("hold a lease on the card that has them in its slice: it is not suspended, and computes on", async () => {
    await take(0, MiB);
    await device().fill({ address: ARENA_BASE, count: MiB, width: 1, value: 5 }, undefined);
    await load(100);
    await load(100);
    const folder = mkdtempSync(join(tmpdir(), "sluice-modules-"));
    try {
      await expect(work.park(folder)).rejects.toMatchObject({ code: "UNSUPPORTED" });
      expect(isAll(await bytesAt(0, MiB), 5)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
