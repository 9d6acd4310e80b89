/** What the command line does when it is asked to stop. */
import { constants } from "node:os";
import { ExitError } from "./failure.ts";

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type StopSignal = (typeof stopSignals)[number];

/** As a shell reports a command that a signal ended. */
export const exitCodeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** Sends what asks this process to stop to `listener`, until the function returned is called. */
export function onStopSignal(listener: (signal: StopSignal) => void): () => void {
  for (const signal of stopSignals) process.on(signal, listener);
  return () => {
    for (const signal of stopSignals) process.off(signal, listener);
  };
}

/** Takes what asks this process to stop, from its making on, and passes it to a command once there is one. */
export class SignalForwarder {
  /** The first that came before there was a command. */
  received: StopSignal | undefined;
  #forward: ((signal: StopSignal) => void) | undefined;
  readonly close = onStopSignal((signal) => {
    if (this.#forward === undefined) this.received ??= signal;
    else this.#forward(signal);
  });

  forward(to: (signal: StopSignal) => void): void {
    this.#forward = to;
  }
}

/**
 * Does work that a stop signal calls off, and then something with its result. The signals are listened to until `finish` has
 * begun, so that none ends the process in between; one that comes after the work is done still stops it before `finish`.
 */
export async function interruptible<T, R>(
  work: (signal: AbortSignal) => Promise<T>,
  options: { readonly finish: (result: T) => Promise<R>; readonly undo: (result: T) => Promise<void> },
): Promise<R> {
  const controller = new AbortController();
  let stopped: StopSignal | undefined;
  const stopListening = onStopSignal((signal) => {
    stopped ??= signal;
    controller.abort(new Error(signal));
  });
  let result: T;
  try {
    result = await work(controller.signal);
  } catch (error) {
    stopListening();
    throw stopped === undefined ? error : new ExitError(exitCodeOfSignal(stopped));
  }
  if (stopped !== undefined) {
    await options.undo(result);
    stopListening();
    throw new ExitError(exitCodeOfSignal(stopped));
  }
  const rest = options.finish(result);
  stopListening();
  return await rest;
}
