/** Reductions on surfaces, atomic among all threads of a grid; where they are and that the place is aligned is the caller's to check. */

/** In the order of their numbers. */
export const reductions = ["add", "min", "max", "and", "or"] as const;
export type Reduction = (typeof reductions)[number];

/** Bits of a reduction's number beside the operation's, which are the lowest three. */
export const ReductionFlag = { OPERATION: 7, IS_SIGNED: 8, IS_LONG: 16, IS_TEXEL: 32, BOUNDARY_SHIFT: 6 } as const;

type Words = Int32Array<ArrayBufferLike> | Uint32Array<ArrayBufferLike>;
type LongWords = BigInt64Array<ArrayBufferLike> | BigUint64Array<ArrayBufferLike>;

export class Reducer {
  readonly #words: readonly [unsigned: Words, signed: Words];
  readonly #longs: readonly [unsigned: LongWords, signed: LongWords];

  constructor(memory: ArrayBufferLike) {
    this.#words = [new Uint32Array(memory), new Int32Array(memory)];
    const whole = memory.byteLength - (memory.byteLength % 8);
    this.#longs = [new BigUint64Array(memory, 0, whole / 8), new BigInt64Array(memory, 0, whole / 8)];
  }

  /** On the number at a byte, with the one at another. */
  reduce(flags: number, at: number, operandAt: number): void {
    const operation = reductions[flags & ReductionFlag.OPERATION]!;
    const sign = (flags & ReductionFlag.IS_SIGNED) === 0 ? 0 : 1;
    if ((flags & ReductionFlag.IS_LONG) !== 0) {
      const words = this.#longs[sign]!;
      reduceLong(operation, words, at / 8, words[operandAt / 8]!);
    } else {
      const words = this.#words[sign]!;
      reduceWord(operation, words, at / 4, words[operandAt / 4]!);
    }
  }
}

function reduceWord(operation: Reduction, words: Words, index: number, operand: number): void {
  if (operation === "add") Atomics.add(words, index, operand);
  else if (operation === "and") Atomics.and(words, index, operand);
  else if (operation === "or") Atomics.or(words, index, operand);
  else {
    for (let old = Atomics.load(words, index); operation === "min" ? operand < old : operand > old; ) {
      const seen = Atomics.compareExchange(words, index, old, operand);
      if (seen === old) return;
      old = seen;
    }
  }
}

function reduceLong(operation: Reduction, words: LongWords, index: number, operand: bigint): void {
  if (operation === "add") Atomics.add(words, index, operand);
  else if (operation === "and") Atomics.and(words, index, operand);
  else if (operation === "or") Atomics.or(words, index, operand);
  else {
    for (let old = Atomics.load(words, index); operation === "min" ? operand < old : operand > old; ) {
      const seen = Atomics.compareExchange(words, index, old, operand);
      if (seen === old) return;
      old = seen;
    }
  }
}
