/** A slice of a GPU and all calls on it, against the stand-in for the driver in test/cuda, which also tells what is left behind. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceModule, DeviceSlice, DeviceStream, SliceOptions } from "../../server/device/device.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import { knownKernels, printingKernels } from "../cuda/kernels.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { failureOf } from "../support/failures.ts";
import { isAll } from "../support/is-all.ts";

const MiB = 1024 * 1024;

const open: { slice: DeviceSlice }[] = [];

async function openSlice(options: Partial<SliceOptions> & { device?: number } = {}): Promise<DeviceSlice> {
  const descriptions = await cudaDriver.discover("");
  const slice = await cudaDriver.open({
    description: descriptions[options.device ?? 0]!,
    arenaBytes: 4 * MiB,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
    ...options,
  });
  open.push({ slice });
  return slice;
}

const params = (build: (view: DataView) => void, byteCount: number): Uint8Array => {
  const bytes = new Uint8Array(byteCount);
  build(new DataView(bytes.buffer));
  return bytes;
};

interface Launch {
  readonly kernel: string;
  readonly params?: Uint8Array;
  readonly grid?: readonly [number, number, number];
  readonly block?: readonly [number, number, number];
  readonly sharedBytes?: number;
  readonly stream?: DeviceStream;
}

function launch(slice: DeviceSlice, module: DeviceModule, options: Launch): void | Promise<void> {
  return slice.launch({
    module,
    kernel: module.kernels.findIndex(({ name }) => name === options.kernel),
    grid: options.grid ?? [1, 1, 1],
    block: options.block ?? [32, 1, 1],
    sharedBytes: options.sharedBytes ?? 0,
    params: options.params ?? new Uint8Array(0),
    stream: options.stream,
  });
}

const storeAt = (address: number, value: number): Uint8Array =>
  params((view) => {
    view.setBigUint64(0, BigInt(address), true);
    view.setUint32(8, value, true);
  }, 12);

const load = async (slice: DeviceSlice, text: string): Promise<DeviceModule> => slice.loadModule(Buffer.from(text));

async function read(slice: DeviceSlice, address: number, byteCount: number): Promise<Uint8Array> {
  const into = new Uint8Array(byteCount);
  await slice.read(address, into, undefined);
  return into;
}

const pattern = (byteCount: number, seed = 1): Uint8Array => {
  const bytes = new Uint8Array(byteCount);
  let state = seed;
  for (let i = 0; i < byteCount; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
};

describe.skipIf(standinMissing !== undefined)("a slice of a CUDA device", () => {
  beforeEach(() => standin.clear());

  afterEach(async () => {
    standin.delay(0);
    for (const { slice } of open.splice(0)) await slice.close();
    expect(standin.report(), "nothing is left on the device, and nothing was misused").toBe("");
  });

  it("has its arena at the wanted address, zeroed and of exactly the slice's size", async () => {
    const slice = await openSlice({ arenaBytes: 6 * MiB });
    expect(slice.arenaBase).toBe(ARENA_BASE);
    const all = await read(slice, ARENA_BASE, 6 * MiB);
    expect(isAll(all, 0)).toBe(true);
    const beyond = await failureOf(() => read(slice, ARENA_BASE + 6 * MiB - 4, 8));
    expect(beyond.details.nativeName).toBe("CUDA_ERROR_INVALID_VALUE");
  });

  it("is zeroed again for the next lease, whatever the last one left", async () => {
    const first = await openSlice();
    await first.write(ARENA_BASE, pattern(MiB), undefined);
    await first.close();
    const second = await openSlice();
    expect(isAll(await read(second, ARENA_BASE, MiB), 0)).toBe(true);
  });

  it("loads the project's own PTX with the oldest driver, and says so where a program needs a newer one", async () => {
    const slice = await openSlice();
    process.env["SLUICE_STANDIN_VERSION"] = "12040";
    try {
      for (const folder of ["test/kernels/ptx", "client/examples"]) {
        for (const name of readdirSync(folder).filter((each) => each.endsWith(".ptx"))) {
          const module = await slice.loadModule(readFileSync(join(folder, name)));
          expect(module.kernels.length).toBeGreaterThan(0);
          await slice.unloadModule(module);
        }
      }
      const newer = await failureOf(() => load(slice, ".version 8.5\n.target sm_75\n.visible .entry empty() { ret; }"));
      expect(newer).toMatchObject({
        code: "BAD_IMAGE",
        details: { nativeCode: 222, nativeName: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION" },
      });
    } finally {
      delete process.env["SLUICE_STANDIN_VERSION"];
    }
  });

  it("says what helps where a program is for a later GPU, or the driver has no compiler", async () => {
    const slice = await openSlice();
    const text = ".version 8.4\n.target sm_90\n.visible .entry empty() { ret; }";
    process.env["SLUICE_STANDIN_ATTRIBUTES"] = "75:7,76:5";
    try {
      const later = await failureOf(() => load(slice, text));
      expect(later).toMatchObject({ code: "BAD_IMAGE", details: { nativeCode: 218 } });
      expect(later.message).toContain("its `.target` is of a later GPU than this device");
    } finally {
      delete process.env["SLUICE_STANDIN_ATTRIBUTES"];
    }
    standin.inject({ function: "cuModuleLoadDataEx", code: 221 });
    expect((await failureOf(() => load(slice, text))).message).toContain("libnvidia-ptxjitcompiler.so.1");
  });

  it.each([
    ["chooses another address", "SLUICE_STANDIN_IGNORE_HINT"],
    ["refuses the wanted one", "SLUICE_STANDIN_REFUSE_HINT"],
  ])("says where its arena is when the driver %s", async (_what, variable) => {
    process.env[variable] = "1";
    try {
      const slice = await openSlice();
      expect(slice.arenaBase).toBeGreaterThan(0);
      expect(slice.arenaBase).not.toBe(ARENA_BASE);
      await slice.write(slice.arenaBase!, Uint8Array.of(1, 2, 3), undefined);
      expect(await read(slice, slice.arenaBase!, 4)).toEqual(Uint8Array.of(1, 2, 3, 0));
    } finally {
      delete process.env[variable];
    }
  });

  it("tells the device's attributes in one snapshot", async () => {
    const { attributes } = await openSlice();
    expect(attributes).toMatchObject({ capabilityMajor: 9, capabilityMinor: 0, driverVersion: 13_000 });
    expect(attributes.attributes).toContainEqual({ attribute: 1, value: 1024 });
  });

  it.each([0, 1, 1000, 65_536, 65_537, MiB, MiB + 1, 3 * MiB + 77])(
    "writes and reads back %i bytes",
    async (byteCount) => {
      const slice = await openSlice({ arenaBytes: 8 * MiB });
      const data = pattern(byteCount);
      await slice.write(ARENA_BASE + 64, data, undefined);
      const around = await read(slice, ARENA_BASE, byteCount + 128);
      expect(Buffer.from(around.subarray(64, 64 + byteCount)).equals(data)).toBe(true);
      expect(isAll(around.subarray(0, 64), 0)).toBe(true);
      expect(isAll(around.subarray(64 + byteCount), 0)).toBe(true);
    },
  );

  it("lets the caller change its data once a write has returned, however slow the device is", async () => {
    const slice = await openSlice({ arenaBytes: 32 * MiB });
    standin.delay(2000);
    const data = new Uint8Array(MiB);
    // More than the staging memory holds, so that segments must wait for the device and be used again.
    for (let piece = 0; piece < 24; piece++) {
      data.fill(piece + 1);
      await slice.write(ARENA_BASE + piece * MiB, data, undefined);
    }
    data.fill(0xff);
    standin.delay(0);
    for (let piece = 0; piece < 24; piece++) {
      const back = await read(slice, ARENA_BASE + piece * MiB, MiB);
      expect(isAll(back, piece + 1), `piece ${piece}`).toBe(true);
    }
  });

  it("keeps small writes of several streams apart in shared staging memory", async () => {
    const slice = await openSlice();
    const streams = [undefined, ...[0, 1, 2].map(() => slice.createStream({ flags: 1, priority: 0 }))];
    standin.delay(20);
    for (let i = 0; i < 600; i++) {
      await slice.write(ARENA_BASE + i * 4096, new Uint8Array(3000).fill((i % 255) + 1), streams[i % streams.length]);
    }
    standin.delay(0);
    await slice.synchronize();
    for (let i = 0; i < 600; i++) {
      const back = await read(slice, ARENA_BASE + i * 4096, 3001);
      expect(isAll(back.subarray(0, 3000), (i % 255) + 1), `write ${i}`).toBe(true);
    }
    for (const stream of streams) if (stream !== undefined) slice.destroyStream(stream);
  });

  it("keeps the event loop alive while it waits for the device", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    await launch(slice, module, { kernel: "pause_for", params: new Uint8Array(Uint32Array.of(200_000).buffer) });
    let turns = 0;
    let ended = false;
    const count = (): void => {
      turns++;
      if (!ended) setTimeout(count, 5);
    };
    count();
    await slice.synchronize();
    ended = true;
    // Of a loop that stands still there is one, from before the wait; a loaded machine may have few.
    expect(turns).toBeGreaterThan(2);
  });

  it.each([
    [1, 0x1a5, [0xa5, 0xa5, 0xa5, 0xa5]],
    [2, 0x1_beef, [0xef, 0xbe, 0xef, 0xbe]],
    [4, 0xdead_beef, [0xef, 0xbe, 0xad, 0xde]],
  ] as const)("fills elements of %i bytes", async (width, value, expected) => {
    const slice = await openSlice();
    await slice.fill({ address: ARENA_BASE + 8, count: 4 / width, width, value }, undefined);
    expect([...(await read(slice, ARENA_BASE + 4, 12))]).toEqual([0, 0, 0, 0, ...expected, 0, 0, 0, 0]);
  });

  it("copies on the device", async () => {
    const slice = await openSlice();
    const data = pattern(5000);
    await slice.write(ARENA_BASE, data, undefined);
    await slice.copy({ destination: ARENA_BASE + MiB, source: ARENA_BASE, byteCount: 5000 }, undefined);
    expect(Buffer.from(await read(slice, ARENA_BASE + MiB, 5000)).equals(data)).toBe(true);
  });

  it("tells a module's kernels, parameters and variables", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const saxpy = module.kernels.find(({ name }) => name === "saxpy");
    expect(saxpy).toEqual({
      name: "saxpy",
      params: [
        { offset: 0, size: 4, alignment: 4, type: 1 },
        { offset: 4, size: 4, alignment: 4, type: 3 },
        { offset: 8, size: 8, alignment: 8, type: 5 },
        { offset: 16, size: 8, alignment: 8, type: 5 },
      ],
      paramBytes: 24,
      threadsPerBlockMax: 1024,
      sharedBytes: 0,
      localBytes: 0,
      constantBytes: 0,
      registers: 16,
      ptxVersion: 90,
      binaryVersion: 90,
      usesHeap: 0,
      refusalCode: 0,
      refusal: "",
    });
    expect(module.kernels.find(({ name }) => name === "wants_shared")?.params).toEqual([
      { offset: 0, size: 24, alignment: 8, type: 4 },
      { offset: 24, size: 2, alignment: 2, type: 2 },
    ]);
    expect(module.globals).toEqual([{ name: "counter", address: expect.any(Number), byteCount: 4 }]);
    await slice.unloadModule(module);
  });

  it("runs kernels in the order of the calls", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const n = 1000;
    const x = Float32Array.from({ length: n }, (_, i) => i);
    await slice.write(ARENA_BASE, new Uint8Array(x.buffer), undefined);
    await slice.fill({ address: ARENA_BASE + MiB, count: n, width: 4, value: 0x3f80_0000 }, undefined);
    standin.delay(100);
    for (let round = 0; round < 100; round++) {
      await launch(slice, module, {
        kernel: "saxpy",
        params: params((view) => {
          view.setUint32(0, n, true);
          view.setFloat32(4, 2, true);
          view.setBigUint64(8, BigInt(ARENA_BASE), true);
          view.setBigUint64(16, BigInt(ARENA_BASE + MiB), true);
        }, 24),
      });
    }
    const y = new Float32Array((await read(slice, ARENA_BASE + MiB, n * 4)).buffer);
    expect([...y]).toEqual([...x].map((value) => 1 + 200 * value));
  });

  it("copies the packed parameters during the call", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    standin.delay(3000);
    const block = storeAt(ARENA_BASE, 1);
    await launch(slice, module, { kernel: "store_at", params: block });
    block.set(storeAt(ARENA_BASE + 4, 2));
    await launch(slice, module, { kernel: "store_at", params: block });
    block.fill(0xff);
    expect([...new Uint32Array((await read(slice, ARENA_BASE, 8)).buffer)]).toEqual([1, 2]);
  });

  it.each<[string, Launch, RegExp]>([
    ["an empty grid", { kernel: "empty", grid: [0, 1, 1] }, /grid \[0,1,1\]/],
    ["a grid that is too deep", { kernel: "empty", grid: [1, 1, 65_536] }, /grid/],
    ["a block that is too long", { kernel: "empty", block: [1025, 1, 1] }, /block/],
    ["a block with too many threads for the device", { kernel: "empty", block: [64, 32, 1] }, /2048.*1024/],
    ["a block with too many threads for the kernel", { kernel: "narrow", block: [257, 1, 1] }, /257.*256/],
    ["more shared memory than the device has", { kernel: "empty", sharedBytes: 300_000 }, /300000.*232448/],
    ["missing parameters", { kernel: "store_at" }, /12.*0/],
    ["too many parameters", { kernel: "empty", params: new Uint8Array(8) }, /\[0\].*\[8\]/],
  ])("refuses %s, and goes on", async (_, options, message) => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const error = await failureOf(() => launch(slice, module, options));
    expect(error.code).toBe("BAD_LAUNCH");
    expect(error.message).toMatch(message);
    await launch(slice, module, { kernel: "empty" });
    await slice.synchronize();
  });

  it("refuses more local memory than the lease has, and goes on", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const error = await failureOf(() => launch(slice, module, { kernel: "greedy" }));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toMatch(/262144.*local/);
    await launch(slice, module, { kernel: "empty" });
    await slice.synchronize();
  });

  it("refuses a kernel that the module does not have", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    expect((await failureOf(() => launch(slice, module, { kernel: "nowhere" }))).code).toBe("NO_SUCH_KERNEL");
  });

  it("sets kernels up for more than 48 KiB of dynamic shared memory", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const block = new Uint8Array(26);
    for (const sharedBytes of [49_152, 100_000, 60_000, 232_448]) {
      await launch(slice, module, { kernel: "wants_shared", sharedBytes, params: block });
    }
    await slice.synchronize();
  });

  it("grows and shrinks at its end, keeps what stays, and shows nothing of what others left", async () => {
    const [description] = await cudaDriver.discover("");
    const slice = await openSlice({ arenaBytes: 4 * MiB });
    expect(description!.sliceBytesMax).toBeGreaterThanOrEqual(12 * MiB);
    await slice.write(ARENA_BASE + 4 * MiB - 4, new Uint8Array([1, 2, 3, 4]), undefined);
    await slice.resize!(12 * MiB);
    expect([...(await read(slice, ARENA_BASE + 4 * MiB - 4, 12))]).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    await slice.write(ARENA_BASE + 4 * MiB - 4, new Uint8Array([5, 6, 7, 8, 9]), undefined);
    expect([...(await read(slice, ARENA_BASE + 12 * MiB - 2, 2))]).toEqual([0, 0]);
    // In the middle of a piece, and then with another piece behind it again.
    await slice.resize!(2 * MiB);
    await slice.write(ARENA_BASE, new Uint8Array([42]), undefined);
    await slice.resize!(6 * MiB);
    expect([...(await read(slice, ARENA_BASE, 2))]).toEqual([42, 0]);
    expect([...(await read(slice, ARENA_BASE + 4 * MiB - 4, 5))]).toEqual([0, 0, 0, 0, 0]);
    expect(await failureOf(() => slice.resize!(6 * MiB + 1))).toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await failureOf(() => slice.resize!(2 ** 42))).toMatchObject({ code: "OUT_OF_MEMORY" });
    expect([...(await read(slice, ARENA_BASE, 1))]).toEqual([42]);
  });

  it("orders streams by events, and tells whether they are done", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const [first, second] = [0, 1].map(() => slice.createStream({ flags: 1, priority: 0 }));
    const event = slice.createEvent(0);
    expect(slice.queryEvent(event), "an event that was never recorded is done").toBe(true);
    await launch(slice, module, {
      kernel: "pause_for",
      params: new Uint8Array(Uint32Array.of(50_000).buffer),
      stream: first!,
    });
    await launch(slice, module, { kernel: "store_at", params: storeAt(ARENA_BASE, 5), stream: first! });
    slice.recordEvent(event, first);
    slice.waitEvent(second, event);
    await slice.copy({ destination: ARENA_BASE + 4, source: ARENA_BASE, byteCount: 4 }, second);
    expect(slice.queryEvent(event)).toBe(false);
    expect(slice.queryStream(second)).toBe(false);
    expect(slice.isBusy?.(), "kernels run behind their launches").toBe(true);
    await slice.synchronizeStream(second);
    expect(slice.isBusy?.()).toBe(false);
    expect(slice.queryEvent(event)).toBe(true);
    expect([...new Uint32Array((await read(slice, ARENA_BASE, 8)).buffer)]).toEqual([5, 5]);
    slice.destroyEvent(event);
    slice.destroyStream(first!);
    slice.destroyStream(second!);
  });

  it("measures between events, and refuses where there is nothing to measure", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const start = slice.createEvent(0);
    const end = slice.createEvent(0);
    const untimed = slice.createEvent(2);
    expect((await failureOf(() => slice.elapsed(start, end))).code).toBe("BAD_ARGUMENT");
    slice.recordEvent(start, undefined);
    await launch(slice, module, { kernel: "pause_for", params: new Uint8Array(Uint32Array.of(30_000).buffer) });
    slice.recordEvent(end, undefined);
    slice.recordEvent(untimed, undefined);
    expect((await failureOf(() => slice.elapsed(start, end))).code).toBe("NOT_READY");
    await slice.synchronizeEvent(end);
    expect(slice.elapsed(start, end)).toBeGreaterThanOrEqual(30);
    expect((await failureOf(() => slice.elapsed(start, untimed))).code).toBe("BAD_ARGUMENT");
    for (const event of [start, end, untimed]) slice.destroyEvent(event);
  });

  it("ends a destroyed stream only once its work is done", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const stream = slice.createStream({ flags: 0, priority: 0 });
    await launch(slice, module, {
      kernel: "pause_for",
      params: new Uint8Array(Uint32Array.of(40_000).buffer),
      stream,
    });
    await launch(slice, module, { kernel: "store_at", params: storeAt(ARENA_BASE, 9), stream });
    slice.destroyStream(stream);
    await slice.synchronize();
    expect((await read(slice, ARENA_BASE, 1))[0]).toBe(9);
  });

  it("unloads a module behind the launches before it", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const stream = slice.createStream({ flags: 1, priority: 0 });
    await launch(slice, module, {
      kernel: "pause_for",
      params: new Uint8Array(Uint32Array.of(40_000).buffer),
      stream,
    });
    await slice.unloadModule(module);
    slice.destroyStream(stream);
  });

  it("passes on what kernels print, in order, when the host synchronises", async () => {
    let printed = "";
    const slice = await openSlice({
      onOutput: (text) => {
        printed += text;
      },
    });
    const module = await load(slice, printingKernels);
    const number = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
    await launch(slice, module, { kernel: "print", params: number(1) });
    await launch(slice, module, { kernel: "print", params: number(2) });
    await slice.synchronize();
    expect(printed).toBe("number 1\nnumber 2\n");
    await launch(slice, module, { kernel: "print", params: number(3) });
    standin.delay(2000);
    await read(slice, ARENA_BASE, 4);
    standin.delay(0);
    expect(standin.report(), "the event loop did not wait").not.toContain("blocking");
    expect(printed).toBe("number 1\nnumber 2\nnumber 3\n");
    await launch(slice, module, { kernel: "print", params: number(4) });
    await slice.synchronizeStream(undefined);
    const event = slice.createEvent(0);
    await launch(slice, module, { kernel: "print", params: number(5) });
    slice.recordEvent(event, undefined);
    await slice.synchronizeEvent(event);
    expect(printed).toBe("number 1\nnumber 2\nnumber 3\nnumber 4\nnumber 5\n");
  });

  it("measures the device time of a lease, and not the time between its batches", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    const before = slice.deviceTimeMs!();
    let workMs = 0;
    for (let batch = 0; batch < 3; batch++) {
      const block = new Uint8Array(Uint32Array.of(20_000).buffer);
      const startedAt = performance.now();
      await launch(slice, module, { kernel: "pause_for", params: block });
      await slice.synchronize();
      workMs += performance.now() - startedAt;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const measured = slice.deviceTimeMs!() - before;
    expect(measured).toBeGreaterThanOrEqual(60);
    expect(measured).toBeLessThan(workMs + 150);
  });

  it("works on two devices at once, each with its own context", async () => {
    const first = await openSlice({ device: 0 });
    const second = await openSlice({ device: 1, arenaBase: ARENA_BASE + ARENA_STRIDE_BYTES });
    expect(second.arenaBase).toBe(ARENA_BASE + ARENA_STRIDE_BYTES);
    const modules = [await load(first, knownKernels), await load(second, knownKernels)];
    for (let round = 0; round < 20; round++) {
      await launch(first, modules[0]!, { kernel: "store_at", params: storeAt(ARENA_BASE + round * 4, round) });
      await launch(second, modules[1]!, {
        kernel: "store_at",
        params: storeAt(ARENA_BASE + ARENA_STRIDE_BYTES + round * 4, round * 2),
      });
    }
    const [a, b] = await Promise.all([read(first, ARENA_BASE, 80), read(second, ARENA_BASE + ARENA_STRIDE_BYTES, 80)]);
    expect([...new Uint32Array(a.buffer)]).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect([...new Uint32Array(b.buffer)]).toEqual(Array.from({ length: 20 }, (_, i) => i * 2));
  });

  it("copies from the other device of a lease over their link, or says that it cannot", async () => {
    const first = await openSlice({ device: 0 });
    const base = ARENA_BASE + ARENA_STRIDE_BYTES;
    const second = await openSlice({ device: 1, arenaBase: base });
    const data = pattern(100_000);
    await first.write(ARENA_BASE, data, undefined);
    await first.synchronize();
    const range = { destination: base + 64, source: ARENA_BASE, byteCount: data.byteLength };
    standin.inject({ function: "cuDeviceCanAccessPeer", code: 217 });
    expect((await failureOf(() => second.copyFrom!(first, range, undefined))).details.nativeCode).toBe(217);
    for (let round = 0; round < 2; round++) expect(second.copyFrom!(first, range, undefined)).toBe(true);
    expect(Buffer.compare(await read(second, base + 64, data.byteLength), data)).toBe(0);
    // Only that way: the first device was not given the second one's memory.
    const back = { destination: ARENA_BASE, source: base, byteCount: 4 };
    expect((await failureOf(() => first.copy(back, undefined))).details.nativeName).toBe("CUDA_ERROR_INVALID_VALUE");
    expect(second.copyFrom!({} as DeviceSlice, range, undefined)).toBe(false);
  });

  it("cannot be larger than the device, nor a fraction of a granule", async () => {
    expect((await failureOf(() => openSlice({ arenaBytes: 2 ** 31 }))).code).toBe("OUT_OF_MEMORY");
    expect((await failureOf(() => openSlice({ arenaBytes: 3 * MiB }))).code).toBe("BAD_ARGUMENT");
  });

  it("closes more than once without harm, also while work is under way", async () => {
    const slice = await openSlice();
    const module = await load(slice, knownKernels);
    slice.createEvent(0);
    const stream = slice.createStream({ flags: 0, priority: 0 });
    await launch(slice, module, {
      kernel: "pause_for",
      params: new Uint8Array(Uint32Array.of(30_000).buffer),
      stream,
    });
    await Promise.all([slice.close(), slice.close()]);
    await slice.close();
  });
});
