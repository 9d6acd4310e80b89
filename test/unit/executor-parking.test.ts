/**
 * Sessions whose work is suspended, each kind of host device: what the memory holds is there again at every address, whatever was half done, and meanwhile it
 * is the system's.
 */
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, truncateSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { nullDriver } from "../../server/device/null/driver.ts";
import { SluiceError } from "../../shared/errors.ts";
import { DeviceStand, dataOf, drivers, patterned } from "../support/device-stand.ts";
import { ANSWERS, ARENA, callsFrame, MiB, raw } from "../support/raw-client.ts";
import { residentBytes } from "../support/resident.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const whole = patterned(8 * MiB);
/** The same bytes each time, not to be changed. */
const patternOf = (byteCount: number): Buffer => whole.subarray(0, byteCount);

let folder: string;
let stand: DeviceStand;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-parking-"));
});

afterEach(async () => {
  stand.session.refuse(new SluiceError("LEASE_ENDED", "The test is over."));
  await stand.end();
  expect(readdirSync(folder)).toEqual([]);
  expect(savedFiles()).toEqual([]);
  rmSync(folder, { recursive: true });
});

/** Files of this test that are open. */
function savedFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder) ? [`/proc/self/fd/${fd}`] : [];
    } catch {
      return [];
    }
  });
}

/** Writes bytes to the start of the arena, and waits until they are there. */
async function upload(bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += MiB)
    stand.client.send(callsFrame(raw.copyToDevice(ARENA + at, bytes.subarray(at, at + MiB))));
  stand.client.send(callsFrame(raw.memoryInfo()));
  await stand.answers(1);
}

/** Has something happen once, when the device's memory is looked at next. */
function whenLookedAt(then: () => void): void {
  const { device } = stand;
  const view = device.view!.bind(device);
  device.view = (...args) => {
    device.view = view;
    then();
    return view(...args);
  };
}

async function memory(byteCount: number): Promise<Buffer> {
  const offsets = Array.from({ length: Math.ceil(byteCount / MiB) }, (_, index) => index * MiB);
  stand.client.send(callsFrame(...offsets.map((at) => raw.copyFromDevice(ARENA + at, Math.min(MiB, byteCount - at)))));
  return Buffer.concat((await stand.answers(offsets.length)).map(dataOf));
}

test.each(drivers)("every byte is there again, and meanwhile the system has the memory, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver);
  const pattern = patternOf(8 * MiB);
  await upload(pattern);
  // A segment of the null device's.
  const view = stand.device.view!(ARENA + 4 * MiB, 4 * MiB)!;
  expect(residentBytes(view)).toBe(4 * MiB);
  await stand.parking.park(folder);
  expect(residentBytes(view)).toBeLessThan(MiB);
  // Of what was never written nothing.
  expect(stand.parking.savedBytes).toBeGreaterThan(8 * MiB);
  expect(stand.parking.savedBytes).toBeLessThan(8.1 * MiB);
  await stand.parking.unpark();
  expect(savedFiles()).toEqual([]);
  expect((await memory(8 * MiB)).equals(pattern)).toBe(true);
});

test("calls that come meanwhile wait, and are run in order afterwards", async () => {
  stand = await DeviceStand.start(nullDriver);
  await upload(patternOf(MiB));
  await stand.parking.park(folder);
  const { calls } = stand.usage;
  stand.client.send(callsFrame(raw.fill(ARENA, MiB, 1, 1), raw.copyFromDevice(ARENA, 16), raw.fill(ARENA, 8, 1, 2)));
  stand.client.send(callsFrame(raw.copyFromDevice(ARENA, 16)));
  await stand.parking.park(folder);
  expect(stand.usage.calls).toBe(calls);
  await stand.parking.unpark();
  const [first, second] = (await stand.answers(2)).map(dataOf);
  expect(first!.equals(Buffer.alloc(16, 1))).toBe(true);
  expect(second!.equals(Buffer.concat([Buffer.alloc(8, 2), Buffer.alloc(8, 1)]))).toBe(true);
});

test.each(drivers)("what a client has not read yet of a large answer stays what it was, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver);
  const { client, usage } = stand;
  const pattern = patternOf(8 * MiB);
  await upload(pattern);
  client.socket.pause();
  const before = usage.calls;
  client.send(callsFrame(...Array.from({ length: 7 }, (_, index) => raw.copyFromDevice(ARENA + index * MiB, MiB))));
  await waitFor("the reads to run", () => usage.calls === before + 7);
  await stand.parking.park(folder);
  client.socket.resume();
  expect(Buffer.concat((await stand.answers(7)).map(dataOf)).equals(pattern.subarray(0, 7 * MiB))).toBe(true);
  await stand.parking.unpark();
  expect((await memory(8 * MiB)).equals(pattern)).toBe(true);
});

test.each(drivers)(
  "a client that reads nothing does not keep its lease from being suspended, on $kind",
  async (driver) => {
    stand = await DeviceStand.start(driver);
    const { client } = stand;
    const pattern = patternOf(8 * MiB);
    await upload(pattern);
    client.socket.pause();
    const wanted = 40;
    client.send(
      callsFrame(...Array.from({ length: wanted }, (_, index) => raw.copyFromDevice(ARENA + (index % 8) * MiB, MiB))),
    );
    await waitFor("the session to wait for room", () => stand.views >= 8);
    await inTime("the park", stand.parking.park(folder));
    await inTime("going on", stand.parking.unpark());
    await stand.parking.park(folder);
    client.socket.resume();
    await stand.parking.unpark();
    const bodies = (await stand.answers(wanted)).map(dataOf);
    for (const [index, body] of bodies.entries())
      expect(body.equals(pattern.subarray((index % 8) * MiB, ((index % 8) + 1) * MiB)), `answer ${index}`).toBe(true);
  },
);

test.each(drivers)("a large copy that has come in part goes on where it was, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver);
  const pattern = patternOf(MiB);
  const copy = callsFrame(raw.copyToDevice(ARENA, pattern));
  const before = stand.usage.bytesReceived;
  for (const [from, to] of [
    [0, 41],
    [41, 300_000],
    [300_000, 700_000],
    [700_000, copy.length - 1],
  ] as const) {
    stand.client.send(copy.subarray(from, to));
    await waitFor("the piece to be read", () => stand.usage.bytesReceived >= before + to);
    await stand.parking.park(folder);
    await stand.parking.unpark();
  }
  expect(stand.places).toBe(1);
  await stand.parking.park(folder);
  // It comes while nothing may be written to the device.
  stand.client.send(copy.subarray(copy.length - 1));
  await stand.parking.unpark();
  expect((await memory(MiB)).equals(pattern)).toBe(true);
});

test("a connection that breaks meanwhile is taken up again, and its client hears that it is not forgotten", async () => {
  stand = await DeviceStand.start(nullDriver, 60_000, 20);
  const pattern = patternOf(MiB);
  const copy = callsFrame(raw.copyToDevice(ARENA, pattern));
  stand.client.send(copy.subarray(0, 500_000));
  await waitFor("a part of it to be read", () => stand.usage.bytesReceived > 500_000);
  await stand.parking.park(folder);
  stand.client.destroy();
  expect(await stand.connect(1)).toMatchObject({ executed: 2, received: 2 });
  stand.client.send(copy);
  for (let count = 0; count < 5; count++) {
    const next = await stand.client.next();
    if (next?.kind === ANSWERS) expect([next.count, next.ack]).toEqual([0, 2]);
  }
  stand.client.destroy();
  const position = await stand.connect(1);
  expect(position.executed).toBe(2);
  await stand.parking.unpark();
  if (position.received === 2) stand.client.send(copy);
  expect((await memory(MiB)).equals(pattern)).toBe(true);
});

test.each(drivers)("of what is free nothing is kept, and what is allocated stays, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver);
  const pattern = patternOf(4 * MiB);
  await upload(pattern);
  stand.client.send(callsFrame(raw.free(ARENA), raw.allocate(ARENA + MiB, MiB), raw.allocate(ARENA + 3 * MiB, 256)));
  stand.client.send(callsFrame(raw.memoryInfo()));
  await stand.answers(1);
  await stand.parking.park(folder);
  expect(stand.parking.savedBytes).toBeLessThan(MiB + 1024);
  await stand.parking.unpark();
  stand.client.send(callsFrame(raw.copyFromDevice(ARENA + MiB, MiB), raw.copyFromDevice(ARENA + 3 * MiB, 256)));
  const [first, second] = (await stand.answers(2)).map(dataOf);
  expect(first!.equals(pattern.subarray(MiB, 2 * MiB))).toBe(true);
  expect(second!.equals(pattern.subarray(3 * MiB, 3 * MiB + 256))).toBe(true);
});

test("a file that is no longer what was written ends the session, and nothing runs on wrong bytes", async () => {
  for (const spoil of ["byte", "cut"] as const) {
    stand = await DeviceStand.start(nullDriver);
    await upload(patternOf(4 * MiB));
    await stand.parking.park(folder);
    const [path] = savedFiles();
    if (spoil === "cut") truncateSync(path!, 3 * MiB);
    else {
      const fd = openSync(path!, "r+");
      writeSync(fd, Buffer.of(1, 2, 3, 4), 0, 4, 2 * MiB);
      closeSync(fd);
    }
    const { calls } = stand.usage;
    stand.client.send(callsFrame(raw.copyFromDevice(ARENA, 16)));
    void stand.parking.unpark();
    expect(await stand.client.refusal()).toBe("EXECUTOR_FAILED");
    await stand.session.ended;
    expect(stand.usage.calls).toBe(calls);
    if (spoil === "byte") await stand.end();
  }
});

test("a folder that takes no file refuses, and the job goes on", async () => {
  stand = await DeviceStand.start(nullDriver);
  const pattern = patternOf(4 * MiB);
  await upload(pattern);
  await expect(stand.parking.park("/proc/none")).rejects.toMatchObject({ code: "STORE_FAILED" });
  expect(stand.parking.state).toBe("running");
  expect((await memory(4 * MiB)).equals(pattern)).toBe(true);
});

test("memory that cannot be had again leaves all as it was, and the next try finds it", async () => {
  stand = await DeviceStand.start(nullDriver);
  const pattern = patternOf(4 * MiB);
  await upload(pattern);
  await stand.parking.park(folder);
  const { device } = stand;
  const retake = device.retakeMemory!.bind(device);
  device.retakeMemory = () => {
    throw new SluiceError("OUT_OF_MEMORY", "Another has it.");
  };
  for (let count = 0; count < 3; count++) {
    await expect(stand.parking.unpark()).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect(stand.parking.state).toBe("parked");
  }
  // As from a driver that gives back late what another had.
  device.retakeMemory = () => {
    device.retakeMemory = retake;
    throw new SluiceError("OUT_OF_MEMORY", "Another has it still.");
  };
  await stand.parking.unpark();
  expect((await memory(4 * MiB)).equals(pattern)).toBe(true);
});

test("a request to go on that comes early gives up what is under way", async () => {
  stand = await DeviceStand.start(nullDriver);
  const pattern = patternOf(4 * MiB);
  await upload(pattern);
  const wentOn = new Promise<void>((resolve) => whenLookedAt(() => resolve(stand.parking.unpark())));
  await expect(stand.parking.park(folder)).rejects.toMatchObject({ code: "CANCELLED" });
  await wentOn;
  expect(stand.parking.state).toBe("running");
  expect(savedFiles()).toEqual([]);
  expect((await memory(4 * MiB)).equals(pattern)).toBe(true);
});

test("requests that come all at once end in the last of them", async () => {
  stand = await DeviceStand.start(nullDriver);
  const pattern = patternOf(2 * MiB);
  await upload(pattern);
  const asked = ["park", "park", "unpark", "unpark", "park", "unpark", "park", "park"] as const;
  await Promise.allSettled(
    asked.map((what) => (what === "park" ? stand.parking.park(folder) : stand.parking.unpark())),
  );
  expect(stand.parking.state).toBe("parked");
  await Promise.all([stand.parking.unpark(), stand.parking.unpark(), stand.parking.unpark()]);
  expect(stand.parking.state).toBe("running");
  expect((await memory(2 * MiB)).equals(pattern)).toBe(true);
});

test("a session that ends while its memory is being saved, is saved, or comes back, ends at once", async () => {
  for (const when of ["saving", "saved", "returning"] as const) {
    stand = await DeviceStand.start(nullDriver);
    await upload(patternOf(4 * MiB));
    const end = (): void => stand.session.refuse(new SluiceError("LEASE_REVOKED", "An admin ends it."));
    if (when === "saving") whenLookedAt(end);
    await stand.parking.park(folder);
    const returned = when === "returning" ? stand.parking.unpark() : undefined;
    if (when !== "saving") end();
    await inTime("the end", stand.session.ended);
    await returned;
    expect(await stand.client.refusal()).toBe("LEASE_REVOKED");
    expect([when, stand.parking.state]).toEqual([when, when === "returning" ? "running" : "parked"]);
    expect(stand.parking.savedBytes).toBe(0);
    await stand.end();
    expect(savedFiles()).toEqual([]);
  }
  stand = await DeviceStand.start(nullDriver);
});

test("a kernel that has failed keeps its slice from being suspended, and the session tells its client as before", async () => {
  stand = await DeviceStand.start(cpuDriver);
  const trap = ".version 8.0\n.target sm_75\n.entry trap() { trap; }";
  stand.client.send(callsFrame(raw.imageWrite(1, trap.length, 0, Buffer.from(trap)), raw.moduleLoad(1, 1)));
  await stand.answers(1);
  stand.client.send(callsFrame(raw.launch({ module: 1 })));
  await waitFor("the launch", () => stand.usage.calls === 5);
  await expect(stand.parking.park(folder)).rejects.toMatchObject({ code: "KERNEL_TRAP" });
  expect(stand.parking.state).toBe("running");
});

test("a device that keeps its memory is refused by name", async () => {
  stand = await DeviceStand.start(nullDriver);
  delete stand.device.releaseMemory;
  Object.defineProperty(stand.device, "releaseMemory", { value: undefined });
  await expect(stand.parking.park(folder)).rejects.toMatchObject({
    code: "UNSUPPORTED",
    message: expect.stringContaining("[null]"),
  });
});
