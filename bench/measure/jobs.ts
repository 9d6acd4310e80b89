/**
 * What a worker can measure, with the built client as users have it. One worker holds one lease at a time. Times are
 * nanoseconds by `process.hrtime`; each job returns every sample, and the case makes the summary.
 */
import { allocateRequest } from "../../client/allocate-options.ts";
import type { Control } from "../../client/control.ts";
import type { Device, DeviceBuffer, Kernel, Lease } from "../../client/index.ts";
import * as leaseJobs from "./lease-jobs.ts";
import { openControl, openLease, type Target, type TransportName } from "./target.ts";
import * as trainingJobs from "./training-jobs.ts";

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

interface Held {
  readonly control: Control;
  readonly lease: Lease;
  readonly gpu: Device;
  readonly kernel: Kernel;
  readonly buffers: readonly [x: DeviceBuffer, y: DeviceBuffer];
}

let held: Held | undefined;

function current(): Held {
  if (held === undefined) throw new Error("The worker holds no lease.");
  return held;
}

const since = (start: bigint): number => Number(process.hrtime.bigint() - start);

async function samples(counts: { rounds: number; warmup: number }, run: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let round = -counts.warmup; round < counts.rounds; round++) {
    const start = process.hrtime.bigint();
    await run();
    if (round >= 0) times.push(since(start));
  }
  return times;
}

function launchOnce({ kernel, buffers: [x, y] }: Held): void {
  kernel.launch({ grid: 256, block: 256 }, [x, y, 65_536, 2]);
}

async function open({ target, memory }: { target: Target; memory: string }): Promise<void> {
  const control = openControl(target);
  const { lease } = await openLease(control, target, { memory });
  const [gpu] = lease.devices;
  const kernel = (await gpu.load(KERNEL)).kernel("step");
  held = { control, lease, gpu, kernel, buffers: [gpu.alloc(65_536), gpu.alloc(65_536)] };
}

/** The kinds of endpoints that the server offers this client. */
async function transports({ target }: { target: Target }): Promise<TransportName[]> {
  const control = openControl(target);
  try {
    const granted = await control.allocate(allocateRequest({ memory: "1GiB" }), {});
    const { lease, connection, secret } = granted;
    if (lease === null || connection === null) throw new Error("The server grants without a lease.");
    await control.release({ leaseId: lease.id, secret });
    const offers = (name: TransportName): boolean =>
      connection.dataEndpoints.some((endpoint) => endpoint.startsWith(`${name}:`));
    return (["tcp", "unix"] as const).filter(offers);
  } finally {
    control.close();
  }
}

async function close(_options: object): Promise<void> {
  const { lease, control } = current();
  held = undefined;
  await lease.release();
  control.close();
}

/** An answered call: a read of `payloadBytes`, or for 0 a synchronise, behind the record of an event: with nothing to wait for it needs no trip. */
async function roundTrips(options: { payloadBytes: number; rounds: number; warmup: number }): Promise<number[]> {
  const { gpu } = current();
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
async function issue({ calls, rounds, warmup }: { calls: number; rounds: number; warmup: number }): Promise<number[]> {
  const state = current();
  const times: number[] = [];
  for (let round = -warmup; round < rounds; round++) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < calls; index++) launchOnce(state);
    if (round >= 0) times.push(since(start) / calls);
    await state.gpu.synchronize();
  }
  return times;
}

/** Nanoseconds per launch, executed: `calls` launches, of which `batch` at a time are sent in one write; the last is waited for. */
async function batches(options: { batch: number; calls: number; rounds: number; warmup: number }): Promise<number[]> {
  const state = current();
  const { batch, calls } = options;
  const times = await samples(options, async () => {
    for (let done = 0; done < calls; done += batch) {
      for (let index = 0; index < batch; index++) launchOnce(state);
      await state.gpu.flush();
    }
    await state.gpu.synchronize();
  });
  return times.map((time) => time / (Math.ceil(calls / batch) * batch));
}

/** As `batches`, with the client's own batching. */
async function flood(options: { calls: number; rounds: number; warmup: number }): Promise<number[]> {
  const state = current();
  const times = await samples(options, async () => {
    for (let done = 0; done < options.calls; done += CALLS_PER_FLUSH) {
      for (let index = 0; index < CALLS_PER_FLUSH; index++) launchOnce(state);
      await state.gpu.flush();
    }
    await state.gpu.synchronize();
  });
  return times.map((time) => time / (Math.ceil(options.calls / CALLS_PER_FLUSH) * CALLS_PER_FLUSH));
}

/** Whole copies: to the device until it says that it has them, and from it. */
async function copies(options: {
  bytes: number;
  direction: "to" | "from";
  rounds: number;
  warmup: number;
}): Promise<number[]> {
  const { gpu } = current();
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

export interface AllocationTimes {
  readonly grant: number[];
  readonly attach: number[];
  readonly firstResult: number[];
  readonly release: number[];
}

/** From the request to the first result that came back, and its parts. `pauseMs` lets the server warm its next executor. */
async function allocations(options: {
  target: Target;
  rounds: number;
  warmup: number;
  pauseMs: number;
}): Promise<AllocationTimes> {
  const { target } = options;
  const control = openControl(target);
  const times: AllocationTimes = { grant: [], attach: [], firstResult: [], release: [] };
  try {
    await control.listDevices();
    for (let round = -options.warmup; round < options.rounds; round++) {
      await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
      const start = process.hrtime.bigint();
      const { lease, times: parts } = await openLease(control, target, { memory: "1GiB" });
      await lease.devices[0].upload(Float32Array.of(1)).read(Float32Array);
      const firstResult = since(start);
      const release = process.hrtime.bigint();
      await lease.release();
      if (round < 0) continue;
      times.release.push(since(release));
      times.firstResult.push(firstResult);
      times.grant.push(parts.grantNs);
      times.attach.push(parts.attachNs);
    }
  } finally {
    control.close();
  }
  return times;
}

export const jobs = {
  open,
  close,
  roundTrips,
  issue,
  batches,
  flood,
  copies,
  allocations,
  transports,
  ...leaseJobs,
  ...trainingJobs,
} as const;

export type Jobs = typeof jobs;
export type JobName = keyof Jobs;
export type JobOptions<Name extends JobName> = Parameters<Jobs[Name]>[0];
export type JobResult<Name extends JobName> = Awaited<ReturnType<Jobs[Name]>>;
