/** The library over every transport that a server offers: the same calls, the same bytes, the same errors. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { connect, type Pool, SluiceError, type TransportKind } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startServer, type TestServer } from "../support/server.ts";

const MiB = 1024 ** 2;
/** More than one call carries, and not a multiple of anything. */
const LARGE_BYTES = 24 * MiB + 13;

const COUNT = `.version 8.0
.target sm_75
.address_size 64
.visible .entry count(.param .u64 cells, .param .u32 step) {
  .reg .u64 %rd<3>; .reg .u32 %r<4>;
  ld.param.u64 %rd1, [cells];
  ld.param.u32 %r1, [step];
  ld.global.u32 %r2, [%rd1];
  add.u32 %r3, %r2, %r1;
  st.global.u32 [%rd1], %r3;
  ret;
}`;

let server: TestServer;
let pools: Pool[] = [];

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:1x256MiB", "--device", "null:2x1GiB"] });
});

afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  pools = [];
});

afterAll(async () => {
  await server.stop();
});

async function connectBy(...transports: TransportKind[]): Promise<Pool> {
  const pool = await connect({ server: server.grpc, lease: "", ...(transports.length > 0 ? { transports } : {}) });
  pools.push(pool);
  return pool;
}

function pattern(byteCount: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(byteCount / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + seed, 2_654_435_761);
  return new Uint8Array(words.buffer, 0, byteCount);
}

describe.each<TransportKind>(["tcp", "unix"])("over %s", (transport) => {
  it("kernels run in order, each once", async () => {
    const pool = await connectBy(transport);
    await using lease = await pool.allocate({ memory: "16MiB", filters: ["device.id=cpu:0"] });
    expect(lease.stats.endpoint).toMatch(new RegExp(`^${transport}://`));
    const [gpu] = lease.devices;
    const count = (await gpu.load(COUNT)).kernel("count");
    const cells = gpu.upload(Uint32Array.of(0));
    for (let step = 1; step <= 500; step++) count.launch({ grid: 1, block: 1 }, [cells, step]);
    expect([...(await cells.read(Uint32Array))]).toEqual([125_250]);
  });

  it("large copies arrive both ways, several at once", async () => {
    const pool = await connectBy(transport);
    await using lease = await pool.allocate({ memory: "128MiB", filters: ["device.id~null"] });
    const [gpu] = lease.devices;
    const sent = [pattern(LARGE_BYTES, 1), pattern(LARGE_BYTES, 2)];
    const buffers = sent.map((bytes) => gpu.upload(bytes));
    const read = await Promise.all(buffers.map((buffer) => buffer.read(Uint8Array)));
    for (const [index, bytes] of read.entries()) expect(Buffer.compare(bytes, sent[index]!)).toBe(0);
    expect(lease.stats.bytesToDevice).toBeGreaterThan(2 * LARGE_BYTES);
    expect(lease.stats.bytesFromDevice).toBeGreaterThan(2 * LARGE_BYTES);
  });

  it("a failure names its call, and the session says so from then on", async () => {
    const pool = await connectBy(transport);
    const lease = await pool.allocate({ memory: "16MiB", filters: ["device.id=cpu:0"] });
    const [gpu] = lease.devices;
    const count = (await gpu.load(COUNT)).kernel("count");
    count.launch({ grid: 1, block: 1 }, [0xdead_0000, 1]);
    const error = await gpu.synchronize().catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: "ILLEGAL_ADDRESS" });
    await lease.release();
  });

  it("the end of a session frees what it had, and the next one begins at once", async () => {
    const pool = await connectBy(transport);
    for (let round = 0; round < 3; round++) {
      const lease = await pool.allocate({ memory: "200MiB", filters: ["device.id=cpu:0"], wait: "10s" });
      expect((await lease.devices[0].upload(Uint8Array.of(round)).read(Uint8Array))[0]).toBe(round);
      await lease.release();
    }
  });
});

describe("the choice of a transport", () => {
  it("is the Unix socket by itself on the server's host", async () => {
    const pool = await connectBy();
    await using lease = await pool.allocate({ memory: "1MiB" });
    expect(lease.stats.endpoint).toBe(`unix://${join(server.state, "data.sock")}`);
    const { leases } = await pool.leases();
    expect(leases.map(({ clientAddress }) => clientAddress)).toEqual(["unix"]);
  });

  it("falls back to TCP without a word where the socket cannot be opened", async () => {
    const path = join(server.state, "data.sock");
    const away = `${path}.away`;
    renameSync(path, away);
    try {
      const pool = await connectBy();
      await using lease = await pool.allocate({ memory: "1MiB" });
      expect(lease.stats.endpoint).toBe(`tcp://${server.data}`);
    } finally {
      renameSync(away, path);
    }
  });
});
