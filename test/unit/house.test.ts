/** The rules of the house as tests: arrows between rooms, sizes of files, freshness of generated files, nothing local committed. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { calls } from "../../proto/calls.ts";
import { frameKinds } from "../../proto/messages.ts";
import { codeOfWire, errorTable, grpcStatus } from "../../shared/errors.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const skipped = new Set(["node_modules", "dist", ".git", "coverage", ".local"]);

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(path) : [relative(root, path).split(sep).join("/")];
  });
}

const files = walk(root);
const isSource = (name: string): boolean => /\.(ts|tsx|c|h|cu)$/.test(name) && !name.includes("/generated/");
const sources = files.filter(isSource);
const read = (name: string): string => readFileSync(join(root, name), "utf8");

/** Rooms that a room may import, itself included. */
const arrows: Record<string, readonly string[]> = {
  proto: ["proto", "shared"],
  shared: ["shared"],
  client: ["client", "shared", "proto"],
  server: ["server", "shared", "proto"],
};

/** The finer arrows inside the server; a room that is not named may import any. */
const serverArrows: Record<string, readonly string[]> = {
  pool: ["pool"],
  device: ["device"],
  dashboard: ["dashboard"],
};

function importsOf(name: string): string[] {
  const found = read(name).matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"]+)"/g);
  return [...found].map((match) => match[1]!).filter((target) => target.startsWith("."));
}

describe("rooms", () => {
  it("import only along the arrows", () => {
    const broken: string[] = [];
    // The generators hold imports of the files that they write as text.
    for (const name of sources.filter((file) => /\.tsx?$/.test(file) && !file.startsWith("proto/generate-"))) {
      const [room, inner] = name.split("/") as [string, string];
      for (const target of importsOf(name)) {
        const [targetRoom, targetInner] = join(dirname(name), target).split(sep) as [string, string];
        if (arrows[room] && !arrows[room].includes(targetRoom)) broken.push(`${name} -> ${target}`);
        const finer = room === "server" && targetRoom === "server" ? serverArrows[inner] : undefined;
        if (finer && !finer.includes(targetInner)) broken.push(`${name} -> ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  it("of the client that have one door are entered by it", () => {
    const outside = sources.filter((name) => name.startsWith("client/") && !name.startsWith("client/fleet/"));
    expect(outside.filter((name) => importsOf(name).some((target) => /fleet\/(?!index\.ts$)/.test(target)))).toEqual(
      [],
    );
  });

  it("call native functions through the one module that gives them their stacks", () => {
    const direct = sources.filter((name) => /^(server|test|bench)\//.test(name) && name !== "server/device/native.ts");
    expect(direct.filter((name) => /^import koffi[ ,].*from "koffi"/m.test(read(name)))).toEqual([]);
  });

  it("join signals by the one function that garbage collection does not undo", () => {
    const own = ["test/unit/house.test.ts", "client/abort.ts"];
    const code = sources.filter((name) => name.endsWith(".ts") && !own.includes(name));
    expect(code.filter((name) => read(name).includes("AbortSignal.any"))).toEqual([]);
  });

  it("are the ones of the design, beside files that tools and readers expect", () => {
    const entries = readdirSync(root, { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && !entry.name.startsWith("."),
    );
    const folders = entries.map((entry) => entry.name).filter((name) => !skipped.has(name));
    expect(folders.sort()).toEqual(["bench", "client", "proto", "server", "shared", "test"]);
  });
});

describe("files", () => {
  it("have at most 600 lines", () => {
    expect(sources.filter((name) => read(name).split("\n").length > 601)).toEqual([]);
  });

  it("open with what they are", () => {
    const shy = sources.filter((name) => !/^(#!.*\n)?\s*(\/\*|\/\/)/.test(read(name)));
    expect(shy).toEqual([]);
  });

  it("name nothing of the machine they were written on", () => {
    const local = /(^|[\s"'`(=:])\/(work|root|home)\/[a-z]/m;
    const texts = files.filter((name) => !/\.(png|tgz|gz|ico)$/.test(name) && name !== "test/unit/house.test.ts");
    expect(texts.filter((name) => local.test(read(name)))).toEqual([]);
  });

  it("hold no download addresses in the lockfile", () => {
    expect(read("package-lock.json")).not.toContain('"resolved"');
  });
});

describe("generated files", () => {
  it("are fresh", () => {
    const run = spawnSync(process.execPath, ["--import", "tsx", "proto/generate.ts", "--check"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(run.stderr.replaceAll(/^npm warn.*\n/gm, "")).toBe("");
    expect(run.status).toBe(0);
  });
});

describe("the tables", () => {
  it("give every call an opcode of its own and errors that exist", () => {
    const entries = Object.entries(calls);
    const opcodes: number[] = entries.map(([, spec]) => spec.opcode);
    expect(new Set(opcodes).size).toBe(entries.length);
    expect(Math.min(...opcodes)).toBeGreaterThan(0);
    expect(new Set(Object.values(frameKinds)).size).toBe(Object.keys(frameKinds).length);
    for (const [name, spec] of entries) {
      expect(name).toMatch(/^[a-z][A-Za-z]+$/);
      for (const code of spec.errors) expect(Object.keys(errorTable)).toContain(code);
    }
  });

  it("give every error a number of its own, a meaning, a remedy and a gRPC status", () => {
    const entries = Object.entries(errorTable);
    expect(new Set(entries.map(([, entry]) => entry.wire)).size).toBe(entries.length);
    for (const [code, entry] of entries) {
      expect(entry.wire).toBeGreaterThan(0);
      expect(codeOfWire(entry.wire)).toBe(code);
      expect(entry.meaning).toMatch(/^[A-Z].*\.$/);
      expect(entry.remedy).toMatch(/^[A-Z].*\.$/);
      expect(grpcStatus[entry.grpc]).toBeTypeOf("number");
    }
    expect(codeOfWire(0xffff_ffff)).toBe("INTERNAL");
  });

  it("hold no error that nothing raises", () => {
    const code = sources
      .filter((name) => /^(client|server|shared|proto)\//.test(name) && name !== "shared/errors.ts")
      .map(read);
    const unused = Object.keys(errorTable).filter((name) => !code.some((text) => text.includes(`"${name}"`)));
    expect(unused).toEqual([]);
  });

  it("describe every field, value and call of the gRPC contract", () => {
    const lines = read("proto/sluice/v1/pool.proto").split("\n");
    const isMember = (line: string): boolean => /^\s+(rpc .*|.* = \d+);$/.test(line);
    expect(lines.filter((line, index) => isMember(line) && !/^\s*\/\//.test(lines[index - 1]!))).toEqual([]);
  });
});

describe("THREATS.md", () => {
  const rows = read("THREATS.md").split("\n");
  const held = rows.flatMap((line) => {
    const [, , by = ""] = line.split("|");
    return [...by.matchAll(/`(test\/[^`]+)`((?:,? ?"[^"]+")+)/g)].flatMap(([, file = "", titles = ""]) =>
      [...titles.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => ({ file, title })),
    );
  });

  it("names tests that exist", () => {
    const missing = held.filter(({ file, title }) => !files.includes(file) || !read(file).includes(title));
    expect(missing).toEqual([]);
  });

  it("names one for every promise", () => {
    const promises = rows.slice(rows.indexOf("## Promises") + 4).filter((line) => line.startsWith("|"));
    expect(promises.length).toBeGreaterThan(15);
    expect(promises.filter((line) => !/\| `test\/.*" \|$/.test(line))).toEqual([]);
  });
});
