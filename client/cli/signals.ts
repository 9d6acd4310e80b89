/** What the command line does when it is asked to stop. */
import { closeSync, constants as files, fstatSync, openSync, readFileSync } from "node:fs";
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

/** Of a process, as the system tells it: its parent, its group, and the group that its terminal has in the foreground. */
function familyOf(pid: number | "self") {
  // Behind the name, which may hold anything.
  const text = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "");
  const [, parent, group, , , foreground] = text.split(" ").map(Number);
  return { parent: parent ?? 0, group, foreground };
}

/**
 * Whether a key has sent the signal to the command too, since the terminal sends it to the whole group in its foreground. A program of the same group that
 * gives the command its input may as well have sent it to this process alone, and a signal is rather sent twice than lost.
 */
export function isFromKey(signal: StopSignal): boolean {
  if (signal !== "SIGINT" && signal !== "SIGQUIT") return false;
  try {
    const { parent, group, foreground } = familyOf("self");
    return group === foreground && (isatty(0) || familyOf(parent).group !== group);
  } catch {
    return isatty(0);
  }
}

/**
 * Whether this process was started to outlive its terminal, as by nohup: there is one, and what is written here goes to files, not there or to
 * another program. (That SIGHUP is to be ignored Node forgets, and so would what it starts.)
 */
export function outlivesTerminal(): boolean {
  const toFile = (fd: number): boolean => fstatSync(fd).isFile() || fstatSync(fd).isCharacterDevice();
  if ([0, 1, 2].some(isatty) || ![1, 2].every(toFile)) return false;
  try {
    closeSync(openSync("/dev/tty", files.O_RDONLY | files.O_NOCTTY | files.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

/** Sends what asks this process to stop to `listener`, until the function returned is called. */
export function onStopSignal(listener: (signal: StopSignal) => void): () => void {
  const ignoring = outlivesTerminal();
  const listenTo = (signal: StopSignal): void => {
    if (signal !== "SIGHUP" || !ignoring) listener(signal);
  };
  for (const signal of stopSignals) process.on(signal, listenTo);
  return () => {
    for (const signal of stopSignals) process.off(signal, listenTo);
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
