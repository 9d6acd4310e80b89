/** What the check tells at its end: a table for people that fits a terminal, what failed once more, sums, and the JSON for bench/results. */
import { renameSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import type { DeviceDescription } from "../../server/device/device.ts";
import type { Row } from "./job.ts";
import { namesHere, withoutNamesIn } from "./privacy.ts";

/** A terminal that is narrower folds the lines itself. */
const WIDTH_MAX = 100;
const WIDTH_MIN = 60;
/** As much as a terminal that keeps 12,000 characters shows with what stands behind the table; then notes of rows that are well are left out. */
const TABLE_CHARACTERS_MAX = 9000;
/** What failed is told once more behind the table. */
const FAILURES_MAX = 12;
const FAILURE_LINES_MAX = 2;
/** Of a note; the JSON has it whole. */
const NOTE_LINES = { failed: 3, other: 2 };
const VERDICT_WIDTH = 6;

const figure = (value: number | undefined): string => {
  if (value === undefined) return "";
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
};

function verdict({ ok, bar, isSkipped }: Row): string {
  if (isSkipped === true) return "skip";
  if (ok === undefined) return "";
  if (bar === undefined) return ok ? "pass" : "FAIL";
  return ok ? "met" : "MISSED";
}

const MiB = 1024 * 1024;

/** Bytes in numbers that can be read; the JSON has them all. */
function measured({ value, unit = "" }: Row): string {
  if (value === undefined) return "";
  if (unit === "B" && value >= MiB) return `${figure(value / MiB)} MiB`;
  return `${figure(value)} ${unit}`.trim();
}

const ratioOf = ({ ratio, local }: Row): string =>
  ratio === undefined ? "" : `${ratio.toFixed(2)} of ${figure(local)}`;

/** A row as one line for people who watch. */
export function lineOf(row: Row): string {
  return [verdict(row), row.name, measured(row), ratioOf(row), row.note ?? ""].filter((part) => part !== "").join("  ");
}

/** So many cases of a group that fail are told one by one. */
const FAILED_CASES_MAX = 5;

/** Cases that pass become one row per group, in the place of the first; and so do those that fail beyond a few. */
function countCases(rows: readonly Row[]): Row[] {
  const counts = new Map<string, number>();
  const keyOf = ({ group, ok }: Row): string => `${group} ${ok}`;
  const count = (row: Row): number =>
    rows.filter((other) => other.isCase === true && keyOf(other) === keyOf(row)).length;
  return rows.flatMap((row) => {
    // One that is neither good nor bad says why.
    if (row.isCase !== true || row.ok === undefined) return [row];
    const before = counts.get(keyOf(row)) ?? 0;
    counts.set(keyOf(row), before + 1);
    if (row.ok === true) {
      if (before > 0) return [];
      return [{ group: row.group, name: "cases that pass", ok: true, value: count(row), unit: "cases" }];
    }
    if (before < FAILED_CASES_MAX) return [row];
    if (before > FAILED_CASES_MAX) return [];
    const value = count(row) - FAILED_CASES_MAX;
    return [{ group: row.group, name: "further cases that fail", ok: false, value, unit: "cases" }];
  });
}

/** Words in lines of so many characters; a word that is longer is cut. Lines beyond the last are told by an ellipsis. */
export function wrapped(text: string, width: number, linesMax: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).flatMap((each) => each.match(new RegExp(`.{1,${width}}`, "gu")) ?? [])) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  if (lines.length <= linesMax) return lines;
  const last = lines[linesMax - 1]!;
  return [...lines.slice(0, linesMax - 1), `${last.slice(0, width - 2)} …`];
}

/** A row in lines: verdict, name, figures at the right edge, and its note below. */
function linesOf(row: Row, { width, hasNotes }: { readonly width: number; readonly hasNotes: boolean }): string[] {
  const indent = " ".repeat(VERDICT_WIDTH + 3);
  const inner = width - indent.length;
  const bar = row.bar === undefined ? "" : `bar ${row.bar.toFixed(2)}`;
  const figures = [measured(row), ratioOf(row), bar].filter((part) => part !== "").join("  ");
  const names = wrapped(row.name, inner, 3);
  const last = names.at(-1) ?? "";
  const head = `  ${verdict(row).padEnd(VERDICT_WIDTH)} `;
  const lines = names.map((name, at) => (at === 0 ? head : indent) + name);
  if (figures !== "" && last.length + 2 + figures.length <= inner)
    lines[lines.length - 1] += figures.padStart(inner - last.length);
  else if (figures !== "") lines.push(indent + figures.padStart(inner));
  const isTold = row.note !== undefined && (hasNotes || row.ok === false || row.isSkipped === true);
  const linesMax = row.ok === false ? NOTE_LINES.failed : NOTE_LINES.other;
  return isTold ? [...lines, ...wrapped(row.note!, inner - 2, linesMax).map((line) => `${indent}  ${line}`)] : lines;
}

function tableOf(rows: readonly Row[], look: { readonly width: number; readonly hasNotes: boolean }): string {
  let group = "";
  const lines = rows.flatMap((row) => {
    const title = row.group === group ? [] : [row.group];
    group = row.group;
    return [...title, ...linesOf(row, look)];
  });
  return `${lines.join("\n")}\n`;
}

const fitting = (columns: number | undefined): number => Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, columns ?? WIDTH_MAX));

/** The rows as a table, a part for each group, in lines that fit the terminal; of 100 characters where it does not tell. */
export function renderTable(rows: readonly Row[], columns?: number): string {
  const [counted, width] = [countCases(rows), fitting(columns)];
  const whole = tableOf(counted, { width, hasNotes: true });
  return whole.length <= TABLE_CHARACTERS_MAX ? whole : tableOf(counted, { width, hasNotes: false });
}

/** What failed; empty where nothing did. */
export function renderFailures(rows: readonly Row[], columns?: number): string {
  const failed = countCases(rows).filter(({ ok }) => ok === false);
  const lines = failed.slice(0, FAILURES_MAX).flatMap((row) => {
    const text = `${verdict(row)} ${row.group}: ${lineOf(row).slice(verdict(row).length)}`;
    return wrapped(text, fitting(columns) - 2, FAILURE_LINES_MAX).map((line, at) => (at === 0 ? line : `  ${line}`));
  });
  const more = failed.length > FAILURES_MAX ? [`… and ${failed.length - FAILURES_MAX} more in the JSON`] : [];
  return [...lines, ...more].map((line) => `${line}\n`).join("");
}

export interface Sums {
  readonly passed: number;
  readonly failed: number;
  /** Rows that are skipped, and cases as many as they are. */
  readonly skipped: number;
}

/** What the rows come to. */
export function sumsOf(rows: readonly Row[]): Sums {
  const count = (wanted: (row: Row) => boolean): number => rows.filter(wanted).length;
  const skipped = rows.filter(({ isSkipped }) => isSkipped === true);
  return {
    passed: count(({ ok }) => ok === true),
    failed: count(({ ok }) => ok === false),
    skipped: skipped.reduce((sum, { value, unit }) => sum + (unit === "cases" ? (value ?? 1) : 1), 0),
  };
}

/** A line for each group, and one for all. */
export function renderSums(rows: readonly Row[], seconds: Readonly<Record<string, number>>, totalS: number): string {
  const names = [...new Set(rows.map(({ group }) => group))];
  const line = (name: string, { passed, failed, skipped }: Sums, elapsed: number | undefined): string => {
    const cells = [passed, failed, skipped].map((value) => String(value).padStart(9)).join("");
    return `${name.padEnd(20)}${cells}${(elapsed === undefined ? "" : elapsed.toFixed(1)).padStart(10)}`;
  };
  const head = `${"".padEnd(20)}${["passed", "failed", "skipped"].map((word) => word.padStart(9)).join("")}${"seconds".padStart(10)}`;
  const each = names.map((name) => {
    const own = rows.filter(({ group }) => group === name);
    return line(name, sumsOf(own), seconds[name]);
  });
  return `${[head, ...each, line("all", sumsOf(rows), totalS)].join("\n")}\n`;
}

export interface Report {
  /** Absent where there is none. */
  readonly device?: DeviceDescription;
  readonly rows: readonly Row[];
  /** By group. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Whether every group that was asked for has run. */
  readonly isComplete: boolean;
  readonly inventory: Readonly<Record<string, string>>;
}

/** Writes the file as a whole, without what names somebody: whoever reads it meanwhile finds the one before. */
export function writeJson(path: string, report: Report): void {
  const [cpu] = cpus();
  const machine = {
    cpu: cpu?.model ?? "",
    cores: cpus().length,
    memoryBytes: totalmem(),
    platform: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  };
  const told = { date: new Date().toISOString(), machine, sums: sumsOf(report.rows), ...report };
  writeFileSync(`${path}.new`, `${JSON.stringify(withoutNamesIn(told, namesHere()), null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
