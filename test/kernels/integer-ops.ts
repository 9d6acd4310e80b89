/**
 * What each integer instruction of PTX does, in big integers and by the words of the PTX manual: the reference of the
 * integer kernels. Every operation takes and gives unsigned values of its width.
 */

export type Ternary = (a: bigint, b: bigint, c: bigint) => bigint;

export const unsigned = (bits: number, value: bigint): bigint => BigInt.asUintN(bits, value);
export const signed = (bits: number, value: bigint): bigint => BigInt.asIntN(bits, value);
const large = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const small = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const magnitude = (a: bigint): bigint => (a < 0n ? -a : a);

export const clamp = (value: bigint, low: bigint, high: bigint): bigint => large(low, small(high, value));

export const saturate = (bits: number, value: bigint): bigint =>
  clamp(value, -(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n);

export const popcount = (value: bigint): bigint => {
  let count = 0n;
  for (let rest = value; rest > 0n; rest >>= 1n) count += rest & 1n;
  return count;
};

const lengthOf = (value: bigint): bigint => BigInt(value === 0n ? 0 : value.toString(2).length);

export const leadingZeros = (bits: number, value: bigint): bigint => BigInt(bits) - lengthOf(value);

export function reverse(bits: number, value: bigint): bigint {
  let result = 0n;
  for (let i = 0; i < bits; i++) if ((value >> BigInt(i)) & 1n) result |= 1n << BigInt(bits - 1 - i);
  return result;
}

/** Position of the most significant bit that is not a copy of the sign; all ones of 32 bits when there is none. */
export function findBit(bits: number, value: bigint, kind: "u" | "s"): bigint {
  const plain = kind === "s" && signed(bits, value) < 0n ? unsigned(bits, ~value) : value;
  return plain === 0n ? 0xffff_ffffn : lengthOf(plain) - 1n;
}

export function findShift(bits: number, value: bigint, kind: "u" | "s"): bigint {
  const found = findBit(bits, value, kind);
  return found === 0xffff_ffffn ? found : BigInt(bits - 1) - found;
}

/** What counts of a field's position and length: their low bytes, by the manual. For 64-bit words hardware takes all 32 bits of them. */
const placeMask = (bits: number): bigint => (bits === 64 ? 0xffff_ffffn : 0xffn);

/** Extracts `length` bits from `position`; beyond the word's end the sign bit (or zero) fills. */
export function extract(
  bits: number,
  value: bigint,
  field: { position: bigint; length: bigint; kind: "u" | "s" },
): bigint {
  const position = Number(field.position & placeMask(bits));
  const length = Number(field.length & placeMask(bits));
  const bit = (at: number): bigint => (value >> BigInt(at)) & 1n;
  const fill = field.kind === "u" || length === 0 ? 0n : bit(Math.min(position + length - 1, bits - 1));
  let result = 0n;
  for (let i = 0; i < bits; i++) result |= (i < length && position + i < bits ? bit(position + i) : fill) << BigInt(i);
  return result;
}

export function insert(
  bits: number,
  [from, into]: readonly [bigint, bigint],
  field: { position: bigint; length: bigint },
): bigint {
  const position = Number(field.position & placeMask(bits));
  const length = Number(field.length & placeMask(bits));
  let result = into;
  for (let i = 0; i < length && position + i < bits; i++) {
    const place = 1n << BigInt(position + i);
    result = (from >> BigInt(i)) & 1n ? result | place : result & ~place;
  }
  return unsigned(bits, result);
}

/** Bytes of b:a picked by the four bytes of each mode, most significant first. */
const byteModes: Record<string, readonly (readonly number[])[]> = {
  f4e: [
    [3, 2, 1, 0],
    [4, 3, 2, 1],
    [5, 4, 3, 2],
    [6, 5, 4, 3],
  ],
  b4e: [
    [5, 6, 7, 0],
    [6, 7, 0, 1],
    [7, 0, 1, 2],
    [0, 1, 2, 3],
  ],
  rc8: [
    [0, 0, 0, 0],
    [1, 1, 1, 1],
    [2, 2, 2, 2],
    [3, 3, 3, 3],
  ],
  ecl: [
    [3, 2, 1, 0],
    [3, 2, 1, 1],
    [3, 2, 2, 2],
    [3, 3, 3, 3],
  ],
  ecr: [
    [0, 0, 0, 0],
    [1, 1, 1, 0],
    [2, 2, 1, 0],
    [3, 2, 1, 0],
  ],
  rc16: [
    [1, 0, 1, 0],
    [3, 2, 3, 2],
    [1, 0, 1, 0],
    [3, 2, 3, 2],
  ],
};

export function permute(mode: string, [a, b]: readonly [bigint, bigint], selector: bigint): bigint {
  const pool = (b << 32n) | a;
  const byte = (index: number): bigint => (pool >> BigInt(index * 8)) & 0xffn;
  const picks = byteModes[mode]?.[Number(selector & 3n)];
  if (picks) return picks.reduce((word, index) => (word << 8n) | byte(index), 0n);
  let result = 0n;
  for (let i = 0; i < 4; i++) {
    const nibble = Number((selector >> BigInt(i * 4)) & 0xfn);
    const picked = byte(nibble & 7);
    result |= (nibble & 8 ? (picked & 0x80n ? 0xffn : 0n) : picked) << BigInt(i * 8);
  }
  return result;
}

export function lookup(table: number, [a, b, c]: readonly [bigint, bigint, bigint]): bigint {
  let result = 0n;
  for (let i = 0n; i < 32n; i++) {
    const index = (((a >> i) & 1n) << 2n) | (((b >> i) & 1n) << 1n) | ((c >> i) & 1n);
    result |= ((BigInt(table) >> index) & 1n) << i;
  }
  return result;
}

export function funnel(
  direction: "l" | "r",
  mode: "clamp" | "wrap",
  [a, b, c]: readonly [bigint, bigint, bigint],
): bigint {
  const count = mode === "wrap" ? c & 31n : small(c, 32n);
  const pair = (b << 32n) | a;
  return unsigned(32, direction === "l" ? (pair << count) >> 32n : pair >> count);
}

/** The operations that exist alike in 16, 32 and 64 bits. */
export function wordOps(bits: number) {
  const u = (value: bigint): bigint => unsigned(bits, value);
  const s = (value: bigint): bigint => signed(bits, value);
  const n = BigInt(bits);
  const ops = {
    add: (a, b) => u(a + b),
    sub: (a, b) => u(a - b),
    mulLo: (a, b) => u(a * b),
    mulHiU: (a, b) => u((a * b) >> n),
    mulHiS: (a, b) => u((s(a) * s(b)) >> n),
    madLo: (a, b, c) => u(a * b + c),
    madHiU: (a, b, c) => u(((a * b) >> n) + c),
    madHiS: (a, b, c) => u(((s(a) * s(b)) >> n) + c),
    shl: (a, b) => (b >= n ? 0n : u(a << b)),
    shrU: (a, b) => (b >= n ? 0n : a >> b),
    shrS: (a, b) => u(s(a) >> small(b, n)),
    neg: (a) => u(-a),
    abs: (a) => u(magnitude(s(a))),
    minU: small,
    maxU: large,
    minS: (a, b) => u(small(s(a), s(b))),
    maxS: (a, b) => u(large(s(a), s(b))),
    and: (a, b) => a & b,
    or: (a, b) => a | b,
    xor: (a, b) => a ^ b,
    not: (a) => u(~a),
    cnot: (a) => (a === 0n ? 1n : 0n),
    sadU: (a, b, c) => u(c + magnitude(a - b)),
    sadS: (a, b, c) => u(c + magnitude(s(a) - s(b))),
    divByMax: (a, b) => a / large(b, 1n),
    remByMax: (a, b) => a % large(b, 1n),
    divGuarded: (a, b, c) => (b === 0n ? c : u(s(a) / s(b))),
    remGuarded: (a, b, c) => (b === 0n ? c : u(s(a) % s(b))),
  } satisfies Record<string, Ternary>;
  return ops;
}
