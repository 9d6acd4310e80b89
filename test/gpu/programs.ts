/**
 * Unmodified CUDA programs on the card, by its own driver and borrowed through `sluice run`: both must end alike. The programs are those of the tests,
 * which check their own results; they are compiled here, where the machine has nvcc.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { type Row, withinTime } from "./job.ts";

const group = "programs";
const COMPILE_MS_MAX = 60_000;
const RUN_MS_MAX = 40_000;
const BUILD_MS_MAX = 120_000;
const sources = "test/interposer/cuda";
/** Compilers at a time. */
const WORKERS = 8;

interface Outcome {
  /** Exit code, or why there is none. */
  readonly code: string;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; limitMs: number },
): Promise<Outcome> {
  return new Promise((done) => {
    const env = { ...process.env, ...options.env };
    const timeout = withinTime(options.limitMs);
    execFile(command, args, { env, timeout, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      done({ code: error === null ? "0" : String(error.code ?? error.signal ?? error.message), stdout, stderr });
    });
  });
}

/** nvcc where the machine has it, in its path or where toolkits are. */
function findCompiler(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/cuda/bin"];
  return folders.map((folder) => join(folder, "nvcc")).find((path) => existsSync(path));
}

const words = (text: string): string => text.replace(/\s+/g, " ").trim().slice(-300);

/** `sluice run` of a command, with the libraries that are built at its first time. */
function borrow(command: readonly string[], { server, caches }: Places, limitMs = RUN_MS_MAX): Promise<Outcome> {
  const args = [resolve("dist/client/cli/main.js"), "run", "-m", "4GiB", "--wait", "30s", "--", ...command];
  return run(process.execPath, args, { env: { SLUICE_SERVER: server, XDG_CACHE_HOME: caches }, limitMs });
}

interface Places {
  /** Folders of the toolkit's libraries, with colons between them. */
  readonly library: string;
  /** HOST:PORT. */
  readonly server: string;
  /** Where Sluice's own libraries for such programs are built, once. */
  readonly caches: string;
}

/** What a slice of a GPU has less of than the GPU, and says so: a program that asks for it ends otherwise, which is known. */
const refusals = [/kernels can allocate \[\d+\] bytes by themselves on this device/];

/** A program's own outcome, and that on a borrowed slice. */
async function compare(program: string, places: Places): Promise<{ ok?: boolean; note?: string }> {
  const alone = await run(program, [], { env: { LD_LIBRARY_PATH: places.library }, limitMs: RUN_MS_MAX });
  const borrowed = await borrow([program], places);
  if (borrowed.code === alone.code && borrowed.stdout === alone.stdout) {
    return alone.code === "0" ? { ok: true } : { note: `both end with ${alone.code}: ${words(alone.stderr)}` };
  }
  const refusal = refusals.map((known) => known.exec(borrowed.stderr)?.[0]).find((text) => text !== undefined);
  if (refusal !== undefined) return { note: `a borrowed one is refused: ${refusal}` };
  const said = ({ code, stdout, stderr }: Outcome): string => `${code} [${words(stdout + stderr)}]`;
  return { ok: false, note: `borrowed ${said(borrowed)}, alone ${said(alone)}` };
}

/** PyTorch's wheels link the runtime statically, which is refused with the reason: a fact, and neither good nor bad. */
async function tryTorch(places: Places): Promise<Row> {
  const program = ["python3", "-c", "import torch; print(torch.ones(3, device='cuda').sum().item())"];
  const { code, stdout, stderr } = await borrow(program, places);
  return { group, name: "PyTorch on a borrowed slice", note: `${code}: ${words(stdout + stderr)}` };
}

/** Sluice's libraries for such programs, before the first of them is timed. */
async function buildLibraries(places: Places): Promise<Row> {
  const started = performance.now();
  const { code, stdout, stderr } = await borrow(["/bin/true"], places, BUILD_MS_MAX);
  const said = words(stdout + stderr);
  const value = (performance.now() - started) / 1000;
  return { group, name: "the libraries for programs are there", ok: code === "0", value, unit: "s", note: said };
}

async function* inPool<T, R>(items: readonly T[], work: (item: T) => Promise<R>): AsyncGenerator<[T, R]> {
  const running = new Map<T, Promise<[T, R]>>();
  const left = [...items];
  while (left.length > 0 || running.size > 0) {
    while (running.size < WORKERS && left.length > 0) {
      const item = left.shift()!;
      running.set(
        item,
        work(item).then((result) => [item, result]),
      );
    }
    const [item, result] = await Promise.race(running.values());
    running.delete(item);
    yield [item, result];
  }
}

/** Compiles and runs every program against a server that lends the card. */
export async function* comparePrograms(server: string, capability: string): AsyncGenerator<Row> {
  const nvcc = findCompiler();
  if (nvcc === undefined || !existsSync(sources)) {
    yield {
      group,
      name: "programs run as without Sluice",
      note: nvcc === undefined ? "there is no nvcc" : `there is no ${sources}`,
    };
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "sluice-check-programs-"));
  const toolkit = dirname(dirname(nvcc));
  // As toolkits have it, and as Python's packages do.
  const library = [join(toolkit, "lib64"), join(toolkit, "lib")].join(":");
  const places = { library, server, caches: folder };
  try {
    const names = readdirSync(sources).filter((name) => name.endsWith(".cu"));
    const code = [`arch=compute_${capability},code=sm_${capability}`, "arch=compute_75,code=compute_75"];
    const compile = (name: string): Promise<Outcome> => {
      const target = join(folder, basename(name, ".cu"));
      const flags = ["-cudart", "shared", ...code.flatMap((each) => ["-gencode", each])];
      return run(nvcc, [...flags, "-o", target, join(sources, name)], { limitMs: COMPILE_MS_MAX });
    };
    const uncompiled: string[] = [];
    yield await buildLibraries(places);
    for await (const [name, { code: compiled, stderr }] of inPool(names, compile)) {
      const program = join(folder, basename(name, ".cu"));
      if (compiled === "0") yield { group, name, isCase: true, ...(await compare(program, places)) };
      else uncompiled.push(`${name}: ${words(stderr)}`);
    }
    const notCompiled = { name: "programs that cannot be compiled here", value: uncompiled.length };
    if (uncompiled.length > 0) yield { group, ...notCompiled, note: uncompiled[0]! };
    yield await tryTorch(places);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
