/**
 * Where executors are found again: one folder per executor under the state directory, with its two sockets, and what is known of it as names
 * of empty files, which a full disk still takes. The daemon makes and removes the folders, the executor marks them: itself when it
 * starts, its lease in one step with taking it. The paths of the sockets go through a descriptor of the folder above, so that no state
 * directory is too deep for them.
 */
import { mkdtempSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError, wordsOf } from "../../shared/errors.ts";
import { makeFolder } from "../folder.ts";
import { formatIdentity, type ProcessIdentity, parseIdentity } from "../process-identity.ts";
import type { ExecutorUsage } from "./control-messages.ts";
import { newSender } from "./handle-passing.ts";

const FOLDER = "executors";
const CONTROL_SOCKET = "control";
const HANDLE_SOCKET = "handles";
const PROCESS_MARK = "process-";
const LEASE_MARK = "lease-";
const USAGE_MARK = "usage-";
/** In the order in which a mark has them. */
const counts = ["calls", "batches", "answers", "bytesReceived", "bytesSent", "deviceMs"] as const;
/** Of no lease yet. */
const BLANK_MARK = "blank";
const REHEARSAL_MARK = "rehearsal";

/** The sockets of one executor, by paths that are short and mean something in this process alone. */
export interface ControlPaths {
  readonly control: string;
  readonly handles: string;
}

/** An executor's folder as the last daemon left it. */
export interface FoundFolder {
  readonly name: string;
  /** Undefined where no process has come so far as to mark it. */
  readonly identity: ProcessIdentity | undefined;
  readonly leaseId: string | undefined;
  /** What its lease has used, where no daemon was there to be told. */
  readonly usage: ExecutorUsage | undefined;
}

/** All folders under one state directory. */
export class ControlFolders {
  readonly #root: string;
  readonly #rootDescriptor: number;
  /** From which handles are sent to all executors. */
  readonly sender: number;

  /** Throws SluiceError STORE_FAILED when the folder cannot be made, UNSUPPORTED on other systems than Linux. */
  constructor(stateDirectory: string) {
    this.#root = join(stateDirectory, FOLDER);
    try {
      makeFolder(this.#root);
      // Both stay open as long as the process runs.
      this.#rootDescriptor = openSync(this.#root, "r");
      this.sender = newSender();
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw new SluiceError("STORE_FAILED", `The folder [${this.#root}] fails [${wordsOf(error)}].`);
    }
  }

  /** Makes a new folder and returns its name. Throws the system's error. */
  create(): string {
    const path = mkdtempSync(join(this.#root, "e"));
    return path.slice(this.#root.length + 1);
  }

  path(name: string): string {
    return join(this.#root, name);
  }

  sockets(name: string): ControlPaths {
    const folder = `/proc/self/fd/${this.#rootDescriptor}/${name}`;
    return { control: `${folder}/${CONTROL_SOCKET}`, handles: `${folder}/${HANDLE_SOCKET}` };
  }

  /** The executor is no lease's any more, such as before it is killed: a restart will not take its death for the lease's. Never throws. */
  dropLease(name: string): void {
    tryTo(() => {
      for (const file of readdirSync(this.path(name))) {
        if (file.startsWith(LEASE_MARK)) rmSync(join(this.path(name), file), { force: true });
      }
    });
  }

  /** Never throws; an empty name is that of none. */
  remove(name: string): void {
    if (name !== "") tryTo(() => rmSync(this.path(name), { recursive: true, force: true }));
  }

  list(): FoundFolder[] {
    return readdirSync(this.#root).map((name) => this.look(name));
  }

  /** A folder as it is now; an empty one where there is none. */
  look(name: string): FoundFolder {
    const files = tryTo(() => readdirSync(this.path(name))) ?? [];
    const mark = files.find((file) => file.startsWith(PROCESS_MARK))?.slice(PROCESS_MARK.length) ?? "";
    const leaseId = files.find((file) => file.startsWith(LEASE_MARK));
    return { name, identity: parseIdentity(mark), leaseId, usage: usageIn(files) };
  }
}

/** In the executor: the folder is this process's. Throws the system's error. */
export function markProcess(folder: string, identity: ProcessIdentity): void {
  writeFileSync(join(folder, PROCESS_MARK + formatIdentity(identity)), "");
  writeFileSync(join(folder, BLANK_MARK), "");
}

/**
 * In the executor: it has this lease from now on. A lease's id begins with LEASE_MARK. By a new name for the file that `markProcess` has
 * made: to make one takes several times as long, and the first client waits. Throws the system's error.
 */
export function markLease(folder: string, leaseId: string): void {
  try {
    renameSync(join(folder, BLANK_MARK), join(folder, leaseId));
  } catch {
    writeFileSync(join(folder, leaseId), "");
  }
}

/** In the executor, which ends with no daemon there: what its lease has used. Throws the system's error. */
export function markUsage(folder: string, usage: ExecutorUsage): void {
  writeFileSync(join(folder, USAGE_MARK + counts.map((count) => usage[count]).join("-")), "");
}

function usageIn(files: readonly string[]): ExecutorUsage | undefined {
  const mark = files.find((file) => file.startsWith(USAGE_MARK))?.slice(USAGE_MARK.length);
  const numbers = mark?.split("-").map(Number) ?? [];
  if (numbers.length !== counts.length || !numbers.every(Number.isSafeInteger)) return undefined;
  return Object.fromEntries(counts.map((count, at) => [count, numbers[at]])) as Record<(typeof counts)[number], number>;
}

/** Does what `markLease` does, for no lease, and undoes it. Throws the system's error. */
export function rehearseMark(folder: string): void {
  markLease(folder, REHEARSAL_MARK);
  renameSync(join(folder, REHEARSAL_MARK), join(folder, BLANK_MARK));
}

function tryTo<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
