/** Programs, launches, streams and events end to end over the raw wire, with real PTX, on devices that compute nothing. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ARENA, body, MiB, parseModule, RawControl, type RawLease, RawSession, raw } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const ptx = readFileSync("test/kernels/ptx/linear.ptx");
const withGlobals = Buffer.from(`
.version 8.0
.target sm_75 // a comment with .entry ghost()
.address_size 64
.visible .global .align 4 .b8 table[1024];
.global .align 4 .b8 hidden[64];
.visible .global .f32 scale = 0f3F800000;
.visible .entry first(
  .param .u32 n,
  .param .u64 .ptr .global .align 16 data,
  .param .align 8 .b8 box[20],
  .param .f32 factor
)
{ .reg .b32 %r<2>; ret; }
.visible .entry second() { ret; }
`);

let server: TestServer;
let control: RawControl;
let lease: RawLease;
let session: RawSession;

beforeAll(async () => {
  // Nobody beats for the lease of this file.
  server = await startServer({ args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"] });
  control = new RawControl(server.grpc);
  lease = await control.allocate({ memoryBytes: 64 * MiB });
});

beforeEach(async () => {
  session = await RawSession.openNext(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
});

afterEach(() => session.connection.destroy());

afterAll(async () => {
  await control.release(lease.id, lease.secret);
  await waitFor("an empty pool", async () => (await control.inUse()) === 0);
  control.close();
  expect(await server.stop()).toBe(0);
});

/** Loads `image` as module 1 from image 1. */
const load = (image: Uint8Array) => session.ask(raw.imageWrite(1, image.byteLength, 0, image), raw.moduleLoad(1, 1));

test("a module from nvcc tells its kernels and their parameters", async () => {
  const answer = await load(ptx);
  expect(answer.code).toBe("OK");
  const { kernels } = parseModule(answer.body);
  const names = [...ptx.toString().matchAll(/\.entry (\w+)/g)].map((match) => match[1]);
  expect(kernels.map(({ name }) => name)).toEqual(names);
  expect(kernels[0]).toMatchObject({ name: "vector_add", paramBytes: 32 });
  expect(kernels[0]!.params.map(([offset, size]) => [offset, size])).toEqual([
    [0, 4],
    [8, 8],
    [16, 8],
    [24, 8],
  ]);
});

test("pointers, structures and floats are told apart, and globals can be written and read", async () => {
  const { kernels, globals } = parseModule((await load(withGlobals)).body);
  expect(kernels.map(({ name }) => name)).toEqual(["first", "second"]);
  expect(kernels[0]!.params).toEqual([
    [0, 4, 4, 1],
    [8, 8, 8, 5],
    [16, 20, 8, 4],
    [36, 4, 4, 3],
  ]);
  expect(globals.map(({ name, byteCount }) => [name, byteCount])).toEqual([
    ["table", 1024],
    ["hidden", 64],
    ["scale", 4],
  ]);
  const table = globals[0]!.address;
  session.send(raw.fill(table, 1024, 1, 5), raw.copyToDevice(globals[2]!.address, Buffer.from("1234")));
  expect(await session.read(table + 1000, 24)).toEqual(Buffer.alloc(24, 5));
  expect((await session.read(globals[2]!.address, 4)).toString()).toBe("1234");
  session.send(raw.allocate(ARENA, 1024), raw.copyOnDevice(ARENA, table, 1024));
  expect(await session.read(ARENA + 10, 4)).toEqual(Buffer.alloc(4, 5));
  expect((await session.ask(raw.copyFromDevice(table, 1025))).code).toBe("ADDRESS_OUTSIDE_ARENA");
  expect((await session.ask(raw.moduleUnload(1), raw.copyFromDevice(table, 4))).code).toBe("ADDRESS_OUTSIDE_ARENA");
});

/** PTX texts as one image (proto/README.md, "Images"). */
function imageOf(...texts: readonly Buffer[]): Buffer {
  const inputs = Buffer.concat(texts.map((text) => body(["u32", 1], ["bytes", text])));
  const head = body(["u32", 0x49554c53], ["u32", 0x4b4c4543], ["u32", 16 + inputs.length], ["u32", texts.length]);
  return Buffer.concat([head, inputs]);
}

test("several images become one module, and what is no image of several is refused alone", async () => {
  const several = imageOf(ptx, withGlobals);
  const { kernels, globals } = parseModule((await load(several)).body);
  expect(kernels.map(({ name }) => name)).toEqual(expect.arrayContaining(["vector_add", "first", "second"]));
  expect(globals.map(({ name }) => name)).toEqual(["table", "hidden", "scale"]);
  for (const [index, bytes] of [20, several.length - 8].entries()) {
    const [bad, good] = [2 + 2 * index, 3 + 2 * index];
    const cut = several.subarray(0, bytes);
    expect((await session.ask(raw.imageWrite(bad, bytes, 0, cut), raw.moduleLoad(bad, bad))).code).toBe("BAD_IMAGE");
    expect((await session.ask(raw.imageWrite(good, ptx.length, 0, ptx), raw.moduleLoad(good, good))).code).toBe("OK");
  }
});

test("an image in many pieces is put together", async () => {
  const pieces: Buffer[] = [];
  for (let at = 0; at < ptx.length; at += 1000) {
    pieces.push(raw.imageWrite(1, ptx.length, at, ptx.subarray(at, Math.min(ptx.length, at + 1000))));
  }
  expect((await session.ask(...pieces, raw.moduleLoad(1, 1))).code).toBe("OK");
});

test.each<[string, Buffer]>([
  ["random bytes", Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3])],
  ["text that is not PTX", Buffer.from("hello")],
  ["PTX that ends inside a body", Buffer.from(".version 8.0\n.target sm_75\n.entry f() { ret;")],
  ["PTX with a closing brace too many", Buffer.from(".version 8.0\n.target sm_75\n } .entry f() { ret; }")],
  ["PTX with an unreadable parameter", Buffer.from(".version 8.0\n.target sm_75\n.entry f(.param .u99 x) { ret; }")],
])("an image of %s is refused with BAD_IMAGE, alone", async (_, image) => {
  expect((await load(image)).code).toBe("BAD_IMAGE");
  expect(await session.codeAfter(raw.imageWrite(2, ptx.length, 0, ptx))).toBe("OK");
  expect((await session.ask(raw.moduleLoad(2, 2))).code).toBe("OK");
});

test("an image that is not complete is refused with BAD_IMAGE", async () => {
  expect((await session.ask(raw.imageWrite(1, 100, 0, ptx.subarray(0, 50)), raw.moduleLoad(1, 1))).code).toBe(
    "BAD_IMAGE",
  );
});

test("a cooperative launch is checked and run as any other", async () => {
  await load(ptx);
  const options = { module: 1, params: Buffer.alloc(32), cooperative: true };
  expect(await session.codeAfter(raw.launch({ ...options, grid: [2, 1, 1] }))).toBe("OK");
  expect(await session.codeAfter(raw.launch({ ...options, params: Buffer.alloc(8) }))).toBe("BAD_LAUNCH");
});

test("images wait only within their bounds", async () => {
  const images = Array.from({ length: 17 }, (_, index) => raw.imageWrite(index + 1, 10, 0, ptx.subarray(0, 10)));
  expect(await session.codeAfter(...images)).toBe("IMAGE_TOO_LARGE");
});

const params = Buffer.alloc(32);

test.each<[string, string, Parameters<typeof raw.launch>[0]]>([
  ["a kernel index behind the last", "NO_SUCH_KERNEL", { module: 1, kernel: 1000, params }],
  ["a grid of zero blocks", "BAD_LAUNCH", { module: 1, grid: [0, 1, 1], params }],
  ["a grid too wide", "BAD_LAUNCH", { module: 1, grid: [2 ** 31, 1, 1], params }],
  ["a grid too high", "BAD_LAUNCH", { module: 1, grid: [1, 65_536, 1], params }],
  ["a huge grid", "BAD_LAUNCH", { module: 1, grid: [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], params }],
  ["a block of zero threads", "BAD_LAUNCH", { module: 1, block: [1, 0, 1], params }],
  ["a block of 2048 threads", "BAD_LAUNCH", { module: 1, block: [64, 32, 1], params }],
  ["a block too deep", "BAD_LAUNCH", { module: 1, block: [1, 1, 65], params }],
  ["too much shared memory", "BAD_LAUNCH", { module: 1, sharedBytes: 2 ** 31, params }],
  ["too few bytes of parameters", "BAD_LAUNCH", { module: 1, params: params.subarray(1) }],
  ["too many bytes of parameters", "BAD_LAUNCH", { module: 1, params: Buffer.alloc(33) }],
  ["a stream that is not there", "NO_SUCH_HANDLE", { module: 1, stream: 5, params }],
  ["a module that is not there", "NO_SUCH_HANDLE", { module: 2, params }],
])("a launch with %s is refused with %s", async (_, code, options) => {
  expect((await load(ptx)).code).toBe("OK");
  const answer = await session.ask(raw.launch({ module: 1, params }), raw.launch(options), raw.deviceSynchronize());
  expect(answer.code).toBe(code);
  expect(answer.failed).toMatchObject({ sequence: 5, opcode: 11 });
});

test("a launch of an unloaded module is refused, and its number is never used again", async () => {
  expect((await load(ptx)).code).toBe("OK");
  expect(
    (await session.ask(raw.moduleUnload(1), raw.imageWrite(2, ptx.length, 0, ptx), raw.moduleLoad(1, 2))).code,
  ).toBe("HANDLE_IN_USE");
  expect(await session.codeAfter(raw.launch({ module: 1, params }))).toBe("NO_SUCH_HANDLE");
});

test("streams and events are created, recorded, waited for and destroyed in one batch", async () => {
  const answer = await session.ask(
    raw.streamCreate(1),
    raw.streamCreate(2),
    raw.eventCreate(1),
    raw.eventCreate(2),
    raw.eventRecord(1, 1),
    raw.streamWaitEvent(2, 1),
    raw.eventRecord(2),
    raw.streamWaitEvent(0, 2),
    raw.streamSynchronize(0),
    raw.eventElapsed(1, 2),
  );
  expect(answer.code).toBe("OK");
  expect(answer.body.readDoubleLE(0)).toBeGreaterThanOrEqual(0);
  for (const query of [raw.streamQuery(1), raw.streamQuery(0), raw.eventQuery(2)]) {
    expect((await session.ask(query)).body.readUInt32LE(0)).toBe(1);
  }
  for (const wait of [raw.streamSynchronize(1), raw.streamSynchronize(0), raw.eventSynchronize(1)]) {
    expect((await session.ask(wait)).code).toBe("OK");
  }
  expect(await session.codeAfter(raw.streamDestroy(1), raw.streamDestroy(2), raw.eventDestroy(1))).toBe("OK");
});

test("time between events that take none, or are not recorded, is a bad argument", async () => {
  session.send(
    raw.eventCreate(1, 0, 2),
    raw.eventCreate(2),
    raw.eventRecord(1),
    raw.eventCreate(3),
    raw.eventRecord(3),
  );
  expect((await session.ask(raw.eventElapsed(1, 3))).code).toBe("BAD_ARGUMENT");
  expect((await session.ask(raw.eventElapsed(2, 3))).code).toBe("BAD_ARGUMENT");
});

test("a session may hold 65,536 events and not one more", async () => {
  const events = Array.from({ length: 65_537 }, (_, index) => raw.eventCreate(index + 1));
  for (let at = 0; at < 65_536; at += 4096) expect(await session.codeAfter(...events.slice(at, at + 4096))).toBe("OK");
  expect(await session.codeAfter(events.at(-1)!)).toBe("TOO_MANY_HANDLES");
});

test("100,000 allocations are told, freed in another order, and the arena is whole again", async () => {
  const addresses = Array.from({ length: 100_000 }, (_, index) => ARENA + index * 512);
  const send = (calls: Buffer[]): void => {
    for (let at = 0; at < calls.length; at += 10_000) session.send(...calls.slice(at, at + 10_000));
  };
  send(addresses.map((address) => raw.allocate(address, 512)));
  send(addresses.filter((_, index) => index % 2 === 1).map((address) => raw.free(address)));
  send(
    addresses
      .filter((_, index) => index % 2 === 0)
      .reverse()
      .map((address) => raw.free(address)),
  );
  const info = await session.ask(raw.allocate(ARENA, 64 * MiB), raw.free(ARENA), raw.memoryInfo());
  expect(info.code).toBe("OK");
  expect(Number(info.body.readBigUInt64LE(0))).toBe(64 * MiB);
});

test("100,000 calls without an answer are acknowledged on the way", async () => {
  expect((await load(ptx)).code).toBe("OK");
  const launches = Array.from({ length: 10_000 }, () => raw.launch({ module: 1, params }));
  for (let round = 0; round < 10; round++) session.send(...launches);
  const frames: { ack: number; count: number }[] = [];
  for (let ack = 0; ack < 90_000; ) {
    const next = await session.connection.next();
    expect(next).toBeDefined();
    ({ ack } = next!);
    frames.push(next!);
  }
  expect(frames.every(({ count }) => count === 0)).toBe(true);
  // 88 bytes per launch: 256 KiB are 2979 of them.
  for (let index = 1; index < frames.length; index++) {
    expect(frames[index]!.ack - frames[index - 1]!.ack).toBeLessThanOrEqual(2979);
  }
});
