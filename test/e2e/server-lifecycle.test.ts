/** Who dies, and what becomes of the rest: executors, the server; heartbeats, releases and a full disk. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { childrenOf, executorChildrenOf, executorsOf, isAlive } from "../support/processes.ts";
import { ARENA, GiB, MiB, RawControl, type RawLease, RawSession, raw } from "../support/raw-client.ts";
import { type ServerOptions, startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let server: TestServer;
let control: RawControl;

async function begin(...args: string[]): Promise<TestServer> {
  return beginWith({ args: ["--device", "null:2x16GiB", ...args] });
}

async function beginWith(options: ServerOptions): Promise<TestServer> {
  server = await startServer(options);
  control = new RawControl(server.grpc);
  return server;
}

async function end(): Promise<void> {
  control.close();
  await server.stop();
}

/** A server for all tests of a block: each leaves it as it was. */
function shared(...args: string[]): void {
  beforeAll(async () => void (await begin(...args)));
  afterEach(emptyPool);
  afterAll(end);
}

const emptyPool = (): Promise<true> => waitFor("an empty pool", async () => (await control.inUse()) === 0);

async function attached(): Promise<{ lease: RawLease; session: RawSession }> {
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(server.data, lease);
  expect((await session.ask(raw.attach())).code).toBe("OK");
  return { lease, session };
}

const refusedRequests: [string, string, Parameters<RawControl["allocate"]>[0]][] = [
  ["0 bytes", "BAD_ARGUMENT", { memoryBytes: 0 }],
  ["nothing named", "BAD_ARGUMENT", {}],
  ["1.5 of a device", "BAD_ARGUMENT", { fraction: 1.5 }],
  ["a fraction of 0", "BAD_ARGUMENT", { fraction: 0 }],
  ["a fraction that is no number", "BAD_ARGUMENT", { fraction: Number.NaN }],
  ["17 devices", "BAD_ARGUMENT", { devices: 17, memoryBytes: MiB }],
  ["more devices than exist", "IMPOSSIBLE_REQUEST", { devices: 3, memoryBytes: MiB }],
  ["more memory than a device has", "IMPOSSIBLE_REQUEST", { memoryBytes: 17 * GiB }],
  ["2^64 - 1 bytes", "BAD_ARGUMENT", { memoryBytes: "18446744073709551615" }],
  ["a wait of a year", "BAD_ARGUMENT", { memoryBytes: MiB, waitMs: 365 * 86_400_000 }],
  ["a name of 200 characters", "BAD_ARGUMENT", { memoryBytes: MiB, name: "x".repeat(200) }],
  ["a name with a control character", "BAD_ARGUMENT", { memoryBytes: MiB, name: "a\u001b[31m" }],
  ["detached for ever", "BAD_ARGUMENT", { memoryBytes: MiB, detached: true }],
];

describe("heartbeats", () => {
  const HEARTBEAT_MS = 3_000;
  shared("--heartbeat-timeout", `${HEARTBEAT_MS}ms`);

  test("a lease that never beats ends, with the reason for whoever asks later", async () => {
    const lease = await control.allocate({ memoryBytes: MiB });
    expect(Number(lease.granted.connection!.heartbeatTimeoutMs)).toBe(HEARTBEAT_MS);
    await emptyPool();
    await expect(RawSession.open(server.data, lease)).rejects.toThrow("LEASE_EXPIRED");
    expect(await control.hold(lease).ended).toBe("LEASE_EXPIRED");
    await expect(control.release(lease.id, lease.secret)).resolves.toMatchObject({ released: false });
  });

  test("a lease that expires while attached tells its session and its holder", async () => {
    const { lease, session } = await attached();
    const hold = control.hold(lease, 100_000);
    expect(await session.connection.refusal()).toBe("LEASE_EXPIRED");
    expect(await hold.ended).toBe("LEASE_EXPIRED");
    await emptyPool();
  });

  test("a detached lease lives without heartbeats, past their time-out, until its duration is over", async () => {
    const startedAt = performance.now();
    const lease = await control.allocate({ memoryBytes: MiB, detached: true, durationMaxMs: HEARTBEAT_MS + 1_500 });
    expect(lease.granted.lease).toMatchObject({ detached: true });
    await emptyPool();
    expect(performance.now() - startedAt).toBeGreaterThan(HEARTBEAT_MS + 1_300);
    await expect(RawSession.open(server.data, lease)).rejects.toThrow("LEASE_TIME_OVER");
  });
});

describe("while the server lives", () => {
  shared();

  test("kill -9 of an executor ends its lease with a clear error, and no other", async () => {
    const first = await attached();
    const [executor] = executorChildrenOf(server.pid);
    const second = await attached();
    expect(executorChildrenOf(server.pid).length).toBe(2);
    const holds = [control.hold(first.lease), control.hold(second.lease)] as const;
    await waitFor("both holds", () => holds.every(({ messages }) => messages.length > 0));
    process.kill(executor!, "SIGKILL");
    expect(await inTime("the holder to hear of it", holds[0].ended)).toBe("EXECUTOR_FAILED");
    expect(await first.session.connection.next()).toBeUndefined();
    await expect(RawSession.open(server.data, first.lease)).rejects.toThrow("EXECUTOR_FAILED");
    // The memory of a GPU comes back once the GPU was tried.
    await waitFor("the lease to be gone", async () => (await control.leases()).leases.length === 1);
    expect((await control.leases()).leases[0]!.id).toBe(second.lease.id);
    expect(await second.session.codeAfter(raw.allocate(ARENA, 256))).toBe("OK");
    await control.release(second.lease.id, second.lease.secret);
    expect(await holds[1].ended).toBe("LEASE_ENDED");
    await emptyPool();
    expect(executorChildrenOf(server.pid)).toEqual([]);
  });

  test("a client whose executor dies before it takes the connection is told so", async () => {
    const lease = await control.allocate({ memoryBytes: MiB });
    const opening = RawSession.open(server.data, lease);
    const executor = await waitFor("the executor", () => executorChildrenOf(server.pid)[0]);
    process.kill(executor, "SIGKILL");
    await expect(opening).rejects.toThrow("EXECUTOR_FAILED");
    await emptyPool();
  });

  test("a client whose lease ends before its executor takes the connection is told so", async () => {
    const lease = await control.allocate({ memoryBytes: MiB });
    const opening = RawSession.open(server.data, lease);
    opening.catch(() => {});
    const executor = await waitFor("the executor", () => executorChildrenOf(server.pid)[0]);
    process.kill(executor, "SIGSTOP");
    await control.release(lease.id, lease.secret);
    await expect(opening).rejects.toThrow("LEASE_ENDED");
    await emptyPool();
  });

  test("a release answers when the memory is back, tells the use, and may come twice", async () => {
    const { lease, session } = await attached();
    await session.ask(raw.allocate(ARENA, MiB), raw.copyToDevice(ARENA, Buffer.alloc(1000)), raw.memoryInfo());
    const { usage, released } = await control.release(lease.id, lease.secret);
    expect(await control.inUse()).toBe(0);
    expect(released).toBe(true);
    expect(usage).toMatchObject({ calls: 4, batches: 2, answers: 2 });
    expect(usage!.bytesReceived).toBeGreaterThan(1000);
    expect(usage!.bytesSent).toBeGreaterThan(0);
    expect(await session.connection.refusal()).toBe("LEASE_ENDED");
    const again = await control.release(lease.id, lease.secret);
    expect(again.released).toBe(false);
    expect(again.usage).toEqual(usage);
    await expect(control.release("lease-nobody", lease.secret)).rejects.toMatchObject({ code: "LEASE_NOT_FOUND" });
    await expect(control.release(lease.id, Buffer.alloc(32))).rejects.toMatchObject({ code: "WRONG_SECRET" });
  });

  test("the use of a lease adds up over its sessions", async () => {
    const { lease, session } = await attached();
    await session.close();
    const second = await RawSession.open(server.data, lease);
    await second.ask(raw.attach(), raw.memoryInfo());
    await second.close();
    const { usage } = await control.release(lease.id, lease.secret);
    expect(usage).toMatchObject({ calls: 3, batches: 2, answers: 3 });
  });

  test("withdrawing a waiting request leaves nothing behind, and the next one moves up", async () => {
    const all = await control.allocate({ devices: 2, fraction: 1 });
    const stream = control.client.Allocate({ memoryBytes: GiB, waitMs: 60_000, requestId: "first" });
    stream.on("error", () => {});
    await once(stream, "data");
    const positions: number[] = [];
    const second = control.allocate({ memoryBytes: GiB, waitMs: 60_000, requestId: "second" }, (position) =>
      positions.push(position),
    );
    await waitFor("the second's place", () => positions.includes(2));
    const { queue } = await control.leases();
    expect(queue.map(({ requestId, position }) => [requestId, position])).toEqual([
      ["first", 1],
      ["second", 2],
    ]);
    expect(queue[0]!.reasons.map(({ code }) => code)).toContain("NOT_ENOUGH_MEMORY");
    stream.cancel();
    await waitFor("the second to move up", () => positions.includes(1));
    await control.release(all.id, all.secret);
    const granted = await second;
    await control.release(granted.id, granted.secret);
    await emptyPool();
  });

  test("requests that cannot be are refused with a code, each", async () => {
    for (const [what, code, request] of refusedRequests) {
      await expect(control.allocate(request), what).rejects.toMatchObject({ code });
      expect(await control.inUse()).toBe(0);
    }
  });

  test("a request that finds no room now is refused with the reason per device", async () => {
    const all = await control.allocate({ devices: 2, fraction: 1 });
    const [first, second] = await control.devices();
    await expect(control.allocate({ memoryBytes: GiB })).rejects.toMatchObject({
      code: "NO_CAPACITY",
      details: { reasons: [{ device: first!.id, code: "NOT_ENOUGH_MEMORY" }, { device: second!.id }] },
    });
    await control.release(all.id);
    await emptyPool();
  });

  test("with a full disk nothing is granted and nothing leaks, and with room again all is well", async () => {
    expect(statSync(server.state).mode & 0o777).toBe(0o700);
    const before = await control.allocate({ memoryBytes: MiB });
    // No file may grow any more: as on a full disk, writes fail.
    const limit = (bytes: string): void => {
      execFileSync("prlimit", ["--pid", String(server.pid), `--fsize=${bytes}:unlimited`]);
    };
    limit("0");
    for (let round = 0; round < 20; round++) {
      await expect(control.allocate({ memoryBytes: GiB })).rejects.toMatchObject({ code: "STORE_FAILED" });
    }
    expect((await control.leases()).leases.map(({ id }) => id)).toEqual([before.id]);
    // What runs goes on, and ends.
    const session = await RawSession.open(server.data, before);
    expect((await session.ask(raw.attach())).code).toBe("OK");
    await control.release(before.id, before.secret);
    expect(await control.inUse()).toBe(0);
    limit("unlimited");
    const after = await control.allocate({ devices: 2, fraction: 1 });
    await control.release(after.id, after.secret);
    await emptyPool();
  });
});

describe("when the server ends", () => {
  afterEach(end);

  test("SIGTERM gives notice and grace: no new leases, waiting ones are told, a job may finish, exit code 0", async () => {
    const { kill, exited } = await begin("--grace", "20s");
    const { lease, session } = await attached();
    const hold = control.hold(lease);
    const waiting = control.allocate({ devices: 2, fraction: 1, waitMs: 60_000 });
    await waitFor("the request to wait", async () => (await control.leases()).queue.length === 1);
    const stoppedAt = Date.now();
    kill("SIGTERM");
    await expect(waiting).rejects.toMatchObject({ code: "SHUTTING_DOWN" });
    await expect(control.allocate({ memoryBytes: MiB })).rejects.toMatchObject({ code: "SHUTTING_DOWN" });
    const notice = await waitFor(
      "the notice",
      () => hold.messages.find((message) => message.notice)?.notice ?? undefined,
    );
    expect(notice.kind).toBe("NOTICE_KIND_SHUTTING_DOWN");
    expect(Number(notice.deadlineAtMs) - stoppedAt).toBeGreaterThanOrEqual(20_000);
    expect(await session.codeAfter(raw.allocate(ARENA, 256))).toBe("OK");
    await control.release(lease.id, lease.secret);
    expect(await inTime("the server's end", exited)).toBe(0);
  });

  test("when the grace is over the running leases end, and the server with code 0", async () => {
    const { kill, exited } = await begin("--grace", "700ms");
    const { lease, session } = await attached();
    const hold = control.hold(lease);
    await waitFor("the first beat", () => hold.messages.length > 0);
    kill("SIGTERM");
    expect(await session.connection.refusal()).toBe("LEASE_REVOKED");
    expect(await hold.ended).toBe("LEASE_REVOKED");
    expect(await inTime("the server's end", exited)).toBe(0);
  });

  test("a second signal ends the server at once", async () => {
    const { kill, exited, log, pid } = await begin("--grace", "10m");
    await attached();
    const children = childrenOf(pid);
    kill("SIGINT");
    await waitFor("the first signal to be seen", () => log().includes("Stopping: no new leases"));
    kill("SIGINT");
    expect(await inTime("the server's end", exited)).toBe(0);
    await waitFor("the executors' end", () => !children.some(isAlive));
  });

  test("a spare that dies is replaced, and kill -9 of the server ends those that there are", async () => {
    const { pid, state, exited, kill } = await begin("--spare-executors", "1");
    const spare = await waitFor("a spare", () => executorChildrenOf(pid)[0]);
    process.kill(spare, "SIGKILL");
    const next = await waitFor("another spare", () => executorChildrenOf(pid).find((child) => child !== spare));
    expect(next).not.toBe(spare);
    const { session } = await attached();
    expect(await session.codeAfter()).toBe("OK");
    const children = await waitFor("executor and spare", () => {
      const isWhole = executorChildrenOf(pid).length === 2 && executorsOf(state).length === 2;
      return isWhole ? childrenOf(pid) : undefined;
    });
    const [worker] = executorsOf(state).filter(({ leaseId }) => leaseId !== undefined);
    kill("SIGKILL");
    expect(await exited).toBe("SIGKILL");
    await waitFor("the spare's end", () => children.filter(isAlive).length === 1);
    expect(isAlive(worker!.pid)).toBe(true);
  });
});
