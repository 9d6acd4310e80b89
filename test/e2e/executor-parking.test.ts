/**
 * Real executors whose lease is suspended, with the test as their daemon: jobs come to the same end as one that is never suspended, the host gets its memory, and whatever
 * dies, fills up or is spoiled on the way costs what it must and no more.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "sluice";
import { afterEach, describe, expect, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { SluiceError } from "../../shared/errors.ts";
import { openClient } from "../support/client-on-stand.ts";
import { DaemonStand } from "../support/daemon-stand.ts";
import { executorsOf, isAlive } from "../support/processes.ts";
import { startServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;
const drivers = [cpuDriver, nullDriver];

let stand: DaemonStand;
afterEach(() => stand?.close());

const closed = (): SluiceError => new SluiceError("CLOSED", "The test is over.");

const residentMiB = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${stand.pid}/status`, "utf8"))![1]) / 1024;

function bytesOf(byteCount: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(byteCount / 4);
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index ^ seed, 0x9e3779b1);
  return new Uint8Array(words.buffer);
}

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

async function failureOf(work: Promise<unknown>): Promise<SluiceError> {
  const error = await inTime("a failure", work).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof SluiceError || (error as SluiceError | undefined)?.code !== undefined)
    return error as SluiceError;
  throw new Error(`It did not fail so [${error}].`);
}

/** Every thread changes its word by what its neighbour's was; each launch depends on all before it. */
const mix = `.version 8.0
.target sm_80
.address_size 64
.visible .entry mix(.param .u64 from, .param .u64 to, .param .u32 mask, .param .u32 step) {
.reg .b32 %r<12>; .reg .b64 %rd<8>;
ld.param.u64 %rd1, [from]; ld.param.u64 %rd2, [to]; ld.param.u32 %r1, [mask]; ld.param.u32 %r2, [step];
mov.u32 %r3, %ctaid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %tid.x; mad.lo.u32 %r6, %r3, %r4, %r5;
add.u32 %r7, %r6, %r2; and.b32 %r7, %r7, %r1;
mul.wide.u32 %rd3, %r7, 4; add.u64 %rd4, %rd1, %rd3; ld.global.u32 %r8, [%rd4];
mul.wide.u32 %rd5, %r6, 4; add.u64 %rd6, %rd1, %rd5; ld.global.u32 %r9, [%rd6];
mad.lo.u32 %r10, %r8, 31, %r9; add.u32 %r10, %r10, %r2;
add.u64 %rd7, %rd2, %rd5; st.global.u32 [%rd7], %r10; ret;
}`;

const WORDS = 64 * 1024;

/** Runs for `rounds` and returns all that is in memory then. */
async function mixed(gpu: Awaited<ReturnType<typeof openClient>>["gpu"], rounds: number): Promise<Uint32Array> {
  const kernel = (await gpu.load(mix)).kernel("mix");
  let [from, to] = [gpu.upload(bytesOf(4 * WORDS, 5)), gpu.alloc(4 * WORDS)];
  for (let round = 1; round <= rounds; round++) {
    kernel.launch({ grid: WORDS / 256, block: 256 }, [from, to, WORDS - 1, round]);
    [from, to] = [to, from];
    if (round % 8 === 0) await gpu.synchronize();
  }
  return from.read(Uint32Array);
}

test("a job that writes all the time comes to the same bytes, however often it is parked", async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
  const first = await openClient(stand, stand.path);
  const expected = await mixed(first.gpu, 80);
  await first.session.close(closed());
  const { gpu, session } = await openClient(stand, stand.address);
  let isOver = false;
  const job = mixed(gpu, 80).finally(() => {
    isOver = true;
  });
  let parks = 0;
  for (; !isOver; parks++) {
    await stand.executor.park();
    await stand.executor.unpark();
  }
  expect(same(new Uint8Array((await job).buffer), new Uint8Array(expected.buffer))).toBe(true);
  expect(parks).toBeGreaterThan(3);
  await session.close(closed());
});

test.each(drivers)(
  "the host has the memory while a lease on $kind is parked, and the disk its own again afterwards",
  async (driver) => {
    stand = await DaemonStand.start({ driver, spec: "1x128MiB", arenaBytes: 128 * MiB });
    const { gpu, session } = await openClient(stand, stand.path);
    const bytes = bytesOf(8 * MiB, 1);
    const buffer = gpu.alloc(64 * MiB);
    for (let at = 0; at < buffer.byteLength; at += bytes.byteLength) {
      buffer.write(bytes, { offset: at });
      await gpu.flush();
    }
    const sparse = gpu.alloc(32 * MiB);
    await gpu.synchronize();
    const before = residentMiB();
    const { savedBytes } = await stand.executor.park();
    // All but what the process needed to save it.
    expect(before - residentMiB()).toBeGreaterThan(32);
    // What was never written is not saved.
    expect(savedBytes).toBeGreaterThan(64 * MiB);
    expect(savedBytes).toBeLessThan(65 * MiB);
    expect(stand.savedBytes()).toBeGreaterThanOrEqual(savedBytes);
    expect(stand.files().filter((file) => file.includes("saved"))).toEqual([]);
    await stand.executor.unpark();
    expect(stand.savedFiles()).toEqual([]);
    for (let at = 0; at < buffer.byteLength; at += bytes.byteLength)
      expect(same(await buffer.read(Uint8Array, { offset: at, length: bytes.byteLength }), bytes)).toBe(true);
    expect((await sparse.read(Uint8Array, { offset: 30 * MiB, length: 64 })).every((byte) => byte === 0)).toBe(true);
    await session.close(closed());
  },
);

test("what a suspended lease holds is saved where the admin says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-suspended-"));
  const server = await startServer({ args: ["--device", "cpu:1x64MiB", "--suspend-dir", `${folder}/deeper`] });
  try {
    await using pool = await connect({ server: server.grpc, lease: "" });
    await using lease = await pool.allocate({ memory: "32MiB" });
    const [gpu] = lease.devices;
    const bytes = bytesOf(4 * MiB, 1);
    const buffer = gpu.upload(bytes);
    await gpu.synchronize();
    await lease.suspend();
    const { pid } = executorsOf(server.state).find(({ leaseId }) => leaseId === lease.id)!;
    const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    expect(links.filter((link) => link.startsWith(`${folder}/deeper/saved-`))).toHaveLength(1);
    expect(readdirSync(join(folder, "deeper"))).toEqual([]);
    await lease.resume();
    expect(same(await buffer.read(Uint8Array), bytes)).toBe(true);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
});

test("a full disk refuses the suspension, and the job goes on", async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
  const { gpu } = await openClient(stand, stand.path);
  const bytes = bytesOf(16 * MiB, 1);
  const buffer = gpu.upload(bytes);
  await gpu.synchronize();
  const limit = (size: string): void => {
    execFileSync("prlimit", ["--pid", String(stand.pid), `--fsize=${size}:unlimited`]);
  };
  for (const size of ["0", String(5 * MiB + 77)]) {
    limit(size);
    const refused = await failureOf(stand.executor.park());
    expect([refused.code, refused.message]).toEqual(["STORE_FAILED", expect.stringContaining("EFBIG")]);
    expect(stand.savedFiles()).toEqual([]);
    expect(same(await buffer.read(Uint8Array), bytes)).toBe(true);
  }
  limit("unlimited");
  await stand.executor.park();
  await stand.executor.unpark();
  expect(same(await buffer.read(Uint8Array), bytes)).toBe(true);
});

test("a file that was spoiled ends the lease, with a word why, before anything runs on wrong bytes", async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
  const { gpu, failures } = await openClient(stand, stand.path);
  const buffer = gpu.upload(bytesOf(4 * MiB, 1));
  await gpu.synchronize();
  await stand.executor.park();
  const reading = failureOf(buffer.read(Uint8Array));
  const fd = openSync(stand.savedFiles()[0]!, "r+");
  writeSync(fd, Buffer.of(1, 2, 3), 0, 3, 3 * MiB);
  closeSync(fd);
  const refused = await failureOf(stand.executor.unpark());
  expect([refused.code, refused.message]).toEqual([
    "EXECUTOR_FAILED",
    expect.stringContaining("is not what was written"),
  ]);
  expect(await reading).toMatchObject({
    code: "EXECUTOR_FAILED",
    message: expect.stringContaining("is not what was written"),
  });
  expect(failures).toMatchObject([{ code: "EXECUTOR_FAILED" }]);
  expect(await inTime("its end", stand.executor.exited)).toContain("is not what was written");
  expect(stand.files()).toEqual([]);
});

describe("a daemon that dies", () => {
  test("leaves an executor that parks to the next one, which finds it so, and can go on with it", async () => {
    stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
    const { gpu, session } = await openClient(stand, stand.path);
    const bytes = bytesOf(16 * MiB, 1);
    const buffer = gpu.upload(bytes);
    await gpu.synchronize();
    for (const [when, states] of [
      ["before it is asked", ["running"]],
      ["as it begins", ["parking", "parked"]],
      ["when it is parked", ["parked"]],
      ["as it goes on", ["unparking", "running"]],
    ] as const) {
      // Nobody is there to hear of it.
      const parked = when === "before it is asked" ? undefined : stand.executor.park();
      parked?.catch(() => {});
      if (when === "as it begins") await waitFor("the file", () => stand.savedFiles().length === 1);
      if (when === "when it is parked" || when === "as it goes on") await parked;
      if (when === "as it goes on") {
        stand.executor.unpark().catch(() => {});
        await new Promise((resolve) => setImmediate(resolve));
      }
      const hello = await stand.restart();
      expect(states, when).toContain(hello.parkState);
      if (when === "when it is parked") expect(hello.savedBytes).toBeGreaterThan(16 * MiB);
      const reading = buffer.read(Uint8Array);
      expect((await stand.executor.park()).savedBytes, when).toBeGreaterThan(16 * MiB);
      await stand.executor.park();
      await stand.executor.unpark();
      expect(same(await reading, bytes), when).toBe(true);
      expect(stand.savedFiles(), when).toEqual([]);
    }
    await session.close(closed());
  });

  test("and none comes back ends a parked executor too, which tells its client", async () => {
    stand = await DaemonStand.start({
      driver: nullDriver,
      spec: "1x64MiB",
      arenaBytes: 64 * MiB,
      orphanTimeoutMs: 300,
    });
    const { gpu } = await openClient(stand, stand.path);
    const buffer = gpu.upload(bytesOf(MiB, 1));
    await gpu.synchronize();
    await stand.executor.park();
    const { pid } = stand;
    const reading = failureOf(buffer.read(Uint8Array));
    stand.executor.leave();
    expect((await reading).message).toContain("No server comes back");
    await waitFor("its end", () => !isAlive(pid));
  });
});

describe("an executor that is killed", () => {
  test.each(["as it parks", "when it is parked", "as it goes on"] as const)("%s leaves nothing", async (when) => {
    stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
    const { gpu } = await openClient(stand, stand.path);
    gpu.upload(bytesOf(16 * MiB, 1));
    await gpu.synchronize();
    const parked = stand.executor.park().then(() => "parked", failureCode);
    if (when === "as it parks") await waitFor("the file", () => stand.savedFiles().length === 1);
    else await parked;
    const wentOn = when === "as it goes on" ? stand.executor.unpark().then(() => "running", failureCode) : undefined;
    process.kill(stand.pid, "SIGKILL");
    await inTime("its end", stand.executor.exited);
    // It may be done with it before it is killed.
    if (when === "as it parks") expect(["EXECUTOR_FAILED", "parked"]).toContain(await parked);
    else expect(await parked).toBe("parked");
    if (wentOn !== undefined) expect(await wentOn).toBe("EXECUTOR_FAILED");
    expect(stand.files()).toEqual([]);
    expect((await failureOf(stand.executor.unpark())).code).toBe("EXECUTOR_FAILED");
  });
});

const failureCode = (error: SluiceError): string => error.code;

test("a lease that is ended while it is parked tells its client why, at once", async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
  const { gpu } = await openClient(stand, stand.path);
  const buffer = gpu.upload(bytesOf(8 * MiB, 1));
  await gpu.synchronize();
  await stand.executor.park();
  const reading = failureOf(buffer.read(Uint8Array));
  expect(await inTime("its end", stand.executor.end("LEASE_REVOKED", "An admin ends it."))).toBe("left");
  expect((await reading).code).toBe("LEASE_REVOKED");
  expect(stand.files()).toEqual([]);
});

test("a parked executor is not idle, keeps its slices' sizes, and takes a new client that waits", async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB });
  expect(await stand.executor.park()).toEqual({ savedBytes: 0 });
  const opening = openClient(stand, stand.path);
  await waitFor("the session", () => stand.said.some(({ kind }) => kind === "sessionStarted"));
  stand.executor.send({ kind: "resize", index: 0, arenaBytes: 32 * MiB });
  const resized = await waitFor("the refusal", () => stand.said.find((message) => message.kind === "resized"));
  expect(resized).toMatchObject({ error: { code: "SESSION_BUSY" } });
  await waitFor("it to say so", () => stand.said.some((message) => message.kind === "active" && message.isBusy));
  await stand.executor.unpark();
  const { gpu, session } = await opening;
  expect([...(await gpu.upload(Uint8Array.of(7)).read(Uint8Array))]).toEqual([7]);
  await session.close(closed());
});

test("a kernel under way ends before its lease is parked, or meets its time-out, after which there is nothing to save", async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x64MiB", arenaBytes: 64 * MiB, kernelTimeoutMs: 3_000 });
  const { gpu } = await openClient(stand, stand.path);
  const endless = ".version 8.0\n.target sm_75\n.entry endless() { L: bra L; }";
  const kernel = (await gpu.load(endless)).kernel("endless");
  kernel.launch({ grid: 1, block: 1 }, []);
  void gpu.flush().catch(() => {});
  await waitFor("the launch", () => stand.said.some((message) => message.kind === "active" && message.isBusy));
  expect((await failureOf(stand.executor.park())).code).toBe("KERNEL_TIMEOUT");
  expect((await failureOf(Promise.resolve(gpu.synchronize()))).code).toBe("KERNEL_TIMEOUT");
});
