/**
 * Folders for temporary files of one running command. One that is killed cannot remove its own: the next command of the same user does, once
 * nobody uses it any more. A folder's name tells whose it is: the system's run and its set of process ids, the process, and when that started.
 */
import { createHash } from "node:crypto";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NAME = /^sluice-(?:sessions|relay)-([0-9a-f]{6})-(\d{1,10})-([0-9a-z]+)-/;

/** Makes one, and clears away what dead commands have left beside it. Throws the system's error. */
export function makeOwnFolder(purpose: "sessions" | "relay", above = tmpdir()): string {
  clearUp(above);
  return mkdtempSync(join(above, `sluice-${purpose}-${ownerMark(process.pid) ?? ""}-`));
}

/** What stands for a living process in a name; undefined for one that is not there, and where the system does not tell. */
export function ownerMark(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const startTicks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${systemMark()}-${pid}-${Number(startTicks).toString(36)}`;
  } catch {
    return undefined;
  }
}

/** Containers may share a folder for temporary files and have processes of their own. */
function systemMark(): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1");
  return createHash("sha256").update(boot).update(readlinkSync("/proc/self/ns/pid")).digest("hex").slice(0, 6);
}

/** Never throws: what cannot be removed stays. */
function clearUp(above: string): void {
  try {
    const system = systemMark();
    for (const name of readdirSync(above)) {
      const [, itsSystem, pid, start] = NAME.exec(name) ?? [];
      if (itsSystem !== system || ownerMark(Number(pid)) === `${system}-${pid}-${start}`) continue;
      const path = join(above, name);
      const entry = lstatSync(path, { throwIfNoEntry: false });
      const isOurs = entry?.isDirectory() === true && entry.uid === process.getuid?.();
      if (isOurs && !isNamed(name)) rmSync(path, { recursive: true, force: true });
    }
  } catch {
    // Another command clears up too, or the system shows no processes.
  }
}

/** Whether a process was started with the folder in its environment: a command's program may outlive it. */
function isNamed(folder: string): boolean {
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(folder);
    } catch {
      return false; // It is gone, or another user's.
    }
  });
}
