/** `sluice bench`: it measures a server that is there, over the transport asked for, and leaves nothing behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pool } from "sluice";
import { expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { servePool } from "../support/pool-server.ts";
import type { TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;

servePool({ args: ["--device", "null:1x128MiB"] }, (started) => {
  ({ server, pool } = started);
});

const environment = () => ({ SLUICE_SERVER: server.grpc, SLUICE_LEASE: "" });
const bench = (...args: string[]) => runShort(["bench", "--quick", "-m", "8MiB", ...args], { env: environment() });

it("prints every figure as JSON, measured over the transport asked for", async () => {
  const { code, stdout, stderr } = await bench("--json", "--transport", "tcp", "--step", "20ms", "--answers", "3");
  expect([code, stderr]).toEqual([0, ""]);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ server: server.grpc, device: { id: "null:0", kind: "null" } });
  expect(report.endpoint).toMatch(/^tcp:/);
  expect(report.job).toEqual({ stepMs: 20, answersPerStep: 3 });
  expect(report.words[1]).toMatch(/^At 3 answered calls per step of 20 ms that is \d+(\.\d)? %/);
  const answered = report.answered as { payloadBytes: number; n: number; p50: number; p99: number }[];
  expect(answered.map(({ payloadBytes }) => payloadBytes)).toEqual([64, 4096, 65_536, MiB]);
  for (const { n, p50, p99 } of answered) {
    expect(n).toBeGreaterThan(2);
    expect(p50).toBeGreaterThan(1_000);
    expect(p99).toBeGreaterThanOrEqual(p50);
  }
  expect(report.throughput.map(({ batch }: { batch: number }) => batch)).toEqual([1, 4, 16, 64, 256, 1024, 4096, 0]);
  // What does not fit into the memory that was asked for is not copied, and not trained.
  expect(report.copies.map(({ bytes }: { bytes: number }) => bytes)).toEqual([4, 65_536, MiB]);
  expect(report.work).toEqual([]);
});

it("prints tables and words within 80 columns, and writes a page; where it cannot it says so before it measures", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  try {
    const file = join(folder, "page.html");
    const { code, stdout, stderr } = await bench("--html", file);
    expect([code, stderr]).toEqual([0, `sluice: The figures are also in ${file}.\n`]);
    for (const line of stdout.split("\n").slice(1)) expect(line.length).toBeLessThanOrEqual(80);
    expect(stdout).toContain("Your network and Sluice add");
    const [, added] = /add (.*?) to each call/.exec(stdout)!;
    expect(readFileSync(file, "utf8")).toContain(`<b>${added}</b>`);
    const nowhere = await bench("--html", join(folder, "no", "page.html"));
    expect([nowhere.code, nowhere.stdout]).toEqual([2, ""]);
    expect(nowhere.stderr).toContain("The page cannot be written to [");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("gives its share back when it is stopped", async () => {
  const child = spawn(process.execPath, ["dist/client/cli/main.js", "bench", "-m", "8MiB"], {
    env: { ...process.env, ...environment() },
    stdio: "ignore",
  });
  const exited = once(child, "exit");
  await waitFor("a lease", async () => (await pool.leases()).leases.length > 0);
  child.kill("SIGINT");
  expect(await exited).toEqual([null, "SIGINT"]);
});

it("refuses a step without time as bad usage", async () => {
  const { code, stderr } = await bench("--step", "0s");
  expect(code).toBe(2);
  expect(stderr).toContain("A step takes some time, and [0s] is none.");
});
