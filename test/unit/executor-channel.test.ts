/** The two ends of the control socket: lines of JSON, whole or in pieces, and daemons that come one after the other. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DaemonChannel } from "../../server/executor/daemon-channel.ts";
import { listenAt } from "../../server/executor/handle-passing.ts";
import { readMessages, writeMessage } from "../../server/executor/message-lines.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-channel-"));
  path = join(folder, "control");
});

afterEach(() => rmSync(folder, { recursive: true }));

const open = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", reject);
  });

describe("messages", () => {
  let server: Server;
  let received: unknown[];
  let closed: number;

  beforeEach(async () => {
    received = [];
    closed = 0;
    server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("close", () => closed++);
      readMessages(socket, (message) => received.push(message));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });

  afterEach(() => server.close());

  it("come as they were sent, however the stream is cut", async () => {
    const messages = [
      { kind: "a", text: "über\n" },
      { kind: "b", list: [1, 2] },
      { kind: "c", long: "x".repeat(200_000) },
    ];
    const bytes = Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
    const socket = await open();
    for (const end of [1, 2, 9, 13, 14, 15, 30, 31, 60, 100_000, bytes.length]) {
      const start = [0, 1, 2, 9, 13, 14, 15, 30, 31, 60, 100_000].findLast((at) => at < end)!;
      await new Promise<void>((resolve) => socket.write(bytes.subarray(start, end), () => resolve()));
    }
    await waitFor("all of them", () => received.length === 3);
    expect(received).toEqual(messages);
    socket.destroy();
  });

  it("that are none, or have no end, cost the stream", async () => {
    for (const text of ["{no json}\n", "x".repeat(1024 * 1024 + 1)]) {
      const socket = await open();
      socket.on("error", () => {});
      const before = closed;
      socket.write(text);
      await waitFor("the close", () => closed > before);
    }
    expect(received).toEqual([]);
  });
});

describe("an executor's channel", () => {
  let channel: DaemonChannel;
  let listener: number;
  let heard: string[];

  beforeEach(() => {
    heard = [];
    listener = listenAt(path);
  });

  const begin = (): void => {
    // A channel that is closed may hear of its last daemon's end in the next test.
    const own = heard;
    channel = new DaemonChannel({
      listener,
      onConnected: () => {
        own.push("connected");
        channel.send({ kind: "hello" });
      },
      onMessage: (message) => own.push(String((message as { kind: string }).kind)),
      onGone: () => own.push("gone"),
      onLost: () => own.push("lost"),
    });
  };

  /** What a daemon hears first. */
  const greeting = (socket: Socket): Promise<unknown> =>
    new Promise((resolve) => readMessages(socket, (message) => resolve(message)));

  it("hears what the last daemon said before it greets the next, which came meanwhile", async () => {
    begin();
    const first = await open();
    await inTime("the greeting", greeting(first));
    const second = await open();
    const secondGreeted = greeting(second);
    writeMessage(first, { kind: "one" });
    writeMessage(first, { kind: "two" });
    // As a process that dies: what it wrote is on its way.
    first.end();
    expect(await inTime("the greeting", secondGreeted)).toEqual({ kind: "hello" });
    writeMessage(second, { kind: "three" });
    await waitFor("the last message", () => heard.includes("three"));
    expect(heard).toEqual(["connected", "one", "two", "gone", "connected", "three"]);
    second.destroy();
    await waitFor("the loss", () => heard.at(-1) === "lost");
    const third = await open();
    expect(await inTime("the greeting", greeting(third))).toEqual({ kind: "hello" });
    third.destroy();
    await channel.close();
  });

  it("sends all that was said before it closes, and listens no more", async () => {
    begin();
    const daemon = await open();
    const messages: unknown[] = [];
    readMessages(daemon, (message) => messages.push(message));
    await waitFor("the greeting", () => messages.length === 1);
    for (let count = 0; count < 100; count++) channel.send({ kind: "usage", count });
    await channel.close();
    await waitFor("everything", () => messages.length === 101);
    await expect(open()).rejects.toThrow();
    daemon.destroy();
  });

  it("hears a daemon that was gone before this process came to greet it", async () => {
    const daemon = await open();
    writeMessage(daemon, { kind: "one" });
    await new Promise<void>((resolve) => daemon.write('{"kind":"two"}\n', () => resolve()));
    daemon.destroy();
    begin();
    await waitFor("the loss", () => heard.at(-1) === "lost");
    expect(heard).toEqual(["connected", "one", "two", "gone", "lost"]);
    await channel.close();
  });

  it("hears what a daemon said at its end, also when it says something to that daemon before", async () => {
    begin();
    const daemon = await open();
    await inTime("the greeting", greeting(daemon));
    writeMessage(daemon, { kind: "one" });
    daemon.destroy();
    for (let count = 0; count < 3; count++) channel.send({ kind: "usage", count });
    await waitFor("the loss", () => heard.at(-1) === "lost");
    expect(heard).toEqual(["connected", "one", "gone", "lost"]);
    await channel.close();
  });

  it("without a daemon says nothing and closes at once", async () => {
    begin();
    channel.send({ kind: "usage" });
    await inTime("the close", channel.close());
    expect(heard).toEqual([]);
  });
});

it("a stream that is closed takes no message", () => {
  const socket = new Socket();
  socket.destroy();
  expect(() => writeMessage(socket, { kind: "late" })).not.toThrow();
});
