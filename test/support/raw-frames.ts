/**
 * Frames, calls and answers for tests, built and cut by hand after proto/README.md and not with the code under test. `raw-client.ts` is the
 * door to them, and has the connections that carry them.
 */
import { codeOfWire, type ErrorCode } from "../../shared/errors.ts";

export const GREETING = 1;
export const HELLO = 2;
export const WELCOME = 3;
export const CALLS = 4;
export const ANSWERS = 5;
export const OUTPUT = 6;
export const REFUSAL = 7;
export const GOODBYE = 8;

export const ARENA = 0x6000_0000_0000;
export const STRIDE = 0x100_0000_0000;
export const GiB = 1024 ** 3;
export const MiB = 1024 ** 2;

const pad8 = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);

/** A field of a body: its type decides size and alignment; bytes stand in the tail. */
export type RawField =
  | readonly ["u32" | "i32", number]
  | readonly ["u64", number | bigint]
  | readonly ["bytes", Uint8Array]
  | readonly ["list", readonly Buffer[]];

/** A body by the rules of "Conventions". */
export function body(...fields: readonly RawField[]): Buffer {
  let fixed = Buffer.alloc(0);
  const tail: Buffer[] = [];
  for (const [type, value] of fields) {
    const size = type === "u64" ? 8 : 4;
    const at = Math.ceil(fixed.length / size) * size;
    const grown = Buffer.alloc(at + size);
    fixed.copy(grown);
    if (type === "u64") grown.writeBigUInt64LE(BigInt(value as number | bigint), at);
    else if (type === "i32") grown.writeInt32LE(value as number, at);
    else if (type === "u32") grown.writeUInt32LE(value as number, at);
    else if (type === "list") {
      const records = value as readonly Buffer[];
      grown.writeUInt32LE(records.length, at);
      for (const record of records) tail.push(Buffer.concat([body(["u32", record.length], ["u32", 0]), record]));
    } else {
      grown.writeUInt32LE((value as Uint8Array).byteLength, at);
      tail.push(pad8(Buffer.from(value as Uint8Array)));
    }
    fixed = grown;
  }
  return Buffer.concat([pad8(fixed), ...tail]);
}

export function frame(kind: number, payload: Uint8Array, count = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + payload.byteLength, 0);
  header.writeUInt32LE(kind, 4);
  header.writeUInt32LE(count, 8);
  return Buffer.concat([header, payload]);
}

/** One call as bytes. */
export function call(opcode: number, ...fields: readonly RawField[]): Buffer {
  const payload = body(...fields);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(opcode, 0);
  header.writeUInt32LE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

export const callsFrame = (...calls: readonly Buffer[]): Buffer => frame(CALLS, Buffer.concat(calls), calls.length);

const rawProduct = {
  ...{ a: ARENA, b: ARENA + 64, c: ARENA + 128, strideA: 0, strideB: 0, strideC: 0, m: 4, n: 4, k: 4 },
  ...{ lda: 4, ldb: 4, ldc: 4, batchCount: 1, type: 0, transposeA: 0, transposeB: 0, stream: 0 },
  ...{ activation: 0, bias: 0, alphaF64: 0, betaF64: 0, scaleA: 0, scaleB: 0, narrow: 0 },
};
type RawProductField = keyof typeof rawProduct;
const bitsOfF64 = (value: number | bigint): bigint => new BigUint64Array(Float64Array.of(Number(value)).buffer)[0]!;

/** The calls of the table by name, as bytes. */
export const raw = {
  attach: (device = 0) => call(1, ["u32", device]),
  allocate: (address: number | bigint, byteCount: number | bigint) => call(2, ["u64", address], ["u64", byteCount]),
  free: (address: number | bigint) => call(3, ["u64", address]),
  copyToDevice: (address: number | bigint, data: Uint8Array, stream = 0) =>
    call(4, ["u64", address], ["u32", stream], ["bytes", data]),
  copyFromDevice: (address: number | bigint, byteCount: number) =>
    call(5, ["u64", address], ["u32", byteCount], ["u32", 0]),
  copyOnDevice: (destination: number, source: number, byteCount: number) =>
    call(6, ["u64", destination], ["u64", source], ["u64", byteCount], ["u32", 0]),
  fill: (address: number | bigint, count: number | bigint, width: number, value: number, stream = 0) =>
    call(7, ["u64", address], ["u64", count], ["u32", width], ["u32", value], ["u32", stream]),
  imageWrite: (image: number, totalBytes: number, offset: number, data: Uint8Array) =>
    call(8, ["u32", image], ["u32", totalBytes], ["u32", offset], ["bytes", data]),
  /**
   * A product of matrices of 4 x 4 elements of f32, one behind the other from the arena's start, unless the fields say otherwise. `opcode` 47 asks
   * about it.
   */
  multiply: (fields: Partial<Record<RawProductField, number | bigint>> = {}, opcode = 32): Buffer => {
    const product = { ...rawProduct, ...fields };
    const wide = ["a", "b", "c", "strideA", "strideB", "strideC"] as const;
    const narrow = ["m", "n", "k", "lda", "ldb", "ldc", "batchCount", "type", "transposeA", "transposeB"] as const;
    return call(
      opcode,
      ...wide.map((name) => ["u64", product[name]] as const),
      ...narrow.map((name) => ["u32", Number(product[name])] as const),
      // 1 and 0 as f32.
      ["u32", 0x3f80_0000],
      ["u32", 0],
      ["u32", Number(product.stream)],
      ["u32", Number(product.activation)],
      ["u64", product.bias],
      ["u64", bitsOfF64(product.alphaF64)],
      ["u64", bitsOfF64(product.betaF64)],
      ["u64", product.scaleA],
      ["u64", product.scaleB],
      ["u32", Number(product.narrow)],
    );
  },
  /** Without options. */
  compile: (module: number, image: number): Buffer =>
    call(33, ["u32", module], ["u32", image], ["u32", 0], ["bytes", new Uint8Array(0)], ["u32", 0]),
  copyToDeviceStaged: (address: number, offset: number, byteCount: number) =>
    call(34, ["u64", address], ["u32", offset], ["u32", byteCount], ["u32", 0]),
  copyFromDeviceStaged: (address: number, offset: number, byteCount: number, stream = 0) =>
    call(35, ["u64", address], ["u32", offset], ["u32", byteCount], ["u32", stream]),
  heap: (address: number, byteCount: number) => call(45, ["u64", address], ["u64", byteCount]),
  moduleLoad: (module: number, image: number) => call(9, ["u32", module], ["u32", image], ["u32", 0], ["u32", 0]),
  moduleUnload: (module: number) => call(10, ["u32", module]),
  launch: (options: {
    module: number;
    kernel?: number;
    grid?: readonly [number, number, number];
    block?: readonly [number, number, number];
    sharedBytes?: number;
    stream?: number;
    params?: Uint8Array;
    cooperative?: boolean;
  }) => {
    const { module, kernel = 0, grid = [1, 1, 1], block = [1, 1, 1], sharedBytes = 0, stream = 0 } = options;
    const numbers = [module, kernel, ...grid, ...block, sharedBytes, stream];
    return call(options.cooperative ? 36 : 11, ...numbers.map((value) => ["u32", value] as const), [
      "bytes",
      options.params ?? new Uint8Array(),
    ]);
  },
  streamCreate: (stream: number, device = 0) => call(12, ["u32", stream], ["u32", device], ["u32", 0], ["i32", 0]),
  streamDestroy: (stream: number) => call(13, ["u32", stream]),
  streamSynchronize: (stream: number) => call(14, ["u32", stream]),
  streamQuery: (stream: number) => call(15, ["u32", stream]),
  streamWaitEvent: (stream: number, event: number) => call(16, ["u32", stream], ["u32", event]),
  eventCreate: (event: number, device = 0, flags = 0) => call(17, ["u32", event], ["u32", device], ["u32", flags]),
  eventDestroy: (event: number) => call(18, ["u32", event]),
  eventRecord: (event: number, stream = 0) => call(19, ["u32", event], ["u32", stream]),
  eventSynchronize: (event: number) => call(20, ["u32", event]),
  eventQuery: (event: number) => call(21, ["u32", event]),
  eventElapsed: (start: number, end: number) => call(22, ["u32", start], ["u32", end]),
  deviceSynchronize: (device = 0) => call(23, ["u32", device]),
  memoryInfo: (device = 0) => call(24, ["u32", device]),
  copyToDeviceKept: (address: number, data: Uint8Array) => call(25, ["u64", address], ["u32", 0], ["bytes", data]),
  copyCached: (address: number, byteCount: number, hashes: Uint8Array, stream = 0) =>
    call(26, ["u64", address], ["u64", byteCount], ["u32", stream], ["bytes", hashes]),
  moduleLoadCached: (module: number, source: { image?: number; totalBytes?: number; hashes?: Uint8Array }) => {
    const { image = 0, totalBytes = 0, hashes = new Uint8Array() } = source;
    return call(27, ["u32", module], ["u32", image], ["u32", 0], ["u32", totalBytes], ["bytes", hashes], ["u32", 0]);
  },
  recordingCreate: (
    recording: number,
    calls: readonly Buffer[],
    options: {
      count?: number;
      valueBytes?: number;
      /** [call, offset, byteCount, value] */
      patches?: readonly (readonly [number, number, number, number])[];
    } = {},
  ) => {
    const { count = calls.length, valueBytes = 0, patches = [] } = options;
    const records = patches.map((patch) => body(...patch.map((value) => ["u32", value] as const)));
    return call(
      28,
      ["u32", recording],
      ["u32", count],
      ["u32", valueBytes],
      ["list", records],
      ["bytes", Buffer.concat(calls)],
    );
  },
  recordingReplay: (recording: number, values: Uint8Array = new Uint8Array()) =>
    call(29, ["u32", recording], ["bytes", values]),
  recordingDestroy: (recording: number) => call(30, ["u32", recording]),
} as const;

export interface RawAnswer {
  readonly sequence: number;
  /** `OK`, or the code of the failure. */
  readonly code: ErrorCode | "OK";
  readonly body: Buffer;
  /** Of a failure: the call at fault. */
  readonly failed: { readonly sequence: number; readonly opcode: number; readonly message: string } | undefined;
}

export interface RawKernel {
  readonly name: string;
  readonly params: readonly (readonly number[])[];
  readonly paramBytes: number;
  readonly refusalCode: number;
}

/** The kernels and global variables of an answer to `moduleLoad`. Of each parameter: offset, size, alignment, type. */
export function parseModule(body: Buffer): {
  kernels: RawKernel[];
  globals: { name: string; address: number; byteCount: number }[];
} {
  let at = 16;
  const text = (start: number, length: number): string => body.subarray(start, start + length).toString();
  const record = (): number => {
    const start = at + 8;
    at = start + body.readUInt32LE(at);
    return start;
  };
  const kernels = Array.from({ length: body.readUInt32LE(0) }, () => {
    const start = record();
    const nameBytes = body.readUInt32LE(start);
    const params = Array.from({ length: body.readUInt32LE(start + 4) }, (_, index) => {
      const paramAt = start + 56 + Math.ceil(nameBytes / 8) * 8 + index * 24 + 8;
      return [0, 4, 8, 12].map((field) => body.readUInt32LE(paramAt + field));
    });
    const [paramBytes, refusalCode] = [body.readUInt32LE(start + 8), body.readUInt32LE(start + 44)] as const;
    return { name: text(start + 56, nameBytes), params, paramBytes, refusalCode };
  });
  const globals = Array.from({ length: body.readUInt32LE(4) }, () => {
    const start = record();
    return {
      name: text(start + 24, body.readUInt32LE(start)),
      address: Number(body.readBigUInt64LE(start + 8)),
      byteCount: Number(body.readBigUInt64LE(start + 16)),
    };
  });
  return { kernels, globals };
}

/** Where the answer to `attach` says that the session's staging file is. */
export function parseStaging(body: Buffer): { path: string; name: string; byteCount: number } {
  const [pathBytes, nameBytes] = [body.readUInt32LE(52), body.readUInt32LE(56)];
  const nameAt = body.length - Math.ceil(nameBytes / 8) * 8;
  const pathAt = nameAt - Math.ceil(pathBytes / 8) * 8;
  const text = (start: number, length: number): string => body.subarray(start, start + length).toString();
  return { path: text(pathAt, pathBytes), name: text(nameAt, nameBytes), byteCount: body.readUInt32LE(60) };
}

export interface RawFrame {
  readonly kind: number;
  readonly count: number;
  readonly ack: number;
  readonly payload: Buffer;
}

/** The answers of an ANSWERS frame. */
export function parseAnswers({ payload }: RawFrame): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let at = 0; at < payload.length; ) {
    const byteCount = payload.readUInt32LE(at);
    const status = payload.readUInt32LE(at + 4);
    const content = payload.subarray(at + 16, at + byteCount);
    const failed =
      status === 0
        ? undefined
        : {
            sequence: Number(content.readBigUInt64LE(0)),
            opcode: content.readUInt32LE(8),
            message: content
              .subarray(24 + Math.ceil(content.readUInt32LE(16) / 8) * 8)
              .subarray(0, content.readUInt32LE(20))
              .toString(),
          };
    const code = status === 0 ? "OK" : codeOfWire(status);
    answers.push({ sequence: payload.readUInt32LE(at + 8), code, body: Buffer.from(content), failed });
    at += byteCount;
  }
  return answers;
}
