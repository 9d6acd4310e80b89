/**
 * Unmodified programs in CUDA C on borrowed slices of the cpu device, where nvcc is there to build them. Each checks its own results and
 * prints `ok` as its last line.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildInterposer, compileProgram, hasNvcc, runProgram, sourcesOf } from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-test-libraries-"));
  if (!hasNvcc) return;
  buildInterposer();
  server = await startServer({ args: ["--device", "cpu:2x512MiB"] });
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

describe.runIf(hasNvcc)("a program in CUDA C with -cudart shared", () => {
  const ptx = ["-gencode", "arch=compute_75,code=compute_75"];

  it.each(sourcesOf("test/interposer/cuda"))("%s", async (source) => {
    const finished = await runProgram({ server, command: [compileProgram(source, { flags: ptx })] });
    expect(finished.code, finished.stdout + finished.stderr).toBe(0);
    expect(finished.stdout).toMatch(/ok\n$/);
  });

  it("copies between the devices of its lease, and is told that kernels reach only their own", async () => {
    const command = [compileProgram("test/interposer/two-devices/peers.cu", { flags: ptx })];
    const finished = await runProgram({ server, command, devices: 2 });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it.each(["none", "speed"])("runs with its device code compressed for [%s]", async (mode) => {
    const flags = [...ptx, `-compress-mode=${mode}`];
    const program = compileProgram("test/interposer/cuda/shared.cu", { flags, suffix: `-${mode}` });
    const finished = await runProgram({ server, command: [program] });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("of several files, whose device code is linked, runs from its PTX", async () => {
    const flags = [...ptx, "-rdc=true", "test/interposer/linked/parts.cu"];
    const program = compileProgram("test/interposer/linked/main.cu", { flags, suffix: "-linked" });
    const finished = await runProgram({ server, command: [program] });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("whose kernels launch kernels runs from its PTX, in the order that streams of the device give", async () => {
    const flags = [...ptx, "-rdc=true", "-lcudadevrt"];
    const program = compileProgram("test/interposer/launches/tree.cu", { flags, suffix: "-launches" });
    const finished = await runProgram({ server, command: [program] });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("that holds PTX for newer devices alone runs on one that stands for such a device, and elsewhere is told of it", async () => {
    const newer = ["90", "100"].flatMap((number) => ["-gencode", `arch=compute_${number},code=compute_${number}`]);
    const program = compileProgram("test/interposer/cuda/vector-add.cu", { flags: newer, suffix: "-newer" });
    const refused = await runProgram({ server, command: [program] });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--device cpu,capability=9.0");
    const newerServer = await startServer({ args: ["--device", "cpu:1x512MiB,capability=9.0"] });
    const finished = await runProgram({ server: newerServer, command: [program] }).finally(() => newerServer.stop());
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

  it.runIf(hasPython)(
    "with it linked statically into a library is told about that, and what does without NVIDIA's",
    async () => {
      const flags = [...ptx, "-cudart", "static", "-shared", "-Xcompiler", "-fPIC"];
      const built = compileProgram("test/interposer/cuda/vector-add.cu", { flags, suffix: "-library" });
      const run = async (name: string): Promise<string> => {
        const path = join(folder, name);
        copyFileSync(built, path);
        const call = `import ctypes; ctypes.CDLL("${path}").main()`;
        return (await runProgram({ server, command: ["python3", "-c", call] })).stderr;
      };
      expect(await run("libnccl.so.2")).toContain("by the backend gloo");
      expect(await run("libcusparse.so.12")).toContain("by LD_PRELOAD");
      expect(await run("libnvjpeg.so.13")).toContain("has to do without it");
      expect(await run("libown.so")).toContain("`nvcc -cudart shared`");
    },
  );

  it("that finds another runtime by a path of its own is told how to start it with Sluice's", async () => {
    const libraries = /"-L([^"]+)"\s*$/m.exec(
      spawnSync("nvcc", ["--dryrun", "none.cu"], { encoding: "utf8" }).stderr,
    )?.[1];
    const program = compileProgram("test/interposer/cuda/vector-add.cu", {
      flags: [...ptx, "-Xlinker", `--disable-new-dtags,-rpath,${libraries}`],
      suffix: "-own-path",
    });
    const finished = await runProgram({ server, command: [program] });
    expect(finished.code).toBe(1);
    const preload = /Start it with (LD_PRELOAD=\S+libcudart\.so\.\d+)\.$/m.exec(finished.stderr)?.[1];
    expect(preload).toBeDefined();
    const mended = await runProgram({ server, command: ["env", preload!, program] });
    expect(mended).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });
});
