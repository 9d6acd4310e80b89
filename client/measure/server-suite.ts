/**
 * What `sluice bench` measures on a server that is there already: allocation, answered calls, calls without an answer, copies, and the
 * steps of a small training. It sees what a program on this machine sees, network included, and gives its leases back.
 */
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { Control } from "../control.ts";
import type { Device } from "../device.ts";
import type { Lease } from "../lease.ts";
import { batches, copies, flood, issue, type Launcher, loadLauncher, roundTrips, since } from "./calls.ts";
import { median, type Summary, summarize } from "./statistics.ts";
import { loadTrainer, steps, TRAINING_BYTES, type Workload } from "./steps.ts";
import { openTimedLease } from "./timed-lease.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const payloads = [64, 4 * KiB, 64 * KiB, MiB];
const batchSizes = [1, 4, 16, 64, 256, 1024, 4096];
const copySizes = [4, 64 * KiB, MiB, 16 * MiB, 64 * MiB, 256 * MiB, 1024 * MiB];
/** The smallest answered call, by which a network is judged. */
export const SMALL_BYTES = 64;
/** The server starts its next spare executor in this time: what is measured is an allocation that finds one. */
const PAUSE_MS = 500;
/** V8 compiles what a call runs, at both ends, after some thousand of them. */
const WARMUP_CALLS = 10_000;
const TRIES = 3;

export interface SuiteOptions {
  readonly control: Control;
  readonly request: AllocateRequest;
  /** Chooses the data endpoints. Default: all. */
  readonly endpoints?: (all: readonly string[]) => readonly string[];
  /** A quarter of the time. */
  readonly quick: boolean;
  /** Tells the part that is done, 0 to 1, and what is measured now. */
  readonly progress: (fraction: number, what: string) => void;
  readonly signal: AbortSignal;
}

export interface WorkTime {
  readonly workload: Workload;
  readonly batch: number;
  /** Steps between two answers. */
  readonly stepsPerAnswer: number;
  readonly stepNs: number;
}

/** Times in nanoseconds, sizes in bytes. */
export interface ServerReport {
  readonly server: string;
  /** The data endpoint that was used. */
  readonly endpoint: string;
  readonly device: { readonly id: string; readonly kind: string; readonly name: string };
  readonly allocation: Record<"grant" | "attach" | "firstResult" | "release", Summary>;
  readonly answered: readonly ({ readonly payloadBytes: number } & Summary)[];
  readonly issueNs: number;
  /** Calls without an answer by the number that travels in one write; 0 stands for the client's own batching. */
  readonly throughput: readonly { readonly batch: number; readonly callsPerSecond: number }[];
  readonly copies: readonly { readonly bytes: number; readonly toNs: number; readonly fromNs: number }[];
  readonly work: readonly WorkTime[];
}

/** Measures; gives its leases back also when it fails or is called off. @throws SluiceError as `pool.allocate` and every call. */
export async function measureServer(options: SuiteOptions): Promise<ServerReport> {
  const { control, progress, quick, signal } = options;
  progress(0, "allocations");
  const allocation = await allocations(options, quick ? 4 : 12);
  const { lease } = await openTimedLease(control, options);
  try {
    const { endpoint } = lease.stats;
    const measured = await measureLease(lease, options);
    signal.throwIfAborted();
    const { id, kind, name } = lease.devices[0];
    const { host, port } = control.server;
    return {
      server: `${host}:${port}`,
      endpoint,
      device: { id, kind, name },
      allocation,
      ...measured,
    };
  } finally {
    await lease.release();
  }
}

async function allocations(options: SuiteOptions, rounds: number): Promise<ServerReport["allocation"]> {
  const times = { grant: [] as number[], attach: [] as number[], firstResult: [] as number[], release: [] as number[] };
  for (let round = -1; round < rounds; round++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    options.signal.throwIfAborted();
    const start = process.hrtime.bigint();
    const { lease, grantNs, attachNs } = await openTimedLease(options.control, options);
    await lease.devices[0].upload(Float32Array.of(1)).read(Float32Array);
    const firstResultNs = since(start);
    await lease.release();
    // The first one connects to the server, too.
    if (round < 0) continue;
    times.grant.push(grantNs);
    times.attach.push(attachNs);
    times.firstResult.push(firstResultNs);
    times.release.push(since(start) - firstResultNs);
  }
  return {
    grant: summarize(times.grant),
    attach: summarize(times.attach),
    firstResult: summarize(times.firstResult),
    release: summarize(times.release),
  };
}

type Measured = Pick<ServerReport, "answered" | "issueNs" | "throughput" | "copies" | "work">;

/** The parts come one after the other, each in its share of the time. */
async function measureLease(lease: Lease, options: SuiteOptions): Promise<Measured> {
  const [gpu] = lease.devices;
  const { quick, progress } = options;
  const budgetMs = quick ? 250 : 1_500;
  const step = (fraction: number, what: string): void => {
    options.signal.throwIfAborted();
    progress(fraction, what);
  };
  const answered: Measured["answered"][number][] = [];
  step(0.12, "warms up");
  await warmUp(gpu, budgetMs * 2);
  for (const [index, payloadBytes] of payloads.entries()) {
    step(0.15 + index * 0.05, `answered calls of ${payloadBytes} bytes`);
    const rounds = await roundsFor(budgetMs, (rounds) => roundTrips(gpu, { payloadBytes, rounds, warmup: 1 }));
    answered.push({ payloadBytes, ...summarize(await roundTrips(gpu, { payloadBytes, rounds, warmup: 3 })) });
  }
  step(0.35, "calls without an answer");
  const launches = await measureLaunches(await loadLauncher(gpu), { budgetMs, step });
  const copied: Measured["copies"][number][] = [];
  const room = gpu.memoryInfo().largestFreeBytes;
  const sizes = copySizes.filter((bytes) => bytes <= room && bytes <= (quick ? 16 * MiB : 1024 * MiB));
  for (const [index, bytes] of sizes.entries()) {
    step(0.6 + (index * 0.25) / sizes.length, `copies of ${bytes} bytes`);
    const timeOf = async (direction: "to" | "from"): Promise<number> => {
      const rounds = await roundsFor(budgetMs / 2, (rounds) => copies(gpu, { bytes, direction, rounds, warmup: 0 }));
      return median(await copies(gpu, { bytes, direction, rounds, warmup: 1 }));
    };
    copied.push({ bytes, toNs: await timeOf("to"), fromNs: await timeOf("from") });
  }
  step(0.85, "steps of a training");
  const work = room < TRAINING_BYTES ? [] : await measureWork(gpu, quick ? 3 : 7);
  step(1, "releases");
  return { answered, ...launches, copies: copied, work };
}

/** Until both ends are warm, or the time is over, as over a long line it will be. */
async function warmUp(gpu: Device, budgetMs: number): Promise<void> {
  const end = performance.now() + budgetMs;
  for (let calls = 0; calls < WARMUP_CALLS && performance.now() < end; calls += 100) {
    await roundTrips(gpu, { payloadBytes: SMALL_BYTES, rounds: 100, warmup: 0 });
  }
}

/** As many rounds as fit into the time, by a few that are tried; at least as many as those. */
async function roundsFor(budgetMs: number, measure: (rounds: number) => Promise<number[]>): Promise<number> {
  const one = median(await measure(TRIES));
  return Math.round(Math.min(5_000, Math.max(TRIES, (budgetMs * 1e6) / one)));
}

async function measureLaunches(
  launcher: Launcher,
  { budgetMs, step }: { budgetMs: number; step: (fraction: number, what: string) => void },
): Promise<Pick<Measured, "issueNs" | "throughput">> {
  const throughput: Measured["throughput"][number][] = [];
  for (const [index, batch] of batchSizes.entries()) {
    step(0.4 + index * 0.025, `${batch} calls per write`);
    // A device that computes takes longer per call than the wire does.
    const perCall = async (calls: number): Promise<number> =>
      median(await batches(launcher, { batch, calls, rounds: 1, warmup: 0 }));
    const tried = await perCall(Math.max(batch, 256));
    const calls = Math.round(Math.min(200_000, Math.max(batch, (budgetMs * 2e5) / tried)));
    const times = await batches(launcher, { batch, calls, rounds: 3, warmup: 0 });
    throughput.push({ batch, callsPerSecond: 1e9 / median(times) });
  }
  const perCallNs = 1e9 / throughput.at(-1)!.callsPerSecond;
  const calls = Math.round(Math.min(400_000, Math.max(4096, (budgetMs * 3e5) / perCallNs)));
  step(0.58, "the client's own batching");
  throughput.push({ batch: 0, callsPerSecond: 1e9 / median(await flood(launcher, { calls, rounds: 3, warmup: 0 })) });
  const issueNs = median(await issue(launcher, { calls: 500, rounds: 20, warmup: 5 }));
  return { issueNs, throughput };
}

async function measureWork(gpu: Device, rounds: number): Promise<WorkTime[]> {
  const trainer = await loadTrainer(gpu);
  const kinds = [
    { workload: "training", batch: 256, stepsPerAnswer: 8 },
    { workload: "training", batch: 256, stepsPerAnswer: 1 },
    { workload: "inference", batch: 256, stepsPerAnswer: 1 },
    { workload: "inference", batch: 1, stepsPerAnswer: 1 },
  ] as const;
  const timesOf = ({ workload, batch, stepsPerAnswer }: (typeof kinds)[number], count: number): Promise<number[]> =>
    steps(trainer, { workload, batch, count: stepsPerAnswer, rounds: count });
  for (const kind of kinds) await timesOf(kind, 1);
  const times: number[][] = kinds.map(() => []);
  // They take turns, so that what else the machines do hits all of them.
  for (let round = 0; round < rounds; round++) {
    for (const [index, kind] of kinds.entries()) times[index]!.push(...(await timesOf(kind, 2)));
  }
  return kinds.map((kind, index) => ({ ...kind, stepNs: median(times[index]!) }));
}
