/** `sluice bench`: measures the user's own server over the user's own network, and says what the figures mean. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { allocateRequest } from "../allocate-options.ts";
import { type Cell, formatCell, type Unit } from "../measure/format.ts";
import type { ServerReport } from "../measure/server-suite.ts";
import type { Summary } from "../measure/statistics.ts";
import type { Job } from "../measure/words.ts";
import { endpointsOf, type TransportKind, transportKinds } from "../transport/open.ts";
import { Meter } from "./meter.ts";
import {
  addJsonOption,
  addServerOption,
  type JsonOptions,
  readCount,
  readDuration,
  readSize,
  type ServerOptions,
  withControl,
} from "./options.ts";
import { print, printJson, terminalWidth } from "./output.ts";
import { interruptible } from "./signals.ts";
import { formatTable } from "./table.ts";

const MEMORY_DEFAULT = "256MiB";
const WIDTH = 80;

interface BenchOptions extends ServerOptions, JsonOptions {
  readonly memory: number;
  readonly filter?: readonly string[];
  readonly wait: number;
  readonly transport?: TransportKind;
  readonly quick?: true;
  readonly step: number;
  readonly answers: number;
}

export function addBenchCommand(program: Command): void {
  const command = program
    .command("bench")
    .description("measure what the network to the server costs a job, and say what it means")
    .addOption(
      new Option("-m, --memory <size>", "memory to borrow; the largest copy fits into it")
        .argParser(readSize)
        .default(readSize(MEMORY_DEFAULT), MEMORY_DEFAULT),
    )
    .addOption(
      new Option("--filter <condition>", "only devices like device.name~A100; repeatable").argParser(
        (text: string, before: readonly string[] = []) => [...before, text],
      ),
    )
    .addOption(
      new Option("--wait <duration>", "wait for capacity, like 30s").argParser(readDuration).default(0, "not at all"),
    )
    .addOption(new Option("--transport <kind>", "how the calls travel (default: the best)").choices(transportKinds))
    .addOption(
      new Option("--step <duration>", "how long a step of your job takes").argParser(readStep).default(10, "10ms"),
    )
    .addOption(new Option("--answers <count>", "calls of such a step that wait").argParser(readCount).default(12, "12"))
    .option("--quick", "measure for some seconds only");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Borrows a small share of a device of any kind, measures for half a minute, and
gives it back. Run it on the machine of the job: it measures what is in between.

Examples:
  sluice bench --server gpu1:7460
  sluice bench --quick --transport tcp --step 25ms --answers 3
  sluice bench --filter 'device.name~A100' --json`,
  );
  command.action(run);
}

function readStep(text: string): number {
  const milliseconds = readDuration(text);
  if (milliseconds > 0) return milliseconds;
  throw new InvalidArgumentError(`A step takes some time, and [${text}] is none.`);
}

async function run(options: BenchOptions): Promise<void> {
  const { memory, filter, wait, transport, quick = false } = options;
  const request = allocateRequest({
    memory,
    wait,
    name: "sluice bench",
    ...(filter === undefined ? {} : { filters: filter }),
  });
  // With them comes the whole library, for which no other verb waits.
  const [{ measureServer }, { wordsOf }] = await Promise.all([
    import("../measure/server-suite.ts"),
    import("../measure/words.ts"),
  ]);
  const meter = new Meter("sluice bench");
  const report = await withControl(options, (control) =>
    interruptible(
      (signal) =>
        measureServer({
          control,
          request,
          endpoints: (all) => endpointsOf(all, transport === undefined ? undefined : [transport]),
          quick,
          signal,
          progress: (fraction, what) => meter.update(fraction, what),
        }).finally(() => meter.clear()),
      { finish: (result) => Promise.resolve(result), undo: () => Promise.resolve() },
    ),
  );
  const job: Job = { stepMs: options.step, answersPerStep: options.answers };
  const words = wordsOf(report, job);
  if (options.json) printJson({ ...report, job, words });
  else print(textOf(report, words));
}

/** A table whose columns are figures of one unit each, but for the first. */
function table(titles: readonly (readonly [title: string, unit?: Unit])[], rows: readonly (readonly Cell[])[]): string {
  const columns = titles.map(([title], index) => ({ title, align: index === 0 ? "left" : "right" }) as const);
  const cells = rows.map((row) => row.map((cell, index) => formatCell(cell, titles[index]![1])));
  return formatTable(columns, cells, WIDTH);
}

const spread = ({ n, p50, p90, p99 }: Summary): Cell[] => [n, p50, p90, p99];
const spreadTitles = [
  ["n", "count"],
  ["p50", "ns"],
  ["p90", "ns"],
  ["p99", "ns"],
] as const;

const partNames = {
  grant: "request to grant",
  attach: "grant to attached",
  firstResult: "request to first result",
  release: "release",
} as const;

function tablesOf(report: ServerReport): string[] {
  const rate = (bytes: number, time: number): number => bytes / (time / 1e9);
  const parts = (Object.keys(partNames) as (keyof typeof partNames)[]).map((part) => [
    partNames[part],
    ...spread(report.allocation[part]),
  ]);
  const answered = report.answered.map(({ payloadBytes, ...summary }) => [payloadBytes, ...spread(summary)]);
  const throughput = report.throughput.map(({ batch, callsPerSecond }) => [
    batch === 0 ? "as the library does" : String(batch),
    callsPerSecond,
  ]);
  const copies = report.copies.map(({ bytes, toNs, fromNs }) => [
    bytes,
    toNs,
    rate(bytes, toNs),
    fromNs,
    rate(bytes, fromNs),
  ]);
  const work = report.work.map(({ workload, batch, stepsPerAnswer, stepNs }) => [
    `${workload}, batch ${batch}`,
    stepsPerAnswer,
    stepNs,
  ]);
  const tables = [
    table([["allocation"], ...spreadTitles], parts),
    table([["answered call", "bytes"], ...spreadTitles], answered),
    table([["calls per write"], ["executed", "perSecond"]], throughput),
    table(
      [
        ["copy", "bytes"],
        ["there", "ns"],
        ["rate", "bytesPerSecond"],
        ["back", "ns"],
        ["rate", "bytesPerSecond"],
      ],
      copies,
    ),
  ];
  return work.length === 0
    ? tables
    : [...tables, table([["digit classifier"], ["steps per answer", "count"], ["step", "ns"]], work)];
}

function textOf(report: ServerReport, words: readonly string[]): string {
  const { server, endpoint, device } = report;
  const head = `${device.name} (${device.id}) of ${server}, calls over ${endpoint}`;
  const fitted = (text: string): string => wrapped(text, Math.min(WIDTH, terminalWidth()));
  return [fitted(head), ...tablesOf(report), words.map(fitted).join("\n")].join("\n\n");
}

/** Breaks a sentence between words. */
function wrapped(text: string, width: number): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}
