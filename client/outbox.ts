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
import { MemoryPool } from "../shared/wire/memory-pool.ts";
import { padTo8, type WireWriter } from "../shared/wire/wire-buffer.ts";
import type { Transport } from "./transport/transport.ts";

/** Data of this size is sent from where it lies, as far as the system takes it at once. */
const BULK_BYTES_MIN = 32 * 1024;

/** Room for a batch and the last call that makes it full. */
const WRITER_BYTES = BATCH_BYTES + BULK_BYTES_MIN + 4096;

/** What the system does not take is copied into blocks of this size. */
const BLOCK_BYTES = 128 * 1024;

/** Memory for what the system did not take, kept this long after its last use. */
const POOL_IDLE_MS = 2_000;

export class Outbox {
  /** Low 32 bits of the sequence number of the last answer received, told to the server with each batch. */
  ack = 0;
  /** Frames of calls sent. */
  batches = 0;
  #transport: Transport | undefined;
  readonly #writer = new FrameWriter(WRITER_BYTES, { bulkBytesMin: BULK_BYTES_MIN });
  readonly #pool = new MemoryPool({ blockBytes: BLOCK_BYTES, keptBytesMax: CLIENT_BACKLOG_BYTES_MAX });
  #poolTimer: NodeJS.Timeout | undefined;
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

  /** Sends what waits now. */
  flush(): void {
    if (this.#immediate !== undefined) {
      clearImmediate(this.#immediate);
      this.#immediate = undefined;
    }
    const writer = this.#writer;
    if (writer.count === 0) return;
    const { bulk } = writer.body;
    const head = writer.finish(FrameKind.CALLS, this.ack);
    if (this.#transport === undefined) return;
    this.batches++;
    this.#send(this.#transport, head);
    if (bulk !== undefined) {
      this.#send(this.#transport, bulk);
      const padding = padTo8(bulk.byteLength) - bulk.byteLength;
      if (padding > 0) this.#send(this.#transport, zeros.subarray(0, padding));
    }
    this.#full = this.#transport.unsentBytes > CLIENT_BACKLOG_BYTES_MAX;
  }

  /** Sends what the system takes at once, and a copy of the rest: the bytes are free when this returns. */
  #send(transport: Transport, bytes: Uint8Array): void {
    for (let at = transport.writeNow(bytes); at < bytes.byteLength; ) {
      const rest = bytes.subarray(at, at + BLOCK_BYTES);
      at += rest.byteLength;
      // A block for a few bytes would let a full backlog hold many times its bound.
      if (rest.byteLength > BLOCK_BYTES / 8) this.#sendPooled(transport, rest);
      else transport.write(rest.slice(), this.#onWritten);
    }
  }

  #sendPooled(transport: Transport, bytes: Uint8Array): void {
    const block = this.#pool.take();
    block.set(bytes);
    transport.write(block.subarray(0, bytes.byteLength), () => {
      this.#pool.give(block);
      this.#poolTimer ??= setTimeout(this.#onPoolIdle, POOL_IDLE_MS).unref();
      this.#poolTimer.refresh();
      this.#onWritten();
    });
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

  readonly #onMicrotask = (): void => {
    this.#microtask = false;
    this.flush();
  };

  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.flush();
  };

  readonly #onWritten = (): void => {
    if (this.#full) this.#full = (this.#transport?.unsentBytes ?? 0) > CLIENT_BACKLOG_BYTES_MAX;
    if (this.#drained.length === 0 || this.queuedBytes > 0) return;
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  };

  readonly #onPoolIdle = (): void => {
    this.#poolTimer = undefined;
    this.#pool.clear();
  };
}

const zeros = new Uint8Array(8);
const resolved = Promise.resolve();
