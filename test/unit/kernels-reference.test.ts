/** The references that kernels are held against, themselves held against JavaScript's own arithmetic where it has the same. */
import { describe, expect, test } from "vitest";
import { erf } from "../kernels/cases/numeric.ts";
import { add, binary32, binary64, convert, div, fma, fromInteger, mul, sqrt, toWhole } from "../kernels/exact-float.ts";
import { extract, findBit, funnel, permute, reverse, wordOps } from "../kernels/integer-ops.ts";
import { seeded } from "../kernels/support.ts";

const random = seeded(2026);
const edges = [
  0,
  -0,
  1,
  -1,
  5e-324,
  2 ** -1022,
  2 ** -149,
  2 ** -126,
  1.7e308,
  3.4e38,
  2 ** 52 + 0.5,
  Infinity,
  -Infinity,
  NaN,
];
const values = [
  ...edges,
  ...Array.from(
    { length: 300 },
    () => (random.unit() + random.unit() * 2 ** -32 - 0.5) * 2 ** (random.int(2000) - 1000),
  ),
  ...Array.from({ length: 300 }, () => (random.unit() + random.unit() * 2 ** -32 - 0.5) * 2 ** (random.int(300) - 150)),
];
const pairs = values.flatMap((a, i) => [a, values[(i * 7 + 3) % values.length]!].map((b) => [a, b] as const));

describe("exact floating-point arithmetic", () => {
  test("agrees with JavaScript's doubles when rounding to nearest", () => {
    for (const [a, b] of pairs) {
      expect(add(binary64, [a, b], "rn"), `${a} + ${b}`).toBe(a + b);
      expect(mul(binary64, [a, b], "rn"), `${a} * ${b}`).toBe(a * b);
      expect(div(binary64, [a, b], "rn"), `${a} / ${b}`).toBe(a / b);
      expect(sqrt(binary64, a, "rn"), `sqrt ${a}`).toBe(Math.sqrt(a));
      expect(convert(binary32, a, "rn"), `fround ${a}`).toBe(Math.fround(a));
    }
  });

  test("fuses: the product is not rounded", () => {
    const a = 1 + 2 ** -30;
    expect(fma(binary64, [a, a, -1 - 2 ** -29], "rn")).toBe(2 ** -60);
    expect(fma(binary32, [1 + 2 ** -23, 1 + 2 ** -23, -1 - 2 ** -22], "rn")).toBe(2 ** -46);
    expect(fma(binary64, [1e308, 10, -Infinity], "rn")).toBe(-Infinity);
  });

  test("brackets the true value with its other modes", () => {
    for (const [a, b] of pairs.filter(([p, q]) => Number.isFinite(p) && Number.isFinite(q))) {
      const [down, nearest, up, zero] = (["rm", "rn", "rp", "rz"] as const).map((r) => mul(binary32, [a, b], r));
      expect(down! <= nearest! && nearest! <= up!, `${a} * ${b}`).toBe(true);
      expect(zero).toBe(a * b > 0 ? down : a * b < 0 ? up : zero);
    }
    expect(div(binary32, [1, 3], "rp") - div(binary32, [1, 3], "rm")).toBe(2 ** -25);
    expect(add(binary64, [1, -1], "rm")).toBe(-0);
    expect(mul(binary32, [3e38, 3e38], "rz")).toBe(2 ** 128 - 2 ** 104);
  });

  test("converts integers and whole numbers as JavaScript does", () => {
    for (const value of [0n, 1n, -1n, (1n << 53n) + 1n, (1n << 53n) + 3n, (1n << 63n) - 1n, -(1n << 63n)])
      expect(fromInteger(binary64, value, "rn")).toBe(Number(value));
    expect([0.5, 1.5, 2.5, -0.5, -1.5].map((value) => toWhole(value, "rn"))).toEqual([0, 2, 2, -0, -2]);
  });
});

describe("integer operations", () => {
  test("agree with JavaScript's 32-bit operators", () => {
    const ops = wordOps(32);
    for (let i = 0; i < 500; i++) {
      const [a, b] = [random.u32(), random.u32()];
      const [x, y] = [BigInt(a), BigInt(b)];
      expect(Number(ops.mulLo(x, y)) | 0).toBe(Math.imul(a, b));
      expect(Number(ops.shl(x, y & 31n)) | 0).toBe(a << b);
      expect(Number(ops.shrS(x, y & 31n)) | 0).toBe(a >> b);
      expect(Number(ops.divGuarded(x, y | 1n, 0n)) | 0).toBe(((a | 0) / (b | 1 | 0)) | 0);
      expect(31 - Number(findBit(32, x | 1n, "u"))).toBe(Math.clz32(a | 1));
    }
  });

  test("agree with values worked out by hand from the manual", () => {
    expect(extract(32, 0x8000_00f0n, { position: 4n, length: 4n, kind: "s" })).toBe(0xffff_ffffn);
    expect(extract(32, 0x8000_0000n, { position: 30n, length: 200n, kind: "s" })).toBe(0xffff_fffen);
    expect(permute("", [0x3322_1100n, 0x7766_5544n], 0xc_5_4_3n)).toBe(0x0055_4433n);
    expect(permute("b4e", [0x3322_1100n, 0x7766_5544n], 1n)).toBe(0x6677_0011n);
    expect(funnel("l", "wrap", [0x8000_0000n, 1n, 33n])).toBe(3n);
    expect(funnel("r", "clamp", [1n, 7n, 40n])).toBe(7n);
    expect(reverse(32, 1n)).toBe(0x8000_0000n);
  });
});

test("the error function agrees with tabled values", () => {
  for (const [x, y] of [
    [0.1, 0.1124629160182849],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [2.4999, 0.9995928300996666],
    [3, 0.9999779095030014],
    [-3, -0.9999779095030014],
    [5, 0.9999999999984626],
  ] as const)
    expect(Math.abs(erf(x) / y - 1)).toBeLessThan(1e-15);
});
