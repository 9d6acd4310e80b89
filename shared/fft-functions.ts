/**
 * The functions of cuFFT that travel, in the language of library-functions.ts. There are few: all that make a plan do what cufftXtMakePlanMany does, and all that
 * carry one out what cufftXtExec does. A plan has its work area, which is the client's memory, with each call.
 */
import { readLibrary } from "./library-functions.ts";

export const fft = readLibrary({
  name: "cuFFT",
  word: "fft",
  descriptors: { plan: { make: "cufftCreate", destroy: "cufftDestroy" } },
  measures: ["input", "output", "work"],
  lines: {
    cufftCreate: "new plan plan",
    cufftXtMakePlanMany:
      "stream, fill plan plan, i32 rank, longs n of rank, longs? inembed of rank, i64 istride, i64 idist, dataType inputtype, longs? onembed of rank, i64 ostride, i64 odist, dataType outputtype, i64 batch, out u64 workSize, dataType executiontype",
    cufftXtExec:
      "stream, plan plan, pointer input of plan.input, pointer output of plan.output, pointer workArea of plan.work by cufftSetWorkArea, i32 direction",
  },
});
