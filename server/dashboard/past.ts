/** The pool's past as the server tells it over JSON, made ready to be drawn. Pure. */

export interface Past {
  readonly stepMs: number;
  readonly atMs: readonly number[];
  readonly series: readonly {
    readonly kind: string;
    readonly subject: string;
    /** Null where there is no value. */
    readonly values: readonly (number | null)[];
  }[];
}

/** The same with an empty step wherever some are missing, so that no line crosses a time in which the server was not there. */
export function withGaps({ stepMs, atMs, series }: Past): Past {
  const sources: (number | undefined)[] = [];
  const times: number[] = [];
  for (const [index, at] of atMs.entries()) {
    const before = atMs[index - 1];
    if (before !== undefined && at - before > 1.5 * stepMs) {
      times.push(before + stepMs);
      sources.push(undefined);
    }
    times.push(at);
    sources.push(index);
  }
  const spread = (values: readonly (number | null)[]): (number | null)[] =>
    sources.map((index) => (index === undefined ? null : (values[index] ?? null)));
  return { stepMs, atMs: times, series: series.map((each) => ({ ...each, values: spread(each.values) })) };
}
