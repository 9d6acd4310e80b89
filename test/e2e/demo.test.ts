/** The demo as a newcomer runs it: its exit code says whether the job learned, and whether the pool adds up afterwards. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";

/** The processes that a process has started, and those that these have. */
function descendants(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    // A dead one whose parent has not asked for its code runs no more.
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("the demo trains on a quarter of a device, gives it back, and says what it used", {
  timeout: 180_000,
}, async () => {
  const child = spawn(process.execPath, ["dist/client/examples/demo.js"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = await once(child, "close");
  expect(output).toMatch(/Recognised 9[5-9]\.\d\d % of 10,000 test images/);
  expect(output).toMatch(/share +\S+ [GM]iB of \S+ GiB \(25\.00 %\) of cpu:0/);
  for (const figure of ["held for", "calls per batch", "round trips", "bytes to the device", "bytes from the device"]) {
    expect(output).toContain(figure);
  }
  expect(output).toMatch(/lent in the pool now +0 B in 0 slices/);
  expect(code).toBe(0);
});

test("the demo's server, its executors and the job end when the demo is killed", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-killed-demo-"));
  const child = spawn(process.execPath, ["dist/client/examples/demo.js"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, TMPDIR: folder },
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await waitFor("the job to have its share", () => output.includes("Borrowed a quarter"));
  const started = descendants(child.pid!);
  // The server with the lease's executor, and the job.
  expect(started.length).toBeGreaterThanOrEqual(3);
  child.kill("SIGKILL");
  await waitFor("all of them to end", () => !started.some(isRunning));
  rmSync(folder, { recursive: true });
});
