/** The same work on a borrowed slice, through a real server, and on a slice in this process: what borrowing costs. */
import { DigitClassifier, uploadDigits } from "../../client/examples/classifier.ts";
import { PIXELS } from "../../client/examples/digits.ts";
import { connect, type Device } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { fixture } from "../kernels/support.ts";
import type { Row } from "./job.ts";
import { localDevice } from "./local-device.ts";
import { medianMs, pageableCopies } from "./measure.ts";

const MiB = 1024 * 1024;
const COPY_BYTES = 64 * MiB;
const LAUNCHES = 20_000;
const STEPS = 50;
const BATCH = 256;
const IMAGES = 1024;

/** The bars of the project for a real card: the least that a ratio to local may be. */
const bars = { launches: 0.8, copies: 0.6, training: 1 / 1.05 };

const row = (name: string, sizes: { unit: string; value: number; local: number; ratio: number; bar: number }): Row => ({
  group: "remote",
  name,
  unit: sizes.unit,
  value: sizes.value,
  local: sizes.local,
  ratio: sizes.ratio,
  ok: sizes.ratio >= sizes.bar,
  note: `bar ${sizes.bar.toFixed(2)}`,
});

/** Milliseconds for launches of an empty kernel, with the wait behind them. */
async function launchesMs(gpu: Device): Promise<number> {
  const empty = (await gpu.load(fixture("linear").slice())).kernel("empty");
  return medianMs(async () => {
    for (let i = 0; i < LAUNCHES; i++) empty.launch({ grid: 1, block: 32 }, []);
    await gpu.synchronize();
  });
}

/** Milliseconds for one step of training the demo's classifier, with one wait behind many steps. */
async function stepMs(gpu: Device): Promise<number> {
  const images = Uint8Array.from({ length: IMAGES * PIXELS }, (_, index) => (index * 2_654_435_761) >>> 24);
  const labels = Uint8Array.from({ length: IMAGES }, (_, index) => index % 10);
  const digits = uploadDigits(gpu, { images, labels, count: IMAGES });
  const order = gpu.upload(Uint32Array.from({ length: IMAGES }, (_, index) => index));
  const classifier = await DigitClassifier.load(gpu, { batchMax: BATCH, seed: 1 });
  await gpu.synchronize();
  const all = await medianMs(async () => {
    for (let step = 0; step < STEPS; step++) {
      classifier.train({ digits, order, first: (step * BATCH) % (IMAGES - BATCH), count: BATCH }, 0.01);
    }
    await gpu.synchronize();
  });
  return all / STEPS;
}

/** All figures of a server, which lends the described device alone. */
export async function* measureRemote(description: DeviceDescription, server: string): AsyncGenerator<Row> {
  const far = await measureBorrowed(server);
  const slice = await cudaDriver.open({
    description,
    arenaBytes: 256 * MiB,
    arenaBase: ARENA_BASE,
    kernelTimeoutMs: 0,
    onOutput: () => undefined,
  });
  const gpu = localDevice(slice);
  const near = {
    launches: await launchesMs(gpu),
    step: await stepMs(gpu),
    ...(await pageableCopies(description, slice.arenaBase ?? ARENA_BASE)),
  };
  await slice.close();
  const perSecond = (milliseconds: number): number => (LAUNCHES / milliseconds) * 1000;
  const gigabytes = (milliseconds: number): number => COPY_BYTES / milliseconds / 1e6;
  yield row("launch", {
    unit: "1/s",
    value: perSecond(far.launches),
    local: perSecond(near.launches),
    ratio: near.launches / far.launches,
    bar: bars.launches,
  });
  for (const way of ["write", "read"] as const) {
    yield row(`copy 64 MiB ${way === "write" ? "to" : "from"} the device, against local pageable`, {
      unit: "GB/s",
      value: gigabytes(far[way]),
      local: gigabytes(near[way]),
      ratio: near[way] / far[way],
      bar: bars.copies,
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

async function measureBorrowed(
  server: string,
): Promise<Record<"launches" | "write" | "read" | "step" | "attach" | "latency", number>> {
  await using pool = await connect({ server });
  const start = performance.now();
  await using lease = await pool.allocate({ memory: 256 * MiB, wait: "30s" });
  const attach = performance.now() - start;
  const [gpu] = lease.devices;
  const launches = await launchesMs(gpu);
  const empty = (await gpu.load(fixture("linear").slice())).kernel("empty");
  const rounds = 100;
  const waits = await medianMs(async () => {
    for (let i = 0; i < rounds; i++) {
      empty.launch({ grid: 1, block: 32 }, []);
      await gpu.synchronize();
    }
  });
  const data = new Uint8Array(COPY_BYTES).fill(7);
  const buffer = gpu.alloc(COPY_BYTES);
  const write = await medianMs(async () => {
    buffer.write(data);
    await gpu.synchronize();
  });
  const read = await medianMs(async () => {
    await buffer.read(Uint8Array);
  });
  buffer.free();
  const step = await stepMs(gpu);
  return { launches, write, read, step, attach, latency: (waits / rounds) * 1000 };
}
