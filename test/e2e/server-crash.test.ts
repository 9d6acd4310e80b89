/**
 * The server is killed again and again, at any instant, also while it starts, with jobs of all kinds under way: running, waiting, allocating,
 * releasing. Nothing is lost, no job sees an error, the queue keeps its order, and in the end everything adds up.
 * CRASH_SEED=N repeats the choices of a run, if not its timing.
 */
import { join } from "node:path";
import Database from "libsql";
import { connect, type Lease, type Pool } from "sluice";
import { expect, test } from "vitest";
import { CrashingServer } from "../support/crashing-server.ts";
import { executorsOf } from "../support/processes.ts";
import { createRandom } from "../support/random.ts";
import { rounds } from "../support/rounds.ts";
import { waitFor } from "../support/wait-for.ts";

const KILLS = rounds(24);
const WORKERS = 5;
const MiB = 1024 ** 2;
/** The longest that a server that is ready is left alone. */
const ALIVE_MS_MAX = 400;
/** Shorter than a start takes: such a server dies while it finds executors, restores, or opens its doors. */
const STARTING_MS_MAX = 700;

interface Finished {
  readonly leaseId: string;
  readonly calls: number;
}

const seed = Number(process.env["CRASH_SEED"] ?? Date.now() % 1_000_000_000);
const random = createRandom(seed);
const below = (bound: number): number => Math.floor(random() * bound);

/** A job's work: what comes back must be what went there, through the device. */
async function work(lease: Lease, count: number): Promise<void> {
  const [gpu] = lease.devices;
  const kept = gpu.upload(Uint8Array.of(below(256)));
  const [expected] = await kept.read(Uint8Array);
  for (let round = 0; round < count; round++) {
    const data = Float64Array.from({ length: 1 + below(2_000) }, () => random());
    const source = gpu.upload(data);
    const target = gpu.alloc(data.byteLength);
    gpu.copy(target, source);
    const back = await target.read(Float64Array);
    if (back.length !== data.length || back.some((value, index) => value !== data[index])) {
      throw new Error(`Round ${round} of the lease ${lease.id} reads back something else.`);
    }
    source.free();
    target.free();
    // Kills come at any instant: a job that asks without a pause meets no more of them, and takes all of the machine.
    if (round % 2 === 0) await pause(below(40));
  }
  // What was written first is still there.
  if ((await kept.read(Uint8Array))[0] !== expected) throw new Error(`The lease ${lease.id} has lost its memory.`);
}

/** The random instants of the test: nothing is waited for with it. */
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function finish(lease: Lease): Promise<Finished> {
  const leaseId = lease.id;
  await lease.release();
  return { leaseId, calls: lease.stats.calls };
}

/** Runs jobs one after the other until `isOver`. More is asked for than there is, so that some always wait. */
async function worker(pool: Pool, isOver: () => boolean): Promise<Finished[]> {
  const finished: Finished[] = [];
  while (!isOver()) {
    const lease = await pool.allocate({ memory: (128 + below(6) * 64) * MiB, wait: "5m" });
    await work(lease, below(40));
    finished.push(await finish(lease));
  }
  return finished;
}

const requestsOf = async (pool: Pool): Promise<string[]> =>
  (await pool.leases()).queue.map(({ requestId }) => requestId);

/** Those of `list` that are in `others` too. */
const common = (list: readonly string[], others: readonly string[]): string[] =>
  list.filter((entry) => others.includes(entry));

test(`${KILLS} kills of the server cost no lease, no place in the queue and no call (CRASH_SEED=${seed})`, async () => {
  await using server = await CrashingServer.start([
    "--device",
    "null:2x512MiB",
    "--grace",
    "1s",
    "--spare-executors",
    "1",
  ]);
  const pools = await Promise.all(
    Array.from({ length: WORKERS + 2 }, () => connect({ server: server.grpc, lease: "", outage: "1m" })),
  );
  const [watcher, ...others] = pools as [Pool, Pool, ...Pool[]];
  const [steadyPool, ...workerPools] = others as [Pool, ...Pool[]];
  let isOver = false;
  let failure: unknown;
  const watched = <T>(job: Promise<T>): Promise<T> => {
    job.catch((error: unknown) => {
      failure ??= error;
    });
    return job;
  };
  // One job lives through all of it.
  const steady = await steadyPool.allocate({ memory: 64 * MiB, name: "steady" });
  const steadyWork = watched(
    (async () => {
      while (!isOver) await work(steady, 8);
      return finish(steady);
    })(),
  );
  const workers = workerPools.map((pool) => watched(worker(pool, () => isOver)));
  const seen = { waiting: 0, unready: 0 };
  try {
    for (let kill = 0; kill < KILLS && failure === undefined; kill++) {
      await pause(below(ALIVE_MS_MAX));
      const before = await requestsOf(watcher);
      seen.waiting += before.length;
      await server.crash();
      // Once for certain.
      while (kill === 0 || random() < 0.3) {
        seen.unready++;
        kill++;
        await server.startAndCrash(below(STARTING_MS_MAX));
      }
      await server.start();
      const after = await requestsOf(watcher);
      expect(common(after, before), `the queue's order after kill ${kill}`).toEqual(common(before, after));
    }
    isOver = true;
    const finished = [await steadyWork, ...(await Promise.all(workers)).flat()];
    expect(seen.waiting).toBeGreaterThan(0);
    expect(seen.unready).toBeGreaterThan(0);
    await checkEnd(server, watcher, finished);
  } catch (error) {
    console.error(`CRASH_SEED=${seed}`, failure ?? error, server.log.split("\n").slice(-80).join("\n"));
    throw failure ?? error;
  } finally {
    isOver = true;
    await Promise.all(pools.map((pool) => pool.close()));
  }
}, 240_000);

async function checkEnd(server: CrashingServer, pool: Pool, finished: readonly Finished[]): Promise<void> {
  expect((await pool.leases()).leases).toEqual([]);
  expect((await pool.leases()).queue).toEqual([]);
  for (const device of await pool.devices()) expect(device.freeBytes).toBe(device.memoryBytes);
  await waitFor("no executor but a spare", () => {
    const left = executorsOf(server.state);
    return left.length <= 1 && left.every(({ leaseId }) => leaseId === undefined);
  });
  // The ledger has every lease that a job had, once, with what the job did, and no other.
  const database = new Database(join(server.state, "sluice.db"), { readonly: true });
  const rows = database.prepare("SELECT id, calls, end_code FROM leases").all() as {
    id: string;
    calls: number;
    end_code: string;
  }[];
  const waiting = database.prepare("SELECT id FROM requests").all();
  database.close();
  expect(waiting).toEqual([]);
  expect(new Set(finished.map(({ leaseId }) => leaseId)).size).toBe(finished.length);
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
  const expected = finished.map(({ leaseId: id, calls }) => ({ id, calls, end_code: "RELEASED" }));
  expect(rows.map(({ id, calls, end_code }) => ({ id, calls, end_code })).sort(byId)).toEqual(expected.sort(byId));
}
