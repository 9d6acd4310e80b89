/**
 * Takes out of what the check tells whatever names a machine, a person or a place, so that it can be sent in as it is. Knows no file and no card; what
 * this machine is called comes from `namesHere`.
 */
import { createHash } from "node:crypto";
import { homedir, hostname, networkInterfaces, userInfo } from "node:os";

/** Texts that must not be told, and what is told instead. */
export type Names = readonly (readonly [text: string, instead: string])[];

/** Shorter ones are words of other meanings too. */
const NAME_CHARACTERS_MIN = 3;
const commonNames = new Set(["root", "user", "localhost", "nobody", "node", "ubuntu"]);

/** What this machine, its user and its addresses are called. */
export function namesHere(): Names {
  const host = hostname();
  const names: (readonly [string, string])[] = [[homedir(), "~"]];
  for (const name of [host, host.split(".")[0]!]) names.push([name, "HOST"]);
  try {
    names.push([userInfo().username, "USER"]);
  } catch {
    // A user without a name.
  }
  for (const { address, mac, internal } of Object.values(networkInterfaces()).flatMap((each) => each ?? []))
    if (!internal) names.push([address, "ADDRESS"], [mac, "ADDRESS"]);
  return names.filter(([text]) => text.length >= NAME_CHARACTERS_MIN && !commonNames.has(text));
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** The same card has the same one everywhere, and nobody finds the UUID by it. */
const hashed = (uuid: string): string =>
  `#${createHash("sha256").update(uuid.toLowerCase()).digest("hex").slice(0, 8)}`;

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
/** Lines of `nvidia-smi -q` about one card among all, or about what others run there. */
const TELLING = /^([ \t]*(?:Serial Number|Chassis Serial Number|.*GUID|Process ID|Name)[ \t]*:).*$/gim;
/** What `nvidia-smi` draws of processes is its last box. */
const PROCESSES = /^\|\s*Processes:[\s\S]*$/m;
/** Folders that every machine has. Of any other path the last name is told. */
const PATH =
  /(?<![\w.~:/-])\/(?!(?:usr|lib|lib64|bin|sbin|proc|sys|dev|etc|tmp|opt\/nvidia|opt\/conda)\b)(?:[\w.@+~-]+\/)+([\w.@+~-]+)/g;

/** A text without what names somebody. */
export function withoutNames(text: string, names: Names): string {
  let told = text.replace(PROCESSES, "").replace(TELLING, "$1 left out").replace(UUID, hashed);
  for (const [name, instead] of names)
    told = told.replace(new RegExp(`(?<![\\w-])${escaped(name)}(?![\\w-])`, "g"), instead);
  return told.replace(PATH, "…/$1");
}

/** The same for every text in a value, however deep. */
export function withoutNamesIn<T>(value: T, names: Names): T {
  if (typeof value === "string") return withoutNames(value, names) as T;
  if (Array.isArray(value)) return value.map((each) => withoutNamesIn(each, names)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutNamesIn(each, names)])) as T;
}
