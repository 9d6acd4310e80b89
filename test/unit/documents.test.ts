/** What the documents point to: links lead to files and headings that are there, also in the package, and files that are named exist. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { encoding: "utf8" })
  .trim()
  .split("\n");
const documents = files.filter((name) => name.endsWith(".md"));
const read = (name: string): string => readFileSync(name, "utf8");
const packaged = (JSON.parse(read("package.json")) as { files: string[] }).files;

const isThere = (path: string): boolean => files.some((file) => file === path || file.startsWith(`${path}/`));
const isPackaged = (path: string): boolean =>
  /^(README\.md|LICENSE|package\.json)$/.test(path) ||
  packaged.some((each) => each === path || path.startsWith(`${each}/`));

/** Names of a document's headings, as links give them. */
const anchorsOf = (name: string): string[] =>
  [...read(name).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );

/** Links within the project: from a document to a file, "" for none, and a heading of it. */
const links = documents.flatMap((from) =>
  [...read(from).matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([link, path = "", anchor]) => ({
    from,
    link,
    to: path === "" ? from : normalize(join(dirname(from), path)),
    anchor,
  })),
);

describe("the documents", () => {
  it("link to what is there", () => {
    expect(links.length).toBeGreaterThan(15);
    expect(links.filter(({ to }) => !isThere(to))).toEqual([]);
    expect(links.filter(({ to, anchor }) => anchor !== undefined && !anchorsOf(to).includes(anchor))).toEqual([]);
  });

  it("of the package link to what is in the package", () => {
    expect(links.filter(({ from, to }) => isPackaged(from) && !isPackaged(to))).toEqual([]);
  });

  it("name every result that is kept of a benchmark", () => {
    const kept = files.filter((file) => file.startsWith("bench/results/"));
    const told = ["README", "RESULTS", "TRIED"].map((name) => read(`bench/${name}.md`)).join("");
    expect(kept.filter((file) => !told.includes(file.split("/").at(-1)!))).toEqual([]);
  });

  it("have a row for every variable of the environment that is read", () => {
    const rows = ["README.md", "client/interposer/README.md"].flatMap((name) => read(name).match(/^\| `[^|]*/gm) ?? []);
    const told = new Set(rows.flatMap((row) => row.match(/SLUICE_\w+/g) ?? []));
    const isRead = /(?:VARIABLE = |env\[|getenv\(|duration_of\()"(SLUICE_\w+)"/g;
    const sources = files.filter((name) => /^(client|server|shared)\/.*\.(ts|c|h)$/.test(name));
    const found = new Set(sources.flatMap((name) => [...read(name).matchAll(isRead)].map(([, variable]) => variable!)));
    expect(found.size).toBeGreaterThan(20);
    expect([...found].filter((variable) => !told.has(variable))).toEqual([]);
  });

  it.each(documents)("name files that exist: %s", (document) => {
    // In the text: a transcript may show files of a user's own.
    const text = read(document).replace(/^```[\s\S]*?^```/gm, "");
    const named = [...text.matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.(?:ts|tsx|c|h|json|md|def|proto|ptx))`/g)].map(
      ([, path = ""]) => path,
    );
    const isTracked = (path: string): boolean => files.some((file) => file === path || file.endsWith(`/${path}`));
    expect(named.filter((path) => !isTracked(path))).toEqual([]);
  });
});
