/**
 * The same work on a borrowed slice, through a real server, and on a slice in this process: what borrowing costs. The two are in contexts of their
 * own, between which the card needs time to change: so each does many pieces of work in its turn, and only one of them works at a time.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DigitClassifier, uploadDigits } from "../../client/examples/classifier.ts";
import { PIXELS } from "../../client/examples/digits.ts";
import { connect, type Device, type Pool } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription, DeviceSlice } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { fixture } from "../kernels/support.ts";
import { type Begin, capabilityOf, eachPart, type Row, type Sizes } from "./job.ts";
import { localDevice } from "./local-device.ts";
import { localCopies, median, medianMs, mediansMs } from "./measure.ts";

const group = "remote";
const MiB = 1024 * 1024;
const SLICE_BYTES = 256 * MiB;
const BATCH = 256;
const IMAGES = 1024;
const WARMING_MS = 200;

/** The bars of the project for a real card: the least that a ratio to local may be. */
const bars = { launches: 0.8, copies: 0.6, training: 1 / 1.05 };

const row = (
  name: string,
  sizes: { unit: string; value: number; local: number; ratio: number; bar?: number; note?: string },
): Row => ({
  group,
  name,
  unit: sizes.unit,
  value: sizes.value,
  local: sizes.local,
  ratio: sizes.ratio,
  ...(sizes.note === undefined ? {} : { note: sizes.note }),
  ...(sizes.bar === undefined ? {} : { bar: sizes.bar, ok: sizes.ratio >= sizes.bar }),
});

/** Launches of an empty kernel, with the wait behind them. */
async function launches(gpu: Device, count: number): Promise<() => Promise<void>> {
  const empty = (await gpu.load(fixture("linear").slice())).kernel("empty");
  return async () => {
    for (let i = 0; i < count; i++) empty.launch({ grid: 1, block: 32 }, []);
    await gpu.synchronize();
  };
}

/** Launches that are each waited for. */
async function waits(gpu: Device, count: number): Promise<() => Promise<void>> {
  const one = await launches(gpu, 1);
  return async () => {
    for (let i = 0; i < count; i++) await one();
  };
}

/** Steps of training the demo's classifier, with one wait behind them. */
async function steps(gpu: Device, count: number): Promise<() => Promise<void>> {
  const images = Uint8Array.from({ length: IMAGES * PIXELS }, (_, index) => (index * 2_654_435_761) >>> 24);
  const labels = Uint8Array.from({ length: IMAGES }, (_, index) => index % 10);
  const digits = uploadDigits(gpu, { images, labels, count: IMAGES });
  const order = gpu.upload(Uint32Array.from({ length: IMAGES }, (_, index) => index));
  const classifier = await DigitClassifier.load(gpu, { batchMax: BATCH, seed: 1 });
  await gpu.synchronize();
  return async () => {
    for (let step = 0; step < count; step++) {
      classifier.train({ digits, order, first: (step * BATCH) % (IMAGES - BATCH), count: BATCH }, 0.01);
    }
    await gpu.synchronize();
  };
}

type ProductType = "f16" | "bf16";

interface Products {
  readonly count: number;
  readonly isEachAwaited: boolean;
  readonly type: ProductType;
}

/** Products of two square matrices in memory that they share: each waited for, or all of them with one wait. */
function productsOn(gpu: Device, n: number): (work: Products) => () => Promise<void> {
  const [a, b, c] = [gpu.alloc(n * n * 2), gpu.alloc(n * n * 2), gpu.alloc(n * n * 2)];
  return ({ count, isEachAwaited, type }) =>
    async () => {
      for (let i = 0; i < count; i++) {
        gpu.multiply({ m: n, n, k: n, a, b, c, type });
        if (isEachAwaited) await gpu.synchronize();
      }
      await gpu.synchronize();
    };
}

/** The same work on a borrowed slice and on one in this process. */
interface Pair {
  readonly far: Device;
  readonly near: Device;
}

const both = async (
  { far, near }: Pair,
  make: (gpu: Device) => Promise<() => Promise<void>>,
): Promise<{ far: number; near: number }> => mediansMs({ far: await make(far), near: await make(near) });

/** After that the server has another executor ready, as it has between two jobs. */
const PAUSE_MS = 500;

/** Leases one after the other, each beside a slice opened in this process, which has no context then. */
async function* measureOpening(
  pool: Pool,
  { openings, openHere }: { openings: number; openHere: () => Promise<DeviceSlice> },
): AsyncGenerator<Row> {
  const borrow = async (): Promise<number> => {
    const start = performance.now();
    const lease = await pool.allocate({ memory: SLICE_BYTES, wait: "30s" });
    const elapsed = performance.now() - start;
    await lease.release();
    return elapsed;
  };
  const first = await borrow();
  const [far, near]: [number[], number[]] = [[], []];
  for (let round = 0; round < openings; round++) {
    await sleep(PAUSE_MS);
    far.push(await borrow());
    const start = performance.now();
    const slice = await openHere();
    near.push(performance.now() - start);
    await slice.close();
  }
  const times = { value: median(far), local: median(near), ratio: median(near) / median(far) };
  const note = `local is a slice opened in one process; the first lease of the server takes [${Math.round(first)}] ms`;
  yield row("allocate and attach", { unit: "ms", ...times, note });
}

async function* measureLaunches(pair: Pair, { launches: count, waits: few }: Sizes): AsyncGenerator<Row> {
  const many = await both(pair, (gpu) => launches(gpu, count));
  const perSecond = (milliseconds: number): number => (count / milliseconds) * 1000;
  const rates = { value: perSecond(many.far), local: perSecond(many.near), ratio: many.near / many.far };
  yield row("launch", { unit: "1/s", ...rates, bar: bars.launches });
  const single = await both(pair, (gpu) => waits(gpu, few));
  const microseconds = (milliseconds: number): number => (milliseconds / few) * 1000;
  const times = { value: microseconds(single.far), local: microseconds(single.near), ratio: single.near / single.far };
  yield row("launch and synchronise", { unit: "us", ...times });
  const event = pair.far.event();
  const asked = await medianMs(async () => {
    for (let i = 0; i < few; i++) {
      event.record();
      await event.query();
    }
  });
  const note = "what a call and its answer take on their way, and at both ends";
  yield { group, name: "record an event and ask for it", unit: "us", value: microseconds(asked), note };
}

/** Reads of a few bytes, as of a loss behind each step of a training. */
async function* measureSmallReads(
  gpu: Device,
  { slice, count }: { slice: DeviceSlice; count: number },
): AsyncGenerator<Row> {
  const BYTES = 64;
  const buffer = gpu.alloc(BYTES);
  const [into, base] = [new Uint8Array(BYTES), slice.arenaBase ?? ARENA_BASE];
  const reads = await mediansMs({
    far: async () => {
      for (let i = 0; i < count; i++) await buffer.readInto(into);
    },
    near: async () => {
      for (let i = 0; i < count; i++) await slice.read(base, into, undefined);
    },
  });
  buffer.free();
  const microseconds = (milliseconds: number): number => (milliseconds / count) * 1000;
  const times = { value: microseconds(reads.far), local: microseconds(reads.near), ratio: reads.near / reads.far };
  yield row(`read ${BYTES} bytes`, { unit: "us", ...times });
}

async function* measureCopies(
  gpu: Device,
  { copyBytes, local }: { copyBytes: number; local: () => ReturnType<typeof localCopies> },
): AsyncGenerator<Row> {
  const near = await local();
  const data = new Uint8Array(copyBytes).fill(7);
  const buffer = gpu.alloc(copyBytes);
  // A client that copies much has threads that help it, which start meanwhile.
  for (const warm = performance.now() + WARMING_MS; performance.now() < warm; ) {
    buffer.write(data);
    await buffer.readInto(data);
  }
  const write = await medianMs(async () => {
    buffer.write(data);
    await gpu.synchronize();
  });
  const read = await medianMs(async () => {
    await buffer.readInto(data);
  });
  buffer.free();
  const far = { write, read };
  const gigabytes = (milliseconds: number): number => copyBytes / milliseconds / 1e6;
  for (const way of ["write", "read"] as const) {
    for (const kind of ["pageable", "pinned"] as const) {
      const direction = way === "write" ? "to" : "from";
      yield row(`copy ${copyBytes / MiB} MiB ${direction} the device, against local ${kind}`, {
        unit: "GB/s",
        value: gigabytes(far[way]),
        local: gigabytes(near[kind][way]),
        ratio: near[kind][way] / far[way],
        ...(kind === "pageable" ? { bar: bars.copies } : {}),
      });
    }
  }
}

async function* measureTraining(pair: Pair, count: number): AsyncGenerator<Row> {
  const training = await both(pair, (gpu) => steps(gpu, count));
  yield row(`training step of the digit classifier, batch ${BATCH}`, {
    unit: "ms",
    value: training.far / count,
    local: training.near / count,
    ratio: training.near / training.far,
    bar: bars.training,
  });
}

/** What a turn of products takes at most, so that slow cards need no longer. */
const PRODUCTS_MS_MAX = 300;

async function* measureProducts(
  pair: Pair,
  { product: n, products: most, capability }: Sizes & { readonly capability: number },
): AsyncGenerator<Row> {
  // Before 8.0 there is no arithmetic of bf16.
  const type: ProductType = capability < 80 ? "f16" : "bf16";
  const name = `${n} x ${n} product of ${type} by cuBLASLt`;
  try {
    const [there, here] = [productsOn(pair.far, n), productsOn(pair.near, n)];
    const oneMs = await medianMs(here({ count: 1, isEachAwaited: true, type }));
    const count = Math.max(2, Math.min(most, Math.floor(PRODUCTS_MS_MAX / oneMs)));
    for (const isEachAwaited of [true, false]) {
      const how = isEachAwaited ? "each waited for" : `one wait behind [${count}]`;
      const work = { count, isEachAwaited, type };
      const { far, near } = await mediansMs({ far: there(work), near: here(work) });
      const teraflops = (milliseconds: number): number => (2 * n ** 3 * count) / milliseconds / 1e9;
      const rates = { value: teraflops(far), local: teraflops(near), ratio: near / far };
      yield row(`${name}, ${how}`, { unit: "TFLOP/s", ...rates });
    }
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "UNSUPPORTED") throw error;
    yield { group, name, isSkipped: true, note: error.message };
  }
}

/** All figures of a server, which lends the described device alone. */
export async function* measureRemote(
  description: DeviceDescription,
  { server, sizes, begin }: { readonly server: string; readonly sizes: Sizes; readonly begin: Begin },
): AsyncGenerator<Row> {
  await using pool = await connect({ server });
  const openHere = (): Promise<DeviceSlice> =>
    cudaDriver.open({
      description,
      arenaBytes: SLICE_BYTES,
      arenaBase: ARENA_BASE,
      kernelTimeoutMs: 0,
      onOutput: () => undefined,
    });
  yield* eachPart(group, begin, { openings: () => measureOpening(pool, { openings: sizes.openings, openHere }) });
  await using lease = await pool.allocate({ memory: SLICE_BYTES, wait: "30s" });
  const slice = await openHere();
  const pair = { far: lease.devices[0], near: localDevice(slice) };
  const { copyBytes } = sizes;
  // In the arena's upper half, which nothing else uses.
  const place = { base: (slice.arenaBase ?? ARENA_BASE) + SLICE_BYTES / 2, byteCount: copyBytes };
  yield* eachPart(group, begin, {
    launches: () => measureLaunches(pair, sizes),
    copies: () => measureCopies(pair.far, { copyBytes, local: () => localCopies(description, place) }),
    "steps of a training": () => measureTraining(pair, sizes.trainingSteps),
    "small reads": () => measureSmallReads(pair.far, { slice, count: sizes.waits }),
    products: () => measureProducts(pair, { ...sizes, capability: capabilityOf(description) }),
  });
  await slice.close();
}
