/** Leases that grow and shrink while they run, against a real server: bytes in the pool, in the executor and in the program agree. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Lease, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { environmentOf, runEach, runShort } from "../support/commands.ts";
import { failureOf } from "../support/failures.ts";
import { untilEmpty } from "../support/pool-state.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

const kernel = `.version 8.0
.target sm_80
.address_size 64
.visible .entry last(.param .u64 p, .param .u32 v) {
.reg .b32 %r<2>; .reg .b64 %rd<2>;
ld.param.u64 %rd1, [p]; ld.param.u32 %r1, [v]; st.global.u32 [%rd1], %r1; ret;
}`;

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:1x256MiB", "--device", "null:1x256MiB,label=kind=null"] });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterEach(async () => {
  await untilEmpty(pool);
});
afterAll(async () => {
  // What a failed test has left behind must not keep the server running.
  await pool?.close().catch(() => {});
  await server?.stop();
});

const sluice = (...args: readonly string[]) => runShort(args, { env: environmentOf(server) });

const on = (kind: string) => ({ filters: [`device.kind=${kind}`] });

/** Bytes of the lease's first slice as the pool has them, and as the device's sums have them. */
async function held(lease: Lease): Promise<[slice: number, granted: number]> {
  const slice = (await pool.leases()).leases.find(({ id }) => id === lease.id)!.slices[0]!;
  const device = (await pool.devices()).find(({ id }) => id === slice.deviceId)!;
  expect(device.grantedBytes + device.overheadBytes + device.freeBytes).toBe(device.memoryBytes);
  return [slice.memoryBytes, device.grantedBytes];
}

describe.each(["cpu", "null"])("a slice of a %s device", (kind) => {
  it("grows and shrinks in place, and keeps what its buffers hold", async () => {
    await using lease = await pool.allocate({ memory: "32MiB", ...on(kind) });
    const [gpu] = lease.devices;
    const kept = gpu.upload(new Uint32Array([1, 2, 3]));
    expect((await failureOf(() => gpu.alloc(40 * MiB))).code).toBe("OUT_OF_MEMORY");
    await gpu.resize("64MiB");
    expect(await held(lease)).toEqual([64 * MiB, 64 * MiB]);
    expect(gpu.memoryInfo().totalBytes).toBe(64 * MiB);
    const large = gpu.alloc(40 * MiB);
    large.fill(7);
    large.write(new Uint32Array([9]), { offset: 40 * MiB - 4 });
    expect([...(await large.read(Uint32Array, { offset: 40 * MiB - 4, length: 1 }))]).toEqual([9]);
    const error = await failureOf(gpu.resize("32MiB"));
    expect([error.code, error.message]).toEqual(["BAD_ARGUMENT", expect.stringContaining("[32MiB]")]);
    expect(await held(lease)).toEqual([64 * MiB, 64 * MiB]);
    large.free();
    await gpu.resize("16MiB");
    expect(await held(lease)).toEqual([16 * MiB, 16 * MiB]);
    expect(gpu.memoryInfo().totalBytes).toBe(16 * MiB);
    expect((await failureOf(() => gpu.alloc(17 * MiB))).code).toBe("OUT_OF_MEMORY");
    expect([...(await kept.read(Uint32Array))]).toEqual([1, 2, 3]);
    await gpu.resize("256MiB");
    expect([...(await kept.read(Uint32Array))]).toEqual([1, 2, 3]);
  });

  it("grows no further than the device has room, or the tenant's quota", async () => {
    await using lease = await pool.allocate({ memory: "64MiB", ...on(kind) });
    await using _other = await pool.allocate({ memory: "128MiB", ...on(kind) });
    expect((await failureOf(lease.resize("192MiB"))).code).toBe("NO_CAPACITY");
    expect((await failureOf(lease.resize("1GiB"))).code).toBe("IMPOSSIBLE_REQUEST");
    await sluice("quota", "local", "--memory", "200MiB");
    expect((await failureOf(lease.resize("96MiB"))).code).toBe("QUOTA_EXCEEDED");
    await sluice("quota", "local", "--none");
    await lease.resize("128MiB");
    expect((await held(lease))[0]).toBe(128 * MiB);
  });

  it("gives what it sheds to whoever waits for it", async () => {
    await using lease = await pool.allocate({ memory: "256MiB", ...on(kind) });
    const waiting = pool.allocate({ memory: "128MiB", wait: "1m", ...on(kind) });
    await waitFor("it to wait", async () => (await pool.leases()).queue.length === 1);
    await lease.resize("128MiB");
    await (await waiting).release();
  });

  it("changes while calls go on, one change at a time", async () => {
    await using lease = await pool.allocate({ memory: "32MiB", ...on(kind) });
    const [gpu] = lease.devices;
    const growing = gpu.resize("64MiB");
    expect((await failureOf(gpu.resize("96MiB"))).code).toBe("SESSION_BUSY");
    for (let round = 0; round < 50; round++) {
      const buffer = gpu.upload(new Uint32Array([round]));
      expect([...(await buffer.read(Uint32Array))]).toEqual([round]);
      buffer.free();
    }
    await growing;
    expect(gpu.memoryInfo().totalBytes).toBe(64 * MiB);
  });

  it("is told to its program when somebody else grows it, and shrinks by its program alone", async () => {
    const lease = await pool.allocate({ memory: "32MiB", ...on(kind) });
    const [gpu] = lease.devices;
    gpu.upload(new Uint8Array(1));
    const grown = await sluice("resize", lease.id, "64MiB");
    expect(grown.stdout).toMatch(new RegExp(`^The lease ${lease.id} has 64MiB of ${kind}:0\\.\n$`));
    await waitFor("the program to know", () => gpu.memoryInfo().totalBytes === 64 * MiB);
    gpu.alloc(60 * MiB).fill(1);
    await gpu.synchronize();
    const refused = await sluice("resize", lease.id, "32MiB");
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("(SESSION_BUSY)")]);
    await lease.release();
  });
});

it("a kernel loaded before reaches what a slice has grown to, and not what it has shed", async () => {
  await using lease = await pool.allocate({ memory: "16MiB", ...on("cpu") });
  const [gpu] = lease.devices;
  const last = (await gpu.load(kernel)).kernel("last");
  await gpu.resize("64MiB");
  const buffer = gpu.alloc(60 * MiB);
  last.launch({ grid: 1, block: 1 }, [buffer.at(60 * MiB - 4), 42]);
  expect([...(await buffer.read(Uint32Array, { offset: 60 * MiB - 4, length: 1 }))]).toEqual([42]);
  const address = buffer.address + 40 * MiB;
  buffer.free();
  await gpu.resize("16MiB");
  last.launch({ grid: 1, block: 1 }, [BigInt(address), 42]);
  expect((await failureOf(gpu.synchronize())).code).toBe("ILLEGAL_ADDRESS");
});

it("a lease without a session changes size, and begins with it", async () => {
  const { stdout } = await sluice("request", "-m", "32MiB", "--for", "1h", "--filter", "device.kind=null", "--json");
  const { lease, environment } = JSON.parse(stdout);
  expect((await sluice("resize", lease.id, "16MiB", "--json")).code).toBe(0);
  const adopted = await connect({ server: server.grpc, lease: environment.SLUICE_LEASE });
  await using inside = await adopted.allocate({ memory: "16MiB" });
  expect(inside.devices[0].memoryInfo().totalBytes).toBe(16 * MiB);
  await inside.devices[0].resize("48MiB");
  expect((await pool.leases()).leases[0]!.slices[0]!.memoryBytes).toBe(48 * MiB);
  await inside.release();
  await adopted.close();
  const usage = JSON.parse((await sluice("usage", "--json")).stdout).tenants[0];
  expect(usage.byteMs).toBeGreaterThan(0);
  await sluice("release", lease.id);
});

it("a server that is killed comes back with the size that a slice has grown to", async () => {
  const state = mkdtempSync(join(tmpdir(), "sluice-resize-"));
  // The lease that is left is nobody's.
  const args = ["--device", "null:1x256MiB", "--grace", "0s"];
  let own = await startServer({ args, state });
  const env = () => ({ env: environmentOf(own) });
  try {
    const asked = await runShort(["request", "-m", "32MiB", "--for", "1h", "--json"], env());
    const { id } = JSON.parse(asked.stdout).lease;
    expect((await runShort(["resize", id, "96MiB"], env())).code).toBe(0);
    own.kill("SIGKILL");
    await own.exited;
    own = await startServer({ args, state });
    const { leases } = JSON.parse((await runShort(["leases", "--json"], env())).stdout);
    expect(leases).toMatchObject([{ id, slices: [{ memoryBytes: 96 * MiB }] }]);
    expect((await runShort(["resize", id, "16MiB"], env())).code).toBe(0);
  } finally {
    await own.stop();
    rmSync(state, { recursive: true, force: true });
  }
});

it("a resize of no lease, or to no size, is refused", async () => {
  const lines = ["1MiB", "0", "lots"].map((size) => ["resize", "lease-none", size]);
  expect(await runEach(lines, { env: environmentOf(server) })).toMatchObject([
    { code: 1, stderr: expect.stringContaining("LEASE_NOT_FOUND") },
    { code: 2, stderr: expect.stringContaining("BAD_ARGUMENT") },
    { code: 2, stderr: expect.stringContaining("lots") },
  ]);
});
