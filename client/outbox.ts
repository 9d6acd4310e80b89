/**
 * Where calls wait to be sent, and until the server acknowledges them: one batch at a time is written into its own buffer, leaves as
 * one frame in one write, and is kept for a connection that follows a broken one. It bounds what is kept (back-pressure). It knows
 * frames and the transport; answers are the session's.
 *
 * A batch leaves when it is full, when a call needs an answer (at the end of the current microtask queue's turn, so that several
 * reads started together share one write), or else in `setImmediate`. Not in a microtask: nobody waits for a call without an answer,
 * and a loop that awaits what is already there would send a batch per turn.
 */
import { SluiceError } from "../shared/errors.ts";
import { FrameKind } from "../shared/generated/calls.ts";
import { ACKNOWLEDGE_BYTES_MAX, BATCH_BYTES, CLIENT_BACKLOG_BYTES_MAX } from "../shared/limits.ts";
import { FrameWriter } from "../shared/wire/frame.ts";
import { FrameLog, piecesOf } from "../shared/wire/frame-log.ts";
import { protocolError, type WireWriter } from "../shared/wire/wire-buffer.ts";
import type { Transport } from "./transport/transport.ts";

/** Data of this size is not copied into the batch, but ends it. */
const BULK_BYTES_MIN = 32 * 1024;

/** Room for a batch and the last call that makes it full. */
const WRITER_BYTES = BATCH_BYTES + BULK_BYTES_MIN + 4096;

/** Free memory is let go of this long after its last use. */
const IDLE_MS = 2_000;

/** Acknowledgements are looked for without waiting for the event loop whenever so much more is kept. */
const LOOK_BYTES = 4 * 1024 * 1024;

export class Outbox {
  /** Frames of calls sent. */
  batches = 0;
  /** Calls appended: the sequence number of the last. */
  calls = 0;
  #transport: Transport | undefined;
  readonly #writer = new FrameWriter(WRITER_BYTES, { bulkBytesMin: BULK_BYTES_MIN });
  readonly #log = new FrameLog({ freeBytesMax: CLIENT_BACKLOG_BYTES_MAX });
  /** Sequence number of the last call that the server is known to have, and of the last one that it has executed. */
  #acknowledged = 0;
  #executed = 0;
  /** Counted frames from the server, and bytes of them that it does not know to have arrived. */
  #received = 0;
  #receivedBytes = 0;
  #lookAt = LOOK_BYTES;
  #ended = false;
  #idleTimer: NodeJS.Timeout | undefined;
  #isIdle = false;
  #immediate: NodeJS.Immediate | undefined;
  #microtask = false;
  #drained: (() => void)[] = [];

  /** Counted frames received from the server. */
  get received(): number {
    return this.#received;
  }

  /** Sequence number of the last call that the server says it has executed. */
  get executed(): number {
    return this.#executed;
  }

  /** Bytes that are not with the system yet. */
  get queuedBytes(): number {
    return this.#batchBytes + (this.#transport?.unsentBytes ?? this.#log.byteLength);
  }

  /** Bytes that this client holds: not sent, or not acknowledged. */
  get heldBytes(): number {
    return this.#batchBytes + this.#log.byteLength;
  }

  get #batchBytes(): number {
    return this.#writer.count === 0 ? 0 : this.#writer.byteLength;
  }

  /** @throws SluiceError BACKLOG_FULL when this client holds more than it may. */
  checkRoom(): void {
    if (this.#log.byteLength <= CLIENT_BACKLOG_BYTES_MAX) return;
    throw new SluiceError(
      "BACKLOG_FULL",
      `The client holds [${this.heldBytes}] bytes that are not acknowledged yet; the bound is [${CLIENT_BACKLOG_BYTES_MAX}].`,
    );
  }

  /** Appends one call, to be sent by `flushSoon` or `flushLater`. If `encode` throws, nothing is appended. */
  append<T>(opcode: number, fields: T, encode: (writer: WireWriter, fields: T) => void): void {
    const writer = this.#writer;
    const at = writer.body.length;
    try {
      writer.call(opcode, fields, encode);
    } catch (error) {
      writer.body.length = at;
      writer.body.bulk = undefined;
      throw error;
    }
    this.calls++;
    if (writer.byteLength >= BATCH_BYTES || writer.body.bulk !== undefined) this.flush();
  }

  /** Sends what waits at the end of the tick: nobody waits for it. */
  flushLater(): void {
    if (this.#immediate === undefined && this.#writer.count > 0) this.#immediate = setImmediate(this.#onImmediate);
  }

  /** Sends what waits as soon as the code that runs now is done. */
  flushSoon(): void {
    if (this.#microtask) return;
    this.#microtask = true;
    // Cheaper than queueMicrotask, which makes an object that tools can trace.
    void resolved.then(this.#onMicrotask);
  }

  /** Sends what waits now; without a connection, with the next one. */
  flush(): void {
    if (this.#immediate !== undefined) {
      clearImmediate(this.#immediate);
      this.#immediate = undefined;
    }
    const writer = this.#writer;
    if (writer.count === 0) return;
    const { bulk } = writer.body;
    const head = writer.finish(FrameKind.CALLS, this.#received >>> 0);
    if (this.#ended) return;
    this.batches++;
    // The bytes are the caller's again when this returns.
    const kept = this.#log.append(head, { mark: this.calls, bulk });
    if (this.#transport === undefined) return;
    this.#receivedBytes = 0;
    // Most batches are small and leave at once, from where they were written.
    const taken = bulk === undefined ? this.#transport.writeNow(head) : 0;
    if (taken < head.byteLength) this.#send(this.#transport, piecesOf(kept, taken));
    if (this.#log.byteLength > this.#lookAt) this.#look(this.#transport);
  }

  /** Goes on over a new connection, whose server has received the calls up to `received`. */
  attach(transport: Transport, received: number): void {
    this.acknowledge(received);
    this.#transport = transport;
    this.#receivedBytes = 0;
    for (const { pieces } of this.#log.entries()) this.#send(transport, pieces);
  }

  /** The connection is gone: what comes waits for the next. */
  detach(): void {
    this.#transport = undefined;
  }

  /** Takes an acknowledgement: the low 32 bits of the sequence number of the last call executed. */
  onAcknowledgement(ack: number): void {
    const news = (ack - this.#executed) | 0;
    if (news <= 0) return;
    this.acknowledge(this.#executed + news);
    this.#executed += news;
  }

  /** Forgets the calls up to this one. Throws PROTOCOL_ERROR when they were never sent. */
  acknowledge(sequence: number): void {
    if (sequence > this.calls - this.#writer.count) {
      throw protocolError(`The server knows of the call [${sequence}], and [${this.calls}] were made.`);
    }
    if (sequence <= this.#acknowledged) return;
    this.#acknowledged = sequence;
    this.#log.releaseUpTo(sequence);
    this.#lookAt = this.#log.byteLength + LOOK_BYTES;
    this.#isIdle = false;
    this.#idleTimer ??= setTimeout(this.#onIdle, IDLE_MS).unref();
    this.#tellDrained();
  }

  /** Counts a frame from the server, and lets it know now and then. */
  onFrame(byteCount: number): void {
    this.#received++;
    this.#receivedBytes += byteCount;
    if (this.#receivedBytes < ACKNOWLEDGE_BYTES_MAX || this.#transport === undefined) return;
    this.#receivedBytes = 0;
    this.#sendFrame(this.#transport, FrameKind.ANSWERS);
  }

  /** Sends GOODBYE behind all else. */
  goodbye(): void {
    this.flush();
    if (this.#transport !== undefined) this.#sendFrame(this.#transport, FrameKind.GOODBYE);
  }

  /** As `goodbye` for a program that ends now: only what the system takes at once still leaves, and GOODBYE only behind all of it. */
  farewell(): void {
    this.flush();
    const transport = this.#transport;
    if (transport === undefined || transport.unsentBytes > 0) return;
    transport.writeNow(new FrameWriter(16).finish(FrameKind.GOODBYE, this.#received >>> 0));
  }

  /** Resolves once the system has all that waits and there is room for more, or all is over. */
  drained(): Promise<void> {
    this.flush();
    if (this.#isDrained) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained.push(resolve);
    });
  }

  /** Ends sending: what waits, and what comes, goes nowhere. The session tells its callers why. */
  discard(): void {
    this.#ended = true;
    this.#transport = undefined;
    this.flush();
    this.#log.releaseUpTo(this.calls);
    this.#log.trim();
    clearTimeout(this.#idleTimer);
    this.#tellDrained();
  }

  get #isDrained(): boolean {
    return this.#ended || (this.queuedBytes === 0 && this.#log.byteLength <= CLIENT_BACKLOG_BYTES_MAX / 2);
  }

  /** An empty frame for what it says itself. It is not kept: what is lost of it is said again. */
  #sendFrame(transport: Transport, kind: typeof FrameKind.ANSWERS | typeof FrameKind.GOODBYE): void {
    this.#send(transport, [new FrameWriter(16).finish(kind, this.#received >>> 0)]);
  }

  /** Sends what the system takes at once; the rest follows by itself. The bytes must stay as they are. */
  #send(transport: Transport, pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      const taken = transport.writeNow(piece);
      if (taken < piece.byteLength) {
        transport.write(taken === 0 ? piece : piece.subarray(taken), this.#tellDrained);
      }
    }
  }

  /** Takes what the server has said so far, for a program that does not return to the event loop. */
  look(): void {
    this.#transport?.readNow?.();
  }

  /** A program that issues calls without returning to the event loop still hears what is done, and so need not hold it all. */
  #look(transport: Transport): void {
    this.#lookAt = this.#log.byteLength + LOOK_BYTES;
    transport.readNow?.();
  }

  readonly #onMicrotask = (): void => {
    this.#microtask = false;
    this.flush();
  };

  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.flush();
  };

  readonly #tellDrained = (): void => {
    if (this.#drained.length === 0 || !this.#isDrained) return;
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  };

  readonly #onIdle = (): void => {
    this.#idleTimer = undefined;
    if (this.#isIdle) this.#log.trim();
    else this.#idleTimer = setTimeout(this.#onIdle, IDLE_MS).unref();
    this.#isIdle = true;
  };
}

const resolved = Promise.resolve();
