/** Many leases on one daemon: what each costs in memory, and whether the daemon still answers at once. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, summarize } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseContext, CaseOutcome } from "../case.ts";
import type { ProbeReading } from "../measure/probe.ts";
import { childrenOf, privateBytes } from "../measure/process-memory.ts";
import { Server } from "../measure/server.ts";
import { temporaryFolder } from "../measure/temporary-folder.ts";
import { Worker } from "../measure/worker.ts";
import type { Bar } from "../report/model.ts";

const probe = fileURLToPath(new URL("../../dist/modules/bench/measure/probe.js", import.meta.url));
const PAIRS_PER_SECOND = 50;
const MiB = 1024 * 1024;

interface Counts {
  readonly held: number;
  readonly attached: number;
  readonly churnSeconds: number;
}

interface Sample {
  readonly privateBytes: number;
  readonly reading: ProbeReading;
}

/** Asks the daemon for a reading, behind a collection of its garbage. */
async function sample(server: Server, file: string): Promise<Sample> {
  const read = (): ProbeReading | undefined =>
    existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as ProbeReading) : undefined;
  const before = read()?.reading ?? 0;
  process.kill(server.pid, "SIGWINCH");
  const deadline = performance.now() + 10_000;
  for (;;) {
    const reading = read();
    if (reading !== undefined && reading.reading > before) return { privateBytes: privateBytes(server.pid), reading };
    if (performance.now() > deadline) throw new Error("The daemon gives no reading within 10 s.");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const usedBytes = ({ reading }: Sample): number => reading.heapBytes + reading.externalBytes;

async function measure(
  { server, worker, file }: { server: Server; worker: Worker; file: string },
  { held, attached, churnSeconds }: Counts,
  context: CaseContext,
): Promise<CaseOutcome> {
  const { target } = server;
  // What the first leases load and compile is not a cost of each.
  await worker.run("hold", { target, count: Math.ceil(held / 10) });
  const empty = await sample(server, file);
  context.progress(0.15, `${held} leases without a session`);
  const heldStart = performance.now();
  await worker.run("hold", { target, count: held });
  const grantsPerSecond = held / ((performance.now() - heldStart) / 1000);
  const full = await sample(server, file);
  context.progress(0.4, `${attached} attached and idle`);
  await worker.run("attach", { target, count: attached });
  const withExecutors = await sample(server, file);
  const executors = childrenOf(server.pid).map(privateBytes);
  context.progress(0.8, `${PAIRS_PER_SECOND} allocations and releases per second`);
  await sample(server, file);
  const pairs = summarize(await worker.run("churn", { target, perSecond: PAIRS_PER_SECOND, seconds: churnSeconds }));
  const busy = await sample(server, file);
  context.progress(0.95, "gives everything back");
  await worker.run("releaseAll", {});

  const perLease = (usedBytes(full) - usedBytes(empty)) / held;
  const perExecutor = median(executors);
  const bars: Bar[] = [
    { what: "Private memory of an idle executor", unit: "bytes", measured: perExecutor, atMost: 40 * MiB },
    { what: "Memory of the daemon per held lease", unit: "bytes", measured: perLease, atMost: 20 * 1024 },
    {
      what: `Event-loop delay of the daemon, p99, at ${PAIRS_PER_SECOND} allocations and releases per second`,
      unit: "ns",
      measured: busy.reading.loopP99Ms * 1e6,
      atMost: 10e6,
    },
  ];
  const rows = [
    ["leases held without a session", String(held * 1.1)],
    ["sessions attached and idle", String(attached)],
    ["leases granted per second, 32 at once", grantsPerSecond.toFixed(0)],
    ["daemon's memory per held lease, heap and buffers", `${(perLease / 1024).toFixed(1)} KiB`],
    [
      "the same by private memory of the process",
      `${((full.privateBytes - empty.privateBytes) / held / 1024).toFixed(1)} KiB`,
    ],
    ["daemon's private memory with all of it", `${(withExecutors.privateBytes / MiB).toFixed(0)} MiB`],
    ["private memory of an idle executor, median", `${(perExecutor / MiB).toFixed(1)} MiB`],
    ["largest executor", `${(Math.max(...executors) / MiB).toFixed(1)} MiB`],
    ["allocate and release, p50", `${(pairs.p50 / 1e6).toFixed(2)} ms`],
    ["allocate and release, p99", `${(pairs.p99 / 1e6).toFixed(2)} ms`],
    ["event-loop delay of the daemon, p99", `${busy.reading.loopP99Ms.toFixed(2)} ms`],
    ["event-loop delay of the daemon, largest", `${busy.reading.loopMaxMs.toFixed(2)} ms`],
  ];
  return { tables: [{ title: "One daemon", columns: [{ title: "what" }, { title: "measured" }], rows }], bars };
}

export const leasesCase: BenchCase = {
  name: "leases",
  title: "Many leases on one daemon",
  async run(context): Promise<CaseOutcome> {
    if (process.platform !== "linux") return { words: ["This case reads /proc and runs on Linux only."] };
    const counts: Counts = context.quick
      ? { held: 2000, attached: 10, churnSeconds: 4 }
      : { held: 10_000, attached: 200, churnSeconds: 20 };
    using folder = temporaryFolder();
    const file = join(folder.path, "probe.json");
    context.progress(0, "starts a server");
    const server = await Server.start({
      devices: ["null:4x16GiB"],
      spareExecutors: 1,
      nodeFlags: ["--expose-gc", "--import", `file://${probe}`],
      env: { ...process.env, SLUICE_BENCH_PROBE: file },
    });
    const worker = await Worker.start();
    try {
      return await measure({ server, worker, file }, counts, context);
    } finally {
      await worker.stop();
      await server.stop();
    }
  },
};
