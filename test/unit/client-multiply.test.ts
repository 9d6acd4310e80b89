/** Matrix products in the client library: what goes over the wire, and what is refused before it does. */
import { afterEach, describe, expect, it } from "vitest";
import type { DeviceBuffer } from "../../client/buffer.ts";
import type { MultiplyOptions } from "../../client/multiply.ts";
import { SluiceError } from "../../shared/errors.ts";
import { decodeMultiplyCall, type MultiplyCall } from "../../shared/generated/calls.ts";
import { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import { type FakeGpu, openFakeGpu } from "../support/client-on-fake.ts";

const MiB = 1024 * 1024;

let fake: FakeGpu;
afterEach(() => fake.close());

/** The products that reach the server for options that follow from the opened device. */
async function sent(options: (gpu: FakeGpu["gpu"]) => MultiplyOptions): Promise<MultiplyCall[]> {
  fake = await openFakeGpu({ arenaBytes: MiB });
  fake.gpu.multiply(options(fake.gpu));
  await fake.gpu.synchronize();
  const products = fake.executor.calls.filter(({ name }) => name === "multiply");
  return products.map(({ body }) => {
    const buffer = new WireBuffer(body.byteLength);
    buffer.u8.set(body);
    return decodeMultiplyCall(buffer, 0, body.byteLength);
  });
}

const three = (gpu: FakeGpu["gpu"], bytes = 4096): Record<"a" | "b" | "c", DeviceBuffer> => ({
  a: gpu.alloc(bytes),
  b: gpu.alloc(bytes),
  c: gpu.alloc(bytes),
});

describe("a matrix product", () => {
  it("is of packed f32 matrices unless the options say otherwise", async () => {
    const [product] = await sent((gpu) => ({ m: 5, n: 7, k: 3, ...three(gpu) }));
    expect(product).toMatchObject({ m: 5, n: 7, k: 3, lda: 3, ldb: 7, ldc: 7, type: 0, alpha: 1, beta: 0, stream: 0 });
    expect(product).toMatchObject({ batchCount: 1, strideA: 0, strideB: 0, strideC: 0, transposeA: 0, transposeB: 0 });
    expect(product!.b - product!.a).toBe(4096);
  });

  it("counts rows and strides of transposed matrices as they stand in memory", async () => {
    const [product] = await sent((gpu) => {
      const { a, b, c } = three(gpu);
      const shape = { m: 5, n: 7, k: 3, transposeA: true, transposeB: true, batchCount: 2, strideB: 0 } as const;
      return { ...shape, a, b, c, type: "bf16", alpha: 0.5, beta: 2, lda: 6 };
    });
    expect(product).toMatchObject({ lda: 6, ldb: 3, ldc: 7, strideA: 18, strideB: 0, strideC: 35, type: 3 });
    expect(product).toMatchObject({ transposeA: 1, transposeB: 1, alpha: 0.5, beta: 2 });
  });

  it("takes places inside buffers, and a stream", async () => {
    const [product] = await sent((gpu) => {
      const { a, b, c } = three(gpu);
      return { m: 2, n: 2, k: 2, a: a.at(64), b, c, stream: gpu.stream() };
    });
    expect(product!.b - product!.a).toBe(4096 - 64);
    expect(product!.stream).toBe(1);
  });

  it.each<[string, Partial<MultiplyOptions>]>([
    ["without rows", { m: 0 }],
    ["of half a column", { n: 1.5 }],
    ["of NaN", { k: Number.NaN }],
    ["of more than can be counted", { k: 2 ** 31 }],
    ["of an unknown type", { type: "f8" as "f32" }],
    ["with an unknown activation", { activation: "tanh" as "relu" }],
    ["with an activation that only an object's prototype has", { activation: "toString" as "relu" }],
    ["with an option that nobody knows", { transposea: true } as object],
    ["with a factor that is no number", { alpha: "2" as unknown as number }],
    ["with a factor that f32 does not have", { beta: -1e39 }],
    ["of integers with half a factor", { type: "i8-i32", alpha: 0.5 }],
    ["of integers with a factor beyond i32", { type: "i8-i32", beta: 2 ** 31 }],
    ["of integers with an activation", { type: "i8-i32", activation: "relu" }],
    ["of something that is no buffer", { b: new Float32Array(16) as unknown as DeviceBuffer }],
    ["without a matrix", { c: undefined as unknown as DeviceBuffer }],
    ["with a bias that is no buffer", { bias: 4 as unknown as DeviceBuffer }],
    ["whose results all go to one place", { batchCount: 2, strideC: 0 }],
    ["whose results overlap by one element", { batchCount: 2, strideC: 15 }],
    ["whose results stand side by side and overlap", { batchCount: 4, ldc: 15, strideC: 4 }],
    ["of f64 that does not fit its buffers as such", { type: "f64", m: 200 }],
    ["of a type that only an object's prototype has", { type: "constructor" as "f32" }],
    ["whose rows overlap", { lda: 3 }],
    ["whose stride is negative", { batchCount: 2, strideA: -16 }],
    ["larger than its buffer", { m: 257 }],
    ["whose last matrix lies outside its buffer", { batchCount: 65 }],
    ["whose strides pass 2^53", { batchCount: 2 ** 31 - 1, strideB: 2 ** 53 - 1 }],
  ])("%s is refused", async (_, wrong) => {
    const work = sent((gpu) => ({ m: 4, n: 4, k: 4, ...three(gpu), ...wrong }));
    await expect(work).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("has a bias, an activation and factors of its type", async () => {
    const [product] = await sent((gpu) => {
      const { a, b, c } = three(gpu);
      const bias = gpu.alloc(64).at(8);
      return { m: 5, n: 7, k: 3, a, b, c, bias, activation: "gelu", type: "f64", alpha: 1e300, beta: 0.1 };
    });
    expect(product).toMatchObject({ type: 4, activation: 2, alphaF64: 1e300, betaF64: 0.1 });
    expect(product!.bias - product!.c).toBe(4096 + 8);
  });

  it("counts the elements of the bias and of C by their own type", async () => {
    const wish = (gpu: FakeGpu["gpu"], bytes: number): MultiplyOptions => {
      const [a, b, c] = [gpu.alloc(32), gpu.alloc(32), gpu.alloc(64)];
      return { m: 4, n: 4, k: 4, a, b, c, bias: gpu.alloc(bytes), activation: "relu", type: "bf16-f32" };
    };
    const [product] = await sent((gpu) => wish(gpu, 16));
    expect(product).toMatchObject({ type: 6, activation: 1 });
    await fake.close();
    await expect(sent((gpu) => wish(gpu, 12))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("of i8 into i32 has whole factors", async () => {
    const [product] = await sent((gpu) => {
      const [a, b, c] = [gpu.alloc(16), gpu.alloc(16), gpu.alloc(64)];
      return { m: 4, n: 4, k: 4, a, b, c, alpha: -(2 ** 31), beta: 2 ** 24 + 1, type: "i8-i32" };
    });
    expect(product).toMatchObject({ type: 7, alphaF64: -(2 ** 31), betaF64: 2 ** 24 + 1 });
  });

  it("takes results side by side", async () => {
    const [product] = await sent((gpu) => ({ m: 4, n: 4, k: 4, ...three(gpu), batchCount: 4, ldc: 16, strideC: 4 }));
    expect(product).toMatchObject({ batchCount: 4, ldc: 16, strideC: 4 });
  });

  it("at an offset between elements is refused", async () => {
    const work = sent((gpu) => ({ m: 4, n: 4, k: 4, ...three(gpu), c: gpu.alloc(4096).at(2) }));
    await expect(work).rejects.toMatchObject({ code: "BAD_ARGUMENT", message: expect.stringContaining("[2]") });
  });

  it("of a freed buffer is refused", async () => {
    const work = sent((gpu) => {
      const operands = three(gpu);
      operands.a.free();
      return { m: 4, n: 4, k: 4, ...operands };
    });
    await expect(work).rejects.toBeInstanceOf(SluiceError);
    await expect(work).rejects.toMatchObject({ code: "CLOSED" });
  });
});

describe("compiling a source", () => {
  it.each<[string, string, string, readonly string[]]>([
    ["nothing", "BAD_IMAGE", "", []],
    ["more than its bound", "IMAGE_TOO_LARGE", " ".repeat(MiB + 1), []],
    ["too many options", "BAD_ARGUMENT", "int a;", Array.from({ length: 33 }, () => "-w")],
  ])("of %s is refused with %s", async (_, code, source, options) => {
    fake = await openFakeGpu({ arenaBytes: MiB });
    await expect(fake.gpu.compile(source, { options })).rejects.toMatchObject({ code });
  });
});
