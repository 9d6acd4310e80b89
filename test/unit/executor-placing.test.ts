/**
 * Copies to the device whose data is read straight into its memory: what is there once the call has run is what the client sent, however it comes
 * and wherever its connection breaks; and nothing is written where the call may not write.
 */
import { afterEach, expect, test } from "vitest";
import { nullDriver } from "../../server/device/null/driver.ts";
import { SluiceError } from "../../shared/errors.ts";
import { DeviceStand, dataOf, drivers, MEMORY_BYTES, patterned } from "../support/device-stand.ts";
import { createRandom } from "../support/random.ts";
import { ANSWERS, ARENA, call, callsFrame, frame, MiB, raw } from "../support/raw-client.ts";
import { waitFor } from "../support/wait-for.ts";

const KiB = 1024;

let stand: DeviceStand;
afterEach(async () => {
  stand.session.refuse(new SluiceError("LEASE_ENDED", "The test is over."));
  await stand.end();
});

/** What the device has in the first `byteCount` bytes of its memory. */
async function memory(byteCount: number): Promise<Buffer> {
  const offsets = Array.from({ length: Math.ceil(byteCount / MiB) }, (_, index) => index * MiB);
  stand.client.send(callsFrame(...offsets.map((at) => raw.copyFromDevice(ARENA + at, Math.min(MiB, byteCount - at)))));
  return Buffer.concat((await stand.answers(offsets.length)).map(dataOf));
}

/** Sends bytes in pieces, each when the executor has read the one before. */
async function sendInPieces(bytes: Buffer, pieceBytes: () => number): Promise<void> {
  const before = stand.usage.bytesReceived;
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + pieceBytes());
    stand.client.send(piece);
    at += piece.length;
    await waitFor("the piece to be read", () => stand.usage.bytesReceived >= before + at);
  }
}

test.each(drivers)("any copies, cut anywhere, leave on $kind what was sent", async (driver) => {
  stand = await DeviceStand.start(driver);
  const random = createRandom(3);
  const below = (bound: number): number => Math.floor(random() * bound);
  const expected = Buffer.alloc(10 * MiB);
  const frames: Buffer[] = [];
  for (let index = 0; index < 40; index++) {
    const data = patterned(MiB + 64)
      .subarray(4 * below(16))
      .subarray(0, index % 4 === 3 ? below(200_000) : 8 * below(131_073));
    // Over the borders of the null device's segments too.
    const offset = below(expected.length - data.length);
    data.copy(expected, offset);
    frames.push(callsFrame(raw.copyToDevice(ARENA + offset, data)));
    if (index % 5 === 0) frames.push(callsFrame(raw.fill(ARENA + offset, 8, 1, index)));
    if (index % 5 === 0) expected.fill(index, offset, offset + 8);
  }
  const bytes = Buffer.concat(frames);
  await sendInPieces(bytes, () => 1 + below(700_000));
  expect((await memory(expected.length)).equals(expected)).toBe(true);
  expect(stand.places).toBeGreaterThan(10);
});

test.each(drivers)(
  "a copy that was cut in the middle is done when it comes again, on $kind, and once",
  async (driver) => {
    stand = await DeviceStand.start(driver, 60_000);
    const pattern = patterned(MiB);
    const copy = callsFrame(raw.copyToDevice(ARENA, pattern));
    let calls = 2;
    for (const cut of [41, 100, 300_000, copy.length - 8, copy.length - 1]) {
      const position = await stand.connect(1);
      expect(position).toMatchObject({ executed: calls, received: calls });
      await sendInPieces(copy.subarray(0, cut), () => 200_000);
      stand.client.destroy();
    }
    expect(stand.places).toBeGreaterThanOrEqual(5);
    await stand.connect(1);
    stand.client.send(copy);
    calls++;
    await waitFor("the copy to run", () => stand.usage.calls === calls);
    // Now it has run, and what comes behind it changes what it wrote: a second time would undo that.
    expect(await stand.connect(1)).toMatchObject({ executed: calls, received: calls });
    stand.client.send(callsFrame(raw.fill(ARENA, 16, 1, 0xee)));
    pattern.fill(0xee, 0, 16);
    expect((await memory(MiB)).equals(pattern)).toBe(true);
  },
);

test("a copy that has come whole while a call holds the session up counts as received when its connection breaks", async () => {
  stand = await DeviceStand.start(nullDriver, 60_000);
  const pattern = patterned(MiB);
  const copy = callsFrame(raw.copyToDevice(ARENA, pattern));
  await sendInPieces(copy.subarray(0, 500_000), () => 500_000);
  expect(stand.places).toBe(1);
  let release = (): void => {};
  const held = stand.session.between(
    () =>
      new Promise((resolve) => {
        release = resolve;
      }),
  );
  await sendInPieces(copy.subarray(500_000), () => MiB);
  stand.client.destroy();
  const position = await stand.connect(1);
  expect(position).toMatchObject({ executed: 2, received: 3 });
  release();
  await held;
  await waitFor("the copy to run", () => stand.usage.calls === 3);
  expect((await memory(MiB)).equals(pattern)).toBe(true);
});

test("a client that stops in the middle of a large copy is told what has run, holds up nothing but its session, and may go on", async () => {
  stand = await DeviceStand.start(nullDriver);
  const pattern = patterned(8 * MiB);
  const frames = Array.from({ length: 8 }, (_, index) =>
    callsFrame(raw.copyToDevice(ARENA + index * MiB, pattern.subarray(index * MiB, (index + 1) * MiB))),
  );
  const bytes = Buffer.concat(frames);
  const stop = 5 * frames[0]!.length + 300_000;
  stand.client.send(bytes.subarray(0, stop));
  // The attachment and the allocation are calls too.
  let acknowledged = 0;
  while (acknowledged < 7) {
    const next = await stand.client.next();
    expect(next).toMatchObject({ kind: ANSWERS, count: 0 });
    expect(next!.ack).toBeGreaterThan(acknowledged);
    acknowledged = next!.ack;
  }
  expect(acknowledged).toBe(7);
  // What the daemon wants of the executor does not wait for the rest.
  let isChanged = false;
  await stand.session.between(async () => {
    isChanged = true;
  });
  expect(isChanged).toBe(true);
  stand.client.send(bytes.subarray(stop));
  expect((await memory(pattern.length)).equals(pattern)).toBe(true);
});

test("a session that is ended in the middle of a large copy says so at once, and takes nothing more of it", async () => {
  stand = await DeviceStand.start(nullDriver);
  const copy = callsFrame(raw.copyToDevice(ARENA, patterned(MiB)));
  await sendInPieces(copy.subarray(0, 500_000), () => 500_000);
  stand.session.refuse(new SluiceError("LEASE_ENDED", "The lease is revoked."));
  stand.client.send(copy.subarray(500_000));
  expect(await stand.client.refusal()).toBe("LEASE_ENDED");
  expect(stand.usage.calls).toBe(2);
});

const wrong: readonly (readonly [string, Buffer])[] = [
  ["beyond the arena", raw.copyToDevice(ARENA + MEMORY_BYTES - MiB + 8, patterned(MiB))],
  ["of another stream", raw.copyToDevice(ARENA, patterned(MiB), 7)],
];

test.each(wrong)(
  "a copy %s writes nothing, tells, and the session in error reads and forgets what follows",
  async (_what, copy) => {
    stand = await DeviceStand.start(nullDriver);
    stand.client.send(Buffer.concat([callsFrame(copy), callsFrame(raw.copyToDevice(ARENA, patterned(MiB)))]));
    stand.client.send(callsFrame(raw.memoryInfo()));
    let answer = await stand.client.next();
    // Frames without answers acknowledge.
    while (answer?.count === 0) answer = await stand.client.next();
    expect(answer?.payload.readUInt32LE(4)).not.toBe(0);
    expect(stand.places).toBe(0);
  },
);

const malformed: readonly (readonly [string, Buffer])[] = [
  ["a count of calls that is wrong", frame(4, raw.copyToDevice(ARENA, patterned(MiB)), 2)],
  [
    "a call that is longer than its data",
    frame(4, call(4, ["u64", ARENA], ["u32", 0], ["u32", MiB], ["bytes", patterned(MiB)]), 1),
  ],
  ["more data than a call may have", callsFrame(raw.copyToDevice(ARENA, patterned(MiB + 8)))],
];

test.each(malformed)("%s breaks the format before anything is written", async (_what, bytes) => {
  stand = await DeviceStand.start(nullDriver);
  stand.client.send(bytes);
  expect(await stand.client.refusal()).toBe("PROTOCOL_ERROR");
  expect(stand.places).toBe(0);
});

test("small copies, and those that share a frame, go the ordinary way", async () => {
  stand = await DeviceStand.start(nullDriver);
  const pattern = patterned(256 * KiB);
  await sendInPieces(callsFrame(raw.copyToDevice(ARENA, pattern.subarray(0, 8 * KiB))), () => 4 * KiB);
  const two = [raw.copyToDevice(ARENA, pattern), raw.fill(ARENA, 8, 1, 7)];
  await sendInPieces(callsFrame(...two), () => 100 * KiB);
  pattern.fill(7, 0, 8);
  expect((await memory(256 * KiB)).equals(pattern)).toBe(true);
  expect(stand.places).toBe(0);
});
