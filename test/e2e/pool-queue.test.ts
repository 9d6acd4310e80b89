/** The settings of the queue, each shown by what it changes on a real server. */
import { connect, type Lease, type Pool, type SluiceError } from "sluice";
import { describe, expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { failureOf } from "../support/failures.ts";
import { startServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

/** Runs `work` with a server of one device of 1 GiB, unless `args` name others. */
async function withServer(
  args: readonly string[],
  work: (pool: Pool, address: string) => Promise<void>,
): Promise<void> {
  await using server = await startServer({
    args: args.includes("--device") ? args : ["--device", "null:1x1GiB", ...args],
  });
  await using pool = await connect({ server: server.grpc, lease: "" });
  await work(pool, server.grpc);
}

const untilWaiting = (pool: Pool, count: number): Promise<unknown> =>
  waitFor("requests to wait", async () => (await pool.leases()).queue.length === count);

/** Leases in the way of a request for a whole device, one of which is kept for it; and what becomes of a small request behind it. */
async function small(pool: Pool): Promise<{ readonly code: string; readonly reasons: readonly string[] }> {
  await using _holder = await pool.allocate({ devices: 2, memory: "512MiB" });
  const controller = new AbortController();
  const big = failureOf(pool.allocate({ memory: "1GiB", wait: "1m", signal: controller.signal }));
  await untilWaiting(pool, 1);
  const error = await pool.allocate({ memory: "256MiB" }).then(
    async (lease) => void (await lease.release()),
    (refused: SluiceError) => refused,
  );
  controller.abort();
  expect((await big).code).toBe("CANCELLED");
  return { code: error?.code ?? "granted", reasons: error?.details.reasons?.map(({ code }) => code) ?? [] };
}

describe("preemption", () => {
  it("makes room for a higher priority, after a notice and the grace", async () => {
    await withServer(["--preemption", "--preemption-grace", "400ms"], async (pool) => {
      const low = await pool.allocate({ memory: "1GiB", priority: -1 });
      const notices: string[] = [];
      low.onNotice(({ kind, message }) => notices.push(`${kind}: ${message}`));
      const asked = performance.now();
      await using high = await pool.allocate({ memory: "1GiB", priority: 1, wait: "1m" });
      expect(performance.now() - asked).toBeGreaterThanOrEqual(350);
      expect(high.info.priority).toBe(1);
      expect(notices).toEqual(["PREEMPTED: The lease makes room for a request of priority [1]."]);
      expect((await failureOf(low.devices[0].synchronize())).code).toBe("LEASE_PREEMPTED");
      await low.release().catch(() => {});
    });
  });

  it("happens to nobody unless an admin asks for it", async () => {
    await withServer([], async (pool) => {
      await using low = await pool.allocate({ memory: "1GiB", priority: -1 });
      const error = await failureOf(pool.allocate({ memory: "1GiB", priority: 1, wait: "600ms" }));
      expect(error.code).toBe("NO_CAPACITY");
      await low.devices[0].synchronize();
    });
  });
});

describe("the first of the queue", () => {
  it("may be passed by who has room, a bounded number of times", async () => {
    await withServer(["--queue-passes", "1", "--device", "null:2x1GiB"], async (pool) => {
      expect(await small(pool)).toEqual({ code: "granted", reasons: [] });
    });
  });

  it("is passed by nobody with --queue-passes 0, and who waits behind it is told so", async () => {
    await withServer(["--queue-passes", "0", "--device", "null:2x1GiB"], async (pool, address) => {
      expect(await small(pool)).toEqual({ code: "NO_CAPACITY", reasons: ["AHEAD_IN_QUEUE", "AHEAD_IN_QUEUE"] });
      // Nothing of it is left once the first has gone.
      const explained = await runShort(["explain", "-m", "256MiB"], { env: { SLUICE_SERVER: address } });
      expect(explained).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^It would be granted now:\n {2}256MiB of /),
      });
    });
  });
});

it("a queue that is full refuses at once", async () => {
  await withServer(["--queue-entries", "1"], async (pool) => {
    const leases: Lease[] = [await pool.allocate({ memory: "1GiB" })];
    const waiting = pool.allocate({ memory: "1GiB", wait: "1m" }).then((lease) => leases.push(lease));
    await untilWaiting(pool, 1);
    expect((await failureOf(pool.allocate({ memory: "1MiB", wait: "1m" }))).code).toBe("QUEUE_FULL");
    await leases[0]!.release();
    await waiting;
    await leases[1]!.release();
  });
});

it("the first of the queue is shown with its start, where the ends of the leases in its way are known", async () => {
  await withServer([], async (pool, address) => {
    const short = await pool.allocate({ memory: "1GiB", durationMax: "1h" });
    const waiting = pool.allocate({ memory: "1GiB", wait: "2h", priority: 3 });
    await untilWaiting(pool, 1);
    const [entry] = (await pool.leases()).queue;
    expect(entry).toMatchObject({ priority: 3, position: 1, startsAtMs: short.info.endsAtMs });
    const { stdout } = await runShort(["leases"], { env: { SLUICE_SERVER: address } });
    expect(stdout).toContain(`It is served by ${new Date(short.info.endsAtMs).toISOString()} at the latest.`);
    await short.release();
    await (await waiting).release();
  });
});
