/**
 * Program images on the device: loaded by the driver as they are, then asked for their kernels and their parameters' layout. What the driver
 * does not tell (types, names of variables) comes from the text where the image is PTX.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { GlobalInfo, KernelInfo, ParamInfo } from "../../../shared/generated/calls.ts";
import type { DeviceModule } from "../device.ts";
import { CUresult, FunctionAttribute, JitOption } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import { imageFormat } from "./image.ts";
import { type DeclaredParam, type PtxDeclarations, readPtxDeclarations } from "./ptx-declarations.ts";
import { addressOf, textAt } from "./symbols.ts";

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

  constructor(parts: Pick<CudaModule, "kernels" | "globals" | "handle" | "functions" | "prints" | "sharedBytesSet">) {
    this.kernels = parts.kernels;
    this.globals = parts.globals;
    this.handle = parts.handle;
    this.functions = parts.functions;
    this.prints = parts.prints;
    this.sharedBytesSet = parts.sharedBytesSet;
  }
}

/** Hands the image to the driver; the just-in-time compiler's complaints become the error's message. */
function loadImage(context: CudaContext, image: Uint8Array): number {
  const log = Buffer.alloc(JIT_LOG_BYTES);
  const options = Int32Array.of(JitOption.ERROR_LOG_BUFFER, JitOption.ERROR_LOG_BUFFER_SIZE_BYTES);
  const values = BigUint64Array.of(addressOf(log), BigInt(JIT_LOG_BYTES));
  const handle = new BigUint64Array(1);
  const result = context.api.cuModuleLoadDataEx(handle, image, options.length, options, values);
  if (result === CUresult.SUCCESS) return Number(handle[0]);
  const said = log.toString("utf8").split("\0")[0]!.replace(/\s+/g, " ").trim().slice(0, JIT_LOG_CHARACTERS_MAX);
  try {
    context.fail(result, "load the image", "BAD_IMAGE");
  } catch (error) {
    if (!(error instanceof SluiceError) || said === "") throw error;
    throw new SluiceError(error.code, `${error.message.slice(0, -1)}: [${said}].`, error.details);
  }
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

function readKernel(context: CudaContext, f: number, declarations: PtxDeclarations | undefined): KernelInfo {
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

/**
 * Loads PTX text, a cubin or a fatbin. `variableBytesMax` bounds what a PTX module's variables may take of the device outside the arena.
 * @throws SluiceError BAD_IMAGE with the driver's log, OUT_OF_MEMORY.
 */
export function loadCudaModule(
  context: CudaContext,
  image: Uint8Array,
  { variableBytesMax }: { variableBytesMax: number },
): CudaModule {
  const isText = imageFormat(image) === "ptx";
  const text = isText ? Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString("utf8") : "";
  const declarations = isText ? readPtxDeclarations(text) : undefined;
  if (declarations !== undefined && declarations.variableBytes > variableBytesMax) {
    throw new SluiceError(
      "OUT_OF_MEMORY",
      `The module's variables take [${declarations.variableBytes}] bytes outside the slice, more than [${variableBytesMax}].`,
    );
  }
  // The driver reads text up to a NUL, which what came over the wire need not have.
  const handle = loadImage(context, isText ? Buffer.from(`${text}\0`, "utf8") : image);
  try {
    const functions = readFunctions(context, handle);
    return new CudaModule({
      handle,
      functions,
      kernels: functions.map((f) => readKernel(context, f, declarations)),
      globals: readGlobals(context, handle, declarations?.globals ?? []),
      // A binary image does not show whether it prints, so it is taken to.
      prints: declarations?.prints ?? true,
      sharedBytesSet: functions.map(() => 0),
    });
  } catch (error) {
    context.api.cuModuleUnload(handle);
    throw error;
  }
}
