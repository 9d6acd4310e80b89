/** Time as the control plane sees it, given by `main`: tests bring their own. */

export interface Clock {
  /** Whole milliseconds since the Unix epoch; never runs backwards. */
  now(): number;
  /** Runs `action` once after `delayMs`; returns what cancels it. */
  schedule(delayMs: number, action: () => void): () => void;
}

/** The longest delay of a Node timer. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The machine's clock as it stood at the start, carried on by the monotonic one: a clock that is set does not end leases. */
export const systemClock: Clock = {
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  schedule(delayMs, action) {
    const timer = setTimeout(action, Math.min(Math.max(delayMs, 0), DELAY_MS_MAX));
    return () => clearTimeout(timer);
  },
};
