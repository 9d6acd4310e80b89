/** Matrix products for tests: operands of small whole numbers, the product by its definition, and the comparison of both on a slice. */
import { expect } from "vitest";
import { type DeviceSlice, type MatrixProduct, productBytes } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";

const MiB = 1024 * 1024;

export const A = ARENA_BASE;
export const B = ARENA_BASE + MiB;
export const C = ARENA_BASE + 2 * MiB;
export const BIAS = ARENA_BASE + 3 * MiB;

/** Small whole numbers, so that every sum is exact in every type. */
export const numbers = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * 7 + seed * 13) % 11) - 5);

const toHalf = (value: number, kind: "f16" | "bf16"): number => {
  const word = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  if (kind === "bf16") return word >>> 16;
  if (value === 0) return 0;
  const exponent = ((word >>> 23) & 0xff) - 127 + 15;
  return ((word >>> 16) & 0x8000) | (exponent << 10) | ((word >>> 13) & 0x3ff);
};

/** As factors stand in memory, or, where C has another type, the result. */
export const encode = (
  values: Float32Array,
  type: MatrixProduct["type"],
  what: "factors" | "result" = "factors",
): Uint8Array => {
  if (type === "f64") return new Uint8Array(Float64Array.from(values).buffer);
  if (type === "i8-i32") return new Uint8Array((what === "result" ? Int32Array : Int8Array).from(values).buffer);
  if (productBytes[type][what] === 4) return new Uint8Array(values.slice().buffer);
  const kind = type.startsWith("bf16") ? "bf16" : "f16";
  return new Uint8Array(Uint16Array.from(values, (value) => toHalf(value, kind)).buffer);
};

/** What becomes of a result, by proto/calls.ts. */
function activate(activation: MatrixProduct["activation"], x: number): number {
  if (activation === undefined) return x;
  return activation === "relu"
    ? Math.max(x, 0)
    : (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** The product by its definition, on whole arrays of a batch. */
export function reference(
  product: MatrixProduct,
  arrays: Record<"a" | "b" | "c", Float32Array> & { readonly bias?: Float32Array },
): Float32Array {
  const result = arrays.c.slice();
  const { m, n, k, a, b, c } = product;
  for (let batch = 0; batch < product.batchCount; batch++) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) {
          const fromA = batch * a.batchStride + (a.transposed ? i * a.rowStride + row : row * a.rowStride + i);
          const fromB = batch * b.batchStride + (b.transposed ? column * b.rowStride + i : i * b.rowStride + column);
          sum += arrays.a[fromA]! * arrays.b[fromB]!;
        }
        const to = batch * c.batchStride + row * c.rowStride + column;
        const value = product.alpha * sum + (product.beta === 0 ? 0 : product.beta * result[to]!);
        const shifted = product.bias === undefined ? value : value + arrays.bias![column]!;
        result[to] = activate(product.activation, shifted);
      }
    }
  }
  return result;
}

export const plain: MatrixProduct = {
  type: "f32",
  m: 5,
  n: 7,
  k: 3,
  batchCount: 1,
  a: { address: A, rowStride: 3, batchStride: 0, transposed: false },
  b: { address: B, rowStride: 7, batchStride: 0, transposed: false },
  c: { address: C, rowStride: 7, batchStride: 0 },
  alpha: 1,
  beta: 0,
};

/** Multiplies on the slice and by the definition; both must agree to the last bit. */
export async function checkProduct(slice: DeviceSlice, product: MatrixProduct): Promise<void> {
  const arrays = { a: numbers(2000, 1), b: numbers(2000, 2), c: numbers(2000, 3), bias: numbers(200, 4) };
  if (product.bias !== undefined) {
    await slice.write(product.bias, encode(arrays.bias, product.type, "result"), undefined);
  }
  await slice.write(product.a.address, encode(arrays.a, product.type), undefined);
  await slice.write(product.b.address, encode(arrays.b, product.type), undefined);
  await slice.write(product.c.address, encode(arrays.c, product.type, "result"), undefined);
  await slice.multiply!(product, undefined);
  const expected = encode(reference(product, arrays), product.type, "result");
  const actual = new Uint8Array(expected.byteLength);
  await slice.read(product.c.address, actual, undefined);
  expect(Buffer.compare(actual, expected), JSON.stringify(product)).toBe(0);
}

/** A product of f32 with a bias and GELU, which agree to f32's last digits. */
export async function checkGelu(slice: DeviceSlice): Promise<void> {
  const product: MatrixProduct = { ...plain, alpha: 1 / 16, bias: BIAS, activation: "gelu" };
  const arrays = {
    a: numbers(2000, 1),
    b: numbers(2000, 2),
    c: numbers(35, 3),
    bias: numbers(200, 4).map((x) => x / 8),
  };
  for (const [address, values] of [
    [A, arrays.a],
    [B, arrays.b],
    [BIAS, arrays.bias],
  ] as const)
    await slice.write(address, encode(values, "f32"), undefined);
  await slice.multiply!(product, undefined);
  const into = new Float32Array(35);
  await slice.read(C, new Uint8Array(into.buffer), undefined);
  expect(Math.min(...into), "negative results are among them").toBeLessThan(-0.05);
  for (const [index, wanted] of reference(product, arrays).entries()) expect(into[index]).toBeCloseTo(wanted, 5);
}
