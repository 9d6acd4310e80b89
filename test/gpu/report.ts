/** The check's table for people and its JSON for bench/results. */
import { writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
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

/** The rows as a table in Markdown, so that it can be pasted as it is. */
export function renderTable(rows: readonly Row[]): string {
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

export function writeJson(
  path: string,
  { device, rows, seconds }: { device: DeviceDescription; rows: readonly Row[]; seconds: number },
): void {
  const [cpu] = cpus();
  const machine = {
    cpu: cpu?.model ?? "",
    cores: cpus().length,
    memoryBytes: totalmem(),
    platform: `${platform()} ${arch()}`,
    node: process.version,
  };
  writeFileSync(
    path,
    `${JSON.stringify({ date: new Date().toISOString(), machine, device, seconds, rows }, null, 2)}\n`,
  );
}
