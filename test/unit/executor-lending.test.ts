/**
 * Copies from the device that are sent from the device's own memory: what the client gets is what was there when the call ran, whatever follows,
 * however slowly it reads, and over whichever connection.
 */
import { afterEach, expect, test } from "vitest";
import { nullDriver } from "../../server/device/null/driver.ts";
import { SluiceError } from "../../shared/errors.ts";
import { DeviceStand, dataOf, drivers, MEMORY_BYTES, patterned } from "../support/device-stand.ts";
import { ARENA, callsFrame, MiB, raw } from "../support/raw-client.ts";
import { waitFor } from "../support/wait-for.ts";

let stand: DeviceStand;
afterEach(() => stand.end());

function uploaded(pattern: Buffer): Buffer[] {
  const calls: Buffer[] = [];
  for (let at = 0; at < pattern.length; at += MiB) {
    calls.push(callsFrame(raw.copyToDevice(ARENA + at, pattern.subarray(at, Math.min(pattern.length, at + MiB)))));
  }
  return calls;
}

test.each(drivers)("what a client has not read yet is what was there when the call ran, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver);
  const { client, usage } = stand;
  const pattern = patterned(8 * MiB);
  client.send(Buffer.concat([...uploaded(pattern), callsFrame(raw.memoryInfo())]));
  await stand.answers(1);
  client.socket.pause();
  const [before, views] = [usage.calls, stand.views];
  // More than the system takes at once, so that one of them is cut in the middle; less than a session keeps.
  const reads = Array.from({ length: 7 }, (_, index) => raw.copyFromDevice(ARENA + index * MiB, MiB));
  client.send(callsFrame(...reads, raw.fill(ARENA, MEMORY_BYTES, 1, 0xee), raw.free(ARENA)));
  await waitFor("all calls to run while nothing is read", () => usage.calls === before + 9);
  expect([stand.views - views, stand.reads]).toEqual([7, 0]);
  client.socket.resume();
  const bodies = await stand.answers(7);
  expect(Buffer.concat(bodies.map(dataOf)).equals(pattern.subarray(0, 7 * MiB))).toBe(true);
});

test.each(drivers)("any size at any address comes back as it was written, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver);
  const pattern = patterned(9 * MiB);
  stand.client.send(Buffer.concat(uploaded(pattern)));
  const sizes = [1, 32 * 1024 - 8, 32 * 1024, 32 * 1024 + 1, 100_007, 512 * 1024 + 4, MiB - 8, MiB - 1, MiB];
  // The borders of the null device's segments among them: before, over and behind.
  const offsets = [0, 3, 8, MiB + 12, 4 * MiB - MiB, 4 * MiB - 16, 4 * MiB, 8 * MiB - 70_000, 8 * MiB - 5];
  for (const byteCount of sizes) {
    stand.client.send(callsFrame(...offsets.map((offset) => raw.copyFromDevice(ARENA + offset, byteCount))));
    for (const [index, body] of (await stand.answers(offsets.length)).entries()) {
      const offset = offsets[index]!;
      const isEqual = dataOf(body).equals(pattern.subarray(offset, offset + byteCount));
      expect([offset, byteCount, isEqual]).toEqual([offset, byteCount, true]);
    }
  }
  expect(stand.views).toBeGreaterThan(sizes.length);
});

test("memory that was never written reads as zero", async () => {
  stand = await DeviceStand.start(nullDriver);
  stand.client.send(callsFrame(raw.copyFromDevice(ARENA + 16 * MiB, MiB)));
  const [body] = await stand.answers(1);
  expect(dataOf(body!).equals(Buffer.alloc(MiB))).toBe(true);
  expect(stand.views).toBe(0);
});

test.each(drivers)("a client that comes back gets again what was there when the call ran, on $kind", async (driver) => {
  stand = await DeviceStand.start(driver, 5_000);
  const { client, usage } = stand;
  const pattern = patterned(3 * MiB);
  client.send(Buffer.concat([...uploaded(pattern), callsFrame(raw.memoryInfo())]));
  await stand.answers(1);
  client.socket.pause();
  const [before, views] = [usage.calls, stand.views];
  client.send(callsFrame(...[0, 1, 2].map((index) => raw.copyFromDevice(ARENA + index * MiB, MiB))));
  await waitFor("the reads", () => usage.calls === before + 3);
  client.send(callsFrame(raw.fill(ARENA, MEMORY_BYTES, 1, 0xee)));
  await waitFor("the fill", () => usage.calls === before + 4);
  expect([stand.views - views, stand.reads]).toEqual([3, 0]);
  client.destroy();
  await stand.connect(2);
  expect(Buffer.concat((await stand.answers(3)).map(dataOf)).equals(pattern)).toBe(true);
  stand.session.refuse(new SluiceError("LEASE_ENDED", "The test is over."));
});

test("a client that goes in the middle of a copy ends its session", async () => {
  stand = await DeviceStand.start(nullDriver);
  const { client, session } = stand;
  client.send(Buffer.concat([...uploaded(patterned(8 * MiB)), callsFrame(raw.memoryInfo())]));
  await stand.answers(1);
  client.socket.pause();
  client.send(
    callsFrame(...Array.from({ length: 30 }, (_, index) => raw.copyFromDevice(ARENA + (index % 8) * MiB, MiB))),
  );
  await waitFor("more than the system takes", () => stand.views > 1);
  client.destroy();
  await session.ended;
});
