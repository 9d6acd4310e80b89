/** Broken frames after the handshake: each ends its connection with PROTOCOL_ERROR, runs nothing, and leaves the lease and others alone. */
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  ANSWERS,
  ARENA,
  CALLS,
  call,
  callsFrame,
  frame,
  GOODBYE,
  HELLO,
  MiB,
  RawControl,
  type RawHold,
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
let session: RawSession;
let holds: RawHold[];
let bystander: { lease: RawLease; session: RawSession };

beforeAll(async () => {
  server = await startServer();
  control = new RawControl(server.grpc);
  const other = await control.allocate({ memoryBytes: MiB });
  bystander = { lease: other, session: await RawSession.open(server.data, other) };
  await bystander.session.ask(raw.attach());
  lease = await control.allocate({ memoryBytes: 64 * MiB });
  holds = [control.hold(other, 5_000), control.hold(lease, 5_000)];
});

beforeEach(async () => {
  session = await openAgain();
  await session.ask(raw.attach());
});

afterEach(async () => {
  session.connection.destroy();
  expect(await bystander.session.codeAfter(raw.allocate(ARENA, 256), raw.free(ARENA))).toBe("OK");
});

afterAll(async () => {
  for (const hold of holds) hold.stop();
  await control.release(bystander.lease.id);
  await control.release(lease.id);
  await waitFor("an empty pool", async () => (await control.inUse()) === 0);
  control.close();
  expect(await server.stop()).toBe(0);
});

const openAgain = (): Promise<RawSession> => RawSession.openNext(server.data, lease);

function header(byteCount: number, kind: number, count: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(byteCount, 0);
  bytes.writeUInt32LE(kind, 4);
  bytes.writeUInt32LE(count, 8);
  return bytes;
}

/** A whole call with its byte count changed. */
function withByteCount(bytes: Buffer, byteCount: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt32LE(byteCount >>> 0, 4);
  return changed;
}

const good = raw.allocate(ARENA, 4096);

test.each<[string, Buffer]>([
  ["a frame of 15 bytes", header(15, CALLS, 0)],
  ["a frame of 20 bytes", header(20, CALLS, 0)],
  ["a frame over 2 MiB", header(2 * MiB + 8, CALLS, 1)],
  ["a frame of 4 GiB", header(2 ** 32 - 8, CALLS, 1)],
  ["a kind of 0", header(16, 0, 0)],
  ["a kind of 9", header(16, 9, 0)],
  ["a HELLO in the middle", frame(HELLO, Buffer.alloc(0))],
  ["a WELCOME from the client", frame(WELCOME, Buffer.alloc(24))],
  ["answers from the client", frame(ANSWERS, Buffer.alloc(16), 1)],
  ["a GOODBYE with a payload", frame(GOODBYE, Buffer.alloc(8))],
  ["a count of calls too high", frame(CALLS, good, 2)],
  ["a count of calls too low", frame(CALLS, Buffer.concat([good, good]), 1)],
  ["a call of 0 bytes", callsFrame(good, withByteCount(good, 0))],
  ["a call of 4 bytes", callsFrame(good, withByteCount(good, 4))],
  ["a call longer than its frame", callsFrame(good, withByteCount(good, 64))],
  ["a call of 4 GiB", callsFrame(good, withByteCount(good, 0xfffffff8))],
  ["a call whose size is not a multiple of 8", callsFrame(good, withByteCount(good, 20), Buffer.alloc(4))],
  ["opcode 0", callsFrame(good, call(0))],
  ["an opcode that does not exist", callsFrame(good, call(999))],
  ["a body too short", callsFrame(good, call(2, ["u64", ARENA]))],
  ["a body too long", callsFrame(good, call(3, ["u64", ARENA], ["u64", 0]))],
  ["data that passes its body's end", callsFrame(good, call(4, ["u64", ARENA], ["u32", 0], ["u32", 100]))],
  ["data of 4 GiB in a small body", callsFrame(good, call(4, ["u64", ARENA], ["u32", 0], ["u32", 2 ** 32 - 1]))],
  [
    "data shorter than its body",
    callsFrame(good, Buffer.concat([withByteCount(raw.copyToDevice(ARENA, Buffer.alloc(8)), 40), Buffer.alloc(8)])),
  ],
  ["a copy of more than a megabyte", callsFrame(good, raw.copyToDevice(ARENA, Buffer.alloc(MiB + 1)))],
])("%s ends the connection, runs nothing of its frame, and leaves the lease", async (_, bytes) => {
  const info = await session.ask(raw.memoryInfo());
  expect(Number(info.body.readBigUInt64LE(0))).toBe(64 * MiB);
  session.connection.send(bytes);
  expect(await session.connection.refusal()).toBe("PROTOCOL_ERROR");
  session = await openAgain();
  expect((await session.ask(raw.attach())).code).toBe("OK");
});

test("calls before a broken frame are run and answered", async () => {
  session.connection.send(Buffer.concat([callsFrame(raw.allocate(ARENA, 256), raw.memoryInfo()), header(16, 77, 0)]));
  const answers = await session.connection.next();
  expect(answers).toMatchObject({ kind: ANSWERS, count: 1, ack: 3 });
  expect(Number(answers!.payload.readBigUInt64LE(16))).toBe(64 * MiB - 256);
  expect(await session.connection.refusal()).toBe("PROTOCOL_ERROR");
});

test("a frame cut off by the client's end runs nothing", async () => {
  const bytes = callsFrame(raw.allocate(ARENA, 256), raw.memoryInfo());
  session.connection.socket.end(bytes.subarray(0, bytes.length - 8));
  expect(await session.connection.refusal()).toBeUndefined();
});

test("frames without calls, and acknowledgements, are harmless", async () => {
  session.connection.send(Buffer.concat([frame(CALLS, Buffer.alloc(0)), frame(ANSWERS, Buffer.alloc(0))]));
  expect(await session.codeAfter(good)).toBe("OK");
});

test("calls fed byte by byte are run as if they came at once", async () => {
  const data = Buffer.from("byte by byte");
  const bytes = callsFrame(good, raw.copyToDevice(ARENA, data), raw.copyFromDevice(ARENA, data.length));
  for (const byte of bytes) {
    session.connection.send(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const answers = await session.connection.next();
  expect(answers?.payload.subarray(24, 24 + data.length)).toEqual(data);
});

test("random bytes never do more than end their own connection", async () => {
  await session.close();
  const word = fc.oneof(fc.nat(64), fc.constantFrom(CALLS, 16, 24, 8, 2 ** 31, 2 ** 32 - 1), fc.nat());
  const garbage = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
    fc.array(word, { minLength: 4, maxLength: 40 }).map((words) => new Uint8Array(Uint32Array.from(words).buffer)),
    fc.tuple(fc.integer({ min: 1, max: 24 }), fc.array(word, { maxLength: 24 })).map(([opcode, words]) => {
      const content = Buffer.from(Uint32Array.from(words.length % 2 === 0 ? words : [...words, 0]).buffer);
      const head = Buffer.alloc(8);
      head.writeUInt32LE(opcode, 0);
      head.writeUInt32LE(8 + content.length, 4);
      return new Uint8Array(callsFrame(Buffer.concat([head, content])));
    }),
  );
  await fc.assert(
    fc.asyncProperty(garbage, async (bytes) => {
      const own = await openAgain();
      own.connection.send(callsFrame(raw.attach()));
      own.connection.send(bytes);
      own.connection.socket.end();
      const code = await own.connection.refusal();
      expect([undefined, "PROTOCOL_ERROR"]).toContain(code);
    }),
    { numRuns: 100, interruptAfterTimeLimit: 20_000 },
  );
  session = await openAgain();
  expect((await session.ask(raw.attach())).code).toBe("OK");
});

test("a slow reader holds up only itself, and gets every answer in the end", async () => {
  session.connection.socket.pause();
  session.send(raw.allocate(ARENA, MiB), raw.fill(ARENA, MiB, 1, 7));
  const asked = 60;
  for (let index = 0; index < asked; index++) session.send(raw.copyFromDevice(ARENA, MiB));
  // The executor has stopped: what is unread is bounded, so most of the answers are not even made.
  expect(await bystander.session.codeAfter(raw.allocate(ARENA + 1024, 256), raw.free(ARENA + 1024))).toBe("OK");
  session.connection.socket.resume();
  let got = 0;
  while (got < asked) {
    const next = await session.connection.next();
    expect(next).toBeDefined();
    if (next!.kind === ANSWERS) got += next!.count;
  }
  expect(await session.codeAfter(raw.free(ARENA))).toBe("OK");
});
