/**
 * Waiting for the device without blocking the event loop and without a thread that would need a context of its own: ask, and ask again.
 * First in a tight loop for a few microseconds, then between other work of the event loop, then with sleeps that grow with the time
 * already waited, on koffi's worker threads, since timers of the event loop are no finer than a millisecond.
 */
import { setImmediate as immediate } from "node:timers/promises";
import koffi from "../native.ts";

/** Short copies are done by then; a longer loop would hold up the event loop. */
const TIGHT_LOOP_MS = 0.02;
/** Up to here a waiting executor stays awake: waking a sleeping core costs more than most waits. */
const AWAKE_MS = 0.2;
/** A sleep is this part of the time waited so far, so that its overshoot stays small beside the wait itself. */
const SLEEP_PART = 1 / 16;
const SLEEP_MS_MIN = 0.05;
const SLEEP_MS_MAX = 1;

let usleep: ReturnType<ReturnType<typeof koffi.load>["func"]> | undefined;

/** Resolves after about `milliseconds`, which may be a fraction. */
export function sleepFinely(milliseconds: number): Promise<void> {
  usleep ??= koffi.load("libc.so.6").func("usleep", "int", ["uint32_t"]);
  const call = usleep;
  return new Promise((resolve) => {
    call.async(Math.max(1, Math.round(milliseconds * 1000)), () => resolve());
  });
}

/** Runs `finish` after a wait, at once where there was none. */
export function after(waiting: void | Promise<void>, finish: () => void): void | Promise<void> {
  if (waiting instanceof Promise) return waiting.then(finish);
  finish();
}

/**
 * Waits until `done` says so, at first in a tight loop. Returns undefined when it does by then, else a promise. What `done` throws ends the wait, so a context
 * that is lost meanwhile ends every wait in it.
 */
export function waitUntil(done: () => boolean, tightLoopMs = TIGHT_LOOP_MS): undefined | Promise<void> {
  const start = performance.now();
  do {
    if (done()) return undefined;
  } while (performance.now() - start < tightLoopMs);
  return waitAsleep(done, start);
}

/** The same for what nobody waits for in the meantime: no tight loop holds up other work. */
export const waitBehind = (done: () => boolean): Promise<void> => waitAsleep(done, performance.now());

async function waitAsleep(done: () => boolean, start: number): Promise<void> {
  for (;;) {
    const waited = performance.now() - start;
    if (waited < AWAKE_MS) await immediate();
    else await sleepFinely(Math.min(SLEEP_MS_MAX, Math.max(SLEEP_MS_MIN, waited * SLEEP_PART)));
    if (done()) return;
  }
}
