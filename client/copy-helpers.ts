/**
 * Threads that copy large pieces of memory together with this one: a processor alone copies slower than a device fetches. A copy is cut into chunks,
 * and whoever is free takes the next, so a helper that sleeps, or has no processor, is waited for by nobody. A copy is over when `copyTogether`
 * returns.
 */
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { usableCores } from "./cores.ts";

const CHUNK_BYTES = 128 * 1024;
/** Below this, telling the others takes as long. */
const TOGETHER_BYTES_MIN = 4 * CHUNK_BYTES;

/** How long a helper looks for more before it sleeps: longer than from one piece of a copy to the next. */
const AWAKE_MS = 0.2;

/**
 * What all share. TICKET is the number of the copy, times 256, and its chunks that nobody has taken: taking one is to count it down, which fails if
 * anything has changed since what is below was read. DONE counts the copy's chunks that are copied, ASLEEP the helpers that must be woken.
 */
const TICKET = 0;
const DONE = 1;
const ASLEEP = 2;
const WORDS = 3;
/** In numbers of 64 bits behind the words: where the copy goes, where it comes from, and how long it is. */
const JOB_AT = 64;

const helper = `
const { workerData } = require("node:worker_threads");
const { memory, koffi } = workerData;
const copy = require(koffi).load(null).func("memcpy", "uint64_t", ["uint64_t", "uint64_t", "uint64_t"]);
const words = new Int32Array(memory, 0, ${WORDS});
const job = new Float64Array(memory, ${JOB_AT}, 3);
for (let idleSince = performance.now(); ; ) {
  const ticket = Atomics.load(words, ${TICKET});
  if ((ticket & 255) > 0) {
    const to = job[0], from = job[1], byteCount = job[2];
    if (Atomics.compareExchange(words, ${TICKET}, ticket, ticket - 1) !== ticket) continue;
    const at = ((ticket & 255) - 1) * ${CHUNK_BYTES};
    copy(to + at, from + at, Math.min(${CHUNK_BYTES}, byteCount - at));
    Atomics.add(words, ${DONE}, 1);
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

/** A few processors reach the memory's own rate, and the program and the server have work for the others. */
const HELPERS_MAX = 3;
const CORES_PER_HELPER = 4;

const helperCount = (): number => Math.min(HELPERS_MAX, Math.floor(usableCores() / CORES_PER_HELPER));

interface Helpers {
  readonly words: Int32Array;
  readonly job: Float64Array;
  readonly addressOf: (view: Uint8Array) => number;
}

let helpers: Helpers | undefined;
let isAsked = false;
let copies = 0;

/** Has helpers start, once in a program, where there are processors for them. They keep no program alive. */
export function startHelpers(count = helperCount()): void {
  if (isAsked || count === 0) return;
  isAsked = true;
  const require = createRequire(import.meta.url);
  const { address } = require("koffi") as typeof import("koffi");
  const memory = new SharedArrayBuffer(JOB_AT + 24);
  const workerData = { memory, koffi: require.resolve("koffi") };
  for (let index = 0; index < count; index++) {
    // With nothing of the environment, so that what NODE_OPTIONS has every program load is not loaded here.
    const worker = new Worker(helper, { eval: true, workerData, execArgv: [], env: {}, resourceLimits });
    // One that cannot start is missed by nobody.
    worker.on("error", () => {});
    worker.unref();
  }
  const addressOf = (view: Uint8Array): number => Number(address(view));
  helpers = { words: new Int32Array(memory, 0, WORDS), job: new Float64Array(memory, JOB_AT, 3), addressOf };
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
  Atomics.store(words, DONE, 0);
  // Never the number of the copy before, nor any that a helper may still have in mind.
  copies = (copies + 1) & 0x7f_ffff;
  Atomics.store(words, TICKET, copies * 256 + chunks);
  if (Atomics.load(words, ASLEEP) > 0) Atomics.notify(words, TICKET);
  let own = 0;
  for (let ticket = Atomics.load(words, TICKET); (ticket & 255) > 0; ticket = Atomics.load(words, TICKET)) {
    if (Atomics.compareExchange(words, TICKET, ticket, ticket - 1) !== ticket) continue;
    const at = ((ticket & 255) - 1) * CHUNK_BYTES;
    to.set(from.subarray(at, at + CHUNK_BYTES), at);
    own++;
  }
  // What is left is being copied.
  while (Atomics.load(words, DONE) < chunks - own);
  return chunks - own;
}
