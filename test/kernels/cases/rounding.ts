/** Floating-point arithmetic and conversions bit for bit. Order of the results: cu/rounding.cu and cu/conversions.cu. */
import assert from "node:assert/strict";
import * as exact from "../exact-float.ts";
import {
  binary32,
  binary64,
  edgesOf,
  type Format,
  flush,
  type Rounding,
  roundings,
  toWhole,
  unbounded32,
} from "../exact-float.ts";
import { clamp, saturate, signed, unsigned } from "../integer-ops.ts";
import type { KernelCase } from "../machine.ts";
import { blocksFor, download, i32, loadFixture, scratch, seeded, upload } from "../support.ts";

type Triple = readonly [number, number, number];
type FloatOp = readonly [name: string, op: (triple: Triple) => number];

/** The seven operations with the four modes, in the kernels' order. */
function roundedOps(format: Format): FloatOp[] {
  const ops: [string, (triple: Triple, rounding: Rounding) => number][] = [
    ["add", ([a, b], r) => exact.add(format, [a, b], r)],
    ["sub", ([a, b], r) => exact.add(format, [a, -b], r)],
    ["mul", ([a, b], r) => exact.mul(format, [a, b], r)],
    ["fma", (triple, r) => exact.fma(format, triple, r)],
    ["div", ([a, b], r) => exact.div(format, [a, b], r)],
    ["sqrt", ([a], r) => exact.sqrt(format, a, r)],
    ["rcp", ([a], r) => exact.div(format, [1, a], r)],
  ];
  return ops.flatMap(([name, op]) =>
    roundings.map((rounding): FloatOp => [`${name}.${rounding}`, (triple) => op(triple, rounding)]),
  );
}

const saturated = (value: number): number => (Number.isNaN(value) ? 0 : Math.min(1, Math.max(0, value)));
const lesser = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b));
const greater = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));
const negative = (value: number): boolean => value < 0 || Object.is(value, -0);

const flushOps: readonly FloatOp[] = [
  ["add.ftz", ([a, b]) => flush(exact.add(binary32, [flush(a), flush(b)], "rn"))],
  ["sub.rz.ftz", ([a, b]) => flush(exact.add(binary32, [flush(a), -flush(b)], "rz"))],
  ["mul.ftz", ([a, b]) => flush(exact.mul(unbounded32, [flush(a), flush(b)], "rn"))],
  ["fma.ftz", ([a, b, c]) => flush(exact.fma(unbounded32, [flush(a), flush(b), flush(c)], "rn"))],
  ["add.sat", ([a, b]) => saturated(exact.add(binary32, [a, b], "rn"))],
  ["mul.sat", ([a, b]) => saturated(exact.mul(binary32, [a, b], "rn"))],
  ["fma.sat", (triple) => saturated(exact.fma(binary32, triple, "rn"))],
  ["min", ([a, b]) => lesser(a, b)],
  ["max", ([a, b]) => greater(a, b)],
  ["min.ftz", ([a, b]) => lesser(flush(a), flush(b))],
  ["abs", ([a]) => Math.abs(a)],
  ["neg", ([a]) => -a],
  ["abs.ftz", ([a]) => Math.abs(flush(a))],
  // copysign takes the sign of its first operand and the rest of its second.
  ["copysign", ([a, b]) => (negative(a) ? -Math.abs(b) : Math.abs(b))],
  ["mul.ftz.sat", ([a, b]) => saturated(flush(exact.mul(unbounded32, [flush(a), flush(b)], "rn")))],
  ["setp.lt.ftz", ([a, b]) => (flush(a) < flush(b) ? 1 : 0)],
];

/** Numbers at every edge of a format, and random ones of every size; triples chosen so that sums cancel and products meet the edges. */
export function triplesFor(format: Format, seed: number): number[] {
  const edges = edgesOf(format);
  const epsilon = 2 ** (1 - format.precision);
  const odd = [...edges, ...edges.map((value) => -value), NaN];
  const random = seeded(seed);
  const exponents = format.exponentMax - format.exponentMin;
  const any = (): number =>
    (random.unit() + random.unit() * 2 ** -32 - 0.5) * 2 ** (format.exponentMin + 10 + random.int(exponents));
  const near = (value: number): number => value * (1 + (random.int(64) - 32) * epsilon);
  const list = odd.flatMap((a) => odd.flatMap((b) => [a, b, odd[random.int(odd.length)]!]));
  for (let i = 0; i < 500; i++) {
    const a = any();
    const b = random.int(2) ? any() : near(a);
    list.push(a, b, random.int(2) ? any() : near(-a * b));
  }
  return list;
}

/** With the sign of a zero, which text leaves out. */
const written = (value: number): string => (Object.is(value, -0) ? "-0" : String(value));

/** Same number, NaN for NaN; the sign of a zero counts unless `looseZero`. */
const agree = (a: number, b: number, looseZero: boolean): boolean =>
  Object.is(a, b) || (looseZero && a === 0 && b === 0);

function checkFloats(actual: ArrayLike<number>, inputs: ArrayLike<number>, ops: readonly FloatOp[]): void {
  for (let i = 0; i < inputs.length / 3; i++) {
    const triple: Triple = [inputs[i * 3]!, inputs[i * 3 + 1]!, inputs[i * 3 + 2]!];
    ops.forEach(([name, op], k) => {
      const expected = op(triple);
      const result = actual[i * ops.length + k]!;
      // The manual does not fix the sign of a zero that saturation gives.
      if (!agree(result, expected, name.includes("sat")))
        assert.fail(
          `${name} of [${triple.map(written).join(", ")}] is [${written(result)}], expected [${written(expected)}]`,
        );
    });
  }
}

const rounding = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "rounding", run });
const conversions = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "conversions", run });

function comparisonBits(a: number, b: number): number {
  const unordered = Number.isNaN(a) || Number.isNaN(b);
  const ordered = [a === b, a !== b && !unordered, a < b, a <= b, a > b, a >= b];
  const all = [...ordered, ...ordered.map((value) => value || unordered), !unordered, unordered];
  const bits = all.reduce((sum, value, k) => sum | (Number(value) << k), 0);
  return bits | (a < b ? 3 << 14 : 0) | (a >= b ? 127 << 16 : 0);
}

const view = new DataView(new ArrayBuffer(8));
const bits32 = (value: number): bigint => {
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
};
const bits64 = (value: number): bigint => {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
};

/** Float to integer: rounds, clamps; NaN gives 0, or the top bit where a side has 64 bits, by the PTX manual. */
function toInteger(
  value: number,
  target: { bits: number; kind: "u" | "s"; rounding: Rounding; wide: boolean },
): bigint {
  const { bits, kind } = target;
  if (Number.isNaN(value)) return target.wide ? 1n << BigInt(bits - 1) : 0n;
  const low = kind === "s" ? -(1n << BigInt(bits - 1)) : 0n;
  const high = (1n << BigInt(kind === "s" ? bits - 1 : bits)) - 1n;
  const whole = toWhole(value, target.rounding);
  if (!Number.isFinite(whole)) return unsigned(bits, whole > 0 ? high : low);
  return unsigned(bits, clamp(BigInt(whole), low, high));
}

/** What a result is compared as: bits of an integer, or of a float in which all NaNs are alike. */
type Conversion<T> = readonly [name: string, kind: "integer" | "f32" | "f64", op: (value: T) => bigint];

const integerFrom = (
  source: "f32" | "f64",
  [kind, bits, rounding]: readonly ["u" | "s", number, Rounding],
): Conversion<number> => [
  `cvt.${rounding}i.${kind}${bits}.${source}`,
  "integer",
  (value) => toInteger(value, { bits, kind, rounding, wide: source === "f64" || bits === 64 }),
];

const fromF32: readonly Conversion<number>[] = [
  ...(["s", "u"] as const).flatMap((kind) => roundings.map((mode) => integerFrom("f32", [kind, 32, mode]))),
  integerFrom("f32", ["s", 64, "rz"]),
  integerFrom("f32", ["u", 64, "rn"]),
  integerFrom("f32", ["s", 16, "rz"]),
  integerFrom("f32", ["u", 16, "rn"]),
  ...roundings.map(
    (mode): Conversion<number> => [`cvt.${mode}i.f32.f32`, "f32", (value) => bits32(toWhole(value, mode))],
  ),
  ["cvt.sat.f32.f32", "f32", (value) => bits32(saturated(value))],
  integerFrom("f32", ["s", 32, "rz"]),
  ["cvt.f64.f32", "f64", bits64],
  integerFrom("f32", ["u", 8, "rz"]),
];

const fromF64: readonly Conversion<number>[] = [
  integerFrom("f64", ["s", 32, "rn"]),
  integerFrom("f64", ["u", 32, "rz"]),
  integerFrom("f64", ["s", 64, "rz"]),
  integerFrom("f64", ["s", 64, "rn"]),
  integerFrom("f64", ["u", 64, "rz"]),
  integerFrom("f64", ["u", 64, "rp"]),
  ...roundings.map(
    (mode): Conversion<number> => [
      `cvt.${mode}.f32.f64`,
      "f32",
      (value) => bits32(exact.convert(binary32, value, mode)),
    ],
  ),
  ...roundings.map(
    (mode): Conversion<number> => [`cvt.${mode}i.f64.f64`, "f64", (value) => bits64(toWhole(value, mode))],
  ),
];

const toFloat = (
  [target, source]: readonly ["f32" | "f64", "s64" | "u64" | "s32" | "u32" | "s16" | "u16"],
  mode: Rounding,
): Conversion<bigint> => {
  const cut = source[0] === "s" ? signed : unsigned;
  const [format, bits] = target === "f32" ? ([binary32, bits32] as const) : ([binary64, bits64] as const);
  return [
    `cvt.${mode}.${target}.${source}`,
    target,
    (value) => bits(exact.fromInteger(format, cut(Number(source.slice(1)), value), mode)),
  ];
};

const word = (value: bigint): bigint => signed(32, value);
const fromInteger: readonly Conversion<bigint>[] = [
  ...roundings.map((mode) => toFloat(["f32", "s32"], mode)),
  ...roundings.map((mode) => toFloat(["f32", "u32"], mode)),
  toFloat(["f32", "s64"], "rn"),
  toFloat(["f32", "s64"], "rz"),
  toFloat(["f32", "u64"], "rn"),
  toFloat(["f32", "u64"], "rp"),
  toFloat(["f64", "s64"], "rn"),
  toFloat(["f64", "s64"], "rz"),
  toFloat(["f64", "u64"], "rm"),
  toFloat(["f64", "u64"], "rn"),
  toFloat(["f64", "s32"], "rn"),
  toFloat(["f64", "u32"], "rn"),
  toFloat(["f32", "s16"], "rn"),
  toFloat(["f32", "u16"], "rn"),
  ["cvt.s64.s32", "integer", (value) => unsigned(64, word(value))],
  ["cvt.u64.u32", "integer", (value) => unsigned(32, value)],
  ["cvt.s64.u32", "integer", (value) => unsigned(32, value)],
  ["cvt.s32.s8", "integer", (value) => unsigned(32, signed(8, value))],
  ["cvt.u32.u8", "integer", (value) => unsigned(8, value)],
  ["cvt.s32.s16", "integer", (value) => unsigned(32, signed(16, value))],
  ["cvt.u32.u16", "integer", (value) => unsigned(16, value)],
  ["cvt.sat.s16.s32", "integer", (value) => unsigned(16, saturate(16, word(value)))],
  ["cvt.sat.u16.s32", "integer", (value) => clamp(word(value), 0n, 0xffffn)],
  ["cvt.sat.s8.s32", "integer", (value) => unsigned(32, saturate(8, word(value)))],
  ["cvt.sat.u8.s32", "integer", (value) => clamp(word(value), 0n, 0xffn)],
  ["cvt.sat.s32.s64", "integer", (value) => unsigned(32, saturate(32, signed(64, value)))],
  ["cvt.sat.u32.u64", "integer", (value) => clamp(value, 0n, 0xffff_ffffn)],
  ["cvt.s32.s16", "integer", (value) => unsigned(32, signed(16, value))],
];

const isNaNBits = {
  f32: (b: bigint) => (b & 0x7fff_ffffn) > 0x7f80_0000n,
  f64: (b: bigint) => (b & ((1n << 63n) - 1n)) > 0x7ff0n << 48n,
};

function checkConversions<T>(actual: BigUint64Array, inputs: ArrayLike<T>, table: readonly Conversion<T>[]): void {
  for (let i = 0; i < inputs.length; i++)
    table.forEach(([name, kind, op], k) => {
      const expected = op(inputs[i]!);
      const result = actual[i * table.length + k]!;
      const bothNaN = kind !== "integer" && isNaNBits[kind](expected) && isNaNBits[kind](result);
      const zeros = name.includes("sat.f") && expected === 0n && result === 0x8000_0000n;
      if (result !== expected && !bothNaN && !zeros)
        assert.fail(`${name} of [${inputs[i]}] is [0x${result.toString(16)}], expected [0x${expected.toString(16)}]`);
    });
}

/** Halves, whole numbers and powers of two around every integer type's bounds, with their neighbours. */
function conversionInputs(format: Format): number[] {
  const epsilon = 2 ** (1 - format.precision);
  const values = [
    0,
    0.25,
    0.5,
    0.75,
    1,
    1.5,
    2.5,
    3.5,
    100.5,
    2 ** format.exponentMin,
    2 ** format.exponentMax,
    Infinity,
  ];
  for (const bits of [7, 8, 15, 16, 22, 23, 24, 31, 32, 52, 53, 63, 64, 127])
    values.push(2 ** bits, 2 ** bits - 0.5, 2 ** bits * (1 - epsilon / 2), 2 ** bits * (1 + epsilon), 2 ** bits - 1);
  const random = seeded(format.precision);
  for (let i = 0; i < 300; i++) values.push((random.unit() + random.unit() * 2 ** -32) * 2 ** (random.int(140) - 60));
  return [...values, ...values.map((value) => -value), NaN];
}

export const roundingCases: readonly KernelCase[] = [
  rounding("single precision arithmetic rounds exactly in each mode, subnormals included", async (machine) => {
    const program = await loadFixture(machine, "rounding");
    const inputs = Float32Array.from(triplesFor(binary32, 1));
    const n = inputs.length / 3;
    const ops = roundedOps(binary32);
    const out = await scratch(machine, n * ops.length * 4);
    const args = [i32(n), await upload(machine, inputs), out];
    await program.launch({ kernel: "rounding_f32", grid: blocksFor(n, 64), block: 64, args });
    checkFloats(await download(machine, out, new Float32Array(n * ops.length)), inputs, ops);
  }),

  rounding("double precision arithmetic rounds exactly in each mode, subnormals included", async (machine) => {
    const program = await loadFixture(machine, "rounding");
    const inputs = Float64Array.from(triplesFor(binary64, 2));
    const n = inputs.length / 3;
    const ops = roundedOps(binary64);
    const out = await scratch(machine, n * ops.length * 8);
    const args = [i32(n), await upload(machine, inputs), out];
    await program.launch({ kernel: "rounding_f64", grid: blocksFor(n, 64), block: 64, args });
    checkFloats(await download(machine, out, new Float64Array(n * ops.length)), inputs, ops);
  }),

  rounding("subnormals are flushed where asked, results saturate, min and max pass over NaN", async (machine) => {
    const program = await loadFixture(machine, "rounding");
    const inputs = Float32Array.from(triplesFor(binary32, 3));
    const n = inputs.length / 3;
    const out = await scratch(machine, n * flushOps.length * 4);
    const args = [i32(n), await upload(machine, inputs), out];
    await program.launch({ kernel: "flush_f32", grid: blocksFor(n, 64), block: 64, args });
    checkFloats(await download(machine, out, new Float32Array(n * flushOps.length)), inputs, flushOps);
  }),

  rounding("comparisons, ordered and unordered", async (machine) => {
    const program = await loadFixture(machine, "rounding");
    const inputs = Float32Array.from(triplesFor(binary32, 4));
    const n = inputs.length / 3;
    const out = await scratch(machine, n * 4);
    const args = [i32(n), await upload(machine, inputs), out];
    await program.launch({ kernel: "compares", grid: blocksFor(n, 64), block: 64, args });
    const result = await download(machine, out, new Uint32Array(n));
    for (let i = 0; i < n; i++) {
      const [a, b] = [inputs[i * 3]!, inputs[i * 3 + 1]!];
      assert.equal(result[i]!.toString(2), comparisonBits(a, b).toString(2), `comparisons of [${a}, ${b}]`);
    }
  }),

  conversions("single precision converts to integers and whole numbers bit for bit", async (machine) => {
    const program = await loadFixture(machine, "conversions");
    const inputs = Float32Array.from(conversionInputs(binary32));
    const out = await scratch(machine, inputs.length * fromF32.length * 8);
    const args = [i32(inputs.length), await upload(machine, inputs), out];
    await program.launch({ kernel: "convert_from_f32", grid: blocksFor(inputs.length, 64), block: 64, args });
    checkConversions(await download(machine, out, new BigUint64Array(inputs.length * fromF32.length)), inputs, fromF32);
  }),

  conversions(
    "double precision converts to integers, whole numbers and single precision bit for bit",
    async (machine) => {
      const program = await loadFixture(machine, "conversions");
      const subnormal = Array.from({ length: 40 }, (_, i) => (i - 20.25) * 2 ** -148.5);
      const inputs = Float64Array.from([...conversionInputs(binary64), ...subnormal]);
      const out = await scratch(machine, inputs.length * fromF64.length * 8);
      const args = [i32(inputs.length), await upload(machine, inputs), out];
      await program.launch({ kernel: "convert_from_f64", grid: blocksFor(inputs.length, 64), block: 64, args });
      checkConversions(
        await download(machine, out, new BigUint64Array(inputs.length * fromF64.length)),
        inputs,
        fromF64,
      );
    },
  ),

  conversions("integers convert to floats with each rounding, and to other widths, bit for bit", async (machine) => {
    const program = await loadFixture(machine, "conversions");
    const random = seeded(5);
    const edges = [7n, 8n, 15n, 16n, 24n, 25n, 31n, 32n, 53n, 54n, 63n].flatMap((b) => [
      (1n << b) - 1n,
      1n << b,
      (1n << b) + 1n,
      -(1n << b),
      -(1n << b) - 1n,
    ]);
    const some = Array.from(
      { length: 400 },
      () => ((BigInt(random.u32()) << 32n) | BigInt(random.u32())) >> BigInt(random.int(64)),
    );
    const inputs = BigUint64Array.from(
      [0n, ...edges, ...some, ...some.map((value) => -value)].map((v) => unsigned(64, v)),
    );
    const out = await scratch(machine, inputs.length * fromInteger.length * 8);
    const args = [i32(inputs.length), await upload(machine, inputs), out];
    await program.launch({ kernel: "convert_from_int", grid: blocksFor(inputs.length, 64), block: 64, args });
    checkConversions(
      await download(machine, out, new BigUint64Array(inputs.length * fromInteger.length)),
      inputs,
      fromInteger,
    );
  }),
];
