/**
 * The committed PTX belongs to the committed CUDA C sources, and holds nothing of the machine that made it; and NVIDIA's assembler takes
 * all forms of instructions that the tests have. Compilers are slow: what was made of what is noted, and of it a part is made again.
 * SEED=N draws the same part again.
 */
import { expect, test } from "vitest";
import {
  assemble,
  assemblies,
  committed,
  compilations,
  compile,
  compilerVersion,
  fingerprints,
  notedFingerprints,
} from "../kernels/compile.ts";
import { createRandom } from "../support/random.ts";
import { rounds } from "../support/rounds.ts";

const version = compilerVersion();
const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const random = createRandom(seed);

/** `count` of them, or all. */
function drawn<T>(all: readonly T[], count: number): T[] {
  const left = [...all];
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(Math.floor(random() * left.length), 1)[0]!,
  );
}

test.each(compilations)("$ptx holds no absolute path", (compilation) => {
  expect(committed(compilation)).not.toMatch(/["\s](\/[A-Za-z0-9_.-]+){2,}|[A-Z]:\\/);
});

test("PTX, sources and forms are what they were when `npx tsx test/kernels/compile.ts` made and assembled them", () => {
  expect(fingerprints()).toEqual(notedFingerprints());
});

/** Those that the compiler here can be asked about. */
const comparable = compilations.filter(
  (compilation) => version !== undefined && committed(compilation).includes(version),
);
if (comparable.length < compilations.length)
  console.info(
    `PTX is not made again: ${version === undefined ? "nvcc is not installed" : `nvcc is another release [${version}]`}.`,
  );

test.skipIf(comparable.length === 0)(`PTX is what nvcc makes of its source (SEED=${seed})`, () => {
  for (const compilation of drawn(comparable, rounds(2))) expect(compile(compilation)).toBe(committed(compilation));
});

test.skipIf(version === undefined)(`forms are such as the assembler takes (SEED=${seed})`, () => {
  for (const assembly of drawn(assemblies(), rounds(4))) assemble(assembly);
});
