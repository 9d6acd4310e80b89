/**
 * The benchmarks: `npm run bench -- [CASE...] [--quick] [--json FILE]`. Runs the named cases (all without a name), prints their
 * tables to stdout and progress to stderr. What each case measures, and how, is in README.md.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import type { BenchCase } from "./case.ts";
import { cpuCase } from "./cases/cpu.ts";
import { describeMachine } from "./report/machine.ts";
import type { CaseReport, Report } from "./report/model.ts";
import { Progress, renderCase } from "./report/terminal.ts";

const cases: readonly BenchCase[] = [cpuCase];

const usage = `Usage: npm run bench -- [CASE...] [--quick] [--json FILE]
Cases: ${cases.map(({ name, title }) => `\n  ${name.padEnd(10)} ${title}`).join("")}`;

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
    json: { type: "string" },
    help: { type: "boolean" },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const unknown = positionals.filter((name) => !cases.some((benchCase) => benchCase.name === name));
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`There is no case [${unknown.join(", ")}].`);
    console.error(usage);
    return unknown.length > 0 ? 2 : 0;
  }
  const chosen = positionals.length === 0 ? cases : cases.filter(({ name }) => positionals.includes(name));
  const startedAt = new Date().toISOString();
  const reports: CaseReport[] = [];
  const progress = new Progress();
  for (const benchCase of chosen) {
    const report = await runCase(benchCase, { quick: values.quick, progress });
    console.log(renderCase(report));
    reports.push(report);
  }
  if (values.json !== undefined) {
    const report: Report = { startedAt, quick: values.quick, machine: describeMachine(), cases: reports };
    mkdirSync(dirname(values.json), { recursive: true });
    writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof TypeError && "code" in error ? 2 : 1;
}
