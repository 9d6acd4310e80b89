/** The report as text: tables that line up, and a progress bar on a terminal (plain lines elsewhere). */
import { formatCell, formatNumber } from "../../client/measure/format.ts";
import { type Bar, boundOf, type CaseReport, meetsBar, type Table } from "./model.ts";

const pad = (text: string, width: number, right: boolean): string =>
  right ? text.padStart(width) : text.padEnd(width);

export function renderTable(table: Table): string {
  const rows = table.rows.map((row) => table.columns.map((column, at) => formatCell(row[at], column.unit)));
  const widths = table.columns.map((column, at) =>
    Math.max(column.title.length, ...rows.map((row) => row[at]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => pad(cell, widths[at]!, table.columns[at]!.unit !== undefined))
      .join("  ")
      .trimEnd();
  const head = line(table.columns.map((column) => column.title));
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  const note = table.note === undefined ? [] : [table.note];
  return [table.title, head, rule, ...rows.map(line), ...note].join("\n");
}

function describeBar(bar: Bar): string {
  const caveat = bar.caveat === undefined ? "" : ` (${bar.caveat})`;
  return `${bar.what}: ${formatNumber(bar.measured, bar.unit)}, bar ${boundOf(bar)}${caveat}`;
}

export function renderCase(report: CaseReport): string {
  const bars = report.bars.map((bar) => `${meetsBar(bar) ? "met   " : "MISSED"}  ${describeBar(bar)}`);
  const blocks = [
    ...report.tables.map(renderTable),
    ...(report.words.length > 0 ? [report.words.join("\n")] : []),
    ...(bars.length > 0 ? [bars.join("\n")] : []),
  ];
  return `\n${report.title}\n${"=".repeat(report.title.length)}\n${blocks.join("\n\n")}\n`;
}

/** A bar on stderr, which leaves stdout to the tables. */
export class Progress {
  readonly #stream = process.stderr;
  readonly #live = process.stderr.isTTY === true;
  #title = "";
  #last = "";

  start(title: string): void {
    this.#title = title;
    this.update(0, "");
  }

  /** `fraction` of the case that is done, and what is measured now. */
  update(fraction: number, what: string): void {
    const share = Math.min(1, Math.max(0, fraction));
    if (!this.#live) {
      const text = `${this.#title}: ${what === "" ? "starts" : what}`;
      if (text !== this.#last) this.#stream.write(`${text}\n`);
      this.#last = text;
      return;
    }
    const cells = Math.round(share * 24);
    const bar = "█".repeat(cells) + "░".repeat(24 - cells);
    const text = `${bar} ${String(Math.round(share * 100)).padStart(3)} %  ${this.#title}  ${what}`;
    this.#stream.write(`\r\x1b[2K${text.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1))}`);
  }

  /** Clears the bar. */
  stop(): void {
    if (this.#live) this.#stream.write("\r\x1b[2K");
  }
}
