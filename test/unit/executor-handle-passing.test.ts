/** Descriptors on their way between processes, through a real socket: what arrives, what does not, and what is closed. */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  closeHandles,
  listenAt,
  newSender,
  receiveHandle,
  receiverAt,
  sendHandle,
} from "../../server/executor/handle-passing.ts";
import { inTime } from "../support/wait-for.ts";

let folder: string;
let path: string;
let receiver: number;
let sender: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-handles-"));
  path = join(folder, "handles");
  receiver = receiverAt(path);
  sender = newSender();
});

afterEach(() => {
  closeSync(receiver);
  closeSync(sender);
  rmSync(folder, { recursive: true });
});

const tagOf = (text: string): Buffer => Buffer.from(text);

function send(text: string, tag = text): void {
  const file = join(folder, "file");
  writeFileSync(file, text);
  const fd = openSync(file, "r");
  try {
    sendHandle({ sender, path, fd, tag: tagOf(tag) });
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

describe("a descriptor", () => {
  it("arrives as a copy that outlives the sender's own", () => {
    send("one");
    const fd = receiveHandle(receiver, tagOf("one"))!;
    expect(readFileSync(fd, "utf8")).toBe("one");
    closeSync(fd);
  });

  it("is the one that was sent under its tag; older ones that nobody asked for are closed", () => {
    const before = openDescriptors();
    for (const text of ["stale", "staler", "wanted"]) send(text);
    const fd = receiveHandle(receiver, tagOf("wanted"))!;
    expect(readFileSync(fd, "utf8")).toBe("wanted");
    closeSync(fd);
    expect(openDescriptors()).toBe(before);
    expect(receiveHandle(receiver, tagOf("stale"))).toBeUndefined();
  });

  it("that nobody asks for is closed with all others when that is said", () => {
    const before = openDescriptors();
    for (const text of ["one", "other"]) send(text);
    closeHandles(receiver);
    expect(receiveHandle(receiver, tagOf("other"))).toBeUndefined();
    expect(openDescriptors()).toBe(before);
  });

  it("is a socket that works on in the process that gets it", async () => {
    const server = createServer((socket) => socket.end("hello"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const client = connect({ port, host: "127.0.0.1" });
    await new Promise((resolve) => client.once("connect", resolve));
    const { _handle } = client as unknown as { _handle: { fd: number; readStop(): void } };
    _handle.readStop();
    sendHandle({ sender, path, fd: _handle.fd, tag: tagOf("socket") });
    client.destroy();
    const copy = new Socket({ fd: receiveHandle(receiver, tagOf("socket"))!, readable: true, writable: true });
    const text = await inTime(
      "the greeting",
      new Promise<string>((resolve) => copy.once("data", (data) => resolve(String(data)))),
    );
    expect(text).toBe("hello");
    copy.destroy();
    server.close();
  });

  it("that the receiver does not take in time is refused with EAGAIN, and the sender keeps nothing of it", () => {
    const before = openDescriptors();
    expect(() => {
      for (let count = 0; count < 100_000; count++) send("many");
    }).toThrow("EAGAIN");
    expect(openDescriptors()).toBe(before);
  });

  it("cannot be sent where nobody receives", () => {
    expect(() => sendHandle({ sender, path: join(folder, "none"), fd: sender, tag: tagOf("x") })).toThrow("ENOENT");
    const dead = join(folder, "dead");
    closeSync(receiverAt(dead));
    expect(() => sendHandle({ sender, path: dead, fd: sender, tag: tagOf("x") })).toThrow("ECONNREFUSED");
    expect(() => sendHandle({ sender, path, fd: 999_999, tag: tagOf("x") })).toThrow("EBADF");
    expect(receiveHandle(receiver, tagOf("x"))).toBeUndefined();
  });
});

describe("a path", () => {
  it("that is too long is refused in words, and reached through a descriptor of its folder", () => {
    expect(() => listenAt(join(folder, "x".repeat(108)))).toThrow("at most [107] fit");
    const deep = join(folder, "y".repeat(100));
    symlinkSync(folder, deep);
    const root = openSync(deep, "r");
    const listener = listenAt(`/proc/self/fd/${root}/listener`);
    expect(readdirSync(folder)).toContain("listener");
    closeSync(listener);
    closeSync(root);
  });

  it("that is taken is refused", () => {
    expect(() => receiverAt(path)).toThrow("EADDRINUSE");
  });
});
