/**
 * Unmodified CUDA programs whose lease is suspended again and again while they run: they check their own results, print `ok` as ever, and
 * know nothing of it.
 */
import { spawn } from "node:child_process";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { formatLeaseKeys } from "../../client/environment.ts";
import { cpuDriver } from "../../server/device/cpu/driver.ts";
import { DaemonStand } from "../support/daemon-stand.ts";
import { buildInterposer, canBuild, compileProgram, type FinishedProgram } from "../support/interposer.ts";
import { createRandom } from "../support/random.ts";
import { MiB } from "../support/raw-client.ts";

let libraries: string;
let stand: DaemonStand;
/** Of all programs together. */
let parks = 0;
const random = createRandom(7);

beforeAll(() => {
  if (canBuild) libraries = buildInterposer();
});
beforeEach(async () => {
  stand = await DaemonStand.start({ driver: cpuDriver, spec: "1x256MiB", arenaBytes: 256 * MiB });
});
afterEach(() => stand.close());

/** Runs a program, and parks its lease at random instants until it has ended. */
async function runParked(command: string, endpoint: string): Promise<FinishedProgram> {
  const env = {
    ...process.env,
    SLUICE_LEASE: formatLeaseKeys([{ leaseId: stand.leaseId, secret: stand.secret }]),
    SLUICE_DATA: endpoint,
    LD_LIBRARY_PATH: `${process.cwd()}/${libraries}`,
  };
  const child = spawn(command, { stdio: ["ignore", "pipe", "pipe"], env, timeout: 90_000, killSignal: "SIGKILL" });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  let isOver = false;
  const closed = new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit, signal) => resolve(signal ?? exit ?? "unknown"));
  }).finally(() => {
    isOver = true;
  });
  const someTurns = async (): Promise<void> => {
    for (let turn = random() * 5; turn > 0; turn--) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  while (!isOver) {
    await someTurns();
    await stand.executor.park();
    parks++;
    await someTurns();
    await stand.executor.unpark();
  }
  return { code: await closed, stdout, stderr };
}

describe.runIf(canBuild)("a program that is suspended again and again", () => {
  const names = ["large-copies", "managed", "memory", "streams", "graphs", "threads", "textures", "pools", "modules"];

  it.each(names.flatMap((name) => [[name, "TCP"] as const, [name, "a Unix socket"] as const]))(
    "%s comes to its end over %s",
    async (name, how) => {
      const program = compileProgram(`test/interposer/driver/${name}.c`, { suffix: "-parked" });
      const endpoint = how === "TCP" ? `tcp://${stand.address}` : `unix://${stand.path}`;
      expect(await runParked(program, endpoint)).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
    },
  );

  afterAll(() => {
    expect(parks).toBeGreaterThan(names.length * 2 * 3);
  });
});
