/** The command line against careless people and hostile servers: what is typed wrong, and what must never reach a terminal as it is. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commandLine } from "../../client/cli/program.ts";
import { environmentOf, runEach, runShort } from "../support/commands.ts";
import { type HostileServer, hostileText, startHostileServer } from "../support/hostile-server.ts";
import { runSluice } from "../support/server.ts";

/** Nothing else may move a cursor or turn the direction of writing. */
const unprintable = /[^\P{Cc}\n]|[\p{Bidi_Control}\u2028\u2029]/u;

/** By which each verb can be called, but for those that start programs or measure. */
const goodArguments: Readonly<Record<string, readonly string[]>> = {
  request: ["-m", "1MiB", "--for", "1h"],
  release: ["lease-1"],
  resize: ["lease-1", "1MiB"],
  explain: ["-m", "1MiB"],
  list: [],
  leases: [],
  smi: [],
  watch: [],
  health: [],
  usage: [],
  cordon: ["null:0"],
  uncordon: ["null:0"],
  drain: ["null:0"],
  revoke: ["lease-1"],
  extend: ["lease-1", "--by", "1h"],
  suspend: ["lease-1"],
  resume: ["lease-1"],
  cancel: ["lease-1"],
  priority: ["lease-1", "5"],
  reserve: ["bob", "-m", "1MiB"],
  unreserve: ["reservation-1"],
  reservations: [],
  quota: ["bob", "--leases", "1"],
  "token create": ["--tenant", "bob"],
  "token list": [],
  "token revoke": ["0123456789ab"],
  audit: [],
};

let server: HostileServer;
let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  server = await startHostileServer();
  folder = mkdtempSync(join(tmpdir(), "sluice-hostile-"));
  env = environmentOf({ grpc: server.address });
});
afterAll(() => {
  server.stop();
  rmSync(folder, { recursive: true });
});

async function commandOf(words: readonly string[]): Promise<Command> {
  let command = await commandLine(words[0]);
  for (const word of words) command = command.commands.find((each) => each.name() === word)!;
  return command;
}

/** Every option that takes a value, behind its verb. */
async function optionsWithValues(): Promise<(readonly [verb: string, option: string])[]> {
  const verbs = ["bench", ...Object.keys(goodArguments)];
  const lists = verbs.map(async (verb) => {
    const { options } = await commandOf(verb.split(" "));
    return options.filter(({ required }) => required).map(({ long }) => [verb, long!] as const);
  });
  return (await Promise.all(lists)).flat();
}

const forPeople = ["--name", "--note", "--message", "--reason"];

describe("a value that is forgotten", () => {
  it("is no option left out, for every option of every verb: blank, or the next option in its place", async () => {
    const options = (await optionsWithValues()).filter(([, option]) => !forPeople.includes(option));
    expect(options.length).toBeGreaterThan(100);
    for (const [verb, option] of options) {
      const words = verb.split(" ");
      const lines = [
        [...words, ...(goodArguments[verb] ?? []), option, " "],
        [...words, ...(goodArguments[verb] ?? []), option, "--server"],
      ];
      for (const { code, stdout, stderr } of await runEach(lines, { env })) {
        expect([verb, option, code, stdout]).toEqual([verb, option, 2, ""]);
        expect(stderr).toMatch(/^sluice: .+\n/);
        expect(stderr).toContain(option);
      }
    }
  });

  it("is no argument left out", async () => {
    const verbs = Object.entries(goodArguments).filter(([, [first]]) => first !== undefined && !first.startsWith("-"));
    const finished = await runEach(
      verbs.map(([verb, [, ...rest]]) => [...verb.split(" "), "", ...rest]),
      { env },
    );
    for (const [index, { code, stdout, stderr }] of finished.entries()) {
      expect([verbs[index]![0], code, stdout]).toEqual([verbs[index]![0], 2, ""]);
      expect(stderr).toMatch(/^sluice: The arguments have one that is blank \[/);
    }
  });

  it("may be of text for people, and of a program's own arguments", async () => {
    server.fails = false;
    const finished = await runEach([["cordon", "null:0", "--message", ""]], { env });
    expect(finished[0]).toMatchObject({ code: 0, stderr: "" });
    const { stderr } = await runShort(["run", "--server", "127.0.0.1:1", "--", "true", ""], { env });
    expect(stderr).toContain("SERVER_UNREACHABLE");
  });
});

const wrong: [string[], RegExp][] = [
  [["request", "-n", "0x10", "-m", "1MiB", "--for", "1h"], /\[0x10\] is not/],
  [["request", "-n", "many", "-m", "1MiB", "--for", "1h"], /\[many\] is not/],
  [["run", "--processes", "1e1", "--", "true"], /\[1e1\] is not/],
  [["run", "--priority", "+5", "--", "true"], /\[\+5\] is not/],
  [["quota", "bob", "--weight", "0x10"], /\[0x10\] is not/],
  [["quota", "bob", "--duration", "0"], /\[0\], and that is no time/],
  [["token", "create", "--tenant", "bob", "--expires", "0s"], /\[0s\], and that is no time/],
  [["reserve", "bob", "-m", "1MiB", "--for", "0"], /\[0\], and that is no time/],
  [["list", "--server", "--x"], /\[--x\] is not/],
  [["list", "--server", "a'b"], /\[a'b\] is not/],
  [["list", "--server", "[::g]:7460"], /\[\[::g\]:7460\] is not/],
  [["list", "--server", ","], /name none/],
  [["list", "--server", "\u001b[2J"], /\[\\u001b\[2J\] is not/],
  [["list", "--bundle", "a\nb"], /\[a\\u000ab\] of \[SLUICE_BUNDLE\]/],
  [["usage", "--from", "2026-13-45"], /\[2026-13-45\] is not/],
];

it("what is typed wrong is named in a sentence, and nothing is done", async () => {
  const lines = wrong.map(([args]) => args);
  for (const [index, { code, stdout, stderr }] of (await runEach(lines, { env })).entries()) {
    expect([wrong[index]![0], code, stdout]).toEqual([wrong[index]![0], 2, ""]);
    expect(stderr).toMatch(wrong[index]![1]);
    expect(stderr).not.toMatch(unprintable);
  }
});

it("a bundle with an address that is none is not made", async () => {
  const bundle = join(folder, "bundle.json");
  const finished = await runShort(["token", "create", "--tenant", "a", "--bundle", bundle, "--address", "a b"], {
    env,
  });
  expect(finished).toMatchObject({ code: 2, stdout: "" });
  expect(existsSync(bundle)).toBe(false);
  expect(readdirSync(folder)).toEqual([]);
});

it("a file that is no token's is told as such, at once", async () => {
  const file = join(folder, "large");
  writeFileSync(file, "x".repeat(1 << 20));
  const { code, stderr } = await runShort(["list"], { env: { ...env, SLUICE_TOKEN_FILE: file } });
  expect([code, stderr]).toEqual([2, expect.stringContaining("The token has [1048576] characters")]);
});

describe("a server's text", () => {
  it.each([false, true])("never moves the cursor, whatever the verb; errors: %s", async (fails) => {
    server.fails = fails;
    const lines = Object.entries(goodArguments).flatMap(([verb, args]) => {
      const line = [...verb.split(" "), ...args];
      return fails || verb === "request" ? [line] : [line, [...line, "--json"]];
    });
    const finished = await runEach([...lines, ["usage", "--csv"]], { env });
    for (const [index, { stdout, stderr }] of finished.entries()) {
      const line = lines[index]?.join(" ");
      expect([line, unprintable.test(stdout + stderr)]).toEqual([line, false]);
      expect(stderr).not.toMatch(/ {4}at |unexpected error/);
    }
    const [told] = await runEach([["leases"]], { env });
    expect(told!.stdout + told!.stderr).toContain("\\u001b[2J");
  });

  it("is what it was for programs that read JSON", async () => {
    server.fails = false;
    const { stdout } = await runShort(["leases", "--json"], { env });
    expect(JSON.parse(stdout).leases[0].tenant).toBe(hostileText);
  });
});

describe("a full disk", () => {
  const on = (redirection: string) => ({ wrapper: ["sh", "-c", `exec "$0" "$@" ${redirection}/dev/full`], env });

  it("under what is printed is told in a sentence", async () => {
    server.fails = false;
    const { code, stderr } = await runSluice(["quota"], on(">"));
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^sluice: The standard output cannot be written \[.*\]\.\n$/),
    ]);
  });

  it("under what is told ends nothing that goes on", async () => {
    server.fails = false;
    const { code, stdout } = await runSluice(["token", "create", "--tenant", "bob"], on("2>"));
    expect([code, stdout]).toEqual([0, expect.stringContaining("evil")]);
  });
});
