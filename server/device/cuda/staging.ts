/**
 * Page-locked host memory through which copies pass, so that the device fetches them by itself while the network fills the next piece. Writes
 * go through a ring of segments; a segment is used again once the device has fetched all of it. What a large copy brings is read from the network
 * straight into places of its own. Reads have buffers of their own. Memory of the executor that it uses often is page-locked too, where the system
 * allows it, and then copies need not pass through here.
 */
import { CALL_DATA_BYTES_MAX } from "../../../shared/limits.ts";
import { CUresult, EVENT_DISABLE_TIMING } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";
import { addressOf, bytesAt } from "./symbols.ts";
import { waitBehind, waitUntil } from "./waiting.ts";

/** One call's data fills a segment or a place; eight cover what a fast link brings while the device is busy with a kernel of a millisecond. */
const SEGMENT_BYTES = CALL_DATA_BYTES_MAX;
const SEGMENTS = 4;
const PLACES = 4;
/** A read comes in pieces, so that one is copied out while the device brings the next. */
const READ_PIECE_BYTES = SEGMENT_BYTES / 4;
const READ_BUFFERS = 4;
/** What a call's data takes on its way from the device. Nothing of the session runs meanwhile, and a turn of the event loop is a good part of that. */
const FETCHED_MS = 0.05;
/** Copies smaller than this share segments. A larger one ends its segment, so that it can be used again at once. */
const SHARED_COPY_BYTES_MAX = 64 * 1024;
/** The device fetches whole cache lines; pieces that share none cannot slow each other down. */
const ALIGNMENT_BYTES = 256;

/** A stretch of page-locked memory with the events that tell when the device is done with it. */
interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array;
  used: number;
  /** Streams that fetch from it since it was last empty. */
  readonly streams: Set<CudaStream>;
  /** One per stream of the last use; done when all are. */
  readonly fences: number[];
}

export class Staging {
  readonly #context: CudaContext;
  readonly #memory: number;
  readonly #segments: Segment[];
  readonly #places: Segment[];
  readonly #readers: Segment[];
  readonly #spareEvents: number[] = [];
  readonly #allEvents: number[] = [];
  /** Buffers of the executor that were to be page-locked: where they are, or undefined where that was refused. */
  readonly #adopted = new Map<ArrayBufferLike, Segment | undefined>();
  #isClosed = false;
  #current = 0;
  /** The place that is lent next, or is lent. */
  #placing = 0;
  #reading: Promise<void> = Promise.resolve();
  /** Reads that are under way, or wait. */
  #reads = 0;

  constructor(context: CudaContext) {
    this.#context = context;
    const pointer = new BigUint64Array(1);
    const total = (SEGMENTS + PLACES) * SEGMENT_BYTES + READ_BUFFERS * READ_PIECE_BYTES;
    context.check(context.api.cuMemHostAlloc(pointer, total, 0), "allocate page-locked memory");
    this.#memory = Number(pointer[0]);
    const cut = (from: number, { count, bytes }: { count: number; bytes: number }): Segment[] =>
      Array.from({ length: count }, (_, index) => {
        const address = this.#memory + from + index * bytes;
        return { address, bytes: bytesAt(address, bytes), used: 0, streams: new Set(), fences: [] };
      });
    this.#segments = cut(0, { count: SEGMENTS, bytes: SEGMENT_BYTES });
    this.#places = cut(SEGMENTS * SEGMENT_BYTES, { count: PLACES, bytes: SEGMENT_BYTES });
    this.#readers = cut((SEGMENTS + PLACES) * SEGMENT_BYTES, { count: READ_BUFFERS, bytes: READ_PIECE_BYTES });
  }

  /** Copies `data` to the device; `data` may change once this returns or resolves. */
  write(address: number, data: Uint8Array, stream: CudaStream): void | Promise<void> {
    if (data.buffer === this.#place.bytes.buffer) return this.#fetchPlace(address, data.byteLength, stream);
    let offset = 0;
    while (offset < data.byteLength) {
      const written = this.#writePiece(address + offset, data.subarray(offset, offset + SEGMENT_BYTES), stream);
      if (written !== undefined) return this.#writeRest({ address, offset, data, stream, written });
      offset += SEGMENT_BYTES;
    }
  }

  /**
   * Memory for the data of a write that is going to come, with which that is given back; one that never comes leaves it to the next. Undefined while
   * the device still fetches all that there is.
   */
  place(byteCount: number): Uint8Array | undefined {
    const { bytes } = this.#place;
    return byteCount <= SEGMENT_BYTES && this.#free(this.#place) ? bytes.subarray(0, byteCount) : undefined;
  }

  /** Page-locks memory of the executor, once. Refused (by a limit of the system, say), its copies take the ring as all others. */
  adopt(memory: Uint8Array<ArrayBuffer>): void {
    if (this.#adopted.has(memory.buffer)) return;
    const address = Number(addressOf(memory)) - memory.byteOffset;
    const { byteLength } = memory.buffer;
    const isLocked = this.#context.api.cuMemHostRegister_v2(address, byteLength, 0) === CUresult.SUCCESS;
    const segment = {
      address,
      bytes: new Uint8Array(memory.buffer),
      used: 0,
      streams: new Set<CudaStream>(),
      fences: [],
    };
    this.#adopted.set(memory.buffer, isLocked ? segment : undefined);
  }

  /** Whether the device reaches this memory by itself. */
  isAdopted(memory: Uint8Array): boolean {
    return this.#adopted.get(memory.buffer) !== undefined;
  }

  /** Has the device fetch memory that is adopted; it may change once this resolves. */
  fetch(address: number, data: Uint8Array, stream: CudaStream): Promise<void> {
    const segment = this.#adopted.get(data.buffer)!;
    const { api } = this.#context;
    const result = api.cuMemcpyHtoDAsync_v2(address, segment.address + data.byteOffset, data.byteLength, stream.handle);
    this.#context.check(result, "copy to the device");
    const fence = this.#recordFence(stream);
    return waitBehind(() => this.#isClosed || this.#isPassed(fence));
  }

  /** Reads device memory into `into`; returns, or resolves, once it is there, and nothing may be queued in the stream meanwhile. Reads take their turns. */
  read(address: number, into: Uint8Array, stream: CudaStream): void | Promise<void> {
    const isOnePiece = into.byteLength <= READ_PIECE_BYTES && !this.#adopted.has(into.buffer);
    if (isOnePiece && this.#reads === 0 && this.#free(this.#readers[0]!)) {
      const reading = this.#readPiece(address, into, stream);
      return reading && this.#inTurn(reading);
    }
    return this.#inTurn(this.#reading.then(() => this.#readPieces(address, into, stream)));
  }

  /** The next read waits for this one whether it works or not; its error belongs to its own caller. */
  #inTurn(reading: Promise<void>): Promise<void> {
    this.#reads++;
    const end = (): void => {
      this.#reads--;
    };
    this.#reading = reading.then(end, end);
    return reading;
  }

  /** Most reads are small, and done before anything else could be. */
  #readPiece(address: number, into: Uint8Array, stream: CudaStream): undefined | Promise<void> {
    const buffer = this.#readers[0]!;
    const { api } = this.#context;
    this.#context.enter();
    const result = api.cuMemcpyDtoHAsync_v2(buffer.address, address, into.byteLength, stream.handle);
    this.#context.check(result, "copy from the device");
    const take = (): void => into.set(buffer.bytes.subarray(0, into.byteLength));
    const waiting = waitUntil(() => {
      this.#context.enter();
      const isDone = api.cuStreamQuery(stream.handle);
      // Where that fails the copy may still come.
      if (isDone !== CUresult.SUCCESS && isDone !== CUresult.NOT_READY) this.#fence(buffer, stream);
      return this.#context.ready(isDone, "query a stream");
    });
    if (waiting !== undefined) return waiting.then(take);
    take();
    return undefined;
  }

  /** Drops what it knows of a stream that ends; all its work must be done. */
  forget(stream: CudaStream): void {
    for (const segment of [...this.#segments, ...this.#readers]) segment.streams.delete(stream);
  }

  /** Frees the memory. Nothing may be under way. */
  close(): void {
    for (const segment of this.#adopted.values()) {
      if (segment !== undefined) this.#context.api.cuMemHostUnregister(segment.address);
    }
    this.#adopted.clear();
    this.#isClosed = true;
    for (const event of this.#allEvents) this.#context.api.cuEventDestroy_v2(event);
    this.#allEvents.length = 0;
    this.#context.api.cuMemFreeHost(this.#memory);
  }

  async #writeRest(rest: {
    address: number;
    offset: number;
    data: Uint8Array;
    stream: CudaStream;
    written: Promise<void>;
  }): Promise<void> {
    const { address, data, stream } = rest;
    await rest.written;
    for (let offset = rest.offset + SEGMENT_BYTES; offset < data.byteLength; offset += SEGMENT_BYTES) {
      await this.#writePiece(address + offset, data.subarray(offset, offset + SEGMENT_BYTES), stream);
    }
  }

  /** Puts one piece into a segment and has the device fetch it; a promise when no segment is free yet. */
  #writePiece(address: number, piece: Uint8Array, stream: CudaStream): undefined | Promise<void> {
    if (this.#segment.used + piece.byteLength > SEGMENT_BYTES) this.#leave();
    if (this.#free(this.#segment)) {
      this.#fetch(address, piece, stream);
      return undefined;
    }
    const waiting = waitUntil(() => this.#free(this.#segment));
    if (waiting !== undefined) return waiting.then(() => this.#fetch(address, piece, stream));
    this.#fetch(address, piece, stream);
    return undefined;
  }

  get #place(): Segment {
    return this.#places[this.#placing]!;
  }

  #fetchPlace(address: number, byteCount: number, stream: CudaStream): void {
    const place = this.#place;
    this.#placing = (this.#placing + 1) % PLACES;
    this.#context.enter();
    const result = this.#context.api.cuMemcpyHtoDAsync_v2(address, place.address, byteCount, stream.handle);
    this.#context.check(result, "copy to the device");
    this.#fence(place, stream);
  }

  get #segment(): Segment {
    return this.#segments[this.#current]!;
  }

  #fetch(address: number, piece: Uint8Array, stream: CudaStream): void {
    const segment = this.#segment;
    const at = segment.used;
    segment.bytes.set(piece, at);
    segment.used = at + Math.ceil(piece.byteLength / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    segment.streams.add(stream);
    this.#context.enter();
    this.#context.check(
      this.#context.api.cuMemcpyHtoDAsync_v2(address, segment.address + at, piece.byteLength, stream.handle),
      "copy to the device",
    );
    if (piece.byteLength > SHARED_COPY_BYTES_MAX) this.#leave();
  }

  /** Fences the current segment and goes on to the next. */
  #leave(): void {
    const segment = this.#segment;
    for (const stream of segment.streams) this.#fence(segment, stream);
    segment.streams.clear();
    segment.used = 0;
    this.#current = (this.#current + 1) % SEGMENTS;
  }

  #fence(segment: Segment, stream: CudaStream): void {
    segment.fences.push(this.#recordFence(stream));
  }

  #recordFence(stream: CudaStream): number {
    this.#context.enter();
    let event = this.#spareEvents.pop();
    if (event === undefined) {
      const handle = new BigUint64Array(1);
      this.#context.check(this.#context.api.cuEventCreate(handle, EVENT_DISABLE_TIMING), "create an event");
      event = Number(handle[0]);
      this.#allEvents.push(event);
    }
    this.#context.check(this.#context.api.cuEventRecord(event, stream.handle), "record an event");
    return event;
  }

  /** Whether the device has come to a fence, which is used again then. */
  #isPassed(fence: number): boolean {
    this.#context.enter();
    if (!this.#context.ready(this.#context.api.cuEventQuery(fence), "query an event")) return false;
    this.#spareEvents.push(fence);
    return true;
  }

  /** Whether the device is done with the segment's last use. */
  #free(segment: Segment): boolean {
    for (let fence = segment.fences.at(-1); fence !== undefined; fence = segment.fences.at(-1)) {
      if (!this.#isPassed(fence)) return false;
      segment.fences.pop();
    }
    return true;
  }

  async #readPieces(address: number, into: Uint8Array, stream: CudaStream): Promise<void> {
    const adopted = this.#adopted.get(into.buffer);
    if (adopted !== undefined) {
      const { api } = this.#context;
      this.#context.enter();
      const result = api.cuMemcpyDtoHAsync_v2(
        adopted.address + into.byteOffset,
        address,
        into.byteLength,
        stream.handle,
      );
      this.#context.check(result, "copy from the device");
      this.#fence(adopted, stream);
      return waitUntil(() => this.#free(adopted), FETCHED_MS);
    }
    const count = Math.ceil(into.byteLength / READ_PIECE_BYTES);
    const issue = (index: number): void => {
      if (index >= count) return;
      const buffer = this.#readers[index % READ_BUFFERS]!;
      const offset = index * READ_PIECE_BYTES;
      const byteCount = Math.min(READ_PIECE_BYTES, into.byteLength - offset);
      this.#context.enter();
      this.#context.check(
        this.#context.api.cuMemcpyDtoHAsync_v2(buffer.address, address + offset, byteCount, stream.handle),
        "copy from the device",
      );
      this.#fence(buffer, stream);
    };
    // A read that failed may have left a copy under way into a buffer.
    for (const buffer of this.#readers) await waitUntil(() => this.#free(buffer));
    for (let ahead = 0; ahead < READ_BUFFERS; ahead++) issue(ahead);
    for (let index = 0; index < count; index++) {
      const buffer = this.#readers[index % READ_BUFFERS]!;
      await waitUntil(() => this.#free(buffer));
      const offset = index * READ_PIECE_BYTES;
      into.set(buffer.bytes.subarray(0, Math.min(READ_PIECE_BYTES, into.byteLength - offset)), offset);
      issue(index + READ_BUFFERS);
    }
  }
}
