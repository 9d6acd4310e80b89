/**
 * What a lease takes of a device beside its slice: the context itself, and what programs bring along outside the arena (their code, their
 * variables, the local memory of their threads). Both are charged to the lease; the second is bounded by refusing what would exceed it, or for
 * modules and local memory by what the slice can spare.
 */
import { SluiceError } from "../../../shared/errors.ts";

const MiB = 1024 * 1024;

/** What modules, the local memory of kernels' threads, the heap of kernels, streams, the workspace of products and libraries may take together beyond the context: a share of each lease's charge. */
export const outsideBytesMax = 256 * MiB;

/**
 * A CUDA context before any is measured on this machine: contexts of recent drivers take 300 to 550 MiB, and on an H100 another 150 with modules that
 * print, allocate or recurse; a probe of the device gives the true figure of a card and driver.
 */
export const contextBytesEstimate = 512 * MiB;

/** What the driver may take of the device for a stream: 32 of them took 16 MiB of an H100. */
const streamBytes = 512 * 1024;

/** As many as PyTorch makes when it makes the first. */
const streamsExpected = 128;

/** One account of memory outside an arena, whatever it goes to. */
export class Allowance {
  #leftBytes: number;

  constructor(byteCount: number) {
    this.#leftBytes = Math.max(0, byteCount);
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** False, and nothing is taken, where there is not so much left. */
  take(byteCount: number): boolean {
    if (byteCount > this.#leftBytes) return false;
    this.#leftBytes -= byteCount;
    return true;
  }

  give(byteCount: number): void {
    this.#leftBytes += byteCount;
  }
}

/** What streams are paid from: the driver is taken to keep what so many have had at a time. */
export class StreamFees {
  readonly #outside: Allowance;
  /** Streams at a time. */
  #paid = 0;

  constructor(outside: Allowance) {
    this.#outside = outside;
  }

  /** What a program is likely to need for them yet. */
  get owedBytes(): number {
    return Math.max(0, streamsExpected - this.#paid) * streamBytes;
  }

  /** To be called before there are so many. @throws SluiceError OUT_OF_MEMORY */
  pay(count: number): void {
    if (count <= this.#paid) return;
    if (!this.#outside.take(streamBytes)) {
      const beyond = `a stream beyond [${this.#paid}] takes of that`;
      const message = `What the lease has of the device outside the slice is in use, and ${beyond}.`;
      throw new SluiceError("OUT_OF_MEMORY", message);
    }
    this.#paid = count;
  }
}

/** The charge per lease for a context of a size, in whole granules. */
export const overheadOf = (contextBytes: number, granularityBytes: number): number =>
  Math.ceil((contextBytes + outsideBytesMax) / granularityBytes) * granularityBytes;
