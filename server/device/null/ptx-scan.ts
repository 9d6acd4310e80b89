/**
 * What the null device wants to know of PTX text: the entries with their parameter layouts, and the global variables. A
 * tolerant scan that reads declarations and skips bodies; it is no parser and finds no faults in code that nothing runs.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { KernelInfo, ParamInfo } from "../../../shared/generated/calls.ts";
import { PARAM_BYTES_MAX } from "../../../shared/limits.ts";

export interface ScannedGlobal {
  readonly name: string;
  readonly byteCount: number;
}

export interface ScannedModule {
  readonly kernels: readonly KernelInfo[];
  readonly globals: readonly ScannedGlobal[];
}

/** As in the documentation of ParamInfo. */
const paramTypes = { u: 1, s: 2, f: 3, b: 0 } as const;
const THREADS_PER_BLOCK_MAX = 1024;

const bad = (message: string): SluiceError => new SluiceError("BAD_IMAGE", message);

function textOf(image: Uint8Array): string {
  // Images may end in the zero byte of a C string.
  const end = image.at(-1) === 0 ? -1 : image.length;
  const bytes = image.subarray(0, end);
  if (bytes.includes(0)) throw bad("The image is not PTX text: it holds zero bytes.");
  return new TextDecoder("utf-8").decode(bytes).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, " ");
}

function elementBytes(type: string): number {
  return Number(/\d+$/.exec(type)?.[0] ?? 0) / 8;
}

/** One declaration like `.param .align 8 .b8 name[24]`; the offset is where it goes. */
function scanParam(text: string, offset: number): ParamInfo {
  const match =
    /^\.param((?:\s*\.[a-z0-9]+(?:\s+\d+)?)*?)\s*\.([usfb](?:8|16|32|64))\b(.*?)\s([\w$%]+)\s*(?:\[\s*(\d*)\s*\])?$/s.exec(
      text.trim(),
    );
  if (match === null) throw bad(`The parameter [${text.trim().slice(0, 80)}] cannot be read.`);
  const [, before, type, after, , length] = match;
  const bytes = elementBytes(type!);
  const attributes = `${before}${after}`;
  const isPointer = attributes.includes(".ptr");
  // The alignment behind `.ptr` is that of what it points to.
  const declared = Number(/\.align\s+(\d+)/.exec(isPointer ? before! : attributes)?.[1] ?? bytes);
  const size = length === undefined ? bytes : bytes * Number(length);
  const kind = type!.charAt(0) as keyof typeof paramTypes;
  const typeNumber = isPointer ? 5 : length === undefined ? paramTypes[kind] : 4;
  return { offset: Math.ceil(offset / declared) * declared, size, alignment: declared, type: typeNumber };
}

function scanEntry(name: string, list: string, ptxVersion: number): KernelInfo {
  const params: ParamInfo[] = [];
  let paramBytes = 0;
  for (const text of list.split(",")) {
    if (text.trim() === "") continue;
    const param = scanParam(text, paramBytes);
    params.push(param);
    paramBytes = param.offset + param.size;
  }
  if (paramBytes > PARAM_BYTES_MAX) throw bad(`The entry [${name}] has [${paramBytes}] bytes of parameters.`);
  return {
    name,
    params,
    paramBytes,
    threadsPerBlockMax: THREADS_PER_BLOCK_MAX,
    sharedBytes: 0,
    localBytes: 0,
    constantBytes: 0,
    registers: 0,
    ptxVersion,
    binaryVersion: 0,
    usesHeap: 0,
    refusalCode: 0,
    refusal: "",
  };
}

/** The text outside of braces: bodies and initialisers are left out. */
function outsideBraces(text: string): string {
  let depth = 0;
  let outside = "";
  for (const part of text.split(/([{}])/)) {
    if (part === "{") depth++;
    else if (part === "}") depth--;
    else if (depth === 0) outside += part;
    if (part === "}" && depth === 0) outside += ";";
    if (depth < 0) throw bad("The image has a closing brace without an opening one.");
  }
  if (depth !== 0) throw bad("The image ends inside a body.");
  return outside;
}

/** @throws SluiceError BAD_IMAGE for what is not PTX text. */
export function scanPtx(image: Uint8Array): ScannedModule {
  const text = outsideBraces(textOf(image));
  const target = /\.target\s+(?:[^;{}\n]*?\bsm_(\d+))?/.exec(text);
  if (target === null || !/\.version\s+\d+\.\d+/.test(text)) {
    throw bad("The image is not PTX text: it has no .version and .target.");
  }
  const ptxVersion = Number(target[1] ?? 0);
  const kernels = [...text.matchAll(/\.entry\s+([\w$%]+)\s*(?:\(([^)]*)\))?/g)].map(([, name, list]) =>
    scanEntry(name!, list ?? "", ptxVersion),
  );
  const globals: ScannedGlobal[] = [];
  const variable = /\.(?:global|const)\b[^;=()]*?\.([usfb](?:8|16|32|64))\s+([\w$%]+)((?:\s*\[\s*\d+\s*\])*)/g;
  // Parameter lists are left out: their pointers name spaces too.
  for (const [, type, name, dimensions] of text.replace(/\([^)]*\)/g, ";").matchAll(variable)) {
    const lengths = [...dimensions!.matchAll(/\d+/g)].map(Number);
    const byteCount = lengths.reduce((product, length) => product * length, elementBytes(type!));
    if (byteCount > 0) globals.push({ name: name!, byteCount });
  }
  return { kernels, globals };
}
