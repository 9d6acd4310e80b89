/**
 * The frames of a session on their way to its client: sent as far as the system takes them at once, kept until they are with the client,
 * and sent again over the connection that follows a broken one. Bounded: whoever produces them asks `isFull`, and waits for `whenRoom`.
 * Large data goes from where it lies, which may be a device's memory, as long as nobody needs to write there.
 */
import type { Socket } from "node:net";
import { NO_BYTES } from "../../shared/byte-count.ts";
import { ANSWER_BACKLOG_BYTES_MAX } from "../../shared/limits.ts";
import { FrameLog, type KeptFrame, piecesOf } from "../../shared/wire/frame-log.ts";
import { protocolError } from "../../shared/wire/wire-buffer.ts";
import { lineOf } from "./connection.ts";
import type { Line } from "./line.ts";

/** What a socket is given of lent memory when the system takes no more: copied, so little; it tells when there is room for the rest. */
const PROBE_BYTES = 16 * 1024;

export interface OutgoingOptions {
  /** Whether the client acknowledges frames and may come back for those that it lacks. Otherwise they are kept until they are written. */
  readonly isResumable: boolean;
  /** Whether bulk data is this object's until it is released. What is not is lent to it until `keepLent`. Default: it is. */
  readonly isKept?: (bulk: Uint8Array) => boolean;
  /** Gets the memory of bulk data back. */
  readonly onReleased?: (bulk: Uint8Array) => void;
}

/** A frame, or what acknowledges without being one that counts, of which not all is with the socket. */
interface Unsent {
  readonly frame: Uint8Array | KeptFrame;
  readonly byteCount: number;
  /** Bytes that the socket has. */
  given: number;
}

export class Outgoing {
  readonly #isResumable: boolean;
  readonly #isKept: (bulk: Uint8Array) => boolean;
  readonly #log: FrameLog;
  #socket: Socket | undefined;
  #line: Line | undefined;
  /** Numbers of frames: the last one sent, given to a socket whole, written whole, acknowledged, and no longer kept. */
  #sent = 0;
  #given = 0;
  #written = 0;
  #acknowledged = 0;
  #released = 0;
  /** What waits for this connection, in order, while its socket has more than the system takes. */
  #unsent: Unsent[] = [];
  #isWaiting = false;
  /** Acknowledgements are not waited for. */
  #forgets = false;
  #waiting: (() => void)[] = [];
  /** Bytes given to connections. */
  byteCount = NO_BYTES;

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

  /** Whether the system has all that was sent. */
  get isIdle(): boolean {
    return this.#unsent.length === 0 && this.#line?.isIdle === true;
  }

  /** The descriptor over which another thread may send a whole frame until this one sends the next; undefined where some of one is under way. */
  idleFile(): number | undefined {
    return this.isIdle ? this.#line!.takeFile() : undefined;
  }

  /** Whether bulk data is lent to frames that are kept: then `keepLent` comes before anything that writes to it. */
  get borrows(): boolean {
    return this.#log.borrows;
  }

  /** Copies what is lent; it is the lender's again when this returns. */
  keepLent(): void {
    this.#log.keepLent();
  }

  /** Resolves when there is room, or nothing more is to come. */
  whenRoom(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a frame that counts. `bulk`, if there is some, follows the head. */
  send(head: Uint8Array, bulk?: Uint8Array): void {
    const mark = ++this.#sent;
    const line = bulk === undefined && this.#unsent.length === 0 ? this.#line : undefined;
    // Most frames are small and leave at once, from where they were written. What nobody comes back for is not kept then.
    const isKept = this.#isResumable || line === undefined;
    const kept = isKept ? this.#keep(head, mark, bulk) : undefined;
    const given = line?.writeNow(head) ?? 0;
    this.byteCount += given;
    if (line !== undefined && given === head.length) {
      this.#given = mark;
      this.#onWritten(mark);
      return;
    }
    const frame = kept ?? this.#keep(head, mark, bulk);
    if (this.#socket !== undefined) this.#queue(this.#socket, { frame, byteCount: frame.byteCount, given });
  }

  #keep(head: Uint8Array, mark: number, bulk: Uint8Array | undefined): KeptFrame {
    const use = bulk !== undefined && this.#isKept(bulk) ? "adopt" : "lend";
    return this.#log.append(head, { mark, bulk, use });
  }

  /** Sends a frame that nobody misses: it only acknowledges. */
  sendUncounted(frame: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    const given = this.#unsent.length === 0 ? this.#line!.writeNow(frame) : 0;
    this.byteCount += given;
    if (given === frame.byteLength) return;
    this.#queue(socket, { frame: frame.slice(), byteCount: frame.byteLength, given });
  }

  /** Whether a client that has received `count` frames can be given the rest. Throws PROTOCOL_ERROR for more than were sent. */
  canResumeFrom(count: number): boolean {
    this.#checkReceived(count);
    return count >= this.#released;
  }

  /** Goes on over this connection, whose client has received `count` frames. */
  attach(socket: Socket, count: number): void {
    this.#acknowledged = count;
    this.#release(count);
    this.#socket = socket;
    this.#line = lineOf(socket);
    for (const { kept } of [...this.#log.entries()]) {
      this.#queue(socket, { frame: kept, byteCount: kept.byteCount, given: 0 });
    }
  }

  /** The connection is gone: frames wait for the next. */
  detach(): void {
    this.#socket = undefined;
    this.#line = undefined;
    this.#unsent = [];
    this.#isWaiting = false;
  }

  /** Gives all that waits to the socket, which somebody else writes to and closes from now on. */
  handOver(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#unsent.length === 0) return;
    this.keepLent();
    for (const unsent of this.#unsent) {
      this.byteCount += unsent.byteCount - unsent.given;
      for (const piece of restOf(unsent)) socket.write(piece);
    }
    this.#unsent = [];
  }

  /** The client has the frames up to the one with these low 32 bits. */
  acknowledge(ack: number): void {
    if (!this.#isResumable) return;
    const news = (ack - this.#acknowledged) | 0;
    if (news <= 0) return;
    const count = this.#acknowledged + news;
    this.#checkReceived(count);
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

  /** What is not with a socket, nobody can have: its memory is still in use. */
  #checkReceived(count: number): void {
    if (count > this.#given) throw protocolError(`The client has [${count}] frames, and [${this.#given}] were sent.`);
  }

  #queue(socket: Socket, unsent: Unsent): void {
    this.#unsent.push(unsent);
    if (!this.#isWaiting) this.#work(socket);
  }

  /** Gives the socket what waits, until it has more than the system takes. */
  #work(socket: Socket): void {
    for (let first = this.#unsent[0]; first !== undefined && !this.#isWaiting; first = this.#unsent[0]) {
      if (this.#sendFrom(socket, first)) this.#take(first);
    }
  }

  /** Whether the socket has all of it. */
  #sendFrom(socket: Socket, unsent: Unsent): boolean {
    const lent = "lent" in unsent.frame ? unsent.frame.lent : undefined;
    for (const piece of restOf(unsent)) {
      const isBegin = unsent.given + piece.byteLength < unsent.byteCount;
      const isLent = piece.buffer === lent?.buffer;
      // Of a client that waits in its call, nothing else comes meanwhile.
      const line = this.#line!;
      const taken = isLent && !this.#isResumable ? line.writeSoon(piece) : line.writeNow(piece, isBegin);
      this.#count(unsent, taken);
      if (taken === piece.byteLength) continue;
      this.#giveToStream(socket, unsent, { rest: piece.subarray(taken), isLent });
      return false;
    }
    return true;
  }

  /** The stream waits until the system takes more. */
  #giveToStream(
    socket: Socket,
    unsent: Unsent,
    { rest, isLent }: { readonly rest: Uint8Array; readonly isLent: boolean },
  ): void {
    const bytes = isLent ? rest.slice(0, this.#line?.isDirect ? PROBE_BYTES : rest.byteLength) : rest;
    this.#count(unsent, bytes.byteLength);
    this.#isWaiting = true;
    socket.write(bytes, (error) => {
      if (socket !== this.#socket || error) return;
      this.#isWaiting = false;
      if (unsent.given === unsent.byteCount && unsent === this.#unsent[0]) this.#take(unsent);
      this.#work(socket);
    });
  }

  #count(unsent: Unsent, byteCount: number): void {
    unsent.given += byteCount;
    this.byteCount += byteCount;
    if (unsent.given === unsent.byteCount && "mark" in unsent.frame)
      this.#given = Math.max(this.#given, unsent.frame.mark);
  }

  /** The first of those that wait is with the system. */
  #take({ frame }: Unsent): void {
    this.#unsent.shift();
    if ("mark" in frame) this.#onWritten(frame.mark);
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

const restOf = ({ frame, given }: Unsent): readonly Uint8Array[] =>
  "mark" in frame ? piecesOf(frame, given) : [frame.subarray(given)];
