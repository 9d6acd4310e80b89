/** How a failed command ends: one sentence, the remedy, and an exit code. Never a stack, which helps no user. */
import { CommanderError } from "commander";
import { type DeviceReason, type SluiceError, toSluiceError } from "../../shared/errors.ts";
import { complain, note } from "./output.ts";
import { describeEveryReason, describeReason } from "./place.ts";

export const ExitCode = { OK: 0, FAILED: 1, USAGE: 2, NO_CAPACITY: 75 } as const;

/** Ends the command with this code; what there is to say has been said. */
export class ExitError extends Error {
  readonly exitCode: number;
  /** SIGINT ended what was to be done. */
  readonly interrupted: boolean;

  constructor(exitCode: number, { interrupted = false } = {}) {
    super(`Exit ${exitCode}`);
    this.exitCode = exitCode;
    this.interrupted = interrupted;
  }
}

/** Says what went wrong and returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode;
  // Commander has printed its message; help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
  const failure = toSluiceError(error);
  note(sentence(failure));
  const withCode = (reason: DeviceReason): string => `${describeReason(reason)} (${reason.code})`;
  for (const line of describeEveryReason(failure.details.reasons ?? [], withCode)) complain(`  ${line}`);
  return exitCodeOf(failure);
}

/** Message, code and remedy in one line. */
export const sentence = (error: SluiceError): string => `${error.message} (${error.code}) ${error.remedy}`;

function exitCodeOf(error: SluiceError): number {
  if (error.code === "BAD_ARGUMENT") return ExitCode.USAGE;
  return error.code === "NO_CAPACITY" ? ExitCode.NO_CAPACITY : ExitCode.FAILED;
}
