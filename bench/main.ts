/**
 * The benchmarks: `npm run bench -- [CASE...] [--quick] [--out FOLDER]`. Builds the package, runs the named cases (all without a
 * name), prints their tables to stdout and progress to stderr, and writes report.json and report.html. What each case measures,
 * and how, is in README.md. With `--render FILE` it runs nothing, and writes RESULTS.md from a report that is kept.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { BenchCase } from "./case.ts";
import { allocateCase } from "./cases/allocate.ts";
import { computeCase } from "./cases/compute.ts";
import { copiesCase } from "./cases/copies.ts";
import { cpuCase } from "./cases/cpu.ts";
import { interposerCase } from "./cases/interposer.ts";
import { latencyCase } from "./cases/latency.ts";
import { leasesCase } from "./cases/leases.ts";
import { messagesCase } from "./cases/messages.ts";
import { poolCase } from "./cases/pool.ts";
import { suspensionCase } from "./cases/suspension.ts";
import { throughputCase } from "./cases/throughput.ts";
import { trainingCase } from "./cases/training.ts";
import { transportsCase } from "./cases/transports.ts";
import { renderHtml } from "./report/html.ts";
import { describeMachine } from "./report/machine.ts";
import { renderMarkdown } from "./report/markdown.ts";
import type { CaseReport, Report } from "./report/model.ts";
import { Progress, renderCase } from "./report/terminal.ts";

const cases: readonly BenchCase[] = [
  latencyCase,
  throughputCase,
  copiesCase,
  transportsCase,
  allocateCase,
  trainingCase,
  messagesCase,
  leasesCase,
  suspensionCase,
  poolCase,
  cpuCase,
  computeCase,
  interposerCase,
];

const root = fileURLToPath(new URL("..", import.meta.url));
const here = join(root, "bench");
const OUT_DEFAULT = join(root, ".local", "bench");

const usage = `Usage: npm run bench -- [CASE...] [--quick] [--out FOLDER]
  --quick       fewer and shorter measurements: little more than two minutes on a machine with nothing else to do, instead of an hour
  --out FOLDER  where report.json and report.html go (default ${relative(process.cwd(), OUT_DEFAULT)})
  --render FILE writes bench/RESULTS.md from a report of bench/results, and runs nothing
Cases: ${cases.map(({ name, title }) => `\n  ${name.padEnd(10)} ${title}`).join("")}`;

/** What is measured is the built package, as users run it. */
function build(): void {
  const run = (...command: string[]): void => {
    execFileSync(process.execPath, command, { cwd: root, stdio: ["ignore", 2, 2] });
  };
  run("node_modules/typescript/bin/tsc", "-b");
  run("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn");
}

function render(path: string): void {
  const report = JSON.parse(readFileSync(path, "utf8")) as Report;
  writeFileSync(join(here, "RESULTS.md"), renderMarkdown(report, relative(here, resolve(path))));
}

async function runCase(
  benchCase: BenchCase,
  { quick, progress }: { quick: boolean; progress: Progress },
): Promise<CaseReport> {
  const started = performance.now();
  progress.start(benchCase.title);
  try {
    const outcome = await benchCase.run({ quick, progress: (fraction, what) => progress.update(fraction, what) });
    const seconds = (performance.now() - started) / 1000;
    const nothing = { words: [], tables: [], charts: [], bars: [] };
    return { name: benchCase.name, title: benchCase.title, seconds, ...nothing, ...outcome };
  } finally {
    progress.stop();
  }
}

async function main(args: string[]): Promise<number> {
  const options = {
    quick: { type: "boolean", default: false },
    out: { type: "string", default: OUT_DEFAULT },
    render: { type: "string" },
    help: { type: "boolean" },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const unknown = positionals.filter((name) => !cases.some((benchCase) => benchCase.name === name));
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`There is no case [${unknown.join(", ")}].`);
    console.error(usage);
    return unknown.length > 0 ? 2 : 0;
  }
  if (values.render !== undefined) {
    render(values.render);
    return 0;
  }
  const chosen = positionals.length === 0 ? cases : cases.filter(({ name }) => positionals.includes(name));
  build();
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const reports: CaseReport[] = [];
  const progress = new Progress();
  for (const benchCase of chosen) {
    const report = await runCase(benchCase, { quick: values.quick, progress });
    console.log(renderCase(report));
    reports.push(report);
  }
  const report: Report = { startedAt, quick: values.quick, machine, cases: reports };
  mkdirSync(values.out, { recursive: true });
  const page = join(values.out, "report.html");
  writeFileSync(join(values.out, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(page, renderHtml(report));
  console.log(`The whole report, with charts: ${page}`);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof TypeError && "code" in error ? 2 : 1;
}
