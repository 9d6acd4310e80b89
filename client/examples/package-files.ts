/** Files of this package that the examples need beside their code. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../package-folder.ts";

/** The PTX of an example, which lies beside its CUDA C source. */
export const examplePtx = (name: string): string =>
  readFileSync(join(packageFolder, "client", "examples", `${name}.ptx`), "utf8");
