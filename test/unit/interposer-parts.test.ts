/** The parts of the interposer that work without a server, each by a small C program that is built with AddressSanitizer. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { canBuild, hasTool } from "../support/interposer.ts";
import { rounds } from "../support/rounds.ts";

const folder = "dist/interposer-parts";
const core = readdirSync("client/interposer/core").filter((name) => name.endsWith(".c"));
const flags = ["-std=c11", "-D_GNU_SOURCE", '-DSLUICE_VERSION="test"', "-O1", "-g", "-Wall", "-Wextra", "-Werror"];
const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-pthread"];

const builtBefore = new Map<string, string>();

/** Builds a program of test/interposer/unit, once, with all of the interposer's core, but for a part that the program includes itself. */
function build(name: string, included?: string): string {
  const before = builtBefore.get(name);
  if (before !== undefined) return before;
  const target = `${folder}/${name}`;
  const objects = core.filter((each) => each !== included).map((each) => `${folder}/${each.replace(/c$/, "o")}`);
  execFileSync("cc", [...flags, ...sanitizers, "-o", target, `test/interposer/unit/${name}.c`, ...objects]);
  builtBefore.set(name, target);
  return target;
}

/** What the arena holds lives as long as the process: leaks are not looked for. */
function run(program: string, ...args: string[]) {
  return runWith({}, program, ...args);
}

function runWith(variables: NodeJS.ProcessEnv, program: string, ...args: string[]) {
  const env = { ...process.env, ASAN_OPTIONS: "detect_leaks=0", ...variables };
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 100_000, env });
  return { status, stdout, stderr };
}

beforeAll(() => {
  mkdirSync(folder, { recursive: true });
  if (!canBuild) return;
  const sources = core.map((name) => resolve("client/interposer/core", name));
  execFileSync("cc", [...flags, ...sanitizers, "-c", ...sources], { cwd: folder });
});

describe.runIf(canBuild)("the interposer's", () => {
  it("hashes are those of the standard, for every length up to 300", () => {
    const sha = (data: string | Buffer) => createHash("sha256").update(data).digest();
    const all = Buffer.concat(Array.from({ length: 300 }, (_, length) => sha("a".repeat(length))));
    expect(run(build("hash"))).toEqual({ status: 0, stdout: `${sha(all).toString("hex")}\nok\n`, stderr: "" });
  });

  it("arena hands out disjoint ranges whose sizes add up", () => {
    expect(run(build("arena"))).toEqual({ status: 0, stdout: "ok\n", stderr: "" });
  });

  it("environment is read as it is or not at all, who has a session is known, and connections within this host are not paced", () => {
    const { status, stdout } = run(build("endpoints"));
    expect([status, stdout]).toEqual([0, "ok\n"]);
  });

  it("frame reader survives any bytes and loses no good answer", () => {
    const finished = run(build("frames"));
    expect(finished.stdout.endsWith("\nok\n"), finished.stdout.slice(-500) + finished.stderr).toBe(true);
    expect(finished.status).toBe(0);
  });
});

describe.runIf(canBuild)("copies that threads make together are right, and over,", () => {
  let program = "";
  beforeAll(() => {
    program = build("together", "together.c");
  });

  it.each([
    ["copies", "one after the other"],
    ["gone", "when helpers die in the middle of a chunk"],
    ["stalled", "when a helper has no processor for a while"],
    ["forked", "in a child of fork, and in its parent"],
    ["refused", "where no thread can be made"],
    ["signals", "and the program's own threads have its signals"],
  ])("%s: %s", (mode) => {
    expect(runWith({ SLUICE_AWAKE: "always" }, program, mode)).toEqual({ status: 0, stdout: "ok\n", stderr: "" });
  });

  it("never: with no thread more, where the user says so", () => {
    expect(runWith({ SLUICE_AWAKE: "never" }, program, "never")).toEqual({ status: 0, stdout: "ok\n", stderr: "" });
  });

  it("exit: or go with the program", () => {
    expect(runWith({ SLUICE_AWAKE: "always" }, program, "exit")).toEqual({ status: 7, stdout: "", stderr: "" });
  });
});

describe.runIf(canBuild)("a container of device code is cut to what a device loads:", () => {
  // KIND:ARCHITECTURE:BYTES, where kind 1 is PTX and 2 binary code.
  it.each([
    ["90", ["2:75:8", "2:86:16", "2:90:24", "2:90:8", "2:100:8", "2:120:8"], "2:90:24 2:90:8 "],
    ["89", ["2:80:8", "2:86:16", "2:90:24", "1:75:8", "1:90:16"], "2:80:8 2:86:16 1:75:8 "],
    ["100", ["2:80:8", "1:80:16", "8:100:8"], "1:80:16 8:100:8 "],
    ["75", ["2:90:8", "1:90:8"], "as it is"],
    ["90", ["2:90:8", "1:75:16"], "as it is"],
  ])("of one for %s with %j remains [%s]", (capability, entries, left) => {
    expect(run(build("cut"), capability, ...entries)).toEqual({ status: 0, stdout: `${left}\n`, stderr: "" });
  });
});

const text = Buffer.from(
  Array.from({ length: 4000 }, (_, index) => `ld.global.f32 %f${index % 97}, [%rd${(index * 7) % 31}];\n`).join(""),
);

describe.runIf(canBuild)("the unpacker", () => {
  it.runIf(hasTool("zstd")).each(["1", "9", "19"])("reads zstd of level %s, and survives damage to it", (level) => {
    const [packed, plain] = [`${folder}/text-${level}.zst`, `${folder}/text-${level}`];
    writeFileSync(plain, text);
    execFileSync("zstd", ["-q", "-f", "--no-check", `-${level}`, plain, "-o", packed]);
    expect(run(build("unpack"), "zstd", packed, plain, String(rounds(800)))).toEqual({
      status: 0,
      stdout: "ok\n",
      stderr: "",
    });
  });

  it("reads lz4, and survives damage to it", () => {
    // Ten literals, a match of twelve that overlaps itself, five literals: written by hand.
    const block = Buffer.from(
      [0xa8, ..."abcdefghij"].flatMap((c) => (typeof c === "string" ? [...Buffer.from(c)] : [c])),
    );
    const packed = Buffer.concat([block, Buffer.from([3, 0, 0x50]), Buffer.from("vwxyz")]);
    const paths = [`${folder}/block.lz4`, `${folder}/block`] as const;
    writeFileSync(paths[0], packed);
    writeFileSync(paths[1], "abcdefghijhijhijhijhijvwxyz");
    expect(run(build("unpack"), "lz4", ...paths, String(rounds(800)))).toEqual({
      status: 0,
      stdout: "ok\n",
      stderr: "",
    });
  });
});
