/**
 * The project's own PTX, on its way to a card: that the oldest driver which Sluice takes can read it, and, where the machine has NVIDIA's assembler, that
 * it becomes code for the cards of data centres. The texts are those of files, and those that stand in sources.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { trialKernel } from "../../server/device/cuda/trial.ts";
import { largeVariable, localKernel } from "../kernels/memory-kernels.ts";

/** Of CUDA 12.4, whose driver is the oldest. */
const NEWEST_PTX = 8.4;

const files = ["test/kernels/ptx", "client/examples"].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".ptx"))
    .map((name) => [name, readFileSync(join(folder, name), "utf8")] as const),
);
const texts = [
  ...files,
  ["trial", trialKernel] as const,
  ["local memory", localKernel(4096)] as const,
  ["a large variable", largeVariable(1024)] as const,
];

function assembler(): string | undefined {
  const names = ["ptxas", "/usr/local/cuda/bin/ptxas"];
  return names.find((name) => {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
}

const ptxas = assembler();

describe("the project's own PTX", () => {
  it("is of no newer version than the oldest driver reads", () => {
    expect(files.length).toBeGreaterThan(20);
    for (const [name, text] of texts) {
      const version = /^\.version (\d+\.\d+)$/m.exec(text)?.[1];
      expect(Number(version), name).toBeLessThanOrEqual(NEWEST_PTX);
    }
  });

  it.skipIf(ptxas === undefined).each([80, 90])(
    "becomes code for cards of capability %i",
    (capability) => {
      const folder = mkdtempSync(join(tmpdir(), "sluice-test-ptx-"));
      const file = join(folder, "in.ptx");
      try {
        for (const [, text] of texts) {
          writeFileSync(file, text);
          execFileSync(ptxas!, [`-arch=sm_${capability}`, file, "-o", join(folder, "out.cubin")], { stdio: "pipe" });
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    120_000,
  );
});

if (ptxas === undefined) console.warn("Skipped: there is no ptxas here to assemble PTX with.");
