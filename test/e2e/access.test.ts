/** Tokens, TLS, bundles and the audit log, as an admin and a tenant meet them: by the command line and the library against a real server. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Pool, type SluiceError } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";
import { runEach, runShort } from "../support/commands.ts";
import { failureOf } from "../support/failures.ts";
import { type FinishedProcess, startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let certificates: TestCertificates;
let folder: string;
let server: TestServer;
/** What makes a command an admin's: files alone. */
let admin: NodeJS.ProcessEnv;

const nobody = { SLUICE_SERVER: "", SLUICE_TOKEN: "", SLUICE_LEASE: "", LANG: "C", LC_ALL: "C" };

beforeAll(async () => {
  certificates = await testCertificates();
  folder = mkdtempSync(join(tmpdir(), "sluice-access-"));
  const devices = ["--device", "null:2x1GiB", "--heartbeat-timeout", "4s"];
  server = await startServer({ args: [...devices, "--require-token", ...certificates.args] });
  admin = {
    ...nobody,
    SLUICE_SERVER: server.grpc,
    SLUICE_CA: certificates.ca.certFile,
    SLUICE_TOKEN_FILE: join(server.state, "admin-token"),
  };
});
afterAll(async () => {
  await server.stop();
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

const sluice = (env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<FinishedProcess> =>
  runShort(args, { env });

/** What each command line comes to, with the command line, so that a failure names it. */
async function eachOf(env: NodeJS.ProcessEnv, commandLines: readonly (readonly string[])[]) {
  const finished = await runEach(commandLines, { env });
  return finished.map(({ code, stderr }, index) => [commandLines[index]!, code, stderr]);
}

let bundles = 0;

/** A tenant's bundle, made by the admin. */
async function bundleFor(tenant: string, ...more: readonly string[]): Promise<string> {
  const file = join(folder, `bundle-${++bundles}.json`);
  const made = await sluice(admin, "token", "create", "--tenant", tenant, "--bundle", file, ...more);
  expect(made).toMatchObject({ code: 0, stdout: "" });
  return file;
}

const tokenIn = (bundle: string): string => (JSON.parse(readFileSync(bundle, "utf8")) as { token: string }).token;
const idOf = (token: string): string => token.split("_")[1]!;

/** A pool by a bundle alone, whatever the environment of the tests. */
const connectBy = (bundle: string): Promise<Pool> => connect({ bundle, server: server.grpc, lease: "" });

describe("the first start of a server that asks for tokens", () => {
  it("leaves an admin's token in a file for its owner alone, and neither in its log nor on standard output", async () => {
    const file = join(server.state, "admin-token");
    const token = readFileSync(file, "utf8").trim();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(server.log()).toContain(file);
    expect(server.log() + server.stdout()).not.toContain(token.slice(-20));
    const listed = await sluice(admin, "token", "list", "--json");
    expect(JSON.parse(listed.stdout)).toMatchObject({ tokens: [{ id: idOf(token), role: "admin", state: "active" }] });
  });
});

describe("a bundle", () => {
  it("sets a client up in one step: the command line, the library, and a program under `sluice run`", async () => {
    const bundle = await bundleFor("alice");
    expect(statSync(bundle).mode & 0o777).toBe(0o600);
    const mine = { ...nobody, SLUICE_BUNDLE: bundle };
    expect((await sluice(mine, "list")).stdout).toContain("null:0");
    expect((await sluice(nobody, "list", "--bundle", bundle)).stdout).toContain("null:0");
    const run = await sluice(
      nobody,
      "run",
      "-m",
      "64MiB",
      "--bundle",
      bundle,
      "--",
      "node",
      "dist/client/examples/saxpy.js",
    );
    expect(run.code, run.stderr).toBe(1); // The null device computes nothing, and the program notices: it has run.
    expect(run.stderr).toContain("is [");
    await using pool = await connectBy(bundle);
    await using lease = await pool.allocate({ memory: "64MiB", name: "mine" });
    const buffer = lease.devices[0].upload(new Uint32Array([7, 8]));
    expect([...(await buffer.read(Uint32Array))]).toEqual([7, 8]);
    expect((await pool.leases()).leases).toMatchObject([{ tenant: "alice", name: "mine" }]);
  });

  it("overwrites no file, and is not left behind when no token is made", async () => {
    const file = join(folder, "taken.json");
    writeFileSync(file, "mine");
    const taken = await sluice(admin, "token", "create", "--tenant", "x", "--bundle", file);
    expect(taken).toMatchObject({ code: 2, stdout: "" });
    expect(readFileSync(file, "utf8")).toBe("mine");
    const other = join(folder, "other.json");
    const refused = await sluice(
      { ...admin, SLUICE_TOKEN_FILE: "" },
      "token",
      "create",
      "--tenant",
      "x",
      "--bundle",
      other,
    );
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("(UNAUTHENTICATED)")]);
    expect(existsSync(other)).toBe(false);
  });
});

describe("a client", () => {
  it("without a token, or with a wrong one, is told what to do about it", async () => {
    const { ca } = certificates;
    const without = await failureOf(connect({ server: server.grpc, ca: ca.cert, lease: "" }));
    expect([without.code, without.remedy]).toEqual(["UNAUTHENTICATED", expect.stringContaining("SLUICE_BUNDLE")]);
    const wrong = `sluice_000000000000_${"A".repeat(43)}`;
    const refused = await failureOf(connect({ server: server.grpc, ca: ca.cert, token: wrong, lease: "" }));
    expect(refused.code).toBe("UNAUTHENTICATED");
    expect(refused.message).not.toContain("AAAA");
  });

  it("that does not speak TLS, or trusts another CA, does not reach the server, and shows it no token", async () => {
    const token = readFileSync(join(server.state, "admin-token"), "utf8").trim();
    const plain = await failureOf(connect({ server: server.grpc, token, lease: "" }));
    expect(plain.code).toBe("SERVER_UNREACHABLE");
    const astray = await failureOf(connect({ server: server.grpc, ca: certificates.stranger.cert, token, lease: "" }));
    expect(astray.code).toBe("SERVER_UNREACHABLE");
    expect(plain.message + astray.message).not.toContain(token.slice(-20));
  });

  it("is told which file it cannot use, without a word of what is in it", async () => {
    const file = join(folder, "broken.json");
    writeFileSync(file, '{"server": "x", "token": MARKEDSECRET');
    for (const [name, env] of [
      ["SLUICE_BUNDLE", { SLUICE_BUNDLE: file }],
      ["SLUICE_BUNDLE", { SLUICE_BUNDLE: join(folder, "away.json") }],
      ["SLUICE_TOKEN_FILE", { SLUICE_TOKEN_FILE: join(folder, "away.token") }],
      ["SLUICE_CA", { SLUICE_CA: join(folder, "away.pem") }],
    ] as const) {
      const { code, stderr } = await sluice({ ...nobody, ...env }, "list");
      expect([code, stderr]).toEqual([2, expect.stringContaining(`[${name}]`)]);
      expect(stderr).not.toContain("MARKEDSECRET");
    }
    const { stderr } = await sluice({ ...nobody, SLUICE_TOKEN: "MARKED\nSECRET" }, "list");
    expect(stderr).toContain("characters that no token has");
    expect(stderr).not.toContain("MARKED");
  });

  it("that holds a lease over TLS is not kept alive by that", async () => {
    const program = `
      const { connect } = await import("sluice");
      const pool = await connect({ lease: "" });
      await pool.allocate({ memory: "1MiB" });
      console.log("over");`;
    const bundle = await bundleFor("forgetful");
    const file = join(process.cwd(), "dist", `forgetful-${process.pid}.mjs`);
    writeFileSync(file, program);
    try {
      const { spawn } = await import("node:child_process");
      const env = { ...process.env, ...nobody, SLUICE_SERVER: server.grpc, SLUICE_BUNDLE: bundle };
      const child = spawn(process.execPath, [file], { env, stdio: ["ignore", "pipe", "inherit"] });
      const code = await inTime("the program to end", new Promise((resolve) => child.once("exit", resolve)));
      expect(code).toBe(0);
    } finally {
      rmSync(file);
    }
  });
});

describe("tenants", () => {
  it("are told apart by their tokens: each releases its own leases, and sees of others what they hold alone", async () => {
    await using alice = await connectBy(await bundleFor("alice"));
    const bundleOfBob = await bundleFor("bob");
    const bobs = { ...nobody, SLUICE_BUNDLE: bundleOfBob };
    await using bob = await connectBy(bundleOfBob);
    await using lease = await alice.allocate({ memory: "64MiB", name: "secret plan" });
    const all = (await bob.leases()).leases;
    const seen = all.find(({ tenant }) => tenant === "alice");
    expect(seen).toMatchObject({ id: expect.stringMatching(/^other-/), name: "", clientAddress: "", usage: null });
    expect(JSON.stringify(all)).not.toContain(lease.id);
    expect((await failureOf(bob.release(seen!.id))).code).toBe("LEASE_NOT_FOUND");
    expect(seen?.slices).toHaveLength(1);
    expect((await failureOf(bob.release(lease.id))).code).toBe("OTHER_TENANT");
    expect((await sluice(bobs, "suspend", lease.id)).stderr).toContain("(OTHER_TENANT)");
    await lease.suspend("A secret reason.");
    expect((await sluice(bobs, "resume", lease.id)).stderr).toContain("(OTHER_TENANT)");
    // What is left has no room for alice's lease, nor need it be all: a client that was forgotten may hold a little.
    const device = lease.info.slices[0]!.deviceId;
    await using most = await bob.allocate({ memory: "1000MiB", filters: [`device.id=${device}`] });
    await lease.resume();
    const { leases, queue } = await bob.leases();
    expect(queue).toMatchObject([{ id: seen!.id, leaseId: seen!.id, name: "" }]);
    expect(JSON.stringify([leases, queue])).not.toMatch(new RegExp(`${lease.id}|secret`));
    await most.release();
    expect((await alice.leases()).leases.find(({ id }) => id === lease.id)?.name).toBe("secret plan");
    const everyone = await sluice(admin, "leases", "--json");
    expect(everyone.stdout).toContain("secret plan");
    expect((await sluice(admin, "release", lease.id)).code).toBe(0);
    expect((await failureOf(alice.release("lease-0000000000000000"))).code).toBe("LEASE_NOT_FOUND");
  });

  it("are told by the help of every admin's verb that it is not theirs", async () => {
    const verbs = [
      ...["cordon", "uncordon", "drain", "revoke", "extend", "cancel", "priority", "quota", "reserve", "unreserve"],
      ...["usage", "audit", "reservations", "token create", "token list", "token revoke"],
    ];
    const lines = verbs.map((verb) => [...verb.split(" "), "--help"]);
    const helps = await runEach(lines, { env: nobody });
    const silent = verbs.filter(
      (_, index) => !/Needs (an admin's token|a token of an admin)/.test(helps[index]!.stdout),
    );
    expect(silent).toEqual([]);
    const wide = helps.flatMap(({ stdout }) => stdout.split("\n")).filter((line) => line.length > 80);
    expect(wide).toEqual([]);
  });

  it("are no admins, whatever they ask for", async () => {
    const mine = { ...nobody, SLUICE_BUNDLE: await bundleFor("alice"), SLUICE_SERVER: server.grpc };
    const lines = [
      ["cordon", "null:0"],
      ["token", "list"],
      ["token", "create", "--tenant", "alice", "--admin"],
      ["audit"],
      ["quota", "list"],
      ["usage"],
    ];
    const refused = lines.map((args) => [args, 1, expect.stringContaining("(ADMIN_ONLY)")]);
    expect(await eachOf(mine, lines)).toEqual(refused);
  });
});

describe("a monitor", () => {
  it("reads what admins read, and does nothing", async () => {
    const made = await sluice(admin, "token", "create", "--tenant", "watchers", "--role", "monitor", "--json");
    const { token, info } = JSON.parse(made.stdout) as { token: string; info: object };
    expect(info).toMatchObject({ tenant: "watchers", role: "monitor" });
    const mine = { ...admin, SLUICE_TOKEN: token, SLUICE_TOKEN_FILE: "" };
    await using alice = await connectBy(await bundleFor("alice"));
    await using lease = await alice.allocate({ memory: "64MiB", name: "seen by all" });
    expect((await sluice(mine, "leases", "--json")).stdout).toContain("seen by all");
    const reads = [["token", "list"], ["audit"], ["quota"], ["usage"], ["reservations"], ["list"], ["smi"]];
    expect(await eachOf(mine, reads)).toEqual(reads.map((args) => [args, 0, ""]));
    const acts = [
      ["revoke", lease.id],
      ["release", lease.id],
      ["cordon", "null:0"],
      ["quota", "watchers", "--none"],
      ["token", "create", "--tenant", "watchers"],
      ["request", "-m", "64MiB", "--for", "1m"],
      ["run", "-m", "64MiB", "--", "true"],
    ];
    const refused = acts.map((args) => [args, 1, expect.stringContaining("(READ_ONLY)")]);
    expect(await eachOf(mine, acts)).toEqual(refused);
    expect(lease.signal.aborted).toBe(false);
  });
});

describe("a revoked token", () => {
  it("ends what it had opened at once, waiting requests too", async () => {
    const bundle = await bundleFor("carol");
    await using other = await connectBy(await bundleFor("carol"));
    const pool = await connectBy(bundle);
    const lease = await pool.allocate({ memory: "64MiB" });
    const waiting = failureOf(pool.allocate({ memory: "1GiB", devices: 2, wait: "1m", name: "waits" }));
    await waitFor("the request to wait", async () => (await other.leases()).queue.length === 1);
    const ended = new Promise((resolve) => lease.signal.addEventListener("abort", resolve));
    expect((await sluice(admin, "token", "revoke", tokenIn(bundle))).stdout).toContain("is worthless now");
    await inTime("the holder to hear of it", ended);
    // By its heartbeats or by its data connection, whichever is first.
    const { code, message } = lease.signal.reason as SluiceError;
    expect(["UNAUTHENTICATED", "LEASE_REVOKED"]).toContain(code);
    expect(message).toContain("is revoked");
    expect((await inTime("the request to end", waiting)).code).toBe("UNAUTHENTICATED");
    expect((await other.leases()).queue).toEqual([]);
    expect((await failureOf(pool.devices())).message).toContain("is revoked");
    await pool.close().catch(() => undefined);
  });

  it("ends the leases that it asked for, data connections too, and none of another token of its tenant", async () => {
    const bundle = await bundleFor("dave");
    await using other = await connectBy(await bundleFor("dave"));
    await using kept = await other.allocate({ memory: "64MiB" });
    const pool = await connectBy(bundle);
    const lease = await pool.allocate({ memory: "64MiB" });
    const [device, keptDevice] = [lease.devices[0], kept.devices[0]];
    const stolen = device.upload(new Uint32Array([7]));
    const mine = keptDevice.upload(new Uint32Array([8]));
    expect([...(await stolen.read(Uint32Array))]).toEqual([7]);
    // Without a heartbeat that it could miss.
    const mineAlone = { ...nobody, SLUICE_BUNDLE: bundle, SLUICE_SERVER: server.grpc };
    const requested = await sluice(mineAlone, "request", "-m", "64MiB", "--for", "1h", "--json");
    const { lease: detached } = JSON.parse(requested.stdout) as { lease: { id: string } };
    const revoked = await sluice(admin, "token", "revoke", tokenIn(bundle), "--json");
    const { leaseIds } = JSON.parse(revoked.stdout) as { leaseIds: string[] };
    expect(leaseIds.toSorted()).toEqual([lease.id, detached.id].toSorted());
    // The connection was proven with the lease's secret, and asks no gate: only the executor's end ends it.
    await waitFor("the data connection to be of no use", () =>
      stolen.read(Uint32Array).then(
        () => false,
        () => true,
      ),
    );
    await waitFor("the memory to be back", async () => (await other.leases()).leases.length === 1);
    expect([...(await mine.read(Uint32Array))]).toEqual([8]);
    expect(kept.signal.aborted).toBe(false);
    const again = await sluice(admin, "token", "revoke", tokenIn(bundle));
    expect([again.code, again.stdout]).toEqual([0, expect.not.stringContaining("leases end")]);
    await pool.close().catch(() => undefined);
  });
});

describe("the audit log", () => {
  it("has every action of an admin with who, what, from where and how it ended", async () => {
    await sluice(admin, "cordon", "null:1", "--message", "a new fan");
    await sluice(admin, "cordon", "null:9");
    await sluice(admin, "uncordon", "null:1");
    const id = idOf(readFileSync(join(server.state, "admin-token"), "utf8").trim());
    const { events } = JSON.parse((await sluice(admin, "audit", "--since", "1h", "--json")).stdout) as {
      events: { action: string; outcome: string; tokenId: string; address: string; details: string }[];
    };
    expect(events.slice(0, 3)).toMatchObject([
      { action: "Uncordon", outcome: "OK" },
      { action: "Cordon", outcome: "BAD_ARGUMENT", details: '{"deviceId":"null:9"}' },
      { action: "Cordon", outcome: "OK", details: '{"deviceId":"null:1","message":"a new fan"}' },
    ]);
    for (const event of events.slice(0, 3)) {
      expect(event).toMatchObject({
        tenant: "admin",
        tokenId: id,
        address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      });
    }
    const table = await sluice(admin, "audit", "--action", "Uncordon");
    expect(table.stdout).toMatch(/^TIME\s+WHO\s+FROM\s+ACTION\s+OUTCOME\s+DETAILS\n.*Uncordon\s+OK/);
  });
});

describe("a server without tokens", () => {
  it("asks everybody for one from the first on, which is an admin's, and takes no lease from who holds one", async () => {
    const args = ["--device", "null:1x1GiB", "--heartbeat-timeout", "4s", "--grace", "0s"];
    await using open = await startServer({ args });
    await using pool = await connect({ server: open.grpc, lease: "" });
    const lease = await pool.allocate({ memory: "1MiB" });
    const local = { ...nobody, SLUICE_SERVER: open.grpc };
    const first = await sluice(local, "token", "create", "--tenant", "alice");
    expect([first.code, first.stderr]).toEqual([2, expect.stringContaining("The first token is an admin's")]);
    const made = await sluice(local, "token", "create", "--tenant", "ops", "--admin", "--expires", "30d");
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^sluice_[0-9a-f]{12}_[\w-]{43}\n$/)]);
    expect((await sluice(local, "list")).stderr).toContain("(UNAUTHENTICATED)");
    expect((await failureOf(pool.devices())).code).toBe("UNAUTHENTICATED");
    await using ops = await connect({ server: open.grpc, token: made.stdout.trim(), lease: "" });
    const beatAt = async (): Promise<number> => (await ops.leases()).leases[0]?.heartbeatAtMs ?? 0;
    const before = await beatAt();
    await waitFor("heartbeats over more than the time-out", async () => (await beatAt()) > before + 5_000);
    const buffer = lease.devices[0].upload(new Uint32Array([7]));
    expect([...(await buffer.read(Uint32Array))]).toEqual([7]);
    // Nor can it give the lease back: that ends by the time-out.
    expect((await failureOf(pool.close())).code).toBe("UNAUTHENTICATED");
  });
});

describe("no command", () => {
  it("takes a token as an argument, which everybody on the machine could read", async () => {
    const verbs = [["list"], ["run"], ["token", "create", "--tenant", "x"], ["token", "revoke"]];
    const lines = verbs.map((verb) => [...verb, "--token", "x"]);
    const refused = lines.map((args) => [args, 2, expect.stringContaining("unknown option '--token'")]);
    expect(await eachOf(admin, lines)).toEqual(refused);
  });
});

describe("mutual TLS", () => {
  it("lets in only clients with a certificate of the CA", async () => {
    const args = ["--device", "null:1x1GiB", ...certificates.args, "--tls-mutual"];
    await using mutual = await startServer({ args });
    const env = { ...nobody, SLUICE_SERVER: mutual.grpc, SLUICE_CA: certificates.ca.certFile };
    const own = (of: { certFile: string; keyFile: string }) => ({ SLUICE_CERT: of.certFile, SLUICE_KEY: of.keyFile });
    expect((await sluice({ ...env, ...own(certificates.client) }, "list")).stdout).toContain("null:0");
    expect((await sluice(env, "list")).stderr).toContain("(SERVER_UNREACHABLE)");
    expect((await sluice({ ...env, ...own(certificates.stranger) }, "list")).stderr).toContain("(SERVER_UNREACHABLE)");
    const half = await sluice({ ...env, SLUICE_CERT: certificates.client.certFile }, "list");
    expect([half.code, half.stderr]).toEqual([2, expect.stringContaining("belong together")]);
  });
});
