/**
 * Recorded batches: calls that are decoded and checked once and run again and again, with new values in some places; see proto/calls.ts. Every
 * call of a replay goes through the same function as if it had come by itself, so handles and addresses are checked each time.
 */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type {
  RecordingCreateCall,
  RecordingDestroyCall,
  RecordingPatch,
  RecordingReplayCall,
} from "../../shared/generated/calls.ts";
import * as codec from "../../shared/generated/calls.ts";
import {
  RECORDED_CALLS_MAX,
  RECORDING_BYTES_MAX,
  RECORDING_CALLS_MAX,
  RECORDING_PATCHES_MAX,
  RECORDING_VALUE_BYTES_MAX,
} from "../../shared/limits.ts";
import { type CallView, callsOf } from "../../shared/wire/frame.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { type RecordableCall, recordableCalls } from "./recordable-calls.ts";
import type { Workspace } from "./workspace.ts";

interface RecordedCall {
  readonly kind: RecordableCall;
  readonly view: CallView;
  /** Decoded; bytes among them are views of the recording's buffer. */
  fields: unknown;
}

/** Bytes of the recording that a value replaces. */
interface Patch {
  /** Where in the recording's buffer. */
  readonly at: number;
  readonly byteCount: number;
  /** Where in the values. */
  readonly value: number;
}

export interface Recording {
  readonly handle: number;
  readonly buffer: WireBuffer;
  readonly calls: readonly RecordedCall[];
  readonly patches: readonly Patch[];
  /** Calls whose fields must be decoded anew once values are in place. */
  readonly redecoded: readonly RecordedCall[];
  readonly valueBytes: number;
}

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

export function recordingCreate(work: Workspace, call: RecordingCreateCall): void {
  work.recordings.claim(call.recording);
  checkBounds(work, call);
  const buffer = new WireBuffer(call.calls.byteLength);
  buffer.u8.set(call.calls);
  const calls = callsIn(buffer, call);
  for (const [index, { kind, fields }] of calls.entries()) {
    naming(call.recording, { index, kind }, () => kind.check(work, fields));
  }
  const patches = call.patches.map((patch) => placed(patch, { calls, valueBytes: call.valueBytes }));
  const patched = new Set(call.patches.map((patch) => calls[patch.call]!).filter(({ kind }) => kind.isRedecoded));
  const { recording: handle, valueBytes } = call;
  work.recordings.set(handle, { handle, buffer, calls, patches, redecoded: [...patched], valueBytes });
  work.recordedCalls += calls.length;
}

/** The bytes inside are the client's: what is wrong with them is its recording's failure, as everything else about it. */
function callsIn(buffer: WireBuffer, { calls, count }: RecordingCreateCall): RecordedCall[] {
  const frame = { buffer, count, start: 0, end: calls.byteLength };
  try {
    return callsOf(frame).map((view, index): RecordedCall => {
      const kind = recordableCalls.get(view.opcode);
      if (kind === undefined) throw bad(`The call [${index}] [${nameOf(view.opcode)}] cannot be recorded.`);
      return { kind, view, fields: kind.decode(buffer, view.start, view.end) };
    });
  } catch (error) {
    const { code, message } = toSluiceError(error);
    throw code === "BAD_ARGUMENT" ? error : bad(`The calls of a recording are malformed: ${message}`);
  }
}

function checkBounds(work: Workspace, { calls, count, valueBytes, patches }: RecordingCreateCall): void {
  const bytes = calls.byteLength;
  if (count < 1 || count > RECORDING_CALLS_MAX || bytes > RECORDING_BYTES_MAX || bytes % 8 !== 0) {
    throw bad(
      `A recording has [${count}] calls of [${bytes}] bytes; 1 to [${RECORDING_CALLS_MAX}] of at most [${RECORDING_BYTES_MAX}] can be.`,
    );
  }
  if (valueBytes > RECORDING_VALUE_BYTES_MAX || valueBytes % 8 !== 0 || patches.length > RECORDING_PATCHES_MAX) {
    throw bad(
      `A recording has [${patches.length}] places for [${valueBytes}] bytes of values; at most [${RECORDING_PATCHES_MAX}] and [${RECORDING_VALUE_BYTES_MAX}] can be.`,
    );
  }
  if (work.recordedCalls + count <= RECORDED_CALLS_MAX) return;
  throw new SluiceError(
    "TOO_MANY_HANDLES",
    `The recordings of the session have [${work.recordedCalls}] calls; [${count}] more pass the bound [${RECORDED_CALLS_MAX}].`,
  );
}

function placed(
  { call, offset, byteCount, value }: RecordingPatch,
  { calls, valueBytes }: { readonly calls: readonly RecordedCall[]; readonly valueBytes: number },
): Patch {
  const recorded = calls[call];
  const fits = value % 8 === 0 && byteCount >= 1 && value + byteCount <= valueBytes;
  if (!fits || recorded === undefined || !recorded.kind.isPatchable(recorded.fields, { offset, byteCount })) {
    throw bad(
      `A value of [${byteCount}] bytes at [${value}] of [${valueBytes}] cannot go to the byte [${offset}] of the call [${call}] of [${calls.length}].`,
    );
  }
  return { at: recorded.view.start + offset, byteCount, value };
}

export function recordingReplay(work: Workspace, call: RecordingReplayCall): void | Promise<void> {
  const recording = work.recordings.get(call.recording);
  const { valueBytes, buffer } = recording;
  if (call.values.byteLength !== valueBytes) {
    throw bad(
      `The recording [${call.recording}] takes [${valueBytes}] bytes of values, and [${call.values.byteLength}] are given.`,
    );
  }
  patch(recording, call.values);
  for (const recorded of recording.redecoded) {
    recorded.fields = recorded.kind.decode(buffer, recorded.view.start, recorded.view.end);
  }
  return run(work, recording, 0);
}

/** Words where both sides stand at words, which is nearly always. */
function patch({ buffer, patches }: Recording, values: Uint8Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.byteLength >> 2);
  for (const { at, byteCount, value } of patches) {
    if (byteCount === 8 && at % 4 === 0) {
      buffer.u32[at >> 2] = words[value >> 2]!;
      buffer.u32[(at >> 2) + 1] = words[(value >> 2) + 1]!;
    } else if (byteCount === 4 && at % 4 === 0) buffer.u32[at >> 2] = words[value >> 2]!;
    else buffer.u8.set(values.subarray(value, value + byteCount), at);
  }
}

/** Runs the calls from `first` on; a promise once one of them is not done at once. */
function run(work: Workspace, recording: Recording, first: number): void | Promise<void> {
  const { calls } = recording;
  for (let index = first; index < calls.length; index++) {
    const { kind, fields } = calls[index]!;
    try {
      const running = kind.run(work, fields);
      if (running !== undefined) return goOn(running, { work, recording, index });
    } catch (error) {
      throw named(error, { handle: recording.handle, index, kind });
    }
  }
}

async function goOn(
  running: Promise<void>,
  { work, recording, index }: { work: Workspace; recording: Recording; index: number },
): Promise<void> {
  const { calls, handle } = recording;
  let pending: Promise<void> | void = running;
  for (let at = index; ; ) {
    const { kind } = calls[at]!;
    try {
      await pending;
      at++;
      if (at === calls.length) return;
      pending = calls[at]!.kind.run(work, calls[at]!.fields);
    } catch (error) {
      throw named(error, { handle, index: at, kind: calls[at]?.kind ?? kind });
    }
  }
}

export function recordingDestroy(work: Workspace, { recording }: RecordingDestroyCall): void {
  work.recordedCalls -= work.recordings.remove(recording).calls.length;
}

const names = new Map(codec.callTable.map(({ opcode, name }) => [opcode, name]));
const nameOf = (opcode: number): string => names.get(opcode) ?? `opcode ${opcode}`;

function naming(handle: number, { index, kind }: { index: number; kind: RecordableCall }, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw named(error, { handle, index, kind });
  }
}

/** The same failure, with the call inside the recording that it is of. */
function named(
  cause: unknown,
  { handle, index, kind }: { readonly handle: number; readonly index: number; readonly kind: RecordableCall },
): SluiceError {
  const error = toSluiceError(cause);
  const what = `The call [${index}] [${nameOf(kind.opcode)}] of the recording [${handle}] fails: ${error.message}`;
  return new SluiceError(error.code, what, { ...error.details, cause });
}
