/** The library over every transport that a server offers: the same calls, the same bytes, the same errors. */
import { renameSync, symlinkSync, unlinkSync } from "node:fs";
import { basename } from "node:path";
import { type ConnectionOptions, connect as connectSecurely } from "node:tls";
import { connect, type Pool, type TransportKind } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { allocateRequest } from "../../client/allocate-options.ts";
import { DataRelay } from "../../client/cli/data-relay.ts";
import { Control } from "../../client/control.ts";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";
import { failureOf } from "../support/failures.ts";
import { ARENA, RawConnection, RawSession, raw } from "../support/raw-client.ts";
import { socketOf, startServer, type TestServer } from "../support/server.ts";

const MiB = 1024 ** 2;
/** More than one call carries, and not a multiple of anything. */
const LARGE_BYTES = 5 * MiB + 13;

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

let plain: TestServer;
let secure: TestServer;
let certificates: TestCertificates;
let pools: Pool[] = [];

beforeAll(async () => {
  certificates = await testCertificates();
  const devices = ["--device", "cpu:1x256MiB", "--device", "null:2x1GiB"];
  [plain, secure] = await Promise.all([
    startServer({ args: devices }),
    startServer({ args: [...devices, ...certificates.args, "--tls-mutual"] }),
  ]);
});

afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  pools = [];
});

afterAll(async () => {
  await Promise.all([plain.stop(), secure.stop()]);
  certificates.remove();
});

/** Through gRPC over TLS, too, where the data connection is encrypted. */
async function connectBy(...transports: TransportKind[]): Promise<Pool> {
  const isSecure = transports.includes("tls");
  const { ca, client } = certificates;
  const pool = await connect({
    server: (isSecure ? secure : plain).grpc,
    lease: "",
    ...(transports.length > 0 ? { transports } : {}),
    ...(isSecure ? { ca: ca.cert, cert: client.cert, key: client.key } : {}),
  });
  pools.push(pool);
  return pool;
}

function pattern(byteCount: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(byteCount / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + seed, 2_654_435_761);
  return new Uint8Array(words.buffer, 0, byteCount);
}

describe.each<TransportKind>(["tcp", "unix", "tls", "grpc"])("over %s", (transport) => {
  it("kernels run in order, each once; a failure names its call; the end of a session frees what it had for the next at once; and large copies arrive both ways, several at once", async () => {
    const pool = await connectBy(transport);
    const whole = { memory: "200MiB", filters: ["device.id=cpu:0"], wait: "10s" } as const;
    const lease = await pool.allocate(whole);
    expect(lease.stats.endpoint).toMatch(new RegExp(`^${transport}://`));
    const [gpu] = lease.devices;
    const count = (await gpu.load(COUNT)).kernel("count");
    const cells = gpu.upload(Uint32Array.of(0));
    for (let step = 1; step <= 500; step++) count.launch({ grid: 1, block: 1 }, [cells, step]);
    expect([...(await cells.read(Uint32Array))]).toEqual([125_250]);
    count.launch({ grid: 1, block: 1 }, [0xdead_0000, 1]);
    expect(await failureOf(gpu.synchronize())).toMatchObject({ code: "ILLEGAL_ADDRESS", details: { call: "launch" } });
    await lease.release();
    await using next = await pool.allocate(whole);
    expect((await next.devices[0].upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
    const sent = [pattern(LARGE_BYTES, 1), pattern(LARGE_BYTES, 2)];
    const buffers = sent.map((bytes) => next.devices[0].upload(bytes));
    const read = await Promise.all(buffers.map((buffer) => buffer.read(Uint8Array)));
    for (const [index, bytes] of read.entries()) expect(Buffer.compare(bytes, sent[index]!)).toBe(0);
    expect(next.stats.bytesToDevice).toBeGreaterThan(2 * LARGE_BYTES);
    expect(next.stats.bytesFromDevice).toBeGreaterThan(2 * LARGE_BYTES);
  });
});

describe("the choice of a transport", () => {
  it("is the Unix socket by itself on the server's host, never that of another server there", async () => {
    const pool = await connectBy();
    await using lease = await pool.allocate({ memory: "1MiB" });
    expect(lease.stats.endpoint).toBe(`unix://${socketOf(plain)}`);
    expect(basename(socketOf(plain))).not.toBe(basename(socketOf(secure)));
    const { leases } = await pool.leases();
    expect(leases.map(({ clientAddress }) => clientAddress)).toEqual(["unix"]);
  });

  it("falls back to TCP without a word where the socket cannot be opened", async () => {
    const path = socketOf(plain);
    const away = `${path}.away`;
    renameSync(path, away);
    try {
      const pool = await connectBy();
      await using lease = await pool.allocate({ memory: "1MiB" });
      expect(lease.stats.endpoint).toBe(`tcp://${plain.data}`);
    } finally {
      renameSync(away, path);
    }
  });

  it("goes past a socket behind which is another server", async () => {
    const path = socketOf(plain);
    const away = `${path}.away`;
    renameSync(path, away);
    symlinkSync(socketOf(secure), path);
    try {
      const pool = await connectBy();
      await using lease = await pool.allocate({ memory: "1MiB" });
      expect(lease.stats.endpoint).toBe(`tcp://${plain.data}`);
    } finally {
      unlinkSync(path);
      renameSync(away, path);
    }
  });
});

describe("TLS on the data port", () => {
  const openRaw = (options: ConnectionOptions) =>
    new Promise<string>((resolve) => {
      const [host, port] = secure.data.split(":") as [string, string];
      const socket = connectSecurely({ host, port: Number(port), ...options, checkServerIdentity: () => undefined });
      // A server that misses the client's certificate says so behind the handshake.
      socket.once("data", () => {
        resolve(socket.getProtocol() ?? "");
        socket.destroy();
      });
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.once("close", () => resolve("closed"));
    });

  it("is 1.3, for those who show a certificate of its CA", async () => {
    const { ca, client, stranger } = certificates;
    const known = { ca: ca.cert, cert: client.cert, key: client.key };
    expect(await openRaw(known)).toBe("TLSv1.3");
    expect(await openRaw({ ...known, maxVersion: "TLSv1.2" })).toMatch(/ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/);
    expect(await openRaw({ ca: ca.cert })).toMatch(/CERTIFICATE_REQUIRED|ECONNRESET|closed/);
    expect(await openRaw({ ca: ca.cert, cert: stranger.cert, key: stranger.key })).toMatch(/ALERT|ECONNRESET|closed/);
    expect(await openRaw({ cert: client.cert, key: client.key })).toMatch(/UNABLE_TO|SELF_SIGNED/);
  });

  it("says nothing to those who speak without it", async () => {
    const connection = new RawConnection(secure.data);
    connection.send(new Uint8Array(64));
    expect(await connection.next()).toBeUndefined();
  });
});

describe("a relay for programs that speak plain sockets only", () => {
  it.each(["tls", "grpc"] as const)(
    "carries their connections inside %s, large copies both ways included",
    async (kind) => {
      const server = kind === "tls" ? secure : plain;
      const { ca, client } = certificates;
      const tls = kind === "tls" ? { ca: ca.cert, cert: client.cert, key: client.key } : undefined;
      const control = new Control({ server: server.grpc, tls });
      const endpoint = kind === "tls" ? `tls://${server.data}` : "grpc://";
      const options = { endpoints: [endpoint], host: "127.0.0.1", server: { tls, submit: () => control.submit() } };
      const relay = (await DataRelay.open(options))!;
      const { lease, secret } = await control.allocate(
        allocateRequest({ memory: "64MiB", filters: ["device.id~null"] }),
        {},
      );
      const key = { id: lease!.id, secret };
      const session = await RawSession.open(relay.endpoint.slice("unix://".length), key);
      await session.ask(raw.attach());
      const piece = Buffer.from(pattern(MiB, 3));
      for (let at = 0; at < 4; at++)
        session.send(raw.allocate(ARENA + at * MiB, MiB), raw.copyToDevice(ARENA + at * MiB, piece));
      for (let at = 0; at < 4; at++) expect((await session.read(ARENA + at * MiB, MiB)).equals(piece)).toBe(true);
      await session.close();
      await control.release({ leaseId: key.id, secret });
      relay.close();
      control.close();
    },
  );

  it("is not there where the server has a plain way of its own", async () => {
    const server = { tls: undefined, submit: () => expect.unreachable() };
    expect(await DataRelay.open({ endpoints: ["tcp://:1"], host: "localhost", server })).toBeUndefined();
  });
});
