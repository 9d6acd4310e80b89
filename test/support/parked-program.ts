/** Runs an unmodified program whose lease is suspended again and again while it runs. */
import { spawn } from "node:child_process";
import { formatLeaseKeys } from "../../client/environment.ts";
import type { DaemonStand } from "./daemon-stand.ts";
import { type FinishedProgram, interposerFolder } from "./interposer.ts";

/** On a busy machine parking takes nearly all of the time, and a program that is parked for ever comes to no end. */
const PARKS_MAX = 24;
/** A program that hangs is ended before its test is, which then can tell how often it was parked. */
const RUN_MS_MAX = 110_000;
/** Between two parks on a busy machine a program may wait for long; one whose answer is lost must not be helped by another connection. */
const SILENCE = "600s";

/** Runs a program, and parks its lease at random instants, PARKS_MAX times or until it has ended; tells also how often. The interposer is built. */
export async function runParked(
  command: string,
  {
    stand,
    endpoint,
    random,
    args = [],
  }: {
    readonly stand: DaemonStand;
    readonly endpoint: string;
    readonly random: () => number;
    readonly args?: readonly string[];
  },
): Promise<FinishedProgram & { readonly parks: number }> {
  let parks = 0;
  const env = {
    ...process.env,
    SLUICE_LEASE: formatLeaseKeys([{ leaseId: stand.leaseId, secret: stand.secret }]),
    SLUICE_DATA: endpoint,
    SLUICE_SILENCE: SILENCE,
    LD_LIBRARY_PATH: `${process.cwd()}/${interposerFolder}`,
  };
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env,
    timeout: RUN_MS_MAX,
    killSignal: "SIGKILL",
  });
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
  while (!isOver && parks < PARKS_MAX) {
    await someTurns();
    await stand.executor.park();
    parks++;
    await someTurns();
    await stand.executor.unpark();
  }
  return { code: await closed, stdout, stderr, parks };
}
