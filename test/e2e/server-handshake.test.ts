/** The handshake of the data port against a real server: who gets in, and how everyone else is refused. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  ARENA,
  callsFrame,
  frame,
  GREETING,
  HELLO,
  helloFrame,
  MiB,
  nonceOf,
  RawConnection,
  RawControl,
  type RawFrame,
  type RawLease,
  RawSession,
  raw,
  WELCOME,
} from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

let server: TestServer;
let control: RawControl;
let lease: RawLease;

beforeAll(async () => {
  // Nobody beats for the lease of this file.
  server = await startServer({ args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"] });
  control = new RawControl(server.grpc);
  lease = await control.allocate({ memoryBytes: 64 * MiB });
});

/** The session of the test before may still be ending. */
beforeEach(async () => (await RawSession.openNext(server.data, lease)).close());

afterAll(async () => {
  await control.release(lease.id, lease.secret);
  await waitFor("an empty pool", async () => (await control.inUse()) === 0);
  control.close();
  expect(await server.stop()).toBe(0);
});

async function greeted(): Promise<{ connection: RawConnection; nonce: Buffer; greeting: RawFrame }> {
  const connection = new RawConnection(server.data);
  const greeting = (await connection.next())!;
  expect(greeting.kind).toBe(GREETING);
  return { connection, nonce: nonceOf(greeting), greeting };
}

/** The lease still takes a session: nobody was let in, and nothing broke. */
async function expectLeaseWorks(): Promise<void> {
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  await session.close();
}

test("a nonce is 32 bytes and never the same", async () => {
  const nonces = new Set<string>();
  for (let round = 0; round < 20; round++) {
    const { connection, nonce } = await greeted();
    expect(nonce.length).toBe(32);
    nonces.add(nonce.toString("hex"));
    connection.destroy();
  }
  expect(nonces.size).toBe(20);
});

test("attach calls may ride behind HELLO, also cut at every byte", async () => {
  for (const size of [1, 7, 64, 10_000]) {
    const { connection, nonce } = await greeted();
    const bytes = Buffer.concat([
      helloFrame(nonce, { leaseId: lease.id, secret: lease.secret }),
      callsFrame(raw.attach()),
    ]);
    for (let at = 0; at < bytes.length; at += size) {
      connection.send(bytes.subarray(at, at + size));
      // Lets the kernel send it as a packet of its own.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await connection.next())?.kind).toBe(WELCOME);
    const answers = await connection.next();
    expect(answers?.count).toBe(1);
    expect(answers?.payload.readUInt32LE(4)).toBe(0);
    connection.send(frame(8, Buffer.alloc(0)));
    expect((await connection.next())?.kind).toBe(8);
    connection.destroy();
  }
});

test("nothing that arrives during the hand-over to the executor is lost", async () => {
  const { connection, nonce } = await greeted();
  const pieces = Array.from({ length: 200 }, (_, index) =>
    callsFrame(raw.allocate(ARENA + index * 256, 256), raw.copyToDevice(ARENA + index * 256, Buffer.alloc(256, index))),
  );
  connection.send(helloFrame(nonce, { leaseId: lease.id, secret: lease.secret }));
  connection.send(callsFrame(raw.attach()));
  for (const piece of pieces) {
    connection.send(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  connection.send(callsFrame(raw.copyFromDevice(ARENA + 199 * 256, 256)));
  expect((await connection.next())?.kind).toBe(WELCOME);
  // One answer to attach and one to the copy, in one frame or in two.
  let last: RawFrame | undefined;
  for (let answers = 0; answers < 2; answers += last?.count ?? 0) {
    last = await connection.next();
    expect(last).toBeDefined();
  }
  expect(last!.payload.subarray(-256)).toEqual(Buffer.alloc(256, 199));
  connection.destroy();
});

test("nothing is lost when the executor has yet to start", async () => {
  const granted = await control.allocate({ memoryBytes: MiB });
  const connection = new RawConnection(server.data);
  const serverNonce = nonceOf((await connection.next())!);
  connection.send(helloFrame(serverNonce, { leaseId: granted.id, secret: granted.secret }));
  connection.send(callsFrame(raw.attach(), raw.allocate(ARENA, 256)));
  for (let index = 0; index < 100; index++) {
    connection.send(callsFrame(raw.fill(ARENA, 256, 1, index)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  connection.send(callsFrame(raw.memoryInfo(), raw.copyFromDevice(ARENA, 256)));
  expect((await connection.next())?.kind).toBe(WELCOME);
  let last: RawFrame | undefined;
  for (let answers = 0; answers < 3; answers += last?.count ?? 0) {
    last = await connection.next();
    expect(last).toBeDefined();
  }
  expect(last!.payload.subarray(-256)).toEqual(Buffer.alloc(256, 99));
  connection.destroy();
  const { usage } = await control.release(granted.id, granted.secret);
  expect(usage).toMatchObject({ calls: 104, answers: 3 });
});

test("a client that is gone before its executor starts leaves the lease free", async () => {
  const granted = await control.allocate({ memoryBytes: MiB });
  const connection = new RawConnection(server.data);
  const serverNonce = nonceOf((await connection.next())!);
  connection.send(helloFrame(serverNonce, { leaseId: granted.id, secret: granted.secret }));
  connection.socket.end(callsFrame(raw.attach()));
  const session = await waitFor("the lease to take a session", () =>
    RawSession.open(server.data, granted).catch(() => undefined),
  );
  expect((await session.ask(raw.attach())).code).toBe("OK");
  await session.close();
  await control.release(granted.id, granted.secret);
});

test("a wrong protocol version is refused, naming both", async () => {
  const { connection, nonce } = await greeted();
  connection.send(helloFrame(nonce, { leaseId: lease.id, secret: lease.secret, protocolVersion: 1 }));
  const refusal = await connection.next();
  expect(refusal?.payload.subarray(8).toString()).toMatch(/version \[1\].*version \[2\]/);
  await expectLeaseWorks();
});

test.each<[string, string, (nonce: Buffer) => Buffer]>([
  [
    "a wrong fingerprint",
    "FINGERPRINT_MISMATCH",
    (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: lease.secret, fingerprint: "0000000000000000" }),
  ],
  ["a wrong secret", "WRONG_SECRET", (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: randomBytes(32) })],
  ["an empty secret", "WRONG_SECRET", (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: Buffer.alloc(0) })],
  [
    "a proof of no bytes",
    "WRONG_SECRET",
    (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: lease.secret, proof: Buffer.alloc(0) }),
  ],
  [
    "the secret itself as its proof",
    "WRONG_SECRET",
    (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: lease.secret, proof: lease.secret }),
  ],
  [
    "a proof over another nonce",
    "WRONG_SECRET",
    () => helloFrame(randomBytes(32), { leaseId: lease.id, secret: lease.secret }),
  ],
  [
    "an unknown lease",
    "LEASE_NOT_FOUND",
    (nonce) => helloFrame(nonce, { leaseId: "lease-0000000000000000", secret: lease.secret }),
  ],
  ["no lease", "LEASE_NOT_FOUND", (nonce) => helloFrame(nonce, { leaseId: "", secret: lease.secret })],
  [
    "the prototype's lease",
    "LEASE_NOT_FOUND",
    (nonce) => helloFrame(nonce, { leaseId: "__proto__", secret: lease.secret }),
  ],
  [
    "a nonce of 16 bytes",
    "PROTOCOL_ERROR",
    (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: lease.secret, clientNonce: randomBytes(16) }),
  ],
  [
    "a session id of 4 KiB",
    "PROTOCOL_ERROR",
    (nonce) => helloFrame(nonce, { leaseId: lease.id, secret: lease.secret, sessionId: randomBytes(4096) }),
  ],
  ["calls instead of HELLO", "PROTOCOL_ERROR", () => callsFrame(raw.attach())],
  ["a GOODBYE instead of HELLO", "PROTOCOL_ERROR", () => frame(8, Buffer.alloc(0))],
  ["an empty HELLO", "PROTOCOL_ERROR", () => frame(HELLO, Buffer.alloc(0))],
  ["a HELLO cut short", "PROTOCOL_ERROR", () => frame(HELLO, Buffer.alloc(24, 0xff))],
  ["a frame of no bytes", "PROTOCOL_ERROR", () => Buffer.alloc(16)],
  ["a frame of 4 GiB", "PROTOCOL_ERROR", () => Buffer.alloc(16, 0xff)],
  ["HTTP", "PROTOCOL_ERROR", () => Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
  ["random bytes", "PROTOCOL_ERROR", () => randomBytes(1000)],
])("%s is refused with %s, and the lease still works", async (_, code, hello) => {
  const { connection, nonce } = await greeted();
  connection.send(hello(nonce));
  expect(await connection.refusal()).toBe(code);
  await expectLeaseWorks();
});

test("a HELLO overheard on another connection is of no use", async () => {
  const first = await greeted();
  const hello = helloFrame(first.nonce, { leaseId: lease.id, secret: lease.secret });
  first.connection.send(hello);
  expect((await first.connection.next())?.kind).toBe(WELCOME);
  first.connection.send(frame(8, Buffer.alloc(0)));
  expect((await first.connection.next())?.kind).toBe(8);
  const second = await greeted();
  second.connection.send(hello);
  expect(await second.connection.refusal()).toBe("WRONG_SECRET");
});

test("the secret of one lease opens no other", async () => {
  const other = await control.allocate({ memoryBytes: MiB });
  const { connection, nonce } = await greeted();
  connection.send(helloFrame(nonce, { leaseId: other.id, secret: lease.secret }));
  expect(await connection.refusal()).toBe("WRONG_SECRET");
  await expect(control.release(other.id, lease.secret)).rejects.toMatchObject({ code: "WRONG_SECRET" });
  await control.release(other.id, other.secret);
});

test("the secret of an ended lease opens nothing", async () => {
  const ended = await control.allocate({ memoryBytes: MiB });
  await control.release(ended.id, ended.secret);
  await expect(RawSession.open(server.data, ended)).rejects.toThrow("LEASE_ENDED");
});

test("a second session under a lease is refused while the first runs, and let in after it", async () => {
  const session = await RawSession.open(server.data, lease);
  await session.ask(raw.attach());
  await expect(RawSession.open(server.data, lease)).rejects.toThrow("SESSION_BUSY");
  expect(await session.codeAfter(raw.allocate(ARENA, 256))).toBe("OK");
  await session.close();
  await expectLeaseWorks();
});

test("a session that follows another at once finds a fresh arena", async () => {
  for (let round = 0; round < 10; round++) {
    const session = await RawSession.open(server.data, lease);
    session.send(raw.attach(), raw.allocate(ARENA, 4096));
    expect(await session.read(ARENA, 4096)).toEqual(Buffer.alloc(4096));
    session.send(raw.fill(ARENA, 4096, 1, 0xaa));
    await session.close();
  }
});

test("a flood of connections that say nothing is bounded, and running sessions do not notice", async () => {
  const session = await RawSession.open(server.data, lease);
  await session.ask(raw.attach());
  const flood = Array.from({ length: 300 }, (_, index) => new RawConnection(server.data, `127.0.2.${1 + (index % 3)}`));
  const kinds = await Promise.all(flood.map(async (connection) => (await connection.next())?.kind));
  expect(kinds.filter((kind) => kind === GREETING).length).toBe(256);
  expect(kinds.filter((kind) => kind === 7 || kind === undefined).length).toBe(44);
  expect(await session.codeAfter(raw.allocate(ARENA, 256))).toBe("OK");
  const late = new RawConnection(server.data);
  expect(await late.refusal()).toBe("TOO_MANY_CONNECTIONS");
  for (const connection of flood) connection.destroy();
  await waitFor("a place for a new connection", async () => {
    const connection = new RawConnection(server.data);
    const first = await connection.next();
    connection.destroy();
    return first?.kind === GREETING;
  });
  await session.close();
});

test("a connection that says nothing is refused after ten seconds", async () => {
  const startedAt = performance.now();
  const { connection } = await greeted();
  // A byte now and then does not buy time.
  const trickle = setInterval(() => connection.send(Buffer.from([0])), 2_000);
  expect(await connection.refusal()).toBe("HANDSHAKE_TIMEOUT");
  clearInterval(trickle);
  expect(performance.now() - startedAt).toBeGreaterThan(9_000);
});
