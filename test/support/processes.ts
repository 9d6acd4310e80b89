/** Processes of this machine, as /proc shows them: for tests about who lives and who is dead. */
import { readdirSync, readFileSync } from "node:fs";

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

/** Whether a process is there, dead but not reaped ones not counted. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
