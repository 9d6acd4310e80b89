/** A server ends with the terminal or the npx that it was started from: neither leaves it behind with nobody to stop it. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";
import { hasTool } from "../support/interposer.ts";
import { isAlive, killIfThere } from "../support/processes.ts";
import { waitFor } from "../support/wait-for.ts";

let certificates: TestCertificates;
let folder: string;
const started: (() => void)[] = [];

beforeAll(async () => {
  certificates = await testCertificates();
  folder = mkdtempSync(join(tmpdir(), "sluice-ending-"));
});
afterEach(() => {
  for (const stop of started.splice(0)) stop();
});
afterAll(() => {
  certificates.remove();
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  /** The process that has started the server. */
  readonly starter: ChildProcess;
  /** The server's own. */
  readonly pid: number;
  readonly said: () => string;
}

const quoted = (text: string): string => `"${text}"`;

interface StartOptions {
  /** Further arguments of the server. */
  readonly more?: readonly string[];
  /** Where it writes. Default: standard output. */
  readonly log?: string;
}

/** A server that `command` starts, given the line of a shell; its id comes first in what it says. */
async function start(command: (line: string) => ChildProcess, { more = [], log }: StartOptions = {}): Promise<Started> {
  const ports = ["--listen", "--data", "--admin"].flatMap((option) => [option, "127.0.0.1:0"]);
  const state = mkdtempSync(join(folder, "state-"));
  const args = ["dist/client/cli/main.js", "serve", "--device", "null:1x64MiB", "--spare-executors", "0"];
  const line = [...args, "--state", state, ...ports, ...more].map(quoted).join(" ");
  const starter = command(`sh -c 'echo "pid=$$"; exec ${quoted(process.execPath)} ${line}'; true`);
  let heard = "";
  starter.stdout?.on("data", (chunk: Buffer) => {
    heard += String(chunk);
  });
  const said = (): string => (log === undefined ? heard : existsSync(log) ? readFileSync(log, "utf8") : "");
  await waitFor("the server to be ready", () => said().includes("sluice ready"));
  const pid = Number(/pid=(\d+)/.exec(said())![1]);
  started.push(
    () => killIfThere(pid),
    () => starter.kill("SIGKILL"),
  );
  return { starter, pid, said };
}

/** Whether the process has a terminal that can be closed. */
const hasTerminal = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[4] !== "0";

/** As npm does it: npm, a shell, and the shell's command. The name is what a list of processes shows. */
const byShell = (name: string) => (line: string) =>
  spawn("bash", ["-c", `sh -c '${line.replaceAll("'", `'\\''`)}'; true`], {
    argv0: name,
    stdio: ["ignore", "pipe", "ignore"],
  });

describe("a server that npx has started", () => {
  it.each(["SIGTERM", "SIGKILL"] as const)("ends when npx ends by %s, which it hands on to nobody", async (signal) => {
    const { starter, pid } = await start(byShell("npm exec sluice serve"));
    starter.kill(signal);
    await waitFor("the server's end", () => !isAlive(pid));
  });

  it("is told from one that a script left running in the background", async () => {
    const { starter, pid } = await start(byShell("npm-like start"));
    starter.kill("SIGKILL");
    await waitFor("the starter's end", () => starter.signalCode !== null);
    // The server says so itself when it answers: it looks once a second.
    const lookedAt = performance.now();
    await waitFor("more than a look", () => performance.now() - lookedAt > 2_500);
    expect(isAlive(pid)).toBe(true);
  });
});

describe.runIf(hasTool("script"))("a server in a terminal", () => {
  const inTerminal = (line: string) =>
    spawn("script", ["-qec", line, "/dev/null"], { stdio: ["ignore", "pipe", "ignore"] });

  it("ends when that is closed", async () => {
    const { starter, pid } = await start(inTerminal);
    starter.kill("SIGKILL");
    await waitFor("the server's end", () => !isAlive(pid));
  });

  it("that nohup started outlives it, and takes SIGHUP for the renewal of its certificates afterwards", async () => {
    const log = join(folder, "nohup.log");
    const detached = (line: string) => inTerminal(`exec < /dev/null > ${quoted(log)} 2>&1; nohup ${line}`);
    const { starter, pid, said } = await start(detached, { log, more: certificates.args });
    starter.kill("SIGKILL");
    await waitFor("the terminal's end", () => !hasTerminal(pid));
    // SIGHUP comes with that, and the next one is the same to the system until the server has heard of it.
    await waitFor("the renewal", () => {
      process.kill(pid, "SIGHUP");
      return said().includes("New connections get the certificate");
    });
    expect(isAlive(pid)).toBe(true);
  });

  it("with certificates takes SIGHUP for their renewal as long as that is open, and for the end when it is closed", async () => {
    const { starter, pid, said } = await start(inTerminal, { more: certificates.args });
    process.kill(pid, "SIGHUP");
    await waitFor("the renewal", () => said().includes("New connections get the certificate"));
    starter.kill("SIGKILL");
    await waitFor("the server's end", () => !isAlive(pid));
  });
});
