/** The report as Markdown: what a run was of, every promise with what was measured, and all tables. */
import { formatCell, formatNumber } from "../../client/measure/format.ts";
import { type Bar, boundOf, type CaseReport, meetsBar, type Report, type Table } from "./model.ts";

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

function table(columns: readonly { readonly title: string; readonly isNumber: boolean }[], rows: string[][]): string {
  const rule = columns.map(({ isNumber }) => (isNumber ? "---:" : "---"));
  return [row(columns.map(({ title }) => title)), row(rule), ...rows.map(row)].join("\n");
}

function renderTable({ title, columns, rows, note }: Table): string {
  const heads = columns.map((column) => ({ title: column.title, isNumber: column.unit !== undefined }));
  const cells = rows.map((values) => columns.map(({ unit }, at) => formatCell(values[at], unit)));
  return [`**${title}**`, table(heads, cells), ...(note === undefined ? [] : [note])].join("\n\n");
}

function barRow(name: string, bar: Bar): string[] {
  const { what, unit, measured, caveat } = bar;
  const promise = caveat === undefined ? what : `${what} (${caveat})`;
  return [name, promise, formatNumber(measured, unit), boundOf(bar), meetsBar(bar) ? "met" : "**missed**"];
}

function renderBars(cases: readonly CaseReport[]): string {
  const heads = ["case", "promise", "measured", "bar", ""];
  return table(
    heads.map((title) => ({ title, isNumber: title === "measured" })),
    cases.flatMap(({ name, bars }) => bars.map((bar) => barRow(name, bar))),
  );
}

const renderCase = ({ name, title, seconds, words, tables }: CaseReport): string =>
  [`## ${name}: ${title}`, `${seconds.toFixed(0)} s.`, ...words, ...tables.map(renderTable)].join("\n\n");

/** `source` names the report's file, from the folder in which the text is to lie. */
export function renderMarkdown({ startedAt, quick, machine, cases }: Report, source: string): string {
  const commit = machine.commit === undefined ? "" : `, commit \`${machine.commit}\``;
  const seconds = cases.reduce((sum, each) => sum + each.seconds, 0);
  return `${[
    "# Results",
    `Made by \`npm run bench -- --render bench/${source}\`; [README.md](README.md) says how it is measured, and what the figures say.`,
    `${startedAt.slice(0, 10)}, \`npm run bench${quick ? " -- --quick" : ""}\`${commit}: ${seconds.toFixed(0)} s on ${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node}, ${machine.compiler ?? "no C compiler"}; load ${machine.loadAverage.toFixed(1)} when it began. Only the ratios mean anything elsewhere.`,
    "## Promises",
    renderBars(cases),
    ...cases.map(renderCase),
  ].join("\n\n")}\n`;
}
