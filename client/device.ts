/** One device of a lease, as a program sees it: memory, programs, streams, events. */
import { SluiceError } from "../shared/errors.ts";
import {
  type AttachAnswer,
  decodeModuleLoadAnswer,
  encodeCopyOnDeviceCall,
  encodeDeviceSynchronizeCall,
  encodeImageWriteCall,
  encodeModuleLoadCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX, IMAGE_BYTES_MAX } from "../shared/limits.ts";
import { utf8Encode } from "../shared/wire/wire-buffer.ts";
import { Arena } from "./arena.ts";
import { BufferView, DeviceBuffer, type FillOptions } from "./buffer.ts";
import type { DeviceContext, SessionHandles } from "./context.ts";
import { Event, type EventOptions } from "./event.ts";
import { Module } from "./module.ts";
import { decodeNothing } from "./pending-answers.ts";
import type { Session } from "./session.ts";
import { Stream, type StreamOptions, streamHandle, type WaitOptions } from "./stream.ts";

/** A buffer, or a place in one. */
export type DeviceMemory = DeviceBuffer | BufferView;

export interface CopyOptions {
  /** Number of bytes. Default: to the end of the shorter of the two. */
  readonly bytes?: number;
  /** A stream of the destination's device. Default: the default stream. */
  readonly stream?: Stream;
}

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

  /** @internal */
  constructor(options: {
    readonly session: Session;
    readonly handles: SessionHandles;
    readonly index: number;
    readonly leaseId: string;
    readonly attached: AttachAnswer;
  }) {
    const { attached, index, leaseId, session, handles } = options;
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
    this.#context = { session, handles, arena, index, leaseId, deviceId: attached.uuid };
  }

  /**
   * Loads a program: PTX text, a cubin or a fatbin, as the device kind allows. One round trip.
   * @throws SluiceError BAD_IMAGE, UNSUPPORTED_INSTRUCTION (naming instruction and line), IMAGE_TOO_LARGE.
   */
  async load(image: string | Uint8Array, options: WaitOptions = {}): Promise<Module> {
    const bytes = typeof image === "string" ? utf8Encode(image) : image;
    const totalBytes = bytes.byteLength;
    if (totalBytes === 0) throw new SluiceError("BAD_IMAGE", "The program image is empty.");
    if (totalBytes > IMAGE_BYTES_MAX) {
      throw new SluiceError(
        "IMAGE_TOO_LARGE",
        `The program image has [${totalBytes}] bytes; at most [${IMAGE_BYTES_MAX}] are allowed.`,
      );
    }
    const { session, handles, index } = this.#context;
    const imageHandle = handles.images.next();
    for (let offset = 0; offset < totalBytes; offset += CALL_DATA_BYTES_MAX) {
      const data = bytes.subarray(offset, offset + CALL_DATA_BYTES_MAX);
      const fields = { image: imageHandle, totalBytes, offset, data };
      if (offset === 0) session.issue(Opcode.imageWrite, fields, encodeImageWriteCall);
      else session.issueAlways(Opcode.imageWrite, fields, encodeImageWriteCall);
    }
    const handle = handles.modules.next();
    const call = {
      fields: { module: handle, image: imageHandle, device: index },
      encode: encodeModuleLoadCall,
      decode: decodeModuleLoadAnswer,
    };
    return new Module(this.#context, { handle, ...(await session.request(Opcode.moduleLoad, call, options.signal)) });
  }

  /**
   * Reserves memory of the slice; no round trip. It is not cleared between buffers of one lease.
   * @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT for a size that is not a whole number of bytes above 0.
   */
  alloc(bytes: number): DeviceBuffer {
    return new DeviceBuffer(this.#context, bytes);
  }

  /** A new buffer with these bytes. The array may be reused at once. */
  upload(data: ArrayBufferView, options: { readonly stream?: Stream } = {}): DeviceBuffer {
    const buffer = this.alloc(data.byteLength);
    try {
      buffer.write(data, options);
    } catch (error) {
      buffer.free();
      throw error;
    }
    return buffer;
  }

  /** Sets elements of a buffer, as `buffer.fill`. An offset counts from the place given. */
  fill(memory: DeviceMemory, value: number, options: FillOptions = {}): void {
    if (memory instanceof BufferView) {
      memory.buffer.fill(value, { ...options, offset: memory.offset + (options.offset ?? 0) });
    } else memory.fill(value, options);
  }

  /**
   * Copies between buffers of the lease, also of different devices of it; no byte travels to the client.
   * @throws SluiceError BAD_ARGUMENT for a range outside a buffer, or overlapping ranges.
   */
  copy(destination: DeviceMemory, source: DeviceMemory, options: CopyOptions = {}): void {
    const to = placeOf(destination);
    const from = placeOf(source);
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
    if (byteCount > 0) session.issue(Opcode.copyOnDevice, fields, encodeCopyOnDeviceCall);
  }

  /** Resolves when all work on the device is done; rejects with the first failure of the calls before it. */
  async synchronize(options: WaitOptions = {}): Promise<void> {
    const call = { fields: { device: this.index }, encode: encodeDeviceSynchronizeCall, decode: decodeNothing };
    await this.#context.session.request(Opcode.deviceSynchronize, call, options.signal);
  }

  /** A new stream; no round trip. */
  stream(options: StreamOptions = {}): Stream {
    return new Stream(this.#context, options);
  }

  /** A new event; no round trip. */
  event(options: EventOptions = {}): Event {
    return new Event(this.#context, options);
  }

  /** The slice's memory, as this program uses it; no round trip. */
  memoryInfo(): MemoryInfo {
    const { freeBytes, totalBytes, largestFreeBytes } = this.#context.arena;
    return { freeBytes, totalBytes, largestFreeBytes };
  }

  /**
   * Sends what waits and resolves when the system has it all: for a program that issues many calls without ever asking for an
   * answer. It does not wait for the device.
   */
  flush(options: WaitOptions = {}): Promise<void> {
    return this.#context.session.flush(options.signal);
  }
}

const placeOf = (memory: DeviceMemory): { readonly buffer: DeviceBuffer; readonly offset: number } =>
  memory instanceof BufferView ? memory : { buffer: memory, offset: 0 };
