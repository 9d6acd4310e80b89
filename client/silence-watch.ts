/**
 * Notices that a connection says nothing although something is awaited: the path may have died without a word, as when the client's machine
 * has moved. It does not keep the program alive.
 */

/** Looks per span of silence. */
const LOOKS = 3;

/** Each time in vain the next look comes later, at most so many times as late. */
const PATIENCE_MAX = 16;

export interface SilenceWatchOptions {
  readonly silenceMs: number;
  /** Bytes that came and went so far. */
  readonly moved: () => number;
  /** Whether the server should say something. */
  readonly isAwaited: () => boolean;
  readonly onSilence: () => void;
}

export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #moved = 0;
  #silentLooks = 0;
  #patience = 1;

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
  }

  /** Begins anew, for another connection. */
  start(): void {
    this.stop();
    this.#moved = this.#options.moved();
    this.#silentLooks = 0;
    this.#timer = setInterval(this.#look, Math.ceil(this.#options.silenceMs / LOOKS)).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  readonly #look = (): void => {
    const { moved, isAwaited, onSilence } = this.#options;
    const now = moved();
    if (now !== this.#moved) {
      this.#moved = now;
      this.#patience = 1;
      this.#silentLooks = 0;
    } else if (!isAwaited()) this.#silentLooks = 0;
    else if (++this.#silentLooks >= LOOKS * this.#patience) {
      this.#silentLooks = 0;
      this.#patience = Math.min(2 * this.#patience, PATIENCE_MAX);
      onSilence();
    }
  };
}
