/**
 * A thread beside the event loop, for the time in which that stands still: it shows the client of a driver that compiles that its connection is
 * alive, and ends an executor that hangs inside a driver, since nobody else could notice. The daemon sees the death, ends the lease, and tries the
 * devices before they are lent again.
 */
import { Worker } from "node:worker_threads";
import { LIVENESS_INTERVAL_MS } from "../../shared/limits.ts";

/** Beside the time that a call may take: a crowded machine delays the beats. */
const MARGIN_MS = 2_000;
const BEAT_MS_MAX = 1_000;
const BEAT_MS_MIN = 20;
/** Of a limit that is never reached. */
const NEVER_MS = 2 ** 31 - 1;

/** Words that both threads know. */
const Word = { BEATS: 0, LIMIT: 1, SIGN: 2, FD: 3, FRAME_BYTES: 4, FRAME: 5 } as const;
const WORDS = 16;
/** What becomes of a sign of life: there is none to give, it may be given, it is being given. */
const Sign = { NONE: 0, READY: 1, LEAVES: 2 } as const;

/**
 * Sleeps from beat to beat, a part of the limit at a time, so that a process that was stopped as a whole and goes on does not take its own sleep
 * for a hang. Plain JavaScript, since threads start from text or from a file of their own.
 */
const watch = `
const { workerData: { memory, livenessMs } } = require("node:worker_threads");
const { writeSync } = require("node:fs");
const words = new Int32Array(memory);
const frame = new Uint8Array(memory, ${4 * Word.FRAME});
const pause = new Int32Array(new SharedArrayBuffer(4));
function showLife() {
  if (Atomics.compareExchange(words, ${Word.SIGN}, ${Sign.READY}, ${Sign.LEAVES}) !== ${Sign.READY}) return;
  const fd = words[${Word.FD}], byteCount = words[${Word.FRAME_BYTES}];
  for (let sent = 0; sent < byteCount; ) {
    try {
      sent += writeSync(fd, frame, sent, byteCount - sent);
    } catch (error) {
      if (sent === 0 || error.code !== "EAGAIN") break;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
  Atomics.store(words, ${Word.SIGN}, ${Sign.READY});
  Atomics.notify(words, ${Word.SIGN});
}
let silentMs = 0;
for (let seen = 0; ; seen = Atomics.load(words, ${Word.BEATS})) {
  const limitMs = Atomics.load(words, ${Word.LIMIT});
  const partMs = Math.min(limitMs / 2, livenessMs);
  silentMs = Atomics.wait(words, ${Word.BEATS}, seen, partMs) === "timed-out" ? silentMs + partMs : 0;
  if (silentMs > 0) showLife();
  if (silentMs < limitMs) continue;
  try {
    writeSync(2, "An executor [" + process.pid + "] hangs in a driver for more than [" + limitMs + "] ms, and is killed.\\n");
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}
`;

/** A frame that may be sent at any time, and the connection that takes it whole. */
export interface LifeSign {
  readonly fd: number;
  readonly frame: Uint8Array;
}

export interface WatchdogOptions {
  /** As `limitCalls`. Default: never. */
  readonly callMsMax?: number;
  /** How often a sign of life is given. Default LIVENESS_INTERVAL_MS. */
  readonly livenessMs?: number;
}

export interface LongWork<T> {
  /** How long the event loop may be held up, where that is longer than a call may take. */
  readonly workMsMax: number;
  /** Given now and then until the work is done, or has returned a promise; nobody else may write there meanwhile. */
  readonly sign?: LifeSign | undefined;
  readonly work: () => T;
}

export class Watchdog {
  #limitMs = 0;
  readonly #livenessMs: number;
  #beats: NodeJS.Timeout | undefined;
  readonly #memory = new SharedArrayBuffer(4 * WORDS);
  readonly #words = new Int32Array(this.#memory);

  constructor({ callMsMax = 0, livenessMs = LIVENESS_INTERVAL_MS }: WatchdogOptions = {}) {
    this.#livenessMs = livenessMs;
    this.limitCalls(callMsMax);
    new Worker(watch, { eval: true, workerData: { memory: this.#memory, livenessMs }, execArgv: [] }).unref();
  }

  /** From now on the process is killed once its event loop stands still for longer than a call may take, in milliseconds. 0: never. */
  limitCalls(callMsMax: number): void {
    const limitMs = callMsMax === 0 ? NEVER_MS : callMsMax + MARGIN_MS;
    if (limitMs === this.#limitMs) return;
    this.#limitMs = limitMs;
    const beatMs = Math.min(BEAT_MS_MAX, Math.max(BEAT_MS_MIN, this.#limitMs / 8), this.#livenessMs / 2);
    clearInterval(this.#beats);
    this.#beats = setInterval(() => this.#beat(), beatMs).unref();
    this.#limit(this.#limitMs);
  }

  /** Does work, with a promise or without, that may hold up the event loop for longer than a call may. */
  allow<T>({ workMsMax, sign, work }: LongWork<T>): T {
    this.#limit(Math.max(this.#limitMs, workMsMax + MARGIN_MS));
    if (sign !== undefined) this.#ready(sign);
    let result: T | undefined;
    try {
      result = work();
      return result instanceof Promise ? (result.finally(() => this.#limit(this.#limitMs)) as T) : result;
    } finally {
      if (sign !== undefined) this.#withdraw();
      if (!(result instanceof Promise)) this.#limit(this.#limitMs);
    }
  }

  #beat(): void {
    Atomics.add(this.#words, Word.BEATS, 1);
    Atomics.notify(this.#words, Word.BEATS);
  }

  #limit(milliseconds: number): void {
    Atomics.store(this.#words, Word.LIMIT, milliseconds);
    this.#beat();
  }

  #ready({ fd, frame }: LifeSign): void {
    this.#words[Word.FD] = fd;
    this.#words[Word.FRAME_BYTES] = frame.byteLength;
    new Uint8Array(this.#memory, 4 * Word.FRAME).set(frame);
    Atomics.store(this.#words, Word.SIGN, Sign.READY);
  }

  /** Waits for one that is just being given. */
  #withdraw(): void {
    while (Atomics.compareExchange(this.#words, Word.SIGN, Sign.READY, Sign.NONE) === Sign.LEAVES) {
      Atomics.wait(this.#words, Word.SIGN, Sign.LEAVES, BEAT_MS_MAX);
    }
  }
}
