/** The groups of the check for real cards, each by itself over the stand-in: that they find what a card breaks, and leave out what it has not. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import { isDriversAlone } from "../gpu/card-memory.ts";
import { findCard, findRoom } from "../gpu/find-card.ts";
import { type Card, openServer } from "../gpu/group-tools.ts";
import { firstGroup, groups } from "../gpu/groups.ts";
import { quickSizes, type Row, runJob } from "../gpu/job.ts";
import { prepare, runAllBorrowed } from "../gpu/programs.ts";
import { buildInterposer, canBuild } from "../support/interposer.ts";
import { isAlive } from "../support/processes.ts";
import { beginGroup } from "../support/time-left.ts";
import { waitFor } from "../support/wait-for.ts";
import { standin, standinMissing } from "./standin.ts";

const MiB = 1024 * 1024;
/** For a busy machine. */
const TIME_MS = 600_000;
const home = process.cwd();
/** The check's working folder, where it finds the package and the programs. */
const box = mkdtempSync(join(tmpdir(), "sluice-test-groups-"));

// Asked for once in a process, which the check's children share the card with.
process.env["SLUICE_STANDIN_CARD"] = join(box, "card");

beforeAll(() => symlinkSync(resolve("dist"), join(box, "dist")));
afterAll(() => rmSync(box, { recursive: true }));
afterEach(() => {
  process.chdir(home);
  vi.unstubAllEnvs();
});

/** As a T4 is: what came with 8.0 it does not know. */
const old = { SLUICE_STANDIN_NAME: "Tesla T4", SLUICE_STANDIN_ATTRIBUTES: "75:7,76:5" };

/** From now on the stand-in is so, here and in children. */
function become(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
}

async function openCard(): Promise<Card> {
  become({ SLUICE_STANDIN_ANY_KERNEL: "1", SLUICE_STANDIN_PAGEABLE: "1" });
  const [device] = await cudaDriver.discover("0");
  const time = { groupLimitS: 0, returnLimitMs: 5_000 };
  const known = { roomBytes: device!.memoryBytes - 96 * MiB, usedBefore: 0, inventory: Promise.resolve({}) };
  return { device: device!, ...time, ...known, sizes: quickSizes, promises: [""] };
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of source) found.push(each);
  return found;
}

/** The rows of a group, for a card that is so. */
async function rowsOf(name: string, env: Readonly<Record<string, string>> = {}, limitMs = TIME_MS): Promise<Row[]> {
  become(env);
  const card = await openCard();
  beginGroup(limitMs);
  const { run } = name === "start" ? firstGroup : groups[name]!;
  return all(run(card));
}

const failed = (rows: readonly Row[]): Row[] => rows.filter(({ ok, bar }) => ok === false && bar === undefined);

describe.skipIf(standinMissing !== undefined)("the groups of the check", () => {
  it(
    "find a card that lends memory which is not zero",
    async () => {
      expect(failed(await rowsOf("memory", { SLUICE_STANDIN_DIRTY: "1" })).map(({ name }) => name)).toEqual([
        "the next lease finds nothing but zeros",
      ]);
    },
    TIME_MS,
  );

  it(
    "find a card whose kernels reach the host's memory",
    async () => {
      const rows = await rowsOf("start", { SLUICE_STANDIN_ATTRIBUTES: "88:1" });
      expect(failed(rows).map(({ name }) => name)).toEqual(["kernels cannot reach the memory of their process"]);
    },
    TIME_MS,
  );

  it(
    "ask nothing more of a card on which no kernel runs",
    async () => {
      const rows = await rowsOf("start", { SLUICE_STANDIN_FAIL: "cuLaunchKernel:719" });
      expect(rows).toMatchObject([
        { name: "a slice can be opened and read", ok: true },
        { name: "a kernel is compiled and computes", ok: false, isNeeded: true },
      ]);
    },
    TIME_MS,
  );

  it(
    "name the driver's call that fails, what it has not, and the one that does not return",
    async () => {
      const fail = "cuMemHostRegister_v2:1,cuArrayGetMemoryRequirements:801,cuMemcpy3DAsync_v2:9999:4";
      const rows = await rowsOf("driver", { SLUICE_STANDIN_FAIL: fail }, 10_000);
      expect(rows.find(({ name }) => name === "fill memory")?.ok).toBe(true);
      expect(failed(rows)).toMatchObject([
        { name: "page-lock a shared file", note: "1 CUDA_ERROR_INVALID_VALUE" },
        {
          name: "the steps come to their end",
          note: expect.stringMatching(/its limit of .* ms, at \[copy into it\]$/),
        },
      ]);
      const missing = rows.filter(({ name }) => name === "ask what it takes");
      expect(missing).toMatchObject([1, 2, 3].map(() => ({ isSkipped: true, note: "801 CUDA_ERROR_NOT_SUPPORTED" })));
    },
    TIME_MS,
  );

  it(
    "see a lease beside one that faults compute on",
    async () => {
      const rows = await rowsOf("neighbours");
      expect(rows.map(({ ok }) => ok)).toEqual([true, true, true]);
    },
    TIME_MS,
  );

  it(
    "find a card with another arithmetic",
    async () => {
      // Kernels of the stand-in compute nothing; and one family's are refused.
      const found = await rowsOf("arithmetic", { ...old, SLUICE_STANDIN_FAIL: "cuModuleLoadDataEx:218:3:1" });
      expect(found.length).toBeGreaterThan(15);
      // Else it is asked what it knows.
      const refused = found.filter(({ note }) => note?.includes("CUDA_ERROR"));
      expect(refused).toMatchObject([{ ok: false, note: expect.stringContaining("CUDA_ERROR_INVALID_PTX") }]);
      expect(found.at(-1)).toMatchObject({
        isSkipped: true,
        note: expect.stringMatching(/^\[\d+] of \[\d+] need more/),
      });
      expect(found.find(({ name }) => name === "f32 sums")).toMatchObject({
        ok: false,
        note: expect.stringMatching(
          /differ: \[add\.rn\.f32 y0, x0, x1;] in \[\d+] rows: .* gives \[0x.*], expected \[0x/,
        ),
      });
    },
    TIME_MS,
  );

  it(
    "measure everything beside the same in one process, with the bars met or missed",
    async () => {
      const rows = [...(await rowsOf("speed", old)), ...(await rowsOf("remote", old))];
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
    },
    TIME_MS,
  );

  it(
    "end a job that says nothing any more, long before its limit",
    async () => {
      become({ SLUICE_STANDIN_FAIL: "cuCtxSynchronize:9999,cuStreamSynchronize:9999" });
      beginGroup(TIME_MS);
      const { failure } = await runJob({ kind: "cases", device: "cuda:0", positions: [0] }, 50_000, 2_000);
      expect(failure).toBe("the process ended with SIGKILL, after 2000 ms without a word");
    },
    TIME_MS,
  );

  it("have no card that is too old or takes no program, and say why", async () => {
    become({ SLUICE_STANDIN_NAME: "Tesla V100", SLUICE_STANDIN_ATTRIBUTES: "75:7,76:0" });
    const { device } = await openCard();
    expect(await findRoom(device, { sizes: quickSizes })).toEqual({
      why: "The check's kernels need compute capability 7.5 or later, and the card [Tesla V100] has 7.0.",
    });
    become({ SLUICE_STANDIN_ATTRIBUTES: "20:2" });
    const words = "change its compute mode by `nvidia-smi -i 0000:3b:00.0 -c DEFAULT`.";
    expect(await findCard("0")).toEqual({ why: expect.stringContaining(words) });
  });
});

describe.skipIf(standinMissing !== undefined)("the check of programs", () => {
  beforeAll(() => {
    if (canBuild) buildInterposer();
  });

  const write = (path: string, text: string): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  };

  /** Goes where these scripts are the programs, with a compiler that takes a script for one, and a Python that has this package alone. */
  function stage(scripts: Readonly<Record<string, string>>, { nvcc = "", pythonHas = "" } = {}): void {
    const tools = join(box, "tools");
    // It is older than the card.
    const compile =
      'case "$*" in *sm_90*) exit 1; esac; while [ "$1" != -o ]; do shift; done; cp "$3" "$2"; case "$3" in *broken.cu) exit 1; esac';
    write(join(tools, "nvcc"), nvcc || compile);
    write(
      join(tools, "python3"),
      `case "$1" in -c) echo ${pythonHas};; *times.py) echo figure 3 us launch;; *) echo ok;; esac`,
    );
    const folder = join(box, "test/interposer/cuda");
    rmSync(join(box, "test"), { recursive: true, force: true });
    for (const [name, text] of Object.entries(scripts)) write(join(folder, name), text);
    // In the place of NVIDIA's libraries stand the project's, which say without a lease that there is none.
    const libraries = resolve("dist/interposer");
    process.chdir(box);
    become({
      ...{ PATH: `${tools}:/usr/bin:/bin`, SLUICE_STANDIN_MEMORY: "16384" },
      ...(canBuild ? { SLUICE_INTERPOSER: libraries, SLUICE_CUDA_PATH: libraries } : {}),
    });
  }

  it(
    "compares them with and without a lease, also in their times",
    async () => {
      stage(
        {
          "times.cu":
            'if test -n "$SLUICE_LEASE"; then n=4; else n=2; fi; echo figure $n ms turn; echo figure $n 1/s turns',
          "unlike.cu": 'test -z "$SLUICE_LEASE" || exit 3; echo ok',
          "broken.cu": "",
          "managed.cu": 'test -n "$SLUICE_LEASE"',
          // One of two, and what it says of its own times differs.
          "card.cu":
            'case "$SLUICE_LEASE$CUDA_VISIBLE_DEVICES" in "") exit 3; esac; echo figure $$ us of its own; echo ok',
        },
        { pythonHas: "numba" },
      );
      if (canBuild) {
        // One that uses no kernels of the libraries, and one that does.
        const blas = ["light.c", "light.h", "shaped.c", "blas.h", "numbers.h"].map((name) => `blas/${name}`);
        for (const path of [...blas, "driver/driver.h"].map((name) => `test/interposer/${name}`)) {
          mkdirSync(dirname(path), { recursive: true });
          cpSync(join(home, path), path);
        }
        mkdirSync("client/interposer/driver", { recursive: true });
        const header = "client/interposer/driver/cuda-api.h";
        cpSync(join(home, header), header);
      }
      const rows = await rowsOf("programs");
      const of = (name: string): Row | undefined => rows.find((row) => row.name === name);
      for (const good of ["managed.cu", "times.cu", "card.cu"]) expect(of(good)).toMatchObject({ ok: true });
      expect(of("broken.cu")).not.toHaveProperty("ok");
      expect(of("broken.cu")?.note).toContain("it cannot be compiled here");
      expect(of("times.cu: turn")).toMatchObject({ value: 4, unit: "ms", local: 2, ratio: 0.5 });
      expect(of("times.cu: turns")).toMatchObject({ value: 4, unit: "1/s", local: 2, ratio: 2 });
      expect(of("numba-sums.py")).toMatchObject({ ok: true });
      expect(of("numba-times.py: launch")).toMatchObject({ value: 3, unit: "us", local: 3, ratio: 1 });
      expect(of("programs in Python that are left out")?.note).toContain("jax-product.py");
      expect(of("unlike.cu")).toMatchObject({ ok: false, note: expect.stringMatching(/^borrowed 3 .*, alone 0 /) });
      if (canBuild) {
        const note = expect.stringMatching(/^by NVIDIA's libraries 1 \[.*stderr: .*names no lease/);
        expect(of("blas/light.c")).toMatchObject({ ok: true, note });
        // Kernels of the stand-in compute nothing, and this is held to what kernels give.
        expect(of("blas/shaped.c")).toMatchObject({
          ok: false,
          note: expect.stringMatching(/^borrowed 1 \[stdout: line \d+: element /),
        });
      }
      expect(failed(rows)).toHaveLength(canBuild ? 2 : 1);
    },
    TIME_MS,
  );

  it(
    "takes for the driver's what it keeps once behind programs, and for a leak what grows with them",
    async () => {
      const name = "memory that the driver keeps after programs, as long as anything uses the card";
      /** So many MiB of the card are nobody's after the programs of each round, and so many bytes somebody's all the time. */
      const judge = async (left: readonly number[], bytes = 0): Promise<Row[]> => {
        const ends = join(box, "ends");
        writeFileSync(ends, "");
        stage({ "one.cu": `test -z "$SLUICE_LEASE" || echo >> ${ends}` });
        become({ SLUICE_STANDIN_OTHERS: "0" });
        const card = await openCard();
        // Executors of the servers before this one may still be ending.
        await waitFor("the card to be nobody's", () => isDriversAlone(card.device));
        standin.occupy(0, bytes);
        beginGroup(TIME_MS);
        const watch = setInterval(() => {
          const rounds = readFileSync(ends, "utf8").length;
          if (rounds > 0) become({ SLUICE_STANDIN_OTHERS: String(left[rounds - 1]) });
        }, 10);
        try {
          const rows = await all(groups["programs"]!.run(card));
          return rows.filter((row) => row.name === name || row.name.startsWith("bytes left"));
        } finally {
          clearInterval(watch);
          standin.occupy(0, -bytes);
        }
      };
      const [MiB3, MiB8] = [3 * MiB, 8 * MiB];
      expect(await judge([8, 8])).toMatchObject([
        {
          name,
          ok: true,
          value: MiB8,
          note: `[${MiB8}] bytes that no process has, and [0] more after the same programs once more`,
        },
        { value: 0, ok: true },
      ]);
      expect(await judge([3, 6])).toMatchObject([
        {
          name,
          ok: false,
          value: 2 * MiB3,
          note: `[${MiB3}] bytes that no process has, and [${MiB3}] more after the same programs once more`,
        },
        { value: MiB3, ok: false },
      ]);
      // A leak beside what the driver keeps.
      expect(await judge([16, 17])).toMatchObject([
        { name, ok: false },
        { value: 16 * MiB, ok: false },
      ]);
      expect(await judge([300, 300])).toMatchObject([
        { name, ok: false },
        { value: 300 * MiB, ok: false },
      ]);
      // It may be theirs, and nothing is run again.
      expect(await judge([5, 5], 4096)).toMatchObject([{ value: 5 * MiB, ok: false }]);
    },
    TIME_MS,
  );

  it(
    "says what the machine cannot compile, and ends a program that hangs with all that it has started",
    async () => {
      stage({}, { nvcc: "echo it has no cicc; exit 2" });
      const card = await openCard();
      beginGroup(TIME_MS);
      await using server = await openServer("--device", card.device.id);
      const preparing = prepare(server.grpc, card);
      const rows: Row[] = [];
      let next = await preparing.next();
      for (; next.done !== true; next = await preparing.next()) rows.push(next.value);
      const note = "nvcc cannot compile for this card here: 2 [stdout: it has no cicc]";
      expect(rows).toMatchObject([
        { name: "the libraries for programs are there", ok: true },
        { name: "programs in CUDA C", isSkipped: true, note },
        { name: "programs in C against cuBLAS", isSkipped: true, note: expect.stringContaining("there is no") },
        { name: "programs in Python that are left out", isSkipped: true },
      ]);
      const prepared = next.value!;
      try {
        const started = join(box, "started");
        const command = ["/bin/sh", "-c", `sleep 600 & echo $! >> ${started}; wait`];
        const program = { name: "hung", command, isBorrowedOnly: "is not to be run here" };
        const tried = { program, alone: undefined, theirs: undefined };
        beginGroup(15_000);
        expect(await all(runAllBorrowed({ compared: [tried], timed: [] }, prepared, server.grpc))).toMatchObject([
          { name: "hung", ok: false, note: expect.stringMatching(/^borrowed killed after \d+ ms /) },
        ]);
        const left = readFileSync(started, "utf8").split("\n").filter(Boolean);
        expect(left).toHaveLength(1);
        await waitFor("the end of what it has started", () => !isAlive(Number(left[0])));
      } finally {
        prepared.remove();
      }
    },
    TIME_MS,
  );
});
