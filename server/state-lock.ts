/**
 * One server per state directory: a file that the server which works there holds locked, with flock(2) through libc. The system ends the lock
 * with the process, however that ends, so nothing is left behind that could be taken for a server. A process that one which was killed was just
 * starting has all that its parent had, the lock and the ports too, until it is itself. Knows nothing of what is kept there.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { SluiceError, wordsOf } from "../shared/errors.ts";
import koffi from "./device/native.ts";
import { makeFolder } from "./folder.ts";
import { identityOf, isThere } from "./process-identity.ts";

/** Holds the lock, and the process id of who has it, for people. */
const LOCK_FILE = "serve.pid";

/** How long a lock may outlast its server: a quarter of a second was seen on a machine that had ten times as much to do as it could. */
const OUTLAST_MS_MAX = 5_000;
const POLL_MS = 10;

const LOCK_EXCLUSIVE = 2;
const LOCK_AT_ONCE = 4;

/** False when another process has the lock. */
function tryLock(fd: number): boolean {
  const flock = koffi.load(null).func("flock", "int", ["int", "int"]);
  if (flock(fd, LOCK_EXCLUSIVE | LOCK_AT_ONCE) === 0) return true;
  const code = getSystemErrorName(-koffi.errno());
  if (code === "EAGAIN") return false;
  throw new Error(`flock fails [${code}]`);
}

/** Whether the process that says that it has the lock is there. */
function isHeld(file: string): boolean {
  const identity = identityOf(Number(readFileSync(file, "utf8")));
  return identity !== undefined && isThere(identity);
}

/**
 * Takes the directory, made for its owner alone if it is missing; returns what gives it back.
 * @throws SluiceError STORE_FAILED when another server works there, or when it cannot be written
 */
export async function lockState(directory: string): Promise<() => void> {
  const file = join(directory, LOCK_FILE);
  let fd: number | undefined;
  try {
    makeFolder(directory);
    fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    for (const deadline = performance.now() + OUTLAST_MS_MAX; !tryLock(fd); await pause(POLL_MS)) {
      if (!isHeld(file) && performance.now() < deadline) continue;
      throw new SluiceError(
        "STORE_FAILED",
        `The state directory [${directory}] is in use by the server with the process id [${readFileSync(file, "utf8").trim()}], says [${file}].`,
      );
    }
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`);
    const locked = fd;
    return () => closeSync(locked);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (error instanceof SluiceError) throw error;
    throw new SluiceError("STORE_FAILED", `The state directory [${directory}] cannot be written [${wordsOf(error)}].`);
  }
}
