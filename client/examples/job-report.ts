/** What the job tells the demo about itself, as one message between the two processes, and the same as a table for people. */
import type { LeaseStats } from "../index.ts";
import { formatBytes, formatSeconds, formatTable } from "./progress.ts";

/** Part of the test images that must be recognised. */
export const ACCURACY_WANTED = 0.95;

export interface JobReport {
  readonly accuracy: number;
  readonly device: string;
  /** Bytes of the share, and of the whole device. */
  readonly shareBytes: number;
  readonly deviceBytes: number;
  readonly stats: LeaseStats;
  /** Bytes and slices lent on all devices after the release. */
  readonly lentBytes: number;
  readonly slices: number;
}

export function isJobReport(message: unknown): message is JobReport {
  return typeof message === "object" && message !== null && "accuracy" in message && "stats" in message;
}

export function describeJob(report: JobReport): string {
  const { stats } = report;
  const percent = (part: number): string => `${(part * 100).toFixed(2)} %`;
  return formatTable("What the job used", [
    ["accuracy", `${percent(report.accuracy)} of the test images`],
    [
      "share",
      `${formatBytes(report.shareBytes)} of ${formatBytes(report.deviceBytes)} (${percent(report.shareBytes / report.deviceBytes)}) of ${report.device}`,
    ],
    ["held for", formatSeconds(stats.seconds)],
    ["calls", stats.calls.toLocaleString("en")],
    ["batches", stats.batches.toLocaleString("en")],
    ["calls per batch", stats.callsPerBatch.toFixed(1)],
    ["round trips", stats.roundTrips.toLocaleString("en")],
    ["bytes to the device", formatBytes(stats.bytesToDevice)],
    ["bytes from the device", formatBytes(stats.bytesFromDevice)],
    ["lent in the pool now", `${formatBytes(report.lentBytes)} in ${report.slices} slices`],
  ]);
}
