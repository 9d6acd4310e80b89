/**
 * Helper functions that kernels call for what WebAssembly lacks, as text for wasm/assembly.ts. A name with `.fused` replaces its
 * plain form where the machine has a fused multiply-add.
 */
import type { Assembly } from "../wasm/assembly.ts";
import { fieldHelpers } from "./helpers-field.ts";
import { floatHelpers } from "./helpers-float.ts";
import { halfHelpers } from "./helpers-half.ts";
import { integerHelpers } from "./helpers-integer.ts";
import { matrixHelper } from "./helpers-matrix.ts";
import { memoryHelpers } from "./helpers-memory.ts";

const helpers: Readonly<Record<string, Assembly>> = {
  ...integerHelpers,
  ...fieldHelpers,
  ...floatHelpers,
  ...halfHelpers,
  ...memoryHelpers,
};

/** The helper with a name; undefined where there is none. */
export const findHelper = (name: string): Assembly | undefined => helpers[name] ?? matrixHelper(name);
