/**
 * What `sluice run` gives to programs that know nothing of Sluice: the folder with the libraries of client/interposer in front of
 * LD_LIBRARY_PATH, what leads the loader there where a program has a path of its own, and the lease's data connection. The libraries come
 * from the package, or are built once where a compiler is.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, symlink } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { resolve as absolute, delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { FINGERPRINT } from "../../shared/generated/calls.ts";
import { bracketed, parseHostPort, SERVER_PORT_DEFAULT } from "../address.ts";
import { packageFolder } from "../package-folder.ts";
import { withHost } from "../transport/open.ts";
import { VERSION } from "../version.ts";

/** A folder to use instead; empty for none. */
const FOLDER_VARIABLE = "SLUICE_INTERPOSER";
const DATA_VARIABLE = "SLUICE_DATA";
/** How many devices each lease has: a program that asks no more takes no session. */
const DEVICES_VARIABLE = "SLUICE_DEVICES";
/** A folder of this user's alone, in which processes leave word of their sessions. */
const SESSIONS_VARIABLE = "SLUICE_SESSIONS";
const DRIVER_LIBRARY = "libcuda.so.1";
/** Not one that programs load, but one that the loader asks where libraries are. The build makes it last. */
const LOADER_LIBRARY = "libsluice-loader.so";
/** From this version of glibc on an auditor costs no call anything. Before, ours steps back, and yet programs would pay as TLS_TUNABLE says. */
const GLIBC_MINOR_MIN = 35;
/**
 * Under any auditor a program's libraries share what the loader keeps for thread-local data of those that come later, 1,664 bytes, which jemalloc alone exceeds. Not
 * more than this, since each thread has that part on its stack, which may be as small as 16 KiB.
 */
const TLS_TUNABLE = "glibc.rtld.optional_static_tls=";
const TLS_BYTES = 4096;
/** What ends a folder's name in the loader's lists, or stands for something there. */
const LOADER_WORDS = /[:;]|\$\{?(?:ORIGIN|LIB|PLATFORM)/;

const run = promisify(execFile);

export interface InterposerOptions {
  readonly env: NodeJS.ProcessEnv;
  /** HOST:PORT of gRPC. */
  readonly server: string;
  readonly dataEndpoints: readonly string[];
  /** Devices of each lease. */
  readonly devices: number;
  /** A plain way to a server that has none of its own; undefined where it has. */
  readonly relay?: string | undefined;
  /** The folder for word of sessions, if there is one. */
  readonly sessions?: string | undefined;
  /** Where the package has the libraries, if it has them. Default: its `dist/interposer`. */
  readonly packaged?: string;
  /** Hears what the user should know. */
  readonly tell: (words: string) => void;
}

const isComplete = (folder: string): boolean => existsSync(join(folder, LOADER_LIBRARY));

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Not by `recursive`, which Node tries for ever where the system refuses a folder although its parent is there. */
async function makeFolder(path: string): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
  try {
    await make();
  } catch (error) {
    if (codeOf(error) !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await make();
  }
}

/**
 * Builds into a folder of its own and moves that into place, so that whoever comes at the same time sees all or nothing. Under names of links, since
 * make takes no folder with a space in its name.
 */
async function build(target: string): Promise<void> {
  await makeFolder(dirname(target));
  const work = await mkdtemp(`${target}-`);
  const links = await mkdtemp(join(tmpdir(), "sluice-build-"));
  const [source, out] = [join(links, "source"), join(links, "out")];
  try {
    await symlink(join(packageFolder, "client/interposer"), source);
    await symlink(work, out);
    await run("make", ["--silent", "-j2", "-f", join(source, "Makefile"), `OUT=${out}`, "WARNINGS="]);
    await rm(join(work, "objects"), { recursive: true, force: true });
    await rename(work, target);
  } catch (error) {
    if (!isComplete(target)) throw error;
  } finally {
    for (const each of [work, links]) await rm(each, { recursive: true, force: true });
  }
}

/** Why there are no libraries, and what would help. */
function reasonOf(error: unknown, target: string): string {
  const { syscall = "", stderr = "" } = error as { syscall?: string; stderr?: string };
  if (syscall.startsWith("spawn")) return "there is no [make] here; they need make and a C compiler.";
  if (syscall !== "") {
    return `they are kept in [${dirname(target)}], which cannot be written [${codeOf(error)}]; XDG_CACHE_HOME names another folder.`;
  }
  const [said = ""] = stderr.split("\n").filter((line) => /error|not found|no such/i.test(line));
  return `their build fails [${said.trim()}]; they need make and a C compiler.`;
}

/** The libraries' folder; undefined where there is none and none can be built, which `tell` hears. */
async function findFolder({ env, packaged, tell }: InterposerOptions): Promise<string | undefined> {
  if (process.platform !== "linux") return undefined;
  const given = env[FOLDER_VARIABLE];
  if (given === "") return undefined;
  if (given !== undefined) {
    const folder = absolute(given);
    if (existsSync(join(folder, DRIVER_LIBRARY))) return folder;
    tell(`CUDA programs find no device: the folder [${folder}] of ${FOLDER_VARIABLE} has no [${DRIVER_LIBRARY}].`);
    return undefined;
  }
  const shipped = packaged ?? join(packageFolder, "dist/interposer");
  if (isComplete(shipped)) return shipped;
  const caches = env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const cached = join(caches, "sluice", `interposer-${VERSION}-${FINGERPRINT}`);
  if (isComplete(cached)) return cached;
  tell("Building the libraries for CUDA programs, once for this version ...");
  try {
    await build(cached);
    return cached;
  } catch (error) {
    tell(
      `CUDA programs that do not use Sluice's library find no device, for want of its own: ${reasonOf(error, cached)}`,
    );
    return undefined;
  }
}

/** A list with this in front, once. */
const listed = (first: string, list = ""): string =>
  [first, ...list.split(delimiter).filter((item) => item !== first && item !== "")].join(delimiter);

/** Whether an auditor leads programs on this machine: they may bring another C library, but those that do are few. */
async function takesAuditors(): Promise<boolean> {
  try {
    const { stdout } = await run("getconf", ["GNU_LIBC_VERSION"]);
    const [, major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(stdout) ?? []).map(Number);
    return major > 2 || minor >= GLIBC_MINOR_MIN;
  } catch (error) {
    return codeOf(error) === "ENOENT";
  }
}

/** What leads the loader to these libraries where a program has a path of its own. */
async function leadVariables(folder: string, env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  const loader = join(folder, LOADER_LIBRARY);
  // The loader complains of one that is not there in every process.
  if (!existsSync(loader) || !(await takesAuditors())) return {};
  const given = env["GLIBC_TUNABLES"] ?? "";
  const tunables = given.includes(TLS_TUNABLE) ? given : listed(`${TLS_TUNABLE}${TLS_BYTES}`, given);
  return { LD_AUDIT: listed(loader, env["LD_AUDIT"]), GLIBC_TUNABLES: tunables };
}

/** The variables that let an unmodified CUDA program work under the lease; none where that is not possible. */
export async function interposerEnvironment(options: InterposerOptions): Promise<NodeJS.ProcessEnv> {
  const folder = await findFolder(options);
  const { host } = parseHostPort(options.server, SERVER_PORT_DEFAULT);
  // The libraries try the socket of the host first and fall back to TCP, which works from wherever the program runs, or to a relay.
  const endpoints = ["unix://", "tcp://"].flatMap((scheme) => {
    const endpoint = options.dataEndpoints.find((each) => each.startsWith(scheme) && !each.includes(" "));
    return endpoint === undefined ? [] : [withHost(endpoint, bracketed(host))];
  });
  if (options.relay !== undefined) endpoints.push(options.relay);
  if (folder === undefined || endpoints.length === 0) return {};
  const [word] = LOADER_WORDS.exec(folder) ?? [];
  if (word !== undefined) {
    options.tell(
      `CUDA programs find no device: their libraries are in [${folder}], and the system's loader takes no folder with [${word}] in its name. ${FOLDER_VARIABLE} names another, such as a copy.`,
    );
    return {};
  }
  return {
    [DATA_VARIABLE]: endpoints.join(" "),
    [DEVICES_VARIABLE]: String(options.devices),
    ...(options.sessions === undefined ? {} : { [SESSIONS_VARIABLE]: options.sessions }),
    LD_LIBRARY_PATH: listed(folder, options.env["LD_LIBRARY_PATH"]),
    ...(await leadVariables(folder, options.env)),
  };
}
