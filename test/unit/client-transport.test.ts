/** A transport that is read past its stream: the bytes of the stream stay in order, wherever it was cut, and none is written over. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { openTcp } from "../../client/transport/socket.ts";
import { sendUnpaced } from "../../client/transport/unpaced.ts";
import koffi from "../../server/device/native.ts";
import { FrameKind } from "../../shared/generated/calls.ts";
import { FrameReader, FrameWriter } from "../../shared/wire/frame.ts";
import { createRandom } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

/** A frame whose payload is counted through, so that what is lost or written over shows. */
function frameOf(number: number, payloadBytes: number): Uint8Array {
  const writer = new FrameWriter();
  const words = Uint32Array.from({ length: payloadBytes / 4 }, (_unused, index) => number * 1_000_003 + index);
  writer.body.appendPadded(new Uint8Array(words.buffer));
  return writer.finish(FrameKind.ANSWERS, number).slice();
}

test.each([
  ["into the reader", false],
  ["to places of their own, where they are large", true],
])("frames come whole and in order, read by the stream or past it, cut anywhere, %s", async (_, places) => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const reader = new FrameReader({ placesAreLent: places });
  const random = createRandom(5);
  const seen: Uint8Array[] = [];
  let placed = 0;
  const take = (): void => {
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      const head = frame.buffer.u8.slice(frame.start - 16, frame.end);
      seen.push(frame.placed === undefined ? head : Buffer.concat([head, frame.placed]));
      if (frame.placed !== undefined) placed++;
    }
    const begun = places ? reader.begun() : undefined;
    if (begun === undefined || begun.payloadBytes < 8 || begun.byteCount < 64 * 1024 || random() < 0.2) return;
    reader.place(8, new Uint8Array(begun.byteCount - 24).fill(255));
  };
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const transport = await openTcp({
    endpoint: `tcp://127.0.0.1:${(server.address() as { port: number }).port}`,
    timeoutMs: 5_000,
    handlers: {
      space: () => reader.space()!,
      onFilled: (byteCount) => {
        reader.filled(byteCount);
        take();
      },
      place: () => reader.placeSpace(),
      onPlaced: (byteCount) => {
        reader.placed(byteCount);
        take();
      },
      leaveSpace: () => reader.leaveSpace(),
      onBytes: (bytes) => {
        reader.push(bytes);
        take();
      },
      onClose: () => {},
    },
  });
  const [socket] = await accepted;
  const frames: Uint8Array[] = [];
  for (let round = 0; round < 150; round++) {
    const large = random() < 0.2 ? MiB : 4096;
    const batch = Array.from({ length: 1 + Math.floor(random() * 3) }, (_unused, index) =>
      frameOf(frames.length + index, Math.floor(random() * (large / 8)) * 8),
    );
    frames.push(...batch);
    let rest: Uint8Array = Buffer.concat(batch);
    while (rest.byteLength > 0) {
      const cut = Math.max(1, Math.floor(random() * rest.byteLength));
      // It is with the system when this returns, but for very large pieces.
      socket.write(rest.subarray(0, cut));
      rest = rest.subarray(cut);
      if (random() < 0.6) transport.readNow?.();
      else await new Promise(setImmediate);
      if (rest.byteLength < 64 && random() < 0.5) break;
    }
    socket.write(rest);
    if (random() < 0.3) await waitFor("all frames so far", () => seen.length === frames.length);
  }
  await waitFor("all frames", () => seen.length === frames.length);
  expect(seen.findIndex((frame, index) => Buffer.compare(frame, frames[index]!) !== 0)).toBe(-1);
  expect(placed > 10).toBe(places);
  expect(transport.bytesReceived).toBe(frames.reduce((sum, frame) => sum + frame.byteLength, 0));
  transport.destroy();
  socket.destroy();
  server.close();
});

/** The congestion control of a socket of TCP. */
function congestionOf(fd: number): string {
  const get = koffi.load(null).func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
  const name = Buffer.alloc(16);
  expect(get(fd, 6, 13, name, Uint32Array.of(name.byteLength))).toBe(0);
  return name.toString("latin1").replace(/\0.*/, "");
}

test.each([
  ["within this host is not paced", "127.0.0.1", false],
  ["between two addresses is as the system has it", "127.0.0.2", true],
])("a connection %s", async (_, localAddress, isUsual) => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect({ port: (server.address() as { port: number }).port, host: "127.0.0.1", localAddress });
  await once(socket, "connect");
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const usual = congestionOf(fd);
  sendUnpaced(socket, fd);
  expect(congestionOf(fd)).toBe(isUsual || !usual.startsWith("bbr") ? usual : "reno");
  socket.destroy();
  server.close();
});

test("a connection that sends much goes on as fast as its peer reads, and loses nothing", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const unexpected = (): never => {
    throw new Error("Nothing is sent back.");
  };
  const transport = await openTcp({
    endpoint: `tcp://127.0.0.1:${(server.address() as { port: number }).port}`,
    timeoutMs: 5_000,
    handlers: {
      space: () => new Uint8Array(64),
      onFilled: unexpected,
      place: () => undefined,
      onPlaced: unexpected,
      leaveSpace: unexpected,
      onBytes: unexpected,
      onClose: () => {},
    },
  });
  const [peer] = await accepted;
  const hash = createHash("sha256");
  let byteCount = 0;
  peer.on("data", (bytes: Buffer) => {
    hash.update(bytes);
    byteCount += bytes.byteLength;
  });
  const expected = createHash("sha256");
  for (let piece = 0; piece < 40; piece++) {
    const bytes = new Uint8Array(Uint32Array.from({ length: MiB / 4 }, (_unused, index) => piece * MiB + index).buffer);
    expected.update(bytes);
    const taken = transport.writeNow(bytes);
    if (taken < MiB) await new Promise<void>((resolve) => transport.write(bytes.subarray(taken), resolve));
  }
  await waitFor("all of it", () => byteCount === 40 * MiB);
  expect(hash.digest("hex")).toBe(expected.digest("hex"));
  transport.destroy();
  server.close();
});
