/** Where the time goes in which a slice is opened, for an admin who asks by `--log-level debug`. */
import { nowMs } from "./clock.ts";

export class OpeningSteps {
  readonly #beganAt = nowMs();
  readonly #steps: string[] = [];
  #last = this.#beganAt;

  /** Something is there that was begun when the thing before it was. */
  add(what: string): void {
    const now = nowMs();
    this.#steps.push(`${what} [${(now - this.#last).toFixed(1)}]`);
    this.#last = now;
  }

  /** As the end of a sentence. */
  told(): string {
    const all = `in [${(nowMs() - this.#beganAt).toFixed(1)}] ms`;
    return this.#steps.length === 0 ? all : `${all}: ${this.#steps.join(", ")}`;
  }
}
