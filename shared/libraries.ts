/** The libraries whose functions travel. Their numbers on the wire are places here, so the list only grows at its end. */
import { blas } from "./blas-functions.ts";
import { dnn } from "./dnn-functions.ts";
import { fft } from "./fft-functions.ts";
import type { Library } from "./library-functions.ts";
import { rand } from "./rand-functions.ts";
import { solver } from "./solver-functions.ts";
import { sparse } from "./sparse-functions.ts";

export const libraries = [dnn, solver, fft, blas, rand, sparse] as const satisfies readonly Library[];

/** The number of a library on the wire. */
export const libraryNumber = (library: Library): number => (libraries as readonly Library[]).indexOf(library);
