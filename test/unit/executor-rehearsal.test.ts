/** The rehearsal of a spare executor: it runs a whole session, leaves nothing behind, and makes way for a lease. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FromExecutor } from "../../server/executor/control-messages.ts";
import { Executor } from "../../server/executor/executor.ts";
import { rehearse } from "../../server/executor/rehearsal.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  vi.stubEnv("TMPDIR", folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

test("a rehearsal works through its rounds, asks before each, and leaves no file", async () => {
  const wanted = vi.fn(() => true);
  await rehearse(wanted);
  expect(wanted.mock.calls.length).toBeGreaterThan(1);
  expect(readdirSync(folder)).toEqual([]);
});

test("a rehearsal that is not wanted any more ends at once", async () => {
  const wanted = vi.fn(() => false);
  await rehearse(wanted);
  expect(wanted).toHaveBeenCalledTimes(1);
});

test("a spare is ready behind its rehearsal, and counts nothing of it as use", async () => {
  const told: FromExecutor[] = [];
  const executor = new Executor({ send: (message) => told.push(message), onAssigned: () => {} });
  await executor.receive({ kind: "prepare", deviceKinds: ["null"] }, undefined);
  executor.reportUsage();
  const nothing = { calls: 0, batches: 0, answers: 0, bytesReceived: 0, bytesSent: 0, deviceMs: 0 };
  expect(told).toMatchObject([{ kind: "ready" }, { kind: "usage", usage: nothing }]);
});

test("a spare whose rehearsal cannot take place says so and is ready all the same", async () => {
  vi.stubEnv("TMPDIR", join(folder, "nowhere"));
  const told: FromExecutor[] = [];
  const executor = new Executor({ send: (message) => told.push(message), onAssigned: () => {} });
  await executor.receive({ kind: "prepare", deviceKinds: ["null"] }, undefined);
  expect(told).toEqual([
    { kind: "log", level: "warn", message: expect.stringMatching(/^The rehearsal fails .*ENOENT/) },
    { kind: "ready" },
  ]);
});
