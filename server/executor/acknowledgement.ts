/**
 * What a client is told of the calls that have run: up to which, and when it is due. A call whose bytes a device still fetches from memory that is the
 * client's again once it hears of the call is told of when they are fetched, and so are the calls behind it.
 */
import { ACKNOWLEDGE_BYTES_MAX, ACKNOWLEDGE_LATE_BYTES_MAX } from "../../shared/limits.ts";
import type { Fetching } from "./call-function.ts";

/** A call of so many bytes is a piece of a large copy. */
const LARGE_COPY_BYTES_MIN = 64 * 1024;
/** Fetches under way, beyond which no call runs: enough that the device never waits for one. */
const FETCHES_MAX = 4;

interface Fetch {
  readonly sequence: number;
  isOver: boolean;
}

export class Acknowledgement {
  /** Sequence number of the last call executed. */
  executed = 0;
  /** Bytes of calls executed since the last frame to the client, and how many of them there may be. */
  #bytes = 0;
  #bytesMax = ACKNOWLEDGE_BYTES_MAX;
  /** In the order of their calls. */
  readonly #fetches: Fetch[] = [];
  #onRoom: (() => void) | undefined;

  /** Sequence number of the last call that the client may hear of. */
  get told(): number {
    const first = this.#fetches[0];
    return first === undefined ? this.executed : first.sequence - 1;
  }

  /** Whether the client is to hear of what has run. */
  get isOwed(): boolean {
    return this.#bytes >= this.#bytesMax;
  }

  /** Whether a device still fetches what a call has named. */
  get isFetching(): boolean {
    return this.#fetches.length > 0;
  }

  /** A call of so many bytes begins. */
  begin(callBytes: number): void {
    this.#bytes += callBytes;
  }

  /** Whether the client is told behind a call of so many bytes: only those of a large copy may wait for what is there behind them. */
  isDueBehind(callBytes: number): boolean {
    return this.#bytes >= ACKNOWLEDGE_BYTES_MAX && (callBytes < LARGE_COPY_BYTES_MIN || this.isOwed);
  }

  /** The client waits for what has run, to use memory again. */
  owe(): void {
    this.#bytes += ACKNOWLEDGE_LATE_BYTES_MAX;
  }

  /** From now on all that is there at once is told of together; false when that is so already. */
  delay(): boolean {
    if (this.#bytesMax !== ACKNOWLEDGE_BYTES_MAX) return false;
    this.#bytesMax = ACKNOWLEDGE_LATE_BYTES_MAX;
    return true;
  }

  /** Ends `delay`. */
  hurry(): void {
    this.#bytesMax = ACKNOWLEDGE_BYTES_MAX;
  }

  /** A frame to the client has told it. */
  sent(): void {
    this.#bytes = 0;
  }

  /** The call `sequence` has run but for its fetching. Resolves when that is over, and rejects as it does. */
  async fetched(sequence: number, { over }: Fetching): Promise<void> {
    const fetch: Fetch = { sequence, isOver: false };
    this.#fetches.push(fetch);
    try {
      await over;
    } finally {
      fetch.isOver = true;
      // What lies behind one that is under way cannot be told yet.
      if (this.#fetches[0] === fetch) this.owe();
      while (this.#fetches[0]?.isOver) this.#fetches.shift();
      if (this.#fetches.length < FETCHES_MAX) this.#onRoom?.();
    }
  }

  /** Resolves when the next call may run; undefined when it may. */
  room(): Promise<void> | undefined {
    if (this.#fetches.length < FETCHES_MAX) return undefined;
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }
}
