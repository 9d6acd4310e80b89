/**
 * Unmodified programs in CUDA C on borrowed slices of the cpu device, where nvcc is there to build them. Each checks its own results and
 * prints `ok` as its last line.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
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

const run = (...command: readonly string[]) => runProgram({ ...lent, command });

describe.runIf(hasNvcc)("a program in CUDA C with -cudart shared", () => {
  let built: string | undefined;
  /** Those whose device code is linked, in one, since nvcc takes as long for each file. */
  const linked = (): string => {
    if (built !== undefined) return built;
    const source = join(folder, "linked.cu");
    bundle(["test/interposer/linked/main.cu", "test/interposer/launches/tree.cu"], source);
    built = compileProgram(source, { flags: [...ptx, "-rdc=true", "-lcudadevrt", "test/interposer/linked/parts.cu"] });
    return built;
  };

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

  it("of several files, whose device code is linked, runs from its PTX", async () => {
    expect(await run(linked(), "main")).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("whose kernels launch kernels runs from its PTX, in the order that streams of the device give", async () => {
    expect(await run(linked(), "tree")).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
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

describe.runIf(hasNvcc)("a program that loads a fat binary", () => {
  /** One of the PTX of test/interposer/fatbin, which needs no compiler of C. */
  const fatbin = (name: string, ...flags: readonly string[]): string => {
    const target = join(folder, `${name}.fatbin`);
    execFileSync("nvcc", ["-fatbin", ...flags, "-o", target, "test/interposer/fatbin/add-one.ptx"]);
    return target;
  };
  const load = (file: string, more: Partial<ProgramServer> = {}) =>
    runProgram({ ...lent, ...more, command: [compileProgram("test/interposer/fatbin/from-file.c"), file] });

  it.each([
    ["none", true, false],
    ["speed", false, false],
    ["size", false, true],
  ])("runs with its device code compressed for [%s]", async (mode, isText, isZstd) => {
    const file = fatbin(mode, ...ptx, `-compress-mode=${mode}`);
    const bytes = readFileSync(file);
    expect([bytes.includes("add.s32 %r5, %r5, 1"), bytes.includes(Buffer.of(0x28, 0xb5, 0x2f, 0xfd))]).toEqual([
      isText,
      isZstd,
    ]);
    expect(await load(file)).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("of PTX for newer devices alone runs on one that stands for such a device, and elsewhere is told of it", async () => {
    const flags = ["90", "100"].flatMap((number) => ["-gencode", `arch=compute_${number},code=compute_${number}`]);
    const newer = fatbin("newer", ...flags);
    const refused = await load(newer);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--device cpu,capability=9.0");
    const server = await startServer({ args: ["--device", "cpu:1x512MiB,capability=9.0"] });
    const finished = await runProgram({
      server,
      command: [compileProgram("test/interposer/fatbin/from-file.c"), newer],
    });
    await server.stop();
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("without PTX is told how to add it", async () => {
    const finished = await load(fatbin("binary", "-gencode", "arch=compute_75,code=sm_75"));
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain("-gencode arch=compute_75,code=compute_75");
  });
});
