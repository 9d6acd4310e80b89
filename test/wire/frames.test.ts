/**
 * The wire as golden bytes: hexadecimal written by hand from proto/README.md, never by the code under test, and fed whole, byte by
 * byte and at every split.
 */
import { describe, expect, it } from "vitest";
import {
  type AttachAnswer,
  decodeAttachAnswer,
  decodeFailure,
  decodeHello,
  decodeLaunchCall,
  decodeModuleLoadAnswer,
  encodeAttachAnswer,
  encodeCopyToDeviceCall,
  encodeFailure,
  encodeFillCall,
  encodeHello,
  encodeLaunchCall,
  encodeModuleLoadAnswer,
  FrameKind,
  type ModuleLoadAnswer,
  Opcode,
} from "../../shared/generated/calls.ts";
import {
  answersOf,
  callsOf,
  type Frame,
  FrameReader,
  FrameWriter,
  messageFrame,
  onlyCallOf,
} from "../../shared/wire/frame.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytesOf = (...lines: string[]): Uint8Array => Buffer.from(lines.join("").replaceAll(" ", ""), "hex");

const launch = {
  module: 1,
  kernel: 2,
  gridX: 3,
  gridY: 4,
  gridZ: 5,
  blockX: 6,
  blockY: 7,
  blockZ: 8,
  sharedBytes: 9,
  stream: 10,
  params: Uint8Array.of(0xaa, 0xbb, 0xcc),
};
const launchCall = bytesOf(
  "0b000000 40000000",
  "01000000 02000000 03000000 04000000 05000000 06000000",
  "07000000 08000000 09000000 0a000000 03000000 00000000",
  "aabbcc0000000000",
);
const copyCall = bytesOf("04000000 20000000", "0800000000600000", "00000000 05000000", "0102030405000000");
const fillFixed = bytesOf("0000010000600000 0300000000000000 04000000 ffffffff 00000000 00000000");

const batch = bytesOf(
  "70000000 04000000 02000000 07000000",
  Buffer.from(launchCall).toString("hex"),
  Buffer.from(copyCall).toString("hex"),
);

function writeBatch(): Uint8Array {
  const writer = new FrameWriter(16);
  writer.call(Opcode.launch, launch, encodeLaunchCall);
  const data = Uint8Array.of(1, 2, 3, 4, 5);
  writer.call(Opcode.copyToDevice, { address: 0x6000_0000_0008, stream: 0, data }, encodeCopyToDeviceCall);
  return writer.finish(FrameKind.CALLS, 7).slice();
}

/** What a test keeps of a frame, copied out before the reader moves on. */
const summary = (frame: Frame) => ({
  kind: frame.kind,
  count: frame.count,
  ack: frame.ack,
  payload: hex(frame.buffer.u8.subarray(frame.start, frame.end)),
});

function framesOf(chunks: Uint8Array[]): ReturnType<typeof summary>[] {
  const reader = new FrameReader({ capacityBytes: 8 });
  const frames: ReturnType<typeof summary>[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push(summary(frame));
  }
  return frames;
}

describe("frames", () => {
  it("are written as the specification says, byte for byte", () => {
    expect(hex(writeBatch())).toBe(hex(batch));
  });

  it("leave no bytes of an earlier frame in the padding of a later one", () => {
    const writer = new FrameWriter(16);
    const noise = new Uint8Array(256).fill(0xff);
    writer.call(Opcode.copyToDevice, { address: 2 ** 53 - 1, stream: 0xffffffff, data: noise }, encodeCopyToDeviceCall);
    writer.finish(FrameKind.CALLS);
    const fields = { address: 0x6000_0001_0000, count: 3, width: 4, value: 0xffffffff, stream: 0 };
    writer.call(Opcode.fill, fields, encodeFillCall);
    const bytes = writer.finish(FrameKind.CALLS);
    expect(hex(bytes.subarray(24))).toBe(hex(fillFixed));
    expect(bytes.byteLength).toBe(16 + 8 + fillFixed.byteLength);
  });

  it("are read back from their golden bytes", () => {
    const reader = new FrameReader();
    reader.push(batch);
    const frame = reader.next()!;
    expect(frame).toMatchObject({ kind: FrameKind.CALLS, count: 2, ack: 7 });
    const [first, second] = callsOf(frame);
    expect(decodeLaunchCall(frame.buffer, first!.start, first!.end)).toEqual(launch);
    expect(second!.opcode).toBe(Opcode.copyToDevice);
    expect(onlyCallOf(frame)).toBeUndefined();
    expect(reader.next()).toBeUndefined();
  });

  it("with one call say so", () => {
    const reader = new FrameReader();
    const whole = Buffer.concat([bytesOf("10000000 04000000 01000000 00000000"), launchCall]);
    whole.writeUInt32LE(whole.byteLength, 0);
    reader.push(whole);
    const frame = reader.next()!;
    expect(onlyCallOf(frame)).toEqual(callsOf(frame)[0]);
    // What is left over is for `callsOf` to refuse.
    expect(onlyCallOf({ ...frame, end: frame.end + 8 })).toBeUndefined();
    expect(onlyCallOf({ ...frame, end: frame.start })).toBeUndefined();
    expect(onlyCallOf({ ...frame, count: 2 })).toBeUndefined();
    expect(() => onlyCallOf({ ...frame, end: frame.end - 8 })).toThrow("A call says it has [64] bytes");
  });

  it("are the same however the stream is cut: byte by byte and at every split", () => {
    const stream = Buffer.concat([batch, batch, bytesOf("10000000 08000000 00000000 00000000"), batch]);
    const whole = framesOf([stream]);
    expect(whole.map((frame) => frame.kind)).toEqual([4, 4, 8, 4]);
    expect(framesOf([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
    for (let at = 1; at < stream.length; at++) {
      expect(framesOf([stream.subarray(0, at), stream.subarray(at)])).toEqual(whole);
    }
  });

  it("stay readable while more bytes arrive, until the next one is asked for", () => {
    const reader = new FrameReader({ capacityBytes: 8 });
    reader.push(batch);
    const frame = reader.next()!;
    const before = hex(frame.buffer.u8.subarray(frame.start, frame.end));
    for (let round = 0; round < 100; round++) reader.push(batch);
    expect(hex(frame.buffer.u8.subarray(frame.start, frame.end))).toBe(before);
    let count = 0;
    while (reader.next()) count++;
    expect(count).toBe(100);
    expect(reader.bufferedBytes).toBe(0);
  });

  it("hand over what comes behind them, not the frame already taken", () => {
    const reader = new FrameReader();
    reader.push(Buffer.concat([batch, batch.subarray(0, 21)]));
    reader.next();
    expect(hex(reader.takeRest())).toBe(hex(batch.subarray(0, 21)));
    expect(reader.bufferedBytes).toBe(0);
  });
});

describe("a malformed frame", () => {
  const refused = (bytes: Uint8Array, options?: { frameBytesMax: number }) => {
    const reader = new FrameReader(options);
    reader.push(bytes);
    return () => {
      const frame = reader.next();
      if (frame?.kind === FrameKind.CALLS) callsOf(frame);
      if (frame?.kind === FrameKind.ANSWERS) answersOf(frame);
    };
  };
  const cases: [string, Uint8Array][] = [
    ["shorter than its header", bytesOf("08000000 04000000 00000000 00000000")],
    ["of a size that is no multiple of 8", bytesOf("14000000 04000000 00000000 00000000 00000000")],
    ["of zero bytes", bytesOf("00000000 04000000 00000000 00000000")],
    ["larger than the bound", bytesOf("08002000 04000000 00000000 00000000")],
    ["of 4 GiB less 8", bytesOf("f8ffffff 04000000 00000000 00000000")],
    ["of kind 0", bytesOf("10000000 00000000 00000000 00000000")],
    ["of an unknown kind", bytesOf("10000000 09000000 00000000 00000000")],
    ["of a known kind with flags set", bytesOf("10000000 04000100 00000000 00000000")],
    ["with a call of unknown opcode", bytesOf("18000000 04000000 01000000 00000000 ff000000 08000000")],
    ["with a call of opcode 0", bytesOf("18000000 04000000 01000000 00000000 00000000 08000000")],
    ["with a call that passes the frame's end", bytesOf("18000000 04000000 01000000 00000000 0b000000 10000000")],
    ["with a call of zero bytes", bytesOf("18000000 04000000 01000000 00000000 0b000000 00000000")],
    ["with a misaligned call", bytesOf("20000000 04000000 01000000 00000000 0b000000 0c000000 0000000000000000")],
    ["with fewer calls than it says", bytesOf("10000000 04000000 01000000 00000000")],
    ["with more calls than it says", bytesOf("18000000 04000000 00000000 00000000 0b000000 08000000")],
    [
      "with an answer that passes its end",
      bytesOf("20000000 05000000 01000000 00000000 18000000 00000000 01000000 00000000"),
    ],
    [
      "with an answer shorter than its header",
      bytesOf("20000000 05000000 01000000 00000000 08000000 00000000 01000000 00000000"),
    ],
  ];
  it.each(cases)("%s is refused with PROTOCOL_ERROR", (_name, bytes) => {
    expect(refused(bytes)).toThrow(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
  });

  it("is refused before its bytes are waited for", () => {
    expect(refused(bytesOf("08002000 04000000 00000000 00000000"))).toThrow("[2097160]");
    expect(refused(bytesOf("10100000 02000000 00000000 00000000"), { frameBytesMax: 4096 })).toThrow("[4112]");
  });
});

describe("a malformed body", () => {
  const decodeLaunch = (body: Uint8Array) => {
    const writer = new FrameWriter();
    writer.body.appendPadded(body);
    return () => decodeLaunchCall(writer.body.buffer, 16, 16 + body.byteLength);
  };
  const fixed = launchCall.subarray(8, 56);

  it("shorter than its fixed part is refused", () => {
    expect(decodeLaunch(fixed.subarray(0, 40))).toThrow("shorter than its fixed part [48]");
  });

  it.each([4, 9, 0x7fffffff, 0xfffffff8, 0xffffffff])(
    "whose tail says [%d] bytes where 0 follow is refused",
    (byteCount) => {
      const body = Uint8Array.from(fixed);
      new DataView(body.buffer).setUint32(40, byteCount, true);
      expect(decodeLaunch(body)).toThrow(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
    },
  );

  it("with bytes behind its last field is refused", () => {
    const body = Buffer.concat([launchCall.subarray(8), Buffer.alloc(8)]);
    expect(decodeLaunch(body)).toThrow("[8] bytes more");
  });

  it("with a list that passes its end, or a string that is not UTF-8, is refused", () => {
    const kernels = bytesOf("ffffff7f 00000000 00000000 00000000");
    const writer = new FrameWriter();
    writer.body.appendPadded(kernels);
    expect(() => decodeModuleLoadAnswer(writer.body.buffer, 16, 32)).toThrow(
      expect.objectContaining({ code: "PROTOCOL_ERROR" }),
    );
    const failure = new FrameWriter();
    encodeFailure(failure.body, { sequence: 1, opcode: 1, nativeCode: 0, nativeName: "", message: "abcdefgh" });
    failure.body.buffer.u8[failure.body.length - 8] = 0xff;
    expect(() => decodeFailure(failure.body.buffer, 16, failure.body.length)).toThrow("not UTF-8");
  });
});

describe("bodies with lists and strings", () => {
  const attach: AttachAnswer = {
    arenaBase: 0x6000_0000_0000,
    arenaBytes: 2 ** 40 - 8,
    granularityBytes: 256,
    capabilityMajor: 8,
    capabilityMinor: 0,
    driverVersion: 13000,
    kind: "cpu",
    name: "Überschall 日本",
    uuid: "",
    attributes: [
      { attribute: 1, value: 1024 },
      { attribute: 2, value: -1 },
    ],
    stagingPath: "/proc/7/fd/9",
    stagingName: "",
    stagingBytes: 0,
  };

  it("come back equal, with their golden bytes", () => {
    const writer = new FrameWriter(8);
    writer.answer({ sequence: 5, status: 0 }, attach, encodeAttachAnswer);
    const bytes = writer.finish(FrameKind.ANSWERS).slice();
    expect(hex(bytes.subarray(16, 32))).toBe("a0000000000000000500000000000000");
    const body = bytesOf(
      "0000000000600000 f8ffffffff000000 0001000000000000 08000000 00000000 c8320000 03000000 12000000 00000000 02000000 0c000000 00000000 00000000",
      "6370750000000000",
      "c39c626572736368 616c6c20e697a5e6 9cac000000000000",
    );
    expect(hex(bytes.subarray(32, 32 + body.byteLength))).toBe(hex(body));
    expect(hex(bytes.subarray(-48))).toBe(
      hex(
        bytesOf(
          "08000000 00000000 01000000 00040000",
          "08000000 00000000 02000000 ffffffff",
          "2f70726f632f372f 66642f3900000000",
        ),
      ),
    );
    const reader = new FrameReader();
    reader.push(bytes);
    const frame = reader.next()!;
    const [answer] = answersOf(frame);
    expect(answer).toMatchObject({ sequence: 5, status: 0 });
    expect(decodeAttachAnswer(frame.buffer, answer!.start, answer!.end)).toEqual(attach);
  });

  it("nest records with lists of their own", () => {
    const param = (offset: number) => ({ offset, size: 4, alignment: 4, type: 3 });
    const kernel = (name: string, count: number) => ({
      name,
      params: Array.from({ length: count }, (_, index) => param(index * 4)),
      paramBytes: count * 4,
      threadsPerBlockMax: 1024,
      sharedBytes: 0,
      localBytes: 0,
      constantBytes: 0,
      registers: 0,
      ptxVersion: 90,
      binaryVersion: 0,
      usesHeap: 0,
      refusalCode: count === 0 ? 52 : 0,
      refusal: count === 0 ? "It lacks [x]." : "",
    });
    const answer: ModuleLoadAnswer = {
      kernels: [kernel("a", 3), kernel("", 0), kernel("long name of a kernel", 1)],
      globals: [{ name: "g", address: 0x6000_0000_0000, byteCount: 12 }],
      reservedBytes: 2 ** 40 + 5,
    };
    const writer = new FrameWriter(8);
    encodeModuleLoadAnswer(writer.body, answer);
    expect(decodeModuleLoadAnswer(writer.body.buffer, 16, writer.body.length)).toEqual(answer);
  });

  it("carry the handshake", () => {
    const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
    const hello = {
      protocolVersion: 2,
      fingerprint: "0123456789abcdef",
      clientVersion: "test/1",
      leaseId: "lease",
      sessionId: bytes(16, 1),
      nonce: bytes(32, 2),
      proof: bytes(32, 3),
      resumeMs: 30_000,
      begun: 1,
      received: 5,
    };
    const reader = new FrameReader();
    reader.push(messageFrame(FrameKind.HELLO, hello, encodeHello));
    const frame = reader.next()!;
    expect(decodeHello(frame.buffer, frame.start, frame.end)).toEqual(hello);
  });
});
