/** Child processes of the suite: tools that print where they listen and serve until their stdin closes, and their placement on cores. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";

/** Where a process may run. */
export type Placement = readonly number[] | undefined;

let taskset: boolean | undefined;

/** Whether processes can be put on cores here (Linux with taskset of util-linux, and two cores or more). */
export function canPin(): boolean {
  taskset ??= availableParallelism() > 1 && spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0;
  return taskset;
}

/** The command that runs `command` on the cores; the command itself where nothing can be pinned. */
export function placed(command: readonly string[], cores: Placement): readonly [string, ...string[]] {
  const whole = cores === undefined || !canPin() ? command : ["taskset", "-c", cores.join(","), ...command];
  return whole as [string, ...string[]];
}

/** Every process of a run, so that an interrupted one leaves none behind. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface Tool {
  readonly pid: number;
  /** The lines it printed when it was ready. */
  readonly lines: readonly string[];
  /** Writes a line to its stdin, and returns the next line that it prints. One question at a time. */
  ask(line: string): Promise<string>;
  /** Closes its stdin, and kills it if that does not end it within two seconds. */
  stop(): Promise<void>;
}

export interface ToolOptions {
  readonly cores?: Placement;
  /** Lines that it prints when it is ready. */
  readonly lines: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Whether it has a session of its own, as a server has that outlives whoever started it. Linux schedules sessions against each other (autogroup). */
  readonly ownSession?: boolean;
  /** What ends it: the end of its stdin, or SIGTERM. */
  readonly endsBy?: "stdin" | "SIGTERM";
}

/** Starts a tool and waits until it is ready. */
export async function startTool(command: readonly string[], options: ToolOptions): Promise<Tool> {
  const [program, ...args] = placed(command, options.cores);
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: options.env ?? process.env,
    detached: options.ownSession ?? false,
  });
  running.add(child);
  let words = "";
  child.stderr.on("data", (chunk) => {
    words = (words + chunk).slice(-4000);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => {
      running.delete(child);
      resolve();
    });
    child.once("error", () => resolve());
  });
  const lines: string[] = [];
  let onLine: (line: string) => void = () => {};
  const ready = new Promise<void>((resolve) => {
    onLine = (line) => {
      lines.push(line);
      if (lines.length === options.lines) resolve();
    };
  });
  createInterface({ input: child.stdout }).on("line", (line) => onLine(line));
  await Promise.race([ready, ended]);
  if (lines.length < options.lines) throw new Error(`The command [${program} ${args.join(" ")}] ends early:\n${words}`);
  const ask = (line: string): Promise<string> =>
    new Promise((resolve, reject) => {
      onLine = resolve;
      void ended.then(() => reject(new Error(`The command [${program} ${args.join(" ")}] ends early:\n${words}`)));
      child.stdin.write(`${line}\n`);
    });
  const stop = async (): Promise<void> => {
    child.stdin.end();
    if (options.endsBy === "SIGTERM") child.kill("SIGTERM");
    // What it still prints is read away, or it could not end.
    child.stdout.resume();
    const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
    await ended;
    clearTimeout(timer);
  };
  return { pid: child.pid!, lines, ask, stop };
}

/** Runs a command to its end and returns what it printed. */
export async function runTool(
  command: readonly string[],
  options: { cores?: Placement; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const [program, ...args] = placed(command, options.cores);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: options.env ?? process.env });
  running.add(child);
  let output = "";
  let words = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    words = (words + chunk).slice(-4000);
  });
  const status = await new Promise<number | null>((resolve) => {
    child.once("close", resolve);
    child.once("error", () => resolve(127));
  });
  running.delete(child);
  if (status !== 0) throw new Error(`The command [${program} ${args.join(" ")}] fails [${status}]:\n${words}`);
  return output;
}
