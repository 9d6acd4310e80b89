/** Buffers, programs, streams and events on a fake executor: what goes over the wire, and what is refused before it does. */
import { afterEach, describe, expect, it } from "vitest";
import { SluiceError } from "../../shared/errors.ts";
import {
  decodeAllocateCall,
  decodeCopyOnDeviceCall,
  decodeEventCreateCall,
  decodeEventRecordCall,
  decodeFillCall,
  decodeFreeCall,
  decodeHeapCall,
  decodeImageWriteCall,
  decodeStreamCreateCall,
} from "../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";
import { ARENA_BASE, kernelInfo } from "../support/fake-executor.ts";

const MiB = 1024 * 1024;

let fakes: FakeGpu[] = [];
afterEach(async () => {
  await Promise.all(fakes.map((fake) => fake.close()));
  fakes = [];
});

async function open(...options: Parameters<typeof openFakeGpu>): Promise<FakeGpu> {
  const fake = await openFakeGpu(...options);
  fakes.push(fake);
  return fake;
}

function errorOf(work: () => unknown): SluiceError {
  try {
    work();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown.");
}

/** The bodies of all calls of one name, decoded. */
function bodies<T>(fake: FakeGpu, name: string, decode: (buffer: WireBuffer, start: number, end: number) => T): T[] {
  return fake.executor.calls
    .filter((call) => call.name === name)
    .map(({ body }) => {
      const buffer = new WireBuffer(body.byteLength);
      buffer.u8.set(body);
      return decode(buffer, 0, body.byteLength);
    });
}

describe("buffers", () => {
  it("are told to the server with the address and the size that the client chose, and freed by address", async () => {
    const { gpu, ...fake } = await open({ arenaBytes: MiB, granularityBytes: 512 });
    const first = gpu.alloc(1000);
    const second = gpu.alloc(1);
    first.free();
    first.free();
    await gpu.synchronize();
    expect(first.address).toBe(ARENA_BASE);
    expect(second.address).toBe(ARENA_BASE + 1024);
    expect(bodies({ gpu, ...fake }, "allocate", decodeAllocateCall)).toEqual([
      { address: ARENA_BASE, byteCount: 1000 },
      { address: ARENA_BASE + 1024, byteCount: 1 },
    ]);
    expect(bodies({ gpu, ...fake }, "free", decodeFreeCall)).toEqual([{ address: ARENA_BASE }]);
    expect(gpu.alloc(1024).address).toBe(ARENA_BASE);
  });

  it("cost no round trip, and neither does asking for the memory that is left", async () => {
    const { gpu, session } = await open({ arenaBytes: MiB });
    const trips = session.roundTrips;
    const buffer = gpu.upload(new Float32Array(64));
    buffer.fill(1);
    expect(gpu.memoryInfo()).toEqual({ freeBytes: MiB - 256, totalBytes: MiB, largestFreeBytes: MiB - 256 });
    buffer.free();
    expect(gpu.memoryInfo().freeBytes).toBe(MiB);
    expect(session.roundTrips).toBe(trips);
  });

  it("are freed at the end of their block", async () => {
    const { gpu } = await open({ arenaBytes: MiB });
    {
      using buffer = gpu.alloc(1024);
      expect(buffer.freed).toBe(false);
      expect(gpu.memoryInfo().freeBytes).toBe(MiB - 1024);
    }
    expect(gpu.memoryInfo().freeBytes).toBe(MiB);
  });

  it("take any view and give typed arrays, whole or in part", async () => {
    const { gpu } = await open();
    const floats = Float32Array.from({ length: 100 }, (_unused, index) => index / 2);
    const buffer = gpu.upload(floats);
    expect(await buffer.read(Float32Array)).toEqual(floats);
    expect(await buffer.read(Float32Array, { offset: 40, length: 3 })).toEqual(Float32Array.of(5, 5.5, 6));
    expect((await buffer.read(Uint8Array, { offset: 396 })).byteLength).toBe(4);
    expect((await buffer.read(Float64Array, { offset: 8 })).length).toBe(49);
    expect(await buffer.read(Float32Array, { length: 0 })).toEqual(new Float32Array(0));
    buffer.write(new DataView(Float32Array.of(7, 8, 9).buffer, 4, 8), { offset: 4 });
    expect([...(await buffer.read(Float32Array, { length: 4 }))]).toEqual([0, 8, 9, 1.5]);
    buffer.write(BigInt64Array.of(-5n), { offset: 8 });
    expect(await buffer.read(BigInt64Array, { offset: 8, length: 1 })).toEqual(BigInt64Array.of(-5n));
  });

  it("travel in pieces when they are large, and come back byte for byte", async () => {
    const bytes = 3 * CALL_DATA_BYTES_MAX + 12_345;
    const { gpu, executor } = await open({ arenaBytes: 8 * MiB });
    const data = new Uint8Array(bytes).map((_unused, index) => (index * 31) ^ (index >> 12));
    const buffer = gpu.upload(data);
    const back = await buffer.read(Uint8Array);
    expect(Buffer.compare(back, data)).toBe(0);
    expect(executor.names().filter((name) => name === "copyToDevice")).toHaveLength(4);
    expect(executor.names().filter((name) => name === "copyFromDevice")).toHaveLength(4);
    const part = await buffer.read(Uint8Array, { offset: CALL_DATA_BYTES_MAX - 5, length: 10 });
    expect(part).toEqual(data.slice(CALL_DATA_BYTES_MAX - 5, CALL_DATA_BYTES_MAX + 5));
  });

  it("are read into memory that is there already, at its own place", async () => {
    const { gpu } = await open({ arenaBytes: 4 * MiB });
    const bytes = Uint8Array.from({ length: CALL_DATA_BYTES_MAX + 100 }, (_unused, index) => index % 253);
    const buffer = gpu.upload(bytes);
    const into = new Uint8Array(bytes.byteLength + 20).fill(255);
    await buffer.readInto(new DataView(into.buffer, 10, bytes.byteLength));
    expect(Buffer.compare(into.subarray(10, -10), bytes)).toBe(0);
    expect([into[9], into.at(-10)]).toEqual([255, 255]);
    const two = new Float32Array(2);
    await buffer.readInto(two, { offset: 16 });
    expect(new Uint8Array(two.buffer)).toEqual(bytes.slice(16, 24));
    await expect(buffer.readInto(into)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("refuse every range that is not inside", async () => {
    const { gpu } = await open();
    const buffer = gpu.alloc(100);
    const { calls } = fakes[0]!.session;
    for (const work of [
      () => buffer.write(new Uint8Array(101)),
      () => buffer.write(new Uint8Array(1), { offset: 100 }),
      () => buffer.write(new Uint8Array(1), { offset: -1 }),
      () => buffer.write(new Uint8Array(1), { offset: 0.5 }),
      () => buffer.write(new Uint8Array(1), { offset: Number.NaN }),
      () => buffer.fill(0, { length: 101 }),
      () => buffer.fill(0, { as: Float32Array, length: 26 }),
      () => buffer.fill(0, { as: Float32Array, offset: 2, length: 1 }),
      () => buffer.at(101),
      () => buffer.at(-1),
      () => gpu.copy(buffer.at(90), buffer, { bytes: 11 }),
    ]) {
      expect(errorOf(work).code).toBe("BAD_ARGUMENT");
    }
    for (const options of [
      { length: 26 },
      { offset: 100, length: 1 },
      { offset: -4, length: 1 },
      { length: -1 },
      { length: 1.5 },
    ]) {
      await expect(buffer.read(Float32Array, options)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    }
    for (const slip of [undefined, 4, DataView]) {
      await expect(buffer.read(slip as unknown as Float32ArrayConstructor)).rejects.toThrow("A read takes what makes ");
    }
    expect(fakes[0]!.session.calls).toBe(calls);
  });

  it("are CLOSED after they are freed, at the call", async () => {
    const { gpu } = await open();
    const buffer = gpu.alloc(100);
    const place = buffer.at(4);
    buffer.free();
    for (const work of [
      () => buffer.write(new Uint8Array(1)),
      () => buffer.fill(0),
      () => buffer.at(0),
      () => gpu.fill(place, 0),
      () => gpu.copy(place, gpu.alloc(4)),
    ]) {
      expect(errorOf(work).code).toBe("CLOSED");
    }
    await expect(buffer.read(Uint8Array)).rejects.toMatchObject({ code: "CLOSED" });
  });

  it("leave nothing allocated when an upload is refused", async () => {
    const { gpu, session } = await open({ arenaBytes: MiB });
    expect(errorOf(() => gpu.upload(new Uint8Array(0))).code).toBe("BAD_ARGUMENT");
    expect(errorOf(() => gpu.upload(new Uint8Array(2 * MiB))).code).toBe("OUT_OF_MEMORY");
    session.fail(new SluiceError("LEASE_REVOKED", "Taken back."));
    expect(errorOf(() => gpu.upload(new Uint8Array(8))).code).toBe("LEASE_REVOKED");
    expect(gpu.memoryInfo().freeBytes).toBe(MiB);
  });
});

describe("an option that nobody knows", () => {
  it("is refused where it is given, naming those that there are, and nothing is sent", async () => {
    const { gpu, session } = await open();
    const [a, b] = [gpu.alloc(64), gpu.alloc(64)];
    const { calls } = session;
    for (const [work, message] of [
      [() => gpu.copy(a, b, { length: 8 } as never), "The option [length] of a copy is none of [bytes, stream]."],
      [() => a.fill(0, { bytes: 8 } as never), "The option [bytes] of a fill is none of [offset, stream, as, "],
      [() => a.write(new Uint8Array(1), { at: 8 } as never), "The option [at] of a write is none of [offset, "],
      [() => gpu.copy(a, b, { toString: 8 } as never), "The option [toString] of a copy "],
    ] as const) {
      const error = errorOf(work);
      expect([error.code, error.message.slice(0, message.length)]).toEqual(["BAD_ARGUMENT", message]);
    }
    const slips = { length: 1, offsetBytes: 1 } as never;
    await expect(a.read(Uint8Array, slips)).rejects.toThrow("The option [offsetBytes] of a read ");
    await expect(a.readInto(new Uint8Array(1), slips)).rejects.toThrow("The option [length] of a read into memory ");
    expect(session.calls).toBe(calls);
  });
});

describe("what is of another kind than a call takes", () => {
  it("is refused before anything is sent, and whatever it is", async () => {
    const fake = await open({ arenaBytes: MiB });
    const { gpu } = fake;
    const buffer = gpu.alloc(64);
    const stream = gpu.stream();
    await gpu.synchronize();
    const issued = fake.session.calls;
    const as = <T>(value: unknown): T => value as T;
    // An ArrayBuffer and a DeviceBuffer have a byte count, and no bytes that could be taken.
    for (const data of [undefined, null, 8, "text", [1, 2], {}, new ArrayBuffer(8), new SharedArrayBuffer(8), buffer]) {
      for (const work of [
        () => gpu.upload(as<Uint8Array>(data)),
        () => buffer.write(as<Uint8Array>(data)),
        () => buffer.write(as<Uint8Array>(data), { overlap: true, stream }),
        () => gpu.upload(as<Uint8Array>(data), { cached: true }),
        () => buffer.readInto(as<Uint8Array>(data)),
      ]) {
        const error = await Promise.resolve()
          .then(work)
          .then(
            () => undefined,
            (cause: unknown) => cause,
          );
        expect(error, String(data)).toMatchObject({ code: "BAD_ARGUMENT" });
      }
    }
    for (const image of [undefined, null, 5, {}, new ArrayBuffer(8), new DataView(new ArrayBuffer(8))]) {
      await expect(gpu.load(as<Uint8Array>(image))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    }
    for (const other of [null, 3, {}, gpu.event]) {
      expect(errorOf(() => buffer.fill(0, { stream: as(other) })).code).toBe("BAD_ARGUMENT");
    }
    for (const memory of [undefined, null, 3, {}, new Uint8Array(8)]) {
      expect(errorOf(() => gpu.fill(as(memory), 0)).code).toBe("BAD_ARGUMENT");
      expect(errorOf(() => gpu.copy(as(memory), buffer)).code).toBe("BAD_ARGUMENT");
      expect(errorOf(() => gpu.copy(buffer, as(memory))).code).toBe("BAD_ARGUMENT");
    }
    for (const size of [undefined, null, 5n, {}]) {
      await expect(gpu.setStackSize(as<number>(size))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    }
    // A stream has a number on the wire, as events have.
    for (const event of [undefined, null, 3, {}, stream]) {
      expect(errorOf(() => stream.wait(as(event))).code).toBe("BAD_ARGUMENT");
    }
    expect(fake.session.calls).toBe(issued);
    const event = gpu.event();
    await expect(event.elapsed(as(stream))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(errorOf(() => event.record(as(event))).code).toBe("BAD_ARGUMENT");
  });

  it("is refused of a fill where an element cannot have it", async () => {
    const fake = await open({ arenaBytes: MiB });
    const { gpu } = fake;
    const buffer = gpu.alloc(64);
    const refused: readonly (readonly [unknown, unknown])[] = [
      ...([256, -129, 1.5, Number.NaN, "7", null, undefined, 5n] as const).map((value) => [value, Uint8Array] as const),
      ...([128, -129] as const).map((value) => [value, Int8Array] as const),
      ...([65_536, -32_769] as const).map((value) => [value, Uint16Array] as const),
      ...([2 ** 32, -(2 ** 31) - 1] as const).map((value) => [value, Uint32Array] as const),
      ...([2 ** 31] as const).map((value) => [value, Int32Array] as const),
      [1e39, Float32Array],
      [0, Float64Array],
      [0, Uint8ClampedArray],
      [0, "f32"],
    ];
    for (const [value, as] of refused) {
      expect(errorOf(() => buffer.fill(value as number, { as: as as Uint8ArrayConstructor })).code).toBe(
        "BAD_ARGUMENT",
      );
    }
    buffer.fill(-1);
    buffer.fill(-(2 ** 31), { as: Uint32Array });
    buffer.fill(2 ** 32 - 1, { as: Uint32Array });
    buffer.fill(Number.NEGATIVE_INFINITY, { as: Float32Array });
    buffer.fill(0.1, { as: Float32Array });
    await gpu.synchronize();
    expect(bodies(fake, "fill", decodeFillCall).map(({ value }) => value)).toEqual([
      0xff, 0x8000_0000, 0xffff_ffff, 0xff80_0000, 0x3dcc_cccd,
    ]);
  });
});

describe("fills and copies on the device", () => {
  it("carry the element's bits, its width, and the place", async () => {
    const { gpu, ...fake } = await open();
    const buffer = gpu.alloc(64);
    buffer.fill(0xab);
    buffer.fill(-1, { as: Int16Array, offset: 2, length: 3 });
    buffer.fill(1.5, { as: Float32Array });
    gpu.fill(buffer.at(8), 7, { as: Uint32Array, offset: 4, length: 2 });
    buffer.fill(0, { length: 0 });
    await gpu.synchronize();
    expect(bodies({ gpu, ...fake }, "fill", decodeFillCall)).toEqual([
      { address: ARENA_BASE, count: 64, width: 1, value: 0xab, stream: 0 },
      { address: ARENA_BASE + 2, count: 3, width: 2, value: 0xffff, stream: 0 },
      { address: ARENA_BASE, count: 16, width: 4, value: 0x3fc00000, stream: 0 },
      { address: ARENA_BASE + 12, count: 2, width: 4, value: 7, stream: 0 },
    ]);
  });

  it("copy to the end of the shorter buffer, or as much as is said", async () => {
    const { gpu, ...fake } = await open();
    const [a, b] = [gpu.alloc(100), gpu.alloc(60)];
    gpu.copy(a, b);
    gpu.copy(a.at(90), b, { bytes: 5 });
    gpu.copy(a, a);
    await gpu.synchronize();
    expect(bodies({ gpu, ...fake }, "copyOnDevice", decodeCopyOnDeviceCall).map((copy) => copy.byteCount)).toEqual([
      60, 5, 100,
    ]);
    expect(errorOf(() => gpu.copy(a, a.at(10), { bytes: 20 })).message).toContain("overlap");
    gpu.copy(a, a.at(50), { bytes: 50 });
    const other = await open();
    expect(errorOf(() => gpu.copy(a, other.gpu.alloc(4))).code).toBe("BAD_ARGUMENT");
  });
});

describe("programs", () => {
  it("travel in pieces, are loaded in one round trip where they fit into a batch, and have their kernels by name", async () => {
    const { gpu, session, ...fake } = await open({ kernels: [kernelInfo("first", []), kernelInfo("second", [])] });
    const trips = session.roundTrips;
    const module = await gpu.load(new Uint8Array(CALL_DATA_BYTES_MAX + 10).fill(65));
    const again = await gpu.load("second image");
    // The large one is asked for by its hash first.
    expect(session.roundTrips - trips).toBe(3);
    const pieces = bodies({ gpu, session, ...fake }, "imageWrite", decodeImageWriteCall);
    expect(pieces.map(({ image, offset, totalBytes, data }) => [image, offset, totalBytes, data.byteLength])).toEqual([
      [1, 0, CALL_DATA_BYTES_MAX + 10, CALL_DATA_BYTES_MAX],
      [1, CALL_DATA_BYTES_MAX, CALL_DATA_BYTES_MAX + 10, 10],
      [2, 0, 12, 12],
    ]);
    expect(module.kernels.map((kernel) => kernel.name)).toEqual(["first", "second"]);
    again.kernel("second").launch({ grid: 1, block: 1 }, []);
    await gpu.synchronize();
    expect(fake.executor.launches.at(-1)).toMatchObject({ module: 3, kernel: 1 });
    expect(errorOf(() => module.kernel("third")).message).toBe(
      "The module has no kernel [third]; it has [first, second].",
    );
  });

  it("that are empty or too large are refused before anything is sent", async () => {
    const { gpu, session } = await open();
    const { calls } = session;
    await expect(gpu.load("")).rejects.toMatchObject({ code: "BAD_IMAGE" });
    const huge = new Proxy(new Uint8Array(1), {
      get: (target, key) => (key === "byteLength" ? 2 ** 29 : Reflect.get(target, key)),
    });
    await expect(gpu.load(huge)).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect(session.calls).toBe(calls);
  });

  it("that are unloaded launch nothing any more", async () => {
    const { gpu, executor } = await open({ kernels: [kernelInfo("k", [])] });
    const module = await gpu.load("x");
    const kernel = module.kernel("k");
    module.unload();
    module[Symbol.dispose]();
    await gpu.synchronize();
    expect(executor.names().filter((name) => name === "moduleUnload")).toHaveLength(1);
    expect(errorOf(() => kernel.launch({ grid: 1, block: 1 }, [])).code).toBe("CLOSED");
    expect(errorOf(() => module.kernel("k")).code).toBe("CLOSED");
  });

  it("whose kernels allocate memory give the device a heap once, out of the slice", async () => {
    const kernels = [kernelInfo("plain", []), { ...kernelInfo("allocates", []), usesHeap: 1 }];
    const fake = await open({ arenaBytes: 64 * MiB, kernels });
    const { gpu } = fake;
    await gpu.load("x", { heap: "3MiB" });
    await gpu.load("x", { heap: "5MiB" });
    await gpu.synchronize();
    expect(bodies(fake, "allocate", decodeAllocateCall)).toEqual([{ address: ARENA_BASE, byteCount: 3 * MiB }]);
    expect(bodies(fake, "heap", decodeHeapCall)).toEqual([{ address: ARENA_BASE, byteCount: 3 * MiB }]);
    expect(gpu.memoryInfo().freeBytes).toBe(61 * MiB);
  });

  it("need room for that heap, of 8 MiB unless they ask for less, and are unloaded without it", async () => {
    const kernels = [{ ...kernelInfo("allocates", []), usesHeap: 1 }];
    const fake = await open({ arenaBytes: 4 * MiB, kernels });
    await expect(fake.gpu.load("x")).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    await fake.gpu.synchronize();
    expect(fake.executor.names().filter((name) => name === "moduleUnload")).toHaveLength(1);
    await fake.gpu.load("x", { heap: "1MiB" });
    await fake.gpu.synchronize();
    expect(bodies(fake, "heap", decodeHeapCall)).toEqual([{ address: ARENA_BASE, byteCount: MiB }]);
  });

  it("with a parameter layout that no kernel has are a protocol error", async () => {
    const { gpu } = await open({ kernels: [{ ...kernelInfo("k", [[1, 4]]), paramBytes: 2 }] });
    await expect(gpu.load("x")).rejects.toMatchObject({ code: "PROTOCOL_ERROR" });
  });
});

describe("streams and events", () => {
  it("are created, used and destroyed without a round trip, with handles that are never used again", async () => {
    const { gpu, session, ...fake } = await open();
    const trips = session.roundTrips;
    const buffer = gpu.alloc(64);
    {
      using stream = gpu.stream({ priority: -1, waitsForDefault: false });
      using event = gpu.event({ timing: false });
      buffer.fill(0, { stream });
      event.record(stream);
      stream.wait(event);
    }
    using stream = gpu.stream();
    using event = gpu.event();
    event.record();
    event.record(stream);
    expect(session.roundTrips).toBe(trips);
    await gpu.synchronize();
    const all = { gpu, session, ...fake };
    expect(bodies(all, "streamCreate", decodeStreamCreateCall)).toEqual([
      { stream: 1, device: 0, flags: 1, priority: -1 },
      { stream: 2, device: 0, flags: 0, priority: 0 },
    ]);
    expect(bodies(all, "eventCreate", decodeEventCreateCall)).toEqual([
      { event: 1, device: 0, flags: 2 },
      { event: 2, device: 0, flags: 0 },
    ]);
    expect(bodies(all, "fill", decodeFillCall)[0]!.stream).toBe(1);
    expect(bodies(all, "eventRecord", decodeEventRecordCall)).toEqual([
      { event: 1, stream: 1 },
      { event: 2, stream: 0 },
      { event: 2, stream: 2 },
    ]);
    expect(fake.executor.names().filter((name) => /Destroy/.test(name))).toEqual(["eventDestroy", "streamDestroy"]);
  });

  it("answer what is asked of them", async () => {
    const { gpu } = await open();
    const stream = gpu.stream();
    const [start, end] = [gpu.event(), gpu.event()];
    await stream.synchronize();
    await start.synchronize();
    expect(await stream.query()).toBe(true);
    expect(await end.query()).toBe(true);
    expect(await start.elapsed(end)).toBe(1.5);
  });

  it("do not work after their end, nor on another device", async () => {
    const { gpu } = await open();
    const other = await open();
    const stream = gpu.stream();
    const event = gpu.event();
    expect(errorOf(() => other.gpu.alloc(4).fill(0, { stream })).message).toContain("belongs to the device");
    expect(errorOf(() => other.gpu.stream().wait(event)).code).toBe("BAD_ARGUMENT");
    await expect(other.gpu.event().elapsed(event)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    stream.destroy();
    event.destroy();
    stream.destroy();
    event.destroy();
    expect(errorOf(() => gpu.alloc(4).fill(0, { stream })).code).toBe("CLOSED");
    expect(errorOf(() => event.record()).code).toBe("CLOSED");
    await expect(stream.synchronize()).rejects.toMatchObject({ code: "CLOSED" });
    await expect(event.query()).rejects.toMatchObject({ code: "CLOSED" });
  });
});
