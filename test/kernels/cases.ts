/** Every kernel case, in the order in which a new device should be brought up. */
import { atomicsCases } from "./cases/atomics.ts";
import { callCases } from "./cases/calls.ts";
import { cooperativeCases } from "./cases/cooperative.ts";
import { faultCases } from "./cases/faults.ts";
import { halfCases } from "./cases/halves.ts";
import { heapCases } from "./cases/heap.ts";
import { integerCases } from "./cases/integers.ts";
import { languageCases } from "./cases/language.ts";
import { libmCases } from "./cases/libm.ts";
import { linearCases } from "./cases/linear.ts";
import { lockstepCases } from "./cases/lockstep.ts";
import { matrixCases } from "./cases/matrices.ts";
import { mnistCases } from "./cases/mnist.ts";
import { allNumericCases } from "./cases/numeric.ts";
import { roundingCases } from "./cases/rounding.ts";
import { tensorCases } from "./cases/tensors.ts";
import { warpCases } from "./cases/warp.ts";
import type { KernelCase } from "./machine.ts";

export const kernelCases: readonly KernelCase[] = [
  ...linearCases,
  ...cooperativeCases,
  ...warpCases,
  ...lockstepCases,
  ...atomicsCases,
  ...integerCases,
  ...roundingCases,
  ...allNumericCases,
  ...libmCases,
  ...halfCases,
  ...matrixCases,
  ...tensorCases,
  ...languageCases,
  ...callCases,
  ...heapCases,
  ...mnistCases,
  ...faultCases,
];

/** Arena that every case fits into. */
export const CASE_ARENA_BYTES = 64 * 1024 * 1024;
