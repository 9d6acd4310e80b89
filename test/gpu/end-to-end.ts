/**
 * What a lease promises, through a real server on a real card: each promise by itself, with a sentence for its name. A check throws when the
 * promise is broken, and may return a note. Memory left on the card is looked for behind each by the caller.
 */
import assert from "node:assert/strict";
import type { Device, Lease, Pool } from "../../client/index.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { fixture } from "../kernels/support.ts";
import { isAll } from "../support/is-all.ts";
import { executorsOf } from "../support/processes.ts";
import type { TestServer } from "../support/server.ts";
import { becomesReady, type Sizes, start } from "./job.ts";

const MiB = 1024 * 1024;
const SLICE_BYTES = 64 * MiB;

export interface Stage {
  readonly pool: Pool;
  readonly server: TestServer;
  readonly device: DeviceDescription;
  /** Of the card, free beside a context before the check. */
  readonly roomBytes: number;
  readonly sizes: Sizes;
}

/** Thrown where a machine has not what a check needs: then it is left out, for the reason given. */
export class NotHere extends Error {}

/** What the server lacks is no fault of the card's. */
export function unlessMissing(error: unknown): never {
  if (error instanceof SluiceError && error.code === "UNSUPPORTED") throw new NotHere(error.message);
  throw error;
}

export type Check = (stage: Stage) => Promise<string | undefined>;

const borrow = (pool: Pool, memory = SLICE_BYTES): Promise<Lease> => pool.allocate({ memory, wait: "30s" });

async function failureOf(work: Promise<unknown>): Promise<SluiceError> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert(outcome instanceof SluiceError, `expected a failure, not ${outcome}`);
  return outcome;
}

function throwsCode(work: () => unknown, code: string): void {
  assert.throws(work, (error) => error instanceof SluiceError && error.code === code);
}

async function eventually(what: string, probe: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await probe())) {
    assert(performance.now() < deadline, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const lentBytes = async (pool: Pool): Promise<number> =>
  (await pool.devices()).reduce((sum, { grantedBytes }) => sum + grantedBytes, 0);

/** Adds vectors and looks at every sum. */
async function computes(gpu: Device): Promise<void> {
  const n = 10_007;
  const add = (await gpu.load(fixture("linear"))).kernel("vector_add");
  const x = gpu.upload(Float32Array.from({ length: n }, (_, index) => index));
  const y = gpu.alloc(n * 4);
  add.launch({ grid: Math.ceil(n / 256), block: 256 }, [n, x, x, y]);
  const sums = await y.read(Float32Array);
  assert(
    sums.every((value, index) => value === 2 * index),
    "a sum is wrong",
  );
  for (const buffer of [x, y]) buffer.free();
}

async function storeOutside(gpu: Device, address: bigint): Promise<SluiceError> {
  const store = (await gpu.load(fixture("faults"))).kernel("store_at");
  store.launch({ grid: 1, block: 1 }, [address, 1]);
  return failureOf(gpu.synchronize());
}

async function productAgrees(gpu: Device, type: "f32" | "tf32" | "f16" | "bf16"): Promise<void> {
  const [m, n, k] = [48, 40, 56];
  // Whole numbers so small that every sum is exact in every type.
  const [one, half] = { f32: [0, 0], tf32: [0, 0], f16: [0x3c00, 1], bf16: [0x3f80, 1] }[type];
  const ones = (count: number): ArrayBufferView =>
    half === 1 ? new Uint16Array(count).fill(one!) : new Float32Array(count).fill(1);
  const [a, b, c] = [gpu.upload(ones(m * k)), gpu.upload(ones(k * n)), gpu.upload(ones(m * n))];
  gpu.multiply({ m, n, k, a, b, c, type, transposeB: true, alpha: 2, beta: 16 });
  // 2 * 56 + 16 = 128, a power of two: exact in each type, and easy to name.
  const wanted = { f32: 128, tf32: 128, f16: 0x5800, bf16: 0x4300 }[type];
  const found = half === 1 ? await c.read(Uint16Array) : await c.read(Float32Array);
  assert(
    [...found].every((value) => value === wanted),
    `an element is ${found.find((value) => value !== wanted)}, not ${wanted}`,
  );
}

/** A lease of two devices: what is written on the one is read on the other. */
export async function copyBetween(pool: Pool): Promise<void> {
  await using lease = await pool.allocate({ devices: 2, memory: SLICE_BYTES, wait: "30s" });
  const [first, second] = lease.devices;
  assert(second !== undefined, "the lease has one device");
  const data = Uint32Array.from({ length: MiB }, (_, index) => Math.imul(index, 2_654_435_761));
  const [from, to] = [first.upload(data), second.alloc(data.byteLength)];
  second.copy(to, from);
  const found = await to.read(Uint32Array);
  assert(
    found.every((word, index) => word === data[index]),
    "the bytes differ",
  );
}

export const faultCheck = "a fault is told with the driver's name for it, and ends its own lease only";

export const checks: Readonly<Record<string, Check>> = {
  "the list tells hardware, health, and a charge that is measured": async ({ pool, device }) => {
    await eventually("the first look", async () => (await pool.devices())[0]?.health !== null);
    const [listed] = await pool.devices();
    assert(listed !== undefined);
    assert.equal(listed.hardware?.uuid, device.details?.uuid);
    assert.deepEqual(listed.health?.problems, []);
    const charge = `${listed.overheadPerLeaseBytes / MiB} MiB per lease`;
    return listed.overheadEstimated ? `${charge}, by estimate` : charge;
  },

  "a slice is exact: its last byte can be used, and one more is refused": async ({ pool }) => {
    await using lease = await borrow(pool);
    const [gpu] = lease.devices;
    assert.equal(gpu.memoryInfo().totalBytes, SLICE_BYTES);
    const all = gpu.alloc(SLICE_BYTES);
    throwsCode(() => gpu.alloc(1), "OUT_OF_MEMORY");
    all.write(Uint8Array.of(1, 2, 3), { offset: SLICE_BYTES - 3 });
    assert.deepEqual([...(await all.read(Uint8Array, { offset: SLICE_BYTES - 4 }))], [0, 1, 2, 3]);
    return `arena at 0x${all.address.toString(16)}`;
  },

  "the largest slice that is offered can be had, and used to its last byte": async ({ pool, roomBytes }) => {
    const [listed] = await pool.devices();
    if (listed!.sliceBytesMax > roomBytes)
      throw new NotHere(
        `others use the card, of which [${roomBytes}] bytes are free; it offers [${listed!.sliceBytesMax}]`,
      );
    await using lease = await borrow(pool, listed!.sliceBytesMax);
    const [gpu] = lease.devices;
    const all = gpu.alloc(listed!.sliceBytesMax);
    all.write(Uint8Array.of(7), { offset: listed!.sliceBytesMax - 1 });
    assert.deepEqual([...(await all.read(Uint8Array, { offset: listed!.sliceBytesMax - 2 }))], [0, 7]);
    return `${listed!.sliceBytesMax / MiB} MiB`;
  },

  "a request beyond the card is refused": async ({ pool, device }) => {
    const error = await failureOf(pool.allocate({ memory: device.memoryBytes * 2 }));
    assert.equal(error.code, "IMPOSSIBLE_REQUEST");
    return undefined;
  },

  "bytes come back as they were written, at odd places, in pieces and in streams": async ({ pool }) => {
    await using lease = await borrow(pool);
    const [gpu] = lease.devices;
    const data = Uint8Array.from({ length: 5 * MiB + 13 }, (_, index) => (index * 2_654_435_761) >>> 24);
    const [first, second] = [gpu.alloc(data.byteLength + 7), gpu.alloc(data.byteLength)];
    const stream = gpu.stream();
    const done = gpu.event();
    first.write(data, { offset: 7, stream });
    done.record(stream);
    const other = gpu.stream();
    other.wait(done);
    gpu.copy(second, first.at(7), { stream: other });
    const found = await second.read(Uint8Array, { stream: other });
    assert.equal(Buffer.compare(found, data), 0);
    return undefined;
  },

  "kernels compute, and the time that the device worked is charged": async ({ pool }) => {
    const lease = await borrow(pool);
    const [gpu] = lease.devices;
    await computes(gpu);
    const n = 1024;
    const product = (await gpu.load(fixture("linear"))).kernel("matmul");
    const operands = [0, 1, 2].map(() => gpu.alloc(n * n * 4));
    for (let round = 0; round < 20; round++) {
      product.launch({ grid: [n / 16, n / 16], block: [16, 16] }, [n, n, n, ...operands]);
    }
    await gpu.synchronize();
    const usage = await lease.release();
    assert(usage !== undefined && usage.deviceMs > 0, "no device time is charged");
    return `${usage.deviceMs} ms`;
  },

  "matrix products are right in f32, tf32, f16 and bf16": async ({ pool }) => {
    const missing: string[] = [];
    // In an order of what old cards know, and each with a lease of its own: one that the library cannot compute ends it.
    for (const type of ["f32", "f16", "tf32", "bf16"] as const) {
      const lease = await borrow(pool);
      try {
        await productAgrees(lease.devices[0], type);
      } catch (error) {
        if (!(error instanceof SluiceError) || error.code !== "UNSUPPORTED") throw error;
        if (type === "f32") throw new NotHere(error.message);
        missing.push(type);
      } finally {
        await lease.release().catch(() => undefined);
      }
    }
    return missing.length === 0 ? undefined : `not in [${missing}], which the card's library does not compute`;
  },

  "CUDA C is compiled, and what is wrong with it is told": async ({ pool }) => {
    await using lease = await borrow(pool);
    const [gpu] = lease.devices;
    const source = 'extern "C" __global__ void empty() {}';
    try {
      (await gpu.compile(source, { options: ["--use_fast_math"] })).kernel("empty").launch({ grid: 1, block: 1 }, []);
    } catch (error) {
      unlessMissing(error);
    }
    await gpu.synchronize();
    const error = await failureOf(gpu.compile('extern "C" __global__ void k() { nonsense; }'));
    assert.equal(error.code, "BAD_IMAGE");
    assert.match(error.message, /nonsense/);
    return undefined;
  },

  [faultCheck]: async ({ pool }) => {
    await using steady = await borrow(pool);
    const faulty = await borrow(pool);
    const error = await storeOutside(faulty.devices[0], BigInt(faulty.devices[0].alloc(256).address + SLICE_BYTES));
    assert.equal(error.code, "ILLEGAL_ADDRESS");
    assert.equal(typeof error.details.sequence, "number");
    await computes(steady.devices[0]);
    await faulty.release().catch(() => undefined);
    await computes(steady.devices[0]);
    return `${error.details.nativeCode} ${error.details.nativeName}`;
  },

  "a kernel that never ends is ended at its time-out": async ({ pool }) => {
    const lease = await borrow(pool);
    const [gpu] = lease.devices;
    const endless = (await gpu.load(fixture("faults"))).kernel("endless");
    endless.launch({ grid: 1, block: 1 }, [gpu.alloc(256)]);
    const error = await failureOf(gpu.synchronize());
    assert.equal(error.code, "KERNEL_TIMEOUT");
    await lease.release().catch(() => undefined);
    await using next = await borrow(pool);
    await computes(next.devices[0]);
    return undefined;
  },

  "a client that is killed in the middle gives its share back, and leaves zeros": async ({ pool, server, device }) => {
    const client = start({ kind: "borrow", device: device.id, server: server.grpc, bytes: SLICE_BYTES });
    const isReady = await becomesReady(client, 60_000);
    client.process.kill("SIGKILL");
    await client.ended;
    assert(isReady, "the client does not start");
    await eventually("its share", async () => (await lentBytes(pool)) === 0);
    await using lease = await borrow(pool);
    const [gpu] = lease.devices;
    const bytes = await gpu.alloc(SLICE_BYTES).read(Uint8Array);
    assert(isAll(bytes, 0), "the memory is not zero");
    return undefined;
  },

  "an executor that is killed in the middle ends its own lease only": async ({ pool, server }) => {
    await using steady = await borrow(pool);
    const struck = await borrow(pool);
    await computes(struck.devices[0]);
    const executor = executorsOf(server.state).find(({ leaseId }) => leaseId === struck.id);
    assert(executor !== undefined, "its executor is not found");
    process.kill(executor.pid, "SIGKILL");
    const error = await failureOf(struck.devices[0].synchronize());
    assert.equal(error.code, "EXECUTOR_FAILED");
    await computes(steady.devices[0]);
    await eventually("its share", async () => (await lentBytes(pool)) === SLICE_BYTES);
    return undefined;
  },
};
