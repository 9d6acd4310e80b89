/** Where this package's files are: in a checkout, in its build, and where it is installed. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package refers to itself by name.
const description = pathToFileURL(createRequire(import.meta.url).resolve("sluice/package.json"));

/** A file of the package by its path in it. */
export const packageFile = (path: string): URL => new URL(path, description);

/** What a process of the server's starts with, by its path without the ending: the TypeScript where this is run from its sources, else what it is built to. */
export const entryPoint = (path: string): URL =>
  packageFile(import.meta.url.endsWith(".ts") ? `${path}.ts` : `dist/${path}.js`);

export function packageVersion(): string {
  return (JSON.parse(readFileSync(description, "utf8")) as { version: string }).version;
}
