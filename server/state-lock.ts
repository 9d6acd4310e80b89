/**
 * One server per state directory: a file that the server which works there holds locked, with flock(2) through libc. The system ends the lock
 * with the process, however that ends, so nothing is left behind that could be taken for a server. Knows nothing of what is kept there.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { getSystemErrorName } from "node:util";
import { SluiceError, wordsOf } from "../shared/errors.ts";
import koffi from "./device/native.ts";
import { makeFolder } from "./folder.ts";

/** Holds the lock, and the process id of who has it, for people. */
const LOCK_FILE = "serve.pid";

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

/**
 * Takes the directory, made for its owner alone if it is missing; returns what gives it back.
 * @throws SluiceError STORE_FAILED when another server works there, or when it cannot be written
 */
export function lockState(directory: string): () => void {
  const file = join(directory, LOCK_FILE);
  let fd: number | undefined;
  try {
    makeFolder(directory);
    fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    if (!tryLock(fd)) {
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
