/**
 * The calls that wait for their answers, by sequence number: answers may come in any order, and each comes once. It knows answers and
 * failures as they are on the wire (proto/README.md, "Answers"), and no connection.
 */
import { codeOfWire, SluiceError, toSluiceError } from "../shared/errors.ts";
import { callTable, decodeFailure } from "../shared/generated/calls.ts";
import type { AnswerView } from "../shared/wire/frame.ts";
import { protocolError, type WireBuffer } from "../shared/wire/wire-buffer.ts";

/**
 * What an answered call does with its answer; the body is valid only during the call. `placed` is its `into` when its data was read there,
 * and is missing in the body. A rejected promise is the caller's failure alone.
 */
export type Decode<A> = (buffer: WireBuffer, start: number, end: number, placed?: Uint8Array) => A | Promise<A>;

interface Pending {
  readonly sequence: number;
  /** Decodes and resolves. */
  readonly succeed: (...answer: Parameters<Decode<void>>) => void;
  /** Where the data of its answer may be read to. */
  readonly into: Uint8Array | undefined;
  readonly fail: (error: SluiceError) => void;
  /** Whether its good answer says that the work before it is good, and does no more. */
  readonly vouches: boolean;
  /** What was refused before it: its answer is not good, whatever it says. */
  refused: SluiceError | undefined;
  /** The call that was issued behind it and waits too. */
  next: Pending | undefined;
}

/** What an answer tells beside what it tells its call. */
export interface Told {
  readonly error: SluiceError;
  /** `session`: an earlier call has failed, and no later one is executed. `call`: one that has no answer was refused, and the session goes on. */
  readonly of: "session" | "call";
}

const callNames = new Map(callTable.map((entry) => [entry.opcode, entry.name]));

export class PendingAnswers {
  readonly #leaseId: string;
  /**
   * In the order in which they were issued, which is nearly always that of their answers. A list, since a map that is empty again gives its memory
   * back and gets new memory with the next call.
   */
  #first: Pending | undefined;
  #last: Pending | undefined;
  #size = 0;

  constructor(leaseId: string) {
    this.#leaseId = leaseId;
  }

  get size(): number {
    return this.#size;
  }

  /** The first call that waits; undefined for none. */
  get oldest(): number | undefined {
    return this.#first?.sequence;
  }

  /** The answer to the call with this sequence number, decoded. */
  expect<A>(
    sequence: number,
    decode: Decode<A>,
    { into, vouches = false }: { readonly into?: Uint8Array | undefined; readonly vouches?: boolean } = {},
  ): Promise<A> {
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        sequence,
        succeed: (buffer, start, end, placed) => resolve(decode(buffer, start, end, placed)),
        fail: reject,
        into,
        vouches,
        refused: undefined,
        next: undefined,
      };
      if (this.#last === undefined) this.#first = pending;
      else this.#last.next = pending;
      this.#last = pending;
      this.#size++;
    });
  }

  /** Where the data of the answer to this call may be read to. */
  placeOf(low: number): Uint8Array | undefined {
    let found = this.#first;
    while (found !== undefined && found.sequence >>> 0 !== low) found = found.next;
    return found?.into;
  }

  /**
   * Gives an answer to its call.
   * @throws SluiceError PROTOCOL_ERROR for an answer that no call waits for, unless it is a refusal, or that is malformed.
   */
  settle(buffer: WireBuffer, answer: AnswerView, placed?: Uint8Array): Told | undefined {
    const pending = this.#take(answer.sequence);
    if (pending === undefined) {
      if (answer.status !== 0) return { error: this.#failureIn(buffer, answer, undefined), of: "call" };
      throw protocolError(`The server answers the call [${answer.sequence}], which waits for no answer.`);
    }
    try {
      if (answer.status === 0) {
        if (pending.refused === undefined) pending.succeed(buffer, answer.start, answer.end, placed);
        else pending.fail(again(pending.refused));
        return undefined;
      }
      const error = this.#failureIn(buffer, answer, pending.sequence);
      pending.fail(error);
      return error.details.sequence === pending.sequence ? undefined : { error, of: "session" };
    } catch (error) {
      pending.fail(toSluiceError(error));
      throw error;
    }
  }

  /** A call was refused: those that were to vouch for it fail instead. Returns whether there are any. */
  refuse(refused: SluiceError): boolean {
    const sequence = refused.details.sequence!;
    let isHeard = false;
    for (let waiting = this.#first; waiting !== undefined; waiting = waiting.next) {
      if (waiting.sequence <= sequence || !waiting.vouches) continue;
      waiting.refused ??= refused;
      isHeard = true;
    }
    return isHeard;
  }

  /** Fails every call that waits, each with an error of its own. */
  failAll(reason: SluiceError): void {
    let waiting = this.#first;
    this.#first = undefined;
    this.#last = undefined;
    this.#size = 0;
    for (; waiting !== undefined; waiting = waiting.next) waiting.fail(again(reason));
  }

  /** Takes a call out by the low 32 bits of its number, as answers name it. Far fewer than 2^32 wait at once. */
  #take(low: number): Pending | undefined {
    let before: Pending | undefined;
    let found = this.#first;
    while (found !== undefined && found.sequence >>> 0 !== low) {
      before = found;
      found = found.next;
    }
    if (found === undefined) return undefined;
    if (before === undefined) this.#first = found.next;
    else before.next = found.next;
    if (found === this.#last) this.#last = before;
    this.#size--;
    return found;
  }

  /** What the answer to the call `asked` tells: its own failure, or that of an earlier call, which then is named. */
  #failureIn(buffer: WireBuffer, answer: AnswerView, asked: number | undefined): SluiceError {
    const { sequence, opcode, nativeCode, nativeName, message } = decodeFailure(buffer, answer.start, answer.end);
    const call = callNames.get(opcode) ?? `opcode ${opcode}`;
    const which = sequence === asked ? "" : ` The call that failed is [${call}], number [${sequence}] of the session.`;
    return new SluiceError(codeOfWire(answer.status), `${message}${which}`, {
      sequence,
      call,
      leaseId: this.#leaseId,
      ...(nativeName === "" ? {} : { nativeCode, nativeName }),
    });
  }
}

/** The decoder of an answer without fields. */
export const decodeNothing = (_buffer: WireBuffer, start: number, end: number): void => {
  if (start !== end) throw protocolError(`An answer without fields has [${end - start}] bytes.`);
};

/** The same error for another caller, with a stack of its own. */
export function again(error: SluiceError): SluiceError {
  return new SluiceError(error.code, error.message, { ...error.details, cause: error });
}
