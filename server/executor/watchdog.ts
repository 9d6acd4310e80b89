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
const { workerData: { beats, limitMs } } = require("node:worker_threads");
const { writeSync } = require("node:fs");
const words = new Int32Array(beats);
let missed = 0;
for (let seen = 0; ; seen = Atomics.load(words, 0)) {
  missed = Atomics.wait(words, 0, seen, limitMs / 2) === "timed-out" ? missed + 1 : 0;
  if (missed < 2) continue;
  try {
    writeSync(2, "An executor [" + process.pid + "] hangs in a driver for more than [" + limitMs + "] ms, and is killed.\\n");
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}
`;

/** Kills this process once its event loop stands still for longer than a call may take. */
export function startWatchdog(callMsMax: number): void {
  const beats = new SharedArrayBuffer(4);
  const words = new Int32Array(beats);
  const limitMs = callMsMax + MARGIN_MS;
  new Worker(watch, { eval: true, workerData: { beats, limitMs }, execArgv: [] }).unref();
  const beat = (): void => {
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
  };
  setInterval(beat, Math.min(BEAT_MS_MAX, Math.max(BEAT_MS_MIN, limitMs / 8))).unref();
}
