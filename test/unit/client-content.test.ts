/** Images and uploads that travel once, on a fake executor: what is sent, what is asked, and what a mistake costs. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { SluiceError } from "../../shared/errors.ts";
import { CALL_DATA_BYTES_MAX, IMAGE_SENT_BYTES_MAX } from "../../shared/limits.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { type FakeExecutorOptions, kernelInfo } from "../support/fake-executor.ts";

const opened: FakeGpu[] = [];

async function open(options: Partial<FakeExecutorOptions> = {}): Promise<FakeGpu> {
  const fake = await openFakeGpu({ kernels: [kernelInfo("k", [])], arenaBytes: 64 << 20, ...options });
  opened.push(fake);
  return fake;
}

afterEach(async () => {
  for (const { session, close } of opened.splice(0)) {
    session.fail(new SluiceError("CLOSED", "The test ends."));
    await close();
  }
});

const count = ({ executor }: FakeGpu, name: string): number => executor.names().filter((seen) => seen === name).length;

const large = (): Uint8Array => randomBytes(CALL_DATA_BYTES_MAX * 2 + 77);

test("a small image travels with its load, and is loaded again without it, each in one trip", async () => {
  const fake = await open();
  const image = randomBytes(IMAGE_SENT_BYTES_MAX);
  const before = fake.session.roundTrips;
  await fake.gpu.load(image);
  expect(fake.session.roundTrips - before).toBe(1);
  expect(fake.content.bytesSaved).toBe(0);
  (await fake.gpu.load(image)).kernel("k").launch({ grid: 1, block: 1 }, []);
  await fake.gpu.synchronize();
  expect(fake.session.roundTrips - before).toBe(3);
  expect(count(fake, "imageWrite")).toBe(1);
  expect(fake.content.bytesSaved).toBe(image.byteLength);
  expect(fake.executor.launches.at(-1)).toMatchObject({ module: 2 });
});

test("a large image is asked for first: one trip where the server has it, else two", async () => {
  const fake = await open();
  const image = large();
  let before = fake.session.roundTrips;
  await fake.gpu.load(image);
  expect(fake.session.roundTrips - before).toBe(2);
  expect(count(fake, "imageWrite")).toBe(3);
  const later = await open();
  for (const [hash, bytes] of fake.executor.kept) later.executor.kept.set(hash, bytes);
  before = later.session.roundTrips;
  await later.gpu.load(image);
  expect(later.session.roundTrips - before).toBe(1);
  expect(count(later, "imageWrite")).toBe(0);
  expect(later.content.bytesSaved).toBe(image.byteLength);
});

test("an image that is loaded several times at once travels once", async () => {
  for (const image of [large(), randomBytes(100)]) {
    const fake = await open();
    const modules = await Promise.all([1, 2, 3, 4].map(() => fake.gpu.load(image)));
    expect(fake.content.bytesSaved).toBe(3 * image.byteLength);
    expect(count(fake, "imageWrite")).toBe(Math.ceil(image.byteLength / CALL_DATA_BYTES_MAX));
    for (const module of modules) module.kernel("k").launch({ grid: 1, block: 1 }, []);
    await fake.gpu.synchronize();
    expect(new Set(fake.executor.launches.map(({ module }) => module)).size).toBe(4);
  }
});

test("a server that keeps nothing is asked once and no more", async () => {
  const fake = await open({ keeps: false });
  const image = randomBytes(100);
  await fake.gpu.load(image);
  await fake.gpu.load(image);
  const before = fake.session.roundTrips;
  await fake.gpu.load(image);
  await fake.gpu.load(large());
  expect(fake.session.roundTrips - before).toBe(2);
  expect(fake.content.bytesSaved).toBe(0);
});

test("a load that fails does not stop the next of the same image", async () => {
  let failures = 1;
  const fake = await open({
    failing: ({ name }) =>
      name === "moduleLoadCached" && failures-- > 0 ? { code: "OUT_OF_MEMORY", message: "Not now." } : undefined,
  });
  const image = large();
  await expect(fake.gpu.load(image)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
  await fake.gpu.load(image);
});

test("a cached upload sends what the server lacks, and a second nothing but its name", async () => {
  const fake = await open();
  const data = large();
  const first = await fake.gpu.upload(data, { cached: true });
  await fake.gpu.synchronize();
  expect(count(fake, "copyToDeviceKept")).toBe(3);
  expect(fake.content.bytesSaved).toBe(0);
  const sent = fake.session.bytesSent;
  const second = await fake.gpu.upload(data, { cached: true });
  expect(fake.session.bytesSent - sent).toBeLessThan(1024);
  expect(fake.content.bytesSaved).toBe(data.byteLength);
  expect(Buffer.compare(await first.read(Uint8Array), data)).toBe(0);
  expect(Buffer.compare(await second.read(Uint8Array), data)).toBe(0);
});

test("a cached upload that differs in one place sends one piece", async () => {
  const fake = await open();
  const data = large();
  await fake.gpu.upload(data, { cached: true });
  data[CALL_DATA_BYTES_MAX + 5]! ^= 1;
  const changed = await fake.gpu.upload(data, { cached: true });
  await fake.gpu.synchronize();
  expect(count(fake, "copyToDeviceKept")).toBe(4);
  expect(fake.content.bytesSaved).toBe(data.byteLength - CALL_DATA_BYTES_MAX);
  expect(Buffer.compare(await changed.read(Uint8Array), data)).toBe(0);
});

test("a cached upload of more pieces than one question holds is asked for in several", async () => {
  const fake = await open();
  const data = randomBytes(20 * CALL_DATA_BYTES_MAX);
  const buffer = fake.gpu.alloc(data.byteLength + 256);
  const trips = fake.session.roundTrips;
  await buffer.write(data, { cached: true, offset: 256 });
  expect(fake.session.roundTrips - trips).toBe(2);
  await buffer.write(data, { cached: true, offset: 0 });
  expect(fake.content.bytesSaved).toBe(data.byteLength);
  expect(Buffer.compare(await buffer.read(Uint8Array, { length: data.byteLength }), data)).toBe(0);
});

test("a small cached upload is an ordinary one", async () => {
  const fake = await open();
  const buffer = await fake.gpu.upload(new Uint8Array(CALL_DATA_BYTES_MAX - 1), { cached: true });
  expect(buffer.byteLength).toBe(CALL_DATA_BYTES_MAX - 1);
  await fake.gpu.synchronize();
  expect(count(fake, "copyCached")).toBe(0);
  expect(count(fake, "copyToDevice")).toBe(1);
});

test("from which size on an upload is cached is the job's to say", async () => {
  const fake = await open();
  const data = randomBytes(64 * 1024);
  await fake.gpu.upload(data, { cached: { from: "64KiB" } });
  const again = await fake.gpu.upload(data, { cached: { from: 65_536 } });
  expect(fake.content.bytesSaved).toBe(data.byteLength);
  expect(Buffer.compare(await again.read(Uint8Array), data)).toBe(0);
  await fake.gpu.upload(large(), { cached: { from: "1GiB" } });
  expect(count(fake, "copyCached")).toBe(2);
  const wrong = fake.gpu.upload(data, { cached: { from: 0 } });
  await expect(wrong).rejects.toMatchObject({ code: "BAD_ARGUMENT", message: expect.stringContaining("[0]") });
});

test("a buffer that is freed while the server is asked is not written", async () => {
  const fake = await open();
  const buffer = fake.gpu.alloc(4 * CALL_DATA_BYTES_MAX);
  const writing = buffer.write(large(), { cached: true });
  buffer.free();
  const other = fake.gpu.alloc(4 * CALL_DATA_BYTES_MAX);
  await expect(writing).rejects.toMatchObject({ code: "CLOSED" });
  expect(other.address).toBe(buffer.address);
  await fake.gpu.synchronize();
  expect(count(fake, "copyToDeviceKept")).toBe(0);
});

test("a cached upload that does not fit, or fails, gives its buffer back", async () => {
  const fake = await open({
    failing: ({ name }) => (name === "copyCached" ? { code: "DEVICE_FAILED", message: "It burns." } : undefined),
  });
  const buffer = fake.gpu.alloc(1000);
  await expect(buffer.write(large(), { cached: true })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  const { freeBytes } = fake.gpu.memoryInfo();
  await expect(fake.gpu.upload(large(), { cached: true })).rejects.toMatchObject({ code: "DEVICE_FAILED" });
  expect(fake.gpu.memoryInfo().freeBytes).toBe(freeBytes);
});
