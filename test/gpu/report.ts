/** The check's table for people and its JSON for bench/results. */
import { renameSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import type { DeviceDescription } from "../../server/device/device.ts";
import type { Row } from "./job.ts";

/** Of the notes of rows that are well, as much as leaves a table that a terminal of 12,000 characters keeps whole. */
const NOTE_CHARACTERS = [160, 80, 40, 0];
const TABLE_CHARACTERS_MAX = 9000;
/** What failed is told once more behind the table, with more of its words. */
const FAILURES_MAX = 12;
const FAILURE_CHARACTERS_MAX = 180;

const figure = (value: number | undefined): string => {
  if (value === undefined) return "";
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString();
};

function verdict({ ok, bar }: Row): string {
  if (ok === undefined) return "";
  if (bar === undefined) return ok ? "pass" : "FAIL";
  return ok ? "met" : "MISSED";
}

/** A row as one line for people who watch. */
export function lineOf(row: Row): string {
  const value = row.value === undefined ? "" : `${figure(row.value)} ${row.unit ?? ""}`;
  const ratio = row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} of ${figure(row.local)}`;
  return [verdict(row), row.name, value, ratio, row.note ?? ""].filter((part) => part !== "").join("  ");
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

function tableOf(rows: readonly Row[], noteCharactersMax: number): string {
  const cells = rows.map((row) => [
    row.group,
    row.name,
    verdict(row),
    figure(row.value),
    row.unit ?? "",
    figure(row.local),
    row.ratio === undefined ? "" : row.ratio.toFixed(2),
    row.bar === undefined ? "" : row.bar.toFixed(2),
    // Whole in the JSON; a line of the table stays a line.
    (row.note ?? "").replace(/[\s|]+/g, " ").slice(0, row.ok === false ? NOTE_CHARACTERS[0] : noteCharactersMax),
  ]);
  const head = ["group", "what", "", "value", "unit", "local", "ratio", "bar", "note"];
  const line = (parts: readonly string[]): string => `| ${parts.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...cells.map(line)].join("\n");
}

/** The rows as a table in Markdown, so that it can be pasted as it is. */
export function renderTable(rows: readonly Row[]): string {
  const counted = countCases(rows);
  const tables = NOTE_CHARACTERS.map((characters) => tableOf(counted, characters));
  return tables.find((table) => table.length <= TABLE_CHARACTERS_MAX) ?? tables.at(-1)!;
}

/** What failed, a line each; empty where nothing did. */
export function renderFailures(rows: readonly Row[]): string {
  const failed = countCases(rows).filter(({ ok }) => ok === false);
  const lines = failed.map((row) =>
    `FAIL ${row.group}: ${lineOf(row)}`.replace(/\s+/g, " ").slice(0, FAILURE_CHARACTERS_MAX),
  );
  const more = failed.length > FAILURES_MAX ? [`… and ${failed.length - FAILURES_MAX} more in the JSON`] : [];
  return [...lines.slice(0, FAILURES_MAX), ...more].map((line) => `${line}\n`).join("");
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

/** Writes the file as a whole: whoever reads it meanwhile finds the one before. */
export function writeJson(path: string, report: Report): void {
  const [cpu] = cpus();
  const machine = {
    cpu: cpu?.model ?? "",
    cores: cpus().length,
    memoryBytes: totalmem(),
    platform: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  };
  writeFileSync(`${path}.new`, `${JSON.stringify({ date: new Date().toISOString(), machine, ...report }, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
