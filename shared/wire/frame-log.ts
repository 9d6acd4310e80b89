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

/** A frame that is kept. */
export interface KeptFrame {
  readonly mark: number;
  byteCount: number;
  /** Where it lies, when it is whole in one block, as small frames nearly always are: no lists are made for those. */
  readonly block: Block | undefined;
  readonly start: number;
  /** Else its pieces, and the blocks that they are in. */
  readonly pieces: Uint8Array[];
  readonly blocks: Block[];
  readonly adopted: Uint8Array | undefined;
  /** The one of its pieces that is another's memory. */
  lent: Uint8Array | undefined;
}

/** The bytes of a frame that is kept, behind the first `from`, in pieces, which stay as they are until it is released. */
export function piecesOf({ block, start, byteCount, pieces }: KeptFrame, from = 0): readonly Uint8Array[] {
  if (block !== undefined) return [block.bytes.subarray(start + from, start + byteCount)];
  if (from === 0) return pieces;
  const rest: Uint8Array[] = [];
  let at = 0;
  for (const piece of pieces) {
    if (at + piece.byteLength > from) rest.push(piece.subarray(Math.max(0, from - at)));
    at += piece.byteLength;
  }
  return rest;
}

const noPieces: Uint8Array[] = [];
const noBlocks: Block[] = [];
/** Stands where a frame was that is released. */
const released: KeptFrame = {
  mark: 0,
  byteCount: 0,
  block: undefined,
  start: 0,
  pieces: noPieces,
  blocks: noBlocks,
  adopted: undefined,
  lent: undefined,
};

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
  /**
   * What becomes of `bulk`. Copied, by default, it is the caller's again at once. Lent, it stays as it is until it is released or
   * `keepLent` has copied it; adopted, until it is released.
   */
  readonly use?: "copy" | "lend" | "adopt";
}

export class FrameLog {
  readonly #options: FrameLogOptions;
  readonly #pool: MemoryPool;
  #kept: KeptFrame[] = [];
  /** Entries of `#kept` that are released already. */
  #head = 0;
  #block: Block | undefined;
  #used = 0;
  #byteCount = 0;
  /** Frames with memory that is lent. */
  readonly #lent = new Set<KeptFrame>();

  constructor(options: FrameLogOptions) {
    this.#options = options;
    this.#pool = new MemoryPool({ blockBytes: BLOCK_BYTES, keptBytesMax: options.freeBytesMax });
  }

  /** Bytes of the frames kept. */
  get byteLength(): number {
    return this.#byteCount;
  }

  /** Whether memory is lent to frames that are kept. */
  get borrows(): boolean {
    return this.#lent.size > 0;
  }

  /** Copies what is lent, which is the lender's again when this returns. */
  keepLent(): void {
    for (const kept of this.#lent) {
      const { pieces, lent } = kept;
      const copies: Uint8Array[] = [];
      this.#copy(kept, lent!, copies);
      pieces.splice(pieces.indexOf(lent!), 1, ...copies);
      kept.lent = undefined;
    }
    this.#lent.clear();
  }

  /** Keeps a frame. */
  append(head: Uint8Array, entry: FrameLogEntry): KeptFrame {
    const kept = this.#appendWhole(head, entry) ?? this.#appendInPieces(head, entry);
    this.#byteCount += kept.byteCount;
    this.#kept.push(kept);
    return kept;
  }

  #appendWhole(head: Uint8Array, { mark, bulk }: FrameLogEntry): KeptFrame | undefined {
    const block = this.#block;
    const start = this.#used;
    const byteCount = head.length;
    if (bulk !== undefined || block === undefined || byteCount > BLOCK_BYTES - start) return undefined;
    block.bytes.set(head, start);
    block.frames++;
    this.#used += byteCount;
    return { mark, byteCount, block, start, pieces: noPieces, blocks: noBlocks, adopted: undefined, lent: undefined };
  }

  #appendInPieces(head: Uint8Array, { mark, bulk, use = "copy" }: FrameLogEntry): KeptFrame {
    const pieces: Uint8Array[] = [];
    const kept: KeptFrame = {
      mark,
      byteCount: head.byteLength + padTo8(bulk?.byteLength ?? 0),
      block: undefined,
      start: 0,
      pieces,
      blocks: [],
      adopted: use === "adopt" ? bulk : undefined,
      lent: use === "lend" ? bulk : undefined,
    };
    this.#copy(kept, head, pieces);
    if (bulk === undefined) return kept;
    if (use === "copy") this.#copy(kept, bulk, pieces);
    else pieces.push(bulk);
    if (use === "lend") this.#lent.add(kept);
    const padding = padTo8(bulk.byteLength) - bulk.byteLength;
    if (padding > 0) this.#copy(kept, zeros.subarray(0, padding), pieces);
    return kept;
  }

  /** Forgets the frames with this mark and below. */
  releaseUpTo(mark: number): void {
    for (
      let entry = this.#kept[this.#head];
      entry !== undefined && entry.mark <= mark;
      entry = this.#kept[this.#head]
    ) {
      this.#kept[this.#head++] = released;
      this.#release(entry);
    }
    // Not whenever it is empty: an array that shrinks and grows with every frame costs more than the frame.
    if (this.#head > 256 && this.#head * 2 > this.#kept.length) {
      this.#kept.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** All that is kept, in order. */
  *entries(): IterableIterator<{
    readonly mark: number;
    readonly pieces: readonly Uint8Array[];
    readonly kept: KeptFrame;
  }> {
    for (let index = this.#head; index < this.#kept.length; index++) {
      const kept = this.#kept[index]!;
      yield { mark: kept.mark, pieces: piecesOf(kept), kept };
    }
  }

  /** Lets go of the memory that is free. */
  trim(): void {
    this.#pool.clear();
    if (this.#block?.frames === 0) this.#block = undefined;
  }

  /** Copies bytes of a frame into blocks, and adds to `pieces` where they lie. */
  #copy(entry: KeptFrame, bytes: Uint8Array, pieces: Uint8Array[]): void {
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
      const last = pieces.at(-1);
      // What lies behind one another is one piece: one write.
      if (last?.buffer === block.bytes.buffer && last.byteOffset + last.byteLength === start) {
        pieces[pieces.length - 1] = block.bytes.subarray(last.byteOffset, this.#used);
      } else pieces.push(block.bytes.subarray(start, this.#used));
    }
  }

  #begin(): void {
    this.#block = { bytes: this.#pool.take(), frames: 0 };
    this.#used = 0;
  }

  #release(entry: KeptFrame): void {
    this.#byteCount -= entry.byteCount;
    if (entry.block !== undefined) this.#leave(entry.block);
    else for (const block of entry.blocks) this.#leave(block);
    if (entry.adopted !== undefined) this.#options.onReleased?.(entry.adopted);
    if (entry.lent !== undefined) this.#lent.delete(entry);
  }

  #leave(block: Block): void {
    if (--block.frames > 0) return;
    // The memory written last is the memory in the processor's cache.
    if (block === this.#block) this.#used = 0;
    else this.#pool.give(block.bytes);
  }
}
