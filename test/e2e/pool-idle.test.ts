/** Idle leases against a real server: warned, then taken back; never while a kernel runs, and never while calls come. */
import { connect, type Pool, type SluiceError } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { untilEmpty } from "../support/pool-state.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

/** Runs until its time-out. */
const endless = `.version 8.0
.target sm_80
.address_size 64
.visible .entry spin(.param .u64 p) {
.reg .b32 %r<2>; .reg .b64 %rd<2>; .reg .pred %p<2>;
ld.param.u64 %rd1, [p];
LOOP: ld.volatile.global.u32 %r1, [%rd1]; setp.eq.u32 %p1, %r1, 0; @%p1 bra LOOP; ret;
}`;

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  const times = ["--idle-timeout", "5s", "--idle-notice", "2500ms", "--kernel-timeout", "7s"];
  const args = ["--device", "cpu:2x64MiB", ...times];
  server = await startServer({ args });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

const reasonOf = (work: Promise<unknown>): Promise<SluiceError | undefined> =>
  work.then(
    () => undefined,
    (error: SluiceError) => error,
  );

describe("a lease without calls", () => {
  it("is warned, then ends, and its memory is free", async () => {
    const lease = await pool.allocate({ memory: "16MiB" });
    expect(lease.info.idleTimeoutMs).toBe(5_000);
    const notices: { kind: string; at: number }[] = [];
    lease.onNotice(({ kind }) => notices.push({ kind, at: Date.now() }));
    await waitFor("it to end", () => lease.signal.aborted);
    const endedAt = Date.now();
    expect((lease.signal.reason as SluiceError).code).toBe("LEASE_IDLE");
    // Where its session takes longer than that to begin, it is warned of that time, too.
    expect(new Set(notices.map(({ kind }) => kind))).toEqual(new Set(["IDLE"]));
    expect(endedAt - notices.at(-1)!.at).toBeGreaterThan(500);
    await untilEmpty(pool);
  });

  it("ends sooner where it asks for that, and no later than the server says", async () => {
    const short = await pool.allocate({ memory: "16MiB", idleTimeout: "3s" });
    const long = await pool.allocate({ memory: "16MiB", idleTimeout: "1h" });
    expect([short.info.idleTimeoutMs, long.info.idleTimeoutMs]).toEqual([3_000, 5_000]);
    await waitFor("the short one to end", () => short.signal.aborted);
    expect((short.signal.reason as SluiceError).code).toBe("LEASE_IDLE");
    // Its own time may be over too.
    await long.release().catch(() => {});
  });
});

it("a lease that makes calls now and then lives, also after a warning", async () => {
  const lease = await pool.allocate({ memory: "16MiB" });
  const kinds: string[] = [];
  lease.onNotice(({ kind }) => kinds.push(kind));
  const [gpu] = lease.devices;
  const buffer = gpu.upload(new Uint32Array([5]));
  await waitFor("the warning", () => kinds.length > 0);
  expect([...(await buffer.read(Uint32Array))]).toEqual([5]);
  await waitFor("the second warning", () => kinds.length > 1);
  expect(lease.signal.aborted).toBe(false);
  expect(kinds).toEqual(["IDLE", "IDLE"]);
  await lease.release();
});

it("a lease whose kernel runs is not idle, however long that takes", async () => {
  const lease = await pool.allocate({ memory: "16MiB" });
  const kinds: string[] = [];
  lease.onNotice(({ kind }) => kinds.push(kind));
  const [gpu] = lease.devices;
  const spin = (await gpu.load(endless)).kernel("spin");
  const stop = gpu.alloc(4);
  stop.fill(0);
  spin.launch({ grid: 1, block: 1 }, [stop]);
  const error = await reasonOf(gpu.synchronize());
  // It was ended by its own time-out, after it would have been warned and have lost its lease.
  expect(error?.code).toBe("KERNEL_TIMEOUT");
  expect(kinds).toEqual([]);
  expect(lease.signal.aborted).toBe(false);
  await lease.release().catch(() => {});
});
