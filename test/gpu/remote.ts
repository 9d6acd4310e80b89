/** The same work on a borrowed slice, through a real server, and on a slice in this process: what borrowing costs. */
import { DigitClassifier, uploadDigits } from "../../client/examples/classifier.ts";
import { PIXELS } from "../../client/examples/digits.ts";
import { connect, type Device } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { fixture } from "../kernels/support.ts";
import type { Row, Sizes } from "./job.ts";
import { localDevice } from "./local-device.ts";
import { localCopies, medianMs } from "./measure.ts";

const MiB = 1024 * 1024;
const SLICE_BYTES = 256 * MiB;
const BATCH = 256;
const IMAGES = 1024;

/** The bars of the project for a real card: the least that a ratio to local may be. */
const bars = { launches: 0.8, copies: 0.6, training: 1 / 1.05 };

const row = (
  name: string,
  sizes: { unit: string; value: number; local: number; ratio: number; bar?: number },
): Row => ({
  group: "remote",
  name,
  unit: sizes.unit,
  value: sizes.value,
  local: sizes.local,
  ratio: sizes.ratio,
  ...(sizes.bar === undefined ? {} : { bar: sizes.bar, ok: sizes.ratio >= sizes.bar }),
});

/** Milliseconds for launches of an empty kernel, with the wait behind them. */
async function launchesMs(gpu: Device, { launches }: Sizes): Promise<number> {
  const empty = (await gpu.load(fixture("linear").slice())).kernel("empty");
  return medianMs(async () => {
    for (let i = 0; i < launches; i++) empty.launch({ grid: 1, block: 32 }, []);
    await gpu.synchronize();
  });
}

/** Milliseconds for one step of training the demo's classifier, with one wait behind many steps. */
async function stepMs(gpu: Device, { trainingSteps }: Sizes): Promise<number> {
  const images = Uint8Array.from({ length: IMAGES * PIXELS }, (_, index) => (index * 2_654_435_761) >>> 24);
  const labels = Uint8Array.from({ length: IMAGES }, (_, index) => index % 10);
  const digits = uploadDigits(gpu, { images, labels, count: IMAGES });
  const order = gpu.upload(Uint32Array.from({ length: IMAGES }, (_, index) => index));
  const classifier = await DigitClassifier.load(gpu, { batchMax: BATCH, seed: 1 });
  await gpu.synchronize();
  const all = await medianMs(async () => {
    for (let step = 0; step < trainingSteps; step++) {
      classifier.train({ digits, order, first: (step * BATCH) % (IMAGES - BATCH), count: BATCH }, 0.01);
    }
    await gpu.synchronize();
  });
  return all / trainingSteps;
}

/** Milliseconds for a product of two square matrices of bf16, waited for; undefined where nothing can compute it. */
async function productMs(gpu: Device, { product: n }: Sizes): Promise<number | undefined> {
  const [a, b, c] = [gpu.alloc(n * n * 2), gpu.alloc(n * n * 2), gpu.alloc(n * n * 2)];
  try {
    return await medianMs(async () => {
      gpu.multiply({ m: n, n, k: n, a, b, c, type: "bf16" });
      await gpu.synchronize();
    });
  } catch (error) {
    if (error instanceof SluiceError && error.code === "UNSUPPORTED") return undefined;
    throw error;
  }
}

/** All figures of a server, which lends the described device alone. */
export async function* measureRemote(
  description: DeviceDescription,
  { server, sizes }: { readonly server: string; readonly sizes: Sizes },
): AsyncGenerator<Row> {
  const far = await measureBorrowed(server, sizes);
  const near = await measureLocal(description, sizes);
  const { launches, copyBytes, product } = sizes;
  const perSecond = (milliseconds: number): number => (launches / milliseconds) * 1000;
  const gigabytes = (milliseconds: number): number => copyBytes / milliseconds / 1e6;
  yield row("launch", {
    unit: "1/s",
    value: perSecond(far.launches),
    local: perSecond(near.launches),
    ratio: near.launches / far.launches,
    bar: bars.launches,
  });
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
  if (far.product !== undefined && near.product !== undefined) {
    const teraflops = (milliseconds: number): number => (2 * product ** 3) / milliseconds / 1e9;
    yield row(`${product} x ${product} product of bf16 by cuBLASLt, waited for`, {
      unit: "TFLOP/s",
      value: teraflops(far.product),
      local: teraflops(near.product),
      ratio: near.product / far.product,
    });
  }
  yield row(`training step of the digit classifier, batch ${BATCH}`, {
    unit: "ms",
    value: far.step,
    local: near.step,
    ratio: near.step / far.step,
    bar: bars.training,
  });
  yield { group: "remote", name: "allocate and attach", unit: "ms", value: far.attach };
  yield { group: "remote", name: "launch and synchronise", unit: "us", value: far.latency };
}

async function measureLocal(description: DeviceDescription, sizes: Sizes) {
  const slice = await cudaDriver.open({
    description,
    arenaBytes: SLICE_BYTES,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
  });
  const gpu = localDevice(slice);
  const launches = await launchesMs(gpu, sizes);
  const step = await stepMs(gpu, sizes);
  const product = await productMs(gpu, sizes);
  const place = { base: slice.arenaBase ?? ARENA_BASE, byteCount: sizes.copyBytes };
  const copies = await localCopies(description, place);
  await slice.close();
  return { launches, step, product, ...copies };
}

async function measureBorrowed(server: string, sizes: Sizes) {
  await using pool = await connect({ server });
  const start = performance.now();
  await using lease = await pool.allocate({ memory: SLICE_BYTES, wait: "30s" });
  const attach = performance.now() - start;
  const [gpu] = lease.devices;
  const launches = await launchesMs(gpu, sizes);
  const empty = (await gpu.load(fixture("linear").slice())).kernel("empty");
  const rounds = 100;
  const waits = await medianMs(async () => {
    for (let i = 0; i < rounds; i++) {
      empty.launch({ grid: 1, block: 32 }, []);
      await gpu.synchronize();
    }
  });
  const data = new Uint8Array(sizes.copyBytes).fill(7);
  const buffer = gpu.alloc(sizes.copyBytes);
  const write = await medianMs(async () => {
    buffer.write(data);
    await gpu.synchronize();
  });
  const read = await medianMs(async () => {
    await buffer.readInto(data);
  });
  buffer.free();
  const step = await stepMs(gpu, sizes);
  const product = await productMs(gpu, sizes);
  return { launches, write, read, step, product, attach, latency: (waits / rounds) * 1000 };
}
