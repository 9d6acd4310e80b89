/** Matrix products on the cpu device: against the definition, at the borders of its tiles, and in the corners of each type. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import type { DeviceSlice, MatrixProduct } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { A, B, BIAS, C, checkGelu, checkProduct, encode, numbers, plain, reference } from "../support/products.ts";

const MiB = 1024 * 1024;
let slice: DeviceSlice;

async function open(kernelTimeoutMs: number): Promise<DeviceSlice> {
  const [description] = await cpuDriver.discover("1x64MiB");
  const options = { arenaBytes: 48 * MiB, arenaBase: ARENA_BASE, onOutput: () => undefined };
  return cpuDriver.open({ description: description!, ...options, kernelTimeoutMs });
}

beforeAll(async () => {
  slice = await open(0);
});
afterAll(() => slice.close());

const check = (product: MatrixProduct): Promise<void> => checkProduct(slice, product);

/** A product of packed matrices of these sizes. */
const sized = (m: number, n: number, k: number): MatrixProduct => ({
  ...plain,
  ...{ m, n, k },
  a: { ...plain.a, rowStride: k },
  b: { ...plain.b, rowStride: n },
  c: { ...plain.c, rowStride: n },
});

/** What stands in C after multiplying two matrices of one element. */
async function one(type: MatrixProduct["type"], a: number, b: number, factors = { alpha: 1, beta: 0, c: 0 }) {
  const bytes = type === "f16" || type === "bf16" ? 2 : 4;
  const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer).subarray(0, bytes);
  await slice.write(A, word(a), undefined);
  await slice.write(B, word(b), undefined);
  await slice.write(C, word(factors.c), undefined);
  await slice.multiply!({ ...sized(1, 1, 1), type, alpha: factors.alpha, beta: factors.beta }, undefined);
  const into = new Uint8Array(4);
  await slice.read(C, into.subarray(0, bytes), undefined);
  return new Uint32Array(into.buffer)[0]!;
}

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;

describe("a matrix product on a cpu device", () => {
  it.each(["f32", "tf32", "f16", "bf16", "f64", "f16-f32", "bf16-f32", "i8-i32"] as const)(
    "multiplies matrices of %s",
    async (type) => {
      await check({ ...plain, type });
      await check({ ...sized(33, 30, 20), type, alpha: 2, beta: -1 });
    },
  );

  it("sums i8 exactly in i32, which wraps, with factors of i32, over the borders of tiles", async () => {
    const [m, n, k] = [70, 66, 1100];
    const [a, b] = [3, 5].map((step) => Int8Array.from({ length: 70 * k }, (_, i) => i * step - (i >> 7)));
    await slice.write(A, new Uint8Array(a!.buffer), undefined);
    await slice.write(B, new Uint8Array(b!.buffer, 0, n * k), undefined);
    const before = Int32Array.from({ length: m * n }, (_, i) => 2 ** 31 - i);
    await slice.write(C, new Uint8Array(before.buffer), undefined);
    // More than f32 can count, and more than i32 holds.
    const [alpha, beta] = [2 ** 24 + 1, -(2 ** 31) + 7];
    const transposed = { ...sized(m, n, k), b: { ...plain.b, rowStride: k, transposed: true } };
    await slice.multiply!({ ...transposed, type: "i8-i32", alpha, beta }, undefined);
    const into = new Int32Array(m * n);
    await slice.read(C, new Uint8Array(into.buffer), undefined);
    const expected = before.map((was, at) => {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += a![Math.floor(at / n) * k + i]! * b![(at % n) * k + i]!;
      return Math.imul(alpha, sum) + Math.imul(beta, was);
    });
    expect(into).toEqual(expected);
    const extremes = Int8Array.of(-128, 127);
    await slice.write(A, new Uint8Array(extremes.buffer), undefined);
    await slice.write(B, new Uint8Array(extremes.buffer), undefined);
    await slice.multiply!({ ...sized(2, 2, 1), type: "i8-i32" }, undefined);
    await slice.read(C, new Uint8Array(into.buffer, 0, 16), undefined);
    expect([...into.subarray(0, 4)]).toEqual([16384, -16256, -16256, 16129]);
  });

  it("sums f64 in f64, with factors of f64, over the borders of tiles", async () => {
    const [first, second] = [1 + 2 ** -40, 3 + 2 ** -45];
    await check({ ...sized(70, 66, 9), type: "f64", alpha: 2, beta: -1, bias: BIAS, activation: "relu" });
    await slice.write(A, new Uint8Array(Float64Array.of(first).buffer), undefined);
    await slice.write(B, new Uint8Array(Float64Array.of(second).buffer), undefined);
    await slice.multiply!({ ...sized(1, 1, 1), type: "f64", alpha: 1 / 3 }, undefined);
    const into = new Float64Array(1);
    await slice.read(C, new Uint8Array(into.buffer), undefined);
    expect(into[0]).toBe(first * second * (1 / 3));
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])("reads operands as they stand or transposed (%j, %j)", async (first, second) => {
    const a = { ...plain.a, transposed: first, rowStride: first ? 5 : 3 };
    const b = { ...plain.b, transposed: second, rowStride: second ? 3 : 7 };
    await check({ ...plain, a, b });
    const wide = { a: { ...a, rowStride: 9 }, b: { ...b, rowStride: 12 }, c: { ...plain.c, rowStride: 10 } };
    await check({ ...plain, ...wide, type: "f16" });
  });

  it.each(["f32", "tf32", "f16", "bf16"] as const)("adds a bias to each column, and rectifies, in %s", async (type) => {
    await check({ ...plain, type, bias: BIAS });
    await check({ ...plain, type, activation: "relu" });
    await check({ ...plain, type, bias: BIAS + 8, activation: "relu", beta: 1 });
    const c = { ...plain.c, batchStride: 40 };
    await check({ ...plain, type, batchCount: 4, a: { ...plain.a, batchStride: 20 }, c, bias: BIAS + 4 });
  });

  it("refuses floats of 8 bits, by name", () => {
    const narrow = { a: "e4m3", b: "e5m2", scaleA: undefined, scaleB: undefined } as const;
    const refusal = expect.objectContaining({ code: "UNSUPPORTED", message: expect.stringContaining("8 bits") });
    expect(() => slice.multiply!({ ...plain, narrow }, undefined)).toThrow(refusal);
    expect(() => slice.prepareMultiply!({ ...plain, narrow })).toThrow(refusal);
  });

  it("puts results through GELU", () => checkGelu(slice));

  it("multiplies batches, of which one operand may be shared", async () => {
    const [a, c] = [
      { ...plain.a, batchStride: 20 },
      { ...plain.c, batchStride: 40 },
    ];
    await check({ ...plain, batchCount: 4, a, b: { ...plain.b, batchStride: 30 }, c });
    await check({ ...plain, batchCount: 4, a, c });
  });

  it.each([
    [1, 1, 300],
    [64, 64, 128],
    [65, 63, 129],
    [128, 1, 257],
    [3, 200, 7],
    [130, 70, 1],
  ])("is right at the borders of tiles: %i x %i x %i", async (m, n, k) => {
    const product = sized(m, n, k);
    const [a, b, c] = [numbers(m * k, 1), numbers(k * n, 2), new Float32Array(m * n)];
    await slice.write(A, encode(a, "f32"), undefined);
    await slice.write(B, encode(b, "f32"), undefined);
    // What lies around the result must stay.
    await slice.fill({ address: C - 256, count: m * n + 128, width: 4, value: 0x7fc0_1234 }, undefined);
    await slice.multiply!(product, undefined);
    const into = new Uint32Array(m * n + 128);
    await slice.read(C - 256, new Uint8Array(into.buffer), undefined);
    const expected = reference(product, { a, b, c });
    expect(new Float32Array(into.buffer, 256, m * n)).toEqual(expected);
    const around = [...into.subarray(0, 64), ...into.subarray(64 + m * n)];
    expect(new Set(around)).toEqual(new Set([0x7fc0_1234]));
  });

  it("sums fractions within the tolerance of f32", async () => {
    const [m, n, k] = [100, 90, 500];
    const random = (length: number): Float32Array => {
      let state = length;
      return Float32Array.from({ length }, () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state / 2 ** 31 - 1;
      });
    };
    const [a, b] = [random(m * k), random(k * n)];
    await slice.write(A, encode(a, "f32"), undefined);
    await slice.write(B, encode(b, "f32"), undefined);
    for (const [type, tolerance] of [
      ["f32", 1e-5],
      ["tf32", 1e-2],
    ] as const) {
      await slice.multiply!({ ...sized(m, n, k), type }, undefined);
      const into = new Float32Array(m * n);
      await slice.read(C, new Uint8Array(into.buffer), undefined);
      for (let row = 0; row < m; row++) {
        for (let column = 0; column < n; column++) {
          let [sum, size] = [0, 0];
          for (let i = 0; i < k; i++) {
            const term = a[row * k + i]! * b[i * n + column]!;
            sum += term;
            size += Math.abs(term);
          }
          expect(Math.abs(into[row * n + column]! - sum) / size).toBeLessThan(tolerance);
        }
      }
    }
  });

  it("does not read C where beta is 0, and does elsewhere", async () => {
    const nan = 0x7fc0_0000;
    const two = bitsOf(2);
    expect(await one("f32", two, two, { alpha: 1, beta: 0, c: nan })).toBe(bitsOf(4));
    expect(await one("f32", two, two, { alpha: 1, beta: 0.5, c: two })).toBe(bitsOf(5));
    const result = await one("f32", two, two, { alpha: 1, beta: 1, c: nan });
    expect(result & 0x7f80_0000).toBe(0x7f80_0000);
  });

  it.each<[string, number, number, number]>([
    ["1 x 1", 0x3c00, 0x3c00, 0x3c00],
    ["the smallest subnormal number", 0x0001, 0x3c00, 0x0001],
    ["the largest subnormal number", 0x83ff, 0x3c00, 0x83ff],
    ["half of the smallest, to even", 0x0001, 0x3800, 0x0000],
    ["three quarters of the smallest", 0x0003, 0x3400, 0x0001],
    ["the largest number", 0x7bff, 0x3c00, 0x7bff],
    ["twice the largest number", 0x7bff, 0x4000, 0x7c00],
    ["minus infinity", 0xfc00, 0x3c00, 0xfc00],
    ["a tie, to even", 0x3c01, 0x3e00, 0x3e02],
    ["infinity times 0", 0x7c00, 0x0000, 0x7e00],
  ])("of f16 keeps and rounds %s", async (_, a, b, wanted) => {
    const result = await one("f16", a, b);
    if (wanted === 0x7e00) expect(result & 0x7fff).toBe(0x7e00);
    else expect(result.toString(16)).toBe(wanted.toString(16));
  });

  it.each<[string, number, number, number]>([
    ["1 x 1", 0x3f80, 0x3f80, 0x3f80],
    ["a tie, to even", 0x3f81, 0x3fc0, 0x3fc2],
    ["a subnormal number", 0x0001, 0x3f80, 0x0001],
    ["what is larger than the largest", 0x7f7f, 0x4000, 0x7f80],
    ["infinity times 0", 0x7f80, 0x0000, 0x7fc0],
  ])("of bf16 keeps and rounds %s", async (_, a, b, wanted) => {
    expect(((await one("bf16", a, b)) & 0x7fff).toString(16)).toBe(wanted.toString(16));
  });

  it("of tf32 rounds its factors to ten bits of fraction, ties away from zero, and nothing else", async () => {
    expect(await one("tf32", bitsOf(1 + 2 ** -11), bitsOf(1))).toBe(bitsOf(1 + 2 ** -10));
    expect(await one("tf32", bitsOf(1 + 2 ** -12), bitsOf(1))).toBe(bitsOf(1));
    expect(await one("tf32", 0x7fff_ffff, bitsOf(1)).then((bits) => bits & 0x7f80_0000)).toBe(0x7f80_0000);
    const c = bitsOf(1 + 2 ** -20);
    expect(await one("tf32", 0, 0, { alpha: 1, beta: 1, c })).toBe(c);
  });

  it("outside the slice is refused", () => {
    const c = { ...plain.c, address: ARENA_BASE + 48 * MiB - 64 };
    expect(() => slice.multiply!({ ...plain, c }, undefined)).toThrow(
      expect.objectContaining({ code: "ADDRESS_OUTSIDE_ARENA" }),
    );
  });

  it("that runs longer than a kernel may is ended, and with it the slice", async () => {
    const bounded = await open(20);
    // Rows that overlap are refused elsewhere; here they make a long product of little memory.
    const [a, b] = [
      { ...plain.a, rowStride: 1 },
      { ...plain.b, rowStride: 1 },
    ];
    const work = async (): Promise<void> => bounded.multiply!({ ...sized(2000, 2000, 2 ** 21), a, b }, undefined);
    await expect(work()).rejects.toMatchObject({ code: "KERNEL_TIMEOUT" });
    await bounded.close();
  });
});
