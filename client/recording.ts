/**
 * Recorded batches: calls that the server keeps, and runs again at one short call with new values for their parameters.
 */
import { SluiceError } from "../shared/errors.ts";
import {
  encodeRecordingCreateCall,
  encodeRecordingDestroyCall,
  encodeRecordingReplayCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { RECORDING_VALUE_BYTES_MAX } from "../shared/limits.ts";
import type { WireWriter } from "../shared/wire/wire-buffer.ts";
import { type KernelArgument, mismatch, packValue } from "./arguments.ts";
import { BufferView, checkView, DeviceBuffer, placeOf } from "./buffer.ts";
import { closedError, type DeviceContext, refuseInRecording } from "./context.ts";
import { checkFunction, checkObject } from "./known-options.ts";
import { Recorder, ScalarParameter, type ScalarValue } from "./recorder.ts";
import { shown } from "./shown.ts";

/** What a parameter is: memory, a number, or bytes for a struct by value. */
export type ParameterValue = ScalarValue | DeviceBuffer | BufferView;

/** Parameters by name, with the values that they have where a replay gives none. */
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** What the recorded function gets for its parameters: a buffer for memory, and what a launch takes for a number. */
export type Placeholders<P extends Parameters> = {
  readonly [Name in keyof P]: P[Name] extends DeviceBuffer | BufferView ? DeviceBuffer : ScalarParameter;
};

/** What a replay may give: memory for memory, a number for a number, bytes for bytes. */
export type ReplayValues<P extends Parameters> = {
  readonly [Name in keyof P]?: P[Name] extends DeviceBuffer | BufferView
    ? DeviceBuffer | BufferView
    : P[Name] extends ArrayBufferView
      ? ArrayBufferView
      : number | bigint;
};

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** A batch that the server keeps, from `gpu.record()`. It ends with its lease. */
export class Recording<P extends Parameters = Parameters> {
  /** Number of calls that a replay runs. */
  readonly calls: number;
  readonly #context: DeviceContext;
  readonly #parts: Pick<Recorder, "slots" | "valueBytes" | "bytesNeeded" | "needed">;
  readonly #defaults: P;
  readonly #handle: number;
  #destroyed = false;

  /** @internal */
  constructor(context: DeviceContext, options: { readonly recorder: Recorder; readonly defaults: P }) {
    const { recorder, defaults } = options;
    this.#context = context;
    // Not the recorder itself, which has all the calls.
    const { slots, valueBytes, bytesNeeded, needed } = recorder;
    this.#parts = { slots, valueBytes, bytesNeeded, needed };
    this.#defaults = defaults;
    this.calls = recorder.count;
    this.#handle = context.handles.recordings.next();
    const { patches, calls, count } = recorder;
    const fields = { recording: this.#handle, count, valueBytes, patches, calls };
    context.session.issue(Opcode.recordingCreate, fields, encodeRecordingCreateCall);
  }

  /**
   * Runs all calls again, in order, behind all calls before: one call, whatever they are. Parameters that are left out are as they were recorded.
   * As with a launch, nothing is waited for, and a failure is told by the next call that has an answer; it names the call in the recording.
   * @throws SluiceError BAD_ARGUMENT for a parameter that there is none of, memory for a number or the other way round, or memory that is too small; BAD_KERNEL_ARGUMENTS for a value that
   * does not fit; CLOSED when something that was recorded has ended: a freed buffer, an unloaded module, a destroyed stream or event; BACKLOG_FULL.
   */
  replay(values: ReplayValues<P> = {}): void {
    if (this.#destroyed) throw closedError("A recording");
    checkObject("The values of a replay are", values);
    for (const name of Object.keys(values)) {
      if (!Object.hasOwn(this.#defaults, name)) {
        throw bad(`The recording has no parameter [${name}]; it has [${Object.keys(this.#defaults).join(", ")}].`);
      }
    }
    for (const { what, hasEnded } of this.#parts.needed.values()) {
      if (hasEnded()) throw closedError(`${what} that was recorded`);
    }
    this.#context.session.issue(Opcode.recordingReplay, values, this.#encode);
  }

  /** Destroys the recording behind all its replays. Idempotent. */
  destroy(): void {
    if (this.#destroyed) return;
    refuseInRecording(this.#context, Opcode.recordingDestroy);
    this.#destroyed = true;
    const { session } = this.#context;
    session.issueEnd(Opcode.recordingDestroy, { recording: this.#handle }, encodeRecordingDestroyCall);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** The body of a `recordingReplay` call, its values packed in place. */
  readonly #encode = (writer: WireWriter, values: ReplayValues<P>): void => {
    const { valueBytes, slots } = this.#parts;
    encodeRecordingReplayCall(writer, { recording: this.#handle, values: nothing });
    const at = writer.length;
    const buffer = writer.reserve(valueBytes);
    buffer.u32[(at >> 2) - 1] = valueBytes;
    buffer.u32.fill(0, at >> 2, (at + valueBytes) >> 2);
    for (const slot of slots) {
      // A parameter may have a name that every object knows.
      const given = Object.hasOwn(values, slot.parameter) ? values[slot.parameter] : undefined;
      const value = given === undefined ? this.#defaults[slot.parameter]! : given;
      this.#checkKind(slot.parameter, value);
      const { form, offset } = slot;
      const to = { slot: form, value, context: this.#context, offset };
      if (packValue(buffer, at + slot.at, to)) continue;
      const what = `The parameter [${slot.parameter}] of the recording`;
      throw mismatch({ what, slot: form, given: value, context: this.#context });
    }
    writer.length = at + valueBytes;
  };

  /** Memory is not replaced by a number that happens to fit, and is as large as its copies and fills want. */
  #checkKind(parameter: string, value: KernelArgument): void {
    const isMemory = value instanceof DeviceBuffer || value instanceof BufferView;
    const known = this.#defaults[parameter]!;
    const wasMemory = known instanceof DeviceBuffer || known instanceof BufferView;
    if (isMemory !== wasMemory) {
      throw bad(`The parameter [${parameter}] of the recording is ${wasMemory ? "memory" : "a number or bytes"}.`);
    }
    const needed = this.#parts.bytesNeeded.get(parameter);
    if (!isMemory || needed === undefined) return;
    const given = value instanceof DeviceBuffer ? value.byteLength : value.buffer.byteLength - value.offset;
    if (given >= needed) return;
    throw bad(`The parameter [${parameter}] of the recording uses [${needed}] bytes of memory; [${given}] are given.`);
  }
}

const nothing = new Uint8Array(0);

/** Runs `build` with the calls of its session kept instead of issued, and gives them to the server. */
export function record<P extends Parameters>(
  context: DeviceContext,
  parameters: P,
  build: (parameters: Placeholders<P>) => unknown,
): Recording<P> {
  const { session } = context;
  if (session.recorder !== undefined) throw bad("A recording is made within another.");
  checkObject("The parameters of a recording are", parameters);
  checkFunction("What is recorded", build);
  const recorder = new Recorder();
  const defaults = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, keptDefault(name, value)]),
  ) as P;
  const placeholders = Object.entries(defaults).map(([name, value]) => [name, placeholder(recorder, { name, value })]);
  session.recorder = recorder;
  try {
    const result = build(Object.fromEntries(placeholders) as Placeholders<P>);
    if (result instanceof Promise) {
      result.catch(() => {}); // What it does behind its first await is not recorded, and its failure is of no interest.
      throw bad("The function that is recorded is not async: nothing can be awaited in a recording.");
    }
  } finally {
    session.recorder = undefined;
    for (const [, stand] of placeholders) if (stand instanceof DeviceBuffer) stand.endParameter();
  }
  if (recorder.failure !== undefined) throw recorder.failure;
  if (recorder.count === 0) throw bad("The recording holds no calls.");
  if (recorder.valueBytes > RECORDING_VALUE_BYTES_MAX) {
    throw bad(
      `A recording has [${recorder.valueBytes}] bytes of values; at most [${RECORDING_VALUE_BYTES_MAX}] can be.`,
    );
  }
  return new Recording(context, { recorder, defaults });
}

/** As it is now: of bytes the caller keeps the array. @throws SluiceError BAD_ARGUMENT for what is no value */
function keptDefault(name: string, value: ParameterValue): ParameterValue {
  if (ArrayBuffer.isView(value)) {
    checkView(`The parameter [${name}] of a recording`, value);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  }
  const isMemory = value instanceof DeviceBuffer || value instanceof BufferView;
  if (isMemory || typeof value === "number" || typeof value === "bigint") return value;
  throw bad(`The parameter [${name}] of a recording is [${shown(value)}], and not memory, a number or bytes.`);
}

function placeholder(
  recorder: Recorder,
  { name, value }: { readonly name: string; readonly value: ParameterValue },
): DeviceBuffer | ScalarParameter {
  if (!(value instanceof DeviceBuffer || value instanceof BufferView)) {
    return new ScalarParameter(recorder, { name, value });
  }
  const { buffer, offset } = placeOf(`The parameter [${name}]`, value);
  buffer.checkRange({ offset, byteCount: 0 });
  return new DeviceBuffer(buffer.context, buffer.byteLength - offset, { name, address: buffer.address + offset });
}
