/** Buffers: device memory as the caller sees it. Every check that can be made here is made here; the server makes its own. */
import { SluiceError } from "../shared/errors.ts";
import { encodeAllocateCall, encodeFillCall, encodeFreeCall, Opcode } from "../shared/generated/calls.ts";
import { CACHED_UPLOAD_BYTES_MIN, CALL_DATA_BYTES_MAX } from "../shared/limits.ts";
import { cancelled } from "./abort.ts";
import { type Size, sizeInBytes } from "./allocate-options.ts";
import { closedError, type DeviceContext, refuseInRecording } from "./context.ts";
import { type DevicePlace, issueCopy, issuePiece, requestPiece } from "./copies.ts";
import { checkOptions, type KnownOptions } from "./known-options.ts";
import { bytesOf, piecesOf, receivePieces, sendPieces } from "./pieces.ts";
import type { Recorder } from "./recorder.ts";
import { shown } from "./shown.ts";
import { addressSlot } from "./slot.ts";
import type { Staging } from "./staging.ts";
import { type Stream, streamHandle, type WaitOptions } from "./stream.ts";

/** `Float32Array` and its kin: what `read` makes. */
export interface TypedArrayConstructor<A extends ArrayBufferView> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): A;
}

/** Typed arrays whose elements a fill can set. */
export type FillConstructor =
  | Uint8ArrayConstructor
  | Int8ArrayConstructor
  | Uint16ArrayConstructor
  | Int16ArrayConstructor
  | Uint32ArrayConstructor
  | Int32ArrayConstructor
  | Float32ArrayConstructor;

export interface WriteOptions {
  /** Where to begin, in bytes from the start. Default 0. */
  readonly offset?: number;
  /** The stream that the copy runs in. Default: the default stream. */
  readonly stream?: Stream;
  readonly cached?: false;
  readonly overlap?: false;
}

export interface OverlapWriteOptions extends Omit<WriteOptions, "overlap" | "stream">, WaitOptions {
  /** Lets calls of other streams go between the pieces of the copy. */
  readonly overlap: true;
  /** The stream that the copy runs in. In the default stream nothing could overtake it. */
  readonly stream: Stream;
}

export interface CachedWriteOptions extends Omit<WriteOptions, "cached">, WaitOptions {
  /**
   * Names the bytes by their hash, and sends only what the server has not kept. `true`: from 1 MiB on, below which the question usually costs
   * more than the bytes; on a slow link a smaller size may pay, on a fast one with a slow processor a larger one.
   */
  readonly cached: true | { readonly from: Size };
}

export interface ReadIntoOptions extends Omit<WriteOptions, "cached" | "overlap">, WaitOptions {
  /**
   * Asks for a few pieces at a time, so that calls of other streams are answered between them; see `write`. For large reads in a stream of
   * their own; in the default stream nothing could overtake them. Default false.
   */
  readonly overlap?: boolean;
}

export interface ReadOptions extends ReadIntoOptions {
  /** Number of elements. Default: all from `offset` on. */
  readonly length?: number;
}

export interface FillOptions extends Omit<WriteOptions, "cached" | "overlap"> {
  /** What an element is. Default `Uint8Array`: each byte is set to the value. */
  readonly as?: FillConstructor;
  /** Number of elements. Default: all from `offset` on. */
  readonly length?: number;
}

const uploadOptions = { stream: "any", cached: "any", overlap: "boolean", signal: "signal" } as const;
const readIntoOptions = { offset: "number", stream: "any", overlap: "boolean", signal: "signal" } as const;
const known = {
  upload: uploadOptions,
  write: { offset: "number", ...uploadOptions } satisfies KnownOptions<WriteOptions & WaitOptions>,
  read: { ...readIntoOptions, length: "number" } satisfies KnownOptions<ReadOptions>,
  readInto: readIntoOptions satisfies KnownOptions<ReadIntoOptions>,
  fill: { offset: "number", stream: "any", as: "any", length: "number" } satisfies KnownOptions<FillOptions>,
};

/**
 * A piece of device memory, from `gpu.alloc()` or `gpu.upload()`. It holds what the memory held before: zeros, or what an earlier
 * buffer of the same lease left there.
 */
export class DeviceBuffer {
  /** Size in bytes. */
  readonly byteLength: number;
  /** Address of the first byte on the device; the same after a suspend, a resume or a move. */
  readonly address: number;
  /** @internal */
  readonly context: DeviceContext;
  /** @internal Set in the function of `gpu.record`: the memory that each replay gives anew. */
  readonly parameter: string | undefined;
  #freed = false;

  /** @internal A buffer of its own, or with `parameter` a stand-in for memory that is there. */
  constructor(
    context: DeviceContext,
    byteLength: number,
    parameter?: { readonly name: string; readonly address: number },
  ) {
    this.context = context;
    this.byteLength = byteLength;
    this.parameter = parameter?.name;
    if (parameter !== undefined) {
      this.address = parameter.address;
      return;
    }
    this.address = context.arena.allocate(byteLength);
    try {
      context.session.issue(Opcode.allocate, { address: this.address, byteCount: byteLength }, encodeAllocateCall);
    } catch (error) {
      context.arena.free(this.address);
      throw error;
    }
  }

  get freed(): boolean {
    return this.#freed;
  }

  /**
   * The place `offset` bytes behind the start, as a kernel argument or as an end of a copy.
   * @throws SluiceError BAD_ARGUMENT for an offset outside the buffer.
   */
  at(offset: number): BufferView {
    this.checkRange({ offset, byteCount: 0 });
    return new BufferView(this, offset);
  }

  /**
   * Copies bytes into the buffer. The bytes are taken before this returns: the array may be reused at once.
   *
   * With `overlap` the copy has its place in its stream where it is called, but its pieces of 1 MiB are taken one by one, and calls of other
   * streams go between them: a launch elsewhere need not wait for a large upload. A call that must stay behind the copy (in its stream, a
   * synchronise of the device, in the default stream unless the stream was made with `waitsForDefault: false`) takes what is left of it first.
   * Resolves when all bytes are taken: until then the array must not change, or some bytes arrive changed.
   *
   * With `cached` the server is asked by hash (SHA-256 of each MiB) whether it has the bytes from an earlier job of this tenant; it writes those
   * that it has, only the rest travels, and is kept for the next time. Resolves when all bytes are there or taken: until then the array must not
   * change, and what uses the buffer must not be issued. Below the size of `cached` it is an ordinary write.
   * The two do not go together. An array without bytes is no mistake, and one whose memory was transferred is.
   * @throws SluiceError BAD_ARGUMENT when they do not fit, or the array is transferred meanwhile; CLOSED after `free`; BACKLOG_FULL; CANCELLED. Of a copy
   * that returns a promise that rejects.
   */
  write(data: ArrayBufferView, options: OverlapWriteOptions): Promise<void>;
  write(data: ArrayBufferView, options: CachedWriteOptions): Promise<void>;
  write(data: ArrayBufferView, options?: WriteOptions): void;
  write(
    data: ArrayBufferView,
    options: WriteOptions | CachedWriteOptions | OverlapWriteOptions = {},
  ): void | Promise<void> {
    try {
      checkWrite("a write", { data, options }, known.write);
    } catch (error) {
      return refusedWrite(options, error);
    }
    return this.writeChecked(data, options);
  }

  /** @internal As `write`. */
  writeChecked(
    data: ArrayBufferView,
    options: WriteOptions | CachedWriteOptions | OverlapWriteOptions,
  ): undefined | Promise<void> {
    if (options.cached || options.overlap) refuseInRecording(this.context, Opcode.copyToDevice);
    if (options.cached) return this.#writeCached(data, options);
    if (options.overlap) return this.#writeOverlapping(data, options);
    const { offset = 0 } = options;
    this.checkRange({ offset, byteCount: data.byteLength });
    const { session } = this.context;
    const stream = streamHandle(options.stream, this.context);
    issueCopy(session, { address: this.address + offset, stream }, data);
    return undefined;
  }

  async #writeCached(data: ArrayBufferView, options: CachedWriteOptions): Promise<void> {
    const { cached, signal, ...ordinary } = options;
    if (data.byteLength < cachedFrom(cached)) {
      if (signal?.aborted) throw cancelled(signal);
      this.write(data, ordinary);
      return;
    }
    const target = this.#target(data, options);
    await this.context.content.write({ ...target, data, signal });
  }

  async #writeOverlapping(data: ArrayBufferView, options: OverlapWriteOptions): Promise<void> {
    const { session } = this.context;
    const staging = session.stagingFor(data.byteLength);
    await sendPieces(session, {
      ...this.#target(data, options),
      pieces: piecesOf(data),
      signal: options.signal,
      issue: (place, piece, isFirst) => issuePiece(session, place, { data: piece, isFirst, staging, patientUntil: 0 }),
    });
  }

  /** Where a copy in pieces goes; throws when the bytes do not fit. */
  #target(data: ArrayBufferView, options: CachedWriteOptions | OverlapWriteOptions | ReadIntoOptions) {
    const { offset = 0, stream } = options;
    const range = { offset, byteCount: data.byteLength };
    const check = (): void => this.checkRange(range);
    check();
    return {
      buffer: this.address,
      offset,
      stream: streamHandle(stream, this.context),
      waitsForDefault: stream?.waitsForDefault ?? true,
      check,
    };
  }

  /**
   * Copies bytes out of the buffer, behind all calls before it: the round trip that waits for results.
   * Large reads travel as several calls at once.
   * @throws SluiceError BAD_ARGUMENT for a range outside the buffer, CLOSED after `free`, the first failure of the calls before
   * it, CANCELLED, BACKLOG_FULL, or why the session has ended.
   */
  async read<A extends ArrayBufferView>(ctor: TypedArrayConstructor<A>, options: ReadOptions = {}): Promise<A> {
    checkOptions("a read", options, known.read);
    if (typeof ctor !== "function" || ctor.BYTES_PER_ELEMENT === undefined) {
      throw new SluiceError("BAD_ARGUMENT", "A read takes what makes its result, such as [Float32Array].");
    }
    const byteCount = this.#elements(options, ctor.BYTES_PER_ELEMENT) * ctor.BYTES_PER_ELEMENT;
    const into = new Uint8Array(byteCount);
    await this.#readInto(into, options);
    return new ctor(into.buffer);
  }

  /**
   * As `read`, into memory that is there already: as many bytes as `into` has, from `offset` on. For loops, since fresh memory costs
   * more than the copy. `into` must not be looked at before the promise resolves, and holds anything when it rejects.
   */
  readInto(into: ArrayBufferView, options: ReadIntoOptions = {}): Promise<void> {
    // Not `async`: one promise per small read is enough.
    try {
      checkOptions("a read into memory", options, known.readInto);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#readInto(into, options);
  }

  #readInto(into: ArrayBufferView, options: ReadIntoOptions): Promise<void> {
    try {
      checkView("What is read into", into);
      const { byteLength } = into;
      const staging = this.context.session.stagingFor(byteLength);
      if (options.overlap || staging !== undefined) return this.#readInPieces(into, options, staging);
      const { offset = 0, stream } = options;
      this.checkRange({ offset, byteCount: byteLength });
      const place = { address: this.address + offset, stream: streamHandle(stream, this.context) };
      const isOne = into instanceof Uint8Array && byteLength > 0 && byteLength <= CALL_DATA_BYTES_MAX;
      return isOne ? this.#readOne(into, place, options.signal) : this.#readAll(into, place, options.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** In one call. */
  #readOne(into: Uint8Array, place: DevicePlace, signal: AbortSignal | undefined): Promise<void> {
    const { session } = this.context;
    let call = 0;
    const onArrived = (): void => this.#noteIdle(call);
    const asked = requestPiece(session, place, { into, staging: undefined, signal, onArrived });
    call = session.calls;
    return asked;
  }

  /** In as many calls as it takes, all asked for at once. */
  async #readAll(into: ArrayBufferView, place: DevicePlace, signal: AbortSignal | undefined): Promise<void> {
    const { session } = this.context;
    const pieces: Promise<void>[] = [];
    for (let at = 0; at < into.byteLength; at += CALL_DATA_BYTES_MAX) {
      const byteCount = Math.min(CALL_DATA_BYTES_MAX, into.byteLength - at);
      const piece = new Uint8Array(into.buffer, into.byteOffset + at, byteCount);
      const from = { address: place.address + at, stream: place.stream };
      pieces.push(requestPiece(session, from, { into: piece, staging: undefined, signal }));
    }
    const lastPiece = session.calls;
    await Promise.all(pieces);
    if (pieces.length > 0) this.#noteIdle(lastPiece);
  }

  /** Where there is no other stream than the default one, a read waits for all work of the device. */
  #noteIdle(lastPiece: number): void {
    const { handles, idle } = this.context;
    if (!handles.streams.used) idle.at = Math.max(idle.at, lastPiece);
  }

  /** A few pieces at a time; what must stay behind the copy finds all of them asked for. */
  async #readInPieces(into: ArrayBufferView, options: ReadIntoOptions, staging: Staging | undefined): Promise<void> {
    refuseInRecording(this.context, Opcode.copyFromDevice);
    const { session } = this.context;
    const { signal, overlap: mayBeOvertaken = false } = options;
    const place = this.#target(into, options);
    let lastPiece = 0;
    await receivePieces(session, {
      ...place,
      mayBeOvertaken,
      pieces: piecesOf(into),
      signal,
      request: async (piece) => {
        const from = { address: place.buffer + place.offset + piece.at, stream: place.stream };
        const asked = requestPiece(session, from, { into: bytesOf(piece), staging, signal });
        lastPiece = session.calls;
        await asked;
      },
    });
    if (!mayBeOvertaken) this.#noteIdle(lastPiece);
  }

  /**
   * Sets every element to `value`: bytes by default, else elements of the type `as`.
   * @throws SluiceError BAD_ARGUMENT for a range outside the buffer or not at a multiple of the element's size, and for a value that an element cannot
   * have; unsigned ones take negative numbers as in C.
   */
  fill(value: number, options: FillOptions = {}): void {
    checkFill(options);
    const ctor = options.as ?? Uint8Array;
    if (!fillable.has(ctor))
      throw badArgument(`A fill sets elements of [${[...fillable].map(({ name }) => name).join(", ")}].`);
    const width = ctor.BYTES_PER_ELEMENT;
    const offset = options.offset ?? 0;
    const count = this.#elements(options, width);
    if (offset % width !== 0) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `The offset [${offset}] is not a multiple of the element's size [${width}].`,
      );
    }
    if (count === 0) return;
    const element = new Uint8Array(4);
    element.set(new Uint8Array(elementOf(ctor, value).buffer));
    const fields = {
      address: this.address + offset,
      count,
      width,
      value: new Uint32Array(element.buffer)[0]!,
      stream: streamHandle(options.stream, this.context),
    };
    this.context.session.issue(Opcode.fill, fields, encodeFillCall);
    noteAddress({ buffer: this, offset }, { field: 0, byteCount: count * width });
  }

  /**
   * Gives the memory back. Idempotent. It takes effect behind all calls issued before, in every stream, so that the range may be
   * used again at once; a server whose device queues work itself keeps that order.
   */
  free(): void {
    if (this.#freed) return;
    refuseInRecording(this.context, Opcode.free);
    this.#freed = true;
    const { context, address } = this;
    context.arena.free(address);
    context.session.issueEnd(Opcode.free, { address }, encodeFreeCall);
  }

  [Symbol.dispose](): void {
    this.free();
  }

  /** The number of elements of `width` bytes that a range has, once it is checked. */
  #elements(range: { readonly offset?: number; readonly length?: number }, width: number): number {
    const { offset = 0, length = Math.floor((this.byteLength - offset) / width) } = range;
    if (range.length !== undefined && !Number.isSafeInteger(length)) {
      throw badArgument(`The length [${length}] is not a whole number of elements.`);
    }
    this.checkRange({ offset, byteCount: length * width });
    return length;
  }

  /** @internal A stand-in is of no use behind its recording. */
  endParameter(): void {
    this.#freed = true;
  }

  /** @internal */
  checkRange(range: { readonly offset: number; readonly byteCount: number }): void {
    const { offset, byteCount } = range;
    if (this.#freed) throw closedError(`A buffer of [${this.byteLength}] bytes`);
    const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(byteCount);
    if (whole && offset >= 0 && byteCount >= 0 && offset + byteCount <= this.byteLength) return;
    throw new SluiceError(
      "BAD_ARGUMENT",
      `The range of [${shown(byteCount)}] bytes from [${shown(offset)}] is not inside the buffer of [${this.byteLength}] bytes.`,
    );
  }
}

/**
 * Tells the recording that is being made, if any, of an address in the call that it took last: in the field at byte `field`, of memory of which
 * the call uses `byteCount`.
 */
export function noteAddress(
  { buffer, offset }: { readonly buffer: DeviceBuffer; readonly offset: number },
  { field, byteCount }: { readonly field: number; readonly byteCount: number },
): void {
  const { recorder } = buffer.context.session;
  if (recorder === undefined) return;
  const { parameter } = buffer;
  if (parameter === undefined) needBuffer(recorder, buffer);
  else recorder.addressAt(field, { parameter, form: addressSlot, offset, byteCount });
}

export function needBuffer(recorder: Recorder, buffer: DeviceBuffer): void {
  const what = `A buffer of [${buffer.byteLength}] bytes`;
  recorder.need(buffer, { what, hasEnded: () => buffer.freed });
}

/** A place inside a buffer, from `buffer.at(offset)`. */
export class BufferView {
  readonly buffer: DeviceBuffer;
  /** In bytes from the start of the buffer. */
  readonly offset: number;

  /** @internal */
  constructor(buffer: DeviceBuffer, offset: number) {
    this.buffer = buffer;
    this.offset = offset;
  }

  get address(): number {
    return this.buffer.address + this.offset;
  }
}

const badArgument = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

const fillable: ReadonlySet<FillConstructor> = new Set<FillConstructor>([
  ...[Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array],
  Float32Array,
]);

/** An array of the element that a fill sets. No number becomes another one silently, but that an unsigned one takes what C's does. */
function elementOf(ctor: FillConstructor, value: number): InstanceType<FillConstructor> {
  if (typeof value === "number") {
    const element = ctor.of(value);
    const lowest = ctor.of(-1)[0]! < 0 ? 0 : -(2 ** (8 * ctor.BYTES_PER_ELEMENT - 1));
    const isKept =
      ctor === Float32Array
        ? Number.isFinite(element[0]) || !Number.isFinite(value)
        : element[0] === value || (Number.isInteger(value) && value < 0 && value >= lowest);
    if (isKept) return element;
  }
  throw badArgument(`An element of a [${ctor.name}] cannot be [${shown(value)}].`);
}

/** What has a byte count is not yet what bytes can be taken from: an ArrayBuffer has one, and a DeviceBuffer too. */
export function checkView(what: string, data: unknown): void {
  if (ArrayBuffer.isView(data)) {
    if (isThere(data)) return;
    throw badArgument(`${what} is an array whose memory was transferred, or has become too small for it.`);
  }
  const hint = data instanceof ArrayBuffer || data instanceof SharedArrayBuffer ? ": wrap it in a Uint8Array" : "";
  throw badArgument(`${what} is [${shown(data)}], and not a typed array or DataView${hint}.`);
}

/** An array whose memory is gone says that it is empty. */
function isThere(view: ArrayBufferView): boolean {
  try {
    if (view.byteLength === 0 && !(view instanceof DataView)) (view as Uint8Array).keys();
    return true;
  } catch {
    return false;
  }
}

/** Size from which on a write is cached. @throws SluiceError BAD_ARGUMENT */
function cachedFrom(cached: CachedWriteOptions["cached"]): number {
  if (cached === true) return CACHED_UPLOAD_BYTES_MIN;
  checkOptions("a cached write", cached, { from: "any" });
  return sizeInBytes(cached.from, "size from which on an upload is cached");
}

/** What can be said against a write without its buffer. */
function checkWrite(
  what: string,
  {
    data,
    options,
  }: { readonly data: unknown; readonly options: WriteOptions | CachedWriteOptions | OverlapWriteOptions },
  knownOptions: typeof known.write | typeof known.upload,
): void {
  checkOptions(what, options, knownOptions);
  checkView(`The array of ${what}`, data);
  const { cached = false, overlap = false } = options;
  if (cached !== false) cachedFrom(cached);
  if (cached && overlap) throw badArgument("A write is [cached], or may [overlap] others, and not both.");
}

/** Whoever asks for a promise hears of a refusal by it. */
export function refusedWrite(
  options: WriteOptions | CachedWriteOptions | OverlapWriteOptions,
  error: unknown,
): Promise<never> {
  if (options?.cached || options?.overlap) return Promise.reject(error);
  throw error;
}

/** The same of an upload, so that nothing is allocated for one that cannot be. */
export function checkUpload(data: unknown, options: WriteOptions | CachedWriteOptions, context: DeviceContext): void {
  checkWrite("an upload", { data, options }, known.upload);
  streamHandle(options.stream, context);
}

export const checkFill = (options: FillOptions): void => checkOptions("a fill", options, known.fill);

/** Memory of a device: a buffer, or a place inside one. */
export type DeviceMemory = DeviceBuffer | BufferView;

/** Where memory that a caller gives is. @throws SluiceError BAD_ARGUMENT for what is none. */
export function placeOf(what: string, memory: DeviceMemory): Pick<BufferView, "buffer" | "offset"> {
  if (memory instanceof BufferView) return memory;
  if (memory instanceof DeviceBuffer) return { buffer: memory, offset: 0 };
  throw new SluiceError("BAD_ARGUMENT", `${what} is [${shown(memory)}], and not a buffer, or buffer.at(offset).`);
}
