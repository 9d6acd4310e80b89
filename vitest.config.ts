/** Every test of the project; test/support/build.ts builds the package first. */
import { defineConfig } from "vitest/config";

/** Tests of the project's code alone: they start nothing, so that one process may run many files of them. */
const pure = ["test/unit/**/*.test.ts", "test/wire/**/*.test.ts"];
/** What these change of their process would be there for the next file: where the CUDA libraries are. */
const alone = ["test/unit/cuda-*.test.ts"];

export default defineConfig({
  test: {
    globalSetup: ["test/support/build.ts"],
    pool: "forks",
    // Most of the time of most tests goes into waiting for other processes.
    maxWorkers: 4,
    // A test says itself how long it waits for something; this is for one that hangs on a busy machine.
    testTimeout: 120_000,
    // The first of the tests that need the interposer builds it, and others wait for it.
    hookTimeout: 180_000,
    projects: [
      { extends: true, test: { name: "pure", include: pure, exclude: alone, isolate: false } },
      { extends: true, test: { name: "cuda", include: alone } },
      { extends: true, test: { name: "processes", include: ["test/**/*.test.ts"], exclude: pure } },
    ],
  },
});
