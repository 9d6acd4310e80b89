/**
 * One session under a lease: it numbers calls by counting, batches them, gives each answer to its call, goes on over a new connection when
 * one breaks, and tells everyone who waits when it ends, and why. It knows frames and calls (proto/README.md), no buffers, no kernels
 * and no gRPC.
 */
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
} from "../shared/generated/calls.ts";
import { ANSWERS_PENDING_MAX, STAGED_COPY_BYTES_MIN } from "../shared/limits.ts";
import { type AnswerView, answersOf, type BegunFrame, type Frame } from "../shared/wire/frame.ts";
import { protocolError, type WireWriter } from "../shared/wire/wire-buffer.ts";
import { cancelled, orAborted, underAny } from "./abort.ts";
import { Awake } from "./awake.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { Outbox } from "./outbox.ts";
import { again, type Decode, PendingAnswers } from "./pending-answers.ts";
import { RunningCopies } from "./pieces.ts";
import { headOf, placedAnswer } from "./placed-answer.ts";
import type { Recorder } from "./recorder.ts";
import { OPENING_PAYS_BYTES, Staging, type StagingOffer } from "./staging.ts";

/** How long `close` waits for the server to execute what was sent before. */
const GOODBYE_TIMEOUT_MS = 2_000;

export interface SessionOptions extends ConnectionOptions {
  /** Devices to attach: the first ones of the lease. */
  readonly devices: number;
  /** Receives what kernels print. */
  readonly onOutput: (text: string) => void;
  /** Called once when the session ends by itself. */
  readonly onFailed: (error: SluiceError) => void;
}

/** Answered calls that give the server no work: a good answer says that the work before them is good, and does no more. */
const onlyAsking: ReadonlySet<number> = new Set([
  Opcode.copyFromDevice,
  Opcode.copyFromDeviceStaged,
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
  /** Where the data of its answer goes: read there as it comes, where that is possible. */
  readonly into?: Uint8Array | undefined;
}

export class Session {
  /** Takes the calls while a recording is made. */
  recorder: Recorder | undefined;
  /** Copies of which pieces are still to be issued: calls look here for what they must stay behind. */
  readonly copies = new RunningCopies();
  readonly #options: SessionOptions;
  readonly #pending: PendingAnswers;
  readonly #outbox = new Outbox();
  readonly #connection: Connection;
  readonly #awake = new Awake({ isAwaited: () => this.#pending.size > 0, answers: () => this.#roundTrips });
  /** What the server offers until it is taken, and the bytes of copies meanwhile. */
  #stagingOffer: StagingOffer | undefined;
  #copiedBytes = 0;
  #staging: Staging | undefined;
  #roundTrips = 0;
  /** Sequence number of the last call that an answer will follow. */
  #lastAnswered = 0;
  /** Sequence number of the last call that may have given the server work, or whose failure no answer has told about. */
  #lastWork = 0;
  /** Until the calls up to this one are answered, frames are looked at for gaps: the connection broke behind it. */
  #resumedAt = 0;
  /** A call that the server refused, of which nobody has heard yet. */
  #refused: SluiceError | undefined;
  /** Why calls are refused: the session has ended, or is in error. */
  #broken: SluiceError | undefined;
  #ended = false;
  #closing = false;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.#pending = new PendingAnswers(options.leaseId);
    this.#connection = new Connection(options, this.#outbox, {
      onFrame: (frame) => this.#onFrame(frame),
      placeFor: (frame) => this.#placeFor(frame),
      isAwaited: () => this.#pending.size > 0,
      onResumed: () => {
        this.#resumedAt = this.calls;
      },
      onOver: (error) => this.fail(error),
    });
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
    return this.#connection.endpoint;
  }

  /** How often a broken connection was replaced. */
  get reconnects(): number {
    return this.#connection.reconnects;
  }

  /** The file through which a copy of so many bytes goes, where the server is on this host; opened when that pays. */
  stagingFor(byteCount: number): Staging | undefined {
    // A recording keeps its calls, and the bytes would not stay.
    if (byteCount < STAGED_COPY_BYTES_MIN || this.recorder !== undefined) return undefined;
    const offer = this.#stagingOffer;
    if (offer === undefined) return this.#staging;
    this.#copiedBytes += byteCount;
    if (this.#copiedBytes < OPENING_PAYS_BYTES) return undefined;
    this.#stagingOffer = undefined;
    this.#staging = Staging.open(offer, this.#outbox);
    return this.#staging;
  }

  /** Over all connections, and through the staging file. */
  get bytesSent(): number {
    return this.#connection.bytesSent + (this.#staging?.bytesWritten ?? 0);
  }

  get bytesReceived(): number {
    return this.#connection.bytesReceived + (this.#staging?.bytesRead ?? 0);
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
   * @throws SluiceError BACKLOG_FULL, why the session is in error or has ended, or, once, why an earlier call was refused if nobody has heard that.
   */
  issue<T>(opcode: number, fields: T, encode: Encode<T>): void {
    if (this.#broken !== undefined) throw again(this.#broken);
    if (this.#refused !== undefined) throw this.#takeRefused();
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

  /**
   * Refuses a call with an answer before anything is issued that only that call would need.
   * @throws SluiceError as `request` rejects
   */
  checkRequest(signal?: AbortSignal): void {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#broken !== undefined) throw again(this.#broken);
    if (this.#refused !== undefined) throw this.#takeRefused();
    if (this.#pending.size >= ANSWERS_PENDING_MAX) {
      throw new SluiceError("BACKLOG_FULL", `The client waits for [${this.#pending.size}] answers: as many as it may.`);
    }
  }

  /** As `issueAlways` for what frees or destroys: in a session that has ended there is nothing left to give back, and that is no error. */
  issueEnd<T>(opcode: number, fields: T, encode: Encode<T>): void {
    if (this.#broken === undefined) this.issueAlways(opcode, fields, encode);
  }

  /** Issues a call with an answer. Rejects with the call's failure, the session's error, or CANCELLED. */
  request<T, A>(opcode: number, call: Call<T, A>, signal?: AbortSignal): Promise<A> {
    // Not `async`: one promise per call is enough on this path.
    try {
      this.checkRequest(signal);
      if (this.recorder !== undefined) {
        this.recorder.refuse(opcode);
        // The recording fails in the words of the refusal, and nobody need be there to hear a rejection too.
        return new Promise<A>(() => {});
      }
      if (this.copies.count > 0) this.copies.before(opcode, call.fields);
      return orAborted(this.#request(opcode, call), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends what waits now, as far as the system takes it. */
  send(): void {
    this.#outbox.flush();
  }

  /** Sends what waits; resolves when the system has it all and there is room for more. Rejects when the session has ended. */
  async flush(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw cancelled(signal);
    if (this.#broken !== undefined) throw again(this.#broken);
    this.#connection.keepAlive(true);
    try {
      await orAborted(this.#outbox.drained(), signal);
    } finally {
      if (this.#pending.size === 0) this.#connection.keepAlive(false);
    }
    if (this.#broken !== undefined) throw again(this.#broken);
  }

  /** Ends the session because its lease ends. */
  fail(error: SluiceError): void {
    this.#end(error);
  }

  /**
   * Ends the session in good order: what was issued is executed first, for as long as the time allows. Resolves with the error of a
   * call that no answered call has told about.
   */
  async close(error: SluiceError): Promise<SluiceError | undefined> {
    if (this.#ended) return undefined;
    this.copies.finish();
    this.#closing = true;
    return await underAny([AbortSignal.timeout(GOODBYE_TIMEOUT_MS), this.#connection.over], (timeout) =>
      this.#closeWithin(timeout, error),
    );
  }

  async #closeWithin(timeout: AbortSignal, error: SluiceError): Promise<SluiceError | undefined> {
    // A failure is heard before the server may forget the session.
    const isHeard = this.calls === this.#lastAnswered || this.#broken !== undefined;
    const check = isHeard ? this.#refused : this.#checkForFailure();
    this.#broken = error;
    const unheard = await orAborted(Promise.resolve(check), timeout).catch(() => undefined);
    this.#connection.goodbye();
    this.#connection.keepAlive(true);
    await untilAborted(timeout);
    this.fail(error);
    return unheard;
  }

  #request<T, A>(opcode: number, call: Call<T, A>): Promise<A> {
    this.#outbox.append(opcode, call.fields, call.encode);
    this.#lastAnswered = this.calls;
    if (!onlyAsking.has(opcode)) this.#lastWork = this.calls;
    if (this.#pending.size === 0) this.#connection.keepAlive(true);
    this.#outbox.flushSoon();
    this.#awake.begin();
    return this.#pending.expect(this.calls, call.decode, { into: call.into, vouches: onlyAsking.has(opcode) });
  }

  #takeRefused(): SluiceError {
    const refused = this.#refused!;
    this.#refused = undefined;
    return again(refused);
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
    await this.#connection.open();
    const answers = await orAborted(attached, signal);
    const [first] = answers;
    if (this.endpoint.startsWith("unix:") && !this.#ended && first?.stagingPath !== "") this.#stagingOffer = first;
    return answers;
  }

  #placeFor(frame: BegunFrame): Uint8Array | undefined {
    const head = headOf(frame);
    const into = head === undefined ? undefined : this.#pending.placeOf(head.sequence);
    return into?.byteLength === head?.dataBytes ? into : undefined;
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === FrameKind.ANSWERS) {
      const answers = frame.placed === undefined ? answersOf(frame) : [placedAnswer(frame)];
      for (const answer of answers) this.#onAnswer(frame, answer);
      if (this.#resumedAt > 0) this.#lookForGap(frame.ack);
      if (answers.length === 0) return;
    } else if (frame.kind === FrameKind.OUTPUT) {
      const { text } = decodeOutput(frame.buffer, frame.start, frame.end);
      // In its own turn: what the caller's function throws must not look like a fault of the connection.
      queueMicrotask(() => this.#options.onOutput(text));
    } else throw protocolError(`The server sends a frame of kind [${frame.kind}] in an open session.`);
    this.#outbox.onFrame(frame.byteCount);
  }

  /** An executed call was answered before, or is in this frame; else what the server was to send again is lost. */
  #lookForGap(executed: number): void {
    const { oldest } = this.#pending;
    if (oldest === undefined || oldest > this.#resumedAt) this.#resumedAt = 0;
    else if (((executed - oldest) | 0) >= 0) {
      throw protocolError(`The server has executed the call [${oldest}], and its answer is lost.`);
    }
  }

  #onAnswer({ buffer, placed }: Frame, answer: AnswerView): void {
    const told = this.#pending.settle(buffer, answer, placed);
    // What a failure left behind, only a later answer can say.
    if (answer.status !== 0) this.#lastWork = this.calls;
    if (told?.of === "call") {
      // Work behind it has run without it, or will: nobody may take that for good without having heard.
      if (!this.#pending.refuse(told.error)) this.#refused ??= told.error;
      return;
    }
    // The session is in error from now on, and no later call would be executed.
    if (told !== undefined) this.#broken ??= told.error;
    this.#roundTrips++;
    if (this.#pending.size === 0) this.#connection.keepAlive(false);
  }

  /** Tells everyone who waits. The first reason stays, unless the session was only in error before. */
  #end(error: SluiceError): void {
    if (this.#ended) return;
    this.#ended = true;
    const byItself = !this.#closing;
    if (byItself) this.#broken = error;
    this.#connection.destroy();
    this.#outbox.discard();
    this.#pending.failAll(error);
    this.#stagingOffer = undefined;
    this.#staging?.close();
    if (byItself) this.#options.onFailed(error);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
