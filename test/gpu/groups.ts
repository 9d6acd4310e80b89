/** The groups of the check: what is asked of a card, each as rows that come one by one. A group that throws ends, and the others do not notice. */
import { availableParallelism } from "node:os";
import { connect, type Pool } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { CASE_ARENA_BYTES, kernelCases } from "../kernels/cases.ts";
import { type ClientMachine, openClientMachine } from "../kernels/client-machine.ts";
import type { KernelCase } from "../kernels/machine.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { withinTime } from "../support/time-left.ts";
import { leakRow, leftOver, type MemoryOf, usedBytes } from "./card-memory.ts";
import { checks, copyBetween, faultCheck } from "./end-to-end.ts";
import { becomesReady, failureOf, type Row, rowsOf, runJob, type Sizes, start } from "./job.ts";
import { memoryChecks } from "./memory-promises.ts";
import { comparePrograms } from "./programs.ts";

const MiB = 1024 * 1024;
const CASES_LIMIT_MS = 240_000;
const CASE_LIMIT_MS = 60_000;
/** A kernel case takes a second, beside the context that its process may have to make; one that hangs must leave time to the others. */
const KERNEL_CASE_LIMIT_MS = 20_000;
/** A machine whose driver was asleep takes long for its first contexts. */
const START_LIMIT_MS = 120_000;
/** So many cases in a row that fail for want of a server say no more than the first. */
const LOST_CASES_MAX = 5;
const NOTE_CHARACTERS_MAX = 600;

/** Cases at a time: most of their time is the driver's compiler's, on a core of its own. */
const WORKERS = Math.min(6, Math.max(1, Math.floor(availableParallelism() / 2)));

const machineOptions = { memoryBytes: CASE_ARENA_BYTES, isHardware: true };

/** What is known of the card before a group begins. */
export interface Card extends MemoryOf {
  readonly sizes: Sizes;
  /** No group has more seconds than this; 0: those of its plan. */
  readonly groupLimitS: number;
  /** Of `end to end` only the promises whose names contain this. */
  readonly promise: string;
  /** What the machine's own tools say, some time after the start. */
  readonly inventory: Promise<Record<string, string>>;
}

export type Group = (card: Card) => AsyncGenerator<Row>;

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, NOTE_CHARACTERS_MAX);

const noteOf = (note: string | undefined): { note?: string } =>
  note === undefined ? {} : { note: note.slice(0, NOTE_CHARACTERS_MAX) };

const servers = new Set<TestServer>();

/** Ends every server that still runs, with its executors. */
export async function stopServers(): Promise<void> {
  await Promise.all([...servers].map((server) => server.stop()));
}

async function openServer(...args: string[]): Promise<TestServer> {
  // What a check that failed has left borrowed must not hold up the end.
  const all = ["--grace", "1s", ...args];
  const server = await startServer({ args: all, startMsMax: withinTime(START_LIMIT_MS) });
  servers.add(server);
  void server.exited.then(() => servers.delete(server));
  return server;
}

/** The rows of several sources as they come. */
async function* merged(sources: readonly AsyncGenerator<Row>[]): AsyncGenerator<Row> {
  const ask = (source: AsyncGenerator<Row>) => {
    const asked = source.next().then((next) => ({ source, next }));
    // One that fails ends the group; what others say then nobody hears.
    asked.catch(() => undefined);
    return asked;
  };
  const waiting = new Map(sources.map((source) => [source, ask(source)]));
  while (waiting.size > 0) {
    const { source, next } = await Promise.race(waiting.values());
    if (next.done === true) waiting.delete(source);
    else {
      waiting.set(source, ask(source));
      yield next.value;
    }
  }
}

/** A failure after `limitMs`, whatever the work does then. */
async function bounded<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const limit = withinTime(limitMs);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It does not end within [${limit}] ms.`)), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Has the driver do for the first time what it keeps memory for afterwards, so that this counts as nobody's leak. */
async function* warmUp(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "start";
  const cold = await usedBytes(device);
  const { failure } = await runJob({ kind: "zero", device: device.id, bytes: 64 * MiB }, START_LIMIT_MS);
  yield { group, name: "a slice can be opened and read", ok: failure === undefined, ...noteOf(failure) };
  // Two contexts at once and a kernel, as the groups have them.
  const steady = start({ kind: "steady", device: device.id });
  await becomesReady(steady, START_LIMIT_MS);
  await runJob({ kind: "zero", device: device.id, bytes: 64 * MiB }, START_LIMIT_MS);
  steady.process.kill("SIGKILL");
  await steady.ended;
  await leftOver(card, cold);
  const warm = await usedBytes(device);
  const name = "memory that the driver keeps after its first contexts";
  if (cold === undefined || warm === undefined) yield { group, name, note: "NVML does not tell" };
  else yield { group, name, unit: "B", value: warm - cold, note: `[${warm}] bytes are in use before the check` };
  const reached = await runJob({ kind: "host", device: device.id }, 60_000);
  const isKept = reached.failure !== undefined && /^(ILLEGAL_ADDRESS|KERNEL_TRAP)/.test(reached.failure);
  const hmm =
    device.reachesHostMemory === true ? "the driver says that they can; see THREATS.md for the remedy" : undefined;
  yield {
    group,
    name: "kernels cannot reach the memory of their process",
    ok: isKept,
    ...noteOf(isKept ? reached.failure : (hmm ?? reached.failure ?? "the store went through")),
  };
}

/** The driver's own calls, step by step. */
async function* checkDriver({ device }: Card): AsyncGenerator<Row> {
  const group = "driver";
  // Where a step never returns, those before it are told all the same.
  const failure = yield* rowsOf({ kind: "ladder", device: device.id }, START_LIMIT_MS);
  if (failure !== undefined) yield { group, name: "the steps come to their end", ok: false, ...noteOf(failure) };
}

/** Kernel fixtures by their positions, in as few processes as the faults allow. */
async function* runCases({ device }: Card, positions: readonly number[]): AsyncGenerator<Row> {
  const group = "kernels";
  let waiting = positions;
  while (waiting.length > 0) {
    const job = { kind: "cases", device: device.id, positions: waiting } as const;
    const { replies, failure: problem } = await runJob(job, CASES_LIMIT_MS, KERNEL_CASE_LIMIT_MS);
    const done = replies.filter((reply) => reply.kind === "case");
    for (const { position, error, milliseconds } of done) {
      const { name } = kernelCases[position]!;
      yield { group, name, ok: error === undefined, value: milliseconds, unit: "ms", isCase: true, ...noteOf(error) };
    }
    const finished = new Set(done.map(({ position }) => position));
    if (problem !== undefined) {
      const position = waiting.find((each) => !finished.has(each));
      if (position !== undefined) {
        finished.add(position);
        yield { group, name: kernelCases[position]!.name, ok: false, isCase: true, ...noteOf(problem) };
      }
    }
    waiting = waiting.filter((position) => !finished.has(position));
    say(`kernels: ${waiting.length} of ${positions.length} are left to one of ${WORKERS}`);
  }
}

const isForHardware = ({ notOnHardware }: KernelCase): boolean => notOnHardware === undefined;

/** Every kernel fixture. */
async function* checkKernels(card: Card): AsyncGenerator<Row> {
  const group = "kernels";
  const { device } = card;
  const before = await usedBytes(device);
  const fatbin = await runJob({ kind: "fatbin", device: device.id }, CASE_LIMIT_MS);
  for (const reply of fatbin.replies) if (reply.kind === "row") yield reply.row;
  const { failure } = fatbin;
  if (failure !== undefined) yield { group, name: "images come to their end", ok: false, ...noteOf(failure) };
  const positions = [...kernelCases.keys()].filter((position) => isForHardware(kernelCases[position]!));
  const shares = Array.from({ length: WORKERS }, (_, worker) => positions.filter((each) => each % WORKERS === worker));
  yield* merged(shares.map((share) => runCases(card, share)));
  const others = kernelCases.filter((kernelCase) => !isForHardware(kernelCase));
  const reasons = [...new Set(others.map(({ notOnHardware }) => notOnHardware))].join("; ");
  yield { group, name: "cases for the cpu device alone", value: others.length, unit: "cases", ...noteOf(reasons) };
  yield leakRow(group, await leftOver(card, before));
}

/** Every form of an instruction over thousands of operands. */
async function* checkArithmetic({ device }: Card): AsyncGenerator<Row> {
  const failure = yield* rowsOf({ kind: "sweep", device: device.id }, CASE_LIMIT_MS);
  if (failure !== undefined)
    yield { group: "arithmetic", name: "the families come to their end", ok: false, ...noteOf(failure) };
}

/** Memory that one lease leaves is zero for the next, also when the first is killed in the middle of its work. */
async function* checkMemory(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "memory";
  const granule = device.granularityBytes;
  const before = await usedBytes(device);
  const room = device.sliceBytesMax - (before ?? 0);
  const bytes = Math.floor(Math.min(8192 * MiB, room * 0.9) / granule) * granule;
  const holder = start({ kind: "hold", device: device.id, bytes });
  const isReady = await becomesReady(holder, 60_000);
  holder.process.kill("SIGKILL");
  const status = await holder.ended;
  const note = isReady ? undefined : failureOf(holder.replies, status);
  const name = "a lease fills its slice until it is killed";
  yield { group, name, ok: isReady, value: bytes, unit: "B", ...noteOf(note) };
  yield leakRow(group, await leftOver(card, before));
  const zero = await runJob({ kind: "zero", device: device.id, bytes }, 120_000);
  const dirty = zero.replies.find((reply) => reply.kind === "number")?.value;
  const zeroNote = zero.failure ?? (dirty === 0 ? undefined : `[${dirty}] pieces of 64 MiB are not zero`);
  yield { group, name: "the next lease finds nothing but zeros", ok: dirty === 0, ...noteOf(zeroNote) };
  const tooMuch = Math.ceil((device.memoryBytes * 2) / granule) * granule;
  const { failure = "it is granted" } = await runJob({ kind: "zero", device: device.id, bytes: tooMuch }, 60_000);
  const isRefused = failure.startsWith("OUT_OF_MEMORY");
  yield { group, name: "a slice beyond the card is refused", ok: isRefused, ...noteOf(failure) };
  yield leakRow(group, await leftOver(card, before));
}

/** A lease that faults ends alone. */
async function* checkNeighbours(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "neighbours";
  const before = await usedBytes(device);
  const steady = start({ kind: "steady", device: device.id });
  const isReady = await becomesReady(steady, 60_000);
  const { failure = "it goes through" } = await runJob({ kind: "fault", device: device.id }, 60_000);
  const isEnded = failure.startsWith("ILLEGAL_ADDRESS");
  yield { group, name: "a store outside the slice ends its lease", ok: isEnded, ...noteOf(failure) };
  await new Promise((resolve) => setTimeout(resolve, 500));
  if (steady.process.connected) steady.process.send("stop");
  const limit = setTimeout(() => steady.process.kill("SIGKILL"), 30_000);
  const status = await steady.ended;
  clearTimeout(limit);
  const rounds = steady.replies.find((reply) => reply.kind === "number")?.value;
  const isWell = isReady && rounds !== undefined && rounds > 0;
  const note = isWell ? undefined : failureOf(steady.replies, status);
  const figures = rounds === undefined ? {} : { value: rounds, unit: "rounds" };
  yield { group, name: "the lease beside it computes on, and right", ok: isWell, ...figures, ...noteOf(note) };
  yield leakRow(group, await leftOver(card, before));
}

async function* checkSpeed(card: Card): AsyncGenerator<Row> {
  const { device, sizes } = card;
  const group = "speed";
  const before = await usedBytes(device);
  const overhead = await runJob({ kind: "overhead", device: device.id }, 60_000);
  const charged = overhead.replies.find((reply) => reply.kind === "number")?.value;
  const name = "memory charged per lease beside its slice";
  if (charged === undefined) yield { group, name, ...noteOf(overhead.failure ?? "NVML does not tell") };
  else yield { group, name, unit: "MiB", value: charged / MiB };
  const failure = yield* rowsOf({ kind: "measure", device: device.id, sizes }, 240_000);
  if (failure !== undefined) yield { group, name: "measuring comes to its end", ok: false, ...noteOf(failure) };
  yield leakRow(group, await leftOver(card, before));
}

/** The promises of a lease, through a real server; behind each of them nothing may be left on the card. */
async function* checkPromises(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "end to end";
  const cold = await usedBytes(device);
  {
    await using server = await openServer("--device", device.id, "--kernel-timeout", "2s", "--heartbeat-timeout", "5s");
    const idle = await usedBytes(device);
    let before = cold === undefined || idle === undefined ? undefined : Math.max(cold, idle);
    const promises = Object.entries({ ...checks, ...memoryChecks }).filter(([name]) => name.includes(card.promise));
    if (promises.length === 0) throw new Error(`No promise's name contains [${card.promise}].`);
    for (const [name, check] of promises) {
      say(`end to end: ${name}`);
      const outcome = await keepsPromise(check, { server, device });
      const left = (await leftOver(card, before)) ?? 0;
      // What is left is told once, where it comes from.
      if (before !== undefined) before += left;
      const leak = left === 0 ? [] : [`[${left}] bytes are left on the card`];
      const note = [...(outcome.note === undefined ? [] : [outcome.note]), ...leak].join("; ");
      // What a driver keeps after a fault is judged by whether it grows.
      const isClean = left === 0 || name === faultCheck;
      yield { group, name, ok: outcome.ok && isClean, ...noteOf(note === "" ? undefined : note) };
      if (name !== faultCheck || before === undefined) continue;
      const grown = await keptAfterFaults(card, { server, before });
      before += grown;
      yield keptRow(group, { first: left, grown });
    }
  }
  yield* checkPair(group);
  yield leakRow(group, await leftOver(card, cold));
}

const FAULTS = 4;
/** More than this is no book-keeping. */
const KEPT_BYTES_MAX = 1024 * 1024;

/** How much more is left after further faults than after the first. */
async function keptAfterFaults(
  card: Card,
  { server, before }: { readonly server: TestServer; readonly before: number },
): Promise<number> {
  const { [faultCheck]: check } = checks;
  for (let count = 1; count < FAULTS; count++) await keepsPromise(check!, { server, device: card.device });
  return (await leftOver(card, before)) ?? 0;
}

/** A driver may keep a little after a first fault as long as any process uses the card: once, whatever happens then. */
function keptRow(group: string, { first, grown }: { readonly first: number; readonly grown: number }): Row {
  const name = "memory that the driver keeps after faults, as long as the server runs";
  const note = `[${first}] bytes after the first, [${grown}] more after [${FAULTS}]`;
  return { group, name, unit: "B", value: first + grown, ok: grown === 0 && first <= KEPT_BYTES_MAX, note };
}

/** Each with a client of its own, which gives back what a check that fails leaves borrowed. */
async function keepsPromise(
  check: (typeof checks)[string],
  stage: { readonly server: TestServer; readonly device: DeviceDescription },
): Promise<{ ok: boolean; note?: string | undefined }> {
  const pool = await connect({ server: stage.server.grpc });
  try {
    return { ok: true, note: await bounded(CASE_LIMIT_MS, check({ ...stage, pool })) };
  } catch (error) {
    return { ok: false, note: messageOf(error) };
  } finally {
    await bounded(CASE_LIMIT_MS, pool.close()).catch(() => undefined);
  }
}

/** Where there are two cards: a lease of both, and bytes that pass between them. */
async function* checkPair(group: string): AsyncGenerator<Row> {
  const name = "bytes pass between the two devices of a lease";
  const cards = await cudaDriver.discover("");
  if (cards.length < 2) {
    yield { group, name, note: "there is one card" };
    return;
  }
  let error: string | undefined;
  try {
    await using server = await openServer("--device", "cuda");
    await using pool = await connect({ server: server.grpc });
    await bounded(CASE_LIMIT_MS, copyBetween(pool));
  } catch (caught) {
    error = messageOf(caught);
  }
  yield { group, name, ok: error === undefined, ...noteOf(error) };
}

/** A worker's borrowed machine, which cases share as long as they leave it whole: most of a case's time is a new lease's. */
class SharedMachine {
  readonly #pool: Pool;
  #machine: ClientMachine | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** What fails, as text; undefined where nothing does. */
  async run(kernelCase: KernelCase): Promise<string | undefined> {
    let error: string | undefined;
    try {
      this.#machine ??= await bounded(KERNEL_CASE_LIMIT_MS, openClientMachine(this.#pool, machineOptions));
      await bounded(KERNEL_CASE_LIMIT_MS, kernelCase.run(this.#machine));
    } catch (caught) {
      error = messageOf(caught);
    }
    if (error === undefined && kernelCase.spoils !== true) {
      this.#machine?.reset();
      return undefined;
    }
    // What the case says of itself comes before what giving back says.
    return this.close().then(
      () => error,
      (caught: unknown) => error ?? `The lease is not given back: ${messageOf(caught)}`,
    );
  }

  async close(): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    if (machine !== undefined) await bounded(KERNEL_CASE_LIMIT_MS, machine.close());
  }
}

/** Every kernel fixture once more, through a real server and the client library. */
async function* checkRemoteKernels(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "remote kernels";
  const before = await usedBytes(device);
  {
    const spares = ["--spare-executors", String(WORKERS)];
    await using server = await openServer("--device", device.id, "--kernel-timeout", "15s", ...spares);
    await using pool = await connect({ server: server.grpc });
    // The server's bound on kernels counts here, shorter than that of a case, and for which no case waits.
    const cases = kernelCases.filter((each) => isForHardware(each) && each.kernelTimeoutMs === undefined);
    // Those that spoil their lease come last, so that as many as can be share one.
    const waiting = [
      ...cases.filter(({ spoils }) => spoils !== true),
      ...cases.filter(({ spoils }) => spoils === true),
    ];
    let lost = 0;
    const worker = async function* (): AsyncGenerator<Row> {
      const machine = new SharedMachine(pool);
      for (let next = waiting.shift(); next !== undefined && lost < LOST_CASES_MAX; next = waiting.shift()) {
        const error = await machine.run(next);
        lost = error === undefined ? 0 : lost + 1;
        yield { group, name: next.name, ok: error === undefined, isCase: true, ...noteOf(error) };
        if (waiting.length % 10 === 0) say(`remote kernels: ${waiting.length} of ${cases.length} are left`);
      }
      await machine.close();
    };
    yield* merged(Array.from({ length: WORKERS }, worker));
    const leftOut = { name: "cases that are left out", value: waiting.length, note: "those before all fail" };
    if (waiting.length > 0) yield { group, ...leftOut };
  }
  yield leakRow(group, await leftOver(card, before));
}

/** What borrowing costs, beside the same work in one process. */
async function* checkRemote(card: Card): AsyncGenerator<Row> {
  const { device, sizes } = card;
  const group = "remote";
  const before = await usedBytes(device);
  {
    await using server = await openServer("--device", device.id);
    const job = { kind: "remote", device: device.id, server: server.grpc, sizes } as const;
    const failure = yield* rowsOf(job, 240_000);
    if (failure !== undefined) yield { group, name: "measuring comes to its end", ok: false, ...noteOf(failure) };
  }
  yield leakRow(group, await leftOver(card, before));
}

/** Programs that know nothing of Sluice, by the card's own driver and borrowed. */
async function* checkPrograms(card: Card): AsyncGenerator<Row> {
  const { device, sizes } = card;
  const group = "programs";
  const before = await usedBytes(device);
  {
    await using server = await openServer("--device", device.id);
    yield* comparePrograms(server.grpc, { device, sizes });
  }
  yield leakRow(group, await leftOver(card, before));
}

export interface GroupPlan {
  readonly run: Group;
  /** One that a card holds up must leave time to the others. In seconds; several times what a healthy card takes. */
  readonly limitS: number;
  /** What it does, for people. */
  readonly does: string;
}

/** What every run begins with. */
export const firstGroup: GroupPlan = {
  run: warmUp,
  limitS: 120,
  does: "always runs: a first slice, what memory the driver keeps from then on, whether kernels reach the memory of their process",
};

/** In the order in which they run: what decides first, and what takes longest last. */
export const groups: Readonly<Record<string, GroupPlan>> = {
  driver: { run: checkDriver, limitS: 60, does: "the driver's calls that the cuda device makes, one by one" },
  remote: {
    run: checkRemote,
    limitS: 120,
    does: "launches, copies, a product, a training step: borrowed and local; the bars",
  },
  "end to end": { run: checkPromises, limitS: 180, does: "the promises of a lease through a real server, one by one" },
  memory: {
    run: checkMemory,
    limitS: 90,
    does: "a slice filled until kill -9, zeros for the next, a slice beyond the card",
  },
  neighbours: { run: checkNeighbours, limitS: 60, does: "two leases, one of which faults" },
  speed: { run: checkSpeed, limitS: 120, does: "the device room against bare driver calls" },
  kernels: { run: checkKernels, limitS: 180, does: "every PTX fixture, a fatbin, NVRTC, textures and surfaces" },
  arithmetic: {
    run: checkArithmetic,
    limitS: 60,
    does: "every form of an instruction over thousands of operands, against the cpu device",
  },
  programs: {
    run: checkPrograms,
    limitS: 180,
    does: "unmodified programs, in CUDA C where there is nvcc, and in Python",
  },
  "remote kernels": {
    run: checkRemoteKernels,
    limitS: 240,
    does: "every PTX fixture once more, through server and client",
  },
};
