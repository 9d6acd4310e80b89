/** Blocks of memory that are used again: touching fresh memory costs more than copying into it. */

export class MemoryPool {
  readonly #blockBytes: number;
  readonly #keptBytesMax: number;
  #free: Uint8Array<ArrayBuffer>[] = [];

  constructor(options: {
    /** Size of each block. */
    readonly blockBytes: number;
    /** Blocks given back beyond this are left to the garbage collector. */
    readonly keptBytesMax: number;
  }) {
    this.#blockBytes = options.blockBytes;
    this.#keptBytesMax = options.keptBytesMax;
  }

  /** A block with anything in it. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#free.pop() ?? new Uint8Array(this.#blockBytes);
  }

  /** Gives a block back that nothing refers to any more. */
  give(block: Uint8Array<ArrayBuffer>): void {
    if ((this.#free.length + 1) * this.#blockBytes <= this.#keptBytesMax) this.#free.push(block);
  }

  /** Lets go of the blocks that are not in use. */
  clear(): void {
    this.#free = [];
  }
}
