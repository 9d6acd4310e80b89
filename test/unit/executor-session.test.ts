/**
 * The loop of a session over a real socket and a device that waits on command: order, answers, output, failures, and how
 * much is read ahead.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeviceDescription, DeviceModule, DeviceSlice } from "../../server/device/device.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { Session, type SessionPosition } from "../../server/executor/session.ts";
import { UsageCounter } from "../../server/executor/usage.ts";
import { Workspace } from "../../server/executor/workspace.ts";
import { SluiceError } from "../../shared/errors.ts";
import {
  ANSWERS,
  ARENA,
  callsFrame,
  frame,
  GOODBYE,
  MiB,
  OUTPUT,
  parseAnswers,
  RawConnection,
  type RawFrame,
  raw,
} from "../support/raw-client.ts";
import { waitFor } from "../support/wait-for.ts";

const [description] = (await nullDriver.discover("1x64MiB")) as [DeviceDescription];

let server: Server;
let client: RawConnection;
let session: Session;
let usage: UsageCounter;
let device: DeviceSlice;
let closed: boolean;
/** Counted frames that `answered` has seen. */
let counted = 0;
/** What the device was told, in order. */
let told: string[];
/** Ends the wait of the launch under way; undefined when none is. */
let finishLaunch: ((error?: Error) => void) | undefined;
/** What a write waits for; undefined: for nothing. */
let writing: Promise<void> | undefined;

/** Ends of the fetches under way, in their order; undefined where the device fetches nothing by itself. */
let fetches: { finish: () => void; fail: (error: Error) => void }[] | undefined;

/** A null slice whose launches and synchronises wait. */
async function openWaitingDevice(): Promise<DeviceSlice> {
  const slice = await nullDriver.open({
    description,
    arenaBytes: 64 * MiB,
    arenaBase: ARENA,
    kernelTimeoutMs: 0,
    onOutput: () => {},
  });
  const module: DeviceModule = slice.loadModule(
    new TextEncoder().encode(".version 8.0\n.target sm_75\n.entry k() { ret; }"),
  ) as DeviceModule;
  device = slice;
  slice.loadModule = () => module;
  slice.launch = () =>
    new Promise<void>((resolve, reject) => {
      told.push("launch");
      finishLaunch = (error) => {
        finishLaunch = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  const write = slice.write.bind(slice);
  slice.write = (...args) => {
    told.push("write");
    return writing === undefined ? write(...args) : writing.then(() => write(...args));
  };
  slice.fetch = () => {
    if (fetches === undefined) return undefined;
    told.push("fetch");
    return new Promise<void>((finish, fail) => void fetches!.push({ finish, fail }));
  };
  const close = slice.close.bind(slice);
  slice.close = async () => {
    closed = true;
    await close();
  };
  return slice;
}

async function connection(): Promise<[RawConnection, Socket]> {
  const connected = once(server, "connection") as Promise<[Socket]>;
  const end = new RawConnection(`127.0.0.1:${(server.address() as { port: number }).port}`);
  const [socket] = await connected;
  return [end, socket];
}

beforeEach(async () => {
  told = [];
  closed = false;
  finishLaunch = undefined;
  writing = undefined;
  fetches = undefined;
  server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  let socket: Socket;
  [client, socket] = await connection();
  counted = 0;
  usage = new UsageCounter();
  const assignment = { description, arenaBytes: 64 * MiB, arenaBase: ARENA };
  const work = new Workspace([assignment], openWaitingDevice, { isLocal: true });
  session = new Session({ resumeMs: 0, work, usage, beforeGoodbye: () => work.close() });
  const welcome = (): Buffer => frame(3, Buffer.alloc(32));
  session.attach({ socket, received: new Uint8Array(), clientReceived: 0, welcome });
  client.send(
    callsFrame(raw.attach(), raw.imageWrite(1, 1, 0, Buffer.of(1)), raw.moduleLoad(1, 1), raw.allocate(ARENA, MiB)),
  );
  await answered(2);
});

afterEach(async () => {
  client.destroy();
  await session.ended;
  server.close();
});

/** Frames up to and with the `count`th answer from now on. */
async function answered(count: number): Promise<RawFrame[]> {
  const frames: RawFrame[] = [];
  let got = 0;
  while (got < count) {
    const next = await client.next();
    if (next === undefined) throw new Error("The connection is closed.");
    frames.push(next);
    if (next.kind === ANSWERS) got += next.count;
    if ((next.kind === ANSWERS && next.count > 0) || next.kind === OUTPUT) counted++;
  }
  return frames;
}

const statusOf = ({ payload }: RawFrame, at = 0): number => payload.readUInt32LE(at + 4);
const launch = raw.launch({ module: 1 });

test("a call that waits holds up those behind it, and not the answers before it", async () => {
  client.send(callsFrame(raw.memoryInfo(), launch, raw.copyToDevice(ARENA, Buffer.of(1)), raw.memoryInfo()));
  const [first] = await answered(1);
  // The acknowledgement counts what is done: attach, image, module, allocation, and this answer's call.
  expect(first!.ack).toBe(5);
  expect(told).toEqual(["launch"]);
  finishLaunch!();
  const [second] = await answered(1);
  expect(second!.ack).toBe(8);
  expect(told).toEqual(["launch", "write"]);
});

test("a copy out of the staging file is acknowledged once it is executed, at once, whatever becomes of it", async () => {
  const copy = raw.copyToDeviceStaged(ARENA, 0, 64);
  const acknowledged = async (): Promise<number> => {
    const next = await client.next();
    expect(next).toMatchObject({ kind: ANSWERS, count: 0 });
    return next!.ack;
  };
  client.send(callsFrame(copy));
  expect(await acknowledged()).toBe(5);
  client.send(callsFrame(launch, copy));
  await waitFor("the launch", () => finishLaunch !== undefined);
  finishLaunch!();
  expect(await acknowledged()).toBe(7);
  let done = (): void => {};
  writing = new Promise((resolve) => {
    done = resolve;
  });
  client.send(callsFrame(copy));
  await waitFor("the write", () => told.length === 4);
  done();
  expect(await acknowledged()).toBe(8);
  // One that fails, and one that is not executed for that.
  client.send(callsFrame(raw.copyToDeviceStaged(0, 0, 64)));
  expect(await acknowledged()).toBe(9);
  client.send(callsFrame(copy));
  expect(await acknowledged()).toBe(10);
});

test("a copy that the device still fetches is acknowledged once it has, in its turn, and calls behind it run meanwhile", async () => {
  fetches = [];
  const copy = raw.copyToDeviceStaged(ARENA, 0, 64);
  client.send(callsFrame(copy, copy, raw.memoryInfo(), copy));
  const [first] = await answered(1);
  expect(told).toEqual(["fetch", "fetch", "fetch"]);
  expect(first!.ack).toBe(4);
  fetches[1]!.finish();
  // The answer shows that nothing was told before it.
  client.send(callsFrame(raw.memoryInfo()));
  expect((await client.next())!).toMatchObject({ kind: ANSWERS, count: 1, ack: 4 });
  fetches[0]!.finish();
  expect((await client.next())!).toMatchObject({ kind: ANSWERS, count: 0, ack: 7 });
  fetches[2]!.finish();
  expect((await client.next())!).toMatchObject({ kind: ANSWERS, count: 0, ack: 9 });
});

test("a device fetches a few copies at a time, and calls behind those wait", async () => {
  fetches = [];
  const copy = raw.copyToDeviceStaged(ARENA, 0, 64);
  client.send(callsFrame(copy, copy, copy, copy, copy, raw.memoryInfo()));
  await waitFor("the fetches", () => fetches!.length >= 4);
  expect(told.length).toBe(4);
  fetches[0]!.finish();
  expect((await client.next())!).toMatchObject({ kind: ANSWERS, count: 0, ack: 5 });
  await waitFor("the fifth", () => fetches!.length === 5);
  for (const { finish } of fetches.slice(1)) finish();
  const frames = await answered(1);
  expect(told).toEqual(["fetch", "fetch", "fetch", "fetch", "fetch"]);
  let { ack } = frames.at(-1)!;
  while (ack < 10) ({ ack } = (await client.next())!);
  expect(ack).toBe(10);
});

test("a fetch that fails is told by the next answer, with the call's number, whatever has run since", async () => {
  fetches = [];
  const copy = raw.copyToDeviceStaged(ARENA, 0, 64);
  client.send(callsFrame(raw.memoryInfo(), copy, raw.copyToDevice(ARENA, Buffer.of(1))));
  await answered(1);
  await waitFor("the fetch", () => told.length === 2);
  fetches[0]!.fail(new SluiceError("ILLEGAL_ADDRESS", "The device fails."));
  expect((await client.next())!).toMatchObject({ kind: ANSWERS, count: 0, ack: 7 });
  client.send(callsFrame(copy, raw.memoryInfo()));
  const [answer] = parseAnswers((await answered(1)).at(-1)!);
  expect(answer).toMatchObject({
    code: "ILLEGAL_ADDRESS",
    failed: { sequence: 6, opcode: copy.readUInt32LE(0), message: "The device fails." },
  });
  expect(told).toEqual(["fetch", "write"]);
});

test("a fetch that fails before a call behind it does is the one that is told", async () => {
  fetches = [];
  client.send(callsFrame(raw.copyToDeviceStaged(ARENA, 0, 64), launch, raw.memoryInfo()));
  await waitFor("the launch", () => finishLaunch !== undefined);
  fetches[0]!.fail(new SluiceError("ILLEGAL_ADDRESS", "The device fails to fetch."));
  await new Promise((resolve) => setImmediate(resolve));
  finishLaunch!(new SluiceError("ILLEGAL_ADDRESS", "The device fails."));
  const [answer] = parseAnswers((await answered(1)).at(-1)!);
  expect(answer!.failed).toMatchObject({ sequence: 5, message: "The device fails to fetch." });
});

test("a client that comes back while the device fetches is told of no copy that it has not, and of the calls behind it later", async () => {
  fetches = [];
  client.send(callsFrame(raw.copyToDeviceStaged(ARENA, 0, 64), raw.memoryInfo()));
  await answered(1);
  let position: SessionPosition | undefined;
  const [back, socket] = await connection();
  const welcome = (now: SessionPosition): Buffer => {
    position = now;
    return frame(3, Buffer.alloc(32));
  };
  session.attach({ socket, received: new Uint8Array(), clientReceived: counted, welcome });
  client.destroy();
  client = back;
  await client.next();
  expect(position).toMatchObject({ executed: 4, received: 6 });
  fetches[0]!.finish();
  let { ack } = (await client.next())!;
  while (ack < 6) {
    expect(ack).toBe(4);
    ({ ack } = (await client.next())!);
  }
});

test("a session that ends while the device fetches closes the device, and nobody minds how the fetch ends", async () => {
  fetches = [];
  client.send(callsFrame(raw.copyToDeviceStaged(ARENA, 0, 64)));
  await waitFor("the fetch", () => fetches!.length === 1);
  client.destroy();
  await waitFor("the end", () => closed);
  fetches[0]!.fail(new SluiceError("CLOSED", "The slice is gone."));
  await session.ended;
});

test("what a held-up frame carries is still there when its turn comes, however much follows", async () => {
  const data = Buffer.from("still the same bytes");
  client.send(callsFrame(launch, raw.copyToDevice(ARENA, data)));
  await waitFor("the launch", () => finishLaunch);
  for (let index = 0; index < 5; index++) {
    client.send(callsFrame(raw.copyToDevice(ARENA + 4096, Buffer.alloc(MiB - 4096, 0xee))));
  }
  client.send(callsFrame(raw.copyFromDevice(ARENA, data.length)));
  await waitFor("some of it to arrive", () => usage.bytesReceived > 500_000);
  finishLaunch!();
  const frames = await answered(1);
  expect(frames.at(-1)!.payload.subarray(24, 24 + data.length)).toEqual(data);
});

test("while a call waits, only a bounded amount is read ahead", async () => {
  client.send(callsFrame(launch));
  await waitFor("the launch", () => finishLaunch);
  const before = usage.bytesReceived;
  const piece = callsFrame(raw.copyToDevice(ARENA, Buffer.alloc(MiB)));
  for (let index = 0; index < 40; index++) client.send(piece);
  // The kernel's buffers fill up, and the client can write no more.
  let last = -1;
  await waitFor("the reading to stop", async () => {
    const now = client.socket.bytesWritten - client.socket.writableLength;
    const stopped = now === last && now > MiB;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return stopped;
  });
  expect(usage.bytesReceived - before).toBeLessThan(2 * MiB);
  finishLaunch!();
  client.send(callsFrame(raw.deviceSynchronize()));
  await answered(1);
  expect(told.filter((what) => what === "write").length).toBe(40);
});

test("what a kernel prints comes before the answer behind it", async () => {
  client.send(callsFrame(raw.memoryInfo(), launch, raw.deviceSynchronize()));
  await answered(1);
  session.print("hello ");
  session.print("wörld\n");
  finishLaunch!();
  const frames = await answered(1);
  expect(frames.map(({ kind }) => kind)).toEqual([OUTPUT, ANSWERS]);
  expect(frames[0]!.payload.subarray(8, 8 + frames[0]!.payload.readUInt32LE(0)).toString()).toBe("hello wörld\n");
});

test("output beyond a megabyte between two answers is dropped, and the text says how much", async () => {
  client.send(callsFrame(launch, raw.deviceSynchronize()));
  await waitFor("the launch", () => finishLaunch);
  for (let index = 0; index < 20; index++) session.print("x".repeat(100_000));
  finishLaunch!();
  const [output] = await answered(1);
  const text = output!.payload.subarray(8).toString();
  expect(text).toMatch(/^x{1000000}\n\[1000000 bytes of output are dropped\]\n/);
});

test("a kernel's fault is told by every later answer, with the launch's sequence number, and nothing runs any more", async () => {
  client.send(callsFrame(launch, raw.copyToDevice(ARENA, Buffer.of(1)), raw.memoryInfo(), raw.deviceSynchronize()));
  await waitFor("the launch", () => finishLaunch);
  finishLaunch!(
    new SluiceError("ILLEGAL_ADDRESS", "The kernel touches [0].", { nativeCode: 700, nativeName: "ILLEGAL" }),
  );
  const [frameOfBoth] = await answered(2);
  expect(statusOf(frameOfBoth!)).toBe(55);
  expect(frameOfBoth!.payload.readBigUInt64LE(16)).toBe(5n);
  expect(frameOfBoth!.payload.readInt32LE(28)).toBe(700);
  expect(statusOf(frameOfBoth!, frameOfBoth!.payload.readUInt32LE(0))).toBe(55);
  expect(told).toEqual(["launch"]);
  expect(frameOfBoth!.ack).toBe(8);
});

test("an error that is none of ours is told as INTERNAL, and the loop goes on", async () => {
  client.send(callsFrame(launch, raw.memoryInfo()));
  await waitFor("the launch", () => finishLaunch);
  finishLaunch!(new TypeError("oops"));
  expect(statusOf((await answered(1))[0]!)).toBe(3);
});

test("a GOODBYE is answered after all calls before it, and after everything is given back", async () => {
  client.send(Buffer.concat([callsFrame(launch, raw.memoryInfo()), frame(GOODBYE, Buffer.alloc(0))]));
  await waitFor("the launch", () => finishLaunch);
  expect(closed).toBe(false);
  finishLaunch!();
  await answered(1);
  expect((await client.next())?.kind).toBe(GOODBYE);
  expect(closed).toBe(true);
  expect(await client.next()).toBeUndefined();
});

test("a client that goes while a kernel runs has its device closed at once", async () => {
  client.send(callsFrame(launch));
  await waitFor("the launch", () => finishLaunch);
  client.destroy();
  await session.ended;
  expect(closed).toBe(true);
  finishLaunch!(new SluiceError("CLOSED", "The slice is closed."));
});

test("use counts calls, batches, answers and bytes", async () => {
  client.send(callsFrame(raw.allocate(ARENA + MiB, 256), raw.memoryInfo()));
  await answered(1);
  const counted = usage.changes()!;
  expect(counted).toMatchObject({ calls: 6, batches: 2, answers: 3 });
  expect(counted.bytesReceived).toBe(client.socket.bytesWritten);
  expect(counted.bytesSent).toBe(client.socket.bytesRead);
  expect(usage.changes()).toBeUndefined();
});

test("the time of a device that does not measure its own is counted once, however often it is asked for", async () => {
  client.send(callsFrame(launch, raw.memoryInfo()));
  await waitFor("the launch", () => finishLaunch !== undefined);
  finishLaunch!();
  await answered(1);
  session.countDeviceTime();
  const { deviceMs } = usage;
  expect(deviceMs).toBeGreaterThan(0);
  session.countDeviceTime();
  expect(usage.deviceMs).toBe(deviceMs);
});

test("what a device measures is counted once too, and to the end of the session", async () => {
  let measuredMs = 5;
  device.deviceTimeMs = () => measuredMs;
  for (const ms of [5, 5, 8, 8]) {
    measuredMs = ms;
    session.countDeviceTime();
    expect(usage.deviceMs).toBe(ms);
  }
  measuredMs = 9;
  client.destroy();
  await session.ended;
  expect(usage.deviceMs).toBe(9);
});
