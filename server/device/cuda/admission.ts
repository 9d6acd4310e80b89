/**
 * Admits kernels and library calls of a slice to a device that others share, by the lease's turns. Work is queued, and the driver cannot take it
 * back: so in a turn no more is queued than it has time for, as far as the times of the work before tell, and the turn ends when the
 * device has done it. What takes longer is charged afterwards.
 */
import { setImmediate as immediate } from "node:timers/promises";
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceTurns } from "../device.ts";
import type { Meter } from "./meter.ts";
import { sleepFinely, waitUntil } from "./waiting.ts";

/** Device time that is queued at once while somebody else waits. */
const QUEUED_MS_MAX = 4;
/** And while nobody does: who comes then waits for it. */
const AHEAD_MS_MAX = 20;
const LOOK_MS = 0.5;

export interface AdmissionOptions {
  readonly turns: DeviceTurns;
  readonly meter: Meter;
  /** Whether the device has done all that is queued for the slice; throws once the slice is lost. */
  readonly isIdle: () => boolean;
}

export class Admission {
  readonly #options: AdmissionOptions;
  /** Resolves when the turn is over; undefined while there is none. */
  #turn: Promise<void> | undefined;
  #queued = 0;
  #beganAt = 0;
  #before = 0;
  /** Of one piece of work; undefined before the first is done. */
  #meanMs: number | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** To be called before each piece of work is queued; a promise where it has to wait. */
  admit(): void | Promise<void> {
    const { turns } = this.#options;
    if (this.#turn === undefined) {
      if (!turns.isShared) return;
      const entered = turns.enter();
      if (entered !== undefined) return entered.then(() => this.#begin());
      this.#begin();
      return;
    }
    if (this.#hasRoom()) this.#queued++;
    else return this.#wait();
  }

  /** How long what is queued takes, by what was measured. */
  #hasRoom(): boolean {
    const mean = this.#meanMs;
    if (mean === undefined) return false;
    if (this.#options.turns.isWanted) return (this.#queued + 1) * mean <= QUEUED_MS_MAX;
    return (this.#queued + 1) * mean <= AHEAD_MS_MAX || this.#queued * mean - this.#usedMs() < AHEAD_MS_MAX;
  }

  async #wait(): Promise<void> {
    while (this.#turn !== undefined) {
      await Promise.race([this.#turn, sleepFinely(LOOK_MS)]);
      if (this.#turn !== undefined && this.#hasRoom()) {
        this.#queued++;
        return;
      }
    }
    return this.admit() ?? undefined;
  }

  #begin(): void {
    const { meter, isIdle } = this.#options;
    this.#queued = 1;
    this.#before = meter.kernelMs();
    this.#beganAt = performance.now();
    // The meter's last mark behind the work is to be reached too, or that work would not be counted.
    const isOver = (): boolean => {
      meter.kernelMs();
      return isIdle();
    };
    // Not before the work is queued, behind all that waits for this: the device is idle until then.
    const over = immediate().then(() => waitUntil(isOver));
    this.#turn = over
      .catch((error: unknown) => {
        // The call that comes next tells.
        if (!(error instanceof SluiceError)) throw error;
      })
      .then(() => this.#end());
  }

  #end(): void {
    const usedMs = this.#usedMs();
    const meanMs = usedMs / this.#queued;
    this.#meanMs = this.#meanMs === undefined ? meanMs : (this.#meanMs + meanMs) / 2;
    this.#turn = undefined;
    this.#options.turns.done(usedMs);
  }

  /** Kernels of several streams run side by side, and take the device no longer than it took. */
  #usedMs(): number {
    return Math.min(this.#options.meter.kernelMs() - this.#before, performance.now() - this.#beganAt);
  }
}
