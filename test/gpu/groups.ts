/** The groups of the check: what is asked of a card, each as rows that come one by one. A group that throws ends, and the others do not notice. */
import { connect } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import type { TestServer } from "../support/server.ts";
import { countAsKept, isDriversAlone, leakRow, leftOver, usedBytes } from "./card-memory.ts";
import { checks, copyBetween, faultCheck, NotHere, type Stage } from "./end-to-end.ts";
import {
  bounded,
  CASE_LIMIT_MS,
  type Card,
  type Group,
  messageOf,
  noteOf,
  openServer,
  START_LIMIT_MS,
  say,
} from "./group-tools.ts";
import { becomesReady, failureOf, type Row, rowsOf, runJob, start } from "./job.ts";
import { checkArithmetic, checkKernels, checkRemoteKernels } from "./kernel-groups.ts";
import { memoryChecks } from "./memory-promises.ts";
import { type Alone, type Prepared, prepare, runAllAlone, runAllBorrowed } from "./programs.ts";

const MiB = 1024 * 1024;

/** Has the driver do for the first time what it keeps memory for afterwards, so that this counts as nobody's leak. */
async function* warmUp(card: Card): AsyncGenerator<Row> {
  const { device, sizes } = card;
  const group = "start";
  const cold = card.usedBefore;
  // Two contexts at once and a kernel, as the groups have them.
  const steady = start({ kind: "steady", device: device.id });
  const ready = becomesReady(steady, START_LIMIT_MS);
  const { failure } = await runJob({ kind: "zero", device: device.id, bytes: sizes.sliceBytes }, START_LIMIT_MS);
  const isReady = failure === undefined && (await ready);
  steady.process.kill("SIGKILL");
  const status = await steady.ended;
  const opened = { name: "a slice can be opened and read", ok: failure === undefined };
  yield { group, ...opened, isNeeded: true, ...noteOf(failure) };
  if (failure !== undefined) return;
  const why = isReady ? undefined : failureOf(steady.replies, status);
  yield { group, name: "a kernel is compiled and computes", ok: isReady, isNeeded: true, ...noteOf(why) };
  if (!isReady) return;
  await leftOver(card, cold);
  const warm = await usedBytes(device);
  const name = "memory that the driver keeps after its first contexts";
  if (cold !== undefined && warm !== undefined)
    yield { group, name, unit: "B", value: warm - cold, note: `[${warm}] bytes are in use before the check` };
  const reached = await runJob({ kind: "host", device: device.id }, 60_000);
  const isKept = reached.failure !== undefined && /^(ILLEGAL_ADDRESS|KERNEL_TRAP)/.test(reached.failure);
  const hmm =
    "the driver says that they can: load the kernel module nvidia-uvm with uvm_disable_hmm=1, or lend the card only to whom you would give the server's account";
  const stray = device.reachesHostMemory === true ? hmm : (reached.failure ?? "the store went through");
  yield {
    group,
    name: "kernels cannot reach the memory of their process",
    ok: isKept,
    ...noteOf(isKept ? reached.failure : stray),
  };
}

/** The driver's own calls, step by step. */
async function* checkDriver({ device }: Card): AsyncGenerator<Row> {
  const group = "driver";
  // Where a step never returns, those before it are told all the same.
  const failure = yield* rowsOf({ kind: "ladder", device: device.id }, START_LIMIT_MS);
  if (failure !== undefined) yield { group, name: "the steps come to their end", ok: false, ...noteOf(failure) };
}

/** Memory that one lease leaves is zero for the next, also when the first is killed in the middle of its work. */
async function* checkMemory(card: Card): AsyncGenerator<Row> {
  const { device, sizes } = card;
  const group = "memory";
  const granule = device.granularityBytes;
  const before = await usedBytes(device);
  const bytes = Math.max(1, Math.floor(Math.min(sizes.filledBytesMax, device.sliceBytesMax * 0.9) / granule)) * granule;
  const holder = start({ kind: "hold", device: device.id, bytes });
  const isReady = await becomesReady(holder, 60_000);
  holder.process.kill("SIGKILL");
  const status = await holder.ended;
  const note = isReady ? undefined : failureOf(holder.replies, status);
  const name = "a lease fills its slice until it is killed";
  yield { group, name, ok: isReady, value: bytes, unit: "B", ...noteOf(note) };
  yield leakRow(group, device, await leftOver(card, before));
  const zero = await runJob({ kind: "zero", device: device.id, bytes }, 120_000);
  const dirty = zero.replies.find((reply) => reply.kind === "number")?.value;
  const zeroNote = zero.failure ?? (dirty === 0 ? undefined : `[${dirty}] pieces of 64 MiB are not zero`);
  yield { group, name: "the next lease finds nothing but zeros", ok: dirty === 0, ...noteOf(zeroNote) };
  const tooMuch = Math.ceil((device.memoryBytes * 2) / granule) * granule;
  const { failure = "it is granted" } = await runJob({ kind: "zero", device: device.id, bytes: tooMuch }, 60_000);
  const isRefused = failure.startsWith("OUT_OF_MEMORY");
  yield { group, name: "a slice beyond the card is refused", ok: isRefused, ...noteOf(failure) };
  yield leakRow(group, device, await leftOver(card, before));
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
  yield leakRow(group, device, await leftOver(card, before));
}

async function* checkSpeed(card: Card): AsyncGenerator<Row> {
  const { device, sizes } = card;
  const group = "speed";
  const before = await usedBytes(device);
  const overhead = await runJob({ kind: "overhead", device: device.id }, 60_000);
  const charged = overhead.replies.find((reply) => reply.kind === "number")?.value;
  const name = "memory charged per lease beside its slice";
  if (charged === undefined)
    yield { group, name, isSkipped: true, ...noteOf(overhead.failure ?? "NVML does not tell") };
  else yield { group, name, unit: "MiB", value: charged / MiB };
  const failure = yield* rowsOf({ kind: "measure", device: device.id, sizes }, 240_000);
  if (failure !== undefined) yield { group, name: "measuring comes to its end", ok: false, ...noteOf(failure) };
  yield leakRow(group, device, await leftOver(card, before));
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
    const promises = Object.entries({ ...checks, ...memoryChecks }).filter(([name]) =>
      card.promises.some((wanted) => name.includes(wanted)),
    );
    if (promises.length === 0) throw new Error(`No promise's name contains [${card.promises}].`);
    for (const [name, check] of promises) {
      say(`end to end: ${name}`);
      const started = performance.now();
      const outcome = await keepsPromise(check, { ...card, server });
      if (outcome.ok === undefined) {
        yield { group, name, isSkipped: true, ...noteOf(outcome.note) };
        continue;
      }
      const left = (await leftOver(card, before)) ?? 0;
      // What is left is told once, where it comes from.
      if (before !== undefined) before += left;
      const leak = left === 0 ? [] : [`[${left}] bytes are left on the card`];
      const note = [...(outcome.note === undefined ? [] : [outcome.note]), ...leak].join("; ");
      // What a driver keeps after a fault is judged by whether it grows.
      const isClean = left === 0 || name === faultCheck;
      const value = (performance.now() - started) / 1000;
      yield { group, name, ok: outcome.ok && isClean, value, unit: "s", ...noteOf(note === "" ? undefined : note) };
      if (name !== faultCheck || before === undefined) continue;
      const grown = await keptAfterFaults(card, { server, before });
      before += grown;
      const told = {
        name: "memory that the driver keeps after faults, as long as the server runs",
        note: `[${left}] bytes after the first, [${grown}] more after [${FAULTS}]`,
      };
      yield keptRow({ group, ...told }, { first: left, grown, firstMax: KEPT_AFTER_FAULT_BYTES_MAX });
    }
  }
  yield* checkPair(group, device);
  yield leakRow(group, device, await leftOver(card, cold));
}

const FAULTS = 4;
/** More than this is no book-keeping. */
const KEPT_AFTER_FAULT_BYTES_MAX = 1024 * 1024;

/** How much more is left after further faults than after the first. */
async function keptAfterFaults(
  card: Card,
  { server, before }: { readonly server: TestServer; readonly before: number },
): Promise<number> {
  const { [faultCheck]: check } = checks;
  for (let count = 1; count < FAULTS; count++) await keepsPromise(check!, { ...card, server });
  return (await leftOver(card, before)) ?? 0;
}

/** A driver may keep something as long as any process uses the card: once, whatever is done then. What grows is a leak. */
const keptRow = (
  row: Pick<Row, "group" | "name" | "note">,
  { first, grown, firstMax }: { readonly first: number; readonly grown: number; readonly firstMax: number },
): Row => ({ ...row, unit: "B", value: first + grown, ok: grown === 0 && first <= firstMax });

/** Each with a client of its own, which gives back what a check that fails leaves borrowed. */
async function keepsPromise(
  check: (typeof checks)[string],
  stage: Omit<Stage, "pool">,
): Promise<{ ok: boolean | undefined; note?: string | undefined }> {
  const pool = await connect({ server: stage.server.grpc });
  try {
    return { ok: true, note: await bounded(CASE_LIMIT_MS, check({ ...stage, pool })) };
  } catch (error) {
    return { ok: error instanceof NotHere ? undefined : false, note: messageOf(error) };
  } finally {
    await bounded(CASE_LIMIT_MS, pool.close()).catch(() => undefined);
  }
}

/** Less than this is too little for a lease on another card. */
const PAIR_BYTES_MIN = 512 * MiB;

/** Another card that has room now, joined with the first by NVLink if there is one; or why there is none. */
async function findOther(device: DeviceDescription): Promise<{ index: string } | { why: string }> {
  const others = (await cudaDriver.discover("")).filter(({ id }) => id !== device.id);
  const joined = new Set(device.details?.nvlink.map(({ device: id }) => id));
  if (others.length === 0) return { why: "there is one card" };
  for (const { id } of others.sort((a, b) => Number(joined.has(b.id)) - Number(joined.has(a.id)))) {
    const { replies } = await runJob({ kind: "room", device: id }, CASE_LIMIT_MS);
    const bytes = replies.find((reply) => reply.kind === "number")?.value ?? 0;
    if (bytes >= PAIR_BYTES_MIN) return { index: id.split(":")[1]! };
  }
  return { why: "no other card can be used, or has room" };
}

/** Where there are two cards: a lease of both, and bytes that pass between them. */
async function* checkPair(group: string, device: DeviceDescription): AsyncGenerator<Row> {
  const name = "bytes pass between the two devices of a lease";
  let error: string | undefined;
  try {
    const other = await findOther(device);
    if ("why" in other) {
      yield { group, name, isSkipped: true, note: other.why };
      return;
    }
    await using server = await openServer("--device", `${device.id},${other.index}`);
    await using pool = await connect({ server: server.grpc });
    await bounded(CASE_LIMIT_MS, copyBetween(pool));
  } catch (caught) {
    error = messageOf(caught);
  }
  yield { group, name, ok: error === undefined, ...noteOf(error) };
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
  yield leakRow(group, device, await leftOver(card, before));
}

/** Programs that know nothing of Sluice: first all by the card's own driver, then all of them borrowed, since what either takes of the card or leaves on it must not count as the other's. */
async function* checkPrograms(card: Card): AsyncGenerator<Row> {
  const { device } = card;
  const group = "programs";
  const cold = await usedBytes(device);
  let prepared: Prepared | undefined;
  {
    await using server = await openServer("--device", device.id);
    prepared = yield* prepare(server.grpc, card);
  }
  if (prepared === undefined) return;
  try {
    const alone = yield* runAllAlone(prepared);
    const left = await leftOver(card, cold);
    if (left !== undefined)
      yield { group, name: "memory that the driver keeps after programs without Sluice", unit: "B", value: left };
    const before = await usedBytes(device);
    yield* borrowAll(card, prepared, alone);
    const behind = await leftOver(card, before);
    const isNobodys = behind !== undefined && behind > 0 && isDriversAlone(device);
    yield leakRow(group, device, isNobodys ? yield* leftOfPrograms(card, { prepared, alone, behind }) : behind);
  } finally {
    prepared.remove();
  }
}

/** Each program borrows from a server that is there for them alone. */
async function* borrowAll({ device }: Card, prepared: Prepared, alone: Alone): AsyncGenerator<Row> {
  await using server = await openServer("--device", device.id);
  yield* runAllBorrowed(alone, prepared, server.grpc);
}

/** More than this is no store of the driver's: 126 MiB on an H100, and on an H200. */
const KEPT_AFTER_PROGRAMS_BYTES_MAX = 256 * MiB;

/**
 * Whether `behind` bytes that no process has behind programs are the driver's, or a leak: the programs are borrowed once more. Returns how many are left
 * that are not the driver's.
 */
async function* leftOfPrograms(
  card: Card,
  { prepared, alone, behind }: { readonly prepared: Prepared; readonly alone: Alone; readonly behind: number },
): AsyncGenerator<Row, number> {
  const before = await usedBytes(card.device);
  for await (const row of borrowAll(card, prepared, { ...alone, timed: [] })) if (row.ok === false) yield row;
  const grown = (await leftOver(card, before)) ?? 0;
  const name = "memory that the driver keeps after programs, as long as anything uses the card";
  const note = `[${behind}] bytes that no process has, and [${grown}] more after the same programs once more`;
  const row = keptRow(
    { group: "programs", name, note },
    { first: behind, grown, firstMax: KEPT_AFTER_PROGRAMS_BYTES_MAX },
  );
  yield row;
  if (row.ok !== true) return behind;
  countAsKept(card.device, behind);
  return 0;
}

export interface GroupPlan {
  readonly run: Group;
  /**
   * The groups before it leave it as much, and it has as much whatever is left. In seconds: what a card takes that is well (an H100 with 16 cores), and a
   * little more; less for the last, which have what is left.
   */
  readonly reserveS: number;
  /** One that a card holds up must leave time to the others. In seconds; several times what a healthy card takes. */
  readonly limitS: number;
  /** What it does, for people. */
  readonly does: string;
}

/** The seconds of a group where so many are left for it and those behind it. */
export function limitFor(
  { reserveS, limitS }: Pick<GroupPlan, "reserveS" | "limitS">,
  { behind, leftS }: { readonly behind: readonly Pick<GroupPlan, "reserveS">[]; readonly leftS: number },
): number {
  const theirsS = behind.reduce((sum, plan) => sum + plan.reserveS, 0);
  return Math.max(reserveS, Math.min(limitS, leftS - theirsS));
}

/** What every run begins with. */
export const firstGroup: GroupPlan = {
  run: warmUp,
  // Without it nothing else is run, and a driver that was asleep takes its time.
  reserveS: 60,
  limitS: 120,
  does: "always runs: a first slice and kernel, and whether kernels reach host memory",
};

/** In the order in which they run: what decides first, and what a card has been through in other ways last. */
export const groups: Readonly<Record<string, GroupPlan>> = {
  driver: {
    run: checkDriver,
    reserveS: 5,
    limitS: 60,
    does: "the driver's calls that the cuda device makes, one by one",
  },
  remote: {
    run: checkRemote,
    reserveS: 20,
    limitS: 120,
    does: "launches, copies, a product, a training step: borrowed and local; the bars",
  },
  "end to end": {
    run: checkPromises,
    reserveS: 60,
    limitS: 180,
    does: "the promises of a lease through a real server, one by one",
  },
  memory: {
    run: checkMemory,
    reserveS: 8,
    limitS: 90,
    does: "a slice filled until kill -9, zeros for the next, a slice beyond the card",
  },
  neighbours: { run: checkNeighbours, reserveS: 4, limitS: 60, does: "two leases, one of which faults" },
  speed: { run: checkSpeed, reserveS: 8, limitS: 120, does: "the device room against bare driver calls" },
  arithmetic: {
    run: checkArithmetic,
    reserveS: 25,
    limitS: 90,
    does: "every form of an instruction over many operands, against the cpu device",
  },
  programs: {
    run: checkPrograms,
    reserveS: 75,
    limitS: 180,
    does: "unmodified programs: in C and CUDA C where there are compilers, and in Python",
  },
  kernels: {
    run: checkKernels,
    reserveS: 15,
    limitS: 180,
    does: "every PTX fixture, a fatbin, NVRTC, textures and surfaces",
  },
  "remote kernels": {
    run: checkRemoteKernels,
    reserveS: 5,
    limitS: 240,
    does: "every PTX fixture once more, through server and client",
  },
};
