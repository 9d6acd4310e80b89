/**
 * Copies from the device that are sent from the device's own memory, as to a client that cannot resume: what the client gets is what was
 * there when the call ran, whatever follows, and however slowly it reads.
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
  const before = usage.calls;
  // More than the system takes at once, so that some of them are cut in the middle.
  const reads = Array.from({ length: 8 }, (_, index) => raw.copyFromDevice(ARENA + index * MiB, MiB));
  client.send(callsFrame(...reads, raw.fill(ARENA, MEMORY_BYTES, 1, 0xee), raw.free(ARENA)));
  await waitFor("all calls to run while nothing is read", () => usage.calls === before + 10);
  expect(stand.views).toBeGreaterThan(0);
  expect(stand.reads).toBeGreaterThan(0);
  client.socket.resume();
  const bodies = await stand.answers(8);
  expect(Buffer.concat(bodies.map(dataOf)).equals(pattern)).toBe(true);
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

test("a client that may resume is never sent the device's own memory", async () => {
  stand = await DeviceStand.start(nullDriver, 5_000);
  const pattern = patterned(MiB);
  stand.client.send(Buffer.concat([...uploaded(pattern), callsFrame(raw.copyFromDevice(ARENA, MiB))]));
  const [body] = await stand.answers(1);
  expect(dataOf(body!).equals(pattern)).toBe(true);
  expect(stand.views).toBe(0);
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
  await waitFor("the system to be full", () => stand.reads > 0);
  client.destroy();
  await session.ended;
});
