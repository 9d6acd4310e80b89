/** The lock of a state directory, between processes: who has it, and what a dead one leaves. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockState } from "../../server/state-lock.ts";
import { inTime } from "../support/wait-for.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lock-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** What a descriptor of this process is open on. */
function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // That of the listing itself.
  }
}

test("a directory is one server's until that gives it back", async () => {
  const unlock = await lockState(folder);
  await expect(lockState(folder)).rejects.toThrow(`in use by the server with the process id [${process.pid}]`);
  unlock();
  (await lockState(folder))();
});

test("a server that was killed keeps nobody out, whoever has its process id now", async () => {
  const script = `const { lockState } = await import("./server/state-lock.ts");
    await lockState(${JSON.stringify(folder)}); console.log("locked"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
  await once(child.stdout, "data");
  await expect(lockState(folder)).rejects.toThrow(`the process id [${child.pid}]`);
  child.kill("SIGKILL");
  await once(child, "exit");
  // As after a restart of the machine: the id is that of some process that runs.
  writeFileSync(join(folder, "serve.pid"), `${process.ppid}\n`);
  (await lockState(folder))();
});

test("a process that a killed server was just starting keeps the next one out until it is itself, and no longer", async () => {
  const unlock = await lockState(folder);
  // What has the server's descriptors.
  const fd = readdirSync("/proc/self/fd").find((name) => linkOf(name) === join(folder, "serve.pid"));
  const copy = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", Number(fd)] });
  await once(copy, "spawn");
  unlock();
  // Nobody has the process id 0.
  writeFileSync(join(folder, "serve.pid"), "0\n");
  const next = lockState(folder);
  await expect(inTime("nothing", next, 100)).rejects.toThrow("in vain");
  copy.kill("SIGKILL");
  (await inTime("the lock", next))();
});

test("a missing directory is made for its owner alone, and one that cannot be is told", async () => {
  const inner = join(folder, "a", "b");
  (await lockState(inner))();
  expect(statSync(inner).mode & 0o777).toBe(0o700);
  await expect(lockState(join(folder, "a", "b", "serve.pid"))).rejects.toThrow("cannot be written");
  // Where the parent is there and takes no folder.
  await expect(lockState("/proc/sluice/state")).rejects.toThrow(/cannot be written \[ENOENT/);
});
