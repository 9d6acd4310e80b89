/**
 * Unmodified programs in CUDA C on borrowed slices of the cpu device, where nvcc is there to build them. Each checks its own results and
 * prints `ok` as its last line.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle, compileProgram, hasNvcc, runProgram, sourcesOf } from "../support/interposer.ts";
import { type ProgramServer, servePrograms } from "../support/program-server.ts";
import { MiB } from "../support/raw-client.ts";
import { startServer } from "../support/server.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
const ptx = ["-gencode", "arch=compute_75,code=compute_75"];
const sources = sourcesOf("test/interposer/cuda");
const peers = "test/interposer/two-devices/peers.cu";
let lent: ProgramServer;
let folder: string;
/** All of them in one, linked as most of them are. */
let object: string;
let all: string;

servePrograms(
  "cpu:2x512MiB",
  (started) => {
    lent = started;
  },
  hasNvcc,
);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-test-libraries-"));
  if (!hasNvcc) return;
  const together = join(folder, "together.cu");
  bundle([...sources, peers], together);
  object = compileProgram(together, { flags: [...ptx, "-c", "-Xcompiler", "-fPIC"], suffix: ".o" });
  all = compileProgram(object);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.runIf(hasNvcc)("a program in CUDA C with -cudart shared", () => {
  const run = (...command: readonly string[]) => runProgram({ ...lent, command });

  it.each(sources)("%s", async (source) => {
    const finished = await run(all, basename(source, ".cu"));
    expect(finished.code, finished.stdout + finished.stderr).toBe(0);
    expect(finished.stdout).toMatch(/ok\n$/);
  });

  it("copies between the devices of its lease, and is told that kernels reach only their own", async () => {
    const finished = await runProgram({
      server: lent.server,
      command: [all, "peers"],
      devices: 2,
      memoryBytes: 32 * MiB,
    });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it.each(["none", "speed"])("runs with its device code compressed for [%s]", async (mode) => {
    const flags = [...ptx, `-compress-mode=${mode}`];
    const program = compileProgram("test/interposer/cuda/shared.cu", { flags, suffix: `-${mode}` });
    expect(await run(program)).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("of several files, whose device code is linked, runs from its PTX", async () => {
    const flags = [...ptx, "-rdc=true", "test/interposer/linked/parts.cu"];
    const program = compileProgram("test/interposer/linked/main.cu", { flags, suffix: "-linked" });
    const finished = await run(program);
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("whose kernels launch kernels runs from its PTX, in the order that streams of the device give", async () => {
    const flags = [...ptx, "-rdc=true", "-lcudadevrt"];
    const program = compileProgram("test/interposer/launches/tree.cu", { flags, suffix: "-launches" });
    const finished = await run(program);
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("that holds PTX for newer devices alone runs on one that stands for such a device, and elsewhere is told of it", async () => {
    const newer = ["90", "100"].flatMap((number) => ["-gencode", `arch=compute_${number},code=compute_${number}`]);
    const program = compileProgram("test/interposer/cuda/vector-add.cu", { flags: newer, suffix: "-newer" });
    const refused = await run(program);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--device cpu,capability=9.0");
    const newerServer = await startServer({ args: ["--device", "cpu:1x512MiB,capability=9.0"] });
    const finished = await runProgram({ server: newerServer, command: [program] }).finally(() => newerServer.stop());
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("that holds no PTX is told how to add it", async () => {
    const flags = ["-gencode", "arch=compute_75,code=sm_75"];
    const program = compileProgram("test/interposer/cuda/vector-add.cu", { flags, suffix: "-binary" });
    const finished = await runProgram({ server: lent.server, command: [program] });
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain("-gencode arch=compute_75,code=compute_75");
  });

  it("with the runtime linked statically is told the one flag that cures it", async () => {
    const program = compileProgram(object, { flags: ["-cudart", "static"], suffix: "-static" });
    const finished = await run(program, "vector-add");
    expect(finished.code).not.toBe(0);
    expect(finished.stderr.split("\n").filter((line) => line.includes("-cudart shared"))).toHaveLength(1);
  });

  it.runIf(hasPython)(
    "with it linked statically into a library is told about that, and what does without NVIDIA's",
    async () => {
      const built = compileProgram(object, { flags: ["-cudart", "static", "-shared"], suffix: "-library" });
      const wordOf = async (name: string): Promise<string> => {
        const path = join(folder, name);
        copyFileSync(built, path);
        const call = `from ctypes import *; CDLL("${path}").main(2, (c_char_p * 2)(b"", b"vector-add"))`;
        return (await run("python3", "-c", call)).stderr;
      };
      expect(await wordOf("libnccl.so.2")).toContain("by the backend gloo");
      expect(await wordOf("libcusparse.so.12")).toContain("by LD_PRELOAD");
      for (const name of ["libnvjpeg.so.13", "libcusparseLt.so.0", "libcupti.so.13"])
        expect(await wordOf(name)).toContain("has to do without it");
      expect(await wordOf("libown.so")).toContain("`nvcc -cudart shared`");
    },
  );

  it("that finds another runtime by a path of its own is told how to start it with Sluice's", async () => {
    const libraries = /"-L([^"]+)"\s*$/m.exec(
      spawnSync("nvcc", ["--dryrun", "none.cu"], { encoding: "utf8" }).stderr,
    )?.[1];
    const flags = ["-Xlinker", `--disable-new-dtags,-rpath,${libraries}`];
    const program = compileProgram(object, { flags, suffix: "-own-path" });
    const finished = await run(program, "vector-add");
    expect(finished.code).toBe(1);
    const preload = /Start it with (LD_PRELOAD=\S+libcudart\.so\.\d+)\.$/m.exec(finished.stderr)?.[1];
    expect(preload).toBeDefined();
    const mended = await run("env", preload!, program, "vector-add");
    expect(mended).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });
});
