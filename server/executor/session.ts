/**
 * One session: reads calls from its connection, runs them in order, and answers. A session that can be resumed outlives its connection for a
 * while, goes on with what it has received, and takes another. This is the hot path of the server: no promise and no closure per call
 * unless a device asks to wait. The rules are those of proto/README.md.
 */
import type { Socket } from "node:net";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import { FrameKind, type Welcome } from "../../shared/generated/calls.ts";
import { LIVENESS_INTERVAL_MS } from "../../shared/limits.ts";
import {
  CALL_HEADER_BYTES,
  type CallView,
  callsOf,
  type Frame,
  FrameReader,
  onlyCallOf,
} from "../../shared/wire/frame.ts";
import { protocolError } from "../../shared/wire/wire-buffer.ts";
import { closeAfter, refuse } from "../session/refusal.ts";
import { Acknowledgement } from "./acknowledgement.ts";
import { AnswerStream, type CallFailure } from "./answer-stream.ts";
import { isRefusal, poisoning, readingCalls } from "./call-effects.ts";
import { type CallFunction, Fetching } from "./call-function.ts";
import { callFunctions } from "./call-functions.ts";
import { nowMs } from "./clock.ts";
import { readInto } from "./connection.ts";
import { Outgoing } from "./outgoing.ts";
import { PLACED_HEAD_BYTES, placedCopy, placeFor } from "./placed-copy.ts";
import { SessionUsage } from "./session-usage.ts";
import type { UsageCounter } from "./usage.ts";
import type { LifeSign } from "./watchdog.ts";
import type { Workspace } from "./workspace.ts";

/** Bytes read ahead while a call holds the session up, beyond which the socket is paused. */
const READ_AHEAD_BYTES_MAX = 1024 * 1024;

export interface SessionOptions {
  /** How long it waits for its client when its connection breaks; 0: it ends with it. */
  readonly resumeMs: number;
  /** How often a client is shown that its connection is alive while a call takes long. Default LIVENESS_INTERVAL_MS. */
  readonly livenessMs?: number;
  /** Whether the call behind an answer is waited for without a turn of the event loop. Default: it is. Not where the client needs those turns. */
  readonly waitsBehindAnswers?: boolean;
  readonly work: Workspace;
  readonly usage: UsageCounter;
  /** What to do between a client's GOODBYE and the answer to it: give everything back. */
  readonly beforeGoodbye: () => Promise<void>;
}

/** Where a session stands, for WELCOME. */
export type SessionPosition = Pick<Welcome, "executed" | "received" | "resumeMs">;

/** A connection from the daemon, which has read HELLO and `received`. */
export interface SessionConnection {
  readonly socket: Socket;
  /** What came behind HELLO. */
  readonly received: Uint8Array;
  /** Counted frames that the client has received; 0 at first. */
  readonly clientReceived: number;
  /** The WELCOME to say. */
  readonly welcome: (position: SessionPosition) => Uint8Array;
}

export class Session {
  readonly #resumeMs: number;
  readonly #waitsBehindAnswers: boolean;
  readonly #work: Workspace;
  readonly #usage: SessionUsage;
  readonly #beforeGoodbye: () => Promise<void>;
  readonly #reader = new FrameReader();
  readonly #outgoing: Outgoing;
  readonly #answers: AnswerStream;
  /** Resolves when the session is over and the workspace closed. */
  readonly ended: Promise<void>;
  #finish!: () => void;
  /** The connection; undefined while the session waits for one. */
  #socket: Socket | undefined;
  #wasAttached = false;
  #grace: NodeJS.Timeout | undefined;
  readonly #liveness: NodeJS.Timeout | undefined;

  /** The frame being run: its calls, their decoded fields, and the next one to run. */
  #calls: CallView[] = [];
  #fields: unknown[] = [];
  #next = 0;

  /** Sequence number of the last call begun; it is also the last one executed unless a call holds the session up. */
  #sequence = 0;
  readonly #acknowledgement = new Acknowledgement();
  #failure: CallFailure | undefined;
  #heldUp: "device" | "reader" | "change" | undefined;
  #goodbyeWaits = false;
  /** When answers left last since bytes came last; else 0. */
  #answeredAt = 0;
  #onCalls: (() => void) | undefined;
  readonly #changes: (() => Promise<void>)[] = [];
  #isHalted = false;
  #onHalted: (() => void) | undefined;
  #over = false;

  constructor(options: SessionOptions) {
    const { resumeMs, livenessMs = LIVENESS_INTERVAL_MS, work, usage, beforeGoodbye } = options;
    this.#resumeMs = resumeMs;
    this.#waitsBehindAnswers = options.waitsBehindAnswers ?? true;
    this.#work = work;
    this.#beforeGoodbye = beforeGoodbye;
    const { has, give } = work.blocks;
    this.#outgoing = new Outgoing({ isResumable: resumeMs > 0, isKept: has, onReleased: give });
    work.lends = true;
    this.#answers = new AnswerStream(this.#outgoing, () => this.#flush());
    const sources = { work, outgoing: this.#outgoing, answers: this.#answers, acknowledgement: this.#acknowledgement };
    this.#usage = new SessionUsage(usage, sources);
    if (resumeMs > 0) this.#liveness = setInterval(() => this.#showLife(), livenessMs).unref();
    this.ended = new Promise<void>((resolve) => {
      this.#finish = resolve;
    }).then(() => this.#close());
  }

  /**
   * Works with this connection from now on: says WELCOME, sends what the client lacks, and runs what comes. A connection that there was is
   * closed, whatever it believes. A client that cannot be given what it lacks is refused; the session goes on as it was, since what it said may
   * only have been late.
   */
  attach({ socket, received, clientReceived, welcome }: SessionConnection): void {
    try {
      if (this.#over || !this.#outgoing.canResumeFrom(clientReceived)) throw this.#forgotten(clientReceived);
    } catch (error) {
      refuse(socket, toSluiceError(error));
      return;
    }
    this.#leaveSocket()?.destroy();
    clearTimeout(this.#grace);
    const { bufferedBytes } = this.#reader;
    this.#reader.push(received);
    const onBytes = (byteCount: number, isFull: boolean): boolean =>
      this.#socket === own && this.#receive(byteCount, isFull);
    const answeredAt = (): number | undefined => (this.#socket === own ? this.#awaitingSince() : undefined);
    const own = readInto(socket, { reader: this.#reader, onBytes, answeredAt });
    this.#socket = own;
    this.#usage.received(this.#reader.bufferedBytes - bufferedBytes);
    own.on("error", () => own.destroy());
    own.once("close", () => this.#onClose(own));
    const executed = this.#acknowledgement.told;
    const greeting = welcome({ executed, received: this.#received(), resumeMs: this.#resumeMs });
    this.#usage.sent(greeting.byteLength);
    own.write(greeting);
    this.#outgoing.attach(own, clientReceived);
    // Behind what is sent again: by it the client knows that it has all.
    if (this.#wasAttached) this.#flush();
    this.#wasAttached = true;
    // The client may have been gone before this process was ready.
    if (own.closed) this.#onClose(own);
    else if (this.#heldUp === undefined) this.#pump();
  }

  /** Over the connection that it still has, if it has one, the client may yet be given what it lacks. */
  #forgotten(count: number): SluiceError {
    const mayPass = !this.#over && this.#socket !== undefined;
    const words = `The server no longer has what it said behind the frame [${count}]`;
    if (!mayPass) return new SluiceError("SESSION_LOST", `${words}.`);
    return new SluiceError("SESSION_BUSY", `${words}, and the session still has the connection over which it said it.`);
  }

  /** Whether it has come to its end, or is about to. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Whether the device works on a call now. */
  get isBusy(): boolean {
    return this.#heldUp === "device" || this.#work.isBusy;
  }

  /** Runs a change of the workspace between two calls: now, or behind the one that holds the session up. Rejects as the change does. */
  between(change: () => Promise<void>): Promise<void> {
    // What has ended has no calls any more.
    if (this.#over) return change();
    return new Promise((resolve, reject) => {
      this.#changes.push(() => change().then(resolve, reject));
      if (this.#heldUp === undefined) this.#pump();
    });
  }

  /**
   * Runs no call from the next boundary between two on, until `goOn`; resolves there, and at once for a session that is over. Nothing of the devices' memory
   * is lent then, nor read into. Connections may come and go, and a client that waits hears that it is not forgotten.
   */
  halt(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      this.#isHalted = true;
      this.#onHalted = resolve;
      if (this.#heldUp === undefined) this.#pump();
      else if (this.#heldUp === "reader") this.#standStill();
    });
  }

  /** Ends `halt`, which need not have come so far. */
  goOn(): void {
    this.#isHalted = false;
    this.#onHalted = undefined;
    if (this.#over || this.#heldUp !== undefined) return;
    this.#pump();
    if (this.#heldUp === undefined) this.#socket?.resume();
  }

  /** Between two calls. Data that has begun to come stays with the system, since it would go to a device's memory. */
  #standStill(): void {
    this.#outgoing.keepLent();
    if (this.#reader.placedBytesLeft > 0) this.#socket?.pause();
    this.#onHalted?.();
    this.#onHalted = undefined;
  }

  /** Tells once, when the next calls come. */
  onceCalled(tell: () => void): void {
    this.#onCalls = tell;
  }

  /** Receives what kernels print. */
  print(text: string): void {
    this.#answers.print(text);
  }

  /** Ends the session with a reason; the connection closes once the client has read it. */
  refuse(error: SluiceError): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#answers.pending) this.#flush();
    this.#outgoing.handOver();
    if (this.#socket === undefined) this.#finish();
    else refuse(this.#socket, error);
  }

  /** Adds the time that the devices worked to what the lease has used. Asks the devices, so not for every batch. */
  countDeviceTime(): void {
    this.#usage.countDeviceTime();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#grace);
    clearInterval(this.#liveness);
    this.#onHalted?.();
    this.#outgoing.end();
    this.#usage.count();
    this.countDeviceTime();
    // Nothing is read into the devices' memory any more.
    this.#reader.dropPartial();
    await this.#work.close();
    for (const change of this.#changes.splice(0)) await change();
  }

  /** Lets go of the connection: what it brought of a frame that is not whole will come again. */
  #leaveSocket(): Socket | undefined {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#outgoing.detach();
    if (socket !== undefined) this.#reader.dropPartial();
    return socket;
  }

  #onClose(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#leaveSocket();
    if (this.#over || this.#resumeMs === 0) {
      this.#over = true;
      this.#finish();
      return;
    }
    this.#grace = setTimeout(() => {
      this.#over = true;
      this.#finish();
    }, this.#resumeMs);
  }

  /** What may be said to the client while a call holds up the event loop, from another thread; undefined where it is not waited for. */
  lifeSign(): LifeSign | undefined {
    if (this.#resumeMs === 0 || this.#over) return undefined;
    // What went before need not wait for the call.
    if (this.#answers.pending) this.#flush();
    const fd = this.#outgoing.idleFile();
    return fd === undefined ? undefined : { fd, frame: this.#answers.lifeSign(this.#acknowledgement.told) };
  }

  /** A client that waits for a call that takes long, or may not run, hears that it is under way. */
  #showLife(): void {
    const isWaitedFor = this.#heldUp === "device" || (this.#isHalted && this.#outgoing.isIdle);
    if (isWaitedFor && !this.#over && !this.#answers.pending) this.#flush();
  }

  /** Sequence number of the last call that is here, run or not. */
  #received(): number {
    let count = this.#sequence + this.#calls.length - this.#next;
    this.#reader.visitWaiting((header) => {
      if (header.kind === FrameKind.CALLS) count += header.count;
    });
    return count;
  }

  /** Bytes are in the reader; false stops reading until the call that holds the session up is done. */
  #receive(byteCount: number, isFull: boolean): boolean {
    if (this.#over) return true;
    // An acknowledgement costs its sender, and wakes a client that waits for room to send: one does for all that is there.
    if (isFull && this.#acknowledgement.delay()) setImmediate(this.#onTurn);
    this.#usage.received(byteCount);
    this.#answeredAt = 0;
    if (this.#heldUp === undefined) this.#pump();
    if (this.#heldUp === "reader") this.#lookForRoom();
    return (!this.#isHalted && this.#heldUp === undefined) || this.#reader.bufferedBytes <= READ_AHEAD_BYTES_MAX;
  }

  /** When the client heard what it asked, if it has just heard, and nothing is left to do here but to hear what it does next. */
  #awaitingSince(): number | undefined {
    const hasWork = this.#work.hasTurn || this.#acknowledgement.isFetching;
    const isIdle = this.#heldUp === undefined && !this.#over && this.#outgoing.isIdle && !hasWork;
    return isIdle && this.#waitsBehindAnswers && this.#answeredAt > 0 ? this.#answeredAt : undefined;
  }

  /** Acknowledgements that lie behind calls which wait for them count at once; where they lie too far behind, there is no waiting. */
  #lookForRoom(): void {
    try {
      this.#reader.visitWaiting(({ ack }) => this.#outgoing.acknowledge(ack));
    } catch (error) {
      this.refuse(toSluiceError(error));
      return;
    }
    if (this.#outgoing.isFull && this.#reader.bufferedBytes > READ_AHEAD_BYTES_MAX) this.#outgoing.forget();
  }

  /** Runs all that is there, until a call holds the session up. */
  #pump(): void {
    const startedAt = nowMs();
    this.#usage.found(startedAt);
    try {
      while (!this.#over) {
        const change = this.#changes.length > 0 ? this.#changes.shift() : undefined;
        if (change !== undefined) {
          this.#outgoing.keepLent();
          this.#holdUp(change(), "change");
          break;
        }
        if (this.#isHalted) {
          this.#standStill();
          break;
        }
        if (!this.#runCalls() || this.#endsHere()) break;
        const frame = this.#reader.next();
        if (frame === undefined) {
          this.#placeData();
          break;
        }
        if (!this.#take(frame)) break;
      }
      // One look at the clock for both: this path is short.
      const endedAt = nowMs();
      this.#usage.busy(endedAt - startedAt);
      if (this.#owesFrame) this.#flush(endedAt);
    } catch (error) {
      this.refuse(toSluiceError(error));
    }
    if (this.#heldUp !== "device") this.#work.rest();
    this.#usage.count();
  }

  /** False when a call of the frame holds the session up. */
  #take(frame: Frame): boolean {
    this.#outgoing.acknowledge(frame.ack);
    switch (frame.kind) {
      case FrameKind.CALLS:
        return this.#takeCalls(frame);
      case FrameKind.ANSWERS:
        // The client only acknowledges with it.
        if (frame.count !== 0 || frame.end !== frame.start) throw protocolError("A client sends answers.");
        return true;
      case FrameKind.GOODBYE:
        if (frame.end !== frame.start) throw protocolError("A GOODBYE has a payload.");
        this.#goodbyeWaits = true;
        return true;
      default:
        throw protocolError(`A frame of the kind [${frame.kind}] comes after the handshake.`);
    }
  }

  /** Has the data of a large copy that has begun read to where it goes. All calls before it have run. */
  #placeData(): void {
    // A session in error runs no call: it reads and forgets.
    const begun = this.#failure === undefined ? this.#reader.begun() : undefined;
    if (begun === undefined) return;
    const into = placeFor(this.#work, begun);
    if (into === undefined) return;
    this.#outgoing.keepLent();
    this.#reader.place(PLACED_HEAD_BYTES, into);
  }

  /**
   * All calls are decoded before the first runs: nothing of a malformed frame is executed. One that is alone runs at once, without lists; then
   * this is false when it holds the session up.
   */
  #takeCalls(frame: Frame): boolean {
    this.#onCalls?.();
    this.#onCalls = undefined;
    if (frame.placed !== undefined) {
      const { call, fields } = placedCopy(frame, frame.placed);
      this.#usage.batch(1);
      return this.#runOne(call, fields);
    }
    const only = onlyCallOf(frame);
    if (only === undefined) {
      this.#decode(frame);
      return true;
    }
    const fields = callFunctions[only.opcode]!.decode(frame.buffer, only.start, only.end);
    this.#usage.batch(1);
    return this.#runOne(only, fields);
  }

  #decode(frame: Frame): void {
    const calls = callsOf(frame);
    const fields = new Array<unknown>(calls.length);
    for (let index = 0; index < calls.length; index++) {
      const { opcode, start, end } = calls[index]!;
      fields[index] = callFunctions[opcode]!.decode(frame.buffer, start, end);
    }
    this.#calls = calls;
    this.#fields = fields;
    this.#next = 0;
    this.#usage.batch(calls.length);
  }

  /** Runs the calls of the frame that are left; false when one holds the session up. */
  #runCalls(): boolean {
    const calls = this.#calls;
    while (this.#next < calls.length) {
      const call = calls[this.#next]!;
      const fields = this.#fields[this.#next++];
      if (!this.#runOne(call, fields)) return false;
    }
    return true;
  }

  /** False when the call, or what it has made, holds the session up. */
  #runOne({ opcode, start, end }: CallView, fields: unknown): boolean {
    this.#acknowledgement.begin(end - start + CALL_HEADER_BYTES);
    const pending = this.#run(opcode, fields);
    if (pending !== undefined) {
      this.#holdUp(pending, "device");
      return false;
    }
    if (this.#acknowledgement.isDueBehind(end - start)) this.#flush();
    if (!this.#outgoing.isFull) return true;
    this.#holdUp(this.#outgoing.whenRoom(), "reader");
    this.#lookForRoom();
    return false;
  }

  /** Runs one call; a promise when it is not done at once. */
  #run(opcode: number, fields: unknown): Promise<void> | undefined {
    const entry = callFunctions[opcode]!;
    const sequence = ++this.#sequence;
    if (this.#outgoing.borrows && !readingCalls.has(opcode)) this.#outgoing.keepLent();
    if (this.#failure !== undefined) {
      if (entry.encode !== undefined) this.#answers.fail(sequence, this.#failure);
      this.#setExecuted(entry);
      return undefined;
    }
    try {
      const result = entry.run(this.#work, fields);
      if (result instanceof Promise) {
        return result.then((value) => this.#done(entry, value)).catch((error) => this.#failed(opcode, error));
      }
      if (entry.isAcknowledged && result instanceof Fetching) return this.#fetch(opcode, result);
      this.#done(entry, result);
    } catch (error) {
      this.#failed(opcode, error);
    }
    return undefined;
  }

  /** A call is done but for its fetching: those behind it run meanwhile, and the client hears of it afterwards. */
  #fetch(opcode: number, fetching: Fetching): Promise<void> | undefined {
    const sequence = this.#sequence;
    this.#acknowledgement.executed = sequence;
    this.#acknowledgement.fetched(sequence, fetching).then(this.#onTurn, (cause) => {
      this.#failure ??= { error: toSluiceError(cause), sequence, opcode };
      this.#onTurn();
    });
    return this.#acknowledgement.room();
  }

  #done(entry: CallFunction, result: unknown): void {
    const { encode } = entry;
    if (encode !== undefined && !this.#over) this.#answers.succeed(this.#sequence, result, encode);
    this.#setExecuted(entry);
  }

  #failed(opcode: number, cause: unknown): void {
    // A copy before it may have failed meanwhile.
    const failure = this.#failure ?? { error: toSluiceError(cause), sequence: this.#sequence, opcode };
    const entry = callFunctions[opcode]!;
    const isAlone = failure.sequence === this.#sequence && isRefusal(opcode, failure.error);
    const isAnswered = entry.encode !== undefined || isAlone;
    if (!isAnswered || poisoning.has(failure.error.code)) this.#failure = failure;
    if (isAnswered && !this.#over) this.#answers.fail(this.#sequence, failure);
    this.#setExecuted(entry);
  }

  #setExecuted({ isAcknowledged }: CallFunction): void {
    this.#acknowledgement.executed = this.#sequence;
    if (isAcknowledged) this.#acknowledgement.owe();
  }

  /** Whether the client is to hear something now. */
  get #owesFrame(): boolean {
    return this.#answers.pending || this.#acknowledgement.isOwed;
  }

  /** What came at once has been read, or a good deal of it; or something is fetched. */
  readonly #onTurn = (): void => {
    this.#acknowledgement.hurry();
    if (this.#owesFrame && !this.#over) this.#flush();
  };

  /** Runs nothing more until `reason` resolves; the answers so far do not wait for it. */
  #holdUp(reason: Promise<void>, by: "device" | "reader" | "change"): void {
    if (this.#owesFrame) this.#flush();
    this.#heldUp = by;
    const startedAt = nowMs();
    const goOn = (): void => {
      this.#heldUp = undefined;
      if (by === "device") this.#usage.busy(nowMs() - startedAt);
      if (this.#over) return;
      this.#pump();
      if (this.#heldUp === undefined && !this.#isHalted) this.#socket?.resume();
    };
    void reason.then(goOn); // It never rejects: failures are answers.
  }

  #flush(now = nowMs()): void {
    if (this.#usage.answered(now)) this.#answeredAt = now;
    this.#answers.flush(this.#acknowledgement.told);
    this.#acknowledgement.sent();
  }

  /**
   * Whether the client is done: then everything of the session is given back before it hears so. A client that is away may still want the
   * answers before its GOODBYE.
   */
  #endsHere(): boolean {
    if (!this.#goodbyeWaits) return false;
    if (this.#socket === undefined) return true;
    this.#over = true;
    const last = this.#answers.finish(this.#acknowledgement.executed);
    this.#usage.count();
    this.countDeviceTime();
    const close = (): void => {
      if (this.#socket === undefined) this.#finish();
      else closeAfter(this.#socket, last);
    };
    this.#outgoing.handOver();
    this.#beforeGoodbye().then(close, close);
    return true;
  }
}
