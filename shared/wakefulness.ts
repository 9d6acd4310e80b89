/**
 * Whether it pays to stay awake while the other end of a connection is waited for: to wake a core that sleeps takes 20 to 50 us, and a short call
 * takes less. It does where there are cores to spare, and as long as what is waited for mostly comes soon. Knows no clock and no socket.
 */
import { SluiceError } from "./errors.ts";

/** The variable by which a user has every wait stay awake (`always`), or none (`never`). */
export const AWAKE_VARIABLE = "SLUICE_AWAKE";

/** How long a wait stays awake: what takes longer hides the cost of waking. In milliseconds. */
export const AWAKE_MS = 0.1;

/** With fewer, who stays awake may hold the core that the other end needs. */
export const AWAKE_CORES_MIN = 4;
/** At most two to the power of this many waits sleep at once before another one is tried. */
export const AWAKE_MISSES_MAX = 6;

/**
 * The cores to reckon with, by what AWAKE_VARIABLE says.
 * @throws SluiceError BAD_ARGUMENT for words that mean nothing
 */
export function coresToUse(setting: string | undefined, cores: number): number {
  if (setting === undefined || setting === "") return cores;
  if (setting === "never") return 0;
  if (setting === "always") return Number.POSITIVE_INFINITY;
  throw new SluiceError(
    "BAD_ARGUMENT",
    `The variable ${AWAKE_VARIABLE} says [${setting}], which is none of [always, never].`,
  );
}

export class Wakefulness {
  readonly #hasCores: boolean;
  /** Waits in a row in which it stayed awake in vain. */
  #misses = 0;
  /** Waits that are not to stay awake. */
  #asleep = 0;

  /** `cores`: those that this process may use. */
  constructor(cores: number) {
    this.#hasCores = cores >= AWAKE_CORES_MIN;
  }

  /** Whether the wait that begins now is to stay awake, for AWAKE_MS at most; how that went is then for `learn`. */
  stays(): boolean {
    if (!this.#hasCores) return false;
    if (this.#asleep === 0) return true;
    this.#asleep--;
    return false;
  }

  /** Whether what was waited for came while it was awake. */
  learn(isInTime: boolean): void {
    if (isInTime) {
      this.#misses = 0;
      return;
    }
    if (this.#misses < AWAKE_MISSES_MAX) this.#misses++;
    this.#asleep = 2 ** this.#misses;
  }
}
