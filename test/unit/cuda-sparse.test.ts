/**
 * cuSPARSE on a slice: what descriptors hold is looked at by every call that takes them, however they were made and set, work areas are as large as the library wants
 * them and last as long as what was analysed with them, and what is gone or could not be made is shown to the library by nobody.
 */
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import type { DeviceSlice } from "../../server/device/device.ts";
import type { LibraryResult } from "../../server/device/libraries.ts";
import type { LibraryArgument } from "../../shared/library-functions.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { sparse } from "../../shared/sparse-functions.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, LibraryStand, numberIn } from "../support/library.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const ARENA_BYTES = 64 * MiB;
const END = ARENA_BASE + ARENA_BYTES;
/** Where arrays are that a test says nothing of: each has a MiB. */
const OFFSETS = ARENA_BASE;
const COLUMNS = ARENA_BASE + MiB;
const VALUES = ARENA_BASE + 2 * MiB;
const WORK = ARENA_BASE + 3 * MiB;
const N = 4;

type Given = Readonly<Record<string, number | bigint>>;

/** A function's arguments by their names; what is not given is 0 where it is a number and memory where it is a pointer. */
function pack(name: string, given: Given): Uint8Array[] {
  const one = ({ kind, name: own, isResult, isInOut }: LibraryArgument): Uint8Array[] => {
    if (kind === "handle" || kind === "unread" || kind === "exact" || (isResult && !isInOut)) return [];
    const value = given[own] ?? (kind === "pointer" ? WORK : 0);
    return kind === "factor" ? [arg.f64(Number(value)), arg.u64(0)] : [arg.u64(BigInt.asUintN(64, BigInt(value)))];
  };
  return sparse.functions[numberIn(sparse, name)]!.arguments.flatMap(one);
}

let slice: DeviceSlice;
let stand: LibraryStand;

const call = async (name: string, given: Given, options?: { mayReserve: boolean }): Promise<LibraryResult> =>
  await stand.call(name, pack(name, given), options);

async function made(name: string, given: Given = {}, options?: { mayReserve: boolean }): Promise<number> {
  const own = sparse.functions[numberIn(sparse, name)]!.arguments[0]!.name;
  const handle = stand.next();
  await call(name, { ...given, [own]: handle }, options);
  return handle;
}

const csr = (given: Given = {}): Promise<number> =>
  made("cusparseCreateCsr", {
    ...{ rows: N, cols: N, nnz: 6, csrRowOffsets: OFFSETS, csrColInd: COLUMNS, csrValues: VALUES },
    ...{ csrRowOffsetsType: 2, csrColIndType: 2, ...given },
  });
const vector = (values: number): Promise<number> => made("cusparseCreateDnVec", { size: N, values });
const dense = (given: Given = {}): Promise<number> =>
  made("cusparseCreateDnMat", { rows: N, cols: N, ld: N, values: WORK, order: 1, ...given });

async function multiply(matA: number, given: Given = {}): Promise<LibraryResult> {
  const [vecX, vecY] = [await vector(ARENA_BASE + 8 * MiB), await vector(ARENA_BASE + 9 * MiB)];
  stand.checked.length = 0;
  return call("cusparseSpMV", { matA, vecX, vecY, ...given });
}

describe.skipIf(standinMissing !== undefined)("cuSPARSE on a slice", () => {
  beforeEach(async () => {
    slice = await openStandinSlice({ arenaBytes: ARENA_BYTES, usedBytes: () => 0 });
    stand = await LibraryStand.of(sparse, slice, [ARENA_BASE, END]);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.sparseObjects(), "cuSPARSE's objects are given back").toBe(0);
  });

  // By hand: what is behind each array of a matrix, in the order in which it is looked at.
  const reaches: [string, Given, number[]][] = [
    ["of i32", {}, [20, 24, 24]],
    ["of i64 and c64", { csrRowOffsetsType: 3, csrColIndType: 3, valueType: 5 }, [40, 48, 96]],
    ["of 16 bits and c32", { csrRowOffsetsType: 1, csrColIndType: 1, valueType: 4 }, [10, 12, 48]],
  ];
  it.each(reaches)("looks at a matrix in compressed rows %s for as much as its sizes say", async (_, given, bytes) => {
    await call("cusparseSpMV_bufferSize", {
      matA: await csr(given),
      vecX: await vector(VALUES),
      vecY: await vector(VALUES),
    });
    expect(stand.checked.slice(0, 3).map(([, byteCount]) => byteCount)).toEqual(bytes);
  });

  it("counts batches and strides of what a descriptor was set to since, and leading dimensions by the order", async () => {
    const matA = await csr();
    await call("cusparseCsrSetStridedBatch", {
      ...{ spMatDescr: matA, batchCount: 3, offsetsBatchStride: 10, columnsValuesBatchStride: 100 },
    });
    await multiply(matA);
    expect(stand.checked.slice(0, 3).map(([, byteCount]) => byteCount)).toEqual([100, 824, 824]);
    const [byColumns, byRows] = [await dense({ cols: 2, ld: 7 }), await dense({ rows: 2, ld: 9, order: 2 })];
    await call("cusparseDnMatSetStridedBatch", { dnMatDescr: byRows, batchCount: 2, batchStride: 50 });
    stand.checked.length = 0;
    await call("cusparseSDDMM_bufferSize", { matA: byColumns, matB: byRows, matC: matA });
    expect(stand.checked.slice(0, 2)).toEqual([
      [WORK, 4 * 11],
      [WORK, 4 * 63],
    ]);
  });

  it("shows the library nothing that reaches farther than there is memory, or back", async () => {
    const outside: Given[] = [
      { csrValues: END - 20 },
      { csrRowOffsets: ARENA_BASE - 4 },
      { csrColInd: 2n ** 64n - 8n },
      { nnz: 2n ** 62n },
      { rows: 2n ** 63n - 1n },
      { nnz: 2n ** 62n + 1n, csrColIndType: 3 },
    ];
    for (const given of outside)
      await expect(multiply(await csr(given)), JSON.stringify(`${Object.entries(given)}`)).rejects.toThrow("outside");
    const matA = await csr();
    for (const stride of [-1n, -(2n ** 40n)]) {
      await call("cusparseCsrSetStridedBatch", { spMatDescr: matA, batchCount: 2, columnsValuesBatchStride: stride });
      await expect(multiply(matA)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    }
  });

  it("looks again at what is there each time", async () => {
    const matA = await csr();
    expect(await multiply(matA)).toMatchObject({ status: 0 });
    stand.ranges.splice(0, 1, [ARENA_BASE + MiB, END]);
    await expect(multiply(matA)).rejects.toThrow("outside");
    await call("cusparseCsrSetPointers", {
      ...{ spMatDescr: matA, csrRowOffsets: VALUES, csrColInd: COLUMNS, csrValues: VALUES },
    });
    expect(await multiply(matA)).toMatchObject({ status: 0 });
    await call("cusparseCsrSetPointers", {
      ...{ spMatDescr: matA, csrRowOffsets: VALUES, csrColInd: COLUMNS, csrValues: END - 23 },
    });
    await expect(multiply(matA)).rejects.toThrow("outside");
  });

  it("wants work areas of what the library asks for, whatever there is", async () => {
    const matA = await csr();
    await expect(multiply(matA, { externalBuffer: END - 127 })).rejects.toThrow("outside");
    await expect(multiply(matA, { externalBuffer: 0 })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await multiply(matA, { externalBuffer: END - 128 })).toMatchObject({ status: 0 });
  });

  it("keeps an eye on the work area of an analysis for as long as that is used", async () => {
    const given = {
      ...{ matA: await csr(), vecX: await vector(VALUES), vecY: await vector(ARENA_BASE + 9 * MiB) },
      spsvDescr: await made("cusparseSpSV_createDescr"),
    };
    await call("cusparseSpSV_analysis", { ...given, externalBuffer: END - 1024 });
    expect(await call("cusparseSpSV_solve", given)).toMatchObject({ status: 0 });
    stand.ranges.splice(0, 1, [ARENA_BASE, END - 1024]);
    await expect(call("cusparseSpSV_solve", given)).rejects.toThrow("outside");
    const blocks = { mb: 1, nnzb: 1, blockDim: 2, descrA: await made("cusparseCreateMatDescr") };
    const info = await made("cusparseCreateBsrsv2Info");
    await expect(call("cusparseSbsrsv2_solve", { ...blocks, info })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await call("cusparseSbsrsv2_analysis", { ...blocks, info });
    const solved = (pBuffer: number): Promise<LibraryResult> =>
      call("cusparseSbsrsv2_solve", { ...blocks, info, pBuffer });
    await expect(solved(END - 1024 - 143)).rejects.toThrow("outside");
    await expect(solved(0)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect(await solved(WORK)).toMatchObject({ status: 0 });
  });

  it("fails with a descriptor that could not be made where nobody was told, and takes none of another kind", async () => {
    const wrong = { rows: N, cols: N, nnz: 6, csrRowOffsetsType: 9, csrColIndType: 2 };
    const absent = await made("cusparseCreateCsr", wrong, { mayReserve: false });
    expect(await multiply(absent)).toMatchObject({ status: 3 });
    stand.forget(absent);
    await expect(multiply(absent)).rejects.toThrow("No descriptor");
    await expect(multiply(await vector(VALUES))).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    const told = stand.next();
    expect(await call("cusparseCreateCsr", { ...wrong, spMatDescr: told })).toMatchObject({ status: 3 });
    await expect(multiply(told)).rejects.toThrow("No descriptor");
  });

  it("knows how much a product has, once it is computed, before memory for it is used", async () => {
    const [matA, matC] = [await csr(), await csr({ nnz: 0, csrColInd: 0, csrValues: 0 })];
    const given = { matA, matB: matA, matC, spgemmDescr: await made("cusparseSpGEMM_createDescr") };
    const memory = new Int32Array([0, 2, 3, 4, 6, 0, 1, 1, 2, 0, 3]);
    const bytes = new Uint8Array(memory.buffer);
    await slice.write(OFFSETS, bytes.subarray(0, 20), undefined);
    await slice.write(COLUMNS, bytes.subarray(20), undefined);
    await call("cusparseSpGEMM_workEstimation", { ...given, bufferSize1: 4096 });
    await call("cusparseSpGEMM_compute", { ...given, bufferSize2: 4096 });
    // By hand: rows of the square have 2, 1, 1 and 3 elements.
    const short = { spMatDescr: matC, csrRowOffsets: VALUES, csrColInd: VALUES, csrValues: END - 4 * 7 + 1 };
    await call("cusparseCsrSetPointers", short);
    await expect(call("cusparseSpGEMM_copy", given)).rejects.toThrow("outside");
    await call("cusparseCsrSetPointers", { ...short, csrColInd: VALUES + 64, csrValues: END - 4 * 7 });
    expect(await call("cusparseSpGEMM_copy", given)).toMatchObject({ status: 0 });
  });
});

test("every function with a work area has one that tells its size, whose arguments are among its own", () => {
  const all = sparse.functions.filter(({ workAreas }) => workAreas !== undefined);
  expect(all.length).toBeGreaterThan(20);
  for (const { name, arguments: own, workAreas } of all) {
    const names = own.map((argument) => argument.name);
    const wanted = workAreas!.arguments.filter(
      ({ kind, isResult }) => kind !== "unread" && kind !== "handle" && kind !== "factor" && !isResult,
    );
    for (const argument of wanted) expect(names, `${name}: ${argument.name}`).toContain(argument.name);
  }
});
