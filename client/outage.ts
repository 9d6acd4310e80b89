/**
 * A server that was there and is not: how long it is waited for, and how often it is asked. Running jobs go on without it, and it takes
 * them up again, so a restart is no error to anybody who can wait a little.
 */
import type { SluiceError } from "../shared/errors.ts";
import { cancelled } from "./abort.ts";

/** How long calls wait for a server that is away: longer than a restart takes. */
export const OUTAGE_MS_MAX = 15_000;

const PAUSE_MS_MIN = 50;
export const PAUSE_MS_MAX = 1_000;

/** One time of waiting for the server. */
export class Outage {
  #endsAt: number;
  #pauseMs = PAUSE_MS_MIN;

  constructor(patienceMs: number) {
    this.#endsAt = performance.now() + patienceMs;
  }

  /** Waits before the next try, longer each time. Rejects with `error` when it lasts too long, and with CANCELLED. */
  async pause(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    const left = this.#endsAt - performance.now();
    if (left <= 0) throw error;
    await sleep(Math.min(this.#pauseMs, left), signal);
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS_MAX);
  }
}

/** @throws SluiceError CANCELLED */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(cancelled(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Whether nothing listens where the server was: the machine answers, so no server is there that could have ended a lease. */
export const isRefused = (error: SluiceError): boolean =>
  error.code === "SERVER_UNREACHABLE" && /ECONNREFUSED|ENOENT/.test(error.message);
