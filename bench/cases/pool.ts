/** The pool's decisions: what one costs as the pool grows, and how well the devices are used, against textbook placement and an offline bound. */

import { summarize } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import type { PoolLoad as PoolLoadType } from "../measure/pool-load.ts";
import { TENANTS } from "../measure/pool-load.ts";
import { makeTrace, offlineBound, play, sluice, textbook } from "../measure/pool-trace.ts";
import type { Bar, Cell, Chart, Table } from "../report/model.ts";

const SEED = 7;
const rounds = { quick: 2000, full: 6000 } as const;

/** The built package is measured, as everywhere: a development loader's wrappers would cost more than a decision. */
async function builtLoad(): Promise<typeof PoolLoadType> {
  const url = new URL("../../dist/modules/bench/measure/pool-load.js", import.meta.url);
  return ((await import(url.href)) as { PoolLoad: typeof PoolLoadType }).PoolLoad;
}

interface Point {
  readonly devices: number;
  readonly leases: number;
  readonly waiting: number;
  readonly p50: number;
  readonly p99: number;
  readonly byKind: ReadonlyMap<string, { readonly p50: number; readonly p99: number }>;
}

/** Times of all kinds of decisions in one pool. */
function measure(PoolLoad: typeof PoolLoadType, options: { readonly devices: number; readonly count: number }): Point {
  const { devices, count } = options;
  const load = new PoolLoad({ devices, seed: SEED });
  for (let round = 0; round < count / 4; round++) load.round();
  load.costs.clear();
  for (let round = 0; round < count; round++) load.round();
  const byKind = new Map([...load.costs].map(([kind, costs]) => [kind, summarize(costs)] as const));
  // Heartbeats are most of a pool's events and cost nothing: they are left out, so that they do not flatter the rest.
  const all = summarize([...load.costs].filter(([kind]) => kind !== "heartbeat").flatMap(([, costs]) => costs));
  return { devices, leases: load.leases, waiting: load.waiting, p50: all.p50, p99: all.p99, byKind };
}

async function scale({ quick, progress }: CaseContext): Promise<{ tables: Table[]; charts: Chart[]; bars: Bar[] }> {
  const PoolLoad = await builtLoad();
  const sizes = quick ? [10, 100, 1000] : [10, 100, 1000, 10_000];
  const points: Point[] = [];
  for (const [index, devices] of sizes.entries()) {
    progress((0.8 * index) / sizes.length, `a pool of ${devices} devices`);
    points.push(measure(PoolLoad, { devices, count: quick ? rounds.quick : rounds.full }));
  }
  const kinds = [
    "request",
    "release",
    "reclaim",
    "withdraw",
    "resize",
    "resized",
    "extend",
    "priority",
    "cancel",
    "cordon",
    "uncordon",
  ];
  const rows = points.map((point): Cell[] => [
    point.devices,
    point.leases,
    point.waiting,
    point.p50,
    point.p99,
    ...kinds.map((kind) => point.byKind.get(kind)?.p99),
  ]);
  const count = (title: string) => ({ title, unit: "count" as const });
  const time = (title: string) => ({ title, unit: "ns" as const });
  const table: Table = {
    title: "One decision, by the size of the pool",
    columns: [
      count("devices"),
      count("leases"),
      count("waiting"),
      time("p50"),
      time("p99"),
      ...kinds.map((kind) => time(`${kind} p99`)),
    ],
    rows,
    note: "Processor time of `decide`, to the microsecond. p50 and p99 are over all kinds but heartbeats. An event that grants several requests at once counts as so many decisions.",
  };
  const line = (name: string, pick: (point: Point) => number) => ({
    name,
    points: points.map((point) => [point.devices, pick(point)] as const),
  });
  const chart: Chart = {
    title: "Cost of a decision against the number of devices",
    x: { title: "devices", unit: "count", scale: "log" },
    y: { title: "processor time", unit: "ns", scale: "linear" },
    series: [line("p50", (point) => point.p50), line("p99", (point) => point.p99)],
  };
  return { tables: [table], charts: [chart], bars: barsOf(points) };
}

function barsOf(points: readonly Point[]): Bar[] {
  const largest = points.at(-1)!;
  const base = points[1]!;
  const bars: Bar[] = [
    { what: `one decision at ${largest.devices} devices, p99`, unit: "ns", measured: largest.p99, atMost: 1_000_000 },
  ];
  const [slowest, { p99 }] = [...largest.byKind].reduce((a, b) => (a[1].p99 > b[1].p99 ? a : b));
  bars.push({
    what: `one decision of the slowest kind [${slowest}] at ${largest.devices} devices, p99`,
    unit: "ns",
    measured: p99,
    atMost: 1_000_000,
  });
  // Steps grow with the logarithm of what a tree holds. Of the slowest hundredth, much is the garbage collector's and the compiler's.
  const depth = (point: Point): number => Math.log2(point.waiting / TENANTS) + Math.log2(point.devices);
  bars.push({
    what: `growth of the median from ${base.devices} to ${largest.devices} devices`,
    unit: "ratio",
    measured: largest.p50 / base.p50,
    atMost: depth(largest) / depth(base),
    caveat: "the bar is the growth of the steps; time grows also with cache misses",
  });
  return bars;
}

function quality({ quick, progress }: CaseContext): Table {
  const devices = 64;
  const trace = makeTrace({ seed: SEED, jobs: quick ? 2_000 : 10_000, devices, load: 0.95 });
  const bounded = makeTrace({ seed: SEED, jobs: trace.length, devices, load: 0.95 }).map((job) => ({
    ...job,
    isBounded: true,
  }));
  const ways = [
    ["Sluice, pack, half of the durations known", trace, sluice({})],
    ["Sluice, pack, all durations known", bounded, sluice({})],
    ["Sluice, spread", trace, sluice({ policy: "spread" })],
    ["first fit, in order", trace, textbook("first", "strict")],
    ["best fit, in order", trace, textbook("best", "strict")],
    ["best fit, whoever fits (large ones starve)", trace, textbook("best", "greedy")],
  ] as const;
  const rows = ways.map(([name, jobs, placer], index): Cell[] => {
    progress(0.8 + (0.2 * index) / ways.length, name);
    const result = play(jobs, devices, placer);
    return [
      name,
      100 * result.utilisation,
      100 * result.stranded,
      result.waitMeanMs * 1e6,
      result.waitOfLargestMs * 1e6,
    ];
  });
  rows.push(["offline bound", 100 * offlineBound(trace, devices), undefined, undefined, undefined]);
  return {
    title: `A trace of ${trace.length} jobs on ${devices} devices of 80 GiB, offered load 95 %`,
    columns: [
      { title: "placement" },
      { title: "memory used", unit: "percent" },
      { title: "free while somebody waits", unit: "percent" },
      { title: "mean wait", unit: "ns" },
      { title: "mean wait of 2 to 8 whole devices", unit: "ns" },
    ],
    rows,
    note: "Simulated time. Poisson arrivals with a daily rhythm, heavy-tailed sizes, log-normal durations (bench/measure/pool-trace.ts).",
  };
}

async function run(context: CaseContext): Promise<CaseOutcome> {
  const { tables, charts, bars } = await scale(context);
  return { tables: [...tables, quality(context)], charts, bars };
}

export const poolCase: BenchCase = {
  name: "pool",
  title: "Decisions of the pool: cost by size, and use of the devices",
  run,
};
