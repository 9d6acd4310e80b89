/** What `sluice bench` says about figures. */
import { expect, test } from "vitest";
import type { ServerReport } from "../../client/measure/server-suite.ts";
import { summarize } from "../../client/measure/statistics.ts";
import { wordsOf } from "../../client/measure/words.ts";

const none = summarize([1]);

function reportWith(answeredNs: number, more: Partial<ServerReport> = {}): ServerReport {
  return {
    server: "gpu1:7460",
    endpoint: "tcp://gpu1:7461",
    device: { id: "cuda:0", kind: "cuda", name: "A card" },
    allocation: { grant: none, attach: none, firstResult: none, release: none },
    answered: [{ payloadBytes: 64, ...summarize([answeredNs, answeredNs, answeredNs]) }],
    issueNs: 240,
    throughput: [],
    copies: [],
    work: [],
    ...more,
  };
}

test("an answered call is told as time, and as a part of the step that the job has", () => {
  const [call, part] = wordsOf(reportWith(31_000), { stepMs: 10, answersPerStep: 12 });
  expect(call).toBe(
    "Your network and Sluice add 31 µs to each call that waits for an answer (99 of 100 within 31 µs).",
  );
  expect(part).toBe(
    "At 12 answered calls per step of 10 ms that is 3.7 %. A call that needs no answer costs the job 240 ns.",
  );
});

test("a job that asks once per long step hears of next to nothing", () => {
  const [, part] = wordsOf(reportWith(31_000), { stepMs: 250, answersPerStep: 1 });
  expect(part).toContain("At 1 answered call per step of 250 ms that is 0.0 %.");
});

test.each([
  [31_000, "good network"],
  [400_000, "Training in batches runs close to local speed"],
  [30_000_000, "Let few calls wait for answers"],
])("an answered call of %i ns leads to the advice [%s]", (answeredNs, advice) => {
  expect(wordsOf(reportWith(answeredNs), { stepMs: 10, answersPerStep: 12 }).join(" ")).toContain(advice);
});

test("batches, the largest copy and the training each get a sentence, where they were measured", () => {
  const report = reportWith(31_000, {
    throughput: [
      { batch: 1, callsPerSecond: 100_000 },
      { batch: 64, callsPerSecond: 2_000_000 },
      { batch: 0, callsPerSecond: 1_500_000 },
    ],
    copies: [
      { bytes: 4, toNs: 1, fromNs: 1 },
      { bytes: 16 * 1024 * 1024, toNs: 10_000_000, fromNs: 33_554_432 },
    ],
    work: [
      { workload: "training", batch: 256, stepsPerAnswer: 1, stepNs: 1_060_000 },
      { workload: "training", batch: 256, stepsPerAnswer: 8, stepNs: 1_000_000 },
    ],
  });
  const words = wordsOf(report, { stepMs: 10, answersPerStep: 12 });
  expect(words).toHaveLength(6);
  expect(words[3]).toContain("executed 20x as fast as calls sent one by one");
  expect(words[4]).toBe("Copies of 16 MiB travel at 1.68 GB/s to the device and 500 MB/s from it.");
  expect(words[5]).toBe(
    "A step of the example training takes 1 ms with an answer every 8 steps, and 6.0 % more with one in each.",
  );
});

test("a device whose kernels do nothing gets no sentence about a training", () => {
  const work = [
    { workload: "training", batch: 256, stepsPerAnswer: 8, stepNs: 1_000 },
    { workload: "training", batch: 256, stepsPerAnswer: 1, stepNs: 30_000 },
  ] as const;
  const device = { id: "null:0", kind: "null", name: "none" };
  expect(wordsOf(reportWith(31_000, { work, device }), { stepMs: 10, answersPerStep: 12 })).toHaveLength(3);
});

test("a training that does not notice its answers is told so, and a device that computes itself owns its rates", () => {
  const report = reportWith(31_000, {
    device: { id: "cpu:0", kind: "cpu", name: "A processor" },
    throughput: [
      { batch: 1, callsPerSecond: 15_000 },
      { batch: 64, callsPerSecond: 60_000 },
    ],
    work: [
      { workload: "training", batch: 256, stepsPerAnswer: 1, stepNs: 900_000 },
      { workload: "training", batch: 256, stepsPerAnswer: 8, stepNs: 1_000_000 },
    ],
  });
  const words = wordsOf(report, { stepMs: 10, answersPerStep: 12 });
  expect(words[4]).toContain("Their rate is that of the device");
  expect(words[5]).toContain("and no more with one in each.");
});
