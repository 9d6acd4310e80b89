/** A server whose CUDA devices fall ill, hang and recover: who is told, what is closed, and what opens it again. Over the stand-in. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { connect, type Device, type DeviceInfo, type LeaseNotice, type Pool } from "../../client/index.ts";
import { contract } from "../../proto/load.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { TestClock } from "../support/test-clock.ts";
import { waitFor } from "../support/wait-for.ts";
import { knownKernels } from "./kernels.ts";
import { standin, standinMissing } from "./standin.ts";

const MiB = 1024 * 1024;
const state = { folder: "", failures: "" };

beforeAll(() => {
  state.folder = mkdtempSync(join(tmpdir(), "sluice-test-health-"));
  state.failures = join(state.folder, "failures");
});
afterEach(() => inject(""));
afterAll(() => rmSync(state.folder, { recursive: true }));

/** From now on these failures, and no others, happen in all processes of the server. */
function inject(list: string): void {
  writeFileSync(`${state.failures}.new`, list);
  renameSync(`${state.failures}.new`, state.failures);
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly args?: readonly string[];
  /** Default: the first alone. */
  readonly devices?: string;
  /** Its folder below the test's. */
  readonly own?: string;
}

const start = ({ env = {}, args = [], devices = "cuda:0", own = "state" }: StartOptions = {}): Promise<TestServer> =>
  startServer({
    args: ["--device", devices, "--health-interval", "100ms", ...args],
    state: join(state.folder, own),
    env: {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      SLUICE_STANDIN_FILE: state.failures,
      SLUICE_STANDIN_CARD: join(state.folder, `${own}-card`),
      ...env,
    },
  });

const device = async (pool: Pool, id: string): Promise<DeviceInfo> => {
  const found = (await pool.devices()).find((each) => each.id === id);
  if (found === undefined) throw new Error(`There is no ${id}.`);
  return found;
};

const closed = (pool: Pool, id: string): Promise<DeviceInfo> =>
  waitFor(`a cordon of ${id}`, async () => {
    const found = await device(pool, id);
    return found.cordon === null ? undefined : found;
  });

async function uncordon(server: TestServer, deviceId: string): Promise<void> {
  const admin = new contract.AdminService(server.grpc, credentials.createInsecure());
  await new Promise<void>((resolve, reject) => {
    admin.Uncordon({ deviceId }, (error) => (error === null ? resolve() : reject(error)));
  });
  admin.close();
}

const borrow = (pool: Pool) => pool.allocate({ memory: 64 * MiB, filters: ["device.id=cuda:0"] });

const usesStream = (gpu: Device): Promise<void> => {
  gpu.stream();
  return gpu.synchronize();
};

describe.skipIf(standinMissing !== undefined)("the health of CUDA devices", () => {
  /** Of two devices: each test leaves it as it was, the last but as it says. */
  let server: TestServer;
  let pool: Pool;
  const open = async (): Promise<void> => {
    server = await start({ devices: "cuda" });
    pool = await connect({ server: server.grpc });
  };
  const close = async (): Promise<void> => {
    await pool.close();
    await server.stop();
  };
  /** As an admin does: what the looks behind that find is new. */
  const reopen = async (id: string): Promise<void> => {
    await uncordon(server, id);
    const checkedAt = (await device(pool, id)).health?.checkedAtMs ?? 0;
    await waitFor("two looks", async () => ((await device(pool, id)).health?.checkedAtMs ?? 0) > checkedAt + 200);
    expect(await device(pool, id)).toMatchObject({ cordon: null, health: { problems: [] } });
  };
  beforeAll(open);
  afterAll(close);

  it("is listed with what the hardware tells", async () => {
    const found = await waitFor("the first look", async () => {
      const each = await device(pool, "cuda:1");
      return each.health === null ? undefined : each;
    });
    expect(found.health).toMatchObject({
      problems: [],
      throttling: ["power cap", "hardware thermal slowdown"],
      temperatureCelsius: 41,
      powerWatts: 123.457,
      utilization: 0.38,
      checkedAtMs: expect.any(Number),
    });
    // A number that is not told is not 0.
    inject("nvmlDeviceGetPowerUsage:3");
    const silent = await waitFor("a look without power", async () => {
      const { health } = await device(pool, "cuda:1");
      return health?.powerWatts === undefined ? health : undefined;
    });
    expect(silent).toMatchObject({ temperatureCelsius: 41, problems: [] });
  });

  it("measures what a lease takes beside its slice, and charges that", async () => {
    const found = await device(pool, "cuda:0");
    expect(found).toMatchObject({ overheadPerLeaseBytes: (96 + 256) * MiB, overheadEstimated: false });
    expect(found.sliceBytesMax).toBe((1024 - 96 - 256) * MiB);
    await using lease = await borrow(pool);
    const [gpu] = lease.devices;
    expect((await device(pool, gpu.id)).overheadBytes).toBe((96 + 256) * MiB);
  });

  it("closes a device that reports a hardware error, tells its leases and no others, and stays so until an admin opens it", async () => {
    const notices: [string, LeaseNotice][] = [];
    await using ill = await pool.allocate({ memory: 64 * MiB, filters: ["device.id=cuda:1"] });
    await using well = await pool.allocate({ memory: 64 * MiB, filters: ["device.id=cuda:0"] });
    ill.onNotice((notice) => notices.push(["ill", notice]));
    well.onNotice((notice) => notices.push(["well", notice]));
    inject("xid:1:79");
    const { cordon } = await closed(pool, "cuda:1");
    expect(cordon).toMatchObject({ code: "DEVICE_UNHEALTHY", message: expect.stringContaining("Xid [79]") });
    await waitFor("the notice", () => notices.length > 0);
    expect(notices).toMatchObject([["ill", { kind: "DEVICE_UNHEALTHY", deadlineAtMs: undefined }]]);
    expect((await device(pool, "cuda:0")).cordon).toBeNull();
    const refused = pool.allocate({ memory: 64 * MiB, filters: ["device.id=cuda:1"] });
    await expect(refused).rejects.toMatchObject({
      code: "NO_CAPACITY",
      details: { reasons: expect.arrayContaining([expect.objectContaining({ code: "DEVICE_UNHEALTHY" })]) },
    });
    // The lease lives on.
    const [gpu] = ill.devices;
    await gpu.synchronize();
    await reopen("cuda:1");
  });

  it("closes again a device that an admin opens while it is still ill", async () => {
    inject("nvmlDeviceGetHandleByUUID:15");
    expect((await closed(pool, "cuda:0")).cordon!.message).toContain("fallen off the bus");
    await uncordon(server, "cuda:0");
    expect((await closed(pool, "cuda:0")).cordon!.code).toBe("DEVICE_UNHEALTHY");
    inject("");
    await reopen("cuda:0");
  });

  it("is asked by a process that is replaced when it dies", async () => {
    await waitFor("the first look", async () => (await device(pool, "cuda:0")).health !== null);
    // Reading its answer crashes the process that asks.
    inject("nvmlDeviceGetTemperature:9998");
    await waitFor("its death", () => server.log().includes("The process that watches the devices ends"));
    inject("");
    const checkedAt = (await device(pool, "cuda:0")).health!.checkedAtMs;
    await waitFor("the next look", async () => (await device(pool, "cuda:0")).health!.checkedAtMs > checkedAt);
    expect((await device(pool, "cuda:0")).cordon).toBeNull();
  });

  it("is tried where an executor hangs in the driver and will not end when its lease is released", async () => {
    const lease = await borrow(pool);
    inject("cuStreamCreateWithPriority:9999,cuDevicePrimaryCtxRetain:999");
    const waiting = usesStream(lease.devices[0]).catch(() => undefined);
    await lease.release();
    await waiting;
    expect((await closed(pool, "cuda:0")).cordon!.code).toBe("DEVICE_UNHEALTHY");
    inject("");
    await reopen("cuda:0");
  });

  it("keeps a device closed over a restart", async () => {
    inject("uncorrected:2");
    expect((await closed(pool, "cuda:0")).cordon!.message).toContain("[2] new errors");
    await close();
    inject("");
    await open();
    expect((await device(pool, "cuda:0")).cordon).toMatchObject({
      code: "DEVICE_UNHEALTHY",
      message: expect.stringContaining("[2] new errors"),
    });
  });
});

describe.skipIf(standinMissing !== undefined)("the first look at CUDA devices", () => {
  it("says that the charge is estimated where NVML does not tell, and which device others have filled", async () => {
    const others = { SLUICE_STANDIN_OTHERS: "1000" };
    await using server = await start({
      devices: "cuda",
      own: "silent",
      env: { SLUICE_NVML_LIBRARY: "libnvidia-ml-that-is-not-there.so.1", ...others },
    });
    await using pool = await connect({ server: server.grpc });
    expect(await device(pool, "cuda:0")).toMatchObject({ overheadPerLeaseBytes: 768 * MiB, overheadEstimated: true });
    expect(server.log()).toContain("is estimated");
    expect(server.log()).toContain("Nothing tells how the CUDA devices are");
    const full = server
      .log()
      .split("\n")
      .filter((line) => line.includes("has no room for a lease now"));
    expect(full).toEqual([expect.stringContaining("cuda:0")]);
  });

  it("closes devices on which no context can be opened, and goes on", async () => {
    inject("cuDevicePrimaryCtxRetain:46");
    await using server = await start({ own: "failing" });
    await using pool = await connect({ server: server.grpc });
    expect((await device(pool, "cuda:0")).cordon).toMatchObject({
      code: "DEVICE_UNHEALTHY",
      message: expect.stringContaining("CUDA_ERROR_DEVICE_UNAVAILABLE"),
    });
  });
});

describe.skipIf(standinMissing !== undefined)("an executor that hangs in the driver", () => {
  it("is killed after its time-out, and its device is lent again, closed, or neither, by what a try of it gives", async () => {
    await using server = await start({ devices: "cuda", own: "hanging", args: ["--kernel-timeout", "200ms"] });
    await using pool = await connect({ server: server.grpc });
    const isFree = (): Promise<true> =>
      waitFor("its memory", async () => (await device(pool, "cuda:0")).grantedBytes === 0 || undefined);
    /** Has an executor hang, and these failures happen to whoever comes after it. */
    const hang = async (failures = ""): Promise<void> => {
      inject("");
      await using lease = await borrow(pool);
      inject(`cuStreamCreateWithPriority:9999${failures}`);
      await expect(usesStream(lease.devices[0])).rejects.toMatchObject({ code: "EXECUTOR_FAILED" });
      await isFree();
    };
    // A driver that takes its time for the first context, or for a program, does not hang.
    inject("cuDevicePrimaryCtxRetain:9997");
    {
      await using lease = await borrow(pool);
      inject("cuModuleLoadDataEx:9997");
      await lease.devices[0].load(knownKernels);
      inject("");
    }
    expect(server.log()).not.toContain("hangs in a driver");
    await hang();
    expect(server.log()).toContain("hangs in a driver");
    expect((await device(pool, "cuda:0")).cordon).toBeNull();
    // One that is merely full is none that fails.
    await hang(",cuDevicePrimaryCtxRetain:2");
    expect((await device(pool, "cuda:0")).cordon).toBeNull();
    await hang(",cuDevicePrimaryCtxRetain:999");
    expect((await closed(pool, "cuda:0")).cordon).toMatchObject({
      code: "DEVICE_UNHEALTHY",
      message: expect.stringContaining("CUDA_ERROR_UNKNOWN"),
    });
    expect((await device(pool, "cuda:1")).cordon).toBeNull();
    inject("");
    await uncordon(server, "cuda:0");
    // A kernel that never ends has its device tried, too.
    const lease = await borrow(pool);
    const [gpu] = lease.devices;
    const endless = (await gpu.load(knownKernels)).kernel("endless");
    endless.launch({ grid: 1, block: 1 }, [gpu.alloc(256)]);
    await expect(gpu.synchronize()).rejects.toMatchObject({ code: "KERNEL_TIMEOUT" });
    inject("cuDevicePrimaryCtxRetain:999");
    await lease.release().catch(() => undefined);
    expect((await closed(pool, "cuda:0")).cordon!.code).toBe("DEVICE_UNHEALTHY");
  });
});

it.skipIf(standinMissing !== undefined)(
  "a watch that is closed waits for nothing, whatever its process has said at that moment",
  async () => {
    const built = `${process.cwd()}/dist/modules/server`;
    const { DeviceMonitor } = (await import(
      `${built}/health/device-monitor.js`
    )) as typeof import("../../server/health/device-monitor.ts");
    const devices = await cudaDriver.discover("0");
    for (let round = 0; round < 2; round++) {
      const clock = new TestClock();
      const told: string[] = [];
      const monitor = new DeviceMonitor({
        devices,
        intervalMs: 0,
        clock,
        onHealth: (health) => told.push(...health.flatMap(({ problems }) => problems), "looked"),
        onLog: () => {},
      });
      monitor.start();
      await waitFor("a look", () => told.length > 3);
      // What it says while nobody listens comes behind the word that ends it.
      const until = performance.now() + 30;
      while (performance.now() < until);
      const closing = monitor.close();
      told.length = 0;
      await closing;
      clock.advance(600_000);
      expect(told).toEqual([]);
    }
  },
);
