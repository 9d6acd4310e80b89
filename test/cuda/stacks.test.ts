/**
 * Memory of kernels' threads and of modules on a CUDA device, for unmodified programs and those that use the library: a real server, and the stand-in for the driver,
 * which keeps the driver's rules.
 */
import { join } from "node:path";
import { connect, type DeviceBuffer } from "sluice";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { standin, standinMissing } from "./standin.ts";

const isMissing = standinMissing !== undefined || !canBuild;
const kernels = `.version 8.0
.target sm_75
.address_size 64
.visible .entry recurse(.param .u32 bytes) { ret; }
.visible .entry ample() { ret; }
`;
const MiB = 1024 ** 2;
const once = { grid: 1, block: 1 };

const start = (memoryMiB = 1024): Promise<TestServer> =>
  startServer({
    args: ["--device", "cuda:0"],
    env: {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      SLUICE_STANDIN_MEMORY: String(memoryMiB),
    },
  });

let server: TestServer;
beforeAll(async () => {
  if (!isMissing) buildInterposer();
  if (standinMissing === undefined) server = await start();
});
afterAll(() => server?.stop());

it.skipIf(isMissing)(
  "a program sets the size of its kernels' stacks, and has the rest of its slice to the last byte",
  async () => {
    const { code, stdout } = await runProgram({
      server,
      command: [compileProgram("test/interposer/card/stack.c", { suffix: "-card" })],
      memoryBytes: 512 * MiB,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ok\n" });
  },
);

it.skipIf(isMissing)(
  "a program whose threads allocate to the slice's end while another loads modules that want it is refused the one or the other, and goes on",
  async () => {
    const { code, stdout, stderr } = await runProgram({
      server,
      command: [compileProgram("test/interposer/card/module-race.c", { suffix: "-card" })],
      memoryBytes: 512 * MiB,
    });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  },
);

it.skipIf(isMissing)(
  "a program whose modules take more than comes with its lease has them at its slice's end, and the rest to the last byte",
  async () => {
    const { code, stdout } = await runProgram({
      server,
      command: [compileProgram("test/interposer/card/module-memory.c", { suffix: "-card" })],
      memoryBytes: 512 * MiB,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ok\n" });
  },
);

it.skipIf(standinMissing !== undefined)("a job of the library's has its modules there too", async () => {
  await using pool = await connect({ server: server.grpc, lease: "" });
  await using lease = await pool.allocate({ memory: 512 * MiB });
  const [gpu] = lease.devices;
  const large = `${kernels}.global .align 4 .b8 large[100][1024][1024];\n`;
  for (let index = 0; index < 4; index++) await gpu.load(`${large}//${index}\n`);
  const { freeBytes } = gpu.memoryInfo();
  expect(freeBytes).toBeLessThan(264 * MiB);
  const rest = gpu.alloc(freeBytes);
  expect([...(await rest.read(Uint8Array, { offset: freeBytes - 2 }))]).toEqual([0, 0]);
  expect(() => gpu.alloc(256)).toThrow();
});

it.skipIf(standinMissing !== undefined)(
  "a job of the library's that allocates to the slice's end while modules and stacks want it is refused the one or the other, and goes on",
  async () => {
    await using pool = await connect({ server: server.grpc, lease: "" });
    await using lease = await pool.allocate({ memory: 256 * MiB });
    const [gpu] = lease.devices;
    /** Whether modules have part of the slice, as far as the job can tell. */
    const isShorter = (): boolean => gpu.memoryInfo().freeBytes < 256 * MiB;
    const outcomes = { loaded: 0, refused: 0, all: 0, none: 0 };
    const takeAll = (): DeviceBuffer | undefined => {
      try {
        const all = gpu.alloc(gpu.memoryInfo().freeBytes);
        outcomes.all++;
        return all;
      } catch (error) {
        expect(error).toMatchObject({ code: "OUT_OF_MEMORY" });
        outcomes.none++;
        return undefined;
      }
    };
    for (let round = 0; round < 24 || !isShorter(); round++) {
      const large = `${kernels}.global .align 4 .b8 large[60][1024][1024];\n//${round}\n`;
      const loading: Promise<unknown> = round % 4 === 3 ? gpu.setStackSize(`${2 + (round % 8)}KiB`) : gpu.load(large);
      const loaded = loading.then(
        () => outcomes.loaded++,
        (error: unknown) => {
          expect(error).toMatchObject({ code: "OUT_OF_MEMORY" });
          outcomes.refused++;
        },
      );
      // Before the call has left, when its first answer is there, and whenever else.
      for (let turn = 0; turn <= round % 6; turn++) {
        const all = takeAll();
        if (turn % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
        all?.free();
      }
      const last = round % 2 === 0 ? takeAll() : undefined;
      await loaded;
      // To its last byte: zeros take no memory of the machine's.
      last?.fill(0);
      last?.free();
      await gpu.synchronize();
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(0);
    const { freeBytes } = gpu.memoryInfo();
    const rest = gpu.alloc(freeBytes);
    expect([...(await rest.read(Uint8Array, { offset: freeBytes - 2 }))]).toHaveLength(2);
  },
);

it.skipIf(standinMissing !== undefined)(
  "a job sets it by the library, and its neighbour keeps computing in a full card",
  async () => {
    await using server = await start(1536);
    await using pool = await connect({ server: server.grpc, lease: "" });
    await using lease = await pool.allocate({ memory: 512 * MiB });
    const rest = (await pool.devices())[0]!.freeBytes;
    await using neighbour = await pool.allocate({ memory: rest - 352 * MiB });
    const [gpu] = lease.devices;
    const [other] = neighbour.devices;
    const all = other.alloc(other.memoryInfo().totalBytes);
    all.fill(0);
    all.write(Uint8Array.of(5, 5), { offset: all.byteLength - 2 });
    const module = await gpu.load(kernels);
    await gpu.setStackSize("64KiB");
    const { freeBytes, totalBytes } = gpu.memoryInfo();
    expect(totalBytes).toBe(512 * MiB);
    expect(freeBytes).toBeLessThan(300 * MiB);
    const most = gpu.alloc(freeBytes);
    module.kernel("recurse").launch(once, [65_536]);
    expect([...(await most.read(Uint8Array, { offset: freeBytes - 2 }))]).toEqual([0, 0]);
    await expect(gpu.setStackSize("80KiB")).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    module.kernel("recurse").launch(once, [65_536]);
    await gpu.synchronize();
    most.free();
    await gpu.setStackSize("1KiB");
    expect(gpu.memoryInfo().freeBytes).toBe(512 * MiB);
    // Without a word the same comes of what is free, and goes when that is used.
    module.kernel("ample").launch(once, []);
    await gpu.synchronize();
    const whole = gpu.alloc(512 * MiB);
    expect([...(await whole.read(Uint8Array, { offset: 512 * MiB - 2 }))]).toEqual([0, 0]);
    expect([...(await all.read(Uint8Array, { offset: all.byteLength - 2 }))]).toEqual([5, 5]);
    module.kernel("ample").launch(once, []);
    await expect(gpu.synchronize()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
  },
);

it("the other devices' stacks are as large as they are", async () => {
  await using server = await startServer({ args: ["--device", "null:1x64MiB"] });
  await using pool = await connect({ server: server.grpc, lease: "" });
  await using lease = await pool.allocate({ memory: "64MiB" });
  await lease.devices[0].setStackSize("64KiB");
  expect(lease.devices[0].memoryInfo().freeBytes).toBe(64 * MiB);
});
