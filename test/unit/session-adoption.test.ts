/** What becomes of executors that were found: by what they say of themselves, with executors of the test. */
import type { Socket } from "node:net";
import { beforeEach, expect, test } from "vitest";
import { noUsage } from "../../server/control/lease-record.ts";
import type { FromExecutor, ToExecutor } from "../../server/executor/control-messages.ts";
import type { ExecutorPool } from "../../server/executor/executor-pool.ts";
import type { ExecutorProcess } from "../../server/executor/executor-process.ts";
import type { SessionEvents } from "../../server/session/lease-directory.ts";
import { LeaseSessions } from "../../server/session/lease-sessions.ts";
import { FINGERPRINT } from "../../shared/generated/calls.ts";

/** Stands for a process: says what the test says, and notes what it is told. */
class FakeExecutor {
  readonly told: ToExecutor["kind"][] = [];
  isLeaseDropped = false;
  isKilled = false;
  die: (how: string) => void = () => {};
  readonly exited = new Promise<string>((resolve) => {
    this.die = resolve;
  });
  onMessage: (message: FromExecutor) => void = () => {};

  send(message: ToExecutor): void {
    this.told.push(message.kind);
  }
  handOver(message: ToExecutor): void {
    this.told.push(message.kind);
  }
  dismiss(): void {
    this.isLeaseDropped = true;
    this.kill();
  }
  kill(): void {
    this.isKilled = true;
    this.die("killed");
  }
}

let found: FakeExecutor;
let started: FakeExecutor[];
let events: string[];
let sessions: LeaseSessions;
let refusals: number;

beforeEach(() => {
  found = new FakeExecutor();
  started = [];
  events = [];
  refusals = 0;
  const take = (): ExecutorProcess => {
    const executor = new FakeExecutor();
    started.push(executor);
    return executor as unknown as ExecutorProcess;
  };
  const note =
    (name: string) =>
    (leaseId: string, ...rest: unknown[]): void => {
      events.push(`${name} ${leaseId} ${typeof rest[0] === "string" ? rest[0] : ""}`.trim());
    };
  sessions = new LeaseSessions({
    executors: { take } as unknown as ExecutorPool,
    kernelTimeoutMs: 0,
    sessionGraceMs: 0,
    orphanTimeoutMs: 0,
    cacheOf: () => undefined,
    events: {
      attached: note("attached"),
      detached: note("detached"),
      used: note("used"),
      active: note("active"),
      failed: note("failed"),
    } as SessionEvents,
    onLog: () => {},
  });
  sessions.adopt(new Map([["lease-1", found as unknown as ExecutorProcess]]), () => events.push("restored"));
});

const hello = (more: object = {}): void =>
  found.onMessage({ kind: "hello", leaseId: "lease-1", fingerprint: FINGERPRINT, isLast: false, ...more });

/** A client connects; what it hears when it is refused only counts. */
function attach(): void {
  const socket = {
    destroyed: false,
    destroy: () => {},
    on: () => {},
    once: () => {},
    removeAllListeners: () => {},
    resume: () => {},
    end: () => {
      refusals++;
    },
  } as unknown as Socket;
  sessions.attach({
    socket,
    lease: { id: "lease-1", tenant: "ada", key: { sign: () => Buffer.alloc(32) }, slices: [], usage: noUsage },
    welcomeProof: Buffer.alloc(32),
    session: { id: "s", resumeMs: 0, begun: false, clientReceived: 0 },
    received: new Uint8Array(0),
    clientAddress: "here",
  } as Parameters<LeaseSessions["attach"]>[0]);
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("nothing is told of an executor before its lease is restored", () => {
  hello({ usage: noUsage, clientAddress: "client" });
  expect(events).toEqual(["restored", "used lease-1", "attached lease-1 client"]);
});

test("until it has said where it stands it takes no session, then it does", () => {
  attach();
  expect([refusals, found.told]).toEqual([1, []]);
  hello();
  attach();
  expect([refusals, found.told, started]).toEqual([1, ["session"], []]);
});

test("one whose device is broken is replaced, and its death is not its lease's", async () => {
  hello({ isLast: true });
  expect([found.isKilled, found.isLeaseDropped]).toEqual([true, true]);
  await settle();
  attach();
  expect(started.map(({ told }) => told)).toEqual([["assign", "session"]]);
  expect(events).not.toContain("failed lease-1 EXECUTOR_FAILED");
});

test("one of another version works on for its session, and is replaced behind it", async () => {
  hello({ fingerprint: "0123456789abcdef", clientAddress: "client" });
  expect(found.isKilled).toBe(false);
  found.onMessage({ kind: "sessionEnded", needsNewProcess: false });
  expect([found.isKilled, found.isLeaseDropped]).toEqual([true, true]);
  await settle();
  attach();
  expect(started.map(({ told }) => told)).toEqual([["assign", "session"]]);
});

test("one that dies ends its lease", async () => {
  hello();
  found.die("it is gone");
  await settle();
  expect(events).toContain("failed lease-1 EXECUTOR_FAILED");
});
