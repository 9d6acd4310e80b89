/**
 * The command `sluice` in processes that stay, for command lines that are short: the start of one costs ten times its work. Each is run by the
 * command's own file, and is over when nothing of it would keep a process. Tests of processes and signals take `runSluice`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { pathToFileURL } from "node:url";
import { type FinishedProcess, runSluice, type TestServer } from "./server.ts";

/** For a busy machine; what takes longer hangs. */
const RUN_MS_MAX = 90_000;

const program = `
  const [entry] = process.argv.slice(1);
  process.execArgv = []; // Or the arguments would be taken for those of -e.
  for (const output of [process.stdout, process.stderr]) output.setMaxListeners(0);
  let count = 0;
  process.on("message", async ({ args, env }) => {
    const kept = process.getActiveResourcesInfo().length;
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) process[name].write = (chunk) => ((said[name] += chunk), true);
    process.argv = [process.execPath, entry, ...args];
    process.env = env;
    process.exitCode = undefined;
    await import(entry + "?" + count++);
    const code = process.exitCode ?? 0;
    while (process.getActiveResourcesInfo().length > kept) await new Promise((resolve) => setTimeout(resolve, 2).unref());
    process.send({ code, ...said });
  });
  process.on("disconnect", () => process.exit());
`;

/** Those that have nothing to do. */
const idle: ChildProcess[] = [];

function start(): ChildProcess {
  const args = ["--input-type=module", "-e", program, pathToFileURL("dist/client/cli/main.js").href];
  // What it says by itself, of an error that nobody catches, is for whoever reads the test.
  const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  child.unref();
  child.channel!.unref();
  return child;
}

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
  // These have programs and signals to do with.
  if (args[0] === "run" || args[0] === "serve") return runSluice(args, options);
  const child = idle.pop() ?? start();
  child.channel!.ref();
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  const finished = await new Promise<FinishedProcess>((resolve) => {
    const died = (code: number | null, signal: NodeJS.Signals | null): void =>
      resolve({ code: signal ?? code ?? "unknown", stdout: "", stderr: "it is dead" });
    child.once("exit", died);
    child.once("message", (said: FinishedProcess) => {
      child.off("exit", died);
      resolve(said);
    });
    child.send({ args, env: { ...process.env, SLUICE_INTERPOSER: "", ...options.env } });
  });
  clearTimeout(timer);
  if (child.exitCode === null && child.signalCode === null) {
    child.channel!.unref();
    idle.push(child);
  }
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
