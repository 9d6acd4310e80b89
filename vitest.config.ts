/** Every test of the project; test/support/build.ts builds the package first. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What these change of their process would be there for the next file: environment variables, and where the CUDA libraries are. */
const alone = [
  "test/{cuda,fuzz}/**/*.test.ts",
  "test/unit/cuda-*.test.ts",
  "test/e2e/{awake,interposer-run,server-broken-device}.test.ts",
];
/** Tests of the built package, which runs in processes of its own: that of the tests stays as it is, and may run many files. */
const outside = ["test/e2e/**/*.test.ts"];
/** Tests of the project's code alone: they start nothing. */
const pure = ["test/unit/**/*.test.ts", "test/wire/**/*.test.ts"];
/** The projects in the order in which they run. */
const order = ["alone", "outside", "pure"];

/** These take a minute and more, whatever their size, by which vitest goes where it has not seen them run. */
const long =
  /\/cuda\/(check|server|health|suite-\w+)\.|\/e2e\/(server-crash|server-restart|session-cuts|client-kernels|interposer-\w+)/;

/**
 * The long ones first, or the last of them runs when there is nothing left to run beside it; and those of a project beside each other, since a
 * process goes on only with a file of the same one.
 */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ moduleId, project }: TestSpecification): number =>
      2 * order.indexOf(project.name) + (long.test(moduleId) ? 0 : 1);
    return sorted.sort((one, other) => place(one) - place(other));
  }
}

const builtWorker = fileURLToPath(new URL("test/support/built-worker.ts", import.meta.url));

export default defineConfig({
  resolve: { alias: [{ find: /^.*\/worker-code\.ts$/, replacement: builtWorker }] },
  test: {
    globalSetup: ["test/support/run-folder.ts", "test/support/build.ts"],
    pool: "forks",
    // Most of the time of most tests goes into waiting for other processes.
    maxWorkers: 4,
    sequence: { sequencer: LongFirst },
    // A test says itself how long it waits for something; this is for one that hangs on a busy machine.
    testTimeout: 120_000,
    // The first of the tests that need the interposer builds it, and others wait for it.
    hookTimeout: 300_000,
    projects: [
      { extends: true, test: { name: "alone", include: alone } },
      { extends: true, test: { name: "outside", include: outside, exclude: alone, isolate: false } },
      { extends: true, test: { name: "pure", include: pure, exclude: alone, isolate: false } },
    ],
  },
});
