/** Calls that need no answer: what issuing one costs the client, and how many are executed per second by the size of a batch. */

import { LAUNCH_BYTES } from "../../client/measure/calls.ts";
import { median } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import { type Layout, layouts } from "../measure/placement.ts";
import { compare, Stand } from "../measure/stand.ts";
import type { Bar, Cell, Chart, Series, Table } from "../report/model.ts";

const batches = [1, 4, 16, 64, 256, 1024, 4096];
/** Header of the frame that carries a batch. */
const FRAME_HEADER_BYTES = 16;

interface BatchPoint {
  readonly batch: number;
  readonly perSecond: number;
  readonly floorPerSecond: number;
  readonly ratio: number;
}

interface LayoutResult {
  readonly layout: Layout;
  readonly points: readonly BatchPoint[];
  /** Nanoseconds per call in the client. */
  readonly issueNs: number;
  /** Calls per second with the client's own batching. */
  readonly flood: number;
}

async function measureBatch(stand: Stand, { batch, quick }: { batch: number; quick: boolean }): Promise<BatchPoint> {
  const calls = (batch < 16 ? 10_000 : batch < 256 ? 80_000 : 160_000) / (quick ? 2 : 1);
  const counts = { rounds: quick ? 2 : 3, warmup: 1 };
  const pieceBytes = FRAME_HEADER_BYTES + batch * LAUNCH_BYTES;
  const requestBytes = Math.ceil(calls / batch) * pieceBytes;
  const { subject, floor, ratio } = await compare({
    turns: quick ? 3 : 5,
    subject: () => stand.worker.run("batches", { batch, calls, ...counts }),
    floor: async () => {
      const times = await stand.floor("tcp", { requestBytes, answerBytes: 64, pieceBytes, ...counts });
      return times.map((time) => time / (requestBytes / pieceBytes) / batch);
    },
  });
  return { batch, perSecond: 1e9 / subject.p50, floorPerSecond: 1e9 / floor.p50, ratio: 1 / ratio };
}

async function measureLayout(
  layout: Layout,
  { context, from, share }: { context: CaseContext; from: number; share: number },
): Promise<LayoutResult> {
  const stand = await Stand.start(layout);
  try {
    await stand.open("tcp");
    const points: BatchPoint[] = [];
    for (const batch of batches) {
      context.progress(from + (share * points.length) / (batches.length + 2), `${layout.name}, batches of ${batch}`);
      points.push(await measureBatch(stand, { batch, quick: context.quick }));
    }
    context.progress(from + (share * batches.length) / (batches.length + 2), `${layout.name}, own batching`);
    const rounds = context.quick ? 60 : 300;
    const issueNs = median(await stand.worker.run("issue", { calls: 1000, rounds, warmup: rounds / 4 }));
    const floods = await stand.worker.run("flood", { calls: 400_000, rounds: context.quick ? 3 : 9, warmup: 1 });
    await stand.close();
    return { layout, points, issueNs, flood: 1e9 / median(floods) };
  } finally {
    await stand.stop();
  }
}

function tableOf({ layout, points, flood }: LayoutResult): Table {
  const rows = points.map(({ batch, perSecond, floorPerSecond, ratio }): Cell[] => [
    String(batch),
    perSecond,
    floorPerSecond,
    ratio,
  ]);
  return {
    title: `Launches executed end to end, ${layout.name}`,
    columns: [
      { title: "calls per write" },
      { title: "calls", unit: "perSecond" },
      { title: "C, same writes", unit: "perSecond" },
      { title: "against C", unit: "ratio" },
    ],
    rows: [...rows, ["the client's own batching", flood, undefined, undefined]],
    note: `A launch is ${LAUNCH_BYTES} bytes on the wire. C sends the same bytes in the same writes and only receives them: it decodes and runs nothing.`,
  };
}

function chartOf(results: readonly LayoutResult[]): Chart {
  const series = results.flatMap(({ layout, points }): Series[] => [
    { name: `Sluice, ${layout.name}`, points: points.map(({ batch, perSecond }) => [batch, perSecond]) },
    {
      name: `C sockets, ${layout.name}`,
      points: points.map(({ batch, floorPerSecond }) => [batch, floorPerSecond]),
      baseline: true,
    },
  ]);
  return {
    title: "Batch size against throughput",
    x: { title: "calls per write", unit: "count", scale: "log" },
    y: { title: "calls executed per second", unit: "perSecond", scale: "log" },
    series,
    note: "The null device: kernels do nothing, so this is the cost of remoting alone.",
  };
}

export const throughputCase: BenchCase = {
  name: "throughput",
  title: "Calls without an answer",
  async run(context): Promise<CaseOutcome> {
    const all = layouts();
    const results: LayoutResult[] = [];
    for (const [index, layout] of all.entries()) {
      results.push(await measureLayout(layout, { context, from: index / all.length, share: 1 / all.length }));
    }
    const best = results.at(-1)!;
    const single = best.points[0]!.perSecond;
    const where = best.layout.name;
    const bars: Bar[] = [
      { what: `Issue cost of a launch in the client, ${where}`, unit: "ns", measured: best.issueNs, atMost: 500 },
      { what: `Launches executed end to end, ${where}`, unit: "perSecond", measured: best.flood, atLeast: 1.5e6 },
      { what: "The same against one write per call", unit: "ratio", measured: best.flood / single, atLeast: 10 },
    ];
    return { tables: results.map(tableOf), charts: [chartOf(results)], bars };
  },
};
