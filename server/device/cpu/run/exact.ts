/**
 * Exactly rounded arithmetic on 64-bit floats for the rounding modes that the machine's instructions lack. Slow and rarely
 * used: every finite float is a whole number times a power of two, so whole numbers of any size do it.
 */

/** Rounding by number: to nearest even, towards zero, down, up. */
const RZ = 1;
const RM = 2;
const RP = 3;

const bits = new DataView(new ArrayBuffer(8));

/** value = mantissa * 2^exponent */
interface Exact {
  readonly mantissa: bigint;
  readonly exponent: number;
}

function take(value: number): Exact {
  bits.setFloat64(0, value);
  const word = bits.getBigUint64(0);
  const biased = Number((word >> 52n) & 0x7ffn);
  const fraction = word & 0xf_ffff_ffff_ffffn;
  const magnitude = biased === 0 ? fraction : fraction | (1n << 52n);
  return { mantissa: word >> 63n === 1n ? -magnitude : magnitude, exponent: Math.max(biased, 1) - 1075 };
}

const multiply = (a: Exact, b: Exact): Exact => ({
  mantissa: a.mantissa * b.mantissa,
  exponent: a.exponent + b.exponent,
});

function add(a: Exact, b: Exact): Exact {
  const exponent = Math.min(a.exponent, b.exponent);
  const at = (value: Exact) => value.mantissa << BigInt(value.exponent - exponent);
  return { mantissa: at(a) + at(b), exponent };
}

const bitLength = (value: bigint): number => value.toString(2).length;

/** Rounds to a 64-bit float; `sticky`: something not zero lies below the mantissa. */
function round({ mantissa, exponent }: Exact, mode: number, sticky = false): number {
  const negative = mantissa < 0n;
  let magnitude = negative ? -mantissa : mantissa;
  let scale = exponent;
  if (magnitude === 0n && !sticky) return 0;
  // One more bit than needed is kept behind the last, and everything below it as one sticky bit.
  const drop = Math.max(bitLength(magnitude) - 53, -1074 - scale);
  let rest = 0;
  if (drop > 0) {
    const low = magnitude & ((1n << BigInt(drop)) - 1n);
    const half = 1n << BigInt(drop - 1);
    rest = low === 0n && !sticky ? 0 : low < half ? 1 : low === half && !sticky ? 2 : 3;
    magnitude >>= BigInt(drop);
    scale += drop;
  } else if (sticky) rest = 1;
  const odd = (magnitude & 1n) === 1n;
  const away =
    mode === RZ ? false : mode === RM ? negative : mode === RP ? !negative : rest === 3 || (rest === 2 && odd);
  if (rest > 0 && away) magnitude += 1n;
  const value = compose(magnitude, scale);
  const isTooLarge = value === Number.POSITIVE_INFINITY;
  const towardsZero = mode === RZ || (mode === RM && !negative) || (mode === RP && negative);
  const result = isTooLarge && towardsZero ? Number.MAX_VALUE : value;
  return negative ? -result : result;
}

/** magnitude * 2^scale, where the magnitude has at most 54 bits and the result needs no rounding. */
function compose(magnitude: bigint, scale: number): number {
  const number = Number(magnitude);
  if (scale >= -1022) return scale > 1023 ? Number.POSITIVE_INFINITY * number : number * 2 ** scale;
  return number * 2 ** -1022 * 2 ** (scale + 1022);
}

function divide(a: Exact, b: Exact, mode: number): number {
  const negative = a.mantissa < 0n !== b.mantissa < 0n;
  const top = a.mantissa < 0n ? -a.mantissa : a.mantissa;
  const bottom = b.mantissa < 0n ? -b.mantissa : b.mantissa;
  const shift = Math.max(0, 120 - bitLength(top) + bitLength(bottom));
  const quotient = (top << BigInt(shift)) / bottom;
  const sticky = quotient * bottom !== top << BigInt(shift);
  const exponent = a.exponent - b.exponent - shift;
  return round({ mantissa: negative ? -quotient : quotient, exponent }, mode, sticky);
}

function squareRoot({ mantissa, exponent }: Exact, mode: number): number {
  let shift = Math.max(0, 130 - bitLength(mantissa));
  if ((exponent - shift) % 2 !== 0) shift++;
  const scaled = mantissa << BigInt(shift);
  let root = 1n << BigInt(Math.ceil(bitLength(scaled) / 2));
  for (let next = (root + scaled / root) >> 1n; next < root; next = (root + scaled / root) >> 1n) root = next;
  return round({ mantissa: root, exponent: (exponent - shift) / 2 }, mode, root * root !== scaled);
}

/** `code`: operation * 4 + rounding, as compiled kernels pass it. */
export function exact(code: number, a: number, b: number, c: number): number {
  const mode = code & 3;
  switch (code >> 2) {
    case 0:
      return finite(a, b) && a + b !== 0 ? round(add(take(a), take(b)), mode) : zeroSum(a, b, mode);
    case 1:
      return finite(a, b) && a !== 0 && b !== 0 ? round(multiply(take(a), take(b)), mode) : a * b;
    case 2: {
      if (!finite(a, b)) return a * b + c;
      // The product of finite numbers is finite here, however large.
      if (!Number.isFinite(c)) return c;
      if (a === 0 || b === 0) return c === 0 ? zeroSum(a * b, c, mode) : c;
      const sum = add(multiply(take(a), take(b)), take(c));
      return sum.mantissa === 0n ? (mode === RM ? -0 : 0) : round(sum, mode);
    }
    case 3:
      return finite(a, b) && a !== 0 && b !== 0 ? divide(take(a), take(b), mode) : a / b;
    default:
      return a > 0 && a < Number.POSITIVE_INFINITY ? squareRoot(take(a), mode) : Math.sqrt(a);
  }
}

const finite = (a: number, b: number): boolean => Number.isFinite(a) && Number.isFinite(b);

/** A sum that is not finite, or exactly zero: rounding down, zero of opposite signs is negative. */
function zeroSum(a: number, b: number, mode: number): number {
  const sum = a + b;
  return sum === 0 && mode === RM && !(Object.is(a, 0) && Object.is(b, 0)) ? -0 : sum;
}
