/** The bounds by which the check for real cards ends what it waits for. One deadline for all of a process, so the steps are in order. */
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { beginGroup, isTimeOver, leftMs, setDeadline, withinTime } from "../support/time-left.ts";

it("bounds work by its own limit where more time is left", () => {
  expect(withinTime(500)).toBe(500);
  beginGroup(60_000);
  expect(withinTime(500)).toBe(500);
});

it("bounds work by what is left, in whole milliseconds as a child process takes them", () => {
  beginGroup(5_000.25);
  const bound = withinTime(60_000);
  expect(Number.isInteger(bound)).toBe(true);
  expect(bound).toBeLessThanOrEqual(5_001);
  expect(bound).toBeGreaterThan(1_000);
  expect(() => execFileSync(process.execPath, ["--version"], { timeout: bound })).not.toThrow();
  // Also where the limit itself is none.
  expect(Number.isInteger(withinTime(1_234.5))).toBe(true);
});

it("leaves a second where the time is over, and says that it is", () => {
  beginGroup(-1);
  expect(leftMs()).toBeLessThan(0);
  expect(withinTime(60_000)).toBe(1_000);
  expect(isTimeOver()).toBe(false);
  setDeadline(performance.now() - 1);
  beginGroup(60_000);
  expect(isTimeOver()).toBe(true);
  expect(withinTime(60_000)).toBe(1_000);
});
