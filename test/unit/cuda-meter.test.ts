/** How device time is measured: which time stamps a stream gets, and what they come to. Driver and host go by one clock, which the test turns. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { CudaContext } from "../../server/device/cuda/context.ts";
import { Meter } from "../../server/device/cuda/meter.ts";
import { CudaStream } from "../../server/device/cuda/stream.ts";

const clock = { now: 0 };

beforeEach(() => {
  clock.now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => clock.now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** A driver that does at once what is queued; `isBehind` has it do nothing for a while. */
class Driver {
  isBehind = false;
  records = 0;
  asked = 0;
  alive = 0;
  readonly #stamps = new Map<number, number>();
  readonly #waiting: number[] = [];

  readonly api = {
    cuEventCreate: (handle: BigUint64Array): number => {
      handle[0] = BigInt(++this.alive);
      return 0;
    },
    cuEventDestroy_v2: (): number => {
      this.alive--;
      return 0;
    },
    cuEventRecord: (event: number): number => {
      this.records++;
      this.#stamps.delete(event);
      if (this.isBehind) this.#waiting.push(event);
      else this.#stamps.set(event, clock.now);
      return 0;
    },
    cuEventQuery: (event: number): number => {
      this.asked++;
      return this.#stamps.has(event) ? 0 : 600;
    },
    cuEventElapsedTime: (into: Float32Array, start: number, end: number): number => {
      into[0] = this.#stamps.get(end)! - this.#stamps.get(start)!;
      return 0;
    },
  };

  /** Does what waits, each mark a millisecond behind the one before. */
  catchUp(): void {
    this.isBehind = false;
    for (const event of this.#waiting.splice(0)) this.#stamps.set(event, ++clock.now);
  }
}

function stand(separates = false): { driver: Driver; meter: Meter; stream: CudaStream } {
  const driver = new Driver();
  const context = {
    api: driver.api,
    failure: undefined,
    enter: () => undefined,
    check: (result: number) => expect(result).toBe(0),
    ready: (result: number) => result === 0,
  } as unknown as CudaContext;
  const meter = new Meter(context, { kernelTimeoutMs: 0, separates });
  return { driver, meter, stream: new CudaStream(7) };
}

/** Kernels that each take `eachMs`. */
function run({ meter, stream }: ReturnType<typeof stand>, count: number, eachMs: number): void {
  for (let i = 0; i < count; i++) {
    meter.work(stream, "kernel");
    clock.now += eachMs;
  }
}

test("a burst of quick kernels costs one time stamp for eight, and each of its moments counts once", () => {
  const all = stand();
  run(all, 1000, 0.01);
  expect(all.meter.totalMs()).toBeCloseTo(10, 3);
  expect(all.driver.records).toBeLessThan(1000 / 8 + 10);
  expect(all.driver.asked).toBeLessThan(1000 / 8 + 10);
});

test("a device that is late is not asked for every span whether it is done", () => {
  const all = stand();
  run(all, 8, 0.01);
  all.meter.totalMs();
  all.driver.isBehind = true;
  const { asked } = all.driver;
  run(all, 8 * 1000, 0);
  expect(all.driver.asked - asked).toBeLessThan(1000 / 16 + 10);
});

test("slow kernels have a span each, so that each can be held to its time", () => {
  const all = stand();
  run(all, 50, 2);
  expect(all.meter.totalMs()).toBeCloseTo(100, 3);
  // The first two spans begin before the device has said how long its work takes.
  expect(all.driver.records).toBeGreaterThanOrEqual(49);
});

test("the time in which a device waits for its host does not count, however the turn of the event loop goes on", async () => {
  const all = stand();
  const { meter, stream } = all;
  for (let round = 0; round < 100; round++) {
    run(all, 1, 0.01);
    meter.rests(stream);
    clock.now += 0.5;
    // A second look changes nothing.
    meter.rests(stream);
    clock.now += 0.5;
  }
  expect(meter.totalMs()).toBeCloseTo(1, 3);
  expect(all.driver.records).toBeLessThan(100 / 8 + 10);
  run(all, 1, 0.01);
  await new Promise((resolve) => setImmediate(resolve));
  // The span is over, and nothing is open to which this could belong.
  meter.rests(stream);
  clock.now += 1000;
  run(all, 1, 0.01);
  expect(meter.totalMs()).toBeCloseTo(1.02, 3);
});

test("time stamps are used again, however often the event loop turns in between", () => {
  const all = stand();
  for (let round = 0; round < 1000; round++) {
    run(all, 10, 0.01);
    all.meter.totalMs();
  }
  expect(all.meter.totalMs()).toBeCloseTo(100, 2);
  expect(all.driver.alive).toBeLessThan(64);
});

test("kernels and copies in turn are told apart, and none is lost between them", () => {
  const all = stand(true);
  for (let round = 0; round < 30; round++) {
    run(all, 3, 0.1);
    all.meter.work(all.stream, "copy");
    clock.now += 0.5;
  }
  expect(all.meter.kernelMs()).toBeCloseTo(30 * 0.3, 3);
  expect(all.meter.totalMs()).toBeCloseTo(30 * 0.8, 3);
});

test("behind a device that is late no more stamps are made than are allowed, and all of its time counts in the end", () => {
  const all = stand();
  const { driver, meter, stream } = all;
  driver.isBehind = true;
  run(all, 100_000, 0);
  expect(driver.alive).toBeLessThanOrEqual(2048);
  const { records } = driver;
  expect(meter.totalMs()).toBe(0);
  driver.catchUp();
  // From the first stamp to the last one, which ended the span that was open.
  expect(meter.totalMs()).toBe(records);
  meter.forget(stream);
  meter.close();
  expect(driver.alive).toBe(0);
});
