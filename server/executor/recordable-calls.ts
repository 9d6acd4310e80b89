/**
 * The calls that a recording may hold: those without an answer that give a device work, and neither make nor end anything (of libraries' functions those that make something, which no second replay could make again, fail). For each, what is
 * checked when it is recorded, and which of its bytes a replay may replace.
 */
import * as codec from "../../shared/generated/calls.ts";
import type { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { dnnExecute } from "./dnn-calls.ts";
import { libraryCall } from "./function-calls.ts";
import { multiply } from "./library-calls.ts";
import { copyOnDevice, fill } from "./memory-calls.ts";
import { kernelOf, launch } from "./module-calls.ts";
import { eventRecord, streamWaitEvent } from "./stream-calls.ts";
import type { Workspace } from "./workspace.ts";

/** Bytes of a call's body. */
interface Span {
  readonly offset: number;
  readonly byteCount: number;
}

/** A call with its types erased: what `decode` gives fits the others. */
export interface RecordableCall {
  readonly opcode: number;
  readonly decode: (buffer: WireBuffer, start: number, end: number) => unknown;
  readonly run: (work: Workspace, fields: unknown) => void | Promise<void>;
  /** Throws when a handle that the call names does not exist. */
  readonly check: (work: Workspace, fields: unknown) => void;
  readonly isPatchable: (fields: unknown, span: Span) => boolean;
  /** Whether its fields follow from its bytes only by decoding them anew. */
  readonly isRedecoded: boolean;
}

interface Definition<Fields> {
  readonly opcode: number;
  readonly decode: (buffer: WireBuffer, start: number, end: number) => Fields;
  readonly run: (work: Workspace, fields: Fields) => void | Promise<void>;
  readonly check: (work: Workspace, fields: Fields) => void;
  readonly isPatchable?: (fields: Fields, span: Span) => boolean;
  readonly isRedecoded?: boolean;
}

const define = <Fields>(definition: Definition<Fields>): RecordableCall =>
  ({ isPatchable: () => false, isRedecoded: true, ...definition }) as RecordableCall;

/** Whole fields of the fixed part, as [offset, size]. */
const fieldsAt =
  (...fields: readonly (readonly [offset: number, byteCount: number])[]) =>
  (_fields: unknown, span: Span): boolean =>
    fields.some(([offset, byteCount]) => offset === span.offset && byteCount === span.byteCount);

/** Where `params` of a launch begin: behind its fixed part. */
const PARAMS_AT = 48;

function checkStream(work: Workspace, stream: number): void {
  if (stream !== 0) work.streams.get(stream);
}

const definitions = [
  define<codec.LaunchCall>({
    opcode: codec.Opcode.launch,
    decode: codec.decodeLaunchCall,
    run: launch,
    check: (work, call) => {
      const { slice } = kernelOf(work, call);
      work.stream(call.stream, slice);
    },
    isPatchable: ({ params }, { offset, byteCount }) =>
      offset >= PARAMS_AT && offset - PARAMS_AT + byteCount <= params.byteLength,
    // Its parameters are a view of the bytes.
    isRedecoded: false,
  }),
  define<codec.CopyOnDeviceCall>({
    opcode: codec.Opcode.copyOnDevice,
    decode: codec.decodeCopyOnDeviceCall,
    run: copyOnDevice,
    check: (work, { stream }) => checkStream(work, stream),
    isPatchable: fieldsAt([0, 8], [8, 8], [16, 8]),
  }),
  define<codec.FillCall>({
    opcode: codec.Opcode.fill,
    decode: codec.decodeFillCall,
    run: fill,
    check: (work, { stream }) => checkStream(work, stream),
    isPatchable: fieldsAt([0, 8], [8, 8], [20, 4]),
  }),
  define<codec.MultiplyCall>({
    opcode: codec.Opcode.multiply,
    decode: codec.decodeMultiplyCall,
    run: multiply,
    check: (work, { stream }) => checkStream(work, stream),
    isPatchable: fieldsAt([0, 8], [8, 8], [16, 8], [88, 4], [92, 4], [104, 8], [112, 8], [120, 8]),
  }),
  define<codec.DnnExecuteCall>({
    opcode: codec.Opcode.dnnExecute,
    decode: codec.decodeDnnExecuteCall,
    run: dnnExecute,
    check: (work, { plan, stream }) => {
      work.stream(stream, work.descriptors.get(plan).slice);
    },
  }),
  define<codec.LibraryCallCall>({
    opcode: codec.Opcode.libraryCall,
    decode: codec.decodeLibraryCallCall,
    run: libraryCall,
    check: (work, { stream, device }) => {
      work.stream(stream, work.slice(device));
    },
  }),
  define<codec.EventRecordCall>({
    opcode: codec.Opcode.eventRecord,
    decode: codec.decodeEventRecordCall,
    run: eventRecord,
    check: (work, { event, stream }) => {
      work.stream(stream, work.events.get(event).slice);
    },
  }),
  define<codec.StreamWaitEventCall>({
    opcode: codec.Opcode.streamWaitEvent,
    decode: codec.decodeStreamWaitEventCall,
    run: streamWaitEvent,
    check: (work, { event, stream }) => {
      work.events.get(event);
      checkStream(work, stream);
    },
  }),
];

export const recordableCalls: ReadonlyMap<number, RecordableCall> = new Map(
  definitions.map((definition) => [definition.opcode, definition]),
);
