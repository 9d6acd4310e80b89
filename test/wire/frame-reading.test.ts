/** Frames that are read straight into place, and frames whose large data is sent from where it lies. */
import { describe, expect, it } from "vitest";
import {
  decodeCopyToDeviceCall,
  encodeCopyToDeviceCall,
  encodeFreeCall,
  FrameKind,
  Opcode,
} from "../../shared/generated/calls.ts";
import { callsOf, FrameReader, FrameWriter } from "../../shared/wire/frame.ts";
import { MemoryPool } from "../../shared/wire/memory-pool.ts";
import { padTo8 } from "../../shared/wire/wire-buffer.ts";
import { createRandom } from "../support/random.ts";

const KiB = 1024;

function copyFrame(byteCount: number, value: number): Uint8Array {
  const writer = new FrameWriter();
  const data = new Uint8Array(byteCount).fill(value);
  writer.call(Opcode.copyToDevice, { address: 4096, stream: 0, data }, encodeCopyToDeviceCall);
  return writer.finish(FrameKind.CALLS, value).slice();
}

/** Reads a stream as a transport does: at most `most` bytes at a time, into the space that the reader gives. */
function* readInPlace(stream: Uint8Array, most: () => number): Generator<{ ack: number; data: Uint8Array }> {
  const reader = new FrameReader();
  for (let at = 0; at < stream.byteLength; ) {
    const space = reader.space();
    if (space === undefined) throw new Error("There is no space.");
    const part = stream.subarray(at, at + Math.min(space.byteLength, most()));
    space.set(part);
    reader.filled(part.byteLength);
    at += part.byteLength;
    for (let frame = reader.next(); frame; frame = reader.next()) {
      const [call] = callsOf(frame);
      yield { ack: frame.ack, data: decodeCopyToDeviceCall(frame.buffer, call!.start, call!.end).data.slice() };
    }
  }
}

describe("a reader that is read into", () => {
  const sizes = [0, 1, 100, 5 * KiB, 300 * KiB, 64 * KiB, 1024 * KiB, 256 * KiB, 7, 1024 * KiB, 40 * KiB];
  const stream = Buffer.concat(sizes.map((size, index) => copyFrame(size, index + 1)));

  it("gives the same frames however the bytes come", () => {
    const random = createRandom(7);
    for (const most of [() => 1 << 30, () => 65_536, () => 1 + Math.floor(random() * 100_000), () => 4097]) {
      const frames = [...readInPlace(stream, most)];
      expect(frames.map(({ ack }) => ack)).toEqual(sizes.map((_size, index) => index + 1));
      expect(frames.map(({ data }) => data.byteLength)).toEqual(sizes);
      for (const { ack, data } of frames) expect(data.every((byte) => byte === ack)).toBe(true);
    }
  });

  it("offers the rest of a large frame and nothing behind it", () => {
    const reader = new FrameReader();
    const frame = copyFrame(1024 * KiB, 1);
    const first = reader.space()!;
    first.set(frame.subarray(0, 16));
    reader.filled(16);
    expect(reader.next()).toBeUndefined();
    expect(reader.space()!.byteLength).toBe(frame.byteLength - 16);
  });

  it("offers the same view again while nothing came", () => {
    const reader = new FrameReader();
    expect(reader.space()).toBe(reader.space());
  });

  it("leaves a held frame alone, and takes what is pushed when there is no space", () => {
    const reader = new FrameReader();
    reader.push(copyFrame(200 * KiB, 1));
    const held = reader.next()!;
    for (let more = reader.space(); more !== undefined; more = reader.space()) {
      more.fill(0);
      reader.filled(more.byteLength);
    }
    const [call] = callsOf(held);
    const { data } = decodeCopyToDeviceCall(held.buffer, call!.start, call!.end);
    reader.push(new Uint8Array(300 * KiB));
    expect(data.every((byte) => byte === 1)).toBe(true);
  });
});

describe("data that is read to its place", () => {
  const HEAD_BYTES = 24;

  /** Places what it can, when it can and `wants` to, as a session does: now or while a space is already given. Returns each frame's data. */
  function* readPlaced(
    stream: Uint8Array,
    { most, wants }: { most: () => number; wants: () => boolean },
  ): Generator<{ ack: number; data: Uint8Array; placed: boolean }> {
    const reader = new FrameReader();
    const place = (): void => {
      const begun = reader.begun();
      if (begun === undefined || begun.payloadBytes < HEAD_BYTES || begun.byteCount < 4 * KiB || !wants()) return;
      const dataBytes = begun.buffer.u32[(begun.start >> 2) + 5]!;
      if (dataBytes % 8 > 0) return;
      reader.place(HEAD_BYTES, new Uint8Array(dataBytes).fill(255));
    };
    for (let at = 0; at < stream.byteLength; ) {
      const space = reader.space();
      if (wants()) place();
      const part = stream.subarray(at, at + Math.min(space?.byteLength ?? most(), most()));
      if (space === undefined) reader.push(part);
      else {
        space.set(part);
        reader.filled(part.byteLength);
      }
      at += part.byteLength;
      for (let frame = reader.next(); frame; frame = reader.next()) {
        const { ack, placed } = frame;
        if (placed !== undefined) {
          expect(frame.end - frame.start).toBe(HEAD_BYTES);
          yield { ack, data: placed, placed: true };
          continue;
        }
        const [call] = callsOf(frame);
        const { data } = decodeCopyToDeviceCall(frame.buffer, call!.start, call!.end);
        yield { ack, data: data.slice(), placed: false };
      }
      place();
    }
  }

  it("gives the same frames however the bytes come and whenever it is asked for", () => {
    const random = createRandom(11);
    const sizes = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0 ? 8 * Math.floor(random() * 128 * KiB) : Math.floor(random() * 9 * KiB),
    );
    const stream = Buffer.concat(sizes.map((size, index) => copyFrame(size, index + 1)));
    let placed = 0;
    for (const most of [() => 1 << 30, () => 65_536, () => 1 + Math.floor(random() * 100_000), () => 4099]) {
      for (const share of [1, 0.5]) {
        const frames = [...readPlaced(stream, { most, wants: () => random() < share })];
        expect(frames.map(({ ack }) => ack)).toEqual(sizes.map((_size, index) => index + 1));
        expect(frames.map(({ data }) => data.byteLength)).toEqual(sizes);
        for (const { ack, data } of frames) expect(data.every((byte) => byte === ack)).toBe(true);
        placed += frames.filter((frame) => frame.placed).length;
      }
    }
    expect(placed).toBeGreaterThan(100);
  });

  it("offers the rest of the data alone, and behind it only what comes before the data of the next", () => {
    const reader = new FrameReader();
    const frame = copyFrame(1024 * KiB, 1);
    reader.push(frame.subarray(0, 100));
    expect(reader.next()).toBeUndefined();
    const into = new Uint8Array(1024 * KiB);
    reader.place(HEAD_BYTES, into);
    const rest = reader.space()!;
    expect([rest.buffer, rest.byteOffset, rest.byteLength]).toEqual([into.buffer, 60, into.byteLength - 60]);
    rest.set(frame.subarray(100));
    reader.filled(rest.byteLength);
    expect(reader.next()?.placed).toBe(into);
    expect(reader.next()).toBeUndefined();
    expect(reader.space()!.byteLength).toBe(16 + HEAD_BYTES);
  });

  it("goes to a place that is lent only by its own way, and is read to its end when the place is gone", () => {
    for (const goesAt of [undefined, 0, 5000, 200 * KiB]) {
      const reader = new FrameReader({ placesAreLent: true });
      const [frame, behind] = [copyFrame(300 * KiB, 1), copyFrame(8, 2)];
      reader.push(frame.subarray(0, 100));
      expect(reader.next()).toBeUndefined();
      const into = new Uint8Array(300 * KiB);
      const isGone = (): boolean => into.byteLength === 0;
      reader.place(HEAD_BYTES, into);
      let at = 100;
      for (let turn = 0; at < frame.byteLength; turn++) {
        if (goesAt !== undefined && at > goesAt && !isGone()) structuredClone(into, { transfer: [into.buffer] });
        const place = turn % 2 === 0 ? undefined : reader.placeSpace();
        if (turn % 2 === 1) expect(place === undefined).toBe(isGone());
        const space = place ?? reader.space()!;
        if (place === undefined) expect(space.buffer).not.toBe(into.buffer);
        const part = frame.subarray(at, at + Math.min(space.byteLength, 10_000));
        space.set(part);
        if (place === undefined) reader.filled(part.byteLength);
        else reader.placed(part.byteLength);
        at += part.byteLength;
      }
      expect(reader.placeSpace()).toBeUndefined();
      reader.push(behind);
      const whole = reader.next()!;
      expect([whole.ack, whole.byteCount]).toEqual([1, frame.byteLength]);
      expect(whole.placed).toBe(into);
      expect(isGone()).toBe(goesAt !== undefined);
      if (!isGone()) expect(into.every((byte) => byte === 1)).toBe(true);
      expect(reader.next()?.ack).toBe(2);
    }
  });

  it("is dropped with a frame that is not whole, and kept with one that is", () => {
    for (const missing of [1, 0]) {
      const reader = new FrameReader();
      const frame = copyFrame(64 * KiB - 8, 1);
      reader.push(frame.subarray(0, 1000));
      expect(reader.next()).toBeUndefined();
      reader.place(HEAD_BYTES, new Uint8Array(64 * KiB - 8));
      reader.push(frame.subarray(1000, frame.byteLength - missing));
      const waiting: number[] = [];
      reader.visitWaiting(({ ack }) => waiting.push(ack));
      expect(waiting).toEqual(missing === 0 ? [1] : []);
      reader.dropPartial();
      reader.push(copyFrame(10, 2));
      const acks: number[] = [];
      for (let next = reader.next(); next; next = reader.next()) acks.push(next.ack);
      expect(acks).toEqual(missing === 0 ? [1, 2] : [2]);
    }
  });
});

describe("bulk data", () => {
  const address = 4096;

  it("makes with its head the same frame as a copy would", () => {
    for (const byteCount of [64, 65, 1001]) {
      const data = Uint8Array.from({ length: byteCount }, (_, index) => index & 0xff);
      const fields = { address, stream: 0, data };
      const copying = new FrameWriter();
      const bulky = new FrameWriter(64, { bulkBytesMin: 64 });
      for (const writer of [copying, bulky]) {
        writer.call(Opcode.free, { address }, encodeFreeCall);
        writer.call(Opcode.copyToDevice, fields, encodeCopyToDeviceCall);
      }
      const whole = copying.finish(FrameKind.CALLS, 3).slice();
      expect(bulky.body.bulk).toBe(data);
      expect(bulky.byteLength).toBe(whole.byteLength);
      const head = bulky.finish(FrameKind.CALLS, 3).slice();
      const padding = new Uint8Array(padTo8(byteCount) - byteCount);
      expect(Buffer.concat([head, data, padding]).equals(whole)).toBe(true);
      expect(bulky.body.bulk).toBeUndefined();
    }
  });

  it("is the last of its frame", () => {
    const writer = new FrameWriter(64, { bulkBytesMin: 8 });
    const fields = { address, stream: 0, data: new Uint8Array(8) };
    writer.call(Opcode.copyToDevice, fields, encodeCopyToDeviceCall);
    expect(() => writer.call(Opcode.copyToDevice, fields, encodeCopyToDeviceCall)).toThrow("behind bulk");
  });
});

it("a pool gives blocks again, and keeps no more than its bound", () => {
  const pool = new MemoryPool({ blockBytes: 10, keptBytesMax: 20 });
  const blocks = [pool.take(), pool.take(), pool.take()];
  for (const block of blocks) pool.give(block);
  expect([pool.take(), pool.take()].every((block) => blocks.includes(block))).toBe(true);
  expect(blocks).not.toContain(pool.take());
  pool.give(blocks[0]!);
  pool.clear();
  expect(pool.take()).not.toBe(blocks[0]);
});
