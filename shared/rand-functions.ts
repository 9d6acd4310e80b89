/**
 * The functions of cuRAND that travel, in the language of library-functions.ts: those that have the device make numbers. A generator goes on where it stopped, so
 * what it is told and what it makes keep their order.
 */
import { readLibrary } from "./library-functions.ts";

export const rand = readLibrary({
  name: "cuRAND",
  word: "rand",
  descriptors: { generator: { make: "curandCreateGenerator", destroy: "curandDestroyGenerator" } },
  measures: [],
  lines: {
    curandCreateGenerator: "new generator generator, i32 rng_type",
    curandSetPseudoRandomGeneratorSeed: "stream, generator generator, u64 seed",
    curandSetGeneratorOffset: "stream, generator generator, u64 offset",
    curandSetGeneratorOrdering: "stream, generator generator, i32 order",
    curandSetQuasiRandomGeneratorDimensions: "stream, generator generator, u32 num_dimensions",
    curandGenerate: "stream, generator generator, pointer outputPtr of num i32, u64 num",
    curandGenerateLongLong: "stream, generator generator, pointer outputPtr of num i64, u64 num",
    curandGenerateUniform: "stream, generator generator, pointer outputPtr of num f32, u64 num",
    curandGenerateUniformDouble: "stream, generator generator, pointer outputPtr of num f64, u64 num",
    curandGenerateNormal: "stream, generator generator, pointer outputPtr of n f32, u64 n, f32 mean, f32 stddev",
    curandGenerateNormalDouble: "stream, generator generator, pointer outputPtr of n f64, u64 n, f64 mean, f64 stddev",
    curandGenerateLogNormal: "stream, generator generator, pointer outputPtr of n f32, u64 n, f32 mean, f32 stddev",
    curandGenerateLogNormalDouble:
      "stream, generator generator, pointer outputPtr of n f64, u64 n, f64 mean, f64 stddev",
    curandGeneratePoisson: "stream, generator generator, pointer outputPtr of n i32, u64 n, f64 lambda",
  },
});
