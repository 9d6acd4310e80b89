/** The end of a launch is the change of a word: wake-ups that mean nothing, such as a late one of the launch before, do not end it. */
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { controlOver, Word } from "../../server/device/cpu/run/control.ts";
import { WorkerPool } from "../../server/device/cpu/run/worker-pool.ts";

/** Wakes whoever waits for the word, again and again, and counts those it woke. */
const nuisance = `
const { workerData } = require("node:worker_threads");
const words = new Int32Array(workerData);
for (;;) Atomics.add(words, ${Word.LAUNCH}, Atomics.notify(words, ${Word.DONE}));`;

test("a launch is over when its workers have finished, however often the slice is woken before", async () => {
  const { words, buffer } = controlOver();
  // Without workers of its own, so that this test alone decides when the launch has finished.
  const setup = { memory: {} as never, control: buffer, layout: {} as never };
  const pool = new WorkerPool(controlOver(buffer), setup, () => {});
  const worker = new Worker(nuisance, { eval: true, workerData: buffer });
  try {
    for (let launch = 1; launch <= 20; launch++) {
      const woken = Atomics.load(words, Word.LAUNCH);
      let outcome: string | undefined;
      const running = Promise.resolve(pool.run(0, 30_000)).then((end) => {
        outcome = end;
      });
      while (Atomics.load(words, Word.LAUNCH) < woken + 3) await new Promise((resolve) => setImmediate(resolve));
      expect(outcome).toBeUndefined();
      Atomics.store(words, Word.DONE, launch);
      Atomics.notify(words, Word.DONE);
      await running;
      expect(outcome).toBe("done");
    }
  } finally {
    await worker.terminate();
    await pool.end("closed");
  }
});
