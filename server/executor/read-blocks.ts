/**
 * A session's memory for what is read from devices: a block belongs to its answer until the client has it, and is then used again. As many blocks as
 * a large copy takes lie in one piece, which a device may page-lock; where many small answers need more, the others are ordinary.
 */
import { ANSWER_BACKLOG_BYTES_MAX, CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { MemoryPool } from "../../shared/wire/memory-pool.ts";

/** Page-locking takes milliseconds, and spares each MiB some 0.1. */
const LOCKING_PAYS_BYTES = 16 * 1024 * 1024;

export class ReadBlocks {
  readonly #others = new MemoryPool({ blockBytes: CALL_DATA_BYTES_MAX, keptBytesMax: ANSWER_BACKLOG_BYTES_MAX });
  readonly #own = new WeakSet<ArrayBufferLike>();
  #piece: ArrayBuffer | undefined;
  /** Offsets of its blocks that are free. */
  readonly #free: number[] = [];
  #bytesTaken = 0;

  /** Memory of this size, at most CALL_DATA_BYTES_MAX. */
  take(byteCount: number): Uint8Array<ArrayBuffer> {
    this.#piece ??= this.#make();
    this.#bytesTaken += byteCount;
    const at = this.#free.pop();
    if (at !== undefined) return new Uint8Array(this.#piece, at, byteCount);
    const block = this.#others.take();
    this.#own.add(block.buffer);
    return block.subarray(0, byteCount);
  }

  /** Whether a block lies in the piece, and so much was read that it pays to have a device reach that by itself. */
  isWorthLocking({ buffer }: Uint8Array): boolean {
    return buffer === this.#piece && this.#bytesTaken >= LOCKING_PAYS_BYTES;
  }

  /** Whether memory is a block, which nobody writes to while it is in use. */
  readonly has = ({ buffer }: Uint8Array): boolean => this.#own.has(buffer);

  /** Gives memory back to which nothing refers any more; what is from elsewhere is left alone. */
  readonly give = ({ buffer, byteOffset }: Uint8Array): void => {
    if (buffer === this.#piece) this.#free.push(byteOffset);
    else if (buffer instanceof ArrayBuffer && this.#own.has(buffer)) this.#others.give(new Uint8Array(buffer));
  };

  /** What is not used, the system gives no memory. */
  #make(): ArrayBuffer {
    const made = new ArrayBuffer(ANSWER_BACKLOG_BYTES_MAX);
    this.#own.add(made);
    for (let at = made.byteLength - CALL_DATA_BYTES_MAX; at >= 0; at -= CALL_DATA_BYTES_MAX) this.#free.push(at);
    return made;
  }
}
