/**
 * Frames: how calls, answers and the handshake are cut out of a byte stream (proto/README.md, "Frames"). A frame has a header
 * of four words: its bytes, its kind, the number of its calls or answers, and an acknowledgement. A malformed header is fatal.
 */

import { callTable, type FrameKind, FrameKind as kinds } from "../generated/calls.ts";
import { FRAME_BYTES_MAX } from "../limits.ts";
import { padTo8, protocolError, WireBuffer, WireWriter } from "./wire-buffer.ts";

export const FRAME_HEADER_BYTES = 16;
export const CALL_HEADER_BYTES = 8;
export const ANSWER_HEADER_BYTES = 16;

const knownKinds: boolean[] = [];
for (const kind of Object.values(kinds)) knownKinds[kind] = true;

/** One frame inside a reader's buffer: valid until the reader's next `next()`. */
export interface Frame {
  readonly kind: FrameKind;
  /** Calls or answers in the frame. */
  readonly count: number;
  /** Low 32 bits of a sequence number; see proto/README.md. */
  readonly ack: number;
  /** Bytes that it has on the wire. */
  readonly byteCount: number;
  readonly buffer: WireBuffer;
  /** Byte offsets of the frame's payload in the buffer. Of a frame that was placed, the data is missing at the end. */
  readonly start: number;
  readonly end: number;
  /** The memory that its data was read into. */
  readonly placed: Uint8Array | undefined;
}

/** A frame of which not all has come. */
export interface BegunFrame {
  readonly kind: FrameKind;
  readonly count: number;
  readonly byteCount: number;
  readonly buffer: WireBuffer;
  /** Byte offset of its payload in the buffer; what is there of it. */
  readonly start: number;
  readonly payloadBytes: number;
}

/**
 * What is offered for one read while the size of the next frame is not known, or is small: several batches, so that a busy
 * connection is read in few calls, and little to move when the last frame in it is not whole.
 */
const READ_BYTES = 256 * 1024;

/** The same while data is on its way to a place that is lent: copied there, so little; what is behind it is read into the place itself. */
const LENT_READ_BYTES = 16 * 1024;

export interface FrameReaderOptions {
  readonly frameBytesMax?: number;
  readonly capacityBytes?: number;
  /**
   * Whether memory that data is placed in may be detached while it is on its way. Then `space` never offers it, which somebody might hold on to,
   * but `placeSpace`. Default: it stays.
   */
  readonly placesAreLent?: boolean;
}

/**
 * Cuts a byte stream into frames. `push` takes bytes as they come and copies them; a transport that can read straight into
 * place asks for `space` before each read and tells what came with `filled`. `next` returns the next whole frame.
 * @throws SluiceError PROTOCOL_ERROR from `next` for a header that no frame can have; the stream is then unusable.
 */
export class FrameReader {
  readonly #frameBytesMax: number;
  #buffer: WireBuffer;
  #start = 0;
  #end = 0;
  #held = 0;
  /** Memory of a space that was left, for the next time. */
  #spare: WireBuffer | undefined;
  /** What `space` returned last, and where it ends in which buffer, unless it was the place of data: the same view again costs nothing. */
  #space: Uint8Array | undefined;
  #spaceOf: WireBuffer | undefined;
  #spaceFrom = 0;
  #spaceTo = 0;
  /** Where in the buffer what `space` returned last begins; -1 when it was the place of data. */
  #offeredAt = -1;
  /** Where the data of the frame at `#start` goes, and how much of it is there. */
  #place: Uint8Array | undefined;
  #placeBytes = 0;
  #placedBytes = 0;
  readonly #placesAreLent: boolean;
  /** Bytes before the data of the frame that was placed last, while the next one is likely to be alike; else 0. */
  #headBytes = 0;

  constructor(options: FrameReaderOptions = {}) {
    this.#placesAreLent = options.placesAreLent ?? false;
    this.#frameBytesMax = options.frameBytesMax ?? FRAME_BYTES_MAX;
    this.#buffer = new WireBuffer(options.capacityBytes ?? 64 * 1024);
  }

  /** Bytes received but not yet returned as frames, the frame now held not counted. */
  get bufferedBytes(): number {
    return this.#end - this.#start - this.#held;
  }

  push(bytes: Uint8Array): void {
    const chunk = this.#place === undefined ? bytes : bytes.subarray(this.#fillPlace(bytes));
    if (this.#end + chunk.length > this.#buffer.byteLength) this.#makeRoom(chunk.length);
    this.#buffer.u8.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * Where the next bytes of the stream go; the size of one large frame that has begun, so that the one behind it starts at the front.
   * Undefined while a frame that is held leaves no room. Between this and `filled` nothing else may be pushed.
   */
  space(): Uint8Array | undefined {
    this.#offeredAt = -1;
    const placeLeft = this.#placeLeft;
    if (placeLeft > 0) {
      if (this.#placesAreLent) return this.#offer(this.#end + Math.min(placeLeft, LENT_READ_BYTES));
      this.#spaceOf = undefined;
      this.#space = this.#place!.subarray(this.#placedBytes);
      return this.#space;
    }
    if (this.#held === 0) this.#prepareRead();
    const wanted = this.#frameEnd() || this.#end + READ_BYTES;
    // Behind a frame that was placed, what comes is likely to be another: its data is not to be read along with its head.
    const untilData = this.#start + this.#held + this.#headBytes;
    return this.#offer(this.#end < untilData ? untilData : wanted);
  }

  /** The buffer from what is there to `wanted`, or to its end. */
  #offer(wanted: number): Uint8Array | undefined {
    const limit = Math.min(wanted, this.#buffer.byteLength);
    if (limit <= this.#end) return undefined;
    this.#offeredAt = this.#end;
    if (this.#spaceOf !== this.#buffer || this.#spaceFrom !== this.#end || this.#spaceTo !== limit) {
      this.#spaceOf = this.#buffer;
      this.#spaceFrom = this.#end;
      this.#spaceTo = limit;
      this.#space = this.#buffer.u8.subarray(this.#end, limit);
    }
    return this.#space;
  }

  /** Bytes of data on its way to its place that have not come; 0 for any other bytes. */
  get placedBytesLeft(): number {
    return this.#placeLeft;
  }

  /** Where the next bytes of data that is placed go, for a read that is over before anything else can run. Undefined for other bytes, and when the place is gone. */
  placeSpace(): Uint8Array | undefined {
    return this.#placeLeft > 0 && this.#placeIsThere ? this.#place!.subarray(this.#placedBytes) : undefined;
  }

  /** Takes `byteCount` bytes that were read into what `placeSpace` returned. */
  placed(byteCount: number): void {
    this.#placedBytes += byteCount;
  }

  /** Takes `byteCount` bytes that were read into what `space` returned. */
  filled(byteCount: number): void {
    const at = this.#offeredAt;
    if (at < 0) this.#placedBytes += byteCount;
    else if (at === this.#end && this.#placeLeft === 0) this.#end += byteCount;
    // Since it was offered, it was decided that data goes elsewhere.
    else this.push(this.#buffer.u8.subarray(at, at + byteCount));
  }

  /** The frame that has begun, unless it is whole or was placed; its header is known. For one that `next` has just said is not there. */
  begun(): BegunFrame | undefined {
    const payloadBytes = this.#end - this.#start - FRAME_HEADER_BYTES;
    if (payloadBytes < 0 || this.#held > 0 || this.#place !== undefined) return undefined;
    const word = this.#start >> 2;
    const { u32 } = this.#buffer;
    return {
      kind: u32[word + 1]! as FrameKind,
      count: u32[word + 2]!,
      byteCount: u32[word]!,
      buffer: this.#buffer,
      start: this.#start + FRAME_HEADER_BYTES,
      payloadBytes,
    };
  }

  /**
   * Has the data of the frame that has begun read into `into`: all that lies behind the first `headBytes` of its payload, which are there; both are
   * multiples of 8. The memory is written to as the bytes come, and when the connection breaks, in part.
   */
  place(headBytes: number, into: Uint8Array): void {
    const from = this.#start + FRAME_HEADER_BYTES + headBytes;
    this.#place = into;
    this.#placeBytes = into.byteLength;
    this.#placedBytes = 0;
    this.#headBytes = FRAME_HEADER_BYTES + headBytes;
    this.#fillPlace(this.#buffer.u8.subarray(from, this.#end));
    this.#end = from;
    // There is room behind the head, which is all that is there.
    this.#moveToFront();
  }

  /** Bytes of the data of the frame that is placed which have not come. */
  get #placeLeft(): number {
    return this.#place === undefined ? 0 : this.#placeBytes - this.#placedBytes;
  }

  /** What is detached has no bytes; its frame is read to its end all the same. */
  get #placeIsThere(): boolean {
    return this.#place?.length === this.#placeBytes;
  }

  #fillPlace(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.#placeLeft);
    if (taken > 0 && this.#placeIsThere) this.#place!.set(bytes.subarray(0, taken), this.#placedBytes);
    this.#placedBytes += taken;
    return taken;
  }

  /**
   * Leaves what `space` returned last to whoever holds it and may still write to it: from now on bytes go to other memory. Two pieces of memory
   * take turns. No frame is held.
   */
  leaveSpace(): void {
    const kept = this.#buffer.u8.subarray(this.#start, this.#end);
    const spare = this.#spare;
    const other =
      spare !== undefined && spare.byteLength >= kept.byteLength ? spare : new WireBuffer(this.#buffer.byteLength);
    other.u8.set(kept);
    this.#spare = this.#buffer;
    this.#buffer = other;
    this.#start = 0;
    this.#end = kept.byteLength;
    this.#space = undefined;
    this.#spaceOf = undefined;
  }

  /** The rest of the stream as bytes: for handing a connection over. */
  takeRest(): Uint8Array {
    this.#release();
    const rest = this.#buffer.u8.slice(this.#start, this.#end);
    this.#start = 0;
    this.#end = 0;
    return rest;
  }

  /** Drops what is there of a frame that is not whole: its connection is gone, and the peer will send it again. */
  dropPartial(): void {
    this.#end = this.#visitWaiting(() => {});
    if (this.#end === this.#start) {
      this.#place = undefined;
      this.#headBytes = 0;
    }
  }

  /** Shows the header of each whole frame that waits, the one now held not among them. */
  visitWaiting(visit: (header: Pick<Frame, "kind" | "count" | "ack">) => void): void {
    this.#visitWaiting(visit);
  }

  next(): Frame | undefined {
    this.#release();
    const available = this.#end - this.#start;
    if (available < FRAME_HEADER_BYTES) return undefined;
    const word = this.#start >> 2;
    const { u32 } = this.#buffer;
    const byteCount = u32[word]!;
    const kind = u32[word + 1]!;
    if (byteCount < FRAME_HEADER_BYTES || byteCount % 8 !== 0 || byteCount > this.#frameBytesMax) {
      throw protocolError(
        `A frame says it has [${byteCount}] bytes: not a multiple of 8 from 16 to ${this.#frameBytesMax}.`,
      );
    }
    if (kind >= knownKinds.length || knownKinds[kind] !== true)
      throw protocolError(`A frame is of the unknown kind [${kind}].`);
    const placed = this.#place;
    const bytesHere = placed === undefined ? byteCount : this.#headBytes;
    if (available < bytesHere || this.#placeLeft > 0) return undefined;
    this.#held = bytesHere;
    this.#place = undefined;
    if (byteCount <= READ_BYTES) this.#headBytes = 0;
    return {
      kind: kind as FrameKind,
      count: u32[word + 2]!,
      ack: u32[word + 3]!,
      byteCount,
      buffer: this.#buffer,
      start: this.#start + FRAME_HEADER_BYTES,
      end: this.#start + bytesHere,
      placed,
    };
  }

  /** Returns where the last whole frame ends; what is malformed counts as whole, since `next` will say so. */
  #visitWaiting(visit: (header: Pick<Frame, "kind" | "count" | "ack">) => void): number {
    const { u32 } = this.#buffer;
    let at = this.#start + this.#held;
    while (this.#end - at >= FRAME_HEADER_BYTES) {
      const word = at >> 2;
      const byteCount = u32[word]!;
      const isMalformed = byteCount < FRAME_HEADER_BYTES || byteCount % 8 !== 0 || byteCount > this.#frameBytesMax;
      if (isMalformed) return this.#end;
      const isPlaced = this.#place !== undefined && at === this.#start;
      const bytesHere = isPlaced ? this.#headBytes : byteCount;
      if (bytesHere > this.#end - at || (isPlaced && this.#placeLeft > 0)) break;
      visit({ kind: u32[word + 1]! as FrameKind, count: u32[word + 2]!, ack: u32[word + 3]! });
      at += bytesHere;
    }
    return at;
  }

  /** Lets go of the frame returned last. */
  #release(): void {
    this.#start += this.#held;
    this.#held = 0;
  }

  /** Where the frame that has begun will end, when it is too large for an ordinary read; else 0. */
  #frameEnd(): number {
    const at = this.#start + this.#held;
    if (this.#end - at < FRAME_HEADER_BYTES) return 0;
    const byteCount = this.#buffer.u32[at >> 2]!;
    return byteCount > READ_BYTES && byteCount <= this.#frameBytesMax ? at + byteCount : 0;
  }

  /** Moves what is left to the front, and makes room for the frame that has begun. No frame is held. */
  #prepareRead(): void {
    this.#moveToFront();
    const wanted = Math.max(this.#frameEnd(), Math.min(READ_BYTES, this.#frameBytesMax));
    if (wanted > this.#buffer.byteLength) this.#replace(wanted);
  }

  #moveToFront(): void {
    if (this.#start === 0) return;
    if (this.#end > this.#start) this.#buffer.u8.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** Makes room for bytes that are pushed: by moving what is there, or in a new buffer. */
  #makeRoom(byteCount: number): void {
    const kept = this.#end - this.#start;
    // A frame that is held stays where it is.
    if (this.#held === 0 && kept + byteCount <= this.#buffer.byteLength / 2) {
      this.#buffer.u8.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = kept;
    } else this.#replace(Math.max(this.#buffer.byteLength, padTo8(kept + byteCount) * 2));
  }

  #replace(byteCount: number): void {
    const larger = new WireBuffer(byteCount);
    larger.u8.set(this.#buffer.u8.subarray(this.#start, this.#end));
    this.#end -= this.#start;
    this.#start = 0;
    this.#buffer = larger;
  }
}

/** Builds one frame at a time in its own buffer. */
export class FrameWriter {
  readonly body: WireWriter;
  #count = 0;

  /** With `bulkBytesMin`, large data of a call or answer ends its frame and is left in `body.bulk` for the owner to send. */
  constructor(capacityBytes?: number, options: { readonly bulkBytesMin?: number } = {}) {
    this.body = new WireWriter(capacityBytes, options);
    this.#reset();
  }

  /** Calls or answers in the frame so far. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the frame so far, its header included. */
  get byteLength(): number {
    return this.body.wholeLength;
  }

  /** Appends a call; `encode` writes its body. */
  call<T>(opcode: number, fields: T, encode: (writer: WireWriter, fields: T) => void): void {
    const { body } = this;
    const at = body.length;
    body.reserve(CALL_HEADER_BYTES);
    body.length += CALL_HEADER_BYTES;
    encode(body, fields);
    const { u32 } = body.buffer;
    u32[at >> 2] = opcode;
    u32[(at >> 2) + 1] = body.wholeLength - at;
    this.#count++;
  }

  /** Appends an answer; `status` 0 is success, else the wire number of an error. */
  answer<T>(
    header: { sequence: number; status: number },
    fields: T,
    encode: (writer: WireWriter, fields: T) => void,
  ): void {
    const { body } = this;
    const at = body.length;
    body.reserve(ANSWER_HEADER_BYTES);
    body.length += ANSWER_HEADER_BYTES;
    encode(body, fields);
    const { u32 } = body.buffer;
    const word = at >> 2;
    u32[word] = body.wholeLength - at;
    u32[word + 1] = header.status;
    u32[word + 2] = header.sequence;
    u32[word + 3] = 0;
    this.#count++;
  }

  /**
   * Ends the frame. The bytes are valid until the writer is used again; copy them, or write them out at once. They are the whole frame
   * but for `body.bulk`, which the owner takes before.
   */
  finish(kind: FrameKind, ack = 0): Uint8Array<ArrayBuffer> {
    const { u32 } = this.body.buffer;
    u32[0] = this.body.wholeLength;
    u32[1] = kind;
    u32[2] = this.#count;
    u32[3] = ack;
    const { bytes } = this.body;
    this.#reset();
    return bytes;
  }

  #reset(): void {
    this.body.clear();
    this.body.reserve(FRAME_HEADER_BYTES);
    this.body.length = FRAME_HEADER_BYTES;
    this.#count = 0;
  }
}

/** A frame that holds one message of the handshake or the like. */
export function messageFrame<T>(
  kind: FrameKind,
  message: T,
  encode: (writer: WireWriter, message: T) => void,
): Uint8Array<ArrayBuffer> {
  const writer = new FrameWriter(256);
  encode(writer.body, message);
  return writer.finish(kind);
}

/** One call inside a CALLS frame: its body lies at [start, end) of the frame's buffer. */
export interface CallView {
  readonly opcode: number;
  readonly start: number;
  readonly end: number;
}

const knownOpcodes: boolean[] = [];
for (const { opcode } of callTable) knownOpcodes[opcode] = true;

type Payload = Pick<Frame, "buffer" | "count" | "start" | "end">;

/** The call that begins at `at`; throws as `callsOf` does. */
function callAt({ buffer, end }: Payload, at: number): CallView {
  const opcode = buffer.u32[at >> 2]!;
  const byteCount = buffer.u32[(at >> 2) + 1]!;
  if (byteCount < CALL_HEADER_BYTES || byteCount % 8 !== 0 || byteCount > end - at) {
    throw protocolError(`A call says it has [${byteCount}] bytes; its frame has [${end - at}] left.`);
  }
  if (opcode >= knownOpcodes.length || knownOpcodes[opcode] !== true)
    throw protocolError(`A call has the unknown opcode [${opcode}].`);
  return { opcode, start: at + CALL_HEADER_BYTES, end: at + byteCount };
}

/** The call that is alone in its frame, without a list; undefined when there are none or more. Throws as `callsOf` does. */
export function onlyCallOf(frame: Payload): CallView | undefined {
  if (frame.count !== 1 || frame.end === frame.start) return undefined;
  const call = callAt(frame, frame.start);
  return call.end === frame.end ? call : undefined;
}

/**
 * The calls of a CALLS frame in order.
 * @throws SluiceError PROTOCOL_ERROR before the first call when a header, the count or an opcode is wrong: nothing of a
 * malformed frame is executed.
 */
export function callsOf(frame: Payload): CallView[] {
  const calls: CallView[] = [];
  for (let at = frame.start; at < frame.end; ) {
    const call = callAt(frame, at);
    calls.push(call);
    at = call.end;
  }
  if (calls.length !== frame.count)
    throw protocolError(`A frame says it has [${frame.count}] calls and has [${calls.length}].`);
  return calls;
}

/** One answer inside an ANSWERS frame. */
export interface AnswerView {
  /** Low 32 bits of the sequence number of the call that it answers. */
  readonly sequence: number;
  /** 0, or the wire number of an error; the body then is a Failure. */
  readonly status: number;
  readonly start: number;
  readonly end: number;
}

/** The answers of an ANSWERS frame in order; throws PROTOCOL_ERROR as `callsOf` does. */
export function answersOf(frame: Frame): AnswerView[] {
  const answers: AnswerView[] = [];
  let at = frame.start;
  while (at < frame.end) {
    const word = at >> 2;
    const { u32 } = frame.buffer;
    const byteCount = u32[word]!;
    if (byteCount < ANSWER_HEADER_BYTES || byteCount % 8 !== 0 || byteCount > frame.end - at) {
      throw protocolError(`An answer says it has [${byteCount}] bytes; its frame has [${frame.end - at}] left.`);
    }
    answers.push({
      sequence: u32[word + 2]!,
      status: u32[word + 1]!,
      start: at + ANSWER_HEADER_BYTES,
      end: at + byteCount,
    });
    at += byteCount;
  }
  if (answers.length !== frame.count)
    throw protocolError(`A frame says it has [${frame.count}] answers and has [${answers.length}].`);
  return answers;
}
