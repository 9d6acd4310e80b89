/** What becomes of leases when their server dies, and of the jobs under them: one sentence of ARCHITECTURE's promises each. */
import { expect, test } from "vitest";
import { leaseIds, untilEmpty } from "../support/pool-state.ts";
import { executorsOf } from "../support/processes.ts";
import { MiB, type RawLease, RawSession, raw } from "../support/raw-client.ts";
import { restarts } from "../support/restarts.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const stage = restarts();

test("over an outage longer than the heartbeat's time-out: who works on keeps the lease and its use, who released has released, who is gone has the full time-out again, and whose time was over ends", async () => {
  const pool = await stage.begin("--heartbeat-timeout", "4s");
  const lease = await pool.allocate({ memory: "128MiB", name: "survivor" });
  const buffer = lease.devices[0].upload(Uint8Array.of(1, 2, 3));
  const works = async (): Promise<void> => expect([...(await buffer.read(Uint8Array))]).toEqual([1, 2, 3]);
  await works();
  const given = await pool.allocate({ memory: "64MiB" });
  const control = stage.rawControl();
  const lost = await control.allocate({ memoryBytes: MiB });
  const ending = await control.allocate({ memoryBytes: MiB, detached: true, durationMaxMs: 3_000 });
  const session = await RawSession.open(stage.server.data, ending);
  await session.ask(raw.attach());
  await stage.server.crash();
  const crashedAt = performance.now();
  const released = given.release();
  await waitFor("more than both times", async () => {
    await works();
    return performance.now() - crashedAt > 4_500 && Date.now() > Number(ending.granted.lease!.endsAtMs);
  });
  const startedAt = performance.now();
  await stage.server.start();
  expect((await inTime("the release", released))!.calls).toBeGreaterThan(0);
  expect(await session.connection.refusal()).toBe("LEASE_TIME_OVER");
  expect((await leaseIds(pool)).sort()).toEqual([lease.id, lost.id].sort());
  const known = await waitFor("the attached lease", async () =>
    (await pool.leases()).leases.find(({ id, state }) => id === lease.id && state === "LEASE_STATE_ATTACHED"),
  );
  expect(known).toMatchObject({ name: "survivor", clientAddress: "unix" });
  expect(Number(known.usage!.calls)).toBeGreaterThanOrEqual(3);
  await waitFor("the end of the lease that nobody beats for", async () => (await leaseIds(pool)).length === 1);
  expect(performance.now() - startedAt).toBeGreaterThan(4_000);
  await expect(RawSession.open(stage.server.data, lost)).rejects.toThrow("LEASE_EXPIRED");
  // It lives longer than the time-out: its heartbeats have come back.
  await waitFor("more than the time-out", () => performance.now() - startedAt > 5_500);
  await works();
  const calls = lease.stats.calls;
  const usage = await lease.release();
  expect(usage!.calls).toBe(calls);
  await untilEmpty(pool);
  expect(executorsOf(stage.server.state)).toEqual([]);
});

test("leases without a session, whether they had one or not, take a connection after the restart, again and again", async () => {
  const pool = await stage.begin();
  const control = stage.rawControl();
  const [used, fresh] = [
    await control.allocate({ memoryBytes: 64 * MiB }),
    await control.allocate({ memoryBytes: 64 * MiB }),
  ];
  for (const lease of [used, fresh]) control.hold(lease);
  const attach = async (lease: RawLease): Promise<void> => {
    const session = await RawSession.open(stage.server.data, lease);
    expect((await session.ask(raw.attach())).code).toBe("OK");
    await session.close();
  };
  await attach(used);
  for (let round = 0; round < 2; round++) {
    await stage.restart();
    expect((await leaseIds(pool)).sort()).toEqual([used.id, fresh.id].sort());
    await attach(used);
  }
  expect(executorsOf(stage.server.state).length).toBe(1);
  await attach(fresh);
  for (const { id, secret } of [used, fresh])
    await expect(control.release(id, secret)).resolves.toMatchObject({ released: true });
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
  const jobs = await Promise.all(Array.from({ length: 3 }, () => stage.open()));
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
  for (let round = 0; round < 2; round++) {
    const before = done;
    await Promise.race([all, waitFor("jobs that are done", () => done >= before + 3)]);
    expect(await inTime("its end", stage.server.handOver())).toBe(0);
    await stage.server.start();
  }
  goOn = false;
  await inTime("the last jobs", all);
  await untilEmpty(pool);
});
