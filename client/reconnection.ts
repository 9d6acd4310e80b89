/** Trying to connect again: at once, then with growing pauses, shorter ones towards the end, until it works, there is no point in it, or the time is over. */
import { errorTable, type SluiceError, toSluiceError } from "../shared/errors.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../shared/limits.ts";

const PAUSE_MS_MIN = 25;
const PAUSE_MS_MAX = 1_000;

/** Whether the failure may be gone at the next try. */
export const isPassing = (error: SluiceError): boolean => errorTable[error.code].whenTrying === "mayPass";

export class Reconnection {
  readonly #connect: (timeoutMs: number) => Promise<void>;
  /** From 0 to 1: clients that lost the same server do not come back at the same moment. */
  readonly #spread: number;
  #timer: NodeJS.Timeout | undefined;
  #keepsAlive = false;

  constructor(options: { readonly connect: (timeoutMs: number) => Promise<void>; readonly spread: number }) {
    this.#connect = options.connect;
    this.#spread = options.spread;
  }

  /** Resolves when `connect` does; rejects with its last failure. Every try is given what is left of `withinMs`. */
  async run(withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const leftMs = Math.max(1, Math.ceil(deadline - performance.now()));
      try {
        await this.#connect(Math.min(leftMs, HANDSHAKE_TIMEOUT_MS));
        return;
      } catch (error) {
        const restMs = deadline - performance.now();
        if (!isPassing(toSluiceError(error)) || restMs < PAUSE_MS_MIN) throw error;
        // A pause that outlasts the time would give up what is left of it.
        await this.#pause(Math.min(pauseMs * (1 + this.#spread), restMs / 2));
      }
    }
  }

  /** Whether the pauses between tries keep the program alive. */
  keepAlive(keeps: boolean): void {
    this.#keepsAlive = keeps;
    if (keeps) this.#timer?.ref();
    else this.#timer?.unref();
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, milliseconds);
      this.keepAlive(this.#keepsAlive);
    });
  }
}
