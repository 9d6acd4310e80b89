/**
 * The heap on which kernels allocate by `malloc` and `new`: a range of the arena that the client has given for it. All that the heap knows lies
 * in that range, where a kernel may overwrite it; so whatever is read there is checked before it is followed, and nothing outside is touched.
 *
 * Two-level segregated fit: lists of free blocks by size, eight to each power of two, and bits that say which have any. Blocks know their
 * neighbours, so that free ones are joined at once. Sizes and places are counted in units of 16 bytes, places from the heap's start.
 */

/** CUDA aligns what kernels allocate so. */
const UNIT_BYTES = 16;
const WORDS = UNIT_BYTES / 4;

/** Powers of two, in units; a heap has less than 2^28 of them. */
const LEVELS = 26;
const LISTS_PER_LEVEL = 8;

/** Words at the start: which levels have a list that is not empty, which lists of each level are not, and the first block of each list. */
const LEVEL_BITS = 0;
const LIST_BITS = 1;
const FIRST = LIST_BITS + LEVELS;
const HEADER_UNITS = Math.ceil((FIRST + LEVELS * LISTS_PER_LEVEL) / WORDS);

/** Words of a block. The two last are of a block that is free. */
const Block = { UNITS: 0, BEFORE: 1, MARK: 2, NEXT: 4, PREVIOUS: 5 } as const;

/** A block is at least its header and the two words by which a free one stands in its list. */
const BLOCK_UNITS_MIN = 2;

/** Marks of blocks, mixed with their places: what does not begin with one was never allocated here. */
const LIVE = 0x6d61_6c6c;
const FREE = 0x6672_6565;

/** Blocks of the wanted size's own list that are looked at when no larger one is free. */
const TRIES_MAX = 32;

export const HEAP_BYTES_MIN = (HEADER_UNITS + BLOCK_UNITS_MIN + 1) * UNIT_BYTES;

/** What a kernel frees was not allocated, or it has overwritten what the heap needs. */
export class HeapFault extends Error {}

/** Places of a heap in a memory: bytes, multiples of 16. */
export interface HeapRange {
  readonly offset: number;
  readonly byteCount: number;
}

export class Heap {
  readonly #words: Int32Array<ArrayBufferLike>;
  readonly #units: number;

  constructor(memory: ArrayBufferLike, { offset, byteCount }: HeapRange) {
    this.#units = Math.floor(byteCount / UNIT_BYTES);
    this.#words = new Int32Array(memory, offset, this.#units * WORDS);
  }

  /** Makes it one free block. */
  format(): void {
    this.#words.fill(0, 0, HEADER_UNITS * WORDS);
    // A block of no size that is never free ends the last one's search for a neighbour.
    const end = this.#units - 1;
    const first = HEADER_UNITS;
    this.#write(end, { units: 1, before: end - first, mark: LIVE });
    this.#write(first, { units: end - first, before: 0, mark: FREE });
    this.#insert(first);
  }

  /** Offset of `byteCount` bytes from the heap's start, a multiple of `alignment` (a power of two); 0 where there is no room. */
  allocate(byteCount: number, alignment = UNIT_BYTES): number {
    const slack = alignment > UNIT_BYTES ? alignment / UNIT_BYTES + BLOCK_UNITS_MIN : 0;
    const units = Math.max(BLOCK_UNITS_MIN, Math.ceil(byteCount / UNIT_BYTES) + 1);
    if (!(units + slack < this.#units)) return 0;
    let block = this.#find(units + slack);
    if (block === 0) return 0;
    this.#remove(block);
    if (slack > 0) block = this.#cutFront(block, alignment / UNIT_BYTES);
    this.#cutEnd(block, units);
    this.#setMark(block, LIVE);
    return (block + 1) * UNIT_BYTES;
  }

  /** Gives back what `allocate` gave. @throws HeapFault */
  free(offset: number): void {
    if (offset % UNIT_BYTES !== 0) throw new HeapFault();
    let block = offset / UNIT_BYTES - 1;
    this.#require(block, LIVE);
    const after = block + this.#unitsOf(block);
    if (after < this.#units - 1 && this.#isFree(after)) {
      this.#remove(after);
      this.#join(block, after);
    }
    const distance = this.#words[block * WORDS + Block.BEFORE]!;
    const before = block - distance;
    if (distance > 0 && this.#isInside(before) && this.#isFree(before)) {
      this.#remove(before);
      this.#join(before, block);
      block = before;
    }
    this.#setMark(block, FREE);
    this.#insert(block);
  }

  #write(block: number, { units, before, mark }: { units: number; before: number; mark: number }): void {
    this.#words[block * WORDS + Block.UNITS] = units;
    this.#words[block * WORDS + Block.BEFORE] = before;
    this.#setMark(block, mark);
  }

  #setMark(block: number, mark: number): void {
    this.#words[block * WORDS + Block.MARK] = mark ^ block;
  }

  #isInside(block: number): boolean {
    return block >= HEADER_UNITS && block < this.#units - 1;
  }

  #isFree(block: number): boolean {
    return this.#words[block * WORDS + Block.MARK] === (FREE ^ block);
  }

  /** A block that is where one can be and says what it should. */
  #require(block: number, mark: number): void {
    if (!this.#isInside(block) || this.#words[block * WORDS + Block.MARK] !== (mark ^ block)) throw new HeapFault();
    this.#unitsOf(block);
  }

  #unitsOf(block: number): number {
    const units = this.#words[block * WORDS]!;
    if (units < BLOCK_UNITS_MIN || block + units > this.#units - 1) throw new HeapFault();
    return units;
  }

  /** Puts `second` to the end of `first`. */
  #join(first: number, second: number): void {
    this.#resize(first, this.#unitsOf(first) + this.#unitsOf(second));
    this.#words[second * WORDS + Block.MARK] = 0;
  }

  #resize(block: number, units: number): void {
    this.#words[block * WORDS] = units;
    this.#words[(block + units) * WORDS + Block.BEFORE] = units;
  }

  /** Leaves a block so many units, and makes what is behind them a free block where that is worth one. */
  #cutEnd(block: number, units: number): void {
    const rest = this.#unitsOf(block) - units;
    if (rest < BLOCK_UNITS_MIN) return;
    this.#resize(block, units);
    this.#release(block + units, { units: rest, before: units });
  }

  /** Frees the front of a block so that what its header precedes is aligned, counted from the memory's start; returns the block then. */
  #cutFront(block: number, alignment: number): number {
    const start = this.#words.byteOffset / UNIT_BYTES;
    let aligned = Math.ceil((start + block + 1) / alignment) * alignment - start - 1;
    if (aligned === block) return block;
    if (aligned - block < BLOCK_UNITS_MIN) aligned += alignment;
    const units = this.#unitsOf(block);
    const before = this.#words[block * WORDS + Block.BEFORE]!;
    this.#write(aligned, { units: units - (aligned - block), before: aligned - block, mark: LIVE });
    this.#resize(aligned, units - (aligned - block));
    this.#release(block, { units: aligned - block, before });
    return aligned;
  }

  #release(block: number, { units, before }: { units: number; before: number }): void {
    this.#write(block, { units, before, mark: FREE });
    this.#resize(block, units);
    this.#insert(block);
  }

  /** A free block of at least so many units; 0 for none. */
  #find(units: number): number {
    const words = this.#words;
    const own = listOf(units);
    const first = words[FIRST + own]!;
    if (first !== 0) {
      this.#require(first, FREE);
      if (this.#unitsOf(first) >= units) return first;
    }
    // Every block of the lists above is large enough.
    let level = own >>> 3;
    let lists = words[LIST_BITS + level]! & (-2 << (own & 7)) & 0xff;
    if (lists === 0) {
      const levels = words[LEVEL_BITS]! & (-2 << level) & (2 ** LEVELS - 1);
      if (levels === 0) return this.#findAmong(first, units);
      level = lowestBit(levels);
      lists = words[LIST_BITS + level]! & 0xff;
      if (lists === 0) throw new HeapFault();
    }
    return this.#checked(words[FIRST + level * LISTS_PER_LEVEL + lowestBit(lists)]!, units);
  }

  #findAmong(first: number, units: number): number {
    let block = first;
    for (let tries = 0; block !== 0 && tries < TRIES_MAX; tries++) {
      this.#require(block, FREE);
      if (this.#unitsOf(block) >= units) return block;
      block = this.#words[block * WORDS + Block.NEXT]!;
    }
    return 0;
  }

  #checked(block: number, units: number): number {
    this.#require(block, FREE);
    if (this.#unitsOf(block) < units) throw new HeapFault();
    return block;
  }

  #insert(block: number): void {
    const words = this.#words;
    const list = listOf(this.#unitsOf(block));
    const next = words[FIRST + list]!;
    words[block * WORDS + Block.NEXT] = next;
    words[block * WORDS + Block.PREVIOUS] = 0;
    if (next !== 0) {
      this.#require(next, FREE);
      words[next * WORDS + Block.PREVIOUS] = block;
    }
    words[FIRST + list] = block;
    words[LIST_BITS + (list >>> 3)]! |= 1 << (list & 7);
    words[LEVEL_BITS]! |= 1 << (list >>> 3);
  }

  #remove(block: number): void {
    const words = this.#words;
    const list = listOf(this.#unitsOf(block));
    const next = words[block * WORDS + Block.NEXT]!;
    const previous = words[block * WORDS + Block.PREVIOUS]!;
    if (next !== 0) {
      this.#require(next, FREE);
      words[next * WORDS + Block.PREVIOUS] = previous;
    }
    if (previous !== 0) {
      this.#require(previous, FREE);
      words[previous * WORDS + Block.NEXT] = next;
      return;
    }
    words[FIRST + list] = next;
    if (next !== 0) return;
    const level = list >>> 3;
    words[LIST_BITS + level]! &= ~(1 << (list & 7));
    if ((words[LIST_BITS + level]! & 0xff) === 0) words[LEVEL_BITS]! &= ~(1 << level);
  }
}

const lowestBit = (bits: number): number => 31 - Math.clz32(bits & -bits);

/** The list of a size: eight to each power of two from eight units on, one for each size below. */
function listOf(units: number): number {
  if (units < LISTS_PER_LEVEL) return units;
  const power = 31 - Math.clz32(units);
  return (power - 2) * LISTS_PER_LEVEL + ((units >>> (power - 3)) & 7);
}

/** A lock in a word that all workers share: 0 free, 1 held, 2 held and waited for. */
export function locked<Result>(words: Int32Array<ArrayBufferLike>, at: number, work: () => Result): Result {
  if (Atomics.compareExchange(words, at, 0, 1) !== 0) {
    while (Atomics.exchange(words, at, 2) !== 0) Atomics.wait(words, at, 2);
  }
  try {
    return work();
  } finally {
    if (Atomics.exchange(words, at, 0) === 2) Atomics.notify(words, at, 1);
  }
}
