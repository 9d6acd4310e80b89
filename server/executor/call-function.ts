/** How the executor runs one call of the table: decode, run, and for a call with an answer encode. */
import type { WireBuffer, WireWriter } from "../../shared/wire/wire-buffer.ts";
import type { Workspace } from "./workspace.ts";

type Decode<Fields> = (buffer: WireBuffer, start: number, end: number) => Fields;
type Encode<Answer> = (writer: WireWriter, answer: Answer) => void;
/** A promise holds up the session until it settles; a value does not. */
type Run<Fields, Result> = (work: Workspace, fields: Fields) => Result | Promise<Result>;

/** A call with its types erased: what `decode` gives fits `run`, and what `run` gives fits `encode`. */
export interface CallFunction {
  readonly decode: Decode<unknown>;
  readonly run: Run<unknown, unknown>;
  /** Absent for a call without an answer. */
  readonly encode: Encode<unknown> | undefined;
}

/** A call without an answer. */
export function silent<Fields>(decode: Decode<Fields>, run: Run<Fields, void>): CallFunction {
  return { decode, run: run as Run<unknown, unknown>, encode: undefined };
}

/** A call with an answer. */
export function answered<Fields, Answer>(call: {
  readonly decode: Decode<Fields>;
  readonly run: Run<Fields, Answer>;
  readonly encode: Encode<Answer>;
}): CallFunction {
  return { decode: call.decode, run: call.run as Run<unknown, unknown>, encode: call.encode as Encode<unknown> };
}

/** Encodes an answer without fields. */
export function encodeNothing(): void {
  // An answer without fields has an empty body.
}
