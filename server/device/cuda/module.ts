/**
 * Program images on the device: loaded by the driver as they are, then asked for their kernels and their parameters' layout. What the driver
 * does not tell (types, names of variables) comes from the text where the image is PTX.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { GlobalInfo, KernelInfo, ParamInfo } from "../../../shared/generated/calls.ts";
import type { DeviceModule } from "../device.ts";
import { type LinkInput, LinkKind, readLinkImage } from "../link-image.ts";
import { CUresult, FunctionAttribute } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import { imageFormat } from "./image.ts";
import { type ImageContent, readImageContent } from "./image-content.ts";
import { errorLog, terminated, withLinkedImage } from "./linker.ts";
import { type DeclaredParam, type PtxDeclarations, readPtxDeclarations } from "./ptx-declarations.ts";
import { textAt } from "./symbols.ts";

const JIT_LOG_BYTES = 16 * 1024;
/** Of the compiler's complaints this much reaches the client: the first ones say what is wrong. */
const JIT_LOG_CHARACTERS_MAX = 1000;
/** No kernel has more parameters than bytes of them, 32764; so many would be a driver gone wrong. */
const PARAMS_MAX = 32_764;

export class CudaModule implements DeviceModule {
  readonly kernels: readonly KernelInfo[];
  readonly globals: readonly GlobalInfo[];
  /** The driver's handle. */
  readonly handle: number;
  /** The driver's function for each kernel. */
  readonly functions: readonly number[];
  /** Largest dynamic shared memory that each function is set up for, in bytes. */
  readonly sharedBytesSet: number[];
  /** Whether a kernel of it may print. */
  readonly prints: boolean;
  /** What it takes of the device outside the arena: its variables, and as a binary image its code too. */
  readonly outsideBytes: number;

  constructor(
    parts: Pick<
      CudaModule,
      "kernels" | "globals" | "handle" | "functions" | "prints" | "outsideBytes" | "sharedBytesSet"
    >,
  ) {
    this.kernels = parts.kernels;
    this.globals = parts.globals;
    this.handle = parts.handle;
    this.functions = parts.functions;
    this.prints = parts.prints;
    this.outsideBytes = parts.outsideBytes;
    this.sharedBytesSet = parts.sharedBytesSet;
  }
}

const REMEDY_FOR_NEW_PTX =
  "its compiler is newer than the server's driver; compile for the device itself, as `nvcc -arch=sm_NN` does, or by an older one";

const REMEDY_FOR_HIGHER_TARGET =
  "its `.target` is of a later GPU than this device; compile for the device itself, as `nvcc -arch=sm_NN` does, or for an earlier one";

const REMEDY_FOR_NO_COMPILER =
  "the server's driver has no compiler for PTX, libnvidia-ptxjitcompiler.so.1; install it, or load code of the device itself (a cubin)";

/** What helps, where that is known of the result or of the compiler's complaint; else the complaint. */
function remedyFor(result: number, said: string): string {
  if (result === CUresult.UNSUPPORTED_PTX_VERSION) return REMEDY_FOR_NEW_PTX;
  if (result === CUresult.JIT_COMPILER_NOT_FOUND) return REMEDY_FOR_NO_COMPILER;
  if (/\.target is higher/.test(said)) return REMEDY_FOR_HIGHER_TARGET;
  return said.slice(0, JIT_LOG_CHARACTERS_MAX);
}

/** The error of an image that the driver refuses, with what its compiler or linker says. */
function refuse(context: CudaContext, result: number, said: string): never {
  const cut = remedyFor(result, said);
  try {
    context.fail(result, "load the image", "BAD_IMAGE");
  } catch (error) {
    if (!(error instanceof SluiceError) || cut === "") throw error;
    throw new SluiceError(error.code, `${error.message.slice(0, -1)}: [${cut}].`, error.details);
  }
}

/** Hands the image to the driver; the just-in-time compiler's complaints become the error's message. */
function loadImage(context: CudaContext, image: Uint8Array): number {
  const log = errorLog(JIT_LOG_BYTES);
  const handle = new BigUint64Array(1);
  const result = context.api.cuModuleLoadDataEx(handle, image, log.options.length, log.options, log.values);
  return result === CUresult.SUCCESS ? Number(handle[0]) : refuse(context, result, log.text());
}

/** The layout of one function's parameters, by asking until the driver says that there is none further. */
function readParams(context: CudaContext, f: number, declared: readonly DeclaredParam[] | undefined): ParamInfo[] {
  const offset = new BigUint64Array(1);
  const size = new BigUint64Array(1);
  const params: ParamInfo[] = [];
  for (let index = 0; index < PARAMS_MAX; index++) {
    const result = context.api.cuFuncGetParamInfo(f, index, offset, size);
    if (result === CUresult.INVALID_VALUE) break;
    context.check(result, "tell a kernel's parameters");
    const { alignment = 0, type = 0 } = declared?.[index] ?? {};
    params.push({ offset: Number(offset[0]), size: Number(size[0]), alignment, type });
  }
  return params;
}

function readKernel(context: CudaContext, f: number, declarations: Declarations | undefined): KernelInfo {
  const { api } = context;
  // Some attributes can only be had of a function that is wholly loaded, which the driver may have put off.
  context.check(api.cuFuncLoad(f), "load a kernel", "BAD_IMAGE");
  const pointer = new BigUint64Array(1);
  context.check(api.cuFuncGetName(pointer, f), "name a kernel");
  const name = textAt(pointer[0]!);
  const value = new Int32Array(1);
  const attribute = (number: number): number => {
    context.check(api.cuFuncGetAttribute(value, number, f), "tell a kernel's attributes");
    return value[0]!;
  };
  const params = readParams(context, f, declarations?.params.get(name));
  const last = params.at(-1);
  return {
    name,
    params,
    paramBytes: last === undefined ? 0 : last.offset + last.size,
    threadsPerBlockMax: attribute(FunctionAttribute.MAX_THREADS_PER_BLOCK),
    sharedBytes: attribute(FunctionAttribute.SHARED_SIZE_BYTES),
    localBytes: attribute(FunctionAttribute.LOCAL_SIZE_BYTES),
    constantBytes: attribute(FunctionAttribute.CONST_SIZE_BYTES),
    registers: attribute(FunctionAttribute.NUM_REGS),
    ptxVersion: attribute(FunctionAttribute.PTX_VERSION),
    binaryVersion: attribute(FunctionAttribute.BINARY_VERSION),
    usesHeap: 0,
    refusalCode: 0,
    refusal: "",
  };
}

function readFunctions(context: CudaContext, handle: number): number[] {
  const count = new Uint32Array(1);
  context.check(context.api.cuModuleGetFunctionCount(count, handle), "count a module's kernels");
  const functions = new BigUint64Array(count[0]!);
  if (functions.length > 0) {
    context.check(
      context.api.cuModuleEnumerateFunctions(functions, functions.length, handle),
      "enumerate a module's kernels",
    );
  }
  return Array.from(functions, Number);
}

function readGlobals(context: CudaContext, handle: number, names: readonly string[]): GlobalInfo[] {
  const address = new BigUint64Array(1);
  const size = new BigUint64Array(1);
  const globals: GlobalInfo[] = [];
  for (const name of names) {
    const result = context.api.cuModuleGetGlobal_v2(address, size, handle, name);
    // The compiler drops variables that nothing uses.
    if (result === CUresult.NOT_FOUND) continue;
    context.check(result, "find a global variable");
    globals.push({ name, address: Number(address[0]), byteCount: Number(size[0]) });
  }
  return globals;
}

type Declarations = Omit<PtxDeclarations, "variableBytes" | "globals">;

/** What the PTX texts among the inputs of an image declare; undefined where there are none. */
function declarationsOf(inputs: readonly LinkInput[]): Declarations | undefined {
  const texts = inputs.filter(({ kind }) => kind === LinkKind.PTX);
  if (texts.length === 0) return undefined;
  const all = texts.map(({ data }) =>
    readPtxDeclarations(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8")),
  );
  return {
    params: new Map(all.flatMap(({ params }) => [...params])),
    // Binary inputs do not show whether they print.
    prints: texts.length < inputs.length || all.some(({ prints }) => prints),
  };
}

/** A module takes more of the device outside the arena than it may. */
export class ModuleTooLarge extends SluiceError {
  readonly byteCount: number;

  constructor({ byteCount, bytesMax }: { readonly byteCount: number; readonly bytesMax: number }) {
    const taken = `The module takes [${byteCount}] bytes of the device outside the slice`;
    super(
      "OUT_OF_MEMORY",
      `${taken}, for its variables or its code; the lease has [${Math.max(0, bytesMax)}] left for that.`,
    );
    this.byteCount = byteCount;
  }
}

export interface ModuleLimits {
  /** What the module may take of the device outside the arena. */
  readonly outsideBytesMax: number;
  /** The device's, as major * 10 + minor. */
  readonly capability: number;
}

/** What is in an image. @throws SluiceError OUT_OF_MEMORY where it would take more than the limit, BAD_IMAGE */
function checkedContent(image: Uint8Array, { outsideBytesMax, capability }: ModuleLimits): ImageContent {
  const content = readImageContent(image, capability);
  if (content.byteCount <= outsideBytesMax) return content;
  throw new ModuleTooLarge({ byteCount: content.byteCount, bytesMax: outsideBytesMax });
}

/** Hands the image to the driver, once it is known what is in it. */
function admit(
  context: CudaContext,
  image: Uint8Array,
  limits: ModuleLimits,
): { handle: number; content: ImageContent } {
  const content = checkedContent(image, limits);
  const isText = imageFormat(image) === "ptx";
  return { handle: loadImage(context, isText ? terminated(image) : image), content };
}

/**
 * Loads PTX text, a cubin, a fatbin, or several of them to be linked. `text` is the PTX of a binary image, where it is known.
 * @throws SluiceError BAD_IMAGE with the driver's log, OUT_OF_MEMORY; ModuleTooLarge, and then nothing is loaded.
 */
export function loadCudaModule(
  context: CudaContext,
  { image, text }: { readonly image: Uint8Array; readonly text: Uint8Array | undefined },
  limits: ModuleLimits,
): CudaModule {
  const several = readLinkImage(image);
  const data = several === undefined && imageFormat(image) === "ptx" ? image : text;
  const declarations = declarationsOf(several ?? (data === undefined ? [] : [{ kind: LinkKind.PTX, data }]));
  // Of what is linked the result counts; what its texts alone would take need not be linked.
  for (const { kind, data } of several ?? []) if (kind === LinkKind.PTX) checkedContent(data, limits);
  const { handle, content } =
    several === undefined
      ? admit(context, image, limits)
      : withLinkedImage(context, several, {
          use: (linked) => admit(context, linked, limits),
          fail: (result, said) => refuse(context, result, said),
        });
  try {
    const functions = readFunctions(context, handle);
    return new CudaModule({
      handle,
      functions,
      kernels: functions.map((f) => readKernel(context, f, declarations)),
      globals: readGlobals(context, handle, content.variables),
      // A binary image does not show whether it prints, so it is taken to.
      prints: declarations?.prints ?? true,
      outsideBytes: content.byteCount,
      sharedBytesSet: functions.map(() => 0),
    });
  } catch (error) {
    context.api.cuModuleUnload(handle);
    throw error;
  }
}
