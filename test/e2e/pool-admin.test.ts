/** What an admin does, by the command line against a real server: cordons, revocations, quotas, the ledger, and what a restart keeps. */
import { mkdtempSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Pool } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { environmentOf, runEach, runShort } from "../support/commands.ts";
import { failureOf } from "../support/failures.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

let state: string;
let server: TestServer;
let pool: Pool;

async function start(): Promise<void> {
  server = await startServer({ args: ["--device", "null:2x1GiB"], state });
  pool = await connect({ server: server.grpc, lease: "" });
}

async function stop(): Promise<void> {
  await pool.close();
  await server.stop();
}

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), "sluice-admin-"));
  await start();
});
afterAll(async () => {
  await stop();
  rmSync(state, { recursive: true, force: true });
});

const sluice = (...args: readonly string[]) => runShort(args, { env: environmentOf(server) });

describe("a cordon", () => {
  it("closes a device for new leases, says why, and lets what runs run on, until it is lifted", async () => {
    await using running = await pool.allocate({ memory: "64MiB", filters: ["device.id=null:0"] });
    const cordoned = await sluice("cordon", "null:0", "--message", "a new fan");
    expect(cordoned).toMatchObject({ code: 0, stderr: "", stdout: "The device null:0 takes no new leases.\n" });
    expect((await pool.devices())[0]!.cordon).toEqual({
      device: "null:0",
      code: "DEVICE_CORDONED",
      message: "a new fan",
    });
    expect((await sluice("list")).stdout).toContain("null:0: closed for new leases (DEVICE_CORDONED): a new fan\n");
    const error = await failureOf(pool.allocate({ memory: "64MiB", filters: ["device.id=null:0"] }));
    expect(error.code).toBe("NO_CAPACITY");
    expect(error.details.reasons).toContainEqual(
      expect.objectContaining({ device: "null:0", code: "DEVICE_CORDONED" }),
    );
    const buffer = running.devices[0].upload(new Uint32Array([7]));
    expect([...(await buffer.read(Uint32Array))]).toEqual([7]);
    expect((await sluice("uncordon", "null:0")).code).toBe(0);
    await using _again = await pool.allocate({ memory: "64MiB", filters: ["device.id=null:0"] });
  });

  it("that is lifted serves who waits for it", async () => {
    await sluice("cordon", "null:1");
    const waiting = pool.allocate({ memory: "1MiB", filters: ["device.id=null:1"], wait: "1m" });
    await waitFor("the request to wait", async () => (await pool.leases()).queue.length === 1);
    await sluice("uncordon", "null:1");
    await (await waiting).release();
  });

  it("of a device that is not there is refused with those that are", async () => {
    for (const verb of ["cordon", "uncordon"]) {
      const { code, stderr } = await sluice(verb, "null:7");
      expect(code).toBe(2);
      expect(stderr).toContain("There is no device [null:7]; the server has [null:0, null:1].");
    }
  });
});

describe("a revocation", () => {
  it("tells the holder at once, and ends the lease after the grace", async () => {
    const lease = await pool.allocate({ memory: "64MiB" });
    const notices: string[] = [];
    lease.onNotice(({ kind, message }) => notices.push(`${kind}: ${message}`));
    const { code, stdout } = await sluice("revoke", lease.id, "--grace", "300ms", "--message", "the machine moves");
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^The lease ${lease.id} ends by 20.*Z\\.\n$`));
    const error = await waitFor("a call to fail", () =>
      lease.devices[0].synchronize().catch((failure: unknown) => failure),
    );
    expect(error).toMatchObject({ code: "LEASE_REVOKED", message: "the machine moves" });
    expect(notices).toEqual(["REVOKED: the machine moves"]);
    await waitFor("its memory to be free", async () =>
      (await pool.devices()).every(({ freeBytes }) => freeBytes === GiB),
    );
    await lease.release().catch(() => {});
  });

  it("comes through a flood of calls, which is counted meanwhile", async () => {
    const lease = await pool.allocate({ memory: "64MiB" });
    const buffer = lease.devices[0].alloc(64);
    // Each asks again as soon as it has its answer, so that the executor always has a call to read.
    const flood = Array.from({ length: 8 }, async () => {
      for (const into = new Uint8Array(64); ; ) await buffer.readInto(into);
    });
    const ends = flood.map(failureOf);
    const counted = async (): Promise<number> => {
      const { stdout } = await sluice("leases", "--json");
      return JSON.parse(stdout).leases[0].usage.calls;
    };
    const before = await counted();
    await waitFor("calls to be counted", async () => (await counted()) > before);
    expect((await sluice("revoke", lease.id, "--grace", "0", "--message", "enough")).code).toBe(0);
    for (const error of await Promise.all(ends))
      expect(error).toMatchObject({ code: "LEASE_REVOKED", message: "enough" });
    await lease.release().catch(() => {});
  });

  it("without a grace is at once; of a lease that is gone, an error", async () => {
    const { stdout } = await sluice("request", "-m", "1MiB", "--for", "1h", "--json");
    const { id } = JSON.parse(stdout).lease;
    expect((await sluice("revoke", id, "--grace", "0", "--json")).code).toBe(0);
    await waitFor("the lease to be gone", async () => (await pool.leases()).leases.length === 0);
    const again = await sluice("revoke", id);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("LEASE_REVOKED")]);
    expect((await sluice("revoke", "lease-none")).stderr).toContain("(LEASE_NOT_FOUND)");
  });
});

describe("an extension", () => {
  it("moves a lease's end later, and its holder hears of it", async () => {
    await using lease = await pool.allocate({ memory: "64MiB", durationMax: "1h" });
    const notices: unknown[] = [];
    lease.onNotice(({ kind, deadlineAtMs }) => notices.push([kind, deadlineAtMs]));
    const { code, stdout } = await sluice("extend", lease.id, "--by", "30m", "--json");
    const endsAtMs = lease.info.endsAtMs + 1_800_000;
    expect([code, JSON.parse(stdout)]).toEqual([0, { leaseId: lease.id, endsAtMs }]);
    expect((await pool.leases()).leases[0]!.endsAtMs).toBe(endsAtMs);
    await waitFor("the notice", () => notices.length > 0);
    expect(notices).toEqual([["EXTENDED", endsAtMs]]);
  });

  it("of a lease without an end, or of none, is an error", async () => {
    await using lease = await pool.allocate({ memory: "64MiB" });
    const endless = await sluice("extend", lease.id, "--by", "1h");
    expect([endless.code, endless.stderr]).toEqual([2, expect.stringContaining("has no end to move")]);
    expect((await sluice("extend", "lease-none", "--by", "1h")).stderr).toContain("(LEASE_NOT_FOUND)");
    expect((await sluice("extend", lease.id, "--by", "0")).code).toBe(2);
  });
});

describe("a drain", () => {
  it("tells who is left, ends when the device is empty, and leaves it closed", async () => {
    const lease = await pool.allocate({ memory: "64MiB", filters: ["device.id=null:0"] });
    const notice = new Promise((resolve) => lease.onNotice(resolve));
    const drained = sluice("drain", "null:0", "--grace", "30s", "--message", "a new fan");
    expect(await notice).toMatchObject({ kind: "REVOKED", message: "a new fan" });
    const [device] = await pool.devices();
    expect(device).toMatchObject({ draining: true, cordon: { code: "DEVICE_CORDONED", message: "a new fan" } });
    await lease.release();
    const { code, stdout, stderr } = await drained;
    expect([code, stdout]).toEqual([0, "The device null:0 is empty, and takes no new leases.\n"]);
    expect(stderr).toBe(`sluice: Left on null:0: ${lease.id}.\n`);
    expect((await sluice("uncordon", "null:0")).code).toBe(0);
  });

  it("takes leases back at the end of the grace, and fails when it is lifted before", async () => {
    const lease = await pool.allocate({ memory: "64MiB", filters: ["device.id=null:0"] });
    const lifted = sluice("drain", "null:0", "--grace", "1h");
    await waitFor("the drain to begin", async () => (await pool.devices())[0]!.draining);
    await sluice("uncordon", "null:0");
    expect(await lifted).toMatchObject({ code: 1, stderr: expect.stringContaining("takes new leases again") });
    expect((await sluice("drain", "null:0", "--grace", "0s")).code).toBe(0);
    expect((await failureOf(lease.devices[0].synchronize())).code).toBe("LEASE_REVOKED");
    await sluice("uncordon", "null:0");
    expect((await sluice("drain", "null:7")).code).toBe(2);
  });
});

describe("a waiting request", () => {
  it("is moved by a new priority, by number or by name, and cancelled with a reason", async () => {
    await using _all = await pool.allocate({ devices: 2, fraction: 1 });
    const ids: string[] = [];
    const failures = ["first", "second"].map((name) =>
      failureOf(
        pool.allocate({ memory: "1MiB", wait: "1m", name, onQueued: ({ id }) => ids.includes(id!) || ids.push(id!) }),
      ),
    );
    const queue = async () => (await pool.leases()).queue.map(({ name, id, priority }) => ({ name, id, priority }));
    await waitFor("both to wait", async () => ids.length === 2);
    const second = (await queue()).find(({ name }) => name === "second")!.id;
    expect(ids).toContain(second);
    const raised = await sluice("priority", second, "high");
    expect([raised.code, raised.stdout]).toEqual([0, `The request ${second} is at place 1 of the queue.\n`]);
    expect((await queue())[0]).toEqual({ name: "second", id: second, priority: 50 });
    expect((await sluice("priority", second, "--", "-7")).stdout).toContain("at place 2 ");
    const unknown = await sluice("priority", second, "urgent");
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("[low, normal, high]")]);
    for (const { id } of await queue()) expect((await sluice("cancel", id, "--message", "not today")).code).toBe(0);
    for (const failure of failures) {
      expect(await failure).toMatchObject({ code: "CANCELLED", message: "not today" });
    }
    expect((await sluice("cancel", second)).stderr).toContain("(REQUEST_NOT_FOUND)");
    expect((await sluice("priority", second, "1")).stderr).toContain("(REQUEST_NOT_FOUND)");
  });
});

describe("a quota", () => {
  it("bounds a tenant at once, takes nothing away, and is lifted again", async () => {
    await using held = await pool.allocate({ memory: "512MiB" });
    const { code, stdout } = await sluice("quota", "local", "--memory", "256MiB", "--leases", "1", "--priority", "5");
    expect(code).toBe(0);
    expect(stdout.split("\n")[1]).toMatch(/^local +1 +512MiB of 256MiB +1 +1 of 1 +0 +- +5$/);
    expect((await pool.leases()).leases.map(({ id }) => id)).toEqual([held.id]);
    expect((await failureOf(pool.allocate({ memory: "1MiB" }))).code).toBe("NO_CAPACITY");
    const tooHigh = await failureOf(pool.allocate({ memory: "1MiB", priority: 6 }));
    expect(tooHigh?.code).toBe("QUOTA_EXCEEDED");
    expect((await failureOf(pool.allocate({ memory: "257MiB" }))).code).toBe("QUOTA_EXCEEDED");
    expect((await sluice("quota", "local", "--none")).code).toBe(0);
    await using _more = await pool.allocate({ memory: "512MiB", priority: 6 });
  });

  it("has JSON with only the bounds that there are, and a weight that changes nothing else", async () => {
    await sluice("quota", "team-a", "--devices", "2", "--duration", "8h");
    const { stdout } = await sluice("quota", "team-a", "--weight", "2.5", "--json");
    const [tenant] = JSON.parse(stdout).tenants;
    expect(tenant).toMatchObject({ name: "team-a", weight: 2.5, heldBytes: 0, devices: 0, leases: 0, waiting: 0 });
    expect(tenant.quota).toEqual({ devices: 2, durationMs: 8 * 3_600_000 });
  });

  it("of a tenant that nobody knows is said to be none", async () => {
    const { code, stdout } = await sluice("quota", "stranger");
    expect([code, stdout]).toEqual([0, "The tenant stranger has borrowed nothing yet, and has no quota.\n"]);
    expect(JSON.parse((await sluice("quota", "stranger", "--json")).stdout)).toEqual({ tenants: [] });
  });

  const wrong: [string[], RegExp][] = [
    [["--memory", "1GiB"], /none is named/],
    [["local", "--memory", "lots"], /lots/],
    [["local", "--leases", "-1"], /-1/],
    [["local", "--weight", "0"], /\[0\]/],
    [["local", "--weight", "nan"], /nan/],
    [["local", "--none", "--leases", "1"], /both are given/],
    [["local", "--duration", "0"], /\[0\]/],
    [["", "--leases", "1"], /one that is blank/],
  ];

  it("that is written wrong is bad usage, and says what is wrong", async () => {
    const finished = await runEach(
      wrong.map(([args]) => ["quota", ...args]),
      { env: environmentOf(server) },
    );
    expect(finished.map(({ code, stderr }, index) => [wrong[index]![0], code, stderr])).toEqual(
      wrong.map(([args, words]) => [args, 2, expect.stringMatching(words)]),
    );
  });
});

describe("the ledger", () => {
  it("tells who held how much, as a table, JSON or CSV, within a span", async () => {
    const before = Date.now();
    const lease = await pool.allocate({ memory: "256MiB" });
    const buffer = lease.devices[0].upload(new Uint8Array(MiB));
    await buffer.read(Uint8Array);
    await lease.release();
    const from = new Date(before - 1).toISOString();
    const { tenants } = JSON.parse((await sluice("usage", "--from", from, "--json")).stdout);
    expect(tenants).toHaveLength(1);
    const [usage] = tenants;
    expect(usage).toMatchObject({ tenant: "local", leases: 1 });
    expect(usage.byteMs).toBe(usage.heldMs * 256 * MiB);
    expect(usage.calls).toBeGreaterThanOrEqual(3);
    expect(usage.bytesReceived).toBeGreaterThan(MiB);
    expect(usage.bytesSent).toBeGreaterThan(MiB);
    const csv = (await sluice("usage", "--from", from, "--csv")).stdout.split("\n");
    expect(csv[0]).toBe("tenant,leases,held_ms,byte_ms,calls,batches,answers,bytes_received,bytes_sent,device_ms");
    expect(csv[1]!.split(",").slice(0, 5)).toEqual(["local", 1, usage.heldMs, usage.byteMs, usage.calls].map(String));
    const table = (await sluice("usage", "--from", "1h")).stdout;
    expect(table).toMatch(/^TENANT +LEASES +HELD +GIB-HOURS[^\n]*\nlocal +\d+ /);
    expect((await sluice("usage", "--tenant", "nobody")).stdout).toBe("No use in this span.\n");
    expect((await sluice("usage", "--to", from, "--from", "1h", "--json")).code).toBe(0);
    expect((await sluice("usage", "--from", "0", "--to", "1h")).code).toBe(2);
  });
});

describe("a restart", () => {
  it("keeps cordons, quotas and the ledger", async () => {
    await sluice("cordon", "null:1", "--message", "kept");
    await sluice("quota", "local", "--memory", "128MiB", "--weight", "3");
    const usage = JSON.parse((await sluice("usage", "--json")).stdout).tenants;
    expect(usage.length).toBeGreaterThan(0);
    await stop();
    await start();
    expect((await pool.devices())[1]!.cordon).toMatchObject({ code: "DEVICE_CORDONED", message: "kept" });
    expect((await failureOf(pool.allocate({ memory: "129MiB" }))).code).toBe("QUOTA_EXCEEDED");
    const { tenants } = JSON.parse((await sluice("quota", "local", "--json")).stdout);
    expect(tenants).toMatchObject([{ name: "local", weight: 3, quota: { memoryBytes: 128 * MiB } }]);
    expect(JSON.parse((await sluice("usage", "--json")).stdout).tenants).toMatchObject([{ leases: usage[0].leases }]);
    await sluice("uncordon", "null:1");
    await sluice("quota", "local", "--none");
    await stop();
    await start();
    expect((await pool.devices())[1]!.cordon).toBeNull();
    await using _lease = await pool.allocate({ memory: "1GiB" });
  });
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address !== undefined && !address.internal && address.family === "IPv4")?.address;

it.runIf(outside !== undefined)(
  "callers from outside the machine are refused, also by a server that is open to them",
  async () => {
    const open = await startServer({ args: ["--device", "null", "--insecure", "--listen", "0.0.0.0:0"] });
    try {
      const env = { SLUICE_SERVER: `${outside}:${open.grpc.split(":")[1]}`, SLUICE_LEASE: "" };
      expect((await runShort(["list"], { env })).code).toBe(0);
      for (const words of [
        ["cordon", "null:0"],
        ["quota"],
        ["usage"],
        ["quota", "local", "--leases", "0"],
        ["revoke", "x"],
      ]) {
        const { code, stderr } = await runShort(words, { env });
        expect([code, stderr]).toEqual([1, expect.stringContaining("(ADMIN_ONLY)")]);
      }
      expect((await runShort(["list", "--json"], { env })).stdout).toContain('"cordon": null');
    } finally {
      await open.stop();
    }
  },
);

it("every verb has help with examples", async () => {
  const verbs = ["cordon", "uncordon", "revoke", "quota", "usage"];
  const helps = await runEach(verbs.map((verb) => [verb, "--help"]));
  for (const [index, verb] of verbs.entries()) {
    const { code, stdout } = helps[index]!;
    expect([verb, code]).toEqual([verb, 0]);
    expect(stdout).toMatch(new RegExp(`Usage: sluice ${verb}[\\s\\S]*Examples:\n {2}sluice ${verb}`));
  }
});
