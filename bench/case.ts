/** What a benchmark case is to the runner. A case measures, and hands plain data back; it prints nothing itself. */
import type { Bar, Chart, Table } from "./report/model.ts";

export interface CaseContext {
  /** Fewer and shorter measurements. */
  readonly quick: boolean;
  /** Tells the part of the case that is done, 0 to 1, and what is measured now. */
  progress(fraction: number, what: string): void;
}

/** What a case found; each part may be left out. */
export interface CaseOutcome {
  readonly words?: readonly string[];
  readonly tables?: readonly Table[];
  readonly charts?: readonly Chart[];
  readonly bars?: readonly Bar[];
}

export interface BenchCase {
  /** The word on the command line. */
  readonly name: string;
  readonly title: string;
  run(context: CaseContext): Promise<CaseOutcome>;
}
