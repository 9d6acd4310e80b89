/**
 * The calls that wait for their answers, by sequence number: answers may come in any order, and each comes once. It knows answers and
 * failures as they are on the wire (proto/README.md, "Answers"), and no connection.
 */
import { codeOfWire, SluiceError, toSluiceError } from "../shared/errors.ts";
import { callTable, decodeFailure } from "../shared/generated/calls.ts";
import type { AnswerView } from "../shared/wire/frame.ts";
import { protocolError, type WireBuffer } from "../shared/wire/wire-buffer.ts";

/** What an answered call does with its answer; the body is valid only during the call. */
export type Decode<A> = (buffer: WireBuffer, start: number, end: number) => A;

interface Pending {
  readonly sequence: number;
  /** Decodes and resolves. */
  readonly succeed: Decode<void>;
  readonly fail: (error: SluiceError) => void;
}

const callNames = new Map(callTable.map((entry) => [entry.opcode, entry.name]));

export class PendingAnswers {
  readonly #leaseId: string;
  /** Keyed as answers name their calls: by the low 32 bits. Far fewer than 2^32 wait at once. */
  readonly #calls = new Map<number, Pending>();

  constructor(leaseId: string) {
    this.#leaseId = leaseId;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The first call that waits; undefined for none. */
  get oldest(): number | undefined {
    // They are here in the order in which they were issued.
    for (const { sequence } of this.#calls.values()) return sequence;
    return undefined;
  }

  /** The answer to the call with this sequence number, decoded. */
  expect<A>(sequence: number, decode: Decode<A>): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#calls.set(sequence >>> 0, {
        sequence,
        succeed: (buffer, start, end) => resolve(decode(buffer, start, end)),
        fail: reject,
      });
    });
  }

  /**
   * Gives an answer to its call. Returns the failure of an earlier call, when that is what the answer tells.
   * @throws SluiceError PROTOCOL_ERROR for an answer that no call waits for, or that is malformed.
   */
  settle(buffer: WireBuffer, answer: AnswerView): SluiceError | undefined {
    const pending = this.#calls.get(answer.sequence);
    if (pending === undefined) {
      throw protocolError(`The server answers the call [${answer.sequence}], which waits for no answer.`);
    }
    try {
      if (answer.status === 0) {
        pending.succeed(buffer, answer.start, answer.end);
        return undefined;
      }
      const error = this.#failureIn(buffer, answer, pending.sequence);
      pending.fail(error);
      return error.details.sequence === pending.sequence ? undefined : error;
    } catch (error) {
      pending.fail(toSluiceError(error));
      throw error;
    } finally {
      this.#calls.delete(answer.sequence);
    }
  }

  /** Fails every call that waits, each with an error of its own. */
  failAll(reason: SluiceError): void {
    const waiting = [...this.#calls.values()];
    this.#calls.clear();
    for (const pending of waiting) pending.fail(again(reason));
  }

  /** What the answer to the call `asked` tells: its own failure, or that of an earlier call, which then is named. */
  #failureIn(buffer: WireBuffer, answer: AnswerView, asked: number): SluiceError {
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
export const decodeNothing: Decode<void> = (_buffer, start, end) => {
  if (start !== end) throw protocolError(`An answer without fields has [${end - start}] bytes.`);
};

/** The same error for another caller, with a stack of its own. */
export function again(error: SluiceError): SluiceError {
  return new SluiceError(error.code, error.message, { ...error.details, cause: error });
}
