/** Seeded numbers for tests: those of the benchmarks. */
export { createRandom } from "../../bench/measure/random.ts";
