/** Matrix products and compilation over the raw wire: what the server refuses although no client of ours would ask for it. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ARENA, MiB, RawControl, type RawLease, RawSession, raw, STRIDE } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";

const BYTES = 8192;
let server: TestServer;
let control: RawControl;
let lease: RawLease;

beforeAll(async () => {
  server = await startServer({
    args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"],
    env: { SLUICE_NVRTC_LIBRARY: "libnvrtc-that-is-not-there.so" },
  });
  control = new RawControl(server.grpc);
  lease = await control.allocate({ devices: 2, memoryBytes: 64 * MiB, requestId: randomUUID() });
});

afterAll(async () => {
  await control.release(lease.id, lease.secret);
  control.close();
  expect(await server.stop()).toBe(0);
});

/** What the session answers after the calls, with 8 KiB allocated at the start of each arena. */
async function after(...calls: readonly Buffer[]): Promise<string> {
  const session = await RawSession.open(server.data, lease);
  try {
    for (const index of [0, 1]) expect((await session.ask(raw.attach(index))).code).toBe("OK");
    session.send(raw.allocate(ARENA, BYTES), raw.allocate(ARENA + STRIDE, BYTES));
    return await session.codeAfter(...calls);
  } finally {
    await session.close();
  }
}

const WORD_MAX = 2 ** 32 - 1;

test.each<[string, Parameters<typeof raw.multiply>[0]]>([
  ["plain", {}],
  ["of halves, transposed", { type: 2, transposeA: 1, transposeB: 1, lda: 4, ldb: 4 }],
  ["up to the last element of the allocation", { c: ARENA + BYTES - 64 }],
  ["with one operand for the whole batch", { batchCount: 4, strideA: 0, strideB: 16, strideC: 16, b: ARENA + 1024 }],
  [
    "of i8 at odd addresses, with whole factors",
    { type: 7, a: ARENA + 1, b: ARENA + 35, alphaF64: -(2 ** 31), betaF64: 3 },
  ],
  [
    "of floats of 8 bits up to the last of the allocation, with scales",
    { narrow: 2, type: 3, a: ARENA + BYTES - 16, scaleA: ARENA + BYTES - 20, scaleB: ARENA + 4 },
  ],
  ["with results side by side", { batchCount: 4, c: ARENA + 1024, ldc: 16, strideC: 4 }],
])("a product %s is computed", async (_, fields) => {
  expect(await after(raw.multiply(fields))).toBe("OK");
});

test.each<[string, string, Parameters<typeof raw.multiply>[0]]>([
  ["without rows", "BAD_ARGUMENT", { m: 0 }],
  ["without columns", "BAD_ARGUMENT", { n: 0 }],
  ["of nothing", "BAD_ARGUMENT", { k: 0 }],
  ["without matrices", "BAD_ARGUMENT", { batchCount: 0 }],
  ["of more rows than can be counted", "BAD_ARGUMENT", { m: WORD_MAX }],
  ["of an unknown type", "BAD_ARGUMENT", { type: 8 }],
  ["of i8 with half a factor", "BAD_ARGUMENT", { type: 7, alphaF64: 0.5 }],
  ["of i8 with a factor beyond i32", "BAD_ARGUMENT", { type: 7, betaF64: 2 ** 31 }],
  ["of i8 with a factor that is no number", "BAD_ARGUMENT", { type: 7, betaF64: Number.NaN }],
  ["of i8 with a bias", "BAD_ARGUMENT", { type: 7, bias: ARENA }],
  ["of i8 with an activation", "BAD_ARGUMENT", { type: 7, activation: 1 }],
  ["of i8 whose results stand at an odd address", "BAD_ARGUMENT", { type: 7, c: ARENA + 1026 }],
  ["of i8 whose last element is behind the allocation", "NOT_ALLOCATED", { type: 7, a: ARENA + BYTES - 15 }],
  ["of floats of 8 bits of an unknown kind", "BAD_ARGUMENT", { narrow: 4 }],
  ["of floats of 8 bits into f64", "BAD_ARGUMENT", { type: 4, narrow: 1 }],
  ["of f32 with a scale", "BAD_ARGUMENT", { scaleB: ARENA }],
  ["of floats of 8 bits with a scale at an odd address", "BAD_ARGUMENT", { narrow: 1, scaleA: ARENA + 2 }],
  ["of floats of 8 bits with a scale that is not allocated", "NOT_ALLOCATED", { narrow: 3, scaleB: ARENA + BYTES }],
  ["of floats of 8 bits with a scale outside the arena", "ADDRESS_OUTSIDE_ARENA", { narrow: 2, scaleA: 4096 }],
  ["of floats of 8 bits with a scale on another device", "BAD_ARGUMENT", { narrow: 1, scaleA: ARENA + STRIDE }],
  ["of floats of 8 bits whose last element is behind", "NOT_ALLOCATED", { narrow: 1, b: ARENA + BYTES - 15 }],
  ["with an unknown activation", "BAD_ARGUMENT", { activation: 3 }],
  ["with a bias at an odd address", "BAD_ARGUMENT", { bias: ARENA + 2 }],
  ["with a bias that is not allocated", "NOT_ALLOCATED", { bias: ARENA + 65_536 }],
  ["with a bias outside the arena", "ADDRESS_OUTSIDE_ARENA", { bias: 4096 }],
  ["transposed in an unknown way", "BAD_ARGUMENT", { transposeA: 2 }],
  ["whose rows overlap", "BAD_ARGUMENT", { lda: 3 }],
  ["whose results' rows overlap", "BAD_ARGUMENT", { ldc: 3 }],
  ["whose rows are too far apart to be counted", "BAD_ARGUMENT", { ldb: WORD_MAX }],
  ["whose transposed rows overlap", "BAD_ARGUMENT", { m: 5, transposeA: 1, lda: 4, c: ARENA + 1024 }],
  ["whose results all go to one place", "BAD_ARGUMENT", { batchCount: 2, strideC: 0 }],
  ["whose results overlap by one row", "BAD_ARGUMENT", { batchCount: 2, strideC: 12 }],
  ["whose results stand side by side and overlap", "BAD_ARGUMENT", { batchCount: 4, ldc: 15, strideC: 4 }],
  ["at an odd address", "BAD_ARGUMENT", { a: ARENA + 2 }],
  ["of halves at an odd address", "BAD_ARGUMENT", { type: 3, b: ARENA + 1 }],
  ["below the arena", "ADDRESS_OUTSIDE_ARENA", { a: ARENA - 64 }],
  ["at address 0", "ADDRESS_OUTSIDE_ARENA", { b: 0 }],
  ["in memory that is not allocated", "NOT_ALLOCATED", { c: ARENA + 2 * BYTES }],
  ["whose last element is behind the allocation", "NOT_ALLOCATED", { c: ARENA + BYTES - 60 }],
  ["whose last row is behind the allocation", "NOT_ALLOCATED", { lda: 800 }],
  [
    "whose last matrix is behind the allocation",
    "NOT_ALLOCATED",
    { batchCount: 64, strideB: 64, strideC: 16, c: ARENA },
  ],
  ["whose last matrix is behind the arena", "ADDRESS_OUTSIDE_ARENA", { batchCount: 2, strideA: 2 ** 40, strideC: 16 }],
  ["whose batch passes 2^53", "ADDRESS_OUTSIDE_ARENA", { batchCount: 100, strideA: 2 ** 53 - 1, strideC: 16 }],
  [
    "whose size would be small if it were counted in 32 bits",
    "ADDRESS_OUTSIDE_ARENA",
    { k: 2 ** 16 + 1, transposeA: 1, lda: 2 ** 16, m: 1, n: 1 },
  ],
  [
    "whose size would be small if it were counted in 64 bits",
    "ADDRESS_OUTSIDE_ARENA",
    { batchCount: 1025, strideA: 2 ** 52, m: 1, n: 1, c: ARENA, strideC: 1, ldc: 1 },
  ],
  ["with an operand on another device", "BAD_ARGUMENT", { a: ARENA + STRIDE }],
  ["with its result on another device", "BAD_ARGUMENT", { c: ARENA + STRIDE }],
  ["in a stream that is not there", "NO_SUCH_HANDLE", { stream: 7 }],
])("a product %s is refused with %s", async (_, code, fields) => {
  expect(await after(raw.multiply(fields))).toBe(code);
});

test.each<[string, string, Parameters<typeof raw.multiply>[0]]>([
  ["at addresses that are not allocated", "OK", { a: 256, b: 64, c: ARENA + 4 * MiB, bias: 4, stream: 7 }],
  ["with a GELU", "OK", { activation: 2 }],
  ["of i8", "OK", { type: 7 }],
  ["of an unknown type", "BAD_ARGUMENT", { type: 8 }],
  ["at an odd address", "BAD_ARGUMENT", { a: 2 }],
  ["on no device", "ADDRESS_OUTSIDE_ARENA", { c: 0 }],
])("a product %s that is asked about is answered %s, and the session goes on", async (_, code, fields) => {
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  expect((await session.ask(raw.multiply(fields, 47))).code).toBe(code);
  expect((await session.ask(raw.memoryInfo())).code).toBe("OK");
  await session.close();
});

test.each<[string, string, Parameters<typeof raw.multiply>[0]]>([
  ["plain", "OK", {}],
  // cuBLASLt, which the stand-in for a GPU follows, multiplies none of so few rows.
  [
    "of floats of 8 bits with scales",
    process.env["SLUICE_TEST_STANDIN"] === undefined ? "OK" : "UNSUPPORTED",
    { narrow: 2, type: 3, scaleA: ARENA + 4, scaleB: ARENA + 8 },
  ],
  ["of an unknown type", "BAD_ARGUMENT", { type: 8 }],
  ["at an odd address", "BAD_ARGUMENT", { a: ARENA + 2 }],
  ["in memory that is not allocated", "NOT_ALLOCATED", { c: ARENA + 2 * BYTES }],
  ["with a scale outside the arena", "ADDRESS_OUTSIDE_ARENA", { narrow: 2, scaleA: 4096 }],
  ["in a stream that is not there", "NO_SUCH_HANDLE", { stream: 7 }],
])("a product %s that is tried is answered %s, and the session goes on", async (_, code, fields) => {
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  session.send(raw.allocate(ARENA, BYTES));
  expect((await session.ask(raw.multiply(fields, 56))).code).toBe(code);
  expect((await session.ask(raw.memoryInfo())).code).toBe("OK");
  await session.close();
});

test("a product in a stream of another device is refused", async () => {
  expect(await after(raw.streamCreate(1, 1), raw.multiply({ stream: 1 }))).toBe("NO_SUCH_HANDLE");
});

test("CUDA C is refused where nothing can compile it, and the session goes on", async () => {
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  const source = Buffer.from('extern "C" __global__ void k() {}');
  session.send(raw.imageWrite(1, source.byteLength, 0, source));
  expect((await session.ask(raw.compile(1, 1))).code).toBe("UNSUPPORTED");
  expect((await session.ask(raw.compile(2, 1))).code).toBe("NO_SUCH_HANDLE");
  expect((await session.ask(raw.compile(2, 2))).code).toBe("HANDLE_IN_USE");
  expect((await session.ask(raw.memoryInfo())).code).toBe("OK");
  await session.close();
});

test("a source beyond its bound is refused", async () => {
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  const half = Buffer.alloc(MiB, " ");
  session.send(raw.imageWrite(1, MiB + 1, 0, half), raw.imageWrite(1, MiB + 1, MiB, Buffer.from(" ")));
  expect((await session.ask(raw.compile(1, 1))).code).toBe("IMAGE_TOO_LARGE");
  await session.close();
});
