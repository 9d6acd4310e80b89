/** Calls end to end over the raw wire, against a real server with null devices: what works, and every misuse with its code. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ARENA, MiB, RawControl, type RawLease, RawSession, raw, STRIDE } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

let server: TestServer;
let control: RawControl;
/** Holds a pattern that no other lease's misuse may touch. */
let bystander: { lease: RawLease; session: RawSession };
let lease: RawLease;
let session: RawSession;

const pattern = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7 + 1) & 0xff));

const allocate = (devices = 1): Promise<RawLease> =>
  control.allocate({ devices, memoryBytes: 64 * MiB, requestId: randomUUID() });

async function borrow(devices = 1): Promise<{ lease: RawLease; session: RawSession }> {
  const granted = await allocate(devices);
  const opened = await RawSession.open(server.data, granted);
  for (let index = 0; index < devices; index++) expect((await opened.ask(raw.attach(index))).code).toBe("OK");
  return { lease: granted, session: opened };
}

beforeAll(async () => {
  // Nobody beats for the leases of this file, which may take longer than the usual time-out on a busy machine.
  server = await startServer({ args: ["--device", "null:2x16GiB", "--heartbeat-timeout", "10m"] });
  control = new RawControl(server.grpc);
  lease = await allocate();
  bystander = await borrow();
  bystander.session.send(raw.allocate(ARENA, 4096), raw.copyToDevice(ARENA, pattern));
});

beforeEach(async () => {
  session = await RawSession.openNext(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
});

afterEach(async () => {
  session.connection.destroy();
  expect(await bystander.session.read(ARENA, 4096)).toEqual(pattern);
});

afterAll(async () => {
  await control.release(lease.id);
  await control.release(bystander.lease.id);
  await waitFor("an empty pool", async () => (await control.inUse()) === 0);
  control.close();
  expect(await server.stop()).toBe(0);
});

test("attach tells the arena of exactly the slice", async () => {
  const { body } = await session.ask(raw.attach());
  expect(Number(body.readBigUInt64LE(0))).toBe(ARENA);
  expect(Number(body.readBigUInt64LE(8))).toBe(64 * MiB);
  expect(Number(body.readBigUInt64LE(16))).toBe(256);
  // Compute capability 8 of the null device, 9 of the stand-in for a GPU, in whose suite these tests have no other.
  expect(body.readUInt32LE(24)).toBe(process.env["SLUICE_TEST_STANDIN"] === undefined ? 8 : 9);
});

test("bytes written come back, at odd offsets and across pieces of a megabyte", async () => {
  const data = Buffer.alloc(MiB, pattern);
  session.send(raw.allocate(ARENA, 3 * MiB));
  session.send(raw.copyToDevice(ARENA + 13, data));
  expect((await session.read(ARENA + 13, MiB)).equals(data)).toBe(true);
  expect(await session.read(ARENA + 13 + 100, 100)).toEqual(data.subarray(100, 200));
  expect(await session.read(ARENA, 13)).toEqual(Buffer.alloc(13));
});

test("fills of 1, 2 and 4 bytes set each element", async () => {
  session.send(raw.allocate(ARENA, 4096), raw.fill(ARENA, 5, 1, 0xff07));
  session.send(raw.fill(ARENA + 16, 3, 2, 0xff1234), raw.fill(ARENA + 32, 3, 4, 0xdeadbeef));
  const bytes = await session.read(ARENA, 48);
  expect(bytes.subarray(0, 6).toString("hex")).toBe("070707070700");
  expect(bytes.subarray(16, 24).toString("hex")).toBe("3412341234120000");
  expect(bytes.subarray(32, 48).toString("hex")).toBe("efbeaddeefbeaddeefbeadde00000000");
});

test("copies on a device and between two devices of a lease", async () => {
  const two = await borrow(2);
  const other = ARENA + STRIDE;
  two.session.send(raw.allocate(ARENA, 8192), raw.allocate(other, 3 * MiB), raw.copyToDevice(ARENA, pattern));
  two.session.send(raw.copyOnDevice(ARENA + 4096, ARENA, 4096), raw.copyOnDevice(other + 2 * MiB, ARENA + 4096, 4096));
  expect(await two.session.read(ARENA + 4096, 4096)).toEqual(pattern);
  expect(await two.session.read(other + 2 * MiB, 4096)).toEqual(pattern);
  two.session.send(raw.fill(other, 3 * MiB, 1, 9), raw.free(ARENA), raw.allocate(ARENA, 4 * MiB));
  two.session.send(raw.copyOnDevice(ARENA, other, 3 * MiB));
  expect(await two.session.read(ARENA + 3 * MiB - 100, 200)).toEqual(
    Buffer.concat([Buffer.alloc(100, 9), Buffer.alloc(100)]),
  );
  await two.session.close();
  await control.release(two.lease.id, two.lease.secret);
});

test("memory info counts what allocations use of the slice", async () => {
  const info = await session.ask(raw.allocate(ARENA, 1), raw.allocate(ARENA + MiB, MiB), raw.memoryInfo());
  expect(Number(info.body.readBigUInt64LE(0))).toBe(63 * MiB - 256);
  expect(Number(info.body.readBigUInt64LE(8))).toBe(64 * MiB);
  const after = await session.ask(raw.free(ARENA), raw.free(ARENA + MiB), raw.memoryInfo());
  expect(Number(after.body.readBigUInt64LE(0))).toBe(64 * MiB);
});

const ok = raw.allocate(ARENA, 4096);
const high = 2 ** 40;

test.each<[string, string, readonly Buffer[]]>([
  ["an allocation below the arena", "ADDRESS_OUTSIDE_ARENA", [raw.allocate(ARENA - 256, 256)]],
  ["an allocation behind the arena", "ADDRESS_OUTSIDE_ARENA", [raw.allocate(ARENA + 64 * MiB, 256)]],
  ["an allocation that passes the arena's end", "ADDRESS_OUTSIDE_ARENA", [raw.allocate(ARENA + 64 * MiB - 256, 257)]],
  [
    "an allocation in the arena of a device that the lease lacks",
    "ADDRESS_OUTSIDE_ARENA",
    [raw.allocate(ARENA + STRIDE, 256)],
  ],
  ["an allocation at an address of 64 bits", "ADDRESS_OUTSIDE_ARENA", [raw.allocate(2n ** 64n - 256n, 256)]],
  ["an allocation of 2^64 - 1 bytes", "ADDRESS_OUTSIDE_ARENA", [raw.allocate(ARENA, 2n ** 64n - 1n)]],
  ["an allocation of no bytes", "BAD_ARGUMENT", [raw.allocate(ARENA, 0)]],
  ["an allocation that is not aligned", "BAD_ARGUMENT", [raw.allocate(ARENA + 8, 8)]],
  ["an allocation over another", "RANGE_IN_USE", [ok, raw.allocate(ARENA + 3840, 4096)]],
  ["an allocation around another", "RANGE_IN_USE", [raw.allocate(ARENA + 256, 256), raw.allocate(ARENA, 4096)]],
  ["the same allocation twice", "RANGE_IN_USE", [ok, ok]],
  ["a free of what was never allocated", "NOT_ALLOCATED", [raw.free(ARENA)]],
  ["a free inside an allocation", "NOT_ALLOCATED", [ok, raw.free(ARENA + 256)]],
  ["a double free", "NOT_ALLOCATED", [ok, raw.free(ARENA), raw.free(ARENA)]],
  ["a write outside the arena", "ADDRESS_OUTSIDE_ARENA", [ok, raw.copyToDevice(0, pattern)]],
  [
    "a write that differs only in the high half",
    "ADDRESS_OUTSIDE_ARENA",
    [ok, raw.copyToDevice(ARENA + 16 * high, pattern)],
  ],
  ["a write with only the low half", "ADDRESS_OUTSIDE_ARENA", [ok, raw.copyToDevice(256, pattern)]],
  ["a write into another device's arena", "ADDRESS_OUTSIDE_ARENA", [ok, raw.copyToDevice(ARENA + STRIDE, pattern)]],
  ["a write that is not allocated", "NOT_ALLOCATED", [raw.copyToDevice(ARENA, pattern)]],
  ["a write that passes its allocation", "NOT_ALLOCATED", [ok, raw.copyToDevice(ARENA + 1, pattern)]],
  [
    "a write over two allocations",
    "NOT_ALLOCATED",
    [ok, raw.allocate(ARENA + 4096, 4096), raw.copyToDevice(ARENA + 1, pattern)],
  ],
  ["a write after the free", "NOT_ALLOCATED", [ok, raw.free(ARENA), raw.copyToDevice(ARENA, pattern)]],
  ["a write in a stream that is not there", "NO_SUCH_HANDLE", [ok, raw.copyToDevice(ARENA, pattern, 9)]],
  ["a fill of 3 bytes", "BAD_ARGUMENT", [ok, raw.fill(ARENA, 1, 3, 0)]],
  ["a fill at an address off its width", "BAD_ARGUMENT", [ok, raw.fill(ARENA + 2, 1, 4, 0)]],
  ["a fill past its allocation", "NOT_ALLOCATED", [ok, raw.fill(ARENA, 1025, 4, 0)]],
  ["a fill of 2^62 elements", "ADDRESS_OUTSIDE_ARENA", [ok, raw.fill(ARENA, 2n ** 62n, 4, 0)]],
  ["a copy that overlaps itself", "BAD_ARGUMENT", [ok, raw.copyOnDevice(ARENA + 1, ARENA, 100)]],
  ["a copy to where nothing is", "NOT_ALLOCATED", [ok, raw.copyOnDevice(ARENA + 8192, ARENA, 100)]],
  ["a copy from outside", "ADDRESS_OUTSIDE_ARENA", [ok, raw.copyOnDevice(ARENA, 4096, 100)]],
  ["a launch of a module that is not there", "NO_SUCH_HANDLE", [raw.launch({ module: 1 })]],
  ["an unload of a module that is not there", "NO_SUCH_HANDLE", [raw.moduleUnload(1)]],
  ["a stream 0", "HANDLE_IN_USE", [raw.streamCreate(0)]],
  ["a stream number used before", "HANDLE_IN_USE", [raw.streamCreate(1), raw.streamDestroy(1), raw.streamCreate(1)]],
  ["a stream destroyed twice", "NO_SUCH_HANDLE", [raw.streamCreate(1), raw.streamDestroy(1), raw.streamDestroy(1)]],
  ["a stream on a device that is not there", "NO_SUCH_DEVICE", [raw.streamCreate(1, 1)]],
  ["an event recorded before it exists", "NO_SUCH_HANDLE", [raw.eventRecord(1)]],
  ["an event destroyed twice", "NO_SUCH_HANDLE", [raw.eventCreate(1), raw.eventDestroy(1), raw.eventDestroy(1)]],
  ["a wait for an event that is not there", "NO_SUCH_HANDLE", [raw.streamWaitEvent(0, 1)]],
  ["an image that begins in the middle", "NO_SUCH_HANDLE", [raw.imageWrite(1, 100, 50, pattern.subarray(0, 50))]],
  ["a piece of an image past its end", "BAD_ARGUMENT", [raw.imageWrite(1, 10, 0, pattern.subarray(0, 11))]],
  ["an image of no bytes", "BAD_ARGUMENT", [raw.imageWrite(1, 0, 0, pattern.subarray(0, 0))]],
  ["an image of 4 GiB", "IMAGE_TOO_LARGE", [raw.imageWrite(1, 2 ** 32 - 1, 0, pattern)]],
])("%s is refused with %s, and later calls are not run", async (_, code, calls) => {
  const bad = calls.length;
  const answer = await session.ask(...calls, raw.allocate(ARENA + MiB, 256), raw.deviceSynchronize());
  expect(answer.code).toBe(code);
  expect(answer.failed?.sequence).toBe(1 + bad);
  expect(answer.failed?.opcode).toBe(calls.at(-1)!.readUInt32LE(0));
  expect(answer.failed?.message).toMatch(/\[.*\].*\.$/);
  // The session stays in error with the first failure, whatever is asked.
  const later = await session.ask(raw.streamDestroy(77), raw.memoryInfo());
  expect(later.code).toBe(code);
  expect(later.failed?.sequence).toBe(1 + bad);
  // A new session under the same lease begins afresh.
  await session.close();
  session = await RawSession.open(server.data, lease);
  expect(await session.codeAfter(raw.attach())).toBe("OK");
});

test.each<[string, string, Buffer]>([
  ["a device that the lease lacks", "NO_SUCH_DEVICE", raw.attach(1)],
  ["device 2^32 - 1", "NO_SUCH_DEVICE", raw.attach(2 ** 32 - 1)],
  ["a read of what is not allocated", "NOT_ALLOCATED", raw.copyFromDevice(ARENA + MiB, 16)],
  ["a read outside the arena", "ADDRESS_OUTSIDE_ARENA", raw.copyFromDevice(2n ** 63n, 16)],
  ["a read of more than a call carries", "BAD_ARGUMENT", raw.copyFromDevice(ARENA, MiB + 1)],
  ["a synchronise of a stream that is not there", "NO_SUCH_HANDLE", raw.streamSynchronize(3)],
  ["a query of a stream that is not there", "NO_SUCH_HANDLE", raw.streamQuery(3)],
  ["a query of an event that is not there", "NO_SUCH_HANDLE", raw.eventQuery(3)],
  ["a synchronise with a device that is not there", "NO_SUCH_DEVICE", raw.deviceSynchronize(7)],
  ["a module from an image that is not there", "NO_SUCH_HANDLE", raw.moduleLoad(1, 1)],
  ["memory info of a device that is not there", "NO_SUCH_DEVICE", raw.memoryInfo(1)],
])("%s fails alone with %s", async (_, code, bad) => {
  const answer = await session.ask(bad);
  expect(answer.code).toBe(code);
  expect(answer.failed?.sequence).toBe(2);
  expect(await session.codeAfter(raw.allocate(ARENA, 256))).toBe("OK");
});
