/** What the names in an executor's folder say to the next daemon. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  ControlFolders,
  markLease,
  markProcess,
  markUsage,
  rehearseMark,
} from "../../server/executor/control-folder.ts";
import { identityOf } from "../../server/process-identity.ts";

const identity = identityOf(process.pid)!;
let state: string;
let folders: ControlFolders;
let name: string;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "sluice-folders-"));
  folders = new ControlFolders(state);
  name = folders.create();
});

afterEach(() => rmSync(state, { recursive: true }));

test("a spare's names its process, and no lease until it takes one", () => {
  expect(folders.list()).toEqual([{ name, identity: undefined, leaseId: undefined }]);
  markProcess(folders.path(name), identity);
  expect(folders.list()).toEqual([{ name, identity, leaseId: undefined }]);
  markLease(folders.path(name), "lease-1");
  expect(folders.list()).toEqual([{ name, identity, leaseId: "lease-1" }]);
  folders.dropLease(name);
  expect(folders.list()).toEqual([{ name, identity, leaseId: undefined }]);
});

test("a rehearsal's mark is of no lease, and leaves everything as it was, however often", () => {
  markProcess(folders.path(name), identity);
  const before = readdirSync(folders.path(name)).sort();
  for (let times = 0; times < 3; times++) rehearseMark(folders.path(name));
  expect(readdirSync(folders.path(name)).sort()).toEqual(before);
  expect(folders.list()).toEqual([{ name, identity, leaseId: undefined }]);
});

test("a lease is marked also where there is nothing to rename, and not without a word where it cannot be", () => {
  markLease(folders.path(name), "lease-1");
  expect(folders.list()).toEqual([{ name, identity: undefined, leaseId: "lease-1" }]);
  folders.remove(name);
  expect(() => markLease(folders.path(name), "lease-2")).toThrow("ENOENT");
});

test("what a lease has used is there as it was written, and what is no such mark counts for nothing", () => {
  const usage = { calls: 2 ** 40, batches: 3, answers: 0, bytesReceived: 2 ** 53 - 1, bytesSent: 5, deviceMs: 6 };
  markUsage(folders.path(name), usage);
  expect(folders.list()).toMatchObject([{ name, usage }]);
  for (const mark of ["usage-", "usage-1-2-3", "usage-1-2-3-4-5-x", "usage-1-2-3-4-5-1e400"]) {
    const other = folders.create();
    writeFileSync(join(folders.path(other), mark), "");
    expect(folders.list().find((folder) => folder.name === other)?.usage).toBeUndefined();
  }
});
