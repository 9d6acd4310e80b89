/**
 * Copies that several threads make together: right whatever their size and place and whatever becomes of the threads, over when they say so, and no
 * reason for a program to live on.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyTogether, startHelpers } from "../../client/copy-helpers.ts";
import { canBuild } from "../support/interposer.ts";
import { createRandom } from "../support/random.ts";
import { waitFor } from "../support/wait-for.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

function pattern(byteCount: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteCount / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index ^ seed, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, byteCount);
}

describe("copies together", () => {
  beforeAll(async () => {
    startHelpers(3);
    const [to, from] = [new Uint8Array(MiB), pattern(MiB, 1)];
    await waitFor("a helper", () => copyTogether(to, from) > 0);
  });

  it("copies every byte and no other, whatever the size and place, while its source changes as soon as it is over", () => {
    const random = createRandom(7);
    const source = pattern(2 * MiB, 2);
    const target = new Uint8Array(2 * MiB);
    let helped = 0;
    for (let round = 0; round < 400 || helped === 0; round++) {
      const byteCount = 1 + Math.floor(random() * MiB);
      const [at, to] = [Math.floor(random() * (MiB - 1)), 1 + Math.floor(random() * (MiB - 2))];
      const from = source.slice(at, at + byteCount);
      target.fill(0xa5, to - 1, to + byteCount + 1);
      helped += copyTogether(target.subarray(to), from);
      from.fill(0);
      expect(same(target.subarray(to, to + byteCount), source.subarray(at, at + byteCount)), `${round}`).toBe(true);
      expect([target[to - 1], target[to + byteCount]]).toEqual([0xa5, 0xa5]);
    }
  });

  it("is over when the last byte is there, copy after copy, and writes nothing behind its end", () => {
    const words = 128 * KiB;
    const source = new Uint32Array(words);
    const targets = [new Uint32Array(words), new Uint32Array(words)] as const;
    const bytesOf = ({ buffer }: Uint32Array): Uint8Array => new Uint8Array(buffer);
    // The first and the last of each chunk, in the copy just made and in the one before.
    const marks = [0, 1, 2, 3].flatMap((chunk) => [chunk * 32 * KiB, (chunk + 1) * 32 * KiB - 1]);
    let wrong = 0;
    for (let round = 1; round <= 10_000; round++) {
      for (const mark of marks) source[mark] = round;
      const [to, before] = round % 2 === 0 ? targets : ([targets[1], targets[0]] as const);
      copyTogether(bytesOf(to), bytesOf(source));
      for (const mark of marks) if (to[mark] !== round || before[mark] !== round - 1) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it("finds its helpers again that have fallen asleep", async () => {
    const [to, from] = [new Uint8Array(MiB), pattern(MiB, 3)];
    await new Promise((resolve) => setTimeout(resolve, 20));
    await waitFor("a helper", () => copyTogether(to, from) > 0);
    expect(same(to, from)).toBe(true);
  });

  it("copies alone what is short, long, shared with other threads, or larger than its place", () => {
    const from = pattern(MiB, 4);
    const to = new Uint8Array(MiB);
    expect(copyTogether(to, from.subarray(0, 100 * KiB))).toBe(0);
    expect(same(to.subarray(0, 100 * KiB), from.subarray(0, 100 * KiB))).toBe(true);
    const [many, there] = [pattern(33 * MiB, 5), new Uint8Array(33 * MiB)];
    expect(copyTogether(there, many)).toBe(0);
    expect(same(there, many)).toBe(true);
    const shared = new Uint8Array(new SharedArrayBuffer(MiB));
    expect(copyTogether(shared, from)).toBe(0);
    expect(same(shared, from)).toBe(true);
    expect(copyTogether(to, shared)).toBe(0);
    expect(() => copyTogether(to.subarray(1), from)).toThrow(RangeError);
    expect(() => copyTogether(new Uint8Array(0), from)).toThrow(RangeError);
  });
});

describe("a program's copies are right, and over,", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-helpers-"));
  const library = join(folder, "faulty-memory.so");
  beforeAll(() => {
    const source = "test/interposer/unit/faulty-memory.c";
    if (canBuild) execFileSync("cc", ["-shared", "-fPIC", "-D_GNU_SOURCE", "-pthread", "-o", library, source]);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ["few", "where the user or the system's bounds leave it no helpers"],
    ["refused", "where no thread can be made"],
    ...(canBuild ? [["gone", "when helpers stall, end or die in the middle of a chunk"]] : []),
  ])("%s: %s", (attack) => {
    const program = ["--import", "tsx", "test/support/copy-attacks.ts", attack!, library];
    // Whoever waits for what nobody copies is ended after a while.
    const { stdout, stderr } = spawnSync(process.execPath, program, { encoding: "utf8", timeout: 60_000 });
    expect({ stdout, stderr }).toEqual({ stdout: "ok\n", stderr: "" });
  });
});

it("keeps no program alive, ends with it, and loads nothing of what the program loads first", async () => {
  const helpers = new URL("../../client/copy-helpers.ts", import.meta.url).href;
  const program = `
    import { copyTogether, startHelpers } from ${JSON.stringify(helpers)};
    startHelpers(3);
    const [to, from] = [new Uint8Array(${MiB}), new Uint8Array(${MiB}).fill(7)];
    while (copyTogether(to, from) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    console.log(to.every((byte) => byte === 7));
    if (process.argv[1] === "exit") process.exit(3);`;
  const folder = mkdtempSync(join(tmpdir(), "sluice-helpers-"));
  const first = join(folder, "first.cjs");
  writeFileSync(
    first,
    'require("node:worker_threads").workerData?.koffi && require("node:fs").writeSync(1, "loaded");',
  );
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program, ...args], {
      timeout: 60_000,
      env: { ...process.env, NODE_OPTIONS: `--require=${first}` },
    });
  expect((await run()).stdout).toBe("true\n");
  await expect(run("exit")).rejects.toMatchObject({ code: 3, stdout: "true\n" });
  rmSync(folder, { recursive: true, force: true });
});

it("ends when its helpers have loaded their library, whose end in the middle of that would abort the program", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-helpers-"));
  const [slow, first] = [join(folder, "slow.cjs"), join(folder, "first.cjs")];
  const koffi = JSON.stringify(createRequire(import.meta.url).resolve("koffi"));
  writeFileSync(
    slow,
    `if (!require("node:worker_threads").isMainThread) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      require("node:fs").writeSync(1, "loads\\n");
    }
    module.exports = require(${koffi});`,
  );
  writeFileSync(
    first,
    `const module_ = require("node:module"), find = module_._resolveFilename;
    module_._resolveFilename = (name, ...others) => name === "koffi" ? ${JSON.stringify(slow)} : find(name, ...others);`,
  );
  const helpers = new URL("../../client/copy-helpers.ts", import.meta.url).href;
  const program = `import { startHelpers } from ${JSON.stringify(helpers)}; startHelpers(3); process.exit(3);`;
  const args = ["--import", "tsx", "--require", first, "--input-type=module", "-e", program];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  rmSync(folder, { recursive: true, force: true });
  expect({ status, stdout }).toEqual({ status: 3, stdout: "loads\n".repeat(3) });
});
