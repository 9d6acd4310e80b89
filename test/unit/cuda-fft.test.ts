/** cuFFT of a slice: what a plan reaches is known to the byte before the library sees an address, and what plans take of the device is the lease's. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import { fft } from "../../shared/fft-functions.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { C_16F, C_32F, C_64F, type FftPlan, planOf, R_32F, R_64F, reachOf } from "../support/fft.ts";
import { arg, LibraryStand } from "../support/library.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const ARENA_BYTES = 80 * MiB;
const END = ARENA_BASE + ARENA_BYTES;
const [INPUT, OUTPUT, WORK] = [ARENA_BASE, ARENA_BASE + MiB, ARENA_BASE + 2 * MiB];

let slice: DeviceSlice;
let stand: LibraryStand;
let usedBytes: number;

/** A plan, and the size of its work area. */
async function made(plan: FftPlan): Promise<{ handle: number; workBytes: number }> {
  const handle = await stand.makeBy("cufftCreate");
  const { status, results } = await stand.call("cufftXtMakePlanMany", planOf(handle, plan));
  expect(status).toBe(0);
  return { handle, workBytes: Number(Buffer.from(results).readBigUInt64LE(0)) };
}

type Places = readonly [input: number, output: number, work: number];
const run = (
  handle: number,
  places: Places = [INPUT, OUTPUT, WORK],
  direction = -1,
  stream: DeviceStream | undefined = undefined,
) => stand.call("cufftXtExec", [...[handle, ...places].map(arg.u64), arg.i32(direction)], { stream });

describe.skipIf(standinMissing !== undefined)("cuFFT", () => {
  beforeEach(async () => {
    slice = await openStandinSlice({ arenaBytes: ARENA_BYTES, usedBytes: () => usedBytes });
    usedBytes = 8 * MiB;
    stand = await LibraryStand.of(fft, slice, [ARENA_BASE, END]);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.fftPlans(), "plans are given back").toBe(0);
  });

  it.each<[string, FftPlan]>([
    ["complex numbers", { n: [12], input: C_32F, output: C_32F }],
    ["a batch of them", { n: [6], input: C_64F, output: C_64F, batch: 5 }],
    ["three dimensions", { n: [4, 3, 5], input: C_32F, output: C_32F, batch: 2 }],
    ["half precision", { n: [8], input: C_16F, output: C_16F }],
    ["real numbers, even", { n: [3, 8], input: R_32F, output: C_32F, batch: 2 }],
    ["real numbers, odd", { n: [9], input: R_64F, output: C_64F }],
    ["real results", { n: [2, 7], input: C_64F, output: R_64F, batch: 3 }],
    [
      "columns of a matrix",
      {
        n: [5],
        input: C_32F,
        output: C_32F,
        batch: 4,
        layouts: [
          [[5], 7, 1],
          [[9], 1, 9],
        ],
      },
    ],
    [
      "a part of a larger block",
      {
        n: [3, 4],
        input: R_32F,
        output: C_32F,
        batch: 2,
        layouts: [
          [[8, 11], 3, 200],
          [[4, 6], 2, 50],
        ],
      },
    ],
    [
      "transforms that share their input",
      {
        n: [6],
        input: C_32F,
        output: C_32F,
        batch: 3,
        layouts: [
          [[6], 2, 0],
          [[6], 1, 6],
        ],
      },
    ],
  ])("is given no address from which %s reach further than there is memory", async (_, plan) => {
    const { handle, workBytes } = await made(plan);
    const sizes = [...reachOf(plan), workBytes];
    expect(await run(handle)).toMatchObject({ status: 0 });
    expect(stand.checked).toEqual([INPUT, OUTPUT, WORK].map((address, index) => [address, sizes[index]]));
    await slice.synchronize();
    for (const [index, size] of sizes.entries()) {
      const fits = [INPUT, OUTPUT, WORK].map((address, at) => (at === index ? END - size! : address));
      expect(await run(handle, fits as unknown as Places), "what just fits").toMatchObject({ status: 0 });
      await slice.synchronize();
      for (const wrong of [END - size! + 1, END, ARENA_BASE - 1, 0, 0x7fff_0000_1000, 2 ** 63]) {
        const places = [INPUT, OUTPUT, WORK].map((address, at) => (at === index ? wrong : address));
        expect(() => run(handle, places as unknown as Places), `${index} at ${wrong}`).toThrow("outside");
      }
    }
  });

  it("takes no plan whose reach is not known", async () => {
    const handle = await stand.makeBy("cufftCreate");
    const plan: FftPlan = {
      n: [8],
      input: C_32F,
      output: C_32F,
      layouts: [
        [[8], 1, 8],
        [[8], 1, 8],
      ],
    };
    const make = (...layouts: NonNullable<FftPlan["layouts"]>) =>
      stand.call("cufftXtMakePlanMany", planOf(handle, { ...plan, layouts }));
    expect(() => make([[8], -1, 8], [[8], 1, 8])).toThrow("below zero");
    expect(() => make([[8], 1, 8], [[8], 1, -8])).toThrow("below zero");
    expect(() => make([[-8], 1, 8], [[8], 1, 8])).toThrow("below zero");
    // The layout of one side alone.
    const packed = planOf(handle, plan);
    packed.splice(3, 2, arg.u64(0));
    expect(() => stand.call("cufftXtMakePlanMany", packed)).toThrow("not of its output");
    expect(() => stand.call("cufftXtMakePlanMany", planOf(handle, { ...plan, input: 77 }))).toThrow(
      "cudaDataType [77]",
    );
    expect(() => stand.call("cufftXtMakePlanMany", planOf(handle, plan).slice(0, -1))).toThrow("too short");
    // And carries out none that is not made, or could not be.
    expect(() => run(handle)).toThrow("is not made");
    const refused = await stand.call("cufftXtMakePlanMany", planOf(handle, { n: [-8], input: C_32F, output: C_32F }));
    expect(refused).toMatchObject({ status: 8, isRemembered: true });
    expect(() => run(handle)).toThrow("is not made");
  });

  it("is given numbers that no product of fits, and no address with them", async () => {
    const { handle } = await made({
      n: [8],
      input: C_32F,
      output: C_32F,
      batch: 1,
      layouts: [
        [[8], 2 ** 40, 2 ** 52],
        [[8], 1, 8],
      ],
    });
    expect(() => run(handle)).toThrow("outside");
  });

  it("has each plan work in the stream of its call", async () => {
    const first = slice.createStream({ flags: 1, priority: 0 });
    const { handle } = await made({ n: [4], input: C_32F, output: C_32F });
    const impulse = new Float32Array(8).fill(0);
    impulse[0] = 1;
    await slice.write(INPUT, new Uint8Array(impulse.buffer), first);
    expect(await run(handle, [INPUT, OUTPUT, WORK], -1, first)).toMatchObject({ status: 0 });
    const into = new Float32Array(8);
    await slice.read(OUTPUT, new Uint8Array(into.buffer), first);
    expect([...into]).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
    // One that works on in another stream forgets the first, and so does one that never works again.
    const other = (await made({ n: [4], input: C_32F, output: C_32F })).handle;
    expect(await run(other, [INPUT, OUTPUT, WORK], -1, first)).toMatchObject({ status: 0 });
    await slice.synchronize();
    slice.destroyStream(first);
    await slice.synchronize();
    expect(await run(handle)).toMatchObject({ status: 0 });
    await slice.synchronize();
    stand.forget(other);
  });

  it("gives back with a plan what it took of the device, so that plans may come and go", async () => {
    const plan: FftPlan = { n: [4], input: C_32F, output: C_32F };
    // A table of two MiB each, of which the lease has 256 beside its slice.
    for (let count = 0; count < 300; count++) stand.forget((await made(plan)).handle);
    expect(slice.reservedBytes).toBe(0);
  });

  it("makes no more plans than the lease has room for", async () => {
    usedBytes = ARENA_BYTES;
    const plan: FftPlan = { n: [4], input: C_32F, output: C_32F };
    const handles: number[] = [];
    await expect(async () => {
      for (;;) handles.push((await made(plan)).handle);
    }).rejects.toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    // Of 256 MiB kernels' heap has 8, streams and products may need 96, and 64 are left for what one step may take; code has 6.
    expect(handles.length).toBe((256 - 8 - 96 - 64 - 6) / 2 + 1);
    await expect(run(handles[0]!)).rejects.toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    for (const handle of handles.slice(1)) stand.forget(handle);
    expect(await run(handles[0]!)).toMatchObject({ status: 0 });
    await slice.synchronize();
    stand.forget((await made(plan)).handle);
  });

  it("tells what the library says, and the driver's own error where a kernel has failed before it", async () => {
    const { handle } = await made({ n: [4], input: C_32F, output: C_32F });
    expect(await run(handle, [INPUT, OUTPUT, WORK], 5)).toMatchObject({ status: 4, results: new Uint8Array(0) });
    const codes = [1, 2, 6, 9, 16].map((status) => stand.library.failure({ status, message: "" }, "compute").code);
    expect(codes).toEqual(["BAD_ARGUMENT", "OUT_OF_MEMORY", "DEVICE_FAILED", "BAD_ARGUMENT", "UNSUPPORTED"]);
    standin.inject({ function: "cuStreamQuery", code: 700 });
    standin.inject({ function: "cufftXtExec", code: 6 });
    expect(() => run(handle)).toThrow(expect.objectContaining({ code: "ILLEGAL_ADDRESS" }));
    await slice.close();
    standin.release(0);
  });

  it("is refused clearly where the server has none", async () => {
    const before = process.env["SLUICE_CUFFT_LIBRARY"];
    process.env["SLUICE_CUFFT_LIBRARY"] = "libcufft-that-is-not-there.so";
    try {
      await expect(LibraryStand.of(fft, slice, [ARENA_BASE, END])).rejects.toThrow(/no cuFFT \[libcufft-that/);
    } finally {
      process.env["SLUICE_CUFFT_LIBRARY"] = before;
    }
  });
});
