/** `sluice bench`: measures the user's own server over the user's own network, and says what the figures mean. */
import { accessSync, constants } from "node:fs";
import { writeFile } from "node:fs/promises";
import { availableParallelism, hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import { allocateRequest } from "../allocate-options.ts";
import type { Table } from "../measure/figures.ts";
import { formatCell } from "../measure/format.ts";
import type { ServerReport } from "../measure/server-suite.ts";
import type { Job } from "../measure/words.ts";
import { endpointsOf, type TransportKind, transportKinds } from "../transport/open.ts";
import { VERSION } from "../version.ts";
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
import { note, print, printJson, terminalWidth } from "./output.ts";
import { interruptible } from "./signals.ts";
import { formatTable } from "./table.ts";
import { wrapped } from "./text-width.ts";

const MEMORY_DEFAULT = "256MiB";
const WIDTH = 80;

interface BenchOptions extends ServerOptions, JsonOptions {
  readonly memory: number;
  readonly filter?: readonly string[];
  readonly wait: number;
  readonly transport?: TransportKind;
  readonly quick?: true;
  readonly html?: string;
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
    .option("--quick", "measure for some seconds only")
    .option("--html <file>", "write a page with charts to this file, too");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Borrows a small share of a device of any kind, measures for half a minute, and
gives it back. Run it on the machine of the job: it measures what is in between.
Of several servers --server names the one.

Examples:
  sluice bench --server gpu1:7460
  sluice bench --quick --transport tcp --step 25ms --answers 3
  sluice bench --filter 'device.name~A100' --json
  sluice bench --html bench.html`,
  );
  command.action(run);
}

function readStep(text: string): number {
  const milliseconds = readDuration(text);
  if (milliseconds > 0) return milliseconds;
  throw new InvalidArgumentError(`A step takes some time, and [${text}] is none.`);
}

async function run(options: BenchOptions): Promise<void> {
  const { memory, filter, wait, transport, html, quick = false } = options;
  const request = allocateRequest({
    memory,
    wait,
    name: "sluice bench",
    ...(filter === undefined ? {} : { filters: filter }),
  });
  // With them comes the whole library, for which no other verb waits.
  const [{ measureServer }, { wordsOf }, { tablesOf }] = await Promise.all([
    import("../measure/server-suite.ts"),
    import("../measure/words.ts"),
    import("../measure/server-tables.ts"),
  ]);
  if (html !== undefined) checkFolder(html);
  const measuredAt = new Date();
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
  else print(textOf(report, tablesOf(report), words));
  if (html === undefined) return;
  const { renderServerPage } = await import("../measure/server-page.ts");
  await writeFile(html, renderServerPage({ report, job, words, facts: factsOf(measuredAt, quick) }));
  note(`The figures are also in ${html}.`);
}

/** Half a minute later it would be too late to say. */
function checkFolder(file: string): void {
  try {
    accessSync(dirname(resolve(file)), constants.W_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SluiceError("BAD_ARGUMENT", `The page cannot be written to [${file}]: ${why}.`);
  }
}

const factsOf = (measuredAt: Date, quick: boolean): [string, string][] => [
  ["measured from", `${hostname()}, ${availableParallelism()} cores, Node ${process.version}`],
  ["with", `Sluice ${VERSION}`],
  ["at", `${measuredAt.toISOString()}${quick ? ", for some seconds only" : ""}`],
];

/** Its title is for pages: in the terminal the first column says as much. */
function textOfTable({ columns, rows }: Table): string {
  const titles = columns.map(({ title }, index) => ({ title, align: index === 0 ? "left" : "right" }) as const);
  const cells = rows.map((row) => row.map((cell, index) => formatCell(cell, columns[index]!.unit)));
  return formatTable(titles, cells, WIDTH);
}

function textOf(report: ServerReport, tables: readonly Table[], words: readonly string[]): string {
  const { server, endpoint, device } = report;
  const head = `${device.name} (${device.id}) of ${server}, calls over ${endpoint}`;
  const fitted = (text: string): string => wrapped(text, Math.min(WIDTH, terminalWidth())).join("\n");
  return [fitted(head), ...tables.map(textOfTable), words.map(fitted).join("\n")].join("\n\n");
}
