/**
 * Executors that take turns on one device, in one process and in a time of its own: each is a sequence of kernels, asks as an executor does, and
 * is counted. Nothing here waits.
 */
import { type ComputePolicy, POLICY_AT, policyWord, TURN_PAGE_BYTES, Turns } from "../../server/executor/turns.ts";

/** From a ring to the look of who slept. */
const WAKE_MS = 0.02;
/** No sleep is shorter. */
const SLEEP_MS_MIN = 0.05;
/** From one kernel to the next of a client that has many. */
const BETWEEN_MS = 0.005;

export interface TakerOptions {
  readonly compute: number;
  readonly kernelMs: number;
  /** From the end of its kernel to the next one. Default: its client has the next one ready. */
  readonly restMs?: number;
  /** From one kernel to the next of a client that has many. */
  readonly betweenMs?: number;
  readonly startsAt?: number;
}

export interface Taker {
  readonly options: TakerOptions;
  readonly turns: Turns;
  readonly slot: number;
  /** Device time so far, and the longest time for which it has waited. */
  usedMs: number;
  waitedMsMax: number;
  /** What it does next, and when. */
  next: { at: number; does: "ask" | "end" };
  wantsSince: number;
  isOpen: boolean;
  isDead: boolean;
  isStopped: boolean;
}

export class TurnTakers {
  readonly memory = new ArrayBuffer(TURN_PAGE_BYTES);
  readonly takers: Taker[] = [];
  now = 1_000;

  constructor(policy: ComputePolicy = "guaranteed") {
    this.policy = policy;
  }

  set policy(policy: ComputePolicy) {
    new Int32Array(this.memory, POLICY_AT, 1)[0] = policyWord(policy);
  }

  add(options: TakerOptions, lease = BigInt(this.takers.length + 1)): Taker {
    const turns = new Turns({
      memory: this.memory,
      owner: { pid: this.takers.length + 1, started: 7 },
      isThere: ({ pid }) => this.takers[pid - 1]?.isDead === false,
      onRing: (slot) => {
        const rung = this.takers.find((taker) => taker.slot === slot && !taker.isDead);
        if (rung?.next.does === "ask") rung.next.at = Math.min(rung.next.at, this.now + WAKE_MS);
      },
    });
    const slot = turns.join({ lease, compute: options.compute }, this.now);
    if (slot === undefined) throw new Error("there is no slot");
    const startsAt = this.now + (options.startsAt ?? 0);
    const taker: Taker = {
      ...{ options, turns, slot, usedMs: 0, waitedMsMax: 0, next: { at: startsAt, does: "ask" } },
      ...{ wantsSince: startsAt, isOpen: false, isDead: false, isStopped: false },
    };
    this.takers.push(taker);
    return taker;
  }

  /** Lets time pass. */
  run(milliseconds: number): void {
    const until = this.now + milliseconds;
    for (;;) {
      const alive = this.takers.filter(({ isDead, isStopped }) => !isDead && !isStopped);
      const first = alive.reduce<Taker | undefined>(
        (a, b) => (a === undefined || b.next.at < a.next.at ? b : a),
        undefined,
      );
      if (first === undefined || first.next.at > until) break;
      this.now = Math.max(this.now, first.next.at);
      // A living process is heard of by a timer.
      for (const taker of alive) if (taker.next.does === "end") taker.turns.hear(taker.slot, this.now);
      if (first.next.does === "ask") this.#ask(first);
      else this.#end(first);
    }
    this.now = until;
  }

  /** What each has used since the last time, as parts of the time that has passed. */
  parts(milliseconds: number): number[] {
    for (const taker of this.takers) taker.usedMs = taker.waitedMsMax = 0;
    this.run(milliseconds);
    return this.takers.map(({ usedMs }) => usedMs / milliseconds);
  }

  #ask(taker: Taker): void {
    const { turns, slot, options } = taker;
    taker.isOpen = turns.isOpen(slot);
    const waitMs = taker.isOpen ? 0 : turns.take(slot, this.now);
    if (waitMs > 0) {
      taker.next = { at: this.now + Math.max(SLEEP_MS_MIN, waitMs), does: "ask" };
      return;
    }
    taker.waitedMsMax = Math.max(taker.waitedMsMax, this.now - taker.wantsSince);
    taker.next = { at: this.now + options.kernelMs, does: "end" };
  }

  #end(taker: Taker): void {
    const { turns, slot, options } = taker;
    const { kernelMs, restMs, betweenMs = BETWEEN_MS } = options;
    taker.usedMs += kernelMs;
    taker.wantsSince = this.now + (restMs ?? betweenMs);
    taker.next = { at: taker.wantsSince, does: "ask" };
    if (!taker.isOpen) turns.done(slot, kernelMs, this.now);
    if (restMs !== undefined) turns.rest(slot, this.now);
  }
}
