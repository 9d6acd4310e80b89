/** What becomes of requests, in the queue and on their way, when the server dies. */
import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import { leaseIds, untilEmpty } from "../support/pool-state.ts";
import { MiB } from "../support/raw-client.ts";
import { restarts } from "../support/restarts.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const stage = restarts();

test("a command under `sluice run` does not notice that the server dies, waiting and running", async () => {
  const pool = await stage.begin("--heartbeat-timeout", "5s");
  const all = await pool.allocate({ devices: 2, fraction: 1 });
  const script = `
    const { connect } = await import("sluice");
    const lease = await (await connect()).allocate({ memory: "64MiB" });
    const buffer = lease.devices[0].upload(Uint8Array.of(42));
    await buffer.read(Uint8Array);
    console.log("running");
    for await (const _ of process.stdin) break;
    console.log("read", (await buffer.read(Uint8Array))[0]);
    await lease.release();
    process.exit(0);`;
  const words = ["run", "-m", "64MiB", "--wait", "5m", "--", process.execPath, "--input-type=module", "-e", script];
  const env = { ...process.env, SLUICE_SERVER: stage.server.grpc, SLUICE_INTERPOSER: "" };
  const job = spawn(process.execPath, ["dist/client/cli/main.js", ...words], { env });
  let stdout = "";
  let stderr = "";
  job.stdout.on("data", (text) => (stdout += String(text)));
  job.stderr.on("data", (text) => (stderr += String(text)));
  const exited = new Promise((resolve) => job.once("exit", resolve));
  try {
    await waitFor("the job to wait", async () => (await pool.leases()).queue.length === 1);
    await stage.restart();
    await all.release();
    await waitFor("the job to run", () => stdout.includes("running"));
    await stage.restart();
    const restartedAt = performance.now();
    await waitFor("more than the time-out", () => performance.now() - restartedAt > 6_000);
    job.stdin.end("go on");
    expect(await inTime("the job's end", exited), stderr).toBe(0);
    expect(stdout).toContain("read 42");
    expect(stderr).toContain("It is asked again; the request keeps its place.");
    await untilEmpty(pool);
  } finally {
    job.kill("SIGKILL");
  }
});

test("a waiting request keeps its place over restarts, and so does everybody behind it", async () => {
  const pool = await stage.begin();
  const all = await pool.allocate({ devices: 2, fraction: 1 });
  const others = [await stage.open(), await stage.open(), await stage.open()];
  const order: number[] = [];
  const waiting: Promise<void>[] = [];
  for (const [index, other] of others.entries()) {
    waiting.push(
      other.allocate({ devices: 2, fraction: 1, wait: "5m" }).then(async (lease) => {
        order.push(index);
        await lease.release();
      }),
    );
    await waitFor("its place", async () => (await pool.leases()).queue.length === index + 1);
  }
  const before = (await pool.leases()).queue;
  for (let round = 0; round < 3; round++) {
    await stage.restart();
    const after = (await pool.leases()).queue;
    expect(after.map(({ requestId }) => requestId)).toEqual(before.map(({ requestId }) => requestId));
    expect(after.map(({ queuedAtMs }) => queuedAtMs)).toEqual(before.map(({ queuedAtMs }) => queuedAtMs));
  }
  await all.release();
  await inTime("all of them", Promise.all(waiting));
  expect(order).toEqual([0, 1, 2]);
  await untilEmpty(pool);
});

test("a request whose client died with the server leaves the queue after the heartbeat's time-out", async () => {
  const pool = await stage.begin("--heartbeat-timeout", "2s");
  await using _all = await pool.allocate({ devices: 2, fraction: 1 });
  const control = stage.rawControl();
  control.allocate({ memoryBytes: MiB, waitMs: 600_000, requestId: "gone" }).catch(() => {});
  await waitFor("the request", async () => (await pool.leases()).queue.length === 1);
  await stage.restart();
  expect((await pool.leases()).queue.map(({ requestId }) => requestId)).toEqual(["gone"]);
  await waitFor("an empty queue", async () => (await pool.leases()).queue.length === 0);
});

test("an Allocate that comes again under its id gets the lease that was granted, and no second one", async () => {
  const pool = await stage.begin();
  const control = stage.rawControl();
  const request = { memoryBytes: 64 * MiB, requestId: "the-same" };
  const first = await control.allocate(request);
  await stage.restart();
  const second = await control.allocate(request);
  expect(second.id).toBe(first.id);
  expect(second.secret.equals(first.secret)).toBe(true);
  expect(await leaseIds(pool)).toEqual([first.id]);
  await control.release(first.id, first.secret);
  const third = await control.allocate(request);
  expect(third.id).not.toBe(first.id);
});
