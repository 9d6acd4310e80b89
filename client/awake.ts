/**
 * Keeps the event loop turning for a moment while an answer is awaited, where that pays: else the core sleeps until the system wakes it, which takes
 * longer than many an answer. Other work of the program has its turns as ever.
 */
import { AWAKE_MS, Wakefulness } from "../shared/wakefulness.ts";
import { usableCores } from "./cores.ts";

/** Who waits. */
export interface Waiter {
  /** Whether an answer is awaited. */
  isAwaited(): boolean;
  /** Answers that have come so far. */
  answers(): number;
}

export interface AwakeOptions {
  /** Cores that this process may use. Default: what the system says, and the user. */
  readonly cores?: number;
  /** Milliseconds since some moment. Default: the system's. */
  readonly now?: () => number;
}

export class Awake {
  readonly #waiter: Waiter;
  readonly #wakefulness: Wakefulness;
  readonly #now: () => number;
  #isAwake = false;
  #answers = 0;
  #until = 0;

  constructor(waiter: Waiter, { cores = usableCores(), now = () => performance.now() }: AwakeOptions = {}) {
    this.#waiter = waiter;
    this.#wakefulness = new Wakefulness(cores);
    this.#now = now;
  }

  /** An answer is awaited from now on. */
  begin(): void {
    if (this.#isAwake || !this.#wakefulness.stays()) return;
    this.#isAwake = true;
    this.#answers = this.#waiter.answers();
    this.#until = this.#now() + AWAKE_MS;
    setImmediate(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    const answers = this.#waiter.answers();
    const now = this.#now();
    if (answers !== this.#answers) {
      this.#answers = answers;
      this.#until = now + AWAKE_MS;
      this.#wakefulness.learn(true);
    }
    const isOver = now >= this.#until;
    if (isOver) this.#wakefulness.learn(false);
    this.#isAwake = !isOver && this.#waiter.isAwaited();
    if (this.#isAwake) setImmediate(this.#onTurn);
  };
}
