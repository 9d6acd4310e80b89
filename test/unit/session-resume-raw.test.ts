/** A server's session against a client made of bytes: what a HELLO may claim, and what becomes of a client that acknowledges nothing. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ANSWER_BACKLOG_BYTES_MAX } from "../../shared/limits.ts";
import {
  ANSWERS,
  ARENA,
  callsFrame,
  frame,
  type HelloOptions,
  helloFrame,
  MiB,
  nonceOf,
  RawConnection,
  type RawFrame,
  raw,
  WELCOME,
} from "../support/raw-client.ts";
import { SessionStand } from "../support/session-stand.ts";
import { waitFor } from "../support/wait-for.ts";

let stand: SessionStand;
const open: RawConnection[] = [];
const sessionId = randomBytes(16);

beforeEach(async () => {
  stand = await SessionStand.start();
});

afterEach(async () => {
  for (const connection of open.splice(0)) connection.destroy();
  await stand.close();
});

async function say(claim: Partial<HelloOptions>): Promise<RawConnection> {
  const connection = new RawConnection(stand.address);
  open.push(connection);
  const nonce = nonceOf((await connection.next())!);
  const { leaseId, secret } = stand;
  connection.send(helloFrame(nonce, { leaseId, secret, sessionId, resumeMs: 5_000, ...claim }));
  return connection;
}

/** `executed` and `received` of a WELCOME. */
const positionOf = ({ payload }: RawFrame): { executed: number; received: number } => ({
  executed: Number(payload.readBigUInt64LE(8)),
  received: Number(payload.readBigUInt64LE(24)),
});

async function welcomed(claim: Partial<HelloOptions>): Promise<{ connection: RawConnection; welcome: RawFrame }> {
  const connection = await say(claim);
  const welcome = await connection.next();
  if (welcome?.kind !== WELCOME) throw new Error(`A frame of the kind [${welcome?.kind}] comes.`);
  return { connection, welcome };
}

test("a session that the server does not have is lost for who says that it has begun, and begun for who does not", async () => {
  const connection = await say({ begun: 1 });
  expect(await connection.refusal()).toBe("SESSION_LOST");
  const { welcome } = await welcomed({ begun: 0 });
  expect(positionOf(welcome)).toEqual({ executed: 0, received: 0 });
  expect(stand.sessions).toBe(1);
});

test("a client that has had no WELCOME finds the session that it has begun", async () => {
  const first = await welcomed({ begun: 0 });
  first.connection.send(callsFrame(raw.attach()));
  expect((await first.connection.next())?.kind).toBe(ANSWERS);
  const { connection, welcome } = await welcomed({ begun: 0 });
  expect(positionOf(welcome)).toEqual({ executed: 1, received: 1 });
  // The answer comes again: the client has acknowledged nothing.
  expect(await connection.next()).toMatchObject({ kind: ANSWERS, count: 1 });
  expect(stand.sessions).toBe(1);
});

test("calls whose frame is not whole do not count, wherever it breaks", async () => {
  const first = await welcomed({});
  first.connection.send(callsFrame(raw.attach()));
  await first.connection.next();
  const calls = callsFrame(raw.allocate(ARENA, MiB), raw.memoryInfo());
  let received = 1;
  for (const length of [1, 4, 15, 16, 17, 40, calls.byteLength - 1]) {
    const broken = await welcomed({ begun: 1, received: 1 });
    broken.connection.send(calls.subarray(0, length));
    const { bytesReceived } = stand.usage;
    await waitFor("the piece", () => stand.usage.bytesReceived >= bytesReceived);
    broken.connection.destroy();
    const { connection, welcome } = await welcomed({ begun: 1, received: 1 });
    expect(positionOf(welcome).received).toBe(received);
    connection.destroy();
  }
  const { connection } = await welcomed({ begun: 1, received: 1 });
  // Behind what is sent again, here nothing.
  expect(await connection.next()).toMatchObject({ kind: ANSWERS, count: 0, ack: received });
  connection.send(calls);
  received += 2;
  expect(await connection.next()).toMatchObject({ kind: ANSWERS, count: 1, ack: received });
});

test("whatever a HELLO claims, it harms no session that there is", async () => {
  const { connection } = await welcomed({});
  connection.send(callsFrame(raw.attach()));
  await connection.next();
  const claims = fc.record({
    begun: fc.oneof(fc.constantFrom(0, 1), fc.nat({ max: 0xffff_ffff })),
    received: fc.oneof(fc.constantFrom(2, 2 ** 32, 2 ** 53 - 1), fc.integer({ min: 2, max: 2 ** 53 - 1 })),
    resumeMs: fc.nat({ max: 0xffff_ffff }),
  });
  await fc.assert(
    fc.asyncProperty(claims, async (claim) => {
      const stranger = await say(claim);
      expect(await stranger.refusal()).toBe("PROTOCOL_ERROR");
    }),
    { numRuns: 60 },
  );
  const busy = await say({ sessionId: randomBytes(16) });
  expect(await busy.refusal()).toBe("SESSION_BUSY");
  connection.send(callsFrame(raw.memoryInfo()));
  expect(await connection.next()).toMatchObject({ kind: ANSWERS, count: 1, ack: 2 });
});

test("an acknowledgement of what was never sent breaks the format", async () => {
  const { connection } = await welcomed({});
  const acknowledgement = frame(ANSWERS, Buffer.alloc(0));
  acknowledgement.writeUInt32LE(5, 12);
  connection.send(acknowledgement);
  expect(await connection.refusal()).toBe("PROTOCOL_ERROR");
});

test("a client whose acknowledgements lie behind too many calls gets its answers, and can come back only with all of them", async () => {
  const { connection } = await welcomed({});
  connection.send(callsFrame(raw.attach(), raw.allocate(ARENA, MiB)));
  await connection.next();
  const count = (3 * ANSWER_BACKLOG_BYTES_MAX) / MiB;
  connection.send(callsFrame(...Array.from({ length: count }, () => raw.copyFromDevice(ARENA, MiB))));
  // Behind them more than the server reads ahead; no frame acknowledges anything.
  const padding = raw.copyToDevice(ARENA, Buffer.alloc(64 * 1024));
  for (let sent = 0; sent < 4 * MiB; sent += padding.byteLength) connection.send(callsFrame(padding));
  let answers = 1;
  while (answers < 1 + count) {
    const next = await connection.next();
    if (next === undefined) throw new Error("The connection is closed.");
    answers += next.count;
  }
  // Over the first connection the client may have the rest yet; that stays as it is.
  const early = await say({ begun: 1, received: 2 });
  expect(await early.refusal()).toBe("SESSION_BUSY");
  connection.send(callsFrame(raw.memoryInfo()));
  while (answers < 2 + count) answers += (await connection.next())!.count;
  connection.destroy();
  // Once the server has noticed.
  await waitFor("the end", async () => (await (await say({ begun: 1, received: 2 })).refusal()) === "SESSION_LOST");
  const { welcome } = await welcomed({ begun: 1, received: answers });
  expect(positionOf(welcome).received).toBeGreaterThan(2 + count);
});
