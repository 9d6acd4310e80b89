/** What it takes to suspend a lease and to let it go on, beside what the disk takes for the same bytes. */
import { median } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseOutcome } from "../case.ts";
import { Server } from "../measure/server.ts";
import { Worker } from "../measure/worker.ts";
import type { Cell } from "../report/model.ts";

const MiB = 1024 * 1024;

export const suspensionCase: BenchCase = {
  name: "suspension",
  title: "Suspending a lease",
  async run(context): Promise<CaseOutcome> {
    const bytes = (context.quick ? 64 : 1024) * MiB;
    const rounds = context.quick ? 3 : 5;
    const server = await Server.start({ devices: ["cpu:1x1280MiB"] });
    const worker = await Worker.start();
    const rows: Cell[][] = [];
    try {
      for (const [at, isWritten] of [true, false].entries()) {
        const what = `${bytes / MiB} MiB ${isWritten ? "of random bytes" : "that were never written"}`;
        context.progress(at / 2, what);
        const options = { target: server.target, bytes, isWritten, rounds };
        const times = await worker.run("suspensions", options);
        const floor = (samples: readonly number[]): Cell => (samples.length === 0 ? "-" : median(samples));
        rows.push([what, "suspend", rounds, median(times.suspend), Math.max(...times.suspend), floor(times.write)]);
        rows.push([what, "resume", rounds, median(times.resume), Math.max(...times.resume), floor(times.read)]);
      }
    } finally {
      await worker.stop();
      await server.stop();
    }
    const columns = [
      { title: "the lease holds" },
      { title: "" },
      { title: "n", unit: "count" },
      { title: "median", unit: "ns" },
      { title: "longest", unit: "ns" },
      { title: "a plain file", unit: "ns" },
    ] as const;
    const note =
      "A slice of a cpu device. Suspending: until the memory is in the pool, with fdatasync; going on: until the next call is answered. A plain file is 16 MiB at a time, written with fdatasync, and read from the page cache.";
    return { tables: [{ title: "Suspension", columns, rows, note }] };
  },
};
