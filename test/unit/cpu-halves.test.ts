/**
 * Floats of 16 bits on the cpu device, bit for bit against exact arithmetic: every f16 and bf16 there is through conversions and
 * unary operations, edges and random words through the others. NaNs are all alike.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { add, convert, type Format, fma, fromInteger, mul, type Rounding, toWhole } from "../kernels/exact-float.ts";
import { type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu({ arenaBytes: 4 * 1024 * 1024 });
});
afterAll(() => machine.slice.close());

interface Half extends Format {
  readonly name: "f16" | "bf16";
  readonly one: number;
}
const f16: Half = { name: "f16", precision: 11, exponentMin: -24, exponentMax: 15, one: 0x3c00 };
const bf16: Half = { name: "bf16", precision: 8, exponentMin: -133, exponentMax: 127, one: 0x3f80 };
const halves = [f16, bf16];

const fractionBits = (half: Half) => half.precision - 1;
/** The number behind bits. */
function numberOf(half: Half, bits: number): number {
  const fraction = bits & (2 ** fractionBits(half) - 1);
  const exponent = (bits & 0x7fff) >> fractionBits(half);
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** half.exponentMin;
  if (exponent === half.exponentMax * 2 + 1) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (fraction + 2 ** fractionBits(half)) * 2 ** (exponent - 1 + half.exponentMin);
}
/** The bits of a number that the format has. */
function bitsOf(half: Half, value: number): number {
  if (Number.isNaN(value)) return 0x7fff;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === Infinity) return sign | ((half.exponentMax * 2 + 1) << fractionBits(half));
  if (magnitude < 2 ** (half.exponentMin + fractionBits(half))) return sign | (magnitude * 2 ** -half.exponentMin);
  const exponent = Math.floor(Math.log2(magnitude));
  const steps = magnitude * 2 ** (fractionBits(half) - exponent) - 2 ** fractionBits(half);
  return sign | (((exponent + half.exponentMax) << fractionBits(half)) + steps);
}
const sameNaN = (half: Half, bits: number): number => (Number.isNaN(numberOf(half, bits)) ? 0x7fff : bits);

let state = 12345;
function random(): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state >>> 8;
}
const edges = [
  0, 1, 2, 0x3ff, 0x400, 0x7f, 0x80, 0x81, 0x3c00, 0x3c01, 0x3f80, 0x3f81, 0x7bff, 0x7c00, 0x7c01, 0x7f7f, 0x7f80,
  0x7f81, 0x3800,
];
const odd = edges.flatMap((bits) => [bits, bits | 0x8000]);
/** Three halves each: all triples of a few edges, and random ones. */
const triples = [
  ...odd.flatMap((a) => odd.map((b) => [a, b, odd[random() % odd.length]!] as const)),
  ...Array.from({ length: 4000 }, () => [random() & 0xffff, random() & 0xffff, random() & 0xffff] as const),
];

/** Runs `code` on %h1, %h2, %h3 (and on words %r1, %r2, %r3 with the same in both halves' places) of each triple; the result is in %r9. */
async function onTriples(code: string): Promise<Uint32Array> {
  const base = 0x100000;
  writeWords(
    machine,
    triples.flatMap(([a, b, c]) => [a | (b << 16), c]),
    base,
  );
  const body = `mov.u32 %r8, %ctaid.x; mad.lo.u32 %r8, %r8, 256, %r0; setp.ge.u32 %p0, %r8, ${triples.length}; @%p0 ret;
    mul.wide.u32 %rd1, %r8, 8; add.u64 %rd2, %rd0, %rd1; ld.global.v2.u32 {%r1, %r2}, [%rd2+${base}];
    mov.b32 {%h1, %h2}, %r1; mov.b32 {%h3, %h4}, %r2;
    mov.b32 %r1, {%h1, %h2}; mov.b32 %r2, {%h2, %h3}; mov.b32 %r3, {%h3, %h1};
    ${code}
    mul.wide.u32 %rd1, %r8, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r9;`;
  await runPtx(machine, ptxKernel(body), { grid: [Math.ceil(triples.length / 256), 1, 1], block: 256 });
  return readWords(machine, triples.length);
}

/** Runs `code` on every %h1 (%r1: the same number); the result is in %r9. */
async function onAll(code: string): Promise<Uint32Array> {
  const body = `mov.u32 %r8, %ctaid.x; mad.lo.u32 %r1, %r8, 256, %r0; cvt.u16.u32 %h1, %r1;
    ${code}
    mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r9;`;
  await runPtx(machine, ptxKernel(body), { grid: [256, 1, 1], block: 256 });
  return readWords(machine, 65536);
}

function expectAll(
  actual: Uint32Array,
  expected: (bits: number) => number,
  normal: (bits: number) => number = (bits) => bits,
): void {
  const wrong: string[] = [];
  actual.forEach((found, bits) => {
    const wanted = expected(bits) >>> 0;
    if (normal(found) !== normal(wanted))
      wrong.push(`${bits.toString(16)}: ${found.toString(16)}, not ${wanted.toString(16)}`);
  });
  expect(wrong.slice(0, 10)).toEqual([]);
}

type Op = (a: number, b: number, c: number) => number;
const saturate = (value: number): number => (Number.isNaN(value) ? 0 : Math.min(1, Math.max(0, value)));
const lesser = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b));

describe.each(halves)("$name", (half) => {
  const { name } = half;
  const rows: readonly (readonly [instruction: string, op: Op])[] = [
    [`add.${name} %h9, %h1, %h2;`, (a, b) => add(half, [a, b], "rn")],
    [`sub.rn.${name} %h9, %h1, %h2;`, (a, b) => add(half, [a, -b], "rn")],
    [`mul.${name} %h9, %h1, %h2;`, (a, b) => mul(half, [a, b], "rn")],
    [`fma.rn.${name} %h9, %h1, %h2, %h3;`, (a, b, c) => fma(half, [a, b, c], "rn")],
    [`fma.rn.relu.${name} %h9, %h1, %h2, %h3;`, (a, b, c) => Math.max(0, fma(half, [a, b, c], "rn")) + 0],
    [`fma.rn.sat.${name} %h9, %h1, %h2, %h3;`, (a, b, c) => saturate(fma(half, [a, b, c], "rn"))],
    [`min.${name} %h9, %h1, %h2;`, lesser],
    [`max.NaN.${name} %h9, %h1, %h2;`, (a, b) => Math.max(a, b)],
    [`neg.${name} %h9, %h1;`, (a) => -a],
    [`abs.${name} %h9, %h1;`, (a) => Math.abs(a)],
  ];
  test.each(rows)("%s", async (instruction, op) => {
    const actual = await onTriples(`${instruction} cvt.u32.u16 %r9, %h9;`);
    const expected = triples.map(([a, b, c]) =>
      bitsOf(half, op(numberOf(half, a), numberOf(half, b), numberOf(half, c))),
    );
    expectAll(
      actual,
      (index) => expected[index]!,
      (bits) => sameNaN(half, bits),
    );
  });

  test("two in a word are worked on by themselves", async () => {
    const actual = await onTriples(`fma.rn.${name}x2 %r9, %r1, %r2, %r3;`);
    const each = (a: number, b: number, c: number) =>
      bitsOf(half, fma(half, [numberOf(half, a), numberOf(half, b), numberOf(half, c)], "rn"));
    const expected = triples.map(([a, b, c]) => each(a, b, c) | (each(b, c, a) << 16));
    const normal = (bits: number) => (sameNaN(half, bits & 0xffff) | (sameNaN(half, bits >>> 16) << 16)) >>> 0;
    expectAll(actual, (index) => expected[index]!, normal);
  });

  const relations: readonly (readonly [name: string, op: (a: number, b: number) => boolean])[] = [
    ["lt", (a, b) => a < b],
    ["geu", (a, b) => !(a < b)],
    ["ne", (a, b) => a < b || a > b],
    ["nan", (a, b) => Number.isNaN(a) || Number.isNaN(b)],
  ];
  test.each(relations)("comparisons by %s, as predicates, masks and ones", async (relation, op) => {
    const actual = await onTriples(`setp.${relation}.${name} %p1, %h1, %h2; selp.u32 %r9, 1, 0, %p1;
      setp.${relation}.${name}x2 %p1|%p2, %r1, %r2; @%p1 add.u32 %r9, %r9, 2; @%p2 add.u32 %r9, %r9, 4;
      set.${relation}.u32.${name} %r4, %h1, %h2; and.b32 %r4, %r4, 8; add.u32 %r9, %r9, %r4;
      set.${relation}.u32.${name}x2 %r4, %r1, %r2; and.b32 %r4, %r4, 0x80000010; add.u32 %r9, %r9, %r4;
      set.${relation}.${name}.${name} %h4, %h1, %h2; cvt.u32.u16 %r4, %h4; setp.eq.u32 %p1, %r4, ${half.one}; @%p1 add.u32 %r9, %r9, 32;
      set.${relation}.${name}x2.${name}x2 %r4, %r1, %r2; shr.u32 %r4, %r4, 16; setp.eq.u32 %p1, %r4, ${half.one}; @%p1 add.u32 %r9, %r9, 64;`);
    const values = triples.map((triple) => triple.map((bits) => numberOf(half, bits)) as [number, number, number]);
    const expected = values.map(
      ([a, b, c]) => (op(a, b) ? 1 + 2 + 8 + 16 + 32 : 0) + (op(b, c) ? 4 + 64 + 0x80000000 : 0),
    );
    expectAll(actual, (index) => expected[index]!);
  });

  test("every one becomes a 32-bit float exactly", async () => {
    const word = new DataView(new ArrayBuffer(4));
    const actual = await onAll(`cvt.f32.${name} %f1, %h1; mov.b32 %r9, %f1;`);
    const expected = (bits: number) => {
      word.setFloat32(0, numberOf(half, bits));
      return word.getUint32(0);
    };
    expectAll(actual, expected, (bits) => ((bits & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : bits));
  });

  test.each(["rn", "rz", "rm", "rp"] as Rounding[])("32-bit floats and integers are rounded %s", async (rounding) => {
    // Every number of the format, and what lies a little beside it.
    const actual = await onAll(`cvt.f32.${name} %f1, %h1; mov.b32 %r2, %f1; xor.b32 %r2, %r2, 0x1000; mov.b32 %f2, %r2;
      cvt.${rounding}.${name}.f32 %h2, %f2; cvt.${rounding}.${name}.u32 %h3, %r1; mov.b32 %r9, {%h2, %h3};`);
    const word = new DataView(new ArrayBuffer(4));
    const expected = (bits: number) => {
      word.setFloat32(0, numberOf(half, bits));
      word.setUint32(0, (word.getUint32(0) ^ 0x1000) >>> 0);
      const value = Number.isNaN(numberOf(half, bits)) ? Number.NaN : word.getFloat32(0);
      return (
        bitsOf(half, convert(half, value, rounding)) | (bitsOf(half, fromInteger(half, BigInt(bits), rounding)) << 16)
      );
    };
    const isNaNBeside = (bits: number) =>
      Number.isNaN(numberOf(half, bits)) || Math.abs(numberOf(half, bits)) === Infinity;
    const beside = (value: number, bits: number) => (isNaNBeside(bits) ? value >>> 16 : value);
    expectAll(
      actual.map((value, bits) => beside(value, bits)),
      (bits) => beside(expected(bits) >>> 0, bits),
    );
  });

  test("they become integers and whole numbers, also negative ones", async () => {
    const actual =
      await onAll(`cvt.rzi.s32.${name} %r2, %h1; cvt.rpi.${name}.${name} %h2, %h1; cvt.rn.${name}.s16 %h3, %h1;
      cvt.u32.u16 %r3, %h2; cvt.u32.u16 %r4, %h3; xor.b32 %r9, %r2, %r3; shl.b32 %r4, %r4, 8; xor.b32 %r9, %r9, %r4;`);
    const expected = (bits: number) => {
      const value = numberOf(half, bits);
      const whole = Number.isNaN(value) ? 0 : Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(value)));
      const signed = (bits << 16) >> 16;
      return whole ^ bitsOf(half, toWhole(value, "rp")) ^ (bitsOf(half, fromInteger(half, BigInt(signed), "rn")) << 8);
    };
    expectAll(actual, expected);
  });

  test("two 32-bit floats are packed, the first one above", async () => {
    const actual = await onAll(
      `cvt.f32.${name} %f1, %h1; mov.f32 %f2, 0fC0000000; cvt.rn.${name}x2.f32 %r9, %f2, %f1;`,
    );
    expectAll(
      actual,
      (bits) => bits | (bitsOf(half, -2) << 16),
      (bits) => (sameNaN(half, bits & 0xffff) | (bits & 0xffff0000)) >>> 0,
    );
  });

  test("are added atomically, alone and two at a time, in both memories", async () => {
    const [one, two] = [half.one, bitsOf(half, 2)];
    const before = ".shared .align 4 .b8 area[8];";
    const body = `mov.u16 %h1, ${one}; mov.b32 %r1, ${one | (two << 16)};
      setp.ne.u32 %p1, %r0, 0; mov.u32 %r2, area; @!%p1 st.shared.u32 [%r2], 0; @!%p1 st.shared.u32 [%r2+4], 0; bar.sync 0;
      atom.global.add.noftz.${name} %h2, [%rd0+2], %h1; red.global.add.noftz.${name}x2 [%rd0+4], %r1;
      atom.shared.add.noftz.${name} %h2, [%r2+2], %h1; red.shared.add.noftz.${name}x2 [%r2+4], %r1; bar.sync 0;
      @%p1 ret; ld.shared.v2.u32 {%r3, %r4}, [%r2]; st.global.v2.u32 [%rd0+8], {%r3, %r4};`;
    writeWords(machine, [0x1234, 0, 0, 0]);
    await runPtx(machine, ptxKernel(body, { before }), { block: 64 });
    const sums = [bitsOf(half, 64), bitsOf(half, 128)] as const;
    expect([...readWords(machine, 4)]).toEqual([
      0x1234 + sums[0] * 65536,
      sums[0] + sums[1] * 65536,
      sums[0] * 65536,
      sums[0] + sums[1] * 65536,
    ]);
  });
});

test("f16 operations flush subnormals where they say so", async () => {
  const actual = await onAll("mov.u16 %h2, 0x3C00; mul.ftz.f16 %h3, %h1, %h2; cvt.u32.u16 %r9, %h3;");
  expectAll(
    actual,
    (bits) => ((bits & 0x7c00) === 0 ? bits & 0x8000 : sameNaN(f16, bits)),
    (bits) => sameNaN(f16, bits),
  );
});

test("a modifier that halves do not take is refused by name", async () => {
  const refused = await failure(() => runPtx(machine, ptxKernel("add.rz.f16 %h1, %h2, %h3;")));
  expect(refused).toMatchObject({ code: "UNSUPPORTED_INSTRUCTION", message: expect.stringContaining("add.rz.f16") });
});
