/**
 * Unmodified programs on a CUDA device: the interposer, a real server, and the stand-ins for the driver and for NVIDIA's libraries. They run one after the
 * other under one lease, but for those that end it, or whose use is looked at.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Usage__Output } from "../../proto/generated/sluice/v1/Usage.ts";
import {
  type Borrowed,
  borrow,
  buildInterposer,
  canBuild,
  compileProgram,
  type FinishedProgram,
  type ProgramOptions,
  runProgram,
  waitingForCompilers,
} from "../support/interposer.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { standin, standinMissing } from "./standin.ts";

const isMissing = standinMissing !== undefined || !canBuild;
let server: TestServer;
let borrowed: Borrowed;

const start = (env: NodeJS.ProcessEnv = {}): Promise<TestServer> =>
  startServer({
    args: ["--device", "cuda:0", ...waitingForCompilers],
    env: {
      SLUICE_CUDA_LIBRARY: join(standin.folder, "libcuda.so.1"),
      SLUICE_NVML_LIBRARY: join(standin.folder, "libnvidia-ml.so.1"),
      SLUICE_STANDIN_MEMORY: "4096",
      ...env,
    },
  });

beforeAll(async () => {
  if (isMissing) return;
  buildInterposer();
  server = await start();
  borrowed = await borrow(server);
});
afterAll(async () => {
  await borrowed?.release();
  await server?.stop();
});

/** Compiles a program against such libraries and runs it, which says that all is well. */
async function runWell(
  source: string,
  libraries: readonly string[],
  options: Partial<ProgramOptions> & { readonly flags?: readonly string[] } = { borrowed },
): Promise<FinishedProgram> {
  const flags = [...(options.flags ?? []), ...libraries.map((library) => `-l:${library}`), "-lm"];
  const suffix = `-card-${libraries[0] ?? ""}${options.flags ?? ""}`;
  const compiling =
    options.libraries === undefined ? { flags, suffix } : { flags, suffix, libraries: options.libraries };
  const program = compileProgram(source, compiling);
  const finished = await runProgram({ server, command: [program], ...options });
  const { code, stdout, stderr } = finished;
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
  return finished;
}

describe.skipIf(isMissing)("a program in C against cuBLAS, whose products the server's cuBLASLt computes", () => {
  // Of the others the stand-in would have to run kernels.
  it.each(["integers", "light", "narrow", "products", "vectors"].map((name) => `test/interposer/blas/${name}.c`))(
    "%s",
    async (source) => void (await runWell(source, ["libcublas.so.13", "libcublasLt.so.13"])),
  );
});

describe.skipIf(isMissing)("a program in C against cuDNN, whose work the server's cuDNN does", () => {
  const library = "libcudnn.so.9";
  it.each(["convolutions", "threads", "legacy-convolutions", "spatial-transformer", "ctc-loss"])(
    "%s",
    async (name) => void (await runWell(`test/interposer/dnn/${name}.c`, [library])),
  );

  const usedBy = async (name: string, times: number): Promise<Usage__Output> => {
    const source = `test/interposer/dnn/${name}.c`;
    const program = compileProgram(source, { flags: [`-l:${library}`, "-lm"], suffix: "-card" });
    const used: Usage__Output[] = [];
    const onUsage = (usage: Usage__Output): void => void used.push(usage);
    const { code, stdout, stderr } = await runProgram({ server, command: [program, String(times)], onUsage });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
    return used[0]!;
  };

  it("batch-norms, which wait for nothing once a kind of work is done, and send that alone, whatever descriptors are made for it", async () => {
    const [few, many] = [await usedBy("batch-norms", 2), await usedBy("batch-norms", 12)];
    expect(many.answers).toBe(few.answers);
    // One forward and one backward each.
    expect(many.calls - few.calls).toBe(2 * 10);
  });

  it("lstm, which asks once what it takes and where its weights lie, by whatever descriptors, and whether it drops something or not", async () => {
    const [few, many] = [await usedBy("lstm", 2), await usedBy("lstm", 7)];
    // What is read of the device: one result after another, of three each time.
    expect(many.answers - few.answers).toBe(3 * 5);
    // Beside that what is cleared, four times, and forward and backward twice.
    expect(many.calls - few.calls).toBe((3 + 4 + 3) * 5);
  });
});

it.skipIf(isMissing)("a program in C against cuRAND, whose numbers the server's cuRAND makes", async () => {
  await runWell("test/interposer/rand/generators.c", ["libcurand.so.10"]);
});

describe.skipIf(isMissing)("a program in C against cuFFT, whose transforms the server's cuFFT does", () => {
  it.each(["libcufft.so.11", "libcufft.so.12"])(
    "%s",
    async (library) => void (await runWell("test/interposer/fft/transforms.c", [library])),
  );
});

describe.skipIf(isMissing)("a product that a server cannot compute", () => {
  let folder: string;
  let older: TestServer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice-refusal-"));
    older = await start({ SLUICE_STANDIN_ATTRIBUTES: "75:7,76:5", SLUICE_STANDIN_FILE: join(folder, "failures") });
  });
  afterAll(async () => {
    await older.stop();
    rmSync(folder, { recursive: true });
  });

  it("is refused by its own call, in a line, and by no other", async () => {
    const trace = join(folder, "trace");
    const { stderr } = await runWell(
      "test/interposer/card/refused-product.c",
      ["libcublas.so.13", "libcublasLt.so.13"],
      { server: older, env: { SLUICE_TRACE: trace } },
    );
    expect(stderr.match(/cannot compute a matrix product \[UNSUPPORTED\]: .*\[status 15\]/g)).toHaveLength(1);
    // Once for each of the three types, of which products follow one another.
    expect(readFileSync(trace, "utf8").match(/is asked about a kind/g)).toHaveLength(3);
  });

  it("and that it has promised ends the program's work, with a line", async () => {
    writeFileSync(join(folder, "failures"), "cublasLtMatmul:15");
    const { stderr } = await runWell("test/interposer/card/late-refusal.c", ["libcublas.so.13"], { server: older });
    expect(stderr.match(/the call \[multiply\] failed \[UNSUPPORTED\]: .*\[status 15\]/g)).toHaveLength(1);
  });
});

describe.skipIf(isMissing)("a copy from the host that a program waits for", () => {
  it("is there for streams that wait for no other, and holds them up only then", async () => {
    await runWell("test/cuda/programs/handed-over.c", []);
  });
});

describe.skipIf(isMissing)("a program in C against cuSOLVER, whose work the server's cuSOLVER does", () => {
  it.each([12, 13])(
    "batches by cuBLAS, of CUDA %d",
    async (major) => void (await runWell("test/interposer/solver/batches.c", [`libcublas.so.${major}`])),
  );

  // Of what carries functions of any library: calls, memos, descriptors, answers.
  it.each(["address", "thread"] as const)("is clean with the %s sanitizer", async (sanitize) => {
    const library = "libcusolver.so.12";
    const libraries = buildInterposer(sanitize, [library]);
    const flags = [`-fsanitize=${sanitize}`];
    const env = { ASAN_OPTIONS: "detect_leaks=0" };
    for (const name of ["threads", "refused"]) {
      const source = `test/interposer/solver/${name}.c`;
      const { stderr } = await runWell(source, [library], { borrowed, libraries, flags, env });
      expect(stderr).not.toContain("Sanitizer");
    }
  });

  // Both are of the same sources, and each is told apart by what it exports.
  it.each([
    ["factors", 11],
    ["factors", 12],
    ["values", 12],
    ["wide", 12],
    ["refused", 12],
    ["threads", 12],
  ])(
    "%s, by libcusolver.so.%d",
    async (name, major) => void (await runWell(`test/interposer/solver/${name}.c`, [`libcusolver.so.${major}`])),
  );

  it("fault, which ends its lease", async () => {
    await runWell("test/interposer/solver/fault.c", ["libcusolver.so.12"], {});
  });
});

describe.skipIf(isMissing)("a program in C against cuSPARSE, whose work the server's cuSPARSE does", () => {
  it.each(["products", "systems", "sums", "refused"])(
    "%s",
    async (name) => void (await runWell(`test/interposer/sparse/${name}.c`, ["libcusparse.so.12"])),
  );
});
