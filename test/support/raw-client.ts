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
import {
  ANSWERS,
  body,
  callsFrame,
  frame,
  GOODBYE,
  GREETING,
  HELLO,
  OUTPUT,
  parseAnswers,
  type RawAnswer,
  type RawFrame,
  REFUSAL,
  raw,
  WELCOME,
} from "./raw-frames.ts";
import { inTime, WAIT_MS_MAX, waitFor } from "./wait-for.ts";

export * from "./raw-frames.ts";

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
  next(timeoutMs = WAIT_MS_MAX): Promise<RawFrame | undefined> {
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
  async refusal(): Promise<ErrorCode | undefined> {
    let code: ErrorCode | undefined;
    for (let next = await this.next(); next !== undefined; next = await this.next()) {
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

  /** As `open`, once the session before it is over, which may still be ending. */
  static openNext(data: string, lease: { readonly id: string; readonly secret: Uint8Array }): Promise<RawSession> {
    return waitFor("the lease to take a session", () =>
      RawSession.open(data, lease).catch((error: Error) => {
        if (error.message !== "SESSION_BUSY") throw error;
        return undefined;
      }),
    );
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
