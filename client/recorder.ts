/**
 * What a recording is made of, while it is made: the calls that would have gone to the server, the places in them that a replay may change, and
 * everything that must still live then. Knows calls as bytes, no buffers and no kernels.
 */
import { SluiceError } from "../shared/errors.ts";
import { callTable, Opcode, type RecordingPatch } from "../shared/generated/calls.ts";
import { RECORDING_BYTES_MAX, RECORDING_CALLS_MAX, RECORDING_PATCHES_MAX } from "../shared/limits.ts";
import { CALL_HEADER_BYTES, FRAME_HEADER_BYTES, FrameWriter } from "../shared/wire/frame.ts";
import { padTo8, type WireWriter } from "../shared/wire/wire-buffer.ts";
import type { ArgumentSlot } from "./slot.ts";

/** A number, or bytes by value, that each replay may give anew: stands for itself among the arguments of a launch that is recorded. */
export class ScalarParameter {
  readonly name: string;
  /** @internal What it is when a replay does not say. */
  readonly value: ScalarValue;
  /** @internal The recording that it is of. */
  readonly recorder: Recorder;

  /** @internal */
  constructor(recorder: Recorder, { name, value }: { readonly name: string; readonly value: ScalarValue }) {
    this.recorder = recorder;
    this.name = name;
    this.value = value;
  }
}

/** A number as the kernel's parameter wants it, or bytes for a struct by value. */
export type ScalarValue = number | bigint | ArrayBufferView;

/** Something that a recording needs and that may end before a replay. */
export interface Needed {
  /** For the error, such as `A stream`. */
  readonly what: string;
  readonly hasEnded: () => boolean;
}

/** One value of a replay: the parameter's, in the form in which some places want it. */
export interface ValueSlot {
  readonly parameter: string;
  /** How it is checked and written. */
  readonly form: ArgumentSlot;
  /** Added to the address of a memory parameter. */
  readonly offset: number;
  /** Where in the values of a replay. */
  readonly at: number;
}

const recordable: ReadonlySet<number> = new Set([
  Opcode.launch,
  Opcode.copyOnDevice,
  Opcode.fill,
  Opcode.multiply,
  Opcode.eventRecord,
  Opcode.streamWaitEvent,
]);

const names = new Map(callTable.map(({ opcode, name }) => [opcode, name]));

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** What a place in a call asks of a value. */
interface Use {
  readonly parameter: string;
  readonly form: ArgumentSlot;
  /** Added to the address of a memory parameter. Default 0. */
  readonly offset?: number;
}

export class Recorder {
  readonly needed = new Map<object, Needed>();
  readonly patches: RecordingPatch[] = [];
  readonly slots: ValueSlot[] = [];
  /** Bytes that the memory of a parameter must have for its copies and fills. */
  readonly bytesNeeded = new Map<string, number>();
  /** The first thing that cannot be recorded. */
  failure: SluiceError | undefined;
  valueBytes = 0;
  readonly #writer = new FrameWriter();
  readonly #slots = new Map<string, ValueSlot>();
  #bodyAt = 0;

  get count(): number {
    return this.#writer.count;
  }

  /** The calls one behind the other. */
  get calls(): Uint8Array {
    return this.#writer.body.bytes.subarray(FRAME_HEADER_BYTES);
  }

  /** Takes a call instead of the session. @throws SluiceError BAD_ARGUMENT for one that cannot be recorded, or one too many. */
  take<T>(opcode: number, fields: T, encode: (writer: WireWriter, fields: T) => void): void {
    if (!recordable.has(opcode)) {
      const refusal = this.refuse(opcode);
      // A load goes on to its answered call, which nobody may be awaiting: there it is stopped.
      if (opcode === Opcode.imageWrite) return;
      throw refusal;
    }
    const { body } = this.#writer;
    const at = body.length;
    const places = this.patches.length;
    this.#bodyAt = at + CALL_HEADER_BYTES;
    try {
      this.#writer.call(opcode, fields, encode);
    } catch (error) {
      // The program may catch it and go on.
      body.length = at;
      this.patches.length = places;
      throw error;
    }
    if (this.count <= RECORDING_CALLS_MAX && body.length - FRAME_HEADER_BYTES <= RECORDING_BYTES_MAX) return;
    throw this.#failed(
      `A recording has more than [${RECORDING_CALLS_MAX}] calls, or than [${RECORDING_BYTES_MAX}] bytes of calls.`,
    );
  }

  /** Notes that something was called that cannot be recorded. */
  refuse(opcode: number): SluiceError {
    return this.#failed(
      `The call [${names.get(opcode)}] cannot be recorded: a recording holds launches, copies on the device, fills, products and events. Do it before or behind.`,
    );
  }

  /** Notes that the recording is of no use once `thing` has ended. */
  need(thing: object, needed: Needed): void {
    this.needed.set(thing, needed);
  }

  /** Notes that a parameter's value stands in the call that is being written, at byte `place` of the writer's buffer. */
  valueAt(place: number, use: Use): void {
    this.#patch(use, { call: this.count, at: place - this.#bodyAt });
  }

  /** Notes that the call taken last has the address of a parameter's memory in the field at `at`, of which it uses `byteCount`. */
  addressAt(at: number, use: Use & { readonly byteCount: number }): void {
    const needed = (use.offset ?? 0) + use.byteCount;
    this.bytesNeeded.set(use.parameter, Math.max(needed, this.bytesNeeded.get(use.parameter) ?? 0));
    this.#patch(use, { call: this.count - 1, at });
  }

  #patch(use: Use, { call, at }: { readonly call: number; readonly at: number }): void {
    if (this.patches.length >= RECORDING_PATCHES_MAX) {
      throw this.#failed(`A recording has more than [${RECORDING_PATCHES_MAX}] places for parameters.`);
    }
    this.patches.push({ call, offset: at, byteCount: use.form.size, value: this.#slot(use).at });
  }

  /** The same value in the same form travels once, however often it is used. */
  #slot({ parameter, form, offset = 0 }: Use): ValueSlot {
    const key = `${form.key} ${offset} ${parameter}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = { parameter, form, offset, at: this.valueBytes };
    this.valueBytes += padTo8(form.size);
    this.#slots.set(key, slot);
    this.slots.push(slot);
    return slot;
  }

  #failed(message: string): SluiceError {
    const error = bad(message);
    this.failure ??= error;
    return error;
  }
}
