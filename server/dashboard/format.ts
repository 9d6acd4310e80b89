/** Numbers as people read them: short, and of a width that does not jump. Pure. */

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Three digits that matter, without a tail of zeros: 1.5, 24, 512. */
function short(value: number): string {
  if (value >= 100) return Math.round(value).toString();
  const text = value >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.replace(/\.?0+$/, "");
}

/** Bytes as 512 MiB or 1.5 GiB. */
export function size(bytes: number): string {
  let power = 0;
  while (power < BINARY.length - 1 && Math.abs(bytes) >= 1023.5 * 1024 ** power) power++;
  return `${short(bytes / 1024 ** power)} ${BINARY[power]}`;
}

/** Bytes in full, for who wants to know. */
export const exactBytes = (bytes: number): string => `${count(bytes)} bytes`;

/** 1,234,567. */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US");

/** A rate as 950, 1.2 k or 3.4 M; a dash for nothing, which is what an eye should skip. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "–";
  if (perSecond < 1_000) return short(perSecond);
  if (perSecond < 1_000_000) return `${short(perSecond / 1_000)} k`;
  return `${short(perSecond / 1_000_000)} M`;
}

export const byteRate = (perSecond: number): string => (perSecond === 0 ? "–" : `${size(perSecond)}/s`);

export const percent = (part: number): string => `${Math.round(part * 100)} %`;

/** A duration by its two largest units: 45 s, 5 min, 2 h 5 min, 3 d 4 h. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000));
  if (milliseconds > 0 && milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 10 && seconds % 60 > 0 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 > 0 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 > 0 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** A point in time, in the reader's own zone. */
export const moment = (atMs: number): string =>
  new Date(atMs).toLocaleString(undefined, {
    ...{ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" },
    ...(new Date(atMs).getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" }),
  });

/** `1 lease`, `2 leases`. */
export const plural = (amount: number, one: string): string => `${count(amount)} ${one}${amount === 1 ? "" : "s"}`;

/** Bytes as a field reads them back: exact; empty for none. */
export function sizeWritten(bytes: number | undefined): string {
  if (bytes === undefined) return "";
  for (const [unit, factor] of [
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
  ] as const) {
    if (bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}
