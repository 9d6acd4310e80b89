/** The cpu device through the server: real kernels, their faults as errors of their session alone, output, globals, one that never ends. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  ARENA,
  body,
  MiB,
  parseModule,
  RawControl,
  type RawField,
  type RawLease,
  RawSession,
  raw,
} from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

/** Longer than any test. */
const KERNEL_TIMEOUT_MS = 60_000;
let server: TestServer;
let control: RawControl;
let bystander: { lease: RawLease; session: RawSession };
let lease: RawLease;
let session: RawSession;
/** Index of each kernel of module 1, and its packed parameter bytes. */
let kernels: Map<string, { index: number; paramBytes: number }>;

async function borrow(): Promise<{ lease: RawLease; session: RawSession }> {
  const granted = await control.allocate({ memoryBytes: 16 * MiB });
  const opened = await RawSession.open(server.data, granted);
  expect((await opened.ask(raw.attach())).code).toBe("OK");
  return { lease: granted, session: opened };
}

async function load(name: string, into = session): Promise<void> {
  const ptx = readFileSync(`test/kernels/ptx/${name}.ptx`);
  const answer = await into.ask(raw.imageWrite(1, ptx.length, 0, ptx), raw.moduleLoad(1, 1));
  expect(answer.code).toBe("OK");
  const module = parseModule(answer.body);
  kernels = new Map(module.kernels.map((kernel, index) => [kernel.name, { index, paramBytes: kernel.paramBytes }]));
}

function launch(name: string, threads: number, ...fields: readonly RawField[]): Buffer {
  const { index, paramBytes } = kernels.get(name)!;
  const params = body(...fields).subarray(0, paramBytes);
  return raw.launch({ module: 1, kernel: index, block: [threads, 1, 1], params });
}

beforeAll(async () => {
  server = await startServer({
    args: ["--device", "cpu:1GiB", "--kernel-timeout", `${KERNEL_TIMEOUT_MS}ms`, "--heartbeat-timeout", "1h"],
  });
  control = new RawControl(server.grpc);
  bystander = await borrow();
  bystander.session.send(raw.allocate(ARENA, 4096), raw.fill(ARENA, 4096, 1, 0x5a));
  lease = await control.allocate({ memoryBytes: 16 * MiB });
});

beforeEach(async () => {
  session = await RawSession.openNext(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
});

afterEach(async () => {
  session.connection.destroy();
  expect(await bystander.session.read(ARENA, 4096)).toEqual(Buffer.alloc(4096, 0x5a));
});

afterAll(async () => {
  await control.release(lease.id);
  await control.release(bystander.lease.id);
  await waitFor("an empty pool", async () => (await control.inUse()) === 0);
  control.close();
  expect(await server.stop()).toBe(0);
});

test("a kernel adds two vectors", async () => {
  await load("linear");
  const n = 1000;
  const values = (of: (index: number) => number) =>
    Buffer.from(Float32Array.from({ length: n }, (_, i) => of(i)).buffer);
  const [a, b, out] = [ARENA, ARENA + 4096, ARENA + 8192];
  session.send(...[a, b, out].map((address) => raw.allocate(address, 4000)));
  session.send(
    raw.copyToDevice(
      a,
      values((i) => i),
    ),
    raw.copyToDevice(
      b,
      values((i) => 2 * i + 0.5),
    ),
  );
  session.send(launch("vector_add", 1000, ["u32", n], ["u64", a], ["u64", b], ["u64", out]));
  expect((await session.read(out, 4000)).equals(values((i) => 3 * i + 0.5))).toBe(true);
});

test.each([
  ["below the arena", ARENA - 8],
  ["behind the arena", ARENA + 16 * MiB],
  ["that differs only in the high half", ARENA + 2 ** 40],
  ["of zero", 0],
])("a store to an address %s is ILLEGAL_ADDRESS for its session alone", async (_, address) => {
  await load("faults");
  const answer = await session.ask(launch("store_at", 1, ["u64", address], ["u32", 7]), raw.deviceSynchronize());
  expect(answer.code).toBe("ILLEGAL_ADDRESS");
  expect(await session.codeAfter()).toBe("ILLEGAL_ADDRESS");
  await session.close();
  session = await RawSession.open(server.data, lease);
  expect(await session.codeAfter(raw.allocate(ARENA, 16))).toBe("ADDRESS_OUTSIDE_ARENA");
});

test("a trap is KERNEL_TRAP", async () => {
  await load("faults");
  const answer = await session.ask(launch("trap_at", 64, ["u32", 63]), raw.deviceSynchronize());
  expect(answer.code).toBe("KERNEL_TRAP");
});

test("nobody else waits for a kernel that never ends, and its lease is released at once", async () => {
  const own = await borrow();
  await load("faults", own.session);
  own.session.send(raw.allocate(ARENA, 4), launch("endless", 1, ["u64", ARENA]));
  const startedAt = performance.now();
  expect((await bystander.session.ask(raw.memoryInfo())).code).toBe("OK");
  await control.release(own.lease.id, own.lease.secret);
  expect(performance.now() - startedAt).toBeLessThan(KERNEL_TIMEOUT_MS);
  expect((await control.leases()).leases.length).toBe(2);
});

test("kernels allocate on the range that is named for it, once, and it stays allocated", async () => {
  const refused = async (code: string, ...calls: Buffer[]) => {
    expect(await session.codeAfter(raw.allocate(ARENA, MiB), ...calls)).toBe(code);
    await session.close();
    session = await RawSession.open(server.data, lease);
    expect((await session.ask(raw.attach())).code).toBe("OK");
  };
  await refused("NOT_ALLOCATED", raw.heap(ARENA + MiB, MiB));
  await refused("NOT_ALLOCATED", raw.heap(ARENA, MiB + 1));
  await refused("ADDRESS_OUTSIDE_ARENA", raw.heap(ARENA - MiB, MiB));
  await refused("BAD_ARGUMENT", raw.heap(ARENA + 16, 65_536));
  await refused("BAD_ARGUMENT", raw.heap(ARENA, 256));
  await refused("BAD_ARGUMENT", raw.heap(ARENA, 65_536), raw.heap(ARENA, 65_536));
  await refused("RANGE_IN_USE", raw.heap(ARENA + 512, 65_536), raw.free(ARENA));
  await load("heap");
  const [out, heap] = [ARENA, ARENA + MiB];
  const counts = async (...before: Buffer[]): Promise<number[]> => {
    session.send(...before, launch("exhaust", 1, ["u64", out], ["u64", 1000], ["u64", 2]));
    const bytes = await session.read(out, 8);
    return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
  };
  expect(await counts(raw.allocate(out, 256))).toEqual([0, 0]);
  const [first, second] = await counts(raw.allocate(heap, MiB), raw.heap(heap, MiB));
  expect(first).toBeGreaterThan(900);
  expect(first).toBeLessThanOrEqual(MiB / 1000);
  expect(second).toBe(first);
});

test("what kernels print comes with the answer behind them", async () => {
  await load("language");
  const launched = launch("print", 3, ["u32", 2], ["u64", 0x3ff8000000000000n], ["u64", 0]);
  expect((await session.ask(launched, raw.deviceSynchronize())).code).toBe("OK");
  expect(session.output).toContain("thread 0 of 3:  0.00 even\nthread 1 of 3:  1.50 odd\n");
  expect(session.output).toContain("plain text\n");
});

test("a module's variables are read and written at the addresses that loading tells", async () => {
  const image = Buffer.from(
    ".version 8.0\n.target sm_75\n.address_size 64\n.visible .global .align 4 .u32 counter = 100;\n.global .u32 hidden;\n.entry f() { ret; }\n",
  );
  const loaded = await session.ask(raw.imageWrite(1, image.length, 0, image), raw.moduleLoad(1, 1));
  const { globals } = parseModule(loaded.body);
  expect(globals.map(({ name }) => name)).toEqual(["counter", "hidden"]);
  const counter = globals[0]!;
  expect(counter.byteCount).toBe(4);
  expect((await session.read(counter.address, 4)).readUInt32LE(0)).toBe(100);
  session.send(raw.fill(counter.address, 1, 4, 12345));
  expect((await session.read(counter.address, 4)).readUInt32LE(0)).toBe(12345);
  expect((await session.ask(raw.copyFromDevice(counter.address, 5))).code).toBe("ADDRESS_OUTSIDE_ARENA");
});

test("malformed PTX is refused with its line, and the session goes on", async () => {
  const image = Buffer.from(".version 8.0\n.target sm_75\n.address_size 64\n.entry f() {\n  add.s32 %r1;\n  ret;\n}\n");
  const answer = await session.ask(raw.imageWrite(1, image.length, 0, image), raw.moduleLoad(1, 1));
  expect(answer.code).toBe("BAD_IMAGE");
  expect(answer.failed!.message).toMatch(/line \[5\]/);
  expect(await session.codeAfter()).toBe("OK");
});

test("a kernel with an instruction that the device lacks fails at its launch, and the module's others run", async () => {
  const image = Buffer.from(
    ".version 8.0\n.target sm_75\n.address_size 64\n.entry f() {\n  frobnicate.s32 1;\n  ret;\n}\n.entry g() { ret; }\n",
  );
  const loaded = await session.ask(raw.imageWrite(1, image.length, 0, image), raw.moduleLoad(1, 1));
  expect(parseModule(loaded.body).kernels.map(({ refusalCode }) => refusalCode)).toEqual([52, 0]);
  const launchOf = (kernel: number) => raw.launch({ module: 1, kernel, block: [1, 1, 1], params: Buffer.alloc(0) });
  expect((await session.ask(launchOf(1), raw.deviceSynchronize())).code).toBe("OK");
  const answer = await session.ask(launchOf(0), launchOf(1), raw.deviceSynchronize());
  expect(answer.code).toBe("UNSUPPORTED_INSTRUCTION");
  expect(answer.failed!.message).toMatch(/\[frobnicate.s32\] in line \[5\]/);
});
