/**
 * Random and mutated bytes against the frame reader and every decoder: whatever comes in, the outcome is frames or a PROTOCOL_ERROR,
 * never a hang, another error or a read outside the frame. FUZZ_SECONDS bounds each target (default 2), SEED replays a run.
 */
import { expect, it } from "vitest";
import { SluiceError } from "../../shared/errors.ts";
import * as generated from "../../shared/generated/calls.ts";
import { answersOf, callsOf, FrameReader, FrameWriter } from "../../shared/wire/frame.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { createRandom } from "../support/random.ts";

const seconds = Number(process.env["FUZZ_SECONDS"] ?? 2);
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const ROUNDS_MIN = 200;

type Decoder = (buffer: WireBuffer, start: number, end: number) => unknown;
const decoders = Object.entries(generated).filter(([name]) => name.startsWith("decode")) as [string, Decoder][];

function expectProtocolError(error: unknown): void {
  expect(error).toBeInstanceOf(SluiceError);
  expect((error as SluiceError).code).toBe("PROTOCOL_ERROR");
}

function parse(stream: Uint8Array, random: () => number): number {
  const reader = new FrameReader({ capacityBytes: 8 });
  let frames = 0;
  try {
    for (let at = 0; at < stream.length; ) {
      const chunk = stream.subarray(at, at + 1 + Math.floor(random() * 40));
      at += chunk.length;
      reader.push(chunk);
      for (let frame = reader.next(); frame; frame = reader.next()) {
        frames++;
        const items = frame.kind === generated.FrameKind.ANSWERS ? answersOf(frame) : callsOf(frame);
        for (const item of items)
          decodeSafely(decoders[Math.floor(random() * decoders.length)]![1], frame.buffer, item);
      }
    }
  } catch (error) {
    expectProtocolError(error);
  }
  return frames;
}

function decodeSafely(decode: Decoder, buffer: WireBuffer, item: { start: number; end: number }): boolean {
  try {
    const value = decode(buffer, item.start, item.end);
    // Nothing that a decoder returns may reach beyond its own body.
    for (const field of Object.values(value as object)) {
      if (field instanceof Uint8Array) {
        expect(field.byteOffset).toBeGreaterThanOrEqual(item.start);
        expect(field.byteOffset + field.byteLength).toBeLessThanOrEqual(item.end);
      }
    }
    return true;
  } catch (error) {
    expectProtocolError(error);
    return false;
  }
}

function goodStream(random: () => number): Uint8Array {
  const writer = new FrameWriter();
  const chunks: Uint8Array[] = [];
  for (let frame = 0; frame < 3; frame++) {
    const data = new Uint8Array(Math.floor(random() * 50));
    for (let call = 0; call < 4; call++) {
      writer.call(generated.Opcode.copyToDevice, { address: 1, stream: 2, data }, generated.encodeCopyToDeviceCall);
      writer.call(generated.Opcode.eventRecord, { event: 1, stream: 2 }, generated.encodeEventRecordCall);
    }
    chunks.push(writer.finish(generated.FrameKind.CALLS).slice());
  }
  return Buffer.concat(chunks);
}

it(`survives random and mutated streams (SEED=${seed})`, () => {
  const random = createRandom(seed);
  const until = Date.now() + seconds * 1000;
  let rounds = 0;
  let frames = 0;
  // A machine that is busy has its least in more time.
  while (Date.now() < until || rounds <= ROUNDS_MIN) {
    const stream = rounds % 4 === 0 ? Uint8Array.from({ length: 200 }, () => random() * 256) : goodStream(random);
    const mutations = rounds % 4 === 1 ? 0 : 1 + Math.floor(random() * 4);
    for (let count = 0; count < mutations; count++) {
      const at = Math.floor(random() * stream.length);
      stream[at] = random() < 0.5 ? random() * 256 : stream[at]! ^ (1 << Math.floor(random() * 8));
    }
    const found = parse(
      stream.subarray(0, rounds % 5 === 0 ? Math.floor(random() * stream.length) : stream.length),
      random,
    );
    if (mutations === 0 && rounds % 5 !== 0) expect(found).toBe(3);
    frames += found;
    rounds++;
  }
  expect(frames).toBeGreaterThan(ROUNDS_MIN);
});

it(`survives random bodies in every decoder (SEED=${seed})`, () => {
  const random = createRandom(seed);
  const until = Date.now() + seconds * 1000;
  const buffer = new WireBuffer(1024);
  const outcomes = { accepted: 0, refused: 0 };
  do {
    for (let word = 0; word < buffer.u32.length; word++) {
      buffer.u32[word] = random() < 0.7 ? Math.floor(random() * 4) * 8 : random() * 2 ** 32;
    }
    for (const [, decode] of decoders) {
      const start = Math.floor(random() * 8) * 8;
      const end = start + Math.floor(random() * 20) * 8;
      if (decodeSafely(decode, buffer, { start, end })) outcomes.accepted++;
      else outcomes.refused++;
    }
  } while (Date.now() < until);
  expect(outcomes.accepted).toBeGreaterThan(0);
  expect(outcomes.refused).toBeGreaterThan(0);
});
