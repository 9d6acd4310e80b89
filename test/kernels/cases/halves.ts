/** 16-bit floats bit for bit. Order of the results: cu/halves.cu and cu/bfloats.cu. */
import assert from "node:assert/strict";
import {
  add,
  bfloat16,
  binary16,
  convert,
  type Format,
  fma,
  fromHalfBits,
  fromInteger,
  mul,
  roundings,
  toHalfBits,
  toWhole,
  unbounded16,
} from "../exact-float.ts";
import type { KernelCase } from "../machine.ts";
import { blocksFor, download, equalAll, i32, loadFixture, scratch, seeded, upload } from "../support.ts";
import { triplesFor } from "./rounding.ts";

type Triple = readonly [number, number, number];
/** Gives the bits of a result from the numbers, or from their bits; `other`: what is right as well. */
type Half = (triple: Triple, bits: Triple) => number;
type HalfOp = readonly [name: string, op: Half, other?: Half];

const lesser = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b));
const greater = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));
const saturated = (value: number): number => (Number.isNaN(value) ? 0 : Math.min(1, Math.max(0, value)));
const flushed = (value: number): number =>
  Math.abs(value) < 2 ** -14 ? (Object.is(Math.sign(value), -0) || value < 0 ? -0 : 0) : value;
const isGreaterOrUnordered = (a: number, b: number): boolean => !(a < b);

/** The high halves of a chain on pairs: each step is rounded. */
function chain([a, b]: Triple): number {
  let high = fma(binary16, [b, a, b], "rn");
  high = add(binary16, [high, a], "rn");
  high = mul(binary16, [high, b], "rn");
  return add(binary16, [high, -a], "rn");
}

const numbers = (format: Format, op: (triple: Triple) => number) => (triple: Triple) => toHalfBits(format, op(triple));
const f16 = (op: (triple: Triple) => number) => numbers(binary16, op);
const bf16 = (op: (triple: Triple) => number) => numbers(bfloat16, op);

const halfOps: readonly HalfOp[] = [
  ["add", f16(([a, b]) => add(binary16, [a, b], "rn"))],
  ["sub", f16(([a, b]) => add(binary16, [a, -b], "rn"))],
  ["mul", f16(([a, b]) => mul(binary16, [a, b], "rn"))],
  ["fma", f16((triple) => fma(binary16, triple, "rn"))],
  ["add.sat", f16(([a, b]) => saturated(add(binary16, [a, b], "rn")))],
  ["fma.ftz", f16(([a, b, c]) => flushed(fma(unbounded16, [flushed(a), flushed(b), flushed(c)], "rn")))],
  ["neg", (_, [a]) => a ^ 0x8000],
  ["abs", (_, [a]) => a & 0x7fff],
  ["set.lt", ([a, b]) => (a < b ? 0x3c00 : 0)],
  ["set.geu", ([a, b]) => (isGreaterOrUnordered(a, b) ? 0x3c00 : 0)],
  ["setp.eq", ([a, b], [, , c]) => (a === b ? c : 0)],
  ["pairs", f16(chain)],
  [
    "product and sum",
    f16(([a, b, c]) => add(binary16, [mul(binary16, [a, b], "rn"), c], "rn")),
    f16((triple) => fma(binary16, triple, "rn")),
  ],
];

const bfloatOps: readonly HalfOp[] = [
  ["fma", bf16((triple) => fma(bfloat16, triple, "rn"))],
  ["fma.relu", bf16((triple) => Math.max(0, fma(bfloat16, triple, "rn")))],
  ["min", bf16(([a, b]) => lesser(a, b))],
  ["max.NaN", bf16(([a, b]) => Math.max(a, b))],
  ["neg", (_, [a]) => a ^ 0x8000],
  ["abs", (_, [a]) => a & 0x7fff],
  ["max.f16", (_, [a, b]) => toHalfBits(binary16, greater(fromHalfBits(binary16, a), fromHalfBits(binary16, b)))],
  ["pairs", bf16(([a, b]) => fma(bfloat16, [b, a, b], "rn"))],
];

/** NaN for NaN; the sign of a zero counts but where the manual leaves it open. */
function agree(format: Format, actual: number, expected: number, name: string): boolean {
  if (actual === expected) return true;
  const [a, e] = [fromHalfBits(format, actual), fromHalfBits(format, expected)];
  if (Number.isNaN(a) && Number.isNaN(e)) return true;
  return a === 0 && e === 0 && /sat|relu/.test(name);
}

async function checkOps(
  machine: Parameters<KernelCase["run"]>[0],
  { ptx, kernel, format, ops }: { ptx: string; kernel: string; format: Format; ops: readonly HalfOp[] },
): Promise<void> {
  const program = await loadFixture(machine, ptx);
  // Products halfway between two numbers, which a far smaller addend decides.
  const ties = [1, -1].flatMap((sign) => [
    1.5,
    1 + 4 * 2 ** (1 - format.precision),
    sign * 2 ** (format.exponentMin + 8),
  ]);
  const halfway = [1.5, 1 + 2 ** (1 - format.precision)];
  const decided = [1, -1].flatMap((sign) => [...halfway, sign * 2 ** (format.exponentMin + 8)]);
  const values = [...triplesFor(format, 11), ...ties, ...decided].map((value) => convert(format, value, "rn"));
  const bits = Uint16Array.from(values, (value) => toHalfBits(format, value));
  const n = bits.length / 3;
  const out = await scratch(machine, n * ops.length * 2);
  const args = [i32(n), await upload(machine, bits), out];
  await program.launch({ kernel, grid: blocksFor(n, 128), block: 128, args });
  const results = await download(machine, out, new Uint16Array(n * ops.length));
  for (let i = 0; i < n; i++) {
    const triple = [...bits.subarray(i * 3, i * 3 + 3)] as unknown as Triple;
    const floats = triple.map((one) => fromHalfBits(format, one)) as unknown as Triple;
    ops.forEach(([name, op, other = op], k) => {
      const actual = results[i * ops.length + k]!;
      const expected = op(floats, triple);
      assert.ok(
        agree(format, actual, expected, name) || agree(format, actual, other(floats, triple), name),
        `${name} of [${floats.join()}] is [${fromHalfBits(format, actual)}], expected [${fromHalfBits(format, expected)}]`,
      );
    });
  }
}

/** 32-bit numbers at and beside every step of a format, and beyond its range. */
function singlesAround(format: Format, seed: number): Float32Array {
  const random = seeded(seed);
  const steps = Array.from({ length: 3000 }, () => fromHalfBits(format, random.int(0x10000)));
  const beside = steps.flatMap((step) => [
    step,
    step * (1 + 2 ** -format.precision),
    step * (1 + 3 * 2 ** -12),
    step * 0.7,
  ]);
  return Float32Array.from([
    ...beside,
    ...triplesFor(format, seed),
    65519.99,
    65520,
    -65520,
    1e9,
    -3.4e38,
    NaN,
    2 ** -25,
  ]);
}

const halves = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "halves", run });
const bfloats = (name: string, run: KernelCase["run"]): KernelCase => ({ name, ptx: "bfloats", run });

/** Bits but that any NaN is like any other. */
function equalHalves(format: Format, actual: ArrayLike<number>, expected: readonly number[], label: string): void {
  for (const [i, want] of expected.entries())
    assert.ok(agree(format, actual[i]!, want, ""), `${label}: element ${i} is [${actual[i]}], expected [${want}]`);
}

export const halfCases: readonly KernelCase[] = [
  halves("arithmetic and comparisons of f16, alone and in pairs, round once", (machine) =>
    checkOps(machine, { ptx: "halves", kernel: "half_ops", format: binary16, ops: halfOps }),
  ),

  halves("32-bit and 64-bit floats become f16 by each rounding", async (machine) => {
    const program = await loadFixture(machine, "halves");
    const data = singlesAround(binary16, 5);
    const out = await scratch(machine, data.length * 10);
    const args = [i32(data.length), await upload(machine, data), out];
    await program.launch({ kernel: "half_from_f32", grid: blocksFor(data.length, 256), block: 256, args });
    const results = await download(machine, out, new Uint16Array(data.length * 5));
    const expected = [...data].flatMap((value) => [
      ...roundings.map((mode) => toHalfBits(binary16, convert(binary16, value, mode))),
      toHalfBits(binary16, convert(binary16, value * 1.00000001, "rn")),
    ]);
    equalHalves(binary16, results, expected, "cvt");
  }),

  halves("every f16 becomes a 32-bit float, an integer and a whole number", async (machine) => {
    const program = await loadFixture(machine, "halves");
    const n = 0x10000;
    const bits = Uint16Array.from({ length: n }, (_, i) => i);
    const [wide, whole, rounded] = [
      await scratch(machine, n * 4),
      await scratch(machine, n * 16),
      await scratch(machine, n * 4),
    ];
    const args = [await upload(machine, bits), wide, whole, rounded];
    await program.launch({ kernel: "half_widened", grid: n / 256, block: 256, args });
    const values = [...bits].map((one) => fromHalfBits(binary16, one));
    equalAll(await download(machine, wide, new Float32Array(n)), values, "widened");
    const clamped = (value: number) =>
      (Number.isNaN(value) ? 0 : Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value))) + 0;
    const wholes = values.flatMap((value) => roundings.map((mode) => clamped(toWhole(value, mode))));
    equalAll(await download(machine, whole, new Int32Array(n * 4)), wholes, "integers");
    const expected = values.flatMap((value) => [
      toHalfBits(binary16, toWhole(value, "rm")),
      toHalfBits(binary16, toWhole(value, "rn")),
    ]);
    equalHalves(binary16, await download(machine, rounded, new Uint16Array(n * 2)), expected, "rounded");
  }),

  halves("integers become f16", async (machine) => {
    const program = await loadFixture(machine, "halves");
    const random = seeded(3);
    const edges = [
      0n,
      1n,
      -1n,
      2047n,
      2049n,
      2051n,
      65519n,
      65520n,
      -65504n,
      1n << 40n,
      (1n << 63n) - 1n,
      -(1n << 63n),
    ];
    const data = BigInt64Array.from([
      ...edges,
      ...Array.from({ length: 500 }, () => BigInt(random.int(140_000) - 70_000)),
    ]);
    const out = await scratch(machine, data.length * 6);
    const args = [i32(data.length), await upload(machine, data), out];
    await program.launch({ kernel: "half_from_integers", grid: blocksFor(data.length, 128), block: 128, args });
    const expected = [...data].flatMap((value) => [
      toHalfBits(binary16, fromInteger(binary16, value, "rn")),
      toHalfBits(binary16, fromInteger(binary16, BigInt.asIntN(32, value), "rz")),
      toHalfBits(binary16, fromInteger(binary16, BigInt.asUintN(16, value), "rp")),
    ]);
    equalAll(await download(machine, out, new Uint16Array(data.length * 3)), expected, "cvt");
  }),

  halves("atomic sums of f16, alone and in pairs, lose nothing", async (machine) => {
    const program = await loadFixture(machine, "halves");
    const one = await upload(machine, new Uint16Array(2));
    const pair = await upload(machine, new Uint16Array(4));
    await program.launch({ kernel: "half_sums", grid: 4, block: 128, args: [one, pair] });
    const bits = (value: number) => toHalfBits(binary16, value);
    equalAll(await download(machine, one, new Uint16Array(2)), [bits(512), 0], "one");
    equalAll(await download(machine, pair, new Uint16Array(4)), [512, 256, 1024, 512].map(bits), "pairs");
  }),

  bfloats("arithmetic of bf16, alone and in pairs, rounds once", (machine) =>
    checkOps(machine, { ptx: "bfloats", kernel: "bfloat_ops", format: bfloat16, ops: bfloatOps }),
  ),

  bfloats("32-bit floats become bf16 and tf32", async (machine) => {
    const program = await loadFixture(machine, "bfloats");
    const data = singlesAround(bfloat16, 6);
    const n = data.length;
    const out = await scratch(machine, n * 12);
    const args = [i32(n), await upload(machine, data), out];
    await program.launch({ kernel: "bfloat_from_f32", grid: blocksFor(n, 256), block: 256, args });
    const words = await download(machine, out, new Uint32Array(n * 3));
    const own = [0, 1].flatMap((half) => [...data].map((_, i) => (words[i * 3]! >>> (16 * half)) & 0xffff));
    const modes = ["rn", "rz"] as const;
    const rounded = modes.map((mode) => [...data].map((value) => toHalfBits(bfloat16, convert(bfloat16, value, mode))));
    equalHalves(bfloat16, own, rounded.flat(), "cvt");
    const pairs = [...data].flatMap((_, i) => [words[i * 3 + 1]! & 0xffff, words[i * 3 + 1]! >>> 16]);
    equalHalves(
      bfloat16,
      pairs,
      rounded[0]!.flatMap((bits, i) => [rounded[0]![n - 1 - i]!, bits]),
      "pairs",
    );
    const nearestAway = (value: number): number => {
      const magnitude = convert({ precision: 11, exponentMin: -136, exponentMax: 127 }, Math.abs(value), "rz");
      const unit = 2 ** (Math.max(Math.floor(Math.log2(magnitude || 2 ** -126)), -126) - 10);
      return Math.sign(value) * (Math.abs(value) - magnitude >= unit / 2 ? magnitude + unit : magnitude);
    };
    const tf32 = new Float32Array(Uint32Array.from(data, (_, i) => words[i * 3 + 2]!).buffer);
    data.forEach((value, i) => {
      if (!Number.isFinite(value) || Math.abs(value) > 3.3e38) return;
      assert.equal(tf32[i]! + 0, nearestAway(value) + 0, `tf32 of [${value}]`);
    });
  }),
];
