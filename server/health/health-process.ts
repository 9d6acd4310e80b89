/** A health process as the daemon sees it: to start, to talk to, and to see dead. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { entryPoint } from "../package-files.ts";
import type { FromHealthProcess, ToHealthProcess } from "./health-messages.ts";

const entry = fileURLToPath(entryPoint("server/health/main"));

export class HealthProcess {
  readonly #child: ChildProcess;
  /** Resolves with how it died. */
  readonly exited: Promise<string>;

  constructor(onMessage: (message: FromHealthProcess) => void) {
    // Both of its outputs go to the daemon's stderr: stdout belongs to the readiness line.
    this.#child = fork(entry, [], { stdio: ["ignore", 2, 2, "ipc"] });
    this.#child.on("message", onMessage);
    this.exited = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        if (this.#child.pid === undefined) resolve(`cannot be started: ${error.message}`);
      });
      this.#child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
  }

  send(message: ToHealthProcess): void {
    if (!this.#child.connected) return;
    this.#child.send(message, () => {
      // One that cannot be reached is dead or dying, which `exited` tells.
    });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
