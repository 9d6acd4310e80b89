/**
 * The tests' programs in C against cuBLAS and cuBLASLt (test/interposer/blas) for the check: linked with this project's libraries of those names, whose own
 * kernels and whose products they hold to sums on the host. Compiled here, where the machine has a C compiler, and told that a card computes: what
 * NVIDIA leaves open of products is then left open.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "./commands.ts";
import type { Source } from "./programs.ts";

const FIND_MS_MAX = 20_000;
const sources = "test/interposer/blas";
const libraryNames = ["libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13"];
const flags = ["-std=gnu11", "-O1", "-pthread"];
const reason = "is linked with this project's cuBLAS, and holds that to its own sums on the host";

/** Why they cannot be compiled; undefined where they can. */
async function missingFor(libraries: string): Promise<string | undefined> {
  if (!existsSync(sources)) return `there is no ${sources}`;
  if (!libraryNames.every((name) => existsSync(join(libraries, name)))) return "there are no libraries for programs";
  const { code } = await runCommand("cc", ["--version"], { limitMs: FIND_MS_MAX });
  return code === "0" ? undefined : "there is no C compiler [cc]";
}

/** The programs, to be put into `folder`; or why there are none. `libraries` is the folder of those for programs, `theirs` lists where NVIDIA's may be. */
export async function findBlasPrograms({
  libraries,
  theirs,
  folder,
}: {
  readonly libraries: string;
  readonly theirs: string;
  readonly folder: string;
}): Promise<{ readonly sources: readonly Source[]; readonly missing?: string }> {
  const missing = await missingFor(libraries);
  if (missing !== undefined) return { sources: [], missing };
  const names = readdirSync(sources).filter((name) => name.endsWith(".c"));
  const linked = [`-L${libraries}`, ...libraryNames.map((name) => `-l:${name}`), "-lm"];
  const sourceOf = (name: string): Source => {
    const program = join(folder, `blas-${name.slice(0, -".c".length)}`);
    return {
      program: { name: `blas/${name}`, command: [program, "card"], isBorrowedOnly: reason, theirs },
      compiler: ["cc", ...flags, "-o", program, join(sources, name), ...linked],
    };
  };
  return { sources: names.sort().map(sourceOf) };
}
