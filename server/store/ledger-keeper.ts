/**
 * Forgets leases that ended so long ago that nobody asks any more: otherwise the ledger is what fills the disk in the end. A few at a
 * time, so that no grant waits for it. What the fair share still counts is never forgotten.
 */
import type { SluiceError } from "../../shared/errors.ts";
import type { Clock } from "../control/clock.ts";
import { HALF_LIVES } from "./ledger.ts";
import type { Store } from "./store.ts";

const LEASES_MAX = 500;
/** Behind a turn that found as many as it may take; and behind one that found fewer. */
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;

const oldest = "SELECT id FROM leases WHERE ended_at < ? ORDER BY ended_at LIMIT ?";
/** The leases themselves last. */
const deletions = [
  `DELETE FROM past_sizes WHERE lease_id IN (${oldest})`,
  `DELETE FROM slices WHERE lease_id IN (${oldest})`,
  `DELETE FROM leases WHERE id IN (${oldest})`,
];

export interface LedgerKeeperOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** How long a lease is kept behind its end; 0 for ever. */
  readonly keepMs: number;
  readonly halfLifeMs: number;
  /** Told of a turn that failed, as on a full disk; the next one tries again. */
  readonly onError: (error: SluiceError) => void;
}

export class LedgerKeeper {
  readonly #options: LedgerKeeperOptions;
  #cancelTimer: (() => void) | undefined;

  constructor(options: LedgerKeeperOptions) {
    this.#options = options;
  }

  /** Looks now and from now on. */
  start(): void {
    const { keepMs, clock } = this.#options;
    if (keepMs === 0) return;
    const pauseMs = this.#forget() < LEASES_MAX ? PAUSE_MS_MAX : PAUSE_MS_MIN;
    this.#cancelTimer = clock.schedule(pauseMs, () => this.start());
  }

  close(): void {
    this.#cancelTimer?.();
  }

  /** How many are gone. */
  #forget(): number {
    const { store, clock, keepMs, halfLifeMs, onError } = this.#options;
    const before = clock.now() - Math.max(keepMs, HALF_LIVES * halfLifeMs);
    const found = store.query<{ id: string }>(oldest, before, LEASES_MAX).length;
    if (found === 0) return 0;
    try {
      store.atomically(() => {
        for (const sql of deletions) store.write(sql, before, LEASES_MAX);
      });
      return found;
    } catch (error) {
      onError(error as SluiceError);
      return 0;
    }
  }
}
