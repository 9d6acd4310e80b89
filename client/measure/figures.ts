/** Tables and charts as plain data: what measures hands them in, what shows them draws them, and JSON holds them as they are. */
import type { Cell, Unit } from "./format.ts";

export interface Column {
  readonly title: string;
  /** Absent for words. */
  readonly unit?: Unit;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** What a reader must know to read it. */
  readonly note?: string;
}

export interface Axis {
  readonly title: string;
  readonly unit: Unit;
  readonly scale: "linear" | "log";
}

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Drawn thinner and dashed, in the colour of the series before it, which is measured against it. */
  readonly baseline?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly note?: string;
}
