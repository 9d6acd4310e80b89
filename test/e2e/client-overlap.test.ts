/** Copies that let other streams through, on a real server: all bytes arrive, and answers come while the copy is under way. */
import { connect, type Pool } from "sluice";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startServer, type TestServer } from "../support/server.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:1x1GiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
});

afterAll(async () => {
  await pool.close();
  await server.stop();
});

const words = (byteCount: number, seed: number): Uint8Array =>
  new Uint8Array(
    Uint32Array.from({ length: byteCount / 4 }, (_unused, index) => Math.imul(index + seed, 0x9e3779b1)).buffer,
  );

it("reads of another stream are answered while an upload is under way, and both hold what they should", async () => {
  await using lease = await pool.allocate({ memory: "512MiB" });
  const [gpu] = lease.devices;
  const [large, small] = [gpu.alloc(96 * MiB), gpu.alloc(MiB)];
  const [loading, working] = [gpu.stream({ waitsForDefault: false }), gpu.stream()];
  const data = words(96 * MiB, 1);
  let isOver = false;
  let answered = 0;
  const copy = large.write(data, { stream: loading, overlap: true }).then(() => {
    isOver = true;
  });
  while (!isOver) {
    const value = answered & 0xff;
    small.fill(value, { stream: working });
    const read = await small.read(Uint8Array, { stream: working, length: 16 });
    expect([...read]).toEqual(new Array(16).fill(value));
    answered++;
  }
  await copy;
  expect(answered).toBeGreaterThan(1);
  await loading.synchronize();
  expect(Buffer.compare(await large.read(Uint8Array), data)).toBe(0);
});

it("two uploads and a download at once do not disturb each other", async () => {
  await using lease = await pool.allocate({ memory: "512MiB" });
  const [gpu] = lease.devices;
  const before = words(24 * MiB, 7);
  const source = gpu.upload(before);
  const streams = [gpu.stream(), gpu.stream(), gpu.stream()] as const;
  await gpu.synchronize();
  const data = [words(24 * MiB, 2), words(24 * MiB, 3)] as const;
  const buffers = [gpu.alloc(24 * MiB), gpu.alloc(24 * MiB)] as const;
  const [read] = await Promise.all([
    source.read(Uint8Array, { stream: streams[2], overlap: true }),
    buffers[0].write(data[0], { stream: streams[0], overlap: true }),
    buffers[1].write(data[1], { stream: streams[1], overlap: true }),
  ]);
  expect(Buffer.compare(read, before)).toBe(0);
  await gpu.synchronize();
  for (const index of [0, 1] as const)
    expect(Buffer.compare(await buffers[index].read(Uint8Array), data[index])).toBe(0);
});
