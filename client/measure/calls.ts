/**
 * What a lease's calls cost, measured through the library as programs use it: answered calls, calls without an answer, copies. Each
 * returns every sample in nanoseconds by `process.hrtime`; callers make summaries. Used by `sluice bench` and by the checkout's suite.
 */
import type { Device, DeviceBuffer, Kernel } from "../index.ts";

/** One small kernel with four parameters: a launch of it is a call of 80 bytes, as most are. */
const KERNEL = `.version 7.0
.target sm_70
.address_size 64
.visible .entry step(.param .u64 x, .param .u64 y, .param .u32 n, .param .f32 a)
{
  ret;
}
`;

/** Bytes of a launch of that kernel on the wire, its header included. */
export const LAUNCH_BYTES = 80;

/** Calls between two waits, so that a client without end stays within its backlog. */
const CALLS_PER_FLUSH = 4096;

/** How many measurements, and how many before the first that counts. */
export interface Counts {
  readonly rounds: number;
  readonly warmup: number;
}

/** A device with the small kernel loaded. */
export interface Launcher {
  readonly gpu: Device;
  readonly kernel: Kernel;
  readonly buffers: readonly [x: DeviceBuffer, y: DeviceBuffer];
}

export async function loadLauncher(gpu: Device): Promise<Launcher> {
  const kernel = (await gpu.load(KERNEL)).kernel("step");
  return { gpu, kernel, buffers: [gpu.alloc(65_536), gpu.alloc(65_536)] };
}

export const since = (start: bigint): number => Number(process.hrtime.bigint() - start);

async function samples(counts: Counts, run: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let round = -counts.warmup; round < counts.rounds; round++) {
    const start = process.hrtime.bigint();
    await run();
    if (round >= 0) times.push(since(start));
  }
  return times;
}

function launchOnce({ kernel, buffers: [x, y] }: Launcher): void {
  // One thread: what a kernel computes is not what is measured.
  kernel.launch({ grid: 1, block: 1 }, [x, y, 65_536, 2]);
}

/** An answered call: a read of `payloadBytes`, or for 0 a synchronise, behind the record of an event: with nothing to wait for it needs no trip. */
export async function roundTrips(gpu: Device, options: Counts & { payloadBytes: number }): Promise<number[]> {
  if (options.payloadBytes === 0) {
    using event = gpu.event();
    return await samples(options, () => {
      event.record();
      return gpu.synchronize();
    });
  }
  const buffer = gpu.alloc(options.payloadBytes);
  const into = new Uint8Array(options.payloadBytes).fill(1);
  try {
    return await samples(options, () => buffer.readInto(into));
  } finally {
    buffer.free();
  }
}

/** Nanoseconds that the client spends per launch, sending included: bursts of `calls` with a synchronise between them. */
export async function issue(
  launcher: Launcher,
  { calls, rounds, warmup }: Counts & { calls: number },
): Promise<number[]> {
  const times: number[] = [];
  for (let round = -warmup; round < rounds; round++) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < calls; index++) launchOnce(launcher);
    if (round >= 0) times.push(since(start) / calls);
    await launcher.gpu.synchronize();
  }
  return times;
}

/** Nanoseconds per launch, executed: `calls` launches, of which `batch` at a time are sent in one write; the last is waited for. */
export async function batches(
  launcher: Launcher,
  options: Counts & { batch: number; calls: number },
): Promise<number[]> {
  const { batch, calls } = options;
  const times = await samples(options, async () => {
    for (let done = 0; done < calls; done += batch) {
      for (let index = 0; index < batch; index++) launchOnce(launcher);
      await launcher.gpu.flush();
    }
    await launcher.gpu.synchronize();
  });
  return times.map((time) => time / (Math.ceil(calls / batch) * batch));
}

/** As `batches`, with the client's own batching. */
export async function flood(launcher: Launcher, options: Counts & { calls: number }): Promise<number[]> {
  const times = await samples(options, async () => {
    for (let done = 0; done < options.calls; done += CALLS_PER_FLUSH) {
      for (let index = 0; index < CALLS_PER_FLUSH; index++) launchOnce(launcher);
      await launcher.gpu.flush();
    }
    await launcher.gpu.synchronize();
  });
  return times.map((time) => time / (Math.ceil(options.calls / CALLS_PER_FLUSH) * CALLS_PER_FLUSH));
}

/** Whole copies: to the device until it says that it has them, and from it. */
export async function copies(
  gpu: Device,
  options: Counts & { bytes: number; direction: "to" | "from" },
): Promise<number[]> {
  const { bytes, direction } = options;
  const buffer = gpu.alloc(bytes);
  const data = new Uint8Array(bytes).fill(1);
  try {
    buffer.write(data);
    await gpu.synchronize();
    // Into memory that is there already, as C receives: fresh memory costs more than the copy.
    if (direction === "from") return await samples(options, () => buffer.readInto(data));
    return await samples(options, () => {
      buffer.write(data);
      return gpu.synchronize();
    });
  } finally {
    buffer.free();
    await gpu.flush();
  }
}
