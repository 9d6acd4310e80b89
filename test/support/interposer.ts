/**
 * The interposer in tests: builds it (one build at a time, whoever asks), compiles programs against it, and runs them under a lease
 * of their own, or one after the other under one, with the environment that `sluice run` gives.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { formatLeaseKeys } from "../../client/environment.ts";
import type { Usage__Output } from "../../proto/generated/sluice/v1/Usage.ts";
import { MiB, RawControl, type RawLease } from "./raw-client.ts";
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

/** How this process has compiled each, which it does once. */
const compiled = new Map<string, string>();

/** Compiles one program of test/interposer, in C or CUDA C, or links what was compiled of CUDA C, and returns its path. */
export function compileProgram(
  source: string,
  options: { flags?: readonly string[]; suffix?: string; libraries?: string } = {},
): string {
  const isCuda = /\.(cu|o)$/.test(source);
  const folder = join(programs, isCuda ? "cuda" : "driver");
  mkdirSync(folder, { recursive: true });
  const target = join(folder, basename(source).replace(/\.(cu?|o)$/, "") + (options.suffix ?? ""));
  const how = JSON.stringify([source, options]);
  if (compiled.get(target) === how) return target;
  // Another test may run, or make, the same program now.
  const made = `${target}.${process.pid}`;
  const flags = options.flags ?? [];
  if (isCuda) {
    execFileSync("nvcc", ["-cudart", "shared", ...flags, "-o", made, source], { stdio: "pipe" });
  } else {
    // To compile takes longer than to run, and twice as long with optimization.
    const warnings = ["-std=gnu11", "-O0", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"];
    const libraries = [`-L${options.libraries ?? interposerFolder}`, "-l:libcuda.so.1"];
    execFileSync("cc", [...warnings, "-o", made, source, ...libraries, ...flags], { stdio: "pipe" });
  }
  renameSync(made, target);
  compiled.set(target, how);
  return target;
}

/**
 * Writes one source of many programs in CUDA C: the first argument is the name of the program that it is to be, without `.cu`. Most of what nvcc
 * does for a small program is to read CUDA's headers. They come first here, and behind them each program has a namespace of its own.
 */
export function bundle(sources: readonly string[], target: string): void {
  const includes = new Set<string>();
  const bodies: string[] = [];
  const choices: string[] = [];
  for (const source of sources) {
    const text = readFileSync(source, "utf8");
    for (const [, name] of text.matchAll(/^#include (.+)$/gm))
      includes.add(`#include ${name!.replace(/(?<=^").+(?=")/, (own) => resolve(dirname(source), own))}`);
    const name = basename(source, ".cu");
    const space = `program_${name.replaceAll("-", "_")}`;
    const macros = [...text.matchAll(/^#define (\w+)/gm)].map(([, macro]) => `#undef ${macro}`);
    bodies.push(`namespace ${space} {`, `#include "${resolve(source)}"`, "}", ...macros);
    choices.push(
      `    if (strcmp(arguments[1], "${name}") == 0) return start(${space}::program, count - 1, arguments + 1);`,
    );
  }
  const lines = [
    ...includes,
    "#define main program",
    ...bodies,
    "#undef main",
    "static int start(int (*program)(), int, char **) { return program(); }",
    "static int start(int (*program)(int, char **), int count, char **arguments) { return program(count, arguments); }",
    "int main(int count, char **arguments) {",
    ...choices,
    "    return 2;",
    "}",
  ];
  writeFileSync(target, `${lines.join("\n")}\n`);
}

/** A lease of a test's own, under which programs run one after the other. */
export interface Borrowed {
  readonly lease: RawLease;
  readonly control: RawControl;
  /** The folder in which its programs leave word of their sessions. */
  readonly sessions: string;
  /** Gives it back, and tells what the programs have used. */
  release(): Promise<Usage__Output | undefined>;
}

/** Options of a server whose leases outlive compilers, for which this process stands still and sends no heartbeats. */
export const waitingForCompilers = ["--heartbeat-timeout", "10m"];

/** 256 MiB of one device if nothing else is said. */
export async function borrow(
  server: TestServer,
  { memoryBytes = 256 * MiB, devices = 1 }: { readonly memoryBytes?: number; readonly devices?: number } = {},
): Promise<Borrowed> {
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ memoryBytes, devices, name: "program" });
  const hold = control.hold(lease);
  const sessions = mkdtempSync(join(tmpdir(), "sluice-sessions-"));
  const release = async () => {
    hold.stop();
    rmSync(sessions, { recursive: true });
    const released = await control.release(lease.id, lease.secret).catch(() => undefined);
    control.client.close();
    return released?.usage ?? undefined;
  };
  return { lease, control, sessions, release };
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
  /** One that outlives the program; without it, it has one for itself, of so much memory of so many devices. */
  readonly borrowed?: Borrowed;
  readonly memoryBytes?: number;
  readonly devices?: number;
  /** After this it is killed. */
  readonly msMax?: number;
  /** Called once the program has printed something. */
  readonly onOutput?: (control: RawControl, lease: { id: string; secret: Uint8Array }) => void | Promise<void>;
  /** Called at the end with what the program's calls have cost. */
  readonly onUsage?: (usage: Usage__Output) => void;
}

/** Runs a command under a lease and returns when it has ended; one that takes too long is killed. */
export async function runProgram(options: ProgramOptions): Promise<FinishedProgram> {
  const { server, command, libraries = interposerFolder } = options;
  const borrowed = options.borrowed ?? (await borrow(server, options));
  const { lease, control, sessions } = borrowed;
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
    if (options.borrowed === undefined) {
      const usage = await borrowed.release();
      if (usage !== undefined) options.onUsage?.(usage);
    }
  }
}
