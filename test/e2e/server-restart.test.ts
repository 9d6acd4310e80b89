/** What becomes of leases when their server dies, and of the jobs under them: one sentence of ARCHITECTURE's promises each. */
import { expect, test } from "vitest";
import { leaseIds, untilEmpty } from "../support/pool-state.ts";
import { executorsOf } from "../support/processes.ts";
import { MiB, RawSession, raw } from "../support/raw-client.ts";
import { restarts } from "../support/restarts.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const stage = restarts();

test("a job works on while no server is there, and the next server has its lease, its use and its heartbeats", async () => {
  const pool = await stage.begin("--heartbeat-timeout", "5s");
  const lease = await pool.allocate({ memory: "128MiB", name: "survivor" });
  const buffer = lease.devices[0].upload(Uint8Array.of(1, 2, 3));
  expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  await stage.server.crash();
  expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  await stage.server.start();
  const known = await waitFor("the attached lease", async () => {
    const [found] = (await pool.leases()).leases;
    return found?.state === "LEASE_STATE_ATTACHED" ? found : undefined;
  });
  expect(known).toMatchObject({ id: lease.id, name: "survivor", clientAddress: "unix" });
  expect(Number(known.usage!.calls)).toBeGreaterThanOrEqual(3);
  // Longer than the time-out: its heartbeats have come back.
  const restartedAt = performance.now();
  await waitFor("more than the time-out", () => performance.now() - restartedAt > 6_000);
  expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  const calls = lease.stats.calls;
  const usage = await lease.release();
  expect(usage!.calls).toBe(calls);
  await untilEmpty(pool);
  expect(executorsOf(stage.server.state)).toEqual([]);
});

test("a lease without a session takes a connection after the restart, again and again", async () => {
  await stage.begin();
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  control.hold(lease);
  const first = await RawSession.open(stage.server.data, lease);
  await first.ask(raw.attach());
  await first.close();
  for (let round = 0; round < 3; round++) {
    await stage.restart();
    const session = await RawSession.open(stage.server.data, lease);
    expect((await session.ask(raw.attach())).code).toBe("OK");
    await session.close();
  }
  expect(executorsOf(stage.server.state).length).toBe(1);
  await control.release(lease.id, lease.secret);
});

test("a lease that was never attached is there after the restart", async () => {
  const pool = await stage.begin();
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  await stage.restart();
  expect(await leaseIds(pool)).toEqual([lease.id]);
  const session = await RawSession.open(stage.server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  await expect(control.release(lease.id, lease.secret)).resolves.toMatchObject({ released: true });
  await untilEmpty(pool);
});

test("a job that does not come back loses its lease after the heartbeat's full time-out", async () => {
  const pool = await stage.begin("--heartbeat-timeout", "4s");
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: MiB });
  await stage.server.crash();
  const crashedAt = performance.now();
  await waitFor("more than the time-out", () => performance.now() - crashedAt > 4_500);
  const startedAt = performance.now();
  await stage.server.start();
  expect(await leaseIds(pool)).toEqual([lease.id]);
  await untilEmpty(pool);
  expect(performance.now() - startedAt).toBeGreaterThan(4_000);
  await expect(RawSession.open(stage.server.data, lease)).rejects.toThrow("LEASE_EXPIRED");
});

test("a lease whose time is over while no server is there ends at the start", async () => {
  const pool = await stage.begin();
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: MiB, detached: true, durationMaxMs: 3_000 });
  const session = await RawSession.open(stage.server.data, lease);
  await session.ask(raw.attach());
  await stage.server.crash();
  await waitFor("the lease's end", () => Date.now() > Number(lease.granted.lease!.endsAtMs));
  await stage.server.start();
  expect(await session.connection.refusal()).toBe("LEASE_TIME_OVER");
  await untilEmpty(pool);
});

test("SIGUSR2 ends the server alone: jobs, queue and leases are the next one's", async () => {
  const pool = await stage.begin();
  const lease = await pool.allocate({ devices: 2, fraction: 1 });
  const buffer = lease.devices[0].upload(Uint8Array.of(3));
  await buffer.read(Uint8Array);
  const other = await stage.open();
  const waiting = other.allocate({ memory: "64MiB", wait: "5m" });
  await waitFor("the request", async () => (await pool.leases()).queue.length === 1);
  expect(await inTime("its end", stage.server.handOver())).toBe(0);
  expect((await buffer.read(Uint8Array))[0]).toBe(3);
  await stage.server.start();
  expect(await leaseIds(pool)).toEqual([lease.id]);
  expect((await pool.leases()).queue.length).toBe(1);
  expect((await buffer.read(Uint8Array))[0]).toBe(3);
  await lease.release();
  await (await inTime("the lease", waiting)).release();
  await untilEmpty(pool);
});

test("jobs that get their leases while SIGUSR2 ends the server notice nothing, again and again", async () => {
  const pool = await stage.begin();
  const jobs = await Promise.all(Array.from({ length: 6 }, () => stage.open()));
  let goOn = true;
  let done = 0;
  const working = jobs.map(async (own, at) => {
    while (goOn) {
      const lease = await own.allocate({ memory: "16MiB", wait: "1m" });
      const buffer = lease.devices[0].upload(Uint8Array.of(at));
      expect([...(await buffer.read(Uint8Array))]).toEqual([at]);
      await lease.release();
      done++;
    }
  });
  const all = Promise.all(working);
  all.catch(() => {});
  for (let round = 0; round < 3; round++) {
    const before = done;
    await Promise.race([all, waitFor("jobs that are done", () => done >= before + 6)]);
    expect(await inTime("its end", stage.server.handOver())).toBe(0);
    await stage.server.start();
  }
  goOn = false;
  await inTime("the last jobs", all);
  await untilEmpty(pool);
});

test("a job can release while no server is there: it is done when the next one comes", async () => {
  const pool = await stage.begin();
  const lease = await pool.allocate({ memory: "64MiB" });
  await stage.server.crash();
  const released = lease.release();
  await stage.server.start();
  expect((await inTime("the release", released))!.calls).toBeGreaterThan(0);
  await untilEmpty(pool);
});
