/** Sockets that are taken over: no byte is lost, whoever read it first, and none is written twice. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import koffi from "../../server/device/native.ts";
import { lineOf, readInto } from "../../server/executor/connection.ts";
import { FrameReader } from "../../shared/wire/frame.ts";
import { waitFor } from "../support/wait-for.ts";

let server: Server;
let peer: Socket;
let socket: Socket;

beforeEach(async () => {
  server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  [socket] = (await once(server, "connection")) as [Socket];
});

afterEach(() => {
  peer.destroy();
  socket.destroy();
  server.close();
});

const goodbye = Buffer.from("10000000080000000000000000000000", "hex");

test("what a socket has read before it is taken over comes first", async () => {
  peer.write(goodbye.subarray(0, 5));
  await waitFor("the socket to read by itself", () => socket.readableLength === 5);
  const reader = new FrameReader();
  const direct = readInto(socket, { reader, onBytes: () => true });
  expect(reader.bufferedBytes).toBe(5);
  peer.write(goodbye.subarray(5));
  await waitFor("the rest", () => reader.bufferedBytes === goodbye.byteLength);
  expect(reader.next()?.kind).toBe(8);
  direct.destroy();
});

test("the end of the connection closes both sockets", async () => {
  const reader = new FrameReader();
  const direct = readInto(socket, { reader, onBytes: () => true });
  const both = Promise.all([once(direct, "close"), once(socket, "close")]);
  peer.end();
  await both;
});

test("an end that the first socket has read already closes both, behind the bytes before it", async () => {
  peer.end(goodbye);
  await waitFor("the socket to read by itself", () => socket.readableLength === goodbye.byteLength);
  await waitFor("the end", () => (socket as Socket & { _readableState: { ended: boolean } })._readableState.ended);
  const reader = new FrameReader();
  const direct = readInto(socket, { reader, onBytes: () => true });
  expect(reader.next()?.kind).toBe(8);
  await Promise.all([once(direct, "close"), once(socket, "close")]);
});

test("what is written at once and what waits arrive as one stream", async () => {
  const bytes = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef-");
  const direct = readInto(socket, { reader: new FrameReader(), onBytes: () => true });
  const taken = lineOf(direct).writeNow(bytes);
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(bytes.byteLength);
  direct.write(bytes.subarray(taken));
  // While something waits, nothing may pass it.
  expect(lineOf(direct).writeNow(bytes)).toBe(0);
  const chunks: Buffer[] = [];
  let byteCount = 0;
  peer.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    byteCount += chunk.byteLength;
  });
  await waitFor("all of it", () => byteCount === bytes.byteLength);
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  direct.destroy();
});

test.each([1024, 100_000, 300_000, 1_000_000])(
  "data that comes in pieces of %i bytes is whole when its last byte is there, and so is what follows it",
  async (pieceBytes) => {
    const dataBytes = 640 * 1024;
    const head = Buffer.alloc(40);
    for (const [index, word] of [head.byteLength + dataBytes, 4, 1, 7].entries()) head.writeUInt32LE(word, index * 4);
    const into = new Uint8Array(dataBytes);
    const frames: string[] = [];
    const reader = new FrameReader();
    const direct = readInto(socket, {
      reader,
      onBytes: () => {
        for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
          frames.push(frame.placed === into ? "placed" : `${frame.kind}`);
        }
        const begun = reader.begun();
        if (begun !== undefined && begun.payloadBytes >= 24) reader.place(24, into);
        return true;
      },
    });
    const data = Buffer.from(Uint8Array.from({ length: dataBytes }, (_unused, index) => index % 251));
    for (let round = 1; round <= 2; round++) {
      into.fill(255);
      peer.write(head);
      await waitFor("the head", () => reader.begun() === undefined);
      for (let at = 0; at < dataBytes; at += pieceBytes) {
        peer.write(data.subarray(at, at + pieceBytes));
        if (pieceBytes > 10_000) await new Promise(setImmediate);
      }
      await waitFor("the data", () => frames.length === 2 * round - 1);
      expect(Buffer.compare(into, data)).toBe(0);
      peer.write(goodbye);
      await waitFor("what follows it", () => frames.length === 2 * round);
      expect(frames.slice(-2)).toEqual(["placed", "8"]);
    }
    // The end is told, also in the middle of data that will never be enough.
    const closed = once(direct, "close");
    peer.end(Buffer.concat([head, data.subarray(0, 5)]));
    await closed;
  },
);

/** The congestion control of a socket of TCP. */
function congestionOf(socket: Socket): string {
  const get = koffi.load(null).func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
  const name = Buffer.alloc(16);
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  expect(get(fd, 6, 13, name, Uint32Array.of(name.byteLength))).toBe(0);
  return name.toString("latin1").replace(/\0.*/, "");
}

test("a connection within this host is not paced, and one of another address is as the system has it", async () => {
  const usual = congestionOf(socket);
  const within = readInto(socket, { reader: new FrameReader(), onBytes: () => true });
  expect(congestionOf(within)).toBe("reno");
  within.destroy();
  const { port } = server.address() as AddressInfo;
  const distant = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  const [accepted] = (await once(server, "connection")) as [Socket];
  const across = readInto(accepted, { reader: new FrameReader(), onBytes: () => true });
  expect(congestionOf(across)).toBe(usual);
  distant.destroy();
  across.destroy();
});

test("writing to a connection that is gone takes nothing and does not throw", async () => {
  const direct = readInto(socket, { reader: new FrameReader(), onBytes: () => true });
  const closed = once(direct, "close");
  peer.destroy();
  await closed;
  expect(lineOf(direct).writeNow(goodbye)).toBe(0);
});
