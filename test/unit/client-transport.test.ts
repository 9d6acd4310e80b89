/** A transport that is read past its stream: the bytes of the stream stay in order, wherever it was cut, and none is written over. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { openTcp } from "../../client/transport/socket.ts";
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
