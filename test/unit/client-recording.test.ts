/** Recorded batches on the client: what is sent when one is made and replayed, the types of its parameters, and every misuse. */
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import type { DeviceBuffer } from "../../client/buffer.ts";
import type { Device } from "../../client/device.ts";
import type { Kernel } from "../../client/module.ts";
import type { ScalarParameter } from "../../client/recorder.ts";
import { SluiceError } from "../../shared/errors.ts";
import {
  decodeRecordingCreateCall,
  decodeRecordingReplayCall,
  type RecordingCreateCall,
} from "../../shared/generated/calls.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { kernelInfo } from "../support/fake-executor.ts";

let fake: FakeGpu;
let gpu: Device;
let axpy: Kernel;

beforeEach(async () => {
  // As (n, a, x, y) of saxpy, and a struct by value.
  fake = await openFakeGpu({
    kernels: [
      kernelInfo("axpy", [
        [1, 4],
        [3, 4],
        [5, 8],
        [5, 8],
      ]),
      kernelInfo("by_value", [
        [4, 12],
        [3, 8],
      ]),
    ],
  });
  gpu = fake.gpu;
  axpy = (await gpu.load("an image")).kernel("axpy");
});

afterEach(async () => {
  fake.session.fail(new SluiceError("CLOSED", "The test ends."));
  await fake.close();
});

const one = { grid: 1, block: 1 };

function bodies<T>(name: string, decode: (buffer: WireBuffer, start: number, end: number) => T): T[] {
  return fake.executor.calls
    .filter((call) => call.name === name)
    .map(({ body }) => {
      const buffer = new WireBuffer(body.byteLength);
      buffer.u8.set(body);
      return decode(buffer, 0, body.byteLength);
    });
}

/** The opcodes of the calls in a recording. */
function opcodesIn({ calls }: RecordingCreateCall): number[] {
  const view = new DataView(calls.buffer, calls.byteOffset, calls.byteLength);
  const opcodes: number[] = [];
  for (let at = 0; at < calls.byteLength; at += view.getUint32(at + 4, true)) opcodes.push(view.getUint32(at, true));
  return opcodes;
}

async function replays(): Promise<DataView[]> {
  await gpu.synchronize();
  return bodies("recordingReplay", decodeRecordingReplayCall).map(({ values }) => new DataView(values.slice().buffer));
}

function errorOf(work: () => unknown): SluiceError {
  try {
    work();
  } catch (error) {
    return error as SluiceError;
  }
  throw new Error("Nothing is thrown.");
}

describe("a recording", () => {
  it("is sent once, without running anything, and replayed by a call of a few bytes", async () => {
    const [x, y] = [gpu.alloc(64), gpu.alloc(64)];
    const trips = fake.session.roundTrips;
    const step = gpu.record(() => {
      for (let index = 0; index < 100; index++) axpy.launch(one, [16, 2, x, y]);
      gpu.fill(y, 0);
      gpu.copy(x, y);
    });
    expect(step.calls).toBe(102);
    for (let index = 0; index < 10; index++) step.replay();
    expect(fake.session.roundTrips).toBe(trips);
    expect(await replays()).toHaveLength(10);
    expect(fake.executor.launches).toEqual([]);
    const [created] = bodies("recordingCreate", decodeRecordingCreateCall);
    expect(created).toMatchObject({ recording: 1, count: 102, valueBytes: 0, patches: [] });
    expect(opcodesIn(created!)).toEqual([...new Array(100).fill(11), 7, 6]);
    const seen = fake.executor.calls.find((call) => call.name === "recordingReplay")!;
    expect(seen.body.byteLength).toBe(8);
  });

  it("takes numbers and memory as parameters, each value once, in the form that its places want", async () => {
    const [x, y, other] = [gpu.alloc(64), gpu.alloc(64), gpu.alloc(64)];
    const step = gpu.record({ x, rate: 0.5 }, (p) => {
      expectTypeOf(p.x).toEqualTypeOf<DeviceBuffer>();
      expectTypeOf(p.rate).toEqualTypeOf<ScalarParameter>();
      axpy.launch(one, [16, p.rate, p.x, y]);
      axpy.launch(one, [16, p.rate, y, p.x.at(8)]);
    });
    step.replay();
    step.replay({ x: other, rate: 3 });
    step.replay({ x: other.at(16) });
    const values = await replays();
    const read = (view: DataView) => [
      view.getFloat32(0, true),
      Number(view.getBigUint64(8, true)),
      Number(view.getBigUint64(16, true)),
    ];
    expect(values.map(read)).toEqual([
      [0.5, x.address, x.address + 8],
      [3, other.address, other.address + 8],
      [0.5, other.address + 16, other.address + 24],
    ]);
    const created = bodies("recordingCreate", decodeRecordingCreateCall).at(-1)!;
    expect(created.patches).toEqual([
      { call: 0, offset: 48 + 4, byteCount: 4, value: 0 },
      { call: 0, offset: 48 + 8, byteCount: 8, value: 8 },
      { call: 1, offset: 48 + 4, byteCount: 4, value: 0 },
      { call: 1, offset: 48 + 16, byteCount: 8, value: 16 },
    ]);
    // What a launch may not be given, a replay may not either: types first, then values.
    // @ts-expect-error There is no such parameter.
    expect(errorOf(() => step.replay({ lr: 1 })).message).toContain("no parameter [lr]; it has [x, rate]");
    // @ts-expect-error Memory is not a number.
    expect(errorOf(() => step.replay({ x: 5 })).code).toBe("BAD_ARGUMENT");
    // @ts-expect-error A number is not memory.
    expect(errorOf(() => step.replay({ rate: other })).code).toBe("BAD_ARGUMENT");
    expect(errorOf(() => step.replay({ rate: 1e300 })).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("takes memory as a parameter of copies, fills and products", async () => {
    const [x, y] = [gpu.alloc(1024), gpu.alloc(1024)];
    gpu.record({ x, y }, (p) => {
      gpu.copy(p.x.at(256), p.y, { bytes: 256 });
      p.y.fill(1, { as: Float32Array, offset: 8, length: 4 });
      gpu.fill(p.x, 0, { length: 10 });
      gpu.multiply({ a: p.x, b: p.y, c: p.x.at(512), m: 2, n: 2, k: 2 });
    });
    await gpu.synchronize();
    const [created] = bodies("recordingCreate", decodeRecordingCreateCall);
    expect(created!.patches.map(({ call, offset, value }) => [call, offset, value])).toEqual([
      [0, 0, 0],
      [0, 8, 8],
      [1, 0, 16],
      [2, 0, 24],
      [3, 0, 24],
      [3, 8, 8],
      [3, 16, 32],
    ]);
  });

  it("takes a struct by value", async () => {
    const kernel = (await gpu.load("an image")).kernel("by_value");
    const step = gpu.record({ state: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) }, ({ state }) => {
      kernel.launch(one, [state, 1]);
    });
    step.replay({ state: new Uint32Array([7, 8, 9]) });
    const [values] = await replays();
    expect([0, 4, 8, 12].map((at) => values!.getUint32(at, true))).toEqual([7, 8, 9, 0]);
    expect(errorOf(() => step.replay({ state: new Uint8Array(11) })).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("remembers what it was made with, not what was replayed last", async () => {
    const [x, y] = [gpu.alloc(64), gpu.alloc(64)];
    const step = gpu.record({ x, rate: 1 }, (p) => axpy.launch(one, [1, p.rate, p.x, y]));
    step.replay({ rate: 5 });
    step.replay();
    expect((await replays()).map((view) => view.getFloat32(0, true))).toEqual([5, 1]);
  });

  it("ends with destroy, behind its replays", async () => {
    const y = gpu.alloc(64);
    {
      using step = gpu.record(() => y.fill(0));
      step.replay();
      step.destroy();
      expect(errorOf(() => step.replay()).code).toBe("CLOSED");
    }
    gpu.record(() => y.fill(0)).replay();
    await gpu.synchronize();
    expect(fake.executor.names().filter((name) => name.startsWith("recording"))).toEqual([
      "recordingCreate",
      "recordingReplay",
      "recordingDestroy",
      "recordingCreate",
      "recordingReplay",
    ]);
  });
});

describe("what cannot be recorded is refused in words, and nothing of it happens:", () => {
  const cases: Record<string, () => unknown> = {
    read: () => gpu.alloc(16).read(Uint8Array),
    write: () => fixed.write(new Uint8Array(4)),
    "a read of a buffer that is there": () => fixed.read(Uint8Array),
    "a cached write": () => fixed.write(new Uint8Array(4), { cached: true }),
    upload: () => gpu.upload(new Uint8Array(4)),
    alloc: () => gpu.alloc(16),
    free: () => fixed.free(),
    load: () => void gpu.load("another image"),
    stream: () => gpu.stream(),
    event: () => gpu.event(),
    synchronize: () => void gpu.synchronize(),
    "an event's query": () => void mark.query(),
    "the end of an event": () => mark.destroy(),
  };
  let fixed: DeviceBuffer;
  let mark: ReturnType<Device["event"]>;

  for (const [what, work] of Object.entries(cases)) {
    it(what, async () => {
      fixed = gpu.alloc(64);
      mark = gpu.event();
      await gpu.synchronize();
      const { freeBytes } = gpu.memoryInfo();
      const calls = fake.executor.calls.length;
      const error = errorOf(() =>
        gpu.record(() => {
          fixed.fill(0);
          work();
        }),
      );
      expect(error.code).toBe("BAD_ARGUMENT");
      expect(error.message).toContain("cannot be recorded");
      expect(gpu.memoryInfo().freeBytes).toBe(freeBytes);
      // All goes on as before.
      fixed.fill(1);
      mark.record();
      await gpu.event().elapsed(mark);
      expect(fake.executor.names().slice(calls)).toEqual(["fill", "eventRecord", "eventCreate", "eventElapsed"]);
    });
  }

  it("a caught refusal", () => {
    const buffer = gpu.alloc(64);
    const swallow = () => {
      buffer.fill(0);
      try {
        gpu.alloc(1);
      } catch {
        // The program goes on.
      }
    };
    expect(errorOf(() => gpu.record(swallow)).message).toContain("[allocate] cannot be recorded");
  });

  it("an async function, another recording, a replay, and nothing at all", async () => {
    const buffer = gpu.alloc(64);
    const step = gpu.record(() => buffer.fill(0));
    const asynchronous = async () => {
      buffer.fill(0);
      await Promise.reject(new Error("Nobody hears this."));
    };
    expect(errorOf(() => gpu.record(asynchronous)).message).toContain("not async");
    expect(errorOf(() => gpu.record(() => void gpu.record(() => {}))).message).toContain("within another");
    expect(errorOf(() => gpu.record(() => step.replay())).message).toContain("[recordingReplay]");
    expect(errorOf(() => gpu.record(() => {})).message).toContain("no calls");
    await gpu.synchronize();
  });

  it("more calls, or bytes of them, than the server takes", () => {
    const buffer = gpu.alloc(64);
    const many = () => {
      for (let index = 0; index <= 16_384; index++) buffer.fill(0);
    };
    expect(errorOf(() => gpu.record(many)).message).toContain("[16384]");
  });
});

describe("a mistake", () => {
  it("in a launch that is caught leaves the recording whole", async () => {
    const [x, y] = [gpu.alloc(64), gpu.alloc(64)];
    const step = gpu.record({ x }, (p) => {
      axpy.launch(one, [1, 2, p.x, y]);
      expect(() => axpy.launch(one, [1, p.x, p.x, y])).toThrow(
        expect.objectContaining({ code: "BAD_KERNEL_ARGUMENTS" }),
      );
      axpy.launch(one, [3, 4, y, p.x]);
    });
    expect(step.calls).toBe(2);
    await gpu.synchronize();
    const [created] = bodies("recordingCreate", decodeRecordingCreateCall);
    expect(created!.patches.map(({ call }) => call)).toEqual([0, 1]);
    expect(opcodesIn(created!)).toEqual([11, 11]);
  });

  it("with a parameter outside its recording is named", () => {
    const [x, y] = [gpu.alloc(64), gpu.alloc(64)];
    let [memory, rate] = [undefined, undefined] as [DeviceBuffer | undefined, ScalarParameter | undefined];
    gpu.record({ x, rate: 1 }, (p) => {
      [memory, rate] = [p.x, p.rate];
      axpy.launch(one, [1, p.rate, p.x, y]);
    });
    expect(errorOf(() => axpy.launch(one, [1, 2, memory!, y])).code).toBe("CLOSED");
    expect(errorOf(() => memory!.fill(0)).code).toBe("CLOSED");
    expect(errorOf(() => axpy.launch(one, [1, rate!, x, y])).message).toContain(
      "parameter [rate] of another recording",
    );
    expect(errorOf(() => gpu.record(() => axpy.launch(one, [1, rate!, x, y]))).code).toBe("BAD_KERNEL_ARGUMENTS");
  });

  it("such as something recorded that has ended is told by the replay", () => {
    const [x, y] = [gpu.alloc(64), gpu.alloc(64)];
    const stream = gpu.stream();
    const event = gpu.event();
    const steps = [
      gpu.record(() => x.fill(0)),
      gpu.record({ x }, (p) => p.x.fill(0)),
      gpu.record(() => axpy.launch({ ...one, stream }, [1, 2, y, y])),
      gpu.record(() => event.record()),
      gpu.record(() => axpy.launch(one, [1, 2, y, y])),
    ];
    for (const step of steps) step.replay();
    x.free();
    stream.destroy();
    event.destroy();
    const { calls } = fake.session;
    const errors = steps.slice(0, 4).map((step) => errorOf(() => step.replay()));
    expect(errors.map(({ code }) => code)).toEqual(["CLOSED", "CLOSED", "CLOSED", "CLOSED"]);
    expect(errors.map(({ message }) => message).join()).toMatch(/buffer.*parameter \[x\].*stream.*event/i);
    expect(fake.session.calls).toBe(calls);
    steps[1]!.replay({ x: y } as never);
    steps[4]!.replay();
  });

  it("such as memory that is too small, or of another lease, is told by the replay", async () => {
    const x = gpu.alloc(64);
    const step = gpu.record({ x }, (p) => p.x.fill(0, { offset: 32, length: 16 }));
    step.replay({ x: gpu.alloc(48) });
    expect(errorOf(() => step.replay({ x: gpu.alloc(47) })).message).toContain(
      "uses [48] bytes of memory; [47] are given",
    );
    expect(errorOf(() => step.replay({ x: gpu.alloc(64).at(17) })).code).toBe("BAD_ARGUMENT");
    const other = await openFakeGpu();
    expect(errorOf(() => step.replay({ x: other.gpu.alloc(64) })).message).toContain("in the lease");
    await other.close();
  });
});
