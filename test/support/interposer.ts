/**
 * The interposer in tests: builds it (one build at a time, whoever asks), compiles programs against it, and runs them under a lease
 * of their own, with the environment that `sluice run` gives.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { formatLeaseKeys } from "../../client/environment.ts";
import type { Usage__Output } from "../../proto/generated/sluice/v1/Usage.ts";
import { MiB, RawControl } from "./raw-client.ts";
import type { TestServer } from "./server.ts";

/** For a busy machine; what takes longer hangs. */
const PROGRAM_MS_MAX = 90_000;
/** Where `buildInterposer` puts the libraries. */
export const interposerFolder = "dist/interposer";
export const programs = "dist/interposer-programs";

export const hasTool = (tool: string): boolean => spawnSync(tool, ["--version"], { stdio: "ignore" }).status === 0;

/** Whether this machine can build the interposer at all. */
export const canBuild = process.platform === "linux" && hasTool("cc") && hasTool("make") && hasTool("flock");
export const hasNvcc = canBuild && hasTool("nvcc");

const glibc = /^glibc (\d+)\.(\d+)/.exec(spawnSync("getconf", ["GNU_LIBC_VERSION"], { encoding: "utf8" }).stdout ?? "");
/** Whether programs that have a path of their own are led to the libraries here: from glibc 2.35 on. */
export const isLed = canBuild && glibc !== null && (Number(glibc[1]) > 2 || Number(glibc[2]) >= 35);

/** The programs in a folder of test/interposer. */
export const sourcesOf = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /\.cu?$/.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);

/**
 * Builds the libraries; `sanitize` builds the driver's library, and with `more` others, in a folder of its own. Returns the folder.
 */
export function buildInterposer(sanitize?: "address" | "thread", more: readonly string[] = []): string {
  const folder = sanitize === undefined ? interposerFolder : `${interposerFolder}-${sanitize}`;
  mkdirSync("dist", { recursive: true });
  const make = ["make", "--silent", "-j2", "-C", "client/interposer", `OUT=${process.cwd()}/${folder}`];
  // Without optimization a build takes half as long, and the sanitizers' reports name more.
  if (sanitize !== undefined) {
    const files = ["libcuda.so.1", ...more].map((file) => `${process.cwd()}/${folder}/${file}`);
    make.push(`SANITIZE=${sanitize}`, "CFLAGS=-O0 -g", ...files);
  }
  execFileSync("flock", [`${folder}.lock`, ...make], { stdio: ["ignore", "inherit", "inherit"] });
  return folder;
}

/** Compiles one program of test/interposer, in C or CUDA C, and returns its path. */
export function compileProgram(
  source: string,
  options: { flags?: readonly string[]; suffix?: string; libraries?: string } = {},
): string {
  const isCuda = source.endsWith(".cu");
  const folder = join(programs, isCuda ? "cuda" : "driver");
  mkdirSync(folder, { recursive: true });
  const target = join(folder, basename(source).replace(/\.cu?$/, "") + (options.suffix ?? ""));
  // Another test may run, or make, the same program now.
  const made = `${target}.${process.pid}`;
  const flags = options.flags ?? [];
  if (isCuda) {
    execFileSync("nvcc", ["-cudart", "shared", ...flags, "-o", made, source], { stdio: "pipe" });
  } else {
    const warnings = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"];
    const libraries = [`-L${options.libraries ?? interposerFolder}`, "-l:libcuda.so.1"];
    execFileSync("cc", [...warnings, "-o", made, source, ...libraries, ...flags], { stdio: "pipe" });
  }
  renameSync(made, target);
  return target;
}

export interface FinishedProgram {
  /** Exit code, or the signal's name. */
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly server: TestServer;
  readonly command: readonly string[];
  /** Folder of the interposer's libraries. */
  readonly libraries?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly memoryBytes?: number;
  readonly devices?: number;
  /** After this it is killed. */
  readonly msMax?: number;
  /** Called once the program has printed something. */
  readonly onOutput?: (control: RawControl, lease: { id: string; secret: Uint8Array }) => void | Promise<void>;
  /** Called at the end with what the program's calls have cost. */
  readonly onUsage?: (usage: Usage__Output) => void;
}

/** Runs a command under a fresh lease and returns when it has ended; one that takes too long is killed. */
export async function runProgram(options: ProgramOptions): Promise<FinishedProgram> {
  const { server, command, libraries = interposerFolder, memoryBytes = 256 * MiB, devices = 1 } = options;
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ memoryBytes, devices, name: "program" });
  const hold = control.hold(lease);
  const sessions = mkdtempSync(join(tmpdir(), "sluice-sessions-"));
  try {
    const [file, ...args] = command;
    const child = spawn(file!, args, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.msMax ?? PROGRAM_MS_MAX,
      killSignal: "SIGKILL",
      env: {
        ...process.env,
        SLUICE_LEASE: formatLeaseKeys([{ leaseId: lease.id, secret: lease.secret }]),
        SLUICE_SERVER: server.grpc,
        SLUICE_DATA: `tcp://${server.data}`,
        SLUICE_SESSIONS: sessions,
        LD_LIBRARY_PATH: `${process.cwd()}/${libraries}`,
        ...options.env,
      },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (stdout === "") void options.onOutput?.(control, lease);
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const code = await new Promise<number | string>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exit, signal) => resolve(signal ?? exit ?? "unknown"));
    });
    return { code, stdout, stderr };
  } finally {
    hold.stop();
    rmSync(sessions, { recursive: true });
    const released = await control.release(lease.id, lease.secret).catch(() => undefined);
    if (released?.usage) options.onUsage?.(released.usage);
    control.client.close();
  }
}
