/**
 * `npm run check:gpu`: holds a real NVIDIA GPU to the promises of the `cuda` device. Needs the built package with its runtime dependencies, and this
 * checkout for the kernels; no network and no compiler. Prints a table and sums; `--json FILE` is written after each group, and when it is stopped.
 * `--help` tells the rest.
 */
import { execFileSync, type StdioOptions } from "node:child_process";
import { packageFolder } from "../../client/package-folder.ts";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { SluiceError } from "../../shared/errors.ts";
import { beginGroup, checkLeftMs, isTimeOver, leftMs, setDeadline } from "../support/time-left.ts";
import { leakRow, leftOver, lookForOthers, sharedBytes, usedBytes } from "./card-memory.ts";
import { forgetUsers } from "./environment.ts";
import { type Card, killServers, START_LIMIT_MS, say, stopServers } from "./group-tools.ts";
import { firstGroup, type GroupPlan, groups, limitFor } from "./groups.ts";
import { takeInventory } from "./inventory.ts";
import { capabilityOf, capabilityText, killChildren, type Row, runJob } from "./job.ts";
import { type Options, readOptions, usage } from "./options.ts";
import { namesHere, withoutNamesIn } from "./privacy.ts";
import { lineOf, type Report, renderFailures, renderSums, renderTable, sumsOf, writeJson } from "./report.ts";
import { scratchFolder } from "./scratch-folder.ts";

const EXIT_NOTHING = 77;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** Of what the machine's tools say where nothing can be checked. */
const SAID_CHARACTERS_MAX = 1500;
/** Of a row while it runs. */
const SAID_LINE_CHARACTERS_MAX = 200;
/** The check's kernels are for this and later, as NVIDIA's compilers are since CUDA 13. */
const CAPABILITY_MIN = 75;
const MiB = 1024 * 1024;

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

type Outcome = { -readonly [K in keyof Report]: Report[K] } & {
  readonly rows: Row[];
  readonly seconds: Record<string, number>;
};

/** What a group has when its time is over to end by itself. */
const LATE_MS = 5_000;
/** Before the check's own limit nothing new begins any more: so much is for what must end then. */
const END_MS = 8_000;
/** Between two writes of the JSON while a group runs. */
const SAVE_MS = 2_000;

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

interface Whole {
  readonly card: Card;
  readonly outcome: Outcome;
  readonly save: () => void;
}

async function runGroup(
  name: string,
  { run, limitS }: Pick<GroupPlan, "run" | "limitS">,
  { card, outcome, save }: Whole,
): Promise<void> {
  const started = performance.now();
  let saved = started;
  say(`${name} …`);
  beginGroup(limitS * 1000);
  const rows = run(card);
  const tooLong = `[${Math.round(limitS)}] seconds of the group are over (--group-limit gives a slow machine more)`;
  try {
    for (;;) {
      const next = await nextRow(rows);
      if (next?.done === true) break;
      if (next !== undefined) {
        outcome.rows.push(next.value);
        if (next.value.isCase !== true || next.value.ok === false)
          say(`  ${lineOf(next.value).slice(0, SAID_LINE_CHARACTERS_MAX)}`);
      }
      // Whoever lends the machine may take it back without a word.
      if (performance.now() - saved > SAVE_MS) {
        save();
        saved = performance.now();
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
  save();
  // A group that was left in the middle has its server still.
  await stopServers();
  outcome.seconds[name] = (performance.now() - started) / 1000;
}

/** Behind all groups: by then what a group left for the driver to give back late has come back, or stays. `kept` bytes were left of `start`. */
async function tellLeft({ card, outcome }: Whole, kept: number): Promise<void> {
  const before = card.usedBefore === undefined ? undefined : card.usedBefore + kept;
  const name = "bytes left on the card at the end";
  beginGroup(card.returnLimitMs);
  const row = isTimeOver()
    ? { group: "check", name, isSkipped: true, note: "the time is over" }
    : leakRow("check", card.device, await leftOver(card, before), name);
  say(lineOf(row));
  outcome.rows.push(row);
}

async function runGroups(only: readonly string[], whole: Whole): Promise<void> {
  const { card, outcome, save } = whole;
  const isAsked = ([name]: readonly [string, GroupPlan]): boolean =>
    only.length === 0 || name === "start" || only.includes(name);
  const plans = Object.entries({ start: firstGroup, ...groups }).filter(isAsked);
  let isComplete = true;
  let kept = 0;
  for (const [at, [name, group]] of plans.entries()) {
    const needed = outcome.rows.find(({ isNeeded, ok }) => isNeeded === true && ok !== true);
    const why = isTimeOver() ? "the time is over" : needed && `without this nothing else can be: ${needed.name}`;
    const behind = plans.slice(at + 1).map(([, plan]) => plan);
    const limitS = card.groupLimitS > 0 ? card.groupLimitS : limitFor(group, { behind, leftS: checkLeftMs() / 1000 });
    if (why === undefined) await runGroup(name, { ...group, limitS }, whole);
    else {
      outcome.rows.push({ group: name, name: "the group", isSkipped: true, note: `not run, for ${why}` });
      isComplete = false;
    }
    // What the driver keeps from its first work on, as the group tells.
    if (at === 0) kept = (await leftOver(card, card.usedBefore)) ?? 0;
    // Asked since the start, beside what is not measured.
    outcome.inventory = await card.inventory;
    save();
  }
  await tellLeft(whole, kept);
  outcome.isComplete = isComplete && !isTimeOver();
  save();
}

/** Why a card is none that can be checked, in a sentence, or what fails there already; else what of it is free beside a context, in bytes. */
async function findRoom(
  device: DeviceDescription,
  { sizes }: Options,
): Promise<{ why: string } | { failure: string } | Pick<Card, "roomBytes" | "usedBefore">> {
  const capability = capabilityOf(device);
  if (capability < CAPABILITY_MIN) {
    const [least, own] = [CAPABILITY_MIN, capability].map(capabilityText);
    return {
      why: `The check's kernels need compute capability ${least} or later, and the card [${device.name}] has ${own}.`,
    };
  }
  const used = await lookForOthers(device);
  const usedBefore = await usedBytes(device);
  const { replies, failure } = await runJob({ kind: "room", device: device.id }, START_LIMIT_MS);
  const room = replies.find((reply) => reply.kind === "number")?.value ?? 0;
  if (failure !== undefined && !failure.startsWith("OUT_OF_MEMORY")) return { failure };
  if (room >= sizes.roomBytes) return { roomBytes: room, usedBefore };
  const inUse = used === undefined ? "" : `, and [${Math.round(used / MiB)} MiB] in use before it`;
  const free = `[${Math.round(room / MiB)} MiB] are free beside a context${inUse}`;
  return { why: `The check needs [${sizes.roomBytes / MiB} MiB] of the card, where ${free}; end what uses it.` };
}

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

/** The card that is asked for; undefined, with the reason, where there is none that can be used. */
async function findCard(index: string): Promise<{ device: DeviceDescription } | { why: string }> {
  try {
    return { device: (await cudaDriver.discover(index))[0]! };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "DEVICE_FAILED") throw error;
    return { why: error.message };
  }
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
  await runGroups(only, { card, outcome, save });
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
