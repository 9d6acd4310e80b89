/** Tables of operands: every pair of odd values, random numbers of every size, and numbers chosen so that results meet the edges of a format. */
import { bfloat16, binary16, binary32, binary64, convert, edgesOf, type Format, toHalfBits } from "../exact-float.ts";
import { seeded } from "../support.ts";
import type { OperandKind } from "./families.ts";

type Random = ReturnType<typeof seeded>;

const view = new DataView(new ArrayBuffer(8));

/** The bits of a number in a format, to which it is rounded. */
function bitsOf(format: Format, value: number): bigint {
  if (format === binary32) {
    view.setFloat32(0, value);
    return BigInt(view.getUint32(0));
  }
  if (format === binary64) {
    view.setFloat64(0, value);
    return view.getBigUint64(0);
  }
  return BigInt(toHalfBits(format, convert(format, value, "rn")));
}

const widths = new Map<Format, number>([
  [binary16, 16],
  [bfloat16, 16],
  [binary32, 32],
  [binary64, 64],
]);

const anyBits = (random: Random): bigint => (BigInt(random.u32()) << 32n) | BigInt(random.u32());

/** The odd values of a format as bits: zeros, the ends of its ranges, NaNs of several kinds. */
function oddOf(format: Format): bigint[] {
  const values = edgesOf(format);
  const top = 1n << BigInt(widths.get(format)! - 1);
  const quiet = bitsOf(format, Infinity) | (1n << BigInt(format.precision - 2));
  const nans = [quiet, quiet | top | 1n, bitsOf(format, Infinity) | 1n];
  return [...values.flatMap((value) => [bitsOf(format, value), bitsOf(format, value) | top]), ...nans];
}

/** Numbers of a format beside each other in one row, so that sums cancel, and products and quotients meet the edges. */
function floatRow(format: Format, { random, columns }: { random: Random; columns: number }): bigint[] {
  const epsilon = 2 ** (1 - format.precision);
  const normal = 2 ** (format.exponentMin + format.precision - 1);
  const exponents = format.exponentMax - format.exponentMin;
  const sign = (): number => (random.int(2) === 0 ? 1 : -1);
  const any = (): number =>
    sign() * (1 + random.unit() + random.unit() * 2 ** -32) * 2 ** (format.exponentMin + 8 + random.int(exponents - 8));
  const near = (value: number): number => value * (1 + (random.int(64) - 32) * epsilon);
  const whole = (): number => sign() * Math.floor(2 ** (random.unit() * 66)) * [1, 0.5, 0.25, 1.5][random.int(4)]!;
  const a = random.int(4) === 0 ? whole() : random.int(3) === 0 ? sign() * 2 ** (random.unit() * 20 - 10) : any();
  const edge = normal * (1 - (random.int(9) - 4) * epsilon * 0.25);
  const others = [any, () => near(a), () => near(-a), () => near(edge / a), () => near(a / edge), () => near(1 / a)];
  const b = others[random.int(others.length)]!();
  const thirds = [
    any,
    () => near(-a * b),
    () => sign() * 2 ** format.exponentMin * random.int(9),
    () => near(edge - a * b),
  ];
  const row = [a, b, thirds[random.int(thirds.length)]!()];
  return row.slice(0, columns).map((value) => bitsOf(format, value));
}

function floatRows(format: Format, { columns, rows, seed }: Shape): bigint[][] {
  const random = seeded(seed);
  const odd = oddOf(format);
  const pick = (): bigint => odd[random.int(odd.length)]!;
  const list: bigint[][] =
    columns === 1 ? odd.map((a) => [a]) : odd.flatMap((a) => odd.map((b) => [a, b, pick()].slice(0, columns)));
  const width = widths.get(format)!;
  while (list.length < rows) {
    if (random.int(4) > 0) list.push(floatRow(format, { random, columns }));
    else list.push(Array.from({ length: columns }, () => BigInt.asUintN(width, anyBits(random))));
  }
  return list;
}

/** Two rows of halves in each word. */
function pairRows(format: Format, { columns, rows, seed }: Shape): bigint[][] {
  const low = floatRows(format, { columns, rows, seed });
  const high = floatRows(format, { columns, rows, seed: seed + 1 });
  // Turned by a third, so that the odd rows of one meet the random ones of the other.
  return low.map((row, at) =>
    row.map((bits, k) => bits | (high[(at + Math.floor(rows / 3)) % high.length]![k]! << 16n)),
  );
}

function integerRows(width: number, { columns, rows, seed }: Shape): bigint[][] {
  const random = seeded(seed);
  const top = 1n << BigInt(width - 1);
  const all = top * 2n - 1n;
  const n = BigInt(width);
  const odd = [
    0n,
    1n,
    2n,
    3n,
    7n,
    n - 1n,
    n,
    n + 1n,
    0x55n,
    0x7fn,
    0x80n,
    0xffn,
    top - 1n,
    top,
    top + 1n,
    all - 1n,
    all,
  ];
  const pick = (): bigint => odd[random.int(odd.length)]!;
  const extra = (): bigint[] => Array.from({ length: columns - 2 }, pick);
  const list: bigint[][] =
    columns === 1 ? odd.map((a) => [a]) : odd.flatMap((a) => odd.map((b) => [a, b, ...extra()].slice(0, columns)));
  const one = (): bigint => {
    const size = BigInt(random.int(width));
    return BigInt.asUintN(
      width,
      random.int(2) ? BigInt.asUintN(64, anyBits(random)) >> size : -(BigInt.asUintN(width, anyBits(random)) >> size),
    );
  };
  while (list.length < rows) list.push(Array.from({ length: columns }, one));
  return list;
}

const counts = [
  0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 23, 24, 30, 31, 32, 33, 34, 40, 47, 48, 55, 56, 62, 63, 64, 65, 66, 80, 95,
  96, 97, 127, 128, 129, 159, 160, 191, 192, 193, 224, 252, 255, 256, 257, 264, 288, 320, 511, 0x1f1f, 0x1c03, 0x10000,
  0x1000020, 0x7fffffff, 0x80000000, 0x80000005, 0xffffff00, 0xffffffe0, 0xffffffff,
];

function countRows({ columns, rows, seed }: Shape): bigint[][] {
  const random = seeded(seed);
  const list: bigint[][] = columns === 1 ? [] : counts.flatMap((a) => counts.map((b) => [BigInt(a), BigInt(b)]));
  while (list.length < rows)
    list.push(
      Array.from({ length: columns }, () =>
        BigInt(random.int(3) ? random.int(256) : counts[random.int(counts.length)]!),
      ),
    );
  return list;
}

/** Numbers whose sums neither overflow nor vanish: small whole ones, then ever wilder; the last quarter is odd. */
function tameRows(format: Format, { columns, rows, seed }: Shape): bigint[][] {
  const random = seeded(seed);
  // Without what is large, whose sums may overflow in the middle, and without NaNs that a shorter format takes for infinities.
  const edges = [0, 2 ** format.exponentMin, 0.1, 1 - 2 ** -format.precision, 3, Infinity, Number.NaN];
  const odd = edges.flatMap((value) => [bitsOf(format, value), bitsOf(format, -value)]);
  return Array.from({ length: rows }, (_, at) =>
    Array.from({ length: columns }, () => {
      const quarter = Math.floor((at * 4) / rows);
      const sign = random.int(2) ? 1 : -1;
      if (quarter === 0) return bitsOf(format, sign * random.int(16));
      if (quarter === 1) return bitsOf(format, sign * (1 + random.unit()));
      if (quarter === 2) return bitsOf(format, sign * (1 + random.unit()) * 2 ** (random.int(9) - 4));
      return random.int(3) === 0 ? odd[random.int(odd.length)]! : bitsOf(format, sign * (1 + random.unit()));
    }),
  );
}

function angleRows({ columns, rows, seed }: Shape): bigint[][] {
  const random = seeded(seed);
  const edge = [0, -0, 2 ** -149, 2 ** -126, -1, 3, Infinity, -Infinity, Number.NaN].map((value) =>
    bitsOf(binary32, value),
  );
  return Array.from({ length: rows }, (_, at) =>
    Array.from({ length: columns }, () => {
      if (at < edge.length) return edge[at]!;
      const scale = [Math.PI, 150, 8, 1, 2 ** -8, 30][at % 6]!;
      return bitsOf(binary32, (random.unit() * 2 - 1) * scale);
    }),
  );
}

interface Shape {
  readonly columns: number;
  readonly rows: number;
  readonly seed: number;
}

const makers: Record<OperandKind, (shape: Shape) => bigint[][]> = {
  f32: (shape) => floatRows(binary32, shape),
  f64: (shape) => floatRows(binary64, shape),
  f16: (shape) => floatRows(binary16, shape),
  bf16: (shape) => floatRows(bfloat16, shape),
  f16x2: (shape) => pairRows(binary16, shape),
  bf16x2: (shape) => pairRows(bfloat16, shape),
  i16: (shape) => integerRows(16, shape),
  i32: (shape) => integerRows(32, shape),
  i64: (shape) => integerRows(64, shape),
  count: countRows,
  angle: angleRows,
  "tame f16x2": (shape) => {
    const [low, high] = [tameRows(binary16, shape), tameRows(binary16, { ...shape, seed: shape.seed + 2 })];
    return low.map((row, at) => row.map((bits, k) => bits | (high[at]![k]! << 16n)));
  },
  "tame bf16x2": (shape) => {
    const [low, high] = [tameRows(bfloat16, shape), tameRows(bfloat16, { ...shape, seed: shape.seed + 2 })];
    return low.map((row, at) => row.map((bits, k) => bits | (high[at]![k]! << 16n)));
  },
  "tame f32": (shape) => tameRows(binary32, shape),
  "tame tf32": (shape) => tameRows(binary32, shape),
  "tame f64": (shape) => tameRows(binary64, shape),
  bits32: ({ columns, rows, seed }) => {
    const random = seeded(seed);
    return Array.from({ length: rows }, () => Array.from({ length: columns }, () => BigInt(random.u32())));
  },
};

/** `rows` rows of operands, each in 64 bits; those of one kind belong together. The same on every machine. */
export function operandTable(kinds: readonly OperandKind[], rows: number): BigUint64Array {
  const table = new BigUint64Array(rows * kinds.length);
  [...new Set(kinds)].forEach((kind, group) => {
    const places = kinds.flatMap((each, place) => (each === kind ? [place] : []));
    const list = makers[kind]({ columns: places.length, rows, seed: 100 * (group + 1) });
    for (let row = 0; row < rows; row++) {
      places.forEach((place, k) => {
        table[row * kinds.length + place] = list[row]![k]!;
      });
    }
  });
  return table;
}
