/** Reductions on surfaces, atomic among all threads of a grid; where they are and that the place is aligned is the caller's to check. */

/** In the order of their numbers. */
export const reductions = ["add", "min", "max", "and", "or"] as const;
type Reduction = (typeof reductions)[number];

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
      reduceBy<LongWords, bigint>(Atomics, { operation, words, index: at / 8, operand: words[operandAt / 8]! });
    } else {
      const words = this.#words[sign]!;
      reduceBy<Words, number>(Atomics, { operation, words, index: at / 4, operand: words[operandAt / 4]! });
    }
  }
}

/** What of `Atomics` works on numbers of one kind. */
interface AtomicsOn<Words, Value> {
  add(words: Words, index: number, value: Value): Value;
  and(words: Words, index: number, value: Value): Value;
  or(words: Words, index: number, value: Value): Value;
  load(words: Words, index: number): Value;
  compareExchange(words: Words, index: number, expected: Value, value: Value): Value;
}

interface Step<Words, Value> {
  readonly operation: Reduction;
  readonly words: Words;
  readonly index: number;
  readonly operand: Value;
}

function reduceBy<Words, Value extends number | bigint>(
  atomics: AtomicsOn<Words, Value>,
  { operation, words, index, operand }: Step<Words, Value>,
): void {
  if (operation === "add") atomics.add(words, index, operand);
  else if (operation === "and") atomics.and(words, index, operand);
  else if (operation === "or") atomics.or(words, index, operand);
  else {
    for (let old = atomics.load(words, index); operation === "min" ? operand < old : operand > old; ) {
      const seen = atomics.compareExchange(words, index, old, operand);
      if (seen === old) return;
      old = seen;
    }
  }
}
