/**
 * CUDA C source to code of the device by NVRTC, where the server has it. The compiler runs in the executor with the server's eyes, so the source may name no file: what
 * an include brings in would come back in the compiler's complaints. `SLUICE_NVRTC_LIBRARY` names the library file, and `SLUICE_CUDA_INCLUDE`
 * the folder of the toolkit's headers, where they are not to be searched (toolkit.ts). The reference is NVIDIA's NVRTC documentation.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { SOURCE_BYTES_MAX } from "../../../shared/limits.ts";
import type { CompiledSource, KeptResults } from "../device.ts";
import { addressOf, type Bound, bind, nativeTypes } from "./symbols.ts";
import { includeFolders, libraryNames, openBeside, openToolkitLibrary } from "./toolkit.ts";

/** Every function of NVRTC that is used, with the kinds of its arguments. */
export const nvrtcSignatures = {
  nvrtcVersion: ["memory", "memory"],
  nvrtcCreateProgram: ["memory", "memory", "memory", "i32", "memory", "memory"],
  nvrtcDestroyProgram: ["memory"],
  nvrtcCompileProgram: ["u64", "i32", "memory"],
  nvrtcGetPTXSize: ["u64", "memory"],
  nvrtcGetPTX: ["u64", "memory"],
  nvrtcGetCUBINSize: ["u64", "memory"],
  nvrtcGetCUBIN: ["u64", "memory"],
  nvrtcGetProgramLogSize: ["u64", "memory"],
  nvrtcGetProgramLog: ["u64", "memory"],
  nvrtcGetNumSupportedArchs: ["memory"],
  nvrtcGetSupportedArchs: ["memory"],
} as const;

const SUCCESS = 0;
const ERROR_COMPILATION = 6;
/** Of the compiler's complaints this much reaches the client: the first ones say what is wrong. */
const LOG_CHARACTERS_MAX = 4000;

/** Headers of the toolkit that device code needs. None of them includes what a program names. */
const allowedHeaders = new Set(["cuda_fp16.h", "cuda_bf16.h", "cuda_fp8.h", "mma.h", "cooperative_groups.h"]);

/** Options that change code and name no file. What NVRTC reads files for (include paths, headers before the source) is not among them. */
const allowedOptions = [
  /^(--use_fast_math|-use_fast_math|--restrict|-lineinfo|--generate-line-info|--extra-device-vectorization|-w|--disable-warnings)$/,
  /^(--std=|-std=)c\+\+(11|14|17|20)$/,
  /^(--fmad|-fmad|--ftz|-ftz|--prec-div|-prec-div|--prec-sqrt|-prec-sqrt)=(true|false)$/,
  /^(--maxrregcount|-maxrregcount)=\d{1,3}$/,
  /^(-D|--define-macro=)[A-Za-z_]\w{0,127}(=[\w.+\-*/()<>, ]{0,256})?$/,
  /^(-U|--undefine-macro=)[A-Za-z_]\w{0,127}$/,
];

/** @throws SluiceError BAD_ARGUMENT naming the first option that is none of those allowed. */
function checkOptions(options: readonly string[]): void {
  const refused = options.find((option) => !allowedOptions.some((allowed) => allowed.test(option)));
  if (refused === undefined) return;
  throw new SluiceError(
    "BAD_ARGUMENT",
    `The option [${JSON.stringify(refused.slice(0, 80))}] is none that a source may be compiled with: [--use_fast_math, --std=c++NN, --fmad=, --ftz=, --prec-div=, --prec-sqrt=, --maxrregcount=, --restrict, -lineinfo, --extra-device-vectorization, -w, -D, -U].`,
  );
}

interface Compiler {
  readonly api: Bound<typeof nvrtcSignatures>;
  /** nvrtcCompileProgram on a thread of koffi's: it takes from milliseconds to minutes, and needs no context. */
  readonly compile: (program: number, options: readonly string[]) => Promise<number>;
  /** Compute capabilities that it knows, as major * 10 + minor. */
  readonly capabilities: readonly number[];
  /** Folders of the toolkit's headers. */
  readonly include: readonly string[];
  /** Tells it from others, whose results differ. */
  readonly name: string;
}

const check = (status: number): void => {
  if (status === SUCCESS) return;
  throw new SluiceError("DEVICE_FAILED", `NVRTC fails [status ${status}].`, { nativeCode: status });
};

function load(named: string | undefined, driverVersion: number): Compiler {
  const library = openToolkitLibrary("nvrtc", { named, driverVersion });
  if (library === undefined) {
    const names = named || libraryNames("nvrtc", driverVersion);
    throw new SluiceError(
      "UNSUPPORTED",
      `This server has no NVRTC [${names}] to compile CUDA C with; load PTX instead, as \`nvcc -ptx\` makes it, or have the admin install NVRTC.`,
    );
  }
  openBeside(library, "libnvrtc-builtins.so");
  const { handle, path } = library;
  const api = bind(handle, nvrtcSignatures, { lacking: (symbol) => `The NVRTC library [${path}] lacks [${symbol}].` });
  const native = handle.func(
    "nvrtcCompileProgram",
    "int",
    nvrtcSignatures.nvrtcCompileProgram.map((kind) => nativeTypes[kind]),
  );
  const compile = (program: number, options: readonly string[]): Promise<number> => {
    const texts = options.map((option) => Buffer.from(`${option}\0`));
    const pointers = BigUint64Array.from(texts, (text) => addressOf(text));
    return new Promise((resolve, reject) => {
      native.async(program, texts.length, pointers, (error: Error | null, status: number) => {
        // Held until here, since the compiler reads them meanwhile.
        if (texts.length !== pointers.length || error !== null) reject(error ?? new Error("Options are gone."));
        else resolve(status);
      });
    });
  };
  const count = new Int32Array(1);
  check(api.nvrtcGetNumSupportedArchs(count));
  const capabilities = new Int32Array(count[0]!);
  check(api.nvrtcGetSupportedArchs(capabilities));
  const [major, minor] = [new Int32Array(1), new Int32Array(1)];
  check(api.nvrtcVersion(major, minor));
  const include = includeFolders(library);
  const name = `NVRTC ${major[0]}.${minor[0]} ${path}`;
  return { api, compile, capabilities: [...capabilities], include, name };
}

let loaded: { readonly path: string | undefined; readonly compiler: Compiler } | undefined;

function compilerFor(driverVersion: number): Compiler {
  const path = process.env["SLUICE_NVRTC_LIBRARY"];
  if (loaded === undefined || loaded.path !== path) loaded = { path, compiler: load(path, driverVersion) };
  return loaded.compiler;
}

/**
 * What to compile for. A device that the compiler knows gets its own code: PTX of a compiler that is newer than the driver is refused by it
 * (CUDA_ERROR_UNSUPPORTED_PTX_VERSION), code of the same major version is not. Any other gets PTX for the newest architecture before it.
 * @throws SluiceError UNSUPPORTED where it knows only newer ones.
 */
function targetOf(capabilities: readonly number[], capability: number): string {
  if (capabilities.includes(capability)) return `sm_${capability}`;
  const newest = Math.max(...capabilities.filter((known) => known < capability));
  if (Number.isFinite(newest)) return `compute_${newest}`;
  throw new SluiceError(
    "UNSUPPORTED",
    `The server's NVRTC compiles for the compute capabilities [${capabilities}] and not for this device's [${capability}].`,
  );
}

/**
 * Refuses source that could make the compiler open a file. Looks at the text alone and errs on the side of refusing: a directive is one
 * wherever it stands, also in comments and strings, for telling those apart would mean to read C++ as the compiler does.
 * @throws SluiceError BAD_IMAGE naming the directive.
 */
export function refuseFiles(source: string): void {
  // A backslash at the end of a line, in whichever spelling, joins it with the next, before anything else is read.
  const joined = source.replace(/(?:\\|\?\?\/)[ \t\f\v]*\r?\n/g, "");
  const directive = /(?:#|%:|\?\?=)\s*(include_next|include|import|embed)\b[ \t]*(?:<([^>\n]*)>)?/g;
  for (const [text, kind, header] of joined.matchAll(directive)) {
    if (kind === "include" && header !== undefined && allowedHeaders.has(header)) continue;
    throw new SluiceError(
      "BAD_IMAGE",
      `The source may include only [${[...allowedHeaders].map((name) => `<${name}>`).join(" ")}], and has [${text.trim().slice(0, 80)}].`,
    );
  }
  // A comment may stand between the sign and the word of a directive, and hide it from a look as simple as this one.
  const other = /__has_(?:include|embed)\w*|(?:#|%:|\?\?=)\s*(?:\/[*/]|pragma\s+GCC)|_Pragma|\0/.exec(joined);
  if (other !== null) throw new SluiceError("BAD_IMAGE", `The source may not use [${JSON.stringify(other[0])}].`);
}

/** The log, the text and the image, with a NUL behind each of the first two. */
const pack = ({ image, text, log }: CompiledSource): Uint8Array =>
  Buffer.concat([Buffer.from(`${log}\0`, "utf8"), text ?? new Uint8Array(0), Buffer.of(0), image]);

function unpack(packed: Uint8Array): CompiledSource {
  const logEnd = packed.indexOf(0);
  const textEnd = packed.indexOf(0, logEnd + 1);
  const log = Buffer.from(packed.subarray(0, logEnd)).toString("utf8");
  const text = packed.slice(logEnd + 1, textEnd);
  return { image: packed.slice(textEnd + 1), log, ...(text.byteLength === 0 ? {} : { text }) };
}

/** One run of the compiler. @throws SluiceError BAD_IMAGE with its complaints, DEVICE_FAILED */
async function runCompiler(
  { api, compile }: Compiler,
  source: Uint8Array,
  options: readonly string[],
): Promise<{ log: string; ptx: Uint8Array; cubin: Uint8Array }> {
  const program = new BigUint64Array(1);
  check(api.nvrtcCreateProgram(program, source, Buffer.from("program.cu\0"), 0, null, null));
  const handle = Number(program[0]);
  const size = new BigUint64Array(1);
  const fetch = (what: "PTX" | "CUBIN" | "ProgramLog"): Buffer => {
    check(api[`nvrtcGet${what}Size`](handle, size));
    const bytes = Buffer.alloc(Number(size[0]));
    if (bytes.byteLength > 0) check(api[`nvrtcGet${what}`](handle, bytes));
    return bytes;
  };
  // What is text ends with a NUL.
  const fetchText = (what: "PTX" | "ProgramLog"): Buffer => fetch(what).subarray(0, Math.max(0, Number(size[0]) - 1));
  try {
    const status = await compile(handle, options);
    if (status !== SUCCESS && status !== ERROR_COMPILATION) check(status);
    const log = fetchText("ProgramLog").toString("utf8").trim().slice(0, LOG_CHARACTERS_MAX);
    if (status === ERROR_COMPILATION) throw new SluiceError("BAD_IMAGE", `The source does not compile [${log}].`);
    const cubin = fetch("CUBIN");
    // Beside a cubin the text only tells more of it.
    const hasText = cubin.byteLength === 0 || api.nvrtcGetPTXSize(handle, size) === SUCCESS;
    return { log, ptx: hasText ? fetchText("PTX") : Buffer.alloc(0), cubin };
  } finally {
    api.nvrtcDestroyProgram(program);
  }
}

export interface CompileOptions {
  readonly capability: number;
  /** Of the CUDA that the driver speaks, as it tells it: a newer compiler's output it cannot read. */
  readonly driverVersion: number;
  readonly options: readonly string[];
  /** Where results are looked for, and remembered. */
  readonly kept?: KeptResults | undefined;
}

/**
 * Compiles for a compute capability, given as major * 10 + minor.
 * @throws SluiceError BAD_IMAGE with the compiler's complaints, BAD_ARGUMENT for an option, UNSUPPORTED where the server has no NVRTC.
 */
export async function compileSource(
  source: string,
  { capability, driverVersion, options: asked, kept }: CompileOptions,
): Promise<CompiledSource> {
  refuseFiles(source);
  checkOptions(asked);
  const text = Buffer.from(`${source}\0`, "utf8");
  if (text.byteLength > SOURCE_BYTES_MAX) {
    throw new SluiceError(
      "IMAGE_TOO_LARGE",
      `A source has [${text.byteLength}] bytes, more than [${SOURCE_BYTES_MAX}].`,
    );
  }
  const compiler = compilerFor(driverVersion);
  const target = targetOf(compiler.capabilities, capability);
  const options = [`--gpu-architecture=${target}`, ...asked];
  if (!asked.some((option) => /^--?std=/.test(option))) options.push("--std=c++17");
  options.push(...compiler.include.map((folder) => `--include-path=${folder}`));
  const ingredients = ["image and text", compiler.name, source, ...options];
  const known = await kept?.find(ingredients);
  if (known !== undefined) return unpack(known);
  const { log, ptx, cubin } = await runCompiler(compiler, text, options);
  const result =
    cubin.byteLength === 0 ? { image: ptx, log } : { image: cubin, log, ...(ptx.byteLength > 0 ? { text: ptx } : {}) };
  kept?.keep(ingredients, pack(result));
  return result;
}
