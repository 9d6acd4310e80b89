/**
 * Runs one block of a kernel on this worker: lets its threads run region after region. As long as all threads stop at the same
 * place a step is one call for the whole block; when they part, each group that can go on is run by itself.
 */
import type { Suspension } from "../emit/warp.ts";
import {
  Context,
  EXCHANGE_BYTES,
  EXITED,
  LaneSwitch,
  MIXED,
  PLANE_BYTES,
  THREADS_PER_BLOCK_MAX,
  WARP_SIZE,
} from "./layout.ts";

/** Region functions: (context, first thread, end of threads) -> where they stopped. */
export type RegionFunction = (context: number, first: number, end: number) => number;

export interface RunnableKernel {
  readonly regions: readonly RegionFunction[];
  readonly suspensions: readonly Suspension[];
  /** Bytes of a thread's record and local memory. */
  readonly threadBytes: number;
  /** Whether one lane of each warp stands for all until the kernel wakes the others. */
  readonly isUniform: boolean;
}

/** The block can never end: its threads wait for each other at different places. */
export class Deadlock extends Error {}

/** Added to a thread's state to keep it from running while others at the same place do. */
const HELD = 0x4000_0000;

/** What came of trying a warp: "yielded" where a thread that may wait for another has run. */
type Step = "moved" | "yielded" | "stuck";

/** Steps that a warp may run before the others get a turn. */
const STEPS_PER_TURN = 64;

/** Steps in a row that lanes may make while others of their warp are ahead and wait for them: more is taken for waiting in a loop. */
const CATCH_UPS_MAX = 256;

/** How often lanes may yield in loops before those that wait for them to come go on. */
const YIELDS_MAX = 2;

export class BlockRunner {
  readonly #context: number;
  /** The context's words. */
  readonly #words: Int32Array<ArrayBufferLike>;
  readonly #bytes: Uint8Array<ArrayBufferLike>;
  /** How the lanes of each warp are: a LaneSwitch. */
  readonly #lanesOf = new Uint8Array(THREADS_PER_BLOCK_MAX / WARP_SIZE);
  #kernel: RunnableKernel = { regions: [], suspensions: [], threadBytes: 0, isUniform: false };
  #threads = 0;
  /** Which pair of exchange planes is read. */
  #phase = 0;
  /** For each warp the steps that lanes have made while others were ahead, since all were at one place. */
  readonly #catchUps = new Uint16Array(THREADS_PER_BLOCK_MAX / WARP_SIZE);
  /** For each warp how often lanes have yielded while others waited for them. */
  readonly #yields = new Uint8Array(THREADS_PER_BLOCK_MAX / WARP_SIZE);
  /** Whose turn it was last when lanes waited in a loop. */
  #othersFirst = 0;
  /** Offsets in words of the planes that the kernel uses. */
  #planes: readonly number[] = [];

  /** `context`: where the worker's context lies in `memory`. */
  constructor(memory: ArrayBufferLike, context: number) {
    this.#context = context;
    this.#words = new Int32Array(memory, context, Context.SHARED / 4);
    this.#bytes = new Uint8Array(memory);
  }

  /** Prepares for blocks of one launch. */
  begin(kernel: RunnableKernel, threads: number): void {
    this.#kernel = kernel;
    this.#threads = threads;
    const count = Math.max(2, ...kernel.suspensions.map((each) => (each.kind === "warp" ? (each.planes ?? 0) : 0)));
    this.#planes = Array.from({ length: count }, (_, plane) => (plane * PLANE_BYTES) / 4);
    this.#phase = 0;
    this.#lanesOf.fill(LaneSwitch.WAKE);
    this.#turn();
    this.#resetActive();
  }

  /** Runs the block whose index stands in the context. */
  run(): void {
    const { regions, suspensions } = this.#kernel;
    const threads = this.#threads;
    let at = this.#kernel.isUniform ? this.#beginUniform() : regions[0]!(this.#context, 0, threads);
    while (at !== EXITED) {
      const suspension = suspensions[at];
      if (at === MIXED || suspension === undefined || !this.#isUniform(suspension)) {
        at = this.#runParted();
        continue;
      }
      if (suspension.kind === "barrier" && suspension.reduction !== undefined)
        this.#reduce(suspension.reduction, undefined);
      this.#turn();
      at = regions[at]!(this.#context, 0, threads);
    }
  }

  /** Whether all threads of the block may go on together once they have all stopped here. */
  #isUniform(suspension: Suspension): boolean {
    if (suspension.kind === "barrier") return suspension.id !== undefined;
    return suspension.kind !== "entry" && suspension.kind !== "lanes";
  }

  /** Starts the first lane of each warp. */
  #beginUniform(): number {
    for (let thread = 0; thread < this.#threads; thread++) this.#setState(thread, EXITED);
    for (let first = 0; first < this.#threads; first += WARP_SIZE) {
      this.#lanesOf[first / WARP_SIZE] = LaneSwitch.REST;
      this.#setActive(first, 1);
      this.#kernel.regions[0]!(this.#context, first, first + 1);
      this.#setActive(first, this.#lanes(first));
    }
    return MIXED;
  }

  /** Wakes the lanes of a warp as copies of the lowest, or sends all others to rest, by the word that it left. Returns the lanes that go on. */
  #switchLanes(first: number, region: number, here: number): number {
    const warp = first / WARP_SIZE;
    const lane = 31 - Math.clz32(here & -here);
    const before = this.#lanesOf[warp]!;
    const word = this.#sync(first + lane);
    if (word === LaneSwitch.END && before !== LaneSwitch.USE) return here;
    const wakes = word === LaneSwitch.WAKE || word === LaneSwitch.USE;
    const wereResting = before === LaneSwitch.REST;
    if (word !== LaneSwitch.USE || wereResting) this.#lanesOf[warp] = wakes ? word : LaneSwitch.REST;
    if (wakes !== wereResting) return here;
    const all = wakes ? this.#lanes(first) : here;
    const { threadBytes } = this.#kernel;
    const own = this.#context + Context.THREADS + (first + lane) * threadBytes;
    for (let rest = all & ~(1 << lane); rest !== 0; rest &= rest - 1) {
      const other = 31 - Math.clz32(rest & -rest);
      this.#setState(first + other, wakes ? region : EXITED);
      if (wakes) this.#bytes.copyWithin(own + (other - lane) * threadBytes, own, own + threadBytes);
    }
    return wakes ? all : 1 << lane;
  }

  /** For how many threads one counts at a barrier. */
  #weight(thread: number): number {
    return this.#lanesOf[Math.floor(thread / WARP_SIZE)] === LaneSwitch.REST ? WARP_SIZE : 1;
  }

  /** What was written is read from now on. */
  #turn(): void {
    const base = this.#context + Context.EXCHANGE;
    this.#phase ^= 1;
    this.#words[Context.EXCHANGE_READ / 4] = base + (this.#phase ^ 1) * EXCHANGE_BYTES;
    this.#words[Context.EXCHANGE_WRITE / 4] = base + this.#phase * EXCHANGE_BYTES;
  }

  #resetActive(): void {
    for (let first = 0; first < this.#threads; first += WARP_SIZE) this.#setActive(first, this.#lanes(first));
  }

  #setActive(first: number, mask: number): void {
    this.#words[Context.ACTIVE_LANES / 4 + first / WARP_SIZE] = mask;
  }

  /** Mask of the lanes that exist in the warp that starts at a thread. */
  #lanes(first: number): number {
    const count = Math.min(WARP_SIZE, this.#threads - first);
    return count === WARP_SIZE ? -1 : (1 << count) - 1;
  }

  #state(thread: number): number {
    return this.#words[Context.STATE / 4 + thread]!;
  }

  #setState(thread: number, state: number): void {
    this.#words[Context.STATE / 4 + thread] = state;
  }

  #sync(thread: number): number {
    return this.#words[Context.SYNC / 4 + thread]!;
  }

  /** Runs groups of threads until they are all at one place again, or all gone. Returns that place. */
  #runParted(): number {
    for (;;) {
      let moved = false;
      for (let first = 0; first < this.#threads; first += WARP_SIZE) {
        // A warp runs on while it needs no other; one that yields, or goes round and round, may wait for somebody.
        for (let count = 0; count < STEPS_PER_TURN; count++) {
          const step = this.#runWarp(first);
          if (step === "stuck") break;
          moved = true;
          if (step === "yielded") break;
        }
      }
      const released = this.#releaseBarriers();
      if (typeof released === "number") return released;
      if (moved || released === "moved") continue;
      if (this.#allExited()) return EXITED;
      if (!this.#runIncomplete()) throw new Deadlock();
    }
  }

  #allExited(): boolean {
    for (let thread = 0; thread < this.#threads; thread++) if (this.#state(thread) !== EXITED) return false;
    return true;
  }

  /** Runs what can go on in one warp, once each. Tells whether anything could, and whether some of it had yielded before. */
  #runWarp(first: number): Step {
    const count = Math.min(WARP_SIZE, this.#threads - first);
    let exited = count === WARP_SIZE ? 0 : -1 << count;
    let region: number = EXITED;
    let isOne = true;
    for (let lane = 0; lane < count; lane++) {
      const state = this.#state(first + lane);
      if (state === EXITED) exited |= 1 << lane;
      else if (region === EXITED) region = state;
      else if (state !== region) isOne = false;
    }
    if (region === EXITED) return "stuck";
    return isOne ? this.#runWhole(first, region, exited) : this.#runGroups(first, exited);
  }

  /** All lanes of the warp that are not gone are at one place. */
  #runWhole(first: number, region: number, exited: number): Step {
    const suspension = this.#kernel.suspensions[region]!;
    const lanes = ~exited;
    this.#catchUps[first / WARP_SIZE] = 0;
    if (suspension.kind === "barrier") {
      if (!suspension.isArrival) return "stuck";
      this.#arrive(first, lanes);
    }
    let ready = suspension.kind === "warp" ? this.#complete(first, lanes, exited) : lanes;
    if (ready === 0) return "stuck";
    const isWhole = ready === lanes;
    if (suspension.kind === "lanes") ready = this.#switchLanes(first, region, lanes);
    this.#runGroup(first, region, { lanes: ready, isWhole });
    return suspension.kind === "yield" ? "yielded" : "moved";
  }

  #runGroups(first: number, exited: number): Step {
    const groups = this.#groups(first);
    let moved: Step = "stuck";
    const waiting: number[] = [];
    for (const [region, lanes] of groups) {
      const suspension = this.#kernel.suspensions[region]!;
      if (suspension.kind === "barrier") {
        if (!suspension.isArrival) continue;
      } else if (suspension.kind === "active") {
        // Whoever else may still arrive here goes first.
        waiting.push(region);
        continue;
      } else if (suspension.kind === "lanes") continue;
      const ready = suspension.kind === "warp" ? this.#complete(first, lanes, exited) : lanes;
      if (suspension.kind === "barrier") this.#arrive(first, lanes);
      if (ready === 0) continue;
      this.#runGroup(first, region, { lanes: ready, isWhole: false });
      if (suspension.kind === "yield") moved = "yielded";
      else if (moved === "stuck") moved = "moved";
    }
    const warp = first / WARP_SIZE;
    // One that waits in a loop may come nearer for a while, or wait for one that waits here.
    const isWaitedFor = moved === "yielded" && ++this.#yields[warp]! >= YIELDS_MAX;
    if (isWaitedFor || waiting.length === 0) this.#yields[warp] = 0;
    if ((moved !== "stuck" && !isWaitedFor) || waiting.length === 0) return moved;
    // Those that are behind catch up, but not for ever: they may wait for one that is ahead.
    waiting.sort((one, other) => this.#order(one) - this.#order(other));
    const isSpinning = waiting.length > 1 && ++this.#catchUps[warp]! > CATCH_UPS_MAX;
    const turn = waiting[isSpinning ? 1 + (this.#othersFirst++ % (waiting.length - 1)) : 0]!;
    if (isSpinning || waiting.length === 1) this.#catchUps[warp] = 0;
    this.#runGroup(first, turn, { lanes: groups.get(turn)!, isWhole: false });
    return moved === "yielded" ? moved : "moved";
  }

  #order(region: number): number {
    const suspension = this.#kernel.suspensions[region]!;
    return suspension.kind === "active" ? suspension.order : 0;
  }

  /** Lanes of the warp by the region they go on with, without those that have exited. */
  #groups(first: number): Map<number, number> {
    const groups = new Map<number, number>();
    const end = Math.min(first + WARP_SIZE, this.#threads);
    for (let thread = first; thread < end; thread++) {
      const state = this.#state(thread);
      if (state !== EXITED) groups.set(state, (groups.get(state) ?? 0) | (1 << (thread - first)));
    }
    return groups;
  }

  /** Those of `lanes` for which every lane of their mask is here or gone. */
  #complete(first: number, lanes: number, exited: number): number {
    const missing = ~(lanes | exited);
    let ready = 0;
    for (let rest = lanes; rest !== 0; rest &= rest - 1) {
      const lane = 31 - Math.clz32(rest & -rest);
      if ((this.#sync(first + lane) & missing) === 0) ready |= 1 << lane;
    }
    return ready;
  }

  /** Runs the lanes of one warp that go on with `region`; the others there are held back, if these are not all. */
  #runGroup(first: number, region: number, { lanes, isWhole }: { lanes: number; isWhole: boolean }): void {
    const end = Math.min(first + WARP_SIZE, this.#threads);
    if (!isWhole) {
      for (let thread = first; thread < end; thread++) {
        if (this.#state(thread) === region && (lanes & (1 << (thread - first))) === 0)
          this.#setState(thread, region | HELD);
      }
    }
    this.#setActive(first, lanes);
    if (this.#kernel.suspensions[region]!.kind === "warp") this.#snapshot(first);
    this.#kernel.regions[region]!(this.#context, first, end);
    this.#setActive(first, this.#lanes(first));
    if (isWhole) return;
    for (let thread = first; thread < end; thread++) {
      if (this.#state(thread) === (region | HELD)) this.#setState(thread, region);
    }
  }

  /** Copies the warp's words from the planes that are written to those that are read, so that a group can write anew. */
  #snapshot(first: number): void {
    const from = (Context.EXCHANGE + this.#phase * EXCHANGE_BYTES) / 4 + first;
    const to = (Context.EXCHANGE + (this.#phase ^ 1) * EXCHANGE_BYTES) / 4 + first;
    for (const plane of this.#planes) {
      this.#words.copyWithin(to + plane, from + plane, from + plane + WARP_SIZE);
    }
  }

  /** Threads that have arrived at each barrier without waiting. */
  readonly #arrived = new Map<number, number>();

  #arrive(first: number, lanes: number): void {
    for (let lane = 0; lane < WARP_SIZE; lane++) {
      if ((lanes & (1 << lane)) === 0) continue;
      const barrier = this.#sync(first + lane);
      this.#arrived.set(barrier, (this.#arrived.get(barrier) ?? 0) + this.#weight(first + lane));
    }
  }

  /** Lets the threads of each complete barrier go on. Returns the common place if that is all threads of the block, and whether any has moved. */
  #releaseBarriers(): number | "moved" | undefined {
    const waiting = new Map<number, number[]>();
    let alive = 0;
    for (let thread = 0; thread < this.#threads; thread++) {
      const state = this.#state(thread);
      if (state === EXITED) continue;
      alive += this.#weight(thread);
      const suspension = this.#kernel.suspensions[state];
      if (suspension?.kind !== "barrier") continue;
      const barrier = suspension.id ?? this.#sync(thread);
      const threads = waiting.get(barrier);
      if (threads === undefined) waiting.set(barrier, [thread]);
      else threads.push(thread);
    }
    for (const [barrier, threads] of waiting) {
      const wanted = this.#wanted(threads[0]!) || alive;
      const arrived = this.#arrived.get(barrier) ?? 0;
      const waits = threads.reduce((sum, thread) => sum + this.#weight(thread), 0);
      if (waits + arrived < wanted) continue;
      this.#arrived.delete(barrier);
      const result = this.#release(threads);
      if (threads.length === this.#threads && result !== MIXED) return result;
      // The threads have moved: what else waits is looked at anew.
      return this.#releaseBarriers() ?? "moved";
    }
    return undefined;
  }

  /** How many threads the barrier at which a thread waits is for; 0 for the whole block. */
  #wanted(thread: number): number {
    const suspension = this.#kernel.suspensions[this.#state(thread)]!;
    const isPlain = suspension.kind === "barrier" && suspension.id !== undefined;
    return isPlain ? 0 : this.#words[Context.SYNC_COUNT / 4 + thread]!;
  }

  #release(threads: readonly number[]): number {
    const regions = new Map<number, number[]>();
    for (const thread of threads) {
      const state = this.#state(thread);
      const group = regions.get(state);
      if (group === undefined) regions.set(state, [thread]);
      else group.push(thread);
    }
    for (const region of regions.keys()) {
      const suspension = this.#kernel.suspensions[region]!;
      if (suspension.kind === "barrier" && suspension.reduction !== undefined)
        this.#reduce(suspension.reduction, threads);
    }
    this.#turn();
    // Words of warps that do not move must be found where they are looked for.
    this.#keepOthers(threads);
    // All groups are held before the first runs, since a thread may come round to the same barrier at once.
    for (const thread of threads) this.#setState(thread, this.#state(thread) | HELD);
    let result: number = MIXED;
    for (const [region, group] of regions) {
      const others: number[] = [];
      for (let thread = 0; thread < this.#threads; thread++) if (this.#state(thread) === region) others.push(thread);
      for (const thread of others) this.#setState(thread, region | (HELD << 1));
      for (const thread of group) this.#setState(thread, region);
      result = this.#kernel.regions[region]!(this.#context, 0, this.#threads);
      for (const thread of others) this.#setState(thread, region);
    }
    return regions.size === 1 ? result : MIXED;
  }

  /** After a turn: brings the words of threads that stay over to the planes that are written. */
  #keepOthers(moving: readonly number[]): void {
    if (moving.length === this.#threads) return;
    const moves = new Set(moving);
    const from = (Context.EXCHANGE + (this.#phase ^ 1) * EXCHANGE_BYTES) / 4;
    const to = (Context.EXCHANGE + this.#phase * EXCHANGE_BYTES) / 4;
    for (let thread = 0; thread < this.#threads; thread++) {
      if (moves.has(thread)) continue;
      for (const plane of this.#planes) this.#words[to + plane + thread] = this.#words[from + plane + thread]!;
    }
  }

  /** Combines the predicates that threads brought to a barrier. */
  #reduce(reduction: "popc" | "and" | "or", threads: readonly number[] | undefined): void {
    const plane = (Context.EXCHANGE + this.#phase * EXCHANGE_BYTES) / 4;
    const count = threads?.length ?? this.#threads;
    let set = 0;
    for (let index = 0; index < count; index++) if (this.#words[plane + (threads?.[index] ?? index)] !== 0) set++;
    const results = { popc: set, and: set === count ? 1 : 0, or: set > 0 ? 1 : 0 };
    this.#words[Context.BARRIER_RESULT / 4] = results[reduction];
  }

  /** When nothing else can go on: runs one group of a warp operation although its mask is not complete. */
  #runIncomplete(): boolean {
    for (let first = 0; first < this.#threads; first += WARP_SIZE) {
      for (const [region, lanes] of this.#groups(first)) {
        if (this.#kernel.suspensions[region]!.kind !== "warp") continue;
        this.#runGroup(first, region, { lanes, isWhole: false });
        return true;
      }
    }
    return false;
  }
}
