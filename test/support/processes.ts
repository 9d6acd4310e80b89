/** Processes of this machine, as /proc shows them: for tests about who lives and who is dead. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Ids of the processes whose parent is `pid`. */
export function childrenOf(pid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return new RegExp(`^PPid:\\s+${pid}$`, "m").test(readFileSync(`/proc/${child}/status`, "utf8"));
      } catch {
        return false; // It is gone already.
      }
    });
}

/** Those of them that are executors: a server with GPUs has other processes beside them, such as the one that watches the devices. */
export function executorChildrenOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, "utf8").includes("/executor/");
    } catch {
      return false;
    }
  });
}

/** Whether a process is there, dead but not reaped ones not counted. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** The executors that have a folder under a state directory, dead or alive, with the leases that they have. */
export function executorsOf(state: string): { readonly pid: number; readonly leaseId: string | undefined }[] {
  const root = join(state, "executors");
  return namesIn(root).flatMap((name) => {
    const files = namesIn(join(root, name));
    const mark = files.find((file) => file.startsWith("process-"));
    const leaseId = files.find((file) => file.startsWith("lease-"));
    return mark === undefined ? [] : [{ pid: Number(/\d+/.exec(mark)![0]), leaseId }];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // It is gone, or was never there.
  }
}

/** Ends the executors that a server left behind. */
export function endExecutorsOf(state: string): void {
  for (const { pid } of executorsOf(state)) killIfThere(pid);
}

/** Kills a process that may have died since it was looked for. */
export function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is dead already.
  }
}
