/** Exact rounding in software against the machine's own arithmetic, and against the definition of each direction. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exact } from "../../server/device/cpu/run/exact.ts";

const [RN, RZ, RM, RP] = [0, 1, 2, 3];
const any = fc.double();
const finite = fc.double({ noDefaultInfinity: true, noNaN: true });
const runs = { numRuns: 3000 };

const bits = new DataView(new ArrayBuffer(8));
/** The next number upwards. */
function up(value: number): number {
  if (value === 0) return Number.MIN_VALUE;
  bits.setFloat64(0, value);
  bits.setBigInt64(0, bits.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return bits.getFloat64(0);
}

describe("rounding to nearest agrees with the machine", () => {
  test.each([
    ["sums", 0, (a: number, b: number) => a + b],
    ["products", 1, (a: number, b: number) => a * b],
    ["quotients", 3, (a: number, b: number) => a / b],
    ["roots", 4, (a: number) => Math.sqrt(a)],
  ] as const)("for %s", (_, operation, machine) => {
    fc.assert(
      fc.property(any, any, (a, b) => Object.is(exact(operation * 4 + RN, a, b, 0), machine(a, b))),
      runs,
    );
  });

  test("for products and sums where either part is trivial", () => {
    fc.assert(
      fc.property(finite, finite, (a, c) => exact(8 + RN, a, 1, c) === a + c),
      runs,
    );
    fc.assert(
      fc.property(finite, finite, (a, b) => Object.is(exact(8 + RN, a, b, 0) + 0, a * b + 0)),
      runs,
    );
  });
});

describe("directed roundings enclose the nearest", () => {
  test.each([
    ["sums", 0],
    ["products", 1],
    ["quotients", 3],
  ])("for %s", (_, operation) => {
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        if (operation === 3 && b === 0) return;
        const [near, zero, down, high] = [RN, RZ, RM, RP].map((mode) => exact(operation! * 4 + mode!, a, b, 0)) as [
          number,
          number,
          number,
          number,
        ];
        expect(down <= near && near <= high).toBe(true);
        expect(high === down || high === up(down)).toBe(true);
        expect(Object.is(zero + 0, (near >= 0 && down >= 0 ? down : high) + 0)).toBe(true);
      }),
      runs,
    );
  });

  test("and are told apart by what a fused operation keeps", () => {
    const a = 1 + 2 ** -52;
    // a * a = 1 + 2^-51 + 2^-104: only the last part is lost.
    expect(exact(8 + RN, a, a, -(1 + 2 ** -51))).toBe(2 ** -104);
    expect(exact(4 + RM, a, a, 0)).toBe(1 + 2 ** -51);
    expect(exact(4 + RP, a, a, 0)).toBe(1 + 2 ** -51 + 2 ** -52);
    expect(exact(16 + RZ, 2, 0, 0)).toBeLessThan(exact(16 + RP, 2, 0, 0));
  });

  test("and stay finite where they point towards zero", () => {
    expect(exact(4 + RZ, 1e308, 10, 0)).toBe(Number.MAX_VALUE);
    expect(exact(4 + RM, 1e308, 10, 0)).toBe(Number.MAX_VALUE);
    expect(exact(4 + RP, 1e308, 10, 0)).toBe(Number.POSITIVE_INFINITY);
    expect(exact(4 + RP, 5e-324, 0.25, 0)).toBe(5e-324);
    expect(exact(4 + RM, 5e-324, 0.25, 0)).toBe(0);
    expect(exact(0 + RM, 1, -1, 0)).toBe(-0);
  });
});
