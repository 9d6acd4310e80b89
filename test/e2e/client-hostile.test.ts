/** Careless programs against a real server: wrong arguments of pools and leases, arrays of every kind of memory, and leases side by side. */
import { getEventListeners } from "node:events";
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { connect, type Lease, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { codeOf, failureOf } from "../support/failures.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;
const linear = readFileSync("test/kernels/ptx/linear.ptx", "utf8");

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ spares: 1, args: ["--device", "null:1x256MiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterAll(async () => {
  await pool?.close();
  await server?.stop();
});
afterEach(async () => {
  expect(await pool.leases()).toEqual({ leases: [], queue: [] });
});

const as = <T>(value: unknown): T => value as T;

describe("any value for any option of", () => {
  const share = { memory: "16MiB" };
  const here = () => ({ server: server.grpc, lease: "" });
  const object = [{}, Object.create(null), () => 1, Symbol("s"), 1n, true, null] as const;
  const noText = [...object, 5, [], ["x"]] as const;
  const noNumber = [...object, "", "x", [1], Number.NaN, -1, 0.5] as const;
  const noList = [...object, "", "x", 5, [null], [5]] as const;
  const noWord = [...noText, "", "x"] as const;
  const noTime = [...object, "", "x", [], -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53] as const;
  const noFunction = [{}, null, "x", 5, [], true] as const;
  const noSignal = [{}, null, "x", 5, [], true, new AbortController()] as const;

  /** Of each: what is asked, and the values that none of its options can have. */
  const asked: Record<string, [(options: never) => Promise<unknown>, Record<string, readonly unknown[]>]> = {
    connect: [
      (options) => connect({ ...here(), ...as<object>(options) }),
      {
        ...{ server: noText.slice(0, -2), token: noText, ca: noText, cert: noText, key: noText, bundle: noText },
        ...{ lease: noText, transports: [...noList, [], ["x"]], resume: noTime, outage: noTime, signal: noSignal },
      },
    ],
    allocate: [
      (options) => pool.allocate({ ...share, ...as<object>(options) }),
      {
        ...{
          devices: noNumber,
          memory: noTime,
          fraction: [...noNumber.slice(0, -1), 1.5],
          compute: noNumber.slice(0, -1),
        },
        ...{
          wait: noTime,
          name: noText,
          durationMax: noTime,
          idleTimeout: noTime,
          sameDevice: [...noFunction.slice(0, -1)],
        },
        ...{ mode: noWord, policy: noWord, priority: [...object, "", [], 0.5, 101, Number.NaN] },
        ...{ filters: noList, tolerate: noList, avoid: noList, reservation: noText },
        ...{ signal: noSignal, onQueued: noFunction, onOutput: noFunction, gpus: [1] },
      },
    ],
    explain: [
      (options) => pool.explain({ ...share, ...as<object>(options) }),
      { devices: noNumber, wait: noTime, signal: noSignal, onQueued: [() => {}] },
    ],
    devices: [(options) => pool.devices(options), { signal: noSignal, filters: [[]] }],
    leases: [(options) => pool.leases(options), { signal: noSignal }],
  };

  it.each(Object.keys(asked))("%s is refused in words that name it", async (name) => {
    const [ask, options] = asked[name]!;
    for (const whole of [null, "x", 5, true, [], () => 1]) {
      if (name === "connect" || name === "explain") break;
      const code = await codeOf(() => (name === "allocate" ? pool.allocate(as(whole)) : ask(as(whole))));
      expect(code, `${name} <- ${String(whole)}`).toBe("BAD_ARGUMENT");
    }
    for (const [option, values] of Object.entries(options)) {
      for (const value of values) {
        const which = `${name} ${option} <- ${inspect(value)}`;
        expect(await codeOf(() => ask(as({ [option]: value }))), which).toBe("BAD_ARGUMENT");
      }
    }
  });

  it("what is secret is named and not shown", async () => {
    for (const option of ["token", "key", "lease"]) {
      const error = await failureOf(() => connect({ ...here(), [option]: Buffer.from("very secret") }));
      expect(error.message).toMatch(new RegExp(`option \\[${option}\\] of a connection is of the type \\[object\\]`));
      expect(error.message).not.toContain("secret");
    }
  });
});

describe("arrays", () => {
  const sizes = [100, 2 * MiB + 5];
  const numbers = Uint8Array.from({ length: Math.max(...sizes) }, (_none, index) => index % 251);
  const pattern = (byteCount: number): Uint8Array => numbers.subarray(0, byteCount);
  const filled = <B extends ArrayBufferLike>(buffer: B, offset: number, byteCount: number): Uint8Array => {
    const array = new Uint8Array(buffer, offset, byteCount);
    array.set(pattern(byteCount));
    return array;
  };
  // What Node 20 has, and the library of ES2023 does not know.
  const Resizable = ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer;
  const kinds: Record<string, (byteCount: number) => ArrayBufferView> = {
    "shared by threads": (byteCount) => filled(new SharedArrayBuffer(byteCount), 0, byteCount),
    resizable: (byteCount) => filled(new Resizable(byteCount, { maxByteLength: 2 * byteCount }), 0, byteCount),
    "at an odd offset": (byteCount) => filled(new ArrayBuffer(byteCount + 13), 13, byteCount),
    "seen by a DataView": (byteCount) => new DataView(filled(new ArrayBuffer(byteCount + 7), 7, byteCount).buffer, 7),
    "a Buffer of the pool": (byteCount) => Buffer.from(pattern(byteCount)),
  };

  it("of every kind of memory travel there and back by every way", async () => {
    await using lease = await pool.allocate({ memory: "64MiB" });
    const [gpu] = lease.devices;
    const stream = gpu.stream();
    for (const [kind, make] of Object.entries(kinds)) {
      for (const byteCount of sizes) {
        const data = make(byteCount);
        const target = gpu.alloc(byteCount);
        await target.write(data, { overlap: true, stream });
        await stream.synchronize();
        for (const buffer of [target, gpu.upload(data), await gpu.upload(data, { cached: { from: 1 } })]) {
          for (const options of [{}, { overlap: true, stream }]) {
            const into = make(byteCount);
            const bytes = new Uint8Array(into.buffer, into.byteOffset, byteCount).fill(0);
            await buffer.readInto(into, options);
            expect(Buffer.compare(bytes, pattern(byteCount)), kind).toBe(0);
          }
          buffer.free();
        }
      }
    }
  });

  it("whose memory is gone are refused, and not taken for empty ones", async () => {
    await using lease = await pool.allocate({ memory: "16MiB" });
    const [gpu] = lease.devices;
    const buffer = gpu.alloc(64);
    await gpu.synchronize();
    const { calls } = lease.stats;
    const transferred = new BigInt64Array(8);
    structuredClone(transferred, { transfer: [transferred.buffer] });
    const cut = new Resizable(64, { maxByteLength: 64 }) as ArrayBuffer & { resize(byteCount: number): void };
    const gone = [transferred, new Float32Array(cut, 32, 4), new DataView(cut, 32, 16)];
    cut.resize(16);
    for (const array of gone) {
      const error = { code: "BAD_ARGUMENT", message: expect.stringMatching(/memory was transferred, or has become/) };
      expect(await failureOf(() => buffer.write(array))).toMatchObject(error);
      expect(await failureOf(() => buffer.readInto(array))).toMatchObject(error);
      expect(await failureOf(() => gpu.upload(array))).toMatchObject(error);
      expect(await failureOf(() => gpu.upload(array, { cached: true }))).toMatchObject(error);
    }
    for (const empty of [new Uint8Array(0), new BigInt64Array(0), new DataView(new ArrayBuffer(0))]) {
      buffer.write(empty);
      await buffer.readInto(empty);
    }
    expect(lease.stats.calls).toBe(calls);
  });

  it("may change as soon as a call returns that does not say otherwise", async () => {
    await using lease = await pool.allocate({ memory: "64MiB" });
    const [gpu] = lease.devices;
    const image = Buffer.from(`${linear}\n// ${"x".repeat(2 * MiB)}`);
    const loading = gpu.load(image);
    image.fill(0);
    structuredClone(image, { transfer: [image.buffer] });
    const saxpy = (await loading).kernel("saxpy");
    const data = new Float32Array(MiB).fill(1);
    const buffer = gpu.upload(data);
    data.fill(2);
    expect((await buffer.read(Float32Array)).every((value) => value === 1)).toBe(true);
    const struct = Float32Array.of(2);
    const step = gpu.record({ a: struct }, ({ a }) => saxpy.launch({ grid: 1, block: 1 }, [1, a, buffer, buffer]));
    structuredClone(struct, { transfer: [struct.buffer] });
    step.replay();
    await gpu.synchronize();
    // Taken piece by piece: what goes away under way is told.
    for (const options of [{ overlap: true, stream: gpu.stream() }, { cached: true }] as const) {
      const large = new Uint8Array(4 * MiB);
      const written = failureOf(() => gpu.alloc(large.byteLength).write(large, as(options)));
      structuredClone(large, { transfer: [large.buffer] });
      expect(await written).toMatchObject({ code: "BAD_ARGUMENT" });
    }
    await gpu.synchronize();
  });
});

describe("leases", () => {
  it("bear any number of loads that are called off, and a launch that cannot be", async () => {
    await using lease = await pool.allocate({ memory: "16MiB" });
    const [gpu] = lease.devices;
    for (let index = 0; index < 40; index++) {
      const signal = AbortSignal.abort();
      expect(await failureOf(() => gpu.load(`${linear}\n// ${index}`, { signal }))).toMatchObject({
        code: "CANCELLED",
      });
      expect(await failureOf(() => gpu.compile(`// ${index}`, { signal }))).toMatchObject({ code: "CANCELLED" });
    }
    const saxpy = (await gpu.load(`${linear}\n// the last`)).kernel("saxpy");
    const buffer = gpu.alloc(64);
    // As one that wants more than a block can have.
    expect(() => saxpy.launch({ grid: 1, block: 1, sharedBytes: 2 ** 20 }, [1, 2, buffer, buffer])).toThrow(
      "bytes of shared memory",
    );
    await gpu.synchronize();
  });

  it("end side by side, each with its own reads, and no listener stays on a signal", async () => {
    const { signal } = new AbortController();
    const open = async (): Promise<[Lease, () => Promise<Uint8Array>]> => {
      const lease = await pool.allocate({ memory: "16MiB", signal });
      const buffer = lease.devices[0].upload(new Uint8Array(MiB).fill(7));
      return [lease, () => buffer.read(Uint8Array, { signal })];
    };
    const [[kept, readKept], [released, readReleased], [taken, readTaken]] = [await open(), await open(), await open()];
    const reads = [readKept(), readReleased(), readKept()];
    const release = released.release();
    for (const read of reads) expect((await read)[0]).toBe(7);
    await release;
    await taken.suspend();
    const lost = failureOf(readTaken);
    expect((await readKept())[0]).toBe(7);
    await pool.release(taken.id);
    expect(await lost).toMatchObject({ code: expect.stringMatching(/^LEASE_/) });
    await waitFor("the lease's own signal", () => taken.signal.aborted);
    expect([kept.signal.aborted, released.signal.aborted]).toEqual([false, false]);
    expect((await readKept())[0]).toBe(7);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    await Promise.all([taken.release(), taken.release(), kept.release()]);
  });

  it("say in every state what cannot be done any more, and release as often as asked", async () => {
    const lease = await pool.allocate({ memory: "16MiB" });
    const [gpu] = lease.devices;
    const saxpy = (await gpu.load(linear)).kernel("saxpy");
    const buffer = gpu.alloc(64);
    const launch = (): void => saxpy.launch({ grid: 1, block: 1 }, [1, 2, buffer, buffer]);
    const step = gpu.record(launch);
    await Promise.all([lease.suspend(), lease.suspend("twice")]);
    await lease.suspend();
    await lease.resume();
    await lease.resume();
    await lease.suspend();
    const asked = failureOf(() => gpu.synchronize());
    await Promise.all([lease.release(), lease.release()]);
    expect(await asked).toMatchObject({ code: "CLOSED" });
    const calls: (() => unknown)[] = [
      ...[launch, () => step.replay(), () => gpu.record(launch), () => gpu.load(linear), () => gpu.alloc(4)],
      ...[
        () => gpu.stream(),
        () => gpu.event(),
        () => gpu.synchronize(),
        () => gpu.flush(),
        () => buffer.read(Uint8Array),
      ],
      ...[
        () => gpu.texture(buffer, { width: 1, format: "f32" }),
        () => lease.resize("8MiB"),
        () => gpu.setStackSize(2048),
      ],
    ];
    for (const call of calls) expect(await failureOf(call), String(call)).toMatchObject({ code: "CLOSED" });
    for (const call of [() => lease.suspend(), () => lease.resume()])
      expect(await failureOf(call)).toMatchObject({ code: "LEASE_ENDED" });
    for (const value of [null, {}, 5, "x"])
      expect(await failureOf(() => lease.onNotice(as(value)))).toMatchObject({ code: "BAD_ARGUMENT" });
    for (const value of [null, {}, 5])
      expect(await failureOf(() => pool.release(as(value)))).toMatchObject({ code: "BAD_ARGUMENT" });
    buffer.free();
  });
});
