/** The daemon's log: JSON lines on stderr, pretty on a terminal. Secrets never reach it: nothing that holds one can print it. */
import { type Logger, pino } from "pino";

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export async function createLog(level: LogLevel): Promise<Logger> {
  // Both write synchronously: the last line before an exit is the one that matters.
  if (!process.stderr.isTTY) return pino({ level }, pino.destination({ dest: 2, sync: true }));
  const { PinoPretty } = await import("pino-pretty");
  return pino({ level }, PinoPretty({ destination: 2, sync: true, ignore: "pid,hostname" }));
}
