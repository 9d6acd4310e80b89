/**
 * One session under a lease: it numbers calls by counting, batches them, gives each answer to its call, and tells everyone who
 * waits when it ends, and why. It knows frames and calls (proto/README.md), no buffers, no kernels and no gRPC.
 */
import { randomBytes } from "node:crypto";
import { codeOfWire, SluiceError, toSluiceError } from "../shared/errors.ts";
import {
  type AttachAnswer,
  decodeAttachAnswer,
  decodeGreeting,
  decodeMemoryInfoAnswer,
  decodeOutput,
  decodeRefusal,
  decodeWelcome,
  encodeAttachCall,
  encodeMemoryInfoCall,
  FrameKind,
  type Greeting,
  Opcode,
  type Welcome,
} from "../shared/generated/calls.ts";
import { ANSWERS_PENDING_MAX, HANDSHAKE_TIMEOUT_MS } from "../shared/limits.ts";
import { type AnswerView, answersOf, type Frame, FrameReader, FrameWriter } from "../shared/wire/frame.ts";
import { protocolError, type WireBuffer, type WireWriter } from "../shared/wire/wire-buffer.ts";
import { cancelled, orAborted } from "./abort.ts";
import { type Credentials, checkWelcome, helloFrame, NONCE_BYTES, SESSION_ID_BYTES } from "./handshake.ts";
import { Outbox } from "./outbox.ts";
import { again, type Decode, PendingAnswers } from "./pending-answers.ts";
import { openTransport } from "./transport/open.ts";
import type { Transport } from "./transport/transport.ts";

/** How long `close` waits for the server to execute what was sent before. */
const GOODBYE_TIMEOUT_MS = 2_000;

export interface SessionOptions {
  readonly endpoints: readonly string[];
  /** Host of the gRPC server, for endpoints that name none. */
  readonly host: string;
  readonly leaseId: string;
  readonly secret: Uint8Array;
  /** Devices to attach: the first ones of the lease. */
  readonly devices: number;
  /** Receives what kernels print. */
  readonly onOutput: (text: string) => void;
  /** Called once when the session ends by itself. */
  readonly onFailed: (error: SluiceError) => void;
  /** Asked when the connection breaks without a word: why, if anyone knows. Bounded in time; never rejects. */
  readonly reasonOfLoss: () => Promise<SluiceError | undefined>;
  readonly signal?: AbortSignal | undefined;
}

/** Answered calls that give the server no work. */
const onlyAsking: ReadonlySet<number> = new Set([
  Opcode.copyFromDevice,
  Opcode.streamSynchronize,
  Opcode.streamQuery,
  Opcode.eventSynchronize,
  Opcode.eventQuery,
  Opcode.eventElapsed,
  Opcode.deviceSynchronize,
  Opcode.memoryInfo,
]);

export type Encode<T> = (writer: WireWriter, fields: T) => void;

/** An answered call. */
interface Call<T, A> {
  readonly fields: T;
  readonly encode: Encode<T>;
  readonly decode: Decode<A>;
}

/** Which frame must come next: one of the handshake, or any of an open session. */
type Phase =
  | {
      readonly kind: "greeting" | "welcome";
      readonly accept: (frame: Frame) => void;
      readonly fail: (error: SluiceError) => void;
    }
  | { readonly kind: "open" };

export class Session {
  readonly #options: SessionOptions;
  readonly #reader = new FrameReader();
  readonly #pending: PendingAnswers;
  #transport!: Transport;
  #outbox!: Outbox;
  #phase: Phase = { kind: "open" };
  #calls = 0;
  #roundTrips = 0;
  /** Sequence number of the last call that an answer will follow. */
  #lastAnswered = 0;
  /** Sequence number of the last call that may have given the server work, or whose failure no answer has told about. */
  #lastWork = 0;
  /** Why calls are refused: the session has ended, or is in error. */
  #broken: SluiceError | undefined;
  #ended = false;
  #refusal: SluiceError | undefined;
  #closed: (() => void) | undefined;
  #gone = false;
  #goodbyeSaid = false;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.#pending = new PendingAnswers(options.leaseId);
  }

  /** Connects, shakes hands and attaches the devices: two round trips. */
  static async open(options: SessionOptions): Promise<{ session: Session; attached: AttachAnswer[] }> {
    const session = new Session(options);
    try {
      return { session, attached: await session.#open() };
    } catch (error) {
      session.#end(toSluiceError(error));
      session.#transport?.destroy();
      throw error;
    }
  }

  /** Calls issued. */
  get calls(): number {
    return this.#calls;
  }

  /** Calls answered. */
  get roundTrips(): number {
    return this.#roundTrips;
  }

  get batches(): number {
    return this.#outbox.batches;
  }

  get bytesSent(): number {
    return this.#transport.bytesSent;
  }

  get endpoint(): string {
    return this.#transport.endpoint;
  }

  get bytesReceived(): number {
    return this.#transport.bytesReceived;
  }

  /** Whether calls are refused: the session has ended, or an earlier call failed. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /**
   * Whether what the good answer to the call `sequence` said of idle work still holds: nothing was issued since that could change it or could have
   * failed, and no answer is awaited. Then asking again needs no trip.
   */
  isQuietSince(sequence: number): boolean {
    return sequence > this.#lastWork && this.#broken === undefined && this.#pending.size === 0;
  }

  /** Bytes that wait in this process. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /**
   * Issues a call without an answer: it is in the batch when this returns.
   * @throws SluiceError BACKLOG_FULL, or why the session is in error or has ended.
   */
  issue<T>(opcode: number, fields: T, encode: Encode<T>): void {
    if (this.#broken !== undefined) throw again(this.#broken);
    this.#outbox.checkRoom();
    this.#outbox.append(opcode, fields, encode);
    this.#outbox.flushLater();
    this.#lastWork = ++this.#calls;
  }

  /** As `issue` even when the backlog is full: for the later pieces of one copy, and for what gives something back. */
  issueAlways<T>(opcode: number, fields: T, encode: Encode<T>): void {
    if (this.#broken !== undefined) throw again(this.#broken);
    this.#outbox.append(opcode, fields, encode);
    this.#outbox.flushLater();
    this.#lastWork = ++this.#calls;
  }

  /** Issues a call with an answer. Rejects with the call's failure, the session's error, or CANCELLED. */
  request<T, A>(opcode: number, call: Call<T, A>, signal?: AbortSignal): Promise<A> {
    // Not `async`: one promise per call is enough on this path.
    try {
      if (signal?.aborted) throw cancelled(signal);
      if (this.#broken !== undefined) throw again(this.#broken);
      if (this.#pending.size >= ANSWERS_PENDING_MAX) {
        throw new SluiceError(
          "BACKLOG_FULL",
          `The client waits for [${this.#pending.size}] answers: as many as it may.`,
        );
      }
      return orAborted(this.#request(opcode, call), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends what waits; resolves when the system has it all. Rejects when the session has ended. */
  async flush(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#broken !== undefined) throw again(this.#broken);
    this.#transport.ref();
    try {
      await orAborted(this.#outbox.drained(), signal);
      // Nothing waits any more because the connection is gone: say why, once it is known.
      if (this.#gone && !this.#ended) await orAborted(this.#ask(), signal);
    } finally {
      if (this.#pending.size === 0) this.#transport.unref();
    }
    if (this.#broken !== undefined) throw again(this.#broken);
  }

  /** Ends the session because its lease ends. */
  fail(error: SluiceError): void {
    this.#end(error);
    this.#transport?.destroy();
  }

  /**
   * Ends the session in good order: what was issued is executed first, for as long as the time allows. Resolves with the error of a
   * call that no answered call has told about.
   */
  async close(error: SluiceError): Promise<SluiceError | undefined> {
    if (this.#ended) return undefined;
    if (this.#gone) {
      this.#end(error);
      return undefined;
    }
    let unheard: SluiceError | undefined;
    const check = this.#calls > this.#lastAnswered && this.#broken === undefined ? this.#checkForFailure() : undefined;
    void check?.then((failure) => {
      unheard = failure;
    });
    this.#broken = error;
    this.#outbox.flush();
    this.#goodbyeSaid = true;
    this.#transport.write(new FrameWriter(16).finish(FrameKind.GOODBYE, this.#outbox.ack), () => {});
    this.#transport.ref();
    await this.#closedWithin(GOODBYE_TIMEOUT_MS);
    this.#end(error);
    this.#transport.destroy();
    return unheard;
  }

  #request<T, A>(opcode: number, call: Call<T, A>): Promise<A> {
    this.#outbox.append(opcode, call.fields, call.encode);
    this.#lastAnswered = ++this.#calls;
    if (!onlyAsking.has(opcode)) this.#lastWork = this.#calls;
    if (this.#pending.size === 0) this.#transport.ref();
    this.#outbox.flushSoon();
    return this.#pending.expect(this.#calls, call.decode);
  }

  /** Any answered call tells about a failure of the calls before it. */
  async #checkForFailure(): Promise<SluiceError | undefined> {
    try {
      await this.#ask();
      return undefined;
    } catch (error) {
      const failure = toSluiceError(error);
      return failure.details.sequence === undefined ? undefined : failure;
    }
  }

  /** The cheapest call that is answered. */
  async #ask(): Promise<void> {
    const fields = { device: 0 };
    await this.#request(Opcode.memoryInfo, { fields, encode: encodeMemoryInfoCall, decode: decodeMemoryInfoAnswer });
  }

  async #open(): Promise<AttachAnswer[]> {
    const { endpoints, host, leaseId, secret, signal } = this.#options;
    const greeting = this.#expect("greeting", decodeGreeting);
    // It may be rejected before it is awaited, when the connection breaks at once.
    greeting.catch(() => {});
    this.#transport = await openTransport({
      endpoints,
      host,
      signal,
      timeoutMs: HANDSHAKE_TIMEOUT_MS,
      handlers: {
        // Without a held frame there is always room.
        space: () => this.#reader.space()!,
        onFilled: (byteCount) => this.#onFilled(byteCount),
        onClose: (cause) => this.#onClose(cause),
      },
    });
    this.#outbox = new Outbox(this.#transport);
    const serverGreeting = copyOfGreeting(await withinHandshake(greeting, signal));
    const credentials: Credentials = {
      leaseId,
      secret,
      sessionId: randomBytes(SESSION_ID_BYTES),
      nonce: randomBytes(NONCE_BYTES),
    };
    this.#transport.write(helloFrame(serverGreeting, credentials), () => {});
    const welcome = this.#expect("welcome", (buffer, start, end) => {
      const message: Welcome = decodeWelcome(buffer, start, end);
      checkWelcome(message, serverGreeting.nonce, credentials);
    });
    const attached = this.#attachAll();
    attached.catch(() => {});
    this.#outbox.flush();
    await withinHandshake(welcome, signal);
    return await orAborted(attached, signal);
  }

  #attachAll(): Promise<AttachAnswer[]> {
    const indices = Array.from({ length: this.#options.devices }, (_unused, index) => index);
    return Promise.all(
      indices.map((device) =>
        this.#request(Opcode.attach, { fields: { device }, encode: encodeAttachCall, decode: decodeAttachAnswer }),
      ),
    );
  }

  /** Waits for one frame of the handshake; anything else breaks the format. */
  #expect<A>(kind: "greeting" | "welcome", decode: Decode<A>): Promise<A> {
    return new Promise((resolve, reject) => {
      const accept = (frame: Frame): void => {
        const message = decode(frame.buffer, frame.start, frame.end);
        this.#phase = { kind: "open" };
        resolve(message);
      };
      this.#phase = { kind, accept, fail: reject };
    });
  }

  #onFilled(byteCount: number): void {
    if (this.#ended) return;
    try {
      this.#reader.filled(byteCount);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#onFrame(frame);
    } catch (error) {
      this.fail(toSluiceError(error));
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === FrameKind.REFUSAL) {
      const { code, message } = decodeRefusal(frame.buffer, frame.start, frame.end);
      this.#refusal = new SluiceError(codeOfWire(code), message, { leaseId: this.#options.leaseId });
      return;
    }
    const phase = this.#phase;
    if (phase.kind !== "open") {
      const expected = phase.kind === "greeting" ? FrameKind.GREETING : FrameKind.WELCOME;
      if (frame.kind !== expected)
        throw protocolError(`A frame of kind [${frame.kind}] comes before the ${phase.kind}.`);
      phase.accept(frame);
      return;
    }
    if (frame.kind === FrameKind.ANSWERS) {
      for (const answer of answersOf(frame)) this.#onAnswer(frame.buffer, answer);
    } else if (frame.kind === FrameKind.OUTPUT) {
      const { text } = decodeOutput(frame.buffer, frame.start, frame.end);
      // In its own turn: what the caller's function throws must not look like a fault of the connection.
      queueMicrotask(() => this.#options.onOutput(text));
    } else if (frame.kind !== FrameKind.GOODBYE || !this.#goodbyeSaid) {
      throw protocolError(`The server sends a frame of kind [${frame.kind}] in an open session.`);
    }
  }

  #onAnswer(buffer: WireBuffer, answer: AnswerView): void {
    this.#outbox.ack = answer.sequence;
    // The failure of an earlier call: the session is in error from now on, and no later call would be executed.
    const earlier = this.#pending.settle(buffer, answer);
    if (earlier !== undefined) this.#broken ??= earlier;
    // What a failure left behind, only a later answer can say.
    if (answer.status !== 0) this.#lastWork = this.#calls;
    this.#roundTrips++;
    if (this.#pending.size === 0) this.#transport.unref();
  }

  #onClose(cause: Error | undefined): void {
    this.#gone = true;
    this.#closed?.();
    if (this.#ended || this.#goodbyeSaid) return;
    // Calls that come until the reason is known go nowhere; their callers hear of it from the next answered call.
    this.#outbox?.discard();
    if (this.#refusal !== undefined) this.#end(this.#refusal);
    else void this.#explainLoss(cause);
  }

  async #explainLoss(cause: Error | undefined): Promise<void> {
    const reason = await this.#options.reasonOfLoss();
    const words = cause === undefined ? "the server closes it" : cause.message;
    this.#end(
      reason ??
        new SluiceError("CONNECTION_LOST", `The connection to [${this.#transport.endpoint}] breaks [${words}].`, {
          leaseId: this.#options.leaseId,
          cause,
        }),
    );
  }

  /** Tells everyone who waits. The first reason stays, unless the session was only in error before. */
  #end(error: SluiceError): void {
    if (this.#ended) return;
    this.#ended = true;
    const byItself = !this.#goodbyeSaid;
    if (byItself) this.#broken = error;
    this.#outbox?.discard();
    if (this.#phase.kind !== "open") this.#phase.fail(again(error));
    this.#pending.failAll(error);
    if (byItself) this.#options.onFailed(error);
  }

  #closedWithin(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#closed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The nonce lies in the reader's buffer, which the next frame overwrites. */
const copyOfGreeting = (greeting: Greeting): Greeting => ({ ...greeting, nonce: Uint8Array.from(greeting.nonce) });

async function withinHandshake<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const timeout = AbortSignal.timeout(HANDSHAKE_TIMEOUT_MS);
  const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  try {
    return await orAborted(promise, both);
  } catch (error) {
    if (!timeout.aborted || signal?.aborted) throw error;
    throw new SluiceError(
      "HANDSHAKE_TIMEOUT",
      `The server says nothing for [${HANDSHAKE_TIMEOUT_MS}] ms in the handshake.`,
    );
  }
}
