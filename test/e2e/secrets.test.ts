/**
 * A whole session with marked secrets and data at the highest log level, with everything that goes wrong on the way; then everything
 * that anybody could read is searched for them: logs, outputs, metrics, the state directory, process lists and environments.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runSluice, startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const DATA_MARK = "MARKED-DATA-5f1d9c";

/** Works under its lease with marked data, tells what its environment holds, and stays until it is told to go. */
const program = `
  import { existsSync, renameSync, writeFileSync } from "node:fs";
  import { connect } from "sluice";
  const { OUT } = process.env;
  const pool = await connect();
  const lease = await pool.allocate({ memory: "1MiB" });
  const buffer = lease.devices[0].upload(Buffer.from("${DATA_MARK}".repeat(1000)));
  await buffer.read(Uint8Array);
  await lease.devices[0].upload(Buffer.from("cached ${DATA_MARK}".repeat(1000)), { cached: true });
  await lease.devices[0].load("${DATA_MARK} is no program").catch(() => undefined);
  await pool.release("lease-0000000000000000").catch((error) => console.error(error.message));
  writeFileSync(OUT + ".part", JSON.stringify({ lease: process.env.SLUICE_LEASE, pid: process.pid }));
  renameSync(OUT + ".part", OUT);
  for (const began = Date.now(); !existsSync(OUT + ".go") && Date.now() - began < 100_000; ) await new Promise((resolve) => setTimeout(resolve, 20));
  await pool.close();`;

let folder: string;
let server: TestServer;
/** What was written by whom, by name. */
const outputs = new Map<string, string>();
let run: ChildProcess | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-secrets-"));
  server = await startServer({
    args: ["--device", "cpu:1x64MiB", "--require-token", "--log-level", "trace", "--grace", "1s"],
  });
});
afterAll(async () => {
  run?.kill("SIGKILL");
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const plain = { SLUICE_SERVER: "", SLUICE_TOKEN: "", SLUICE_LEASE: "", LANG: "C", LC_ALL: "C" };

async function sluice(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await runSluice(args, { env: { ...plain, SLUICE_SERVER: server.grpc, ...env } });
  outputs.set(`sluice ${args.join(" ")} (${outputs.size})`, stdout + stderr);
  return stdout;
}

/** Every file under a folder with its content; sockets and what vanishes meanwhile are none. */
function filesUnder(root: string): [string, Buffer][] {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).flatMap((name) => {
    const path = join(root, name);
    try {
      return statSync(path).isFile() ? [[name, readFileSync(path)] as [string, Buffer]] : [];
    } catch {
      return [];
    }
  });
}

/** A file of every process of this machine that can be read. */
function ofProcesses(file: "cmdline" | "environ"): [number, string][] {
  return readdirSync("/proc").flatMap((pid): [number, string][] => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      return [[Number(pid), readFileSync(`/proc/${pid}/${file}`, "latin1")]];
    } catch {
      return [];
    }
  });
}

/** A secret in every form in which something could have written it. */
const formsOf = (secret: Buffer): Buffer[] => [
  secret,
  Buffer.from(secret.toString("base64url")),
  Buffer.from(secret.toString("base64").replace(/=+$/, "")),
  Buffer.from(secret.toString("hex")),
  Buffer.from(secret.toString("hex").toUpperCase()),
];

const holding = (places: Iterable<readonly [string | number, Buffer | string]>, forms: readonly Buffer[]): string[] =>
  [...places]
    .filter(([, content]) => {
      const bytes = typeof content === "string" ? Buffer.from(content, "latin1") : content;
      return forms.some((form) => bytes.includes(form));
    })
    .map(([name]) => String(name));

it("leaves none of them where it may not be", async () => {
  const adminFile = join(server.state, "admin-token");
  const adminToken = readFileSync(adminFile, "utf8").trim();
  const admin = { SLUICE_TOKEN_FILE: adminFile };
  const bundle = join(folder, "alice.json");
  await sluice(admin, "token", "create", "--tenant", "alice", "--bundle", bundle);
  const { token } = JSON.parse(readFileSync(bundle, "utf8")) as { token: string };

  const script = join(process.cwd(), "dist", `secrets-${process.pid}.mjs`);
  writeFileSync(script, program);
  const out = join(folder, "out.json");
  const args = ["dist/client/cli/main.js", "run", "-m", "1MiB", "--bundle", bundle, "--server", server.grpc, "--"];
  const env = { ...process.env, ...plain, SLUICE_INTERPOSER: "", OUT: out };
  run = spawn(process.execPath, [...args, process.execPath, script], { env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [run.stdout!, run.stderr!])
    stream.on("data", (text: Buffer) => (said += text.toString("latin1")));
  try {
    await waitFor("the program to be at work", () => existsSync(out) || run?.exitCode != null);
    expect(run.exitCode, said).toBeNull();
    const told = JSON.parse(readFileSync(out, "utf8")) as { lease: string; pid: number };
    const secret = Buffer.from(told.lease.slice(told.lease.lastIndexOf(":") + 1), "base64url");
    expect(secret.byteLength).toBe(32);

    // What goes wrong on the way.
    const wrongLease = told.lease.slice(0, -4) + (told.lease.endsWith("AAAA") ? "BBBB" : "AAAA");
    await sluice({ SLUICE_BUNDLE: bundle, SLUICE_LEASE: wrongLease }, "release");
    await sluice({ SLUICE_TOKEN: `${token.slice(0, -4)}AAAA` }, "list");
    await sluice({ SLUICE_TOKEN: `${token}\u0007` }, "list");
    await sluice({ SLUICE_BUNDLE: adminFile }, "list");
    await sluice({ SLUICE_BUNDLE: bundle }, "cordon", "cpu:0");
    await sluice({ SLUICE_BUNDLE: bundle }, "leases", "--json");
    await sluice(admin, "leases", "--json");
    await sluice(admin, "token", "list", "--json");
    for (const path of ["/metrics", "/healthz", "/readyz", "/api/session", "/api/login"]) {
      const headers = { authorization: `Bearer ${adminToken}` };
      const answer = await fetch(`${server.admin}${path}`, { headers });
      outputs.set(path, `${JSON.stringify([...answer.headers])}${await answer.text()}`);
    }

    const tokens = [token, adminToken].flatMap((text) => formsOf(Buffer.from(text.slice(-43), "base64url")));
    const secrets = [...tokens, ...formsOf(secret)];
    // While all is at work: no process shows a secret in its arguments, and one alone in its environment, which is how it gets it.
    expect(holding(ofProcesses("cmdline"), [...secrets, Buffer.from(DATA_MARK)])).toEqual([]);
    expect(holding(ofProcesses("environ"), secrets)).toEqual([String(told.pid)]);

    // The state is the owner's alone: tokens are in it as hashes, but for the first one's file; a lease's secret so that a restart finds
    // the lease again; data where the client asked for it to be kept.
    const state = filesUnder(server.state);
    const isOpen = ([name]: [string, Buffer]): boolean => (statSync(join(server.state, name)).mode & 0o077) !== 0;
    expect(holding(state.filter(isOpen), secrets)).toEqual([]);
    expect(statSync(server.state).mode & 0o077).toBe(0);
    expect(holding(state, tokens)).toEqual(["admin-token"]);
    expect(holding(state, formsOf(secret)).filter((name) => !/^sluice\.db(-wal)?$/.test(name))).toEqual([]);
    expect(holding(state, [Buffer.from(`cached ${DATA_MARK}`)]).every((name) => name.startsWith("cache"))).toBe(true);
    expect(holding(state, [Buffer.from(DATA_MARK)]).every((name) => name.startsWith("cache"))).toBe(true);

    // The end, by force: the token is revoked under the job, with the whole token as a careless admin would paste it.
    await sluice(admin, "token", "revoke", token);
    await sluice({ SLUICE_BUNDLE: bundle }, "list");
    writeFileSync(`${out}.go`, "");
    await waitFor("the command to end", () => run?.exitCode != null || run?.signalCode != null);
    await sluice(admin, "audit", "--json");
    await server.stop();
    outputs.set("the command and its program", said);
    outputs.set("the server's log", server.log() + server.stdout());

    expect(holding(outputs, [...secrets, Buffer.from(DATA_MARK)])).toEqual([]);
  } finally {
    // Whatever failed: the program must not wait for ever.
    writeFileSync(`${out}.go`, "");
    rmSync(script, { force: true });
  }
}, 120_000);
