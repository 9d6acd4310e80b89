/**
 * Rates and times of a slice on a card, each beside the same done by the bare driver calls in the same process. No server and no wire: this is
 * what the device room itself costs.
 */
import { CudaContext } from "../../server/device/cuda/context.ts";
import { listOrdinals } from "../../server/device/cuda/discovery.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { loadCuda } from "../../server/device/cuda/library.ts";
import { loadCudaModule } from "../../server/device/cuda/module.ts";
import { addressOf, bytesAt } from "../../server/device/cuda/symbols.ts";
import type { DeviceDescription, DeviceSlice, MatrixOperand } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE, CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { fixture } from "../kernels/support.ts";
import { type Begin, capabilityOf, eachPart, type Row, type Sizes } from "./job.ts";

const MiB = 1024 * 1024;
const ROUNDS = 7;
/** Memory from which answers are sent. */
const SENT_BYTES = 8 * MiB;

type Work = () => void | Promise<void>;

async function timeMs(work: Work): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

export const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

/** Median of several timings of `work` in milliseconds, after one for warming up. */
export async function medianMs(work: Work): Promise<number> {
  const times: number[] = [];
  await work();
  for (let round = 0; round < ROUNDS; round++) times.push(await timeMs(work));
  return median(times);
}

/**
 * The same of two kinds of work that take turns, so that both meet the same machine. Where each has a context of its own, the card goes from one to
 * the other with every turn, which takes some 0.3 ms: a turn must be long beside that, which its `work` sees to.
 */
export async function mediansMs(works: {
  readonly far: Work;
  readonly near: Work;
}): Promise<{ far: number; near: number }> {
  const [far, near]: [number[], number[]] = [[], []];
  await works.far();
  await works.near();
  for (let round = 0; round < ROUNDS; round++) {
    far.push(await timeMs(works.far));
    near.push(await timeMs(works.near));
  }
  return { far: median(far), near: median(near) };
}

interface Bench {
  readonly sizes: Sizes;
  readonly slice: DeviceSlice;
  /** First address of its arena. */
  readonly base: number;
  readonly local: CudaContext;
  readonly capability: number;
}

const rate = (name: string, unit: string, sizes: { value: number; local: number }): Row => ({
  group: "speed",
  name,
  unit,
  value: sizes.value,
  local: sizes.local,
  ratio: sizes.value / sizes.local,
});

const kernelNames = ["empty", "vector_add"] as const;

/** Launches per second, the synchronisation behind them included; and the time of one launch that is waited for. */
async function* measureLaunches({ slice, local, sizes, capability }: Bench): AsyncGenerator<Row> {
  const { api } = local;
  const module = await slice.loadModule(fixture("linear").slice());
  const plain = loadCudaModule(
    local,
    { image: fixture("linear").slice(), text: undefined },
    { outsideBytesMax: MiB, capability },
  );
  for (const name of kernelNames) {
    const kernel = module.kernels.findIndex((info) => info.name === name);
    const f = plain.functions[plain.kernels.findIndex((info) => info.name === name)]!;
    // All zero: no elements, so the kernel returns at once.
    const params = new Uint8Array(module.kernels[kernel]!.paramBytes);
    const size = BigUint64Array.of(BigInt(params.byteLength));
    const extra = BigUint64Array.of(1n, addressOf(params), 2n, addressOf(size), 0n);
    const shape = { grid: [1, 1, 1], block: [32, 1, 1], sharedBytes: 0 } as const;
    // Queued at once, so there is nothing to await.
    const ours = (): void => void slice.launch({ module, kernel, ...shape, params, stream: undefined });
    const theirs = (): number =>
      api.cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, 0, null, params.byteLength === 0 ? null : extra);
    const [many, few] = [sizes.launches, sizes.waits];
    const queued = await mediansMs({
      far: async () => {
        for (let i = 0; i < many; i++) ours();
        await slice.synchronize();
      },
      near: () => {
        for (let i = 0; i < many; i++) theirs();
        api.cuCtxSynchronize();
      },
    });
    yield rate(`launch ${name}`, "1/s", { value: (many / queued.far) * 1000, local: (many / queued.near) * 1000 });
    const waited = await mediansMs({
      far: async () => {
        for (let i = 0; i < few; i++) {
          ours();
          await slice.synchronize();
        }
      },
      near: () => {
        for (let i = 0; i < few; i++) {
          theirs();
          api.cuCtxSynchronize();
        }
      },
    });
    const microseconds = (milliseconds: number): number => (milliseconds / few) * 1000;
    yield {
      group: "speed",
      name: `launch ${name} and synchronise`,
      unit: "us",
      value: microseconds(waited.far),
      local: microseconds(waited.near),
      ratio: waited.near / waited.far,
    };
  }
}

/** A product of two square matrices by the tiled kernel of the fixtures: the device's own time, and what the host adds. */
async function* measureProduct({ slice, base, sizes }: Bench): AsyncGenerator<Row> {
  const n = sizes.product;
  const module = await slice.loadModule(fixture("linear").slice());
  const params = new DataView(new ArrayBuffer(40));
  for (const index of [0, 1, 2]) {
    params.setUint32(index * 4, n, true);
    params.setBigUint64(16 + index * 8, BigInt(base + index * n * n * 4), true);
  }
  // Told by the events of the work that is done, so the device must be idle when it is asked.
  const deviceTime = async (): Promise<number> => {
    slice.deviceTimeMs?.();
    await slice.synchronize();
    return slice.deviceTimeMs?.() ?? 0;
  };
  const started = await deviceTime();
  const elapsed = await medianMs(async () => {
    await slice.launch({
      module,
      kernel: module.kernels.findIndex((info) => info.name === "matmul"),
      grid: [n / 16, n / 16, 1],
      block: [16, 16, 1],
      sharedBytes: 0,
      params: new Uint8Array(params.buffer),
      stream: undefined,
    });
    await slice.synchronize();
  });
  const device = ((await deviceTime()) - started) / (ROUNDS + 1);
  yield {
    group: "speed",
    name: `tiled product of ${n} x ${n} matrices, waited for`,
    unit: "ms",
    value: elapsed,
    local: device,
    ratio: device / elapsed,
    note: "local is the device time measured by events",
  };
}

/** 1 in each type, as the pattern that fills an element. */
const ones = { f32: [4, 0x3f80_0000], tf32: [4, 0x3f80_0000], f16: [2, 0x3c00], bf16: [2, 0x3f80] } as const;

/** The same product by cuBLASLt, in each of its types; every element must be exact, since all factors are 1. */
async function* measureLibraryProducts({ slice, base, local, sizes }: Bench): AsyncGenerator<Row> {
  const n = sizes.product;
  const free = (): number => {
    const [left, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    local.check(local.api.cuMemGetInfo_v2(left, total), "tell the free memory");
    return Number(left[0]);
  };
  const before = free();
  for (const [type, [width, one]] of Object.entries(ones) as [keyof typeof ones, readonly [2 | 4, number]][]) {
    const name = `${n} x ${n} product of ${type} by cuBLASLt`;
    const operand = (index: number): MatrixOperand => ({
      address: base + index * n * n * 4,
      rowStride: n,
      batchStride: 0,
    });
    const [a, b] = [
      { ...operand(0), transposed: false },
      { ...operand(1), transposed: false },
    ];
    const product = { type, m: n, n, k: n, batchCount: 1, a, b, c: operand(2), alpha: 1, beta: 0 };
    try {
      for (const { address } of [a, b]) await slice.fill({ address, count: n * n, width, value: one }, undefined);
      const milliseconds = await medianMs(async () => {
        await slice.multiply?.(product, undefined);
        await slice.synchronize();
      });
      const ends = new Uint8Array(width);
      await slice.read(base + 2 * n * n * 4 + (n * n - 1) * width, ends, undefined);
      const found = Buffer.from(ends).readUIntLE(0, width);
      // The size is a power of two: the exponent grows by that power, and the fraction stays empty.
      const wanted = one + Math.log2(n) * (type === "f16" ? 0x400 : type === "bf16" ? 0x80 : 0x80_0000);
      yield { group: "speed", name, unit: "TFLOP/s", value: (2 * n ** 3) / milliseconds / 1e9, ok: found === wanted };
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== "UNSUPPORTED") throw error;
      yield { group: "speed", name, isSkipped: true, note: error.message };
    }
  }
  const note = "its workspace of 32 MiB, and what it loads";
  yield { group: "speed", name: "memory that products take", unit: "MiB", value: (before - free()) / MiB, note };
}

/** The driver's own copies of ordinary memory, which is what a program that does not think of it gets. */
function pageableMs(
  local: CudaContext,
  data: Uint8Array,
  base: number,
): { write(): Promise<number>; read(): Promise<number> } {
  const { api } = local;
  const address = addressOf(data);
  const timed = (copy: () => number): Promise<number> =>
    medianMs(() => {
      local.check(copy(), "copy");
      api.cuCtxSynchronize();
    });
  return {
    write: () => timed(() => api.cuMemcpyHtoDAsync_v2(base, address, data.byteLength, 0)),
    read: () => timed(() => api.cuMemcpyDtoHAsync_v2(address, base, data.byteLength, 0)),
  };
}

/** The driver's copies of page-locked memory: the fastest that there is. */
async function pinnedMs(local: CudaContext, base: number, byteCount: number): Promise<{ write: number; read: number }> {
  const { api } = local;
  const pointer = new BigUint64Array(1);
  local.check(api.cuMemHostAlloc(pointer, byteCount, 0), "allocate page-locked memory");
  const pinned = Number(pointer[0]);
  bytesAt(pinned, byteCount).fill(7);
  const write = await medianMs(() => {
    local.check(api.cuMemcpyHtoDAsync_v2(base, pinned, byteCount, 0), "copy");
    api.cuCtxSynchronize();
  });
  const read = await medianMs(() => {
    local.check(api.cuMemcpyDtoHAsync_v2(pinned, base, byteCount, 0), "copy");
    api.cuCtxSynchronize();
  });
  api.cuMemFreeHost(pinned);
  return { write, read };
}

interface CopyTimes {
  readonly write: number;
  readonly read: number;
}

/** Milliseconds for copies each way by the driver itself, of ordinary and of page-locked memory, into the arena of an open slice. */
export async function localCopies(
  description: DeviceDescription,
  { base, byteCount }: { readonly base: number; readonly byteCount: number },
): Promise<{ readonly pageable: CopyTimes; readonly pinned: CopyTimes }> {
  const local = new CudaContext({ api: loadCuda().api, device: deviceOf(description), onFailure: () => undefined });
  local.enter();
  const copies = pageableMs(local, new Uint8Array(byteCount).fill(7), base);
  const pageable = { write: await copies.write(), read: await copies.read() };
  const pinned = await pinnedMs(local, base, byteCount);
  local.release();
  return { pageable, pinned };
}

/** Page-locked memory that a write may come in, once there is some. */
async function placeOf(slice: DeviceSlice, address: number): Promise<Uint8Array> {
  for (;;) {
    const place = slice.place?.(address, CALL_DATA_BYTES_MAX);
    if (place !== undefined) return place;
    await new Promise(setImmediate);
  }
}

/**
 * Each way as an executor copies, in the pieces in which the wire brings them: out of memory that the network's data is read into, and into memory
 * that it is sent from. Beside it, ordinary memory in one write and one read, which passes through the staging memory.
 */
async function* measureCopies({ slice, base, local, sizes }: Bench): AsyncGenerator<Row> {
  const { copyBytes } = sizes;
  const data = new Uint8Array(copyBytes).fill(7);
  const sent = new Uint8Array(SENT_BYTES);
  slice.adopt?.(sent);
  const pieces = Array.from({ length: copyBytes / CALL_DATA_BYTES_MAX }, (_, index) => index * CALL_DATA_BYTES_MAX);
  const write = await medianMs(async () => {
    for (const at of pieces) await slice.write(base + at, await placeOf(slice, base + at), undefined);
    await slice.synchronize();
  });
  const read = await medianMs(async () => {
    for (const at of pieces) {
      const from = at % SENT_BYTES;
      await slice.read(base + at, sent.subarray(from, from + CALL_DATA_BYTES_MAX), undefined);
    }
  });
  const writeWhole = await medianMs(async () => {
    await slice.write(base, data, undefined);
    await slice.synchronize();
  });
  const readWhole = await medianMs(() => slice.read(base, data, undefined));
  const pinned = await pinnedMs(local, base, copyBytes);
  const pageable = pageableMs(local, data, base);
  const [pageableWrite, pageableRead] = [await pageable.write(), await pageable.read()];
  const gigabytes = (milliseconds: number): number => copyBytes / milliseconds / 1e6;
  yield rate(`copy ${copyBytes / MiB} MiB to the device, against pageable`, "GB/s", {
    value: gigabytes(write),
    local: gigabytes(pageableWrite),
  });
  yield rate(`copy ${copyBytes / MiB} MiB to the device, against pinned`, "GB/s", {
    value: gigabytes(write),
    local: gigabytes(pinned.write),
  });
  yield rate(`copy ${copyBytes / MiB} MiB from the device, against pageable`, "GB/s", {
    value: gigabytes(read),
    local: gigabytes(pageableRead),
  });
  yield rate(`copy ${copyBytes / MiB} MiB from the device, against pinned`, "GB/s", {
    value: gigabytes(read),
    local: gigabytes(pinned.read),
  });
  yield rate(`copy ${copyBytes / MiB} MiB of ordinary memory to the device, against pageable`, "GB/s", {
    value: gigabytes(writeWhole),
    local: gigabytes(pageableWrite),
  });
  yield rate(`copy ${copyBytes / MiB} MiB from the device to ordinary memory, against pageable`, "GB/s", {
    value: gigabytes(readWhole),
    local: gigabytes(pageableRead),
  });
}

/** All figures of one device. */
export async function* measure(
  description: DeviceDescription,
  { sizes, begin }: { readonly sizes: Sizes; readonly begin: Begin },
): AsyncGenerator<Row> {
  const opening = performance.now();
  const slice = await cudaDriver.open({
    description,
    arenaBytes: 256 * MiB,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 30_000,
    onOutput: () => undefined,
  });
  yield {
    group: "speed",
    name: "open a slice of 256 MiB, context included",
    unit: "ms",
    value: performance.now() - opening,
  };
  const { api } = loadCuda();
  const local = new CudaContext({ api, device: deviceOf(description), onFailure: () => undefined });
  local.enter();
  const capability = capabilityOf(description);
  const bench = { sizes, slice, local, capability, base: slice.arenaBase ?? ARENA_BASE };
  yield* eachPart("speed", begin, {
    launches: () => measureLaunches(bench),
    copies: () => measureCopies(bench),
    "products by a kernel": () => measureProduct(bench),
    "products by cuBLASLt": () => measureLibraryProducts(bench),
  });
  local.release();
  await slice.close();
}

/** The driver's device behind a description of the same process. */
function deviceOf({ id }: DeviceDescription): number {
  return listOrdinals(loadCuda())[Number(id.split(":")[1])]!;
}
