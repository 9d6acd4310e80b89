/** OpenMP programs whose target regions GCC compiles for NVIDIA's GPUs, on a borrowed slice of the cpu device, where that compiler is there. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, programs, runProgram } from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";

const offloader = spawnSync("gcc", ["-print-file-name=accel/nvptx-none/mkoffload"], { encoding: "utf8" });
const hasOffload = canBuild && offloader.status === 0 && existsSync(offloader.stdout.trim());
const hasFortran = hasOffload && spawnSync("gfortran", ["--version"]).status === 0;

let server: TestServer;

beforeAll(async () => {
  if (!hasOffload) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:1x512MiB"] });
});
afterAll(async () => {
  await server?.stop();
});

function compile(source: string): string {
  const folder = `${programs}/openmp`;
  mkdirSync(folder, { recursive: true });
  const target = `${folder}/${basename(source).replace(/\..*$/, "")}`;
  const offload = ["-foffload=nvptx-none", "-foffload-options=-misa=sm_75", "-foffload-options=-lm -latomic"];
  const compiler = source.endsWith(".c") ? "gcc" : "gfortran";
  execFileSync(compiler, ["-O2", "-fopenmp", ...offload, "-o", target, source, "-lm"], { stdio: "pipe" });
  return target;
}

/** Each region's kernel is compiled with much of GCC's runtime, which takes its time on a busy machine. */
const PROGRAM_MS_MAX = 150_000;
const TEST_MS_MAX = 180_000;

const runs = async (source: string) => {
  // Without the device the program would run its regions on the host, and be right as well.
  const env = { OMP_TARGET_OFFLOAD: "MANDATORY" };
  const finished = await runProgram({ server, command: [compile(source)], env, msMax: PROGRAM_MS_MAX });
  expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
};

describe.runIf(hasOffload)("a program with OpenMP's target regions, by GCC", () => {
  it.each(["loops", "threads"])("%s", async (name) => runs(`test/interposer/openmp/${name}.c`), TEST_MS_MAX);
  it.runIf(hasFortran)("arrays, in Fortran", async () => runs("test/interposer/openmp/arrays.f90"), TEST_MS_MAX);
});
