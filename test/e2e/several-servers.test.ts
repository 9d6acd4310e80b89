/** Three real servers as one pool, by the command line and the library: one small, one large, and one that knows no token of ours. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Pool } from "sluice";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { testCertificates } from "../support/certificates.ts";
import { runShort } from "../support/commands.ts";
import { occupy } from "../support/pool-server.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const GiB = 1024 ** 3;
const at = (host: string, device: string, ...more: string[]) =>
  startServer({ args: ["--listen", `${host}:0`, "--data", `${host}:0`, "--device", device, ...more] });

const folder = mkdtempSync(join(tmpdir(), "sluice-several-"));
let small: TestServer;
let large: TestServer;
let closed: TestServer;
let pool: Pool;
const running: ChildProcess[] = [];

beforeAll(async () => {
  [small, large, closed] = await Promise.all([
    at("127.0.0.2", "null:1x1GiB"),
    at("127.0.0.3", "null:2x2GiB"),
    at("127.0.0.4", "null:1x1GiB"),
  ]);
  const admin = join(folder, "admin.json");
  const made = await runShort(["token", "create", "--tenant", "ops", "--admin", "--bundle", admin], {
    env: { SLUICE_SERVER: closed.grpc },
  });
  expect(made.code).toBe(0);
  pool = await connect({ server: [small.grpc, large.grpc], lease: "" });
});
afterEach(async () => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  await waitFor("the pool to be empty", async () => {
    const { leases, queue } = await pool.leases();
    return leases.length === 0 && queue.length === 0;
  });
});
afterAll(async () => {
  await pool.close();
  await Promise.all([small, large, closed].map((server) => server.stop()));
  rmSync(folder, { recursive: true });
});

const plain = { SLUICE_LEASE: "", SLUICE_TOKEN: "", SLUICE_BUNDLE: "", LANG: "C", LC_ALL: "C" };
const both = () => `${small.grpc},${large.grpc}`;
const sluice = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runShort(args, { env: { ...plain, SLUICE_SERVER: both(), ...env } });
/** The first admin's, which the server makes for itself where it asks for tokens from its start. */
const tokenOf = ({ state }: TestServer): string => {
  const file = join(state, "admin-token");
  return existsSync(file) ? readFileSync(file, "utf8").trim() : "";
};
const where = ["--", "sh", "-c", "echo $SLUICE_SERVER"];

/** Runs a command once more while it had its share from another server: on a busy machine one that is better may answer too late to be chosen. */
const runsOn = (server: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  waitFor(`a share on ${server}`, async () => {
    const { code, stdout, stderr } = await sluice(["run", ...args, ...where], env);
    expect([code, stderr]).toEqual([0, ""]);
    return stdout === `${server}\n`;
  });

/** All that they have. */
const onSmallServer = () => occupy(small, { memoryBytes: GiB });
const onLargeServer = () => occupy(large, { devices: 2, memoryBytes: 2 * GiB });

/** `sluice` in the background, on both. */
function start(...args: string[]) {
  const env = { ...process.env, ...plain, SLUICE_INTERPOSER: "", SLUICE_SERVER: both() };
  const child = spawn(process.execPath, ["dist/client/cli/main.js", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  running.push(child);
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += String(chunk);
  });
  child.stderr.on("data", (chunk) => {
    text += String(chunk);
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once("exit", (code, signal) => resolve(signal ?? code ?? -1)),
  );
  return { child, text: () => text, ended: inTime("its end", ended) };
}

describe("run", () => {
  it("takes the server on which the share fits best, and any that serves it at all", async () => {
    await runsOn(small.grpc, ["-m", "768MiB"]);
    await runsOn(large.grpc, ["-m", "768MiB", "--policy", "spread"]);
    expect((await sluice(["run", "-n", "2", "-m", "1MiB", ...where])).stdout).toBe(`${large.grpc}\n`);
    expect((await sluice(["run", "--processes", "3", "-m", "1GiB", ...where])).stdout).toBe(`${large.grpc}\n`);
    const filter = ["--filter", "server.addr=127.0.0.3"];
    expect((await sluice(["run", "-m", "1MiB", ...filter, ...where])).stdout).toBe(`${large.grpc}\n`);
    expect((await sluice(["run", "-m", "1MiB", "--server", small.grpc, ...where])).stdout).toBe(`${small.grpc}\n`);
  });

  it("goes on without servers that refuse the token or are not there, and says so once", async () => {
    const said = await waitFor("both to be heard of before the choice", async () => {
      const { code, stdout, stderr } = await sluice(["run", "-m", "1GiB", ...where], {
        SLUICE_SERVER: `127.0.0.5:1,${closed.grpc},${small.grpc}`,
      });
      expect([code, stdout]).toEqual([0, `${small.grpc}\n`]);
      const lines = stderr.trimEnd().split("\n");
      return lines.length === 2 ? lines.sort() : undefined;
    });
    expect(said).toEqual([
      expect.stringMatching(`^sluice: The server ${closed.grpc} is left out: The request shows no token`),
      expect.stringMatching(
        /^sluice: The server 127\.0\.0\.5:1 is left out: it does not answer \[connect ECONNREFUSED/,
      ),
    ]);
  });

  it("goes on without a server whose certificate is not of the CA that the bundle has for it", async () => {
    const certificates = await testCertificates();
    const tls = await startServer({ args: ["--device", "null:1x1GiB", ...certificates.args] });
    const bundle = join(folder, "tls.json");
    const write = (ca: string): void =>
      writeFileSync(
        bundle,
        JSON.stringify([
          { server: tls.grpc, ca, token: tokenOf(tls) },
          { server: small.grpc, token: "" },
        ]),
      );
    try {
      write(certificates.stranger.cert);
      const wrong = await sluice(["run", "-m", "1GiB", ...where], { SLUICE_SERVER: "", SLUICE_BUNDLE: bundle });
      expect([wrong.code, wrong.stdout]).toEqual([0, `${small.grpc}\n`]);
      expect(wrong.stderr).toMatch(new RegExp(`^sluice: The server ${tls.grpc} is left out: .*certificate.*\n$`));
      write(certificates.ca.cert);
      await runsOn(tls.grpc, ["-m", "1GiB"], { SLUICE_SERVER: "", SLUICE_BUNDLE: bundle });
    } finally {
      await tls.stop();
      certificates.remove();
    }
  });

  it("names each server's reason when none serves it, with the exit codes of one server", async () => {
    await using _small = await onSmallServer();
    await using _large = await onLargeServer();
    const full = await sluice(["run", "-m", "512MiB", ...where]);
    expect([full.code, full.stdout]).toEqual([75, ""]);
    expect(full.stderr).toContain("There is no room now, and the request does not wait. (NO_CAPACITY)");
    expect(full.stderr).toContain(`Device [${small.grpc}/null:0] has [0B] free`);
    expect(full.stderr).toContain(`Device [${large.grpc}/null:0] has [0B] free`);
    const late = await sluice(["run", "-m", "512MiB", "--wait", "3s", ...where]);
    expect(late.code).toBe(75);
    expect(late.stderr).toContain(`Waiting, place 1 on ${small.grpc}, 1 on ${large.grpc}, served by `);
    const impossible = await sluice(["run", "-m", "9GiB", ...where]);
    expect([impossible.code, impossible.stderr]).toEqual([1, expect.stringContaining("(IMPOSSIBLE_REQUEST)")]);
    expect((await sluice(["run", "-m", "1MiB", "--filter", "nonsense", ...where])).code).toBe(2);
    const gone = await sluice(["run", "-m", "1MiB", ...where], { SLUICE_SERVER: "127.0.0.5:1,127.0.0.6:1" });
    expect(gone.code).toBe(1);
    expect(gone.stderr).toMatch(/127\.0\.0\.5:1: it does not answer.*127\.0\.0\.6:1: it does not answer/);
  });

  it("takes the first that has room, and is withdrawn from the others at once", async () => {
    await using onSmall = await onSmallServer();
    await using _large = await onLargeServer();
    const job = start("run", "-m", "512MiB", "--wait", "1h", "--", "sh", "-c", "echo on $SLUICE_SERVER; exec sleep 60");
    await waitFor("the place on both", () => job.text().includes("Waiting, place 1 on"));
    expect((await pool.leases()).queue).toHaveLength(2);
    await onSmall.release();
    await waitFor("the job", () => job.text().includes(`\non ${small.grpc}`));
    expect(job.text()).toContain(`The wait is over: the command starts with 512MiB of null:0 on ${small.grpc}.`);
    expect((await pool.leases()).queue).toEqual([]);
    job.child.kill("SIGTERM");
    expect(await job.ended).toBe(143);
  });

  it("that is killed or asked to stop while it waits is withdrawn everywhere", async () => {
    await using _small = await onSmallServer();
    await using _large = await onLargeServer();
    const killed = start("run", "-m", "512MiB", "--wait", "1h", ...where);
    await waitFor("its places", async () => (await pool.leases()).queue.length === 2);
    killed.child.kill("SIGKILL");
    await waitFor("its requests to be gone", async () => (await pool.leases()).queue.length === 0);
    const stopped = start("run", "-m", "512MiB", "--wait", "1h", ...where);
    await waitFor("its places", async () => (await pool.leases()).queue.length === 2);
    stopped.child.kill("SIGTERM");
    expect(await stopped.ended).toBe(143);
    expect((await pool.leases()).queue).toEqual([]);
  });
});

describe("a server that is killed while a request waits on it", () => {
  it("holds up nobody: the request is granted elsewhere, or there once the server is back", async () => {
    await using _small = await onSmallServer();
    await using onLarge = await onLargeServer();
    const state = mkdtempSync(join(tmpdir(), "sluice-state-"));
    try {
      const port = await startServer({ state, args: ["--listen", "127.0.0.5:0", "--device", "null:1x1GiB"] });
      const own = await connect({ server: port.grpc, lease: "" });
      const held = await own.allocate({ memory: "1GiB" });
      const options = { memory: "512MiB", wait: "1h" } as const;
      const all = await connect({ server: [port.grpc, large.grpc], lease: "" });
      const places: number[] = [];
      const waiting = all.allocate({ ...options, onQueued: ({ servers }) => places.push(servers?.length ?? 0) });
      await waitFor("both places", () => places.includes(2));
      port.kill("SIGKILL");
      await waitFor("the place that is left", () => places.at(-1) === 1);
      await onLarge.release();
      const lease = await inTime("the grant", waiting);
      expect(lease.server).toBe(large.grpc);
      const [gpu] = lease.devices;
      expect(await gpu.upload(Uint8Array.of(1, 2, 3)).read(Uint8Array)).toEqual(Uint8Array.of(1, 2, 3));
      await all.close();
      // The request is in its store: it is not granted to nobody.
      const back = await startServer({
        state,
        args: ["--listen", port.grpc, "--device", "null:1x1GiB", "--heartbeat-timeout", "1s"],
      });
      await waitFor("the request to be forgotten", async () => (await own.leases()).queue.length === 0);
      await held.release().catch(() => {});
      await own.close();
      await back.stop();
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  });
});

describe("the views", () => {
  it("show whose everything is, in a column and in JSON", async () => {
    await using lease = await onSmallServer();
    const list = (await sluice(["list"])).stdout.split("\n");
    expect(list[0]!.split(/ {2,}/)[0]).toBe("SERVER");
    expect(list.slice(1, 4).map((line) => line.split(/ {2,}/).slice(0, 2))).toEqual([
      [small.grpc, "null:0"],
      [large.grpc, "null:0"],
      [large.grpc, "null:1"],
    ]);
    const { servers, devices, server } = JSON.parse((await sluice(["list", "--json"])).stdout);
    expect(server).toBeUndefined();
    expect(servers.map(({ address }: { address: string }) => address)).toEqual([small.grpc, large.grpc]);
    expect(devices.map((each: { server: string }) => each.server)).toEqual([small.grpc, large.grpc, large.grpc]);
    expect((await sluice(["leases"])).stdout).toMatch(new RegExp(`^SERVER.*\n${small.grpc} +${lease.id}`));
    const smi = (await sluice(["smi"])).stdout;
    expect(smi).toContain(small.grpc);
    expect(smi).toContain(large.grpc);
    expect((await sluice(["usage"])).stdout).toMatch(/^SERVER +TENANT/);
    expect((await sluice(["explain", "-m", "1MiB"])).stdout).toMatch(
      new RegExp(`^${large.grpc}: It would be granted now:\n.*\n${small.grpc}: It would wait`),
    );
    const one = await sluice(["list", "--server", small.grpc]);
    expect(one.stdout).toMatch(/^DEVICE/);
  });

  it("leave out a server that does not answer, with one sentence, and health fails for it", async () => {
    const env = { SLUICE_SERVER: `${small.grpc},127.0.0.5:1` };
    const { code, stdout, stderr } = await sluice(["list"], env);
    expect([code, stdout.split("\n")[1]!.split(/ {2,}/)[0]]).toEqual([0, small.grpc]);
    expect(stderr).toMatch(/^sluice: The server 127\.0\.0\.5:1 is left out: it does not answer \[.*\]\.\n$/);
    const health = await sluice(["health"], env);
    expect(health.code).toBe(1);
    expect(health.stdout).toMatch(/127\.0\.0\.5:1 +server +failed/);
    expect(health.stdout).toMatch(new RegExp(`${small.grpc} +devices +ok`));
  });

  it("watch all of them as one, and name what is lost", async () => {
    const { child, text } = start("watch", "--interval", "100ms", "--server", small.grpc, "--server", large.grpc);
    await waitFor("both in one picture", () => {
      const picture = text().split("2 servers ").at(-1)!;
      return picture.includes(small.grpc) && picture.includes(large.grpc);
    });
    child.kill("SIGTERM");
  });
});

describe("verbs on one thing", () => {
  it("find the lease on whichever server has it", async () => {
    const request = ["request", "-m", "1MiB", "--for", "1h", "--json", "--filter", "server.addr=127.0.0.3"];
    const asked = JSON.parse((await sluice(request)).stdout);
    expect(asked.environment.SLUICE_SERVER).toBe(large.grpc);
    const { id } = asked.lease;
    expect((await sluice(["resize", id, "2MiB"])).stdout).toContain("2MiB");
    expect((await sluice(["extend", id, "--by", "1h"])).code).toBe(0);
    expect((await sluice(["release", id])).stdout).toContain(`The lease ${id} is released`);
    expect((await sluice(["release", id])).stdout).toContain("had ended before");
    expect(await sluice(["release", "lease-0000"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("(LEASE_NOT_FOUND)"),
    });
  });

  it("need a server's name for a device whose id several have", async () => {
    const { code, stderr } = await sluice(["cordon", "null:0"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(`name it as [${small.grpc}/null:0]`)]);
    expect((await sluice(["cordon", `${small.grpc}/null:0`])).code).toBe(0);
    expect((await sluice(["run", "-m", "1MiB", ...where])).stdout).toBe(`${large.grpc}\n`);
    expect((await sluice(["uncordon", "null:0", "--server", small.grpc])).code).toBe(0);
    expect((await sluice(["drain", "null:1", "--grace", "0"])).stdout).toContain("is empty");
    expect((await sluice(["uncordon", "null:1"])).code).toBe(0);
  });

  it("that are one server's ask for its name; a quota is set on each", async () => {
    const bench = await sluice(["bench", "--quick"]);
    expect([bench.code, bench.stderr]).toEqual([2, expect.stringContaining("name it with [--server]")]);
    const { code, stdout } = await sluice(["quota", "carol", "--leases", "3"]);
    expect(code).toBe(0);
    expect(stdout.match(/carol .* 0 of 3/g)).toHaveLength(2);
    const part = await sluice(["quota", "carol", "--none"], { SLUICE_SERVER: `${both()},127.0.0.5:1` });
    expect(part.code).toBe(1);
    expect(part.stderr).toMatch(/^sluice: Not on the server 127\.0\.0\.5:1: /);
  });
});

describe("a bundle of several servers", () => {
  it("is made in one step, and is all that its tenant needs", async () => {
    const admin = readFileSync(join(folder, "admin.json"), "utf8");
    const other = await at("127.0.0.5", "null:1x1GiB");
    const [mine, alice] = [join(folder, "ops.json"), join(folder, "alice.json")];
    try {
      await runShort(["token", "create", "--tenant", "ops", "--admin", "--bundle", mine], {
        env: { SLUICE_SERVER: other.grpc },
      });
      const ops = join(folder, "all.json");
      writeFileSync(ops, JSON.stringify([JSON.parse(admin), JSON.parse(readFileSync(mine, "utf8"))]));
      const made = await sluice(["token", "create", "--tenant", "alice", "--bundle", alice], {
        SLUICE_SERVER: "",
        SLUICE_BUNDLE: ops,
      });
      expect([made.code, made.stderr]).toEqual([0, expect.stringContaining(`They are in the file ${alice}`)]);
      const env = { SLUICE_SERVER: "", SLUICE_BUNDLE: alice };
      expect((await sluice(["list"], env)).stdout.trimEnd().split("\n")).toHaveLength(3);
      const inside = ["--", process.execPath, "--input-type=module", "--eval"];
      const job =
        'import { connect } from "sluice"; const pool = await connect(); const lease = await pool.allocate({ memory: "1MiB" }); console.log(lease.server); await pool.close();';
      const ran = await sluice(["run", "-m", "1GiB", ...inside, job], env);
      expect(ran).toMatchObject({ code: 0, stderr: "" });
      expect([closed.grpc, other.grpc]).toContain(ran.stdout.trim());
      await using own = await connect({ bundle: alice, server: "", lease: "" });
      await using first = await own.allocate({ memory: "1GiB" });
      await using second = await own.allocate({ memory: "1GiB" });
      expect([first.server, second.server].sort()).toEqual([closed.grpc, other.grpc].sort());
      expect(
        (await sluice(["token", "list"], { SLUICE_SERVER: "", SLUICE_BUNDLE: ops })).stdout.match(/ alice /g),
      ).toHaveLength(2);
    } finally {
      await other.stop();
    }
  });
});

describe("the library's pool", () => {
  it("fills all servers, says whose each lease is, and gives all back when it closes", async () => {
    const own = await connect({ server: both(), lease: "" });
    const leases = await Promise.all(Array.from({ length: 5 }, () => own.allocate({ memory: GiB, wait: "10s" })));
    expect(leases.filter((lease) => lease.server === small.grpc)).toHaveLength(1);
    expect((await own.devices()).every(({ freeBytes }) => freeBytes === 0)).toBe(true);
    const waiting = own.allocate({ memory: GiB, wait: "1h" });
    await waitFor("its places", async () => (await pool.leases()).queue.length === 2);
    await Promise.all([expect(waiting).rejects.toMatchObject({ code: "CLOSED" }), own.close()]);
    expect(await pool.leases()).toEqual({ leases: [], queue: [] });
  });

  it("releases by id, and explains the best first", async () => {
    await using lease = await pool.allocate({ memory: "1GiB", filters: ["server.addr=127.0.0.2"] });
    expect(await pool.explain({ memory: "1GiB" })).toMatchObject({
      outcome: "granted",
      server: large.grpc,
      others: [{ outcome: "queued", server: small.grpc }],
    });
    expect(await pool.release(lease.id)).toMatchObject({ answers: 1 });
  });
});
