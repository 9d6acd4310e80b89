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

/** Moments kept, this far apart: ten minutes. */
const MOMENTS_MAX = 120;
const MOMENT_MS = 5_000;

/** What a lease did at a moment. */
export interface LeaseMoment {
  readonly atMs: number;
  readonly activity: LeaseRates;
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
  readonly #past: LeaseMoment[] = [];

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
    const last = this.#past.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    // A report that is early by little belongs to its own step.
    if (now - last < MOMENT_MS - INTERVAL_MS_MIN) return;
    this.#past.push({ atMs: now, activity: this.rates(now) });
    if (this.#past.length > MOMENTS_MAX) this.#past.shift();
  }

  /** What it did lately, the oldest first; times in which it did nothing are missing. */
  past(now: number): LeaseMoment[] {
    return this.#past.filter(({ atMs }) => now - atMs <= MOMENTS_MAX * MOMENT_MS);
  }

  rates(now: number): LeaseRates {
    return { ...(now - this.#at > FRESH_MS ? idle : this.#rates), lastCallAtMs: this.#lastCallAt };
  }
}
