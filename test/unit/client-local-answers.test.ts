/** Answers that need no trip: only where the last answer said so already, nothing was issued since, and no failure can be unheard. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Device } from "../../client/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { kernelInfo } from "../support/fake-executor.ts";

let fake: FakeGpu;
let gpu: Device;
/** Whether the server tells, from now on, of a call that failed before. */
let failed: boolean;
/** Whether streams and events are done. */
let done: boolean;

beforeEach(async () => {
  failed = false;
  done = true;
  fake = await openFakeGpu({
    kernels: [kernelInfo("k", [])],
    done: () => done,
    failing: () => (failed ? { code: "ILLEGAL_ADDRESS", message: "A kernel fails.", sequence: 2 } : undefined),
  });
  gpu = fake.gpu;
});

afterEach(async () => {
  fake.session.fail(new SluiceError("CLOSED", "The test ends."));
  await fake.close();
});

/** The round trips of some work. */
async function trips(work: () => Promise<unknown>): Promise<number> {
  const before = fake.session.roundTrips;
  await work();
  return fake.session.roundTrips - before;
}

describe("a synchronise", () => {
  it("asks once, and then only when something was issued", async () => {
    expect(await trips(() => gpu.synchronize())).toBe(1);
    expect(await trips(() => gpu.synchronize())).toBe(0);
    const buffer = gpu.alloc(16);
    expect(await trips(() => gpu.synchronize())).toBe(1);
    expect(await trips(() => gpu.synchronize())).toBe(0);
    buffer.fill(0);
    expect(await trips(() => gpu.synchronize())).toBe(1);
    buffer.free();
    expect(await trips(() => gpu.synchronize())).toBe(1);
  });

  it("of a stream is known when the device's is, and not the other way round", async () => {
    const stream = gpu.stream();
    expect(await trips(() => stream.synchronize())).toBe(1);
    expect(await trips(() => stream.synchronize())).toBe(0);
    expect(await trips(() => gpu.synchronize())).toBe(1);
    const other = gpu.stream();
    expect(await trips(() => gpu.synchronize())).toBe(1);
    expect(await trips(() => other.synchronize())).toBe(0);
    expect(await trips(() => stream.query())).toBe(0);
  });

  it("behind a read needs a trip only when there are streams", async () => {
    const buffer = gpu.alloc(16);
    await buffer.read(Uint8Array);
    expect(await trips(() => gpu.synchronize())).toBe(0);
    gpu.stream();
    await buffer.read(Uint8Array);
    expect(await trips(() => gpu.synchronize())).toBe(1);
  });

  it("asks while another answer is awaited", async () => {
    await gpu.synchronize();
    const buffer = gpu.alloc(16);
    await gpu.synchronize();
    fake.executor.holding = true;
    const reading = buffer.read(Uint8Array);
    const waiting = gpu.synchronize();
    let settled = false;
    void waiting.then(() => {
      settled = true;
    });
    await gpu.flush();
    expect(settled).toBe(false);
    fake.executor.answerHeld();
    await Promise.all([reading, waiting]);
  });

  it("asks again behind a load, and behind a cached upload", async () => {
    await gpu.synchronize();
    await gpu.load("an image");
    expect(await trips(() => gpu.synchronize())).toBe(1);
    const buffer = gpu.alloc(1 << 20);
    await buffer.write(new Uint8Array(1 << 20), { cached: true });
    expect(await trips(() => gpu.synchronize())).toBe(1);
  });

  it("with an aborted signal is refused, known or not", async () => {
    await gpu.synchronize();
    const signal = AbortSignal.abort();
    await expect(gpu.synchronize({ signal })).rejects.toMatchObject({ code: "CANCELLED" });
    await expect(gpu.event().query({ signal })).rejects.toMatchObject({ code: "CANCELLED" });
  });
});

describe("an event", () => {
  it("that is known to be done needs no trip until something is issued", async () => {
    const event = gpu.event();
    event.record();
    done = false;
    expect(await event.query()).toBe(false);
    expect(await trips(() => event.query())).toBe(1);
    done = true;
    expect(await trips(() => event.query())).toBe(1);
    expect(await trips(() => event.query())).toBe(0);
    expect(await trips(() => event.synchronize())).toBe(0);
    event.record();
    done = false;
    expect(await event.query()).toBe(false);
  });

  it("is known to be done when its stream or the device is", async () => {
    const [stream, other] = [gpu.stream(), gpu.stream()];
    const event = gpu.event();
    event.record(stream);
    await other.synchronize();
    expect(await trips(() => event.query())).toBe(1);
    event.record(stream);
    await stream.synchronize();
    expect(await trips(() => event.query())).toBe(0);
    event.record(other);
    await gpu.synchronize();
    expect(await trips(() => event.synchronize())).toBe(0);
  });
});

describe("a failure", () => {
  it("of a call without an answer is told by the first question behind it, whatever was known before", async () => {
    for (const ask of [
      () => gpu.synchronize(),
      () => gpu.stream().query(),
      () => gpu.event().query(),
      () => gpu.event().synchronize(),
    ]) {
      const buffer = gpu.alloc(16);
      await gpu.synchronize();
      buffer.fill(1);
      failed = true;
      await expect(ask()).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
      await expect(gpu.synchronize()).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
      await fake.close();
      failed = false;
      fake = await openFakeGpu({
        failing: () => (failed ? { code: "ILLEGAL_ADDRESS", message: "A kernel fails.", sequence: 2 } : undefined),
      });
      gpu = fake.gpu;
    }
  });

  it("of a call with an answer makes the next synchronise ask", async () => {
    const buffer = gpu.alloc(16);
    await gpu.synchronize();
    let fails = true;
    await fake.close();
    fake = await openFakeGpu({
      failing: ({ name }) =>
        name === "copyFromDevice" && fails ? { code: "KERNEL_TRAP", message: "It traps." } : undefined,
    });
    gpu = fake.gpu;
    expect(buffer.freed).toBe(false);
    const own = gpu.alloc(16);
    await gpu.synchronize();
    await expect(own.read(Uint8Array)).rejects.toMatchObject({ code: "KERNEL_TRAP" });
    expect(await trips(() => gpu.synchronize())).toBe(1);
    fails = false;
  });

  it("of the connection is told although nothing is outstanding", async () => {
    await gpu.synchronize();
    fake.executor.cut();
    while (!fake.session.isBroken) await new Promise((resolve) => setImmediate(resolve));
    await expect(gpu.synchronize()).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  });
});
