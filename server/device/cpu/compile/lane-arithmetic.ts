/**
 * Integer instructions on what is known of the lanes of a warp. What cannot be followed becomes a new unknown number: the same for the same
 * operation on the same values.
 */
import { type Instruction, type Operand, type PtxType, typeBytes, type Variable } from "../ptx/program.ts";
import { WARP_SIZE } from "../run/layout.ts";
import type { Block } from "./graph.ts";
import { boundsOf, isUniform, type LaneValue, LaneValues, stride, type Unknown } from "./lane-value.ts";
import type { WarpShape } from "./warp-shape.ts";

const LANES = Array.from({ length: WARP_SIZE }, (_, lane) => lane);

/** How many operands count, by the opcode of instructions that are followed. */
const operandCounts = new Map([
  ...["mov", "cvta", "cvt", "neg", "not", "abs", "popc", "clz"].map((base) => [base, 1] as const),
  ...["add", "sub", "mul", "shl", "shr", "and", "or", "xor", "min", "max", "div", "rem", "selp"].map(
    (base) => [base, 2] as const,
  ),
  ["mad", 3],
  ["bfe", 3],
  ["bfi", 4],
]);

type Operation = (operands: readonly LaneValue[], instruction: Instruction) => LaneValue | undefined;

/** The first power of two above a number. */
const spanOf = (mask: number): number => 2 ** Math.ceil(Math.log2(mask + 1));
const modulo = (number: number, by: number): number => ((number % by) + by) % by;
const isPower = (number: number): boolean => number > 0 && Number.isInteger(Math.log2(number));
const isWord = (number: number): boolean => number >= 0 && number < 2 ** 31;

export class LaneArithmetic {
  readonly values = new LaneValues();
  readonly #unknowns = new Map<string, Unknown>();
  /** The number of a warp along a row of threads. */
  readonly #warp = this.values.unknown({ isUniform: true, isPosition: true, min: 0, max: 31 });

  /** The threads of a row behind those of a warp. */
  readonly #beyond = this.values.unknown({ isUniform: true, min: 0, max: 992 });

  /** Whether anything hangs on where threads are. */
  readsPosition = false;
  readonly #shape: WarpShape | undefined;

  constructor(shape: WarpShape | undefined) {
    this.#shape = shape;
  }

  /** What an instruction gives, if it is integer arithmetic on values that are known; its operands but for the first. */
  result(instruction: Instruction, operands: readonly (LaneValue | undefined)[]): LaneValue | undefined {
    const { base } = instruction.mnemonic;
    const count = operandCounts.get(base);
    if (count === undefined || operands.length < count || !isInteger(instruction)) return undefined;
    const known = operands.slice(0, count).filter((each) => each !== undefined);
    if (known.length < count) return undefined;
    return this.#operations[base]?.(known, instruction) ?? this.#opaque(instruction, known);
  }

  /** An unknown by a name that tells all that it depends on. */
  named(name: string, about: Partial<Omit<Unknown, "id">>): LaneValue {
    return this.values.ofUnknown(this.namedUnknown(name, about));
  }

  namedUnknown(name: string, about: Partial<Omit<Unknown, "id">>): Unknown {
    let unknown = this.#unknowns.get(name);
    if (unknown === undefined) {
      unknown = this.values.unknown(about);
      this.#unknowns.set(name, unknown);
    }
    return unknown;
  }

  integer(value: bigint, type: PtxType | undefined): LaneValue | undefined {
    const number = Number(BigInt.asIntN(8 * Math.max(4, typeBytes[type ?? "b64"]), value));
    return Number.isSafeInteger(number) ? this.values.constant(number) : undefined;
  }

  /** Where a variable lies. Dynamic shared arrays all begin at one place. */
  place({ name, space, isDynamic }: Variable): LaneValue {
    const isPlace = space === "shared";
    return this.named(isDynamic ? "dynamic" : `variable ${space} ${name}`, { isUniform: true, isPlace, min: 0 });
  }

  special(name: string): LaneValue | undefined {
    switch (name) {
      case "%laneid":
        return this.values.ofLanes(LANES);
      case "%tid.x":
      case "%tid.y":
      case "%tid.z":
        this.readsPosition = true;
        return this.#position(name);
      case "%ntid.x":
        this.readsPosition = true;
        return this.#rowLength();
      case "%warpid":
        return this.named(name, { isUniform: true, min: 0, max: 31 });
      default:
        if (/^%n?(tid|ctaid|warpid)/.test(name)) return this.named(name, { isUniform: true, min: 0 });
        return undefined;
    }
  }

  #position(name: "%tid.x" | "%tid.y" | "%tid.z"): LaneValue | undefined {
    const { values } = this;
    if (this.#shape === undefined) return undefined;
    const { x, y } = this.#shape;
    const first = (unknown: string, factor: number) =>
      [[this.namedUnknown(unknown, { isUniform: true, isPosition: true, min: 0, max: 1023 }), factor]] as const;
    if (name === "%tid.x") {
      const numbers = LANES.map((lane) => lane % x);
      return x === WARP_SIZE ? values.ofLanes(numbers, [[this.#warp, WARP_SIZE]]) : values.ofLanes(numbers);
    }
    const rows = WARP_SIZE / x;
    if (name === "%tid.y") {
      if (y === rows)
        return values.ofLanes(
          LANES.map((lane) => Math.floor(lane / x)),
          first("row", rows),
        );
      return values.ofLanes(LANES.map((lane) => Math.floor(lane / x) % y));
    }
    return values.ofLanes(
      LANES.map((lane) => Math.floor(lane / (x * y))),
      first("plane", rows / y),
    );
  }

  /** How many threads a row has: no thread's number reaches it. */
  #rowLength(): LaneValue | undefined {
    if (this.#shape === undefined) return undefined;
    if (this.#shape.x < WARP_SIZE) return this.values.constant(this.#shape.x);
    return this.values.ofLanes(new Array<number>(WARP_SIZE).fill(WARP_SIZE), [
      [this.#warp, WARP_SIZE],
      [this.#beyond, 1],
    ]);
  }

  readonly #operations: Record<string, Operation | undefined> = {
    mov: ([value]) => value,
    cvta: ([value]) => value,
    cvt: ([value], instruction) => this.#convert(value!, instruction),
    add: ([left, right]) => this.values.add(left!, right!),
    sub: ([left, right]) => this.values.add(left!, right!, -1),
    neg: ([value]) => this.values.scale(value!, -1),
    not: ([value]) => this.#minusOne(this.values.scale(value!, -1)),
    mul: ([left, right], instruction) => this.#multiply(left!, right!, instruction),
    mad: ([left, right, addend], instruction) => {
      const product = this.#multiply(left!, right!, instruction) ?? this.#product(left!, right!);
      return isHigh(instruction) || product === undefined ? undefined : this.values.add(product, addend!);
    },
    shl: ([value, by]) => withConstant(by, (bits) => (bits < 40 ? this.values.scale(value!, 2 ** bits) : undefined)),
    shr: ([value, by]) => withConstant(by, (bits) => this.#shiftRight(value!, bits)),
    and: ([left, right]) => this.#and(left!, right!),
    or: ([left, right]) => this.#or(left!, right!),
    xor: ([left, right]) => this.#xor(left!, right!),
    min: ([left, right]) => this.#eachLane(left!, right!, Math.min),
    max: ([left, right]) => this.#eachLane(left!, right!, Math.max),
    div: ([value, by]) => withConstant(by, (divisor) => (divisor > 0 ? this.#divide(value!, divisor) : undefined)),
    rem: ([value, by]) => withConstant(by, (divisor) => (divisor > 0 ? this.#remainder(value!, divisor) : undefined)),
    bfe: ([value, at, count]) =>
      withConstant(at, (first) =>
        withConstant(count, (bits) => {
          const shifted = bits > 0 && bits < 31 ? this.#shiftRight(value!, first) : undefined;
          return shifted && this.#mask(shifted, 2 ** bits - 1);
        }),
      ),
    bfi: ([inserted, into, at, count]) =>
      withConstant(at, (first) =>
        withConstant(count, (bits) => {
          const { min, max } = boundsOf(into!);
          if (first + bits < 32 || min < 0 || max >= 2 ** first) return undefined;
          const shifted = this.values.scale(inserted!, 2 ** first);
          return shifted && this.values.add(shifted, into!);
        }),
      ),
    selp: ([left, right]) => (left === right ? left : undefined),
    abs: ([value]) => (boundsOf(value!).min >= 0 ? value : undefined),
  };

  #opaque(instruction: Instruction, operands: readonly LaneValue[]): LaneValue {
    const { base, text } = instruction.mnemonic;
    // Which of the two it takes is not known.
    if (base === "selp")
      return this.values.ofUnknown(this.values.unknown({ ...joinBounds(operands), loops: loopsOf(operands) }));
    const name = `${text} ${operands.map(({ id }) => id).join()}`;
    return this.named(name, {
      isUniform: operands.every(isUniform),
      loops: loopsOf(operands),
      ...boundsOfResult(instruction, operands),
    });
  }

  #minusOne(value: LaneValue | undefined): LaneValue | undefined {
    return value && this.values.add(value, this.values.constant(-1));
  }

  #convert(value: LaneValue, { mnemonic: { types } }: Instruction): LaneValue | undefined {
    const [to, from] = types;
    const narrow = Math.min(typeBytes[to ?? "b64"], typeBytes[from ?? "b64"]);
    if (narrow >= 4) return value;
    const { min, max } = boundsOf(value);
    const limit = 2 ** (8 * narrow - 1);
    if (min >= 0 && max < limit) return value;
    return from?.startsWith("s") || to?.startsWith("s") ? undefined : this.#mask(value, 2 * limit - 1);
  }

  #multiply(left: LaneValue, right: LaneValue, instruction: Instruction): LaneValue | undefined {
    if (isHigh(instruction)) return undefined;
    if (isConstant(right)) return this.values.scale(left, right.constant);
    return isConstant(left) ? this.values.scale(right, left.constant) : this.#product(left, right);
  }

  /** The product of two unknown numbers that all lanes have, whatever the order. */
  #product(left: LaneValue, right: LaneValue): LaneValue | undefined {
    if (!isUniform(left) || !isUniform(right)) return undefined;
    const [one, other] = left.id < right.id ? [left, right] : [right, left];
    const isPositive = boundsOf(left).min >= 0 && boundsOf(right).min >= 0;
    const min = isPositive ? boundsOf(left).min * boundsOf(right).min : -Infinity;
    return this.named(`product ${one.id},${other.id}`, { isUniform: true, loops: loopsOf([left, right]), min });
  }

  /** Lane by lane, where both are known. */
  #eachLane(left: LaneValue, right: LaneValue, operate: (a: number, b: number) => number): LaneValue | undefined {
    if (left.terms.length > 0 || right.terms.length > 0) return undefined;
    const others = this.values.lanes(right);
    return this.values.ofLanes(this.values.lanes(left).map((number, lane) => operate(number, others[lane]!)));
  }

  /** Operates on the lanes' numbers where unknown parts are multiples of `span`, which stay as they are or go. */
  #within(value: LaneValue, span: number, operate: (number: number) => number): readonly number[] | undefined {
    return stride(value) % span === 0 ? this.values.lanes(value).map(operate) : undefined;
  }

  #divide(value: LaneValue, by: number): LaneValue | undefined {
    const { min, max } = boundsOf(value);
    if (min >= 0 && max < by) return this.values.constant(0);
    const lanes = this.#within(value, by, (number) => Math.floor(number / by));
    return (
      lanes &&
      this.values.ofLanes(
        lanes,
        value.terms.map(([unknown, factor]) => [unknown, factor / by]),
      )
    );
  }

  #shiftRight(value: LaneValue, by: number): LaneValue | undefined {
    return by >= 0 && by < 40 ? this.#divide(value, 2 ** by) : undefined;
  }

  #remainder(value: LaneValue, by: number): LaneValue | undefined {
    const { min, max } = boundsOf(value);
    if (min >= 0 && max < by) return value;
    const lanes = this.#within(value, by, (number) => modulo(number, by));
    return lanes && this.values.ofLanes(lanes);
  }

  #and(left: LaneValue, right: LaneValue): LaneValue | undefined {
    if (isConstant(right)) return this.#mask(left, right.constant);
    return isConstant(left) ? this.#mask(right, left.constant) : undefined;
  }

  #mask(value: LaneValue, mask: number): LaneValue | undefined {
    if (mask === 0) return this.values.constant(0);
    if (mask < 0) {
      // What lies above a power of two.
      if (!isPower(-mask)) return undefined;
      const lanes = this.#within(value, -mask, (number) => Math.floor(number / -mask) * -mask);
      return lanes && this.values.ofLanes(lanes, value.terms);
    }
    if (!isWord(mask)) return undefined;
    const span = spanOf(mask);
    const { min, max } = boundsOf(value);
    if (mask === span - 1 && min >= 0 && max < span) return value;
    const lanes = this.#within(value, span, (number) => modulo(number, span) & mask);
    return lanes === undefined ? this.#highBits(value, mask) : this.values.ofLanes(lanes);
  }

  /** Bits above those in which the lanes of a warp differ. */
  #highBits(value: LaneValue, mask: number): LaneValue | undefined {
    const low = mask & -mask;
    const heights = this.#within(value, low, (number) => Math.floor(number / low));
    if (heights === undefined || !value.terms.every(([unknown]) => unknown.isUniform)) return undefined;
    if (!heights.every((height) => height === heights[0])) return undefined;
    const terms = value.terms.map(([unknown, factor]) => `${unknown.id}*${factor}`).join();
    const about = { isUniform: true, min: 0, max: Math.floor(mask / low), loops: loopsOf([value]) };
    return this.values.ofUnknown(this.namedUnknown(`bits ${mask} ${heights[0]} ${terms}`, about), low);
  }

  #or(left: LaneValue, right: LaneValue): LaneValue | undefined {
    if (this.#areApart(left, right) || this.#areApart(right, left)) return this.values.add(left, right);
    const { min } = boundsOf(left);
    return min >= 0 && boundsOf(right).min >= 0 ? this.#eachLane(left, right, (a, b) => a | b) : undefined;
  }

  /** Whether all bits of `low` lie below those of `high`. */
  #areApart(high: LaneValue, low: LaneValue): boolean {
    const { min, max } = boundsOf(low);
    if (min < 0 || max >= 2 ** 31) return false;
    const span = spanOf(max);
    return stride(high) % span === 0 && this.values.lanes(high).every((number) => number % span === 0);
  }

  #xor(left: LaneValue, right: LaneValue): LaneValue | undefined {
    const [value, constant] = isConstant(left) ? [right, left] : [left, right];
    if (!isConstant(constant)) return this.#eachLane(left, right, (a, b) => a ^ b);
    const bits = constant.constant;
    if (bits === -1) return this.#minusOne(this.values.scale(value, -1));
    if (!isWord(bits)) return undefined;
    const span = spanOf(bits);
    const lanes = this.#within(value, span, (number) => number - modulo(number, span) + (modulo(number, span) ^ bits));
    return lanes && this.values.ofLanes(lanes, value.terms);
  }
}

const isConstant = (value: LaneValue): boolean => value.terms.length === 0 && value.shape.id === 0;
const withConstant = (
  value: LaneValue | undefined,
  operate: (constant: number) => LaneValue | undefined,
): LaneValue | undefined => (value !== undefined && isConstant(value) ? operate(value.constant) : undefined);
const isHigh = ({ mnemonic }: Instruction): boolean => mnemonic.modifiers.has("hi");
const isInteger = ({ mnemonic: { types } }: Instruction): boolean =>
  types.every((type) => /^[usb](8|16|32|64)$/.test(type));

function loopsOf(values: readonly LaneValue[]): ReadonlySet<Block> {
  return new Set(values.flatMap(({ terms }) => terms.flatMap(([{ loops }]) => [...loops])));
}

export function joinBounds(values: readonly LaneValue[]): { min: number; max: number } {
  const bounds = values.map(boundsOf);
  return { min: Math.min(...bounds.map(({ min }) => min)), max: Math.max(...bounds.map(({ max }) => max)) };
}

/** Bounds of a result of which nothing else is known. */
function boundsOfResult({ mnemonic }: Instruction, operands: readonly LaneValue[]): { min?: number; max?: number } {
  const { base, types } = mnemonic;
  const arePositive = operands.every((value) => boundsOf(value).min >= 0);
  const isUnsigned = types[0]?.startsWith("u") ?? false;
  const last = operands.at(-1)!;
  switch (base) {
    case "and": {
      const masks = operands.map(boundsOf).filter(({ min }) => min >= 0);
      return masks.length === 0 ? {} : { min: 0, max: Math.min(...masks.map(({ max }) => max)) };
    }
    case "shr":
      // A shift by some bits leaves no sign.
      return arePositive || (isUnsigned && boundsOf(last).min > 0)
        ? { min: 0, max: arePositive ? boundsOf(operands[0]!).max : Infinity }
        : {};
    case "rem":
      return arePositive || isUnsigned ? { min: 0, max: boundsOf(last).max - 1 } : {};
    case "bfe":
      return isUnsigned ? { min: 0 } : {};
    case "popc":
    case "clz":
      return { min: 0, max: 64 };
    case "abs":
      return { min: 0 };
    case "min":
    case "max":
      return joinBounds(operands);
    case "mul":
      return arePositive && mnemonic.modifiers.has("hi") ? { min: 0 } : arePositive ? { min: 0 } : {};
    case "div":
    case "or":
    case "xor":
    case "shl":
    case "mad":
    case "add":
      return arePositive ? { min: 0 } : {};
    case "cvt":
      return isUnsigned && types[1]?.startsWith("u")
        ? { min: 0, max: 256 ** Math.min(typeBytes[types[0]!], typeBytes[types[1]]) - 1 }
        : {};
    default:
      return {};
  }
}

/** The value of an operand that is no register. */
export function operandValue(
  arithmetic: LaneArithmetic,
  operand: Operand,
  type: PtxType | undefined,
): LaneValue | undefined {
  switch (operand.kind) {
    case "integer":
      return arithmetic.integer(operand.value, type);
    case "special":
      return arithmetic.special(operand.name);
    case "variable":
      return arithmetic.values.add(arithmetic.place(operand.variable), arithmetic.values.constant(operand.offset));
    default:
      return undefined;
  }
}
