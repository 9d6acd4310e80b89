/**
 * The rule by which the leases on one device take turns, over memory that their executors share. Each lease has a tag, the virtual time up to
 * which it has had its part: it grows with the device time that the lease uses, divided by its share. Of those who wait, the one with
 * the lowest tag is next (start-time fair queueing). No executor believes another to live: who dies with the turn loses it. What the memory
 * says decides about time alone, never about memory or rights. Knows no system: waiting and waking are its caller's.
 */

/** How shares are held; see `serve --compute-policy`. */
export const computePolicies = ["best-effort", "guaranteed", "fixed"] as const;
export type ComputePolicy = (typeof computePolicies)[number];
const Policy = { BEST_EFFORT: 0, GUARANTEED: 1, FIXED: 2 } as const;

/** Leases that can take turns on one device; one more is not held to its share, and holds nobody up. */
export const TURN_SLOTS = 255;

/** Device time after which another's turn may come. */
export const TURN_MS = 4;
/** A lease whose client comes back with new work so soon keeps the turn meanwhile. */
const RETURN_MS = 0.3;
/** A holder that has not been heard of for so long has been stopped: others go on without it. */
const SILENT_MS_MAX = 1_000;
/** The longest wait without a look at who has the turn. */
const LOOK_MS = 10;
/** Time that a lease of a fixed share has missed and may still use. */
const MISSED_MS_MAX = 100;
/** Thousandths that all leases which have asked for none have together, however much is promised. */
const LEAST_COMPUTE = 10;
const WHOLE_COMPUTE = 1000;

/** Indices of 32-bit words. */
const Word = { POLICY: 0, TURN: 1, SLOTS: 2, RESTS: 3 } as const;
/** Indices of 64-bit numbers. */
const Number_ = { VIRTUAL: 4, RESTS_SINCE: 5, TURN_USED: 6 } as const;
const HEADER_BYTES = 64;
const SLOT_BYTES = 64;
/** Words of a slot. */
const Slot = { PID: 0, STARTED: 1, COMPUTE: 2, WAITS: 3, LEASE: 4, BELL: 6, POLICY: 7 } as const;
/** Numbers of a slot. */
const SlotNumber = { TAG: 4, HEARD: 5, RETURNS: 6 } as const;
/** Beside the number of its slot, from 1, in the word of who has the turn: work of it is on the device. */
const BUSY = 1 << 30;

export const TURN_PAGE_BYTES = 20 * 1024;
/** Byte of the word that says the policy. */
export const POLICY_AT = 4 * Word.POLICY;
export const policyWord = (policy: ComputePolicy): number => computePolicies.indexOf(policy);

/** Word of the slot's bell: it changes when the slot's owner is to look again. */
export const bellOf = (slot: number): number => (HEADER_BYTES + slot * SLOT_BYTES) / 4 + Slot.BELL;

/** A process, as `process-identity.ts` tells them apart. */
export interface TurnOwner {
  readonly pid: number;
  /** When it started: the low 31 bits. */
  readonly started: number;
}

export interface TurnsOptions {
  readonly memory: ArrayBufferLike;
  readonly owner: TurnOwner;
  readonly isThere: (owner: TurnOwner) => boolean;
  /** Wakes whoever sleeps on the slot's bell, which has changed. */
  readonly onRing: (slot: number) => void;
}

export class Turns {
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #options: TurnsOptions;
  /** By slots of this process: when its work was done last. */
  readonly #doneAt = new Map<number, number>();
  /** And since when they have none. */
  readonly #restedAt = new Map<number, number>();

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#words = new Int32Array(options.memory, 0, TURN_PAGE_BYTES / 4);
    this.#numbers = new Float64Array(options.memory, 0, TURN_PAGE_BYTES / 8);
  }

  /**
   * A slot for a lease that begins to work on the device, or goes on: then with the tag that it had. `compute`: thousandths promised to it, 0 for
   * none. Undefined when all slots are taken.
   */
  join({ lease, compute }: { readonly lease: bigint; readonly compute: number }, now: number): number | undefined {
    this.sweep();
    const { pid, started } = this.#options.owner;
    const halves = [Number(BigInt.asIntN(32, lease)), Number(BigInt.asIntN(32, lease >> 32n))] as const;
    const free: number[] = [];
    for (let slot = 0; slot < TURN_SLOTS; slot++) {
      if (this.#get(slot, Slot.PID) !== 0) continue;
      const isOwn = this.#get(slot, Slot.LEASE) === halves[0] && this.#get(slot, Slot.LEASE + 1) === halves[1];
      if (isOwn) free.unshift(slot);
      else free.push(slot);
      // Those behind it were never used.
      if (slot >= this.#slots) break;
    }
    for (const slot of free) {
      // Not a process that others see, as long as the rest is not written.
      if (Atomics.compareExchange(this.#words, wordOf(slot, Slot.PID), 0, -pid) !== 0) continue;
      const isAgain = this.#get(slot, Slot.LEASE) === halves[0] && this.#get(slot, Slot.LEASE + 1) === halves[1];
      this.#set(slot, Slot.STARTED, started);
      this.#set(slot, Slot.COMPUTE, compute);
      this.#set(slot, Slot.WAITS, 0);
      this.#set(slot, Slot.LEASE, halves[0]);
      this.#set(slot, Slot.LEASE + 1, halves[1]);
      if (!isAgain) this.#set(slot, Slot.POLICY, -1);
      this.#numbers[numberOf(slot, SlotNumber.HEARD)] = now;
      this.#numbers[numberOf(slot, SlotNumber.RETURNS)] = 0;
      this.#growTo(slot + 1);
      this.#set(slot, Slot.PID, pid);
      return slot;
    }
    return undefined;
  }

  /** The lease works on the device no more. */
  leave(slot: number): void {
    this.#doneAt.delete(slot);
    this.#restedAt.delete(slot);
    this.#free(slot, this.#get(slot, Slot.PID));
  }

  /** Whether work may begin without a turn: nobody else is there, or nobody has been promised anything. */
  isOpen(slot: number): boolean {
    const policy = Atomics.load(this.#words, Word.POLICY);
    if (policy === Policy.BEST_EFFORT) return true;
    const own = this.#get(slot, Slot.COMPUTE);
    let isAlone = true;
    let isAsked = own > 0;
    for (let other = this.#slots - 1; other >= 0; other--) {
      if (other === slot || this.#get(other, Slot.PID) <= 0) continue;
      isAlone = false;
      if (this.#get(other, Slot.COMPUTE) > 0) isAsked = true;
    }
    if (policy === Policy.FIXED) return isAlone && (own === 0 || own === WHOLE_COMPUTE);
    return isAlone || !isAsked;
  }

  /** Takes the turn for work that is there: 0 when it has it, else for how many milliseconds to wait for the bell before asking again. */
  take(slot: number, now: number): number {
    for (;;) {
      const turn = Atomics.load(this.#words, Word.TURN);
      const holder = Math.min((turn & ~BUSY) >>> 0, TURN_SLOTS) - 1;
      if (holder === slot) {
        if (this.#goOn(slot, turn, now)) return 0;
        continue;
      }
      const isNew = this.#get(slot, Slot.POLICY) !== Atomics.load(this.#words, Word.POLICY);
      if (isNew || this.#get(slot, Slot.WAITS) === 0) this.#begin(slot, now);
      const early = this.#isFixed ? this.#tag(slot) - now : 0;
      if (early > 0) return Math.min(early, LOOK_MS);
      if (turn !== 0) {
        const waitMs = this.#waitFor(holder, (turn & BUSY) !== 0, now);
        if (waitMs > 0) return waitMs;
      }
      const next = this.#next(now);
      if (next === slot) {
        if (Atomics.compareExchange(this.#words, Word.TURN, turn, (slot + 1) | BUSY) !== turn) continue;
        this.#numbers[Number_.TURN_USED] = 0;
        this.#start(slot, now);
        return 0;
      }
      if (next < 0) return LOOK_MS;
      this.#hand(turn, next, now);
    }
  }

  /** The work that took the turn is done: charges the device time that it has used, and lets another have the turn if it is time. */
  done(slot: number, usedMs: number, now: number): void {
    this.#charge(slot, usedMs);
    this.#doneAt.set(slot, now);
    const own = (slot + 1) | BUSY;
    // Others have gone on without this one.
    if (Atomics.load(this.#words, Word.TURN) !== own) return;
    this.#numbers[Number_.TURN_USED]! += usedMs;
    const next = this.#next(now);
    // The least tag of all that have work: who comes new begins there.
    const least = next < 0 ? this.#tag(slot) : Math.min(this.#tag(slot), this.#tag(next));
    this.#numbers[Number_.VIRTUAL] = Math.max(this.#numbers[Number_.VIRTUAL]!, least);
    const isOver = this.#numbers[Number_.TURN_USED]! >= TURN_MS;
    if (isOver && next >= 0) this.#numbers[Number_.TURN_USED] = 0;
    const isAhead = this.#isFixed && this.#tag(slot) - now > (TURN_MS * WHOLE_COMPUTE) / this.#weight(slot);
    if (isAhead || (isOver && next >= 0 && this.#tag(next) < this.#tag(slot))) {
      this.#hand(own, next, now);
      return;
    }
    this.#numbers[Number_.RESTS_SINCE] = now;
    Atomics.store(this.#words, Word.RESTS, 0);
    Atomics.compareExchange(this.#words, Word.TURN, own, slot + 1);
  }

  /** The lease has no more work for now: whoever waits is told, and gets the turn at once unless more work is likely to come soon. */
  rest(slot: number, now: number): void {
    this.#restedAt.set(slot, now);
    if (Atomics.load(this.#words, Word.TURN) !== slot + 1) return;
    this.#numbers[Number_.RESTS_SINCE] = now;
    Atomics.store(this.#words, Word.RESTS, 1);
    const next = this.#next(now);
    if (next < 0) return;
    if (this.#returnsSoon(slot)) this.ring(next);
    else this.#hand(slot + 1, next, now);
  }

  /** Whether the turn is this slot's, and work of it on the device. */
  isBusy(slot: number): boolean {
    return Atomics.load(this.#words, Word.TURN) === ((slot + 1) | BUSY);
  }

  /** Whether somebody else has work for the device. */
  isWanted(slot: number): boolean {
    for (let other = this.#slots - 1; other >= 0; other--) {
      if (other !== slot && this.#get(other, Slot.PID) > 0 && this.#get(other, Slot.WAITS) !== 0) return true;
    }
    return false;
  }

  /** The owner of the slot is alive; to be said now and then while its work is on the device. */
  hear(slot: number, now: number): void {
    this.#numbers[numberOf(slot, SlotNumber.HEARD)] = now;
  }

  /** Frees the slots of processes that are gone. */
  sweep(): void {
    for (let slot = this.#slots - 1; slot >= 0; slot--) {
      const pid = this.#get(slot, Slot.PID);
      if (pid !== 0 && !this.#isThere(slot, pid)) this.#free(slot, pid);
    }
  }

  bell(slot: number): number {
    return this.#get(slot, Slot.BELL);
  }

  ring(slot: number): void {
    Atomics.add(this.#words, wordOf(slot, Slot.BELL), 1);
    this.#options.onRing(slot);
  }

  /** The turn is this slot's, by its own work before or by another's hand. */
  #goOn(slot: number, turn: number, now: number): boolean {
    if ((turn & BUSY) === 0) {
      if (Atomics.compareExchange(this.#words, Word.TURN, turn, turn | BUSY) !== turn) return false;
      const restedMs = now - this.#numbers[Number_.RESTS_SINCE]!;
      if (this.#isFixed) this.#atLeast(slot, now - MISSED_MS_MAX);
      this.#noteReturn(slot, now);
      // The others have waited meanwhile.
      if (this.isWanted(slot)) {
        this.#charge(slot, restedMs);
        this.#numbers[Number_.TURN_USED]! += restedMs;
      }
    }
    this.#start(slot, now);
    return true;
  }

  #start(slot: number, now: number): void {
    this.#set(slot, Slot.WAITS, 0);
    this.hear(slot, now);
  }

  /** Work has come: what the lease did not use while it had none is others'. */
  #begin(slot: number, now: number): void {
    const policy = Atomics.load(this.#words, Word.POLICY);
    const doneAt = this.#doneAt.get(slot);
    this.#noteReturn(slot, now);
    if (this.#get(slot, Slot.POLICY) !== policy) {
      // Tags of another rule say nothing.
      this.#set(slot, Slot.POLICY, policy);
      this.#numbers[numberOf(slot, SlotNumber.TAG)] = 0;
    }
    const missed = doneAt !== undefined && now - doneAt < LOOK_MS ? MISSED_MS_MAX : 0;
    this.#atLeast(slot, policy === Policy.FIXED ? now - missed : this.#numbers[Number_.VIRTUAL]!);
    this.#set(slot, Slot.WAITS, 1);
  }

  /** How long to leave the turn to its holder; 0: it is to be had. */
  #waitFor(holder: number, isBusy: boolean, now: number): number {
    if (isBusy) {
      const pid = this.#get(holder, Slot.PID);
      const silentMs = now - this.#numbers[numberOf(holder, SlotNumber.HEARD)]!;
      if (silentMs < LOOK_MS / 2) return LOOK_MS;
      if (pid > 0 && this.#isThere(holder, pid)) return silentMs > SILENT_MS_MAX ? 0 : LOOK_MS;
      this.#free(holder, pid);
      return 0;
    }
    const restsMs = now - this.#numbers[Number_.RESTS_SINCE]!;
    // It has more work, and is on its way to it.
    if (Atomics.load(this.#words, Word.RESTS) === 0) return Math.max(0, LOOK_MS - restsMs);
    return this.#returnsSoon(holder) ? Math.max(0, RETURN_MS - restsMs) : 0;
  }

  /** Who waits and is next; -1: nobody. */
  #next(now: number): number {
    const isFixed = this.#isFixed;
    let next = -1;
    for (let slot = this.#slots - 1; slot >= 0; slot--) {
      if (this.#get(slot, Slot.PID) <= 0 || this.#get(slot, Slot.WAITS) === 0) continue;
      const tag = this.#tag(slot);
      if (isFixed && tag > now) continue;
      if (next < 0 || tag <= this.#tag(next)) next = slot;
    }
    return next;
  }

  /** Gives the turn that stands there to who is next, if anybody is. */
  #hand(turn: number, next: number, now: number): void {
    this.#numbers[Number_.TURN_USED] = 0;
    if (next >= 0) this.hear(next, now);
    if (Atomics.compareExchange(this.#words, Word.TURN, turn, next < 0 ? 0 : (next + 1) | BUSY) !== turn) return;
    if (next >= 0) this.ring(next);
  }

  #charge(slot: number, usedMs: number): void {
    this.#numbers[numberOf(slot, SlotNumber.TAG)]! += (usedMs * WHOLE_COMPUTE) / this.#weight(slot);
  }

  /** Thousandths: those promised, or a part of what is promised to nobody. */
  #weight(slot: number): number {
    const own = this.#get(slot, Slot.COMPUTE);
    if (own > 0) return own;
    let promised = 0;
    let others = 0;
    for (let other = this.#slots - 1; other >= 0; other--) {
      if (other === slot || this.#get(other, Slot.PID) <= 0) continue;
      const compute = this.#get(other, Slot.COMPUTE);
      promised += compute;
      if (compute === 0) others++;
    }
    return Math.max(LEAST_COMPUTE, WHOLE_COMPUTE - promised) / (others + 1);
  }

  #returnsSoon(slot: number): boolean {
    return this.#numbers[numberOf(slot, SlotNumber.RETURNS)]! <= RETURN_MS;
  }

  /** How soon the lease's client comes back when it has had no work. */
  #noteReturn(slot: number, now: number): void {
    const restedAt = this.#restedAt.get(slot);
    if (restedAt === undefined) return;
    this.#restedAt.delete(slot);
    const at = numberOf(slot, SlotNumber.RETURNS);
    this.#numbers[at]! += (Math.min(now - restedAt, 4 * RETURN_MS) - this.#numbers[at]!) / 8;
  }

  #free(slot: number, pid: number): void {
    const turn = Atomics.load(this.#words, Word.TURN);
    const isFreed = pid !== 0 && Atomics.compareExchange(this.#words, wordOf(slot, Slot.PID), pid, 0) === pid;
    if (isFreed) this.#set(slot, Slot.WAITS, 0);
    if ((turn & ~BUSY) - 1 === slot) Atomics.compareExchange(this.#words, Word.TURN, turn, 0);
  }

  #isThere(slot: number, pid: number): boolean {
    return this.#options.isThere({ pid: Math.abs(pid), started: this.#get(slot, Slot.STARTED) });
  }

  #growTo(slots: number): void {
    for (let known = this.#slots; known < slots; known = this.#slots) {
      Atomics.compareExchange(this.#words, Word.SLOTS, known, slots);
    }
  }

  /** Slots that are or were in use. */
  get #slots(): number {
    return Math.min(TURN_SLOTS, Atomics.load(this.#words, Word.SLOTS));
  }

  get #isFixed(): boolean {
    return Atomics.load(this.#words, Word.POLICY) === Policy.FIXED;
  }

  #atLeast(slot: number, tag: number): void {
    const at = numberOf(slot, SlotNumber.TAG);
    this.#numbers[at] = Math.max(this.#numbers[at]!, tag);
  }

  #tag(slot: number): number {
    return this.#numbers[numberOf(slot, SlotNumber.TAG)]!;
  }

  #get(slot: number, word: number): number {
    return Atomics.load(this.#words, wordOf(slot, word));
  }

  #set(slot: number, word: number, value: number): void {
    Atomics.store(this.#words, wordOf(slot, word), value);
  }
}

const wordOf = (slot: number, word: number): number => (HEADER_BYTES + slot * SLOT_BYTES) / 4 + word;
const numberOf = (slot: number, number: number): number => (HEADER_BYTES + slot * SLOT_BYTES) / 8 + number;
