/**
 * Opcodes on the cpu device against values computed here in BigInt and 64-bit floats: those that compilers rarely emit, in forms
 * that test/kernels does not hold. Each row runs its instructions on every pair of odd values.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import { bytesOf, type CpuMachine, failure, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

const u32 = (value: bigint): bigint => BigInt.asUintN(32, value);
const s32 = (value: bigint): bigint => BigInt.asIntN(32, value);

const odd = [0n, 1n, 2n, 31n, 32n, 33n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x12345678n, 0xdeadbeefn, 0xff00ff00n];

/** %r1 and %r2 hold a and b; the result is expected in %r3. */
const pairs: readonly (readonly [code: string, op: (a: bigint, b: bigint) => bigint])[] = [
  ["mul24.lo.u32 %r3, %r1, %r2;", (a, b) => (a & 0xffffffn) * (b & 0xffffffn)],
  ["mul24.hi.u32 %r3, %r1, %r2;", (a, b) => ((a & 0xffffffn) * (b & 0xffffffn)) >> 16n],
  ["mul24.lo.s32 %r3, %r1, %r2;", (a, b) => BigInt.asIntN(24, a) * BigInt.asIntN(24, b)],
  ["mul24.hi.s32 %r3, %r1, %r2;", (a, b) => (BigInt.asIntN(24, a) * BigInt.asIntN(24, b)) >> 16n],
  ["mad24.lo.s32 %r3, %r1, %r2, 77;", (a, b) => BigInt.asIntN(24, a) * BigInt.asIntN(24, b) + 77n],
  ["sad.s32 %r3, %r1, %r2, 5;", (a, b) => (s32(a) > s32(b) ? s32(a) - s32(b) : s32(b) - s32(a)) + 5n],
  ["sad.u32 %r3, %r1, %r2, %r1;", (a, b) => (a > b ? a - b : b - a) + a],
  ["cnot.b32 %r3, %r1;", (a) => (a === 0n ? 1n : 0n)],
  ["shl.b32 %r3, %r1, %r2;", (a, b) => (b > 31n ? 0n : a << b)],
  ["shr.u32 %r3, %r1, %r2;", (a, b) => (b > 31n ? 0n : a >> b)],
  ["shr.s32 %r3, %r1, %r2;", (a, b) => s32(a) >> (b > 31n ? 31n : b)],
  ["shl.b32 %r3, %r1, 40;", () => 0n],
  ["shr.s32 %r3, %r1, 40;", (a) => s32(a) >> 31n],
  ["div.u32 %r3, %r1, %r2;", (a, b) => (b === 0n ? 0xffffffffn : a / b)],
  ["div.s32 %r3, %r1, %r2;", (a, b) => (b === 0n ? -1n : s32(a) / s32(b))],
  ["rem.s32 %r3, %r1, %r2;", (a, b) => (b === 0n ? -1n : s32(a) % s32(b))],
  ["min.s32 %r3, %r1, %r2;", (a, b) => (s32(a) < s32(b) ? a : b)],
  ["max.u32 %r3, %r1, %r2;", (a, b) => (a > b ? a : b)],
  ["add.sat.s32 %r3, %r1, %r2;", (a, b) => clamp(s32(a) + s32(b))],
  ["sub.sat.s32 %r3, %r1, %r2;", (a, b) => clamp(s32(a) - s32(b))],
  ["mad.hi.sat.s32 %r3, %r1, %r2, %r2;", (a, b) => clamp(((s32(a) * s32(b)) >> 32n) + s32(b))],
  ["bfind.shiftamt.u32 %r3, %r1;", (a) => (a === 0n ? 0xffffffffn : 31n - BigInt(a.toString(2).length - 1))],
  ["bfe.u32 %r3, %r1, %r2, 7;", (a, b) => ((b & 0xffn) > 31n ? 0n : (a >> (b & 0xffn)) & 0x7fn)],
  ["slct.u32.s32 %r3, %r1, 9, %r2;", (a, b) => (s32(b) >= 0n ? a : 9n)],
  ["set.lt.u32.s32 %r3, %r1, %r2;", (a, b) => (s32(a) < s32(b) ? 0xffffffffn : 0n)],
  ["set.hs.and.u32.u32 %r3, %r1, %r2, %p0;", (a, b) => (a >= b && a !== 1n ? 0xffffffffn : 0n)],
  ["setp.ne.u32 %p1|%p2, %r1, %r2; selp.u32 %r3, 1, 0, %p1; @%p2 add.u32 %r3, %r3, 2;", (a, b) => (a !== b ? 1n : 2n)],
  ["dp4a.s32.u32 %r3, %r1, %r2, 100;", (a, b) => dot(a, b, true, false) + 100n],
  ["dp4a.u32.s32 %r3, %r1, %r2, 100;", (a, b) => dot(a, b, false, true) + 100n],
  ["bmsk.clamp.b32 %r3, %r1, %r2;", (a, b) => ones(a + b) & ~ones(a)],
  ["bmsk.wrap.b32 %r3, %r1, %r2;", (a, b) => ones((a & 31n) + (b & 31n)) & ~ones(a & 31n)],
  ["bmsk.clamp.b32 %r3, 3, 5;", () => 0xf8n],
  ["szext.clamp.u32 %r3, %r1, %r2;", (a, b) => a & ones(b)],
  ["szext.clamp.s32 %r3, %r1, %r2;", (a, b) => (b === 0n ? 0n : BigInt.asIntN(b > 32n ? 32 : Number(b), a))],
  ["szext.wrap.s32 %r3, %r1, %r2;", (a, b) => ((b & 31n) === 0n ? 0n : BigInt.asIntN(Number(b & 31n), a))],
  ["shf.r.clamp.b32 %r3, %r1, %r2, 35;", (_, b) => b],
  ["mov.b32 {%h1, %h2}, %r1; mov.b32 %r3, {%h2, %h1};", (a) => (a << 16n) | (a >> 16n)],
  ["mov.b64 %rd5, {%r1, %r2}; mov.b64 {%r4, %r3}, %rd5; sub.u32 %r3, %r3, %r4;", (a, b) => b - a],
  ["cvt.u16.u32 %h1, %r1; neg.s16 %h2, %h1; cvt.s32.s16 %r3, %h2;", (a) => BigInt.asIntN(16, -a)],
  ["cvt.s8.s32 %r3, %r1;", (a) => BigInt.asIntN(8, a)],
  [
    "cvt.u16.u32 %h1, %r1; cvt.u16.u32 %h2, %r2; mul.hi.s16 %h3, %h1, %h2; cvt.u32.u16 %r3, %h3;",
    (a, b) => BigInt.asUintN(16, (BigInt.asIntN(16, a) * BigInt.asIntN(16, b)) >> 16n),
  ],
  [
    "cvt.u16.u32 %h1, %r1; cvt.u16.u32 %h2, %r2; mul.wide.s16 %r3, %h1, %h2;",
    (a, b) => BigInt.asIntN(16, a) * BigInt.asIntN(16, b),
  ],
  ["sub.cc.u32 %r4, %r1, %r2; subc.u32 %r3, 10, 3;", (a, b) => 7n - (a < b ? 1n : 0n)],
  ["sub.cc.u32 %r4, %r1, %r2; addc.u32 %r3, 0, 0;", (a, b) => (a < b ? 0n : 1n)],
  ["sub.cc.u32 %r4, %r1, %r2; subc.cc.u32 %r5, 0, 0; addc.u32 %r3, 0, 0;", (a, b) => (a < b ? 0n : 1n)],
  ["add.cc.u32 %r4, %r1, %r2; subc.u32 %r3, 10, 3;", (a, b) => 6n + ((a + b) >> 32n)],
  [
    "add.cc.u32 %r4, %r1, %r2; addc.cc.u32 %r5, %r1, -1; addc.u32 %r3, 0, 0;",
    (a, b) => (a + 0xffffffffn + ((a + b) >> 32n)) >> 32n,
  ],
  ["fns.b32 %r3, %r1, 5, 3;", (a) => nth(a, 5, 3)],
  ["fns.b32 %r3, %r1, %r2, -2;", (a, b) => (b > 31n ? 0xffffffffn : nth(a, Number(b), -2))],
  ["fns.b32 %r3, %r1, %r2, 0;", (a, b) => (b <= 31n && (a >> b) & 1n ? b : 0xffffffffn)],
  [
    "dp2a.lo.s32.u32 %r3, %r1, %r2, 100;",
    (a, b) => low16(a) * (b & 0xffn) + low16(a >> 16n) * ((b >> 8n) & 0xffn) + 100n,
  ],
  [
    "dp2a.hi.u32.s32 %r3, %r1, %r2, 100;",
    (a, b) => (a & 0xffffn) * BigInt.asIntN(8, b >> 16n) + (a >> 16n) * BigInt.asIntN(8, b >> 24n) + 100n,
  ],
  ["vabsdiff4.u32.u32.u32 %r3, %r1, %r2, 0;", (a, b) => joined(differences(a, b, 8, false), 8n)],
  ["vabsdiff4.u32.s32.s32 %r3, %r1, %r2, 0;", (a, b) => joined(differences(a, b, 8, true), 8n)],
  ["vabsdiff4.u32.u32.u32.add %r3, %r1, %r2, 7;", (a, b) => differences(a, b, 8, false).reduce((x, y) => x + y, 7n)],
  ["vabsdiff2.u32.u32.u32.add %r3, %r1, %r2, 7;", (a, b) => differences(a, b, 16, false).reduce((x, y) => x + y, 7n)],
  ["vadd.u32.u32.u32 %r3, %r1, %r2;", (a, b) => a + b],
  ["vadd.u32.u32.u32.sat %r3, %r1, %r2;", (a, b) => (a + b > 0xffffffffn ? 0xffffffffn : a + b)],
  ["vadd.s32.u32.s32.sat %r3, %r1, %r2;", (a, b) => clamp(a + BigInt.asIntN(32, b))],
  ["vsub.u32.u32.u32.add %r3, %r1, %r2, 9;", (a, b) => a - b + 9n],
  ["vsub.s32.s32.u32.sat.max %r3, %r1, %r2, -7;", (a, b) => larger(clamp(BigInt.asIntN(32, a) - b), -7n)],
  ["vsub.u32.u32.u32.sat %r3, %r1, %r2;", (a, b) => larger(a - b, 0n)],
  ["vabsdiff.u32.s32.s32 %r3, %r1, %r2;", (a, b) => distance(BigInt.asIntN(32, a), BigInt.asIntN(32, b))],
  ["vabsdiff.u32.u32.u32.add %r3, %r1, %r2, 5;", (a, b) => distance(a, b) + 5n],
  ["vmin.s32.u32.s32 %r3, %r1, %r2;", (a, b) => -larger(-a, -BigInt.asIntN(32, b))],
  ["vmax.u32.u32.u32.min %r3, %r1, %r2, 1000;", (a, b) => -larger(-larger(a, b), -1000n)],
  ["vset.s32.u32.lt %r3, %r1, %r2;", (a, b) => (BigInt.asIntN(32, a) < b ? 1n : 0n)],
  ["vset.u32.u32.ge.add %r3, %r1, %r2, 40;", (a, b) => (a >= b ? 41n : 40n)],
  ["mad.lo.cc.u32 %r4, %r1, %r2, %r2; madc.hi.u32 %r3, %r1, %r2, 0;", (a, b) => (a * b + b) >> 32n],
];

/** The lowest bits, up to 32 of them. */
const ones = (count: bigint): bigint => (1n << (count > 32n ? 32n : count)) - 1n;

const larger = (left: bigint, right: bigint): bigint => (left > right ? left : right);
const distance = (left: bigint, right: bigint): bigint => (left > right ? left - right : right - left);

const clamp = (value: bigint): bigint =>
  value > 0x7fffffffn ? 0x7fffffffn : value < -0x80000000n ? -0x80000000n : value;

const low16 = (value: bigint): bigint => BigInt.asIntN(16, value);

/** The place of the n-th one of `mask` from `base` on, downwards for a negative n. */
function nth(mask: bigint, base: number, n: number): bigint {
  const places = Array.from({ length: 32 }, (_, at) => at).filter((at) => (mask >> BigInt(at)) & 1n);
  const found = n > 0 ? places.filter((at) => at >= base)[n - 1] : places.filter((at) => at <= base).at(n);
  return BigInt(found ?? 0xffffffff);
}

/** Absolute differences of lanes, the lowest first. */
function differences(a: bigint, b: bigint, bits: number, isSigned: boolean): bigint[] {
  const lane = (value: bigint, at: number) =>
    (isSigned ? BigInt.asIntN : BigInt.asUintN)(bits, value >> BigInt(at * bits));
  return Array.from({ length: 32 / bits }, (_, at) => lane(a, at) - lane(b, at)).map((d) => (d < 0n ? -d : d));
}
const joined = (lanes: bigint[], bits: bigint): bigint =>
  lanes.reduce((word, lane, at) => word | (BigInt.asUintN(Number(bits), lane) << (BigInt(at) * bits)), 0n);

function dot(a: bigint, b: bigint, leftSigned: boolean, rightSigned: boolean): bigint {
  let sum = 0n;
  for (let at = 0n; at < 32n; at += 8n) {
    const [x, y] = [(a >> at) & 0xffn, (b >> at) & 0xffn];
    sum += (leftSigned ? BigInt.asIntN(8, x) : x) * (rightSigned ? BigInt.asIntN(8, y) : y);
  }
  return sum;
}

describe("integer opcodes agree with BigInt on odd values", () => {
  test.each(pairs)("%s", async (code, op) => {
    const inputs = odd.flatMap((a) => odd.map((b) => [a, b] as const));
    writeWords(machine, inputs.flat().map(Number), 0x10000);
    const body = `mul.wide.u32 %rd1, %r0, 8; add.u64 %rd2, %rd0, %rd1; ld.global.v2.u32 {%r1, %r2}, [%rd2+65536];
      setp.ne.u32 %p0, %r1, 1; mov.u32 %r3, 0;
      ${code}
      mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r3;`;
    await runPtx(machine, ptxKernel(body), { block: inputs.length });
    const actual = readWords(machine, inputs.length);
    inputs.forEach(([a, b], index) => {
      expect(BigInt(actual[index]!), `of ${a} and ${b}`).toBe(u32(op(a, b)));
    });
  });

  test("lop3 gives each of its 256 functions", async () => {
    const tables = Array.from({ length: 256 }, (_, table) => table);
    // Every combination of three bits appears in these words.
    const body = `mov.u32 %r1, 0xF0F0F0F0; mov.u32 %r2, 0xCCCCCCCC; mov.u32 %r3, 0xAAAAAAAA;
      ${tables.map((table) => `lop3.b32 %r4, %r1, %r2, %r3, ${table}; st.global.u32 [%rd0+${table * 4}], %r4;`).join("\n")}`;
    await runPtx(machine, ptxKernel(body));
    expect([...readWords(machine, 256)]).toEqual(tables.map((table) => (table * 0x01010101) >>> 0));
  });
});

describe("float opcodes", () => {
  const floats = [
    0,
    -0,
    1,
    -1.5,
    2.5,
    1e-40,
    -1e-45,
    3.4e38,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
  ];
  const rows: readonly (readonly [code: string, op: (x: number) => number])[] = [
    ["testp.finite.f32 %p1, %f1;", (x) => +Number.isFinite(x)],
    ["testp.infinite.f32 %p1, %f1;", (x) => +(Math.abs(x) === Number.POSITIVE_INFINITY)],
    ["testp.notanumber.f32 %p1, %f1;", (x) => +Number.isNaN(x)],
    ["testp.number.f32 %p1, %f1;", (x) => +!Number.isNaN(x)],
    ["testp.subnormal.f32 %p1, %f1;", (x) => +(x !== 0 && Math.abs(x) < 2 ** -126)],
    ["testp.normal.f32 %p1, %f1;", (x) => +(x === 0 || (Math.abs(x) >= 2 ** -126 && Number.isFinite(x)))],
    ["setp.equ.f32 %p1, %f1, 0f3F800000;", (x) => +(x === 1 || Number.isNaN(x))],
    ["setp.ne.f32 %p1, %f1, 0f3F800000;", (x) => +(x !== 1 && !Number.isNaN(x))],
    ["setp.ltu.f32 %p1, %f1, 0f3F800000;", (x) => +!(x >= 1)],
    ["setp.nan.f32 %p1, %f1, %f1;", (x) => +Number.isNaN(x)],
    ["setp.eq.ftz.f32 %p1, %f1, 0f00000000;", (x) => +(Math.abs(x) < 2 ** -126)],
  ];
  test.each(rows)("%s", async (code, op) => {
    void machine.slice.write(ARENA_BASE + 0x10000, new Uint8Array(Float32Array.from(floats).buffer), undefined);
    const body = `mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; ld.global.f32 %f1, [%rd1+65536];
      ${code} selp.u32 %r1, 1, 0, %p1; st.global.u32 [%rd1], %r1;`;
    await runPtx(machine, ptxKernel(body), { block: floats.length });
    expect([...readWords(machine, floats.length)]).toEqual(floats.map((x) => op(Math.fround(x))));
  });

  test("copysign takes the magnitude of its second and the sign of its first operand", async () => {
    const body =
      "mov.f32 %f1, 0fBF800000; mov.f32 %f2, 0f40400000; copysign.f32 %f3, %f1, %f2; st.global.f32 [%rd0], %f3;";
    await runPtx(machine, ptxKernel(body));
    expect(new Float32Array(readWords(machine, 1).buffer)[0]).toBe(-3);
  });

  test("approximate functions are as accurate as a float allows", async () => {
    const xs = Array.from({ length: 256 }, (_, index) => Math.fround((index - 100) * 0.37));
    void machine.slice.write(ARENA_BASE + 0x10000, new Uint8Array(Float32Array.from(xs).buffer), undefined);
    const functions: [string, (x: number) => number][] = [
      ["ex2.approx.f32", (x) => 2 ** x],
      ["lg2.approx.f32", (x) => Math.log2(x)],
      ["sin.approx.f32", Math.sin],
      ["cos.approx.f32", Math.cos],
      ["tanh.approx.f32", Math.tanh],
      ["rsqrt.approx.f32", (x) => 1 / Math.sqrt(x)],
      ["rcp.approx.ftz.f32", (x) => 1 / x],
    ];
    for (const [name, reference] of functions) {
      const body = `mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; ld.global.f32 %f1, [%rd1+65536];
        ${name} %f2, %f1; st.global.f32 [%rd1], %f2;`;
      await runPtx(machine, ptxKernel(body), { block: xs.length });
      const actual = new Float32Array(readWords(machine, xs.length).buffer);
      xs.forEach((x, index) => {
        const expected = Math.fround(reference(x));
        if (Number.isNaN(expected) || !Number.isFinite(expected))
          expect(actual[index], `${name} ${x}`).toEqual(expected);
        else
          expect(Math.abs(actual[index]! - expected), `${name} ${x}`).toBeLessThanOrEqual(Math.abs(expected) * 1.2e-7);
      });
    }
  });
});

describe("control and memory", () => {
  test("an indexed branch takes each of its targets", async () => {
    const body = `ts: .branchtargets A, B, C, B;
      brx.idx %r0, ts;
      A: mov.u32 %r1, 10; bra.uni DONE;
      B: mov.u32 %r1, 20; bra.uni DONE;
      C: mov.u32 %r1, 30;
      DONE: mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r1;`;
    await runPtx(machine, ptxKernel(body), { block: 4 });
    expect([...readWords(machine, 4)]).toEqual([10, 20, 30, 20]);
  });

  test("a loop with two entries runs as written", async () => {
    // Odd threads enter the loop in its middle.
    const body = `mov.u32 %r1, 0; mov.u32 %r2, 0; and.b32 %r3, %r0, 1; setp.eq.u32 %p1, %r3, 1; @%p1 bra MIDDLE;
      TOP: add.u32 %r1, %r1, 1;
      MIDDLE: add.u32 %r1, %r1, 100; add.u32 %r2, %r2, 1; setp.lt.u32 %p2, %r2, 5; @%p2 bra TOP;
      mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r1;`;
    await runPtx(machine, ptxKernel(body), { block: 4 });
    expect([...readWords(machine, 4)]).toEqual([505, 504, 505, 504]);
  });

  test("generic addresses reach shared, local and global memory, and isspacep tells them apart", async () => {
    const body = `.shared .align 8 .b8 s[64]; .local .align 8 .b8 l[64];
      mov.u64 %rd1, s; cvta.shared.u64 %rd2, %rd1; mov.u64 %rd3, l; cvta.local.u64 %rd4, %rd3;
      st.u32 [%rd2+8], 11; st.u32 [%rd4+8], 22; st.u32 [%rd0+8], 33;
      ld.shared.u32 %r1, [s+8]; ld.local.u32 %r2, [l+8]; ld.global.u32 %r3, [%rd0+8];
      st.global.u32 [%rd0], %r1; st.global.u32 [%rd0+4], %r2;
      isspacep.shared %p1, %rd2; isspacep.local %p2, %rd4; isspacep.global %p3, %rd0; isspacep.global %p4, %rd2;
      selp.u32 %r4, 1, 0, %p1; @%p2 add.u32 %r4, %r4, 2; @%p3 add.u32 %r4, %r4, 4; @%p4 add.u32 %r4, %r4, 8;
      st.global.u32 [%rd0+12], %r4; cvta.to.shared.u64 %rd5, %rd2; sub.u64 %rd5, %rd5, %rd1; st.global.u32 [%rd0+16], %rd5;`;
    await runPtx(machine, ptxKernel(body));
    expect([...readWords(machine, 5)]).toEqual([11, 22, 33, 7, 0]);
  });

  test("cp.async copies 4, 8 and 16 bytes and fills with zeroes behind a shorter source", async () => {
    writeWords(machine, [1, 2, 3, 4, 5, 6, 7, 8], 0x10000);
    const body = `.shared .align 16 .b8 s[64]; add.u64 %rd1, %rd0, 65536; mov.u32 %r1, s;
      st.shared.v4.u32 [%r1+32], {9, 9, 9, 9};
      cp.async.cg.shared.global [%r1], [%rd1], 16; cp.async.ca.shared.global [%r1+16], [%rd1+16], 8;
      cp.async.ca.shared.global.L2::128B [%r1+24], [%rd1+24], 4; mov.u32 %r2, 5;
      cp.async.cg.shared.global [%r1+32], [%rd1], 16, %r2;
      cp.async.commit_group; cp.async.wait_group 0; cp.async.wait_all;
      ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r1]; st.global.v4.u32 [%rd0], {%r3, %r4, %r5, %r6};
      ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r1+16]; st.global.v4.u32 [%rd0+16], {%r3, %r4, %r5, %r6};
      ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r1+32]; st.global.v4.u32 [%rd0+32], {%r3, %r4, %r5, %r6};`;
    await runPtx(machine, ptxKernel(body));
    expect([...readWords(machine, 12)]).toEqual([1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 0, 0]);
  });

  test("volatile, acquire and release accesses of every width keep their sign", async () => {
    writeWords(machine, [0xfffefdfc, 0x80000001, 2, 3], 0x10000);
    const body = `add.u64 %rd1, %rd0, 65536;
      ld.volatile.global.s8 %r1, [%rd1]; ld.relaxed.gpu.global.s16 %r2, [%rd1+2]; ld.acquire.sys.global.u64 %rd2, [%rd1];
      ld.volatile.global.v2.f32 {%f1, %f2}, [%rd1+8];
      st.release.gpu.global.u32 [%rd0], %r1; st.volatile.global.u32 [%rd0+4], %r2; st.relaxed.sys.global.u64 [%rd0+8], %rd2;
      st.volatile.global.v2.f32 [%rd0+16], {%f1, %f2};`;
    await runPtx(machine, ptxKernel(body));
    expect([...readWords(machine, 6)]).toEqual([0xfffffffc, 0xfffffffe, 0xfffefdfc, 0x80000001, 2, 3]);
  });
});

describe("declarations as other compilers write them", () => {
  test("a vector of registers moves as a whole and by its elements", async () => {
    const text = `.reg .v2 .u32 %v; .reg .v4 .f32 %w;
      mov.v2.u32 %v, {1, 2}; mov.u32 %v.x, 7; mov.v2.u32 %v, {%v.y, %v.x}; st.global.v2.u32 [%rd0], %v;
      mov.v4.f32 %w, {0f3F800000, 0f40000000, 0f40400000, 0f40800000}; add.f32 %w.z, %w.z, %w.w; st.global.v4.f32 [%rd0+16], %w;
      ld.global.v2.u32 %v, [%rd0]; add.u32 %r1, %v.x, %v.y; st.global.u32 [%rd0+8], %r1;`;
    await runPtx(machine, ptxKernel(text));
    expect([...readWords(machine, 3)]).toEqual([2, 7, 9]);
    expect([...new Float32Array(readWords(machine, 4, 16).buffer)]).toEqual([1, 2, 7, 4]);
  });

  test("one name with a count declares several variables", async () => {
    const before = `.func (.param .u32 r) take(.param .u32 a, .param .u32 b) { .reg .u32 %x<2>;
      ld.param.u32 %x0, [a]; ld.param.u32 %x1, [b]; sub.u32 %x0, %x0, %x1; st.param.u32 [r], %x0; ret; }`;
    const text = `{ .param .u32 P<3>; st.param.u32 [P0], 9; st.param.u32 [P1], 4; call.uni (P2), take, (P0, P1);
      ld.param.u32 %r1, [P2]; } st.global.u32 [%rd0], %r1;`;
    await runPtx(machine, ptxKernel(text, { before }));
    expect([...readWords(machine, 1)]).toEqual([5]);
    const many = ptxKernel(".param .u32 P<99999>;");
    expect(await failure(() => machine.slice.loadModule(bytesOf(many)))).toMatchObject({ code: "BAD_IMAGE" });
  });
});
