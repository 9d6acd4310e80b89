/** The calls of the cache as golden bytes, written by hand from proto/README.md. */
import { expect, it } from "vitest";
import {
  decodeCopyCachedAnswer,
  decodeCopyCachedCall,
  decodeModuleLoadCachedCall,
  encodeCopyCachedAnswer,
  encodeCopyCachedCall,
  encodeCopyToDeviceKeptCall,
  encodeModuleLoadCachedCall,
  Opcode,
} from "../../shared/generated/calls.ts";
import { FrameWriter } from "../../shared/wire/frame.ts";
import type { WireWriter } from "../../shared/wire/wire-buffer.ts";

const hex = (text: string): string => text.replaceAll(" ", "");

function callOf<T>(opcode: number, fields: T, encode: (writer: WireWriter, fields: T) => void): string {
  const writer = new FrameWriter();
  writer.call(opcode, fields, encode);
  return Buffer.from(writer.body.bytes.subarray(16)).toString("hex");
}

const hash = Uint8Array.from({ length: 32 }, (_unused, index) => index);
const hashHex = Buffer.from(hash).toString("hex");

it("copyToDeviceKept is copyToDevice with another opcode", () => {
  const fields = { address: 0x6000_0000_0008, stream: 3, data: Uint8Array.of(1, 2, 3) };
  expect(callOf(Opcode.copyToDeviceKept, fields, encodeCopyToDeviceKeptCall)).toBe(
    hex("19000000 20000000 0800000000600000 03000000 03000000 0102030000000000"),
  );
});

it("copyCached carries the range, the stream and the hashes, and is answered by a byte per piece", () => {
  const fields = { address: 0x6000_0000_0000, byteCount: 100_000, stream: 2, hashes: hash };
  const bytes = callOf(Opcode.copyCached, fields, encodeCopyCachedCall);
  expect(bytes).toBe(hex(`1a000000 40000000 0000000000600000 a086010000000000 02000000 20000000 ${hashHex}`));
  const writer = new FrameWriter();
  encodeCopyCachedCall(writer.body, fields);
  expect(decodeCopyCachedCall(writer.body.buffer, 16, writer.body.length)).toEqual(fields);
  const answer = new FrameWriter();
  encodeCopyCachedAnswer(answer.body, { held: Uint8Array.of(1, 0, 1) });
  expect(Buffer.from(answer.body.bytes.subarray(16)).toString("hex")).toBe(hex("03000000 00000000 0100010000000000"));
  expect(decodeCopyCachedAnswer(answer.body.buffer, 16, 32)).toEqual({ held: Uint8Array.of(1, 0, 1) });
});

it("moduleLoadCached names an image by its handle or by its hashes", () => {
  const sent = { module: 1, image: 2, device: 3, totalBytes: 0, hashes: new Uint8Array(), leavesEnd: 1 };
  expect(callOf(Opcode.moduleLoadCached, sent, encodeModuleLoadCachedCall)).toBe(
    hex("1b000000 20000000 01000000 02000000 03000000 00000000 00000000 01000000"),
  );
  const named = { module: 1, image: 0, device: 0, totalBytes: 77, hashes: hash, leavesEnd: 0 };
  expect(callOf(Opcode.moduleLoadCached, named, encodeModuleLoadCachedCall)).toBe(
    hex(`1b000000 40000000 01000000 00000000 00000000 4d000000 20000000 00000000 ${hashHex}`),
  );
  const writer = new FrameWriter();
  encodeModuleLoadCachedCall(writer.body, named);
  expect(decodeModuleLoadCachedCall(writer.body.buffer, 16, writer.body.length)).toEqual(named);
});
