/**
 * A real `sluice serve`, started from dist as users start it, on free ports and with a state directory of its own. Stopped by
 * its process id; `stop` tells the exit code, and what was logged is kept for assertions and for failures.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endExecutorsOf } from "./processes.ts";

/** For a busy machine; what takes longer hangs. */
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 60_000;
const RUN_MS_MAX = 90_000;
const entry = "dist/client/cli/main.js";

export interface ServerOptions {
  /** Further arguments of `sluice serve`. Default: two null devices of 16 GiB. */
  readonly args?: readonly string[];
  /**
   * Executors that it keeps warm. Default: none, since most servers of tests end with a spare that nobody had; those whose executors are what is
   * tested have one, as users' have by default.
   */
  readonly spares?: number;
  /** Default: a fresh one, removed at the end. */
  readonly state?: string;
  /** What to start instead of node directly, such as `["prlimit", "--fsize=0"]`. */
  readonly wrapper?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** How long it may take to be ready. Default: 60 s. */
  readonly startMsMax?: number;
  /** Told the process before it is ready; one that dies before that fails the start. */
  readonly onSpawned?: (child: ChildProcess) => void;
}

export interface TestServer {
  /** HOST:PORT of gRPC and of the data connections. */
  readonly grpc: string;
  readonly data: string;
  /** http://HOST:PORT of the dashboard. */
  readonly admin: string;
  readonly pid: number;
  readonly state: string;
  /** All of stdout and stderr so far. */
  readonly stdout: () => string;
  readonly log: () => string;
  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or the signal's name, when the process is dead. */
  readonly exited: Promise<number | string>;
  /** Ends it with SIGTERM, after at most STOP_MS_MAX with SIGKILL; removes its state with all that runs there, unless it was given. */
  stop(): Promise<number | string>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FinishedProcess {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

interface Watched {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly log: () => string;
  readonly exited: Promise<number | string>;
}

/**
 * With SLUICE_TEST_STANDIN, the folder of the stand-in driver's libraries (test/cuda/suite.ts sets it), null devices are CUDA devices over
 * it instead, of the same number and size.
 */
function onChosenDevices(args: readonly string[]): {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
} {
  const folder = process.env["SLUICE_TEST_STANDIN"];
  const spec = args.map((arg) => /^null(?::(\d+)x(\d+)([GM])iB)?$/.exec(arg)).find((match) => match !== null);
  if (folder === undefined || spec === undefined) return { args, env: {} };
  const [text, count = "1", size = "16", unit = "G"] = spec;
  const library = join(folder, "libcuda.so.1");
  return {
    args: args.map((arg) => (arg === text ? (count === "1" ? "cuda:0" : "cuda") : arg)),
    env: {
      SLUICE_CUDA_LIBRARY: library,
      SLUICE_NVML_LIBRARY: library,
      SLUICE_CUBLASLT_LIBRARY: library,
      SLUICE_CUDNN_LIBRARY: library,
      SLUICE_CUBLAS_LIBRARY: library,
      SLUICE_CUSOLVER_LIBRARY: library,
      SLUICE_CUFFT_LIBRARY: library,
      SLUICE_CURAND_LIBRARY: library,
      SLUICE_CUSPARSE_LIBRARY: library,
      SLUICE_NVRTC_LIBRARY: library,
      SLUICE_STANDIN_ANY_KERNEL: "1",
      SLUICE_STANDIN_MEMORY: String(Number(size) * (unit === "G" ? 1024 : 1)),
    },
  };
}

function start(given: readonly string[], { wrapper = [], env: ownEnv = {} }: ServerOptions): Watched {
  const chosen = onChosenDevices(given);
  const { args } = chosen;
  const env = { ...chosen.env, ...ownEnv };
  const [program, ...rest] = [...wrapper, process.execPath, entry, ...args];
  // Whether `run` finds or builds the libraries for CUDA programs must not depend on what ran before; those tests name the folder.
  const variables = { ...process.env, SLUICE_INTERPOSER: "", ...env };
  const child = spawn(program!, rest, { stdio: ["ignore", "pipe", "pipe"], env: variables });
  let stdout = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const exited = new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    // Not `close`: executors that die with the server may hold its stderr a moment longer.
    child.once("exit", (code, signal) => resolve(signal ?? code ?? "unknown"));
  });
  return { child, stdout: () => stdout, log: () => log, exited };
}

/** Runs `sluice` with these arguments to its end. */
export async function runSluice(args: readonly string[], options: ServerOptions = {}): Promise<FinishedProcess> {
  const { child, stdout, log, exited } = start(args, options);
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  const code = await exited;
  clearTimeout(timer);
  return { code, stdout: stdout(), stderr: log() };
}

/** The path of the server's data socket, for clients on its host. */
export function socketOf({ state }: Pick<TestServer, "state">): string {
  const name = readdirSync(state).find((file) => file.endsWith(".sock"));
  if (name === undefined) throw new Error("The server has no data socket.");
  return join(state, name);
}

export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const state = options.state ?? mkdtempSync(join(tmpdir(), "sluice-state-"));
  const { args = ["--device", "null:2x16GiB"], spares = 0 } = options;
  const own = ["serve", "--listen", "127.0.0.1:0", "--data", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", state];
  // What `args` say comes later, and counts.
  const { child, stdout, log, exited } = start([...own, "--spare-executors", String(spares), ...args], options);
  options.onSpawned?.(child);
  const clearUp = (): void => {
    if (options.state !== undefined) return;
    // A server that was killed leaves its executors to the next one.
    endExecutorsOf(state);
    rmSync(state, { recursive: true, force: true });
  };
  const ready = /^sluice ready grpc=(\S+) data=(\S+) admin=(\S+)$/m;
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string): void => {
      if (ready.test(stdout())) return;
      clearTimeout(timer);
      child.kill("SIGKILL");
      void exited.finally(() => {
        clearUp();
        reject(new Error(`sluice serve ${why}.\n${stdout()}\n${log()}`));
      });
    };
    const timer = setTimeout(() => fail("is not ready in time"), options.startMsMax ?? START_MS_MAX);
    void exited.then((code) => fail(`ends with ${code} before it is ready`), reject);
    child.stdout!.on("data", () => {
      if (!ready.test(stdout())) return;
      clearTimeout(timer);
      resolve();
    });
  });
  const [, grpc, data, admin] = ready.exec(stdout())!;
  const stop = async (): Promise<number | string> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    const code = await exited;
    clearTimeout(timer);
    clearUp();
    return code;
  };
  return {
    grpc: grpc!,
    data: data!,
    admin: admin!,
    pid: child.pid!,
    state,
    stdout,
    log,
    exited,
    stop,
    kill: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      await stop();
    },
  };
}
