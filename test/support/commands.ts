/**
 * The command `sluice` in processes that stay: the start of one costs ten times the work of most command lines. Each is run by the command's own
 * file, programs that it starts write where it does, and it is over when nothing of it would keep a process. A server, and tests that send signals or
 * have a terminal or a disk to do with, take `runSluice`. A `serve` that is refused for its arguments, or shows its help, is a command as any other.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { pathToFileURL } from "node:url";
import type { FinishedProcess, TestServer } from "./server.ts";

/** For a busy machine; what takes longer hangs. */
const RUN_MS_MAX = 90_000;

const program = `
  const [entry] = process.argv.slice(1);
  process.execArgv = []; // Or the arguments would be taken for those of -e.
  const outputs = [process.stdout, process.stderr];
  for (const output of outputs) output.setMaxListeners(0);
  let count = 0;
  process.on("message", async ({ args, env, mark }) => {
    const kept = process.getActiveResourcesInfo().length;
    process.argv = [process.execPath, entry, ...args];
    process.env = env;
    process.exitCode = undefined;
    await import(entry + "?" + count++);
    const code = process.exitCode ?? 0;
    while (process.getActiveResourcesInfo().length > kept) await new Promise((resolve) => setTimeout(resolve, 2).unref());
    for (const output of outputs) output.write(mark);
    process.send({ code });
  });
  process.on("disconnect", () => process.exit());
`;

/** One process, which runs a command line at a time. */
class Resident {
  readonly #child: ChildProcess;
  /** What it and its programs have written since the command line began. */
  readonly #said = { stdout: "", stderr: "" };
  #onText: () => void = () => {};
  /** How it has died, once it has. */
  readonly #dead: Promise<{ readonly code: number | string }>;

  constructor() {
    const args = ["--input-type=module", "-e", program, pathToFileURL("dist/client/cli/main.js").href];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    for (const name of ["stdout", "stderr"] as const) {
      this.#child[name]!.setEncoding("utf8").on("data", (text: string) => {
        this.#said[name] += text;
        this.#onText();
      });
    }
    this.#dead = once(this.#child, "close").then(([code, signal]) => ({ code: signal ?? code }));
    this.#child.unref();
    this.#hold("unref");
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Whether it keeps this process while it runs something. */
  #hold(change: "ref" | "unref"): void {
    for (const pipe of [this.#child.stdout, this.#child.stderr] as unknown as Socket[]) pipe[change]();
    this.#child.channel?.[change]();
  }

  async run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<FinishedProcess> {
    this.#hold("ref");
    Object.assign(this.#said, { stdout: "", stderr: "" });
    const mark = `<end of ${randomUUID()}>`;
    const told = once(this.#child, "message").then(([{ code }]) => ({ code: code as number | string }));
    const marked = new Promise<void>((resolve) => {
      this.#onText = () => {
        if (Object.values(this.#said).every((text) => text.endsWith(mark))) resolve();
      };
    });
    this.#child.send({ args, env, mark });
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), RUN_MS_MAX);
    // What its programs have written comes through the pipes, and may come behind the word that it is over.
    const { code } = await Promise.race([this.#dead, Promise.all([told, marked]).then(([first]) => first)]);
    clearTimeout(timer);
    this.#hold("unref");
    const [stdout, stderr] = [this.#said.stdout, this.#said.stderr].map((text) => text.replace(mark, ""));
    return { code, stdout: stdout!, stderr: stderr! };
  }
}

/** Those that have nothing to do. */
const idle: Resident[] = [];

/** Variables for commands at that server, in plain ASCII, whatever lease and language the tests have themselves. */
export const environmentOf = ({ grpc }: Pick<TestServer, "grpc">) => ({
  ...{ SLUICE_SERVER: grpc, SLUICE_LEASE: "" },
  ...{ LANG: "C", LC_ALL: "C" },
});

/** What `runSluice` says of a command line. */
export async function runShort(
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv } = {},
): Promise<FinishedProcess> {
  const resident = idle.pop() ?? new Resident();
  const finished = await resident.run(args, { ...process.env, SLUICE_INTERPOSER: "", ...options.env });
  if (resident.isAlive) idle.push(resident);
  return finished;
}

/** The same of several, one after the other. */
export async function runEach(
  commandLines: readonly (readonly string[])[],
  options: { readonly env?: NodeJS.ProcessEnv } = {},
): Promise<FinishedProcess[]> {
  const finished: FinishedProcess[] = [];
  for (const args of commandLines) finished.push(await runShort(args, options));
  return finished;
}
