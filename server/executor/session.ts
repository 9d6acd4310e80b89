/**
 * One session: reads calls from a connection, runs them in order, and answers. This is the hot path of the server: no
 * promise and no closure per call unless a device asks to wait. The rules are those of proto/README.md.
 */
import type { Socket } from "node:net";
import { type SluiceError, toSluiceError } from "../../shared/errors.ts";
import { FrameKind } from "../../shared/generated/calls.ts";
import { ACKNOWLEDGE_BYTES_MAX } from "../../shared/limits.ts";
import { CALL_HEADER_BYTES, type CallView, callsOf, type Frame, FrameReader } from "../../shared/wire/frame.ts";
import { protocolError } from "../../shared/wire/wire-buffer.ts";
import { closeAfter, refuse } from "../session/refusal.ts";
import { AnswerStream, type CallFailure } from "./answer-stream.ts";
import { callFunctions } from "./call-functions.ts";
import { readInto } from "./connection.ts";
import type { UsageCounter } from "./usage.ts";
import type { Workspace } from "./workspace.ts";

/** Bytes read ahead while a call holds the session up, beyond which the socket is paused. */
const READ_AHEAD_BYTES_MAX = 1024 * 1024;

/** Failures of a kernel or a device end the session's work also when a call with an answer meets them. */
const poisoning = new Set(["ILLEGAL_ADDRESS", "KERNEL_TIMEOUT", "KERNEL_TRAP", "DEVICE_FAILED"]);

export interface SessionOptions {
  /** Comes from the daemon, which has read HELLO and `received`. */
  readonly socket: Socket;
  /** What came behind HELLO. */
  readonly received: Uint8Array;
  readonly work: Workspace;
  readonly usage: UsageCounter;
  /** What to do between a client's GOODBYE and the answer to it: give everything back. */
  readonly beforeGoodbye: () => Promise<void>;
}

export class Session {
  readonly #socket: Socket;
  readonly #work: Workspace;
  readonly #usage: UsageCounter;
  readonly #beforeGoodbye: () => Promise<void>;
  readonly #reader = new FrameReader();
  readonly #answers: AnswerStream;
  /** Resolves when the connection is closed and the workspace with it. */
  readonly ended: Promise<void>;

  /** The frame being run: its calls, their decoded fields, and the next one to run. */
  #calls: CallView[] = [];
  #fields: unknown[] = [];
  #next = 0;

  /** Sequence number of the last call begun; it is also the last one executed unless a call holds the session up. */
  #sequence = 0;
  #executed = 0;
  /** Bytes of calls executed since the last frame to the client. */
  #unacknowledgedBytes = 0;
  #failure: CallFailure | undefined;
  #heldUp = false;
  #readerIsSlow = false;
  #over = false;
  #countedCalls = 0;
  #countedAnswers = 0;
  #countedBytes = 0;
  /** Time spent on calls here, for devices that do not measure their own. */
  #busyMs = 0;
  #countedBusyMs = 0;
  #countedDeviceMs = 0;

  constructor(options: SessionOptions) {
    this.#work = options.work;
    this.#usage = options.usage;
    this.#reader.push(options.received);
    const onBytes = (byteCount: number): boolean => this.#receive(byteCount);
    this.#socket = readInto(options.socket, { reader: this.#reader, onBytes });
    this.#usage.bytesReceived += this.#reader.bufferedBytes;
    this.#beforeGoodbye = options.beforeGoodbye;
    this.#answers = new AnswerStream(this.#socket, () => this.#flush());
    this.ended = this.#untilClosed();
  }

  /** Says WELCOME, and runs what has come. */
  start(welcome: Uint8Array): void {
    this.#usage.bytesSent += welcome.byteLength;
    this.#socket.write(welcome);
    this.#pump();
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
    refuse(this.#socket, error);
  }

  /** Adds the time that the devices worked since it was counted last. Asks the devices, so not for every batch. */
  countDeviceTime(): void {
    const measured = this.#work.deviceTimeMs();
    if (measured === undefined) this.#usage.deviceMs += this.#busyMs - this.#countedBusyMs;
    else {
      this.#usage.deviceMs += measured - this.#countedDeviceMs;
      this.#countedDeviceMs = measured;
    }
    this.#countedBusyMs = this.#busyMs;
  }

  async #untilClosed(): Promise<void> {
    await new Promise<void>((resolve) => {
      // The client may have been gone before this process was ready.
      if (this.#socket.closed) resolve();
      this.#socket.once("close", () => resolve());
      this.#socket.on("error", () => this.#socket.destroy());
    });
    this.#over = true;
    this.#count();
    this.countDeviceTime();
    await this.#work.close();
  }

  /** Bytes are in the reader; false stops reading until the call that holds the session up is done. */
  #receive(byteCount: number): boolean {
    if (this.#over) return true;
    this.#usage.bytesReceived += byteCount;
    if (!this.#heldUp) this.#pump();
    return !this.#heldUp || this.#reader.bufferedBytes <= READ_AHEAD_BYTES_MAX;
  }

  /** Runs all that is there, until a call holds the session up. */
  #pump(): void {
    const startedAt = performance.now();
    try {
      while (!this.#over) {
        if (!this.#runCalls()) break;
        const frame = this.#reader.next();
        if (frame === undefined) break;
        this.#take(frame);
      }
      if (this.#answers.pending) this.#flush();
    } catch (error) {
      this.refuse(toSluiceError(error));
    }
    this.#busyMs += performance.now() - startedAt;
    this.#count();
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case FrameKind.CALLS:
        this.#takeCalls(frame);
        return;
      case FrameKind.ANSWERS:
        // The client only acknowledges with it.
        if (frame.count !== 0 || frame.end !== frame.start) throw protocolError("A client sends answers.");
        return;
      case FrameKind.GOODBYE:
        if (frame.end !== frame.start) throw protocolError("A GOODBYE has a payload.");
        this.#goodbye();
        return;
      default:
        throw protocolError(`A frame of the kind [${frame.kind}] comes after the handshake.`);
    }
  }

  /** All calls are decoded before the first runs: nothing of a malformed frame is executed. */
  #takeCalls(frame: Frame): void {
    const calls = callsOf(frame);
    const fields = new Array<unknown>(calls.length);
    for (let index = 0; index < calls.length; index++) {
      const { opcode, start, end } = calls[index]!;
      fields[index] = callFunctions[opcode]!.decode(frame.buffer, start, end);
    }
    this.#calls = calls;
    this.#fields = fields;
    this.#next = 0;
    this.#usage.batches++;
  }

  /** Runs the calls of the frame that are left; false when one holds the session up. */
  #runCalls(): boolean {
    const calls = this.#calls;
    while (this.#next < calls.length) {
      const call = calls[this.#next]!;
      const fields = this.#fields[this.#next++];
      this.#unacknowledgedBytes += call.end - call.start + CALL_HEADER_BYTES;
      const pending = this.#run(call.opcode, fields);
      if (pending !== undefined) {
        this.#holdUp(pending, "device");
        return false;
      }
      if (this.#unacknowledgedBytes >= ACKNOWLEDGE_BYTES_MAX) this.#flush();
      if (this.#readerIsSlow) {
        this.#readerIsSlow = false;
        this.#holdUp(new Promise((resolve) => this.#onceWritable(resolve)), "reader");
        return false;
      }
    }
    return true;
  }

  /** Runs one call; a promise when it is not done at once. */
  #run(opcode: number, fields: unknown): Promise<void> | undefined {
    const entry = callFunctions[opcode]!;
    const sequence = ++this.#sequence;
    if (this.#failure !== undefined) {
      if (entry.encode !== undefined) this.#answers.fail(sequence, this.#failure);
      this.#executed = sequence;
      return undefined;
    }
    try {
      const result = entry.run(this.#work, fields);
      if (result instanceof Promise) {
        return result.then((value) => this.#done(opcode, value)).catch((error) => this.#failed(opcode, error));
      }
      this.#done(opcode, result);
    } catch (error) {
      this.#failed(opcode, error);
    }
    return undefined;
  }

  #done(opcode: number, result: unknown): void {
    const { encode } = callFunctions[opcode]!;
    if (encode !== undefined && !this.#over) this.#answers.succeed(this.#sequence, result, encode);
    this.#executed = this.#sequence;
  }

  #failed(opcode: number, cause: unknown): void {
    const error = toSluiceError(cause);
    const failure = { error, sequence: this.#sequence, opcode };
    const { encode } = callFunctions[opcode]!;
    if (encode === undefined || poisoning.has(error.code)) this.#failure = failure;
    if (encode !== undefined && !this.#over) this.#answers.fail(this.#sequence, failure);
    this.#executed = this.#sequence;
  }

  /** Runs nothing more until `reason` resolves; the answers so far do not wait for it. */
  #holdUp(reason: Promise<void>, by: "device" | "reader"): void {
    if (this.#answers.pending) this.#flush();
    this.#heldUp = true;
    const startedAt = performance.now();
    const goOn = (): void => {
      this.#heldUp = false;
      if (by === "device") this.#busyMs += performance.now() - startedAt;
      if (this.#over) return;
      this.#pump();
      if (!this.#heldUp) this.#socket.resume();
    };
    void reason.then(goOn); // It never rejects: failures are answers.
  }

  #onceWritable(resolve: () => void): void {
    // It may have drained while a device held the session up, and then says nothing more.
    if (!this.#socket.writableNeedDrain) {
      resolve();
      return;
    }
    this.#socket.once("drain", resolve);
    this.#socket.once("close", resolve);
  }

  #flush(): void {
    this.#answers.flush(this.#executed);
    this.#unacknowledgedBytes = 0;
    this.#readerIsSlow = this.#answers.backlogged;
  }

  /** The client is done: everything of the session is given back before it hears so. */
  #goodbye(): void {
    this.#over = true;
    const last = this.#answers.finish(this.#executed);
    this.#count();
    this.countDeviceTime();
    const close = (): void => closeAfter(this.#socket, last);
    this.#beforeGoodbye().then(close, close);
  }

  #count(): void {
    const { bytesSent, answersSent } = this.#answers;
    this.#usage.calls += this.#executed - this.#countedCalls;
    this.#usage.answers += answersSent - this.#countedAnswers;
    this.#usage.bytesSent += bytesSent - this.#countedBytes;
    this.#countedCalls = this.#executed;
    this.#countedAnswers = answersSent;
    this.#countedBytes = bytesSent;
  }
}
