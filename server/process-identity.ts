/**
 * Which process it is that has a process id: ids are used again, so an identity is the id, when the process started, and in which run of
 * the system. Reads /proc, and knows nothing of what the process does.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in clock ticks since the system did. */
  readonly startTicks: string;
  /** The first digits of the id of the system's run. */
  readonly boot: string;
}

const BOOT_DIGITS = 8;

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, BOOT_DIGITS);
  } catch {
    return "unknown"; // Hidden from some containers.
  }
}

/** Fields of /proc/PID/stat from the third on: those before end with the name, which may hold anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** Dead but not reaped, with all of its threads: it holds no memory any more. */
function isZombie(pid: number, state: string | undefined): boolean {
  if (state !== "Z" && state !== "X") return false;
  try {
    return readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

/** The identity of a process that is there; undefined for one that is not. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTicks = statOf(pid)?.[19];
  return startTicks === undefined ? undefined : { pid, startTicks, boot: bootId() };
}

/** Whether that very process is there and holds its memory. */
export function isThere({ pid, startTicks, boot }: ProcessIdentity): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat[19] === startTicks && boot === bootId() && !isZombie(pid, stat[0]);
}

/** As text without spaces and slashes, for a file's name. */
export const formatIdentity = ({ pid, startTicks, boot }: ProcessIdentity): string => `${pid}.${startTicks}.${boot}`;

export function parseIdentity(text: string): ProcessIdentity | undefined {
  const match = /^(\d{1,10})\.(\d{1,20})\.(\w+)$/.exec(text);
  return match === null ? undefined : { pid: Number(match[1]), startTicks: match[2]!, boot: match[3]! };
}
