/** The library as users have it: from the built package, against a real server. */
import { readFileSync } from "node:fs";
import { connect, type Lease, type Pool, type QueuePlace, SluiceError } from "sluice";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const linear = readFileSync("test/kernels/ptx/linear.ptx", "utf8");

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:2x1GiB"] });
});
afterAll(() => server.stop());
beforeEach(async () => {
  pool = await connect({ server: server.grpc, lease: "" });
});
afterEach(async () => {
  await pool.close();
  expect((await freeBytes(server)).every((bytes) => bytes === GiB)).toBe(true);
});

async function freeBytes(of: TestServer): Promise<number[]> {
  await using watcher = await connect({ server: of.grpc, lease: "" });
  return (await watcher.devices()).map((device) => device.freeBytes);
}

async function failureOf(work: Promise<unknown>): Promise<SluiceError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("It did not fail.");
}

describe("a lease", () => {
  it("gives devices that can be written, filled, copied and read, in as few round trips as promised", async () => {
    await using lease = await pool.allocate({ devices: 1, memory: "256MiB", wait: "30s" });
    const [gpu] = lease.devices;
    const trips = lease.stats.roundTrips;
    const saxpy = (await gpu.load(linear)).kernel("saxpy");
    const n = 1000;
    const x = gpu.upload(new Float32Array(n).fill(1));
    const y = gpu.alloc(n * 4);
    gpu.copy(y, x);
    saxpy.launch({ grid: Math.ceil(n / 256), block: 256 }, [n, 2, x, y]);
    y.fill(3, { as: Float32Array, offset: 8, length: 2 });
    // On the null device memory is real and launches do nothing.
    expect((await y.read(Float32Array)).slice(0, 5)).toEqual(Float32Array.of(1, 1, 3, 3, 1));
    expect(lease.stats.roundTrips - trips).toBe(2);
    expect(gpu).toMatchObject({ kind: "null", index: 0 });
    expect(gpu.memoryInfo().totalBytes).toBe(256 * MiB);
  });

  it("counts what it did as the server does", async () => {
    const lease = await pool.allocate({ memory: "64MiB" });
    const [gpu] = lease.devices;
    const buffer = gpu.upload(new Uint8Array(3 * MiB));
    for (let index = 0; index < 1000; index++) buffer.fill(index % 256);
    await buffer.read(Uint8Array);
    const usage = await lease.release();
    const { stats } = lease;
    expect(usage).toMatchObject({ calls: stats.calls, batches: stats.batches, answers: stats.roundTrips });
    expect(stats.callsPerBatch).toBeCloseTo(stats.calls / stats.batches);
    // The handshake and the goodbye are no calls: a few hundred bytes.
    expect(stats.bytesToDevice - usage!.bytesReceived).toBeLessThan(1024);
    expect(stats.bytesToDevice).toBeGreaterThan(3 * MiB);
    expect(stats.bytesFromDevice).toBeGreaterThan(3 * MiB);
    const { seconds } = lease.stats;
    expect(seconds).toBeGreaterThan(0);
    expect(lease.stats.seconds).toBe(seconds);
  });

  it("is released once, however often it is asked for, and refuses work afterwards", async () => {
    const lease = await pool.allocate({ memory: "1GiB" });
    const buffer = lease.devices[0].alloc(16);
    const [first, second] = await Promise.all([lease.release(), lease.release()]);
    expect(second).toBe(first);
    expect(await lease.release()).toBe(first);
    expect(() => buffer.fill(0)).toThrow(expect.objectContaining({ code: "CLOSED" }));
    expect((await failureOf(buffer.read(Uint8Array))).code).toBe("CLOSED");
    buffer.free();
    expect(lease.signal.aborted).toBe(false);
  });

  it("is released when its block ends with an error", async () => {
    const work = async (): Promise<void> => {
      await using lease = await pool.allocate({ memory: "1GiB", devices: 2 });
      lease.devices[0].alloc(16);
      throw new Error("The program's own mistake.");
    };
    await expect(work()).rejects.toThrow("The program's own mistake.");
    expect((await pool.leases()).leases).toEqual([]);
  });

  it("over several devices has one session, and copies between them without the client", async () => {
    await using lease = await pool.allocate({ devices: 2, fraction: 0.5 });
    const [first, second] = lease.devices;
    expect(new Set(lease.devices.map((device) => device.id)).size).toBe(2);
    expect(lease.devices.map((device) => device.memoryInfo().totalBytes)).toEqual([512 * MiB, 512 * MiB]);
    const data = Uint8Array.from({ length: 2 * MiB + 3 }, (_unused, index) => index % 251);
    const from = first.upload(data);
    const to = second!.alloc(data.byteLength);
    const sent = lease.stats.bytesToDevice;
    second!.copy(to, from);
    expect(Buffer.compare(await to.read(Uint8Array), data)).toBe(0);
    expect(lease.stats.bytesToDevice - sent).toBeLessThan(MiB + 3 * MiB);
    const stream = first.stream();
    expect(() => to.fill(0, { stream })).toThrow(/belongs to the device/);
  });

  it("names wrong arguments at the call, by the parameters of the real program", async () => {
    await using lease = await pool.allocate({ memory: "64MiB" });
    const [gpu] = lease.devices;
    const module = await gpu.load(linear);
    const saxpy = module.kernel("saxpy");
    const x = gpu.alloc(4000);
    expect(() => saxpy.launch({ grid: 1, block: 32 }, [1, 2, x])).toThrow(/takes \[4\] arguments, and \[3\] are given/);
    expect(() => saxpy.launch({ grid: 1, block: 32 }, [1.5, 2, x, x])).toThrow(/argument \[0\].*the number \[1.5\]/);
    expect(() => saxpy.launch({ grid: 1, block: 32 }, [1, x, x, x])).toThrow(
      /argument \[1\].*a float of \[4\] bytes, and a buffer/,
    );
    expect(() => saxpy.launch({ grid: 0, block: 32 }, [1, 2, x, x])).toThrow(/grid \[0, 1, 1\]/);
    expect(() => module.kernel("sxpy")).toThrow(/no kernel \[sxpy\]; it has \[.*saxpy/);
    await gpu.synchronize();
  });

  it("refuses a malformed program with an error of its own, and goes on", async () => {
    await using lease = await pool.allocate({ memory: "64MiB" });
    const [gpu] = lease.devices;
    const error = await failureOf(gpu.load("this is not PTX"));
    expect(error.code).toBe("BAD_IMAGE");
    expect(error.details).toMatchObject({ call: "moduleLoadCached", leaseId: lease.id });
    expect((await gpu.load(linear)).kernels.length).toBeGreaterThan(0);
  });

  it("measures time between events and queries streams", async () => {
    await using lease = await pool.allocate({ memory: "64MiB" });
    const [gpu] = lease.devices;
    using stream = gpu.stream();
    using start = gpu.event();
    using end = gpu.event();
    start.record(stream);
    gpu.alloc(MiB).fill(1, { stream });
    end.record(stream);
    stream.wait(end);
    await stream.synchronize();
    expect(await stream.query()).toBe(true);
    expect(await end.query()).toBe(true);
    expect(await start.elapsed(end)).toBeGreaterThanOrEqual(0);
    const never = gpu.event();
    expect((await failureOf(start.elapsed(never))).code).toBe("BAD_ARGUMENT");
  });
});

describe("two clients at once", () => {
  it("share a device, each with exactly its share and its own memory", async () => {
    await using other = await connect({ server: server.grpc, lease: "" });
    await using a = await pool.allocate({ memory: "256MiB", name: "a" });
    await using b = await other.allocate({ memory: "384MiB", name: "b" });
    expect(a.devices[0].id).toBe(b.devices[0].id);
    const device = (await pool.devices()).find(({ id }) => id === a.devices[0].id)!;
    expect(device).toMatchObject({ grantedBytes: 640 * MiB, slices: 2, freeBytes: 384 * MiB });
    const [x, y] = [a.devices[0].alloc(1024), b.devices[0].alloc(1024)];
    expect(x.address).toBe(y.address);
    x.fill(1);
    y.fill(2);
    const [left, right] = await Promise.all([x.read(Uint8Array), y.read(Uint8Array)]);
    expect([left[0], right[0]]).toEqual([1, 2]);
    expect(() => b.devices[0].alloc(385 * MiB)).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    expect((await pool.leases()).leases.map(({ name }) => name).sort()).toEqual(["a", "b"]);
  });
});

describe("a request", () => {
  it("that has to wait is told its place and why, moves up, and is granted in order", async () => {
    const all = { devices: 2, fraction: 1 } as const;
    const first = await pool.allocate(all);
    const places: Record<string, QueuePlace[]> = { second: [], third: [] };
    const granted: string[] = [];
    const ask = async (name: string): Promise<Lease> => {
      const lease = await pool.allocate({ ...all, wait: "30s", name, onQueued: (place) => places[name]!.push(place) });
      granted.push(name);
      return lease;
    };
    const second = ask("second");
    await waitFor("the second to wait", () => places["second"]!.length > 0);
    const third = ask("third");
    await waitFor("the third to wait", () => places["third"]!.length > 0);
    expect(places["second"]![0]!.position).toBe(1);
    expect(places["second"]![0]!.reasons.map(({ code }) => code)).toContain("NOT_ENOUGH_MEMORY");
    expect(places["third"]![0]!.position).toBe(2);
    const { queue } = await pool.leases();
    expect(queue.map(({ name, position }) => [name, position])).toEqual([
      ["second", 1],
      ["third", 2],
    ]);
    await first.release();
    const next = await second;
    await waitFor("the third to move up", () => places["third"]!.at(-1)!.position === 1);
    await next.release();
    await (await third).release();
    expect(granted).toEqual(["second", "third"]);
  });

  it("is withdrawn when its signal is aborted, and leaves no trace", async () => {
    await using _all = await pool.allocate({ devices: 2, fraction: 1 });
    const controller = new AbortController();
    let queued = false;
    const waiting = failureOf(
      pool.allocate({
        fraction: 1,
        wait: "1h",
        signal: controller.signal,
        onQueued: () => {
          queued = true;
        },
      }),
    );
    await waitFor("the request to wait", () => queued);
    controller.abort(new Error("changed my mind"));
    const error = await waiting;
    expect(error).toMatchObject({ code: "CANCELLED" });
    expect((error.cause as Error).message).toBe("changed my mind");
    await waitFor("the queue to be empty", async () => (await pool.leases()).queue.length === 0);
    expect((await failureOf(pool.allocate({ fraction: 1, signal: AbortSignal.abort() }))).code).toBe("CANCELLED");
  });

  it("that cannot be served within its wait says why, device by device", async () => {
    await using _part = await pool.allocate({ memory: "600MiB", devices: 2 });
    const started = performance.now();
    const error = await failureOf(pool.allocate({ memory: "512MiB", wait: 300 }));
    expect(performance.now() - started).toBeGreaterThan(250);
    expect(error.code).toBe("NO_CAPACITY");
    expect(error.retryable).toBe(true);
    expect(error.details.reasons!.map(({ device, code }) => [device, code])).toEqual([
      ["null:0", "NOT_ENOUGH_MEMORY"],
      ["null:1", "NOT_ENOUGH_MEMORY"],
    ]);
  });

  it.each([
    [{ memory: "2GiB" }, "IMPOSSIBLE_REQUEST"],
    [{ devices: 3, fraction: 0.1 }, "IMPOSSIBLE_REQUEST"],
    [{ fraction: 1.5 }, "BAD_ARGUMENT"],
    [{ memory: 0 }, "BAD_ARGUMENT"],
    [{ memory: "1MiB", gpus: 2 }, "BAD_ARGUMENT"],
  ] as const)("like %j is refused at once with %s", async (options, code) => {
    expect((await failureOf(pool.allocate({ ...options, wait: "1h" }))).code).toBe(code);
  });

  it("for several slices on one device is granted where that is allowed", async () => {
    await using lease = await pool.allocate({ devices: 3, memory: "256MiB", sameDevice: true });
    expect(lease.devices).toHaveLength(3);
    const buffers = lease.devices.map((device, index) => device.upload(Uint8Array.of(index)));
    expect(await Promise.all(buffers.map(async (buffer) => (await buffer.read(Uint8Array))[0]))).toEqual([0, 1, 2]);
  });
});

describe("under another's lease", () => {
  const request = async (...args: string[]): Promise<{ id: string; key: string }> => {
    const { stdout } = await runShort(["request", "--server", server.grpc, "--for", "1m", "--json", ...args]);
    const { lease, environment } = JSON.parse(stdout);
    return { id: lease.id, key: environment.SLUICE_LEASE };
  };

  it("a program attaches to it instead of allocating, and leaves it as it was", async () => {
    const { id, key } = await request("-n", "2", "-m", "512MiB");
    await using inside = await connect({ server: server.grpc, lease: key });
    {
      await using lease = await inside.allocate({ fraction: 0.5, name: "ignored" });
      expect(lease.id).toBe(id);
      expect(lease.devices).toHaveLength(2);
      expect((await lease.devices[1]!.upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
      expect((await failureOf(inside.allocate({ memory: 1 }))).code).toBe("SESSION_BUSY");
    }
    expect((await pool.leases()).leases.map((lease) => lease.id)).toEqual([id]);
    {
      await using again = await inside.allocate({ memory: "512MiB", devices: 1 });
      expect(again.devices).toHaveLength(1);
    }
    for (const [options, words] of [
      [{ memory: "513MiB" }, /asks for \[513MiB per device\].*has \[512MiB\]/],
      [{ fraction: 0.75 }, /asks for \[768MiB per device\]/],
      [{ devices: 3, memory: 1 }, /asks for \[3 devices\].*has \[2\]/],
    ] as const) {
      const error = await failureOf(inside.allocate(options));
      expect(error.code).toBe("IMPOSSIBLE_REQUEST");
      expect(error.message).toMatch(words);
    }
    expect((await pool.release(id))!.calls).toBeGreaterThan(0);
    expect((await failureOf(inside.allocate({ memory: 1 }))).code).toMatch(/^LEASE_/);
  });

  it("a program takes the first of several that is free, and minds none that has ended", async () => {
    const own = [await request("-m", "64MiB"), await request("-m", "64MiB"), await request("-m", "64MiB")];
    await pool.release(own[0]!.id);
    await using inside = await connect({ server: server.grpc, lease: own.map(({ key }) => key).join(" ") });
    {
      await using first = await inside.allocate({ memory: "64MiB" });
      await using second = await inside.allocate({ memory: "64MiB" });
      expect([first.id, second.id]).toEqual([own[1]!.id, own[2]!.id]);
      expect((await failureOf(inside.allocate({ memory: "64MiB" }))).code).toBe("SESSION_BUSY");
      await first.release();
      await using third = await inside.allocate({ memory: "64MiB" });
      expect(third.id).toBe(own[1]!.id);
    }
    for (const { id } of own) await pool.release(id);
    expect((await failureOf(inside.allocate({ memory: "64MiB" }))).code).toBe("LEASE_ENDED");
  });

  it("a stolen id without its secret is worth nothing", async () => {
    const { id, key } = await request("-m", "64MiB");
    const forged = `${id}:${Buffer.alloc(32, 1).toString("base64url")}`;
    await using inside = await connect({ server: server.grpc, lease: forged });
    expect((await failureOf(inside.allocate({ memory: 1 }))).code).toBe("WRONG_SECRET");
    await using right = await connect({ server: server.grpc, lease: key });
    await using lease = await right.allocate({ memory: 1 });
    expect(lease.id).toBe(id);
    await pool.release(id);
    // The session is told by the server that its lease is over.
    await waitFor("the session to end", () => lease.signal.aborted);
    expect((lease.signal.reason as SluiceError).code).toMatch(/^LEASE_/);
  });
});
