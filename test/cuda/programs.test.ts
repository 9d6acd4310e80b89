/** Unmodified programs on a CUDA device: the interposer, a real server, and the stand-ins for the driver and for NVIDIA's libraries. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Usage__Output } from "../../proto/generated/sluice/v1/Usage.ts";
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

/** What a program has used that does something so many times. */
async function usedBy(program: string, times: number): Promise<Usage__Output> {
  const used: Usage__Output[] = [];
  const onUsage = (usage: Usage__Output): void => void used.push(usage);
  const { code, stderr } = await runProgram({ server, command: [program, String(times)], onUsage });
  expect(code, stderr).toBe(0);
  return used[0]!;
}

describe.skipIf(isMissing)("a program in C against cuBLAS, whose products the server's cuBLASLt computes", () => {
  const flags = ["-l:libcublas.so.13", "-l:libcublasLt.so.13", "-lm"];
  const compiled = (name: string): string =>
    compileProgram(`test/interposer/blas/${name}.c`, { flags, suffix: "-card" });
  // Of the others the stand-in would have to run kernels.
  it.each(["integers", "light", "narrow", "products", "vectors"])("%s", async (name) => {
    const { code, stdout, stderr } = await runProgram({ server, command: [compiled(name)] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });

  it("waits for the first product of floats of 8 bits of its kind alone", async () => {
    const program = compiled("narrow");
    const [few, many] = [await usedBy(program, 2), await usedBy(program, 42)];
    expect(many.answers).toBe(few.answers);
    expect(many.calls - few.calls).toBe(40);
  });
});

describe.skipIf(isMissing)("a program in C against cuDNN, whose work the server's cuDNN does", () => {
  const flags = ["-l:libcudnn.so.9", "-lm"];
  const names = [
    "convolutions",
    "batch-norms",
    "threads",
    "lstm",
    "legacy-convolutions",
    "spatial-transformer",
    "ctc-loss",
  ];
  it.each(names)("%s", async (name) => {
    const program = compileProgram(`test/interposer/dnn/${name}.c`, { flags, suffix: "-card" });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });

  const used = (name: string, times: number): Promise<Usage__Output> =>
    usedBy(compileProgram(`test/interposer/dnn/${name}.c`, { flags, suffix: "-card" }), times);

  it("waits for nothing once it has done a kind of work, and sends that alone, whatever descriptors it makes for it", async () => {
    const [few, many] = [await used("batch-norms", 2), await used("batch-norms", 42)];
    expect(many.answers).toBe(few.answers);
    // One forward and one backward each.
    expect(many.calls - few.calls).toBe(2 * 40);
  });

  it("asks once what an RNN takes and where its weights lie, by whatever descriptors, and whether it drops something or not", async () => {
    const [few, many] = [await used("lstm", 2), await used("lstm", 12)];
    // What is read of the device: one result after another, of three each time.
    expect(many.answers - few.answers).toBe(3 * 10);
    // Beside that what is cleared, four times, and forward and backward twice.
    expect(many.calls - few.calls).toBe((3 + 4 + 3) * 10);
  });
});

it.skipIf(isMissing)("a program in C against cuRAND, whose numbers the server's cuRAND makes", async () => {
  const options = { flags: ["-l:libcurand.so.10", "-lm"], suffix: "-card" };
  const program = compileProgram("test/interposer/rand/generators.c", options);
  const { code, stdout, stderr } = await runProgram({ server, command: [program] });
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
});

describe.skipIf(isMissing)("a program in C against cuFFT, whose transforms the server's cuFFT does", () => {
  it.each(["libcufft.so.11", "libcufft.so.12"])("%s", async (library) => {
    const options = { flags: [`-l:${library}`, "-lm"], suffix: `-${library}` };
    const program = compileProgram("test/interposer/fft/transforms.c", options);
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });
});

it.skipIf(isMissing)(
  "a product that the server cannot compute is refused by its own call, in a line, and by no other",
  async () => {
    const env = {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      SLUICE_STANDIN_ATTRIBUTES: "75:7,76:5",
    };
    await using older = await startServer({ args: ["--device", "cuda:0"], env });
    const flags = ["-l:libcublas.so.13", "-l:libcublasLt.so.13", "-lm"];
    const program = compileProgram("test/interposer/card/refused-product.c", { flags, suffix: "-card" });
    const folder = mkdtempSync(join(tmpdir(), "sluice-trace-"));
    const trace = join(folder, "trace");
    const { code, stdout, stderr } = await runProgram({
      server: older,
      command: [program],
      env: { SLUICE_TRACE: trace },
    });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
    expect(stderr.match(/cannot compute a matrix product \[UNSUPPORTED\]: .*\[status 15\]/g)).toHaveLength(1);
    // Once for each of the three types, of which products follow one another.
    expect(readFileSync(trace, "utf8").match(/is asked about a kind/g)).toHaveLength(3);
    rmSync(folder, { recursive: true });
  },
);

it.skipIf(isMissing)(
  "a product that is refused although the server promised it ends the program's work, with a line",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-refusal-"));
    const failures = join(folder, "failures");
    writeFileSync(failures, "cublasLtMatmul:15");
    const env = {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      SLUICE_STANDIN_FILE: failures,
    };
    await using failing = await startServer({ args: ["--device", "cuda:0"], env });
    const program = compileProgram("test/interposer/card/late-refusal.c", {
      flags: ["-l:libcublas.so.13", "-lm"],
      suffix: "-card",
    });
    const { code, stdout, stderr } = await runProgram({ server: failing, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
    expect(stderr.match(/the call \[multiply\] failed \[UNSUPPORTED\]: .*\[status 15\]/g)).toHaveLength(1);
    rmSync(folder, { recursive: true });
  },
);

describe.skipIf(isMissing)("a copy from the host that a program waits for", () => {
  it("is there for streams that wait for no other, and holds them up only then", async () => {
    const program = compileProgram("test/cuda/programs/handed-over.c", { suffix: "-card" });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });
});

describe.skipIf(isMissing)("a program in C against cuSOLVER, whose work the server's cuSOLVER does", () => {
  it.each([12, 13])("batches by cuBLAS, of CUDA %d", async (major) => {
    const flags = [`-l:libcublas.so.${major}`, "-lm"];
    const program = compileProgram("test/interposer/solver/batches.c", { flags, suffix: `-solver-${major}` });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });

  // Of what carries functions of any library: calls, memos, descriptors, answers.
  it.each(["address", "thread"] as const)("is clean with the %s sanitizer", async (sanitize) => {
    const libraries = buildInterposer(sanitize, ["libcusolver.so.12"]);
    const flags = [`-fsanitize=${sanitize}`, "-l:libcusolver.so.12", "-lm"];
    for (const name of ["threads", "refused"]) {
      const source = `test/interposer/solver/${name}.c`;
      const program = compileProgram(source, { flags, libraries, suffix: `-solver-${sanitize}` });
      const env = { ASAN_OPTIONS: "detect_leaks=0" };
      const { code, stdout, stderr } = await runProgram({ server, command: [program], libraries, env });
      expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
      expect(stderr).not.toContain("Sanitizer");
    }
  });

  const names = ["factors", "values", "wide", "refused", "threads", "fault"];
  // Both are of the same sources, and each is told apart by what it exports.
  it.each([["factors", 11] as const, ...names.map((name) => [name, 12] as const)])(
    "%s, by libcusolver.so.%d",
    async (name, major) => {
      const flags = [`-l:libcusolver.so.${major}`, "-lm"];
      const program = compileProgram(`test/interposer/solver/${name}.c`, { flags, suffix: `-solver-${major}` });
      const { code, stdout, stderr } = await runProgram({ server, command: [program] });
      expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
    },
  );
});

describe.skipIf(isMissing)("a program in C against cuSPARSE, whose work the server's cuSPARSE does", () => {
  it.each(["products", "systems", "sums", "refused"])("%s", async (name) => {
    const flags = ["-l:libcusparse.so.12", "-lm"];
    const program = compileProgram(`test/interposer/sparse/${name}.c`, { flags, suffix: "-sparse" });
    const { code, stdout, stderr } = await runProgram({ server, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  });
});
