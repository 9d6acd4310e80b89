/**
 * A small client of both planes for tests, written against proto/README.md and not with the code under test: frames are built
 * and cut here by hand, bytes are given as they are. Only the contract of gRPC is shared.
 */
import { createHmac, randomBytes } from "node:crypto";
import { createConnection, type Socket } from "node:net";
import { type ClientDuplexStream, credentials, InterceptingCall, type Interceptor } from "@grpc/grpc-js";
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { AllocateResponse__Output } from "../../proto/generated/sluice/v1/AllocateResponse.ts";
import type { Device__Output } from "../../proto/generated/sluice/v1/Device.ts";
import type { Granted__Output } from "../../proto/generated/sluice/v1/Granted.ts";
import type { HoldRequest } from "../../proto/generated/sluice/v1/HoldRequest.ts";
import type { HoldResponse__Output } from "../../proto/generated/sluice/v1/HoldResponse.ts";
import type { ListLeasesResponse__Output } from "../../proto/generated/sluice/v1/ListLeasesResponse.ts";
import type { ReleaseResponse__Output } from "../../proto/generated/sluice/v1/ReleaseResponse.ts";
import { contract, fromStatus } from "../../proto/load.ts";
import { codeOfWire, type ErrorCode } from "../../shared/errors.ts";
import { FINGERPRINT } from "../../shared/generated/calls.ts";
import { inTime } from "./wait-for.ts";

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
};
type RawProductField = keyof typeof rawProduct;

/** The calls of the table by name, as bytes. */
export const raw = {
  attach: (device = 0) => call(1, ["u32", device]),
  allocate: (address: number | bigint, byteCount: number | bigint) => call(2, ["u64", address], ["u64", byteCount]),
  free: (address: number | bigint) => call(3, ["u64", address]),
  copyToDevice: (address: number | bigint, data: Uint8Array, stream = 0) =>
    call(4, ["u64", address], ["u32", stream], ["bytes", data]),
  copyFromDevice: (address: number | bigint, byteCount: number, stream = 0) =>
    call(5, ["u64", address], ["u32", byteCount], ["u32", stream]),
  copyOnDevice: (destination: number, source: number, byteCount: number, stream = 0) =>
    call(6, ["u64", destination], ["u64", source], ["u64", byteCount], ["u32", stream]),
  fill: (address: number | bigint, count: number | bigint, width: number, value: number, stream = 0) =>
    call(7, ["u64", address], ["u64", count], ["u32", width], ["u32", value], ["u32", stream]),
  imageWrite: (image: number, totalBytes: number, offset: number, data: Uint8Array) =>
    call(8, ["u32", image], ["u32", totalBytes], ["u32", offset], ["bytes", data]),
  /** A product of matrices of 4 x 4 elements of f32, one behind the other from the arena's start, unless the fields say otherwise. */
  multiply: (fields: Partial<Record<RawProductField, number | bigint>> = {}): Buffer => {
    const product = { ...rawProduct, ...fields };
    const wide = ["a", "b", "c", "strideA", "strideB", "strideC"] as const;
    const narrow = ["m", "n", "k", "lda", "ldb", "ldc", "batchCount", "type", "transposeA", "transposeB"] as const;
    return call(
      32,
      ...wide.map((name) => ["u64", product[name]] as const),
      ...narrow.map((name) => ["u32", Number(product[name])] as const),
      // 1 and 0 as f32.
      ["u32", 0x3f80_0000],
      ["u32", 0],
      ["u32", Number(product.stream)],
    );
  },
  /** Without options. */
  compile: (module: number, image: number, device = 0): Buffer =>
    call(33, ["u32", module], ["u32", image], ["u32", device], ["bytes", new Uint8Array(0)]),
  copyToDeviceStaged: (address: number, offset: number, byteCount: number, stream = 0) =>
    call(34, ["u64", address], ["u32", offset], ["u32", byteCount], ["u32", stream]),
  copyFromDeviceStaged: (address: number, offset: number, byteCount: number, stream = 0) =>
    call(35, ["u64", address], ["u32", offset], ["u32", byteCount], ["u32", stream]),
  moduleLoad: (module: number, image: number, device = 0) => call(9, ["u32", module], ["u32", image], ["u32", device]),
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
  copyToDeviceKept: (address: number, data: Uint8Array, stream = 0) =>
    call(25, ["u64", address], ["u32", stream], ["bytes", data]),
  copyCached: (address: number, byteCount: number, hashes: Uint8Array, stream = 0) =>
    call(26, ["u64", address], ["u64", byteCount], ["u32", stream], ["bytes", hashes]),
  moduleLoadCached: (
    module: number,
    source: { image?: number; totalBytes?: number; hashes?: Uint8Array },
    device = 0,
  ) => {
    const { image = 0, totalBytes = 0, hashes = new Uint8Array() } = source;
    return call(27, ["u32", module], ["u32", image], ["u32", device], ["u32", totalBytes], ["bytes", hashes]);
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
}

/** The kernels and global variables of an answer to `moduleLoad`. Of each parameter: offset, size, alignment, type. */
export function parseModule(body: Buffer): {
  kernels: RawKernel[];
  globals: { name: string; address: number; byteCount: number }[];
} {
  let at = 8;
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
      const paramAt = start + 40 + Math.ceil(nameBytes / 8) * 8 + index * 24 + 8;
      return [0, 4, 8, 12].map((field) => body.readUInt32LE(paramAt + field));
    });
    return { name: text(start + 40, nameBytes), params, paramBytes: body.readUInt32LE(start + 8) };
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

function parseAnswers({ payload }: RawFrame): RawAnswer[] {
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

/** A connection to the data port at `HOST:PORT`, or to a Unix socket at `/PATH`: frames as they come, in order. */
export class RawConnection {
  readonly socket: Socket;
  readonly #frames: RawFrame[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #closed = false;

  /** `localAddress`: where it comes from, such as another one of loopback. */
  constructor(address: string, localAddress = "127.0.0.1") {
    const [host, port] = address.split(":");
    this.socket = createConnection(
      address.startsWith("/") ? { path: address } : { host: host!, port: Number(port), noDelay: true, localAddress },
    );
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk) => this.#receive(chunk));
    this.socket.on("close", () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next frame; undefined when the connection is closed. */
  next(timeoutMs = 10_000): Promise<RawFrame | undefined> {
    const wait = async (): Promise<RawFrame | undefined> => {
      while (this.#frames.length === 0 && !this.#closed) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      return this.#frames.shift();
    };
    return inTime("a frame", wait(), timeoutMs);
  }

  /** Everything up to the close: the code of the REFUSAL in it, or undefined. */
  async refusal(timeoutMs = 10_000): Promise<ErrorCode | undefined> {
    let code: ErrorCode | undefined;
    for (let next = await this.next(timeoutMs); next !== undefined; next = await this.next(timeoutMs)) {
      if (next.kind === REFUSAL) code = codeOfWire(next.payload.readUInt32LE(0));
    }
    return code;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#rest.length < 16) break;
      const byteCount = this.#rest.readUInt32LE(0);
      if (this.#rest.length < byteCount) break;
      this.#frames.push({
        kind: this.#rest.readUInt32LE(4),
        count: this.#rest.readUInt32LE(8),
        ack: this.#rest.readUInt32LE(12),
        payload: this.#rest.subarray(16, byteCount),
      });
      this.#rest = this.#rest.subarray(byteCount);
    }
    this.#wake?.();
  }
}

export interface HelloOptions {
  readonly leaseId: string;
  readonly secret: Uint8Array;
  readonly protocolVersion?: number;
  readonly fingerprint?: string;
  /** Replaces the right proof. */
  readonly proof?: Uint8Array;
  readonly clientNonce?: Uint8Array;
  readonly sessionId?: Uint8Array;
  readonly resumeMs?: number;
  readonly begun?: number;
  readonly received?: number;
}

/** The server's nonce of a GREETING. */
export function nonceOf(greeting: RawFrame): Buffer {
  const sizes = [4, 8, 12].map((at) => greeting.payload.readUInt32LE(at));
  const start = 16 + Math.ceil(sizes[0]! / 8) * 8 + Math.ceil(sizes[1]! / 8) * 8;
  return greeting.payload.subarray(start, start + sizes[2]!);
}

export function helloFrame(serverNonce: Uint8Array, options: HelloOptions): Buffer {
  const { clientNonce = randomBytes(32), sessionId = randomBytes(16) } = options;
  const hmac = createHmac("sha256", options.secret);
  hmac.update("client").update(serverNonce).update(clientNonce).update(sessionId);
  return frame(
    HELLO,
    body(
      ["u32", options.protocolVersion ?? 2],
      ["bytes", Buffer.from(options.fingerprint ?? FINGERPRINT)],
      ["bytes", Buffer.from("raw/1")],
      ["bytes", Buffer.from(options.leaseId)],
      ["bytes", sessionId],
      ["bytes", clientNonce],
      ["bytes", options.proof ?? hmac.digest()],
      ["u32", options.resumeMs ?? 0],
      ["u32", options.begun ?? 0],
      ["u64", options.received ?? 0],
    ),
  );
}

/** A session under a lease: sends calls and waits for answers. */
export class RawSession {
  readonly connection: RawConnection;
  /** What kernels printed. */
  output = "";
  #sequence = 0;
  readonly #answers: RawAnswer[] = [];
  /** Acknowledgement of the last frame. */
  ack = 0;

  constructor(connection: RawConnection) {
    this.connection = connection;
  }

  /** Shakes hands and checks the server's proof; rejects with the refusal's code in the message. */
  static async open(data: string, lease: { readonly id: string; readonly secret: Uint8Array }): Promise<RawSession> {
    const connection = new RawConnection(data);
    const greeting = await connection.next();
    if (greeting?.kind !== GREETING) throw new Error("No GREETING comes.");
    const [clientNonce, sessionId, serverNonce] = [randomBytes(32), randomBytes(16), nonceOf(greeting)];
    connection.send(helloFrame(serverNonce, { leaseId: lease.id, secret: lease.secret, clientNonce, sessionId }));
    const welcome = await connection.next();
    if (welcome?.kind === REFUSAL) throw new Error(codeOfWire(welcome.payload.readUInt32LE(0)));
    if (welcome?.kind !== WELCOME) throw new Error("No WELCOME comes.");
    const hmac = createHmac("sha256", lease.secret);
    const expected = hmac.update("server").update(clientNonce).update(serverNonce).update(sessionId).digest();
    if (!expected.equals(welcome.payload.subarray(32, 64))) throw new Error("The server's proof is wrong.");
    return new RawSession(connection);
  }

  /** Sends calls in one frame without waiting; returns the sequence number of the last. */
  send(...calls: readonly Buffer[]): number {
    this.connection.send(callsFrame(...calls));
    this.#sequence += calls.length;
    return this.#sequence;
  }

  /** Sends calls of which the last is answered, and waits for that answer. */
  async ask(...calls: readonly Buffer[]): Promise<RawAnswer> {
    const sequence = this.send(...calls);
    return this.answer(sequence);
  }

  async answer(sequence: number): Promise<RawAnswer> {
    for (;;) {
      const at = this.#answers.findIndex((answer) => answer.sequence === sequence);
      if (at >= 0) return this.#answers.splice(at, 1)[0]!;
      const next = await this.connection.next();
      if (next === undefined) throw new Error("The connection is closed.");
      this.ack = next.ack;
      if (next.kind === REFUSAL) throw new Error(codeOfWire(next.payload.readUInt32LE(0)));
      if (next.kind === OUTPUT) this.output += next.payload.subarray(8, 8 + next.payload.readUInt32LE(0)).toString();
      if (next.kind === ANSWERS) this.#answers.push(...parseAnswers(next));
    }
  }

  /** The code with which a device synchronise is answered behind these calls. */
  async codeAfter(...calls: readonly Buffer[]): Promise<string> {
    return (await this.ask(...calls, raw.deviceSynchronize())).code;
  }

  /** Reads device memory. */
  async read(address: number, byteCount: number): Promise<Buffer> {
    const answer = await this.ask(raw.copyFromDevice(address, byteCount));
    if (answer.code !== "OK") throw new Error(answer.code);
    return answer.body.subarray(8, 8 + answer.body.readUInt32LE(0));
  }

  /** Says GOODBYE and waits for the server's. */
  async close(): Promise<void> {
    this.connection.send(frame(GOODBYE, Buffer.alloc(0)));
    for (let next = await this.connection.next(); next !== undefined; next = await this.connection.next()) {
      if (next.kind === GOODBYE) break;
    }
    this.connection.destroy();
  }
}

type HoldStream = ClientDuplexStream<HoldRequest, HoldResponse__Output>;

export interface RawHold {
  readonly stream: HoldStream;
  /** Messages so far. */
  readonly messages: readonly HoldResponse__Output[];
  /** Resolves with the code with which the server ends the stream. */
  readonly ended: Promise<string>;
  /** Stops beating and ends the stream. */
  stop(): void;
}

export interface RawLease {
  readonly id: string;
  readonly secret: Buffer;
  readonly granted: Granted__Output;
}

/** Shows a token with every call. */
export const showing =
  (token: string): Interceptor =>
  (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set("authorization", `Bearer ${token}`);
        next(metadata, listener);
      },
    });

/** The control plane. */
export class RawControl {
  readonly client: InstanceType<typeof contract.PoolService>;

  /** `token` is shown with every call. */
  constructor(grpc: string, token?: string) {
    const interceptors = token === undefined ? [] : [showing(token)];
    this.client = new contract.PoolService(grpc, credentials.createInsecure(), { interceptors });
  }

  /** Rejects with a SluiceError. */
  allocate(request: AllocateRequest, onQueued: (position: number) => void = () => {}): Promise<RawLease> {
    return new Promise((resolve, reject) => {
      const stream = this.client.Allocate(request);
      stream.on("data", ({ queued, granted }: AllocateResponse__Output) => {
        if (queued) onQueued(queued.position);
        if (granted) resolve({ id: granted.lease!.id, secret: granted.secret, granted });
      });
      stream.on("error", (error) => reject(fromStatus(error as Parameters<typeof fromStatus>[0])));
      stream.on("end", () => reject(new Error("The stream ends without a grant.")));
    });
  }

  hold(lease: { readonly id: string; readonly secret: Uint8Array }, intervalMs = 500): RawHold {
    const stream = this.client.Hold();
    const messages: HoldResponse__Output[] = [];
    stream.on("data", (message: HoldResponse__Output) => messages.push(message));
    const beat = (): void => {
      stream.write({ leaseId: lease.id, secret: Buffer.from(lease.secret) });
    };
    const timer = setInterval(beat, intervalMs);
    beat();
    const ended = new Promise<string>((resolve) => {
      stream.on("error", (error) => resolve(fromStatus(error as Parameters<typeof fromStatus>[0]).code));
      stream.on("end", () => resolve("END"));
    });
    void ended.then(() => clearInterval(timer));
    return {
      stream,
      messages,
      ended,
      stop: () => {
        clearInterval(timer);
        stream.cancel();
      },
    };
  }

  release(leaseId: string, secret: Uint8Array = new Uint8Array()): Promise<ReleaseResponse__Output> {
    return new Promise((resolve, reject) => {
      this.client.Release({ leaseId, secret: Buffer.from(secret) }, (error, response) =>
        error === null ? resolve(response!) : reject(fromStatus(error)),
      );
    });
  }

  devices(): Promise<Device__Output[]> {
    return new Promise((resolve, reject) => {
      this.client.ListDevices({}, (error, response) =>
        error === null ? resolve(response!.devices) : reject(fromStatus(error)),
      );
    });
  }

  leases(): Promise<ListLeasesResponse__Output> {
    return new Promise((resolve, reject) => {
      this.client.ListLeases({}, (error, response) =>
        error === null ? resolve(response!) : reject(fromStatus(error)),
      );
    });
  }

  /** Bytes lent or charged on all devices, and leases and requests: all zero when the pool is empty. */
  async inUse(): Promise<number> {
    const devices = await this.devices();
    const { leases, queue } = await this.leases();
    const bytes = devices.reduce((sum, { memoryBytes, freeBytes }) => sum + memoryBytes - freeBytes, 0);
    return bytes + leases.length + queue.length;
  }

  close(): void {
    this.client.close();
  }
}
