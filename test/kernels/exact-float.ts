/**
 * Floating-point arithmetic done exactly in big integers and rounded once, by IEEE 754 with a chosen rounding mode: the
 * reference for kernels whose results must agree bit for bit. NaNs are all alike here.
 */

/** rn: to nearest, ties to even; rz: toward zero; rm: toward minus infinity; rp: toward plus infinity. */
export type Rounding = "rn" | "rz" | "rm" | "rp";
export const roundings: readonly Rounding[] = ["rn", "rz", "rm", "rp"];

export interface Format {
  /** Bits of the significand, the hidden one included. */
  readonly precision: number;
  /** Exponent of the smallest subnormal. */
  readonly exponentMin: number;
  /** Exponent of the largest finite number's first bit. */
  readonly exponentMax: number;
}
export const binary16: Format = { precision: 11, exponentMin: -24, exponentMax: 15 };
export const bfloat16: Format = { precision: 8, exponentMin: -133, exponentMax: 127 };
export const binary32: Format = { precision: 24, exponentMin: -149, exponentMax: 127 };
export const binary64: Format = { precision: 53, exponentMin: -1074, exponentMax: 1023 };

/** (-1)^negative * magnitude * 2^exponent; `sticky`: the true magnitude is a little larger. */
interface Exact {
  readonly negative: boolean;
  readonly magnitude: bigint;
  readonly exponent: number;
  readonly sticky?: boolean;
}

const word = new DataView(new ArrayBuffer(8));

function decode(value: number): Exact {
  word.setFloat64(0, value);
  const bits = word.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  return {
    negative: bits >> 63n === 1n,
    magnitude: biased === 0 ? fraction : fraction | (1n << 52n),
    exponent: (biased === 0 ? 1 : biased) - 1075,
  };
}

const bitLength = (value: bigint): number => (value === 0n ? 0 : value.toString(2).length);

const signed = (negative: boolean, value: number): number => (negative ? -value : value);

function overflow(format: Format, { negative }: Exact, rounding: Rounding): number {
  const largest = Number((1n << BigInt(format.precision)) - 1n) * 2 ** (format.exponentMax + 1 - format.precision);
  const toInfinity = rounding === "rn" || (rounding === "rm" && negative) || (rounding === "rp" && !negative);
  return signed(negative, toInfinity ? Infinity : largest);
}

/** The number of the format that the mode picks for the exact value. */
function round(format: Format, exact: Exact, rounding: Rounding): number {
  const { negative, magnitude, exponent, sticky = false } = exact;
  if (magnitude === 0n) return negative ? -0 : 0;
  const target = Math.max(exponent + bitLength(magnitude) - format.precision, format.exponentMin);
  const shift = target - exponent;
  let kept = shift <= 0 ? magnitude << BigInt(-shift) : magnitude >> BigInt(shift);
  // Twice the dropped part against one unit: below, at or above the half.
  const dropped = shift <= 0 ? 0n : magnitude - (kept << BigInt(shift));
  const unit = shift <= 0 ? 1n : 1n << BigInt(shift);
  const inexact = dropped !== 0n || sticky;
  const twice = dropped * 2n;
  const up =
    rounding === "rn"
      ? twice > unit || (twice === unit && (sticky || (kept & 1n) === 1n))
      : inexact && ((rounding === "rm" && negative) || (rounding === "rp" && !negative));
  if (up) kept += 1n;
  if (bitLength(kept) + target - 1 > format.exponentMax) return overflow(format, exact, rounding);
  // Two factors, since 2 ** target alone may lie beyond the smallest number.
  return signed(negative, Number(kept) * 2 ** target);
}

function sum(a: Exact, b: Exact, rounding: Rounding): Exact {
  const exponent = Math.min(a.exponent, b.exponent);
  const align = (x: Exact): bigint => {
    const aligned = x.magnitude << BigInt(x.exponent - exponent);
    return x.negative ? -aligned : aligned;
  };
  const total = align(a) + align(b);
  if (total !== 0n) return { negative: total < 0n, magnitude: total < 0n ? -total : total, exponent };
  // Zeros: both negative stays so; opposite signs give plus zero, but minus zero toward minus infinity.
  const negative = a.negative && b.negative ? true : a.negative !== b.negative && rounding === "rm";
  return { negative, magnitude: 0n, exponent };
}

export function add(format: Format, [a, b]: readonly [number, number], rounding: Rounding): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a + b;
  return round(format, sum(decode(a), decode(b), rounding), rounding);
}

function product(a: Exact, b: Exact): Exact {
  return {
    negative: a.negative !== b.negative,
    magnitude: a.magnitude * b.magnitude,
    exponent: a.exponent + b.exponent,
  };
}

export function mul(format: Format, [a, b]: readonly [number, number], rounding: Rounding): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a * b;
  return round(format, product(decode(a), decode(b)), rounding);
}

export function fma(format: Format, [a, b, c]: readonly [number, number, number], rounding: Rounding): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a * b + c;
  if (!Number.isFinite(c)) return c;
  return round(format, sum(product(decode(a), decode(b)), decode(c), rounding), rounding);
}

export function div(format: Format, [a, b]: readonly [number, number], rounding: Rounding): number {
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return a / b;
  const x = decode(a);
  const y = decode(b);
  const numerator = x.magnitude << 128n;
  const magnitude = numerator / y.magnitude;
  return round(
    format,
    {
      negative: x.negative !== y.negative,
      magnitude,
      exponent: x.exponent - y.exponent - 128,
      sticky: magnitude * y.magnitude !== numerator,
    },
    rounding,
  );
}

export function sqrt(format: Format, a: number, rounding: Rounding): number {
  if (!Number.isFinite(a) || a <= 0) return Math.sqrt(a);
  const x = decode(a);
  const odd = x.exponent & 1;
  const radicand = x.magnitude << BigInt(200 + odd);
  let root = 1n << BigInt((bitLength(radicand) + 1) >> 1);
  for (;;) {
    const better = (root + radicand / root) >> 1n;
    if (better >= root) break;
    root = better;
  }
  const exponent = (x.exponent - odd - 200) / 2;
  return round(format, { negative: false, magnitude: root, exponent, sticky: root * root !== radicand }, rounding);
}

/** A number of a wider format (or any double) in this one. */
export function convert(format: Format, value: number, rounding: Rounding): number {
  return Number.isFinite(value) ? round(format, decode(value), rounding) : value;
}

export function fromInteger(format: Format, value: bigint, rounding: Rounding): number {
  return round(format, { negative: value < 0n, magnitude: value < 0n ? -value : value, exponent: 0 }, rounding);
}

/** Rounds to a whole number within the format, keeping the sign of zero. */
export function toWhole(value: number, rounding: Rounding): number {
  if (!Number.isFinite(value)) return value;
  const floor = Math.floor(value);
  const rest = value - floor;
  const nearest = rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
  const whole = { rn: nearest, rz: Math.trunc(value), rm: floor, rp: Math.ceil(value) }[rounding];
  return whole === 0 ? (value < 0 || Object.is(value, -0) ? -0 : 0) : whole;
}

/** The 16 bits of a number that the format holds; NaN is the one that PTX gives. */
export function toHalfBits(format: Format, value: number): number {
  const fractionBits = format.precision - 1;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7fff;
  if (magnitude === Infinity) return sign | (0x8000 - 2 ** fractionBits);
  if (magnitude === 0) return sign;
  const exponent = Math.max(Math.floor(Math.log2(magnitude)) - fractionBits, format.exponentMin);
  // Logarithms of numbers beside a power of two may be off by one; both ways of writing such a number give the same bits.
  const units = magnitude / 2 ** exponent;
  return sign | (units + (exponent - format.exponentMin) * 2 ** fractionBits);
}

export function fromHalfBits(format: Format, bits: number): number {
  const fractionBits = format.precision - 1;
  const biased = (bits & 0x7fff) >> fractionBits;
  const fraction = bits & (2 ** fractionBits - 1);
  const sign = bits & 0x8000 ? -1 : 1;
  if (biased === 2 ** (15 - fractionBits) - 1) return fraction === 0 ? sign * Infinity : NaN;
  const units = biased === 0 ? fraction : fraction + 2 ** fractionBits;
  return sign * units * 2 ** (format.exponentMin + Math.max(biased, 1) - 1);
}

/** Formats as if exponents had no end: a result is rounded to this before `.ftz` makes it zero. */
export const unbounded16: Format = { ...binary16, exponentMin: -500 };
export const unbounded32: Format = { ...binary32, exponentMin: -500 };

/** Subnormals become zeros of the same sign, as `.ftz` does. */
export const flush = (value: number): number =>
  Math.abs(value) < 2 ** -126 && value !== 0 ? (value < 0 ? -0 : 0) : value;

/** Numbers at every edge of a format, none of them negative. */
export function edgesOf(format: Format): number[] {
  const tiny = 2 ** format.exponentMin;
  const normal = 2 ** (format.exponentMin + format.precision - 1);
  const epsilon = 2 ** (1 - format.precision);
  const huge = 2 ** format.exponentMax * (2 - epsilon);
  return [0, 1, 1 + epsilon, 1 - epsilon / 2, 3, 0.1, tiny, 3 * tiny, normal, normal - tiny, huge, huge / 3, Infinity];
}
