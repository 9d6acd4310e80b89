/** Files of this package that the examples need beside their code. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The package's folder, from its source as well as from its build and its installed copy. */
export const packageFolder = (): string => dirname(createRequire(import.meta.url).resolve("sluice/package.json"));

/** The PTX of an example, which lies beside its CUDA C source. */
export const examplePtx = (name: string): string =>
  readFileSync(join(packageFolder(), "client", "examples", `${name}.ptx`), "utf8");
