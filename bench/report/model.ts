/** What a case hands in: tables, charts, and figures held against a bar. Plain data, written to JSON as it is and drawn by the rest of this folder. */
import type { Chart, Table } from "../../client/measure/figures.ts";
import { type Cell, formatNumber, type Unit } from "../../client/measure/format.ts";

export type { Axis, Chart, Series, Table } from "../../client/measure/figures.ts";
export type { Cell, Unit };

/** A figure that the project has promised. */
export interface Bar {
  readonly what: string;
  readonly unit: Unit;
  readonly measured: number;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Why it cannot be judged here, such as a missing second core. */
  readonly caveat?: string;
}

export interface CaseReport {
  readonly name: string;
  readonly title: string;
  readonly seconds: number;
  /** The outcome in sentences. */
  readonly words: readonly string[];
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
  readonly bars: readonly Bar[];
}

/** What the figures hold for. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Of the last minute, when the run began: above a few tenths, something else was measured too. */
  readonly loadAverage: number;
  readonly system: string;
  readonly node: string;
  readonly compiler: string | undefined;
  readonly version: string;
  /** With `+` behind it when the checkout has changes; undefined outside a checkout. */
  readonly commit: string | undefined;
}

export interface Report {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly cases: readonly CaseReport[];
}

export function meetsBar({ measured, atMost, atLeast }: Bar): boolean {
  return (atMost === undefined || measured <= atMost) && (atLeast === undefined || measured >= atLeast);
}

export function boundOf({ unit, atMost, atLeast }: Bar): string {
  return atMost === undefined ? `at least ${formatNumber(atLeast!, unit)}` : `at most ${formatNumber(atMost, unit)}`;
}
