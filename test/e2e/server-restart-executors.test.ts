/** What becomes of executors that have lost their server, and what the next one makes of them. */
import { join } from "node:path";
import Database from "libsql";
import type { SluiceError } from "sluice";
import { expect, test } from "vitest";
import { Control } from "../../client/control.ts";
import { Lease } from "../../client/lease.ts";
import { leaseIds, untilEmpty } from "../support/pool-state.ts";
import { executorsOf, isAlive } from "../support/processes.ts";
import { MiB, RawSession, raw } from "../support/raw-client.ts";
import { restarts } from "../support/restarts.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const stage = restarts();

test("an executor that dies while no server is there ends its lease, with the reason for whoever asks; one that is killed once it is adopted at once, and its memory is free when it is gone", async () => {
  const pool = await stage.begin();
  const lost = await pool.allocate({ memory: "64MiB" });
  const kept = await pool.allocate({ memory: "64MiB" });
  const buffer = kept.devices[0].upload(Uint8Array.of(7));
  await buffer.read(Uint8Array);
  await stage.server.crash();
  const [victim] = executorsOf(stage.server.state).filter(({ leaseId }) => leaseId === lost.id);
  process.kill(victim!.pid, "SIGKILL");
  await waitFor("its death", () => !isAlive(victim!.pid));
  await stage.server.start();
  await waitFor("the lease's end", () => lost.signal.aborted);
  expect(await leaseIds(pool)).toEqual([kept.id]);
  expect((await pool.devices()).reduce((sum, device) => sum + device.grantedBytes, 0)).toBe(64 * MiB);
  expect((await buffer.read(Uint8Array))[0]).toBe(7);
  // The other one, which the next server has adopted.
  const [adopted] = executorsOf(stage.server.state);
  const ended = new Promise<SluiceError>((resolve) =>
    kept.signal.addEventListener("abort", () => resolve(kept.signal.reason as SluiceError)),
  );
  process.kill(adopted!.pid, "SIGKILL");
  expect((await inTime("the lease's end", ended)).code).toBe("EXECUTOR_FAILED");
  await untilEmpty(pool);
  expect(executorsOf(stage.server.state)).toEqual([]);
});

test("an executor without a lease is ended at the start", async () => {
  const pool = await stage.begin();
  const lease = await pool.allocate({ memory: "64MiB" });
  await stage.server.crash();
  const [executor] = executorsOf(stage.server.state);
  // As if the lease had been closed in the store, and the server killed before it could end the executor.
  const database = new Database(join(stage.server.state, "sluice.db"));
  database.exec("UPDATE leases SET ended_at = 1, secret = NULL");
  database.close();
  await stage.server.start();
  expect(isAlive(executor!.pid)).toBe(false);
  expect(executorsOf(stage.server.state)).toEqual([]);
  await untilEmpty(pool);
  await waitFor("the job to hear of it", () => lease.signal.aborted);
});

test("executors end when no server comes back within the time-out, tell their clients, and leave what their leases have used", async () => {
  await stage.begin("--orphan-timeout", "3s");
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(stage.server.data, lease);
  await session.ask(raw.attach());
  const [executor] = executorsOf(stage.server.state);
  await stage.server.crash();
  // Of these no server has heard.
  for (let calls = 0; calls < 10; calls++) await session.ask(raw.attach());
  expect(await session.connection.refusal()).toBe("EXECUTOR_FAILED");
  await waitFor("its end", () => !isAlive(executor!.pid));
  await stage.server.start();
  await expect(RawSession.open(stage.server.data, lease)).rejects.toThrow("EXECUTOR_FAILED");
  const { usage } = await stage.rawControl().release(lease.id, lease.secret);
  expect(Number(usage!.calls)).toBe(11);
});

test("an executor that says nothing at the start keeps its lease, and takes a session once it speaks", async () => {
  const pool = await stage.begin();
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  control.hold(lease);
  const first = await RawSession.open(stage.server.data, lease);
  await first.ask(raw.attach());
  await first.close();
  const [executor] = executorsOf(stage.server.state);
  await stage.server.crash();
  process.kill(executor!.pid, "SIGSTOP");
  await stage.server.start();
  expect(await leaseIds(pool)).toEqual([lease.id]);
  await expect(RawSession.open(stage.server.data, lease)).rejects.toThrow("SESSION_BUSY");
  // A program whose own new lease it is knows that this passes.
  const own = new Control({ server: stage.server.grpc });
  const { lease: info, connection } = lease.granted;
  const key = { leaseId: lease.id, secret: lease.secret };
  const terms = { info: info!, connection: connection!, devices: 1, owned: true, onOutput: () => {} };
  const opening = Lease.open({ control: own, key, ...terms });
  await expect(inTime("nothing", opening, 300)).rejects.toThrow("in vain");
  process.kill(executor!.pid, "SIGCONT");
  const opened = await inTime("the program's session", opening);
  expect([...(await opened.devices[0].upload(Uint8Array.of(7)).read(Uint8Array))]).toEqual([7]);
  expect(executorsOf(stage.server.state).map(({ pid }) => pid)).toEqual([executor!.pid]);
  await opened.release();
  own.close();
});

test("what a lease has used is in the ledger when its server dies while it releases it", async () => {
  await stage.begin();
  const control = stage.rawControl();
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(stage.server.data, lease);
  for (let call = 0; call < 10; call++) await session.ask(raw.attach());
  const [executor] = executorsOf(stage.server.state);
  // The release has come as far as its executor, and no further.
  process.kill(executor!.pid, "SIGSTOP");
  control.release(lease.id, lease.secret).catch(() => {});
  await waitFor("the end of the executor's lease", () => executorsOf(stage.server.state)[0]?.leaseId === undefined);
  await stage.server.crash();
  process.kill(executor!.pid, "SIGCONT");
  await stage.server.start();
  const { usage } = await stage.rawControl().release(lease.id, lease.secret);
  expect(Number(usage!.calls)).toBe(10);
  expect(isAlive(executor!.pid)).toBe(false);
});
