/** Recorded batches end to end over the raw wire, against a real server with null devices: what works, and every misuse with its code. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ARENA, call, MiB, RawControl, type RawLease, RawSession, raw, STRIDE } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let control: RawControl;
let lease: RawLease;
let session: RawSession;

const ptx = Buffer.from(
  ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 p, .param .u32 n) { ret; }",
);

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"] });
  control = new RawControl(server.grpc);
  lease = await control.allocate({ devices: 1, memoryBytes: 64 * MiB });
});

beforeEach(async () => {
  session = await RawSession.openNext(server.data, lease);
  await session.ask(raw.attach());
  session.send(raw.allocate(ARENA, 4096), raw.allocate(ARENA + 4096, 4096), raw.imageWrite(1, ptx.length, 0, ptx));
  expect((await session.ask(raw.moduleLoad(1, 1))).code).toBe("OK");
});

afterEach(() => session.connection.destroy());

afterAll(async () => {
  await control.release(lease.id, lease.secret);
  control.close();
  expect(await server.stop()).toBe(0);
});

/** What the next answered call says: OK, or the failure of an earlier call. */
async function outcome(): Promise<{ code: string; message: string }> {
  const { code, failed } = await session.ask(raw.memoryInfo());
  return { code, message: failed?.message ?? "" };
}

const u64 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), index * 8);
  return bytes;
};

const params = Buffer.alloc(12);
const launch = (): Buffer => raw.launch({ module: 1, params });

test("a recording runs nothing until it is replayed, and then everything in order", async () => {
  session.send(
    raw.recordingCreate(1, [raw.fill(ARENA, 4096, 1, 7), raw.copyOnDevice(ARENA + 4096, ARENA, 4096), launch()]),
  );
  expect((await session.read(ARENA + 4096, 8)).equals(Buffer.alloc(8))).toBe(true);
  session.send(raw.recordingReplay(1));
  expect((await session.read(ARENA + 4096, 8)).equals(Buffer.alloc(8, 7))).toBe(true);
});

test("values go to their places, in words and in bytes, also into parameters of launches", async () => {
  const patches = [
    [0, 0, 8, 0],
    [0, 20, 4, 8],
    [1, 0, 8, 16],
    [1, 8, 8, 0],
    [2, 48, 8, 0],
    [2, 48 + 8, 4, 8],
    [2, 48 + 9, 3, 8],
  ] as const;
  const calls = [raw.fill(0, 16, 1, 0), raw.copyOnDevice(0, 0, 16), launch()];
  session.send(raw.recordingCreate(1, calls, { valueBytes: 24, patches }));
  for (const [at, value] of [
    [0, 3],
    [100, 5],
  ] as const) {
    session.send(raw.recordingReplay(1, u64(ARENA + at, value, ARENA + 4096 + at)));
    expect((await session.read(ARENA + at, 16)).equals(Buffer.alloc(16, value))).toBe(true);
    expect((await session.read(ARENA + 4096 + at, 16)).equals(Buffer.alloc(16, value))).toBe(true);
  }
});

test("events, streams and recordings of several calls work as if sent one by one", async () => {
  session.send(raw.streamCreate(1), raw.eventCreate(1));
  const calls = [raw.fill(ARENA, 8, 1, 1, 1), raw.eventRecord(1, 1), raw.streamWaitEvent(0, 1), launch()];
  session.send(raw.recordingCreate(1, calls), raw.recordingCreate(2, [launch()]));
  session.send(raw.recordingReplay(1), raw.recordingReplay(2), raw.recordingReplay(1), raw.recordingDestroy(2));
  expect((await session.ask(raw.eventSynchronize(1))).code).toBe("OK");
  expect((await session.ask(raw.eventQuery(1))).body.readUInt32LE(0)).toBe(1);
  expect((await outcome()).code).toBe("OK");
});

describe("a recording is refused", () => {
  const cases: [string, () => Buffer, string, RegExp][] = [
    ["without calls", () => raw.recordingCreate(1, []), "BAD_ARGUMENT", /\[0\] calls/],
    [
      "with fewer calls than it says",
      () => raw.recordingCreate(1, [launch()], { count: 2 }),
      "BAD_ARGUMENT",
      /malformed/,
    ],
    [
      "with a call cut off",
      () => raw.recordingCreate(1, [launch().subarray(0, 40)], { count: 1 }),
      "BAD_ARGUMENT",
      /malformed/,
    ],
    ["with a body too short", () => raw.recordingCreate(1, [call(7, ["u64", ARENA])]), "BAD_ARGUMENT", /malformed/],
    ["with an unknown call", () => raw.recordingCreate(1, [call(255)]), "BAD_ARGUMENT", /unknown opcode/],
    [
      "with a copy to the device",
      () => raw.recordingCreate(1, [raw.copyToDevice(ARENA, Buffer.of(1))]),
      "BAD_ARGUMENT",
      /\[copyToDevice\] cannot/,
    ],
    [
      "with an answered call",
      () => raw.recordingCreate(1, [raw.deviceSynchronize()]),
      "BAD_ARGUMENT",
      /\[0\] \[deviceSynchronize\] cannot/,
    ],
    [
      "with an allocation",
      () => raw.recordingCreate(1, [launch(), raw.allocate(ARENA + 8192, 1)]),
      "BAD_ARGUMENT",
      /\[1\] \[allocate\] cannot/,
    ],
    [
      "with a replay of itself",
      () => raw.recordingCreate(1, [raw.recordingReplay(1)]),
      "BAD_ARGUMENT",
      /cannot be recorded/,
    ],
    [
      "with a recording inside",
      () => raw.recordingCreate(1, [raw.recordingCreate(2, [launch()])]),
      "BAD_ARGUMENT",
      /cannot be recorded/,
    ],
    [
      "with a module that is not there",
      () => raw.recordingCreate(1, [launch(), raw.launch({ module: 9, params })]),
      "NO_SUCH_HANDLE",
      /call \[1\] \[launch\] of the recording \[1\]/,
    ],
    [
      "with a kernel that is not there",
      () => raw.recordingCreate(1, [raw.launch({ module: 1, kernel: 1, params })]),
      "NO_SUCH_KERNEL",
      /call \[0\]/,
    ],
    [
      "with a stream that is not there",
      () => raw.recordingCreate(1, [raw.fill(ARENA, 1, 1, 1, 5)]),
      "NO_SUCH_HANDLE",
      /call \[0\] \[fill\]/,
    ],
    [
      "with an event that is not there",
      () => raw.recordingCreate(1, [raw.eventRecord(3)]),
      "NO_SUCH_HANDLE",
      /\[eventRecord\]/,
    ],
    ["under a number used before", () => raw.recordingCreate(0, [launch()]), "HANDLE_IN_USE", /recording/],
  ];
  const places: [string, readonly [number, number, number, number]][] = [
    ["a launch's module", [0, 0, 4, 0]],
    ["a launch's grid", [0, 8, 4, 0]],
    ["the count of a launch's parameters", [0, 40, 4, 0]],
    ["behind a launch's parameters", [0, 56, 8, 0]],
    ["before them", [0, 44, 8, 0]],
    ["a fill's width", [1, 16, 4, 0]],
    ["a fill's stream", [1, 24, 4, 0]],
    ["a part of a fill's address", [1, 0, 4, 0]],
    ["a call that is not there", [2, 48, 4, 0]],
    ["nothing", [0, 48, 0, 0]],
    ["a place from values that are not there", [0, 48, 8, 8]],
    ["a place from values that are not aligned", [0, 48, 4, 4]],
    ["a place far outside", [0, 0xffff_fff0, 0x20, 0]],
  ];
  for (const [what, patch] of places) {
    const make = (): Buffer =>
      raw.recordingCreate(1, [launch(), raw.fill(ARENA, 1, 1, 1)], { valueBytes: 8, patches: [patch] });
    cases.push([`with a value for ${what}`, make, "BAD_ARGUMENT", /cannot go to the byte/]);
  }
  test.each(cases)("%s", async (_what, make, code, words) => {
    session.send(make(), raw.fill(ARENA, 1, 1, 9));
    const failure = await outcome();
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(words);
  });

  test("beyond the calls that a session may keep", async () => {
    const calls = new Array<Buffer>(16_384).fill(raw.eventRecord(1));
    session.send(raw.eventCreate(1));
    for (let recording = 1; recording <= 16; recording++) session.send(raw.recordingCreate(recording, calls));
    expect((await outcome()).code).toBe("OK");
    session.send(raw.recordingDestroy(7), raw.recordingCreate(17, calls));
    expect((await outcome()).code).toBe("OK");
    session.send(raw.recordingCreate(18, [launch()]));
    expect((await outcome()).code).toBe("TOO_MANY_HANDLES");
  });
});

describe("a replay fails, naming its call,", () => {
  const address = [[0, 0, 8, 0]] as const;
  const cases: [string, () => Buffer[], string, RegExp][] = [
    ["of a recording that is not there", () => [raw.recordingReplay(1)], "NO_SUCH_HANDLE", /recording handle \[1\]/],
    [
      "of a recording that is destroyed",
      () => [raw.recordingCreate(1, [launch()]), raw.recordingDestroy(1), raw.recordingReplay(1)],
      "NO_SUCH_HANDLE",
      /destroyed/,
    ],
    [
      "with too few values",
      () => [
        raw.recordingCreate(1, [raw.fill(0, 1, 1, 1)], { valueBytes: 8, patches: address }),
        raw.recordingReplay(1),
      ],
      "BAD_ARGUMENT",
      /takes \[8\] bytes of values, and \[0\]/,
    ],
    [
      "with too many values",
      () => [raw.recordingCreate(1, [launch()]), raw.recordingReplay(1, u64(1))],
      "BAD_ARGUMENT",
      /takes \[0\]/,
    ],
    [
      "with an address outside the arena",
      () => [
        raw.recordingCreate(1, [launch(), raw.fill(0, 1, 1, 1)], { valueBytes: 8, patches: [[1, 0, 8, 0]] }),
        raw.recordingReplay(1, u64(ARENA + STRIDE)),
      ],
      "ADDRESS_OUTSIDE_ARENA",
      /call \[1\] \[fill\] of the recording \[1\]/,
    ],
    [
      "with an address that nothing is allocated at",
      () => [
        raw.recordingCreate(1, [raw.copyOnDevice(ARENA, 0, 16)], { valueBytes: 8, patches: [[0, 8, 8, 0]] }),
        raw.recordingReplay(1, u64(ARENA + 8192)),
      ],
      "NOT_ALLOCATED",
      /call \[0\] \[copyOnDevice\]/,
    ],
    [
      "with a range that passes its allocation",
      () => [
        raw.recordingCreate(1, [raw.fill(ARENA, 0, 1, 1)], { valueBytes: 8, patches: [[0, 8, 8, 0]] }),
        raw.recordingReplay(1, u64(4097)),
      ],
      "NOT_ALLOCATED",
      /call \[0\] \[fill\]/,
    ],
    [
      "over memory that is freed",
      () => [
        raw.recordingCreate(1, [launch(), raw.fill(ARENA, 1, 1, 1)]),
        raw.recordingReplay(1),
        raw.free(ARENA),
        raw.recordingReplay(1),
      ],
      "NOT_ALLOCATED",
      /call \[1\] \[fill\]/,
    ],
    [
      "with a module that is unloaded",
      () => [raw.recordingCreate(1, [launch()]), raw.moduleUnload(1), raw.recordingReplay(1)],
      "NO_SUCH_HANDLE",
      /call \[0\] \[launch\].*module handle \[1\] is destroyed/,
    ],
    [
      "with a stream that is destroyed",
      () => [
        raw.streamCreate(1),
        raw.recordingCreate(1, [raw.fill(ARENA, 1, 1, 1, 1)]),
        raw.streamDestroy(1),
        raw.recordingReplay(1),
      ],
      "NO_SUCH_HANDLE",
      /\[fill\].*stream handle \[1\]/,
    ],
    [
      "with a launch that no device can run",
      () => [raw.recordingCreate(1, [raw.launch({ module: 1, grid: [0, 1, 1], params })]), raw.recordingReplay(1)],
      "BAD_LAUNCH",
      /call \[0\] \[launch\]/,
    ],
  ];
  test.each(cases)("%s", async (_what, make, code, words) => {
    session.send(...make());
    const failure = await outcome();
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(words);
  });

  test("and nothing behind that call runs", async () => {
    session.send(
      raw.recordingCreate(1, [raw.fill(ARENA, 1, 1, 1), raw.fill(ARENA + 8192, 1, 1, 1), raw.fill(ARENA + 1, 1, 1, 1)]),
    );
    session.send(raw.recordingReplay(1));
    expect((await outcome()).message).toMatch(/call \[1\]/);
  });
});
