/**
 * The frames of a session on their way to its client: sent as far as the system takes them at once, kept until they are with the client,
 * and sent again over the connection that follows a broken one. Bounded: whoever produces them asks `isFull`, and waits for `whenRoom`.
 */
import type { Socket } from "node:net";
import { ANSWER_BACKLOG_BYTES_MAX } from "../../shared/limits.ts";
import { FrameLog, piecesOf } from "../../shared/wire/frame-log.ts";
import { protocolError } from "../../shared/wire/wire-buffer.ts";
import { writeNow, writeSoon } from "./connection.ts";

export interface OutgoingOptions {
  /** Whether the client acknowledges frames and may come back for those that it lacks. Otherwise they are kept until they are written. */
  readonly isResumable: boolean;
  /** Whether bulk data stays as it is until it is released. If not, `send` is done with it when it returns. Default: it does. */
  readonly isKept?: (bulk: Uint8Array) => boolean;
  /** Gets the memory of bulk data back. */
  readonly onReleased?: (bulk: Uint8Array) => void;
}

export class Outgoing {
  readonly #isResumable: boolean;
  readonly #isKept: (bulk: Uint8Array) => boolean;
  readonly #log: FrameLog;
  #socket: Socket | undefined;
  /** Numbers of frames: the last one sent, written whole, acknowledged, and no longer kept. */
  #sent = 0;
  #written = 0;
  #acknowledged = 0;
  #released = 0;
  /** Acknowledgements are not waited for. */
  #forgets = false;
  #waiting: (() => void)[] = [];
  /** Bytes given to connections. */
  byteCount = 0;

  constructor({ isResumable, isKept = () => true, onReleased }: OutgoingOptions) {
    this.#isResumable = isResumable;
    this.#isKept = isKept;
    this.#log = new FrameLog({
      freeBytesMax: ANSWER_BACKLOG_BYTES_MAX,
      ...(onReleased === undefined ? {} : { onReleased }),
    });
  }

  /** Whether so much is kept that no more should be produced. */
  get isFull(): boolean {
    return this.#log.byteLength > ANSWER_BACKLOG_BYTES_MAX;
  }

  /** Whether the system may get bulk data from where it lies: nobody asks for it again, and nothing waits before it. */
  get takesNow(): boolean {
    return !this.#isResumable && this.#socket !== undefined && this.#socket.writableLength === 0;
  }

  /** Resolves when there is room, or nothing more is to come. */
  whenRoom(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a frame that counts. `bulk`, if there is some, follows the head; if it `isKept`, its memory is this object's until it is released. */
  send(head: Uint8Array, bulk?: Uint8Array): void {
    const mark = ++this.#sent;
    const socket = this.#socket;
    const adopts = bulk === undefined || this.#isKept(bulk);
    if (!adopts && this.takesNow && bulk.byteLength % 8 === 0) {
      this.#sendThrough(socket!, { mark, head, bulk });
      return;
    }
    const kept = this.#log.append(head, { mark, bulk, adopts });
    if (socket === undefined) return;
    // Most frames are small and leave at once, from where they were written.
    const taken = bulk === undefined ? writeNow(socket, head) : 0;
    this.byteCount += taken;
    if (taken === head.byteLength) this.#onWritten(mark);
    else this.#write(socket, { mark, pieces: piecesOf(kept, taken) });
  }

  /** Sends a frame that nobody misses: it only acknowledges. */
  sendUncounted(frame: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.byteCount += frame.byteLength;
    const taken = writeNow(socket, frame);
    if (taken < frame.byteLength) socket.write(frame.slice(taken));
  }

  /** Whether a client that has received `count` frames can be given the rest. Throws PROTOCOL_ERROR for more than were sent. */
  canResumeFrom(count: number): boolean {
    if (count > this.#sent) throw protocolError(`The client has [${count}] frames, and [${this.#sent}] were sent.`);
    return count >= this.#released;
  }

  /** Goes on over this connection, whose client has received `count` frames. */
  attach(socket: Socket, count: number): void {
    this.#acknowledged = count;
    this.#release(count);
    this.#socket = socket;
    for (const frame of this.#log.entries()) this.#write(socket, frame);
  }

  /** The connection is gone: frames wait for the next. */
  detach(): void {
    this.#socket = undefined;
  }

  /** The client has the frames up to the one with these low 32 bits. */
  acknowledge(ack: number): void {
    if (!this.#isResumable) return;
    const news = (ack - this.#acknowledged) | 0;
    if (news <= 0) return;
    const count = this.#acknowledged + news;
    if (count > this.#sent) throw protocolError(`The client has [${count}] frames, and [${this.#sent}] were sent.`);
    this.#acknowledged = count;
    this.#forgets &&= count < this.#released;
    this.#release(count);
  }

  /**
   * Forgets what is written and not acknowledged: the way out when the client's acknowledgements lie behind calls that wait for room here.
   * Should the connection break before they come, the session cannot be resumed.
   */
  forget(): void {
    this.#forgets = true;
    this.#release(this.#written);
  }

  /** Nothing more is to come: whoever waits goes on. */
  end(): void {
    this.#tell();
  }

  #write(socket: Socket, { mark, pieces }: { readonly mark: number; readonly pieces: readonly Uint8Array[] }): void {
    const last = pieces.length - 1;
    for (const [index, piece] of pieces.entries()) {
      this.byteCount += piece.byteLength;
      const taken = writeNow(socket, piece);
      const rest = taken === 0 ? piece : piece.subarray(taken);
      const isLast = index === last;
      if (rest.byteLength === 0) {
        if (isLast) this.#onWritten(mark);
      } else if (isLast) {
        socket.write(rest, (error) => {
          if (socket === this.#socket && !error) this.#onWritten(mark);
        });
      } else socket.write(rest);
    }
  }

  /** Sends what the system takes soon from where it lies, and copies only the rest. `bulk` needs no padding. */
  #sendThrough(
    socket: Socket,
    { mark, head, bulk }: { readonly mark: number; readonly head: Uint8Array; readonly bulk: Uint8Array },
  ): void {
    const ofHead = writeNow(socket, head);
    const ofBulk = ofHead < head.byteLength ? 0 : writeSoon(socket, bulk);
    this.byteCount += ofHead + ofBulk;
    if (ofBulk === bulk.byteLength) {
      this.#onWritten(mark);
      return;
    }
    const kept =
      ofBulk === 0
        ? this.#log.append(head.subarray(ofHead), { mark, bulk, adopts: false })
        : this.#log.append(bulk.subarray(ofBulk), { mark, adopts: false });
    this.#write(socket, { mark, pieces: piecesOf(kept) });
  }

  #onWritten(mark: number): void {
    this.#written = Math.max(this.#written, mark);
    if (!this.#isResumable || (this.#forgets && this.isFull)) this.#release(mark);
  }

  #release(mark: number): void {
    if (mark <= this.#released) return;
    this.#released = mark;
    this.#log.releaseUpTo(mark);
    if (!this.isFull) this.#tell();
  }

  #tell(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
