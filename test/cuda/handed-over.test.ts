/** What an unmodified program has waited for, as its streams see it: the interposer, a real server, and the stand-in for the driver. */
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

describe.skipIf(isMissing)("a copy from the host that a program waits for", () => {
  it("is there for streams that wait for no other, and holds them up only then", async () => {
    const program = compileProgram("test/cuda/programs/handed-over.c", { suffix: "-card" });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });
});
