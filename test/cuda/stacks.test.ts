/** An unmodified program's stacks on a CUDA device: the interposer, a real server, and the stand-in for the driver, which keeps the driver's rules. */
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { startServer } from "../support/server.ts";
import { standin, standinMissing } from "./standin.ts";

const isMissing = standinMissing !== undefined || !canBuild;
beforeAll(() => {
  if (!isMissing) buildInterposer();
});

it.skipIf(isMissing)(
  "a program sets the size of its kernels' stacks, and has the rest of its slice to the last byte",
  async () => {
    await using server = await startServer({
      args: ["--device", "cuda:0"],
      env: {
        SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
        SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      },
    });
    const { code, stdout } = await runProgram({
      server,
      command: [compileProgram("test/interposer/card/stack.c", { suffix: "-card" })],
      memoryBytes: 512 * 1024 ** 2,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ok\n" });
  },
);
