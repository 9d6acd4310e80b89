/** Libraries of the server's for unmodified programs where it has none: they are told so by the first call that needs it, in a line, and nothing else is affected. */
import { expect, it } from "vitest";
import { canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { type ProgramServer, servePrograms } from "../support/program-server.ts";

let lent: ProgramServer;
servePrograms("cpu:512MiB", (started) => {
  lent = started;
});

it.runIf(canBuild).each([
  ["cuDNN", "dnn", "libcudnn.so.9", ["cudnnIm2Col is not supported here: it is not served yet."]],
  ["cuRAND", "rand", "libcurand.so.10", ["curandGetDirectionVectors32 is not supported here: tables for"]],
  ["cuFFT", "fft", "libcufft.so.12", ["cufftXtSetGPUs is not supported here: a plan works on one device."]],
  [
    "cuSPARSE",
    "sparse",
    "libcusparse.so.12",
    [
      "cusparseSpVV is not supported here: it is not served yet.",
      "cusparseScsrilu02 is not supported here: it is one of the older functions, which PyTorch does not take.",
    ],
  ],
  [
    "cuSOLVER",
    "solver",
    "libcusolver.so.11",
    [
      "cusolverDnSpotri is not supported here: it is not served yet.",
      "cusolverSpCreate is not supported here: of cuSOLVER the functions for dense matrices are served.",
    ],
  ],
])(
  "a program against %s hears that a device has none, and goes on with the device",
  async (name, folder, file, lines) => {
    const program = compileProgram(`test/interposer/${folder}/none.c`, {
      flags: [`-l:${file}`, "-lm"],
      suffix: `-${folder}`,
    });
    const { code, stdout, stderr } = await runProgram({ ...lent, command: [program] });
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "ok\n" });
    expect(
      stderr.match(new RegExp(`^sluice: there is no ${name} for this program: .*has no ${name}`, "gm")),
    ).toHaveLength(1);
    for (const line of lines) expect(stderr).toContain(line);
  },
);
