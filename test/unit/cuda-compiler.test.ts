/** CUDA C source on its way to the device: what the server refuses to read for a tenant, and the compiler over its stand-in in test/cuda. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compileSource, refuseFiles } from "../../server/device/cuda/compiler.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { imageFormat } from "../../server/device/cuda/image.ts";
import { ParamType } from "../../server/device/cuda/ptx-declarations.ts";
import type { KeptResults } from "../../server/device/device.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { standin, standinMissing } from "../cuda/standin.ts";

const plain = { capability: 90, driverVersion: 13_000, options: [] };
const badImage = expect.objectContaining({ code: "BAD_IMAGE" });

describe("source that a tenant wants compiled", () => {
  it.each([
    '#include "/etc/passwd"',
    "#include </etc/passwd>",
    '  #  include "secret.h"',
    "#include <cuda_fp16.h/../../../etc/passwd>",
    "#include <../cuda_fp16.h>",
    "#include <stdio.h>",
    "#include MACRO",
    "#include",
    "#include/**/<cuda_fp16.h>",
    '#inc\\\nlude "/etc/passwd"',
    '#inc\\  \r\nlude "/etc/passwd"',
    '#inc\\ \f\v\nlude "/etc/passwd"',
    '#inc??/\nlude "/etc/passwd"',
    '#/* between */include "/etc/passwd"',
    '#/* between\n lines */ include /* more */ "/etc/passwd"',
    '%:include "/etc/passwd"',
    '??=include "/etc/passwd"',
    "#include_next <cuda_fp16.h>",
    '#import "/etc/passwd"',
    'const char x[] = {\n#embed "/etc/passwd"\n};',
    'auto a = R"(/*)";\n#include "/etc/passwd"\nauto b = R"(*/)";',
    'int a; /* #include "/etc/passwd" */',
    '#if __has_include("/etc/passwd")\n#endif',
    '#pragma GCC dependency "/etc/passwd"',
    '_Pragma("GCC dependency \\"/etc/passwd\\"")',
    "int a;\0int b;",
  ])("may not name a file: %j", (source) => {
    expect(() => refuseFiles(source)).toThrow(badImage);
  });

  it.each([
    '#include <cuda_fp16.h>\nextern "C" __global__ void k() {}',
    "  # include <cooperative_groups.h>",
    "#pragma unroll 4\n#define include_it 1\n#undef include_it",
    "int included = 5 % 3;",
  ])("may be %j", (source) => {
    expect(() => refuseFiles(source)).not.toThrow();
  });
});

describe("hostile source", () => {
  it("is looked through in time that grows with its length alone", () => {
    const start = performance.now();
    for (const piece of ["/**/", "/*", "*/", "# ", "/* ", "#\n", "%: ", "\\ ", "\\\n", "??/\n", "\\\f", "# pragma\n"])
      refuseFiles(`/${piece.repeat(50_000)}x`);
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});

describe.skipIf(standinMissing !== undefined)("compiling CUDA C", () => {
  beforeEach(() => standin.clear());
  afterEach(() => expect(standin.programs(), "every program is destroyed").toBe(0));

  it("gives an image for the device that loads and runs", async () => {
    const [description] = await cudaDriver.discover("0");
    const options = { arenaBytes: 2 ** 21, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput: () => undefined };
    const slice = await cudaDriver.open({ description: description!, ...options });
    const { image, text, log } = await slice.compile!(
      'extern "C" __global__ void empty() {}\nextern "C" __global__ void pause_for(unsigned microseconds) {}',
      [],
    );
    expect(log).toBe("");
    expect(imageFormat(image)).toBe("cubin");
    expect(Buffer.from(text!).toString()).toContain(".target sm_90");
    const module = await slice.loadModule(image, { text });
    expect(module.kernels.map(({ name }) => name)).toEqual(["empty", "pause_for"]);
    // Which type a parameter has is in no binary image.
    expect(module.kernels[1]!.params).toEqual([{ offset: 0, size: 4, alignment: 4, type: ParamType.UNSIGNED }]);
    expect((await slice.loadModule(image)).kernels[1]!.params[0]!.type).toBe(ParamType.UNKNOWN);
    const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0 } as const;
    await slice.launch({ module, kernel: 0, ...shape, params: new Uint8Array(0), stream: undefined });
    await slice.synchronize();
    await slice.close();
  });

  it("runs with a compiler that is newer than the driver, whose PTX that would refuse", async () => {
    process.env["SLUICE_STANDIN_PTX"] = "9.1";
    const [description] = await cudaDriver.discover("0");
    const options = { arenaBytes: 2 ** 21, arenaBase: ARENA_BASE, kernelTimeoutMs: 0, onOutput: () => undefined };
    const slice = await cudaDriver.open({ description: description!, ...options });
    try {
      const { image, text } = await slice.compile!('extern "C" __global__ void empty() {}', []);
      expect(() => slice.loadModule(Uint8Array.from(text!))).toThrow(
        /CUDA_ERROR_UNSUPPORTED_PTX_VERSION.*its compiler is newer than the server's driver; compile for the device itself/,
      );
      const module = await slice.loadModule(image, { text });
      const shape = { grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0 } as const;
      await slice.launch({ module, kernel: 0, ...shape, params: new Uint8Array(0), stream: undefined });
      await slice.synchronize();
    } finally {
      delete process.env["SLUICE_STANDIN_PTX"];
      await slice.close();
    }
  });

  it("hands on options that name no file, and what the compiler warns of", async () => {
    const options = ["--use_fast_math", "--std=c++20", "-DTILE=16"];
    const { text, log } = await compileSource("__global__ void k() { int unused; }", { ...plain, options });
    const said = Buffer.from(text!).toString();
    for (const option of options) expect(said).toContain(`// ${option}\n`);
    expect(said).not.toContain("--std=c++17");
    expect(log).toBe('program.cu(1): warning: variable "unused" was never used');
  });

  it.each([
    "--include-path=/etc",
    "-I/etc",
    "--pre-include=/etc/passwd",
    "-include=/etc/passwd",
    "--gpu-architecture=sm_90",
    "-DX=__FILE__\n#include </etc/passwd>",
    '-DX="/etc/passwd"',
    "-D",
    "--device-debug\0",
    "--time=/tmp/x",
    "",
  ])("refuses the option %j", async (option) => {
    const work = compileSource("int a;", { capability: 90, driverVersion: 13_000, options: ["-w", option] });
    await expect(work).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
  });

  it("is for the device itself where the compiler knows it, and PTX for the newest one before it where not", async () => {
    const targetFor = async (archs: string, capability: number): Promise<string> => {
      process.env["SLUICE_STANDIN_ARCHS"] = archs;
      // What the compiler knows is asked once per library.
      process.env["SLUICE_NVRTC_LIBRARY"] = `${standin.folder}/${"./".repeat(archs.length)}libcuda.so.1`;
      const { image } = await compileSource("__global__ void k() {}", { ...plain, capability });
      return `${imageFormat(image)} ${/target sm_\d+/.exec(Buffer.from(image).toString())![0]}`;
    };
    const library = process.env["SLUICE_NVRTC_LIBRARY"];
    try {
      expect(await targetFor("75,80,86", 90)).toBe("ptx target sm_86");
      expect(await targetFor("75,80,86,90,100,120", 103)).toBe("ptx target sm_100");
      expect(await targetFor("75,80,86,90", 90)).toBe("cubin target sm_90");
      await expect(targetFor("100,120", 90)).rejects.toMatchObject({ code: "UNSUPPORTED" });
    } finally {
      delete process.env["SLUICE_STANDIN_ARCHS"];
      process.env["SLUICE_NVRTC_LIBRARY"] = library;
    }
  });

  it("does not hold up the event loop", async () => {
    let turns = 0;
    let next = setImmediate(function turn() {
      turns++;
      next = setImmediate(turn);
    });
    await compileSource("__global__ void k() {}", plain);
    clearImmediate(next);
    expect(turns).toBeGreaterThan(0);
  });

  it("tells what the compiler says", async () => {
    await expect(compileSource("nonsense", plain)).rejects.toMatchObject({
      code: "BAD_IMAGE",
      message: 'The source does not compile [program.cu(1): error: identifier "nonsense" is undefined].',
    });
  });

  it.each(["nvrtcCreateProgram", "nvrtcCompileProgram"])("tells when %s fails", async (name) => {
    standin.inject({ function: name, code: 11 });
    await expect(compileSource("int a;", plain)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      details: { nativeCode: 11 },
    });
  });

  it("compiles the same for the same device once, where results are kept", async () => {
    const results = new Map<string, Uint8Array>();
    const kept: KeptResults = {
      find: async (ingredients) => results.get(ingredients.join("\n")),
      keep: (ingredients, result) => results.set(ingredients.join("\n"), result),
    };
    const source = "__global__ void k() { int unused; }";
    const first = await compileSource(source, { ...plain, kept });
    standin.inject({ function: "nvrtcCreateProgram", code: 11, count: -1 });
    const again = await compileSource(source, { ...plain, kept });
    expect(again.log).toBe(first.log);
    expect(Buffer.compare(again.image, first.image)).toBe(0);
    expect(Buffer.compare(again.text!, first.text!)).toBe(0);
    await expect(compileSource(source, { ...plain, kept, capability: 80 })).rejects.toThrow("NVRTC");
    await expect(compileSource(source, { ...plain, kept, options: ["-w"] })).rejects.toThrow("NVRTC");
    standin.clear();
    await expect(compileSource("nonsense", { ...plain, kept })).rejects.toMatchObject({ code: "BAD_IMAGE" });
    expect(results.size).toBe(1);
  });

  it("refuses source beyond its bound", async () => {
    await expect(compileSource(" ".repeat(2 ** 20), plain)).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
  });

  it("is refused clearly where the server has no NVRTC", async () => {
    const path = process.env["SLUICE_NVRTC_LIBRARY"]!;
    process.env["SLUICE_NVRTC_LIBRARY"] = "libnvrtc-that-is-not-there.so";
    try {
      await expect(compileSource("int a;", plain)).rejects.toMatchObject({ code: "UNSUPPORTED" });
    } finally {
      process.env["SLUICE_NVRTC_LIBRARY"] = path;
    }
  });
});
