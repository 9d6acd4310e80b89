/**
 * How the calls of a lease come and how long answers take, as counts below bounds, for the daemon's metrics: how many calls a batch
 * carries, and how long a batch with a question is in the executor before its answers are sent. Only what is new is told.
 */

/** Calls of one batch. */
export const BATCH_CALLS_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] as const;

/** Seconds from reading a batch to sending its answers. */
export const ANSWER_SECONDS_BOUNDS = [
  1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
] as const;

/** How values lie between bounds. */
export interface Spread {
  /** Values up to each bound and above the one before, and at the end those above all. */
  readonly counts: number[];
  readonly sum: number;
}

export interface CallShape {
  readonly batchCalls: Spread;
  readonly answerSeconds: Spread;
}

class SpreadCounter {
  readonly #bounds: readonly number[];
  #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(value: number, times = 1): void {
    let at = 0;
    while (at < this.#bounds.length && value > this.#bounds[at]!) at++;
    this.#counts[at]! += times;
    this.#sum += value * times;
  }

  take(): Spread {
    const taken = { counts: this.#counts, sum: this.#sum };
    this.#counts = new Array<number>(this.#bounds.length + 1).fill(0);
    this.#sum = 0;
    return taken;
  }
}

export class CallShapeCounter {
  readonly #batchCalls = new SpreadCounter(BATCH_CALLS_BOUNDS);
  readonly #answerSeconds = new SpreadCounter(ANSWER_SECONDS_BOUNDS);

  batch(calls: number): void {
    this.#batchCalls.add(calls);
  }

  answered(answers: number, milliseconds: number): void {
    this.#answerSeconds.add(milliseconds / 1_000, answers);
  }

  /** What has come since the last time. */
  take(): CallShape {
    return { batchCalls: this.#batchCalls.take(), answerSeconds: this.#answerSeconds.take() };
  }
}
