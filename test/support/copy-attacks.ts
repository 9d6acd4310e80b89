/**
 * A program of its own in which copies are made together while something is done to the helpers, which would not be good for a process of tests: the
 * first argument says what, the second is the library of test/interposer/unit/faulty-memory.c. Prints `ok`.
 */
import { strict as assert } from "node:assert";
import { writeSync } from "node:fs";
import { stat } from "node:fs/promises";
import { createRequire, syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import workerThreads from "node:worker_threads";

const KiB = 1024;
const CHUNK_BYTES = 128 * KiB;
const BYTES = 8 * CHUNK_BYTES;
const HELPERS = 3;
const dies = 0;
const stalls = 1;
const RLIMIT_NPROC = 6;
const RLIMIT_AS = 9;

const [, , attack, library] = process.argv;
const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");

/** Those that were started, and what the last one shares. */
const workers: workerThreads.Worker[] = [];
let memory = new SharedArrayBuffer(0);
class Spy extends workerThreads.Worker {
  constructor(code: string, options: workerThreads.WorkerOptions) {
    super(code, options);
    workers.push(this);
    memory = (options.workerData as { memory: SharedArrayBuffer }).memory;
  }
}
Object.assign(workerThreads, { Worker: Spy });
Object.assign(os, { availableParallelism: () => 64 });
syncBuiltinESMExports();
const { copyTogether, startHelpers } = await import("../../client/copy-helpers.ts");

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

function fill(bytes: Uint8Array, seed: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index ^ seed, 0x9e3779b1);
}

function copyOnce(seed: number): number {
  const [to, from] = [new Uint8Array(BYTES), new Uint8Array(BYTES)];
  fill(from, seed);
  const helped = copyTogether(to, from);
  assert(same(to, from));
  return helped;
}

/** Soft and hard. */
type Limit = readonly [bigint, bigint];
const UNLIMITED = 2n ** 64n - 1n;
const [get, set] = ["getrlimit", "setrlimit"].map((name) => koffi.load(null).func(name, "int", ["int", "void *"]));

function setLimit(what: number, [soft, hard]: Limit): void {
  assert.equal(set!(what, BigUint64Array.of(soft, hard)), 0);
}

function limitOf(what: number): Limit {
  const limit = new BigUint64Array(2);
  assert.equal(get!(what, limit), 0);
  return [limit[0]!, limit[1]!];
}

async function few(): Promise<void> {
  const variable = "SLUICE_AWAKE";
  process.env[variable] = "never";
  startHelpers();
  process.env[variable] = "always";
  const addresses = limitOf(RLIMIT_AS);
  setLimit(RLIMIT_AS, [2n ** 46n, addresses[1]]);
  startHelpers();
  assert.equal(workers.length, 0);
  assert.equal(copyOnce(1), 0);
  setLimit(RLIMIT_AS, addresses);
  startHelpers();
  assert.equal(workers.length, addresses[0] === UNLIMITED ? HELPERS : 0);
}

async function refused(): Promise<void> {
  // So that there are the threads that Node makes once it needs them.
  await stat("/");
  if (process.getuid!() === 0) process.setuid!(65_534);
  setLimit(RLIMIT_NPROC, [0n, 0n]);
  startHelpers(HELPERS);
  assert.equal(workers.length, 0);
  for (let seed = 0; seed < 20; seed++) assert.equal(copyOnce(seed), 0);
}

async function gone(): Promise<void> {
  const faulty = koffi.load(library!);
  const allocate = faulty.func("faulty_allocate", "uint64_t", ["size_t"]);
  const make = faulty.func("faulty_make", "void", ["uint64_t", "size_t", "size_t"]);
  const meet = faulty.func("faulty_meet_helpers", "void", ["int"]);
  const met = faulty.func("faulty_met", "int", []);
  const address = BigInt(allocate(BYTES));
  const [to, from] = [new Uint8Array(BYTES), new Uint8Array(koffi.view(address, BYTES))];
  startHelpers(HELPERS);
  while (copyOnce(1) === 0) await sleep(1);
  // More than there are numbers of copies before they begin anew.
  for (let seed = 0; seed < 80; seed++) copyOnce(seed);
  const words = new Int32Array(memory);
  const copyUntilMet = async (count: number): Promise<void> => {
    for (let seed = 0; met() < count; seed++) {
      await sleep(1);
      fill(from, seed);
      make(address, BYTES, CHUNK_BYTES);
      const [ticket] = words;
      copyTogether(to, from);
      // Whoever still has a ticket of one copy in mind takes no chunk of the next.
      assert.notEqual(words[0], ticket);
      assert(same(to, from));
    }
  };
  meet(stalls);
  await copyUntilMet(1);
  // Nobody writes there any more, however late.
  to.fill(0);
  await sleep(50);
  assert(to.every((byte) => byte === 0));
  // One ends as Node has it, the others in the middle of a chunk.
  assert.equal(workers.length, HELPERS);
  await workers[0]!.terminate();
  meet(dies);
  await copyUntilMet(HELPERS - 1);
  for (let seed = 0; seed < 20; seed++) assert.equal(copyOnce(seed), 0);
}

await { few, refused, gone }[attack as "few" | "refused" | "gone"]();
writeSync(1, "ok\n");
// Node would wait for threads that the system does not have any more.
process.kill(process.pid, "SIGKILL");
