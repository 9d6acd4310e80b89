/** The verbs that show the pool to people: smi, watch and health. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { connect, type Pool } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { environmentOf, runShort } from "../support/commands.ts";
import { startServer, type TestServer } from "../support/server.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:2x1GiB"] });
  pool = await connect({ server: server.grpc, lease: "" });
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

const sluice = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runShort(args, { env: { ...environmentOf(server), ...env } });

describe("smi", () => {
  it("shows devices and leases within 80 columns", async () => {
    await using lease = await pool.allocate({ memory: "256MiB", name: "a name of a job that is far too long to fit" });
    const { code, stdout, stderr } = await sluice(["smi"]);
    expect([code, stderr]).toEqual([0, ""]);
    const lines = stdout.trimEnd().split("\n");
    expect(new Set(lines.filter((line) => line !== "").map((line) => line.length))).toEqual(new Set([80]));
    expect(stdout).toMatch(/null:0 .* dynamic \| N\/A +1 \| N\/A +open \|/);
    expect(stdout).toMatch(/256MiB +\/ 1GiB \| N\/A +768MiB \|/);
    expect(stdout).toMatch(new RegExp(`null:0 +${lease.id} local +a name of a job~ +256MiB`));
  });

  it("prints the listings as JSON", async () => {
    const { devices, leases } = JSON.parse((await sluice(["smi", "--json"])).stdout);
    expect(devices.map(({ id }: { id: string }) => id)).toEqual(["null:0", "null:1"]);
    expect(leases).toEqual([]);
  });
});

describe("watch", () => {
  it("prints a line of JSON per change, and ends with success when it is stopped", async () => {
    const child = spawn(process.execPath, ["dist/client/cli/main.js", "watch", "--json", "--interval", "100ms"], {
      env: { ...process.env, ...environmentOf(server) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value!);
    const first = await next();
    expect(first).toMatchObject({ snapshot: true, leases: [] });
    expect(first.devices).toHaveLength(2);
    await using lease = await pool.allocate({ memory: "256MiB" });
    let seen = await next();
    while (seen.leases.length === 0) seen = await next();
    expect(seen.leases[0]).toMatchObject({ id: lease.id, slices: [{ memoryBytes: 256 * MiB }] });
    const exited = once(child, "exit");
    child.kill("SIGINT");
    expect(await exited).toEqual([0, null]);
  });

  it("says why it ends when the server goes", async () => {
    const own = await startServer({ args: ["--device", "null:1x1GiB"] });
    const child = spawn(process.execPath, ["dist/client/cli/main.js", "watch", "--server", own.grpc], {
      env: { ...process.env, ...environmentOf(server) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words += text;
    });
    const exited = once(child, "exit");
    const [picture] = await once(child.stdout, "data");
    expect(String(picture)).toContain("No leases.");
    child.stdout.resume();
    await own.stop();
    expect(await exited).toEqual([1, null]);
    expect(words).toMatch(/^sluice: .*\((SHUTTING_DOWN|SERVER_UNREACHABLE)\)/);
  });
});

describe("health", () => {
  it("names its checks and ends with 0 when all is well", async () => {
    const { code, stdout } = await sluice(["health", "--json"]);
    const { healthy, checks } = JSON.parse(stdout);
    expect([code, healthy]).toEqual([0, true]);
    expect(checks.map(({ name }: { name: string }) => name)).toEqual([
      "client",
      "server",
      "network",
      "devices",
      "clock",
    ]);
    expect(checks.find(({ name }: { name: string }) => name === "clock")).toMatchObject({ status: "ok" });
  });

  it("warns of a closed device, which fails nothing", async () => {
    await sluice(["cordon", "null:1", "--message", "new fan"]);
    const { code, stdout } = await sluice(["health"]);
    await sluice(["uncordon", "null:1"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^devices +warning +null:1 is closed: new fan$/m);
  });

  it("ends with 1 when the server does not answer, and says what it could not check", async () => {
    const { code, stdout } = await sluice(["health"], { SLUICE_SERVER: "127.0.0.1:1" });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^server +failed +The server \[127\.0\.0\.1:1\] does not answer/m);
    expect(stdout).toMatch(/^network +failed +no connection to 127\.0\.0\.1:1 \[/m);
    expect(stdout).toMatch(/^clock +skipped/m);
  });
});
