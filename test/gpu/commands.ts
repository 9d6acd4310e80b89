/**
 * Commands of the machine (compilers, programs), each in a process group of its own, so that one which is out of time ends with all that it
 * has started, and nothing is left to hold the card.
 */
import { spawn } from "node:child_process";
import { withinTime } from "../support/time-left.ts";
import { killedWithAll } from "./job.ts";

/** Of each of a command's two streams; what it says beyond is dropped. */
const OUTPUT_CHARACTERS_MAX = 4 * 1024 * 1024;
/** How long a killed command's pipes may stay open, should something have left its group. */
const PIPES_MS_MAX = 2_000;

export interface CommandOutcome {
  /** Exit code, or why there is none. */
  readonly code: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** Runs a command to its end, or kills it after `limitMs` or at the end of the group's time. Never throws. */
export function runCommand(
  command: string,
  args: readonly string[],
  { env = {}, limitMs }: { readonly env?: NodeJS.ProcessEnv; readonly limitMs: number },
): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    const started = performance.now();
    const all = { ...process.env, ...env };
    const child = spawn(command, args, { detached: true, env: all, stdio: ["ignore", "pipe", "pipe"] });
    const said = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        if (said[stream].length < OUTPUT_CHARACTERS_MAX) said[stream] += text;
      });
    }
    const limit = withinTime(limitMs);
    let isLate = false;
    const end = (code: string): void => {
      clearTimeout(timer);
      forget();
      resolve({ code, ...said, milliseconds: performance.now() - started });
    };
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    };
    const forget = killedWithAll(kill);
    const timer = setTimeout(() => {
      isLate = true;
      kill();
      setTimeout(() => end(`killed after ${limit} ms`), PIPES_MS_MAX).unref();
    }, limit);
    child.once("error", (error) => end(error.message));
    child.once("close", (code, signal) => end(isLate ? `killed after ${limit} ms` : String(code ?? signal)));
  });
}
