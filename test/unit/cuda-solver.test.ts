/**
 * cuSOLVER on a slice: how far each function reaches is known before it is called, work areas are as large as the library wants them whatever a program says, and what
 * it takes of the device is the lease's.
 */
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import type { DeviceSlice, DeviceStream } from "../../server/device/device.ts";
import type { LibraryResult } from "../../server/device/libraries.ts";
import { blas } from "../../shared/blas-functions.ts";
import type { Library, LibraryArgument } from "../../shared/library-functions.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { solver } from "../../shared/solver-functions.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { arg, LibraryStand, numberIn } from "../support/library.ts";
import { openStandinSlice } from "../support/standin-slice.ts";

const MiB = 1024 * 1024;
const ARENA_BYTES = 256 * MiB;
/** What every pointer is that a test says nothing of: each has a MiB. */
const placeOf = (index: number): number => ARENA_BASE + index * MiB;

type Given = Readonly<Record<string, number | bigint>>;

/** A function's arguments by their names; what is not given is 1 where it is a number, and memory where it is a pointer. */
function pack(name: string, given: Given, table: Library = solver): Uint8Array[] {
  const { arguments: all } = table.functions[numberIn(table, name)]!;
  const one = ({ kind, name: own, isResult, isOptional }: LibraryArgument, index: number): Uint8Array[] => {
    if (kind === "handle" || kind === "unread" || kind === "hostWork") return [];
    if (isResult) return isOptional ? [arg.u64(given[own] ?? 0)] : [];
    if (kind === "pointer") return [arg.u64(given[own] ?? placeOf(index))];
    const value = given[own] ?? (kind === "descriptor" || kind === "dataType" ? 0 : 1);
    return [kind === "f64" ? arg.f64(Number(value)) : arg.i64(value)];
  };
  return all.flatMap(one);
}

let slice: DeviceSlice;
let stand: LibraryStand;

const call = async (name: string, given: Given, options?: { mayReserve: boolean }): Promise<LibraryResult> =>
  await stand.call(name, pack(name, given), options);

/** What was checked of a call: bytes by the names of its pointers, which all lie where `placeOf` puts them. */
function checkedBytes(name: string): Record<string, number> {
  const { arguments: all } = solver.functions[numberIn(solver, name)]!;
  const found = stand.checked.map(
    ([address, byteCount]) => [all[(address - ARENA_BASE) / MiB]!.name, byteCount] as const,
  );
  return Object.fromEntries(found);
}

describe.skipIf(standinMissing !== undefined)("cuSOLVER on a slice", () => {
  beforeEach(async () => {
    slice = await openStandinSlice({ arenaBytes: ARENA_BYTES, usedBytes: () => 0 });
    stand = await LibraryStand.of(solver, slice, [ARENA_BASE, ARENA_BASE + ARENA_BYTES]);
  });

  afterEach(async () => {
    await slice.close();
    expect(standin.report()).toBe("");
    expect(standin.solverObjects(), "cuSOLVER's objects are given back").toBe(0);
  });

  // By hand: a matrix reaches leading * (columns - 1) + rows elements; work areas are what the stand-in asks for.
  const reaches: [string, Given, Record<string, number>][] = [
    ["cusolverDnSgetrf", { m: 5, n: 3, lda: 7 }, { A: 76, Workspace: 192, devIpiv: 12, devInfo: 4 }],
    ["cusolverDnZgetrs", { trans: 0, n: 4, nrhs: 2, lda: 5, ldb: 9 }, { A: 304, devIpiv: 16, B: 208, devInfo: 4 }],
    ["cusolverDnDpotrf", { uplo: 0, n: 4, lda: 6, lwork: 3 }, { A: 176, Workspace: 352, devInfo: 4 }],
    ["cusolverDnDpotrf", { uplo: 0, n: 4, lda: 6, lwork: 100 }, { A: 176, Workspace: 800, devInfo: 4 }],
    ["cusolverDnSpotrfBatched", { n: 4, lda: 4, batchSize: 3 }, { Aarray: 24, infoArray: 12 }],
    ["cusolverDnCpotrsBatched", { n: 4, lda: 4, ldb: 4, batchSize: 3 }, { A: 24, B: 24, d_info: 4 }],
    ["cusolverDnCgeqrf", { m: 6, n: 4, lda: 6 }, { A: 192, TAU: 32, Workspace: 576, devInfo: 4 }],
    ["cusolverDnDorgqr", { m: 6, n: 4, k: 3, lda: 6 }, { A: 192, tau: 24, work: 656, info: 4 }],
    [
      "cusolverDnZunmqr",
      { side: 1, trans: 0, m: 3, n: 6, k: 2, lda: 6, ldc: 4 },
      { A: 192, tau: 32, C: 368, work: 1376, devInfo: 4 },
    ],
    ["cusolverDnSsytrf", { n: 4, lda: 4 }, { A: 64, ipiv: 16, work: 240, info: 4 }],
    ["cusolverDnCheevd", { jobz: 1, n: 4, lda: 5 }, { A: 152, W: 16, work: 576, info: 4 }],
    [
      "cusolverDnSgesvd",
      { jobu: 65, jobvt: 83, m: 6, n: 4, lda: 6, ldu: 6, ldvt: 4 },
      { A: 96, S: 16, U: 144, VT: 64, work: 528, rwork: 12, info: 4 },
    ],
    [
      "cusolverDnSgesvd",
      { jobu: 83, jobvt: 78, m: 6, n: 4, lda: 6, ldu: 8, ldvt: 4 },
      { A: 96, S: 16, U: 120, work: 528, rwork: 12, info: 4 },
    ],
    [
      "cusolverDnDgesvdaStridedBatched",
      { rank: 2, m: 6, n: 3, lda: 6, strideA: 20, strideS: 4, ldu: 6, strideU: 14, ldv: 3, strideV: 8, batchSize: 3 },
      { d_A: 464, d_S: 80, d_U: 320, d_V: 176, d_work: 1360, d_info: 12 },
    ],
    [
      "cusolverDnXsyevBatched",
      { jobz: 1, n: 3, dataTypeA: 5, lda: 4, dataTypeW: 1, computeType: 5, batchSize: 2, workspaceInBytesOnHost: 48 },
      { A: 368, W: 48, bufferOnDevice: 816, info: 8 },
    ],
    [
      "cusolverDnXgeev",
      {
        ...{ jobvl: 0, jobvr: 1, n: 3, dataTypeA: 1, lda: 3, dataTypeW: 1, dataTypeVL: 1, dataTypeVR: 1, ldvr: 4 },
        ...{ computeType: 1, workspaceInBytesOnHost: 48, workspaceInBytesOnDevice: 5000 },
      },
      { A: 72, W: 48, VR: 88, bufferOnDevice: 5000, info: 4 },
    ],
  ];
  it.each(reaches)("%s reaches as far as its arguments say: %o", async (name, given, bytes) => {
    await call(name, given);
    expect(checkedBytes(name)).toEqual(bytes);
  });

  /** Arguments that all functions take. */
  const whole: Given = {
    ...{ m: 6, n: 4, k: 3, nrhs: 1, rank: 2, batchSize: 3, uplo: 0, trans: 0, side: 0 },
    ...{ lda: 9, ldb: 11, ldc: 13, ldu: 8, ldv: 7, ldvt: 10, ldvl: 12, ldvr: 14, lda_inv: 5 },
    ...{
      strideA: 100,
      strideS: 20,
      strideU: 90,
      strideV: 80,
      jobz: 1,
      econ: 0,
      jobu: 65,
      jobvt: 65,
      jobvl: 0,
      jobvr: 1,
    },
    ...{ dataTypeA: 1, dataTypeB: 1, dataTypeW: 1, dataTypeTau: 1, dataTypeVL: 1, dataTypeVR: 1, computeType: 1 },
  };
  const complex = {
    dataTypeA: 4,
    dataTypeB: 4,
    dataTypeW: 0,
    dataTypeTau: 4,
    dataTypeVL: 4,
    dataTypeVR: 4,
    computeType: 4,
  };
  const others: Given[] = [
    { m: 4, side: 1, econ: 1, jobu: 83, jobvt: 83, uplo: 1, batchSize: 1 },
    { m: 31, n: 17, k: 0, lda: 31, ldb: 40, ldc: 33, ldu: 31, ldv: 17, ldvt: 17, ldvr: 17, lda_inv: 17, strideA: 600 },
    { jobz: 0, jobu: 78, jobvt: 78, jobvr: 0, ...complex },
    { batchSize: 0 },
  ];

  it.each([solver, blas])("reads and writes by each function of $name just what was checked", async (table) => {
    const own = table === solver ? stand : await LibraryStand.of(table, slice, [ARENA_BASE, ARENA_BASE + ARENA_BYTES]);
    const infos = new Map<string, number>();
    for (const kind of ["gesvdjInfo", "syevjInfo"]) {
      if (table === solver) infos.set(kind, await own.makeBy(solver.descriptors[kind]!.make));
    }
    for (const { name, arguments: all, workAreas } of table.functions) {
      if (!all.some(({ kind }) => kind === "pointer")) continue;
      for (const change of [{}, ...others]) {
        const parameters = infos.get(all.find(({ name: each }) => each === "params")?.descriptor ?? "") ?? 0;
        const given: Record<string, number | bigint> = { ...whole, ...change, params: parameters };
        // The values of a complex matrix are complex.
        if (name === "cusolverDnXgeev" && given["dataTypeA"] === 4) given["dataTypeW"] = 4;
        if (name.startsWith("cusolverDnX") && workAreas !== undefined) {
          const { results } = await own.call(workAreas.name, pack(workAreas.name, given, table));
          const [device = 0n, host = 0n] = new BigUint64Array(results.slice().buffer);
          Object.assign(given, { workspaceInBytesOnDevice: device, workspaceInBytesOnHost: host });
        }
        // Of batches that stand in lists these are lists, of matrices that lie behind all of them.
        const lists = all.flatMap(({ size }, index) =>
          name.endsWith("Batched") && size?.element === "i64" ? [index] : [],
        );
        for (const index of lists) {
          const matrices = [0, 1, 2].map((which) => BigInt(placeOf(32 + 3 * index + which)));
          await slice.write(placeOf(index), new Uint8Array(BigUint64Array.from(matrices).buffer), undefined);
        }
        own.checked.length = 0;
        const { status } = await own.call(name, pack(name, given, table));
        expect(status, `${name} ${JSON.stringify(change)}`).toBe(0);
        const sorted = (areas: readonly [number, number][]) => [...areas].sort((a, b) => a[0] - b[0]);
        expect(sorted(own.checked), `${name} ${JSON.stringify(change)}`).toEqual(sorted(standin.solverAreas()));
      }
    }
  });

  it("is asked nothing that reaches farther than there is memory, whatever the numbers", async () => {
    const small = { lda: 4, n: 4 };
    const outside: [string, Given][] = [
      ["cusolverDnSgetrf", { m: 2 ** 31 - 1, n: 2 ** 31 - 1, lda: 2 ** 31 - 1 }],
      ["cusolverDnXpotrs", { n: 2n ** 32n, nrhs: 1, lda: 2n ** 32n, ldb: 2n ** 32n }],
      ["cusolverDnXpotrs", { n: 2n ** 62n + 1n, nrhs: 1, lda: 4, ldb: 4 }],
      ["cusolverDnSpotrs", { ...small, nrhs: 1, ldb: 4, A: ARENA_BASE + ARENA_BYTES - 60 }],
      ["cusolverDnSpotrs", { ...small, nrhs: 1, ldb: 4, B: ARENA_BASE - 4 }],
      ["cusolverDnSpotrs", { ...small, nrhs: 1, ldb: 4, devInfo: 2n ** 64n - 2n }],
      ["cusolverDnSpotrs", { ...small, nrhs: 1, ldb: 4, A: 0 }],
      ["cusolverDnSgetrf", { m: 4, ...small, Workspace: ARENA_BASE + ARENA_BYTES - 188 }],
      ["cusolverDnSpotrf", { ...small, lwork: 1, Workspace: ARENA_BASE + ARENA_BYTES - 4 }],
      ["cusolverDnSpotrfBatched", { ...small, batchSize: 3, Aarray: ARENA_BASE + ARENA_BYTES - 16 }],
    ];
    for (const [name, given] of outside) await expect(call(name, given), name).rejects.toThrow("outside");
  });

  it("answers what is no size itself, and gets no address for what a job does not use", async () => {
    for (const given of [{ m: -4 }, { n: -4 }, { lda: -4 }, { lda: 2 }]) {
      const whole = { m: 4, n: 4, lda: 4, ...given };
      await expect(call("cusolverDnSgetrf", whole)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
      expect((await call("cusolverDnSpotrs", { n: 4, nrhs: 1, ldb: 4, uplo: 9, ...given })).status).toBe(3);
    }
    // Singular values alone: vectors may be anywhere, and are nowhere.
    const values = { jobu: 78, jobvt: 78, m: 4, n: 3, lda: 4, ldu: 1, ldvt: 1, U: 12, VT: 2n ** 63n };
    stand.checked.length = 0;
    expect(await call("cusolverDnSgesvd", values)).toMatchObject({ status: 0 });
    expect(Object.keys(checkedBytes("cusolverDnSgesvd"))).not.toContain("U");
  });

  it("has work areas on the host from the server, of what it asks for and little more", async () => {
    const given = { m: 4, n: 4, lda: 4, workspaceInBytesOnDevice: 4096 };
    const status = async (workspaceInBytesOnHost: number | bigint): Promise<number> =>
      (await call("cusolverDnXgetrf", { ...given, workspaceInBytesOnHost })).status;
    expect(await status(48)).toBe(0);
    expect(await status(1000)).toBe(0);
    expect(await status(47)).toBe(3);
    for (const bytes of [2n ** 21n, 2n ** 62n]) {
      await expect(status(bytes)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    }
  });

  it("tells on the host what is wanted there, and nothing else", async () => {
    const given = {
      rank: 2,
      m: 3,
      n: 3,
      lda: 3,
      ldu: 3,
      ldv: 3,
      strideA: 9,
      strideS: 2,
      strideU: 6,
      strideV: 6,
      batchSize: 2,
    };
    expect((await call("cusolverDnSgesvdaStridedBatched", given)).results.byteLength).toBe(0);
    const told = await call("cusolverDnSgesvdaStridedBatched", { ...given, h_R_nrmF: 1 });
    expect(told).toMatchObject({ status: 0 });
    expect(told.results.byteLength).toBe(2 * 8);
  });

  it("takes parameters of the kind that a function wants, and fails with those that could not be set", async () => {
    const jacobi = await stand.makeBy("cusolverDnCreateGesvdjInfo");
    const params = await stand.makeBy("cusolverDnCreateParams");
    const shape = { jobz: 1, m: 4, n: 4, lda: 4, ldu: 4, ldv: 4, batchSize: 1 };
    const asked = (handle: number): Promise<LibraryResult> =>
      call("cusolverDnSgesvdjBatched_bufferSize", { ...shape, params: handle });
    await expect(asked(params)).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    await expect(asked(99)).rejects.toThrow("No descriptor");
    expect(await asked(jacobi)).toMatchObject({ status: 0 });
    expect(await call("cusolverDnXgesvdjSetMaxSweeps", { info: jacobi, max_sweeps: -1 })).toMatchObject({
      status: 3,
      isRemembered: true,
    });
    expect(await asked(jacobi)).toMatchObject({ status: 3 });
    expect(await call("cusolverDnXgesvdjSetMaxSweeps", { info: jacobi, max_sweeps: 9 })).toMatchObject({ status: 0 });
    expect(await asked(jacobi)).toMatchObject({ status: 0 });
    stand.forget(params);
  });

  it("pays for its code from the slice's end where the lease has nothing left beside it, and only where that is told", async () => {
    const [ask, given] = ["cusolverDnSgetrf_bufferSize", { m: 4, n: 4, lda: 4 }];
    const streams: DeviceStream[] = [];
    expect(() => {
      for (;;) streams.push(slice.createStream({ flags: 1, priority: 0 }));
    }).toThrow(expect.objectContaining({ code: "OUT_OF_MEMORY" }));
    for (const name of [ask, "cusolverDnSgetrf"]) {
      await expect(call(name, given, { mayReserve: false })).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    }
    expect(slice.reservedBytes).toBe(0);
    expect(await call("cusolverDnSgetrf", given)).toMatchObject({ status: 0 });
    // Its code, and what calls without an answer may need for the workspace of products.
    expect(slice.reservedBytes! / MiB).toBe(4 + 32);
    expect(await call("cusolverDnSgetrf", given, { mayReserve: false })).toMatchObject({ status: 0 });
    expect(slice.reservedBytes! / MiB).toBe(4 + 32);
    for (const stream of streams) slice.destroyStream(stream);
  });

  it("fails with what the driver says where that has failed, and alone where it has no memory", async () => {
    const given = { m: 4, n: 4, lda: 4 };
    standin.inject({ function: "cusolverDnSgetrf", code: 2 });
    expect(await call("cusolverDnSgetrf", given)).toMatchObject({ status: 2 });
    expect(await call("cusolverDnSgetrf", given)).toMatchObject({ status: 0 });
    standin.inject({ function: "cusolverDnSgetrf", code: 6 });
    standin.inject({ function: "cuStreamQuery", code: 719 });
    await expect(call("cusolverDnSgetrf", given)).rejects.toMatchObject({ code: "KERNEL_TRAP" });
  });
});

test("every function with a work area has one that tells its size, whose arguments are among its own", () => {
  const all = solver.functions.filter(({ workAreas }) => workAreas !== undefined);
  expect(all.length).toBeGreaterThan(40);
  for (const { name, arguments: own, workAreas } of all) {
    const names = own.map((argument) => argument.name);
    const wanted = workAreas!.arguments.filter(
      ({ kind, isResult }) => kind !== "unread" && kind !== "handle" && !isResult,
    );
    for (const argument of wanted) expect(names, `${name}: ${argument.name}`).toContain(argument.name);
  }
});
