/**
 * What a server finds of the one before it: executors that run on, and what the store has of leases and requests. Brings both together before
 * any door is open. Decides nothing about who gets what.
 */
import type { Logger } from "pino";
import { SluiceError } from "../shared/errors.ts";
import type { ControlFolders } from "./executor/control-folder.ts";
import { ExecutorProcess } from "./executor/executor-process.ts";

/** How long a killed process may take to die before the start is given up: a driver may hold it up. */
const DEATH_MS_MAX = 30_000;

/** Kills an executor and resolves when its memory is free. Throws SluiceError EXECUTOR_FAILED when it does not die. */
async function seeDead(executor: ExecutorProcess): Promise<void> {
  executor.kill();
  const timeout = new Promise<"late">((resolve) => setTimeout(resolve, DEATH_MS_MAX, "late").unref());
  if ((await Promise.race([executor.exited, timeout])) !== "late") return;
  throw new SluiceError("EXECUTOR_FAILED", `An executor of the last run does not die within [${DEATH_MS_MAX}] ms.`);
}

/** Ends every executor of an earlier server. */
export async function endFoundExecutors(folders: ControlFolders, log: Logger): Promise<void> {
  const ends: Promise<void>[] = [];
  for (const { name, identity, leaseId } of folders.list()) {
    if (identity === undefined) {
      // It never came so far as to have a lease, and ends without a daemon.
      folders.remove(name);
      continue;
    }
    if (leaseId !== undefined) log.warn({ lease: leaseId }, "An executor without a lease is ended");
    ends.push(seeDead(ExecutorProcess.find(folders, { name, identity, leaseId })));
  }
  await Promise.all(ends);
}
