/** Addresses and devices of a session: an arena that is not where it was wanted, links between devices, time and broken devices. */
import { expect, test } from "vitest";
import type { DeviceDescription, DeviceSlice } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { allocate, copyOnDevice } from "../../server/executor/memory-calls.ts";
import { moduleKeeper } from "../../server/executor/module-calls.ts";
import { attach } from "../../server/executor/stream-calls.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES, MODULE_BYTES_MAX } from "../../shared/limits.ts";

const MiB = 1024 ** 2;
const ELSEWHERE = 0x7f12_3400_0000;
const [description] = (await nullDriver.discover("1x64MiB")) as [DeviceDescription];

/** A workspace of two slices; the second device differs from a null device in `second`. */
async function open(second: Partial<DeviceSlice>, wantedBase = ARENA_BASE + ARENA_STRIDE_BYTES): Promise<Workspace> {
  const assignments = [ARENA_BASE, wantedBase].map((arenaBase) => ({ description, arenaBytes: 16 * MiB, arenaBase }));
  const work = new Workspace(assignments, async (assignment) => {
    const isSecond = assignment === assignments[1];
    const arenaBase = isSecond ? (second.arenaBase ?? assignment.arenaBase) : assignment.arenaBase;
    const slice = await nullDriver.open({ ...assignment, arenaBase, kernelTimeoutMs: 0, onOutput: () => {} });
    return isSecond ? Object.assign(slice, second) : slice;
  });
  await attach(work, { device: 0 });
  await attach(work, { device: 1 });
  return work;
}

test("an arena that is not where it was wanted is told by attach and used", async () => {
  const work = await open({ arenaBase: ELSEWHERE });
  expect((await attach(work, { device: 1 })).arenaBase).toBe(ELSEWHERE);
  await allocate(work, { address: ELSEWHERE + 16 * MiB - 256, byteCount: 256 });
  expect(work.within(ELSEWHERE + 16 * MiB - 1, 1).index).toBe(1);
  for (const address of [ARENA_BASE + ARENA_STRIDE_BYTES, ELSEWHERE - 1, ELSEWHERE + 16 * MiB]) {
    expect(() => work.within(address, 1)).toThrow(expect.objectContaining({ code: "ADDRESS_OUTSIDE_ARENA" }));
  }
});

test("devices that are linked copy by themselves, others through this process", async () => {
  const asked: object[] = [];
  const other = ARENA_BASE + ARENA_STRIDE_BYTES;
  for (const isLinked of [true, false]) {
    const work = await open({
      copyFrom: (_, range) => {
        asked.push(range);
        return isLinked;
      },
    });
    await allocate(work, { address: ARENA_BASE, byteCount: 256 });
    await allocate(work, { address: other, byteCount: 256 });
    await work.slice(0).device.fill({ address: ARENA_BASE, count: 256, width: 1, value: 9 }, undefined);
    await copyOnDevice(work, { destination: other, source: ARENA_BASE, byteCount: 256, stream: 0 });
    const bytes = new Uint8Array(1);
    await work.slice(1).device.read(other + 255, bytes, undefined);
    // The link of this test moves nothing: bytes that arrive came through the process.
    expect(bytes[0]).toBe(isLinked ? 0 : 9);
  }
  expect(asked).toEqual(Array(2).fill({ destination: other, source: ARENA_BASE, byteCount: 256 }));
});

test("time is the devices' own only when all of them measure it", async () => {
  const work = await open({ deviceTimeMs: () => 7 });
  expect(work.deviceTimeMs()).toBeUndefined();
  Object.assign(work.slice(0).device, { deviceTimeMs: () => 5 });
  expect(work.deviceTimeMs()).toBe(12);
});

test("a device that is broken after its end asks for a new process", async () => {
  const whole = await open({});
  await whole.close();
  expect(whole.needsNewProcess).toBe(false);
  const broken = await open({ needsNewProcess: true });
  await broken.close();
  expect(broken.needsNewProcess).toBe(true);
});

test("nothing works on a session that is closed, also not a device that opens late", async () => {
  const work = await open({});
  await work.close();
  expect(() => work.slice(0)).toThrow(expect.objectContaining({ code: "NO_SUCH_DEVICE" }));
  await expect(work.open(0)).rejects.toMatchObject({ code: "CLOSED" });
});

test("a module with hundreds of kernels with C++'s long names is described, as large libraries have them", async () => {
  const work = await open({});
  const kernels = Array.from({ length: 1000 }, () => ({ name: "k".repeat(1500), params: [], refusal: "" }));
  const keep = moduleKeeper(work, { module: 1, slice: work.slice(0), imageBytes: 1 });
  expect((await keep({ kernels, globals: [] } as never)).kernels).toHaveLength(1000);
});

test("a module that no answer can describe is unloaded, and does not count among the session's", async () => {
  const work = await open({});
  const imageBytes = MODULE_BYTES_MAX / 2;
  const name = "k".repeat(2000);
  const kernels = Array.from({ length: 1000 }, () => ({ name, params: [], refusal: "" }));
  const unloaded: unknown[] = [];
  Object.assign(work.slice(0).device, { unloadModule: (...told: unknown[]) => unloaded.push(told) });
  for (const module of [1, 2, 3]) {
    const described = { module, kernels, globals: [] };
    const keep = moduleKeeper(work, { module, slice: work.slice(0), imageBytes });
    await expect((async () => keep(described as never))()).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect(unloaded.pop()).toEqual([described, true]);
  }
  expect(work.moduleBytes).toBe(0);
});
