/** What the command line does when it is asked to stop. */
import { constants } from "node:os";

export const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type StopSignal = (typeof stopSignals)[number];

/** As a shell reports a command that a signal ended. */
export const exitCodeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** A signal that is aborted when the process is asked to stop; `stop` ends the listening, `stopped` tells which it was. */
export function abortOnSignals(): { readonly signal: AbortSignal; stopped(): StopSignal | undefined; stop(): void } {
  const controller = new AbortController();
  let which: StopSignal | undefined;
  const listener = (signal: StopSignal): void => {
    which ??= signal;
    controller.abort(new Error(signal));
  };
  for (const signal of stopSignals) process.on(signal, listener);
  return {
    signal: controller.signal,
    stopped: () => which,
    stop: () => {
      for (const signal of stopSignals) process.off(signal, listener);
    },
  };
}
