/** The calls of recorded batches as golden bytes, written by hand from proto/README.md. */
import { expect, it } from "vitest";
import {
  decodeRecordingCreateCall,
  encodeRecordingCreateCall,
  encodeRecordingDestroyCall,
  encodeRecordingReplayCall,
  Opcode,
} from "../../shared/generated/calls.ts";
import { FrameWriter } from "../../shared/wire/frame.ts";

const hex = (text: string): string => text.replaceAll(" ", "");
const written = (writer: FrameWriter): string => Buffer.from(writer.body.bytes.subarray(16)).toString("hex");

it("recordingCreate carries the places first and then the calls, as they stand in a frame", () => {
  const record = hex("13000000 10000000 01000000 00000000");
  const fields = {
    recording: 1,
    count: 1,
    valueBytes: 8,
    patches: [{ call: 0, offset: 48, byteCount: 4, value: 0 }],
    calls: Buffer.from(record, "hex"),
  };
  const writer = new FrameWriter();
  writer.call(Opcode.recordingCreate, fields, encodeRecordingCreateCall);
  expect(written(writer)).toBe(
    hex(`1c000000 48000000 01000000 01000000 08000000 01000000 10000000 00000000
      10000000 00000000 00000000 30000000 04000000 00000000 ${record}`).replaceAll("\n", ""),
  );
  const end = writer.body.length;
  const decoded = decodeRecordingCreateCall(writer.body.buffer, 24, end);
  expect({ ...decoded, calls: Buffer.from(decoded.calls) }).toEqual(fields);
});

it("recordingReplay carries the values, recordingDestroy nothing but the handle", () => {
  const writer = new FrameWriter();
  const values = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  writer.call(Opcode.recordingReplay, { recording: 2, values }, encodeRecordingReplayCall);
  writer.call(Opcode.recordingDestroy, { recording: 2 }, encodeRecordingDestroyCall);
  expect(written(writer)).toBe(
    hex("1d000000 18000000 02000000 08000000 0102030405060708 1e000000 10000000 02000000 00000000"),
  );
});
