/** Builds the package before any test, since the end-to-end tests run what users run: dist. */
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const SOURCES = ["server/dashboard", "shared", "proto/generated"];
const BUILT = "dist/server/dashboard/index.html";

const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Whether the built page is older than anything that it is made of. */
function isStale(): boolean {
  const built = changedAt(BUILT);
  return SOURCES.some((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).some((name) => changedAt(join(folder, name)) > built),
  );
}

export default function build(): void {
  const run = (...command: readonly string[]): void => {
    execFileSync(process.execPath, [...command], { stdio: "inherit" });
  };
  run("node_modules/typescript/bin/tsc", "-b", "client", "server", "test/gpu");
  if (!isStale()) return;
  run("node_modules/vite/bin/vite.js", "build", "--config", "server/dashboard/vite.config.ts", "--logLevel", "warn");
}
