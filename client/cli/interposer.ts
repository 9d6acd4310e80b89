/**
 * What `sluice run` gives to programs that know nothing of Sluice: the folder with the libraries of client/interposer in front of
 * LD_LIBRARY_PATH, what leads the loader there where a program has a path of its own, and the lease's data connection. The libraries come
 * from the package, or are built once where a compiler is.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { FINGERPRINT } from "../../shared/generated/calls.ts";
import { bracketed, parseHostPort, SERVER_PORT_DEFAULT } from "../address.ts";
import { withHost } from "../transport/open.ts";
import { VERSION } from "../version.ts";

/** A folder to use instead; empty for none. */
const FOLDER_VARIABLE = "SLUICE_INTERPOSER";
const DATA_VARIABLE = "SLUICE_DATA";
/** How many devices each lease has: a program that asks no more takes no session. */
const DEVICES_VARIABLE = "SLUICE_DEVICES";
/** A folder of this user's alone, in which processes leave word of their sessions. */
const SESSIONS_VARIABLE = "SLUICE_SESSIONS";
/** Not one that programs load, but one that the loader asks where libraries are. The build makes it last. */
const LOADER_LIBRARY = "libsluice-loader.so";

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

const packageFolder = dirname(createRequire(import.meta.url).resolve("sluice/package.json"));
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

/** Builds into a folder of its own and moves that into place, so that whoever comes at the same time sees all or nothing. */
async function build(target: string): Promise<void> {
  await makeFolder(dirname(target));
  const work = await mkdtemp(`${target}-`);
  try {
    const make = ["--silent", "-j2", "-C", join(packageFolder, "client/interposer"), `OUT=${work}`, "WARNINGS="];
    await promisify(execFile)("make", make);
    await rm(join(work, "objects"), { recursive: true, force: true });
    await rename(work, target);
  } catch (error) {
    if (!isComplete(target)) throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
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
  if (given !== undefined) return given === "" ? undefined : given;
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
  const loader = join(folder, LOADER_LIBRARY);
  return {
    [DATA_VARIABLE]: endpoints.join(" "),
    [DEVICES_VARIABLE]: String(options.devices),
    ...(options.sessions === undefined ? {} : { [SESSIONS_VARIABLE]: options.sessions }),
    LD_LIBRARY_PATH: listed(folder, options.env["LD_LIBRARY_PATH"]),
    // The loader complains of one that is not there in every process.
    ...(existsSync(loader) ? { LD_AUDIT: listed(loader, options.env["LD_AUDIT"]) } : {}),
  };
}
