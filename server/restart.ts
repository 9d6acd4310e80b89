/**
 * What a server finds of the one before it: executors that run on, and what the store has of leases and requests. Brings both together before
 * any door is open. Decides nothing about who gets what.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { SluiceError } from "../shared/errors.ts";
import type { RestoredLease, RestoredState } from "./control/restored-state.ts";
import type { ControlFolders, FoundFolder } from "./executor/control-folder.ts";
import type { ExecutorUsage } from "./executor/control-messages.ts";
import { ExecutorProcess, type Hello } from "./executor/executor-process.ts";
import { isThere } from "./process-identity.ts";
import { isListenedAt } from "./session/local-socket.ts";
import { decayedUsage } from "./store/ledger.ts";
import type { OpenLease, Store } from "./store/store.ts";

/** How long a start waits for executors to say where they stand. One that is busy for longer is taken up all the same, as busy. */
const HELLO_MS_MAX = 2_000;

/** How long an executor may take to come so far as to mark its folder. */
const MARK_MS_MAX = 30_000;
const MARK_POLL_MS = 10;

/** How long a killed process may take to die before the start is given up: a driver may hold it up. */
const DEATH_MS_MAX = 30_000;

/** An executor that runs. */
interface Found {
  readonly executor: ExecutorProcess;
  /** By its folder, or by its own word; undefined for a spare, and for one that was to end. */
  readonly leaseId: string | undefined;
  /** Its own word, whatever becomes of it. */
  readonly hello: Hello | undefined;
}

export interface RestartOptions {
  readonly folders: ControlFolders;
  readonly store: Store;
  readonly now: number;
  /** In which use of the past comes to count half. */
  readonly usageHalfLifeMs: number;
  readonly log: Logger;
}

export interface LastRun {
  readonly state: RestoredState;
  /** By their leases, which are all in the state. */
  readonly executors: ReadonlyMap<string, ExecutorProcess>;
}

/**
 * Finds the executors of the last run, ends those without a lease, and returns the leases, requests and use that the store has.
 * @throws SluiceError EXECUTOR_FAILED when one that must end does not
 */
export async function findLastRun({ folders, store, now, usageHalfLifeMs, log }: RestartOptions): Promise<LastRun> {
  const folderList = await Promise.all(folders.list().map((folder) => marked(folders, folder)));
  const found = await Promise.all(folderList.flatMap((folder) => findExecutor(folders, folder) ?? []));
  storeUse(store, found, folderList);
  const open = new Map(store.openLeases().map((lease) => [lease.lease.id, lease]));
  const executors = new Map<string, ExecutorProcess>();
  const ends: Promise<void>[] = [];
  for (const { executor, leaseId } of found) {
    if (leaseId !== undefined && open.has(leaseId) && !executors.has(leaseId)) executors.set(leaseId, executor);
    else {
      if (leaseId !== undefined) log.warn({ lease: leaseId }, "An executor without a lease is ended");
      ends.push(seeDead(executor));
    }
  }
  await Promise.all(ends);
  const lost = new Set(folderList.flatMap(({ leaseId }) => leaseId ?? []).filter((id) => !executors.has(id)));
  for (const { name, identity } of folderList) {
    // Those of executors that were seen dead are gone already.
    if (identity === undefined || !isThere(identity)) folders.remove(name);
  }
  if (open.size + executors.size > 0)
    if (open.size > 0) log.info({ leases: open.size, executors: executors.size }, "Takes up the last run");
  const state = {
    leases: [...open.values()].map((lease) => restored(lease, lost.has(lease.lease.id))),
    // One without an id nobody can ask for again.
    requests: store.openRequests().filter(({ requestId }) => requestId !== ""),
    usage: decayedUsage(store, { now, halfLifeMs: usageHalfLifeMs }),
  };
  return { state, executors };
}

/**
 * The folder, once its process has marked it: one that has just been started has yet to, and may already have been told whose it is. Where nobody
 * listens there is no process. One that takes too long finds its folder gone, and ends.
 */
async function marked(folders: ControlFolders, folder: FoundFolder): Promise<FoundFolder> {
  const { name } = folder;
  const deadline = performance.now() + MARK_MS_MAX;
  for (let now = folder; ; now = folders.look(name)) {
    const isOver = now.identity !== undefined || performance.now() >= deadline;
    if (isOver || !(await isListenedAt(folders.sockets(name).control))) return now;
    await pause(MARK_POLL_MS);
  }
}

/** An executor that runs, by its folder, once it has said where it stands or takes too long for that. */
function findExecutor(folders: ControlFolders, folder: FoundFolder): Promise<Found> | undefined {
  const { identity } = folder;
  if (identity === undefined || !isThere(identity)) return undefined;
  const executor = ExecutorProcess.find(folders, { ...folder, identity });
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, HELLO_MS_MAX, undefined).unref());
  return Promise.race([executor.hello, late]).then((hello) => ({ executor, hello, leaseId: leaseOf(folder, hello) }));
}

function leaseOf(folder: FoundFolder, hello: Hello | undefined): string | undefined {
  if (hello === undefined) return folder.leaseId;
  // The last server had taken the lease from it, to end it or to replace it.
  return hello.isLast && folder.leaseId === undefined ? undefined : hello.leaseId;
}

/**
 * Stores what executors say that their leases have used, or have left in their folders when they ended alone, before one of them is ended: the last server may have died before it heard. Of several
 * executors of one lease the later ones count on from the earlier ones.
 */
function storeUse(store: Store, found: readonly Found[], folders: readonly FoundFolder[]): void {
  const words = [...found.map(({ hello }) => hello), ...folders];
  for (const { lease, usage } of store.openLeases()) {
    const told = words.flatMap((word) => (word?.leaseId === lease.id ? (word.usage ?? []) : []));
    if (told.length > 0) store.saveUsage(lease.id, most([usage, ...told]));
  }
  store.flush();
}

/** All of it only grows. */
const most = (usages: readonly ExecutorUsage[]): ExecutorUsage => {
  const largest = (count: keyof ExecutorUsage): number => Math.max(...usages.map((usage) => usage[count]));
  return {
    calls: largest("calls"),
    batches: largest("batches"),
    answers: largest("answers"),
    bytesReceived: largest("bytesReceived"),
    bytesSent: largest("bytesSent"),
    deviceMs: largest("deviceMs"),
  };
};

/** Kills an executor and resolves when its memory is free. */
async function seeDead(executor: ExecutorProcess): Promise<void> {
  executor.kill();
  const late = new Promise<"late">((resolve) => setTimeout(resolve, DEATH_MS_MAX, "late").unref());
  if ((await Promise.race([executor.exited, late])) !== "late") return;
  throw new SluiceError("EXECUTOR_FAILED", `An executor of the last run does not die within [${DEATH_MS_MAX}] ms.`);
}

function restored({ lease, secret, requestId, usage }: OpenLease, isExecutorLost: boolean): RestoredLease {
  const known = { lease, requestId, usage, secret: secret === undefined ? undefined : Buffer.from(secret) };
  if (secret !== undefined && !isExecutorLost) return known;
  const message = isExecutorLost
    ? `The executor of the lease [${lease.id}] died while no server was there.`
    : `The lease [${lease.id}] is of a version of the server that did not store its secret.`;
  return { ...known, failure: { code: isExecutorLost ? "EXECUTOR_FAILED" : "LEASE_ENDED", message } };
}
