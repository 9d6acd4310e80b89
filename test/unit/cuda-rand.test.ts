/** cuRAND of a slice: no number lands where the lease has no memory, generators are each their own, and what they take of the device is the lease's. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceSlice } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { rand } from "../../shared/rand-functions.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, LibraryStand } from "../support/library.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const ARENA_BYTES = 80 * MiB;
const END = ARENA_BASE + ARENA_BYTES;
const [PHILOX, SOBOL64] = [161, 203];

let slice: DeviceSlice;
let stand: LibraryStand;
let usedBytes: number;

async function made(type = PHILOX): Promise<number> {
  const handle = stand.next();
  expect(await stand.call("curandCreateGenerator", [arg.u64(handle), arg.i32(type)])).toMatchObject({ status: 0 });
  return handle;
}

/** Bytes of each number, and what its distribution takes. */
const makers: readonly [name: string, bytes: number, values: readonly Uint8Array[]][] = [
  ["curandGenerate", 4, []],
  ["curandGenerateLongLong", 8, []],
  ["curandGenerateUniform", 4, []],
  ["curandGenerateUniformDouble", 8, []],
  ["curandGenerateNormal", 4, [arg.f32(0), arg.f32(1)]],
  ["curandGenerateNormalDouble", 8, [arg.f64(0), arg.f64(1)]],
  ["curandGenerateLogNormal", 4, [arg.f32(0), arg.f32(1)]],
  ["curandGenerateLogNormalDouble", 8, [arg.f64(0), arg.f64(1)]],
  ["curandGeneratePoisson", 4, [arg.f64(3)]],
];
const uniform = (handle: number, address: number, count: number | bigint) =>
  stand.call("curandGenerateUniform", [arg.u64(handle), arg.u64(address), arg.u64(count)]);

describe.skipIf(standinMissing !== undefined)("cuRAND", () => {
  beforeEach(async () => {
    usedBytes = 8 * MiB;
    slice = await openStandinSlice({ arenaBytes: ARENA_BYTES, usedBytes: () => usedBytes });
    stand = await LibraryStand.of(rand, slice, [ARENA_BASE, END]);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.randGenerators(), "generators are given back").toBe(0);
  });

  it.each(makers)("writes numbers of %s into memory of the lease's alone", async (name, bytes, values) => {
    const handle = await made(name === "curandGenerateLongLong" ? SOBOL64 : PHILOX);
    const make = (address: number, count: number | bigint) =>
      stand.call(name, [arg.u64(handle), arg.u64(address), arg.u64(count), ...values]);
    expect(await make(END - 1000 * bytes, 1000)).toMatchObject({ status: 0 });
    expect(stand.checked).toEqual([[END - 1000 * bytes, 1000 * bytes]]);
    await slice.synchronize();
    for (const address of [END - 1000 * bytes + 1, END, ARENA_BASE - 1, 0, 0x7fff_0000_1000]) {
      expect(() => make(address, 1000), String(address)).toThrow("outside");
    }
    for (const count of [2n ** 62n + 4n, 2n ** 61n, 2n ** 64n - 2n]) {
      expect(() => make(ARENA_BASE, count), String(count)).toThrow("outside");
    }
    // No numbers go nowhere.
    await slice.synchronize();
    expect(await make(0x7fff_0000_1000, 0)).toMatchObject({ status: 0 });
  });

  it("covers every function that makes numbers", () => {
    const making = rand.functions.filter(({ arguments: all }) => all.some(({ kind }) => kind === "pointer"));
    expect(making.map(({ name }) => name)).toEqual(makers.map(([name]) => name));
  });

  it("pays for the state of each generator, and has it back when that ends", async () => {
    // Of 256 MiB kernels' heap has 8, streams and products may need 96, and 64 are left for what one step may take; a state has 4.
    const most = (256 - 8 - 96 - 64) / 4 + 1;
    usedBytes = ARENA_BYTES;
    for (let round = 0; round < 2; round++) {
      const handles: number[] = [];
      await expect(async () => {
        for (;;) {
          handles.push(await made());
          expect(await uniform(handles.at(-1)!, ARENA_BASE, 64)).toMatchObject({ status: 0 });
        }
      }).rejects.toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
      expect(handles.length - 1).toBe(most);
      await slice.synchronize();
      for (const handle of handles) stand.forget(handle);
    }
  });

  it("tells what the library says", async () => {
    const handle = await made();
    const odd = [arg.u64(handle), arg.u64(ARENA_BASE), arg.u64(3), arg.f32(0), arg.f32(1)];
    expect(await stand.call("curandGenerateNormal", odd)).toMatchObject({ status: 105, results: new Uint8Array(0) });
    expect(await stand.call("curandCreateGenerator", [arg.u64(stand.next()), arg.i32(7)])).toMatchObject({
      status: 103,
    });
    const codes = [102, 104, 105, 201, 204].map((status) => stand.library.failure({ status, message: "" }, "go").code);
    expect(codes).toEqual(["OUT_OF_MEMORY", "BAD_ARGUMENT", "BAD_ARGUMENT", "DEVICE_FAILED", "UNSUPPORTED"]);
    standin.inject({ function: "cuStreamQuery", code: 700 });
    standin.inject({ function: "curandGenerateUniform", code: 201 });
    expect(() => uniform(handle, ARENA_BASE, 64)).toThrow(expect.objectContaining({ code: "ILLEGAL_ADDRESS" }));
    await slice.close();
    standin.release(0);
  });
});
