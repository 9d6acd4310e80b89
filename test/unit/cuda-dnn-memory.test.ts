/** What cuDNN takes of a device beside a slice: it is the lease's, and never a neighbour's. And when there is no cuDNN, or it fails. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { BackendType, DnnStand, refers, tensor, word } from "../support/dnn.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const ARENA_BYTES = 256 * MiB;
const [X, Y] = [ARENA_BASE, ARENA_BASE + MiB];

let slice: DeviceSlice;
let usedBytes: number;
/** What happens on the machine while the library loads something. */
let during = (): void => undefined;

const failure = (code: string) => expect.objectContaining({ code });

/** A plan that copies from X to Y. */
async function copying(stand: DnnStand): Promise<number> {
  const same = await stand.describe(BackendType.POINTWISE, [word(0, 14, 21), word(1, 1, 0)]);
  const [x, y] = await Promise.all(
    [1, 2].map((uid) => stand.describe(BackendType.TENSOR, tensor({ uid, dims: [1, 4] }))),
  );
  const parts = [refers(750, same), refers(751, x!), refers(753, y!)];
  return (await stand.plan([await stand.describe(BackendType.POINTWISE_OPERATION, parts)], 1)).plan;
}

/** Has the lease nothing left beside its slice. */
function exhaust(): DeviceStream[] {
  const streams: DeviceStream[] = [];
  expect(() => {
    for (;;) streams.push(slice.createStream({ flags: 1, priority: 0 }));
  }).toThrow(failure("OUT_OF_MEMORY"));
  return streams;
}

const openStand = (): Promise<DnnStand> => DnnStand.open(slice, [ARENA_BASE, ARENA_BASE + ARENA_BYTES]);

describe.skipIf(standinMissing !== undefined)("cuDNN's own memory", () => {
  beforeEach(async () => {
    usedBytes = 8 * MiB;
    const longWork = <T>(work: () => T): T => {
      try {
        return work();
      } finally {
        during();
      }
    };
    slice = await openStandinSlice({ arenaBytes: ARENA_BYTES, usedBytes: () => usedBytes, longWork });
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.dnnObjects(), "cuDNN's objects are given back").toBe(0);
  });

  it("comes from what the lease has beside its slice, as long as there is some", async () => {
    const stand = await openStand();
    expect(await stand.run(await copying(stand), { 1: X, 2: Y })).toMatchObject({ status: 0 });
    expect(slice.reservedBytes).toBe(0);
    const reserved: number[] = [];
    for (let count = 0; count < 8; count++) {
      standin.inject({ function: "engine MiB", code: 24 });
      expect(await stand.run(await copying(stand), { 1: X, 2: Y })).toMatchObject({ status: 0 });
      reserved.push(slice.reservedBytes! / MiB);
    }
    // Of 256 MiB kernels' heap has 8, streams and products may need 96, the handle has 4 and the first plan 6.
    const beyond = (count: number): number => Math.max(0, 4 + 6 + 24 * count - (256 - 8 - 96));
    expect(reserved).toEqual(reserved.map((_, index) => beyond(index + 1)));
    expect(reserved.at(-1)).toBe(50);
  });

  it.each([
    ["is told", undefined, 6],
    ["is not told, as if all were the lease's", "3", 6 + 100],
  ])("is not mistaken for what others take meanwhile where NVML %s", async (_, refused, taken) => {
    const stand = await openStand();
    const plan = await copying(stand);
    if (refused !== undefined) process.env["SLUICE_STANDIN_NVML"] = refused;
    process.env["SLUICE_STANDIN_OTHERS"] = "0";
    during = () => {
      process.env["SLUICE_STANDIN_OTHERS"] = "100";
    };
    try {
      expect(await stand.run(plan, { 1: X, 2: Y })).toMatchObject({ status: 0 });
    } finally {
      delete process.env["SLUICE_STANDIN_NVML"];
      delete process.env["SLUICE_STANDIN_OTHERS"];
      during = () => undefined;
    }
    const before = exhaust();
    // Of 256 MiB kernels' heap has 8 and the handle 4; a stream takes half of one.
    expect(before.length).toBe(2 * (256 - 8 - 4 - taken));
    for (const stream of before) slice.destroyStream(stream);
  });

  it("comes from the slice's end then, by as much as it has taken", async () => {
    const stand = await openStand();
    const plan = await copying(stand);
    const streams = exhaust();
    await slice.write(X, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), undefined);
    // Without an answer nobody could be told: nothing is taken of the slice, and nothing is done.
    const run = (mayReserve: boolean) => stand.run(plan, { 1: X, 2: Y }, { mayReserve });
    expect(() => run(false)).toThrow(failure("OUT_OF_MEMORY"));
    expect(slice.reservedBytes).toBe(0);
    expect(await run(true)).toMatchObject({ status: 0 });
    // The plan's code, and what calls without an answer may need for the workspace of products.
    expect(slice.reservedBytes).toBe((6 + 32) * MiB);
    const into = new Float32Array(4);
    await slice.read(Y, new Uint8Array(into.buffer), undefined);
    expect([...into]).toEqual([1, 2, 3, 4]);
    // From then on its code is there.
    expect(await run(false)).toMatchObject({ status: 0 });
    expect(slice.reservedBytes).toBe((6 + 32) * MiB);
    for (const stream of streams) slice.destroyStream(stream);
  });

  it("is not taken where the slice's end is in use", async () => {
    const stand = await openStand();
    const plan = await copying(stand);
    const streams = exhaust();
    usedBytes = ARENA_BYTES - 80 * MiB;
    await expect(stand.run(plan, { 1: X, 2: Y })).rejects.toThrow(failure("OUT_OF_MEMORY"));
    await expect(copying(stand)).rejects.toThrow(failure("OUT_OF_MEMORY"));
    expect(slice.reservedBytes).toBe(0);
    usedBytes = 8 * MiB;
    expect(await stand.run(plan, { 1: X, 2: Y })).toMatchObject({ status: 0 });
    for (const stream of streams) slice.destroyStream(stream);
  });

  it("is not there for the library itself where there is no room", async () => {
    const streams = exhaust();
    usedBytes = ARENA_BYTES;
    await expect(openStand()).rejects.toThrow(failure("OUT_OF_MEMORY"));
    usedBytes = 8 * MiB;
    const stand = await openStand();
    expect(await stand.run(await copying(stand), { 1: X, 2: Y })).toMatchObject({ status: 0 });
    for (const stream of streams) slice.destroyStream(stream);
  });

  it.each([
    ["cudnnCreate", 4004, "OUT_OF_MEMORY"],
    ["cudnnCreate", 3005, "UNSUPPORTED"],
    ["cudnnCreate", 1001, "DEVICE_FAILED"],
  ])("tells when %s fails with %i, and opens the next time", async (name, code, expected) => {
    standin.inject({ function: name, code });
    await expect(openStand()).rejects.toThrow(failure(expected));
    const stand = await openStand();
    expect(stand.dnn.versions).toEqual({ version: 92_400, cudartVersion: 13_000, maxDeviceVersion: 1210 });
  });

  it("tells the driver's own error where a kernel has failed before it", async () => {
    const stand = await openStand();
    const plan = await copying(stand);
    standin.inject({ function: "cuStreamQuery", code: 700 });
    standin.inject({ function: "cudnnBackendExecute", code: 5000 });
    expect(() => stand.run(plan, { 1: X, 2: Y })).toThrow(failure("ILLEGAL_ADDRESS"));
    expect(slice.needsNewProcess).toBe(true);
    await slice.close();
    // What a broken context holds goes with its process.
    standin.release(0);
  });

  it.each([
    ["SLUICE_CUDNN_LIBRARY", "libcudnn-that-is-not-there.so", /no cuDNN \[libcudnn-that-is-not-there.so\]/],
    ["SLUICE_STANDIN_DNN", "80907:12010", /has the version \[80907\], not 9/],
    ["SLUICE_STANDIN_DNN", "92400:14000", /is for CUDA \[14000\], and the driver is for \[13000\]/],
  ])("is refused clearly with %s of %s", async (name, value, message) => {
    const before = process.env[name];
    process.env[name] = value;
    try {
      await expect(openStand()).rejects.toMatchObject({ code: "UNSUPPORTED", message: expect.stringMatching(message) });
    } finally {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    }
  });
});
