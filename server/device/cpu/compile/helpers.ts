/**
 * Helper functions that kernels call for what WebAssembly lacks, as text for wasm/assembly.ts. A name with `.fused` replaces its
 * plain form where the machine has a fused multiply-add.
 */
import type { Assembly } from "../wasm/assembly.ts";
import { fieldHelpers } from "./helpers-field.ts";
import { floatHelpers } from "./helpers-float.ts";
import { halfHelpers } from "./helpers-half.ts";
import { integerHelpers } from "./helpers-integer.ts";
import { matrixHelpers } from "./helpers-matrix.ts";
import { memoryHelpers } from "./helpers-memory.ts";

export const helpers: Readonly<Record<string, Assembly>> = {
  ...integerHelpers,
  ...fieldHelpers,
  ...floatHelpers,
  ...halfHelpers,
  ...matrixHelpers,
  ...memoryHelpers,
};
