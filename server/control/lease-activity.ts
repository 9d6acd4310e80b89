/**
 * What a lease does now, as rates: from what its executor tells of its use, which comes about every second while it changes and
 * not at all while nothing happens.
 */
import type { ExecutorUsage } from "../executor/control-messages.ts";

/** What came after a pause was done within about this time before it was told. */
const INTERVAL_MS_MAX = 1_500;
/** Two reports that come closer together than this say nothing about a second. */
const INTERVAL_MS_MIN = 250;
/** Without news for this long, nothing happens. */
const FRESH_MS = 2_500;

/** Per second; see `LeaseActivity` in pool.proto. */
export interface LeaseRates {
  readonly callsPerSecond: number;
  readonly answersPerSecond: number;
  readonly bytesReceivedPerSecond: number;
  readonly bytesSentPerSecond: number;
  readonly deviceLoad: number;
  /** Milliseconds since the epoch; 0: never. */
  readonly lastCallAtMs: number;
}

const idle = {
  callsPerSecond: 0,
  answersPerSecond: 0,
  bytesReceivedPerSecond: 0,
  bytesSentPerSecond: 0,
  deviceLoad: 0,
} as const;

export class LeaseActivity {
  #usage: ExecutorUsage;
  #at = 0;
  #rates: Omit<LeaseRates, "lastCallAtMs"> = idle;
  #lastCallAt = 0;

  /** `usage`: where the lease stands, such as after a restart. */
  constructor(usage: ExecutorUsage) {
    this.#usage = usage;
  }

  /** Takes the use so far, as told at `now`. */
  note(usage: ExecutorUsage, now: number): void {
    const before = this.#usage;
    const seconds = Math.min(Math.max(now - this.#at, INTERVAL_MS_MIN), INTERVAL_MS_MAX) / 1_000;
    const rate = (field: keyof ExecutorUsage): number => Math.round((usage[field] - before[field]) / seconds);
    this.#rates = {
      callsPerSecond: rate("calls"),
      answersPerSecond: rate("answers"),
      bytesReceivedPerSecond: rate("bytesReceived"),
      bytesSentPerSecond: rate("bytesSent"),
      deviceLoad: rate("deviceMs") / 1_000,
    };
    if (usage.calls !== before.calls) this.#lastCallAt = now;
    this.#usage = usage;
    this.#at = now;
  }

  rates(now: number): LeaseRates {
    return { ...(now - this.#at > FRESH_MS ? idle : this.#rates), lastCallAtMs: this.#lastCallAt };
  }
}
