/**
 * Unmodified CUDA programs on the card, by its own driver and borrowed through `sluice run`: both must end alike. Those in C and CUDA C are the
 * tests', which check their own results, and are compiled here, where the machine has a compiler; those in Python are run where their packages are.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { cudaDriver } from "../../server/device/cuda/driver.ts";
import type { DeviceDescription } from "../../server/device/device.ts";
import { findBlasPrograms } from "./blas-programs.ts";
import { type CommandOutcome, runCommand } from "./commands.ts";
import { capabilityOf, type Row, type Sizes } from "./job.ts";
import { findPythonPrograms, timesOfPython } from "./python-programs.ts";
import { scratchFolder } from "./scratch-folder.ts";

const group = "programs";
const COMPILE_MS_MAX = 90_000;
const RUN_MS_MAX = 60_000;
const BUILD_MS_MAX = 120_000;
/** Of the end of each of a command's streams. */
const NOTE_CHARACTERS_MAX = 200;
const sources = "test/interposer/cuda";
const MiB = 1024 * 1024;
/** What a program borrows, and how much of the card it is reckoned to need besides. */
const SHARE_BYTES_MAX = 2048 * MiB;
const BESIDE_BYTES = 1536 * MiB;
/** A program, and how it is judged. */
export interface Program {
  readonly name: string;
  readonly command: readonly string[];
  /** Why it is not run without Sluice: its own checks count then. */
  readonly isBorrowedOnly?: string;
  /** Why what comes of it is told, and neither good nor bad. */
  readonly isFact?: string;
  /** Folders of NVIDIA's libraries that it would find without Sluice: what it does with them is told beside the verdict. */
  readonly theirs?: string;
  /** What it needs on a borrowed slice, as the README says: variables of its environment. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A program that is compiled here first. */
export interface Source {
  readonly program: Program;
  /** The command that compiles it. */
  readonly compiler: readonly string[];
}

/** Programs that are not run on the bare card. */
const borrowedOnly: Readonly<Record<string, string>> = {
  "array-memory.cu": "looks at the memory in use, which on a card is everybody's",
  "blas.cu": "needs cuBLAS, which not every toolkit has; its own checks are against the host",
  "managed.cu": "asks for more managed memory than there is, which a GPU of others is not to be asked for",
};

/** What a slice of a GPU has less of than the GPU, and says so: a program that asks for it ends otherwise, which is known. */
const refusals = [/kernels can allocate \[\d+\] bytes by themselves on this device/];

const words = (text: string): string => text.replace(/\s+/g, " ").trim().slice(-NOTE_CHARACTERS_MAX);
/** The end of either stream, where there is something in it. */
const ends = ({ stdout, stderr }: CommandOutcome): string =>
  Object.entries({ stdout: words(stdout), stderr: words(stderr) })
    .filter(([, text]) => text !== "")
    .map(([name, text]) => `${name}: ${text}`)
    .join("; ");
const said = (outcome: CommandOutcome): string => `${outcome.code} [${ends(outcome)}]`;

/** What the machine's loader does not find says nothing of Sluice. */
const libraryMissing = ({ code, stderr }: CommandOutcome): string | undefined =>
  code === "127" ? /(\S+): cannot open shared object file/.exec(stderr)?.[1] : undefined;

export interface Places {
  /** Folders of the toolkit's libraries, and those where libraries were looked for before, with colons between them. */
  readonly library: string;
  /** HOST:PORT. */
  readonly server: string;
  /** Where Sluice's own libraries for such programs are built, once. */
  readonly caches: string;
  /** What each borrows. */
  readonly shareBytes: number;
  /** What a program on the bare card must be told to find it: as the server counts them, it may not be the first. */
  readonly card: NodeJS.ProcessEnv;
}

/** nvcc where the machine has it, in its path or where toolkits are. */
function findNvcc(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/cuda/bin"];
  return folders.map((folder) => join(folder, "nvcc")).find((path) => existsSync(path));
}

/** `sluice run` of a command, with the libraries that are built at its first time. */
function borrow(
  { command, settings }: Pick<Program, "command" | "settings">,
  { server, caches, shareBytes }: Places,
  limitMs = RUN_MS_MAX,
): Promise<CommandOutcome> {
  const share = ["-m", `${shareBytes / MiB}MiB`, "--wait", "30s"];
  const args = [resolve("dist/client/cli/main.js"), "run", ...share, "--", ...command];
  const env = { SLUICE_SERVER: server, XDG_CACHE_HOME: caches, ...settings };
  return runCommand(process.execPath, args, { env, limitMs });
}

const runAlone = ([command, ...args]: readonly string[], { library, card }: Places): Promise<CommandOutcome> =>
  runCommand(command!, args, { env: { LD_LIBRARY_PATH: library, ...card }, limitMs: RUN_MS_MAX });

const FIGURE = /^figure (\S+) (\S+) (.+)$/;
interface Figure {
  readonly value: number;
  readonly unit: string;
  readonly name: string;
}

/** What a program tells of its times, and what else it prints. */
export function readFigures(stdout: string): { figures: Figure[]; rest: string } {
  const figures: Figure[] = [];
  const rest = stdout.split("\n").filter((line) => {
    const found = FIGURE.exec(line);
    if (found !== null) figures.push({ value: Number(found[1]), unit: found[2]!, name: found[3]! });
    return found === null;
  });
  return { figures, rest: rest.join("\n") };
}

/** A program's own outcome beside that on a borrowed slice. */
export function judge(
  { isBorrowedOnly, isFact }: Program,
  { alone, borrowed }: { alone: CommandOutcome | undefined; borrowed: CommandOutcome },
): Pick<Row, "ok" | "note" | "isSkipped"> {
  const neither = (note: string) => ({ isSkipped: true, note });
  if (isFact !== undefined) {
    const same = alone !== undefined && alone.code !== "0" ? `, and alone ${said(alone)}` : "";
    return neither(borrowed.code === "0" ? "runs" : `${said(borrowed)}${same}; ${isFact}`);
  }
  const library = alone && libraryMissing(alone);
  if (alone === undefined || library !== undefined) {
    if (borrowed.code === "0") return { ok: true };
    const why = isBorrowedOnly ?? `needs [${library}], which is not here`;
    return { ok: false, note: `borrowed ${said(borrowed)}; alone it is not run: it ${why}` };
  }
  const refusal = refusals.map((known) => known.exec(borrowed.stderr)?.[0]).find((text) => text !== undefined);
  if (refusal !== undefined) return neither(`a borrowed one is refused: ${refusal}`);
  if (borrowed.code === alone.code && readFigures(borrowed.stdout).rest === readFigures(alone.stdout).rest) {
    return alone.code === "0" ? { ok: true } : neither(`both end with ${said(alone)}`);
  }
  // It holds itself to more than this card keeps: no fault of Sluice's, and worth to be known.
  if (borrowed.code === "0" && alone.code === "1") return neither(`alone it fails: ${ends(alone)}`);
  return { ok: false, note: `borrowed ${said(borrowed)}, alone ${said(alone)}` };
}

/** A program with what became of it by the card's own driver, and of one against NVIDIA's libraries by those. */
interface Tried {
  readonly program: Program;
  readonly alone: CommandOutcome | undefined;
  readonly theirs: CommandOutcome | undefined;
}

async function tryAlone(program: Program, places: Places): Promise<Tried> {
  const { command, theirs: library, isBorrowedOnly } = program;
  const alone = isBorrowedOnly === undefined ? await runAlone(command, places) : undefined;
  const theirs = library === undefined ? undefined : await runAlone(command, { ...places, library });
  return { program, alone, theirs };
}

async function tryBorrowed({ program, alone, theirs }: Tried, places: Places): Promise<Row> {
  const borrowed = await borrow(program, places);
  const { note, ...verdict } = judge(program, { alone, borrowed });
  const theirWord =
    theirs && libraryMissing(theirs) === undefined ? `by NVIDIA's libraries ${said(theirs)}` : undefined;
  const told = [note, theirWord].filter((each) => each !== undefined).join("; ");
  const seconds = { value: borrowed.milliseconds / 1000, unit: "s" };
  return { group, name: program.name, isCase: true, ...seconds, ...verdict, ...(told === "" ? {} : { note: told }) };
}

/** What a program says of its times, on a borrowed slice beside those by the card's own driver. */
async function* tellTimes({ program, alone }: Tried, places: Places): AsyncGenerator<Row> {
  const borrowed = await borrow(program, places);
  yield { group, name: program.name, isCase: true, ...judge(program, { alone, borrowed }) };
  if (alone === undefined) return;
  const near = new Map(readFigures(alone.stdout).figures.map((figure) => [figure.name, figure]));
  for (const { name, value, unit } of readFigures(borrowed.stdout).figures) {
    const local = near.get(name)?.value;
    if (local === undefined) continue;
    // Rates are better when higher, times when lower.
    const ratio = unit.endsWith("/s") ? value / local : local / value;
    yield { group, name: `${program.name}: ${name}`, value, unit, local, ratio };
  }
  const seconds = [borrowed, alone].map(({ milliseconds }) => milliseconds / 1000) as [number, number];
  const [value, local] = seconds;
  yield { group, name: `${program.name}: from start to end`, value, unit: "s", local, ratio: local / value };
}

/** Sluice's libraries for such programs, before the first of them is timed: whether they are there, and in which folder. */
async function buildLibraries(places: Places): Promise<{ row: Row; libraries: string }> {
  const command = ["/bin/sh", "-c", 'echo "$LD_LIBRARY_PATH"'];
  const { code, stdout, stderr, milliseconds } = await borrow({ command }, places, BUILD_MS_MAX);
  const libraries = stdout.trim().split(":")[0]!;
  const note = words(stderr);
  const name = "the libraries for programs are there";
  // They are C, and a machine needs no compiler to be checked.
  if (code !== "0" && /there is no \[make]|\bcc: (command )?not found|cc: No such file/.test(stderr))
    return { row: { group, name, isSkipped: true, note }, libraries };
  const figures = { ok: code === "0", value: milliseconds / 1000, unit: "s" };
  return { row: { group, name, ...figures, ...(note === "" ? {} : { note }) }, libraries };
}

/** What comes of all works, as it comes, some at a time. */
async function* inPool<T>(works: readonly (() => Promise<T>)[], workers: number): AsyncGenerator<T> {
  const left = [...works];
  const running = new Map<number, Promise<[number, T]>>();
  for (let next = 0; left.length > 0 || running.size > 0; ) {
    while (running.size < workers && left.length > 0) {
      const key = next++;
      running.set(
        key,
        left.shift()!().then((found) => [key, found]),
      );
    }
    const [key, found] = await Promise.race(running.values());
    running.delete(key);
    yield found;
  }
}

const programOf = (file: string, folder: string): string => join(folder, basename(file, ".cu"));

/** Options of nvcc for a card: code of its own, else PTX of the oldest that all compilers know. */
export const targetsOf = (capability: number): readonly (readonly string[])[] => {
  const text = "arch=compute_75,code=compute_75";
  return [[`arch=compute_${capability},code=sm_${capability}`, text], [text]].map((codes) =>
    codes.flatMap((code) => ["-gencode", code]),
  );
};

interface Compiler {
  readonly nvcc: string;
  readonly flags: readonly string[];
}

const trial = '#include <cstdio>\n__global__ void f() {}\nint main() { f<<<1, 1>>>(); puts("ok"); }\n';

/** The compiler and what it is told for this card; or why it cannot compile for it. A compiler may be older than the card, or have no C++ compiler beside it. */
async function findCompiler(capability: number, folder: string): Promise<Compiler | { readonly missing: string }> {
  const nvcc = findNvcc();
  if (nvcc === undefined) return { missing: "there is no nvcc" };
  const file = join(folder, "trial.cu");
  writeFileSync(file, trial);
  let last = "";
  for (const targets of targetsOf(capability)) {
    const flags = ["-cudart", "shared", ...targets];
    const tried = await runCommand(nvcc, [...flags, "-o", programOf(file, folder), file], { limitMs: COMPILE_MS_MAX });
    if (tried.code === "0") return { nvcc, flags };
    last = said(tried);
  }
  return { missing: `nvcc cannot compile for this card here: ${last}` };
}

/** A program in CUDA C. */
function sourceOf(file: string, { nvcc, flags, folder }: Compiler & { folder: string }): Source {
  const program = programOf(file, folder);
  const reason = borrowedOnly[file];
  const left = reason === undefined ? {} : { isBorrowedOnly: reason };
  const compiler = [nvcc, ...flags, "-o", program, join(sources, file)];
  return { program: { name: file, command: [program], ...left }, compiler };
}

/** Compiles a program and runs it by the card's own driver; a row where it cannot be compiled. */
async function compileAndTry({ program, compiler: [command, ...args] }: Source, places: Places): Promise<Tried | Row> {
  const compiled = await runCommand(command!, args, { limitMs: COMPILE_MS_MAX });
  if (compiled.code === "0") return tryAlone(program, places);
  // The machine's compiler, and not the card, is to blame.
  return { group, name: program.name, isSkipped: true, note: `it cannot be compiled here: ${said(compiled)}` };
}

/** What a program may have of the host's memory with all that works for it: Python's libraries have much. */
const PROGRAM_BYTES = 3072 * MiB;

/** What each program may borrow, and how many at a time, where so much of a card and of the host's memory is free. */
export function sharesFor(
  roomBytes: number,
  { cores, hostBytes }: { readonly cores: number; readonly hostBytes: number },
): { shareBytes: number; workers: number } {
  const shareBytes = Math.max(64, Math.floor(Math.min(SHARE_BYTES_MAX, roomBytes / 4) / MiB)) * MiB;
  const places = Math.min(
    8,
    Math.max(2, cores - 2),
    roomBytes / (shareBytes + BESIDE_BYTES),
    hostBytes / PROGRAM_BYTES,
  );
  return { shareBytes, workers: Math.max(1, Math.floor(places)) };
}

/** The card alone, by the name that tells it from others: a program that is not borrowed takes the first that it sees. */
async function cardOnly({ details }: DeviceDescription): Promise<NodeJS.ProcessEnv> {
  const isAlone = (await cudaDriver.discover("")).length === 1;
  return isAlone || !details?.uuid ? {} : { CUDA_VISIBLE_DEVICES: details.uuid };
}

/** All that is to be run, and where. */
export interface Prepared {
  readonly places: Places;
  readonly workers: number;
  readonly remove: () => void;
  /** The longest stand first. */
  readonly works: readonly (() => Promise<Tried | Row>)[];
  /** One after the other, with the machine for itself. */
  readonly timed: readonly Program[];
}

/** Finds the programs, and has `sluice run` build its libraries; nothing where it cannot. Whoever has called it calls `remove`. */
export async function* prepare(
  server: string,
  { device, sizes, roomBytes }: { device: DeviceDescription; sizes: Sizes; roomBytes: number },
): AsyncGenerator<Row, Prepared | undefined> {
  const { shareBytes, workers } = sharesFor(roomBytes, {
    cores: availableParallelism(),
    hostBytes: process.availableMemory(),
  });
  const { folder, remove } = scratchFolder("programs");
  const toolkit = dirname(dirname(findNvcc() ?? "/usr/local/cuda/bin/nvcc"));
  // As toolkits have it, and as Python's packages do.
  const before = process.env["LD_LIBRARY_PATH"] ?? "";
  const library = [join(toolkit, "lib64"), join(toolkit, "lib"), before].filter(Boolean).join(":");
  const places = { library, server, caches: folder, shareBytes, card: await cardOnly(device) };
  const { row: built, libraries } = await buildLibraries(places);
  yield built;
  if (built.ok !== true) {
    remove();
    return undefined;
  }
  const files = existsSync(sources) ? readdirSync(sources).filter((name) => name.endsWith(".cu")) : [];
  const compiler = await findCompiler(capabilityOf(device), folder);
  const missingC = "missing" in compiler ? compiler.missing : files.length === 0 ? `there is no ${sources}` : undefined;
  if (missingC !== undefined) yield { group, name: "programs in CUDA C", isSkipped: true, note: missingC };
  const theirs = [library, process.env["SLUICE_CUDA_PATH"]].filter(Boolean).join(":");
  const blas = await findBlasPrograms({ libraries, theirs, folder });
  if (blas.missing !== undefined)
    yield { group, name: "programs in C against cuBLAS", isSkipped: true, note: blas.missing };
  const { programs, missing } = await findPythonPrograms();
  if (missing !== undefined) {
    const note = `their packages are not there: ${missing}`;
    yield { group, name: "programs in Python that are left out", isSkipped: true, note };
  }
  const compiled = "missing" in compiler ? [] : files.map((file) => sourceOf(file, { ...compiler, folder }));
  const works = [
    ...programs.map((program) => () => tryAlone(program, places)),
    ...[...blas.sources, ...compiled].map((source) => () => compileAndTry(source, places)),
  ];
  const times = { name: "times.cu", command: [programOf("times.cu", folder), String(sizes.program)] };
  const timed = [...(compiled.length === 0 ? [] : [times]), ...(await timesOfPython())];
  return { places, workers, remove, works, timed };
}

/** What became of all of them by the card's own driver. */
export interface Alone {
  readonly compared: readonly Tried[];
  readonly timed: readonly Tried[];
}

/** Runs every program by the card's own driver, without a server beside it. */
export async function* runAllAlone({ works, workers, timed, places }: Prepared): AsyncGenerator<Row, Alone> {
  const compared: Tried[] = [];
  for await (const found of inPool(works, workers)) {
    if ("group" in found) yield found;
    else compared.push(found);
  }
  const tried: Tried[] = [];
  // What could not be compiled has been told.
  const isThere = ({ command: [file = ""] }: Program): boolean => !file.startsWith("/") || existsSync(file);
  for (const program of timed.filter(isThere)) tried.push(await tryAlone(program, places));
  return { compared, timed: tried };
}

/** Runs every program on a borrowed slice, and tells how that compares. */
export async function* runAllBorrowed(
  { compared, timed }: Alone,
  { workers, ...prepared }: Prepared,
  server: string,
): AsyncGenerator<Row> {
  const places = { ...prepared.places, server };
  yield* inPool(
    compared.map((tried) => () => tryBorrowed(tried, places)),
    workers,
  );
  for (const tried of timed) yield* tellTimes(tried, places);
}
