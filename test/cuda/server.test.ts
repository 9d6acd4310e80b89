/** A real server with CUDA devices: the built package over the stand-in for the driver. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, type Pool } from "../../client/index.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { linearCases } from "../kernels/cases/linear.ts";
import { openClientMachine } from "../kernels/client-machine.ts";
import { fixture } from "../kernels/support.ts";
import { ARENA, parseStaging, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { runSluice, socketOf, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";
import { knownKernels, printingKernels } from "./kernels.ts";
import { standin, standinMissing } from "./standin.ts";

const MiB = 1024 * 1024;

const start = (env: NodeJS.ProcessEnv = {}, device = "cuda", ...args: string[]): Promise<TestServer> =>
  startServer({
    args: ["--device", device, ...args],
    env: {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      ...env,
    },
  });

describe.skipIf(standinMissing !== undefined)("a server with CUDA devices", () => {
  let folder: string;
  /** Failures of the stand-in's in the server's processes, as the file says at the moment. */
  let failures: string;
  let server: TestServer;
  let pool: Pool;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice-test-cuda-"));
    failures = join(folder, "failures");
    server = await start({ SLUICE_STANDIN_FILE: failures });
    pool = await connect({ server: server.grpc });
  });
  afterAll(async () => {
    await pool.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  it("lists what the driver shows", async () => {
    const devices = await pool.devices();
    expect(devices.map(({ name }) => name)).toEqual(["Stand-in GPU 0", "Stand-in GPU 1"]);
    expect(devices[0]!.hardware).toEqual({
      uuid: "GPU-abababab-abab-abab-abab-ababababab00",
      pciAddress: "0000:3b:00.0",
      driverVersion: "580.65.06",
      cudaVersion: "13.0",
      multiprocessors: 4,
      mig: "disabled",
      ecc: "enabled",
      links: [{ deviceId: "cuda:1", links: 3 }],
    });
  });

  it("runs kernels on borrowed slices of both devices at once", async () => {
    const machines = await Promise.all([1, 2].map(() => openClientMachine(pool, { memoryBytes: 64 * MiB })));
    await Promise.all(
      machines.map(async (machine) => {
        for (const kernelCase of linearCases.slice(0, 1)) await kernelCase.run(machine);
        await machine.close();
      }),
    );
  });

  it("carries large copies both ways, and what kernels print", async () => {
    let printed = "";
    await using lease = await pool.allocate({
      memory: 64 * MiB,
      onOutput: (text) => {
        printed += text;
      },
    });
    const [gpu] = lease.devices;
    const data = Uint32Array.from({ length: MiB }, (_, i) => Math.imul(i, 2654435761));
    const buffer = gpu.upload(data);
    expect(Buffer.compare(Buffer.from((await buffer.read(Uint32Array)).buffer), Buffer.from(data.buffer))).toBe(0);
    const print = (await gpu.load(Buffer.from(printingKernels))).kernel("print");
    print.launch({ grid: 1, block: 1 }, [7]);
    print.launch({ grid: 1, block: 1 }, [8]);
    await gpu.synchronize();
    expect(printed).toBe("number 7\nnumber 8\n");
  });

  it.each(["tcp", "unix"] as const)("carries many large copies over %s, whose source changes at once", async (kind) => {
    await using pool = await connect({ server: server.grpc, transports: [kind] });
    await using lease = await pool.allocate({ memory: 64 * MiB });
    const [gpu] = lease.devices;
    const byteCount = 11 * MiB + 100_003;
    const buffer = gpu.alloc(byteCount);
    const into = new Uint8Array(byteCount);
    for (let round = 0; round < 3; round++) {
      const data = Buffer.alloc(byteCount, Buffer.of(round, 1, 2, 3, 4, 5, 6));
      const expected = Buffer.from(data);
      buffer.write(data);
      data.fill(0);
      await buffer.readInto(into);
      expect(Buffer.compare(into, expected), `${round}`).toBe(0);
    }
  });

  it("gives the next session of a lease a staging file that is empty, and heeds the one before no more", async () => {
    const control = new RawControl(server.grpc);
    const lease = await control.allocate({ memoryBytes: 64 * MiB });
    /** A session on the server's host, with the file that the device copies from. */
    const open = async () => {
      const session = await RawSession.openNext(socketOf(server), lease);
      const file = openSync(parseStaging((await session.ask(raw.attach())).body).path, "r+");
      session.send(raw.allocate(ARENA, MiB));
      return { session, file };
    };
    const first = await open();
    writeSync(first.file, Buffer.alloc(64, 1), 0, 64, 0);
    expect(await first.session.codeAfter(raw.copyToDeviceStaged(ARENA, 0, 64))).toBe("OK");
    expect(await first.session.read(ARENA, 64)).toEqual(Buffer.alloc(64, 1));
    await first.session.close();
    const second = await open();
    writeSync(first.file, Buffer.alloc(64, 2), 0, 64, 0);
    expect(await second.session.codeAfter(raw.copyToDeviceStaged(ARENA, 0, 64))).toBe("OK");
    expect(await second.session.read(ARENA, 64)).toEqual(Buffer.alloc(64));
    await second.session.close();
    for (const { file } of [first, second]) closeSync(file);
    await control.release(lease.id, lease.secret);
    control.close();
  });

  it("grows and shrinks the slice of a running job, by the command line and by its program", async () => {
    await using lease = await pool.allocate({ memory: 64 * MiB, filters: ["device.id=cuda:0"] });
    const [gpu] = lease.devices;
    const granted = async (): Promise<number> => (await pool.devices())[0]!.grantedBytes;
    const kept = gpu.upload(Uint32Array.of(1, 2, 3));
    await gpu.synchronize();
    const grown = await runSluice(["resize", lease.id, "160MiB"], { env: { SLUICE_SERVER: server.grpc } });
    expect(grown).toMatchObject({ code: 0, stdout: `The lease ${lease.id} has 160MiB of cuda:0.\n` });
    await waitFor("the program to know", () => gpu.memoryInfo().totalBytes === 160 * MiB);
    expect(await granted()).toBe(160 * MiB);
    const large = gpu.alloc(120 * MiB);
    const last = { offset: 120 * MiB - 8, length: 2 };
    expect([...(await large.read(Uint32Array, last))]).toEqual([0, 0]);
    large.write(Uint32Array.of(9), { offset: 120 * MiB - 4 });
    expect([...(await large.read(Uint32Array, last))]).toEqual([0, 9]);
    await expect(gpu.resize(96 * MiB)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(gpu.resize(4096 * MiB)).rejects.toMatchObject({ code: "IMPOSSIBLE_REQUEST" });
    expect(await granted()).toBe(160 * MiB);
    large.free();
    await gpu.resize(62 * MiB);
    expect(await granted()).toBe(62 * MiB);
    expect([...(await kept.read(Uint32Array))]).toEqual([1, 2, 3]);
  });

  it("tells a fault with the driver's own error, and leaves the lease beside it alone", async () => {
    await using faulty = await pool.allocate({ memory: 32 * MiB });
    await using steady = await pool.allocate({ memory: 32 * MiB });
    const [bad] = faulty.devices;
    const [good] = steady.devices;
    const store = (await bad.load(Buffer.from(knownKernels))).kernel("store_at");
    const add = (await good.load(fixture("linear"))).kernel("vector_add");
    const x = good.upload(Float32Array.of(1, 2, 3, 4));
    const y = good.alloc(16);
    store.launch({ grid: 1, block: 1 }, [0n, 1]);
    const error = await bad.synchronize().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({
      code: "ILLEGAL_ADDRESS",
      details: { nativeCode: 700, nativeName: "CUDA_ERROR_ILLEGAL_ADDRESS", sequence: expect.any(Number) },
    });
    add.launch({ grid: 1, block: 32 }, [4, x, x, y]);
    expect([...(await y.read(Float32Array))]).toEqual([2, 4, 6, 8]);
  });

  it("multiplies by cuBLASLt, and compiles CUDA C by NVRTC", async () => {
    await using lease = await pool.allocate({ memory: 64 * MiB });
    const [gpu] = lease.devices;
    const [a, b, c] = [gpu.upload(Float32Array.of(1, 2, 3, 4)), gpu.upload(Float32Array.of(5, 6, 7, 8)), gpu.alloc(16)];
    const trips = lease.stats.roundTrips;
    gpu.multiply({ m: 2, n: 2, k: 2, a, b, c, type: "tf32" });
    gpu.multiply({ m: 2, n: 2, k: 2, a, b, c, beta: 1, stream: gpu.stream() });
    await gpu.synchronize();
    expect([...(await c.read(Float32Array))]).toEqual([38, 44, 86, 100]);
    expect(lease.stats.roundTrips - trips).toBe(2);
    const source = 'extern "C" __global__ void empty() { int unused; }';
    const module = await gpu.compile(source, { options: ["--use_fast_math"] });
    expect(module.log).toContain("warning");
    module.kernel("empty").launch({ grid: 1, block: 1 }, []);
    await gpu.synchronize();
    await expect(gpu.compile("nonsense")).rejects.toMatchObject({
      code: "BAD_IMAGE",
      message: expect.stringContaining('identifier "nonsense" is undefined'),
    });
    await expect(gpu.compile("int a;", { options: ["-I/etc"] })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await gpu.synchronize();
  });

  it("compiles a source once for all jobs of a tenant", async () => {
    const source = 'extern "C" __global__ void empty() { int unused; } // once';
    const compile = async (text: string) => {
      await using lease = await pool.allocate({ memory: 64 * MiB });
      const module = await lease.devices[0].compile(text);
      module.kernel("empty").launch({ grid: 1, block: 1 }, []);
      await lease.devices[0].synchronize();
      return module.log;
    };
    const log = await compile(source);
    expect(log).toContain("warning");
    writeFileSync(failures, "nvrtcCompileProgram:11");
    try {
      expect(await compile(source)).toBe(log);
      await expect(compile(`${source} `)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    } finally {
      rmSync(failures);
    }
  });

  it("goes on with what it has when the driver cannot be used, and says why it cannot", async () => {
    await using server = await startServer({
      args: ["--device", "cuda", "--device", "cpu:1x256MiB"],
      env: { SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"), SLUICE_STANDIN_VERSION: "11080" },
    });
    await using pool = await connect({ server: server.grpc });
    expect((await pool.devices()).map(({ id }) => id)).toEqual(["cpu:0"]);
    expect(server.log()).toContain("needs a driver for CUDA 12.4 or later");
  });

  it("charges the time that the device worked for a lease", async () => {
    const lease = await pool.allocate({ memory: 32 * MiB });
    const pause = (await lease.devices[0].load(knownKernels)).kernel("pause_for");
    for (let round = 0; round < 3; round++) pause.launch({ grid: 1, block: 1 }, [50_000]);
    await lease.devices[0].synchronize();
    const usage = await lease.release();
    expect(usage!.deviceMs).toBeGreaterThanOrEqual(149);
    expect(usage!.deviceMs).toBeLessThan(usage!.heldMs);
  });

  it("says why it cannot start when the driver is too old", async () => {
    const failure = await start({ SLUICE_STANDIN_VERSION: "11080" }).catch((error: unknown) => error);
    expect(String(failure)).toContain("CUDA [11.8]; Sluice needs a driver for CUDA 12.4 or later");
  });
});

describe.skipIf(standinMissing !== undefined)("a server of an odd machine's CUDA devices", () => {
  const odd = {
    SLUICE_CUBLASLT_LIBRARY: "libcublasLt-not-there.so",
    SLUICE_NVRTC_LIBRARY: "libnvrtc-not-there.so",
    SLUICE_STANDIN_IGNORE_HINT: "1",
    SLUICE_STANDIN_ATTRIBUTES: "88:1",
  };
  let server: TestServer;
  let pool: Pool;
  beforeAll(async () => {
    server = await start(odd, "cuda", "--log-level", "debug");
    pool = await connect({ server: server.grpc });
  });
  afterAll(async () => {
    await pool.close();
    await server.stop();
  });

  it("says what is missing where the server has neither cuBLASLt nor NVRTC", async () => {
    await using lease = await pool.allocate({ memory: 64 * MiB });
    const [gpu] = lease.devices;
    await expect(gpu.compile("int a;")).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("libnvrtc-not-there.so"),
    });
    const a = gpu.alloc(64);
    gpu.multiply({ m: 1, n: 1, k: 1, a, b: a.at(4), c: a.at(8) });
    await expect(gpu.synchronize()).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("libcublasLt-not-there.so"),
      details: { sequence: expect.any(Number) },
    });
    expect([...(await gpu.upload(Uint8Array.of(1, 2, 3)).read(Uint8Array))]).toEqual([1, 2, 3]);
    await gpu.synchronize();
  });

  it("does not lend a device whose kernels reach the server's memory to whoever has a token, and warns otherwise", async () => {
    expect(server.log()).toContain("uvm_disable_hmm=1");
    const refused = await startServer({
      args: ["--device", "cuda:0", "--require-token"],
      env: { SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"), ...odd },
    }).catch((error: unknown) => error);
    expect(String(refused)).toContain("can read and write the memory of the server's own processes");
  });

  it("says the address of an arena that the driver has put elsewhere, and works there", async () => {
    await using lease = await pool.allocate({ devices: 2, memory: 32 * MiB });
    const [first, second] = lease.devices;
    const data = Uint32Array.from({ length: 4096 }, (_, index) => index);
    const [from, to] = [first.upload(data), second!.alloc(data.byteLength)];
    expect(from.address).not.toBe(ARENA_BASE);
    await waitFor("the log", () => server.log().includes("is not where it was wanted"));
    second!.copy(to, from);
    expect(await to.read(Uint32Array)).toEqual(data);
    const add = (await first.load(fixture("linear"))).kernel("vector_add");
    const [x, y] = [first.upload(Float32Array.of(1, 2)), first.alloc(8)];
    add.launch({ grid: 1, block: 32 }, [2, x, x, y]);
    expect([...(await y.read(Float32Array))]).toEqual([2, 4]);
  });

  it("says where the time goes in which a slice is opened, to an admin who asks for so much", async () => {
    await using lease = await pool.allocate({ memory: 16 * MiB, filters: ["device.id=cuda:0"] });
    const steps = ["context", "memory", "page-locked memory", "zeros"]
      .map((step) => `${step} \\[[\\d.]+\\]`)
      .join(", ");
    const said = new RegExp(`the lease \\[${lease.id}\\]: \\[cuda:0\\] is open in \\[[\\d.]+\\] ms: ${steps}\\.`);
    await waitFor("the sentence", () => said.test(server.log()));
  });
});
