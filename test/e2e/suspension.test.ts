/** Leases that are suspended and go on, against a real server: their programs notice nothing but time, and others have the room meanwhile. */
import { execFileSync } from "node:child_process";
import { connect, type Device, type Lease, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { environmentOf, runShort } from "../support/commands.ts";
import { CrashingServer } from "../support/crashing-server.ts";
import { failureOf } from "../support/failures.ts";
import { isAll } from "../support/is-all.ts";
import { untilEmpty } from "../support/pool-state.ts";
import { executorsOf } from "../support/processes.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

/** Adds one to every number of an array. */
const kernel = `.version 8.0
.target sm_80
.address_size 64
.visible .entry increment(.param .u64 p) {
.reg .b32 %r<5>; .reg .b64 %rd<4>;
ld.param.u64 %rd1, [p]; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r1, %r1, %r2, %r3;
mul.wide.u32 %rd2, %r1, 4; add.u64 %rd3, %rd1, %rd2; ld.global.u32 %r4, [%rd3]; add.u32 %r4, %r4, 1; st.global.u32 [%rd3], %r4; ret;
}`;

const count = 1 << 14;

interface Job {
  /** Every number as it is in the end. */
  readonly result: Promise<Uint32Array>;
  /** Steps done so far. */
  readonly steps: () => number;
}

/** A program that counts up on the device, and looks at every step whether it is right. */
function startJob(gpu: Device, steps: number): Job {
  let done = 0;
  const run = async (): Promise<Uint32Array> => {
    const increment = (await gpu.load(kernel)).kernel("increment");
    const numbers = gpu.upload(Uint32Array.from({ length: count }, (_, index) => index));
    for (; done < steps; done++) {
      increment.launch({ grid: count / 128, block: 128 }, [numbers]);
      const [first] = await numbers.read(Uint32Array, { length: 1 });
      if (first !== done + 1) throw new Error(`After step [${done}] there is [${first}].`);
    }
    return await numbers.read(Uint32Array);
  };
  return { result: run(), steps: () => done };
}

const isRight = (numbers: Uint32Array, steps: number): boolean =>
  numbers.every((value, index) => value === index + steps);

const stateOf = async (pool: Pool, { id }: Lease): Promise<string | undefined> =>
  (await pool.leases()).leases.find((lease) => lease.id === id)?.state.replace("LEASE_STATE_", "");

describe("a lease on a cpu device", () => {
  let server: TestServer;
  let pool: Pool;

  beforeAll(async () => {
    server = await startServer({ args: ["--device", "cpu:1x64MiB", "--preemption", "suspend"] });
    pool = await connect({ server: server.grpc, lease: "" });
  });
  afterEach(async () => {
    await untilEmpty(pool);
  });
  afterAll(async () => {
    await pool?.close().catch(() => {});
    await server?.stop();
  });

  const sluice = (...args: readonly string[]) => runShort(args, { env: environmentOf(server) });

  it("is suspended under way and goes on with the right result, and another has the whole device meanwhile", async () => {
    await using lease = await pool.allocate({ fraction: 1 });
    const notices: string[] = [];
    lease.onNotice(({ kind, message }) => notices.push(`${kind}: ${message}`));
    const job = startJob(lease.devices[0], 300);
    await waitFor("the job to be under way", async () => job.steps() > 20);
    expect(await sluice("suspend", lease.id, "--reason", "Lunch.")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(new RegExp(`^The lease ${lease.id} is suspended, .*KiB of it saved\\.\n$`)),
    });
    expect((await sluice("audit")).stdout).toMatch(/Suspend.*OK/);
    const before = job.steps();
    expect(await stateOf(pool, lease)).toBe("SUSPENDED");
    const other = await pool.allocate({ fraction: 1 });
    expect(isRight(await startJob(other.devices[0], 5).result, 5)).toBe(true);
    const asked = await sluice("resume", lease.id);
    expect(asked.stdout).toContain("Waiting, place 1 in the queue. Device [cpu:0] has [0B] free");
    expect((await sluice("leases")).stdout).toMatch(
      /until there is room, .* saved: Lunch\.\n[\s\S]*to resume 64MiB +\S+ +never\n/,
    );
    const explained = await sluice("explain", "--queued", lease.id);
    expect([explained.code, explained.stdout]).toEqual([
      75,
      expect.stringContaining(`What would have to end first: ${other.id}.`),
    ]);
    expect(job.steps()).toBe(before);
    const resumed = sluice("resume", lease.id, "--wait");
    await other.release();
    expect((await resumed).stdout).toBe(`The lease ${lease.id} goes on.\n`);
    expect(isRight(await job.result, 300)).toBe(true);
    await waitFor("the program to know", async () => notices.length === 2);
    expect(notices).toEqual(["SUSPENDED: Lunch.", "RESUMED: The lease goes on."]);
  });

  it("is suspended and resumed by its own program, and calls that come meanwhile wait", async () => {
    await using lease = await pool.allocate({ memory: "32MiB" });
    const [gpu] = lease.devices;
    const kept = gpu.upload(new Uint32Array([1, 2, 3]));
    await gpu.synchronize();
    await lease.suspend();
    let answered = false;
    const read = kept.read(Uint32Array).then((numbers) => {
      answered = true;
      return [...numbers];
    });
    expect((await sluice("resize", lease.id, "48MiB")).stderr).toContain("(SESSION_BUSY)");
    expect([answered, await stateOf(pool, lease)]).toEqual([false, "SUSPENDED"]);
    expect(await lease.resume()).toMatchObject({ position: 0 });
    expect(await read).toEqual([1, 2, 3]);
  });

  it("is suspended without a session too, whether it has had one or not: one that begins waits, and works when the lease goes on", async () => {
    const detached = async (): Promise<{ id: string; secret: string }> => {
      const { stdout } = await sluice("request", "-m", "32MiB", "--for", "1h", "--json");
      const { lease, environment } = JSON.parse(stdout);
      return { id: lease.id, secret: environment.SLUICE_LEASE };
    };
    const workOnce = async ({ secret }: { secret: string }): Promise<boolean> => {
      await using inside = await connect({ server: server.grpc, lease: secret });
      await using own = await inside.allocate({ memory: "32MiB" });
      return isRight(await startJob(own.devices[0], 3).result, 3);
    };
    const [fresh, used] = [await detached(), await detached()];
    const began = performance.now();
    expect(await workOnce(used)).toBe(true);
    const tookMs = performance.now() - began;
    for (const { id } of [fresh, used])
      expect((await sluice("suspend", id)).stdout).toBe(`The lease ${id} is suspended.\n`);
    const other = await pool.allocate({ fraction: 1 });
    let worked = 0;
    const working = [fresh, used].map((lease) =>
      workOnce(lease).finally(() => {
        worked++;
      }),
    );
    // The other lease has the memory, and works for many times as long as a session takes that does not wait.
    const until = performance.now() + 6 * tookMs;
    expect(isRight(await startJob(other.devices[0], 3).result, 3)).toBe(true);
    const kept = other.devices[0].upload(Uint8Array.of(7));
    await waitFor("many sessions' time", async () => {
      expect((await kept.read(Uint8Array))[0]).toBe(7);
      return performance.now() > until;
    });
    expect(worked).toBe(0);
    await other.release();
    for (const { id } of [fresh, used]) expect((await sluice("resume", id, "--wait")).code).toBe(0);
    expect(await Promise.all(working)).toEqual([true, true]);
    for (const { id } of [fresh, used]) await sluice("release", id);
  });

  it("ends while it is suspended, and nothing of it is left", async () => {
    const lease = await pool.allocate({ fraction: 1 });
    await lease.devices[0].upload(new Uint8Array(5)).read(Uint8Array);
    await lease.suspend();
    const reading = failureOf(lease.devices[0].upload(new Uint8Array(5)).read(Uint8Array));
    expect((await sluice("revoke", lease.id, "--grace", "0s")).code).toBe(0);
    expect((await reading).code).toBe("LEASE_REVOKED");
    expect((await sluice("resume", lease.id)).stderr).toContain("(LEASE_REVOKED)");
  });

  it("goes on when its memory cannot be saved, and says why", async () => {
    await using lease = await pool.allocate({ memory: "32MiB" });
    const [gpu] = lease.devices;
    const kept = gpu.upload(new Uint8Array(4 * MiB).fill(7));
    await gpu.synchronize();
    const executor = executorsOf(server.state).find(({ leaseId }) => leaseId?.includes(lease.id));
    execFileSync("prlimit", ["--pid", String(executor?.pid), "--fsize=65536:unlimited"]);
    const refused = await sluice("suspend", lease.id);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("(STORE_FAILED)")]);
    expect(await stateOf(pool, lease)).toBe("ATTACHED");
    expect(isAll(await kept.read(Uint8Array), 7)).toBe(true);
    execFileSync("prlimit", ["--pid", String(executor?.pid), "--fsize=unlimited:unlimited"]);
    await lease.suspend();
    await lease.resume();
    expect(isAll(await kept.read(Uint8Array), 7)).toBe(true);
  });

  it("is suspended by itself for a higher one where the server lets leases make room, and goes on right behind it", async () => {
    await using low = await pool.allocate({ fraction: 1, priority: "low" });
    const job = startJob(low.devices[0], 200);
    await waitFor("the job to be under way", async () => job.steps() > 20);
    const high = await pool.allocate({ fraction: 1, priority: "high", wait: "1m" });
    const before = job.steps();
    expect(isRight(await startJob(high.devices[0], 20).result, 20)).toBe(true);
    expect([await stateOf(pool, low), job.steps()]).toEqual(["SUSPENDED", before]);
    await high.release();
    expect(isRight(await job.result, 200)).toBe(true);
  });
});

it("a suspended lease outlives its server, and goes on with the next one", async () => {
  const server = await CrashingServer.start(["--device", "cpu:1x64MiB"]);
  const pool = await connect({ server: server.grpc, lease: "" });
  try {
    const lease = await pool.allocate({ fraction: 1 });
    const job = startJob(lease.devices[0], 100);
    await waitFor("the job to be under way", async () => job.steps() > 20);
    await lease.suspend();
    await server.crash();
    await server.start();
    await waitFor("the lease to be known as suspended", async () => (await stateOf(pool, lease)) === "SUSPENDED");
    expect((await pool.devices())[0]).toMatchObject({ freeBytes: 64 * MiB });
    await lease.resume();
    expect(isRight(await job.result, 100)).toBe(true);
    await lease.release();
  } finally {
    await pool.close();
    await server[Symbol.asyncDispose]();
  }
});
