/** Large answers that are read straight into the caller's array: the bytes are right however they come, and an array may go at any time. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { headOf, PLACED_HEAD_BYTES } from "../../client/placed-answer.ts";
import { SluiceError } from "../../shared/errors.ts";
import { encodeCopyFromDeviceAnswer, FrameKind } from "../../shared/generated/calls.ts";
import { type BegunFrame, FrameReader, FrameWriter } from "../../shared/wire/frame.ts";
import { type ClientOnStand, openClient } from "../support/client-on-stand.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { createRandom } from "../support/random.ts";
import { SessionStand } from "../support/session-stand.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 * 1024;
const BYTES = 24 * MiB;

let stand: SessionStand;
let proxy: CuttingProxy;
let client: ClientOnStand;

beforeEach(async () => {
  stand = await SessionStand.start();
  proxy = await CuttingProxy.to(stand.address);
  client = await openClient(stand, proxy.address);
});

afterEach(async () => {
  proxy.plan = () => undefined;
  await client.session.close(new SluiceError("CLOSED", "The test is over."));
  await proxy.close();
  await stand.close();
});

const counted = (byteCount: number, seed: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Uint32Array.from({ length: byteCount / 4 }, (_unused, index) => index * 2_654_435 + seed).buffer);

test("an array that is transferred while it is being read into fails its read, is not written to any more, and all else goes on", async () => {
  const bytes = counted(BYTES, 1);
  const buffer = client.gpu.upload(bytes);
  const other = client.gpu.upload(counted(MiB, 2));
  const into = new Uint8Array(BYTES);
  const reading = buffer.readInto(into).then(
    () => undefined,
    (error: unknown) => error,
  );
  const behind = other.read(Uint8Array);
  await waitFor("a part of the first piece", () => into[8 * MiB + 4096] !== 0);
  const moved = structuredClone(into, { transfer: [into.buffer] });
  const before = moved.slice();
  expect(before.at(-1)).toBe(0);
  expect(await reading).toMatchObject({ code: "BAD_ARGUMENT" });
  expect(Buffer.compare(await behind, counted(MiB, 2))).toBe(0);
  expect(Buffer.compare(moved, before)).toBe(0);
  expect(Buffer.compare(await buffer.read(Uint8Array), bytes)).toBe(0);
});

test("arrays that are shared, that can change their size, and of any length and place are read into as others are", async () => {
  const bytes = counted(3 * MiB, 3);
  const buffer = client.gpu.upload(bytes);
  const resizable = Reflect.construct(ArrayBuffer, [3 * MiB, { maxByteLength: 4 * MiB }]) as ArrayBuffer;
  const arrays = [
    new Uint8Array(new SharedArrayBuffer(3 * MiB)),
    new Uint8Array(resizable),
    new Uint8Array(new ArrayBuffer(3 * MiB), 1, 2 * MiB + 3),
    new Uint8Array(new ArrayBuffer(3 * MiB), 8, 2 * MiB + 8),
    new Float64Array(3 * 128 * 1024),
    new Uint8Array(64 * 1024),
    new Uint8Array(64 * 1024 + 8),
    new Uint8Array(300_000),
  ];
  for (const overlap of [false, true]) {
    for (const array of arrays) {
      new Uint8Array(array.buffer).fill(0);
      await buffer.readInto(array, { overlap });
      const got = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
      expect(Buffer.compare(got, bytes.subarray(0, array.byteLength))).toBe(0);
      const around = new Uint8Array(array.buffer);
      const isClean = around.subarray(0, array.byteOffset).every((byte) => byte === 0);
      expect(isClean && around.subarray(array.byteOffset + array.byteLength).every((byte) => byte === 0)).toBe(true);
    }
  }
});

test("a read that is cut anywhere, again and again, gives the same bytes", async () => {
  const random = createRandom(31);
  const { gpu, session } = client;
  const into = new Uint8Array(4 * MiB);
  const buffers = Array.from({ length: 4 }, (_unused, index) => {
    const bytes = counted(into.byteLength, 1000 * index);
    return { bytes, buffer: gpu.upload(bytes) };
  });
  await gpu.synchronize();
  proxy.plan = () => ({
    direction: "down",
    afterBytes: Math.floor(random() ** 2 * 5 * MiB),
    how: random() < 0.5 ? "reset" : "fin",
  });
  proxy.cutAll();
  for (let round = 0; round < 24; round++) {
    const { buffer, bytes } = buffers[round % 4]!;
    await buffer.readInto(into);
    expect(Buffer.compare(into, bytes)).toBe(0);
  }
  expect(session.reconnects).toBeGreaterThan(8);
});

function begun(words: Readonly<Record<number, number>>, dataBytes = 128 * 1024): BegunFrame {
  const writer = new FrameWriter();
  const answer = { data: new Uint8Array(dataBytes) };
  writer.answer({ sequence: 7, status: 0 }, answer, encodeCopyFromDeviceAnswer);
  const bytes = writer.finish(FrameKind.ANSWERS, 7);
  const u32 = new Uint32Array(bytes.buffer, bytes.byteOffset, 10);
  for (const [word, value] of Object.entries(words)) u32[Number(word)] = value;
  const reader = new FrameReader();
  reader.push(bytes.subarray(0, 4096));
  expect(reader.next()).toBeUndefined();
  return reader.begun()!;
}

test("only a good answer with data that is alone in its frame and fills it has a place", () => {
  const dataBytes = 128 * 1024;
  expect(headOf(begun({}))).toEqual({ sequence: 7, dataBytes });
  const size = 16 + PLACED_HEAD_BYTES + dataBytes;
  const wrong = [
    { 0: size + 8 },
    { 0: size - 8 },
    { 1: FrameKind.OUTPUT },
    { 2: 2 },
    { 2: 0 },
    { 4: PLACED_HEAD_BYTES + dataBytes - 8 },
    { 4: PLACED_HEAD_BYTES + dataBytes + 8 },
    { 5: 1 },
    { 8: dataBytes - 8 },
    { 8: dataBytes - 1 },
    { 8: 0 },
    { 8: 2 ** 32 - 8 },
  ];
  for (const words of wrong) expect(headOf(begun(words)), JSON.stringify(words)).toBeUndefined();
  expect(headOf(begun({}, dataBytes - 1))).toBeUndefined();
});
