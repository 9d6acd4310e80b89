/** A Python program with numba's CUDA target on a borrowed slice, where Python and numba are there. SLUICE_TEST_PYTHON names another Python. */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, runProgram } from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";

const python = process.env["SLUICE_TEST_PYTHON"] ?? "python3";
const hasNumba = canBuild && spawnSync(python, ["-c", "import numba.cuda, numpy"], { stdio: "ignore" }).status === 0;

let server: TestServer | undefined;
beforeAll(async () => {
  if (!hasNumba) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:1x1GiB"] });
});
afterAll(async () => {
  await server?.stop();
});

describe.runIf(hasNumba)("a program of numba", () => {
  it("compiles its kernels, runs them, and sees its slice", async () => {
    const command = [python, "-W", "ignore", "test/interposer/python/numba-sum.py"];
    const finished = await runProgram({ server: server!, command });
    expect(finished.code, finished.stdout + finished.stderr).toBe(0);
    expect(finished.stdout).toBe("ok\n");
  });
});
