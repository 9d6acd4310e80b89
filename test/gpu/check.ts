/**
 * `npm run check:gpu`: holds a real NVIDIA GPU to the promises of the `cuda` device. Needs the built package with its runtime dependencies, and this
 * checkout for the kernels; no network and no compiler. Prints one table; `--json FILE` is written after each group, and when it is stopped. Exit 77: there is no GPU.
 * `--help` tells the rest.
 */
import { execFileSync, type StdioOptions } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { beginGroup, isTimeOver, leftMs, setDeadline } from "../support/time-left.ts";
import { type Card, firstGroup, type GroupPlan, groups, stopServers } from "./groups.ts";
import { takeInventory } from "./inventory.ts";
import { fullSizes, killChildren, quickSizes, type Row } from "./job.ts";
import { lineOf, renderFailures, renderTable, writeJson } from "./report.ts";

const EXIT_NO_GPU = 77;
/** Of what the machine's tools say where there is no GPU. */
const SAID_CHARACTERS_MAX = 1500;
/** One call of a machine that gives ten minutes. */
const LIMIT_S = 540;

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** Where this machine's Python keeps NVIDIA's libraries, as PyTorch brings them: a server searches usual places only. */
function findPythonLibraries(): void {
  const program = [
    "import sys, glob",
    "for path in sys.path:",
    "  for found in sorted(glob.glob(path + '/nvidia/*/lib') + glob.glob(path + '/torch/lib'), reverse=True): print(found)",
  ].join("\n");
  try {
    const stdio: StdioOptions = ["ignore", "pipe", "ignore"];
    const options = { encoding: "utf8" as const, timeout: 20_000, stdio };
    const folders = execFileSync("python3", ["-c", program], options).split("\n").filter(Boolean);
    process.env["SLUICE_CUDA_PATH"] ??= folders.join(":");
  } catch {
    // No Python, no libraries of its own.
  }
}

/** A place for what the driver compiles, which else may be none, or old: every case is a process of its own. Returns what removes it. */
function keepCompiled(): () => void {
  try {
    const folder = mkdtempSync(join(tmpdir(), "sluice-check-compiled-"));
    process.env["CUDA_CACHE_PATH"] = folder;
    return () => rmSync(folder, { recursive: true, force: true });
  } catch {
    return () => undefined;
  }
}

interface Outcome {
  readonly device: DeviceDescription;
  readonly rows: Row[];
  /** By group. */
  readonly seconds: Record<string, number>;
  isComplete: boolean;
  /** What the machine is, in the words of its own tools. */
  inventory: Record<string, string>;
}

/** What a group has when its time is over to end by itself. */
const LATE_MS = 10_000;

/** The next row; nothing where the group is held up by what no bound of its own ends. */
async function nextRow(rows: AsyncGenerator<Row>): Promise<IteratorResult<Row> | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(0, leftMs()) + LATE_MS);
  });
  const next = rows.next();
  // Of one that is given up nobody hears any more.
  next.catch(() => undefined);
  try {
    return await Promise.race([next, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function runGroup(
  name: string,
  { run, limitS: plannedS }: GroupPlan,
  { card, outcome }: { card: Card; outcome: Outcome },
): Promise<void> {
  const started = performance.now();
  say(`${name} …`);
  const limitS = card.groupLimitS > 0 ? Math.min(card.groupLimitS, plannedS) : plannedS;
  beginGroup(limitS * 1000);
  const rows = run(card);
  const tooLong = `[${limitS}] seconds of the group are over`;
  try {
    for (;;) {
      const next = await nextRow(rows);
      if (next?.done === true) break;
      if (next !== undefined) {
        outcome.rows.push(next.value);
        if (next.value.isCase !== true || next.value.ok === false) say(`  ${lineOf(next.value)}`);
      }
      if (next !== undefined && leftMs() > 0) continue;
      const note = isTimeOver() ? "the time is over" : next === undefined ? `${tooLong}, and it does not end` : tooLong;
      outcome.rows.push({ group: name, name: "the rest of the group", ok: false, note });
      break;
    }
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error);
    outcome.rows.push({ group: name, name: "the group comes to its end", ok: false, note: note.slice(0, 600) });
  }
  killChildren();
  // A group that was left in the middle has its server still.
  await stopServers();
  outcome.seconds[name] = (performance.now() - started) / 1000;
}

async function runGroups(
  only: readonly string[],
  card: Card,
  { outcome, save }: { outcome: Outcome; save: () => void },
): Promise<void> {
  for (const [name, group] of Object.entries({ start: firstGroup, ...groups })) {
    if (only.length > 0 && name !== "start" && !only.includes(name)) continue;
    if (isTimeOver())
      outcome.rows.push({ group: name, name: "the group", ok: false, note: "not run, for the time is over" });
    else await runGroup(name, group, { card, outcome });
    // Asked since the start, beside what is not measured.
    outcome.inventory = await card.inventory;
    save();
  }
  outcome.isComplete = !isTimeOver();
}

/** How the check is called, for people. */
function usage(): string {
  const names = Object.entries({ start: firstGroup, ...groups });
  const width = Math.max(...names.map(([name]) => name.length));
  return [
    "node dist/test/gpu/check.js [OPTION]...   holds an NVIDIA GPU to the promises of the cuda device, and measures it",
    "",
    "  --json FILE           write what is found there, anew after each group",
    "  --device N            the card, by its index in PCI order (default: 0)",
    "  --only GROUP,GROUP    these groups alone",
    `  --limit SECONDS       end after this time; 0: no end (default: ${LIMIT_S})`,
    "  --group-limit SECONDS no group has more than this",
    "  --promise TEXT        of the group `end to end` only the promises whose names contain this",
    "  --quick               see that everything runs; the figures mean nothing",
    "",
    "Groups, in their order, and the seconds that each has at most:",
    ...names.map(([name, { limitS, does }]) => `  ${name.padEnd(width)}  ${String(limitS).padStart(3)}  ${does}`),
    "",
    "Needs the driver (for CUDA 12.4 or later), Node and this folder; no network, no compiler. Makes one card do; what needs two says so.",
    "Exit codes: 0 all is well, 1 something failed or a bar is missed, 2 bad usage, 77 there is no GPU, and a sentence says why.",
    "",
  ].join("\n");
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      json: { type: "string" },
      device: { type: "string", default: "0" },
      only: { type: "string", default: "" },
      limit: { type: "string", default: String(LIMIT_S) },
      "group-limit": { type: "string", default: "0" },
      promise: { type: "string", default: "" },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const only = values.only.split(",").filter((name) => name !== "");
  const unknown = only.find((name) => !Object.hasOwn(groups, name));
  if (unknown !== undefined) throw new Error(`There is no group [${unknown}]; there are [${Object.keys(groups)}].`);
  const [limitS, groupLimitS] = [values.limit, values["group-limit"]].map((text) => {
    if (Number(text) >= 0) return Number(text);
    throw new Error(`The time [${text}] is no number of seconds.`);
  }) as [number, number];
  const json = values.json === undefined ? undefined : resolve(values.json);
  const { device, help, promise } = values;
  const depth = values.quick
    ? { sizes: quickSizes, returnLimitMs: 5_000 }
    : { sizes: fullSizes, returnLimitMs: 10_000 };
  return { only, json, limitS, groupLimitS, device, help, promise, ...depth };
}

async function main(): Promise<number> {
  const { only, json, limitS, device: wanted, help, ...given } = readArguments();
  if (help) {
    process.stdout.write(usage());
    return 0;
  }
  let device: DeviceDescription;
  try {
    device = (await cudaDriver.discover(wanted))[0]!;
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "DEVICE_FAILED") throw error;
    say(`Nothing is checked, for there is no GPU to check: ${error.message}`);
    const inventory = await takeInventory();
    const row: Row = { group: "check", name: "a GPU is found", ok: false, note: error.message };
    if (json !== undefined) writeJson(json, { rows: [row], seconds: {}, isComplete: false, inventory });
    for (const part of ["nvidia-smi", "/proc/driver/nvidia/version", "/dev"]) {
      say(`${part}: ${inventory[part]?.slice(0, SAID_CHARACTERS_MAX)}`);
    }
    return EXIT_NO_GPU;
  }
  const started = performance.now();
  if (limitS > 0) setDeadline(started + limitS * 1000);
  // Paths below are those of the checkout, wherever this was started.
  process.chdir(fileURLToPath(new URL("../../..", import.meta.url)));
  findPythonLibraries();
  process.once("exit", keepCompiled());
  const { name, details } = device;
  say(`${name}, ${details?.uuid}, driver ${details?.driverVersion}, CUDA ${details?.cudaVersion}`);
  const outcome: Outcome = { device, rows: [], seconds: {}, isComplete: false, inventory: {} };
  const save = (): void => {
    try {
      if (json !== undefined) writeJson(json, outcome);
    } catch (error) {
      // The table is still to come.
      say(`The JSON cannot be written: ${error instanceof Error ? error.message : error}`);
    }
  };
  const tell = (): void => {
    save();
    process.stdout.write(`${renderTable(outcome.rows)}\n${renderFailures(outcome.rows)}`);
    const count = (wantedOk: boolean): number => outcome.rows.filter(({ ok }) => ok === wantedOk).length;
    const seconds = Math.round((performance.now() - started) / 1000);
    process.stdout.write(`${count(true)} passed, ${count(false)} failed, ${seconds} s\n`);
  };
  let isStopped = false;
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (isStopped) return;
      isStopped = true;
      outcome.rows.push({ group: "check", name: "comes to its end", ok: false, note: `stopped by ${signal}` });
      tell();
      killChildren();
      void stopServers().finally(() => process.exit(1));
    });
  }
  await runGroups(only, { ...given, device, inventory: takeInventory() }, { outcome, save });
  tell();
  return outcome.rows.some(({ ok }) => ok === false) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
// What a check that did not end in time has left open must not hold this up.
await stopServers();
process.exit();
