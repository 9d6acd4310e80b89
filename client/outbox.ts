/**
 * Where calls wait to be sent: one batch at a time is written into its own buffer, and leaves as one frame in one write. It bounds
 * what waits (back-pressure). It knows frames and the transport; sequence numbers and answers are the session's.
 *
 * A batch leaves when it is full, when a call needs an answer (at the end of the current microtask queue's turn, so that several
 * reads started together share one write), or else in `setImmediate`. Not in a microtask: nobody waits for a call without an answer,
 * and a loop that awaits what is already there would send a batch per turn.
 */
import { SluiceError } from "../shared/errors.ts";
import { FrameKind } from "../shared/generated/calls.ts";
import { BATCH_BYTES, CLIENT_BACKLOG_BYTES_MAX } from "../shared/limits.ts";
import { FrameWriter } from "../shared/wire/frame.ts";
import type { WireWriter } from "../shared/wire/wire-buffer.ts";
import type { Transport } from "./transport/transport.ts";

/** Room for a batch and the last call that makes it full, unless that call carries data. */
const WRITER_BYTES = 2 * BATCH_BYTES;

/** Buffers kept for reuse: fresh memory costs more than a copy. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;

export class Outbox {
  /** Low 32 bits of the sequence number of the last answer received, told to the server with each batch. */
  ack = 0;
  /** Frames of calls sent. */
  batches = 0;
  #transport: Transport | undefined;
  #writer = new FrameWriter(WRITER_BYTES);
  readonly #spare: FrameWriter[] = [];
  #spareBytes = 0;
  #immediate: NodeJS.Immediate | undefined;
  #microtask = false;
  #full = false;
  #drained: (() => void)[] = [];

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Bytes that are not with the system yet. */
  get queuedBytes(): number {
    const batch = this.#writer.count === 0 ? 0 : this.#writer.byteLength;
    return batch + (this.#transport?.unsentBytes ?? 0);
  }

  /** @throws SluiceError BACKLOG_FULL when more waits than a client may hold. */
  checkRoom(): void {
    if (!this.#full) return;
    throw new SluiceError(
      "BACKLOG_FULL",
      `The client holds [${this.queuedBytes}] bytes that are not sent yet; the bound is [${CLIENT_BACKLOG_BYTES_MAX}].`,
    );
  }

  /** Appends one call. If `encode` throws, nothing is appended. */
  append<T>(opcode: number, fields: T, encode: (writer: WireWriter, fields: T) => void): void {
    const writer = this.#writer;
    const at = writer.body.length;
    try {
      writer.call(opcode, fields, encode);
    } catch (error) {
      writer.body.length = at;
      throw error;
    }
    if (writer.byteLength >= BATCH_BYTES) this.flush();
    else if (this.#immediate === undefined) this.#immediate = setImmediate(this.#onImmediate);
  }

  /** Sends what waits as soon as the code that runs now is done. */
  flushSoon(): void {
    if (this.#microtask) return;
    this.#microtask = true;
    queueMicrotask(() => {
      this.#microtask = false;
      this.flush();
    });
  }

  /** Sends what waits now. */
  flush(): void {
    if (this.#immediate !== undefined) {
      clearImmediate(this.#immediate);
      this.#immediate = undefined;
    }
    const writer = this.#writer;
    if (writer.count === 0) return;
    const bytes = writer.finish(FrameKind.CALLS, this.ack);
    if (this.#transport === undefined) return;
    this.batches++;
    this.#writer = this.#takeWriter();
    this.#transport.write(bytes, () => {
      this.#keepWriter(writer);
      this.#onWritten();
    });
    this.#full = this.#transport.unsentBytes > CLIENT_BACKLOG_BYTES_MAX;
  }

  /** Sends what waits, and resolves once the system has all of it, or the connection is gone. */
  drained(): Promise<void> {
    this.flush();
    if (this.queuedBytes === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained.push(resolve);
    });
  }

  /** Ends sending: what waits, and what comes, goes nowhere. The session tells its callers why. */
  discard(): void {
    this.#transport = undefined;
    this.#full = false;
    this.flush();
    this.#onWritten();
  }

  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.flush();
  };

  #onWritten(): void {
    if (this.#full) this.#full = (this.#transport?.unsentBytes ?? 0) > CLIENT_BACKLOG_BYTES_MAX;
    if (this.#drained.length === 0 || this.queuedBytes > 0) return;
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }

  #takeWriter(): FrameWriter {
    const writer = this.#spare.pop();
    if (writer === undefined) return new FrameWriter(WRITER_BYTES);
    this.#spareBytes -= writer.body.buffer.byteLength;
    return writer;
  }

  #keepWriter(writer: FrameWriter): void {
    const { byteLength } = writer.body.buffer;
    if (this.#spareBytes + byteLength > SPARE_BYTES_MAX) return;
    this.#spare.push(writer);
    this.#spareBytes += byteLength;
  }
}
