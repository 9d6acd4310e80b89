/**
 * Handles of one kind in a session. The client invents them, counting upwards, and never uses a number again: hence the
 * highest number seen is enough to catch every second use, and the table holds only what lives.
 */
import { SluiceError } from "../../shared/errors.ts";
import { HANDLES_MAX } from "../../shared/limits.ts";

export class HandleTable<T> {
  readonly #kind: string;
  readonly #live = new Map<number, T>();
  #highest = 0;

  /** `kind` names the handles in errors, such as `stream`. */
  constructor(kind: string) {
    this.#kind = kind;
  }

  /**
   * Takes a new number, before what it stands for is created: a creation that fails uses its number up.
   * @throws SluiceError HANDLE_IN_USE, TOO_MANY_HANDLES
   */
  claim(handle: number): void {
    if (handle <= this.#highest) {
      throw new SluiceError(
        "HANDLE_IN_USE",
        `The ${this.#kind} handle [${handle}] is not above the highest one used [${this.#highest}].`,
      );
    }
    this.#highest = handle;
    if (this.#live.size >= HANDLES_MAX) {
      throw new SluiceError("TOO_MANY_HANDLES", `The session holds [${HANDLES_MAX}] live ${this.#kind} handles.`);
    }
  }

  /** Gives a claimed number its meaning. */
  set(handle: number, value: T): void {
    this.#live.set(handle, value);
  }

  /** @throws SluiceError NO_SUCH_HANDLE */
  get(handle: number): T {
    const value = this.#live.get(handle);
    if (value === undefined) {
      const why = handle !== 0 && handle <= this.#highest ? "is destroyed or failed to be created" : "is never created";
      throw new SluiceError("NO_SUCH_HANDLE", `The ${this.#kind} handle [${handle}] ${why}.`);
    }
    return value;
  }

  /** Ends a handle and returns what it stood for; throws NO_SUCH_HANDLE. */
  remove(handle: number): T {
    const value = this.get(handle);
    this.#live.delete(handle);
    return value;
  }
}
