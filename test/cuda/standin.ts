/**
 * Builds the stand-in for libcuda and libnvidia-ml with the system's compiler and gives tests the handles to it. One library is both; the two
 * names are links to it. Without a compiler `standin.missing` says why, and the tests that need it are skipped with that reason.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "../../server/device/native.ts";

const sources = new URL("./", import.meta.url);
/** Outlives the run, as all that is built. */
const built = fileURLToPath(new URL("../../dist/test/", import.meta.url));

/** Builds the libraries into the folder `$0` of what comes behind it. As a whole: who has loaded one file of it must not find another behind the second name. */
const script = `[ -e "$0" ] && exit
fresh=$(mktemp -d "$0.XXXXXX") && trap 'rm -rf "$fresh"' EXIT
cc -shared -fPIC -O1 -Wall -Wextra -fvisibility=hidden -pthread -o "$fresh/libcuda.so.1" "$@" -lm >/dev/null &&
ln -s libcuda.so.1 "$fresh/libnvidia-ml.so.1" && mv -T "$fresh" "$0"`;

/** Builds once per content of the sources, one build at a time, whoever asks; a later run finds the library under its hash. */
function build(): string {
  const names = readdirSync(sources).filter((name) => /\.[ch]$/.test(name));
  const hash = createHash("sha256");
  for (const name of names.sort()) hash.update(name).update(readFileSync(new URL(name, sources)));
  const folder = join(built, `standin-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(built, { recursive: true });
  const files = names.filter((name) => name.endsWith(".c")).map((name) => new URL(name, sources).pathname);
  const command = [join(built, "standin.lock"), "/bin/sh", "-c", script, folder, ...files];
  execFileSync("flock", command, { stdio: ["ignore", "ignore", "pipe"] });
  return folder;
}

function findMissing(): string | undefined {
  if (process.platform !== "linux") return "the stand-in for libcuda needs Linux";
  try {
    for (const tool of ["cc", "flock"]) execFileSync(tool, ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "there is no C compiler, or no flock, to build the stand-in for libcuda";
  }
}

const missing = findMissing();

export interface Standin {
  /** Folder with libcuda.so.1 and libnvidia-ml.so.1. */
  readonly folder: string;
  /** Fails a function with a code, after `skip` good calls, `count` times (-1: for ever). */
  inject(failure: { function: string; code: number; skip?: number; count?: number }): void;
  /** Slows every piece of work in every stream. */
  delay(microseconds: number): void;
  /** Ends injections and delays and forgets misuse. */
  clear(): void;
  /** What is alive and what was misused; empty for nothing. */
  report(): string;
  /** Takes memory of a device, or with less than 0 gives it back, as another process would. */
  occupy(device: number, bytes: number): void;
  /** Has a device report a hardware error. */
  xid(device: number, xid: number): void;
  /** Descriptors and handles of cuBLASLt that are alive. */
  blasObjects(): number;
  /** Descriptors and handles of cuDNN that are alive. */
  dnnObjects(): number;
  /** Handles and parameters of cuSOLVER that are alive. */
  solverObjects(): number;
  /** Generators of cuRAND that are alive. */
  randGenerators(): number;
  /** Plans of cuFFT that are alive. */
  fftPlans(): number;
  /** Where the last work of cuSOLVER, or of cuBLAS on batches, reads and writes, in any order. */
  solverAreas(): [address: number, byteCount: number][];
  /** Handles and descriptors of cuSPARSE that are alive. */
  sparseObjects(): number;
  /** Programs of NVRTC that are alive. */
  programs(): number;
  /** Ends a kernel `endless` that waits at an address, and with it what its slice could not give back. */
  release(address: number): void;
  /** Sets the first device's count of memory errors. */
  uncorrected(count: number): void;
}

function load(): Standin {
  const folder = build();
  const path = join(folder, "libcuda.so.1");
  // The device under test finds its libraries through these.
  process.env["SLUICE_CUDA_LIBRARY"] = path;
  process.env["SLUICE_CUBLASLT_LIBRARY"] = path;
  process.env["SLUICE_CUDNN_LIBRARY"] = path;
  process.env["SLUICE_CUBLAS_LIBRARY"] = path;
  process.env["SLUICE_CUSOLVER_LIBRARY"] = path;
  process.env["SLUICE_CUFFT_LIBRARY"] = path;
  process.env["SLUICE_CURAND_LIBRARY"] = path;
  process.env["SLUICE_CUSPARSE_LIBRARY"] = path;
  process.env["SLUICE_NVRTC_LIBRARY"] = path;
  process.env["SLUICE_NVML_LIBRARY"] = join(folder, "libnvidia-ml.so.1");
  const library = koffi.load(path);
  const inject = library.func("void standin_inject(const char *name, int code, int skip, int count)");
  const delay = library.func("void standin_delay(uint32_t microseconds)");
  const clear = library.func("void standin_clear()");
  const report = library.func("int standin_report(void *text, int bytes)");
  const occupy = library.func("void standin_occupy(int device, int64_t bytes)");
  const xid = library.func("void standin_xid(int device, uint32_t xid)");
  const blasObjects = library.func("int standin_blas_objects()");
  const dnnObjects = library.func("int standin_dnn_objects()");
  const solverObjects = library.func("int standin_solver_objects()");
  const randGenerators = library.func("int standin_rand_generators()");
  const fftPlans = library.func("int standin_fft_plans()");
  const solverAreas = library.func("int standin_solver_areas(void *into)");
  const sparseObjects = library.func("int standin_sparse_objects()");
  const programs = library.func("int standin_programs()");
  const release = library.func("void standin_release(uint64_t address)");
  const uncorrected = library.func("void standin_uncorrected(uint32_t count)");
  return {
    folder,
    inject: (failure) => inject(failure.function, failure.code, failure.skip ?? 0, failure.count ?? 1),
    delay: (microseconds) => delay(microseconds),
    clear: () => clear(),
    report: () => {
      const text = Buffer.alloc(8192);
      report(text, text.length);
      return text.toString("latin1").split("\0")[0]!.trim();
    },
    occupy: (device, bytes) => occupy(device, bytes),
    xid: (device, number) => xid(device, number),
    blasObjects: () => blasObjects(),
    dnnObjects: () => dnnObjects(),
    solverObjects: () => solverObjects(),
    fftPlans: () => fftPlans(),
    randGenerators: () => randGenerators(),
    solverAreas: () => {
      const words = new BigUint64Array(64);
      const count = solverAreas(words);
      return Array.from({ length: count }, (_, index) => [Number(words[2 * index]), Number(words[2 * index + 1])]);
    },
    sparseObjects: () => sparseObjects(),
    programs: () => programs(),
    release: (address) => release(address),
    uncorrected: (count) => uncorrected(count),
  };
}

/** Why there is no stand-in, for `describe.skipIf`; undefined where there is one. */
export const standinMissing = missing;

/** The stand-in; an error when there is none. */
export const standin: Standin =
  missing === undefined
    ? load()
    : new Proxy({} as Standin, {
        get: () => {
          throw new Error(missing);
        },
      });
if (missing !== undefined) console.warn(`Skipped: ${missing}.`);
