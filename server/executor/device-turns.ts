/**
 * One lease's turns on one device: what its slice asks before work and tells after it. Where nobody else is on the device, or nobody was promised
 * anything, it is a look at a few words. Waiting holds the thread for some milliseconds at a time, and the event loop has its turn in between.
 */
import { createHash } from "node:crypto";
import { setImmediate as immediate } from "node:timers/promises";
import { SluiceError } from "../../shared/errors.ts";
import type { DeviceTurns } from "../device/device.ts";
import { nowMs } from "./clock.ts";
import { isOwnerThere, type TurnPage, turnOwner } from "./turn-page.ts";
import { bellOf, Turns } from "./turns.ts";

/** The thread is held no longer than this at a time. */
const BLOCKED_MS_MAX = 10;
/** How often others hear that a long kernel's process is alive. */
const HEARD_EVERY_MS = 100;

export interface LeaseTurnsOptions {
  readonly page: TurnPage;
  /** Which slice of which lease: what it owes the others is kept under this. */
  readonly slice: string;
  /** Thousandths of the device's time that are promised; 0: none. */
  readonly compute: number;
  /** Told once when there is no place for the slice among those that take turns. */
  readonly onFull: () => void;
}

export class LeaseTurns implements DeviceTurns {
  readonly #page: TurnPage;
  readonly #turns: Turns;
  readonly #options: LeaseTurnsOptions;
  readonly #lease: bigint;
  #slot: number | undefined;
  /** Whether work is under way that has taken a turn. */
  #isIn = false;
  /** Whether the session has nothing more to do. */
  #rests = false;
  #isClosed = false;
  #isFull = false;
  #heard: NodeJS.Timeout | undefined;

  constructor(options: LeaseTurnsOptions) {
    this.#options = options;
    this.#page = options.page;
    this.#lease = createHash("sha256").update(options.slice).digest().readBigInt64LE();
    this.#turns = new Turns({
      memory: options.page.memory,
      owner: turnOwner(),
      isThere: isOwnerThere,
      onRing: (slot) => this.#page.wake(bellOf(slot)),
    });
    this.#join();
  }

  get isShared(): boolean {
    const slot = this.#slot ?? this.#join();
    return slot !== undefined && !this.#turns.isOpen(slot);
  }

  /** Whether work that has taken a turn is on the device. */
  get isIn(): boolean {
    return this.#isIn;
  }

  get isWanted(): boolean {
    return this.#slot !== undefined && this.#turns.isWanted(this.#slot);
  }

  enter(): void | Promise<void> {
    const slot = this.#slot ?? this.#join();
    if (slot === undefined || this.#turns.isOpen(slot)) return;
    this.#rests = false;
    this.#heard ??= setInterval(() => this.#hear(), HEARD_EVERY_MS).unref();
    if (!this.#tryFor(slot, BLOCKED_MS_MAX)) return this.#wait();
    this.#isIn = true;
  }

  done(usedMs: number): void {
    if (!this.#isIn) return;
    this.#isIn = false;
    if (this.#slot === undefined) return;
    this.#turns.done(this.#slot, usedMs, nowMs());
    // Its work was queued, and the session has gone to rest behind it.
    if (this.#rests) this.#turns.rest(this.#slot, nowMs());
  }

  /** The lease has no work for now. */
  rest(): void {
    this.#rests = true;
    if (this.#heard !== undefined && this.#slot !== undefined) this.#turns.rest(this.#slot, nowMs());
  }

  /** The lease does not use the device for a while; it is back with its next work. */
  leave(): void {
    clearInterval(this.#heard);
    this.#heard = undefined;
    this.#isIn = false;
    if (this.#slot !== undefined) this.#turns.leave(this.#slot);
    this.#slot = undefined;
  }

  /** Whoever waits hears CLOSED. */
  close(): void {
    this.#isClosed = true;
    this.leave();
  }

  #join(): number | undefined {
    if (this.#isFull || this.#isClosed) return undefined;
    this.#slot = this.#turns.join({ lease: this.#lease, compute: this.#options.compute }, nowMs());
    if (this.#slot !== undefined) return this.#slot;
    this.#isFull = true;
    this.#options.onFull();
    return undefined;
  }

  #hear(): void {
    if (this.#isIn && this.#slot !== undefined) this.#turns.hear(this.#slot, nowMs());
  }

  /** Asks for the turn, and sleeps with the thread until it is there, for so long at most. */
  #tryFor(slot: number, milliseconds: number): boolean {
    let now = nowMs();
    for (const until = now + milliseconds; ; now = nowMs()) {
      const seen = this.#turns.bell(slot);
      const waitMs = this.#turns.take(slot, now);
      if (waitMs <= 0) return true;
      if (now >= until) return false;
      this.#page.sleep(bellOf(slot), { seen, ms: Math.min(waitMs, until - now) });
    }
  }

  async #wait(): Promise<void> {
    for (;;) {
      await immediate();
      if (this.#isClosed) throw new SluiceError("CLOSED", "The slice is closed while it waits for its turn.");
      const slot = this.#slot ?? this.#join();
      // The others may have gone meanwhile.
      if (slot === undefined || this.#turns.isOpen(slot)) return;
      if (!this.#tryFor(slot, BLOCKED_MS_MAX)) continue;
      this.#isIn = true;
      return;
    }
  }
}
