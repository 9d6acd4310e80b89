/**
 * Why a server is to end: a signal, the terminal that it was started from, or the program that started it. Says when, and ends nothing
 * itself.
 */
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { isatty } from "node:tty";

/** How often the programs that started the server are looked for. */
const LOOK_MS = 1_000;

/** Resolves with the first of the signals that comes. */
export function nextSignal(...names: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
      // Not before the next wait for a signal has begun, or one in between would end the process.
      setImmediate(() => {
        for (const name of names) process.off(name, stop);
      });
      resolve(signal);
    };
    for (const name of names) process.on(name, stop);
  });
}

/** What SIGHUP says to this server: that its terminal is closed, which one that nohup started outlives, or else to read its files again. */
export class Hangups {
  #hasTerminal = hasTerminal();
  /** Whether it was started to outlive its terminal, as by nohup: nothing of it reads or writes there. (That SIGHUP is to be ignored Node forgets.) */
  readonly #isDetached = ![0, 1, 2].some(isatty);
  readonly #renew: (() => void) | undefined;
  #end: () => void = () => {};
  readonly #onHangup = (): void => {
    const isClosed = this.#hasTerminal && !hasTerminal();
    this.#hasTerminal &&= !isClosed;
    if (isClosed && this.#isDetached) return;
    if (this.#renew !== undefined && !isClosed) this.#renew();
    else this.#end();
  };
  /** Resolves when the server is to end. */
  readonly ending: Promise<"SIGHUP">;

  /** Without `renew` there is nothing to read, and it is always to end. */
  constructor(renew: (() => void) | undefined) {
    this.#renew = renew;
    this.ending = new Promise((resolve) => {
      this.#end = () => resolve("SIGHUP");
    });
    process.on("SIGHUP", this.#onHangup);
  }

  close(): void {
    process.off("SIGHUP", this.#onHangup);
  }
}

/** Whether there is a terminal whose closing would be told by SIGHUP. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

/** Resolves when the Node program that forked this one closes the channel between them, or is gone. Never without such a channel. */
export function parentGone(): Promise<"disconnect"> {
  return new Promise((resolve) => {
    const { connected } = process as { readonly connected?: boolean };
    if (connected === false) resolve("disconnect");
    else if (connected) process.once("disconnect", () => resolve("disconnect"));
  });
}

/**
 * Resolves when `npx` or `npm exec`, which started this program by a shell, is gone, or the shell: neither hands a signal on. Never for a
 * program that was started otherwise.
 */
export function npmGone(): Promise<"end of npm"> {
  const shell = process.ppid;
  const npm = parentOf(shell);
  if (npm === undefined || !/^(npm|npx) /.test(titleOf(npm))) return new Promise(() => {});
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (process.ppid === shell && parentOf(shell) === npm) return;
      clearInterval(timer);
      resolve("end of npm");
    }, LOOK_MS).unref();
  });
}

function parentOf(pid: number): number | undefined {
  const parent = /^PPid:\s+(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1];
  return parent === undefined ? undefined : Number(parent);
}

const titleOf = (pid: number): string => read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // The process is gone.
  }
}
