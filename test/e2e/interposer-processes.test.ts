/**
 * Several processes under several leases: each takes a session of its own, waits while there is none, is told by whom, and leaves nothing
 * behind that is in the way of the next.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { formatLeaseKeys } from "../../client/environment.ts";
import { buildInterposer, canBuild, compileProgram } from "../support/interposer.ts";
import { MiB, RawControl, type RawLease } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let server: TestServer;
let control: RawControl;
let libraries: string;
let sessions: string;
let [hold, ask, orphan, launcher, about] = ["", "", "", "", ""];
const running: ChildProcess[] = [];
const strays: number[] = [];
let ends: (() => unknown)[] = [];

beforeAll(async () => {
  sessions = mkdtempSync(join(tmpdir(), "sluice-sessions-"));
  if (!canBuild) return;
  libraries = `${process.cwd()}/${buildInterposer()}`;
  const compile = (name: string) => compileProgram(`test/interposer/processes/${name}.c`, { suffix: "-process" });
  [hold, ask, orphan] = [compile("hold"), compile("ask"), compile("orphan")];
  [launcher, about] = [compile("launcher"), compile("about")];
  server = await startServer({ args: ["--device", "cpu:2x256MiB"] });
  control = new RawControl(server.grpc);
});
afterEach(async () => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  for (const pid of strays.splice(0)) process.kill(pid, "SIGKILL");
  for (const end of ends) await end();
  ends = [];
});
afterAll(async () => {
  rmSync(sessions, { recursive: true });
  control?.client.close();
  await server?.stop();
});

/** So many leases of 32 MiB, until the end of the test. */
async function leases(count: number, terms: { readonly durationMaxMs?: number } = {}): Promise<RawLease[]> {
  const granted: RawLease[] = [];
  for (let index = 0; index < count; index++) {
    const lease = await control.allocate({ memoryBytes: 32 * MiB, ...terms });
    const held = control.hold(lease);
    granted.push(lease);
    ends.push(() => {
      held.stop();
      return control.release(lease.id, lease.secret).catch(() => undefined);
    });
  }
  return granted;
}

const keysOf = (granted: readonly RawLease[]): string =>
  formatLeaseKeys(granted.map(({ id, secret }) => ({ leaseId: id, secret })));

/** A program under any of the leases, with an open input. */
function start(granted: readonly RawLease[], command: readonly string[], more: NodeJS.ProcessEnv = {}) {
  const [file, ...args] = command;
  const env = {
    ...process.env,
    SLUICE_LEASE: keysOf(granted),
    SLUICE_DATA: `tcp://${server.data}`,
    SLUICE_SESSIONS: sessions,
    LD_LIBRARY_PATH: libraries,
    ...more,
  };
  const child = spawn(file!, args, { stdio: "pipe", env });
  running.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<number | string>((resolve) =>
    child.once("close", (code, signal) => resolve(signal ?? code ?? "unknown")),
  );
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    /** Ends its input. */
    finish: () => child.stdin.end(),
    isReady: () => waitFor("the program to have a session", () => stdout.includes("ready")),
    ended: () => inTime("the program's end", ended),
  };
}

const attached = async (): Promise<string[]> =>
  (await control.leases()).leases.filter(({ state }) => state === "LEASE_STATE_ATTACHED").map(({ id }) => id);

/** As an admin. */
async function revoke({ id }: RawLease): Promise<void> {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ leaseId: id });
  const { status } = await fetch(`${server.admin}/api/AdminService/Revoke`, { method: "POST", headers, body });
  expect(status).toBe(200);
}

describe.runIf(canBuild)("processes under several leases", () => {
  it("work at once, each under one of its own, and each sees the devices of that one", async () => {
    const granted = await leases(3);
    const programs = granted.map(() => start(granted, [hold]));
    await Promise.all(programs.map((program) => program.isReady()));
    expect((await attached()).sort()).toEqual(granted.map(({ id }) => id).sort());
    for (const { finish } of programs) finish();
    for (const { ended, stdout, stderr } of programs) {
      expect([await ended(), stderr()]).toEqual([0, ""]);
      expect(stdout()).toMatch(/^ready \d+ devices 1\nok\n$/);
    }
  });

  it("take none while they only count the devices that `sluice run` tells of, and leave it to those that they start", async () => {
    const granted = await leases(1);
    const { ended, stdout, stderr } = start(granted, [launcher, `${hold} </dev/null`], { SLUICE_DEVICES: "1" });
    expect([await ended(), stderr()]).toEqual([0, ""]);
    expect(stdout()).toMatch(/^counts 1\nready \d+ devices 1\nok\nworks with 1\n$/);
  });

  it("that are one more wait, say who has what and what to do, and go on when one ends", async () => {
    const granted = await leases(2);
    const first = [start(granted, [hold]), start(granted, [hold])];
    for (const program of first) await program.isReady();
    const late = start(granted, [hold]);
    await waitFor("its word", () => late.stderr().endsWith("\n"));
    expect(late.stderr()).toBe(
      "sluice: all [2] sessions are in use; this process waits for up to 35 s. For 3 CUDA processes at once: `sluice run --processes 3`.\n",
    );
    first[1]!.finish();
    expect(await first[1]!.ended()).toBe(0);
    await late.isReady();
    for (const program of [first[0]!, late]) program.finish();
    expect([await first[0]!.ended(), await late.ended()]).toEqual([0, 0]);
  });

  it("do not mind that one of the leases has ended, before or while they wait", async () => {
    const granted = await leases(3);
    await control.release(granted[0]!.id, granted[0]!.secret);
    const holders = [start(granted, [hold]), start(granted, [hold])];
    for (const program of holders) await program.isReady();
    const late = start(granted, [hold]);
    await waitFor("its word", () => late.stderr().includes("all [2] sessions"));
    // The lease of the first holder goes, under its feet: the one that waits gets none of it.
    const [lost] = await attached();
    await control.release(lost!, granted.find(({ id }) => id === lost)!.secret);
    await waitFor("the others to go on", async () => (await attached()).length === 1);
    for (const program of holders) program.finish();
    const codes = await Promise.all(holders.map(({ ended }) => ended()));
    expect(codes.sort()).toEqual([0, 1]);
    await late.isReady();
    late.finish();
    expect(await late.ended()).toBe(0);
  });

  it("do not mind that one was revoked or had its time, before or while they wait, and are told when it was the last", async () => {
    const [short] = await leases(1, { durationMaxMs: 100 });
    const [revoked, first, second] = await leases(3);
    await revoke(revoked!);
    await waitFor("its time", async () => (await control.leases()).leases.every(({ id }) => id !== short!.id));
    const granted = [revoked!, short!, first!, second!];
    // One after the other: the second takes what the first leaves.
    const holders: ReturnType<typeof start>[] = [];
    for (const leased of [[first!], granted]) {
      holders.push(start(leased, [hold]));
      await holders.at(-1)!.isReady();
    }
    const late = start(granted, [hold]);
    await waitFor("its word", () => late.stderr().includes("all [2] sessions"));
    await revoke(first!);
    await waitFor("the end of one session", async () => (await attached()).length === 1);
    holders[0]!.finish();
    holders[1]!.finish();
    expect(await Promise.all(holders.map(({ ended }) => ended()))).toEqual([1, 0]);
    await late.isReady();
    late.finish();
    expect(await late.ended()).toBe(0);
    await revoke(second!);
    const last = start([short!, first!, second!], [ask]);
    expect(await last.ended()).toBe(3);
    expect(last.stderr()).toMatch(/^sluice: the server refuses the session \[LEASE_REVOKED\]: .*\n$/);
  });

  it("are told why when all of the leases have ended", async () => {
    const granted = await leases(2);
    for (const { id, secret } of granted) await control.release(id, secret);
    const program = start(granted, [ask]);
    expect(await program.ended()).toBe(3);
    expect(program.stderr()).toMatch(/^sluice: the server refuses the session \[LEASE_ENDED\]: .*\n$/);
  });

  it("that are killed give their session to the next, also with children that have forked from them", async () => {
    const granted = await leases(1);
    const killed = start(granted, [orphan]);
    const child = await waitFor("the child", () => Number(/^(\d+)\n/.exec(killed.stdout())?.[1]) || undefined);
    strays.push(child);
    killed.child.kill("SIGKILL");
    const next = start(granted, [hold]);
    await next.isReady();
    expect(next.stderr()).toBe("");
    process.kill(child, 0);
    next.finish();
    expect(await next.ended()).toBe(0);
  });
});

describe.runIf(canBuild)("a process that takes its rank for its device", () => {
  it("is told that it has devices of its own, once, where it is one of several", async () => {
    const several = start(await leases(2), [ask, "1", "1", "1"]);
    expect(await several.ended()).toBe(0);
    expect(several.stdout()).toMatch(/^0 after .* s\ndevice 1: 101\ndevice 1: 101\n$/);
    expect(several.stderr()).toMatch(/^sluice: this process asks for device \[1\], and it has \[1\], from 0 on: .*\n$/);
    const beyond = start(await leases(2), [ask, "1", "2"]);
    const alone = start(await leases(1), [ask, "1", "1"]);
    expect([await beyond.ended(), await alone.ended()]).toEqual([0, 0]);
    expect([beyond.stderr(), alone.stderr()]).toEqual(["", ""]);
  });
});

describe.runIf(canBuild)("a process that finds no free session", () => {
  it("of its parent is told at once that it will get none, and once only, however often it asks", async () => {
    const granted = await leases(1);
    const trace = `dist/interposer-programs/trace-parent-${process.pid}`;
    const parent = start(granted, [hold, `${ask} 3`], { SLUICE_TRACE: trace });
    expect(await parent.ended()).toBe(3);
    const [holder] = /(?<=ready )\d+/.exec(parent.stdout())!;
    // A shell is between the two.
    const words =
      `the ancestor [${holder}] (hold-process) has the only session and keeps it until it ends, so this process gets no GPU. ` +
      "For 2 CUDA processes at once: `sluice run --processes 2`.";
    expect(parent.stderr()).toBe(`sluice: ${words}\n`);
    expect(readFileSync(trace, "utf8")).toContain(`! ${words}\n`);
    expect(parent.stdout()).toMatch(/\n(46 after \S+ s\n){3}ok\n$/);
    const seconds = [...parent.stdout().matchAll(/46 after (\S+) s/g)].map(([, text]) => Number(text));
    expect(seconds[0]).toBeGreaterThanOrEqual(1);
    // Far from the 35 of others, on however slow a machine.
    expect(Math.max(...seconds)).toBeLessThan(15);
  });

  it("of its parent still lets it ask about the devices, as compilers that programs start do, at once and without a word", async () => {
    const granted = await leases(1);
    const promise = { SLUICE_DEVICES: "1" };
    const alone = start(granted, [about], promise);
    expect(await alone.ended()).toBe(0);
    expect(alone.stdout()).toMatch(/^\d+ .+ 33554432 .+ active 0\nthen 0\n$/);
    const device = alone.stdout().split("\n")[0];
    const parent = start(granted, [hold, about], promise);
    expect(await parent.ended()).toBe(0);
    expect(parent.stdout().split("\n").slice(1)).toEqual([device, "then 46", "ok", ""]);
    expect(parent.stderr()).toMatch(
      /^sluice: the (ancestor|parent process) \[\d+\] \(hold-process\) has the only session.*\n$/,
    );
  });

  it("names the process that has it, waits as long as it is told to, and then says so", async () => {
    const granted = await leases(1);
    const holder = start(granted, [hold]);
    await holder.isReady();
    const patient = start(granted, [ask], { SLUICE_SESSION_WAIT: "3s" });
    const hasty = start(granted, [ask], { SLUICE_SESSION_WAIT: "0" });
    expect([await patient.ended(), await hasty.ended()]).toEqual([3, 3]);
    const who = `sluice: process [${holder.child.pid}] (hold-process) has the only session`;
    const remedy = "For 2 CUDA processes at once: `sluice run --processes 2`.";
    expect(patient.stderr()).toMatch(/waits for up to 3 s\. .*\nsluice: no session came free within \d\S* s: /);
    expect(patient.stderr().startsWith(who)).toBe(true);
    expect(hasty.stderr().replace(/within \S+ s/, "in time")).toBe(
      `${who}; none came free in time, so this process gets no GPU. ${remedy}\n`,
    );
  });

  it.each(["soon", "-1s", "5", "1e99s"])("takes no wait of [%s], says so, and waits as ever", async (wait) => {
    const granted = await leases(1);
    const holder = start(granted, [hold]);
    await holder.isReady();
    const program = start(granted, [ask], { SLUICE_SESSION_WAIT: wait });
    await waitFor("its word", () => program.stderr().includes("\n"));
    expect(program.stderr()).toContain(`SLUICE_SESSION_WAIT is a duration like 10s or 5m, and [${wait}] is not`);
    holder.finish();
    expect([await holder.ended(), await program.ended()]).toEqual([0, 0]);
  });

  it.each(["", "lease-1", "lease-1:x", "lease-1:x lease-2:y", " "])(
    "is told what is wrong with the leases [%s]",
    async (text) => {
      const program = start([], [ask], { SLUICE_LEASE: text });
      expect(await program.ended()).toBe(3);
      expect(program.stderr()).toMatch(/^sluice: (SLUICE_LEASE is not LEASE:SECRET|there is no GPU here)/);
    },
  );
});
