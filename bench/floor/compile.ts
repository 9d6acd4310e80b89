/**
 * Builds the C tools of the benchmarks with the system's compiler, into a cache folder outside the checkout, keyed by what
 * goes in. Nothing built is ever committed; where there is no compiler, callers fall back to Node or leave a column out.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, join } from "node:path";

let compiler: string | undefined | null = null;

/** The C compiler on the PATH, or undefined; `SLUICE_BENCH_CC=none` stands for a machine without one. */
export function findCompiler(): string | undefined {
  if (compiler === null) {
    const wanted = process.env["SLUICE_BENCH_CC"];
    const names = wanted === "none" ? [] : wanted === undefined ? ["cc", "gcc", "clang"] : [wanted];
    compiler = names.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
  }
  return compiler;
}

/** The first line of the compiler's version, for the report. */
export function compilerVersion(): string | undefined {
  const name = findCompiler();
  if (name === undefined) return undefined;
  return spawnSync(name, ["--version"], { encoding: "utf8" }).stdout.split("\n")[0];
}

/**
 * Compiles one C file and returns the path of the program, or undefined where there is no compiler.
 * @throws Error with the compiler's words when it refuses the file.
 */
export function compileC(source: string, flags: readonly string[]): string | undefined {
  const name = findCompiler();
  if (name === undefined) return undefined;
  const key = createHash("sha256")
    .update(JSON.stringify([name, flags]))
    .update(readFileSync(source))
    .digest("hex");
  const folder = join(tmpdir(), `sluice-bench-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const program = join(folder, `${basename(source, ".c")}-${key.slice(0, 16)}`);
  if (existsSync(program)) return program;
  const unfinished = `${program}.${process.pid}`;
  const run = spawnSync(name, [...flags, "-o", unfinished, source, "-lm"], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`The compiler [${name}] refuses ${basename(source)}:\n${run.stderr}`);
  renameSync(unfinished, program);
  return program;
}
