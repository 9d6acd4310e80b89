/**
 * The check for real cards, run over the stand-in from a folder that holds what such a machine gets: the built package, the kernels, and the
 * runtime dependencies alone. What it measures here means nothing; that it runs to its end, and finds what it must find, does.
 */
import { type ChildProcess, execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { buildInterposer, canBuild } from "../support/interposer.ts";
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

const failed = (rows: readonly Row[]): Row[] => rows.filter(({ ok, bar }) => ok === false && bar === undefined);

const atEnd = "bytes left on the card at the end";

const keptName = "memory that the driver keeps after faults, as long as the server runs";

/** As a T4 is: what came with 8.0 it does not know. */
const old = { SLUICE_STANDIN_NAME: "Tesla T4", SLUICE_STANDIN_ATTRIBUTES: "75:7,76:5" };

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
    const { rows, text, code } = await check("memory,end to end", { env: unkind, args: ["--group-limit", "600"] });
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

  it("makes the driver's calls one by one, and tells in the JSON what each returned and what the machine is", async () => {
    const { rows, report } = await check("driver");
    expect(failed(rows)).toEqual([]);
    const step = rows.find(({ name }) => name === "reserve addresses");
    expect(step?.note).toBe("wanted 0x600000000000, given 0x600000000000");
    expect(report.inventory["/dev"]).toBeDefined();
    // What is sent in names neither the card nor the machine.
    const sent = JSON.stringify(report);
    expect(sent).toMatch(/"uuid":"GPU-#[0-9a-f]{8}"/);
    expect(sent).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
    expect(sent.split(/[^\w.-]+/)).not.toContain(hostname());
  }, 300_000);

  it("finds a card that breaks them", async () => {
    // Memory is not zeroed before it is lent.
    const { rows, code } = await check("memory", { env: { SLUICE_STANDIN_DIRTY: "1" } });
    expect(failed(rows).map(({ name }) => name)).toEqual(["the next lease finds nothing but zeros"]);
    expect(code).toBe(1);
  }, 300_000);

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

  it("leaves out what others have no room for on the card, with the reason", async () => {
    const args = ["--promise", "the largest slice"];
    const { rows, code } = await check("end to end", { args, env: { SLUICE_STANDIN_OTHERS: "400", ...one } });
    const note = expect.stringMatching(/^others use the card, of which \[\d+] bytes are free/);
    expect(rows.find(({ name }) => name.startsWith("the largest slice"))).toMatchObject({ isSkipped: true, note });
    expect(rows.at(-1)).toMatchObject({ name: atEnd, isSkipped: true, note: expect.stringMatching(/^others use/) });
    expect(failed(rows)).toEqual([]);
    expect(code).toBe(0);
  }, 60_000);

  it("does nothing more on a card on which no kernel runs", async () => {
    const { rows, report, code } = await check("neighbours", { env: { SLUICE_STANDIN_FAIL: "cuLaunchKernel:719" } });
    expect(failed(rows)).toMatchObject([{ name: "a kernel is compiled and computes" }]);
    const note = "not run, for without this nothing else can be: a kernel is compiled and computes";
    expect(rows.at(-2)).toMatchObject({ group: "neighbours", name: "the group", isSkipped: true, note });
    expect(report.isComplete).toBe(false);
    expect(code).toBe(1);
  }, 300_000);

  it("calls it a failure when a card that is there opens no context", async () => {
    const { rows, code } = await check("neighbours", { env: { SLUICE_STANDIN_FAIL: "cuDevicePrimaryCtxRetain:999" } });
    expect(rows).toMatchObject([{ name: "a context can be opened", ok: false }]);
    expect(code).toBe(1);
  });

  it("finds a card with another arithmetic", async () => {
    // Kernels of the stand-in compute nothing; and one family's are refused.
    const env = { ...old, SLUICE_STANDIN_FAIL: "cuModuleLoadDataEx:218:3:1" };
    const { rows, text } = await check("arithmetic", { env });
    const found = rows.filter(({ group }) => group === "arithmetic");
    expect(found.length).toBeGreaterThan(15);
    // Else it is asked what it knows.
    const refused = found.filter(({ note }) => note?.includes("CUDA_ERROR"));
    expect(refused).toMatchObject([{ ok: false, note: expect.stringContaining("CUDA_ERROR_INVALID_PTX") }]);
    expect(found.at(-1)).toMatchObject({ isSkipped: true, note: expect.stringMatching(/^\[\d+] of \[\d+] need more/) });
    expect(text).toMatch(/^all +\d+ +\d+ +1 /m);
    expect(found.find(({ name }) => name === "f32 sums")).toMatchObject({
      ok: false,
      note: expect.stringMatching(
        /differ: \[add\.rn\.f32 y0, x0, x1;] in \[\d+] rows: .* gives \[0x.*], expected \[0x/,
      ),
    });
  }, 300_000);

  it("measures everything beside the same in one process, with the bars met or missed", async () => {
    const { rows, text } = await check("speed,remote", { env: old });
    expect(failed(rows)).toEqual([]);
    const products = rows.filter(({ group, name }) => group === "remote" && name.includes("product of f16"));
    expect(products.map(({ ratio }) => ratio! > 0)).toEqual([true, true]);
    expect(rows.filter(({ isSkipped }) => isSkipped).map(({ name }) => name.split(" ").at(-3))).toEqual([
      "tf32",
      "bf16",
    ]);
    const barred = rows.filter(({ bar }) => bar !== undefined);
    expect(barred.map(({ bar }) => bar?.toFixed(2))).toEqual(["0.80", "0.60", "0.60", "0.95"]);
    for (const { ratio, ok, bar } of barred) expect(ok).toBe(ratio! >= bar!);
    // More is better of rates, and less of times.
    for (const { value, unit, local, ratio } of rows.filter((row) => row.ratio !== undefined))
      expect(ratio! / (unit!.endsWith("/s") ? value! / local! : local! / value!)).toBeCloseTo(1, 3);
    expect(text).toMatch(/^ {2}(met|MISSED) /m);
  }, 300_000);

  it("goes on with the next group when one cannot run or takes the time of the others, and says why", async () => {
    const { rows, text, code } = await check("driver,remote,neighbours", {
      args: ["--group-limit", "8"],
      // A server has no place for its state; and the last of these calls never returns.
      env: {
        TMPDIR: "/nowhere",
        SLUICE_STANDIN_FAIL: "cuMemHostRegister_v2:1,cuArrayGetMemoryRequirements:801,cuMemcpy3DAsync_v2:9999:4",
      },
    });
    expect(rows.find(({ name }) => name === "fill memory")?.ok).toBe(true);
    // On a busy machine the first group may be out of time as well.
    expect(failed(rows)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: "page-lock a shared file", note: "1 CUDA_ERROR_INVALID_VALUE" }),
        expect.objectContaining({
          group: "driver",
          note: expect.stringMatching(/its limit of .* ms, at \[copy into it\]$/),
        }),
        expect.objectContaining({
          group: "remote",
          name: "the group comes to its end",
          note: expect.stringMatching(/^ENOENT.*'…\/sluice-check-server/),
        }),
      ]),
    );
    const missing = rows.filter(({ name }) => name === "ask what it takes");
    const note = "801 CUDA_ERROR_NOT_SUPPORTED";
    expect(missing).toMatchObject([1, 2, 3].map(() => ({ isSkipped: true, note })));
    expect(rows.filter(({ group, ok }) => group === "neighbours" && ok === true).length).toBeGreaterThan(1);
    expect(text).toContain("FAIL driver: page-lock a shared file");
    expect(text).toContain("ENOENT");
    expect(code).toBe(1);
  }, 300_000);

  it.each([
    ["SIGINT", "end to end", "end to end: a slice is exact"],
    ["SIGTERM", "start", "start …"],
    ["SIGHUP", "start", "start …"],
  ] as const)(
    "keeps what it has found when it is stopped by %s, and leaves nothing behind",
    async (signal, group, when) => {
      const { rows, report, text, code } = await check(`${group},driver,neighbours`, {
        watch: (child, said) => {
          if (said.includes(when)) child.kill(signal);
        },
      });
      expect(rows.filter((row) => row.group === "driver").length > 20).toBe(group !== "start");
      expect(rows.filter((row) => row.group === "neighbours")).toEqual([]);
      expect(rows.at(-1)).toMatchObject({ name: "comes to its end", ok: false, note: `stopped by ${signal}` });
      expect(report.isComplete).toBe(false);
      expect(text).toContain(`stopped by ${signal}`);
      expect(code).toBe(1);
    },
    60_000,
  );

  it("has written what it found when it is ended without a word", async () => {
    // Which clears nothing away.
    const own = join(box, "left");
    mkdirSync(own);
    let server: number | undefined;
    const { rows, report, text } = await check("end to end", {
      env: { TMPDIR: own },
      watch: (child, said) => {
        if (server !== undefined || !said.includes("end to end: CUDA C is compiled")) return;
        [server] = serversOf(child.pid!);
        child.kill("SIGKILL");
      },
    });
    process.kill(server!, "SIGTERM");
    await waitFor("the server's end", () => !isAlive(server!));
    expect(rows.filter(({ group, ok }) => group === "end to end" && ok === true).length).toBeGreaterThan(1);
    expect(report.isComplete).toBe(false);
    expect(text).not.toContain("To send it in");
  }, 300_000);

  it("ends with its time also where a server does not, and leaves none behind", async () => {
    const stopped: number[] = [];
    let spares: string | undefined;
    const started = performance.now();
    const { rows, report, code } = await check("end to end", {
      args: ["--limit", "30"],
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

  it("waits for nothing when it is told to end once more", async () => {
    let stopped: number[] | undefined;
    const started = performance.now();
    const { text, code } = await check("end to end", {
      watch: (child, said) => {
        if (stopped !== undefined || !said.includes("end to end: the list")) return;
        // A server that does not end by itself holds it up.
        stopped = serversOf(child.pid!);
        for (const pid of stopped) process.kill(pid, "SIGSTOP");
        child.stdout!.once("data", () => child.kill("SIGINT"));
        child.kill("SIGINT");
      },
    });
    expect(text).toContain("stopped by SIGINT");
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

  describe("of programs", () => {
    beforeAll(() => {
      if (canBuild) buildInterposer();
    });

    const write = (path: string, text: string): void => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    };

    /** Checks these scripts as programs, with a compiler that takes a script for one, and a Python that has this package alone. */
    async function checkPrograms(
      scripts: Readonly<Record<string, string>>,
      { limitS, pythonHas = "" }: { readonly limitS: number; readonly pythonHas?: string },
    ): Promise<Row[]> {
      const tools = join(box, "tools");
      // It is older than the card.
      const compile =
        'case "$*" in *sm_90*) exit 1; esac; while [ "$1" != -o ]; do shift; done; cp "$3" "$2"; case "$3" in *broken.cu) exit 1; esac';
      write(join(tools, "nvcc"), compile);
      write(
        join(tools, "python3"),
        `case "$1" in -c) echo ${pythonHas};; *times.py) echo figure 3 us launch;; *) echo ok;; esac`,
      );
      const folder = join(box, "test/interposer/cuda");
      rmSync(folder, { recursive: true, force: true });
      for (const [name, text] of Object.entries(scripts)) write(join(folder, name), text);
      const users = { SLUICE_TOKEN_FILE: "/nowhere/token", SLUICE_CA: "/nowhere/ca", SLUICE_BUNDLE: "/nowhere/bundle" };
      const env = { PATH: `${tools}:/usr/bin:/bin`, SLUICE_INTERPOSER: "", SLUICE_STANDIN_MEMORY: "16384", ...users };
      return (await check("programs", { args: ["--group-limit", String(limitS)], env })).rows;
    }

    it("compares them with and without a lease, also in their times", async () => {
      const rows = await checkPrograms(
        {
          "good.cu": "echo figure $$ us of its own; echo ok",
          "times.cu":
            'if test -n "$SLUICE_LEASE"; then n=4; else n=2; fi; echo figure $n ms turn; echo figure $n 1/s turns',
          "unlike.cu": 'test -z "$SLUICE_LEASE" || exit 3; echo ok',
          "broken.cu": "",
          "managed.cu": 'test -n "$SLUICE_LEASE"',
          // One of two.
          "card.cu": 'case "$SLUICE_LEASE$CUDA_VISIBLE_DEVICES" in "") exit 3; esac; echo ok',
        },
        { limitS: 100, pythonHas: "numba" },
      );
      const of = (name: string): Row | undefined => rows.find((row) => row.name === name);
      for (const good of ["good.cu", "managed.cu", "times.cu", "card.cu"]) expect(of(good)).toMatchObject({ ok: true });
      expect(of("broken.cu")).not.toHaveProperty("ok");
      expect(of("broken.cu")?.note).toContain("it cannot be compiled here");
      expect(of("times.cu: turn")).toMatchObject({ value: 4, unit: "ms", local: 2, ratio: 0.5 });
      expect(of("numba-sums.py")).toMatchObject({ ok: true });
      expect(of("numba-times.py: launch")).toMatchObject({ value: 3, unit: "us", local: 3, ratio: 1 });
      expect(of("programs in Python that are left out")?.note).toContain("jax-product.py");
      expect(of("programs in C against cuBLAS")).toMatchObject({
        isSkipped: true,
        note: expect.stringContaining("there is no"),
      });
      expect(of("times.cu: turns")).toMatchObject({ value: 4, unit: "1/s", local: 2, ratio: 2 });
      expect(failed(rows)).toMatchObject([
        { name: "unlike.cu", note: expect.stringMatching(/^borrowed 3 .*, alone 0 /) },
      ]);
    }, 300_000);

    it.skipIf(!canBuild)(
      "compiles those in C against cuBLAS, and holds the project's own to them",
      async () => {
        // One that uses no kernels of the libraries, and one that does.
        const blas = ["light.c", "light.h", "shaped.c", "blas.h", "numbers.h"].map(
          (name) => `test/interposer/blas/${name}`,
        );
        for (const path of [...blas, "test/interposer/driver/driver.h", "client/interposer/driver/cuda-api.h"]) {
          mkdirSync(join(box, dirname(path)), { recursive: true });
          cpSync(path, join(box, path));
        }
        rmSync(join(box, "test/interposer/cuda"), { recursive: true, force: true });
        const libraries = resolve("dist/interposer");
        // In the place of NVIDIA's stand the project's, which say without a lease that there is none.
        const places = { SLUICE_INTERPOSER: libraries, SLUICE_CUDA_PATH: libraries };
        const own = { ...places, SLUICE_STANDIN_MEMORY: "16384" };
        const tools = join(box, "wrong");
        write(join(tools, "nvcc"), "echo it has no cicc; exit 2");
        const { rows } = await check("programs", { env: { PATH: `${tools}:/usr/bin:/bin`, ...own } });
        expect(rows.find(({ name }) => name === "programs in CUDA C")).toMatchObject({
          isSkipped: true,
          note: "nvcc cannot compile for this card here: 2 [stdout: it has no cicc]",
        });
        const of = (name: string): Row | undefined => rows.find((row) => row.name === `blas/${name}.c`);
        const note = expect.stringMatching(/^by NVIDIA's libraries 1 \[.*stderr: .*names no lease/);
        expect(of("light")).toMatchObject({ ok: true, note });
        // Kernels of the stand-in compute nothing, and this is held to what kernels give.
        expect(of("shaped")).toMatchObject({
          ok: false,
          note: expect.stringMatching(/^borrowed 1 \[stdout: line \d+: element /),
        });
      },
      240_000,
    );

    it("ends one that hangs, with all that it has started, at the end of the group's time", async () => {
      const started = join(box, "started");
      const rows = await checkPrograms(
        { "hung.cu": `test -n "$SLUICE_LEASE" || exit 0; sleep 600 & echo $! >> ${started}; wait` },
        { limitS: 30 },
      );
      expect(failed(rows)).toMatchObject([
        { name: "hung.cu", note: expect.stringMatching(/^borrowed killed after \d+ ms /) },
        { name: "the rest of the group", note: expect.stringMatching(/^\[30] seconds of the group are over/) },
      ]);
      const left = readFileSync(started, "utf8").split("\n").filter(Boolean);
      expect(left.length).toBeGreaterThan(0);
      for (const pid of left) await waitFor(`the end of [${pid}]`, () => !isAlive(Number(pid)));
    }, 300_000);
  });

  it("ends a job that says nothing any more, long before its limit", async () => {
    const job = { kind: "cases", device: "cuda:0", positions: [0] };
    const program = `import { runJob } from "./dist/test/gpu/job.js"; console.log((await runJob(${JSON.stringify(job)}, 50_000, 2_000)).failure);`;
    const env = variablesWith({ SLUICE_STANDIN_FAIL: "cuCtxSynchronize:9999,cuStreamSynchronize:9999" });
    writeFileSync(join(box, "hanging.mjs"), program);
    const said = await new Promise<string>((done) => {
      execFile(process.execPath, ["hanging.mjs"], { cwd: box, env }, (_, stdout, stderr) => done(stdout + stderr));
    });
    expect(said).toBe("the process ended with SIGKILL, after 2000 ms without a word\n");
  }, 30_000);

  it("tells how it is called", async () => {
    const { text, code } = await check("driver", { args: ["--help"], hasReport: false });
    expect(text).toMatch(/--json FILE.*--limit SECONDS.*end to end +\d+ +the promises.*77 nothing could be checked/s);
    expect(code).toBe(0);
    const wrong = await check("drivers", { hasReport: false });
    expect(wrong.text).toContain("There is no group [drivers]");
    expect(wrong.code).toBe(2);
  });

  it("finds a card whose kernels reach the host's memory", async () => {
    const { rows } = await check("start", { env: { SLUICE_STANDIN_ATTRIBUTES: "88:1" } });
    expect(failed(rows).map(({ name }) => name)).toEqual(["kernels cannot reach the memory of their process"]);
  }, 300_000);

  it.each([
    [
      "is too old",
      { SLUICE_STANDIN_NAME: "Tesla V100", SLUICE_STANDIN_ATTRIBUTES: "75:7,76:0" },
      "need compute capability 7.5 or later, and the card [Tesla V100] has 7.0.",
    ],
    [
      "others have filled",
      { SLUICE_STANDIN_OTHERS: "700" },
      "needs [512 MiB] of the card, where [228 MiB] are free beside a context, and [700 MiB] in use before it",
    ],
    [
      "takes no program",
      { SLUICE_STANDIN_ATTRIBUTES: "20:2" },
      "change its compute mode by `nvidia-smi -i 0000:3b:00.0 -c DEFAULT`.",
    ],
  ])("says that a card cannot be checked that %s, and why", async (_, env, words) => {
    const { text, code, rows } = await check("memory", { env });
    expect(text).toContain("Nothing is checked: ");
    expect(text).toContain(words);
    expect(rows).toMatchObject([{ isSkipped: true, note: expect.stringContaining(words) }]);
    expect(code).toBe(77);
  });

  it("says that there is nothing to check where there is no card", async () => {
    const { text, code, report } = await check("memory", {
      env: { SLUICE_CUDA_LIBRARY: "libcuda-that-is-not-there.so" },
    });
    expect(code).toBe(77);
    expect(text).toContain("Nothing is checked");
    // What the machine's own tools say is kept, so that the reason can be found elsewhere.
    expect(report.rows).toMatchObject([{ name: "there is a card to check", isSkipped: true }]);
    expect(report.inventory).toHaveProperty("nvidia-smi");
  });
});
