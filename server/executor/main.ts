/**
 * The executor process: owns the device contexts of one lease and runs its calls. Started by a daemon only, in a process group of its own,
 * and outlives it while it has a lease. It lives by the messages of control-messages.ts, and leaves signals to the daemon.
 * Its argument is its folder (control-folder.ts); its third and fourth descriptor are the sockets in it.
 */
import { existsSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { identityOf } from "../process-identity.ts";
import { markLease, markProcess, markUsage, rehearseMark } from "./control-folder.ts";
import { DaemonChannel } from "./daemon-channel.ts";
import { deliverTo } from "./delivery.ts";
import { Executor } from "./executor.ts";
import { closeHandles, prepareHandles } from "./handle-passing.ts";
import { rehearse } from "./rehearsal.ts";

/** How often the daemon hears what the lease costs. */
const USAGE_INTERVAL_MS = 1_000;

/** A daemon connects at once to what it starts; if it does not, it died. */
const FIRST_DAEMON_MS = 30_000;

const LISTENER = 3;
const HANDLES = 4;

// What V8 may put into one function of others; by default 920. The path of a call then is 10 % shorter.
setFlagsFromString("--max-inlined-bytecode-size-cumulative=4000");

const [, , folder = ""] = process.argv;

// The daemon's stderr may end before this process does, and that is no reason to.
for (const output of [process.stdout, process.stderr]) output.on("error", () => {});
// A terminal's Ctrl-C and a service manager's stop reach every process: the daemon alone decides when this one ends.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("SIGHUP", () => {});

const executor = new Executor({
  send: (message) => channel.send(message),
  onAssigned: (leaseId) => {
    try {
      markLease(folder, leaseId);
    } catch (error) {
      // A daemon that saw nobody in the folder has removed it, and would lend the lease's memory again.
      if (!existsSync(folder)) fail(error);
      // The next daemon then has only this process's word for it.
      console.error(error);
    }
  },
  onOrphaned: (usage) => markUsage(folder, usage),
  savesIn: folder,
  onFailed: () => void leave(),
  rehearse: (wanted) => rehearse({ wanted, onAssigned: () => rehearseMark(folder) }),
});

const fail = (error: unknown): void => {
  console.error(error);
  process.exit(1);
};

const leave = async (): Promise<void> => {
  await channel.close();
  // Nothing is left to do, and the memory waits: the runtime would take milliseconds to take itself apart.
  process.kill(process.pid, "SIGKILL");
};

let orphaned: NodeJS.Timeout | undefined = setTimeout(() => process.exit(0), FIRST_DAEMON_MS);

const deliver = deliverTo(executor, HANDLES);

const channel = new DaemonChannel({
  listener: LISTENER,
  onConnected: () => {
    clearTimeout(orphaned);
    executor.greet();
  },
  onMessage: (message) => {
    deliver(message).catch(fail);
  },
  // What it handed over and did not say for what, nobody else will.
  onGone: () => closeHandles(HANDLES),
  onLost: () => {
    const { orphanTimeoutMs } = executor;
    // A spare ends with its daemon.
    if (orphanTimeoutMs === undefined) process.exit(0);
    orphaned = setTimeout(() => {
      executor.endOrphaned().then(leave, fail);
    }, orphanTimeoutMs);
  },
});

// The first client must not wait for it.
prepareHandles();
const identity = identityOf(process.pid);
if (identity !== undefined) markProcess(folder, identity);
setInterval(() => {
  executor.reportUsage();
  executor.reportActivity();
}, USAGE_INTERVAL_MS).unref();
