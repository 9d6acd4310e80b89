/** Builds the package before any test, since the end-to-end tests run what users run: dist. */
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

interface Bundle {
  /** A file that the build makes anew. */
  readonly built: string;
  /** Folders of what it is made of. */
  readonly sources: readonly string[];
  readonly config: string;
}

const shared = ["shared", "proto/generated"];
const bundles: readonly Bundle[] = [
  {
    built: "dist/server/main.js",
    sources: ["client", "server", "test/gpu", "test/kernels", ...shared],
    config: "vite.config.ts",
  },
  {
    built: "dist/server/dashboard/index.html",
    sources: ["server/dashboard", ...shared],
    config: "server/dashboard/vite.config.ts",
  },
];

const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Whether what is built is older than anything that it is made of. */
function isStale({ built, sources, config }: Bundle): boolean {
  const files = sources.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  const since = changedAt(built);
  return [config, ...files].some((file) => changedAt(file) > since);
}

const run = (...command: readonly string[]): void => {
  // Stdout may be what somebody reads.
  execFileSync(process.execPath, [...command], { stdio: ["ignore", 2, 2] });
};

export default function build(): void {
  run("node_modules/typescript/bin/tsc", "-b", "client", "server", "test/gpu");
  for (const each of bundles) {
    if (isStale(each)) run("node_modules/vite/bin/vite.js", "build", "--config", each.config, "--logLevel", "warn");
  }
}
