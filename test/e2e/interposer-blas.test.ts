/**
 * cuBLAS of unmodified programs, served by this project's own libraries: each program of test/interposer/blas holds what the cpu device computes
 * against a product of its own on the host, and prints `ok` as its last line.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Borrowed,
  borrow,
  buildInterposer,
  canBuild,
  compileProgram,
  runProgram,
  sourcesOf,
  waitingForCompilers,
} from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let borrowed: Borrowed;

beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:512MiB", ...waitingForCompilers] });
  borrowed = await borrow(server);
});
afterAll(async () => {
  await borrowed?.release();
  await server?.stop();
});

describe.runIf(canBuild)("a program in C against cuBLAS", () => {
  // Both are built of the same source: one program tells whether the older one is whole.
  it.each([
    ...sourcesOf("test/interposer/blas").map((source) => [source, 13] as const),
    ["test/interposer/blas/vectors.c", 12] as const,
  ])("%s, of CUDA %i", async (source, major) => {
    const flags = [`-l:libcublas.so.${major}`, `-l:libcublasLt.so.${major}`, "-lm"];
    const program = compileProgram(source, { flags, suffix: `-blas-${major}` });
    const finished = await runProgram({ server, borrowed, command: [program] });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });
});
