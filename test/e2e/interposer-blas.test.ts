/**
 * cuBLAS of unmodified programs, served by this project's own libraries: each program of test/interposer/blas holds what the cpu device computes
 * against a product of its own on the host, and prints `ok` as its last line.
 */
import { describe, expect, it } from "vitest";
import { canBuild, compileProgram, runProgram, sourcesOf } from "../support/interposer.ts";
import { type ProgramServer, servePrograms } from "../support/program-server.ts";

let lent: ProgramServer;
servePrograms("cpu:512MiB", (started) => {
  lent = started;
});

describe.runIf(canBuild)("a program in C against cuBLAS", () => {
  // Both are built of the same source: one program tells whether the older one is whole.
  it.each([
    ...sourcesOf("test/interposer/blas").map((source) => [source, 13] as const),
    ["test/interposer/blas/vectors.c", 12] as const,
  ])("%s, of CUDA %i", async (source, major) => {
    const flags = [`-l:libcublas.so.${major}`, `-l:libcublasLt.so.${major}`, "-lm"];
    const program = compileProgram(source, { flags, suffix: `-blas-${major}` });
    const finished = await runProgram({ ...lent, command: [program] });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });
});
