/**
 * Sizes, durations and fractions as people write them: `4GiB`, `5m`, `0.25`. Pure words for both ends; reading is exact and
 * never guesses, and what the exact printers write reads back as the same number.
 */
import { SluiceError } from "./errors.ts";

const sizeUnits = {
  b: 1n,
  kib: 1024n,
  mib: 1024n ** 2n,
  gib: 1024n ** 3n,
  tib: 1024n ** 4n,
  kb: 1000n,
  mb: 1000n ** 2n,
  gb: 1000n ** 3n,
  tb: 1000n ** 4n,
} as const;

const durationUnits = { ms: 1n, s: 1000n, m: 60_000n, h: 3_600_000n, d: 86_400_000n } as const;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** `number` times `unit` as a whole number; undefined when it is not whole or not exact below 2^53. */
function scaled(number: string, unit: bigint): number | undefined {
  const [whole = "", decimals = ""] = number.split(".");
  const denominator = 10n ** BigInt(decimals.length);
  const numerator = BigInt(whole + decimals) * unit;
  if (numerator % denominator !== 0n) return undefined;
  const value = numerator / denominator;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

/**
 * Bytes of a size such as `4GiB`, `1.5MiB`, `500MB` or `4096` (bytes). KiB MiB GiB TiB are powers of 1024, KB MB GB TB of 1000.
 * @throws SluiceError BAD_ARGUMENT naming `what` for anything else, and for a size that is not a whole number of bytes below 2^53.
 */
export function parseSize(text: string, what = "A size"): number {
  const match = /^(\d{1,16}(?:\.\d{1,16})?) ?([a-z]*)$/i.exec(text.trim());
  const unitName = (match?.[2] || "b").toLowerCase();
  if (match === null || !Object.hasOwn(sizeUnits, unitName)) {
    throw bad(`${what} is a number and a unit like 512MiB or 4GiB, and [${text}] is not.`);
  }
  const bytes = scaled(match[1]!, sizeUnits[unitName as keyof typeof sizeUnits]);
  if (bytes === undefined) throw bad(`${what} is a whole number of bytes below 2^53, and [${text}] is not.`);
  return bytes;
}

/**
 * Milliseconds of a duration such as `30s`, `1h30m`, `1.5h`, `250ms`, `2d`, or `0`.
 * @throws SluiceError BAD_ARGUMENT naming `what` for anything else, also for a number without a unit.
 */
export function parseDuration(text: string, what = "A duration"): number {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  if (!/^(?:\d{1,16}(?:\.\d{1,16})?(?:ms|s|m|h|d))+$/.test(trimmed)) {
    throw bad(`${what} is a number and a unit like 30s, 5m or 1h30m, and [${text}] is not.`);
  }
  let total = 0;
  for (const [, number, unit] of trimmed.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) {
    const part = scaled(number!, durationUnits[unit as keyof typeof durationUnits]);
    if (part === undefined || !Number.isSafeInteger(total + part)) {
      throw bad(`${what} is a whole number of milliseconds below 2^53, and [${text}] is not.`);
    }
    total += part;
  }
  return total;
}

/**
 * A part of a device such as `0.25` or `25%`: above 0 and at most 1.
 * @throws SluiceError BAD_ARGUMENT for anything else.
 */
export function parseFraction(text: string): number {
  const match = /^(\d{0,16}(?:\.\d{1,16})?)(%?)$/.exec(text.trim());
  const number = match === null || match[1] === "" ? Number.NaN : Number(match[1]);
  const fraction = match?.[2] === "%" ? number / 100 : number;
  if (!(fraction > 0 && fraction <= 1)) {
    throw bad(`A fraction is above 0 and at most 1, like 0.25 or 25%, and [${text}] is not.`);
  }
  return fraction;
}

const printedUnits = [
  ["TiB", 1024 ** 4],
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
] as const;

/** Bytes as `4GiB`, `1.5MiB` or `1000001B`: exact, in the largest unit of which it is whole eighths. */
export function formatSize(bytes: number): string {
  for (const [name, unit] of printedUnits) {
    if (bytes >= unit && bytes % (unit / 8) === 0) return `${bytes / unit}${name}`;
  }
  return `${bytes}B`;
}

/** Bytes for reading at a glance, rounded to three digits: `47.1MiB`. Not for what must be exact. */
export function formatSizeRounded(bytes: number): string {
  for (const [name, unit] of printedUnits) {
    const value = bytes / unit;
    if (value >= 1) return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}${name}`;
  }
  return `${bytes}B`;
}

const printedDurations = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;

/** Whole milliseconds as `5m`, `1h30m` or `1s250ms`: exact; `0` for none. */
export function formatDuration(milliseconds: number): string {
  let rest = Math.round(milliseconds);
  let text = "";
  for (const [name, unit] of printedDurations) {
    const count = Math.floor(rest / unit);
    if (count > 0) text += `${count}${name}`;
    rest -= count * unit;
  }
  return text === "" ? "0" : text;
}
