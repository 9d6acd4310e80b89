/**
 * The demo: a server with one cpu device, and an ML job in a process of its own that borrows a quarter of it. Exits 0 only
 * if the job learned enough, gave its share back, and left the pool empty. Both processes end with it, whatever happens.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { connect } from "../index.ts";
import { ACCURACY_WANTED, isJobReport, type JobReport } from "./job-report.ts";

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 10_000;
const SHARE_WANTED = 0.25;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Source and build have the same tree; only the ending differs. */
const ending = import.meta.url.slice(import.meta.url.lastIndexOf("."));

/** Resolves when the child has ended; at once if it has already. */
const ended = (child: ChildProcess): Promise<number> =>
  new Promise((resolve) => {
    const code = (): number => child.exitCode ?? 1;
    if (child.exitCode !== null || child.signalCode !== null) resolve(code());
    else child.once("exit", () => resolve(code()));
  });

/** Asks the child to end, and insists after a while. */
async function stop(child: ChildProcess): Promise<number> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const insist = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  const code = await ended(child);
  clearTimeout(insist);
  return code;
}

/** The server's gRPC address, from the one line that it prints when it is ready. */
async function addressOf(server: ChildProcess): Promise<string> {
  const late = setTimeout(() => server.kill("SIGKILL"), READY_MS_MAX);
  try {
    for await (const line of createInterface({ input: server.stdout! })) {
      const address = /^sluice ready grpc=(\S+)/.exec(line)?.[1];
      if (address !== undefined) return address;
    }
  } finally {
    clearTimeout(late);
  }
  throw new Error(`The server ended before it was ready, or took longer than [${READY_MS_MAX}] ms.`);
}

interface JobEnd {
  readonly code: number;
  readonly report: JobReport | undefined;
}

async function runJob(job: ChildProcess): Promise<JobEnd> {
  let report: JobReport | undefined;
  job.on("message", (message) => {
    if (isJobReport(message)) report = message;
  });
  return { code: await ended(job), report };
}

/** A fraction is rounded down to the device's granularity. */
const isShare = ({ shareBytes, deviceBytes }: JobReport, granularityBytes = 1): boolean =>
  shareBytes === Math.floor((deviceBytes * SHARE_WANTED) / granularityBytes) * granularityBytes;

/** Everything that must be true, by its name, looked at from outside the job. */
async function checks(server: string, { code, report }: JobEnd): Promise<(readonly [what: string, holds: boolean])[]> {
  await using pool = await connect({ server });
  const devices = await pool.devices();
  const { leases, queue } = await pool.leases();
  return [
    ["the job ended without an error", code === 0],
    [
      `it recognised at least ${ACCURACY_WANTED * 100} % of the test images`,
      (report?.accuracy ?? 0) >= ACCURACY_WANTED,
    ],
    ["its share was a quarter of the device", report !== undefined && isShare(report, devices[0]?.granularityBytes)],
    ["its calls travelled in batches", (report?.stats.callsPerBatch ?? 0) > 10],
    ["no lease and no request is left", leases.length === 0 && queue.length === 0],
    [
      "the pool is empty again",
      devices.length > 0 && devices.every((d) => d.slices === 0 && d.freeBytes === d.memoryBytes),
    ],
  ];
}

async function main(children: Set<ChildProcess>): Promise<boolean> {
  const state = mkdtempSync(join(tmpdir(), "sluice-demo-"));
  try {
    console.log("Starting a server with one cpu device ...");
    const anyPort = ["--listen", "127.0.0.1:0", "--data", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    // The demo's own lines should stand out: of the server's, only what goes wrong.
    const options = ["--device", "cpu", "--state", state, "--grace", "0s", "--log-level", "warn"];
    // Forked, so that it ends with the demo, and the job with it, however the demo ends.
    const server = fork(here(`../cli/main${ending}`), ["serve", ...anyPort, ...options], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    children.add(server);
    const address = await addressOf(server);
    console.log(`The server is ready at ${address}. Starting the job in a process of its own ...\n`);
    const job = fork(here(`./mnist${ending}`), { env: { ...process.env, SLUICE_SERVER: address } });
    children.add(job);
    const end = await runJob(job);
    if (interrupted) return false;
    const results = await checks(address, end);
    results.push(["the server stopped when asked", (await stop(server)) === 0]);
    console.log();
    for (const [what, holds] of results) console.log(`${holds ? "ok  " : "FAIL"}  ${what}`);
    return results.every(([, holds]) => holds);
  } finally {
    await Promise.all([...children].map(stop));
    rmSync(state, { recursive: true, force: true });
  }
}

const children = new Set<ChildProcess>();
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    // The children's end makes main() finish, which cleans up.
    interrupted = true;
    for (const child of children) child.kill("SIGTERM");
  });
try {
  const success = await main(children);
  process.exitCode = interrupted ? 130 : success ? 0 : 1;
} catch (error) {
  if (!interrupted) console.error(error instanceof Error ? error.message : error);
  process.exitCode = interrupted ? 130 : 1;
}
