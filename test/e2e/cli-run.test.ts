/** `sluice run` as users start it: what the command gets, what comes back, and that the share is given back whatever happens. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Pool } from "sluice";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { runEach, runShort } from "../support/commands.ts";
import { hasTool } from "../support/interposer.ts";
import { occupy, servePool } from "../support/pool-server.ts";
import { isEmpty } from "../support/pool-state.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

const GiB = 1024 ** 3;

const job = `
  import { connect } from "sluice";
  const lease = await (await connect()).allocate({ memory: "64MiB" });
  const bytes = await lease.devices[0].upload(Uint8Array.of(1, 2, 3)).read(Uint8Array);
  console.log(lease.id, bytes.join());
  await lease.release();`;

let server: TestServer;
let pool: Pool;
const running: ChildProcess[] = [];

servePool({ args: ["--device", "null:1x1GiB", "--heartbeat-timeout", "4s"] }, (started) => {
  ({ server, pool } = started);
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

const leases = async () => (await pool.leases()).leases;

const run = (...args: string[]) => runShort(["run", "--server", server.grpc, ...args]);
const node = (code: string): string[] => ["--", process.execPath, "--input-type=module", "--eval", code];
const shell = (code: string): string[] => ["--", "sh", "-c", code];

/** `sluice run` in the background, on the server of all tests unless another is named. */
function start(...args: string[]) {
  const where = args.includes("--server") ? [] : ["--server", server.grpc];
  const child = spawn(process.execPath, ["dist/client/cli/main.js", "run", ...where, ...args], {
    // No libraries for CUDA programs, which the first use would build.
    env: { ...process.env, SLUICE_INTERPOSER: "" },
  });
  running.push(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk);
  });
  const exited = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once("exit", (code, signal) => resolve(signal ?? code ?? -1)),
  );
  return { child, stdout: () => stdout, stderr: () => stderr, exited: inTime("its end", exited) };
}

describe("the command", () => {
  it("works under the lease: the library in it attaches, on the same server, and asks in vain for more", async () => {
    const greedy = `
      import { connect as other } from "sluice";
      await (await other()).allocate({ memory: "512MiB" }).catch(({ message }) => console.error(message));
      ${job}`;
    const { code, stdout, stderr } = await run("-m", "256MiB", "--name", "inner", ...node(greedy));
    expect(stderr).toContain("asks for [512MiB per device]");
    expect(stderr).toContain("has [256MiB]");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^lease-\w+ 1,2,3\n$/);
  });

  it("gets its arguments as they are, also options, and its input and output", async () => {
    const printing = ["--", "sh", "-c", `cat; printf '%s|' "$@"`, "sh", "-n", "7", "--json", "a b"];
    const { code, stdout } = await run("-p", "0.5", ...printing);
    expect(stdout).toBe("-n|7|--json|a b|");
    expect(code).toBe(0);
    expect((await run("-p", "0.5", "echo", "-n", "x")).stdout).toBe("x");
  });

  it("makes run exit as it does, whatever it exits with or dies of", async () => {
    const endings: Record<string, number | string> = {
      "exit 0": 0,
      "exit 42": 42,
      "exit 255": 255,
      "kill -TERM $$": 143,
      "kill -KILL $$": 137,
      // So that a shell's script ends with it, as it would with the command.
      "kill -INT $$": "SIGINT",
      "exit 130": 130,
    };
    const to = ["run", "--server", server.grpc, "-m", "1MiB"];
    const finished = await runEach(Object.keys(endings).map((ending) => [...to, ...shell(ending)]));
    expect(finished.map(({ code }) => code)).toEqual(Object.values(endings));
  });

  it("that does not exist or is no program is 127 or 126, with a sentence", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-command-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "lost"), "#!/no/such/interpreter\n", { mode: 0o755 });
    const endings: [file: string, code: number, why: string][] = [
      ["no-such-command-here", 127, "no folder of PATH has it"],
      ["package.json", 127, "no folder of PATH has it"],
      ["./no-such-command-here", 127, "there is no such file"],
      ["./package.json/x", 127, "there is no such file"],
      ["./package.json", 126, "its file may not be executed"],
      ["./client", 126, "it is a folder"],
      [join(folder, "lost"), 127, "its file, or the interpreter that this one names, is not there"],
    ];
    for (const [file, code, why] of endings) {
      const stderr = `sluice: The command [${file}] does not start: ${why}.\n`;
      expect(await run("-m", "1MiB", "--", file)).toEqual({ code, stdout: "", stderr });
    }
  });

  it("that does not exist is not waited for with", async () => {
    await using _holder = await occupy(server, { memoryBytes: GiB });
    expect((await run("-m", "512MiB", "--wait", "1h", "--", "./no-such-command-here")).code).toBe(127);
  });

  it.runIf(hasTool("script"))("that uses nothing of its share has a user who is told so, at a terminal", async () => {
    const terminal = async (...command: string[]): Promise<string> => {
      const words = ["node", "dist/client/cli/main.js", "run", "--server", server.grpc, "-m", "64MiB", ...command];
      const line = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
      const libraries = mkdtempSync(join(tmpdir(), "sluice-libraries-"));
      onTestFinished(() => rmSync(libraries, { recursive: true }));
      writeFileSync(join(libraries, "libcuda.so.1"), "");
      const env = { ...process.env, SLUICE_INTERPOSER: libraries };
      const { stdout } = await promisify(execFile)("script", ["-qec", line, "/dev/null"], { env });
      return stdout;
    };
    expect(await terminal(...shell("echo done"))).toMatch(
      /^done\r\nsluice: No process of the command has used its share\. /,
    );
    expect(await terminal(...node(job))).toMatch(/^lease-\w+ 1,2,3\r\n$/);
  });
});

describe("run", () => {
  it("passes on what it is sent, lets the command decide, and leaves it its standard input as it was", async () => {
    const traps = 'for each in INT HUP QUIT USR1 USR2; do trap "echo SIG$each" $each; done';
    const last = "trap 'grep flags /proc/self/fdinfo/0; exit 9' TERM";
    const { child, stdout, stderr, exited } = start(
      "-m",
      "1MiB",
      ...shell(`${traps}; ${last}; grep flags /proc/self/fdinfo/0; while :; do sleep 0.05; done`),
    );
    await waitFor("the command", () => stdout().endsWith("\n"));
    const flags = stdout();
    for (const signal of ["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) {
      child.kill(signal);
      await waitFor(signal, () => stdout().endsWith(`${signal}\n`));
    }
    child.kill("SIGTERM");
    expect(await exited).toBe(9);
    expect(stdout()).toBe(`${flags}SIGINT\nSIGHUP\nSIGQUIT\nSIGUSR1\nSIGUSR2\n${flags}`);
    expect(stderr()).toBe("");
  });

  it.runIf(hasTool("script") && hasTool("bash"))(
    "leaves a terminal's keys to the terminal, and stands still with its command",
    async () => {
      const command = `trap "echo interrupted; sleep 0.3" INT; trap "echo goes on; exit 5" CONT; echo ready; while :; do sleep 0.05; done`;
      const line = `node dist/client/cli/main.js run --server ${server.grpc} -m 1MiB -- sh -c '${command}' </dev/null; fg`;
      const child = spawn("script", ["-qec", `bash --norc -ic "$LINE"`, "/dev/null"], {
        env: { ...process.env, SLUICE_INTERPOSER: "", LINE: line },
      });
      running.push(child);
      let said = "";
      child.stdout.on("data", (chunk) => {
        said += String(chunk);
      });
      const exited = inTime("its end", new Promise((resolve) => child.once("exit", resolve)));
      await waitFor("the command", () => said.includes("ready\r\n"));
      child.stdin.write("\x03");
      await waitFor("the interrupt", () => said.includes("interrupted\r\n"));
      child.stdin.write("\x1a");
      expect(await exited).toBe(5);
      expect(said.match(/interrupted\r\n/g)).toHaveLength(1);
      expect(said).toContain("sluice: The command stands still, and loses its share after [4s] of it.\r\n");
      expect(said).toMatch(/\r\ngoes on\r\n$/);
    },
  );

  it.runIf(hasTool("script"))(
    "that nohup started ignores the end of its terminal, and so does its command",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "sluice-nohup-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const log = join(folder, "log");
      await using holder = await occupy(server, { memoryBytes: GiB });
      const command = `node dist/client/cli/main.js run --server ${server.grpc} -m 1MiB --wait 1h -- sh -c`;
      const line = `echo own $$; exec ${command} "echo command \\$\\$; while ! [ -e ${folder}/flag ]; do sleep 0.05; done; echo done"`;
      const terminal = spawn("script", ["-qec", `exec < /dev/null > ${log} 2>&1; nohup sh -c '${line}'`, "/dev/null"], {
        env: { ...process.env, SLUICE_INTERPOSER: "" },
        stdio: ["ignore", "pipe", "ignore"],
      });
      running.push(terminal);
      const exited = inTime("its end", new Promise((resolve) => terminal.once("exit", resolve)));
      const said = (): string => (existsSync(log) ? readFileSync(log, "utf8") : "");
      const hangUp = async (which: string): Promise<void> => {
        const pattern = new RegExp(`^${which} (\\d+)\\n`, "m");
        await waitFor(which, () => pattern.test(said()));
        process.kill(Number(pattern.exec(said())![1]), "SIGHUP");
      };
      await waitFor("the words", () => said().includes("Waiting"));
      await hangUp("own");
      await holder.release();
      await hangUp("command");
      await hangUp("own");
      writeFileSync(join(folder, "flag"), "");
      expect(await exited).toBe(0);
      expect(said()).toMatch(/\ndone\n$/);
    },
  );

  it("gives the share back at once when the command is killed", async () => {
    const { child, stdout, exited } = start("-m", "1GiB", ...shell("echo $$; exec sleep 60"));
    await waitFor("the command", () => /^\d+\n/.test(stdout()));
    expect(await leases()).toHaveLength(1);
    process.kill(Number(stdout()), "SIGKILL");
    expect(await exited).toBe(137);
    expect(await isEmpty(pool)).toBe(true);
    expect(child.exitCode).toBe(137);
  });

  it("that is killed itself loses the share by the heartbeat's time-out, and its command hears so", async () => {
    const { child, stdout } = start(
      "-m",
      "1GiB",
      ...node(`
      import { connect } from "sluice";
      const lease = await (await connect()).allocate({ memory: "1GiB" });
      const buffer = lease.devices[0].alloc(16);
      console.log(process.pid);
      try {
        for (;;) { await buffer.read(Uint8Array); await new Promise((resolve) => setTimeout(resolve, 50)); }
      } catch (error) {
        console.log(error.code);
      }`),
    );
    await waitFor("the command", () => /^\d+\n/.test(stdout()));
    child.kill("SIGKILL");
    await waitFor("the share to come back", () => isEmpty(pool));
    await waitFor("the command to hear", () => stdout().includes("LEASE_EXPIRED"));
  });

  it("waits with its place and the reasons on standard error, then starts", async () => {
    await using holder = await pool.allocate({ memory: "1GiB" });
    const { stdout, stderr, exited } = start("-m", "512MiB", "--wait", "30s", ...shell("echo started"));
    await waitFor("the words", () => stderr().includes("Waiting"));
    expect(stderr()).toMatch(
      /^sluice: Waiting, place 1 in the queue\. Device \[null:0\] has \[0B\] free, .*\[512MiB\]/,
    );
    expect(stdout()).toBe("");
    await holder.release();
    expect(await exited).toBe(0);
    expect(stdout()).toBe("started\n");
    expect(stderr()).toMatch(/\nsluice: The wait is over: the command starts with 512MiB of null:0\.\n$/);
  });

  it("exits with 75 when there is no capacity within the wait, and says why", async () => {
    await using _holder = await occupy(server, { memoryBytes: GiB });
    for (const [words, ...wait] of [
      ["and the request does not wait"],
      ["within the wait of [200ms]", "--wait", "200ms"],
    ]) {
      const { code, stderr, stdout } = await run("-m", "512MiB", ...wait, ...shell("echo started"));
      expect(stderr).toContain(words);
      expect(code).toBe(75);
      expect(stdout).toBe("");
      expect(stderr).toContain("(NO_CAPACITY)");
      expect(stderr).toContain("\n  Device [null:0] has");
      expect(stderr).not.toContain("    at ");
    }
  });

  it("tells its user what the server announces, and why the lease is over", async () => {
    const stopping = await startServer({ args: ["--device", "null:1x1GiB", "--grace", "500ms"] });
    const { stdout, stderr, exited } = start(
      "--server",
      stopping.grpc,
      "-m",
      "1MiB",
      ...shell("echo ready; exec sleep 2"),
    );
    await waitFor("the command", () => stdout().includes("ready"));
    stopping.kill("SIGTERM");
    expect(await exited).toBe(0);
    await stopping.exited;
    expect(stderr()).toMatch(
      /^sluice: Notice about the lease lease-\w+: .*\.\nsluice: .*\(LEASE_REVOKED\) Allocate again\.\n/,
    );
    await stopping.stop();
  });

  it("withdraws its request when it is interrupted while it waits", async () => {
    await using _holder = await occupy(server, { memoryBytes: GiB });
    const { child, stderr, exited } = start("-m", "512MiB", "--wait", "1h", ...shell("echo started"));
    await waitFor("the words", () => stderr().includes("Waiting"));
    child.kill("SIGINT");
    expect(await exited).toBe("SIGINT");
    await waitFor("the queue to be empty", async () => (await pool.leases()).queue.length === 0);
  });

  it.each([
    [[], /missing required argument/],
    [["-m", "1MiB", "--"], /missing required argument|No command/],
    [["-m", "lots", "--", "true"], /\[lots\] is not/],
    [["-p", "1.5", "--", "true"], /\[1.5\] is not/],
    [["-n", "0", "--", "true"], /\[0\] is not/],
    [["-m", "1MiB", "-p", "0.5", "--", "true"], /cannot be used with/],
    [["--wait", "soon", "--", "true"], /\[soon\] is not/],
    [["--frobnicate", "--", "true"], /unknown option/],
  ])("%j is bad usage: exit 2, one complaint, nothing allocated", async (args, words) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain("    at ");
  });

  it("of the impossible exits with 1 and the reasons", async () => {
    const { code, stderr } = await run("-m", "2GiB", "--wait", "1h", ...shell("true"));
    expect(code).toBe(1);
    expect(stderr).toContain("(IMPOSSIBLE_REQUEST)");
  });

  it("without a server exits with 1 and one sentence", async () => {
    const { code, stderr } = await runShort(["run", "--server", "127.0.0.1:1", "--", "true"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sluice: The server \[127\.0\.0\.1:1\] does not answer .*\n$/);
  });
});
