/** A histogram of Prometheus whose values others have sorted into its buckets already: executors count, and tell sums. */
import { Histogram, type HistogramConfiguration } from "prom-client";
import type { Spread } from "../executor/call-shape.ts";

type Values<Label extends string> = Readonly<Record<Label, string>>;

interface Total<Label extends string> {
  readonly labels: Values<Label>;
  readonly counts: number[];
  sum: number;
}

export class ReportedHistogram<Label extends string> extends Histogram<Label> {
  readonly #about: { readonly name: string; readonly help: string };
  readonly #bounds: readonly number[];
  readonly #totals = new Map<string, Total<Label>>();

  constructor(configuration: HistogramConfiguration<Label> & { readonly buckets: number[] }) {
    super(configuration);
    this.#about = { name: configuration.name, help: configuration.help };
    this.#bounds = configuration.buckets;
  }

  /** Adds what is new. */
  add(labels: Values<Label>, spread: Spread): void {
    const key = JSON.stringify(labels);
    const total = this.#totals.get(key);
    if (total === undefined) {
      this.#totals.set(key, { labels, counts: [...spread.counts], sum: spread.sum });
      return;
    }
    for (const [at, count] of spread.counts.entries()) total.counts[at]! += count;
    total.sum += spread.sum;
  }

  override async get(): ReturnType<Histogram<Label>["get"]> {
    const values = [...this.#totals.values()].flatMap(({ labels, counts, sum }) => {
      let below = 0;
      const buckets = [...this.#bounds, "+Inf"].map((le, at) => {
        below += counts[at]!;
        return { metricName: `${this.#about.name}_bucket`, labels: { ...labels, le }, value: below };
      });
      return [
        ...buckets,
        { metricName: `${this.#about.name}_sum`, labels: { ...labels }, value: sum },
        { metricName: `${this.#about.name}_count`, labels: { ...labels }, value: below },
      ];
    });
    const about = { ...this.#about, type: "histogram", aggregator: "sum", collect: () => {} };
    return { ...about, values } as unknown as Awaited<ReturnType<Histogram<Label>["get"]>>;
  }

  /** What the registry asks, where a metric has it. */
  getForPromString(): ReturnType<Histogram<Label>["get"]> {
    return this.get();
  }
}
