/**
 * The workers of a slice: all that a launch wants wake, wherever they come from, and its end is the change of a word: wake-ups that mean nothing,
 * such as a late one of the launch before, do not end it.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { controlOver, Word } from "../../server/device/cpu/run/control.ts";
import { keepSpareWorkers, WorkerPool } from "../../server/device/cpu/run/worker-pool.ts";
import { CpuSlice } from "../../server/device/cpu/slice.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { bytesOf, ptxKernel, readWords, writeWords } from "./cpu-machine.ts";

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

/** Each block adds to a word, and goes on when as many blocks as there are have done so. */
const meeting = ptxKernel(`mov.u32 %r1, %nctaid.x; atom.global.add.u32 %r2, [%rd0], 1;
MEET: ld.volatile.global.u32 %r3, [%rd0]; setp.lt.u32 %p1, %r3, %r1; @%p1 bra MEET;`);

test("a launch wakes every worker that it wants, spare ones and such as start only now, in every slice of a process", async () => {
  keepSpareWorkers(2);
  const [description] = await cpuDriver.discover("1x64MiB");
  const options = { arenaBytes: 2 ** 20, arenaBase: ARENA_BASE, kernelTimeoutMs: 20_000, onOutput: () => {} };
  const slices = [4, 2].map((workers) => new CpuSlice({ description: description!, ...options }, workers));
  try {
    for (const [slice, most] of [
      [slices[0]!, 4],
      [slices[1]!, 2],
    ] as const) {
      const module = slice.loadModule(bytesOf(meeting));
      const params = new Uint8Array(BigUint64Array.of(BigInt(ARENA_BASE)).buffer);
      for (const blocks of [1, 2, most, 3].filter((count) => count <= most)) {
        writeWords({ slice, output: () => "" }, [0]);
        const shape = { grid: [blocks, 1, 1], block: [1, 1, 1], sharedBytes: 0, stream: undefined } as const;
        await slice.launch({ module, kernel: 0, params, ...shape });
        expect(readWords({ slice, output: () => "" }, 1)[0]).toBe(blocks);
      }
    }
  } finally {
    await Promise.all(slices.map((slice) => slice.close()));
  }
});

test("in a checkout without a build, workers read the sources as the program does that has tsx", async () => {
  const program = `
    import { cpuDriver } from "./server/device/cpu/driver.ts";
    const [description] = await cpuDriver.discover("1x1MiB");
    const slice = await cpuDriver.open({ description, arenaBytes: 2 ** 20, arenaBase: ${ARENA_BASE}, kernelTimeoutMs: 0, onOutput: () => {} });
    const module = slice.loadModule(new TextEncoder().encode(process.argv[1]));
    const params = new Uint8Array(BigUint64Array.of(${ARENA_BASE}n).buffer);
    await slice.launch({ module, kernel: 0, params, grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, stream: undefined });
    const word = new Uint32Array(1);
    await slice.read(${ARENA_BASE}, new Uint8Array(word.buffer), undefined);
    console.log(word[0]);
    process.exit(0);`;
  const args = ["--import", "tsx", "--input-type=module", "-e", program, ptxKernel("st.global.u32 [%rd0], 7;")];
  expect((await promisify(execFile)(process.execPath, args)).stdout).toBe("7\n");
});
