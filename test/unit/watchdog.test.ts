/** Signs of life from a thread beside an event loop that stands still: whole, only then, and never in the midst of anything else. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lineOf, readInto } from "../../server/executor/connection.ts";
import { Watchdog } from "../../server/executor/watchdog.ts";
import { FrameReader } from "../../shared/wire/frame.ts";
import { waitFor } from "../support/wait-for.ts";

const ANSWERS = 5;
const GOODBYE = 8;
const frameOf = (kind: number, ack: number): Uint8Array =>
  new Uint8Array(new Uint32Array([16, kind, 0, ack]).buffer).slice();

let server: Server;
let client: Socket;
let socket: Socket;
const received = new FrameReader();
const heard: { kind: number; ack: number }[] = [];

beforeEach(async () => {
  heard.length = 0;
  server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [accepted] = (await once(server, "connection")) as [Socket];
  socket = readInto(accepted, { reader: new FrameReader(), onBytes: () => true });
  client.on("data", (chunk: Buffer) => {
    received.push(chunk);
    for (let frame = received.next(); frame !== undefined; frame = received.next()) heard.push(frame);
  });
});

afterEach(() => {
  client.destroy();
  socket.destroy();
  server.close();
});

/** Holds up this thread, as a driver does. */
const standStill = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

/** All that was sent before. */
async function hear(): Promise<typeof heard> {
  socket.write(frameOf(GOODBYE, 0));
  await waitFor("the last frame", () => heard.some(({ kind }) => kind === GOODBYE));
  return heard.slice(0, -1);
}

describe("while the event loop stands still", () => {
  test("a client is shown that its connection is alive, again and again", async () => {
    const watchdog = new Watchdog({ callMsMax: 0, livenessMs: 20 });
    const fd = lineOf(socket).takeFile()!;
    const signs = (): number => heard.filter(({ kind, ack }) => kind === ANSWERS && ack === 77).length;
    // The thread may still be starting.
    await waitFor("two signs in one piece of work", async () => {
      const before = signs();
      watchdog.allow({ workMsMax: 0, sign: { fd, frame: frameOf(ANSWERS, 77) }, work: () => standStill(200) });
      await new Promise(setImmediate);
      return signs() - before >= 2;
    });
    const before = (await hear()).length;
    expect(before).toBe(signs());
  });

  test("nothing is sent for work that has none to give, nor behind the work", async () => {
    const watchdog = new Watchdog({ callMsMax: 0, livenessMs: 5 });
    watchdog.allow({ workMsMax: 0, work: () => standStill(100) });
    const fd = lineOf(socket).takeFile()!;
    watchdog.allow({ workMsMax: 0, sign: { fd, frame: frameOf(ANSWERS, 1) }, work: () => undefined });
    standStill(100);
    expect(await hear()).toEqual([]);
  });

  test("a sign never comes into the midst of another frame", async () => {
    const watchdog = new Watchdog({ callMsMax: 0, livenessMs: 2 });
    const line = lineOf(socket);
    for (let round = 0; round < 200; round++) {
      const sign = { fd: line.takeFile()!, frame: frameOf(ANSWERS, 1_000_000 + round) };
      watchdog.allow({ workMsMax: 0, sign, work: () => standStill(round % 5) });
      expect(line.writeNow(frameOf(ANSWERS, round))).toBe(16);
      if (round % 20 === 0) await new Promise(setImmediate);
    }
    const frames = await hear();
    expect(frames.every(({ kind }) => kind === ANSWERS)).toBe(true);
    // A round's signs stand before its own frame, and no other round's do.
    let round = 0;
    for (const { ack } of frames) {
      if (ack < 1_000_000) expect(ack).toBe(round++);
      else expect(ack - 1_000_000).toBe(round);
    }
    expect(round).toBe(200);
  });

  test("a client that reads nothing does not hold up the work", () => {
    const watchdog = new Watchdog({ callMsMax: 0, livenessMs: 2 });
    client.pause();
    const line = lineOf(socket);
    while (line.writeNow(new Uint8Array(1 << 20)) > 0);
    const fd = line.takeFile()!;
    const work = (): number => {
      standStill(50);
      return 42;
    };
    expect(watchdog.allow({ workMsMax: 0, sign: { fd, frame: frameOf(ANSWERS, 1) }, work })).toBe(42);
  });
});
