/** The calls for libraries' functions over the raw wire, by cuFFT's: what works on a server with CUDA devices, and every misuse with its code. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fft } from "../../shared/fft-functions.ts";
import { libraryNumber } from "../../shared/libraries.ts";
import { numberOf } from "../support/dnn.ts";
import { C_32F, planOf } from "../support/fft.ts";
import { arg, numberIn } from "../support/library.ts";
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
import { rawDnn } from "../support/raw-dnn.ts";
import { rawLibrary } from "../support/raw-library.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { standin, standinMissing } from "./standin.ts";

const BYTES = 65_536;
const [INPUT, OUTPUT, WORK] = [ARENA, ARENA + 4096, ARENA + 8192];
const LIBRARY = libraryNumber(fft);
const PLAN = 1;

let server: TestServer;
let control: RawControl;
let lease: RawLease;
let session: RawSession;

const named = (name: string, packed: readonly Uint8Array[], device = 0) => ({
  library: LIBRARY,
  function: numberIn(fft, name),
  device,
  arguments: new Uint8Array(Buffer.concat(packed)),
});
const create = (handle: number, device = 0) => named("cufftCreate", [arg.u64(handle)], device);
const make = (handle: number, device = 0) =>
  named("cufftXtMakePlanMany", planOf(handle, { n: [4], input: C_32F, output: C_32F }), device);
const run = (handle: number, { device = 0, input = INPUT, output = OUTPUT, work = WORK } = {}) =>
  named("cufftXtExec", [...[handle, input, output, work].map(arg.u64), arg.i32(-1)], device);

const status = ({ body }: RawAnswer): number => body.readUInt32LE(0);
const codeOf = async (...calls: Buffer[]): Promise<string> => (await session.ask(...calls)).code;

const impulse = Buffer.from(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0).buffer);
const ones = Buffer.from(Float32Array.of(1, 0, 1, 0, 1, 0, 1, 0).buffer);

describe.skipIf(standinMissing !== undefined)("cuFFT on a server with CUDA devices", () => {
  beforeAll(async () => {
    process.env["SLUICE_TEST_STANDIN"] = standin.folder;
    server = await startServer({ args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"] });
    control = new RawControl(server.grpc);
  });

  beforeEach(async () => {
    lease = await control.allocate({ devices: 2, memoryBytes: 64 * MiB, requestId: randomUUID() });
    session = await RawSession.open(server.data, lease);
    for (const index of [0, 1]) {
      expect(await codeOf(raw.attach(index))).toBe("OK");
      session.send(raw.allocate(ARENA + index * STRIDE, BYTES));
      expect(await codeOf(rawLibrary.open(index, LIBRARY))).toBe("OK");
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

  /** Makes the plan, of four numbers. */
  async function made(): Promise<void> {
    const { code, body } = await session.ask(rawLibrary.call(create(PLAN)), rawLibrary.askCall(make(PLAN)));
    expect([code, body.readUInt32LE(0), body.readUInt32LE(4)]).toEqual(["OK", 0, 8]);
  }

  test("a plan is carried out with and without an answer, and in a recording", async () => {
    await made();
    expect(status(await session.ask(raw.copyToDevice(INPUT, impulse), rawLibrary.askCall(run(PLAN))))).toBe(0);
    expect(await session.read(OUTPUT, 32)).toEqual(ones);
    session.send(raw.fill(OUTPUT, 8, 4, 0), rawLibrary.call(run(PLAN)));
    expect(await session.read(OUTPUT, 32)).toEqual(ones);
    const there = rawLibrary.call(run(PLAN, { output: OUTPUT + 64 }));
    session.send(raw.recordingCreate(1, [there]), raw.fill(OUTPUT, 64, 4, 0), raw.recordingReplay(1));
    expect(await session.read(OUTPUT + 64, 32)).toEqual(ones);
  });

  test("addresses that are not right are refused, and the session lives on", async () => {
    await made();
    const last = ARENA + BYTES;
    const refusals: [string, string, Parameters<typeof run>[1]][] = [
      ["an input below the arena", "ADDRESS_OUTSIDE_ARENA", { input: ARENA - 64 }],
      ["a pointer to the host's memory", "ADDRESS_OUTSIDE_ARENA", { output: 0x7fff_0000_1000 }],
      ["no input", "ADDRESS_OUTSIDE_ARENA", { input: 0 }],
      ["no work area", "ADDRESS_OUTSIDE_ARENA", { work: 0 }],
      ["an output whose last number is behind the allocation", "NOT_ALLOCATED", { output: last - 31 }],
      ["a work area of a byte too few", "NOT_ALLOCATED", { work: last - 63 }],
      ["an output on another device", "BAD_ARGUMENT", { output: ARENA + STRIDE }],
      ["a work area on another device", "BAD_ARGUMENT", { work: ARENA + STRIDE }],
    ];
    session.send(raw.fill(ARENA, BYTES / 4, 4, 7));
    for (const [what, code, places] of refusals)
      expect(await codeOf(rawLibrary.askCall(run(PLAN, places))), what).toBe(code);
    expect((await session.read(ARENA, BYTES)).every((byte, index) => byte === (index % 4 === 0 ? 7 : 0))).toBe(true);
    expect(status(await session.ask(rawLibrary.askCall(run(PLAN, { output: last - 32, work: last - 64 }))))).toBe(0);
    // Without an answer it is the session's end, as for every call.
    expect(await session.codeAfter(rawLibrary.call(run(PLAN, { input: 0x7fff_0000_1000 })))).toBe(
      "ADDRESS_OUTSIDE_ARENA",
    );
  });

  test("plans that are gone, of another device, or of no library's are nothing that can be carried out", async () => {
    await made();
    expect(await codeOf(rawLibrary.askCall(run(2)))).toBe("NO_SUCH_HANDLE");
    expect(await codeOf(rawLibrary.askCall(run(PLAN, { device: 1 })))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawLibrary.askCall(make(PLAN, 1)))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawLibrary.askCall(create(PLAN)))).toBe("HANDLE_IN_USE");
    // Descriptors of one library are none of another's.
    expect(await codeOf(rawLibrary.open(0))).toBe("OK");
    const tensor = { function: numberOf("cudnnCreateTensorDescriptor"), arguments: arg.u64(3) };
    expect(status(await session.ask(rawLibrary.askCall(tensor)))).toBe(0);
    const foreign = await session.ask(rawLibrary.askCall(run(3)));
    expect([foreign.code, foreign.failed?.message]).toEqual([
      "BAD_ARGUMENT",
      expect.stringContaining("is of cuDNN, not of cuFFT"),
    ]);
    const size = { function: numberOf("cudnnGetTensorSizeInBytes"), arguments: arg.u64(PLAN) };
    expect(await codeOf(rawLibrary.askCall(size))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawDnn.execute(PLAN, { opcode: 53 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawDnn.ask(PLAN, { name: 902 }))).toBe("BAD_ARGUMENT");
    // A plan made twice is the library's to refuse, and works no more.
    expect(status(await session.ask(rawLibrary.askCall(make(PLAN))))).toBe(1);
    expect(status(await session.ask(rawLibrary.askCall(run(PLAN))))).toBe(1);
    expect(await codeOf(rawLibrary.forget(PLAN), rawLibrary.askCall(run(PLAN)))).toBe("NO_SUCH_HANDLE");
    expect(await session.codeAfter(rawLibrary.forget(PLAN))).toBe("NO_SUCH_HANDLE");
  });

  test("numbers that no library or function has, and libraries that are not open, are told", async () => {
    expect(await codeOf(rawLibrary.open(0, 999))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawLibrary.askCall({ library: 999 }))).toBe("BAD_ARGUMENT");
    expect(await codeOf(rawLibrary.askCall({ library: LIBRARY, function: 999 }))).toBe("BAD_ARGUMENT");
    const { code, failed } = await session.ask(rawLibrary.askCall({}));
    expect([code, failed?.message]).toEqual(["BAD_ARGUMENT", expect.stringContaining("cuDNN is not opened")]);
    expect(await codeOf(rawLibrary.askCall({ ...create(1), arguments: new Uint8Array(4) }))).toBe("BAD_ARGUMENT");
  });

  test("a session's plans end with it, and the next one's are its own", async () => {
    await made();
    session.send(rawLibrary.call(run(PLAN)));
    await session.close();
    session = await RawSession.open(server.data, lease);
    expect(await codeOf(raw.attach(0))).toBe("OK");
    session.send(raw.allocate(ARENA, BYTES));
    expect(await codeOf(rawLibrary.open(0, LIBRARY))).toBe("OK");
    expect(await codeOf(rawLibrary.askCall(run(PLAN)))).toBe("NO_SUCH_HANDLE");
    await made();
    expect(status(await session.ask(rawLibrary.askCall(run(PLAN))))).toBe(0);
  });
});
