/**
 * Samples of the pool over time, in rings: of each resolution so many as fit its span, and the newest in the place of the oldest, so that
 * it never grows. A sample is a text whose meaning is the caller's.
 */
import type { Store } from "./store.ts";

/** A resolution: one sample for each step, over the span. */
export interface Resolution {
  readonly stepMs: number;
  readonly spanMs: number;
}

export interface StoredSample {
  /** Beginning of its step, in milliseconds since the epoch. */
  readonly at: number;
  readonly text: string;
}

const insert = "INSERT OR REPLACE INTO samples (step_ms, slot, at, sample) VALUES (?, ?, ?, ?)";
const question = "SELECT at, sample AS text FROM samples WHERE step_ms = ? AND at >= ? AND at < ? ORDER BY at";

export class HistoryStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Keeps a sample at the end of the turn; one of the same step is replaced. Never throws. */
  put({ stepMs, spanMs }: Resolution, { at, text }: StoredSample): void {
    const slot = Math.floor(at / stepMs) % Math.floor(spanMs / stepMs);
    this.#store.writeLater(`sample ${stepMs} ${slot}`, insert, stepMs, slot, at, text);
  }

  /** The oldest first; `from` included, `to` not. */
  list({ stepMs }: Resolution, span: { readonly from: number; readonly to: number }): StoredSample[] {
    return this.#store
      .query<{ at: number; text: string }>(question, stepMs, span.from, span.to)
      .map(({ at, text }) => ({ at, text }));
  }
}
