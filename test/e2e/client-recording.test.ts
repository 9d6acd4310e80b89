/** Recorded batches with the library and real kernels: the same results as calls that are sent, at a fraction of the bytes. */
import { readFileSync } from "node:fs";
import { connect, type Lease, type Pool, SluiceError } from "sluice";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startServer, type TestServer } from "../support/server.ts";

const ptx = (name: string): string => readFileSync(`test/kernels/ptx/${name}.ptx`, "utf8");

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "cpu:1x512MiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
});

afterAll(async () => {
  await pool.close();
  await server.stop();
});

const borrow = (): Promise<Lease> => pool.allocate({ fraction: 0.25, wait: "30s" });

it("a step that is replayed with other numbers and buffers computes what it would compute if sent", async () => {
  await using lease = await borrow();
  const [gpu] = lease.devices;
  const n = 1000;
  const saxpy = (await gpu.load(ptx("linear"))).kernel("saxpy");
  const launch = { grid: 4, block: 256 };
  const batches = [1, 2, 3].map((seed) =>
    gpu.upload(Float32Array.from({ length: n }, (_unused, i) => (i * seed) % 17)),
  );
  const run = async (step: (batch: number, rate: number) => void) => {
    weights.fill(0);
    for (let index = 0; index < 30; index++) step(index % 3, 1 + (index % 4) * 0.25);
    return await weights.read(Float32Array);
  };
  const weights = gpu.alloc(n * 4);
  const momentum = gpu.alloc(n * 4);
  const compute = (x: (typeof batches)[0], rate: Parameters<typeof saxpy.launch>[1][number]) => {
    gpu.copy(momentum, weights);
    saxpy.launch(launch, [n, rate, x, weights]);
    saxpy.launch(launch, [n, -0.5, momentum, weights]);
    gpu.multiply({ a: momentum, b: x, c: weights, m: 10, n: 10, k: 10 });
  };
  const before = lease.stats.bytesToDevice;
  const sent = await run((batch, rate) => compute(batches[batch]!, rate));
  const between = lease.stats.bytesToDevice;
  const step = gpu.record({ x: batches[0]!, rate: 1 }, ({ x, rate }) => compute(x, rate));
  const replayed = await run((batch, rate) => step.replay({ x: batches[batch]!, rate }));
  expect([...replayed]).toEqual([...sent]);
  expect(sent.some((value) => value !== 0)).toBe(true);
  expect(lease.stats.bytesToDevice - between).toBeLessThan((between - before) / 3);
});

it("another replay has another bias", async () => {
  await using lease = await borrow();
  const [gpu] = lease.devices;
  const [a, b, c] = [gpu.upload(Float32Array.of(2)), gpu.upload(Float32Array.of(3)), gpu.alloc(4)];
  const biases = [10, 20].map((value) => gpu.upload(Float32Array.of(value)));
  const step = gpu.record({ bias: biases[0]! }, ({ bias }) => gpu.multiply({ m: 1, n: 1, k: 1, a, b, c, bias }));
  step.replay();
  expect([...(await c.read(Float32Array))]).toEqual([16]);
  step.replay({ bias: biases[1]! });
  expect([...(await c.read(Float32Array))]).toEqual([26]);
  expect(() => step.replay({ bias: gpu.alloc(4).at(2) })).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  expect([...(await c.read(Float32Array))]).toEqual([26]);
});

it("a kernel that fails inside a recording is named with its place in it", async () => {
  await using lease = await borrow();
  const [gpu] = lease.devices;
  const trap = (await gpu.load(ptx("faults"))).kernel("trap_at");
  const buffer = gpu.alloc(64);
  const step = gpu.record({ at: 1_000_000 }, ({ at }) => {
    buffer.fill(1);
    trap.launch({ grid: 1, block: 32 }, [at]);
    buffer.fill(2);
  });
  step.replay();
  expect((await buffer.read(Uint8Array))[0]).toBe(2);
  step.replay({ at: 3 });
  const error = await buffer.read(Uint8Array).then(
    () => undefined,
    (cause: unknown) => cause as SluiceError,
  );
  expect(error).toBeInstanceOf(SluiceError);
  expect(error!.code).toBe("KERNEL_TRAP");
  expect(error!.message).toContain("The call [1] [launch] of the recording [1] fails:");
  expect(error!.details).toMatchObject({ call: "recordingReplay", leaseId: lease.id });
});

it("a session that ends takes its recordings with it", async () => {
  const lease = await borrow();
  const buffer = lease.devices[0].alloc(64);
  const step = lease.devices[0].record(() => buffer.fill(1));
  step.replay();
  await lease.release();
  expect(() => step.replay()).toThrow(expect.objectContaining({ code: "CLOSED" }));
  step.destroy();
  await using next = await borrow();
  const again = next.devices[0].alloc(64);
  next.devices[0].record(() => again.fill(3)).replay();
  expect((await again.read(Uint8Array))[0]).toBe(3);
});
