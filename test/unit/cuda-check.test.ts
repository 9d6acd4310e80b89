/** What `check:gpu` decides of cards that nobody here has, what it prints, and what it does not tell. Without a card and without a run. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { standin, standinMissing } from "../cuda/standin.ts";
import { leakRow, leftOver, lookForOthers, sharedBytes, usedBytes } from "../gpu/card-memory.ts";
import { checks, NotHere, type Stage } from "../gpu/end-to-end.ts";
import { driversVariables, forgetUsers } from "../gpu/environment.ts";
import type { Card, Group } from "../gpu/group-tools.ts";
import { firstGroup, groups, limitFor } from "../gpu/groups.ts";
import { eachPart, type Row } from "../gpu/job.ts";
import { casesFor, workersFor } from "../gpu/kernel-groups.ts";
import { readOptions, usage } from "../gpu/options.ts";
import { namesHere, withoutNames, withoutNamesIn } from "../gpu/privacy.ts";
import { judge, sharesFor, targetsOf } from "../gpu/programs.ts";
import { renderFailures, renderSums, renderTable, sumsOf, wrapped } from "../gpu/report.ts";
import { type Outcome, runGroups } from "../gpu/run-groups.ts";
import { kernelCases } from "../kernels/cases.ts";

vi.mock("node:os", async (original) => ({
  ...(await original<typeof import("node:os")>()),
  hostname: () => "lovelace.example",
}));

const [MiB, GiB] = [1024 ** 2, 1024 ** 3];

describe("what a card is asked", () => {
  it.each([
    [75, "8.0"],
    [80, undefined],
    [120, undefined],
  ])("is what a card of [%i] knows", (capability, needed) => {
    const { positions, leftOut } = casesFor("kernels", capability);
    const counts = leftOut.map(({ value }) => value ?? 0);
    expect(counts.reduce((sum, count) => sum + count, positions.length)).toBe(kernelCases.length);
    const reasons = leftOut.map(({ note }) => note);
    if (needed === undefined) expect(reasons.filter((note) => note?.includes("compute capability"))).toEqual([]);
    else expect(reasons).toContain(`they need compute capability ${needed}, and this card has 7.5`);
    const used = new Set(positions.map((position) => kernelCases[position]!.ptx));
    for (const ptx of ["bfloats", "matrices", "tensors"]) expect(used.has(ptx)).toBe(capability >= 80);
    expect(positions.length).toBeGreaterThan(80);
  });

  it("is as much at a time as cores, the host's memory and the card's have room for", () => {
    const card = (roomBytes: number) => ({ roomBytes, device: { overheadBytes: 768 * MiB } as DeviceDescription });
    const [many, full] = [{ cores: 16, hostBytes: 64 * GiB }, card(70 * GiB)];
    expect(workersFor(full, many)).toBe(6);
    expect(workersFor(full, { ...many, cores: 1 })).toBe(1);
    expect(workersFor(full, { ...many, hostBytes: 2 * GiB })).toBe(4);
    // Of 8 GB a desktop uses six.
    expect(workersFor(card(2 * GiB), many)).toBe(2);
    expect(workersFor(card(100 * MiB), many)).toBe(1);
    expect(sharesFor(79 * GiB, many)).toEqual({ shareBytes: 2 * GiB, workers: 8 });
    expect(sharesFor(2 * GiB, many)).toEqual({ shareBytes: 512 * MiB, workers: 1 });
    expect(sharesFor(14 * GiB, { ...many, cores: 1 })).toEqual({ shareBytes: 2 * GiB, workers: 2 });
    expect(sharesFor(14 * GiB, { ...many, hostBytes: 4 * GiB })).toEqual({ shareBytes: 2 * GiB, workers: 1 });
  });

  it("is compiled for the card, or where the compiler is older than that, for every later one", () => {
    const [own, text] = targetsOf(120);
    expect(own).toContain("arch=compute_120,code=sm_120");
    expect(text).toEqual(["-gencode", "arch=compute_75,code=compute_75"]);
  });
});

describe("the time of a group", () => {
  const [short, long] = [
    { reserveS: 5, limitS: 60 },
    { reserveS: 50, limitS: 180 },
  ];

  it("is its own where there is time enough, and else leaves those behind it theirs", () => {
    expect(limitFor(short, { behind: [long, long], leftS: Number.POSITIVE_INFINITY })).toBe(60);
    expect(limitFor(short, { behind: [long, long], leftS: 540 })).toBe(60);
    expect(limitFor(short, { behind: [long, long], leftS: 130 })).toBe(30);
    // Not less than its own: what is short then ends the last.
    expect(limitFor(short, { behind: [long, long], leftS: 90 })).toBe(5);
    expect(limitFor(long, { behind: [], leftS: 90 })).toBe(90);
  });

  it("lets every group run in a visit of five minutes, whichever of them hangs", () => {
    const plans = Object.values(groups);
    for (const hanging of plans.keys()) {
      let leftS = 270;
      for (const [at, plan] of plans.entries()) {
        const limitS = limitFor(plan, { behind: plans.slice(at + 1), leftS });
        expect(limitS).toBeLessThanOrEqual(plan.limitS);
        expect(limitS).toBeGreaterThanOrEqual(plan.reserveS);
        leftS -= at === hanging ? limitS : plan.reserveS;
        expect(leftS, `what is left behind group ${at}`).toBeGreaterThanOrEqual(0);
      }
    }
    // What all others need has the time of a driver that was asleep.
    expect(limitFor(firstGroup, { behind: plans, leftS: 282 })).toBeGreaterThanOrEqual(60);
  });

  it("goes first to promises, bars, numbers and programs, and last to the fixtures", () => {
    expect(Object.keys(groups)).toEqual(
      ["driver", "remote", "end to end", "memory", "neighbours", "speed", "arithmetic", "programs", "kernels"].concat(
        "remote kernels",
      ),
    );
  });
});

describe("the groups of a run", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  /** What comes of groups that have ten seconds each, and how often it was kept. */
  async function outcomeOf(runs: Readonly<Record<string, Group>>): Promise<Outcome & { saves: number }> {
    const outcome: Outcome = { rows: [], seconds: {}, isComplete: false, inventory: {} };
    const device = { id: "cuda:0" } as DeviceDescription;
    const inventory = Promise.resolve({ cpu: "fast" });
    const card = { device, usedBefore: undefined, groupLimitS: 10, returnLimitMs: 1, inventory } as unknown as Card;
    const plans = Object.entries(runs).map(
      ([name, run]) => [name, { run, reserveS: 1, limitS: 10, does: name }] as const,
    );
    let saves = 0;
    const running = runGroups(plans, { card, outcome, save: () => void saves++ });
    await vi.advanceTimersByTimeAsync(60_000);
    await running;
    return { ...outcome, saves };
  }
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const well: Group = async function* () {
    yield { group: "well", name: "it is well", ok: true };
  };

  it("goes on with the next when one cannot run, takes the time of the others or hangs, and says why", async () => {
    const { rows, isComplete, inventory, seconds, saves } = await outcomeOf({
      async *broken() {
        yield { group: "broken", name: "a first row", ok: true };
        throw new Error("ENOENT: no such folder");
      },
      async *slow() {
        for (let row = 0; ; row++) {
          await pause(3_000);
          yield { group: "slow", name: `row ${row}`, ok: true };
        }
      },
      async *hung() {
        await new Promise(() => undefined);
        yield* well({} as Card);
      },
      well,
    });
    const end = { name: "the rest of the group", ok: false };
    const over = "[10] seconds of the group are over (--group-limit gives a slow machine more)";
    expect(rows).toMatchObject([
      { group: "broken", name: "a first row" },
      { group: "broken", name: "the group comes to its end", ok: false, note: "ENOENT: no such folder" },
      ...[0, 1, 2, 3].map((row) => ({ group: "slow", name: `row ${row}` })),
      { group: "slow", ...end, note: over },
      { group: "hung", ...end, note: `${over}, and it does not end` },
      { group: "well", ok: true },
      { name: "bytes left on the card at the end", isSkipped: true },
    ]);
    expect(isComplete).toBe(true);
    expect(inventory).toEqual({ cpu: "fast" });
    expect(seconds["slow"]).toBeCloseTo(12);
    // While a group runs too, where two seconds have gone by; twice behind each group, and at the end.
    expect(saves).toBe(4 + 1 + 2 * 4 + 1);
  });

  it("do nothing more where what all need fails", async () => {
    const { rows, isComplete } = await outcomeOf({
      async *start() {
        yield { group: "start", name: "a kernel is compiled and computes", isNeeded: true, ok: false };
      },
      well,
    });
    const note = "not run, for without this nothing else can be: a kernel is compiled and computes";
    expect(rows.slice(0, 2)).toMatchObject([
      { group: "start", ok: false },
      { group: "well", name: "the group", isSkipped: true, note },
    ]);
    expect(isComplete).toBe(false);
  });
});

describe("a promise that the machine has no room for", () => {
  it("is left out, with the reason", async () => {
    const pool = { devices: async () => [{ sliceBytesMax: 2 * MiB }] };
    const [, check] = Object.entries(checks).find(([name]) => name.startsWith("the largest slice"))!;
    const found = check({ pool, roomBytes: MiB } as unknown as Stage);
    await expect(found).rejects.toThrow(NotHere);
    await expect(found).rejects.toThrow(/^others use the card, of which \[1048576] bytes are free/);
  });
});

describe.skipIf(standinMissing !== undefined)("memory that is left on a card", () => {
  it("is not judged where others have some of it", async () => {
    const [mine, theirs] = await cudaDriver.discover("");
    expect(await lookForOthers(mine!)).toBe(0);
    expect(leakRow("g", mine!, await leftOver({ device: mine!, returnLimitMs: 0 }, await usedBytes(mine!)))).toEqual({
      ...{ group: "g", name: "bytes left on the card afterwards", unit: "B", value: 0, ok: true },
    });
    expect(leakRow("g", mine!, 512)).toMatchObject({ value: 512, ok: false });
    standin.occupy(1, 200 * MiB);
    expect(await lookForOthers(theirs!)).toBe(200 * MiB);
    standin.occupy(1, -200 * MiB);
    expect([await usedBytes(theirs!), sharedBytes(theirs!), sharedBytes(mine!)]).toEqual([
      undefined,
      200 * MiB,
      undefined,
    ]);
    const row = leakRow("g", theirs!, await leftOver({ device: theirs!, returnLimitMs: 0 }, undefined));
    expect(row).toMatchObject({
      isSkipped: true,
      note: expect.stringMatching(/^others use the card, \[209715200] bytes/),
    });
  });
});

describe("a job of several parts", () => {
  it("goes on behind one that fails, and says what it begins", async () => {
    const begun: string[] = [];
    const part = (name: string, error?: string) =>
      async function* (): AsyncGenerator<Row> {
        yield { group: "g", name };
        if (error !== undefined) throw new Error(error);
      };
    const told: Row[] = [];
    const parts = { launches: part("a", "it is lost"), copies: part("b") };
    for await (const row of eachPart("g", (what) => begun.push(what), parts)) told.push(row);
    expect(told).toEqual([
      { group: "g", name: "a" },
      { group: "g", name: "launches come to their end", ok: false, note: "it is lost" },
      { group: "g", name: "b" },
    ]);
    expect(begun).toEqual(["launches", "copies"]);
  });
});

describe("a program", () => {
  const ended = (code: string, stdout = "", stderr = "") => ({ code, stdout, stderr, milliseconds: 1 });
  const program = { name: "p", command: ["p"] };

  it("that cannot work is told as a fact, whatever comes of it", () => {
    const fact = { ...program, isFact: "it has a runtime of its own" };
    const refused = judge(fact, { alone: ended("0", "ok"), borrowed: ended("1", "", "why") });
    expect(refused).toEqual({ isSkipped: true, note: "1 [stderr: why]; it has a runtime of its own" });
    expect(judge(fact, { alone: ended("0"), borrowed: ended("0") })).toEqual({ isSkipped: true, note: "runs" });
  });

  it("whose library the machine has not is judged by what it does borrowed", () => {
    const alone = ended(
      "127",
      "",
      "p: error while loading shared libraries: libx.so.1: cannot open shared object file: gone",
    );
    expect(judge(program, { alone, borrowed: ended("0", "ok") })).toEqual({ ok: true });
    const note = "borrowed 1 [stdout: wrong]; alone it is not run: it needs [libx.so.1], which is not here";
    expect(judge(program, { alone, borrowed: ended("1", "wrong") })).toEqual({ ok: false, note });
    expect(judge(program, { alone: ended("127", "", "not found"), borrowed: ended("0") })).toMatchObject({ ok: false });
  });

  it("that fails is told of by the end of all that it says, whichever stream is the longer", () => {
    const long = (text: string): string => `${"word\n".repeat(100)}${text}`;
    const borrowed = ended("1", long("line 7: 2, not 3\n"), long("of a library"));
    const { note } = judge(program, { alone: ended("0"), borrowed });
    expect(note).toMatch(/^borrowed 1 \[stdout: .* line 7: 2, not 3; stderr: .* of a library\], alone 0 \[\]$/);
    expect(note!.length).toBeLessThan(500);
  });

  it("that fails by itself, or asks for more than a slice has, is neither good nor bad", () => {
    const wrong = ended("3", "wrong");
    const note = "both end with 3 [stdout: wrong]";
    expect(judge(program, { alone: wrong, borrowed: wrong })).toEqual({ isSkipped: true, note });
    const failing = judge(program, { alone: ended("1", "more"), borrowed: ended("0") });
    expect(failing).toEqual({ isSkipped: true, note: "alone it fails: stdout: more" });
    const refusal = "kernels can allocate [8] bytes by themselves on this device";
    const refused = judge(program, { alone: ended("0"), borrowed: ended("1", "", refusal) });
    expect(refused).toEqual({ isSkipped: true, note: `a borrowed one is refused: ${refusal}` });
    expect(judge(program, { alone: ended("0"), borrowed: ended("1", "", "other") })).toMatchObject({ ok: false });
  });
});

describe("the options of the check", () => {
  it("are told in lines that fit, with every group", () => {
    for (const line of usage().split("\n")) expect(line.length, line).toBeLessThanOrEqual(100);
    expect(usage()).toMatch(/--json FILE.*end to end +\d+ +the promises.*77 nothing could be checked/s);
  });

  it.each([
    [["--device", "0,1"], "One card is checked at a time"],
    [["--device", ""], "One card is checked at a time"],
    [["--limit", "soon"], "The time [soon] is no number of seconds."],
    [["--limit=-1"], "The time [-1] is no number of seconds."],
    [["--only", "speed,sped"], "There is no group [sped]; there are [driver"],
    [["--jsn", "x"], "--jsn"],
    [["x"], "x"],
  ])("are refused where they make no sense: %j", (args, words) => {
    expect(() => readOptions(args)).toThrow(words);
  });
});

const rows: readonly Row[] = [
  { group: "start", name: "a slice can be opened and read", ok: true },
  { group: "remote", name: "launch", ok: false, bar: 0.8, value: 160_000, unit: "1/s", local: 400_000, ratio: 0.4 },
  {
    group: "remote",
    name: "copy 64 MiB from the device to ordinary memory, against pageable copies of the driver",
    ...{ value: 12.3, unit: "GB/s", local: 14, ratio: 0.88, note: "word ".repeat(80) },
  },
  { group: "kernels", name: "a", ok: true, isCase: true, value: 3, unit: "ms" },
  { group: "kernels", name: "b", ok: true, isCase: true, value: 4, unit: "ms" },
  ...Array.from({ length: 9 }, (_, at) => ({ group: "kernels", name: `bad ${at}`, ok: false, isCase: true })),
  { group: "kernels", name: "cases that are not for this card", value: 7, unit: "cases", isSkipped: true, note: "why" },
  { group: "end to end", name: "bytes pass between two", isSkipped: true, note: "there is one card" },
];

describe("what the check prints", () => {
  it.each([
    [60, 60],
    [80, 80],
    [120, 100],
    [undefined, 100],
  ])("fits a terminal of %s columns", (columns, width) => {
    const text = renderTable(rows, columns) + renderFailures(rows, columns) + renderSums(rows, {}, 1);
    for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(width);
    expect(text).toContain("MISSED launch");
    expect(text).toContain("0.40 of 400,000");
  });

  it("counts many of a kind, and says why something is skipped", () => {
    const text = renderTable(rows);
    expect(text).toMatch(/pass +cases that pass +2 cases/);
    expect(text).toMatch(/FAIL +bad 4\n +FAIL +further cases that fail +4 cases/);
    expect(text).toMatch(/skip +bytes pass between two\n +there is one card/);
  });

  it("adds up", () => {
    expect(sumsOf(rows)).toEqual({ passed: 3, failed: 10, skipped: 8 });
    const lines = renderSums(rows, { start: 1.5 }, 61).trimEnd().split("\n");
    const columns = lines.slice(1).map((line) => line.slice(20).trim().split(/ +/).map(Number));
    for (const at of [0, 1, 2])
      expect(columns.slice(0, -1).reduce((sum, each) => sum + each[at]!, 0)).toBe(columns.at(-1)![at]);
    expect(lines.at(-1)).toMatch(/^all .* 61\.0$/);
  });

  it("drops notes of what is well before it is longer than a terminal keeps", () => {
    const many = Array.from({ length: 90 }, (_, at) => ({
      group: "g",
      name: `n ${at}`,
      ok: true,
      note: "x ".repeat(99),
    }));
    expect(renderTable(many).length).toBeLessThan(9000);
  });

  it("folds words, and cuts what has none", () => {
    expect(wrapped("one two three", 7, 9)).toEqual(["one two", "three"]);
    expect(wrapped("x".repeat(10), 4, 9)).toEqual(["xxxx", "xxxx", "xx"]);
    expect(wrapped("one two three four", 7, 2)).toEqual(["one two", "three …"]);
  });
});

describe("what the check keeps to itself", () => {
  it("has no secret of the environment in it, and does not use a user's", () => {
    const env = {
      ...{ SLUICE_TOKEN: "s1", SLUICE_SERVER: "gpus:7460", SLUICE_CA: "ca.crt", SLUICE_CUDA_PATH: "/usr/lib" },
      ...{
        NVIDIA_API_KEY: "s2",
        NVIDIA_VISIBLE_DEVICES: "all",
        CUDA_VISIBLE_DEVICES: "1",
        CUDA_REGISTRY_PASSWORD: "s3",
      },
    };
    expect(driversVariables(env).split("\n").sort()).toEqual([
      "CUDA_VISIBLE_DEVICES=1",
      "NVIDIA_VISIBLE_DEVICES=all",
      "SLUICE_CUDA_PATH=/usr/lib",
    ]);
    forgetUsers(env);
    expect(Object.keys(env).filter((name) => name.startsWith("SLUICE"))).toEqual(["SLUICE_CUDA_PATH"]);
  });

  it("knows what this machine is called", () => {
    const names = new Map(namesHere());
    expect([names.get("lovelace.example"), names.get("lovelace")]).toEqual(["HOST", "HOST"]);
  });

  const home = ["", "home", "ada"].join("/");
  const names = [
    [home, "~"],
    ["lovelace.example", "HOST"],
    ["lovelace", "HOST"],
    ["ada", "USER"],
    ["10.1.2.3", "ADDRESS"],
  ] as const;
  const without = (text: string): string => withoutNames(text, names);

  it.each([
    [`at ${home}/sluice/dist/x.js`, "at ~/sluice/dist/x.js"],
    ["lovelace.example and lovelace, by ada (10.1.2.3)", "HOST and HOST, by USER (ADDRESS)"],
    ["adapt what ada-x and 210.1.2.30 say", "adapt what ada-x and 210.1.2.30 say"],
    ["LD_LIBRARY_PATH=/cluster/acme/cuda/lib64:/usr/local/cuda/lib64", "LD_LIBRARY_PATH=…/lib64:/usr/local/cuda/lib64"],
    ["ENOENT: '/nowhere/x/sluice-state-1'", "ENOENT: '…/sluice-state-1'"],
    ["8 GB/s in /tmp/sluice-1/a and test/gpu/x, 1/s", "8 GB/s in /tmp/sluice-1/a and test/gpu/x, 1/s"],
    [
      "    Serial Number                         : 1652823051234",
      "    Serial Number                         : left out",
    ],
    [
      "        Process ID                        : 4711\n            Name  : /opt/x/y",
      "        Process ID                        : left out\n            Name  : left out",
    ],
    [
      "    Product Name                          : NVIDIA H100",
      "    Product Name                          : NVIDIA H100",
    ],
  ])("leaves of %j what names nobody", (text, told) => {
    expect(without(text)).toBe(told);
  });

  it("tells one card from another without their UUIDs, and not what others run", () => {
    const uuid = "GPU-5e1f0a2b-1234-5678-9abc-def012345678";
    const told = without(`GPU 0: NVIDIA A10 (UUID: ${uuid})`);
    expect(told).toMatch(/^GPU 0: NVIDIA A10 \(UUID: GPU-#[0-9a-f]{8}\)$/);
    expect(without(uuid.toUpperCase()).slice(-8)).toBe(told.slice(-9, -1));
    expect(without(`| 0  A10 |\n| Processes:      |\n|    0   N/A  N/A  4711  C  secret-model  500MiB |`)).toBe(
      "| 0  A10 |\n",
    );
    expect(withoutNamesIn({ a: [1, { b: "by ada", c: true }] }, names)).toEqual({ a: [1, { b: "by USER", c: true }] });
  });
});
