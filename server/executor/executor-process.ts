/**
 * An executor as the daemon sees it: a process to start, to send messages to, and to see dead. The one place that knows that
 * executors are forked and that messages travel over IPC.
 */
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { ErrorCode } from "../../shared/errors.ts";
import type { FromExecutor, ToExecutor } from "./control-messages.ts";

/** How long an executor may take to tell its client why it ends, before it is killed. */
const FAREWELL_MS = 500;

/** The entry stands beside this file, as JavaScript in the package and as TypeScript in a checkout. */
const entry = fileURLToPath(new URL(`./main${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url));

export class ExecutorProcess {
  readonly #child: ChildProcess;
  readonly startedAt = performance.now();
  /** Resolves when the process is dead and reaped, with how it died. */
  readonly exited: Promise<string>;
  /** Receives its messages. */
  onMessage: (message: FromExecutor) => void = () => {};
  #dead = false;

  constructor() {
    // Both of its outputs go to the daemon's stderr: stdout belongs to the readiness line.
    this.#child = fork(entry, [], { stdio: ["ignore", 2, 2, "ipc"] });
    this.#child.on("message", (message: FromExecutor) => this.onMessage(message));
    this.exited = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        if (this.#child.pid === undefined) resolve(`cannot be started: ${error.message}`);
      });
      this.#child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
    void this.exited.then(() => {
      this.#dead = true; // The promise itself never rejects.
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Sends a message, with the client's socket for `session`, which stays open here too. What does not arrive is told by `exited`. */
  send(message: ToExecutor, socket?: Socket): void {
    if (this.#dead || !this.#child.connected) return;
    this.#child.send(message, socket, { keepOpen: true }, () => {
      // An executor that cannot be reached is dead or dying.
    });
  }

  /** Lets the executor tell its client why, and sees it dead and reaped. */
  async end(code: ErrorCode, message: string): Promise<void> {
    this.send({ kind: "end", code, message });
    const timer = setTimeout(() => this.kill(), FAREWELL_MS);
    await this.exited;
    clearTimeout(timer);
  }

  /** Ends the process at once. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
