/** How long a job waits before its first result: the request, the grant, the attach, and a value that went there and back. */

import { summarize } from "../../client/measure/statistics.ts";
import type { BenchCase, CaseOutcome } from "../case.ts";
import { Server } from "../measure/server.ts";
import { Worker } from "../measure/worker.ts";
import type { Bar, Cell } from "../report/model.ts";

/** The server starts its next spare executor in this time; what is measured is an allocation that finds one. */
const PAUSE_MS = 600;

const parts = [
  ["grant", "request to grant"],
  ["attach", "grant to attached: handshake, executor, devices"],
  ["firstResult", "request to first result"],
  ["release", "release"],
] as const;

export const allocateCase: BenchCase = {
  name: "allocate",
  title: "From request to first result",
  async run(context): Promise<CaseOutcome> {
    context.progress(0, "starts a server");
    const server = await Server.start({ devices: ["null:1x16GiB"], spareExecutors: 2 });
    const worker = await Worker.start();
    try {
      const rounds = context.quick ? 8 : 50;
      context.progress(0.1, `${rounds} allocations`);
      const options = { target: server.target, rounds, warmup: context.quick ? 3 : 5, pauseMs: PAUSE_MS };
      const times = await worker.run("allocations", options);
      const summaries = parts.map(([key, name]) => ({ key, name, summary: summarize(times[key]) }));
      const rows = summaries.map(({ name, summary }): Cell[] => [
        name,
        summary.n,
        summary.p50,
        summary.p90,
        summary.p99,
      ]);
      const p50 = (wanted: string): number => summaries.find(({ key }) => key === wanted)!.summary.p50;
      const bars: Bar[] = [
        { what: "Allocate (warm) to first result, p50", unit: "ns", measured: p50("firstResult"), atMost: 15e6 },
        { what: "Attach, p50", unit: "ns", measured: p50("attach"), atMost: 5e6 },
      ];
      const columns = [
        { title: "part" },
        { title: "n", unit: "count" },
        { title: "p50", unit: "ns" },
        { title: "p90", unit: "ns" },
        { title: "p99", unit: "ns" },
      ] as const;
      const note =
        "One client process that is connected already asks again and again; a spare executor is warm each time. The data connection is made beside the grant.";
      return { tables: [{ title: "Allocation", columns, rows, note }], bars };
    } finally {
      await worker.stop();
      await server.stop();
    }
  },
};
