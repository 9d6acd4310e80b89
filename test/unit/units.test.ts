/** Sizes, durations and fractions: what reads, what is refused, and that printing and reading agree. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { SluiceError } from "../../shared/errors.ts";
import {
  formatDuration,
  formatSize,
  formatSizeRounded,
  parseDuration,
  parseFraction,
  parseSize,
} from "../../shared/units.ts";

test.each([
  ["4GiB", 4 * 1024 ** 3],
  ["512MiB", 512 * 1024 ** 2],
  ["1.5MiB", 1.5 * 1024 ** 2],
  ["0.1KB", 100],
  ["2TiB", 2 * 1024 ** 4],
  ["500MB", 500_000_000],
  ["4096", 4096],
  ["4096B", 4096],
  ["0", 0],
  [" 1gib ", 1024 ** 3],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
])("the size %s is %d bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  "",
  "GiB",
  "4G",
  "4 GiB x",
  "-1GiB",
  "1e9",
  "0x10",
  "NaN",
  "Infinity",
  "1.GiB",
  ".5GiB",
  "1,5GiB",
  "0.1B",
  "9007199254740992",
  "9999999999TiB",
  "4constructor",
])("the size [%s] is refused with its text", (text) => {
  expect(() => parseSize(text)).toThrow(SluiceError);
  expect(() => parseSize(text)).toThrow(`[${text}]`);
});

test.each([
  ["5m", 300_000],
  ["30s", 30_000],
  ["250ms", 250],
  ["1h30m", 5_400_000],
  ["1.5h", 5_400_000],
  ["2d", 172_800_000],
  ["0", 0],
  ["0s", 0],
])("the duration %s is %d ms", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each(["", "5", "m", "5 m", "-5s", "1e3s", "5min", "0.0001s", "5m30", "9999999999999999d"])(
  "the duration [%s] is refused with its text",
  (text) => {
    expect(() => parseDuration(text)).toThrow(SluiceError);
    expect(() => parseDuration(text)).toThrow(`[${text}]`);
  },
);

test.each([
  ["0.25", 0.25],
  ["1", 1],
  ["25%", 0.25],
  ["100%", 1],
  [".5", 0.5],
])("the fraction %s is %d", (text, fraction) => {
  expect(parseFraction(text)).toBe(fraction);
});

test.each(["", "%", ".", "0", "0%", "1.5", "101%", "-0.5", "NaN", "1e-1", "half", "0x1"])(
  "the fraction [%s] is refused with its text",
  (text) => {
    expect(() => parseFraction(text)).toThrow(SluiceError);
    expect(() => parseFraction(text)).toThrow(`[${text}]`);
  },
);

test("every size that is printed reads back as the same bytes", () => {
  const sizes = fc.oneof(
    fc.maxSafeNat(),
    fc.nat(4096).map((count) => count * 1024 ** 3),
    fc.nat(1 << 20).map((count) => count * 512 * 1024),
  );
  fc.assert(fc.property(sizes, (bytes) => parseSize(formatSize(bytes)) === bytes));
});

test("every duration that is printed reads back as the same time", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (time) => parseDuration(formatDuration(time)) === time));
});

test("sizes print in the largest unit that is exact", () => {
  expect(formatSize(4 * 1024 ** 3)).toBe("4GiB");
  expect(formatSize(1.5 * 1024 ** 2)).toBe("1.5MiB");
  expect(formatSize(1_000_001)).toBe("1000001B");
  expect(formatSize(0)).toBe("0B");
});

test("rounded sizes have three digits", () => {
  expect(formatSizeRounded(49_400_000)).toBe("47.1MiB");
  expect(formatSizeRounded(1023)).toBe("1023B");
  expect(formatSizeRounded(500 * 1024 ** 2)).toBe("500MiB");
});

test("durations print their parts", () => {
  expect(formatDuration(300_000)).toBe("5m");
  expect(formatDuration(5_400_000)).toBe("1h30m");
  expect(formatDuration(1250)).toBe("1s250ms");
});
