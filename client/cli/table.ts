/** Tables that fit the terminal: plain columns, no frames, so that they can also be cut and grepped. */
import { printable } from "../../shared/printable.ts";
import { fitted, widthOf, wrapped } from "./text-width.ts";

export interface Column {
  readonly title: string;
  /** Numbers stand on the right. Default left. */
  readonly align?: "left" | "right";
  /** Whether the column may be cut when the line is too long for the terminal, and down to how many columns of the terminal. Default: never. */
  readonly shrinkTo?: number;
  /** Whether the column is left out where the line is too long even so. Default: never. */
  readonly isOptional?: boolean;
  /** For the last column: whether it stands whole below its row, indented, where the line is too long for the terminal. Default: never. */
  readonly isBelow?: boolean;
}

/** For the rows of several servers. Addresses are told apart by their ends: one in numbers is never cut. */
export const serverColumn: Column = { title: "SERVER", shrinkTo: "255.255.255.255".length };

const GAP = 2;
const INDENT = "  ";

/** Lines of a table, none longer than `width` unless columns that may not be cut need more. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): string {
  return fittingTable(
    columns,
    rows.map((cells) => cells.map(printable)),
    width,
  );
}

function fittingTable(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): string {
  // Not by spreading: there may be more rows than a function takes arguments.
  const widths = columns.map((column, index) =>
    rows.reduce((most, row) => Math.max(most, widthOf(row[index] ?? "")), column.title.length),
  );
  if (columns.at(-1)!.isBelow && excessOf(widths, width) > 0) return overLastColumn(columns, rows, width);
  if (shrink(columns, widths, width) > 0 && columns.some(({ isOptional }) => isOptional)) {
    const kept = <T>(cells: readonly T[]): T[] => cells.filter((_, index) => columns[index]!.isOptional !== true);
    return fittingTable(kept(columns), rows.map(kept), width);
  }
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => fitted(cell, { width: widths[index]!, align: columns[index]!.align }))
      .join(" ".repeat(GAP))
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)].join("\n");
}

/** The table without its last column, whose cells stand below their rows. */
function overLastColumn(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): string {
  const above = rows.map((row) => row.slice(0, -1));
  const [titles, ...lines] = fittingTable(columns.slice(0, -1), above, width).split("\n");
  const below = rows.map((row) => wrapped(row.at(-1) ?? "", Math.max(1, width - INDENT.length)));
  return [titles, ...lines.flatMap((line, index) => [line, ...below[index]!.map((text) => INDENT + text)])].join("\n");
}

const excessOf = (widths: readonly number[], width: number): number =>
  widths.reduce((sum, each) => sum + each, 0) + GAP * (widths.length - 1) - width;

/** Takes what is too much from the widest column that may be cut, one column at a time. Returns what is too much even so. */
function shrink(columns: readonly Column[], widths: number[], width: number): number {
  let excess = excessOf(widths, width);
  for (; excess > 0; excess--) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      if (column.shrinkTo === undefined || widths[index]! <= column.shrinkTo) continue;
      if (widest < 0 || widths[index]! > widths[widest]!) widest = index;
    }
    if (widest < 0) break;
    widths[widest]!--;
  }
  return excess;
}

/** A bar of `width` columns for a part from 0 to 1. Something is never shown as nothing, nor part as all. */
export function formatBar(part: number, options: { readonly width: number; readonly unicode: boolean }): string {
  const { width, unicode } = options;
  // What a server says may be anything.
  let filled = Math.min(width, Math.max(0, Math.round(part * width) || 0));
  if (part > 0) filled = Math.max(1, filled);
  if (part < 1) filled = Math.min(width - 1, filled);
  const [full, empty] = unicode ? ["█", "░"] : ["#", "."];
  return full.repeat(filled) + empty.repeat(width - filled);
}
