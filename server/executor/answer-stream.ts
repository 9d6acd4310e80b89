/**
 * What the executor sends: answers gathered into ANSWERS frames, kernels' output before the answer behind it, and the last
 * frame of a session. Never one write per answer; a frame goes out when the loop has nothing left to run, or at 64 KiB.
 */
import type { Socket } from "node:net";
import { errorTable, type SluiceError } from "../../shared/errors.ts";
import { encodeFailure, encodeOutput, FrameKind } from "../../shared/generated/calls.ts";
import { ANSWER_BACKLOG_BYTES_MAX, BATCH_BYTES, OUTPUT_BYTES_MAX } from "../../shared/limits.ts";
import { FrameWriter, messageFrame } from "../../shared/wire/frame.ts";
import { MemoryPool } from "../../shared/wire/memory-pool.ts";
import { padTo8, type WireWriter } from "../../shared/wire/wire-buffer.ts";
import { writeNow } from "./connection.ts";

/** Data of this size is sent from where it lies, as far as the system takes it at once. */
const BULK_BYTES_MIN = 32 * 1024;

/** What the system does not take is copied into blocks of this size. */
const BLOCK_BYTES = 128 * 1024;

const zeros = new Uint8Array(8);

/** A call that failed, as it is told. */
export interface CallFailure {
  readonly error: SluiceError;
  readonly sequence: number;
  readonly opcode: number;
}

export class AnswerStream {
  readonly #socket: Socket;
  readonly #onFull: () => void;
  readonly #pool = new MemoryPool({ blockBytes: BLOCK_BYTES, keptBytesMax: ANSWER_BACKLOG_BYTES_MAX });
  readonly #writer = new FrameWriter(4096, { bulkBytesMin: BULK_BYTES_MIN });
  #output: string[] = [];
  #outputBytes = 0;
  #droppedBytes = 0;
  bytesSent = 0;
  answersSent = 0;

  /** `onFull` is to flush: only the loop knows the last call run, which every frame acknowledges. */
  constructor(socket: Socket, onFull: () => void) {
    this.#socket = socket;
    this.#onFull = onFull;
  }

  /** Whether the reader is so slow that no more calls should run until the socket drains. */
  get backlogged(): boolean {
    return this.#socket.writableLength > ANSWER_BACKLOG_BYTES_MAX;
  }

  /** Adds a successful answer; when `encode` throws, nothing is added. */
  succeed<T>(sequence: number, answer: T, encode: (writer: WireWriter, answer: T) => void): void {
    this.#sendOutput();
    const { body } = this.#writer;
    const before = body.length;
    try {
      this.#writer.answer({ sequence: sequence >>> 0, status: 0 }, answer, encode);
    } catch (error) {
      body.length = before;
      body.bulk = undefined;
      throw error;
    }
    this.#added();
  }

  /** Adds the answer of a call that failed, or is not run because of an earlier failure. */
  fail(sequence: number, { error, sequence: failed, opcode }: CallFailure): void {
    this.#sendOutput();
    const failure = {
      sequence: failed,
      opcode,
      nativeCode: error.details.nativeCode ?? 0,
      nativeName: error.details.nativeName ?? "",
      message: error.message,
    };
    this.#writer.answer({ sequence: sequence >>> 0, status: errorTable[error.code].wire }, failure, encodeFailure);
    this.#added();
  }

  /** Keeps text that a kernel printed until the next answer; beyond OUTPUT_BYTES_MAX it is dropped, and counted. */
  print(text: string): void {
    const byteCount = Buffer.byteLength(text);
    if (this.#outputBytes + byteCount > OUTPUT_BYTES_MAX) {
      this.#droppedBytes += byteCount;
      return;
    }
    this.#output.push(text);
    this.#outputBytes += byteCount;
  }

  /** Whether there is something to flush. */
  get pending(): boolean {
    return this.#writer.count > 0;
  }

  /** Sends what is there, also an empty frame, which acknowledges; `executed` is the last call run. */
  flush(executed: number): void {
    const writer = this.#writer;
    const { bulk } = writer.body;
    const bytes = writer.finish(FrameKind.ANSWERS, executed >>> 0);
    this.#send(bytes);
    if (bulk === undefined) return;
    this.#send(bulk);
    const padding = padTo8(bulk.byteLength) - bulk.byteLength;
    if (padding > 0) this.#send(zeros.subarray(0, padding));
  }

  /** Sends what the system takes at once, and a copy of the rest: the bytes are free when this returns. */
  #send(bytes: Uint8Array): void {
    this.bytesSent += bytes.byteLength;
    for (let at = writeNow(this.#socket, bytes); at < bytes.byteLength; ) {
      const rest = bytes.subarray(at, at + BLOCK_BYTES);
      at += rest.byteLength;
      // A block for a few bytes would let a full backlog hold many times its bound.
      if (rest.byteLength > BLOCK_BYTES / 8) this.#sendPooled(rest);
      else this.#socket.write(rest.slice());
    }
  }

  #sendPooled(bytes: Uint8Array): void {
    const block = this.#pool.take();
    block.set(bytes);
    this.#socket.write(block.subarray(0, bytes.byteLength), () => this.#pool.give(block));
  }

  /** Sends all that is left and returns the GOODBYE that ends the connection. */
  finish(executed: number): Uint8Array {
    this.#sendOutput();
    if (this.pending) this.flush(executed);
    const goodbye = new FrameWriter(64).finish(FrameKind.GOODBYE, executed >>> 0);
    this.bytesSent += goodbye.byteLength;
    return goodbye;
  }

  #added(): void {
    this.answersSent++;
    // Bulk data ends its frame, and its memory is the device's again when the next call runs.
    if (this.#writer.byteLength >= BATCH_BYTES || this.#writer.body.bulk !== undefined) this.#onFull();
  }

  #sendOutput(): void {
    if (this.#outputBytes === 0 && this.#droppedBytes === 0) return;
    if (this.pending) this.#onFull();
    if (this.#droppedBytes > 0) this.#output.push(`\n[${this.#droppedBytes} bytes of output are dropped]\n`);
    const frame = messageFrame(FrameKind.OUTPUT, { text: this.#output.join("") }, encodeOutput);
    this.#output = [];
    this.#outputBytes = 0;
    this.#droppedBytes = 0;
    this.bytesSent += frame.byteLength;
    this.#socket.write(frame);
  }
}
