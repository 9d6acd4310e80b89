/** Where the command line writes: results to standard output, everything else to standard error. Nothing that others have written moves the cursor. */
import { printable, printableComplaint, printableLines } from "../../shared/printable.ts";
import { formatDuration, formatSize, formatSizeRounded } from "../../shared/units.ts";
import type { LeaseUsage } from "../index.ts";

export const print = (text: string): void => {
  process.stdout.write(`${printableLines(text)}\n`);
};

/** One stable JSON document. */
export const printJson = (value: unknown): void => print(JSON.stringify(value, undefined, 2));

/** A line on standard error as it stands. */
export const complain = (line: string): void => {
  process.stderr.write(`${printableComplaint(printable(line))}\n`);
};

/** For people who wait: never mixed with a command's own output. */
export const note = (text: string): void => complain(`sluice: ${text}`);

/** A table off a terminal is not cut: a program reads it. */
export const terminalWidth = (): number => process.stdout.columns ?? Number.POSITIVE_INFINITY;

export const unicodeTerminal = (): boolean => {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
};

/** Exact where that is short, else rounded for reading. */
/** A part of a device's time, as `--compute` takes it. */
export const computeText = (part: number): string => `${Number((part * 100).toFixed(1))}%`;

export const sizeText = (bytes: number): string => {
  const exact = formatSize(bytes);
  return exact.length <= 7 ? exact : formatSizeRounded(bytes);
};

/** To the second from a second on. */
export const durationText = (milliseconds: number): string =>
  formatDuration(milliseconds < 1000 ? milliseconds : Math.floor(milliseconds / 1000) * 1000);

export const countText = (count: number, noun: string): string =>
  `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;

/** What a lease used, as one sentence part. */
export function usageText(usage: LeaseUsage): string {
  const { calls, batches, answers, bytesReceived, bytesSent, heldMs } = usage;
  return (
    `held ${durationText(heldMs)}, ${countText(calls, "call")} in ${countText(batches, "frame")}, ` +
    `${countText(answers, "round trip")}, ${formatSizeRounded(bytesReceived)} in and ${formatSizeRounded(bytesSent)} out`
  );
}
