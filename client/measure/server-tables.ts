/** The figures of a server as tables and charts, for the terminal and for a page. Pure: a report in, plain data out. */
import type { Chart, Column, Table } from "./figures.ts";
import type { Cell } from "./format.ts";
import type { ServerReport } from "./server-suite.ts";
import { type Summary, summaryParts } from "./statistics.ts";
import type { Job } from "./words.ts";

const partNames = {
  grant: "request to grant",
  attach: "grant to attached",
  firstResult: "request to first result",
  release: "release",
} as const;

const spread = ({ n, p50, p90, p99 }: Summary): Cell[] => [n, p50, p90, p99];
const spreadColumns: readonly Column[] = [
  { title: "n", unit: "count" },
  { title: "p50", unit: "ns" },
  { title: "p90", unit: "ns" },
  { title: "p99", unit: "ns" },
];

const rateOf = (bytes: number, time: number): number => bytes / (time / 1e9);

/** What a rate of copies says begins here: the time of smaller ones is that of an answer. */
const COPY_BYTES_MIN = 1024;

export function tablesOf(report: ServerReport): Table[] {
  const tables: Table[] = [
    {
      title: "Getting a share, and giving it back",
      columns: [{ title: "allocation" }, ...spreadColumns],
      rows: (Object.keys(partNames) as (keyof typeof partNames)[]).map((part) => [
        partNames[part],
        ...spread(report.allocation[part]),
      ]),
    },
    {
      title: "Calls that wait for an answer, by the bytes that come back",
      columns: [{ title: "answered call", unit: "bytes" }, ...spreadColumns],
      rows: report.answered.map(({ payloadBytes, ...summary }) => [payloadBytes, ...spread(summary)]),
    },
    {
      title: "Calls that need no answer",
      columns: [{ title: "calls per write" }, { title: "executed", unit: "perSecond" }],
      rows: report.throughput.map(({ batch, callsPerSecond }) => [
        batch === 0 ? "as the library does" : String(batch),
        callsPerSecond,
      ]),
    },
    {
      title: "Copies",
      columns: [
        { title: "copy", unit: "bytes" },
        { title: "there", unit: "ns" },
        { title: "rate", unit: "bytesPerSecond" },
        { title: "back", unit: "ns" },
        { title: "rate", unit: "bytesPerSecond" },
      ],
      rows: report.copies.map(({ bytes, toNs, fromNs }) => [
        bytes,
        toNs,
        rateOf(bytes, toNs),
        fromNs,
        rateOf(bytes, fromNs),
      ]),
    },
  ];
  if (report.work.length === 0) return tables;
  const work: Table = {
    title: "Steps of an example training",
    columns: [
      { title: "digit classifier" },
      { title: "steps per answer", unit: "count" },
      { title: "step", unit: "ns" },
    ],
    rows: report.work.map(({ workload, batch, stepsPerAnswer, stepNs }) => [
      `${workload}, batch ${batch}`,
      stepsPerAnswer,
      stepNs,
    ]),
  };
  return [...tables, work];
}

/** Answers that a step of a job may wait for, in the chart of what they cost. */
const answersPerStep = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

export function chartsOf(report: ServerReport, { stepMs }: Job): Chart[] {
  const { answered, throughput, copies } = report;
  const small = answered[0]!;
  const own = throughput.find(({ batch }) => batch === 0);
  const batched = throughput.filter(({ batch }) => batch > 0);
  const added = (part: "p50" | "p90"): [number, number][] =>
    answersPerStep.map((answers) => [answers, ((small[part] * answers) / (stepMs * 1e6)) * 100]);
  const large = copies.filter(({ bytes }) => bytes >= COPY_BYTES_MIN);
  return [
    {
      title: `What answers cost a step of ${stepMs} ms`,
      x: { title: "answers that the step waits for", unit: "count", scale: "log" },
      y: { title: "time added", unit: "percent", scale: "log" },
      series: [
        { name: "every answer at the median", points: added("p50") },
        { name: "every answer as late as one in ten", points: added("p90"), baseline: true },
      ],
    },
    {
      title: "A call that waits for its answer",
      x: { title: "bytes that come back", unit: "bytes", scale: "log" },
      y: { title: "time", unit: "ns", scale: "log" },
      series: summaryParts.map((part) => ({
        name: part,
        points: answered.map(({ payloadBytes, ...summary }) => [payloadBytes, summary[part]]),
      })),
    },
    {
      title: "Copies",
      x: { title: "size", unit: "bytes", scale: "log" },
      y: { title: "rate", unit: "bytesPerSecond", scale: "log" },
      series: [
        { name: "to the device", points: large.map(({ bytes, toNs }) => [bytes, rateOf(bytes, toNs)]) },
        { name: "from the device", points: large.map(({ bytes, fromNs }) => [bytes, rateOf(bytes, fromNs)]) },
      ],
    },
    {
      title: "Calls that need no answer",
      x: { title: "calls that travel in one write", unit: "count", scale: "log" },
      y: { title: "executed", unit: "perSecond", scale: "log" },
      series: [
        { name: "so many per write", points: batched.map(({ batch, callsPerSecond }) => [batch, callsPerSecond]) },
        ...(own === undefined
          ? []
          : [
              {
                name: "as the library does",
                points: [batched[0]!.batch, batched.at(-1)!.batch].map((batch) => [batch, own.callsPerSecond] as const),
                baseline: true,
              },
            ]),
      ],
    },
  ];
}
