/**
 * Gives a whole run of tests a folder of its own for temporary files, and holds it at the end to have left nothing there, and no process:
 * what is left is named, removed, and the run has failed (with SLUICE_TEST_LEFTOVERS=tell it is only named). A run that was killed itself
 * is cleared up by the next.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, killIfThere } from "./processes.ts";
import { waitFor } from "./wait-for.ts";

const PREFIX = "sluice-run-";

/** What is meant to stay for the next program: of a run's own, and gone with it. */
const caches = [
  /^tsx-\d+$/,
  /^node-compile-cache$/,
  // Programs that the benchmarks' own tests have compiled.
  /^sluice-bench-\d+$/,
  // What a killed command leaves to the next, which clears it away.
  /^sluice-(?:sessions|relay)-[0-9a-f]{6}-\d+-/,
];

/** Longer than a server takes to end its executors, which nobody waits for when it was killed. */
const ENDING_MS_MAX = 15_000;

/** Called for every project of the configuration; the first call counts. */
export default function begin(): (() => Promise<void>) | undefined {
  const above = tmpdir();
  if (above.includes(PREFIX)) return undefined;
  clearUp(above);
  const folder = mkdtempSync(join(above, `${PREFIX}${process.pid}-`));
  process.env["TMPDIR"] = folder;
  // Certificates for the world outside, which no test speaks to: Node.js reads them at each of some two thousand starts, for 40 ms.
  delete process.env["NODE_EXTRA_CA_CERTS"];
  return () => end(folder);
}

/** Folders of this user's runs whose process is gone. */
function clearUp(above: string): void {
  for (const name of readdirSync(above)) {
    const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
    const path = join(above, name);
    if (pid > 0 && !isAlive(pid) && statSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true });
  }
}

async function end(folder: string): Promise<void> {
  const left = (): string[] => [
    ...readdirSync(folder)
      .filter((name) => !caches.some((cache) => cache.test(name)))
      .map((name) => `the folder or file [${name}]`),
    ...processesOf(folder).map(({ pid, command }) => `the process [${pid}] [${command}]`),
  ];
  await waitFor("the run's end", () => left().length === 0, ENDING_MS_MAX).catch(() => {});
  const remains = left();
  for (const { pid } of processesOf(folder)) killIfThere(pid);
  rmSync(folder, { recursive: true, force: true });
  if (remains.length === 0) return;
  const words = `The tests leave behind\n  ${remains.join("\n  ")}`;
  if (process.env["SLUICE_TEST_LEFTOVERS"] === "tell") {
    console.error(words);
    return;
  }
  process.exitCode = 1;
  throw new Error(words);
}

/** Processes that were started by the run, by the environment that they were given; not the run's own, which begin and end with it. */
function processesOf(folder: string): { readonly pid: number; readonly command: string }[] {
  const mark = `TMPDIR=${folder}`;
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!(pid > 0) || pid === process.pid || !isAlive(pid)) return [];
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(mark)) return [];
      const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return parent === process.pid ? [] : [{ pid, command: command.slice(0, 200) }];
    } catch {
      return []; // It is gone, or another user's.
    }
  });
}
