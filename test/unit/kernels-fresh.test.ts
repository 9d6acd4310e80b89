/** The committed PTX belongs to the committed CUDA C sources, and holds nothing of the machine that made it. */
import { describe, expect, test } from "vitest";
import { committed, compilations, compile, compilerVersion } from "../kernels/compile.ts";

const version = compilerVersion();

/** Why the comparison cannot be made, or undefined where it can. */
function reasonToSkip(ptx: string): string | undefined {
  if (version === undefined) return "nvcc is not installed";
  return ptx.includes(version) ? undefined : `nvcc here is another release [${version}]`;
}

const skipped = new Set(compilations.map((compilation) => reasonToSkip(committed(compilation))));
skipped.delete(undefined);
for (const reason of skipped) console.info(`PTX is not compared with its sources: ${reason}.`);

describe("committed PTX", () => {
  for (const compilation of compilations) {
    test(`${compilation.ptx} holds no absolute path`, () => {
      expect(committed(compilation)).not.toMatch(/["\s](\/[A-Za-z0-9_.-]+){2,}|[A-Z]:\\/);
    });

    test(`${compilation.ptx} is what nvcc makes of ${compilation.source}`, (context) => {
      const reason = reasonToSkip(committed(compilation));
      if (reason !== undefined) context.skip(reason);
      expect(compile(compilation)).toBe(committed(compilation));
    });
  }
});
