/** One device of a lease, as a program sees it: memory, programs, streams, events. */
import { type ErrorCode, SluiceError, toSluiceError } from "../shared/errors.ts";
import {
  type AttachAnswer,
  decodeCompileAnswer,
  decodeMemoryInfoAnswer,
  decodeStackLimitAnswer,
  encodeCompileCall,
  encodeCopyOnDeviceCall,
  encodeDeviceSynchronizeCall,
  encodeMemoryInfoCall,
  encodeStackLimitCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { COMPILE_OPTIONS_MAX, SOURCE_BYTES_MAX } from "../shared/limits.ts";
import { utf8Encode } from "../shared/wire/wire-buffer.ts";
import { orAborted } from "./abort.ts";
import { type Size, sizeInBytes } from "./allocate-options.ts";
import { Arena } from "./arena.ts";
import {
  type CachedWriteOptions,
  checkFill,
  checkUpload,
  DeviceBuffer,
  type DeviceMemory,
  type FillOptions,
  noteAddress,
  placeOf,
  refusedWrite,
  type WriteOptions,
} from "./buffer.ts";
import type { Content } from "./content.ts";
import { type DeviceContext, KnownIdle, type SessionHandles } from "./context.ts";
import { Event, type EventOptions } from "./event.ts";
import { type HeapOptions, heapBytesOf, provideHeap } from "./kernel-heap.ts";
import { checkOptions, checkText, type KnownOptions } from "./known-options.ts";
import { type LoadedModule, Module } from "./module.ts";
import { type MultiplyOptions, multiply } from "./multiply.ts";
import { decodeNothing } from "./pending-answers.ts";
import { type Parameters, type Placeholders, type Recording, record } from "./recording.ts";
import type { Session } from "./session.ts";
import { shown } from "./shown.ts";
import { Stream, type StreamOptions, streamHandle, type WaitOptions, waitOptions } from "./stream.ts";
import {
  createSurface,
  createTexture,
  type Surface,
  type SurfaceOptions,
  type Texture,
  type TextureOptions,
} from "./texture.ts";

/** A slice's size; `revision` grows with every change of the lease. */
export interface SliceSize {
  readonly bytes: number;
  readonly revision: number;
}

/** Errors after which the server may have done what was asked. */
const uncertain: ReadonlySet<ErrorCode> = new Set(["SERVER_UNREACHABLE", "CONNECTION_LOST", "CANCELLED", "INTERNAL"]);

export interface CopyOptions {
  /** Number of bytes. Default: to the end of the shorter of the two. */
  readonly bytes?: number;
  /** A stream of the destination's device. Default: the default stream. */
  readonly stream?: Stream;
}

export interface LoadOptions extends WaitOptions, HeapOptions {}

export interface CompileOptions extends LoadOptions {
  /**
   * Options of NVRTC, such as `--use_fast_math`, `--std=c++20`, `--maxrregcount=64` or `-DTILE=16`; those that name files are refused.
   * Default: none, with C++17. At most 32.
   */
  readonly options?: readonly string[];
}

const known = {
  copy: { bytes: "number", stream: "any" } satisfies KnownOptions<CopyOptions>,
  load: { ...waitOptions, heap: "any" } satisfies KnownOptions<LoadOptions>,
  compile: { ...waitOptions, heap: "any", options: "texts" } satisfies KnownOptions<CompileOptions>,
};

/** CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN of cuda.h, and without OPTIN. */
const SHARED_BYTES_MAX_ATTRIBUTES = [97, 8] as const;

/** What a block can have at most, as far as the device says so. */
function sharedBytesMax(attributes: ReadonlyMap<number, number>): number {
  const [optIn, plain] = SHARED_BYTES_MAX_ATTRIBUTES.map((attribute) => attributes.get(attribute));
  return optIn || plain || 2 ** 32 - 1;
}

export type UploadOptions = Omit<WriteOptions, "offset">;
export type CachedUploadOptions = Omit<CachedWriteOptions, "offset">;

export interface MemoryInfo {
  /** Bytes that no buffer uses. */
  readonly freeBytes: number;
  /** Size of the slice. */
  readonly totalBytes: number;
  /** The largest buffer that would fit now. */
  readonly largestFreeBytes: number;
}

/** A device of a lease, from `lease.devices`. */
export class Device {
  /** `cpu`, `cuda` or `null`. */
  readonly kind: string;
  readonly name: string;
  /** The device's id in the pool. */
  readonly id: string;
  /** Index of the device within the lease. */
  readonly index: number;
  /** Compute capability. */
  readonly capability: { readonly major: number; readonly minor: number };
  /** CUDA driver API version as major * 1000 + minor * 10. */
  readonly driverVersion: number;
  /** The device's attributes by their number in CUdevice_attribute of cuda.h. */
  readonly attributes: ReadonlyMap<number, number>;
  readonly #context: DeviceContext;
  readonly #granularityBytes: number;
  readonly #resize: (bytes: number, yielded: boolean) => Promise<SliceSize>;
  #resizing = false;
  /** Of the last size that was told. */
  #revision = 0;

  /** @internal */
  constructor(options: {
    readonly session: Session;
    readonly handles: SessionHandles;
    readonly content: Content;
    readonly index: number;
    readonly leaseId: string;
    readonly attached: AttachAnswer;
    /** Asks the server for another size of the slice. */
    readonly resize?: (bytes: number, yielded: boolean) => Promise<SliceSize>;
  }) {
    const { attached, index, leaseId, session, handles, content } = options;
    this.#granularityBytes = attached.granularityBytes;
    this.#resize =
      options.resize ?? (() => Promise.reject(new SluiceError("UNSUPPORTED", "There is no server to ask.")));
    this.kind = attached.kind;
    this.name = attached.name;
    this.id = attached.uuid;
    this.index = index;
    this.capability = { major: attached.capabilityMajor, minor: attached.capabilityMinor };
    this.driverVersion = attached.driverVersion;
    this.attributes = new Map(attached.attributes.map(({ attribute, value }) => [attribute, value]));
    const arena = new Arena({
      base: attached.arenaBase,
      totalBytes: attached.arenaBytes,
      granularityBytes: attached.granularityBytes,
    });
    this.#context = {
      session,
      handles,
      content,
      arena,
      index,
      leaseId,
      deviceId: attached.uuid,
      sharedBytesMax: sharedBytesMax(this.attributes),
      idle: new KnownIdle(),
      heap: { isThere: false },
    };
  }

  /**
   * Loads a program: PTX text, a cubin or a fatbin, as the device kind allows. One round trip, or two the first time that the server sees
   * an image larger than 64 KiB; an image that the server has from this tenant does not travel. A kernel that the device cannot run does
   * not keep the others from it: asking the module for it says why. A program whose variables and code find no room beside the slice of a GPU has memory
   * from the slice's end for them, in one more round trip, during which nothing behind the last buffer is there to be allocated.
   * The array may be reused at once.
   * @throws SluiceError BAD_IMAGE, IMAGE_TOO_LARGE, OUT_OF_MEMORY without room for it or for `heap`, BAD_ARGUMENT, CANCELLED, BACKLOG_FULL, or the first
   * failure of the calls before.
   */
  async load(image: string | Uint8Array, options: LoadOptions = {}): Promise<Module> {
    checkOptions("a load", options, known.load);
    const bytes = typeof image === "string" ? utf8Encode(image) : image;
    if (!(bytes instanceof Uint8Array)) {
      throw new SluiceError("BAD_ARGUMENT", `An image is text or a Uint8Array, and [${shown(image)}] is neither.`);
    }
    const { content, index } = this.#context;
    const { signal } = options;
    return await this.#load(options, (leavesEnd) => content.load(bytes, { device: index, leavesEnd, signal }));
  }

  /**
   * Compiles CUDA C on the server, by NVRTC, for this device, and loads it. One round trip. Kernels are found by the names that
   * `extern "C"` gives them. The source may include only the toolkit's device headers, such as `<cuda_fp16.h>`.
   * @throws SluiceError as `load`; BAD_IMAGE with the compiler's complaints, BAD_ARGUMENT for an option, UNSUPPORTED where the device or the server has
   * no compiler: then load PTX.
   */
  async compile(source: string, options: CompileOptions = {}): Promise<Module> {
    checkOptions("a compilation", options, known.compile);
    checkText("The source", source);
    const { options: texts = [], signal } = options;
    const bytes = utf8Encode(source);
    if (bytes.byteLength === 0) throw new SluiceError("BAD_IMAGE", "The source is empty.");
    if (bytes.byteLength > SOURCE_BYTES_MAX) {
      throw new SluiceError(
        "IMAGE_TOO_LARGE",
        `The source has [${bytes.byteLength}] bytes; at most [${SOURCE_BYTES_MAX}] are allowed.`,
      );
    }
    if (texts.length > COMPILE_OPTIONS_MAX) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `The source comes with [${texts.length}] options; at most [${COMPILE_OPTIONS_MAX}] are allowed.`,
      );
    }
    const { session, content, handles, index } = this.#context;
    // As they are now: the list is the caller's.
    const words = texts.map((text) => ({ text }));
    return await this.#load(options, async (leavesEnd) => {
      const image = content.sendImage(bytes, signal);
      const handle = handles.modules.next();
      const call = {
        fields: { module: handle, image, device: index, options: words, leavesEnd },
        encode: encodeCompileCall,
        decode: decodeCompileAnswer,
      };
      return { handle, ...(await session.request(Opcode.compile, call)) };
    });
  }

  /** A module that comes when nobody waits for it any more is unloaded. */
  #load(options: LoadOptions, load: (leavesEnd: 0 | 1) => Promise<LoadedModule>): Promise<Module> {
    const heapBytes = heapBytesOf(options);
    const loading = this.#loadBeside(load).then((loaded) =>
      provideHeap(this.#context, new Module(this.#context, loaded), heapBytes),
    );
    return orAborted(loading, options.signal, (module) => module.unload());
  }

  /**
   * Loads a program beside the slice, which leaves the program all of it meanwhile; what finds no room there may take memory from the slice's end, which
   * is then nobody's until that is known.
   */
  async #loadBeside<T extends { readonly reservedBytes: number }>(load: (leavesEnd: 0 | 1) => Promise<T>): Promise<T> {
    try {
      const loaded = await load(1);
      this.#keepEnd(loaded);
      return loaded;
    } catch (error) {
      if (this.kind !== "cuda" || toSluiceError(error).code !== "OUT_OF_MEMORY") throw error;
    }
    return await this.#whileEndIsHeld(() => load(0));
  }

  /** Nothing is allocated at the slice's free end while the server may take it: that would end the session. */
  async #whileEndIsHeld<T extends { readonly reservedBytes: number }>(ask: () => Promise<T>): Promise<T> {
    const { arena } = this.#context;
    arena.holdEnd();
    try {
      const answer = await ask();
      this.#keepEnd(answer);
      return answer;
    } finally {
      arena.leaveEnd();
    }
  }

  /** Modules and stacks may have taken memory from the slice's end. */
  #keepEnd({ reservedBytes }: { readonly reservedBytes: number }): void {
    const { arena } = this.#context;
    if (reservedBytes !== arena.keptBytes) arena.keepEnd(reservedBytes);
  }

  /**
   * Reserves memory of the slice; no round trip. It is not cleared between buffers of one lease.
   * @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT for a size that is not a whole number of bytes above 0, BACKLOG_FULL, or why the session has ended.
   */
  alloc(bytes: number): DeviceBuffer {
    return new DeviceBuffer(this.#context, bytes);
  }

  /**
   * A new buffer with these bytes. The array may be reused at once. With `cached`, for weights and other data that many jobs upload, bytes
   * that the server has from this tenant do not travel; see `buffer.write`. Where it is refused, nothing stays allocated.
   * @throws SluiceError as `alloc` and `buffer.write`; BAD_ARGUMENT for an array without bytes, or one whose memory was transferred.
   */
  upload(data: ArrayBufferView, options: CachedUploadOptions): Promise<DeviceBuffer>;
  upload(data: ArrayBufferView, options?: UploadOptions): DeviceBuffer;
  upload(
    data: ArrayBufferView,
    options: UploadOptions | CachedUploadOptions = {},
  ): DeviceBuffer | Promise<DeviceBuffer> {
    try {
      checkUpload(data, options, this.#context);
    } catch (error) {
      return refusedWrite(options, error);
    }
    const buffer = this.alloc(data.byteLength);
    const undo = (error: unknown): never => {
      buffer.free();
      throw error;
    };
    try {
      const written = buffer.writeChecked(data, options);
      return written === undefined ? buffer : written.then(() => buffer, undo);
    } catch (error) {
      return undo(error);
    }
  }

  /** Sets elements of a buffer of any device, as `buffer.fill`. An offset counts from the place given, and cannot lie before it. */
  fill(memory: DeviceMemory, value: number, options: FillOptions = {}): void {
    const { buffer, offset } = placeOf("What is filled", memory);
    checkFill(options);
    // Nor before the place.
    buffer.checkRange({ offset: options.offset ?? 0, byteCount: 0 });
    buffer.fill(value, offset === 0 ? options : { ...options, offset: offset + (options.offset ?? 0) });
  }

  /**
   * Copies between buffers of the lease, also of different devices of it; no byte travels to the client.
   * @throws SluiceError BAD_ARGUMENT for a range outside a buffer, overlapping ranges, or buffers of two leases; CLOSED for a freed one; BACKLOG_FULL.
   */
  copy(destination: DeviceMemory, source: DeviceMemory, options: CopyOptions = {}): void {
    checkOptions("a copy", options, known.copy);
    const to = placeOf("The destination of a copy", destination);
    const from = placeOf("The source of a copy", source);
    const byteCount = options.bytes ?? Math.min(to.buffer.byteLength - to.offset, from.buffer.byteLength - from.offset);
    to.buffer.checkRange({ offset: to.offset, byteCount });
    from.buffer.checkRange({ offset: from.offset, byteCount });
    const { session } = this.#context;
    if (to.buffer.context.session !== session || from.buffer.context.session !== session) {
      throw new SluiceError("BAD_ARGUMENT", "A copy on the device needs two buffers of one lease.");
    }
    const fields = {
      destination: to.buffer.address + to.offset,
      source: from.buffer.address + from.offset,
      byteCount,
      stream: streamHandle(options.stream, to.buffer.context),
    };
    const distance = Math.abs(fields.destination - fields.source);
    if (distance > 0 && distance < byteCount) {
      throw new SluiceError("BAD_ARGUMENT", `The ranges of [${byteCount}] bytes overlap by [${byteCount - distance}].`);
    }
    if (byteCount === 0) return;
    session.issue(Opcode.copyOnDevice, fields, encodeCopyOnDeviceCall);
    noteAddress(to, { field: 0, byteCount });
    noteAddress(from, { field: 8, byteCount });
  }

  /**
   * Queues a matrix product, `C = alpha op(A) op(B) + beta C`, of matrices that stand row by row, with a bias and an activation if wished; no
   * round trip. A GPU computes it by cuBLASLt. One that the server cannot compute (UNSUPPORTED: it has no library for it, or that has no such
   * product) costs nothing but itself: what was asked behind it and waits (a read, a synchronise) rejects with that, or else the next call fails
   * with it, once. What was issued behind it has run without it. So `multiply` and `await synchronize()` at the start ask whether it works.
   * @throws SluiceError BAD_ARGUMENT for a shape that does not fit its buffers, CLOSED for a freed one.
   */
  multiply(options: MultiplyOptions): void {
    multiply(this.#context, options);
  }

  /**
   * Resolves when all work on the device is done; rejects with the first failure of the calls before it. No round trip where the last answer
   * has said so already.
   * @throws SluiceError CANCELLED, or why the session has ended.
   */
  async synchronize(options: WaitOptions = {}): Promise<void> {
    checkOptions("a synchronize", options, waitOptions);
    const { signal } = options;
    const { session, idle } = this.#context;
    if (session.isQuietSince(idle.at) && !signal?.aborted) return;
    const call = { fields: { device: this.index }, encode: encodeDeviceSynchronizeCall, decode: decodeNothing };
    await idle.learn(session, () => session.request(Opcode.deviceSynchronize, call, signal));
  }

  /**
   * Records what `build` issues (launches, copies on the device, fills, products, events, waits for events) instead of running it; no round
   * trip. The server keeps the calls, and each `replay` of the result runs them all at one short call: for a training step that is done ten
   * thousand times.
   *
   * `parameters` name what replays may change, with the values that they have where a replay gives none. `build` gets a stand-in for each: use
   * those of memory as buffers, and those of numbers among the arguments of launches. Bytes are taken as they are now.
   *
   * ```ts
   * const step = gpu.record({ x: batch, rate: 0.1 }, ({ x, rate }) => {
   *   gradient.launch({ grid, block }, [n, x, weights, gradients]);
   *   update.launch({ grid, block }, [n, rate, gradients, weights]);
   * });
   * for (const next of batches) step.replay({ x: next });
   * ```
   * @throws SluiceError BAD_ARGUMENT when `build` does what cannot be recorded, such as a read, a write or an allocation, or is async, or issues
   * nothing, or more than 16,384 calls or 1 MiB of them.
   */
  record(build: () => void): Recording<Record<never, never>>;
  record<P extends Parameters>(parameters: P, build: (parameters: Placeholders<P>) => void): Recording<P>;
  record<P extends Parameters>(
    ...given: [() => void] | [parameters: P, build: (parameters: Placeholders<P>) => void]
  ): Recording<P> | Recording<Record<never, never>> {
    const [parameters, build] = given.length === 2 ? given : [{}, given[0]];
    return record(this.#context, parameters as P, build as (parameters: Placeholders<P>) => void);
  }

  /**
   * A texture over a buffer's texels, for kernels to read by coordinates; give it to them as an argument. One round trip. Without `height` it is
   * a line, read by whole numbers and zero outside. It stays until it is destroyed, whatever becomes of the buffer.
   *
   * ```ts
   * const image = await gpu.texture(pixels, { width, height, format: "u8", channels: 4, fractions: true, filter: "linear", normalized: true });
   * resize.launch({ grid, block }, [image, scaled]);
   * ```
   * @throws SluiceError BAD_ARGUMENT for texels outside the buffer or a wish that does not go with them; UNSUPPORTED where the device has no
   * textures of that kind: a GPU has lines and rows of memory, and neither planes nor layers.
   */
  texture(memory: DeviceMemory, options: TextureOptions): Promise<Texture> {
    return createTexture(this.#context, memory, options);
  }

  /**
   * A surface over a buffer's texels, for kernels to read and write. One round trip.
   * @throws SluiceError as `texture`; UNSUPPORTED on a GPU.
   */
  surface(memory: DeviceMemory, options: SurfaceOptions): Promise<Surface> {
    return createSurface(this.#context, memory, options);
  }

  /** A new stream; no round trip. @throws SluiceError BAD_ARGUMENT, BACKLOG_FULL, or why the session has ended. */
  stream(options: StreamOptions = {}): Stream {
    return new Stream(this.#context, options);
  }

  /** A new event; no round trip. @throws SluiceError as `stream`. */
  event(options: EventOptions = {}): Event {
    return new Event(this.#context, options);
  }

  /**
   * Gives the slice another size, rounded up to the device's granularity; buffers keep their addresses and contents. Growing needs room on
   * the device. Shrinking cuts off the end, and is refused below the highest address in use. Calls go on meanwhile; buffers are allocated
   * within the smaller of both sizes until it is done. One resize of a lease at a time.
   * @throws SluiceError NO_CAPACITY, BAD_ARGUMENT below what is in use, SESSION_BUSY, QUOTA_EXCEEDED, UNSUPPORTED, IMPOSSIBLE_REQUEST.
   */
  async resize(size: Size): Promise<void> {
    const bytes = sizeInBytes(size);
    const { arena, leaseId } = this.#context;
    const before = arena.totalBytes;
    if (this.#resizing)
      throw new SluiceError("SESSION_BUSY", `The slice of [${this.id}] changes its size already.`, { leaseId });
    this.#resizing = true;
    try {
      if (bytes < before) await this.#yieldTo(bytes);
      this.#take(await this.#resize(bytes, true));
    } catch (error) {
      // What the server has refused it has not done; of what got lost on the way, it tells by itself.
      if (!uncertain.has(toSluiceError(error).code)) arena.grow(before);
      throw error;
    } finally {
      this.#resizing = false;
    }
  }

  /**
   * Gives every thread of kernels a stack of a size, 1 KiB to some hundreds, until it is called again: for those whose depth no compiler knows
   * (recursion). One round trip, behind all work on the device; until it resolves what lies behind the last buffer is not there to be allocated. A GPU keeps that for as many threads as it runs at
   * a time, so that what does not come with the lease is taken from the end of the slice, and is no longer free. Other devices have stacks of their own.
   * @throws SluiceError OUT_OF_MEMORY where that is not free, BAD_ARGUMENT for more than a thread can have; all is as it was then.
   */
  async setStackSize(size: Size, options: WaitOptions = {}): Promise<void> {
    checkOptions("a stack", options, waitOptions);
    const { signal } = options;
    const { session, index } = this.#context;
    const fields = { device: index, threadBytes: sizeInBytes(size, "stack of each thread") };
    const call = { fields, encode: encodeStackLimitCall, decode: decodeStackLimitAnswer };
    session.checkRequest(signal);
    // What the server takes of the slice is known when it answers, whoever still waits.
    const set = this.#whileEndIsHeld(() => session.request(Opcode.stackLimit, call));
    await orAborted(set, signal);
  }

  /** @internal The server tells a size that the slice has now. */
  noteSize(size: SliceSize): void {
    if (!this.#resizing) this.#take(size);
  }

  /** Uses nothing beyond the new size any more, and waits until the server knows that. */
  async #yieldTo(bytes: number): Promise<void> {
    const { arena, session, index } = this.#context;
    const granularity = this.#granularityBytes;
    arena.shrink(Math.ceil(bytes / granularity) * granularity);
    const fields = { device: index };
    await session.request(Opcode.memoryInfo, { fields, encode: encodeMemoryInfoCall, decode: decodeMemoryInfoAnswer });
  }

  #take({ bytes, revision }: SliceSize): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    const { arena } = this.#context;
    if (bytes >= arena.totalBytes) arena.grow(bytes);
    else if (bytes >= arena.usedBytes + arena.keptBytes) arena.shrink(bytes);
  }

  /** The slice's memory, as this program uses it; no round trip. */
  memoryInfo(): MemoryInfo {
    const { freeBytes, totalBytes, largestFreeBytes } = this.#context.arena;
    return { freeBytes, totalBytes, largestFreeBytes };
  }

  /**
   * Sends what waits and resolves when the system has it all: for a program that issues many calls without ever asking for an
   * answer. It does not wait for the device.
   * @throws SluiceError CANCELLED, or why the session has ended.
   */
  async flush(options: WaitOptions = {}): Promise<void> {
    checkOptions("a flush", options, waitOptions);
    await this.#context.session.flush(options.signal);
  }
}
