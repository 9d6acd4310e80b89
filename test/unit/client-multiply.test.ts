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
    ["of an unknown type", { type: "f64" as "f32" }],
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
