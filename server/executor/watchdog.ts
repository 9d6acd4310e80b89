/**
 * Ends an executor that hangs inside a driver: a call that never returns leaves no turn of the event loop in which anybody could notice, so
 * a thread does. The daemon sees the death, ends the lease, and tries the devices before they are lent again.
 */
import { Worker } from "node:worker_threads";

/** Beside the time that a call may take: a crowded machine delays the beats. */
const MARGIN_MS = 2_000;
const BEAT_MS_MAX = 1_000;
const BEAT_MS_MIN = 20;

/**
 * Sleeps from beat to beat. Two limits in a row must pass without one, for a process that was stopped as a whole and goes on must not take
 * its own sleep for a hang. Plain JavaScript, since threads start from text or from a file of their own.
 */
const watch = `
const { workerData: { beats } } = require("node:worker_threads");
const { writeSync } = require("node:fs");
const words = new Int32Array(beats);
let missed = 0;
for (let seen = 0; ; seen = Atomics.load(words, 0)) {
  const limitMs = Atomics.load(words, 1);
  missed = Atomics.wait(words, 0, seen, limitMs / 2) === "timed-out" ? missed + 1 : 0;
  if (missed < 2) continue;
  try {
    writeSync(2, "An executor [" + process.pid + "] hangs in a driver for more than [" + limitMs + "] ms, and is killed.\\n");
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}
`;

export interface Watchdog {
  /** Does work, with a promise or without, that may hold up the event loop for longer than a call may, up to `workMsMax`. */
  allow<T>(workMsMax: number, work: () => T): T;
}

/** Kills this process once its event loop stands still for longer than a call may take. */
export function startWatchdog(callMsMax: number): Watchdog {
  const beats = new SharedArrayBuffer(8);
  const words = new Int32Array(beats);
  const limitMs = callMsMax + MARGIN_MS;
  words[1] = limitMs;
  new Worker(watch, { eval: true, workerData: { beats }, execArgv: [] }).unref();
  const beat = (): void => {
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
  };
  setInterval(beat, Math.min(BEAT_MS_MAX, Math.max(BEAT_MS_MIN, limitMs / 8))).unref();
  const limit = (milliseconds: number): void => {
    Atomics.store(words, 1, milliseconds);
    beat();
  };
  const allow = <T>(workMsMax: number, work: () => T): T => {
    limit(Math.max(limitMs, workMsMax + MARGIN_MS));
    let result: T | undefined;
    try {
      result = work();
      return result instanceof Promise ? (result.finally(() => limit(limitMs)) as T) : result;
    } finally {
      if (!(result instanceof Promise)) limit(limitMs);
    }
  };
  return { allow };
}
