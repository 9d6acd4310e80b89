/**
 * Real executors whose daemon goes at an instant that no test of a whole server meets often: behind its first words to one that still
 * starts, and between a client's socket and the word what it is for. The test is the daemon.
 */
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { noUsage } from "../../server/control/lease-record.ts";
import type { ControlFolders } from "../../server/executor/control-folder.ts";
import type { ExecutorProcess } from "../../server/executor/executor-process.ts";
import { sendHandle } from "../../server/executor/handle-passing.ts";
import { joinedSockets } from "../../server/session/socket-pair.ts";
import { Store } from "../../server/store/store.ts";
import { childrenOf, endExecutorsOf, killIfThere } from "../support/processes.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const built = `${process.cwd()}/dist/modules/server`;
const { ControlFolders: Folders } = (await import(
  `${built}/executor/control-folder.js`
)) as typeof import("../../server/executor/control-folder.ts");
const { ExecutorProcess: Process } = (await import(
  `${built}/executor/executor-process.js`
)) as typeof import("../../server/executor/executor-process.ts");
const { findLastRun } = (await import(`${built}/restart.js`)) as typeof import("../../server/restart.ts");

let state: string;
let folders: ControlFolders;
let pid: number;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "sluice-daemons-"));
  folders = new Folders(state);
});

afterEach(() => {
  killIfThere(pid);
  endExecutorsOf(state);
  rmSync(state, { recursive: true, force: true });
});

/** An executor that is told of its lease, whether or not it is there to hear it. */
function start(): ExecutorProcess {
  const before = new Set(childrenOf(process.pid));
  const executor = Process.start(folders);
  pid = childrenOf(process.pid).find((child) => !before.has(child))!;
  const terms = { slices: [], usage: noUsage, kernelTimeoutMs: 0, orphanTimeoutMs: 60_000 };
  executor.send({ kind: "assign", leaseId: "lease-1", ...terms });
  return executor;
}

const descriptorOf = (socket: Socket): number => (socket as unknown as { _handle: { fd: number } })._handle.fd;

test("a client whose connection came without a word what it is for is cut off when the daemon is gone, and does not wait in vain", async () => {
  const executor = start();
  await waitFor("its lease", () => folders.list()[0]?.leaseId === "lease-1");
  const [client, passed] = joinedSockets();
  const closed = new Promise<void>((resolve) => client.once("close", resolve));
  client.resume();
  const { handles } = folders.sockets(folders.list()[0]!.name);
  sendHandle({ sender: folders.sender, path: handles, fd: descriptorOf(passed), tag: Buffer.from("proof") });
  passed.destroy();
  executor.leave();
  await inTime("the cut", closed);
  expect(folders.list()[0]!.leaseId).toBe("lease-1");
});

test("an executor that still starts when its daemon is gone is found by the next one, with the lease that it has got meanwhile", async () => {
  const executor = start();
  process.kill(pid, "SIGSTOP");
  expect(folders.list()).toMatchObject([{ identity: undefined, leaseId: undefined }]);
  // What it was told is on its way.
  await new Promise((resolve) => setImmediate(resolve));
  executor.leave();
  const store = new Store(state, (error) => {
    throw error;
  });
  try {
    const lease = { id: "lease-1", tenant: "a", name: "", detached: false, requestedAt: 1, grantedAt: 2, slices: [] };
    store.saveLease(lease, { secret: new Uint8Array(32) });
    const log = pino({ level: "silent" });
    const next = findLastRun({ folders: new Folders(state), store, now: 3, usageHalfLifeMs: 1_000, log });
    await expect(inTime("nothing", next, 100)).rejects.toThrow("in vain");
    process.kill(pid, "SIGCONT");
    const { executors, state: restored } = await inTime("the executor", next);
    expect([...executors.keys()]).toEqual(["lease-1"]);
    expect(restored.leases).toMatchObject([{ lease: { id: "lease-1" } }]);
    expect(restored.leases[0]!.failure).toBeUndefined();
    executors.get("lease-1")!.kill();
    await inTime("its end", executors.get("lease-1")!.exited);
  } finally {
    store.close();
  }
});
