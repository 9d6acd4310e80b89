/**
 * Ends that stay awake while they wait for each other, as they do where there are cores for it: all that they say comes, and neither works while
 * there is nothing to wait for.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../client/index.ts";
import { buildInterposer, canBuild, compileProgram, runProgram } from "../support/interposer.ts";
import { executorsOf } from "../support/processes.ts";
import { runSluice, socketOf, startServer, type TestServer } from "../support/server.ts";

const always = { SLUICE_AWAKE: "always" };
let server: TestServer;

beforeAll(async () => {
  process.env["SLUICE_AWAKE"] = "always";
  server = await startServer({ args: ["--device", "cpu:1x512MiB"], env: always });
});
afterAll(async () => {
  delete process.env["SLUICE_AWAKE"];
  await server?.stop();
});

/** Processor time that a process has had, in clock ticks of 10 ms. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

describe.each(["unix", "tcp", "grpc"] as const)("over %s", (transport) => {
  it("every answer comes to its call, and nobody works behind the last one", async () => {
    await using pool = await connect({ server: server.grpc, transports: [transport] });
    await using lease = await pool.allocate({ memory: "8MiB", wait: "30s" });
    const [gpu] = lease.devices;
    const buffer = gpu.alloc(64);
    for (let round = 0; round < 600; round++) {
      buffer.write(Uint32Array.of(round));
      const [value] = await buffer.read(Uint32Array, { length: 1 });
      expect(value).toBe(round);
    }
    const many = await Promise.all(Array.from({ length: 50 }, () => buffer.read(Uint32Array, { length: 1 })));
    expect(many.every(([value]) => value === 599)).toBe(true);
    const executor = executorsOf(server.state).find(({ leaseId }) => leaseId === lease.id)!;
    const [mine, theirs] = [process.cpuUsage(), ticksOf(executor.pid)];
    await sleep(1_000);
    const { user, system } = process.cpuUsage(mine);
    expect((user + system) / 1e6).toBeLessThan(0.6);
    expect((ticksOf(executor.pid) - theirs) / 100).toBeLessThan(0.6);
  });
});

it.runIf(canBuild)("programs that know nothing of it get their answers too", async () => {
  buildInterposer();
  for (const name of ["streams", "threads"]) {
    const command = [compileProgram(`test/interposer/driver/${name}.c`, { suffix: "-awake" })];
    const env = { ...always, SLUICE_DATA: `unix://${socketOf(server)}` };
    const finished = await runProgram({ server, command, env });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  }
});

it.runIf(canBuild)("a program that is told nothing of meaning says so, and works all the same", async () => {
  buildInterposer();
  const command = [compileProgram("test/interposer/driver/streams.c", { suffix: "-awake" })];
  const env = { SLUICE_AWAKE: "sometimes", SLUICE_DATA: `unix://${socketOf(server)}` };
  const { code, stdout, stderr } = await runProgram({ server, command, env });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "ok\n" });
  expect(stderr).toContain("SLUICE_AWAKE is always or never, and [sometimes] is neither");
});

it("a server refuses words that mean nothing", async () => {
  const { code, stderr } = await runSluice(["serve", "--device", "null"], { env: { SLUICE_AWAKE: "sometimes" } });
  expect(code).toBe(2);
  expect(stderr).toContain("[sometimes], which is none of [always, never]");
});

it("so does a client", async () => {
  process.env["SLUICE_AWAKE"] = "sometimes";
  try {
    await using pool = await connect({ server: server.grpc });
    await expect(pool.allocate({ memory: "8MiB" })).rejects.toMatchObject({ code: "BAD_ARGUMENT" });
    expect((await pool.leases()).leases).toEqual([]);
  } finally {
    process.env["SLUICE_AWAKE"] = "always";
  }
});
