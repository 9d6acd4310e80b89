/**
 * What a library loads onto the device beside the slice: code of its own, and tables of its plans, which come with the first use of everything and whose size nobody tells before. So there
 * is room for it first, from the lease's allowance and then from what is free at the slice's end, as for modules; what it has not taken goes back.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { formatSizeRounded } from "../../../shared/units.ts";
import type { MemoryInUse } from "./memory-in-use.ts";
import type { SliceSize } from "./slice-size.ts";

const MiB = 1024 * 1024;

/** What one step may take: more than the code of any one engine. */
export const LOADING_BYTES_MAX = 64 * MiB;

export interface LoadingOptions {
  readonly inUse: MemoryInUse;
  readonly size: SliceSize;
  /** As SliceOptions. */
  readonly longWork: <T>(work: () => T) => T;
  /** As ModulesOptions. */
  readonly owedBytes: () => number;
}

export class LibraryLoading {
  /** The library's. */
  readonly #name: string;
  readonly #options: LoadingOptions;

  constructor(name: string, options: LoadingOptions) {
    this.#name = name;
    this.#options = options;
  }

  /**
   * Does what may load code; `taken` hears how much that took of the device. Without `mayReserve` it takes nothing of the slice's end.
   * @throws SluiceError OUT_OF_MEMORY where there is no room, and then nothing is done
   */
  load<T>(
    work: () => T,
    { mayReserve, taken }: { mayReserve: boolean; taken?: (byteCount: number) => void },
  ): T | Promise<T> {
    const { size, owedBytes } = this.#options;
    const wanted = LOADING_BYTES_MAX + owedBytes();
    if (wanted <= size.local.outside.leftBytes) return this.#measured(work, taken);
    if (!mayReserve) throw this.#noRoom();
    return this.#loadFromSlice(work, { wanted, taken });
  }

  /** Has the library give back what it has taken for something, at most so much. */
  unload(work: () => void, takenBytes: number): void {
    if (takenBytes === 0) {
      work();
      return;
    }
    const { inUse, size } = this.#options;
    const before = inUse.now();
    work();
    const given = Math.max(0, -inUse.since(before));
    size.local.outside.give(Math.min(given, takenBytes));
  }

  async #loadFromSlice<T>(
    work: () => T,
    { wanted, taken }: { wanted: number; taken: ((byteCount: number) => void) | undefined },
  ): Promise<T> {
    const { size, owedBytes } = this.#options;
    const { module: result, givenBytes } = await size.loadModule(wanted, (isThere) => {
      if (!isThere) throw this.#noRoom();
      return this.#measured(work, taken);
    });
    await size.takeFromModules(Math.max(0, Math.min(givenBytes, size.local.outside.leftBytes - owedBytes())));
    return result;
  }

  #measured<T>(work: () => T, told?: (byteCount: number) => void): T {
    const { inUse, size, longWork } = this.#options;
    const { outside } = size.local;
    const before = inUse.now();
    try {
      return longWork(work);
    } finally {
      const taken = Math.min(Math.max(0, inUse.since(before)), outside.leftBytes);
      outside.take(taken);
      told?.(taken);
    }
  }

  #noRoom(): SluiceError {
    const { size, owedBytes } = this.#options;
    const [needed, left, owed, free] = [
      LOADING_BYTES_MAX,
      size.local.outside.leftBytes,
      owedBytes(),
      size.freeBytes(),
    ].map((byteCount) => `[${formatSizeRounded(byteCount)}]`);
    return new SluiceError(
      "OUT_OF_MEMORY",
      `${this.#name} may load ${needed} of code now, for which the lease has no room: beside its slice ${left} are left, of which ${owed} are for streams and products, and of the slice ${free} are free.`,
    );
  }
}
