/**
 * `npm run check:gpu`: holds a real NVIDIA GPU to the promises of the `cuda` device. Needs the built package with its runtime dependencies, and this
 * checkout for the kernels; no network and no compiler. Prints a table and sums; `--json FILE` is written after each group, and when it is stopped.
 * `--help` tells the rest.
 */
import { execFileSync, type StdioOptions } from "node:child_process";
import { packageFolder } from "../../client/package-folder.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { setDeadline } from "../support/time-left.ts";
import { sharedBytes } from "./card-memory.ts";
import { forgetUsers } from "./environment.ts";
import { findCard, findRoom } from "./find-card.ts";
import { type Card, killServers, say, stopServers } from "./group-tools.ts";
import { takeInventory } from "./inventory.ts";
import { capabilityOf, capabilityText, killChildren, type Row } from "./job.ts";
import { type Options, readOptions, usage } from "./options.ts";
import { namesHere, withoutNamesIn } from "./privacy.ts";
import { lineOf, renderFailures, renderSums, renderTable, sumsOf, writeJson } from "./report.ts";
import { type Outcome, plansFor, runGroups } from "./run-groups.ts";
import { scratchFolder } from "./scratch-folder.ts";

const EXIT_NOTHING = 77;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** Of what the machine's tools say where nothing can be checked. */
const SAID_CHARACTERS_MAX = 1500;

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

/** A place for what the driver compiles, which else may be none, or old: every case is a process of its own. */
function keepCompiled(): void {
  try {
    process.env["CUDA_CACHE_PATH"] = scratchFolder("compiled").folder;
  } catch {
    // Then it compiles each time.
  }
}

/** Before the check's own limit nothing new begins any more: so much is for what must end then. */
const END_MS = 8_000;

/** Of the machine's own tools, what helps to find out why nothing can be checked. */
const toolsTold = ["nvidia-smi", "/proc/driver/nvidia/version", "/dev"];

/** Tells why nothing is checked, or what failed before anything could be, and what the machine's own tools say. */
async function tellNothing(row: Row, { json }: Options, device?: DeviceDescription): Promise<number> {
  say(row.ok === false ? lineOf(row) : `Nothing is checked: ${row.note}`);
  const inventory = await takeInventory();
  const found = device === undefined ? {} : { device };
  if (json !== undefined) writeJson(json, { ...found, rows: [row], seconds: {}, isComplete: false, inventory });
  const told = withoutNamesIn(inventory, namesHere());
  for (const part of toolsTold) say(`${part}: ${told[part]?.slice(0, SAID_CHARACTERS_MAX)}`);
  return row.ok === false ? EXIT_FAILED : EXIT_NOTHING;
}

const nothing = (note: string): Row => ({ group: "check", name: "there is a card to check", isSkipped: true, note });

const sizeOf = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;

function introduce(device: DeviceDescription, { roomBytes: room }: Pick<Card, "roomBytes">): void {
  const { name, details, memoryBytes } = device;
  const driver = details?.driverVersion || "of a version that it does not tell";
  const cut = details?.mig === "enabled" ? ", an instance (MIG)" : "";
  say(`${name}${cut}, compute capability ${capabilityText(capabilityOf(device))}, ${sizeOf(memoryBytes)}`);
  say(`${sizeOf(room)} of that are free; driver ${driver}, CUDA ${details?.cudaVersion}`);
  const others = sharedBytes(device);
  if (others !== undefined)
    say(`Others have ${sizeOf(others)} of it: what is measured is theirs too, and bars may be missed for that.`);
}

/** Everything that is told at the end. */
function tellAll(
  { rows, seconds, isComplete }: Outcome,
  { json, totalS }: { json: string | undefined; totalS: number },
) {
  const columns = process.stdout.columns as number | undefined;
  const told = withoutNamesIn(rows, namesHere());
  const { passed, failed, skipped } = sumsOf(told);
  const lines = [renderTable(told, columns), renderSums(told, seconds, totalS), renderFailures(told, columns)];
  process.stdout.write(lines.filter((part) => part !== "").join("\n"));
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped, ${Math.round(totalS)} s\n`);
  if (!isComplete) {
    const late = rows.filter(({ note }) => note === "not run, for the time is over").map(({ group }) => group);
    const again = late.length === 0 ? "" : `: --limit 0 gives it all the time it needs, or --only "${late}" runs these`;
    process.stdout.write(`It is not complete${again}.\n`);
  }
  if (json !== undefined) process.stdout.write(`To send it in: ${json} (bench/README.md, "Sending in a check")\n`);
}

/** Keeps what was found when it is told to end, or at the end of all its time; told again, it waits for nothing. */
function endEarly({ endMs, finish }: { endMs: number; finish: (why: string) => void }): void {
  let isStopped = false;
  const stop = (why: string): void => {
    if (isStopped) {
      killServers();
      return;
    }
    isStopped = true;
    finish(why);
    killChildren();
    void stopServers().finally(() => process.exit(EXIT_FAILED));
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop(`stopped by ${signal}`));
  if (endMs === Number.POSITIVE_INFINITY) return;
  const timer = setTimeout(() => {
    stop("the time is over, and what runs does not end");
    killServers();
  }, endMs);
  timer.unref();
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  const { only, json, limitS } = options;
  if (options.help) {
    process.stdout.write(usage());
    return 0;
  }
  forgetUsers(process.env);
  const started = performance.now();
  const found = await findCard(options.device);
  if ("why" in found) return tellNothing(nothing(found.why), options);
  const { device } = found;
  const outcome: Outcome = { device, rows: [], seconds: {}, isComplete: false, inventory: {} };
  // A place that cannot be written is told now, not when everything is measured.
  if (json !== undefined) writeJson(json, outcome);
  // Paths below are those of the checkout, wherever this was started.
  process.chdir(packageFolder);
  findPythonLibraries();
  keepCompiled();
  const free = await findRoom(device, options);
  if ("why" in free) return tellNothing(nothing(free.why), options, device);
  if ("failure" in free) {
    const row = { group: "check", name: "a context can be opened", ok: false, note: free.failure };
    return tellNothing(row, options, device);
  }
  introduce(device, free);
  // Whatever time is left: a driver that was asleep takes its own to be found.
  const limitMs = limitS > 0 ? limitS * 1000 : Number.POSITIVE_INFINITY;
  setDeadline(started + limitMs - END_MS);
  let isTold = false;
  const save = (): void => {
    try {
      if (json !== undefined && !isTold) writeJson(json, outcome);
    } catch (error) {
      // The table is still to come.
      say(`The JSON cannot be written: ${error instanceof Error ? error.message : error}`);
    }
  };
  const tell = (): void => {
    save();
    // What ends meanwhile is told no more.
    if (!isTold) tellAll(outcome, { json, totalS: (performance.now() - started) / 1000 });
    isTold = true;
  };
  const finish = (note: string): void => {
    outcome.rows.push({ group: "check", name: "comes to its end", ok: false, note });
    tell();
  };
  endEarly({ endMs: Math.max(END_MS, started + limitMs - performance.now()), finish });
  // What others have of it is not the check's, nor what the processor needs of memory that they share.
  const sliceBytesMax = Math.min(device.sliceBytesMax, Math.floor(free.roomBytes * 0.9));
  const own = { ...device, sliceBytesMax: sliceBytesMax - (sliceBytesMax % device.granularityBytes) };
  const card = { ...options, ...free, device: own, inventory: takeInventory() };
  await runGroups(plansFor(only), { card, outcome, save });
  tell();
  return outcome.isComplete && outcome.rows.every(({ ok }) => ok !== false) ? 0 : EXIT_FAILED;
}

// Whoever reads may have had enough.
process.stdout.on("error", () => undefined);
try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = EXIT_USAGE;
}
// What a check that did not end in time has left open must not hold this up.
await stopServers();
process.exit();
