/** Compute shares: what leases get of a device's time beside what they were promised, what that costs, and how long a small job waits beside a heavy one. */
import { median, summarize } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { Server } from "../measure/server.ts";
import type { Finished } from "../measure/share-jobs.ts";
import { Worker } from "../measure/worker.ts";
import type { Bar, Table } from "../report/model.ts";

const splits: readonly (readonly number[])[] = [
  [0.1, 0.9],
  [0.25, 0.75],
  [0.5, 0.5],
  [0.2, 0.3, 0.5],
];
const kernels = [0.1, 1, 10];
/** A quick run measures these, and no delays. */
const quickSplits = splits.slice(-1);
const quickKernels = [1];
const WINDOW_MS = 2_000;
/** From the last client's first kernel on, until all of them are under way. */
const SETTLE_MS = 500;

interface Got {
  /** Of each window, the parts that the leases had. */
  readonly parts: readonly (readonly number[])[];
  /** Device milliseconds of work per millisecond. */
  readonly rate: number;
}

/** Kernels of each client in windows in which all were at work. */
function windowsOf(finished: readonly Finished[], kernelMs: number): Got {
  const from = Math.max(...finished.map((one) => one[0]?.[0] ?? 0)) + SETTLE_MS;
  const to = Math.min(...finished.map((one) => one.at(-1)?.[0] ?? 0));
  const countIn = (start: number, end: number): number[] =>
    finished.map((one) => one.reduce((sum, [at, kernels]) => sum + (at > start && at <= end ? kernels : 0), 0));
  const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
  const parts: number[][] = [];
  for (let start = from; start + WINDOW_MS <= to; start += WINDOW_MS) {
    const counts = countIn(start, start + WINDOW_MS);
    parts.push(counts.map((count) => count / Math.max(1, sumOf(counts))));
  }
  if (parts.length === 0) throw new Error(`The clients worked together for [${to - from}] ms, less than a window.`);
  return { parts, rate: (sumOf(countIn(from, to)) * kernelMs) / (to - from) };
}

interface Stage {
  readonly server: Server;
  readonly workers: readonly Worker[];
  readonly roundsPerMs: number;
  readonly seconds: number;
}

/** Clients that all have work all the time, each with a part of its own or with none. */
async function saturated(stage: Stage, promised: readonly (number | undefined)[], kernelMs: number): Promise<Got> {
  const workers = stage.workers.slice(0, promised.length);
  const { target } = stage.server;
  for (const [index, worker] of workers.entries()) {
    const compute = promised[index];
    await worker.run("borrow", { target, ...(compute === undefined ? {} : { compute }) });
  }
  const rounds = Math.max(1, Math.round(stage.roundsPerMs * kernelMs));
  const finished = await Promise.all(
    workers.map((worker) => worker.run("saturate", { rounds, kernelMs, seconds: stage.seconds })),
  );
  for (const worker of workers) await worker.run("giveBack", {});
  return windowsOf(finished, kernelMs);
}

/** How long kernels of a millisecond take, one every 50, beside a lease that always has work. */
async function delays(stage: Stage, promised: readonly (number | undefined)[], heavyMs: number): Promise<number[]> {
  const [heavy, small] = stage.workers as readonly [Worker, Worker];
  const { target } = stage.server;
  for (const [index, worker] of [heavy, small].entries()) {
    const compute = promised[index];
    await worker.run("borrow", { target, ...(compute === undefined ? {} : { compute }) });
  }
  const { roundsPerMs, seconds } = stage;
  const load = heavy.run("saturate", { rounds: Math.round(roundsPerMs * heavyMs), kernelMs: heavyMs, seconds });
  const times = await small.run("nowAndThen", {
    rounds: Math.round(roundsPerMs),
    everyMs: 50,
    seconds: seconds - 0.5,
  });
  await load;
  for (const worker of [heavy, small]) await worker.run("giveBack", {});
  return times;
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

interface Row {
  readonly kernelMs: number;
  readonly split: readonly number[];
  readonly got: Got;
  /** The largest distance of a lease's part from what it was promised: over windows the median and the worst. */
  readonly error: number;
  readonly worst: number;
  readonly loss: number;
  readonly lossToOne: number;
}

async function measureSplits(stage: Stage, context: CaseContext): Promise<Row[]> {
  const rows: Row[] = [];
  const [wantedKernels, wantedSplits] = context.quick ? [quickKernels, quickSplits] : [kernels, splits];
  for (const [at, kernelMs] of wantedKernels.entries()) {
    const alone = (await saturated(stage, [undefined], kernelMs)).rate;
    const free = new Map<number, number>();
    for (const [index, split] of wantedSplits.entries()) {
      const done = (at + index / wantedSplits.length) / (wantedKernels.length + 0.5);
      context.progress(done, `${split.join(" / ")}, ${kernelMs} ms`);
      const without =
        free.get(split.length) ??
        (
          await saturated(
            stage,
            split.map(() => undefined),
            kernelMs,
          )
        ).rate;
      free.set(split.length, without);
      const got = await saturated(stage, split, kernelMs);
      const errors = got.parts.map((parts) => Math.max(...parts.map((part, lease) => Math.abs(part - split[lease]!))));
      const [error, worst] = [median(errors), Math.max(...errors)];
      rows.push({ kernelMs, split, got, error, worst, loss: 1 - got.rate / without, lossToOne: 1 - got.rate / alone });
    }
  }
  return rows;
}

function splitTable(rows: readonly Row[]): Table {
  const meanOf = ({ got, split }: Row): string =>
    split
      .map((_, lease) => percent(got.parts.reduce((sum, parts) => sum + parts[lease]!, 0) / got.parts.length))
      .join(", ");
  return {
    title: "Asked against got",
    columns: ["kernel", "asked", "got", "error", "worst", "loss", "loss to one"].map((title) => ({ title })),
    rows: rows.map((row) => [
      `${row.kernelMs} ms`,
      row.split.map((part) => `${100 * part} %`).join(", "),
      meanOf(row),
      ...[row.error, row.worst, row.loss, row.lossToOne].map(percent),
    ]),
  };
}

async function delayTable(stage: Stage, context: CaseContext): Promise<Table> {
  context.progress(0.9, "a small job beside a heavy one");
  const delayRows: string[][] = [];
  for (const heavyMs of [1, 10]) {
    for (const promised of [
      [undefined, undefined],
      [0.75, 0.25],
    ] as const) {
      const { p50, p99 } = summarize(await delays(stage, promised, heavyMs));
      const title = promised[0] === undefined ? "none" : "75 %, 25 %";
      delayRows.push([`${heavyMs} ms`, title, `${(p50 / 1e6).toFixed(1)} ms`, `${(p99 / 1e6).toFixed(1)} ms`]);
    }
  }
  return {
    title: "A kernel of 1 ms every 50 ms beside a lease that always has work: until its end",
    columns: ["kernels beside it", "shares", "p50", "p99"].map((title) => ({ title })),
    rows: delayRows,
  };
}

async function measure(stage: Stage, context: CaseContext): Promise<CaseOutcome> {
  const rows = await measureSplits(stage, context);
  const bars: Bar[] = [
    {
      what: "Largest error of a part over 2 s, in hundredths of the device, median of the splits",
      unit: "ratio",
      measured: 100 * median(rows.map(({ error }) => error)),
      atMost: 3,
    },
    {
      what: "Work of all leases together beside that without shares, median of the splits",
      unit: "ratio",
      measured: 1 - median(rows.map(({ loss }) => loss)),
      atLeast: 0.95,
    },
  ];
  const tables = [splitTable(rows), ...(context.quick ? [] : [await delayTable(stage, context)])];
  return { tables, bars };
}

export const computeCase: BenchCase = {
  name: "compute",
  title: "Compute shares: asked against got",
  async run(context): Promise<CaseOutcome> {
    context.progress(0, "starts a server");
    const server = await Server.start({ devices: ["cpu:1x1GiB"], spareExecutors: 2 });
    const workers = await Promise.all([0, 1, 2].map(() => Worker.start()));
    try {
      await workers[0]!.run("borrow", { target: server.target });
      const roundsPerMs = await workers[0]!.run("rounds", {});
      await workers[0]!.run("giveBack", {});
      return await measure({ server, workers, roundsPerMs, seconds: context.quick ? 3.3 : 11 }, context);
    } finally {
      await Promise.all(workers.map((worker) => worker.stop()));
      await server.stop();
    }
  },
};
