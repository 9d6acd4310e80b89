/** How the devices were when they were last asked, and what of it is news. It decides nothing: the broker does. */
import type { DeviceHealth } from "../device/device.ts";
import type { Clock } from "./clock.ts";

export interface CheckedHealth extends DeviceHealth {
  /** Milliseconds since the epoch. */
  readonly checkedAtMs: number;
}

export class DeviceHealthBook {
  readonly #clock: Clock;
  readonly #latest = new Map<string, CheckedHealth>();
  /** Problems by device that have been acted on. */
  readonly #known = new Map<string, Set<string>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  latest(deviceId: string): CheckedHealth | undefined {
    return this.#latest.get(deviceId);
  }

  /** Takes a report; returns the problems that were not known before. */
  report(health: DeviceHealth): readonly string[] {
    this.#latest.set(health.id, { ...health, checkedAtMs: this.#clock.now() });
    const known = this.#known.get(health.id) ?? new Set();
    const news = health.problems.filter((problem) => !known.has(problem));
    for (const problem of news) known.add(problem);
    this.#known.set(health.id, known);
    return news;
  }

  /** From now on every problem of the device is news. */
  acknowledge(deviceId: string): void {
    this.#known.delete(deviceId);
  }
}
