/** Unmodified programs against cuSPARSE on a CUDA device: the interposer's libcusparse, a real server, and the stand-ins for the driver and for its cuSPARSE. */
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

describe.skipIf(isMissing)("a program in C against cuSPARSE, whose work the server's cuSPARSE does", () => {
  it.each(["products", "systems", "sums", "refused"])("%s", async (name) => {
    const flags = ["-l:libcusparse.so.12", "-lm"];
    const program = compileProgram(`test/interposer/sparse/${name}.c`, { flags, suffix: "-sparse" });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });
});
