/** Figures of one measured thing: the median and its neighbours, never a mean, since a busy machine only ever adds time. */

export interface Summary {
  /** Number of measurements. */
  readonly n: number;
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** What is shown of a summary's spread. */
export const summaryParts = ["p50", "p90", "p99"] as const;

/** The value below which the share `fraction` of sorted values lies, by the nearest rank. */
export function percentile(sorted: readonly number[], fraction: number): number {
  if (sorted.length === 0) throw new Error("There is no percentile of nothing.");
  const rank = Math.ceil(fraction * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank))]!;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (percentile(sorted, 0.5) + sorted[middle]!) / 2;
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    n: sorted.length,
    p10: percentile(sorted, 0.1),
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
  };
}

/** One summary of several rounds: each figure is the median of the rounds' figures, so that one disturbed round does not count. */
export function ofRounds(rounds: readonly Summary[]): Summary {
  const pick = (key: keyof Summary): number => median(rounds.map((round) => round[key]));
  return {
    n: rounds.reduce((sum, round) => sum + round.n, 0),
    p10: pick("p10"),
    p50: pick("p50"),
    p90: pick("p90"),
    p99: pick("p99"),
  };
}
