/**
 * Every function that the toolkit's headers declare is in the interposer's libraries: served, or refused for one of the reasons in
 * core/refusals.def. The README's table of reasons is held against the code; the headers are read where nvcc is there.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { blas } from "../../shared/blas-functions.ts";
import { dnn } from "../../shared/dnn-functions.ts";
import { fft } from "../../shared/fft-functions.ts";
import { rand } from "../../shared/rand-functions.ts";
import { solver } from "../../shared/solver-functions.ts";
import { sparse } from "../../shared/sparse-functions.ts";
import { buildInterposer, canBuild, hasNvcc, hasTool } from "../support/interposer.ts";

const root = "client/interposer";
const read = (file: string): string => readFileSync(`${root}/${file}`, "utf8");
const reasons = new Map(
  [...read("core/refusals.def").matchAll(/^REFUSAL\((\w+), "(.*)"\)$/gm)].map((match) => [match[1]!, match[2]!]),
);
const refusedBy = (room: string): Map<string, string> =>
  new Map(
    [...read(`${room}/unsupported.def`).matchAll(/^UNSUPPORTED\((\w+), (\w+)\)$/gm)].map((match) => [
      match[1]!,
      match[2]!,
    ]),
  );
const reasonsOf = (room: string) =>
  [...read(`${room}/refusals.def`).matchAll(/^REFUSAL\((\w+), "(.*)"\)$/gm)].map(
    (match) => [match[1]!, match[2]!] as const,
  );
const blasReasons = reasonsOf("blas");
/** Libraries whose functions the server's carry out: their rooms, tables, and names without the version. */
const carried = [
  { room: "dnn", table: dnn, file: "libcudnn" },
  { room: "solver", table: solver, file: "libcusolver" },
  { room: "fft", table: fft, file: "libcufft" },
  { room: "rand", table: rand, file: "libcurand" },
  { room: "sparse", table: sparse, file: "libcusparse" },
].map((each) => ({ ...each, reasons: reasonsOf(each.room), refused: refusedBy(each.room) }));
const blasRefused = { blas: refusedBy("blas"), blaslt: refusedBy("blaslt") };
const refused = { driver: refusedBy("driver"), runtime: refusedBy("runtime") };

describe("the list of refused functions", () => {
  it.each(["driver", "runtime"] as const)(
    "gives each of the %s one reason that there is, and no line is anything else",
    (room) => {
      const lines = read(`${room}/unsupported.def`)
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("UNSUPPORTED"));
      expect(lines).toHaveLength(refused[room].size);
      for (const reason of refused[room].values()) expect([...reasons.keys()]).toContain(reason);
    },
  );

  it("stands in the README, counted by reason", () => {
    const rows = [...read("README.md").matchAll(/^\| (.+) \| (\d+) \| (\d+) \|$/gm)].map((match) => [
      match[1],
      Number(match[2]),
      Number(match[3]),
    ]);
    const count = (room: "driver" | "runtime", reason: string) =>
      [...refused[room].values()].filter((each) => each === reason).length;
    expect(rows).toEqual(
      [...reasons].map(([reason, sentence]) => [sentence, count("driver", reason), count("runtime", reason)]),
    );
  });
});

describe("the list of functions of cuBLAS that are refused", () => {
  it.each(["blas", "blaslt"] as const)("gives each of %s one reason that there is", (room) => {
    for (const reason of blasRefused[room].values()) expect(blasReasons.map(([name]) => name)).toContain(reason);
  });

  it("stands in the README, counted by reason", () => {
    const rows = [...read("README.md").matchAll(/^\| (.+) \| (\d+) of libcublas, (\d+) of libcublasLt \|$/gm)];
    const count = (room: "blas" | "blaslt", reason: string) =>
      [...blasRefused[room].values()].filter((each) => each === reason).length;
    expect(rows.map((match) => [match[1], Number(match[2]), Number(match[3])])).toEqual(
      blasReasons.map(([reason, sentence]) => [sentence, count("blas", reason), count("blaslt", reason)]),
    );
  });
});

describe.each(carried)(
  "the list of functions of $table.name that are refused",
  ({ table, file, reasons: all, ...own }) => {
    it("gives each one reason that there is, and none that is served", () => {
      for (const reason of own.refused.values()) expect(all.map(([name]) => name)).toContain(reason);
      for (const { name } of table.functions) expect(own.refused.has(name), name).toBe(false);
    });

    it("stands in the README, counted by reason", () => {
      const rows = [...read("README.md").matchAll(/^\| (.+) \| (\d+) of (\w+) \|$/gm)].filter((row) => row[3] === file);
      const count = (reason: string) => [...own.refused.values()].filter((each) => each === reason).length;
      expect(rows.map((match) => [match[1], Number(match[2])])).toEqual(
        all.map(([reason, sentence]) => [sentence, count(reason)]),
      );
    });
  },
);

it("the kernels of cuBLAS are made of the source beside them (`make -C client/interposer ptx`)", () => {
  const hash = createHash("sha256").update(read("blas/kernels.h")).update(read("blas/kernels.cu")).digest("hex");
  expect(read("blas/kernels.ptx").split("\n", 1)[0]).toContain(hash);
});

/** Names of the functions that a library exports. */
function exportsOf(library: string): Set<string> {
  const table = execFileSync("nm", ["-D", "--defined-only", `dist/interposer/${library}`], { encoding: "utf8" });
  return new Set(table.split("\n").map((line) => line.split(" ").at(-1)!.replace(/@.*/, "")));
}

/** Names that a library takes from others. */
function importsOf(library: string): string[] {
  const table = execFileSync("nm", ["-D", "--undefined-only", `dist/interposer/${library}`], { encoding: "utf8" });
  return table.split("\n").map((line) => line.split(" ").at(-1)!.replace(/@.*/, ""));
}

/** Versions of the C library that a file needs, as in 2.17. */
function versionsOf(file: string): string[] {
  const table = execFileSync("objdump", ["-p", file], { encoding: "utf8" });
  return [...table.matchAll(/ GLIBC_(\S+)$/gm)].map((match) => match[1]!);
}

/** None but those that the C library of 2012 has. */
function expectOldVersions(file: string): void {
  const versions = versionsOf(file);
  expect(versions.length).toBeGreaterThan(0);
  // Others are no numbers, as GLIBC_ABI_DT_RELR.
  expect(versions.filter((version) => !/^2\.(\d|1[0-7])(\.\d+)?$/.test(version))).toEqual([]);
}

const libraries = [
  ...["libcuda.so.1", "libcudart.so.12", "libcudart.so.13", "libnvidia-ml.so.1"],
  ...["libcublas.so.12", "libcublas.so.13", "libcublasLt.so.12", "libcublasLt.so.13", "libcudnn.so.9"],
  ...["libcusolver.so.11", "libcusolver.so.12"],
  ...["libcufft.so.11", "libcufft.so.12", "libcurand.so.10", "libcusparse.so.12"],
];

/** Names that a header of the toolkit declares, as programs are linked to them. */
function declaredIn(header: string, flags: readonly string[]): Set<string> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-names-"));
  try {
    writeFileSync(join(folder, "names.cu"), `#include <${header}>\n`);
    const args = ["-E", ...flags, join(folder, "names.cu")];
    const text = execFileSync("nvcc", args, { encoding: "utf8", maxBuffer: 256 * 1024 * 1024 });
    const pattern =
      header === "cuda.h"
        ? /\bCUresult\s+(cu[A-Z]\w*)\s*\(/g
        : /\bextern\s+__attribute__\(\(host\)\)(?:\s*__attribute__\(\([^()]*\)\))*[^;{}()]*\b(cuda[A-Z]\w*)\s*\(/g;
    return new Set([...text.matchAll(pattern)].map((match) => match[1]!));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.runIf(canBuild && hasTool("nm"))("the libraries", () => {
  beforeAll(() => {
    buildInterposer();
  });

  it("export what cuGetProcAddress gives out", () => {
    const exported = exportsOf("libcuda.so.1");
    const symbols = [...read("driver/names.def").matchAll(/^ENTRY\(\w+, \d+, (\w+)\)$/gm)].map((match) => match[1]!);
    expect(symbols.length).toBeGreaterThan(400);
    expect(symbols.filter((symbol) => !exported.has(symbol))).toEqual([]);
  });

  it.each(libraries)("need no younger C library than that of 2012: %s", (library) => {
    expectOldVersions(`dist/interposer/${library}`);
  });

  it("need none either where they are built with headers that lead their calls to younger functions", () => {
    const led = /^(?:__isoc\d+_)?(v?[fs]?w?scanf|(?:str|wcs)to(?:u?ll?|[iu]max)(?:_l)?)$/;
    const names = new Set(libraries.flatMap(importsOf).flatMap((name) => led.exec(name)?.[1] ?? []));
    expect([...names]).toEqual(expect.arrayContaining(["sscanf", "strtol"]));
    const folder = mkdtempSync(join(tmpdir(), "sluice-names-"));
    try {
      // As glibc 2.38 names them, whatever is here.
      const calls = [...names].map(
        (name) => `int __isoc23_${name}(void);\nint ${name}_call(void) { return __isoc23_${name}(); }\n`,
      );
      writeFileSync(join(folder, "calls.c"), calls.join(""));
      const flags = ["-shared", "-fPIC", "-fno-builtin", "-Wl,-z,defs", "-include", `${root}/core/baseline.h`];
      execFileSync("cc", [...flags, "-o", join(folder, "calls.so"), join(folder, "calls.c")], { stdio: "pipe" });
      expectOldVersions(join(folder, "calls.so"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ["libcuda.so.1", "driver"],
    ["libcudart.so.12", "runtime"],
    ["libcudart.so.13", "runtime"],
  ] as const)("of which %s exports what is refused", (library, room) => {
    const exported = exportsOf(library);
    expect([...refused[room].keys()].filter((name) => !exported.has(name))).toEqual([]);
  });

  it.each([
    ...(["libcublas.so.12", "libcublas.so.13"] as const).map((library) => [library, "blas"] as const),
    ...(["libcublasLt.so.12", "libcublasLt.so.13"] as const).map((library) => [library, "blaslt"] as const),
  ])("of which %s exports what is refused, under the version that programs ask for", (library, room) => {
    const exported = exportsOf(library);
    expect([...blasRefused[room].keys()].filter((name) => !exported.has(name))).toEqual([]);
    for (const { name } of room === "blas" ? blas.functions : []) expect([...exported], name).toContain(name);
    const table = execFileSync("nm", ["-D", "--defined-only", `dist/interposer/${library}`], { encoding: "utf8" });
    expect(table).toContain(room === "blas" ? `cublasSgemm_v2@@${library}` : `cublasLtMatmul@@${library}`);
  });

  it.each([
    ["libcudnn.so.9", "dnn", "cudnnBackendExecute"],
    ["libcusolver.so.11", "solver", "cusolverDnGetStream"],
    ["libcusolver.so.12", "solver", "cusolverDnGetStream"],
    ["libcufft.so.11", "fft", "cufftExecC2C"],
    ["libcufft.so.12", "fft", "cufftExecC2C"],
    ["libcurand.so.10", "rand", "curandGenerateSeeds"],
    ["libcusparse.so.12", "sparse", "cusparseGetStream"],
  ])(
    "of which %s exports what is served and what is refused, under the version that programs ask for",
    (file, room, own) => {
      const { table, refused: names } = carried.find((each) => each.room === room)!;
      const text = execFileSync("nm", ["-D", "--defined-only", `dist/interposer/${file}`], { encoding: "utf8" });
      const exported = text.split("\n").flatMap((line) => line.match(/ T (\w+)@@(.+)$/)?.slice(1) ?? []);
      const functions = exported.filter((_, index) => index % 2 === 0);
      expect(functions).toEqual(expect.arrayContaining([...names.keys(), ...table.functions.map(({ name }) => name)]));
      expect(functions).toContain(own);
      expect(new Set(exported.filter((_, index) => index % 2 === 1))).toEqual(new Set([file]));
    },
  );

  it.runIf(hasNvcc).each([
    ["cuda.h", "libcuda.so.1", 440],
    ["cuda_runtime_api.h", "libcudart.so.13", 290],
  ] as const)("have every function of %s, with either kind of default stream", (header, library, atLeast) => {
    const exported = exportsOf(library);
    for (const flags of [[], ["-DCUDA_API_PER_THREAD_DEFAULT_STREAM"]]) {
      const declared = declaredIn(header, flags);
      expect(declared.size).toBeGreaterThan(atLeast);
      expect([...declared].filter((name) => !exported.has(name))).toEqual([]);
    }
  });
});
