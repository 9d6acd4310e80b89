/**
 * Threads that copy large pieces of memory together with this one: a processor alone copies slower than a device fetches. A copy is cut into chunks,
 * and whoever is free takes the next, so a helper that sleeps, or has no processor, is waited for by nobody. A copy is over when `copyTogether`
 * returns.
 */
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { usableCores } from "./cores.ts";

const CHUNK_BYTES = 128 * 1024;
/** Below this, telling the others takes as long. */
const TOGETHER_BYTES_MIN = 4 * CHUNK_BYTES;

/** A few processors reach the memory's own rate, and the program and the server have work for the others. */
const HELPERS_MAX = 3;
const CORES_PER_HELPER = 4;

/** How long a helper looks for more before it sleeps: longer than from one piece of a copy to the next. And how long one is waited for likewise. */
const AWAKE_MS = 0.2;
/** A helper that is waited for longer than that has no processor, or is gone: it is looked after from time to time. */
const PAUSE_MS = 0.05;
/** One that has not loaded its library by then never will. */
const LOADING_MS_MAX = 1_000;

/**
 * What all share. TICKET is the number of the copy, times 256, and its chunks that nobody has taken: taking one is to count it down, which fails if
 * anything has changed since what is below was read. ASLEEP counts the helpers that must be woken.
 */
const TICKET = 0;
/** The numbers begin where they soon begin anew, so that this is nothing rare. */
const FIRST_TICKET = -0x4000;
const ASLEEP = 1;
/** Of each helper: the ticket by which it takes a chunk, or has taken it, until that is copied; else 0. */
const TAKEN = 2;
/** Of each helper: the system's number of its thread, from when it has loaded what it copies by. */
const THREAD = TAKEN + HELPERS_MAX;
const WORDS = THREAD + HELPERS_MAX;
/** Of one that could not start. */
const NO_THREAD = -1;
/** In numbers of 64 bits behind the words: where the copy goes, where it comes from, and how long it is. */
const JOB_AT = 64;

const helper = `
const { readlinkSync } = require("node:fs");
const { workerData } = require("node:worker_threads");
const { memory, koffi, index } = workerData;
const copy = require(koffi).load(null).func("memcpy", "uint64_t", ["uint64_t", "uint64_t", "uint64_t"]);
const words = new Int32Array(memory, 0, ${WORDS});
const job = new Float64Array(memory, ${JOB_AT}, 3);
Atomics.store(words, ${THREAD} + index, Number(readlinkSync("/proc/thread-self").split("/").at(-1)));
for (let idleSince = performance.now(); ; ) {
  const ticket = Atomics.load(words, ${TICKET});
  if ((ticket & 255) > 0) {
    const to = job[0], from = job[1], byteCount = job[2];
    const at = ((ticket & 255) - 1) * ${CHUNK_BYTES};
    Atomics.store(words, ${TAKEN} + index, ticket);
    if (Atomics.compareExchange(words, ${TICKET}, ticket, ticket - 1) === ticket)
      copy(to + at, from + at, Math.min(${CHUNK_BYTES}, byteCount - at));
    Atomics.store(words, ${TAKEN} + index, 0);
    idleSince = performance.now();
  } else {
    for (let look = 0; look < 200 && Atomics.load(words, ${TICKET}) === ticket; look++);
    if (performance.now() - idleSince < ${AWAKE_MS}) continue;
    Atomics.add(words, ${ASLEEP}, 1);
    Atomics.wait(words, ${TICKET}, ticket);
    Atomics.sub(words, ${ASLEEP}, 1);
    idleSince = performance.now();
  }
}`;

/** They hold nothing but the few lines above. */
const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 };

function helperCount(): number {
  const count = Math.min(HELPERS_MAX, Math.floor(usableCores() / CORES_PER_HELPER));
  return count > 0 && hasAddresses() ? count : 0;
}

/** A thread of Node's reserves some 300 MiB of addresses, and where there are none left the whole program ends. */
function hasAddresses(): boolean {
  try {
    return /^Max address space +unlimited/m.test(readFileSync("/proc/self/limits", "latin1"));
  } catch {
    return false;
  }
}

interface Helpers {
  readonly words: Int32Array;
  readonly job: Float64Array;
  readonly addressOf: (view: Uint8Array) => number;
}

let helpers: Helpers | undefined;
let isAsked = false;

/** Has helpers start, once in a program, where there are processors for them. They keep no program alive, which ends when they have loaded. */
export function startHelpers(count = helperCount()): void {
  if (isAsked || count === 0) return;
  isAsked = true;
  const require = createRequire(import.meta.url);
  const { address } = require("koffi") as typeof import("koffi");
  const memory = new SharedArrayBuffer(JOB_AT + 24);
  const addressOf = (view: Uint8Array): number => Number(address(view));
  const words = new Int32Array(memory, 0, WORDS);
  words[TICKET] = FIRST_TICKET;
  helpers = { words, job: new Float64Array(memory, JOB_AT, 3), addressOf };
  for (let index = 0; index < count; index++) {
    const missed = (): void => void Atomics.store(words, THREAD + index, NO_THREAD);
    startHelper({ memory, koffi: require.resolve("koffi"), index }, missed);
  }
  process.once("exit", () => awaitLoaded(words, count));
}

/** A thread that is ended while it loads a native library, or is about to return from it, may take the whole process with it by SIGABRT. */
function awaitLoaded(words: Int32Array, count: number): void {
  const deadline = performance.now() + LOADING_MS_MAX;
  const isBusy = (index: number): boolean => words[THREAD + index] === 0 || words[TAKEN + index] !== 0;
  for (let index = 0; index < count; index++) {
    while (isBusy(index) && performance.now() < deadline) Atomics.wait(words, THREAD + index, 0, 1);
  }
}

/** One that cannot start does nothing but say so. */
function startHelper(
  workerData: { memory: SharedArrayBuffer; koffi: string; index: number },
  onFailed: () => void,
): void {
  try {
    // With nothing of the environment, so that what NODE_OPTIONS has every program load is not loaded here.
    const worker = new Worker(helper, { eval: true, workerData, execArgv: [], env: {}, resourceLimits });
    worker.on("error", onFailed);
    worker.unref();
  } catch {
    // The system lets this process have no more threads.
    onFailed();
  }
}

/** Copies `from` to the start of `to`; returns how many chunks others have copied. */
export function copyTogether(to: Uint8Array, from: Uint8Array): number {
  const { byteLength } = from;
  const chunks = Math.ceil(byteLength / CHUNK_BYTES);
  const areKnown =
    to.buffer instanceof ArrayBuffer && from.buffer instanceof ArrayBuffer && to.byteLength >= byteLength;
  if (helpers === undefined || !areKnown || byteLength < TOGETHER_BYTES_MIN || chunks > 255) {
    to.set(from);
    return 0;
  }
  const { words, job, addressOf } = helpers;
  job[0] = addressOf(to);
  job[1] = addressOf(from);
  job[2] = byteLength;
  // Another number than that of the copy before, or any that a helper may still have in mind.
  const first = ((Atomics.load(words, TICKET) | 255) + 1 + chunks) | 0;
  Atomics.store(words, TICKET, first);
  if (Atomics.load(words, ASLEEP) > 0) Atomics.notify(words, TICKET);
  let own = 0;
  for (let ticket = first; (ticket & 255) > 0; ticket = Atomics.load(words, TICKET)) {
    if (Atomics.compareExchange(words, TICKET, ticket, ticket - 1) !== ticket) continue;
    copyChunk(to, from, ticket);
    own++;
  }
  for (let index = 0; index < HELPERS_MAX; index++) {
    const left = waitForHelper(words, index, first);
    if (left === 0) continue;
    copyChunk(to, from, left);
    own++;
  }
  return chunks - own;
}

function copyChunk(to: Uint8Array, from: Uint8Array, ticket: number): void {
  const at = ((ticket & 255) - 1) * CHUNK_BYTES;
  to.set(from.subarray(at, at + CHUNK_BYTES), at);
}

/**
 * Waits until a helper has copied what it has taken of the copy that began with a ticket. Returns 0, or the ticket of a chunk that a helper has left which
 * is gone: while it lives it may write there at any time.
 */
function waitForHelper(words: Int32Array, index: number, first: number): number {
  for (let until = 0; ; ) {
    const taken = Atomics.load(words, TAKEN + index);
    if (taken === 0 || (taken ^ first) >> 8 !== 0) return 0;
    const now = performance.now();
    until ||= now + AWAKE_MS;
    if (now < until) continue;
    Atomics.wait(words, TAKEN + index, taken, PAUSE_MS);
    if (isGone(Atomics.load(words, THREAD + index))) return Atomics.exchange(words, TAKEN + index, 0);
  }
}

/** Whether the system says that there is no such thread of this process; a system that says nothing of threads does not. */
function isGone(thread: number): boolean {
  const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
  try {
    return !isThere(`/proc/self/task/${thread}`) && isThere("/proc/self/task");
  } catch {
    return false;
  }
}
