/**
 * What the executor says: answers gathered into ANSWERS frames, kernels' output before the answer behind it, and the last
 * frame of a session. Never one frame per answer; a frame goes out when the loop has nothing left to run, or at 64 KiB.
 */
import { errorTable, type SluiceError } from "../../shared/errors.ts";
import { encodeFailure, encodeOutput, FrameKind } from "../../shared/generated/calls.ts";
import { BATCH_BYTES, OUTPUT_BYTES_MAX } from "../../shared/limits.ts";
import { FrameWriter, messageFrame } from "../../shared/wire/frame.ts";
import type { WireWriter } from "../../shared/wire/wire-buffer.ts";
import type { Outgoing } from "./outgoing.ts";

/** Data of this size is not copied into its frame: its memory is the frame's own until the client has it, or the device's, which lends it. */
export const BULK_BYTES_MIN = 32 * 1024;

/** A call that failed, as it is told. */
export interface CallFailure {
  readonly error: SluiceError;
  readonly sequence: number;
  readonly opcode: number;
}

export class AnswerStream {
  readonly #outgoing: Outgoing;
  readonly #onFull: () => void;
  readonly #writer = new FrameWriter(4096, { bulkBytesMin: BULK_BYTES_MIN });
  #output: string[] = [];
  #outputBytes = 0;
  #droppedBytes = 0;
  answersSent = 0;

  /** `onFull` is to flush: only the loop knows the last call run, which every frame acknowledges. */
  constructor(outgoing: Outgoing, onFull: () => void) {
    this.#outgoing = outgoing;
    this.#onFull = onFull;
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
    const isEmpty = writer.count === 0;
    const bytes = writer.finish(FrameKind.ANSWERS, executed >>> 0);
    if (isEmpty) this.#outgoing.sendUncounted(bytes);
    else this.#outgoing.send(bytes, bulk);
  }

  /** A frame without answers, which may come at any time. */
  lifeSign(executed: number): Uint8Array {
    return new FrameWriter(64).finish(FrameKind.ANSWERS, executed >>> 0);
  }

  /** Sends all that is left and returns the GOODBYE that ends the connection. */
  finish(executed: number): Uint8Array {
    this.#sendOutput();
    if (this.pending) this.flush(executed);
    return new FrameWriter(64).finish(FrameKind.GOODBYE, executed >>> 0);
  }

  #added(): void {
    this.answersSent++;
    // Bulk data ends its frame.
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
    this.#outgoing.send(frame);
  }
}
