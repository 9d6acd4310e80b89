/** Builds the interposer's libraries and the measuring program for the case `interposer`, where make and a C compiler are. */
import { execFileSync, spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { compileC, findCompiler } from "../floor/compile.ts";

const root = dirname(fileURLToPath(new URL("..", import.meta.url)));

export interface Built {
  /** The measuring program. */
  readonly program: string;
  /** Folder of the libraries. */
  readonly libraries: string;
}

/** Undefined where it cannot be built. */
export function buildMeasure(): Built | undefined {
  const hasMake = spawnSync("make", ["--version"], { stdio: "ignore" }).status === 0;
  if (process.platform !== "linux" || !hasMake || findCompiler() === undefined) return undefined;
  const libraries = `${root}/dist/interposer`;
  execFileSync("make", ["--silent", "-j2", "-C", `${root}/client/interposer`, `OUT=${libraries}`], {
    stdio: ["ignore", 2, 2],
  });
  const link = ["-Wl,--no-as-needed", `-L${libraries}`, "-l:libcuda.so.1"];
  const program = compileC(`${root}/bench/interposer/measure.c`, ["-std=gnu11", "-O2", ...link]);
  return program === undefined ? undefined : { program, libraries };
}
