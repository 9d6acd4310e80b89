/** Frames that are kept for a second sending: their bytes are those that were given, however they lie. */
import { expect, test } from "vitest";
import { FrameLog, piecesOf } from "../../shared/wire/frame-log.ts";

const MiB = 1024 * 1024;

const bytesOf = (byteCount: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: byteCount }, (_, index) => (index * 31 + seed * 7) & 0xff);

const joined = (pieces: readonly Uint8Array[]): Buffer => Buffer.concat([...pieces]);

test("small frames, frames over the end of a block and frames with data are kept as they were given", () => {
  const log = new FrameLog({ freeBytesMax: MiB });
  const frames = [40, 400_000, 400_000, 400_000, 8, 3 * MiB, 104].map((byteCount, index) => bytesOf(byteCount, index));
  const kept = frames.map((head, index) => log.append(head, { mark: index + 1 }));
  const bulk = bytesOf(100_001, 99);
  const head = bytesOf(64, 98);
  const withData = log.append(head, { mark: frames.length + 1, bulk, use: "adopt" });
  for (const [index, frame] of frames.entries()) {
    expect(joined(piecesOf(kept[index]!)).equals(frame)).toBe(true);
  }
  expect(joined(piecesOf(withData)).equals(Buffer.concat([head, bulk, Buffer.alloc(7)]))).toBe(true);
  expect([...log.entries()].map(({ mark }) => mark)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  log.releaseUpTo(3);
  expect([...log.entries()].map(({ pieces }) => joined(pieces).byteLength)).toEqual([
    400_000,
    8,
    3 * MiB,
    104,
    100_072,
  ]);
  log.releaseUpTo(8);
  expect(log.byteLength).toBe(0);
});

test("the rest of a frame begins at any byte, also behind the end of a block", () => {
  const log = new FrameLog({ freeBytesMax: MiB });
  log.append(bytesOf(MiB - 24, 1), { mark: 1 });
  const frame = bytesOf(64, 2);
  const across = log.append(frame, { mark: 2 });
  const whole = log.append(frame, { mark: 3 });
  expect(piecesOf(across)).toHaveLength(2);
  expect(piecesOf(whole)).toHaveLength(1);
  for (let from = 0; from < frame.byteLength; from++) {
    expect(joined(piecesOf(across, from)).equals(frame.subarray(from))).toBe(true);
    expect(joined(piecesOf(whole, from)).equals(frame.subarray(from))).toBe(true);
  }
});

test("memory of released frames is used again, and frames that are kept stay as they are", () => {
  const log = new FrameLog({ freeBytesMax: 4 * MiB });
  const first = bytesOf(1000, 1);
  const kept = log.append(first, { mark: 1 });
  for (let mark = 2; mark < 900; mark++) {
    log.append(bytesOf(1000, mark), { mark });
    if (mark % 7 === 0) expect(joined(piecesOf(kept)).equals(first)).toBe(true);
  }
  expect(log.byteLength).toBe(899 * 1000);
  log.releaseUpTo(898);
  expect([...log.entries()].map(({ pieces }) => joined(pieces).equals(bytesOf(1000, 899)))).toEqual([true]);
});
