/** The check's table for people and its JSON for bench/results. */
import { renameSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import type { DeviceDescription } from "../../server/device/device.ts";
import type { Row } from "./job.ts";

const NOTE_CHARACTERS_MAX = 160;

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

/** Cases that pass become one row per group, in the place of the first. */
function countCases(rows: readonly Row[]): Row[] {
  const good = rows.filter(({ isCase, ok }) => isCase === true && ok === true);
  const counted = new Set<string>();
  return rows.flatMap((row) => {
    if (!good.includes(row)) return [row];
    if (counted.has(row.group)) return [];
    counted.add(row.group);
    const value = good.filter(({ group }) => group === row.group).length;
    return [{ group: row.group, name: "kernel cases that pass", ok: true, value, unit: "cases" }];
  });
}

/** The rows as a table in Markdown, so that it can be pasted as it is. */
export function renderTable(rows: readonly Row[]): string {
  const cells = countCases(rows).map((row) => [
    row.group,
    row.name,
    verdict(row),
    figure(row.value),
    row.unit ?? "",
    figure(row.local),
    row.ratio === undefined ? "" : row.ratio.toFixed(2),
    row.bar === undefined ? "" : row.bar.toFixed(2),
    // Whole in the JSON; a line of the table stays a line.
    (row.note ?? "").replace(/[\s|]+/g, " ").slice(0, NOTE_CHARACTERS_MAX),
  ]);
  const table = [["group", "what", "", "value", "unit", "local", "ratio", "bar", "note"], ...cells];
  const widths = table[0]!.map((_, column) => Math.max(3, ...table.map((line) => line[column]!.length)));
  const line = (parts: readonly string[]): string =>
    `| ${parts.map((part, i) => part.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(table[0]!), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...cells.map(line)].join(
    "\n",
  );
}

export interface Report {
  readonly device: DeviceDescription;
  readonly rows: readonly Row[];
  /** By group. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Whether every group that was asked for has run. */
  readonly isComplete: boolean;
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
