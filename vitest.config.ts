/** Every test of the project; test/support/build.ts builds the package first. */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Tests of the project's code alone: they start nothing, so that one process may run many files of them. */
const pure = ["test/unit/**/*.test.ts", "test/wire/**/*.test.ts"];
/** What these change of their process would be there for the next file: where the CUDA libraries are. */
const alone = ["test/unit/cuda-*.test.ts"];

/** These take a minute and more, whatever their size, by which vitest goes where it has not seen them run. */
const long =
  /\/cuda\/(check|server|health|suite-\w+)\.|\/e2e\/(server-crash|server-restart|session-cuts|client-kernels|interposer-\w+)/;

/** The long ones first, or the last of them runs when there is nothing left to run beside it. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const [first, then] = [true, false].map((isLong) =>
      sorted.filter(({ moduleId }) => long.test(moduleId) === isLong),
    );
    return [...first!, ...then!];
  }
}

export default defineConfig({
  test: {
    globalSetup: ["test/support/build.ts"],
    pool: "forks",
    // Most of the time of most tests goes into waiting for other processes.
    maxWorkers: 4,
    sequence: { sequencer: LongFirst },
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
