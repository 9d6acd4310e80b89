/** What the command line does when it is asked to stop. */
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { isatty } from "node:tty";
import { ExitError } from "./failure.ts";

/** All that end a process unless it takes them, as job managers send them too. Of SIGUSR1, untaken, Node would open its debugger. */
const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
export type StopSignal = (typeof stopSignals)[number];

/** As a shell reports a command that a signal ended. */
const exitCodeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** The end of a command that this signal ended. */
export const exitOfSignal = (signal: NodeJS.Signals): ExitError =>
  new ExitError(exitCodeOfSignal(signal), { interrupted: signal === "SIGINT" });

/** Whether a key has sent the signal to the command too, since the terminal sends it to the whole group in its foreground. */
export function isFromKey(signal: StopSignal): boolean {
  if (signal !== "SIGINT" && signal !== "SIGQUIT") return false;
  try {
    // Behind the name, which may hold anything: state, parent, group, session, terminal, and the group in its foreground.
    const fields = readFileSync("/proc/self/stat", "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[2] === fields[5];
  } catch {
    return isatty(0);
  }
}

/** Sends what asks this process to stop to `listener`, until the function returned is called. */
export function onStopSignal(listener: (signal: StopSignal) => void): () => void {
  for (const signal of stopSignals) process.on(signal, listener);
  return () => {
    for (const signal of stopSignals) process.off(signal, listener);
  };
}

/** Calls `tell` before a key of the terminal stops this process (Ctrl-Z), until the function returned is called. */
export function beforeStandstill(tell: () => void): () => void {
  const stop = (): void => {
    tell();
    process.off("SIGTSTP", stop);
    process.kill(process.pid, "SIGTSTP");
  };
  const listen = (): void => void process.off("SIGTSTP", stop).on("SIGTSTP", stop);
  listen();
  process.on("SIGCONT", listen);
  return () => void process.off("SIGCONT", listen).off("SIGTSTP", stop);
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
    throw stopped === undefined ? error : exitOfSignal(stopped);
  }
  if (stopped !== undefined) {
    await options.undo(result);
    stopListening();
    throw exitOfSignal(stopped);
  }
  const rest = options.finish(result);
  stopListening();
  return await rest;
}
