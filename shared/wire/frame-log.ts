/**
 * Frames that the peer may ask for once more, because the connection broke: kept from when they are sent until they are acknowledged.
 * They lie one behind the other in pooled blocks, so that they take the memory that they have and a block more. Knows no connection.
 */
import { MemoryPool } from "./memory-pool.ts";
import { padTo8 } from "./wire-buffer.ts";

const BLOCK_BYTES = 1024 * 1024;

const zeros = new Uint8Array(8);

interface Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Kept frames that have bytes in it. */
  frames: number;
}

interface Kept {
  readonly mark: number;
  readonly pieces: Uint8Array[];
  readonly blocks: Block[];
  readonly adopted: Uint8Array | undefined;
  byteCount: number;
}

export interface FrameLogOptions {
  /** Memory of released frames that is kept for later ones. */
  readonly freeBytesMax: number;
  /** Gets memory back that was adopted, once nothing refers to it any more. */
  readonly onReleased?: (adopted: Uint8Array) => void;
}

/** What of a frame is not in its head. */
export interface FrameLogEntry {
  /** Counts upwards; what the peer acknowledges frames by. */
  readonly mark: number;
  /** Data behind the head, padded to 8 on the wire. */
  readonly bulk?: Uint8Array | undefined;
  /** Whether `bulk` is kept as it is, and must not change until it is released, or is copied. */
  readonly adopts: boolean;
}

export class FrameLog {
  readonly #options: FrameLogOptions;
  readonly #pool: MemoryPool;
  #kept: Kept[] = [];
  /** Entries of `#kept` that are released already. */
  #head = 0;
  #block: Block | undefined;
  #used = 0;
  #byteCount = 0;

  constructor(options: FrameLogOptions) {
    this.#options = options;
    this.#pool = new MemoryPool({ blockBytes: BLOCK_BYTES, keptBytesMax: options.freeBytesMax });
  }

  /** Bytes of the frames kept. */
  get byteLength(): number {
    return this.#byteCount;
  }

  /** Keeps a frame; returns its bytes in pieces, which stay as they are until the frame is released. */
  append(head: Uint8Array, { mark, bulk, adopts }: FrameLogEntry): readonly Uint8Array[] {
    const adopted = adopts ? bulk : undefined;
    const entry: Kept = { mark, pieces: [], blocks: [], adopted, byteCount: 0 };
    this.#copy(entry, head);
    if (bulk !== undefined) {
      if (adopted === undefined) this.#copy(entry, bulk);
      else {
        entry.pieces.push(adopted);
        entry.byteCount += adopted.byteLength;
      }
      const padding = padTo8(bulk.byteLength) - bulk.byteLength;
      if (padding > 0) this.#copy(entry, zeros.subarray(0, padding));
    }
    this.#byteCount += entry.byteCount;
    this.#kept.push(entry);
    return entry.pieces;
  }

  /** Forgets the frames with this mark and below. */
  releaseUpTo(mark: number): void {
    for (
      let entry = this.#kept[this.#head];
      entry !== undefined && entry.mark <= mark;
      entry = this.#kept[this.#head]
    ) {
      this.#head++;
      this.#release(entry);
    }
    if (this.#head === this.#kept.length) {
      this.#kept.length = 0;
      this.#head = 0;
    } else if (this.#head > 256 && this.#head * 2 > this.#kept.length) {
      this.#kept.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** All that is kept, in order. */
  *entries(): IterableIterator<{ readonly mark: number; readonly pieces: readonly Uint8Array[] }> {
    for (let index = this.#head; index < this.#kept.length; index++) yield this.#kept[index]!;
  }

  /** Lets go of the memory that is free. */
  trim(): void {
    this.#pool.clear();
    if (this.#block?.frames === 0) this.#block = undefined;
  }

  #copy(entry: Kept, bytes: Uint8Array): void {
    entry.byteCount += bytes.byteLength;
    for (let at = 0; at < bytes.byteLength; ) {
      if (this.#block === undefined || this.#used === BLOCK_BYTES) this.#begin();
      const block = this.#block!;
      const start = this.#used;
      const taken = Math.min(bytes.byteLength - at, BLOCK_BYTES - start);
      block.bytes.set(taken === bytes.byteLength ? bytes : bytes.subarray(at, at + taken), start);
      this.#used += taken;
      at += taken;
      if (entry.blocks.at(-1) !== block) {
        entry.blocks.push(block);
        block.frames++;
      }
      const last = entry.pieces.at(-1);
      // What lies behind one another is one piece: one write.
      if (last?.buffer === block.bytes.buffer && last.byteOffset + last.byteLength === start) {
        entry.pieces[entry.pieces.length - 1] = block.bytes.subarray(last.byteOffset, this.#used);
      } else entry.pieces.push(block.bytes.subarray(start, this.#used));
    }
  }

  #begin(): void {
    this.#block = { bytes: this.#pool.take(), frames: 0 };
    this.#used = 0;
  }

  #release(entry: Kept): void {
    this.#byteCount -= entry.byteCount;
    for (const block of entry.blocks) {
      if (--block.frames > 0) continue;
      // The memory written last is the memory in the processor's cache.
      if (block === this.#block) this.#used = 0;
      else this.#pool.give(block.bytes);
    }
    if (entry.adopted !== undefined) this.#options.onReleased?.(entry.adopted);
  }
}
