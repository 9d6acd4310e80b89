/** What a server that died leaves, and what the next one makes of it: one sentence of ARCHITECTURE's promises each. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { connect, type Pool, type SluiceError } from "sluice";
import { afterEach, expect, test } from "vitest";
import { CrashingServer } from "../support/crashing-server.ts";
import { executorsOf, isAlive } from "../support/processes.ts";
import { MiB, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let server: CrashingServer;
const pools: Pool[] = [];
const controls: RawControl[] = [];

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
  for (const control of controls.splice(0)) control.close();
  await server[Symbol.asyncDispose]();
});

async function begin(...args: string[]): Promise<Pool> {
  server = await CrashingServer.start(["--device", "null:2x1GiB", "--spare-executors", "0", "--grace", "1s", ...args]);
  return open();
}

async function open(): Promise<Pool> {
  const pool = await connect({ server: server.grpc, lease: "" });
  pools.push(pool);
  return pool;
}

function rawControl(): RawControl {
  const control = new RawControl(server.grpc);
  controls.push(control);
  return control;
}

async function restart(): Promise<void> {
  await server.crash();
  await server.start();
}

const idsOf = async (pool: Pool): Promise<string[]> => (await pool.leases()).leases.map(({ id }) => id);

const isEmpty = (pool: Pool): Promise<true> =>
  waitFor("an empty pool", async () =>
    (await pool.devices()).every(({ freeBytes, memoryBytes }) => freeBytes === memoryBytes),
  );

test("a job works on while no server is there, and the next server has its lease, its use and its heartbeats", async () => {
  const pool = await begin("--heartbeat-timeout", "3s");
  const lease = await pool.allocate({ memory: "128MiB", name: "survivor" });
  const buffer = lease.devices[0].upload(Uint8Array.of(1, 2, 3));
  expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  await server.crash();
  expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  await server.start();
  const known = await waitFor("the attached lease", async () => {
    const [found] = (await pool.leases()).leases;
    return found?.state === "LEASE_STATE_ATTACHED" ? found : undefined;
  });
  expect(known).toMatchObject({ id: lease.id, name: "survivor", clientAddress: "unix" });
  expect(Number(known.usage!.calls)).toBeGreaterThanOrEqual(3);
  // Longer than the time-out: its heartbeats have come back.
  const restartedAt = performance.now();
  await waitFor("twice the time-out", () => performance.now() - restartedAt > 6_000);
  expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  const calls = lease.stats.calls;
  const usage = await lease.release();
  expect(usage!.calls).toBe(calls);
  await isEmpty(pool);
  expect(executorsOf(server.state)).toEqual([]);
});

test("a lease without a session takes a connection after the restart, again and again", async () => {
  await begin();
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  control.hold(lease);
  const first = await RawSession.open(server.data, lease);
  await first.ask(raw.attach());
  await first.close();
  for (let round = 0; round < 3; round++) {
    await restart();
    const session = await RawSession.open(server.data, lease);
    expect((await session.ask(raw.attach())).code).toBe("OK");
    await session.close();
  }
  expect(executorsOf(server.state).length).toBe(1);
  await control.release(lease.id, lease.secret);
});

test("a lease that was never attached is there after the restart", async () => {
  const pool = await begin();
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  await restart();
  expect(await idsOf(pool)).toEqual([lease.id]);
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  await expect(control.release(lease.id, lease.secret)).resolves.toMatchObject({ released: true });
  await isEmpty(pool);
});

test("a job that does not come back loses its lease after the heartbeat's full time-out", async () => {
  const pool = await begin("--heartbeat-timeout", "2s");
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: MiB });
  await server.crash();
  const crashedAt = performance.now();
  await waitFor("more than the time-out", () => performance.now() - crashedAt > 2_500);
  await server.start();
  const startedAt = performance.now();
  expect(await idsOf(pool)).toEqual([lease.id]);
  await isEmpty(pool);
  expect(performance.now() - startedAt).toBeGreaterThan(1_000);
  await expect(RawSession.open(server.data, lease)).rejects.toThrow("LEASE_EXPIRED");
});

test("a lease whose time is over while no server is there ends at the start", async () => {
  const pool = await begin();
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: MiB, detached: true, durationMaxMs: 1_500 });
  const session = await RawSession.open(server.data, lease);
  await session.ask(raw.attach());
  await server.crash();
  const crashedAt = performance.now();
  await waitFor("the lease's end", () => performance.now() - crashedAt > 2_000);
  await server.start();
  expect(await session.connection.refusal()).toBe("LEASE_TIME_OVER");
  await isEmpty(pool);
});

test("an executor that dies while no server is there ends its lease, with the reason for whoever asks", async () => {
  const pool = await begin();
  const lost = await pool.allocate({ memory: "64MiB" });
  const kept = await pool.allocate({ memory: "64MiB" });
  const buffer = kept.devices[0].upload(Uint8Array.of(7));
  await buffer.read(Uint8Array);
  await server.crash();
  const [victim] = executorsOf(server.state).filter(({ leaseId }) => leaseId === lost.id);
  process.kill(victim!.pid, "SIGKILL");
  await waitFor("its death", () => !isAlive(victim!.pid));
  await server.start();
  await waitFor("the lease's end", () => lost.signal.aborted);
  expect(await idsOf(pool)).toEqual([kept.id]);
  expect((await pool.devices()).reduce((sum, device) => sum + device.grantedBytes, 0)).toBe(64 * MiB);
  expect((await buffer.read(Uint8Array))[0]).toBe(7);
});

test("an adopted executor that is killed ends its lease at once, and its memory is free when it is gone", async () => {
  const pool = await begin();
  const lease = await pool.allocate({ memory: "64MiB" });
  await restart();
  const [executor] = executorsOf(server.state);
  const ended = new Promise<SluiceError>((resolve) =>
    lease.signal.addEventListener("abort", () => resolve(lease.signal.reason as SluiceError)),
  );
  process.kill(executor!.pid, "SIGKILL");
  expect((await inTime("the lease's end", ended)).code).toBe("EXECUTOR_FAILED");
  await isEmpty(pool);
  expect(executorsOf(server.state)).toEqual([]);
});

test("an executor without a lease is ended at the start", async () => {
  const pool = await begin();
  const lease = await pool.allocate({ memory: "64MiB" });
  await server.crash();
  const [executor] = executorsOf(server.state);
  // As if the lease had been closed in the store, and the server killed before it could end the executor.
  execFileSync(process.execPath, [
    "-e",
    `const Database = require("libsql"); const database = new Database(process.argv[1]);
     database.exec("UPDATE leases SET ended_at = 1, secret = NULL");`,
    join(server.state, "sluice.db"),
  ]);
  await server.start();
  expect(isAlive(executor!.pid)).toBe(false);
  expect(executorsOf(server.state)).toEqual([]);
  await isEmpty(pool);
  await waitFor("the job to hear of it", () => lease.signal.aborted);
});

test("executors end when no server comes back within the time-out, tell their clients, and leave what their leases have used", async () => {
  await begin("--orphan-timeout", "1s");
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(server.data, lease);
  await session.ask(raw.attach());
  const [executor] = executorsOf(server.state);
  await server.crash();
  // Of these no server has heard.
  for (let calls = 0; calls < 10; calls++) await session.ask(raw.attach());
  expect(await session.connection.refusal()).toBe("EXECUTOR_FAILED");
  await waitFor("its end", () => !isAlive(executor!.pid));
  await server.start();
  await expect(RawSession.open(server.data, lease)).rejects.toThrow("EXECUTOR_FAILED");
  const { usage } = await rawControl().release(lease.id, lease.secret);
  expect(Number(usage!.calls)).toBe(11);
});

test("an executor that says nothing at the start keeps its lease, and takes a session once it speaks", async () => {
  const pool = await begin();
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  control.hold(lease);
  const first = await RawSession.open(server.data, lease);
  await first.ask(raw.attach());
  await first.close();
  const [executor] = executorsOf(server.state);
  await server.crash();
  process.kill(executor!.pid, "SIGSTOP");
  await server.start();
  expect(await idsOf(pool)).toEqual([lease.id]);
  await expect(RawSession.open(server.data, lease)).rejects.toThrow("SESSION_BUSY");
  process.kill(executor!.pid, "SIGCONT");
  const session = await waitFor("a session", () => RawSession.open(server.data, lease).catch(() => undefined));
  expect((await session.ask(raw.attach())).code).toBe("OK");
  expect(executorsOf(server.state).map(({ pid }) => pid)).toEqual([executor!.pid]);
});

test("a start that fails leaves the executors to the next one", async () => {
  const pool = await begin();
  await using lease = await pool.allocate({ memory: "64MiB" });
  const buffer = lease.devices[0].upload(Uint8Array.of(5));
  await buffer.read(Uint8Array);
  await server.crash();
  const [host, port] = server.grpc.split(":") as [string, string];
  const squatter = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => squatter.listen(Number(port), host, resolve));
  await expect(server.start()).rejects.toThrow("cannot be bound [it is in use]");
  expect((await buffer.read(Uint8Array))[0]).toBe(5);
  await new Promise((resolve) => squatter.close(resolve));
  await server.start();
  expect(await idsOf(pool)).toEqual([lease.id]);
  expect((await buffer.read(Uint8Array))[0]).toBe(5);
});

test("a command under `sluice run` does not notice that the server dies, waiting and running", async () => {
  const pool = await begin("--heartbeat-timeout", "3s");
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
  const env = { ...process.env, SLUICE_SERVER: server.grpc, SLUICE_INTERPOSER: "" };
  const job = spawn(process.execPath, ["dist/client/cli/main.js", ...words], { env });
  let stdout = "";
  let stderr = "";
  job.stdout.on("data", (text) => (stdout += String(text)));
  job.stderr.on("data", (text) => (stderr += String(text)));
  const exited = new Promise((resolve) => job.once("exit", resolve));
  try {
    await waitFor("the job to wait", async () => (await pool.leases()).queue.length === 1);
    await restart();
    await all.release();
    await waitFor("the job to run", () => stdout.includes("running"));
    await restart();
    const restartedAt = performance.now();
    await waitFor("more than the time-out", () => performance.now() - restartedAt > 4_000);
    job.stdin.end("go on");
    expect(await inTime("the job's end", exited, 20_000), stderr).toBe(0);
    expect(stdout).toContain("read 42");
    expect(stderr).toContain("It is asked again; the request keeps its place.");
    await isEmpty(pool);
  } finally {
    job.kill("SIGKILL");
  }
});

test("folders that nobody made sense of do not keep a server from starting", async () => {
  const pool = await begin();
  await server.crash();
  mkdirSync(join(server.state, "executors", "enobody"));
  mkdirSync(join(server.state, "executors", "eother"));
  writeFileSync(join(server.state, "executors", "eother", `process-${process.pid}.1.00000000`), "");
  await server.start();
  expect(existsSync(join(server.state, "executors", "enobody"))).toBe(false);
  expect(existsSync(join(server.state, "executors", "eother"))).toBe(false);
  await isEmpty(pool);
});

test("a second server for the same state is refused, and what runs there goes on", async () => {
  const pool = await begin();
  await using lease = await pool.allocate({ memory: "64MiB" });
  const buffer = lease.devices[0].upload(Uint8Array.of(9));
  await buffer.read(Uint8Array);
  await expect(server.start()).rejects.toThrow("is in use by the server with the process id");
  expect((await buffer.read(Uint8Array))[0]).toBe(9);
  expect(readFileSync(join(server.state, "serve.pid"), "utf8").trim()).toBe(String(server.pid));
  expect(await idsOf(pool)).toEqual([lease.id]);
});

test("a waiting request keeps its place over restarts, and so does everybody behind it", async () => {
  const pool = await begin();
  const all = await pool.allocate({ devices: 2, fraction: 1 });
  const others = [await open(), await open(), await open()];
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
    await restart();
    const after = (await pool.leases()).queue;
    expect(after.map(({ requestId }) => requestId)).toEqual(before.map(({ requestId }) => requestId));
    expect(after.map(({ queuedAtMs }) => queuedAtMs)).toEqual(before.map(({ queuedAtMs }) => queuedAtMs));
  }
  await all.release();
  await inTime("all of them", Promise.all(waiting), 30_000);
  expect(order).toEqual([0, 1, 2]);
  await isEmpty(pool);
});

test("SIGUSR2 ends the server alone: jobs, queue and leases are the next one's", async () => {
  const pool = await begin();
  const lease = await pool.allocate({ devices: 2, fraction: 1 });
  const buffer = lease.devices[0].upload(Uint8Array.of(3));
  await buffer.read(Uint8Array);
  const other = await open();
  const waiting = other.allocate({ memory: "64MiB", wait: "5m" });
  await waitFor("the request", async () => (await pool.leases()).queue.length === 1);
  expect(await inTime("its end", server.end("SIGUSR2"))).toBe(0);
  expect((await buffer.read(Uint8Array))[0]).toBe(3);
  await server.start();
  expect(await idsOf(pool)).toEqual([lease.id]);
  expect((await pool.leases()).queue.length).toBe(1);
  expect((await buffer.read(Uint8Array))[0]).toBe(3);
  await lease.release();
  await (await inTime("the lease", waiting)).release();
  await isEmpty(pool);
});

test("a request whose client died with the server leaves the queue after the heartbeat's time-out", async () => {
  const pool = await begin("--heartbeat-timeout", "2s");
  await using _all = await pool.allocate({ devices: 2, fraction: 1 });
  const control = rawControl();
  control.allocate({ memoryBytes: MiB, waitMs: 600_000, requestId: "gone" }).catch(() => {});
  await waitFor("the request", async () => (await pool.leases()).queue.length === 1);
  await restart();
  expect((await pool.leases()).queue.map(({ requestId }) => requestId)).toEqual(["gone"]);
  await waitFor("an empty queue", async () => (await pool.leases()).queue.length === 0);
});

test("an Allocate that comes again under its id gets the lease that was granted, and no second one", async () => {
  const pool = await begin();
  const control = rawControl();
  const request = { memoryBytes: 64 * MiB, requestId: "the-same" };
  const first = await control.allocate(request);
  await restart();
  const second = await control.allocate(request);
  expect(second.id).toBe(first.id);
  expect(second.secret.equals(first.secret)).toBe(true);
  expect(await idsOf(pool)).toEqual([first.id]);
  await control.release(first.id, first.secret);
  const third = await control.allocate(request);
  expect(third.id).not.toBe(first.id);
});

test("a job can release while no server is there: it is done when the next one comes", async () => {
  const pool = await begin();
  const lease = await pool.allocate({ memory: "64MiB" });
  await server.crash();
  const released = lease.release();
  await server.start();
  expect((await inTime("the release", released, 20_000))!.calls).toBeGreaterThan(0);
  await isEmpty(pool);
});

test("what a lease has used is in the ledger when its server dies while it releases it", async () => {
  await begin();
  const control = rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(server.data, lease);
  for (let call = 0; call < 10; call++) await session.ask(raw.attach());
  const [executor] = executorsOf(server.state);
  // The release has come as far as its executor, and no further.
  process.kill(executor!.pid, "SIGSTOP");
  control.release(lease.id, lease.secret).catch(() => {});
  await waitFor("the end of the executor's lease", () => executorsOf(server.state)[0]?.leaseId === undefined);
  await server.crash();
  process.kill(executor!.pid, "SIGCONT");
  await server.start();
  const { usage } = await rawControl().release(lease.id, lease.secret);
  expect(Number(usage!.calls)).toBe(10);
  expect(isAlive(executor!.pid)).toBe(false);
});
