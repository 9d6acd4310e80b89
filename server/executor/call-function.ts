/** How the executor runs one call of the table: decode, run, and for a call with an answer encode. */
import type { WireBuffer, WireWriter } from "../../shared/wire/wire-buffer.ts";
import type { Workspace } from "./workspace.ts";

type Decode<Fields> = (buffer: WireBuffer, start: number, end: number) => Fields;
type Encode<Answer> = (writer: WireWriter, answer: Answer) => void;
/** A promise holds up the session until it settles; a value does not. */
type Run<Fields, Result> = (work: Workspace, fields: Fields) => Result | Promise<Result>;

/** Of a call that is done but for this: a device still fetches the bytes that it names. Rejects when that fails. */
export class Fetching {
  readonly over: Promise<void>;

  constructor(over: Promise<void>) {
    this.over = over;
  }
}

/** A call with its types erased: what `decode` gives fits `run`, and what `run` gives fits `encode`. */
export interface CallFunction {
  readonly decode: Decode<unknown>;
  readonly run: Run<unknown, unknown>;
  /** Absent for a call without an answer. */
  readonly encode: Encode<unknown> | undefined;
  /** Whether the client waits for its acknowledgement, to use memory again: it gets one at once. */
  readonly isAcknowledged: boolean;
}

/** A call without an answer. */
export function silent<Fields>(decode: Decode<Fields>, run: Run<Fields, void>): CallFunction {
  return { decode, run: run as Run<unknown, unknown>, encode: undefined, isAcknowledged: false };
}

/** A call that says that it is executed, and if it failed, leaves that to the next answer. */
export function acknowledged<Fields>(decode: Decode<Fields>, run: Run<Fields, unknown>): CallFunction {
  return { ...silent(decode, run as Run<Fields, void>), isAcknowledged: true };
}

/** A call with an answer. */
export function answered<Fields, Answer>(call: {
  readonly decode: Decode<Fields>;
  readonly run: Run<Fields, Answer>;
  readonly encode: Encode<Answer>;
}): CallFunction {
  const { decode, run, encode } = call;
  return { decode, run: run as Run<unknown, unknown>, encode: encode as Encode<unknown>, isAcknowledged: false };
}

/** Encodes an answer without fields. */
export function encodeNothing(): void {
  // An answer without fields has an empty body.
}
