/** Matrix products on a GPU through cuBLASLt, against a plain reference, over the stand-in for the library in test/cuda. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DeviceSlice, DeviceStream, MatrixProduct } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { A, B, BIAS, C, checkGelu, checkProduct, numbers, plain, reference } from "../support/products.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
let slice: DeviceSlice;

const check = (product: MatrixProduct): Promise<void> => checkProduct(slice, product);

describe.skipIf(standinMissing !== undefined)("a matrix product on a CUDA device", () => {
  beforeEach(async () => {
    slice = await openStandinSlice({ arenaBytes: 4 * MiB });
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.blasObjects(), "cuBLASLt's objects are given back").toBe(0);
  });

  it.each(["f32", "tf32", "f16", "bf16", "f64", "f16-f32", "bf16-f32"] as const)("multiplies matrices of %s", (type) =>
    check({ ...plain, type }),
  );

  it("multiplies i8 into i32 with whole factors, and is refused where the library has that not", async () => {
    const fours: MatrixProduct = {
      ...{ ...plain, type: "i8-i32" as const, m: 8, n: 12, k: 4, alpha: 3, beta: -2 },
      a: { ...plain.a, rowStride: 4, batchStride: 32 },
      b: { ...plain.b, rowStride: 4, batchStride: 48, transposed: true },
      c: { ...plain.c, rowStride: 12, batchStride: 100 },
    };
    await check(fours);
    await check({ ...fours, batchCount: 3 });
    const work = (): unknown => slice.multiply!({ ...fours, k: 3 }, undefined);
    expect(work).toThrow(expect.objectContaining({ code: "UNSUPPORTED" }));
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
    await check({ ...plain, a: { ...a, rowStride: 9 }, b: { ...b, rowStride: 12 }, c: { ...plain.c, rowStride: 10 } });
  });

  it("scales, and adds to what is there", async () => {
    await check({ ...plain, alpha: 2, beta: 0 });
    await check({ ...plain, alpha: -0.5, beta: 3 });
  });

  it.each(["f32", "tf32", "f16", "bf16"] as const)("adds a bias to each column, and rectifies, in %s", async (type) => {
    await check({ ...plain, type, bias: BIAS });
    await check({ ...plain, type, activation: "relu" });
    await check({ ...plain, type, bias: BIAS + 8, activation: "relu", beta: 1 });
    const c = { ...plain.c, batchStride: 40 };
    await check({ ...plain, type, batchCount: 4, a: { ...plain.a, batchStride: 20 }, c, bias: BIAS + 4 });
  });

  it("puts results through GELU", () => checkGelu(slice));

  it("multiplies batches, of which one operand may be shared", async () => {
    const a = { ...plain.a, batchStride: 20 };
    const c = { ...plain.c, batchStride: 40 };
    await check({ ...plain, batchCount: 4, a, b: { ...plain.b, batchStride: 30 }, c });
    await check({ ...plain, batchCount: 4, a, c });
  });

  it("multiplies matrices at any address that their elements allow", async () => {
    await check(plain);
    await check({ ...plain, a: { ...plain.a, address: A + 4 }, c: { ...plain.c, address: C + 24 } });
    await check({ ...plain, type: "bf16", b: { ...plain.b, address: B + 2 } });
  });

  it("serves several streams in turn with one workspace", async () => {
    const streams = [0, 1].map(() => slice.createStream({ flags: 1, priority: 0 }));
    await slice.write(A, new Uint8Array(numbers(2000, 1).buffer), undefined);
    await slice.write(B, new Uint8Array(numbers(2000, 2).buffer), undefined);
    await slice.synchronize();
    standin.delay(2000);
    // Each adds to the same result: out of turn, they would lose one another's sums.
    for (let i = 0; i < 10; i++) await slice.multiply!({ ...plain, beta: 1 }, streams[i % 2]);
    standin.delay(0);
    for (const stream of streams) slice.destroyStream(stream);
    await slice.synchronize();
    const once = reference(plain, { a: numbers(2000, 1), b: numbers(2000, 2), c: new Float32Array(35) });
    const into = new Float32Array(35);
    await slice.read(C, new Uint8Array(into.buffer), undefined);
    expect([...into]).toEqual([...once].map((value) => 10 * value));
    await check(plain);
  });

  it("multiplies with less workspace, or none, where the lease has nothing left beside its slice", async () => {
    const streams: DeviceStream[] = [];
    expect(() => {
      for (;;) streams.push(slice.createStream({ flags: 1, priority: 0 }));
    }).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    // There is nothing that could be allocated.
    standin.inject({ function: "cuMemAlloc_v2", code: 2 });
    await check({ ...plain, beta: 2 });
    standin.clear();
    for (const stream of streams) slice.destroyStream(stream);
  });

  it("remembers a bounded number of shapes", async () => {
    for (let n = 1; n <= 300; n++) {
      await slice.multiply!(
        { ...plain, n, b: { ...plain.b, rowStride: n }, c: { ...plain.c, rowStride: n } },
        undefined,
      );
    }
    await slice.synchronize();
    expect(standin.blasObjects()).toBe(1 + 256 * 4);
    await check(plain);
  });

  it.each([
    ["cublasLtCreate", 3, "OUT_OF_MEMORY"],
    ["cuMemAlloc_v2", 2, "OUT_OF_MEMORY"],
    ["cublasLtMatmulDescSetAttribute", 7, "UNSUPPORTED"],
    ["cublasLtMatrixLayoutSetAttribute", 7, "UNSUPPORTED"],
    ["cublasLtMatmulPreferenceSetAttribute", 8, "UNSUPPORTED"],
    ["cublasLtMatmulAlgoGetHeuristic", 15, "UNSUPPORTED"],
    ["heuristic state", 15, "UNSUPPORTED"],
    ["cublasLtMatmul", 15, "UNSUPPORTED"],
    ["cublasLtMatmul", 7, "DEVICE_FAILED"],
  ])("tells when %s fails, and works the next time", async (name, code, expected) => {
    standin.inject({ function: name, code });
    const error = await Promise.resolve()
      .then(() => slice.multiply!(plain, undefined))
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: expected });
    // Programs take it for an error of the driver.
    expect((error as SluiceError).details.nativeCode).toBe(name === "cuMemAlloc_v2" ? code : undefined);
    await check(plain);
  });

  it("says whether it can compute a product, and then knows how", async () => {
    standin.inject({ function: "heuristic state", code: 15 });
    expect(() => slice.prepareMultiply!(plain)).toThrow(expect.objectContaining({ code: "UNSUPPORTED" }));
    slice.prepareMultiply!({ ...plain, c: { ...plain.c, address: C + 256 } });
    // There is no other question.
    standin.inject({ function: "cublasLtMatmulAlgoGetHeuristic", code: 15 });
    await check(plain);
    standin.clear();
  });

  it("tells the driver's own error where a kernel has failed before it", async () => {
    await check(plain);
    standin.inject({ function: "cuStreamQuery", code: 700 });
    standin.inject({ function: "cublasLtMatmul", code: 13 });
    expect(() => slice.multiply!(plain, undefined)).toThrow(
      expect.objectContaining({ code: "ILLEGAL_ADDRESS", details: expect.objectContaining({ nativeCode: 700 }) }),
    );
    await slice.close();
    // What a broken context holds goes with its process.
    standin.release(0);
  });

  it("is refused clearly where the server has no cuBLASLt", async () => {
    const path = process.env["SLUICE_CUBLASLT_LIBRARY"]!;
    process.env["SLUICE_CUBLASLT_LIBRARY"] = "libcublasLt-that-is-not-there.so";
    try {
      expect(() => slice.multiply!(plain, undefined)).toThrow(
        expect.objectContaining({ code: "UNSUPPORTED", message: expect.stringContaining("no cuBLASLt") }),
      );
    } finally {
      process.env["SLUICE_CUBLASLT_LIBRARY"] = path;
    }
  });
});
