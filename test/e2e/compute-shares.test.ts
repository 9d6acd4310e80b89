/**
 * Compute shares from end to end, on a cpu device: clients that always have work ask for parts of its time. What each gets is compared with what
 * the others get in the same time, and generously: how fast the machine is, and who else uses it, is nobody's promise.
 */
import { connect, type Kernel, type Lease, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { BusyClient, partsOf } from "../support/busy-clients.ts";
import { runShort } from "../support/commands.ts";
import { endExecutorsOf, executorsOf } from "../support/processes.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

/** A kernel that counts to `n` in each thread. */
const spinning = `.version 7.0
.target sm_75
.address_size 64
.visible .entry spin(.param .u32 n)
{
	.reg .u32 %r<4>;
	.reg .pred %p;
	ld.param.u32 %r1, [n];
	mov.u32 %r2, 0;
AGAIN:
	add.u32 %r2, %r2, 1;
	mul.lo.u32 %r3, %r2, %r2;
	setp.lt.u32 %p, %r2, %r1;
	@%p bra AGAIN;
	ret;
}
`;
/** A quarter of a millisecond or more. */
const ROUNDS = 20_000;
const KERNELS = 3_000;

let server: TestServer;
let pool: Pool;
const leases: Lease[] = [];
const clients: BusyClient[] = [];

/** A server for the tests of a block. */
function serving(policy: string): void {
  beforeAll(async () => {
    server = await startServer({
      args: ["--device", "cpu:1x1GiB", "--compute-policy", policy, "--kernel-timeout", "1m"],
    });
    pool = await connect({ server: server.grpc, lease: "" });
  });
  afterAll(async () => {
    void pool.close().catch(() => {}); // Its server may be dead.
    await server.stop();
  });
}

async function spinOn(compute?: number): Promise<{ lease: Lease; kernel: Kernel }> {
  const lease = await pool.allocate({ memory: "16MiB", ...(compute === undefined ? {} : { compute }) });
  leases.push(lease);
  return { lease, kernel: (await lease.devices[0].load(spinning)).kernel("spin") };
}

/** One that works from now on. */
async function busy(compute?: number): Promise<BusyClient> {
  const { lease, kernel } = await spinOn(compute);
  return busyWith(lease, kernel);
}

function busyWith(lease: Lease, kernel: Kernel): BusyClient {
  const client = new BusyClient({ lease, kernel, args: [ROUNDS], grid: 4, batch: 20 });
  clients.push(client);
  return client;
}

afterEach(async () => {
  // What they have issued ahead ends with their leases.
  const ended = clients.splice(0).map((client) => client.stop());
  await Promise.allSettled([...ended, ...leases.splice(0).map((lease) => lease.release())]);
});

describe("leases that were promised parts of a device's time", () => {
  serving("guaranteed");

  it("are told by the pool, by who waits why, and are given back", async () => {
    const { lease } = await spinOn(0.75);
    expect(lease.info.slices[0]).toMatchObject({ compute: 0.75 });
    expect((await pool.devices())[0]).toMatchObject({ freeCompute: 0.25 });
    const refused = pool.allocate({ memory: "16MiB", compute: 0.3 });
    await expect(refused).rejects.toMatchObject({
      code: "NO_CAPACITY",
      details: { reasons: [expect.objectContaining({ code: "NOT_ENOUGH_COMPUTE" })] },
    });
    await expect(pool.allocate({ memory: "16MiB", compute: 1.5 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    const to = ["--server", server.grpc];
    const told = await runShort(["leases", ...to]);
    expect(told.stdout).toMatch(/Uses \d+\/75% of its devices' time, the second number promised\./);
    expect((await runShort(["list", ...to])).stdout).toContain("cpu:0: 75% of its time is promised (--compute).");
    const explained = await runShort(["explain", "-m", "16MiB", "--compute", "20%", ...to]);
    expect(explained).toMatchObject({ code: 0, stdout: expect.stringContaining("16MiB and 20% of the time of cpu:0") });
    expect((await runShort(["explain", "-m", "16MiB", "--compute", "0.3", ...to])).stdout).toContain(
      "[0.25] of its time",
    );
    expect((await runShort(["explain", "-m", "16MiB", "--compute", "2", ...to])).code).toBe(2);
    await lease.release();
    expect((await pool.devices())[0]).toMatchObject({ freeCompute: 1 });
  });

  it("go on when an executor is killed while it has the turn, which it loses", async () => {
    const long = await spinOn(0.5);
    const other = await busy(0.5);
    await partsOf([other], 100);
    long.kernel.launch({ grid: 1, block: 1 }, [2 ** 32 - 1]);
    const failed = expect(long.lease.devices[0].synchronize()).rejects.toThrow();
    // It has the turn once the other comes no further.
    for (let before = -1; other.done !== before; ) {
      before = other.done;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const { pid } = executorsOf(server.state).find(({ leaseId }) => leaseId === long.lease.id)!;
    process.kill(pid, "SIGKILL");
    await partsOf([other], 100);
    await failed;
  });

  it("get them, whoever came first, and also after the server's death", async () => {
    await busy(0.9);
    await busy(0.1);
    // The first kernel of each has to be compiled, beside one that takes all cores.
    await waitFor("work of both", () => clients.every(({ done }) => done > 0), 60_000);
    await partsOf(clients, KERNELS / 5);
    // For long, since a busy machine may let one of them stand for half a second.
    const [most, least] = await partsOf(clients, 2 * KERNELS);
    expect(most).toBeGreaterThan(0.7);
    expect(least).toBeGreaterThan(0.02);
    server.kill("SIGKILL");
    await server.exited;
    expect((await partsOf(clients, 2 * KERNELS))[0]).toBeGreaterThan(0.7);
    // They end with their executors, and nobody is there to be told.
    const ended = clients.splice(0).map((client) => client.stop());
    endExecutorsOf(server.state);
    await Promise.allSettled(ended);
    leases.length = 0;
  });
});

describe("a server that gives each lease its part and no more", () => {
  serving("fixed");

  it("gives no more while the device idles", async () => {
    const { lease, kernel } = await spinOn(0.6);
    const startedAt = performance.now();
    const whole = busyWith(lease, kernel);
    await partsOf([whole], KERNELS);
    await whole.stop();
    const { deviceMs } = (await lease.release())!;
    // From its beginning on, but for a little that it may have missed.
    expect(deviceMs).toBeLessThan(0.6 * (performance.now() - startedAt) + 150);
  });
});

describe("a server that holds no shares", () => {
  serving("best-effort");

  it("says so to whoever asks for one, and lets all work begin as it comes", async () => {
    const [told, silent] = [await spinOn(0.25), await spinOn()];
    expect(told.lease.warnings).toEqual([expect.stringContaining("holds no compute shares")]);
    expect(silent.lease.warnings).toEqual([]);
    for (const { lease, kernel } of [told, silent]) {
      kernel.launch({ grid: 1, block: 1 }, [1]);
      await lease.devices[0].synchronize();
    }
  });
});
