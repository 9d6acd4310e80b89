/** Both ends survive the other's death: what a program sees when something it depends on dies, and how soon. */
import { type ChildProcess, spawn } from "node:child_process";
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from "node:net";
import { type ConnectOptions, connect, type Lease, type Pool, type SluiceError } from "sluice";
import { afterEach, describe, expect, it } from "vitest";
import { failureOf as failed } from "../support/failures.ts";
import { occupy, servePool } from "../support/pool-server.ts";
import { isEmpty } from "../support/pool-state.ts";
import { executorsOf } from "../support/processes.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let pools: Pool[] = [];
const children: ChildProcess[] = [];

async function connectHere(options: ConnectOptions = {}): Promise<Pool> {
  const pool = await connect({ server: server.grpc, lease: "", ...options });
  pools.push(pool);
  return pool;
}

async function clearUp(): Promise<void> {
  await Promise.all(pools.map((pool) => pool.close()));
  pools = [];
  for (const child of children.splice(0)) child.kill("SIGKILL");
}

const failureOf = (work: Promise<unknown>): Promise<SluiceError> => inTime("a failure", failed(work));

/** A program of its own, which imports the built package as users do. */
function program(
  code: string,
  env: NodeJS.ProcessEnv = {},
): { child: ChildProcess; stdout: () => string; stderr: () => string; exited: Promise<number | null> } {
  const child = spawn(
    process.execPath,
    ["--input-type=module", "--eval", `import { connect } from "sluice";\n${code}`],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, SLUICE_SERVER: server.grpc, SLUICE_LEASE: "", ...env },
    },
  );
  children.push(child);
  let stdout = "";
  let stderr = "";
  child.stdout!.on("data", (chunk) => {
    stdout += String(chunk);
  });
  child.stderr!.on("data", (chunk) => {
    stderr += String(chunk);
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  return { child, stdout: () => stdout, stderr: () => stderr, exited };
}

describe("with a server of all", () => {
  let pool: Pool;

  servePool({ args: ["--device", "null:2x1GiB", "--heartbeat-timeout", "4s"] }, (started) => {
    ({ server, pool } = started);
  });
  afterEach(clearUp);

  const executorOf = ({ id }: Lease): number =>
    executorsOf(server.state).find(({ leaseId }) => leaseId?.includes(id))!.pid;
  const isIdle = async (): Promise<boolean> => (await isEmpty(pool)) && (await pool.leases()).leases.length === 0;

  describe("when an executor is killed", () => {
    it("the lease's pending and later calls fail with EXECUTOR_FAILED, and no other lease notices", async () => {
      const victim = await pool.allocate({ memory: "128MiB" });
      await using bystander = await pool.allocate({ memory: "128MiB" });
      const kept = bystander.devices[0].upload(Uint8Array.of(42));
      const [gpu] = victim.devices;
      const buffer = gpu.alloc(64 * MiB);
      const pending = [failureOf(buffer.read(Uint8Array)), failureOf(gpu.synchronize())];
      process.kill(executorOf(victim), "SIGKILL");
      for (const error of await Promise.all(pending)) expect(error.code).toBe("EXECUTOR_FAILED");
      expect((await failureOf(gpu.synchronize())).code).toBe("EXECUTOR_FAILED");
      expect(() => buffer.fill(0)).toThrow(expect.objectContaining({ code: "EXECUTOR_FAILED" }));
      expect((victim.signal.reason as SluiceError).details.leaseId).toBe(victim.id);
      await victim.release();
      expect((await kept.read(Uint8Array))[0]).toBe(42);
      const { leases } = await pool.leases();
      expect(leases.map(({ id }) => id)).toEqual([bystander.id]);
    });

    it("an idle program is told by its signal", async () => {
      const lease = await pool.allocate({ memory: "128MiB" });
      const ended = new Promise<unknown>((resolve) =>
        lease.signal.addEventListener("abort", () => resolve(lease.signal.reason)),
      );
      process.kill(executorOf(lease), "SIGKILL");
      expect(await inTime("the signal", ended)).toMatchObject({ code: "EXECUTOR_FAILED" });
    });
  });

  describe("when a client is killed", () => {
    it("its share is free again within the heartbeat's time-out", async () => {
      const job = program(`
        const lease = await (await connect()).allocate({ devices: 2, fraction: 1 });
        lease.devices[0].alloc(1 << 20);
        await lease.devices[0].synchronize();
        console.log("held");
        setInterval(() => {}, 1000);`);
      await waitFor("the lease", () => job.stdout().includes("held"));
      expect(await isIdle()).toBe(false);
      job.child.kill("SIGKILL");
      await waitFor("the share to come back", () => isIdle());
    });

    it("while it waits, its request leaves the queue", async () => {
      await using _all = await occupy(server, { devices: 2, fraction: 1 });
      const job = program(`await (await connect()).allocate({ fraction: 1, wait: "1h" });`);
      await waitFor("the request", async () => (await pool.leases()).queue.length === 1);
      job.child.kill("SIGKILL");
      await waitFor("the queue to be empty", async () => (await pool.leases()).queue.length === 0);
    });
  });

  describe("when the way to the server breaks", () => {
    /** A way to the gRPC port that can be cut and closed. */
    async function proxy(): Promise<{ address: string; cut: () => number; close: () => Promise<void> }> {
      const [host, port] = server.grpc.split(":") as [string, string];
      const open = new Set<Socket>();
      const way = createServer((from) => {
        const to = connectSocket(Number(port), host);
        for (const [socket, other] of [
          [from, to],
          [to, from],
        ] as const) {
          open.add(socket);
          socket.on("error", () => {});
          socket.on("close", () => {
            open.delete(socket);
            other.destroy();
          });
          socket.pipe(other);
        }
      });
      await new Promise<void>((resolve) => way.listen(0, "127.0.0.1", resolve));
      const cut = (): number => {
        const count = open.size;
        for (const socket of open) socket.resetAndDestroy();
        return count;
      };
      const close = async (): Promise<void> => {
        const closed = new Promise<void>((resolve) => way.close(() => resolve()));
        cut();
        await closed;
      };
      return { address: `127.0.0.1:${(way.address() as AddressInfo).port}`, cut, close };
    }

    it("heartbeats find a new way within the time-out, and the lease lives on", async () => {
      const way = await proxy();
      const through = await connectHere({ server: way.address });
      const lease = await through.allocate({ memory: "128MiB" });
      const buffer = lease.devices[0].upload(Uint8Array.of(5));
      const until = Date.now() + 9_000;
      let [heardAt, beats, cuts] = [0, 0, 0];
      await waitFor("cuts for more than two time-outs", async () => {
        const { heartbeatAtMs } = (await pool.leases()).leases[0]!;
        if (heartbeatAtMs > heardAt) beats++;
        heardAt = heartbeatAtMs;
        // The answer to the first beat of each way has come through once the second is there.
        if (beats === 2) {
          beats = 0;
          cuts += way.cut() > 0 ? 1 : 0;
        }
        return Date.now() > until;
      });
      expect(cuts).toBeGreaterThan(2);
      expect((await buffer.read(Uint8Array))[0]).toBe(5);
      expect(lease.signal.aborted).toBe(false);
      expect(await lease.release()).toMatchObject({ calls: 4 });
      await way.close();
    });

    it("and stays broken, both ends come to the same end by themselves", async () => {
      const way = await proxy();
      const through = await connectHere({ server: way.address, outage: "1s" });
      const lease = await through.allocate({ memory: "128MiB" });
      await way.close();
      await waitFor("the client to know", () => lease.signal.aborted);
      expect((lease.signal.reason as SluiceError).code).toBe("LEASE_EXPIRED");
      expect((await failureOf(lease.devices[0].synchronize())).code).toBe("LEASE_EXPIRED");
      await waitFor("the server to know", () => isIdle());
    });
  });

  describe("a program", () => {
    it("is kept alive by an answer that it waits for, and ends by itself when it has forgotten its lease", async () => {
      const job = program(`
        const lease = await (await connect()).allocate({ fraction: 0.5 });
        const bytes = await lease.devices[0].upload(new Uint8Array(8 << 20).fill(3)).read(Uint8Array);
        lease.devices[0].upload(new Uint8Array(3 << 20));
        console.log(bytes.at(-1), "is the last");`);
      expect(await inTime("its end", job.exited)).toBe(0);
      expect(job.stdout()).toBe("3 is the last\n");
      expect(job.stderr()).toBe("");
      await waitFor("the share to come back", () => isIdle());
    });

    it("that blocks longer than the time-out hears why its lease is over", async () => {
      const job = program(`
        const lease = await (await connect()).allocate({ fraction: 0.5 });
        const buffer = lease.devices[0].alloc(16);
        await lease.devices[0].synchronize();
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8000);
        await buffer.read(Uint8Array).catch((error) => console.log(error.code, error.remedy));
        await lease.release();`);
      expect(await inTime("its end", job.exited)).toBe(0);
      expect(job.stdout()).toMatch(/^LEASE_EXPIRED .*do not block the event loop/);
    });

    it("that closes its pool while it releases a lease has it released before", async () => {
      const own = await connectHere();
      const lease = await own.allocate({ memory: "128MiB" });
      lease.devices[0].upload(new Uint8Array(1000));
      const released = lease.release();
      await own.close();
      expect(await isIdle()).toBe(true);
      expect(await released).toMatchObject({ calls: lease.stats.calls });
    });

    it("that outlives its maximum duration hears so", async () => {
      const lease = await pool.allocate({ memory: "128MiB", durationMax: "3s" });
      await waitFor("the end", () => lease.signal.aborted);
      expect((lease.signal.reason as SluiceError).code).toBe("LEASE_TIME_OVER");
      expect((await failureOf(lease.devices[0].synchronize())).code).toBe("LEASE_TIME_OVER");
      expect(await lease.release()).toMatchObject({ calls: 1 });
    });

    it("that floods the device without awaiting stays within its bound of memory", async () => {
      const job = program(`
        const lease = await (await connect()).allocate({ fraction: 1 });
        const [gpu] = lease.devices;
        const buffer = gpu.alloc(1 << 20);
        const data = new Uint8Array(1 << 20);
        let highest = 0;
        const before = process.memoryUsage().rss;
        for (let sent = 0; sent < 384; ) {
          try {
            buffer.write(data);
            sent++;
            highest = Math.max(highest, process.memoryUsage().rss - before);
          } catch (error) {
            // How often depends on who is faster, this loop or the server.
            if (error.code !== "BACKLOG_FULL") throw error;
            await gpu.flush();
          }
        }
        await gpu.synchronize();
        console.log(Math.round(highest / 2 ** 20));
        await lease.release();`);
      const code = await inTime("its end", job.exited, 40_000);
      expect({ code, stderr: job.stderr() }).toEqual({ code: 0, stderr: "" });
      const [, megabytes] = /^(\d+)$/m.exec(job.stdout())!;
      // 64 MiB of backlog, twice as much for garbage that is not collected yet; without a bound it would be 384.
      expect(Number(megabytes)).toBeLessThan(256);
    });
  });
});

describe("with a server of its own", () => {
  afterEach(async () => {
    await clearUp();
    await server.stop();
  });

  async function start(...args: string[]): Promise<Pool> {
    server = await startServer({ args: ["--device", "null:2x1GiB", ...args] });
    return connectHere();
  }

  describe("when the server is killed", () => {
    it("and none comes back: calls go on until the orphan time-out, requests wait a little and fail, and a lease's block ends", async () => {
      await start("--orphan-timeout", "6s");
      const pool = await connectHere({ outage: "1s" });
      const lease = await pool.allocate({ memory: "128MiB" });
      const buffer = lease.devices[0].upload(Uint8Array.of(42));
      const works = async (): Promise<void> => expect((await buffer.read(Uint8Array))[0]).toBe(42);
      await works();
      const waiting = failureOf(pool.allocate({ devices: 2, fraction: 1, wait: "3s" }));
      await waitFor("the request to wait", async () => (await pool.leases()).queue.length === 1);
      const hasty = await connectHere({ outage: 0 });
      const block = async (): Promise<void> => {
        await using own = await pool.allocate({ memory: "128MiB", priority: "high" });
        await own.devices[0].synchronize();
        server.kill("SIGKILL");
        await server.exited;
        expect((await failureOf(hasty.devices())).code).toBe("SERVER_UNREACHABLE");
        for (let round = 0; round < 10; round++) await works();
        const started = performance.now();
        expect((await failureOf(pool.allocate({ memory: 1 }))).code).toBe("SERVER_UNREACHABLE");
        expect(performance.now() - started).toBeGreaterThan(900);
      };
      await inTime("the end of the block", block());
      expect((await failureOf(pool.devices())).code).toBe("SERVER_UNREACHABLE");
      expect((await waiting).code).toBe("SERVER_UNREACHABLE");
      const error = await failureOf(waitFor("the end of its executor", () => works().then(() => false)));
      expect(error.code).toBe("EXECUTOR_FAILED");
      expect(error.message).toContain("No server comes back");
      expect(lease.signal.aborted).toBe(true);
    });
  });

  describe("when the server stops", () => {
    it("running leases get a notice with the deadline and work until then", async () => {
      const pool = await start("--grace", "1s");
      const lease = await pool.allocate({ memory: "128MiB" });
      const notices: string[] = [];
      const stoppedAt = Date.now();
      lease.onNotice((notice) => {
        notices.push(notice.kind);
        expect(notice.deadlineAtMs).toBeGreaterThanOrEqual(stoppedAt + 1_000);
        expect(notice.message).toMatch(/\.$/);
      });
      server.kill("SIGTERM");
      await waitFor("the notice", () => notices.length > 0);
      expect(notices).toEqual(["SHUTTING_DOWN"]);
      expect((await lease.devices[0].upload(Uint8Array.of(9)).read(Uint8Array))[0]).toBe(9);
      expect((await failureOf(pool.allocate({ memory: 1 }))).code).toMatch(/^(SHUTTING_DOWN|SERVER_UNREACHABLE)$/);
      await waitFor("the end", () => lease.signal.aborted);
      expect((lease.signal.reason as SluiceError).code).toBe("LEASE_REVOKED");
      expect((await failureOf(lease.devices[0].synchronize())).code).toBe("LEASE_REVOKED");
    });
  });
});
