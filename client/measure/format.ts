/** How figures are shown: three significant digits and the unit that leaves one to three digits before the point. */

/** What a number is. Times are in nanoseconds, sizes in bytes. */
export type Unit = "ns" | "bytes" | "bytesPerSecond" | "perSecond" | "ratio" | "count" | "percent";

/** A figure, words, or nothing. */
export type Cell = string | number | undefined;

type Steps = readonly (readonly [factor: number, name: string])[];

const steps: Record<Exclude<Unit, "ratio" | "count" | "percent">, Steps> = {
  ns: [
    [1e9, " s"],
    [1e6, " ms"],
    [1e3, " µs"],
    [1, " ns"],
  ],
  bytes: [
    [2 ** 30, " GiB"],
    [2 ** 20, " MiB"],
    [2 ** 10, " KiB"],
    [1, " B"],
  ],
  bytesPerSecond: [
    [1e9, " GB/s"],
    [1e6, " MB/s"],
    [1e3, " kB/s"],
    [1, " B/s"],
  ],
  perSecond: [
    [1e6, " M/s"],
    [1e3, " k/s"],
    [1, " /s"],
  ],
};

/** Three significant digits without an exponent. */
export function threeDigits(value: number): string {
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const text = value.toFixed(Math.min(digits, 6));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export function formatNumber(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return "-";
  if (unit === "count") return Math.round(value).toLocaleString("en-US");
  if (unit === "ratio") return `${value < 10 ? value.toFixed(2) : threeDigits(value)}x`;
  if (unit === "percent") return `${threeDigits(value)} %`;
  const list = steps[unit];
  const [factor, name] = list.find(([size]) => Math.abs(value) >= size) ?? list.at(-1)!;
  return threeDigits(value / factor) + name;
}

export function formatCell(cell: Cell, unit: Unit | undefined): string {
  if (cell === undefined) return "-";
  if (typeof cell === "string") return cell;
  return unit === undefined ? threeDigits(cell) : formatNumber(cell, unit);
}
