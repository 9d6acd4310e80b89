/** Copies whose pieces let other streams through: what goes between them, what must not, and what a mistake costs. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceBuffer } from "../../client/buffer.ts";
import type { Device } from "../../client/device.ts";
import type { Stream } from "../../client/stream.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { kernelInfo } from "../support/fake-executor.ts";

const MiB = 1024 ** 2;
const PIECES = 8;

const pattern = new Uint8Array(Uint32Array.from({ length: (PIECES * MiB) / 4 }, (_unused, index) => index).buffer);

let fake: FakeGpu;
let gpu: Device;
let target: DeviceBuffer;
let other: DeviceBuffer;
/** Where the copy runs, a stream that waits for the default one too, and one that does not. */
let copying: Stream;
let waiting: Stream;
let free: Stream;
let data: Uint8Array<ArrayBuffer>;

beforeEach(async () => {
  fake = await openFakeGpu({ kernels: [kernelInfo("k", [])], arenaBytes: 64 * MiB });
  gpu = fake.gpu;
  target = gpu.alloc(PIECES * MiB);
  other = gpu.alloc(PIECES * MiB);
  copying = gpu.stream();
  waiting = gpu.stream();
  free = gpu.stream({ waitsForDefault: false });
  data = pattern.slice();
  await gpu.synchronize();
});

afterEach(async () => {
  fake.session.fail(new SluiceError("CLOSED", "The test ends."));
  await fake.close();
});

/** The names of the calls from now on, once `work` is done and all is executed. */
async function callsOf(work: () => Promise<void>): Promise<string[]> {
  const from = fake.executor.calls.length;
  await work();
  const names = fake.executor.names();
  await gpu.synchronize();
  return fake.executor.names().slice(from, Math.max(from, names.length) + 100);
}

/** How many pieces of the copy are issued before the first call of this name. */
async function piecesBefore(name: string, work: () => unknown, stream = copying): Promise<number> {
  const names = await callsOf(async () => {
    const copy = target.write(data, { stream, overlap: true });
    const done = work();
    await copy;
    await done;
  });
  expect(names.filter((each) => each === "copyToDevice")).toHaveLength(PIECES);
  expect(names).toContain(name);
  return names.slice(0, names.indexOf(name)).filter((each) => each === "copyToDevice").length;
}

describe("between the pieces of a copy go", () => {
  const cases: Record<string, [name: string, work: () => unknown]> = {
    "fills of another stream": ["fill", () => other.fill(1, { stream: waiting })],
    "reads of another stream": ["copyFromDevice", () => other.read(Uint8Array, { stream: waiting, length: 4 })],
    "a synchronise of another stream": ["streamSynchronize", () => waiting.synchronize()],
    "the record of an event in another stream": ["eventRecord", () => gpu.event().record(free)],
    allocations: ["allocate", () => gpu.alloc(16)],
    "the end of another buffer": ["free", () => other.free()],
    "new streams": ["streamCreate", () => gpu.stream()],
    "the end of another stream": ["streamDestroy", () => waiting.destroy()],
    loads: ["moduleLoadCached", () => gpu.load("an image")],
  };
  it.each(Object.entries(cases))("%s", async (_what, [name, work]) => {
    expect(await piecesBefore(name, work)).toBeLessThan(PIECES);
    expect(Buffer.compare(await target.read(Uint8Array), data)).toBe(0);
  });

  it("calls of the default stream, where the copy's stream does not wait for it", async () => {
    expect(await piecesBefore("fill", () => other.fill(1), free)).toBe(1);
  });
});

describe("behind all pieces of a copy stay", () => {
  const cases: Record<string, [name: string, work: () => unknown]> = {
    "calls of its stream": ["fill", () => target.fill(1, { stream: copying })],
    "calls of the default stream": ["fill", () => other.fill(1)],
    "the record of an event in its stream": ["eventRecord", () => gpu.event().record(copying)],
    "its synchronise": ["streamSynchronize", () => copying.synchronize()],
    "its query": ["streamQuery", () => copying.query()],
    "a synchronise of the device": ["deviceSynchronize", () => gpu.synchronize()],
    "the end of its buffer": ["free", () => target.free()],
    "the end of its stream": ["streamDestroy", () => copying.destroy()],
    replays: ["recordingReplay", () => gpu.record(() => other.fill(1, { stream: waiting })).replay()],
    "another copy in its stream": ["copyToDeviceKept", () => other.write(data, { stream: copying, cached: true })],
  };
  it.each(Object.entries(cases))("%s", async (_what, [name, work]) => {
    expect(await piecesBefore(name, work)).toBe(PIECES);
  });
});

describe("a copy from the device in pieces", () => {
  const reads = (names: string[]) => names.filter((name) => name === "copyFromDevice").length;

  it("lets other streams through, and nothing of its own", async () => {
    await target.write(data, { stream: copying, overlap: true });
    const into = new Uint8Array(PIECES * MiB);
    for (const [stream, least, most] of [
      [waiting, 1, PIECES - 1],
      [copying, PIECES, PIECES],
    ] as const) {
      into.fill(0);
      const from = fake.executor.calls.length;
      const reading = target.readInto(into, { stream: copying, overlap: true });
      other.fill(1, { stream });
      await reading;
      const names = fake.executor.names().slice(from);
      expect(reads(names)).toBe(PIECES);
      const before = reads(names.slice(0, names.indexOf("fill")));
      expect(before).toBeGreaterThanOrEqual(least);
      expect(before).toBeLessThanOrEqual(most);
      expect(Buffer.compare(into, data)).toBe(0);
    }
  });

  it("asks for a few pieces at a time", async () => {
    fake.executor.holding = true;
    const reading = target.read(Uint8Array, { stream: copying, overlap: true });
    const failed = expect(reading).rejects.toMatchObject({ code: "CLOSED" });
    const from = fake.executor.calls.length;
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    expect(reads(fake.executor.names().slice(from))).toBe(4);
    fake.session.fail(new SluiceError("CLOSED", "It is over."));
    await failed;
  });

  it("tells a failure once, and leaves none unheard", async () => {
    await expect(
      target.read(Uint8Array, { stream: copying, overlap: true, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "CANCELLED" });
    const reading = target.read(Uint8Array, { stream: copying, overlap: true });
    fake.session.fail(new SluiceError("LEASE_REVOKED", "It is taken away."));
    await expect(reading).rejects.toMatchObject({ code: "LEASE_REVOKED" });
  });
});

it("an array that is transferred while it is read into fails its read, and not the session", async () => {
  for (const overlap of [false, true]) {
    const into = new Uint8Array(2 * MiB);
    const reading = target.readInto(into, { stream: copying, overlap });
    structuredClone(into, { transfer: [into.buffer] });
    await expect(reading).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  }
  expect((await other.read(Uint8Array, { length: 1 })).byteLength).toBe(1);
});

it("two copies in different streams take turns", async () => {
  const second = pattern.slice().reverse();
  await Promise.all([
    target.write(data, { stream: copying, overlap: true }),
    other.write(second, { stream: waiting, overlap: true }),
  ]);
  await gpu.synchronize();
  const first = target.address;
  const order = fake.executor.calls
    .filter((call) => call.name === "copyToDevice")
    .map(({ body }) => (Number(Buffer.from(body).readBigUInt64LE(0)) < first + PIECES * MiB ? "a" : "b"));
  expect(order.slice(0, 6).join("")).toBe("ababab");
  expect(Buffer.compare(await target.read(Uint8Array), data)).toBe(0);
  expect(Buffer.compare(await other.read(Uint8Array), second)).toBe(0);
});

it("a copy that nobody reads does not wait in this process, but for a piece or two", async () => {
  fake.executor.pause();
  const copy = target.write(data, { stream: copying, overlap: true });
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  expect(fake.session.queuedBytes).toBeLessThan(4 * MiB);
  fake.executor.resume();
  await copy;
  expect(Buffer.compare(await target.read(Uint8Array), data)).toBe(0);
});

it("a session that is closed meanwhile sends all of it", async () => {
  const copy = target.write(data, { stream: copying, overlap: true });
  await fake.session.close(new SluiceError("CLOSED", "It is over."));
  await copy;
  expect(fake.executor.names().filter((name) => name === "copyToDevice")).toHaveLength(PIECES);
  expect(Buffer.compare(fake.executor.arena.subarray(0, data.length), data)).toBe(0);
});

describe("a copy that goes wrong", () => {
  it("because its array is transferred is refused, and all else goes on", async () => {
    const copy = target.write(data, { stream: copying, overlap: true });
    structuredClone(data, { transfer: [data.buffer] });
    await expect(copy).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    other.fill(7, { stream: copying });
    expect((await other.read(Uint8Array, { length: 1 }))[0]).toBe(0);
  });

  it("because its array is transferred fails itself, not the call that waits for it", async () => {
    const copy = target.write(data, { stream: copying, overlap: true });
    structuredClone(data, { transfer: [data.buffer] });
    expect(() => other.fill(7, { stream: copying })).not.toThrow();
    await expect(copy).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("because it does not fit sends nothing", async () => {
    const { calls } = fake.session;
    await expect(target.write(data, { stream: copying, overlap: true, offset: 1 })).rejects.toMatchObject({
      code: "BAD_ARGUMENT",
    });
    expect(fake.session.calls).toBe(calls);
  });

  it("because the session ends says why", async () => {
    const copy = target.write(data, { stream: copying, overlap: true });
    fake.session.fail(new SluiceError("LEASE_REVOKED", "It is taken away."));
    await expect(copy).rejects.toMatchObject({ code: "LEASE_REVOKED" });
  });

  it("because it is cancelled stops, and never begins when it is cancelled before", async () => {
    const signal = AbortSignal.abort();
    const { calls } = fake.session;
    await expect(target.write(data, { stream: copying, overlap: true, signal })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expect(fake.session.calls).toBe(calls);
    const large = gpu.alloc(40 * MiB);
    await gpu.synchronize();
    fake.executor.pause();
    const controller = new AbortController();
    const copy = large.write(new Uint8Array(40 * MiB), { stream: copying, overlap: true, signal: controller.signal });
    const failed = expect(copy).rejects.toMatchObject({ code: "CANCELLED" });
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    controller.abort();
    fake.executor.resume();
    await failed;
    await gpu.synchronize();
    expect(fake.executor.names().filter((name) => name === "copyToDevice").length).toBeLessThan(40);
  });
});
