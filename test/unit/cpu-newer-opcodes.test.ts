/** Opcodes of newer architectures on the cpu device against values computed here: packed integers, clamped words, mixed floats, clusters of one block. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx, writeWords } from "./cpu-machine.ts";

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

/** A tf32, but the one NaN that hardware gives for all. */
const unlessNone = (a: number, bits: number): number => ((a & 0x7fffffff) > 0x7f800000 ? 0x7fffe000 : bits);

const odd = [
  0, 1, 2, 0x7fff, 0x8000, 0xffff, 0x7fff8000, 0x80007fff, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678, 0xdeadbeef,
  0xff00ff00, 127, 128, 0xffffff80, 0xffffff7f,
];
const lanes = (word: number, isSigned: boolean): [low: number, high: number] =>
  [word, word >>> 16].map((half) => (isSigned ? (half << 16) >> 16 : half & 0xffff)) as [number, number];
const packed = (
  a: number,
  b: number,
  { isSigned = false, op }: { isSigned?: boolean; op: (x: number, y: number) => number },
) => {
  const [[a0, a1], [b0, b1]] = [lanes(a, isSigned), lanes(b, isSigned)];
  return (op(a0, b0) & 0xffff) | (op(a1, b1) << 16);
};
const clamped = (value: number, bits: number, isSigned: boolean): number => {
  const [min, max] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  return Math.min(max, Math.max(min, value | 0)) & (2 ** bits - 1);
};
const pack = (a: number, b: number, { bits, isSigned }: { bits: number; isSigned: boolean }) =>
  (clamped(a, bits, isSigned) << bits) | clamped(b, bits, isSigned);
const clamp32 = (value: bigint): bigint =>
  value > 0x7fffffffn ? 0x7fffffffn : value < -0x80000000n ? -0x80000000n : value;

const words = new DataView(new ArrayBuffer(4));
const asFloat = (bits: number): number => {
  words.setUint32(0, bits);
  return words.getFloat32(0);
};
const asBits = (value: number): number => {
  words.setFloat32(0, value);
  return words.getUint32(0);
};

/** %r1 and %r2 hold a and b; the result is expected in %r3. */
const integers: readonly (readonly [code: string, op: (a: number, b: number) => number])[] = [
  ["add.u16x2 %r3, %r1, %r2;", (a, b) => packed(a, b, { op: (x, y) => x + y })],
  ["add.s16x2 %r3, %r1, %r2;", (a, b) => packed(a, b, { op: (x, y) => x + y })],
  ["min.u16x2 %r3, %r1, %r2;", (a, b) => packed(a, b, { op: Math.min })],
  ["max.u16x2 %r3, %r1, %r2;", (a, b) => packed(a, b, { op: Math.max })],
  ["min.s16x2 %r3, %r1, %r2;", (a, b) => packed(a, b, { isSigned: true, op: Math.min })],
  ["max.relu.s16x2 %r3, %r1, %r2;", (a, b) => packed(a, b, { isSigned: true, op: (x, y) => Math.max(x, y, 0) })],
  [
    "min.relu.s16x2 %r3, %r1, %r2;",
    (a, b) => packed(a, b, { isSigned: true, op: (x, y) => Math.max(Math.min(x, y), 0) }),
  ],
  ["min.relu.s32 %r3, %r1, %r2;", (a, b) => Math.max(0, Math.min(a | 0, b | 0))],
  ["max.relu.s32 %r3, %r1, %r2;", (a, b) => Math.max(0, a | 0, b | 0)],
  ["cvt.pack.sat.s16.s32 %r3, %r1, %r2;", (a, b) => pack(a, b, { bits: 16, isSigned: true })],
  ["cvt.pack.sat.u16.s32 %r3, %r1, %r2;", (a, b) => pack(a, b, { bits: 16, isSigned: false })],
  [
    "cvt.pack.sat.s8.s32.b32 %r3, %r1, %r2, 0x12345678;",
    (a, b) => (0x5678 << 16) | pack(a, b, { bits: 8, isSigned: true }),
  ],
  ["cvt.pack.sat.u8.s32.b32 %r3, %r1, %r2, %r1;", (a, b) => (a << 16) | pack(a, b, { bits: 8, isSigned: false })],
  ["cvt.pack.sat.s4.s32.b32 %r3, %r1, %r2, %r2;", (a, b) => (b << 8) | pack(a, b, { bits: 4, isSigned: true })],
  ["cvt.pack.sat.u2.s32.b32 %r3, %r1, %r2, 1;", (a, b) => 16 | pack(a, b, { bits: 2, isSigned: false })],
  [
    "mad24.hi.sat.s32 %r3, %r1, %r2, %r2;",
    (a, b) => {
      const product = (BigInt.asIntN(24, BigInt(a)) * BigInt.asIntN(24, BigInt(b))) >> 16n;
      return Number(clamp32(BigInt.asIntN(32, product) + BigInt(b | 0)));
    },
  ],
  [
    "setp.eq.u32 %p2, %r2, 2; lop3.or.b32 %r3|%p1, %r1, %r2, 0, 0xc0, %p2; selp.u32 %r3, 1, 0, %p1;",
    (a, b) => Number((a & b) !== 0 || b === 2),
  ],
  [
    "setp.ne.u32 %p2, %r2, 1; lop3.and.b32 %r3|%p1, %r1, %r2, 0, 0x3c, %p2; @!%p1 not.b32 %r3, %r3;",
    (a, b) => ((a ^ b) !== 0 && b !== 1 ? a ^ b : ~(a ^ b)),
  ],
  [
    "cvt.rn.tf32.f32 %r3, %r1;",
    (a) => unlessNone(a, (a & 0x7f800000) === 0x7f800000 ? a : (a + 0xfff + ((a >>> 13) & 1)) & ~0x1fff),
  ],
  ["cvt.rz.tf32.f32 %r3, %r1;", (a) => unlessNone(a, a & ~0x1fff)],
  ["cvt.rz.relu.tf32.f32 %r3, %r1;", (a) => unlessNone(a, a >>> 31 === 1 ? 0 : a & ~0x1fff)],
  ["mapa.shared::cluster.u32 %r3, %r1, 0;", (a) => a],
  ["getctarank.shared::cluster.u32 %r3, %r1;", () => 0],
  ["createpolicy.fractional.L2::evict_last.b64 %rd5, 1.0; mov.u32 %r3, %r1;", (a) => a],
  ["mov.u32 %r3, %cluster_nctaid.x; mov.u32 %r4, %cluster_ctarank; sub.u32 %r3, %r3, %r4;", () => 1],
  ["mov.pred %p1, %is_explicit_cluster; selp.u32 %r3, 7, 3, %p1;", () => 3],
  ["mov.u32 %r3, %clusterid.x; mov.u32 %r4, %nclusterid.x; mad.lo.u32 %r3, %r3, 10, %r4;", () => 1],
  ["griddepcontrol.wait; griddepcontrol.launch_dependents; mov.u32 %r3, %envreg7;", () => 0],
];

/** %f1 and %f2 hold a and b; the result is expected in %f3. */
const floats: readonly (readonly [code: string, op: (a: number, b: number) => number])[] = [
  ["min.xorsign.abs.f32 %f3, %f1, %f2;", (a, b) => signed(a, b, Math.min(Math.abs(a), Math.abs(b)))],
  ["max.xorsign.abs.f32 %f3, %f1, %f2;", (a, b) => signed(a, b, Math.max(Math.abs(a), Math.abs(b)))],
  ["cvt.rn.f16.f32 %h1, %f1; add.f32.f16 %f3, %h1, %f2;", (a, b) => Math.fround(a + b)],
  ["cvt.rn.bf16.f32 %h1, %f1; sub.f32.bf16 %f3, %h1, %f2;", (a, b) => Math.fround(a - b)],
  [
    "cvt.rn.f16.f32 %h1, %f1; cvt.rn.f16.f32 %h2, 0f40400000; fma.rn.f32.f16 %f3, %h1, %h2, %f2;",
    (a, b) => Math.fround(3 * a + b),
  ],
];
const signed = (a: number, b: number, magnitude: number): number =>
  Object.is(Math.sign(a) * Math.sign(b), -1) || Object.is(a * b, -0) ? -magnitude : magnitude;
/** What f16 and bf16 hold exactly. */
const short = [0, -0, 1, -1, 0.5, -2.5, 96, -120, 3];

async function runPairs(code: string, pairs: readonly (readonly [number, number])[]): Promise<Uint32Array> {
  writeWords(machine, pairs.flat());
  const isFloat = code.includes("%f3");
  const [a, b, result] = isFloat ? ["%f1", "%f2", "%f3"] : ["%r1", "%r2", "%r3"];
  const type = isFloat ? "f32" : "u32";
  const body = `mul.wide.u32 %rd1, %r0, 8; add.u64 %rd1, %rd0, %rd1;
    ld.global.${type} ${a}, [%rd1]; ld.global.${type} ${b}, [%rd1+4];\n${code}\nst.global.${type} [%rd1], ${result};`;
  await runPtx(machine, ptxKernel(body), { block: pairs.length });
  return readWords(machine, pairs.length * 2).filter((_, index) => index % 2 === 0);
}

describe("every pair of odd values", () => {
  test.each(integers)("%s", async (code, op) => {
    const pairs = odd.flatMap((a) => odd.map((b) => [a, b] as const));
    const results = await runPairs(code, pairs);
    pairs.forEach(([a, b], index) => {
      expect(results[index], `a=${a.toString(16)} b=${b.toString(16)}`).toBe(op(a, b) >>> 0);
    });
  });

  test.each(floats)("%s", async (code, op) => {
    const pairs = short.flatMap((a) => short.map((b) => [a, b] as const));
    const results = await runPairs(
      code,
      pairs.map(([a, b]) => [asBits(a), asBits(b)]),
    );
    pairs.forEach(([a, b], index) => {
      expect(asFloat(results[index]!), `a=${a} b=${b}`).toBe(op(a, b));
    });
  });

  test("a number beside NaN wins where signs are taken apart, and keeps the sign of both", async () => {
    const nan = 0x7fc00000;
    const [left, right] = await runPairs("min.xorsign.abs.f32 %f3, %f1, %f2;", [
      [nan, asBits(-2)],
      [asBits(-2), asBits(Number.NaN)],
    ]);
    expect([asFloat(left!), asFloat(right!)]).toEqual([-2, -2]);
  });
});

test("the lowest lane of a mask is elected, and it alone", async () => {
  const body = `mov.u32 %r1, 0xfffffff8; setp.lt.u32 %p2, %r0, 3; @%p2 bra END;
    elect.sync %r2|%p1, %r1; selp.u32 %r3, 100, 0, %p1; add.u32 %r3, %r3, %r2;
    mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r3; END:`;
  writeWords(machine, new Uint32Array(32));
  await runPtx(machine, ptxKernel(body), { block: 32 });
  expect([...readWords(machine, 32)]).toEqual(
    Array.from({ length: 32 }, (_, lane) => (lane < 3 ? 0 : lane === 3 ? 103 : 3)),
  );
});

test("threads wait for each other at the barrier of a cluster, which is their block", async () => {
  const body = `mov.u32 %r2, s; mad.lo.u32 %r3, %r0, 4, %r2; st.shared::cluster.u32 [%r3], %r0;
    barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;
    sub.u32 %r4, 95, %r0; mad.lo.u32 %r3, %r4, 4, %r2; ld.shared::cluster.u32 %r5, [%r3];
    mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r5;`;
  await runPtx(machine, ptxKernel(body, { before: ".shared .align 4 .b8 s[384];" }), { block: 96 });
  expect([...readWords(machine, 96)]).toEqual(Array.from({ length: 96 }, (_, index) => 95 - index));
});

test("accesses of 32 bytes go to where they should, and fault where they are not aligned", async () => {
  const registers = Array.from({ length: 8 }, (_, index) => `%r${index + 1}`).join(", ");
  const body = `ld.global.v8.b32 {${registers}}, [%rd0+32]; ld.global.v4.b64 {%rd1, %rd2, %rd3, %rd4}, [%rd0];
    st.global.v8.b32 [%rd0], {${registers}}; st.global.v4.b64 [%rd0+32], {%rd1, %rd2, %rd3, %rd4};`;
  writeWords(
    machine,
    Array.from({ length: 16 }, (_, index) => index),
  );
  await runPtx(machine, ptxKernel(body));
  expect([...readWords(machine, 16)]).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);
  const other = await openCpu();
  const misaligned = ptxKernel(`ld.global.v8.b32 {${registers}}, [%rd0+16];`);
  await expect(runPtx(other, misaligned)).rejects.toMatchObject({ code: "ILLEGAL_ADDRESS" });
  await other.slice.close();
});
