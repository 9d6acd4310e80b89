/** A measuring process: one job per line of stdin as JSON, one outcome per line of stdout. Ends with its stdin. */
import { createInterface } from "node:readline";
import { type JobName, jobs } from "./jobs.ts";

interface Request {
  readonly job: JobName;
  readonly options: never;
}

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const { job, options } = JSON.parse(line) as Request;
  let outcome: object;
  try {
    outcome = { result: (await jobs[job](options)) ?? null };
  } catch (error) {
    outcome = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}
process.exit(0);
