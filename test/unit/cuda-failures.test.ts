/** What goes wrong on a GPU: faults, kernels that never end, bad images, and every failing step of opening a slice. Against the stand-in. */
import { setImmediate as immediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { loadCuda } from "../../server/device/cuda/library.ts";
import type { DeviceModule, DeviceSlice, SliceOptions } from "../../server/device/device.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { knownKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { failureOf } from "../support/failures.ts";

const MiB = 1024 * 1024;

async function openSlice(options: Partial<SliceOptions> & { device?: number } = {}): Promise<DeviceSlice> {
  const descriptions = await cudaDriver.discover("");
  return cudaDriver.open({
    description: descriptions[options.device ?? 0]!,
    arenaBytes: 4 * MiB,
    arenaBase: ARENA_BASE + (options.device ?? 0) * ARENA_STRIDE_BYTES,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
    ...options,
  });
}

async function run(
  slice: DeviceSlice,
  module: DeviceModule,
  kernel: string,
  params = new Uint8Array(0),
): Promise<void> {
  await slice.launch({
    module,
    kernel: module.kernels.findIndex(({ name }) => name === kernel),
    grid: [1, 1, 1],
    block: [1, 1, 1],
    sharedBytes: 0,
    params,
    stream: undefined,
  });
}

function storeAt(address: bigint, value: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(12));
  view.setBigUint64(0, address, true);
  view.setUint32(8, value, true);
  return new Uint8Array(view.buffer);
}

const load = async (slice: DeviceSlice): Promise<DeviceModule> => slice.loadModule(Buffer.from(knownKernels));

describe.skipIf(standinMissing !== undefined)("failures of a CUDA device", () => {
  beforeEach(() => standin.clear());

  afterEach(() => {
    standin.clear();
    expect(standin.report(), "nothing is left on the device").toBe("");
  });

  it("a device that does not zero its memory fails its trial, and passes it once it does", async () => {
    const [description] = await cudaDriver.discover("0");
    vi.stubEnv("SLUICE_STANDIN_DIRTY", "1");
    try {
      const words = "The memory of the device [cuda:0] does not hold what is written to it.";
      expect(await failureOf(cudaDriver.probe!(description!))).toMatchObject({ code: "DEVICE_FAILED", message: words });
    } finally {
      vi.unstubAllEnvs();
    }
    await cudaDriver.probe!(description!);
  });

  it.each([
    ["the word past the arena", BigInt(ARENA_BASE + 4 * MiB)],
    ["the word before it", BigInt(ARENA_BASE) - 4n],
    ["the null address", 0n],
    ["an address that differs in the high half", BigInt(ARENA_BASE) + (1n << 32n)],
    ["a word that is not aligned", BigInt(ARENA_BASE) + 2n],
  ])("a store at %s poisons the slice and tells the driver's own error", async (_, address) => {
    const lost: SluiceError[] = [];
    const slice = await openSlice({ onFailure: (error) => lost.push(error) });
    const module = await load(slice);
    const error = await failureOf(async () => {
      await run(slice, module, "store_at", storeAt(address, 1));
      await slice.synchronize();
    });
    expect(error.code).toBe("ILLEGAL_ADDRESS");
    expect([700, 716]).toContain(error.details.nativeCode);
    expect(error.message).toContain(error.details.nativeName);
    for (const call of [
      () => slice.write(ARENA_BASE, new Uint8Array(4), undefined),
      () => slice.read(ARENA_BASE, new Uint8Array(4), undefined),
      () => slice.fill({ address: ARENA_BASE, count: 1, width: 4, value: 0 }, undefined),
      () => slice.copy({ destination: ARENA_BASE, source: ARENA_BASE + 8, byteCount: 4 }, undefined),
      () => slice.loadModule(Buffer.from(knownKernels)),
      () => run(slice, module, "empty"),
      () => slice.createStream({ flags: 0, priority: 0 }),
      () => slice.createEvent(0),
      () => slice.synchronize(),
    ]) {
      expect(await failureOf(call)).toBe(error);
    }
    expect(lost).toEqual([error]);
    expect(slice.needsNewProcess).toBe(true);
    await slice.close();
  });

  it("a slice is closed also where the driver frees nothing in a context that has failed", async () => {
    const slice = await openSlice();
    const module = await load(slice);
    process.env["SLUICE_STANDIN_STICKY_FREES"] = "1";
    try {
      await failureOf(async () => {
        await run(slice, module, "store_at", storeAt(0n, 1));
        await slice.synchronize();
      });
      await slice.close();
      // What is left goes with the process, which must then end.
      expect(slice.needsNewProcess).toBe(true);
      expect(standin.report()).toContain("allocations=1 mappings=1");
    } finally {
      delete process.env["SLUICE_STANDIN_STICKY_FREES"];
      standin.release(ARENA_BASE);
    }
  });

  it("a trap is told apart from an illegal address", async () => {
    const slice = await openSlice();
    const module = await load(slice);
    const error = await failureOf(async () => {
      await run(slice, module, "trap");
      await slice.read(ARENA_BASE, new Uint8Array(4), undefined);
    });
    expect(error).toMatchObject({ code: "KERNEL_TRAP", details: { nativeName: "CUDA_ERROR_LAUNCH_FAILED" } });
    await slice.close();
  });

  it("a fault on one device leaves the slice on the other alone", async () => {
    const faulty = await openSlice({ device: 0 });
    const healthy = await openSlice({ device: 1 });
    const [faultyModule, healthyModule] = [await load(faulty), await load(healthy)];
    await failureOf(async () => {
      await run(faulty, faultyModule, "store_at", storeAt(0n, 1));
      await faulty.synchronize();
    });
    const base = ARENA_BASE + ARENA_STRIDE_BYTES;
    await run(healthy, healthyModule, "store_at", storeAt(BigInt(base), 77));
    expect(healthy.needsNewProcess).toBe(false);
    const into = new Uint8Array(4);
    await healthy.read(base, into, undefined);
    expect(into[0]).toBe(77);
    await faulty.close();
    await healthy.close();
  });

  it("a kernel that never ends is noticed while somebody waits, and while nobody does", async () => {
    for (const waits of [true, false]) {
      const lost: SluiceError[] = [];
      const slice = await openSlice({ kernelTimeoutMs: 150, onFailure: (error) => lost.push(error) });
      const module = await load(slice);
      const start = performance.now();
      await run(slice, module, "endless", new Uint8Array(BigUint64Array.of(BigInt(ARENA_BASE)).buffer));
      if (waits) expect((await failureOf(() => slice.synchronize())).code).toBe("KERNEL_TIMEOUT");
      else await expect.poll(() => lost.length, { timeout: 20_000, interval: 10 }).toBe(1);
      expect(performance.now() - start).toBeGreaterThanOrEqual(150);
      expect(performance.now() - start).toBeLessThan(20_000);
      expect((await failureOf(() => run(slice, module, "empty"))).code).toBe("KERNEL_TIMEOUT");
      // Closing cannot end the kernel; it returns at once, and the memory goes with the process.
      await slice.close();
      expect(standin.report()).toMatch(/contexts=1.*allocations=1/);
      standin.release(ARENA_BASE);
    }
  });

  it("a kernel that never ends is noticed behind many quick ones", async () => {
    const slice = await openSlice({ kernelTimeoutMs: 100 });
    const module = await load(slice);
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 50; i++) await run(slice, module, "empty");
      await slice.synchronize();
    }
    for (let i = 0; i < 3; i++) await run(slice, module, "empty");
    await run(slice, module, "endless", new Uint8Array(BigUint64Array.of(BigInt(ARENA_BASE)).buffer));
    const start = performance.now();
    expect((await failureOf(() => slice.synchronize())).code).toBe("KERNEL_TIMEOUT");
    // At most eight share a pair of time stamps, and each may take as long as one may.
    expect(performance.now() - start).toBeLessThan(8 * 100 + 3_000);
    await slice.close();
    standin.release(ARENA_BASE);
  });

  it("slow kernels behind many quick ones each have their whole time", async () => {
    const slice = await openSlice({ kernelTimeoutMs: 200 });
    const module = await load(slice);
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 50; i++) await run(slice, module, "empty");
      await slice.synchronize();
    }
    for (let i = 0; i < 12; i++) {
      await run(slice, module, "pause_for", new Uint8Array(Uint32Array.of(60_000).buffer));
    }
    await slice.synchronize();
    expect(slice.deviceTimeMs!()).toBeGreaterThan(0);
    await slice.close();
  });

  it("many short kernels may take longer together than one may", async () => {
    const slice = await openSlice({ kernelTimeoutMs: 400 });
    const module = await load(slice);
    for (let i = 0; i < 64; i++) {
      await run(slice, module, "pause_for", new Uint8Array(Uint32Array.of(10_000).buffer));
    }
    await slice.synchronize();
    await slice.close();
  });

  it.each([
    [
      "text with an unknown instruction",
      Buffer.from(".version 8.0\n.target sm_75\n.entry k() {\n bogus;\n}\n"),
      /line 4.*bogus/,
    ],
    ["text that is no PTX", Buffer.from("int main() {}"), /neither PTX/],
    ["nothing", Buffer.alloc(0), /neither PTX/],
    ["a cubin that is cut short", Buffer.from("\x7fELF and not much more", "latin1"), /cubin.*\[22\].*\[64\]/],
    ["a cubin for another machine", elf(), /NO_BINARY|209/],
  ])("an image of %s is refused with the reason, and the slice goes on", async (_, image, message) => {
    const slice = await openSlice();
    const error = await failureOf(() => slice.loadModule(image));
    expect(error.code).toBe("BAD_IMAGE");
    expect(error.message).toMatch(message);
    const module = await load(slice);
    await run(slice, module, "empty");
    await slice.close();
  });

  it("variables that would take more of the device than a lease pays for are refused", async () => {
    const slice = await openSlice();
    const image = Buffer.from(`${knownKernels}\n.global .align 4 .b32 huge[1024][1024][1024];\n`);
    const error = await failureOf(() => slice.loadModule(image));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toContain("[4294967364]");
    await slice.close();
  });

  it("a cubin that would take more is refused before the driver sees it, and a small one is not", async () => {
    const slice = await openSlice();
    const cubin = (variableBytes: number): Buffer => {
      const image = Buffer.alloc(128);
      image.write("\x7fELF\x02\x01", "latin1");
      image.writeBigUInt64LE(64n, 40);
      image.writeUInt16LE(64, 58);
      image.writeUInt16LE(1, 60);
      image.writeUInt32LE(8, 64 + 4);
      image.writeBigUInt64LE(BigInt(variableBytes), 64 + 32);
      return image;
    };
    const error = await failureOf(() => slice.loadModule(cubin(1024 * MiB)));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toContain("[1073741824] bytes of the device outside the slice");
    expect((await failureOf(() => slice.loadModule(cubin(MiB)))).details.nativeName).toBe(
      "CUDA_ERROR_NO_BINARY_FOR_GPU",
    );
    await slice.close();
  });

  it("variables of a fatbin, which the driver does not list, are told with their addresses", async () => {
    const slice = await openSlice();
    const text = Buffer.from(`${knownKernels}\n.visible .global .align 4 .b8 told[24];\n`);
    const header = Buffer.alloc(16 + 64);
    header.writeUInt32LE(0xba55ed50, 0);
    [1, 16].forEach((value, index) => {
      header.writeUInt16LE(value, 4 + 2 * index);
    });
    header.writeBigUInt64LE(BigInt(64 + text.length), 8);
    header.writeUInt16LE(1, 16);
    header.writeUInt32LE(64, 16 + 4);
    header.writeBigUInt64LE(BigInt(text.length), 16 + 8);
    header.writeUInt32LE(75, 16 + 28);
    const module = await slice.loadModule(Buffer.concat([header, text]));
    expect(module.globals).toContainEqual({ name: "told", address: expect.any(Number), byteCount: 24 });
    await run(slice, module, "empty");
    await slice.close();
  });

  it("variables of several modules count together, as long as they are loaded", async () => {
    const slice = await openSlice();
    const image = Buffer.from(`${knownKernels}\n.global .align 4 .b8 large[100 ][1024][1024];\n`);
    const first = await slice.loadModule(image);
    const second = await slice.loadModule(image);
    expect((await failureOf(() => slice.loadModule(image))).code).toBe("OUT_OF_MEMORY");
    await slice.unloadModule(first);
    await slice.unloadModule(second);
    await slice.unloadModule(await slice.loadModule(image));
    await slice.close();
  });

  it("variables and the local memory of threads come out of one allowance, whichever is first", async () => {
    const roomy = Buffer.from(".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry roomy() { ret; }");
    const large = Buffer.from(`${knownKernels}\n.global .align 4 .b8 large[200][1024][1024];\n`);
    // One whose context no slice that was lost before keeps alive, with what its kernels had.
    const first = await openSlice({ device: 1 });
    await run(first, await first.loadModule(roomy), "roomy");
    await run(first, await first.loadModule(roomy), "roomy");
    expect((await failureOf(() => first.loadModule(large))).code).toBe("OUT_OF_MEMORY");
    await first.close();
    const second = await openSlice({ device: 1 });
    const variables = await second.loadModule(large);
    const module = await second.loadModule(roomy);
    const error = await failureOf(() => run(second, module, "roomy"));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toContain("[16384] bytes of local memory for each");
    await second.unloadModule(variables);
    await run(second, module, "roomy");
    await second.close();
  });

  it("as many streams at a time as the lease is charged for are made, again and again, and no more", async () => {
    const slice = await openSlice({ device: 1 });
    const make = () => slice.createStream({ flags: 0, priority: 0 });
    for (let round = 0; round < 2; round++) {
      const streams = Array.from({ length: 2 * 248 }, make);
      const error = await failureOf(make);
      expect(error.code).toBe("OUT_OF_MEMORY");
      expect(error.message).toContain("a stream beyond [496]");
      for (const stream of streams) slice.destroyStream(stream);
      await slice.synchronize();
    }
    await slice.close();
  });

  it("handles that are destroyed or made up are refused by the stand-in as by a driver", async () => {
    const slice = await openSlice();
    const { api } = loadCuda();
    const event = new BigUint64Array(1);
    expect(api.cuEventCreate(event, 0)).toBe(0);
    expect(api.cuEventDestroy_v2(event[0]!)).toBe(0);
    for (const result of [
      api.cuEventDestroy_v2(event[0]!),
      api.cuEventQuery(event[0]!),
      api.cuEventRecord(event[0]!, 0),
      api.cuStreamWaitEvent(0, event[0]!, 0),
      api.cuStreamQuery(4096),
      api.cuFuncLoad(4096),
      api.cuModuleUnload(4096),
    ]) {
      expect(result).toBe(400);
    }
    for (const result of [api.cuMemFree_v2(4096), api.cuMemFreeHost(4096), api.cuMemRelease(4096)]) {
      expect(result).toBe(1);
    }
    await slice.close();
  });

  const opening = [
    "cuDevicePrimaryCtxSetFlags_v2",
    "cuDevicePrimaryCtxRetain",
    "cuCtxSetCurrent",
    "cuCtxGetLimit",
    "cuMemAddressReserve",
    "cuMemCreate",
    "cuMemMap",
    "cuMemSetAccess",
    "cuMemHostAlloc",
    "cuEventCreate",
    "cuEventRecord",
    "cuMemsetD32Async",
    "cuStreamQuery",
    "cuCtxSynchronize",
  ];

  it.each(opening)("a failing %s while a slice opens gives everything back", async (name) => {
    const descriptions = await cudaDriver.discover("");
    // Addresses are asked for once more, without a hint.
    standin.inject({ function: name, code: 2, count: name === "cuMemAddressReserve" ? 2 : 1 });
    const error = await failureOf(() => openSlice({ description: descriptions[0]! }));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.details).toMatchObject({ nativeCode: 2, nativeName: "CUDA_ERROR_OUT_OF_MEMORY" });
    expect(standin.report()).toBe("");
    const slice = await openSlice();
    await slice.close();
  });

  it("a device that is full refuses a slice and stays usable", async () => {
    standin.occupy(0, 920 * MiB);
    try {
      const error = await failureOf(() => openSlice({ arenaBytes: 10 * MiB }));
      expect(error.code).toBe("OUT_OF_MEMORY");
      expect(error.message).toContain(`[${8 * MiB}] bytes of the device are free, and [${10 * MiB}] are wanted`);
      const slice = await openSlice({ arenaBytes: 8 * MiB });
      await slice.close();
    } finally {
      standin.occupy(0, -920 * MiB);
    }
  });

  it.each(["cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuEventQuery", "cuEventRecord", "cuLaunchKernel"])(
    "an uncorrectable memory error in %s ends the slice as a failure of the device",
    async (name) => {
      const slice = await openSlice();
      const module = await load(slice);
      standin.inject({ function: name, code: 214, count: -1 });
      const error = await failureOf(async () => {
        await slice.write(ARENA_BASE, new Uint8Array(1000), undefined);
        await run(slice, module, "empty");
        await slice.read(ARENA_BASE, new Uint8Array(1000), undefined);
        // Device time is counted between calls, of which the last may have had its answer at once.
        await immediate();
        await slice.synchronize();
      });
      expect(error).toMatchObject({ code: "DEVICE_FAILED", details: { nativeCode: 214 } });
      expect(await failureOf(() => slice.synchronize())).toBe(error);
      standin.clear();
      await slice.close();
    },
  );
});

/** A complete ELF header without sections. */
function elf(): Buffer {
  const image = Buffer.alloc(64);
  image.write("\x7fELF\x02\x01", "latin1");
  image.writeUInt16LE(64, 52);
  return image;
}
