/** What the examples show and read: progress on and off a terminal, figures, and the digits. */
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../client/examples/classifier.ts";
import { PIXELS, testDigits, trainingDigits } from "../../client/examples/digits.ts";
import { describeJob } from "../../client/examples/job-report.ts";
import { examplePtx } from "../../client/examples/package-files.ts";
import { formatBytes, formatSeconds, formatTable, Progress } from "../../client/examples/progress.ts";

function recorder(options: { isTTY: boolean; columns?: number }): { out: NodeJS.WriteStream; written: string[] } {
  const written: string[] = [];
  const write = (text: string): boolean => written.push(text) > 0;
  return { out: { ...options, write } as unknown as NodeJS.WriteStream, written };
}

function runThrough(progress: Progress, steps: number): void {
  for (let done = 1; done <= steps; done++) progress.update({ done, total: steps, text: `step ${done}` });
  progress.finish("Done.");
}

describe("progress", () => {
  test("redraws one line on a terminal, clipped to its width", () => {
    const { out, written } = recorder({ isTTY: true, columns: 40 });
    runThrough(new Progress(out), 200);
    expect(written).toHaveLength(201);
    for (const text of written.slice(0, -1)) {
      expect(text.startsWith("\r\x1b[2K")).toBe(true);
      expect(text).not.toContain("\n");
      expect(text.slice("\r\x1b[2K".length).length).toBeLessThan(40);
    }
    expect(written.at(-1)).toBe("\r\x1b[2KDone.\n");
  });

  test("shortens the bar before it clips what is told", () => {
    for (const columns of [0, 80, 120]) {
      const { out, written } = recorder({ isTTY: true, columns });
      new Progress(out).update({ done: 1, total: 2, text: "x".repeat(50) });
      const line = written[0]!.slice("\r\x1b[2K".length);
      expect(line).toMatch(/^(█+)░+ {2}50 % {2}x{50} {2}ETA \d+\.\d s$/);
      expect(line.length).toBeLessThan(columns || 80);
    }
  });

  test("writes a few plain lines elsewhere, the last step among them", () => {
    const { out, written } = recorder({ isTTY: false });
    runThrough(new Progress(out), 200);
    expect(written.length).toBeLessThan(14);
    for (const text of written) expect(text).toMatch(/^[\x20-\x7e]+\n$/);
    expect(written.at(-2)).toMatch(/^100 % {2}step 200 {2}ETA 0\.0 s\n$/);
  });
});

describe("figures", () => {
  test("carry their units", () => {
    expect([0, 1, 1023, 1024, 1536, 2 ** 30, 53.81 * 2 ** 20].map(formatBytes)).toEqual([
      "0 B",
      "1 B",
      "1023 B",
      "1 KiB",
      "1.50 KiB",
      "1 GiB",
      "53.81 MiB",
    ]);
    expect([0, 59.94, 60, 125.4].map(formatSeconds)).toEqual(["0.0 s", "59.9 s", "1 min 00 s", "2 min 05 s"]);
    expect(
      formatTable("Title", [
        ["a", "1"],
        ["longer", "2"],
      ]),
    ).toBe("Title\n  a       1\n  longer  2");
  });

  test("of the job's report name share, calls, round trips and what is lent", () => {
    const text = describeJob({
      accuracy: 0.9671,
      device: "cpu:0",
      shareBytes: 2 ** 28,
      deviceBytes: 2 ** 30,
      stats: {
        calls: 4889,
        batches: 110,
        callsPerBatch: 44.44,
        roundTrips: 52,
        bytesToDevice: 2 ** 25,
        bytesFromDevice: 4885,
        bytesSaved: 0,
        endpoint: "tcp://127.0.0.1:7461",
        reconnects: 0,
        seconds: 20.5,
      },
      lentBytes: 0,
      slices: 0,
    });
    for (const part of [
      "96.71 %",
      "256 MiB of 1 GiB (25.00 %) of cpu:0",
      "20.5 s",
      "4,889",
      "44.4",
      "52",
      "0 B in 0 slices",
    ])
      expect(text).toContain(part);
  });
});

describe("the digits", () => {
  test("are sixty thousand to learn from and ten thousand to be tested on, with labels 0 to 9", () => {
    for (const [digits, count] of [[trainingDigits(), 60_000] as const, [testDigits(), 10_000] as const]) {
      expect(digits.count).toBe(count);
      expect(digits.images.byteLength).toBe(count * PIXELS);
      expect(digits.labels.byteLength).toBe(count);
      expect([...new Set(digits.labels)].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    // The first training image is a five, the first test image a seven.
    expect([trainingDigits().labels[0], testDigits().labels[0]]).toEqual([5, 7]);
  });
});

test("random numbers repeat with their seed and fill [0, 1)", () => {
  const [a, b] = [randomNumbers(7), randomNumbers(7)];
  const some = Array.from({ length: 1000 }, a);
  expect(Array.from({ length: 1000 }, b)).toEqual(some);
  expect(Math.min(...some)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...some)).toBeLessThan(1);
  expect(Math.abs(some.reduce((sum, value) => sum + value, 0) / 1000 - 0.5)).toBeLessThan(0.05);
});

test("the examples' PTX is found from the package's folder", () => {
  expect(examplePtx("saxpy")).toContain(".visible .entry saxpy(");
  expect(examplePtx("mnist")).toContain(".visible .entry hidden_forward(");
});
