/** The calls for cuDNN over the raw wire, on a server with CUDA devices: what works, and every misuse with its code. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DNN_ATTRIBUTES_MAX } from "../../shared/limits.ts";
import { arg, BackendType, flag, i64, library, numberOf, refers, stridesOf, tensor, word } from "../support/dnn.ts";
import {
  ARENA,
  MiB,
  type RawAnswer,
  RawControl,
  type RawLease,
  RawSession,
  raw,
  STRIDE,
} from "../support/raw-client.ts";
import { type RawExecution, rawDnn } from "../support/raw-dnn.ts";
import { rawLibrary } from "../support/raw-library.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { standin, standinMissing } from "./standin.ts";

const BYTES = 65_536;
const [X, Y] = [ARENA, ARENA + 4096];
/** Handles of the plan of `copying`, and of a tensor that it copies. */
const [PLAN, TENSOR] = [8, 2];
const ids = [1n, 2n];
const numbers = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);

let server: TestServer;
let control: RawControl;
let lease: RawLease;
let session: RawSession;

const status = ({ body }: RawAnswer): number => body.readUInt32LE(0);

/** Makes a plan that copies six numbers, on the first device. */
async function copying(): Promise<void> {
  const described: [number, Parameters<typeof rawDnn.describe>[1]["attributes"]][] = [
    [BackendType.POINTWISE, [word(0, 14, 21), word(1, 1, 0)]],
    [BackendType.TENSOR, tensor({ uid: 1, dims: [2, 3] })],
    [BackendType.TENSOR, tensor({ uid: 2, dims: [2, 3] })],
    [BackendType.POINTWISE_OPERATION, [refers(750, 1), refers(751, 2), refers(753, 3)]],
    [BackendType.GRAPH, [library(800), refers(801, 4)]],
    [BackendType.ENGINE, [refers(1300, 5), i64(1301, 1)]],
    [BackendType.ENGINECFG, [refers(300, 6)]],
    [BackendType.PLAN, [refers(401, 7)]],
  ];
  for (const [index, [type, attributes]] of described.entries()) {
    const answer = await session.ask(rawDnn.describe(index + 1, { type, attributes: attributes! }));
    expect([answer.code, status(answer)]).toEqual(["OK", 0]);
  }
}

const execute = (options: RawExecution = {}): Buffer =>
  rawDnn.execute(PLAN, { uids: ids, addresses: [X, Y], ...options });
const attempt = (options: RawExecution = {}): Buffer => execute({ opcode: 53, ...options });

describe.skipIf(standinMissing !== undefined)("cuDNN on a server with CUDA devices", () => {
  beforeAll(async () => {
    process.env["SLUICE_TEST_STANDIN"] = standin.folder;
    server = await startServer({ args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"] });
    control = new RawControl(server.grpc);
  });

  beforeEach(async () => {
    lease = await control.allocate({ devices: 2, memoryBytes: 64 * MiB, requestId: randomUUID() });
    session = await RawSession.open(server.data, lease);
    for (const index of [0, 1]) {
      expect((await session.ask(raw.attach(index))).code).toBe("OK");
      session.send(raw.allocate(ARENA + index * STRIDE, BYTES));
      expect((await session.ask(rawLibrary.open(index))).code).toBe("OK");
    }
  });

  afterEach(async () => {
    session.connection.destroy();
    await control.release(lease.id, lease.secret);
  });

  afterAll(async () => {
    control.close();
    expect(await server.stop()).toBe(0);
  });

  test("a plan runs with and without an answer, and in a recording", async () => {
    await copying();
    expect(status(await session.ask(raw.copyToDevice(X, numbers), attempt()))).toBe(0);
    expect(await session.read(Y, 24)).toEqual(numbers);
    session.send(raw.fill(Y, 6, 4, 0), execute());
    expect(await session.read(Y, 24)).toEqual(numbers);
    const calls = [execute({ addresses: [Y, Y + 4096] }), execute({ addresses: [Y + 4096, Y + 8192] })];
    session.send(raw.recordingCreate(1, calls), raw.recordingReplay(1));
    expect(await session.read(Y + 8192, 24)).toEqual(numbers);
  });

  test("a plan with addresses, ids or values that are not right is refused, and the session lives on", async () => {
    const refusals: [string, string, RawExecution][] = [
      ["an address below the arena", "ADDRESS_OUTSIDE_ARENA", { addresses: [ARENA - 64, Y] }],
      ["a pointer to the host's memory", "ADDRESS_OUTSIDE_ARENA", { addresses: [0x7fff_0000_1000, Y] }],
      ["no address", "ADDRESS_OUTSIDE_ARENA", { addresses: [X, 0] }],
      ["an address beyond all numbers", "ADDRESS_OUTSIDE_ARENA", { addresses: [X, 2n ** 64n - 8n] }],
      ["an address where nothing is allocated", "NOT_ALLOCATED", { addresses: [X, ARENA + 2 * BYTES] }],
      ["a last element behind the allocation", "NOT_ALLOCATED", { addresses: [X, ARENA + BYTES - 20] }],
      ["an address of another device", "BAD_ARGUMENT", { addresses: [X, ARENA + STRIDE] }],
      ["a value for a tensor that has none", "BAD_ARGUMENT", { values: new Uint8Array(16) }],
      ["a tensor of no plan", "BAD_ARGUMENT", { uids: [1n, 3n] }],
      ["a tensor twice", "BAD_ARGUMENT", { uids: [1n, 1n] }],
      ["more tensors than addresses", "BAD_ARGUMENT", { uids: [1n, 2n, 3n] }],
      ["a stream that is not there", "NO_SUCH_HANDLE", { stream: 9 }],
    ];
    await copying();
    session.send(raw.fill(ARENA, BYTES / 4, 4, 7));
    for (const [what, code, options] of refusals) {
      expect((await session.ask(attempt(options))).code, what).toBe(code);
    }
    expect((await session.read(ARENA, BYTES)).every((byte, index) => byte === (index % 4 === 0 ? 7 : 0))).toBe(true);
    // Without an answer it is the session's end, as for every call.
    expect(await session.codeAfter(execute({ addresses: [0x7fff_0000_1000, Y] }))).toBe("ADDRESS_OUTSIDE_ARENA");
  });

  test("what is forgotten, never made or of another device is nothing that can be used", async () => {
    await copying();
    const codeOf = async (...calls: Buffer[]): Promise<string> => (await session.ask(...calls)).code;
    expect(await codeOf(rawLibrary.forget(PLAN), attempt())).toBe("NO_SUCH_HANDLE");
    expect(await codeOf(rawDnn.execute(TENSOR, { opcode: 53 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawDnn.describe(PLAN, { type: 17 }))).toBe("HANDLE_IN_USE");
    const elsewhere = rawDnn.describe(9, { device: 1, type: BackendType.GRAPH, attributes: [refers(801, 4)] });
    expect(await codeOf(elsewhere)).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawDnn.describe(10, { device: 2, type: 17 }))).toBe("NO_SUCH_DEVICE");
    const many = Array.from({ length: DNN_ATTRIBUTES_MAX + 1 }, () => flag(907, false));
    expect(await codeOf(rawDnn.describe(11, { type: 17, attributes: many }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawDnn.ask(TENSOR, { name: 902, type: 15, count: 1, into: [5], intoType: 17 }))).toBe(
      "HANDLE_IN_USE",
    );
    const asked = rawDnn.ask(TENSOR, { name: 902, type: 15, count: 2, into: [20, 21], intoType: 17 });
    expect(status(await session.ask(asked))).toBe(2010);
    expect(await codeOf(rawDnn.ask(20, { name: 902 }))).toBe("NO_SUCH_HANDLE");
    expect(await session.codeAfter(rawLibrary.forget(20))).toBe("NO_SUCH_HANDLE");
  });

  test("a recording holds no plan that is not there, and fails when it is gone", async () => {
    expect(await session.codeAfter(raw.recordingCreate(1, [execute()]))).toBe("NO_SUCH_HANDLE");
    await session.close();
    session = await RawSession.open(server.data, lease);
    for (const call of [raw.attach(0), rawLibrary.open(0)]) expect((await session.ask(call)).code).toBe("OK");
    session.send(raw.allocate(ARENA, BYTES));
    await copying();
    session.send(raw.recordingCreate(1, [execute()]), raw.recordingReplay(1), rawLibrary.forget(PLAN));
    expect(await session.codeAfter()).toBe("OK");
    expect(await session.codeAfter(raw.recordingReplay(1))).toBe("NO_SUCH_HANDLE");
  });

  const set = (handle: number, n: number): Buffer =>
    rawLibrary.call({
      function: numberOf("cudnnSetTensorNdDescriptor"),
      arguments: Buffer.concat([
        arg.u64(handle),
        arg.i32(0),
        arg.i32(3),
        arg.ints(n, 2, 3),
        arg.ints(...stridesOf([n, 2, 3])),
      ]),
    });
  const create = (handle: number): Buffer =>
    rawLibrary.call({ function: numberOf("cudnnCreateTensorDescriptor"), arguments: arg.u64(handle) });
  const size = (handle: number): Buffer =>
    rawLibrary.askCall({ function: numberOf("cudnnGetTensorSizeInBytes"), arguments: arg.u64(handle) });

  test("functions without an answer are told apart: a setting that fails is its descriptor's, all else the session's", async () => {
    const { code, body } = await session.ask(create(1), set(1, 4), size(1));
    expect([code, body.readUInt32LE(0), body.readUInt32LE(4), body.readBigUInt64LE(24)]).toEqual(["OK", 0, 8, 96n]);
    expect(status(await session.ask(set(1, -4), size(1)))).toBe(2000);
    expect(await session.codeAfter()).toBe("OK");
    expect(status(await session.ask(set(1, 2), size(1)))).toBe(0);
    expect(await session.codeAfter(create(1))).toBe("HANDLE_IN_USE");
  });

  test("a recording of what makes a descriptor makes it once", async () => {
    session.send(raw.recordingCreate(1, [create(1)]), raw.recordingReplay(1));
    expect(status(await session.ask(size(1)))).toBe(2000);
    expect(await session.codeAfter(raw.recordingReplay(1))).toBe("HANDLE_IN_USE");
  });

  test("a session's descriptors end with it", async () => {
    await copying();
    session.send(create(9), execute());
    await session.close();
    session = await RawSession.open(server.data, lease);
    expect((await session.ask(raw.attach(0))).code).toBe("OK");
    const { code, failed } = await session.ask(rawLibrary.askCall({}));
    expect([code, failed?.message]).toEqual(["BAD_ARGUMENT", expect.stringContaining("not opened")]);
    expect((await session.ask(rawLibrary.open(0))).code).toBe("OK");
    await copying();
  });
});
