/**
 * The check for real cards, run over the stand-in from a folder that holds what such a machine gets: the built package, the kernels, and the
 * runtime dependencies alone. What it measures here means nothing; that it runs to its end, and finds what it must find, does.
 */
import { type ChildProcess, execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { childrenOf, isAlive, killIfThere } from "../support/processes.ts";
import { waitFor } from "../support/wait-for.ts";
import { standin, standinMissing } from "./standin.ts";

/** A line of the table, as the JSON has it. */
interface Row {
  readonly group: string;
  readonly name: string;
  readonly ok?: boolean;
  readonly isSkipped?: boolean;
  readonly value?: number;
  readonly unit?: string;
  readonly local?: number;
  readonly ratio?: number;
  readonly bar?: number;
  readonly note?: string;
}

let box: string;

beforeAll(() => {
  box = mkdtempSync(join(tmpdir(), "sluice-test-check-"));
  const paths = ["package.json", "dist", "test/kernels/ptx", "test/kernels/sweep/card.json", "test/gpu/linear.fatbin"];
  for (const path of [...paths, "client/examples"]) {
    mkdirSync(join(box, dirname(path)), { recursive: true });
    // Other tests may build the libraries for programs and the stand-in now, and none here needs them in this place.
    cpSync(path, join(box, path), {
      recursive: true,
      filter: (source) => !/^dist\/(interposer|test\/standin)/.test(source),
    });
  }
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as { packages: Record<string, { dev?: boolean }> };
  for (const [path, { dev }] of Object.entries(lock.packages)) {
    const isTop = /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path);
    if (!isTop || dev === true) continue;
    mkdirSync(join(box, dirname(path)), { recursive: true });
    symlinkSync(resolve(path), join(box, path));
  }
});

afterAll(() => rmSync(box, { recursive: true, force: true }));

interface Report {
  readonly isComplete: boolean;
  readonly rows: Row[];
  readonly inventory: Readonly<Record<string, string>>;
}

interface Outcome {
  readonly rows: Row[];
  readonly report: Report;
  readonly text: string;
  readonly code: number;
}

interface CheckOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly args?: readonly string[];
  /** Default: true. */
  readonly hasReport?: boolean;
  /** Sees the running check, and what it has said so far. */
  readonly watch?: (child: ChildProcess, text: string) => void;
}

/** A process of the check finds the stand-in instead of a driver. */
function variablesWith(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const library = join(standin.folder, "libcuda.so.1");
  return {
    ...process.env,
    SLUICE_CUDA_LIBRARY: library,
    SLUICE_NVML_LIBRARY: library,
    SLUICE_CUBLASLT_LIBRARY: library,
    SLUICE_NVRTC_LIBRARY: library,
    SLUICE_STANDIN_ANY_KERNEL: "1",
    SLUICE_STANDIN_PAGEABLE: "1",
    SLUICE_STANDIN_CARD: join(box, "card"),
    // As on a machine of others: nothing can be written at home, and there are no tools.
    HOME: "/proc/nobody",
    PATH: "/nowhere",
    ...env,
  };
}

/** Runs groups of the check; tells its rows, and what it printed. */
async function check(
  groups: string,
  { env = {}, args: further = [], hasReport = true, watch }: CheckOptions = {},
): Promise<Outcome> {
  const json = join(box, `${groups}.json`);
  rmSync(json, { force: true });
  const variables = variablesWith(env);
  const args = [join(box, "dist/test/gpu/check.js"), "--quick", "--only", groups, "--json", json, ...further];
  const { text, code } = await new Promise<{ text: string; code: number }>((done) => {
    const child = execFile(process.execPath, args, { cwd: tmpdir(), env: variables }, (error, stdout, stderr) => {
      done({ text: stdout + stderr, code: error === null ? 0 : Number(error.code) });
    });
    let said = "";
    child.stderr!.on("data", (piece: string) => {
      said += piece;
      watch?.(child, said);
    });
  });
  const report = JSON.parse(
    hasReport ? readFileSync(json, "utf8") : '{"rows":[],"inventory":{},"isComplete":false}',
  ) as Report;
  return { rows: report.rows, report, text, code };
}

const serversOf = (pid: number): number[] =>
  childrenOf(pid).filter((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes("\0serve\0"));

/** Whether the JSON of a run of that group alone has a row of it already. */
const hasWritten = (group: string): boolean =>
  (JSON.parse(readFileSync(join(box, `${group}.json`), "utf8")) as Report).rows.some((row) => row.group === group);

const failed = (rows: readonly Row[]): Row[] => rows.filter(({ ok, bar }) => ok === false && bar === undefined);

const atEnd = "bytes left on the card at the end";

const keptName = "memory that the driver keeps after faults, as long as the server runs";

/** As a T4 is: what came with 8.0 it does not know. */
const old = { SLUICE_STANDIN_NAME: "Tesla T4", SLUICE_STANDIN_ATTRIBUTES: "75:7,76:5" };

/** What users have for servers of theirs: nothing of it may count. */
const users = { SLUICE_TOKEN_FILE: "/nowhere/token", SLUICE_CA: "/nowhere/ca", SLUICE_BUNDLE: "/nowhere/bundle" };

const one = { SLUICE_STANDIN_DEVICES: "1" };

/** One card, whose driver follows no hint, gives back late, frees nothing after a fault, keeps a little after the first, takes memory at a first launch, and tells little of the card. */
const unkind = {
  ...one,
  SLUICE_STANDIN_IGNORE_HINT: "1",
  SLUICE_STANDIN_LATE_MS: "300",
  SLUICE_STANDIN_STICKY_FREES: "1",
  SLUICE_STANDIN_FAULT_KEEPS: "65536 once",
  SLUICE_STANDIN_LAUNCH_MEMORY: "20",
  SLUICE_STANDIN_NVML: "3",
  ...old,
};

describe.skipIf(standinMissing !== undefined)("the check for real cards", () => {
  it("holds even an unkind card to the promises of a lease, one by one", async () => {
    const { rows, text, code } = await check("memory,end to end", {
      env: { ...unkind, ...users },
      args: ["--group-limit", "600"],
    });
    expect(failed(rows)).toEqual([]);
    // What needs two says so, and is no failure.
    const pair = rows.find(({ name }) => name.startsWith("bytes pass between"));
    expect(pair).toMatchObject({ isSkipped: true, note: "there is one card" });
    expect(rows.find(({ name }) => name.startsWith("matrix products"))?.note).toMatch(/^not in \[tf32,bf16]/);
    expect(text).toContain("Tesla T4, compute capability 7.5, 1.0 GiB");
    expect(rows.filter(({ group }) => group === "end to end").length).toBeGreaterThan(10);
    expect(rows.some(({ name }) => name.startsWith("bytes left"))).toBe(true);
    expect(rows.at(-1)).toMatchObject({ group: "check", name: atEnd, value: 0, ok: true });
    expect(text).toMatch(/^end to end$/m);
    expect(text).toContain(atEnd);
    expect(code).toBe(0);
  }, 900_000);

  it("finds what is left on the card and where that comes from, and leaves out what the machine has not", async () => {
    vi.stubEnv("SLUICE_STANDIN_CARD", join(box, "card"));
    let isTaken = false;
    // The driver keeps more after each fault.
    const env = { SLUICE_STANDIN_FAULT_KEEPS: "65536", SLUICE_NVRTC_LIBRARY: "libnvrtc-that-is-not-there.so" };
    const wanted = ["the list", "a fault is told", "CUDA C is compiled"];
    const { rows, code } = await check("end to end", {
      env,
      args: [...wanted.flatMap((promise) => ["--promise", promise]), "--group-limit", "600"],
      watch: (_, said) => {
        if (isTaken || !said.includes("end to end: the list")) return;
        isTaken = true;
        standin.occupy(0, 2 ** 20);
      },
    });
    standin.occupy(0, -(2 ** 20));
    vi.unstubAllEnvs();
    expect(failed(rows)).toMatchObject([
      {
        name: expect.stringMatching(/^the list/),
        note: expect.stringContaining("[1048576] bytes are left on the card"),
      },
      { name: keptName, note: "[65536] bytes after the first, [196608] more after [4]" },
      { name: "bytes left on the card afterwards", value: 2 ** 20 },
      { group: "check", name: atEnd, value: 2 ** 20 },
    ]);
    expect(rows.find(({ name }) => name.startsWith("bytes pass between"))).toMatchObject({ ok: true });
    const compiled = rows.find(({ name }) => name.startsWith("CUDA C is compiled"));
    expect(compiled).toMatchObject({ isSkipped: true, note: expect.stringMatching(/NVRTC/) });
    expect(code).toBe(1);
  }, 900_000);

  it("tells of the driver's calls in the JSON, and of the machine without its names, and keeps all that when it is stopped", async () => {
    const { rows, report, text, code } = await check("end to end,driver,neighbours", {
      watch: (child, said) => {
        if (said.includes("end to end: a slice is exact")) child.kill("SIGINT");
      },
    });
    expect(rows.at(-1)).toMatchObject({ name: "comes to its end", ok: false, note: "stopped by SIGINT" });
    expect(failed(rows)).toHaveLength(1);
    expect(rows.filter(({ group }) => group === "driver").length).toBeGreaterThan(20);
    expect(rows.filter(({ group }) => group === "neighbours")).toEqual([]);
    expect(rows.find(({ name }) => name === "reserve addresses")?.note).toBe(
      "wanted 0x600000000000, given 0x600000000000",
    );
    expect(report.inventory["/dev"]).toBeDefined();
    // What is sent in names neither the card nor the machine.
    const sent = JSON.stringify(report);
    expect(sent).toMatch(/"uuid":"GPU-#[0-9a-f]{8}"/);
    expect(sent).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
    expect(sent.split(/[^\w.-]+/)).not.toContain(hostname());
    expect(report.isComplete).toBe(false);
    expect(text).toContain("stopped by SIGINT");
    expect(code).toBe(1);
  }, 300_000);

  it("has written what it found when it is ended without a word", async () => {
    // Which clears nothing away.
    const own = join(box, "left");
    mkdirSync(own);
    let server: number | undefined;
    const { rows, report, text } = await check("end to end", {
      env: { TMPDIR: own },
      watch: (child, said) => {
        // A promise behind the first that is kept may be the first that finds it written.
        if (server !== undefined || !said.includes("end to end: ") || !hasWritten("end to end")) return;
        [server] = serversOf(child.pid!);
        child.kill("SIGKILL");
      },
    });
    process.kill(server!, "SIGTERM");
    await waitFor("the server's end", () => !isAlive(server!));
    expect(rows.filter(({ group, ok }) => group === "end to end" && ok === true).length).toBeGreaterThan(0);
    expect(report.isComplete).toBe(false);
    expect(text).not.toContain("To send it in");
  }, 300_000);

  it("ends with its time also where a server does not, and leaves none behind", async () => {
    const stopped: number[] = [];
    let spares: string | undefined;
    const started = performance.now();
    const { rows, report, code } = await check("end to end", {
      args: ["--limit", "30", "--promise", "the list"],
      watch: (child, said) => {
        if (stopped.length > 0 || !said.includes("end to end: the list")) return;
        stopped.push(...serversOf(child.pid!));
        // As a user's server has one.
        const args = readFileSync(`/proc/${stopped[0]}/cmdline`, "utf8").split("\0");
        spares = args[args.lastIndexOf("--spare-executors") + 1];
        for (const pid of stopped) process.kill(pid, "SIGSTOP");
      },
    });
    try {
      expect(performance.now() - started).toBeLessThan(60_000);
      expect(stopped).toHaveLength(1);
      expect(spares).toBe("1");
      await waitFor("the server's end", () => !isAlive(stopped[0]!));
    } finally {
      for (const pid of stopped) killIfThere(pid);
    }
    expect(rows.filter(({ group, ok }) => group === "start" && ok === true)).toHaveLength(3);
    expect(rows.at(-1)).toMatchObject({ ok: false, note: "the time is over, and what runs does not end" });
    expect(report.isComplete).toBe(false);
    expect(code).toBe(1);
  }, 300_000);

  it("waits for nothing when it is told to end once more, by whatever signal", async () => {
    let stopped: number[] | undefined;
    const started = performance.now();
    const { text, code } = await check("end to end", {
      args: ["--promise", "the list"],
      watch: (child, said) => {
        if (stopped !== undefined || !said.includes("end to end: the list")) return;
        // A server that does not end by itself holds it up.
        stopped = serversOf(child.pid!);
        for (const pid of stopped) process.kill(pid, "SIGSTOP");
        child.stdout!.once("data", () => child.kill("SIGHUP"));
        child.kill("SIGTERM");
      },
    });
    expect(text).toContain("stopped by SIGTERM");
    expect(stopped).toHaveLength(1);
    await waitFor("the server's end", () => !isAlive(stopped![0]!));
    expect(performance.now() - started).toBeLessThan(55_000);
    expect(code).toBe(1);
  }, 300_000);

  it("says what it had no time for", async () => {
    const { rows, code, text } = await check("memory,neighbours", { args: ["--limit", "0.01"] });
    expect(text).toContain("It is not complete: --limit 0");
    const left = rows.filter(({ name, isSkipped }) => name === "the group" && isSkipped).map(({ group }) => group);
    expect(left).toEqual(["start", "memory", "neighbours"]);
    expect(rows.at(-1)).toMatchObject({ name: atEnd, isSkipped: true, note: "the time is over" });
    expect(code).toBe(1);
  }, 300_000);

  it("tells how it is called", async () => {
    const { text, code } = await check("driver", { args: ["--help"], hasReport: false });
    expect(text).toMatch(/--json FILE.*--limit SECONDS.*end to end +\d+ +the promises.*77 nothing could be checked/s);
    expect(code).toBe(0);
    const wrong = await check("drivers", { hasReport: false });
    expect(wrong.text).toContain("There is no group [drivers]");
    expect(wrong.code).toBe(2);
  });

  it("says that a card cannot be checked that others have filled", async () => {
    const words =
      "needs [512 MiB] of the card, where [228 MiB] are free beside a context, and [700 MiB] in use before it";
    const { text, code, report } = await check("memory", { env: { SLUICE_STANDIN_OTHERS: "700" } });
    expect(text).toContain("Nothing is checked: ");
    expect(text).toContain(words);
    expect(report.rows).toMatchObject([
      { name: "there is a card to check", isSkipped: true, note: expect.stringContaining(words) },
    ]);
    // What the machine's own tools say is kept, so that the reason can be found elsewhere.
    expect(report.inventory).toHaveProperty("nvidia-smi");
    expect(code).toBe(77);
  });

  it("calls it a failure when a card that is there opens no context", async () => {
    const { rows, code } = await check("neighbours", { env: { SLUICE_STANDIN_FAIL: "cuDevicePrimaryCtxRetain:999" } });
    expect(rows).toMatchObject([{ name: "a context can be opened", ok: false }]);
    expect(code).toBe(1);
  });
});
