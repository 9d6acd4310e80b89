/** What a request can say beyond its size, through the library and the command line, and what the server answers about it. */
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { connect, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { contract, fromStatus } from "../../proto/load.ts";
import { environmentOf, runEach, runShort } from "../support/commands.ts";
import { failureOf } from "../support/failures.ts";
import { untilEmpty } from "../support/pool-state.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:2x1GiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterEach(async () => {
  await untilEmpty(pool);
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

const sluice = (...args: readonly string[]) => runShort(args, { env: environmentOf(server) });

const idsOf = (lease: { readonly info: { readonly slices: readonly { readonly deviceId: string }[] } }) =>
  lease.info.slices.map(({ deviceId }) => deviceId);

describe("a filter", () => {
  it("leads the request to the device that meets it", async () => {
    await using lease = await pool.allocate({ memory: "64MiB", filters: ["device.id=null:1"] });
    expect(idsOf(lease)).toEqual(["null:1"]);
  });

  it("that no device meets is said, with the condition, for every device", async () => {
    const error = await failureOf(pool.allocate({ memory: "64MiB", filters: ["device.phy-memory>1GiB"], wait: "1m" }));
    expect(error.code).toBe("IMPOSSIBLE_REQUEST");
    expect(error.details.reasons?.map(({ device, code }) => [device, code])).toEqual([
      ["null:0", "FILTERED_OUT"],
      ["null:1", "FILTERED_OUT"],
    ]);
  });

  it("that is none is refused by its own text", async () => {
    const wrong = ["device.colour=red", "device.name", "device.phy-memory>=lots", ""];
    const lines = wrong.map((filter) => ["explain", "--filter", filter]);
    const finished = await runEach(lines, { env: environmentOf(server) });
    for (const [index, filter] of wrong.entries()) {
      const error = await failureOf(pool.allocate({ memory: "64MiB", filters: [filter] }));
      const { code, stderr } = finished[index]!;
      expect([filter, error.code, code]).toEqual([filter, "BAD_ARGUMENT", 2]);
      if (filter !== "") expect(stderr).toContain(`[${filter}]`);
    }
  });

  it("may be given several times on the command line, and all must hold", async () => {
    const both = await sluice(
      "explain",
      "-m",
      "64MiB",
      "--filter",
      "device.id!=null:0",
      "--filter",
      "device.kind=null",
    );
    expect(both).toMatchObject({ code: 0, stdout: "It would be granted now:\n  64MiB of null:1\n", stderr: "" });
    const none = await sluice("explain", "-m", "64MiB", "--filter", "device.id=null:0", "--filter", "device.id=null:1");
    expect(none.code).toBe(1);
    expect(none.stdout).toMatch(/IMPOSSIBLE_REQUEST[\s\S]*null:0[\s\S]*null:1/);
  });
});

describe("the mode", () => {
  it("exclusive takes whole devices that nobody else is on, whatever the share says", async () => {
    await using shared = await pool.allocate({ memory: "64MiB", filters: ["device.id=null:0"] });
    await using lease = await pool.allocate({ mode: "exclusive" });
    expect(idsOf(shared)).toEqual(["null:0"]);
    expect(lease.info.slices).toMatchObject([{ deviceId: "null:1", memoryBytes: GiB }]);
    const error = await failureOf(pool.allocate({ mode: "exclusive" }));
    expect(error.code).toBe("NO_CAPACITY");
    // Nothing is left beside it either.
    expect((await failureOf(pool.allocate({ memory: "1MiB", filters: ["device.id=null:1"] }))).code).toBe(
      "NO_CAPACITY",
    );
  });

  it("profile is refused where no device is cut", async () => {
    expect((await failureOf(pool.allocate({ mode: "profile" }))).code).toBe("IMPOSSIBLE_REQUEST");
  });

  it("dynamic still needs a share", async () => {
    expect((await failureOf(pool.allocate({ mode: "dynamic" }))).code).toBe("BAD_ARGUMENT");
  });
});

describe("the policy", () => {
  it("pack fills a device before the next, spread takes the emptiest", async () => {
    await using first = await pool.allocate({ memory: "512MiB" });
    await using packed = await pool.allocate({ memory: "128MiB", policy: "pack" });
    await using spread = await pool.allocate({ memory: "128MiB", policy: "spread" });
    expect(idsOf(packed)).toEqual(idsOf(first));
    expect(idsOf(spread)).not.toEqual(idsOf(first));
  });

  it("topology warns when no link joins the devices", async () => {
    await using lease = await pool.allocate({ devices: 2, memory: "64MiB", policy: "topology" });
    expect(lease.warnings).toHaveLength(1);
    expect(lease.warnings[0]).toMatch(/link/i);
    const { code, stderr } = await sluice("run", "-n", "2", "-m", "64MiB", "--policy", "topology", "--", "true");
    expect(code).toBe(0);
    expect(stderr).toContain(lease.warnings[0]);
  });
});

describe("the priority", () => {
  it("decides who is served first, and is shown", async () => {
    const blocker = await pool.allocate({ devices: 2, memory: "1GiB" });
    const served: string[] = [];
    const ask = async (name: string, priority: number): Promise<void> => {
      const lease = await pool.allocate({ devices: 2, memory: "1GiB", wait: "1m", name, priority });
      served.push(name);
      await lease.release();
    };
    const asked = [ask("low", -5)];
    await waitFor("the first to wait", async () => (await pool.leases()).queue.length === 1);
    asked.push(ask("high", 7));
    await waitFor("both to wait", async () => (await pool.leases()).queue.length === 2);
    expect((await pool.leases()).queue.map(({ name, priority }) => [name, priority])).toEqual([
      ["high", 7],
      ["low", -5],
    ]);
    await blocker.release();
    await Promise.all(asked);
    expect(served).toEqual(["high", "low"]);
  });

  it("that is none is bad usage", async () => {
    const wrong = ["101", "-101", "1.5", "hi gh", ""];
    const lines = wrong.map((priority) => ["explain", "--priority", priority]);
    const finished = await runEach(lines, { env: environmentOf(server) });
    expect(finished.map(({ code, stderr }, index) => [wrong[index], code, stderr])).toEqual(
      wrong.map((priority) => [priority, 2, expect.stringContaining("-100 to 100")]),
    );
  });

  it("may be one of the server's names", async () => {
    const lease = await pool.allocate({ memory: "1MiB", priority: "low" });
    expect(lease.info.priority).toBe(-50);
    await lease.release();
    const { code, stderr } = await sluice("explain", "--priority", "urgent");
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("[urgent] is none of the server's [low, normal, high]"),
    ]);
  });
});

describe("explain", () => {
  it("tells where a request would go, and takes nothing", async () => {
    const before = await pool.devices();
    expect(await pool.explain({ devices: 2, memory: "96MiB" })).toEqual({
      outcome: "granted",
      slices: [
        { index: 0, deviceId: "null:0", memoryBytes: 96 * MiB, overheadBytes: 0, compute: 0 },
        { index: 1, deviceId: "null:1", memoryBytes: 96 * MiB, overheadBytes: 0, compute: 0 },
      ],
      warnings: [],
      server: server.grpc,
    });
    expect(await pool.devices()).toEqual(before);
    expect((await pool.leases()).leases).toEqual([]);
  });

  it("names every device's reason, what has to end first, and when that is where it is known", async () => {
    await using endless = await pool.allocate({ memory: "1GiB" });
    const [busy] = idsOf(endless);
    await using short = await pool.allocate({ memory: "768MiB", durationMax: "10m" });
    const explanation = await pool.explain({ memory: "512MiB" });
    expect(explanation).toMatchObject({ outcome: "queued", position: 1, blockingLeaseIds: [short.id] });
    if (explanation.outcome !== "queued") return;
    expect(explanation.startsAtMs).toBe(short.info.endsAtMs);
    expect(explanation.reasons.map(({ code }) => code)).toEqual(["NOT_ENOUGH_MEMORY", "NOT_ENOUGH_MEMORY"]);
    const { code, stdout } = await sluice("explain", "-m", "512MiB");
    expect(code).toBe(75);
    expect(stdout).toMatch(/^It would wait at place 1, served by 20\d\d-.*Z at the latest/);
    expect(stdout).toContain(`Device [${busy}]`);
    expect(stdout).toContain(`What would have to end first: ${short.id}.`);
    const json = JSON.parse((await sluice("explain", "-m", "512MiB", "--json")).stdout);
    expect(json).toEqual({ ...explanation });
    // Whoever will not wait is refused, and told the same.
    expect(await pool.explain({ memory: "512MiB", wait: 0 })).toMatchObject({
      outcome: "refused",
      code: "NO_CAPACITY",
    });
  });

  it("keeps its promise: what it would grant is granted, and a start that it gives is met", async () => {
    const short = await pool.allocate({ devices: 2, memory: "1GiB", durationMax: "3s" });
    const explanation = await pool.explain({ memory: "1GiB" });
    if (explanation.outcome !== "queued") throw new Error("It would not wait.");
    const told: (number | undefined)[] = [];
    await using lease = await pool.allocate({
      memory: "1GiB",
      wait: "1m",
      onQueued: ({ startsAtMs }) => told.push(startsAtMs),
    });
    expect(explanation.startsAtMs).toBe(short.info.endsAtMs);
    expect(told.at(-1)).toBe(short.info.endsAtMs);
    expect(lease.info.grantedAtMs).toBeGreaterThanOrEqual(short.info.endsAtMs);
    await short.release().catch(() => {});
  });

  it("of what can never be served says so", async () => {
    expect(await pool.explain({ memory: "2GiB" })).toMatchObject({ outcome: "refused", code: "IMPOSSIBLE_REQUEST" });
    const { code, stdout } = await sluice("explain", "-n", "3");
    expect(code).toBe(1);
    expect(stdout).toMatch(/^It would be refused: .*\(IMPOSSIBLE_REQUEST\)/);
  });

  it("has help with examples", async () => {
    const { code, stdout } = await sluice("explain", "--help");
    expect(code).toBe(0);
    expect(stdout).toMatch(/Usage: sluice explain[\s\S]*--filter[\s\S]*Examples:\n {2}sluice explain/);
  });
});

describe("the server believes no client", () => {
  const many = Array.from({ length: 33 }, () => "device.kind=null");

  it.each([
    ["a mode that it has no name for", { mode: 99 }, "[99]"],
    ["a policy that it has no name for", { policy: 7 }, "[7]"],
    ["a priority beyond the bound", { priority: 101 }, "[101]"],
    ["too many filters", { filters: many }, "[33]"],
    ["too long a filter", { filters: [`device.name=${"x".repeat(256)}`] }, "[268]"],
    ["control characters", { filters: ["device.name=\u001b[2J"] }, "control characters"],
    ["a label that is none", { tolerations: ["a b"] }, "[a b]"],
    ["an empty label", { avoidedLabels: [""] }, "[0]"],
    ["no share at all", { memoryBytes: undefined }, "neither"],
  ])("that sends %s", async (_what, fields, words) => {
    const client = new contract.PoolService(server.grpc, credentials.createInsecure());
    try {
      const request = { memoryBytes: MiB, requestId: "raw", ...(fields as object) };
      const failure = await new Promise<ServiceError | null>((resolve) => client.explain({ request }, resolve));
      expect(failure && fromStatus(failure)).toMatchObject({
        code: "BAD_ARGUMENT",
        message: expect.stringContaining(words),
      });
      // The same request is no better when it is made.
      const refused = await new Promise<ServiceError>((resolve) => {
        client
          .allocate(request)
          .on("error", resolve)
          .on("data", () => {});
      });
      expect(fromStatus(refused).code).toBe("BAD_ARGUMENT");
    } finally {
      client.close();
    }
  });

  it("that sends no request to explain", async () => {
    const client = new contract.PoolService(server.grpc, credentials.createInsecure());
    const failure = await new Promise<ServiceError | null>((resolve) => client.explain({}, resolve));
    client.close();
    expect(failure && fromStatus(failure).code).toBe("BAD_ARGUMENT");
  });
});
