/**
 * Python programs on borrowed slices, where Python is there: several processes of one program, and, where that is there too, numba's CUDA
 * target. SLUICE_TEST_PYTHON names another Python.
 */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, hasTool, runProgram } from "../support/interposer.ts";
import { runSluice, startServer, type TestServer } from "../support/server.ts";

const python = process.env["SLUICE_TEST_PYTHON"] ?? "python3";
const hasPython = canBuild && hasTool(python);
const hasNumba = hasPython && spawnSync(python, ["-c", "import numba.cuda, numpy"], { stdio: "ignore" }).status === 0;

let server: TestServer | undefined;
beforeAll(async () => {
  if (!hasPython) return;
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

  it.each(["numba-saxpy", "numba-sums", "numba-times"])("of those for a real card runs here too: %s", async (name) => {
    const command = [python, "-W", "ignore", `test/gpu/python/${name}.py`];
    const finished = await runProgram({ server: server!, command });
    expect(finished.code, finished.stdout + finished.stderr).toBe(0);
    expect(finished.stdout).toMatch(/^(figure [\d.e+]+ \S+ .+\n)*ok\n$/);
  });
});

describe.runIf(hasPython)("a program of Python's multiprocessing", () => {
  const run = (...options: string[]) =>
    runSluice(["run", ...options, "-m", "64MiB", "--", python, "test/interposer/python/spawned.py"], {
      env: { SLUICE_SERVER: server!.grpc, SLUICE_INTERPOSER: `${process.cwd()}/dist/interposer` },
    });

  it("works in its workers and in the parent at once, with a share for each", async () => {
    expect(await run("--processes", "3")).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });
});
