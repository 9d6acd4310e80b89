/**
 * One session under a lease: it numbers calls by counting, batches them, gives each answer to its call, goes on over a new connection when
 * one breaks, and tells everyone who waits when it ends, and why. It knows frames and calls (proto/README.md), no buffers, no kernels
 * and no gRPC.
 */
import { randomBytes } from "node:crypto";
import { SluiceError, toSluiceError } from "../shared/errors.ts";
import {
  type AttachAnswer,
  decodeAttachAnswer,
  decodeMemoryInfoAnswer,
  decodeOutput,
  encodeAttachCall,
  encodeMemoryInfoCall,
  FrameKind,
  Opcode,
  type Welcome,
} from "../shared/generated/calls.ts";
import { ANSWERS_PENDING_MAX, HANDSHAKE_TIMEOUT_MS, SESSION_GRACE_MS, SILENCE_MS_MAX } from "../shared/limits.ts";
import { type AnswerView, answersOf, FRAME_HEADER_BYTES, type Frame } from "../shared/wire/frame.ts";
import { protocolError, type WireBuffer, type WireWriter } from "../shared/wire/wire-buffer.ts";
import { cancelled, orAborted } from "./abort.ts";
import { forgetAtExit, sayAtExit } from "./exit-farewell.ts";
import { SESSION_ID_BYTES, type SessionPosition } from "./handshake.ts";
import { Link, type LinkHandlers, type Loss } from "./link.ts";
import { Outbox } from "./outbox.ts";
import { again, type Decode, PendingAnswers } from "./pending-answers.ts";
import { RunningCopies } from "./pieces.ts";
import { isPassing, Reconnection } from "./reconnection.ts";
import type { Recorder } from "./recorder.ts";
import { SilenceWatch } from "./silence-watch.ts";
import type { ServerLink } from "./transport/transport.ts";

/** How long `close` waits for the server to execute what was sent before. */
const GOODBYE_TIMEOUT_MS = 2_000;

/** How often a session whose first connection breaks in the handshake tries another. */
const HANDSHAKE_RETRIES = 3;

/** What becomes of a session's connection. */
export interface ConnectionChange {
  readonly state: "lost" | "resumed";
  /** The data endpoint that was in use, or is now. */
  readonly endpoint: string;
  /** Why it was lost, in the system's words; undefined when the server closed it, or it was resumed. */
  readonly reason: string | undefined;
}

export interface SessionOptions {
  readonly endpoints: readonly string[];
  /** Host of the gRPC server, for endpoints that name none. */
  readonly host: string;
  /** For transports that need more than an address. */
  readonly server?: ServerLink | undefined;
  readonly leaseId: string;
  readonly secret: Uint8Array;
  /** Devices to attach: the first ones of the lease. */
  readonly devices: number;
  /** How long to try to resume the session when its connection breaks, at most; 0: not at all. Default SESSION_GRACE_MS. */
  readonly resumeMs?: number | undefined;
  /** How long the server may be silent while it is waited for, before another connection is tried. Default SILENCE_MS_MAX. */
  readonly silenceMs?: number | undefined;
  /** Receives what kernels print. */
  readonly onOutput: (text: string) => void;
  /** Called once when the session ends by itself. */
  readonly onFailed: (error: SluiceError) => void;
  /** Called when the connection breaks, and when the session goes on. */
  readonly onConnection?: (change: ConnectionChange) => void;
  /** Asked when the connection is lost without a word: why, if anyone knows. Bounded in time; never rejects. */
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

export class Session {
  /** Takes the calls while a recording is made. */
  recorder: Recorder | undefined;
  /** Copies of which pieces are still to be issued: calls look here for what they must stay behind. */
  readonly copies = new RunningCopies();
  readonly #options: SessionOptions;
  readonly #sessionId = randomBytes(SESSION_ID_BYTES);
  readonly #pending: PendingAnswers;
  readonly #outbox = new Outbox();
  readonly #reconnection: Reconnection;
  readonly #handlers: LinkHandlers;
  readonly #watch: SilenceWatch;
  /** The connection in use; the last one while there is none. */
  #link: Link | undefined;
  #connected = false;
  /** The connection that is being made. */
  #dialing: Promise<void> | undefined;
  /** The connection whose HELLO was followed at once by the calls that attach. */
  #firstLink: Link | undefined;
  /** There has been a WELCOME. */
  #begun = false;
  /** What both ends agreed on. */
  #resumeMs: number;
  #roundTrips = 0;
  #reconnects = 0;
  /** Bytes over the connections before this one. */
  #bytesBefore = { sent: 0, received: 0 };
  /** Sequence number of the last call that an answer will follow. */
  #lastAnswered = 0;
  /** Sequence number of the last call that may have given the server work, or whose failure no answer has told about. */
  #lastWork = 0;
  /** Why calls are refused: the session has ended, or is in error. */
  #broken: SluiceError | undefined;
  #ended = false;
  /** Calls off what waits for the network. */
  readonly #over = new AbortController();
  #closing = false;
  #goodbyeSaid = false;
  #goodbyeHeard = false;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.#resumeMs = options.resumeMs ?? SESSION_GRACE_MS;
    this.#pending = new PendingAnswers(options.leaseId);
    this.#reconnection = new Reconnection({
      connect: (timeoutMs) => this.#connect(timeoutMs),
      spread: this.#sessionId[0]! / 255,
    });
    this.#watch = new SilenceWatch({
      silenceMs: options.silenceMs ?? SILENCE_MS_MAX,
      heard: () => this.bytesReceived,
      isAwaited: () => this.#pending.size > 0 || this.#outbox.queuedBytes > 0,
      onSilence: () => void this.#tryAnother(),
    });
    this.#handlers = {
      onGreeting: () => this.#onGreeting(),
      onHello: (link) => this.#onHello(link),
      onWelcome: (link, welcome) => this.#onWelcome(link, welcome),
      onFrame: (frame) => this.#onFrame(frame),
      onLost: (link, loss) => this.#onLost(link, loss),
    };
  }

  /** Connects, shakes hands and attaches the devices: two round trips. */
  static async open(options: SessionOptions): Promise<{ session: Session; attached: AttachAnswer[] }> {
    const session = new Session(options);
    try {
      return { session, attached: await session.#open() };
    } catch (error) {
      session.fail(toSluiceError(error));
      throw error;
    }
  }

  /** Calls issued. */
  get calls(): number {
    return this.#outbox.calls;
  }

  /** Calls answered. */
  get roundTrips(): number {
    return this.#roundTrips;
  }

  get batches(): number {
    return this.#outbox.batches;
  }

  /** The endpoint of the connection in use. */
  get endpoint(): string {
    return this.#link?.transport.endpoint ?? "";
  }

  /** How often a broken connection was replaced. */
  get reconnects(): number {
    return this.#reconnects;
  }

  get bytesSent(): number {
    return this.#bytesBefore.sent + (this.#connected ? this.#link!.transport.bytesSent : 0);
  }

  get bytesReceived(): number {
    return this.#bytesBefore.received + (this.#connected ? this.#link!.transport.bytesReceived : 0);
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
    const isOpen = this.#broken === undefined && this.recorder === undefined;
    return sequence > this.#lastWork && isOpen && this.#pending.size === 0;
  }

  /** Bytes that this process holds: not sent, or not acknowledged. */
  get heldBytes(): number {
    return this.#outbox.heldBytes;
  }

  /** Bytes that wait in this process to be sent. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /**
   * Issues a call without an answer: it is in the batch when this returns.
   * @throws SluiceError BACKLOG_FULL, or why the session is in error or has ended.
   */
  issue<T>(opcode: number, fields: T, encode: Encode<T>): void {
    if (this.#broken !== undefined) throw again(this.#broken);
    if (this.recorder !== undefined) {
      this.recorder.take(opcode, fields, encode);
      return;
    }
    if (this.copies.count > 0) this.copies.before(opcode, fields);
    this.#outbox.checkRoom();
    this.#outbox.append(opcode, fields, encode);
    this.#outbox.flushLater();
    this.#lastWork = this.calls;
  }

  /** As `issue` even when the backlog is full: for the later pieces of one copy, and for what gives something back. */
  issueAlways<T>(opcode: number, fields: T, encode: Encode<T>): void {
    if (this.#broken !== undefined) throw again(this.#broken);
    if (this.recorder !== undefined) {
      this.recorder.take(opcode, fields, encode);
      return;
    }
    if (this.copies.count > 0) this.copies.before(opcode, fields);
    this.#outbox.append(opcode, fields, encode);
    this.#outbox.flushLater();
    this.#lastWork = this.calls;
  }

  /** Issues a call with an answer. Rejects with the call's failure, the session's error, or CANCELLED. */
  request<T, A>(opcode: number, call: Call<T, A>, signal?: AbortSignal): Promise<A> {
    // Not `async`: one promise per call is enough on this path.
    try {
      if (signal?.aborted) throw cancelled(signal);
      if (this.#broken !== undefined) throw again(this.#broken);
      if (this.recorder !== undefined) {
        this.recorder.refuse(opcode);
        // The recording fails in the words of the refusal, and nobody need be there to hear a rejection too.
        return new Promise<A>(() => {});
      }
      if (this.copies.count > 0) this.copies.before(opcode, call.fields);
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

  /** Sends what waits; resolves when the system has it all and there is room for more. Rejects when the session has ended. */
  async flush(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#broken !== undefined) throw again(this.#broken);
    this.#keepAlive(true);
    try {
      await orAborted(this.#outbox.drained(), signal);
    } finally {
      if (this.#pending.size === 0) this.#keepAlive(false);
    }
    if (this.#broken !== undefined) throw again(this.#broken);
  }

  /** Ends the session because its lease ends. */
  fail(error: SluiceError): void {
    this.#end(error);
    this.#link?.destroy();
  }

  /**
   * Ends the session in good order: what was issued is executed first, for as long as the time allows. Resolves with the error of a
   * call that no answered call has told about.
   */
  async close(error: SluiceError): Promise<SluiceError | undefined> {
    if (this.#ended) return undefined;
    this.copies.finish();
    this.#closing = true;
    const timeout = AbortSignal.any([AbortSignal.timeout(GOODBYE_TIMEOUT_MS), this.#over.signal]);
    // A failure is heard before the server may forget the session.
    const isHeard = this.calls === this.#lastAnswered || this.#broken !== undefined;
    const check = isHeard ? undefined : this.#checkForFailure();
    this.#broken = error;
    const unheard = await orAborted(Promise.resolve(check), timeout).catch(() => undefined);
    this.#goodbyeSaid = true;
    if (this.#connected) this.#outbox.goodbye();
    this.#keepAlive(true);
    await untilAborted(timeout);
    this.fail(error);
    return unheard;
  }

  /** The program ends now: its session need not wait for it. */
  farewell(): void {
    if (this.#connected && !this.#goodbyeSaid) this.#outbox.farewell();
  }

  #request<T, A>(opcode: number, call: Call<T, A>): Promise<A> {
    this.#outbox.append(opcode, call.fields, call.encode);
    this.#lastAnswered = this.calls;
    if (!onlyAsking.has(opcode)) this.#lastWork = this.calls;
    if (this.#pending.size === 0) this.#keepAlive(true);
    this.#outbox.flushSoon();
    return this.#pending.expect(this.calls, call.decode);
  }

  /** Any answered call tells about a failure of the calls before it. */
  async #checkForFailure(): Promise<SluiceError | undefined> {
    try {
      const fields = { device: 0 };
      // The cheapest call that is answered.
      await this.#request(Opcode.memoryInfo, { fields, encode: encodeMemoryInfoCall, decode: decodeMemoryInfoAnswer });
      return undefined;
    } catch (error) {
      const failure = toSluiceError(error);
      return failure.details.sequence === undefined ? undefined : failure;
    }
  }

  async #open(): Promise<AttachAnswer[]> {
    const { devices, signal } = this.#options;
    const indices = Array.from({ length: devices }, (_unused, index) => index);
    const attached = Promise.all(
      indices.map((device) =>
        this.#request(Opcode.attach, { fields: { device }, encode: encodeAttachCall, decode: decodeAttachAnswer }),
      ),
    );
    attached.catch(() => {});
    await this.#connectFirst();
    return await orAborted(attached, signal);
  }

  /** A connection that breaks in the handshake is tried again a few times: the server may have begun the session. */
  async #connectFirst(): Promise<void> {
    for (let left = this.#resumeMs === 0 ? 0 : HANDSHAKE_RETRIES; ; left--) {
      try {
        await this.#connect(HANDSHAKE_TIMEOUT_MS);
        return;
      } catch (error) {
        if (left === 0 || toSluiceError(error).code !== "CONNECTION_LOST") throw error;
      }
    }
  }

  /** One at a time: where the session stands when it says HELLO must still be so when WELCOME comes. */
  async #connect(timeoutMs: number): Promise<void> {
    const earlier = this.#dialing;
    if (earlier !== undefined) {
      await earlier.catch(() => {});
      if (this.#connected) return;
    }
    this.#dialing = this.#dial(timeoutMs);
    try {
      await this.#dialing;
    } finally {
      this.#dialing = undefined;
    }
  }

  async #dial(timeoutMs: number): Promise<void> {
    const { endpoints, host, server, leaseId, secret, signal } = this.#options;
    const over = this.#over.signal;
    try {
      await Link.open({
        endpoints,
        host,
        server,
        leaseId,
        secret,
        sessionId: this.#sessionId,
        handlers: this.#handlers,
        timeoutMs,
        signal: this.#begun || signal === undefined ? over : AbortSignal.any([over, signal]),
      });
    } catch (error) {
      if (!this.#connected) this.#outbox.detach();
      throw error;
    }
  }

  #onGreeting(): SessionPosition {
    if (this.#connected) {
      const reason = "the server is silent there";
      this.#tellChange({ state: "lost", endpoint: this.endpoint, reason });
      this.#leave(this.#link!);
    }
    return { resumeMs: this.#resumeMs, begun: this.#begun, received: this.#outbox.received };
  }

  /** The calls that attach follow the first HELLO at once; whoever comes back waits for what the server has. */
  #onHello(link: Link): void {
    if (this.#firstLink !== undefined || this.#ended) return;
    this.#firstLink = link;
    this.#outbox.attach(link.transport, 0);
    this.#outbox.flush();
  }

  #onWelcome(link: Link, welcome: Welcome): void {
    this.#link = link;
    this.#connected = true;
    this.#resumeMs = welcome.resumeMs;
    this.#keepAlive(this.#pending.size > 0 || this.#goodbyeSaid);
    if (link !== this.#firstLink) this.#outbox.attach(link.transport, welcome.received);
    if (this.#goodbyeSaid) this.#outbox.goodbye();
    if (this.#begun) {
      this.#reconnects++;
      this.#tellChange({ state: "resumed", endpoint: link.transport.endpoint, reason: undefined });
    }
    this.#begun = true;
    if (this.#resumeMs === 0) return;
    this.#watch.start();
    sayAtExit(this);
  }

  #onFrame(frame: Frame): void {
    if (this.#ended) return;
    this.#outbox.onAcknowledgement(frame.ack);
    if (frame.kind === FrameKind.ANSWERS) {
      const answers = answersOf(frame);
      if (answers.length === 0) return;
      for (const answer of answers) this.#onAnswer(frame.buffer, answer);
    } else if (frame.kind === FrameKind.OUTPUT) {
      const { text } = decodeOutput(frame.buffer, frame.start, frame.end);
      // In its own turn: what the caller's function throws must not look like a fault of the connection.
      queueMicrotask(() => this.#options.onOutput(text));
    } else if (frame.kind === FrameKind.GOODBYE && this.#goodbyeSaid) {
      this.#goodbyeHeard = true;
      return;
    } else throw protocolError(`The server sends a frame of kind [${frame.kind}] in an open session.`);
    this.#outbox.onFrame(frame.end - frame.start + FRAME_HEADER_BYTES);
  }

  #onAnswer(buffer: WireBuffer, answer: AnswerView): void {
    // The failure of an earlier call: the session is in error from now on, and no later call would be executed.
    const earlier = this.#pending.settle(buffer, answer);
    if (earlier !== undefined) this.#broken ??= earlier;
    // What a failure left behind, only a later answer can say.
    if (answer.status !== 0) this.#lastWork = this.calls;
    this.#roundTrips++;
    if (this.#pending.size === 0) this.#keepAlive(false);
  }

  #onLost(link: Link, { error, cause }: Loss): void {
    if (link !== this.#link || !this.#connected) return;
    this.#leave(link);
    if (this.#ended) return;
    if (error !== undefined || this.#goodbyeHeard) this.#end(error ?? this.#broken!);
    else void this.#resume(cause?.message ?? "the server closes it");
  }

  /** Works with this connection no more. */
  #leave(link: Link): void {
    this.#watch.stop();
    this.#bytesBefore = { sent: this.bytesSent, received: this.bytesReceived };
    this.#connected = false;
    this.#outbox.detach();
    link.destroy();
  }

  /** The server is silent: if it can be reached over another connection, the session goes on there. */
  async #tryAnother(): Promise<void> {
    if (this.#dialing !== undefined) return;
    const link = this.#link;
    try {
      await this.#connect(HANDSHAKE_TIMEOUT_MS);
    } catch (error) {
      const { message } = toSluiceError(error);
      // Unless it was left for the attempt, the connection may still be good.
      if (!this.#connected && this.#link === link && !this.#ended) await this.#resume(message);
    }
  }

  /** Goes on over a new connection, or ends. */
  async #resume(words: string): Promise<void> {
    const { endpoint } = this;
    let failure: SluiceError | undefined;
    if (this.#resumeMs > 0) {
      this.#tellChange({ state: "lost", endpoint, reason: words });
      this.#reconnection.keepAlive(this.#pending.size > 0 || this.#goodbyeSaid);
      try {
        await this.#reconnection.run(this.#resumeMs);
        return;
      } catch (error) {
        failure = toSluiceError(error);
      }
    }
    if (this.#ended) return;
    if (failure !== undefined && !isPassing(failure)) {
      this.#end(failure);
      return;
    }
    const reason = await this.#options.reasonOfLoss();
    const after =
      failure === undefined ? "" : `, and cannot be resumed within [${this.#resumeMs}] ms [${failure.message}]`;
    const message = `The connection to [${endpoint}] breaks [${words}]${after}.`;
    this.#end(reason ?? new SluiceError("CONNECTION_LOST", message, { leaseId: this.#options.leaseId }));
  }

  #tellChange(change: ConnectionChange): void {
    // In its own turn, as with output.
    queueMicrotask(() => this.#options.onConnection?.(change));
  }

  /** Whether the session keeps the program alive. */
  #keepAlive(keeps: boolean): void {
    this.#reconnection.keepAlive(keeps);
    if (keeps) this.#link?.transport.ref();
    else this.#link?.transport.unref();
  }

  /** Tells everyone who waits. The first reason stays, unless the session was only in error before. */
  #end(error: SluiceError): void {
    if (this.#ended) return;
    this.#ended = true;
    const byItself = !this.#closing;
    if (byItself) this.#broken = error;
    this.#over.abort();
    this.#watch.stop();
    forgetAtExit(this);
    this.#outbox.discard();
    this.#pending.failAll(error);
    if (byItself) this.#options.onFailed(error);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
