/**
 * The memory over which executors take turns on a device (turns.ts): a file of the state directory, made by the daemon, mapped by each of its
 * leases' executors, and outliving all of them. Whoever waits sleeps on a word of it (futex), so that it is woken by another process in microseconds.
 */
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SluiceError, wordsOf } from "../../shared/errors.ts";
import koffi from "../device/native.ts";
import { makeFolder } from "../folder.ts";
import { identityOf, isThere } from "../process-identity.ts";
import { mapShared, prepareMappings } from "./shared-mapping.ts";
import { type ComputePolicy, POLICY_AT, policyWord, TURN_PAGE_BYTES, type TurnOwner } from "./turns.ts";

const FOLDER = "turns";
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
/** Number of the system call; other machines look again and again. */
const futexCalls: Readonly<Record<string, number>> = { x64: 202, arm64: 98 };
const POLL_MS = 1;
const NS_PER_MS = 1e6;

/** What the daemon's others must know of turns. */
export interface TurnFiles {
  readonly turnFileOf: (deviceId: string) => string;
  /** Whether what is promised is held. */
  readonly holdsCompute: boolean;
}

/**
 * In the daemon: sees to it that each device has its file, and that it says the policy, from now on also to those who have it. Throws SluiceError
 * STORE_FAILED.
 */
export function makeTurnFiles(
  stateDirectory: string,
  devices: readonly { readonly id: string }[],
  policy: ComputePolicy,
): TurnFiles {
  const folder = join(stateDirectory, FOLDER);
  const pathOf = (deviceId: string): string => join(folder, encodeURIComponent(deviceId));
  try {
    makeFolder(folder);
    for (const { id } of devices) writePage(pathOf(id), policy);
  } catch (error) {
    throw new SluiceError("STORE_FAILED", `The folder [${folder}] fails [${wordsOf(error)}].`);
  }
  return { turnFileOf: pathOf, holdsCompute: policy !== "best-effort" };
}

/** Written in full when it is new: a file with holes would end whoever touches it on a full disk. */
function writePage(path: string, policy: ComputePolicy): void {
  const fd = openSync(path, "a+", 0o600);
  try {
    if (fstatSync(fd).size < TURN_PAGE_BYTES) writeSync(fd, new Uint8Array(TURN_PAGE_BYTES - fstatSync(fd).size));
  } finally {
    closeSync(fd);
  }
  const words = openSync(path, "r+");
  try {
    writeSync(words, Int32Array.of(policyWord(policy)), 0, 4, POLICY_AT);
  } finally {
    closeSync(words);
  }
}

const load = () =>
  koffi.load(null).func("syscall", "long", ["long", "uint64_t", "int", "int", "void *", "uint64_t", "int"]);
let loaded: ReturnType<typeof load> | undefined;

/** In an executor that waits for its lease: what the first page needs of the system. */
export function prepareTurnPages(): void {
  loaded ??= load();
  prepareMappings();
}

/** In an executor: a device's memory, until the process ends. */
export class TurnPage {
  readonly memory: ArrayBuffer;
  readonly #address: bigint;
  readonly #call: ReturnType<typeof load>;
  readonly #futex = futexCalls[process.arch];
  readonly #time = new BigInt64Array(2);
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));

  /** Throws the system's error. */
  constructor(path: string) {
    loaded ??= load();
    this.#call = loaded;
    const fd = openSync(path, "r+");
    try {
      if (fstatSync(fd).size < TURN_PAGE_BYTES) throw new Error(`the file [${path}] is too short`);
      const address = mapShared(fd, TURN_PAGE_BYTES);
      if (address === undefined) throw new Error(`the file [${path}] cannot be mapped`);
      this.#address = address;
    } finally {
      closeSync(fd);
    }
    this.memory = koffi.view(this.#address, TURN_PAGE_BYTES);
  }

  /** Sleeps with the thread, while the word is as it was seen, for so long at most. */
  sleep(word: number, { seen, ms }: { readonly seen: number; readonly ms: number }): void {
    if (this.#futex === undefined) {
      Atomics.wait(this.#pause, 0, 0, Math.min(ms, POLL_MS));
      return;
    }
    this.#time[1] = BigInt(Math.ceil(Math.min(ms, 999) * NS_PER_MS));
    this.#call(this.#futex, this.#address + BigInt(4 * word), FUTEX_WAIT, seen, this.#time, 0, 0);
  }

  /** Wakes whoever sleeps there. */
  wake(word: number): void {
    if (this.#futex === undefined) return;
    this.#call(this.#futex, this.#address + BigInt(4 * word), FUTEX_WAKE, 1, null, 0, 0);
  }
}

const STARTED_BITS = 31;

/** This process, as others know it. */
export function turnOwner(): TurnOwner {
  return { pid: process.pid, started: startedOf(identityOf(process.pid)?.startTicks) };
}

/** Whether the process that took a slot is still there. */
export function isOwnerThere({ pid, started }: TurnOwner): boolean {
  const identity = identityOf(pid);
  return identity !== undefined && startedOf(identity.startTicks) === started && isThere(identity);
}

const startedOf = (ticks = "0"): number => Number(BigInt.asUintN(STARTED_BITS, BigInt(ticks)));
