/** Sockets that are taken over: no byte is lost, whoever read it first, and none is written twice. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readInto, writeNow } from "../../server/executor/connection.ts";
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
  const taken = writeNow(direct, bytes);
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(bytes.byteLength);
  direct.write(bytes.subarray(taken));
  // While something waits, nothing may pass it.
  expect(writeNow(direct, bytes)).toBe(0);
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

test("writing to a connection that is gone takes nothing and does not throw", async () => {
  const direct = readInto(socket, { reader: new FrameReader(), onBytes: () => true });
  const closed = once(direct, "close");
  peer.destroy();
  await closed;
  expect(writeNow(direct, goodbye)).toBe(0);
});
