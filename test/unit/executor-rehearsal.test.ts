/** The rehearsal of a spare executor: whole sessions in the way of real ones, nothing left behind, and it makes way for a lease. */
import { readdirSync, readlinkSync } from "node:fs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FromExecutor } from "../../server/executor/control-messages.ts";
import { Executor } from "../../server/executor/executor.ts";
import * as passing from "../../server/executor/handle-passing.ts";
import { rehearse } from "../../server/executor/rehearsal.ts";
import { Session } from "../../server/executor/session.ts";
import { waitFor } from "../support/wait-for.ts";

vi.mock("../../server/executor/handle-passing.ts", { spy: true });

/** Sockets and unnamed files of this process; pipes and the like come and go with the test runner. */
const open = (): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((target) => /^socket:|^\/memfd:/.test(target));
    } catch {
      return [];
    }
  });

let before: number;
beforeEach(() => {
  before = open().length;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await waitFor("every socket to be closed", () => open().length <= before);
});

test("a rehearsal goes the way of real sessions: over passed sockets, marked, each with a lease of its own", async () => {
  const attached = vi.spyOn(Session.prototype, "attach");
  const wanted = vi.fn(() => true);
  const onAssigned = vi.fn();
  await rehearse({ wanted, onAssigned });
  const sessions = onAssigned.mock.calls.length;
  expect(sessions).toBeGreaterThan(1);
  expect(attached).toHaveBeenCalledTimes(sessions);
  // One more time it is asked, if it was not at the end.
  expect(wanted.mock.calls.length).toBeGreaterThanOrEqual(sessions);
});

test("a rehearsal that is not wanted any more ends before its next session", async () => {
  const onAssigned = vi.fn();
  await rehearse({ wanted: () => onAssigned.mock.calls.length < 2, onAssigned });
  expect(onAssigned).toHaveBeenCalledTimes(2);
});

const spare = (told: FromExecutor[]): Executor =>
  new Executor({
    send: (message) => told.push(message),
    onAssigned: () => {},
    rehearse: (wanted) => rehearse({ wanted, onAssigned: () => {} }),
  });

test("a spare is ready behind its rehearsal, and counts nothing of it as use", async () => {
  const told: FromExecutor[] = [];
  const executor = spare(told);
  await executor.receive({ kind: "prepare", deviceKinds: ["null"] }, undefined);
  executor.reportUsage();
  const nothing = { calls: 0, batches: 0, answers: 0, bytesReceived: 0, bytesSent: 0, deviceMs: 0 };
  expect(told).toMatchObject([{ kind: "ready" }, { kind: "usage", usage: nothing }]);
});

test("a spare whose rehearsal cannot take place says so and is ready all the same", async () => {
  vi.spyOn(passing, "sendHandle").mockImplementation(() => {
    throw new Error("sendmsg fails [EMFILE]");
  });
  const told: FromExecutor[] = [];
  await spare(told).receive({ kind: "prepare", deviceKinds: ["null"] }, undefined);
  expect(told).toEqual([
    { kind: "log", level: "warn", message: expect.stringMatching(/^The rehearsal fails .*EMFILE/) },
    { kind: "ready" },
  ]);
});

test("a spare that has its lease already does not rehearse", async () => {
  const told: FromExecutor[] = [];
  const onAssigned = vi.fn();
  const executor = new Executor({
    send: (message) => told.push(message),
    onAssigned: () => {},
    rehearse: (wanted) => rehearse({ wanted, onAssigned }),
  });
  const usage = { calls: 0, batches: 0, answers: 0, bytesReceived: 0, bytesSent: 0, deviceMs: 0 };
  const terms = { slices: [], kernelTimeoutMs: 0, orphanTimeoutMs: 0, usage };
  await executor.receive({ kind: "assign", leaseId: "lease-1", ...terms }, undefined);
  await executor.receive({ kind: "prepare", deviceKinds: ["null"] }, undefined);
  expect(onAssigned).not.toHaveBeenCalled();
});
