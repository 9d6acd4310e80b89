/** The other verbs of the command line: their tables, their pictures, their JSON, their exit codes, their help. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Pool } from "sluice";
import { describe, expect, it } from "vitest";
import { environmentOf, runEach, runShort } from "../support/commands.ts";
import { occupy, servePool } from "../support/pool-server.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;

servePool({ args: ["--device", "null:2x1GiB"] }, (started) => {
  ({ server, pool } = started);
});

const sluice = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runShort(args, { env: { ...environmentOf(server), ...env } });

describe("list", () => {
  it("shows every device with what is lent and a bar", async () => {
    await using _quarter = await occupy(server, { memoryBytes: 256 * MiB });
    await using _third = await occupy(server, { memoryBytes: 512 * MiB });
    const { code, stdout, stderr } = await sluice(["list"]);
    expect([code, stderr]).toEqual([0, ""]);
    const [title, first, second, ...rest] = stdout.trimEnd().split("\n");
    expect(title!.split(/ {2,}/)).toEqual(["DEVICE", "NAME", "MEMORY", "FREE", "LENT", "SLICES", "USE"]);
    expect(first).toMatch(/^null:0 .* 1GiB +256MiB +768MiB +2 +########\.\. +75%$/);
    expect(second).toMatch(/^null:1 .* 1GiB +1GiB +0B +0 +\.{10} +0%$/);
    expect(rest).toEqual([]);
  });

  it("draws its bars with blocks where the terminal can", async () => {
    await using _half = await occupy(server, { memoryBytes: 512 * MiB });
    expect((await sluice(["list"], { LC_ALL: "en_US.UTF-8" })).stdout).toContain("█████░░░░░  50%");
  });

  it("prints JSON with the numbers in bytes", async () => {
    const { stdout } = await sluice(["list", "--json"]);
    const { server: about, devices } = JSON.parse(stdout);
    expect(about).toMatchObject({
      address: server.grpc,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      id: expect.any(String),
    });
    expect(devices).toHaveLength(2);
    expect(devices[1]).toMatchObject({
      id: "null:1",
      kind: "null",
      memoryBytes: GiB,
      freeBytes: GiB,
      grantedBytes: 0,
      overheadBytes: 0,
      slices: 0,
    });
  });
});

describe("leases", () => {
  it("says honestly that there are none", async () => {
    expect((await sluice(["leases"])).stdout).toBe("No leases.\n");
    expect(JSON.parse((await sluice(["leases", "--json"])).stdout)).toEqual({ leases: [], queue: [] });
  });

  it("shows who holds what and who waits and why", async () => {
    await using lease = await pool.allocate({ devices: 2, memory: "1GiB", name: "training" });
    const controller = new AbortController();
    const waiting = pool
      .allocate({ memory: "512MiB", wait: "1h", name: "later", signal: controller.signal })
      .catch(() => {});
    try {
      await waitFor("the request to wait", async () => (await pool.leases()).queue.length === 1);
      // What a session has done is told now and then.
      await waitFor("the calls to be told", async () => (await pool.leases()).leases[0]?.usage?.calls === 2);
      const { stdout } = await sluice(["leases"]);
      expect(stdout).toMatch(new RegExp(`^${lease.id} .*training +null:0,null:1 +2GiB +attached +\\S+ +2$`, "m"));
      expect(stdout).toMatch(/^ +1 .*later +512MiB +\S+ +59m\d+s\n {9}Device \[null:0\] has \[0B\] free/m);
      const json = JSON.parse((await sluice(["leases", "--json"])).stdout);
      expect(json.leases[0]).toMatchObject({ id: lease.id, name: "training", state: "attached", detached: false });
      expect(json.queue[0]).toMatchObject({ name: "later", position: 1, memoryBytes: 512 * MiB });
      expect(json.queue[0].reasons[0].code).toBe("NOT_ENOUGH_MEMORY");
    } finally {
      // Before the lease goes, which would let the request in.
      controller.abort();
      await waiting;
    }
  });
});

describe("request and release", () => {
  it("keep a lease without a program, and end it by its id", async () => {
    const { code, stdout } = await sluice(["request", "-m", "256MiB", "--for", "1h", "--name", "mine"]);
    expect(code).toBe(0);
    const [, id] = /^Lease (\S+): 256MiB of null:0, until 20\d\d-.*Z\.$/m.exec(stdout)!;
    expect(stdout).toContain(`sluice release ${id}`);
    expect((await pool.leases()).leases[0]).toMatchObject({ id, name: "mine", detached: true });
    const released = await sluice(["release", id!]);
    expect(released).toMatchObject({ code: 0, stderr: "" });
    expect(released.stdout).toMatch(
      new RegExp(`^The lease ${id} is released: held .*, 0 calls in 0 frames, 0 round trips, `),
    );
    expect((await sluice(["release", id!])).stdout).toBe(`The lease ${id} had ended before.\n`);
  });

  it("give lines that a shell can evaluate, and nothing else on standard output", async () => {
    const { stdout, stderr } = await sluice(["request", "-p", "0.5", "--for", "1h", "--export"]);
    expect(stdout).toMatch(/^export SLUICE_LEASE='\S+'\nexport SLUICE_SERVER='\S+'\n$/);
    expect(stderr).toMatch(/^sluice: Lease \S+: 512MiB of null:0/);
    const variables = execFileSync("sh", ["-c", `${stdout} printf '%s %s' "$SLUICE_LEASE" "$SLUICE_SERVER"`], {
      encoding: "utf8",
    });
    const [lease, address] = variables.split(" ");
    expect(address).toBe(server.grpc);
    const released = await sluice(["release", "--json"], { SLUICE_LEASE: lease! });
    expect(JSON.parse(released.stdout)).toMatchObject({
      leaseId: lease!.split(":")[0],
      released: true,
      usage: { calls: 0 },
    });
    expect(JSON.parse((await sluice(["release", "--json"], { SLUICE_LEASE: lease! })).stdout)).toMatchObject({
      released: false,
    });
  });

  it("end by themselves when the time is over", async () => {
    const { stdout } = await sluice(["request", "-m", "1GiB", "--for", "500ms", "--json"]);
    const { lease, environment } = JSON.parse(stdout);
    expect(lease).toMatchObject({ detached: true });
    expect(environment.SLUICE_LEASE).toMatch(new RegExp(`^${lease.id}:`));
    await waitFor("the lease to end", async () => (await pool.leases()).leases.length === 0);
  });

  const wrong: [string[], RegExp][] = [
    [["request", "-m", "1MiB"], /--for/],
    [["request", "-m", "1MiB", "--for", "0"], /no time/],
    [["request", "-m", "0", "--for", "1h"], /\[0\] is not/],
    [["request", "--for", "1h", "--frob"], /unknown option/],
    [["release", "a", "b"], /too many arguments/],
    [["list", "extra"], /too many arguments/],
    [["frobnicate"], /unknown command/],
    [["list", "--server", "bad::address"], /bad::address/],
  ];

  it("tell what is written wrong in a sentence", async () => {
    const finished = await runEach(
      wrong.map(([args]) => args),
      { env: environmentOf(server) },
    );
    for (const [index, { code, stderr, stdout }] of finished.entries()) {
      const [args, words] = wrong[index]!;
      expect([args, code, stdout]).toEqual([args, 2, ""]);
      expect(stderr).toMatch(words);
      expect(stderr).not.toContain("    at ");
    }
  });

  it("without an id and without a lease in the environment say so", async () => {
    const { code, stderr } = await sluice(["release"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sluice: No lease is named.*\(NO_LEASE\) .*\n$/);
  });

  it("with a mangled lease in the environment do not repeat it", async () => {
    const { code, stderr } = await sluice(["release"], { SLUICE_LEASE: "lease-1:hunter2" });
    expect(code).toBe(2);
    expect(stderr).not.toContain("hunter2");
  });
});

describe("smi", () => {
  it("shows devices and leases within 80 columns", async () => {
    const name = "a name of a job that is far too long to fit";
    await using lease = await occupy(server, { memoryBytes: 256 * MiB, name });
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
    await using lease = await occupy(server, { memoryBytes: 256 * MiB });
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

describe("help", () => {
  it("of a verb shows examples", async () => {
    const verbs = ["run", "request", "release", "list", "leases"];
    const helps = await runEach(verbs.map((verb) => [verb, "--help"]));
    for (const [index, verb] of verbs.entries()) {
      const { code, stdout } = helps[index]!;
      expect([verb, code]).toEqual([verb, 0]);
      expect(stdout).toContain(`Usage: sluice ${verb}`);
      expect(stdout).toMatch(/Examples:\n {2}(sluice|eval)/);
    }
  });

  it("of the whole fits 80 columns and names every verb, each of which is found by its name", async () => {
    const { stdout } = await sluice(["--help"]);
    const verbs = [...stdout.matchAll(/^ {2}([a-z]+) .*\[options\]/gm)].map(([, verb]) => verb!);
    expect(verbs).toEqual(
      expect.arrayContaining(["run", "request", "release", "list", "leases", "uncordon", "resume"]),
    );
    expect(stdout).toMatch(/^ {2}serve/m);
    const helps = await runEach(verbs.map((verb) => [verb, "--help"]));
    for (const [index, verb] of verbs.entries())
      expect(helps[index]).toMatchObject({ code: 0, stdout: expect.stringMatching(`^Usage: sluice ${verb} `) });
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    expect((await sluice([])).code).toBe(2);
    expect((await sluice(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
