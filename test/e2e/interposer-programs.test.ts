/**
 * Unmodified CUDA programs on borrowed slices of the cpu device: each program of test/interposer checks its own results and prints
 * `ok` as its last line. They are the same programs that run on a GPU without Sluice.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, canBuild, compileProgram, hasNvcc, runProgram } from "../support/interposer.ts";
import { MiB } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";

const sources = (folder: string, ending: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);

let server: TestServer;

beforeAll(async () => {
  if (!canBuild) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:2x512MiB"] });
});
afterAll(async () => {
  await server?.stop();
});

describe.runIf(canBuild)("a program in C against the driver API", () => {
  it.each(sources("test/interposer/driver", ".c"))("%s", async (source) => {
    const finished = await runProgram({ server, command: [compileProgram(source)] });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("leaves a line per call in the file of SLUICE_TRACE", async () => {
    const trace = "dist/interposer-programs/trace";
    rmSync(trace, { force: true });
    const program = compileProgram("test/interposer/driver/vector-add.c", { suffix: "-traced" });
    await runProgram({ server, command: [program], env: { SLUICE_TRACE: trace } });
    const lines = readFileSync(trace, "utf8").trim().split("\n");
    expect(lines[0]).toMatch(/^\d+\.\d+ cuInit CUDA_SUCCESS$/);
    expect(lines.filter((line) => line.includes(" cuLaunchKernel CUDA_SUCCESS"))).toHaveLength(1);
  });

  it("sees the devices of its lease, and copies between them", async () => {
    const command = [compileProgram("test/interposer/two-devices/two-devices.c")];
    const finished = await runProgram({ server, command, devices: 2 });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("sees exactly its slice through NVML", async () => {
    const program = compileProgram("test/interposer/nvml/memory.c", {
      flags: ["-l:libnvidia-ml.so.1"],
      suffix: "-nvml",
    });
    const finished = await runProgram({ server, command: [program, String(64 * MiB)], memoryBytes: 64 * MiB });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("may follow another in one shell, also when that one left work behind", async () => {
    const program = compileProgram("test/interposer/driver/exit-order.c", { suffix: "-twice" });
    const finished = await runProgram({ server, command: ["sh", "-c", `${program} && ${program}`] });
    expect(finished).toEqual({ code: 0, stdout: "ok\nok\n", stderr: "" });
  });
});

describe.runIf(hasNvcc)("a program in CUDA C with -cudart shared", () => {
  const ptx = ["-gencode", "arch=compute_75,code=compute_75"];

  it.each(sources("test/interposer/cuda", ".cu"))("%s", async (source) => {
    const finished = await runProgram({ server, command: [compileProgram(source, { flags: ptx })] });
    expect(finished.code, finished.stdout + finished.stderr).toBe(0);
    expect(finished.stdout).toMatch(/ok\n$/);
  });

  it.each(["none", "speed"])("runs with its device code compressed for [%s]", async (mode) => {
    const flags = [...ptx, `-compress-mode=${mode}`];
    const program = compileProgram("test/interposer/cuda/shared.cu", { flags, suffix: `-${mode}` });
    const finished = await runProgram({ server, command: [program] });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("that holds no PTX is told how to add it", async () => {
    const flags = ["-gencode", "arch=compute_75,code=sm_75"];
    const program = compileProgram("test/interposer/cuda/vector-add.cu", { flags, suffix: "-binary" });
    const finished = await runProgram({ server, command: [program] });
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain("-gencode arch=compute_75,code=compute_75");
  });

  it("with the runtime linked statically is told the one flag that cures it", async () => {
    const program = compileProgram("test/interposer/cuda/vector-add.cu", {
      flags: [...ptx, "-cudart", "static"],
      suffix: "-static",
    });
    const finished = await runProgram({ server, command: [program] });
    expect(finished.code).not.toBe(0);
    expect(finished.stderr.split("\n").filter((line) => line.includes("-cudart shared"))).toHaveLength(1);
  });
});

describe.runIf(canBuild).each(["address", "thread"] as const)("with the %s sanitizer", (sanitize) => {
  const chosen = ["threads", "streams", "pools", "memory", "forks"];

  it("the interposer is clean", async () => {
    const libraries = buildInterposer(sanitize);
    for (const name of chosen) {
      const flags = [`-fsanitize=${sanitize}`];
      const source = `test/interposer/driver/${name}.c`;
      const program = compileProgram(source, { flags, libraries, suffix: `-${sanitize}` });
      const finished = await runProgram({ server, command: [program], libraries });
      expect({ name, ...finished }).toEqual({ name, code: 0, stdout: "ok\n", stderr: "" });
    }
  }, 180_000);
});

describe.runIf(canBuild)("a program without a lease", () => {
  it("is told how to get one, and sees no device", async () => {
    const program = compileProgram("test/interposer/driver/vector-add.c", { suffix: "-alone" });
    const finished = await runProgram({ server, command: [program], env: { SLUICE_LEASE: "" } });
    expect(finished.code).toBe(1);
    expect(finished.stdout).toContain("CUDA_ERROR_NO_DEVICE");
    expect(finished.stderr).toContain("sluice run");
  });
});
