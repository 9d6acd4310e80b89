/**
 * Loaded into a daemon under test with `--import`: at SIGWINCH it collects garbage and writes what the process costs to the file named
 * by SLUICE_BENCH_PROBE. It does nothing in executors, which inherit the flags.
 */
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface ProbeReading {
  /** Counts the readings. */
  readonly reading: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Delay of the event loop since the last reading. */
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
}

const RESOLUTION_MS = 2;
const file = process.env["SLUICE_BENCH_PROBE"];

if (file !== undefined && process.argv.includes("serve")) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let reading = 0;
  process.on("SIGWINCH", () => {
    // The histogram holds the whole time between two ticks of its timer; what is above the resolution is delay.
    const delayMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    const loopP99Ms = delayMs(histogram.percentile(99));
    const loopMaxMs = delayMs(histogram.max);
    (globalThis as { gc?: () => void }).gc?.();
    const { heapUsed, external } = process.memoryUsage();
    const text = { reading: ++reading, heapBytes: heapUsed, externalBytes: external, loopP99Ms, loopMaxMs };
    writeFileSync(`${file}.new`, JSON.stringify(text satisfies ProbeReading));
    renameSync(`${file}.new`, file);
    histogram.reset();
  });
}
