/** The daemon's log: JSON lines on stderr, pretty on a terminal. Secrets never reach it: nothing that holds one can print it. */
import { type Logger, pino } from "pino";

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Characters that wait for room on the disk; what comes then is not kept. */
const UNWRITTEN_MAX = 1024 ** 2;

export async function createLog(level: LogLevel): Promise<Logger> {
  // Both write synchronously: the last line before an exit is the one that matters.
  if (!process.stderr.isTTY) {
    const destination = pino.destination({ dest: 2, sync: true, maxLength: UNWRITTEN_MAX });
    // A full disk under the log ends no server.
    destination.on("error", () => {});
    return pino({ level }, destination);
  }
  const { PinoPretty } = await import("pino-pretty");
  return pino({ level }, PinoPretty({ destination: 2, sync: true, ignore: "pid,hostname" }));
}
