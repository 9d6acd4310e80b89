/** Unmodified programs against cuSOLVER on a CUDA device: the interposer's libcusolver, a real server, and the stand-ins for the driver and for its cuSOLVER. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { standin, standinMissing } from "./standin.ts";

const isMissing = standinMissing !== undefined || !canBuild;
let server: TestServer;

beforeAll(async () => {
  if (isMissing) return;
  buildInterposer();
  const env = {
    SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
    SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
  };
  server = await startServer({ args: ["--device", "cuda:0"], env });
});
afterAll(async () => {
  await server?.stop();
});

describe.skipIf(isMissing)("a program in C against cuSOLVER, whose work the server's cuSOLVER does", () => {
  it.each([12, 13])("batches by cuBLAS, of CUDA %d", async (major) => {
    const flags = [`-l:libcublas.so.${major}`, "-lm"];
    const program = compileProgram("test/interposer/solver/batches.c", { flags, suffix: `-solver-${major}` });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });

  // Of what carries functions of any library: calls, memos, descriptors, answers.
  it.each(["address", "thread"] as const)("is clean with the %s sanitizer", async (sanitize) => {
    const libraries = buildInterposer(sanitize, ["libcusolver.so.12"]);
    const flags = [`-fsanitize=${sanitize}`, "-l:libcusolver.so.12", "-lm"];
    for (const name of ["threads", "refused"]) {
      const source = `test/interposer/solver/${name}.c`;
      const program = compileProgram(source, { flags, libraries, suffix: `-solver-${sanitize}` });
      const env = { ASAN_OPTIONS: "detect_leaks=0" };
      const { code, stdout, stderr } = await runProgram({ server, command: [program], libraries, env });
      expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
      expect(stderr).not.toContain("Sanitizer");
    }
  });

  it.each(["factors", "values", "wide", "refused", "threads", "fault"])("%s", async (name) => {
    for (const major of [11, 12]) {
      const flags = [`-l:libcusolver.so.${major}`, "-lm"];
      const program = compileProgram(`test/interposer/solver/${name}.c`, { flags, suffix: `-solver-${major}` });
      const { code, stdout, stderr } = await runProgram({ server, command: [program] });
      expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
    }
  });
});
