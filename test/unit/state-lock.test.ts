/** The lock of a state directory, between processes: who has it, and what a dead one leaves. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockState } from "../../server/state-lock.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lock-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

test("a directory is one server's until that gives it back", () => {
  const unlock = lockState(folder);
  expect(() => lockState(folder)).toThrow(`in use by the server with the process id [${process.pid}]`);
  unlock();
  lockState(folder)();
});

test("a server that was killed keeps nobody out, whoever has its process id now", async () => {
  const script = `const { lockState } = await import("./server/state-lock.ts");
    lockState(${JSON.stringify(folder)}); console.log("locked"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
  await once(child.stdout, "data");
  expect(() => lockState(folder)).toThrow(`the process id [${child.pid}]`);
  child.kill("SIGKILL");
  await once(child, "exit");
  // As after a restart of the machine: the id is that of some process that runs.
  writeFileSync(join(folder, "serve.pid"), `${process.ppid}\n`);
  lockState(folder)();
});

test("a missing directory is made for its owner alone, and one that cannot be is told", () => {
  const inner = join(folder, "a", "b");
  lockState(inner)();
  expect(statSync(inner).mode & 0o777).toBe(0o700);
  expect(() => lockState(join(folder, "a", "b", "serve.pid"))).toThrow("cannot be written");
  // Where the parent is there and takes no folder.
  expect(() => lockState("/proc/sluice/state")).toThrow(/cannot be written \[ENOENT/);
});
