/**
 * What cuDNN loads onto the device beside the slice: code of its own, which comes with the first use of everything and whose size nobody tells before. So there
 * is room for it first, from the lease's allowance and then from what is free at the slice's end, as for modules; what it has not taken goes back.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { formatSizeRounded } from "../../../shared/units.ts";
import type { CudaContext } from "./context.ts";
import type { SliceSize } from "./slice-size.ts";

const MiB = 1024 * 1024;

/** What one step may take: more than the code of any one engine. */
export const LOADING_BYTES_MAX = 64 * MiB;

export interface LoadingOptions {
  readonly size: SliceSize;
  /** As SliceOptions. */
  readonly longWork: <T>(work: () => T) => T;
  /** As ModulesOptions. */
  readonly owedBytes: () => number;
}

export class DnnLoading {
  readonly #context: CudaContext;
  readonly #options: LoadingOptions;

  constructor(context: CudaContext, options: LoadingOptions) {
    this.#context = context;
    this.#options = options;
  }

  /**
   * Does what may load code. Without `mayReserve` it takes nothing of the slice's end.
   * @throws SluiceError OUT_OF_MEMORY where there is no room, and then nothing is done
   */
  load<T>(work: () => T, mayReserve: boolean): T | Promise<T> {
    const { size, owedBytes } = this.#options;
    const wanted = LOADING_BYTES_MAX + owedBytes();
    if (wanted <= size.local.outside.leftBytes) return this.#measured(work);
    if (!mayReserve) throw noRoom();
    return this.#loadFromSlice(work, wanted);
  }

  async #loadFromSlice<T>(work: () => T, wanted: number): Promise<T> {
    const { size, owedBytes } = this.#options;
    const { module: result, givenBytes } = await size.loadModule(wanted, (isThere) => {
      if (!isThere) throw noRoom();
      return this.#measured(work);
    });
    await size.takeFromModules(Math.max(0, Math.min(givenBytes, size.local.outside.leftBytes - owedBytes())));
    return result;
  }

  /** What others take of the device meanwhile counts as the lease's; what they give back may hide some of it. */
  #measured<T>(work: () => T): T {
    const { size, longWork } = this.#options;
    const { outside } = size.local;
    const before = this.#freeBytes();
    try {
      return longWork(work);
    } finally {
      const taken = Math.max(0, before - this.#freeBytes());
      outside.take(Math.min(taken, outside.leftBytes));
    }
  }

  #freeBytes(): number {
    this.#context.enterToRelease();
    const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    // A context that is lost tells nothing, and takes nothing any more.
    this.#context.api.cuMemGetInfo_v2(free, total);
    return Number(free[0]);
  }
}

const noRoom = (): SluiceError =>
  new SluiceError(
    "OUT_OF_MEMORY",
    `cuDNN may load [${formatSizeRounded(LOADING_BYTES_MAX)}] of code now, for which the lease has no room beside its slice and free at the slice's end.`,
  );
