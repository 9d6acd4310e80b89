/** How many trials random tests make. */
import { afterEach, expect, it, vi } from "vitest";
import { rounds } from "../support/rounds.ts";

afterEach(() => vi.unstubAllEnvs());

it("is the test's own number where nothing else is asked for", () => {
  vi.stubEnv("SLUICE_TEST_ROUNDS", undefined);
  expect(rounds(60)).toBe(60);
});

it.each([
  ["10", 600],
  ["1", 60],
  ["0.1", 6],
  ["0.001", 1],
])("is multiplied by SLUICE_TEST_ROUNDS=%s, to a whole number that is never 0", (factor, wanted) => {
  vi.stubEnv("SLUICE_TEST_ROUNDS", factor);
  expect(rounds(60)).toBe(wanted);
});

it.each(["0", "-1", "many", "Infinity", ""])(
  "refuses SLUICE_TEST_ROUNDS=%j, by which no trial or no end would be",
  (factor) => {
    vi.stubEnv("SLUICE_TEST_ROUNDS", factor);
    expect(() => rounds(60)).toThrow(`SLUICE_TEST_ROUNDS is a number above 0, not "${factor}"`);
  },
);
