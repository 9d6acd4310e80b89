/**
 * Unmodified CUDA programs on borrowed slices of the cpu device: each program of test/interposer checks its own results and prints
 * `ok` as its last line. They are the same programs that run on a GPU without Sluice.
 */
import { readFileSync, rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canBuild, compileProgram, runProgram, sourcesOf } from "../support/interposer.ts";
import { type ProgramServer, servePrograms } from "../support/program-server.ts";
import { MiB } from "../support/raw-client.ts";
import { socketOf } from "../support/server.ts";

let lent: ProgramServer;
servePrograms("cpu:2x512MiB", (started) => {
  lent = started;
});

describe.runIf(canBuild)("a program in C against the driver API", () => {
  it.each(sourcesOf("test/interposer/driver"))("%s", async (source) => {
    const finished = await runProgram({ ...lent, command: [compileProgram(source)] });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it.each(["large-copies", "managed", "memory", "streams", "threads"])("%s, over the Unix socket", async (name) => {
    const command = [compileProgram(`test/interposer/driver/${name}.c`)];
    const trace = `dist/interposer-programs/trace-${name}`;
    rmSync(trace, { force: true });
    const env = { SLUICE_DATA: `unix://${socketOf(lent.server)}`, SLUICE_TRACE: trace };
    const finished = await runProgram({ ...lent, command, env });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
    expect(readFileSync(trace, "utf8")).toContain("memory that the server shares");
  });

  it("copies with several threads where it copies much and there are processors for them", async () => {
    const command = [compileProgram("test/interposer/driver/large-copies.c")];
    const trace = "dist/interposer-programs/trace-together";
    rmSync(trace, { force: true });
    const env = { SLUICE_DATA: `unix://${socketOf(lent.server)}`, SLUICE_TRACE: trace, SLUICE_AWAKE: "always" };
    const finished = await runProgram({ ...lent, command, env });
    expect({ ...finished, stderr: "" }).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
    expect(readFileSync(trace, "utf8")).toContain("threads help with large copies");
  });

  it("waits for nothing when it allocates and frees, until memory runs out", async () => {
    let answers = Number.NaN;
    const command = [compileProgram("test/interposer/driver/frees.c")];
    await runProgram({ server: lent.server, command, onUsage: (usage) => (answers = Number(usage.answers)) });
    // 20,200 pairs: a trip only where the slice is full, a few for what is read, and those of the start.
    expect(answers).toBeLessThan(420);
  });

  it("may give managed memory to system calls where it asks for all of it", async () => {
    const command = [compileProgram("test/interposer/whole/system-calls.c")];
    const finished = await runProgram({ ...lent, command, env: { SLUICE_MANAGED: "whole" } });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("sends one call per launch of a graph, whatever the graph has", async () => {
    let calls = Number.NaN;
    const command = [compileProgram("test/interposer/driver/graphs.c")];
    await runProgram({ server: lent.server, command, onUsage: (usage) => (calls = Number(usage.calls)) });
    // 100 launches of 302 nodes in 3 runs between host functions; without recordings they would be more than 30,000 calls.
    expect(calls).toBeLessThan(1_000);
  });

  it("sends an image once, as long as the server has it, over a network", async () => {
    const command = [compileProgram("test/interposer/environment/large-image.c")];
    const bytesOf = async (): Promise<number> => {
      let bytes = 0;
      const finished = await runProgram({
        server: lent.server,
        command,
        onUsage: (usage) => (bytes = Number(usage.bytesReceived)),
      });
      expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
      return bytes;
    };
    const first = await bytesOf();
    expect(first).toBeGreaterThan(2 * MiB);
    expect(first).toBeLessThan(2.1 * MiB);
    expect(await bytesOf()).toBeLessThan(8192);
  });

  it("leaves a line per call in the file of SLUICE_TRACE", async () => {
    const trace = "dist/interposer-programs/trace";
    rmSync(trace, { force: true });
    const program = compileProgram("test/interposer/driver/vector-add.c");
    await runProgram({ ...lent, command: [program], env: { SLUICE_TRACE: trace } });
    const lines = readFileSync(trace, "utf8").trim().split("\n");
    // Over TCP, that is without a line about memory that the server shares.
    expect(lines[0]).toMatch(/ works under the lease \[/);
    expect(lines[1]).toMatch(/^\d\d:\d\d:\d\d\.\d{6} \d+\.\d+ cuInit CUDA_SUCCESS$/);
    expect(lines.filter((line) => line.includes(" cuLaunchKernel CUDA_SUCCESS"))).toHaveLength(1);
  });

  it("sees the devices of its lease, and copies between them", async () => {
    const command = [compileProgram("test/interposer/two-devices/two-devices.c")];
    const finished = await runProgram({ server: lent.server, command, devices: 2 });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("sees exactly its slice through NVML", async () => {
    const program = compileProgram("test/interposer/nvml/memory.c", {
      flags: ["-l:libnvidia-ml.so.1"],
      suffix: "-nvml",
    });
    const finished = await runProgram({
      server: lent.server,
      command: [program, String(64 * MiB)],
      memoryBytes: 64 * MiB,
    });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  });

  it("reaches all page-locked memory from its kernels where its user says so", async () => {
    const command = [compileProgram("test/interposer/environment/page-locked.c")];
    const finished = await runProgram({ ...lent, command, env: { SLUICE_MAP_HOST_MEMORY: "1" } });
    expect(finished).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
    const refused = await runProgram({ ...lent, command });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("ILLEGAL_ADDRESS");
    expect(refused.stderr).toContain("SLUICE_MAP_HOST_MEMORY=1");
  });

  it("may follow another in one shell, also when that one left work behind", async () => {
    const program = compileProgram("test/interposer/driver/exit-order.c");
    const finished = await runProgram({ ...lent, command: ["sh", "-c", `${program} && ${program}`] });
    expect(finished).toEqual({ code: 0, stdout: "ok\nok\n", stderr: "" });
  });
});

describe.runIf(canBuild)("a program without a lease", () => {
  it("is told how to get one, and sees no device", async () => {
    const program = compileProgram("test/interposer/driver/vector-add.c");
    const finished = await runProgram({ ...lent, command: [program], env: { SLUICE_LEASE: "" } });
    expect(finished.code).toBe(1);
    expect(finished.stdout).toContain("CUDA_ERROR_NO_DEVICE");
    expect(finished.stderr).toContain("sluice run");
  });
});
