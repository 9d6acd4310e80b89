/**
 * One server per state directory: a file with the process id of the server that works there. What a dead server left behind is
 * taken over. Knows nothing of what is kept in the directory.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError, toSluiceError } from "../shared/errors.ts";

const LOCK_FILE = "serve.pid";

/**
 * Takes the directory, made for its owner alone if it is missing; returns what gives it back.
 * @throws SluiceError STORE_FAILED when another server works there, or when it cannot be written
 */
export function lockState(directory: string): () => void {
  const file = join(directory, LOCK_FILE);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (let attempt = 0; ; attempt++) {
      if (create(file)) return () => rmSync(file, { force: true });
      const owner = Number.parseInt(readFileSync(file, "utf8"), 10);
      // A number of our own was left by a server that had it before a restart of the machine.
      if (attempt > 0 || (owner !== process.pid && isAlive(owner))) {
        throw new SluiceError(
          "STORE_FAILED",
          `The state directory [${directory}] is in use by the server with the process id [${owner}], says [${file}].`,
        );
      }
      rmSync(file, { force: true });
    }
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError(
      "STORE_FAILED",
      `The state directory [${directory}] cannot be written [${toSluiceError(error).message}].`,
    );
  }
}

/** False when the file is there already. */
function create(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid}\n`, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Of another user is alive too.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
