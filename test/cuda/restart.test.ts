/** A server of CUDA devices that dies and comes back: what its executors have on the card stays theirs, and nobody else's is left. Over the stand-in. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, type Lease, type Pool } from "../../client/index.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { fixture } from "../kernels/support.ts";
import { CrashingServer } from "../support/crashing-server.ts";
import { isAll } from "../support/is-all.ts";
import { childrenOf, executorsOf, isAlive } from "../support/processes.ts";
import { runSluice, startServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";
import { standin, standinMissing } from "./standin.ts";

const MiB = 1024 * 1024;
/** Of the stand-in's contexts. */
const CONTEXT_BYTES = 96 * MiB;
const card = join(tmpdir(), `sluice-test-card-${process.pid}`);
let server: CrashingServer;
let pool: Pool;
let device: DeviceDescription;

/** What all processes together have of the first device. */
const used = async (): Promise<number> => (await cudaDriver.health!([device]))[0]!.memoryUsedBytes!;

beforeAll(async () => {
  if (standinMissing !== undefined) return;
  process.env["SLUICE_STANDIN_CARD"] = card;
  [device] = (await cudaDriver.discover("0")) as [DeviceDescription];
  const library = join(standin.folder, "libcuda.so.1");
  const env = { SLUICE_CUDA_LIBRARY: library, SLUICE_NVML_LIBRARY: library, SLUICE_STANDIN_MODULE_MEMORY: "1" };
  server = await CrashingServer.start(["--device", "cuda:0", "--grace", "1s"], env);
  pool = await connect({ server: server.grpc });
});

afterAll(async () => {
  if (standinMissing !== undefined) return;
  await pool.close();
  await server[Symbol.asyncDispose]();
  rmSync(card, { force: true });
});

const emptyCard = (): Promise<true> => waitFor("an empty card", async () => (await used()) === 0);

describe.skipIf(standinMissing !== undefined)("a server of CUDA devices that is killed", () => {
  it("leaves a job its slice and its work, and of one whose executor dies too nothing: the next one has all to the byte", async () => {
    const lease = await pool.allocate({ memory: 64 * MiB });
    const [gpu] = lease.devices;
    const add = (await gpu.load(fixture("linear"))).kernel("vector_add");
    const [x, y] = [gpu.upload(Float32Array.of(1, 2, 3)), gpu.alloc(12)];
    await gpu.synchronize();
    await waitFor("the lease alone on the card", async () => (await used()) === CONTEXT_BYTES + 64 * MiB);
    const lost = await pool.allocate({ memory: 32 * MiB });
    await lost.devices[0].upload(new Uint8Array(MiB).fill(7)).read(Uint8Array, { length: 1 });
    const children = childrenOf(server.pid);
    await server.crash();
    const executors = executorsOf(server.state);
    process.kill(executors.find(({ leaseId }) => leaseId === lost.id)!.pid, "SIGKILL");
    add.launch({ grid: 1, block: 32 }, [3, x, x, y]);
    expect([...(await y.read(Float32Array))]).toEqual([2, 4, 6]);
    const job = executors.find(({ leaseId }) => leaseId === lease.id)!.pid;
    // Whoever watched the card has ended as well.
    await waitFor("the job alone", () => children.every((child) => isAlive(child) === (child === job)));
    await server.start();
    await waitFor("the leases", async () => {
      const { leases } = await pool.leases();
      return leases.length === 1 && leases[0]!.id === lease.id;
    });
    const listed = (await pool.devices())[0]!;
    expect(listed).toMatchObject({ grantedBytes: 64 * MiB, cordon: null, overheadEstimated: false });
    await gpu.resize(80 * MiB);
    expect([...(await x.read(Float32Array))]).toEqual([1, 2, 3]);
    await waitFor("the lease alone on the card", async () => (await used()) === CONTEXT_BYTES + 80 * MiB);
    await lease.release();
    await emptyCard();
    await using next = await pool.allocate({ memory: listed.sliceBytesMax });
    expect(isAll(await next.devices[0].alloc(16 * MiB).read(Uint8Array), 0)).toBe(true);
  });
});

describe.skipIf(standinMissing !== undefined)(
  "a lease that is suspended while its modules have part of its slice",
  () => {
    const large = `${fixture("linear")}\n.visible .global .align 4 .b8 large[100][1024][1024];\n`;
    /** Beside each slice. */
    let overheadBytes: number;
    let memoryBytes: number;

    /** Suspends a lease with modules of 200 MiB; returns it with what it keeps. */
    async function suspend(how: (lease: Lease) => Promise<unknown> = (lease) => lease.suspend("It is tested.")) {
      await emptyCard();
      const lease = await pool.allocate({ memory: 400 * MiB, wait: "30s" });
      const [gpu] = lease.devices;
      const modules = [await gpu.load(large), await gpu.load(`${large}//2`)];
      const x = gpu.upload(Float32Array.of(1, 2, 3));
      const listed = (await pool.devices())[0]!;
      overheadBytes = listed.overheadBytes;
      memoryBytes = listed.memoryBytes;
      await how(lease);
      const { suspension } = (await pool.leases()).leases.find(({ id }) => id === lease.id)!;
      expect(suspension!.keptBytes).toBeGreaterThanOrEqual(48 * MiB);
      return { lease, gpu, x, modules, keptBytes: suspension!.keptBytes };
    }
    const freeBytes = async (): Promise<number> => (await pool.devices())[0]!.freeBytes;
    const isFull = { memory: 2 * MiB, wait: 0 };

    it("leaves others the rest to the byte, over the death of its server, and comes back to the same modules", async () => {
      const { lease, gpu, x, modules, keptBytes } = await suspend(async ({ id }) => {
        const said = await runSluice(["suspend", id], { env: { SLUICE_SERVER: server.grpc, SLUICE_LEASE: "" } });
        expect(said.stdout).toMatch(/ is suspended, .* of it saved, \d+MiB kept for its modules\.\n$/);
      });
      expect(await freeBytes()).toBe(memoryBytes - overheadBytes - keptBytes);
      const other = await pool.allocate({ memory: memoryBytes - 2 * overheadBytes - keptBytes });
      const all = other.devices[0].alloc(other.devices[0].memoryInfo().totalBytes);
      all.write(Uint8Array.of(1), { offset: all.byteLength - 1 });
      await other.devices[0].synchronize();
      await expect(pool.allocate(isFull)).rejects.toMatchObject({ code: "NO_CAPACITY" });
      await server.crash();
      await server.start();
      await waitFor("both leases", async () => (await pool.leases()).leases.length === 2);
      expect(await freeBytes()).toBe(0);
      await lease.resume();
      await other.release();
      await waitFor("it to go on", async () => (await pool.leases()).leases[0]?.state === "LEASE_STATE_ATTACHED");
      expect(await freeBytes()).toBe(memoryBytes - overheadBytes - 400 * MiB);
      const y = gpu.alloc(12);
      for (const module of modules) module.kernel("vector_add").launch({ grid: 1, block: 32 }, [3, x, x, y]);
      expect([...(await y.read(Float32Array))]).toEqual([2, 4, 6]);
      expect(await used()).toBeLessThanOrEqual(overheadBytes + 400 * MiB);
      await lease.release();
      await emptyCard();
      expect(await freeBytes()).toBe(memoryBytes);
    });

    it("leaves nothing, on the card or in the pool, where its executor dies, with its server or without", async () => {
      for (const withServer of [true, false]) {
        const { lease } = await suspend();
        const executor = executorsOf(server.state).find(({ leaseId }) => leaseId === lease.id)!;
        if (withServer) await server.crash();
        process.kill(executor.pid, "SIGKILL");
        if (withServer) await server.start();
        await waitFor("an empty card", async () => (await used()) === 0 && (await freeBytes()) === memoryBytes);
      }
    });
  },
);

describe.skipIf(standinMissing !== undefined)("a driver that gives back late what a dead process had", () => {
  it("has the next lease wait for its memory, and not fail", async () => {
    await using late = await startServer({
      args: ["--device", "cuda:0"],
      env: {
        SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
        SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
        SLUICE_STANDIN_LATE_MS: "700",
      },
    });
    await using full = await connect({ server: late.grpc });
    const { sliceBytesMax: memory } = (await full.devices())[0]!;
    const first = await full.allocate({ memory });
    await first.devices[0].alloc(MiB).read(Uint8Array);
    const executor = executorsOf(late.state).find(({ leaseId }) => leaseId === first.id);
    process.kill(executor!.pid, "SIGKILL");
    await using next = await full.allocate({ memory, wait: "20s" });
    const bytes = await next.devices[0].alloc(MiB).read(Uint8Array);
    expect(isAll(bytes, 0)).toBe(true);
  });
});
