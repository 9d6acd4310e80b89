/**
 * `sluice run --processes`: several CUDA processes at once, each with a share of its own, all shares or none; and whatever dies, the others go
 * on and everything comes back.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { connect, type Pool } from "sluice";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { runShort } from "../support/commands.ts";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { occupy, servePool } from "../support/pool-server.ts";
import { isEmpty } from "../support/pool-state.ts";
import { executorsOf, isAlive } from "../support/processes.ts";
import type { TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;

let server: TestServer;
let pool: Pool;
let libraries = "";
let hold = "";
const running: ChildProcess[] = [];

servePool({ args: ["--device", "cpu:2x256MiB", "--heartbeat-timeout", "4s"] }, (started) => {
  ({ server, pool } = started);
});
beforeAll(() => {
  if (!canBuild) return;
  libraries = `${process.cwd()}/${buildInterposer()}`;
  hold = compileProgram("test/interposer/processes/hold.c", { suffix: "-run" });
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

const leases = async () => (await pool.leases()).leases;
const environment = (env: NodeJS.ProcessEnv = {}) => ({
  SLUICE_SERVER: server.grpc,
  SLUICE_LEASE: "",
  SLUICE_INTERPOSER: libraries,
  ...env,
});
const sluice = (...args: string[]) => runShort(args, { env: environment() });

/** Leases that the tenant was charged for. */
async function countCharged(): Promise<number> {
  const { tenants } = JSON.parse((await sluice("usage", "--json")).stdout);
  return tenants[0]?.leases ?? 0;
}

/** A command that does as it is told: `+` starts a program, `-N` ends the input of the Nth, `=CODE` is how it exits once all have ended. */
const supervisor = `
  const { spawn } = require("node:child_process");
  const programs = [];
  let left = 0, code;
  const leave = () => { if (code !== undefined && left === 0) process.exit(code); };
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const number = Number(line.slice(1));
    if (line[0] === "=") { code = number; leave(); }
    else if (line[0] === "-") programs[number].stdin.end();
    else {
      const index = programs.length;
      const program = spawn(${JSON.stringify("PROGRAM")}, { stdio: ["pipe", "pipe", "inherit"] });
      programs.push(program);
      left++;
      program.stdout.on("data", (text) => console.log(index + " " + String(text).trim()));
      program.once("close", (exit, signal) => { console.log(index + " ended " + (signal ?? exit)); left--; leave(); });
    }
  }).on("close", () => { code ??= 1; for (const program of programs) program.stdin.end(); leave(); });`;

/** \`sluice run\` of the supervisor, which it tells what to do. */
function start(...args: string[]) {
  const code = supervisor.replace("PROGRAM", `${process.cwd()}/${hold}`);
  const command = ["dist/client/cli/main.js", "run", ...args, "--", process.execPath, "--eval", code];
  const child = spawn(process.execPath, command, { stdio: "pipe", env: { ...process.env, ...environment() } });
  running.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exited = new Promise<number | string>((resolve) =>
    child.once("exit", (exit, signal) => resolve(signal ?? exit ?? "unknown")),
  );
  return {
    child,
    stderr: () => stderr,
    tell: (...lines: string[]) => child.stdin.write(lines.map((line) => `${line}\n`).join("")),
    hasSaid: (words: RegExp) => waitFor(`${words}`, () => words.exec(stdout) ?? undefined),
    /** The process of a program, once it has its session. */
    isReady: async (index: number) => {
      const found = await waitFor(
        `program ${index} to be ready`,
        () => new RegExp(`^${index} ready (\\d+) devices (\\d+)$`, "m").exec(stdout) ?? undefined,
        20_000,
      );
      return { pid: Number(found[1]), devices: Number(found[2]) };
    },
    exited: () => inTime("the end of the run", exited),
  };
}

describe.runIf(canBuild)("processes of one command", () => {
  it("work at once, each with a share of its own; one more waits and takes over from the first that ends or is killed", async () => {
    const before = await countCharged();
    const run = start("--processes", "2", "-n", "2", "-m", "64MiB", "--name", "pair");
    run.tell("+", "+");
    expect([(await run.isReady(0)).devices, (await run.isReady(1)).devices]).toEqual([2, 2]);
    const held = await leases();
    expect(held).toMatchObject([
      { name: "pair", state: "LEASE_STATE_ATTACHED" },
      { name: "pair", state: "LEASE_STATE_ATTACHED" },
    ]);
    for (const { slices } of held) {
      expect(slices.map(({ index, memoryBytes }) => [index, memoryBytes])).toEqual([
        [0, 64 * MiB],
        [1, 64 * MiB],
      ]);
      expect(new Set(slices.map(({ deviceId }) => deviceId)).size).toBe(2);
    }
    run.tell("+");
    await waitFor("the third to say why it waits", () => run.stderr().includes("all [2] sessions are in use"));
    run.tell("-0");
    const { pid } = await run.isReady(2);
    process.kill(pid, "SIGKILL");
    await run.hasSaid(/^2 ended SIGKILL$/m);
    run.tell("+");
    await run.isReady(3);
    run.tell("-1", "-3", "=7");
    await run.hasSaid(/^1 ended 0$/m);
    expect(await run.exited()).toBe(7);
    expect(await isEmpty(pool)).toBe(true);
    // Each lease is charged for itself.
    expect(await countCharged()).toBe(before + 2);
  });

  it("go on when the executor of one dies, and when an admin takes a share, and are told how many are left", async () => {
    const run = start("--processes", "3", "-m", "64MiB");
    run.tell("+");
    await run.isReady(0);
    const first = executorsOf(server.state).find(({ pid, leaseId }) => leaseId !== undefined && isAlive(pid));
    run.tell("+", "+");
    await Promise.all([run.isReady(1), run.isReady(2)]);
    process.kill(first!.pid, "SIGKILL");
    await waitFor("the word of it", () => run.stderr().includes("leases are left"));
    expect(run.stderr()).toMatch(/^sluice: .*\(EXECUTOR_FAILED\) .* \[2\] of \[3\] leases are left\.$/m);
    run.tell("-0");
    await run.hasSaid(/^0 ended 1$/m);
    await waitFor("the others alone", async () => (await leases()).length === 2);
    const [revoked, kept] = (await leases()).map(({ id }) => id);
    expect((await sluice("revoke", revoked!, "--grace", "300ms", "--message", "needed elsewhere")).code).toBe(0);
    await waitFor("the word of it", () => run.stderr().includes("(LEASE_REVOKED)"));
    expect(run.stderr()).toMatch(new RegExp(`^sluice: Notice about the lease ${revoked}: .*needed elsewhere`, "m"));
    expect(run.stderr()).toMatch(/\(LEASE_REVOKED\) .* \[1\] of \[3\] leases are left\.$/m);
    await waitFor("the last alone", async () => (await leases()).length === 1);
    expect((await leases()).map(({ id }) => id)).toEqual([kept]);
    run.tell("-1", "-2", "=3");
    expect(await run.exited()).toBe(3);
    const endings = [run.hasSaid(/^[12] ended 0$/m), run.hasSaid(/^[12] ended 1$/m)];
    await Promise.all(endings);
  });

  it("lose all shares by the heartbeat's time-out when `sluice run` itself is killed", async () => {
    const run = start("--processes", "3", "-m", "64MiB");
    run.tell("+");
    const { pid } = await run.isReady(0);
    expect(await leases()).toHaveLength(3);
    run.child.kill("SIGKILL");
    await run.exited();
    await waitFor("the shares to come back", () => isEmpty(pool));
    // Its command has lost its input, and has nothing more to do.
    await waitFor("the program to end", () => !isAlive(pid));
  });
});

describe("shares for several processes", () => {
  const job = `
    import { connect } from "sluice";
    const pool = await connect();
    const lease = await pool.allocate({ memory: "96MiB" });
    const bytes = await lease.devices[0].upload(Uint8Array.of(1, 2)).read(Uint8Array);
    console.log(bytes.join());
    await pool.close();`;
  const twoJobs = ["sh", "-c", '"$0" --input-type=module --eval "$1" & "$0" --input-type=module --eval "$1"; wait'];

  it("serve programs of Sluice's own library too", async () => {
    const { code, stdout, stderr } = await sluice(
      "run",
      "--processes",
      "2",
      "-m",
      "96MiB",
      "--",
      ...twoJobs,
      process.execPath,
      job,
    );
    expect([code, stdout, stderr]).toEqual([0, "1,2\n1,2\n", ""]);
  });

  it("come to one of two runs after the other where there is room for one: neither waits for the other's half", async () => {
    await using holder = await occupy(server, { memoryBytes: 64 * MiB });
    const both = ["--processes", "4", "-m", "128MiB", "--wait", "60s", "--", "echo", "served"];
    const runs = Promise.all(Array.from({ length: 3 }, () => sluice("run", ...both)));
    await waitFor("all of them to wait", async () => (await pool.leases()).queue.length === 3);
    expect((await pool.leases()).queue).toMatchObject(
      [1, 2, 3].map((position) => ({ position, devices: 4, leases: 4 })),
    );
    await holder.release();
    for (const { code, stdout, stderr } of await runs) {
      expect([code, stdout]).toEqual([0, "served\n"]);
      expect(stderr).toMatch(/^sluice: Waiting, place [123] in the queue/);
    }
    expect(await isEmpty(pool)).toBe(true);
  });

  it("are all there or none: 75 when there is room for a part of them only, and `explain` says so before", async () => {
    await using _holder = await occupy(server, { memoryBytes: 192 * MiB, filters: ["device.id=cpu:0"] });
    const wish = ["--processes", "4", "-m", "128MiB"];
    const run = await sluice("run", ...wish, "--", "echo", "started");
    expect([run.code, run.stdout]).toEqual([75, ""]);
    expect(run.stderr).toContain("room for [2] of the [4] slices");
    expect(await leases()).toHaveLength(1);
    const explained = await sluice("explain", ...wish);
    expect(explained.code).toBe(75);
    expect(explained.stdout).toContain("room for [2] of the [4] slices");
    const small = await sluice("explain", "--processes", "3", "-m", "64MiB");
    expect(small).toMatchObject({ code: 0, stderr: "" });
    expect(small.stdout.match(/64MiB of cpu:\d/g)).toHaveLength(3);
    const never = await sluice("run", "--processes", "5", "-m", "128MiB", "--wait", "1h", "--", "true");
    expect(never.code).toBe(1);
    expect(never.stderr).toMatch(/room for \[5\] leases.*\(IMPOSSIBLE_REQUEST\)/);
  });

  it("can be held by hand: `request` shows all, and `release` ends all", async () => {
    const { stdout } = await sluice("request", "--processes", "2", "-m", "64MiB", "--for", "1m", "--json");
    const { lease, others, environment: variables } = JSON.parse(stdout);
    const ids = [lease.id, ...others.map(({ id }: { id: string }) => id)];
    expect((await leases()).map(({ id }) => id)).toEqual(ids);
    const env = environment(variables);
    const attached = await connect({ server: server.grpc, lease: variables.SLUICE_LEASE });
    {
      await using first = await attached.allocate({ memory: "64MiB" });
      await using second = await attached.allocate({ memory: "64MiB" });
      expect([first.id, second.id]).toEqual(ids);
    }
    await attached.close();
    const released = await runShort(["release", "--json"], { env });
    expect(JSON.parse(released.stdout)).toMatchObject({
      leases: ids.map((leaseId) => ({ leaseId, released: true })),
    });
    const exported = await sluice("request", "--processes", "2", "-m", "64MiB", "--for", "1m", "--export");
    expect(exported.stdout).toMatch(
      /^export SLUICE_LEASE='lease-\S+:\S+ lease-\S+:\S+'\nexport SLUICE_SERVER='\S+'\n$/,
    );
    for (const { id } of await leases()) await pool.release(id);
  });

  it.each(["0", "65", "1.5", "two", "-1"])("of [%s] processes are bad usage", async (count) => {
    const { code, stderr } = await sluice("run", "--processes", count, "-m", "1MiB", "--", "true");
    expect(code).toBe(2);
    expect(stderr).toContain("processes");
    expect(await leases()).toEqual([]);
  });
});
