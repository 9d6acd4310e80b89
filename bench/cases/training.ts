/**
 * What distance does to a job: the demo's digit classifier on a cpu device in the job's own process against one borrowed over
 * emulated links, with a ping-pong of C sockets over the same link beside it.
 */

import { median } from "../../client/measure/statistics.ts";
import type { Workload } from "../../client/measure/steps.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { Floor } from "../floor/floor.ts";
import { describeLink, isDirect, Link, type LinkProperties } from "../link/link.ts";
import { Server } from "../measure/server.ts";
import { Worker } from "../measure/worker.ts";
import type { Bar, Cell, Chart, Table } from "../report/model.ts";

const LOCAL = "local";
const REMOTE = "remote";
const COPY_BYTES = 4 * 1024 * 1024;

interface Work {
  readonly title: string;
  readonly workload: Workload;
  readonly batch: number;
  /** Steps between two answers in training, inferences per measurement. */
  readonly count: number;
  /** Turns of local and remote in a quick run and in a full one. What a bar is about has more: the device wants every core, and so feels whatever else runs. */
  readonly turns: readonly [quick: number, full: number];
}

const works: readonly Work[] = [
  { title: "training step, batch 256", workload: "training", batch: 256, count: 8, turns: [9, 15] },
  { title: "the same, its images sent each step", workload: "training-upload", batch: 256, count: 8, turns: [3, 5] },
  { title: "inference, batch 1", workload: "inference", batch: 1, count: 20, turns: [3, 5] },
  { title: "inference, batch 256", workload: "inference", batch: 256, count: 8, turns: [3, 5] },
];

interface WorkResult {
  readonly work: Work;
  readonly localNs: number;
  readonly remoteNs: number;
  readonly slowdown: number;
}

interface LinkResult {
  readonly link: LinkProperties;
  /** A ping-pong of C over the link, p50, and without it. */
  readonly floorNs: number;
  readonly directNs: number;
  readonly floorBytesPerSecond: number;
  readonly works: readonly WorkResult[];
}

function linksFor(quick: boolean): LinkProperties[] {
  if (quick) return [0, 1, 30].map((roundTripMs) => ({ roundTripMs, gigabitsPerSecond: 0 }));
  const rates = [0, 10, 1];
  return rates.flatMap((gigabitsPerSecond) =>
    [0, 0.1, 0.5, 1, 5, 30].map((roundTripMs) => ({ roundTripMs, gigabitsPerSecond })),
  );
}

async function measureWork(worker: Worker, work: Work, context: CaseContext): Promise<WorkResult> {
  const { workload, batch, count } = work;
  const turns = work.turns[context.quick ? 0 : 1];
  const ratios: number[] = [];
  const times = { local: [] as number[], remote: [] as number[] };
  for (let turn = 0; turn < turns; turn++) {
    const options = { workload, batch, count, rounds: 1 };
    const local = median(await worker.run("steps", { name: LOCAL, ...options }));
    const remote = median(await worker.run("steps", { name: REMOTE, ...options }));
    times.local.push(local);
    times.remote.push(remote);
    ratios.push(remote / local);
  }
  return { work, localNs: median(times.local), remoteNs: median(times.remote), slowdown: median(ratios) };
}

async function measureFloor(link: LinkProperties, floor: Floor): Promise<Omit<LinkResult, "link" | "works">> {
  const port = Number(floor.address.split(":").at(-1));
  const rounds = Math.ceil(Math.min(1000, 600 / (link.roundTripMs + 0.1)));
  const small = { requestBytes: 64, answerBytes: 64, rounds, warmup: 20 };
  const directNs = median(await floor.rounds(small));
  const emulated = await Link.start(link, [port]);
  try {
    const via = `${emulated.host}:${port}`;
    const floorNs = median(await floor.rounds({ ...small, via }));
    const copy = { via, requestBytes: COPY_BYTES, answerBytes: 64, rounds: 3, warmup: 1 };
    const copyNs = median(await floor.rounds(copy));
    return { floorNs, directNs, floorBytesPerSecond: (COPY_BYTES / copyNs) * 1e9 };
  } finally {
    await emulated.stop();
  }
}

async function measureLink(
  { server, worker, floor }: { server: Server; worker: Worker; floor: Floor },
  link: LinkProperties,
  context: CaseContext,
): Promise<LinkResult> {
  const measured = await measureFloor(link, floor);
  const emulated = await Link.start(link, [server.grpcPort, server.dataPort]);
  try {
    const target = isDirect(link) ? server.target : server.targetVia(emulated.host);
    await worker.run("openPlace", { name: REMOTE, target: { ...target, transport: "tcp" } });
    const results: WorkResult[] = [];
    for (const work of works) results.push(await measureWork(worker, work, context));
    await worker.run("closePlace", { name: REMOTE });
    return { link, ...measured, works: results };
  } finally {
    await emulated.stop();
  }
}

function slowdownTable(results: readonly LinkResult[]): Table {
  const rows = results.map(({ link, floorNs, works: measured }): Cell[] => [
    describeLink(link),
    floorNs,
    ...measured.flatMap(({ remoteNs, slowdown }) => [remoteNs, slowdown]),
  ]);
  const local = works.map((work, index) => {
    const ns = median(results.map((result) => result.works[index]!.localNs));
    return `${work.title} ${(ns / 1e6).toFixed(2)} ms`;
  });
  return {
    title: "Time and slowdown against the same device in the job's own process",
    columns: [
      { title: "link: round trip, rate" },
      { title: "C ping-pong", unit: "ns" },
      ...works.flatMap(({ title }) => [{ title, unit: "ns" } as const, { title: "slowdown", unit: "ratio" } as const]),
    ],
    rows,
    note: `Local times: ${local.join(", ")}. Between two answers a training runs ${works[0]!.count} steps.`,
  };
}

function accuracyTable(results: readonly LinkResult[]): Table {
  const rows = results.map(({ link, floorNs, directNs, floorBytesPerSecond }): Cell[] => [
    describeLink(link),
    link.roundTripMs * 1e6,
    floorNs - directNs,
    link.gigabitsPerSecond === 0 ? undefined : link.gigabitsPerSecond * 1.25e8,
    floorBytesPerSecond,
  ]);
  return {
    title: "The emulated links themselves",
    columns: [
      { title: "link" },
      { title: "round trip wanted", unit: "ns" },
      { title: "added to C", unit: "ns" },
      { title: "rate wanted", unit: "bytesPerSecond" },
      { title: "C copy of 4 MiB", unit: "bytesPerSecond" },
    ],
    rows,
    note: "What a link adds above its round trip is the cost of the emulation. A copy's rate includes its one round trip.",
  };
}

function chartOf(results: readonly LinkResult[]): Chart {
  const unlimited = results.filter(({ link }) => link.gigabitsPerSecond === 0);
  return {
    title: "Round trip against slowdown",
    x: { title: "round trip of C sockets over the link", unit: "ns", scale: "log" },
    y: { title: "time against local", unit: "ratio", scale: "log" },
    series: works.map(({ title }, index) => ({
      name: title,
      points: unlimited.map(({ floorNs, works: measured }) => [floorNs, measured[index]!.slowdown]),
    })),
    note: "Without a bound on the rate. 1.00x is the speed of a device in the job's own process.",
  };
}

function barsOf(results: readonly LinkResult[]): Bar[] {
  const bounds = [
    { roundTripMs: 0, atMost: 1.05 },
    { roundTripMs: 1, atMost: 1.2 },
  ];
  return bounds.flatMap(({ roundTripMs, atMost }): Bar[] => {
    const result = results.find(({ link }) => link.roundTripMs === roundTripMs && link.gigabitsPerSecond === 0);
    const slowdown = result?.works[0]?.slowdown;
    if (slowdown === undefined) return [];
    const what = `Training step without an answered call against local, at ${roundTripMs} ms`;
    return [{ what, unit: "ratio", measured: slowdown, atMost }];
  });
}

export const trainingCase: BenchCase = {
  name: "training",
  title: "Training and inference over a network",
  async run(context): Promise<CaseOutcome> {
    if (process.platform !== "linux")
      return { words: ["This case needs 127.0.0.2 for its links and runs on Linux only."] };
    context.progress(0, "starts a server");
    const server = await Server.start({ devices: ["cpu"] });
    const worker = await Worker.start();
    const floor = await Floor.start("127.0.0.1:0");
    try {
      await worker.run("openPlace", { name: LOCAL });
      const links = linksFor(context.quick);
      const results: LinkResult[] = [];
      for (const [index, link] of links.entries()) {
        context.progress(index / links.length, describeLink(link));
        results.push(await measureLink({ server, worker, floor }, link, context));
      }
      await worker.run("closePlace", { name: LOCAL });
      return {
        tables: [slowdownTable(results), accuracyTable(results)],
        charts: [chartOf(results)],
        bars: barsOf(results),
      };
    } finally {
      await worker.stop();
      await server.stop();
      await floor.stop();
    }
  },
};
