/**
 * Answers that are sent from the device's own memory: what was read stays what it was when it was read, whatever is written there before it
 * has left, whoever reads slowly, and wherever the connection breaks.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { readInto } from "../../server/executor/connection.ts";
import { Outgoing } from "../../server/executor/outgoing.ts";
import { SluiceError } from "../../shared/errors.ts";
import { FrameReader } from "../../shared/wire/frame.ts";
import { openClient } from "../support/client-on-stand.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { createRandom } from "../support/random.ts";
import {
  ARENA,
  callsFrame,
  helloFrame,
  nonceOf,
  parseAnswers,
  RawConnection,
  raw,
  WELCOME,
} from "../support/raw-client.ts";
import { CHAIN, SessionStand } from "../support/session-stand.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 * 1024;
const KiB = 1024;
/** Four reads of it are less than a session holds for its client. */
const BYTES = 1536 * KiB;

const closed = (): SluiceError => new SluiceError("CLOSED", "The test is over.");

interface Connected {
  readonly direct: Socket;
  readonly peer: Socket;
  readonly close: () => void;
}

async function connected(): Promise<Connected> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  const direct = readInto(socket, { reader: new FrameReader(), onBytes: () => true });
  const close = (): void => {
    peer.destroy();
    direct.destroy();
    server.close();
  };
  return { direct, peer, close };
}

/** The next `byteCount` bytes that the peer gets. */
async function received(peer: Socket, byteCount: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sum = 0;
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    sum += chunk.byteLength;
  };
  peer.on("data", take);
  await waitFor("all bytes", () => sum === byteCount);
  peer.off("data", take);
  return Buffer.concat(chunks);
}

const headOf = (mark: number): Uint8Array => new Uint8Array(16).fill(mark);

test.each([true, false])(
  "memory that is lent to frames and then written to leaves them as they were, resumable: %s",
  async (isResumable) => {
    const { direct, peer, close } = await connected();
    const outgoing = new Outgoing({ isResumable, isKept: () => false });
    outgoing.attach(direct, 0);
    const memory = new Uint8Array(MiB + 3);
    const expected: Uint8Array[] = [];
    // More than any socket takes while nobody reads.
    for (let mark = 1; mark <= 40; mark++) {
      memory.fill(mark);
      outgoing.send(headOf(mark), memory);
      expected.push(headOf(mark), memory.slice(), new Uint8Array(5));
      if (mark % 3 === 0) outgoing.sendUncounted(headOf(100 + mark));
      if (mark % 3 === 0) expected.push(headOf(100 + mark));
      outgoing.keepLent();
      expect(outgoing.borrows).toBe(false);
    }
    expect(outgoing.isIdle).toBe(false);
    memory.fill(255);
    const all = Buffer.concat(expected);
    expect(Buffer.compare(await received(peer, all.byteLength), all)).toBe(0);
    await waitFor("the last of it to be written", () => outgoing.isIdle);
    expect(outgoing.byteCount).toBe(all.byteLength);
    close();
  },
);

test.each([true, false])(
  "frames from memory that is used again at once arrive as they were, also of a peer that reads late, resumable: %s",
  async (isResumable) => {
    const { direct, peer, close } = await connected();
    const outgoing = new Outgoing({ isResumable });
    outgoing.attach(direct, 0);
    const memory = new Uint8Array(16 * KiB);
    const expected: Uint8Array[] = [];
    for (let mark = 1; mark <= 1_500; mark++) {
      const frame = memory.subarray(0, mark % 2 === 0 ? 104 : memory.byteLength).fill(mark);
      outgoing.send(frame);
      expected.push(frame.slice());
    }
    expect(outgoing.isIdle).toBe(false);
    memory.fill(255);
    const all = Buffer.concat(expected);
    expect(Buffer.compare(await received(peer, all.byteLength), all)).toBe(0);
    await waitFor("the last of it to be written", () => outgoing.isIdle);
    expect(outgoing.byteCount).toBe(all.byteLength);
    close();
  },
);

test("what waits is with the socket once it is handed over, before what is written to the socket next", async () => {
  const { direct, peer, close } = await connected();
  const outgoing = new Outgoing({ isResumable: true, isKept: () => false });
  outgoing.attach(direct, 0);
  const memory = new Uint8Array(MiB);
  const expected: Uint8Array[] = [];
  for (let mark = 1; mark <= 20; mark++) {
    outgoing.send(headOf(mark), memory.fill(mark).slice());
    expected.push(headOf(mark), memory.slice());
  }
  outgoing.handOver();
  expect(outgoing.borrows).toBe(false);
  direct.end(headOf(99));
  const all = Buffer.concat([...expected, headOf(99)]);
  expect(Buffer.compare(await received(peer, all.byteLength), all)).toBe(0);
  close();
});

test("a client has no frame that is not with its socket, whatever it says", async () => {
  const { direct, close } = await connected();
  const outgoing = new Outgoing({ isResumable: true, isKept: () => false });
  outgoing.attach(direct, 0);
  for (let mark = 1; mark <= 40; mark++) outgoing.send(headOf(mark), new Uint8Array(MiB));
  outgoing.acknowledge(1);
  expect(() => outgoing.acknowledge(40)).toThrow("The client has [40] frames");
  expect(() => outgoing.canResumeFrom(41)).toThrow("The client has [41] frames");
  close();
});

test.each([
  ["that can be resumed", 5_000],
  ["that cannot be resumed", 0],
])(
  "a client that does not read gets what it asked for, though its next copies go to the same memory, in a session %s",
  async (_, resumeMs) => {
    const stand = await SessionStand.start();
    const connection = new RawConnection(stand.address);
    const { leaseId, secret } = stand;
    connection.send(helloFrame(nonceOf((await connection.next())!), { leaseId, secret, resumeMs }));
    expect((await connection.next())?.kind).toBe(WELCOME);
    const pieces = Array.from({ length: 7 }, (_unused, index) => ARENA + index * MiB);
    const write = (value: number): void => {
      // Each alone in its frame: read straight into the device's memory. The last piece first: its answer waits longest.
      for (const [index, at] of [...pieces.entries()].reverse()) {
        connection.send(callsFrame(raw.copyToDevice(at, new Uint8Array(MiB).fill(value + index))));
      }
    };
    const answersTo = async (count: number): Promise<Buffer[]> => {
      const bodies: Buffer[] = [];
      while (bodies.length < count) {
        const next = await connection.next();
        if (next === undefined) throw new Error("The connection is closed.");
        bodies.push(...parseAnswers(next).map(({ body }) => body));
      }
      return bodies;
    };
    connection.send(callsFrame(raw.attach(), raw.allocate(ARENA, pieces.length * MiB)));
    write(1);
    connection.send(callsFrame(raw.deviceSynchronize()));
    await answersTo(2);
    connection.socket.pause();
    connection.send(callsFrame(...pieces.map((at) => raw.copyFromDevice(at, MiB))));
    write(101);
    await waitFor("the copies to be executed", () => stand.usage.calls === 2 + 3 * pieces.length + 1);
    connection.socket.resume();
    for (const [index, body] of (await answersTo(pieces.length)).entries()) {
      expect(body.subarray(8).every((byte) => byte === 1 + index)).toBe(true);
    }
    connection.destroy();
    await stand.close();
  },
);

test.each([
  ["that is resumed over many cuts", 10_000],
  ["that is not resumed", 0],
])("reads give what was there when they were issued, whatever follows them, in a session %s", async (_, resumeMs) => {
  const random = createRandom(21);
  const stand = await SessionStand.start();
  const proxy = await CuttingProxy.to(stand.address);
  const { gpu, session } = await openClient(stand, proxy.address, { resumeMs });
  const chain = (await gpu.load(CHAIN)).kernel("chain");
  if (resumeMs > 0) {
    proxy.plan = () => ({
      direction: random() < 0.3 ? "up" : "down",
      afterBytes: Math.floor(random() ** 2 * 4 * MiB),
      how: random() < 0.5 ? "reset" : "fin",
    });
    proxy.cutAll();
  }
  const buffer = gpu.alloc(BYTES);
  let content = new Uint8Array(BYTES);
  buffer.write(content);
  for (let round = 1; round <= 25; round++) {
    const reads: Promise<Uint8Array>[] = [];
    const expected: Uint8Array[] = [];
    for (let step = 0; step < 4; step++) {
      expected.push(content.slice());
      reads.push(buffer.read(Uint8Array));
      content = content.slice();
      const way = Math.floor(random() * 4);
      const value = round * 4 + step;
      if (way === 0) {
        content.fill(value);
        buffer.fill(value);
      } else if (way === 1) {
        // Read straight into the device's memory.
        content.fill(value, 512 * KiB, MiB);
        buffer.write(content.subarray(512 * KiB, MiB), { offset: 512 * KiB });
      } else if (way === 2) {
        content.copyWithin(MiB, 0, 512 * KiB);
        gpu.copy(buffer.at(MiB), buffer, { bytes: 512 * KiB });
      } else {
        const cell = new DataView(content.buffer);
        cell.setUint32(0, (Math.imul(cell.getUint32(0, true), 31) + value) >>> 0, true);
        chain.launch({ grid: 1, block: 1 }, [buffer, value]);
      }
    }
    for (const [index, read] of (await Promise.all(reads)).entries()) {
      expect(Buffer.compare(read, expected[index]!)).toBe(0);
    }
  }
  proxy.plan = () => undefined;
  if (resumeMs > 0) expect(session.reconnects).toBeGreaterThan(10);
  await session.close(closed());
  await proxy.close();
  await stand.close();
});
