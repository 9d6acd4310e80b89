/**
 * The allocator of one slice: it hands out ranges of the arena on the client, so that allocating costs no round trip. It knows
 * numbers only; telling the server (`allocate`, `free`) is its caller's.
 *
 * Best fit, lowest address first, in O(log n): free blocks stand in a treap ordered by size and address, and every block knows its
 * neighbours by address, so that free ones are joined at once.
 */
import { SluiceError } from "../shared/errors.ts";
import { formatSize } from "../shared/units.ts";
import { shown } from "./shown.ts";

/** What CUDA promises for every allocation. */
const ALIGNMENT_BYTES = 256;

interface Block {
  readonly start: number;
  bytes: number;
  free: boolean;
  /** Neighbours by address. */
  before: Block | undefined;
  after: Block | undefined;
  /** Place in the treap, while free. */
  readonly priority: number;
  left: Block | undefined;
  right: Block | undefined;
}

export class Arena {
  readonly #base: number;
  /** Without what is kept at the end. */
  #usableBytes: number;
  #keptBytes = 0;
  /** How many hold the last block, as far as it is free, for nobody: it is not in the treap then. */
  #holds = 0;
  /** The block with the highest addresses; undefined when the arena is empty of bytes. */
  #last: Block | undefined;
  readonly #alignment: number;
  readonly #allocated = new Map<number, Block>();
  #root: Block | undefined;
  #freeBytes: number;
  /** Shapes the treap only: a fixed sequence is as good as any. */
  #randomState = 1;

  constructor(options: { readonly base: number; readonly totalBytes: number; readonly granularityBytes: number }) {
    this.#base = options.base;
    this.#usableBytes = options.totalBytes;
    this.#alignment = Math.max(ALIGNMENT_BYTES, options.granularityBytes);
    this.#freeBytes = options.totalBytes;
    this.#last = this.#block(options.base, options.totalBytes);
    this.#insert(this.#last);
  }

  get totalBytes(): number {
    return this.#usableBytes + this.#keptBytes;
  }

  /** At the end, for nobody. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Bytes up to the end of the last allocation: what the arena can not shrink below. */
  get usedBytes(): number {
    const last = this.#last;
    if (last === undefined) return 0;
    return (last.free ? last.start : last.start + last.bytes) - this.#base;
  }

  /** Adds bytes at the end; fewer than there are, or as many, change nothing. */
  grow(totalBytes: number): void {
    const more = totalBytes - this.totalBytes;
    if (more <= 0) return;
    const end = this.#base + this.#usableBytes;
    this.#usableBytes += more;
    this.#freeBytes += more;
    const last = this.#last;
    if (last?.free) {
      this.#remove(last);
      last.bytes += more;
      this.#insert(last);
      return;
    }
    const fresh = this.#block(end, more);
    fresh.before = last;
    if (last !== undefined) last.after = fresh;
    this.#last = fresh;
    this.#insert(fresh);
  }

  /** Takes bytes away from the end. @throws SluiceError BAD_ARGUMENT below what is in use. */
  shrink(totalBytes: number): void {
    const less = this.totalBytes - totalBytes;
    if (less <= 0) return;
    const used = this.usedBytes;
    if (used > this.#usableBytes - less) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `Buffers use [${formatSize(used)}] of the slice, more than the new size [${formatSize(totalBytes)}].`,
      );
    }
    const last = this.#last!;
    this.#remove(last);
    this.#usableBytes -= less;
    this.#freeBytes -= less;
    last.bytes -= less;
    if (last.bytes > 0) this.#insert(last);
    else {
      this.#last = last.before;
      if (last.before !== undefined) last.before.after = undefined;
    }
  }

  /** Until `leaveEnd` nothing is allocated behind the last allocation that there is now. Several may hold it. */
  holdEnd(): void {
    const last = this.#last;
    if (last?.free) this.#remove(last);
    this.#holds++;
  }

  leaveEnd(): void {
    this.#holds--;
    const last = this.#last;
    if (last?.free) this.#insert(last);
  }

  /** Keeps so much at the end for nobody, instead of what it kept before. @throws SluiceError BAD_ARGUMENT where some of it is in use. */
  keepEnd(byteCount: number): void {
    const { totalBytes } = this;
    const before = this.#keptBytes;
    this.#keptBytes = 0;
    this.grow(totalBytes);
    try {
      this.shrink(totalBytes - byteCount);
    } catch (error) {
      this.shrink(totalBytes - before);
      this.#keptBytes = before;
      throw error;
    }
    this.#keptBytes = byteCount;
  }

  /** Bytes that no allocation uses. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Size of the largest allocation that would succeed now. */
  get largestFreeBytes(): number {
    let block = this.#root;
    while (block?.right !== undefined) block = block.right;
    return block?.bytes ?? 0;
  }

  /** Live allocations. */
  get allocations(): number {
    return this.#allocated.size;
  }

  /** @throws SluiceError OUT_OF_MEMORY, BAD_ARGUMENT for a size that is not a whole number above 0. */
  allocate(byteCount: number): number {
    if (!Number.isSafeInteger(byteCount) || byteCount < 1) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `A buffer has a whole number of bytes, 1 or more, and [${shown(byteCount)}] is not.`,
      );
    }
    const block = this.#fit(byteCount);
    if (block === undefined) throw this.#outOfMemory(byteCount);
    this.#root = removed(this.#root, block);
    block.free = false;
    const rounded = Math.ceil(byteCount / this.#alignment) * this.#alignment;
    if (block.bytes > rounded) this.#split(block, rounded);
    this.#allocated.set(block.start, block);
    this.#freeBytes -= block.bytes;
    return block.start;
  }

  /** `address` is one that `allocate` returned and that was not freed since. */
  free(address: number): void {
    const block = this.#allocated.get(address);
    if (block === undefined) throw new Error(`There is no allocation at [0x${address.toString(16)}].`);
    this.#allocated.delete(address);
    this.#freeBytes += block.bytes;
    const first = block.before?.free ? block.before : block;
    if (first !== block) {
      this.#remove(first);
      this.#join(first, block);
    }
    if (first.after?.free) {
      this.#remove(first.after);
      this.#join(first, first.after);
    }
    this.#insert(first);
  }

  #split(block: Block, byteCount: number): void {
    const rest = this.#block(block.start + byteCount, block.bytes - byteCount);
    rest.before = block;
    rest.after = block.after;
    if (rest.after !== undefined) rest.after.before = rest;
    else this.#last = rest;
    block.after = rest;
    block.bytes = byteCount;
    this.#insert(rest);
  }

  /** Appends `next`, which follows `block` by address. */
  #join(block: Block, next: Block): void {
    block.bytes += next.bytes;
    block.after = next.after;
    if (next.after !== undefined) next.after.before = block;
    else this.#last = block;
  }

  #block(start: number, bytes: number): Block {
    this.#randomState = (Math.imul(this.#randomState, 1_664_525) + 1_013_904_223) >>> 0;
    const priority = this.#randomState;
    return {
      start,
      bytes,
      free: true,
      before: undefined,
      after: undefined,
      priority,
      left: undefined,
      right: undefined,
    };
  }

  #insert(block: Block): void {
    block.free = true;
    block.left = undefined;
    block.right = undefined;
    if (!this.#isHeld(block)) this.#root = inserted(this.#root, block);
  }

  #remove(block: Block): void {
    if (!this.#isHeld(block)) this.#root = removed(this.#root, block);
  }

  #isHeld(block: Block): boolean {
    return this.#holds > 0 && block === this.#last;
  }

  /** The smallest block that holds `byteCount`; among equals the one with the lowest address. */
  #fit(byteCount: number): Block | undefined {
    let best: Block | undefined;
    let block = this.#root;
    while (block !== undefined) {
      if (block.bytes >= byteCount) {
        best = block;
        block = block.left;
      } else block = block.right;
    }
    return best;
  }

  #outOfMemory(byteCount: number): SluiceError {
    const { largestFreeBytes } = this;
    const pieces = largestFreeBytes < this.#freeBytes ? `, in one piece at most [${formatSize(largestFreeBytes)}]` : "";
    const held =
      this.#holds > 0
        ? ", and what lies behind the last buffer is not there until a program is loaded or a stack set"
        : "";
    return new SluiceError(
      "OUT_OF_MEMORY",
      `A buffer of [${formatSize(byteCount)}] does not fit: of the slice of [${formatSize(this.totalBytes)}], ` +
        `[${formatSize(this.#freeBytes)}] are free${pieces}${held}.`,
    );
  }
}

const isBefore = (a: Block, b: Block): boolean => a.bytes < b.bytes || (a.bytes === b.bytes && a.start < b.start);

function inserted(root: Block | undefined, block: Block): Block {
  if (root === undefined) return block;
  if (block.priority > root.priority) {
    [block.left, block.right] = split(root, block);
    return block;
  }
  if (isBefore(block, root)) root.left = inserted(root.left, block);
  else root.right = inserted(root.right, block);
  return root;
}

function removed(root: Block | undefined, block: Block): Block | undefined {
  if (root === undefined) throw new Error("A free block is missing in the treap.");
  if (root === block) return merged(block.left, block.right);
  if (isBefore(block, root)) root.left = removed(root.left, block);
  else root.right = removed(root.right, block);
  return root;
}

/** The blocks before `key` and those behind it. */
function split(root: Block | undefined, key: Block): [Block | undefined, Block | undefined] {
  if (root === undefined) return [undefined, undefined];
  if (isBefore(root, key)) {
    const [left, right] = split(root.right, key);
    root.right = left;
    return [root, right];
  }
  const [left, right] = split(root.left, key);
  root.left = right;
  return [left, root];
}

/** All of `left` is before all of `right`. */
function merged(left: Block | undefined, right: Block | undefined): Block | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  if (left.priority > right.priority) {
    left.right = merged(left.right, right);
    return left;
  }
  right.left = merged(left, right.left);
  return right;
}
