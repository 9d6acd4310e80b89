/** Programs that find the session of their only lease in use, by the library and unmodified: how long they wait, and through what. */
import { type ChildProcess, spawn } from "node:child_process";
import { connect, type Pool, type SluiceError } from "sluice";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { CrashingServer } from "../support/crashing-server.ts";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let server: CrashingServer;
let key: string;
const pools: Pool[] = [];
const running: ChildProcess[] = [];

beforeAll(async () => {
  server = await CrashingServer.start(["--device", "cpu:1x512MiB", "--session-grace", "2s", "--grace", "0s"]);
});
beforeEach(async () => {
  const { stdout } = await runShort(["request", "--server", server.grpc, "--for", "5m", "-m", "64MiB", "--json"]);
  key = JSON.parse(stdout).environment.SLUICE_LEASE;
});
afterEach(async () => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** The pool of another program under the lease. */
async function program(): Promise<Pool> {
  const pool = await connect({ server: server.grpc, lease: key });
  pools.push(pool);
  return pool;
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: SluiceError) => error.code,
  );

function start(file: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(file, args, { stdio: "pipe", env: { ...process.env, SLUICE_LEASE: key, ...env } });
  running.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += String(text)));
  child.stderr.on("data", (text) => (stderr += String(text)));
  const ended = new Promise<number | string>((resolve) => child.once("close", (code, by) => resolve(by ?? code ?? "")));
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

describe("a program of the library", () => {
  it("waits while another has the session, by default and as long as it says", async () => {
    const [holder, other] = [await program(), await program()];
    const first = await holder.allocate({ memory: "64MiB" });
    expect(await codeOf(other.allocate({ memory: "64MiB", wait: 0 }))).toBe("SESSION_BUSY");
    expect(await codeOf(other.allocate({ memory: "64MiB", wait: "100ms" }))).toBe("SESSION_BUSY");
    const waiting = other.allocate({ memory: "64MiB" });
    await first.release();
    const second = await inTime("the session", waiting);
    expect((await second.devices[0].upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
    const third = holder.allocate({ memory: "64MiB", wait: "30s" });
    await second.release();
    await (await inTime("the session", third)).release();
  });

  it("is called off by its signal and by the pool's end", async () => {
    const [holder, other] = [await program(), await program()];
    await holder.allocate({ memory: "64MiB" });
    const calledOff = new AbortController();
    const [one, two] = [other.allocate({ memory: 1, signal: calledOff.signal }), other.allocate({ memory: 1 })];
    calledOff.abort();
    expect(await inTime("the end of one", codeOf(one))).toBe("CANCELLED");
    await other.close();
    expect(await inTime("the end of the other", codeOf(two))).toBe("CLOSED");
  });

  it("outlasts the session of one that was killed, and a server that starts anew meanwhile", async () => {
    const script = `
      const { connect } = await import("sluice");
      const [gpu] = (await (await connect()).allocate({ memory: "64MiB" })).devices;
      await gpu.synchronize();
      console.log("ready");
      setInterval(() => {}, 1000);`;
    const killed = start(process.execPath, ["--input-type=module", "-e", script], { SLUICE_SERVER: server.grpc });
    await waitFor("the program", () => killed.stdout().includes("ready"));
    const waiting = (await program()).allocate({ memory: "64MiB" });
    await server.crash();
    killed.child.kill("SIGKILL");
    await server.start();
    const lease = await inTime("the session", waiting);
    expect((await lease.devices[0].upload(Uint8Array.of(7)).read(Uint8Array))[0]).toBe(7);
  });

  it("is told what is wrong with SLUICE_SESSION_WAIT", async () => {
    const script = `await (await import("sluice")).connect()`;
    const wrong = start(process.execPath, ["--input-type=module", "-e", script], {
      SLUICE_SERVER: server.grpc,
      SLUICE_SESSION_WAIT: "soon",
    });
    expect(await wrong.ended).toBe(1);
    expect(wrong.stderr()).toContain(
      "The session wait is a number and a unit like 30s, 5m or 1h30m, and [soon] is not.",
    );
  });
});

describe.runIf(canBuild)("an unmodified program", () => {
  it("that waits outlasts a server that starts anew, and gives up behind its time with the server's absence as the reason", async () => {
    const libraries = `${process.cwd()}/${buildInterposer()}`;
    const hold = compileProgram("test/interposer/processes/hold.c", { suffix: "-wait" });
    const env = { SLUICE_DATA: `tcp://${server.data}`, LD_LIBRARY_PATH: libraries };
    const holder = start(hold, [], env);
    await waitFor("the holder", () => holder.stdout().includes("ready"));
    const waits = ({ stderr }: ReturnType<typeof start>): Promise<boolean> =>
      waitFor("its words", () => stderr().includes("has the only session"));
    const patient = start(hold, [], env);
    await waits(patient);
    // The server is to be gone before its time is over, on a busy machine too.
    const hasty = start(hold, [], { ...env, SLUICE_SESSION_WAIT: "4s" });
    await waits(hasty);
    await server.crash();
    expect(await inTime("the end of one", hasty.ended)).not.toBe(0);
    expect(hasty.stderr()).toMatch(/\nsluice: the server does not answer at \[tcp:\S+\] \[Connection refused\]\.\n/);
    await server.start();
    holder.child.stdin.end();
    expect(await inTime("the holder's end", holder.ended)).toBe(0);
    await waitFor("the other", () => patient.stdout().includes("ready"));
    patient.child.stdin.end();
    expect(await inTime("the end of the other", patient.ended)).toBe(0);
    expect(patient.stderr()).toMatch(/^sluice: process \[\d+\] \(hold-wait\) has the only session; .*\n$/);
  });
});
