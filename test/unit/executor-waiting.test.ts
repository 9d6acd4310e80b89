/**
 * A connection whose reader waits in `recv` behind an answer: nothing is lost or reordered, nothing else in the process waits for it, and the
 * event loop never gets a socket that waits. The peer is a thread, since whoever waits so has no turns to give to a peer beside it.
 */
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nowMs } from "../../server/executor/clock.ts";
import { lineOf, readInto } from "../../server/executor/connection.ts";
import { isTurnOver, limitWaits, receive, sendNow, setWaiting } from "../../server/executor/socket-calls.ts";
import { FrameKind } from "../../shared/generated/calls.ts";
import { FrameReader } from "../../shared/wire/frame.ts";
import { waitFor } from "../support/wait-for.ts";

let server: Server;
let peer: Worker;
const sockets: Socket[] = [];

/** Runs `script` in a thread that has `connect()`, and that ends by itself: a test whose own turns never come could not end it. */
async function accept(script: string, connections = 1): Promise<Socket[]> {
  const { port } = server.address() as AddressInfo;
  const prologue = `
    const { connect: open } = require("node:net");
    const { parentPort } = require("node:worker_threads");
    const connect = () => open({ port: ${port}, host: "127.0.0.1", noDelay: true });
    setTimeout(() => process.exit(), 30_000).unref();
  `;
  peer = new Worker(prologue + script, { eval: true });
  while (sockets.length < connections) keep(((await once(server, "connection")) as [Socket])[0]);
  return sockets;
}

/** Closed at the end; a peer that is ended cuts its connections. */
function keep(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  sockets.push(socket);
}

/** A reader that answers every 8 bytes with the 8 bytes, and always waits for more. */
function echo(socket: Socket, onBytes = (_bytes: Buffer): void => {}): Socket {
  const reader = new FrameReader();
  const direct = readInto(socket, {
    reader,
    onBytes: () => {
      const bytes = Buffer.from(reader.takeRest());
      onBytes(bytes);
      if (!direct.destroyed && lineOf(direct).writeNow(bytes) !== bytes.byteLength)
        throw new Error("A small answer is not taken.");
      return true;
    },
    answeredAt: () => nowMs(),
  });
  keep(direct);
  return direct;
}

beforeEach(async () => {
  server = createServer({ pauseOnConnect: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  // First, or it would fail when its connections break.
  await peer.terminate();
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
});

/** Sends numbers, each when the one before is back, and tells when `count` of them are in order. */
const pingPong = (count: number): string => `
  const socket = connect();
  const numbers = new BigUint64Array(1);
  const send = () => socket.write(Buffer.from(numbers.buffer.slice(0)));
  socket.on("data", (bytes) => {
    if (bytes.byteLength !== 8 || bytes.readBigUInt64LE() !== numbers[0]) throw new Error("Something else is back.");
    if (++numbers[0] === ${count}n) parentPort.postMessage("done");
    else send();
  });
  send();
`;

test("bytes are read in order and once, by the event loop or past it", async () => {
  const [socket] = await accept(pingPong(5_000));
  let expected = 0n;
  echo(socket!, (bytes) => {
    expect(bytes.readBigUInt64LE()).toBe(expected++);
  });
  await once(peer, "message");
  expect(expected).toBe(5_000n);
});

test("timers, other connections and other threads have their turns while calls flood", async () => {
  const flood = `
    const socket = connect();
    const bytes = Buffer.alloc(65_536);
    const pour = () => { while (socket.write(bytes)); };
    socket.on("drain", pour);
    pour();
    const other = connect();
    other.on("data", () => parentPort.postMessage("heard"));
    setInterval(() => other.write(Buffer.alloc(8)), 1);
  `;
  const [first, second] = await accept(flood, 2);
  let flooded = 0;
  const reader = new FrameReader();
  const direct = readInto(first!, {
    reader,
    onBytes: () => {
      flooded++;
      reader.takeRest();
      // Calls that take as long as this always find the next ones there.
      for (const until = performance.now() + 1; performance.now() < until; );
      return true;
    },
    answeredAt: () => nowMs(),
  });
  keep(direct);
  let heard = 0;
  let timed = 0;
  peer.on("message", () => {
    heard++;
  });
  second!.on("data", (bytes: Buffer) => second!.write(bytes));
  second!.resume();
  const timer = setInterval(() => {
    timed++;
  }, 1);
  await waitFor("turns of everybody", () => heard >= 20 && timed >= 20);
  const before = flooded;
  await waitFor("the flood to have gone on meanwhile", () => flooded > before + 100);
  clearInterval(timer);
});

test("what another connection brings is heard behind each wait that has nothing to read", async () => {
  const rounds = 100;
  const alternate = `
    const [first, second] = [connect(), connect()];
    const bytes = Buffer.alloc(8);
    let left = ${rounds};
    first.on("data", () => second.write(bytes));
    second.on("data", () => (--left === 0 ? parentPort.postMessage("done") : first.write(bytes)));
    first.write(bytes);
  `;
  const [first, second] = await accept(alternate, 2);
  echo(first!);
  second!.on("data", (bytes: Buffer) => second!.write(bytes));
  second!.resume();
  // A wait is sat out in each round, and not one more: 2 s in all.
  await once(peer, "message", { signal: AbortSignal.timeout(15_000) });
});

test.each(["end", "destroy", "resetAndDestroy"])(
  "a peer that goes while it is waited for (%s) closes the connection",
  async (how) => {
    const [socket] = await accept(`
    const socket = connect();
    socket.on("error", () => {});
    socket.on("data", () => socket.${how}());
    socket.write(Buffer.alloc(8));
  `);
    const direct = echo(socket!);
    await new Promise((resolve) => direct.once("close", resolve));
  },
);

test("a peer that is silent costs no turns for long", async () => {
  const [socket] = await accept(`connect().write(Buffer.alloc(8));`);
  let read = 0;
  const direct = echo(socket!, () => {
    read++;
  });
  await waitFor("its bytes", () => read === 1);
  const startedAt = nowMs();
  await waitFor("a wait to be over", () => isTurnOver(startedAt, nowMs()));
  expect(direct.closed).toBe(false);
});

const fdOf = (socket: Socket): number => (socket as unknown as { _handle: { fd: number } })._handle.fd;
/** Whether reads and writes of it wait: O_NONBLOCK is not among its flags. */
const waits = (fd: number): boolean => {
  const flags = /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!;
  return (Number.parseInt(flags, 8) & 0o4000) === 0;
};

test("a socket waits only while the event loop has no turn", async () => {
  const [socket] = await accept(`${pingPong(200)} socket.pause(); setTimeout(() => socket.resume(), 100);`);
  const seen = new Set<boolean>();
  const direct = echo(socket!, () => seen.add(waits(fdOf(direct))));
  const inTurns: boolean[] = [];
  const timer = setInterval(() => inTurns.push(waits(fdOf(direct))), 1);
  await once(peer, "message");
  clearInterval(timer);
  // The first bytes come by the event loop, those behind an answer past it.
  expect([...seen]).toEqual([false, true]);
  expect(inTurns).not.toContain(true);
  expect(inTurns.length).toBeGreaterThan(0);
});

test("what the stream writes while the socket waits neither hangs nor is lost when the peer does not read", async () => {
  const [socket] = await accept(`
    const socket = connect();
    const chunks = [];
    socket.write(Buffer.alloc(8));
    socket.once("data", () => {
      // Its answer is read, and nothing more until the other end has had its turns.
      socket.pause();
      socket.write(Buffer.alloc(8));
    });
    parentPort.once("message", () => {
      let bytes = 8;
      socket.on("data", (chunk) => {
        for (const byte of chunk) if (byte !== 7) throw new Error("Something else is there.");
        bytes += chunk.byteLength;
        if (bytes === 8 + ${32 << 20}) parentPort.postMessage("done");
      });
      socket.resume();
    });
  `);
  const reader = new FrameReader();
  let wasWaiting: boolean | undefined;
  let isWaiting: boolean | undefined;
  let asked = 0;
  const direct = readInto(socket!, {
    reader,
    onBytes: () => {
      const bytes = Buffer.from(reader.takeRest());
      if (asked++ === 0) lineOf(direct).writeNow(bytes);
      else {
        wasWaiting = waits(fdOf(direct));
        direct.write(Buffer.alloc(32 << 20, 7));
        isWaiting = waits(fdOf(direct));
      }
      return true;
    },
    answeredAt: () => (direct.writableLength === 0 ? nowMs() : undefined),
  });
  keep(direct);
  await waitFor("the second question", () => asked === 2);
  expect([wasWaiting, isWaiting]).toEqual([true, false]);
  // This process goes on, though the peer takes nothing.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(direct.writableLength).toBeGreaterThan(0);
  peer.postMessage("read");
  await once(peer, "message");
});

test("a frame that comes in pieces, longer apart than a wait, is whole in the end", async () => {
  const [socket] = await accept(`
    const socket = connect();
    const pieces = Array.from({ length: 6 }, (_, index) => Buffer.alloc(3, index));
    const next = () => {
      const piece = pieces.shift();
      if (piece === undefined) return;
      socket.write(piece);
      setTimeout(next, 45);
    };
    let back = 0;
    socket.on("data", (bytes) => {
      back += bytes.byteLength;
      if (back === 18) parentPort.postMessage("done");
    });
    next();
  `);
  const whole: number[] = [];
  echo(socket!, (bytes) => whole.push(...bytes));
  await once(peer, "message");
  expect(whole).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]);
});

test("a socket that is closed while it waits leaves whatever gets its descriptor's number alone", async () => {
  const [socket] = await accept(pingPong(3));
  let fd = -1;
  const others: number[] = [];
  const direct = echo(socket!, (bytes) => {
    if (bytes.readBigUInt64LE() < 1n) return;
    fd = fdOf(direct);
    expect(waits(fd)).toBe(true);
    direct.destroy();
    // Numbers are given out from the lowest on.
    do others.push(openSync("/dev/null", "r"));
    while (others.at(-1)! < fd);
  });
  direct.on("error", () => {});
  await once(direct, "close");
  expect(others).toContain(fd);
  // As it was opened.
  expect(waits(fd)).toBe(true);
  for (const other of others) closeSync(other);
});

test("a reader that throws leaves a socket that does not wait", async () => {
  const [socket] = await accept(pingPong(3));
  let fd = -1;
  const failed = new Promise<void>((resolve) => {
    process.once("uncaughtException", () => resolve());
  });
  const direct = echo(socket!, (bytes) => {
    if (bytes.readBigUInt64LE() < 1n) return;
    fd = fdOf(direct);
    expect(waits(fd)).toBe(true);
    throw new Error("This is what is tried.");
  });
  await failed;
  expect(waits(fd)).toBe(false);
});

test("what comes behind large data is heard, however little it is and in however many pieces the data came", async () => {
  const dataBytes = 300 * 1024;
  const rounds = 48;
  const [socket] = await accept(`
    const socket = connect();
    const large = Buffer.alloc(24 + ${dataBytes});
    large.writeUInt32LE(large.byteLength, 0);
    large.writeUInt32LE(${FrameKind.CALLS}, 4);
    const small = Buffer.alloc(16);
    small.writeUInt32LE(16, 0);
    small.writeUInt32LE(${FrameKind.CALLS}, 4);
    let round = 0;
    const next = () => {
      if (++round > ${rounds}) return parentPort.postMessage("done");
      for (let frame = 0; frame < round; frame++) socket.write(large);
    };
    // Asked for what is to come last, and then told that it is there.
    socket.on("data", (bytes) => { for (const byte of bytes) if (byte === 1) socket.write(small); else next(); });
    next();
  `);
  const reader = new FrameReader();
  const into = new Uint8Array(dataBytes);
  let round = 1;
  let left = 1;
  const direct = readInto(socket!, {
    reader,
    onBytes: () => {
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (frame.placed === undefined && frame.end - frame.start < dataBytes) {
          left = ++round;
          lineOf(direct).writeNow(Uint8Array.of(2));
        } else if (--left === 0) lineOf(direct).writeNow(Uint8Array.of(1));
      }
      const begun = reader.begun();
      if (begun !== undefined && begun.payloadBytes >= 8 && begun.byteCount > dataBytes) reader.place(8, into);
      return true;
    },
  });
  keep(direct);
  await once(peer, "message");
  expect(round).toBe(rounds + 1);
});

test("large data goes whole from where it lies to a peer that reads, in order", async () => {
  const bytes = Buffer.from(Uint32Array.from({ length: 4 << 20 }, (_, index) => index).buffer);
  const [socket] = await accept(`
    let word = 0;
    let rest = Buffer.alloc(0);
    connect().on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      const whole = rest.byteLength & ~3;
      for (let at = 0; at < whole; at += 4) if (rest.readUInt32LE(at) !== word++) throw new Error("Out of order.");
      rest = rest.subarray(whole);
      if (word === ${4 << 20}) parentPort.postMessage("done");
    });
  `);
  const direct = echo(socket!);
  const done = once(peer, "message");
  for (let at = 0; at < bytes.byteLength; ) {
    const taken = lineOf(direct).writeSoon(bytes.subarray(at, at + (1 << 20)));
    at += taken;
    if (taken === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await done;
});

test("a peer that does not read is waited for once in a turn of the event loop", async () => {
  const [socket] = await accept("connect().pause();");
  const direct = echo(socket!);
  const bytes = Buffer.alloc(1 << 20);
  const startedAt = performance.now();
  for (let call = 0; call < 500; call++) lineOf(direct).writeSoon(bytes);
  // Waits in every call would take 10 s.
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test("a descriptor that is none gives and takes nothing", () => {
  peer = new Worker("", { eval: true });
  expect(limitWaits(-1)).toBe(false);
  expect(setWaiting(-1, true)).toBe(false);
  expect(receive(-1, new Uint8Array(8))).toBe(0);
  expect(sendNow(-1, new Uint8Array(8))).toBe(0);
});
