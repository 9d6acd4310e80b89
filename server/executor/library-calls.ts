/**
 * The calls for what libraries of the server do: matrix products, and CUDA C compiled to modules; see proto/calls.ts. Every operand is
 * checked here, to its last element, before a device sees it.
 */
import { SluiceError } from "../../shared/errors.ts";
import type { CompileAnswer, CompileCall, MultiplyCall, MultiplyPrepareCall } from "../../shared/generated/calls.ts";
import { COMPILE_OPTIONS_MAX, SOURCE_BYTES_MAX } from "../../shared/limits.ts";
import { type DeviceModule, type MatrixProduct, productBytes } from "../device/device.ts";
import { moduleKeeper } from "./module-calls.ts";
import type { OpenSlice, Workspace } from "./workspace.ts";

/** By their numbers in the table. */
const types = ["f32", "tf32", "f16", "bf16", "f64", "f16-f32", "bf16-f32", "i8-i32"] as const;

/** A and B by the number in the table, less one; and what C may be then. */
const narrowFactors = [
  { a: "e4m3", b: "e4m3" },
  { a: "e4m3", b: "e5m2" },
  { a: "e5m2", b: "e4m3" },
] as const;
const narrowResults: ReadonlySet<string> = new Set(["f32", "f16", "bf16"]);

/** What the libraries behind the devices count with. */
const COUNT_MAX = 2 ** 31 - 1;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** A matrix as it stands in memory. */
interface Placed {
  readonly name: "A" | "B" | "C";
  readonly address: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowStride: number;
  readonly batchStride: number;
}

/** Elements from the first of a matrix to behind its last. A number beyond 2^53 is inexact, and beyond every arena all the same. */
const extentOf = ({ rows, columns, rowStride }: Placed): number => (rows - 1) * rowStride + columns;

/** By their numbers in the table. */
const activations: readonly MatrixProduct["activation"][] = [undefined, "relu", "gelu"];

/** A product as it stands in the call, but for where its operands are. */
interface Wish {
  readonly product: MatrixProduct;
  readonly operands: Readonly<Record<"a" | "b" | "c", Placed>>;
}

/** Queues the product in its stream: beside `launch`, the other place where work is admitted to a device. */
export function multiply(work: Workspace, call: MultiplyCall): void | Promise<void> {
  const { product, operands } = wishOf(call);
  const { batchCount } = call;
  const bytes = bytesOf(product);
  const slice = sliceOf(work, operands.c, { batchCount, bytes: bytes.result });
  for (const operand of [operands.a, operands.b]) {
    const other = sliceOf(work, operand, { batchCount, bytes: bytes.factors });
    if (other === slice) continue;
    throw bad(
      `[${operand.name}] of a matrix product is on the device [${other.index}], and C on the device [${slice.index}].`,
    );
  }
  if (call.bias !== 0)
    checkBeside(work, slice, { name: "bias", address: call.bias, count: call.n, bytes: bytes.result });
  for (const address of [call.scaleA, call.scaleB]) {
    if (address !== 0) checkBeside(work, slice, { name: "scale", address, count: 1, bytes: 4 });
  }
  const stream = work.stream(call.stream, slice);
  if (slice.device.multiply === undefined) throw without(slice, "compute matrix products");
  return slice.device.multiply(product, stream);
}

/** Says whether the product could be queued, by failing where it could not. */
export function multiplyPrepare(work: Workspace, call: MultiplyPrepareCall): void {
  const { product, operands } = wishOf(call);
  const bytes = bytesOf(product);
  checkAligned(operands.a, bytes.factors);
  checkAligned(operands.b, bytes.factors);
  checkAligned(operands.c, bytes.result);
  const slice = work.sliceAt(call.c);
  if (slice.device.prepareMultiply === undefined) throw without(slice, "compute matrix products");
  slice.device.prepareMultiply(product);
}

/** @throws SluiceError BAD_ARGUMENT for numbers that no product has. */
function wishOf(call: MultiplyCall): Wish {
  const { m, n, k, batchCount, transposeA, transposeB } = call;
  for (const [name, value] of Object.entries({ m, n, k, batchCount })) {
    if (value < 1 || value > COUNT_MAX) {
      throw bad(`The [${name}] of a matrix product is [${value}]; it is from [1] to [${COUNT_MAX}].`);
    }
  }
  const type = types[call.type];
  if (type === undefined || transposeA > 1 || transposeB > 1 || call.activation >= activations.length) {
    const odd = `the type [${call.type}], the transpositions [${transposeA}, ${transposeB}] and the activation [${call.activation}]`;
    throw bad(`A matrix product has ${odd}.`);
  }
  const a = place("A", transposeA === 1 ? [k, m] : [m, k], [call.a, call.lda, call.strideA]);
  const b = place("B", transposeB === 1 ? [n, k] : [k, n], [call.b, call.ldb, call.strideB]);
  const c = place("C", [m, n], [call.c, call.ldc, call.strideC]);
  checkResults(c, batchCount);
  const product: MatrixProduct = {
    type,
    m,
    n,
    k,
    batchCount,
    a: { address: a.address, rowStride: a.rowStride, batchStride: a.batchStride, transposed: transposeA === 1 },
    b: { address: b.address, rowStride: b.rowStride, batchStride: b.batchStride, transposed: transposeB === 1 },
    c: { address: c.address, rowStride: c.rowStride, batchStride: c.batchStride },
    alpha: type === "f64" || type === "i8-i32" ? call.alphaF64 : call.alpha,
    beta: type === "f64" || type === "i8-i32" ? call.betaF64 : call.beta,
    bias: call.bias === 0 ? undefined : call.bias,
    activation: activations[call.activation],
    narrow: narrowOf(call, type),
  };
  if (type === "i8-i32") checkIntegers(product);
  return { product, operands: { a, b, c } };
}

function checkIntegers({ alpha, beta, bias, activation }: MatrixProduct): void {
  for (const factor of [alpha, beta]) {
    if (factor !== (factor | 0)) throw bad(`A product of integers has the factor [${factor}].`);
  }
  if (bias !== undefined || activation !== undefined)
    throw bad("A product of integers has a bias or an activation, and there is none of either.");
}

function narrowOf(call: MultiplyCall, type: MatrixProduct["type"]): MatrixProduct["narrow"] {
  const { narrow, scaleA, scaleB } = call;
  const factors = narrowFactors[narrow - 1];
  const isKnown = narrow === 0 ? scaleA === 0 && scaleB === 0 : factors !== undefined && narrowResults.has(type);
  if (!isKnown) throw bad(`A matrix product of [${type}] has factors of the kind [${narrow}] with scales, or without.`);
  return factors && { ...factors, scaleA: scaleA || undefined, scaleB: scaleB || undefined };
}

const bytesOf = ({ type, narrow }: MatrixProduct): { factors: number; result: number } => {
  const bytes = productBytes[type];
  return narrow === undefined ? bytes : { factors: 1, result: bytes.result };
};

/** Numbers beside the matrices are where C is. */
function checkBeside(
  work: Workspace,
  slice: OpenSlice,
  { name, address, count, bytes }: { name: string; address: number; count: number; bytes: number },
): void {
  if (address % bytes !== 0)
    throw bad(`The ${name} is at [0x${address.toString(16)}], which is not a multiple of [${bytes}] bytes.`);
  const other = work.within(address, count * bytes);
  if (other === slice) return;
  throw bad(`The ${name} of a matrix product is on the device [${other.index}], and C on the device [${slice.index}].`);
}

function place(
  name: Placed["name"],
  [rows, columns]: readonly [number, number],
  [address, rowStride, batchStride]: readonly [number, number, number],
): Placed {
  if (rowStride < columns || rowStride > COUNT_MAX) {
    throw bad(
      `The rows of [${name}] begin [${rowStride}] elements apart; they have [${columns}], and at most [${COUNT_MAX}] can be.`,
    );
  }
  return { name, address, rows, columns, rowStride, batchStride };
}

/** The results of a batch stand one behind the other, or side by side in the same rows. */
function checkResults(c: Placed, batchCount: number): void {
  if (batchCount === 1 || c.batchStride >= extentOf(c)) return;
  const isBeside = c.batchStride >= c.columns && (batchCount - 1) * c.batchStride + c.columns <= c.rowStride;
  if (isBeside) return;
  throw bad(
    `The results of a batch of [${batchCount}] overlap: C has [${extentOf(c)}] elements, and the next begins [${c.batchStride}] behind it.`,
  );
}

/** The slice in which all matrices of an operand lie, within one allocation. */
function sliceOf(
  work: Workspace,
  operand: Placed,
  { batchCount, bytes }: { readonly batchCount: number; readonly bytes: number },
): OpenSlice {
  checkAligned(operand, bytes);
  return work.within(operand.address, ((batchCount - 1) * operand.batchStride + extentOf(operand)) * bytes);
}

function checkAligned({ name, address }: Placed, bytes: number): void {
  if (address % bytes === 0) return;
  throw bad(`The address [0x${address.toString(16)}] of [${name}] is not a multiple of [${bytes}] bytes.`);
}

const without = ({ assignment }: OpenSlice, doing: string, instead = ""): SluiceError =>
  new SluiceError("UNSUPPORTED", `A device of the kind [${assignment.description.kind}] cannot ${doing}${instead}.`);

export async function compile(work: Workspace, call: CompileCall): Promise<CompileAnswer> {
  work.modules.claim(call.module);
  const source = work.images.take(call.image);
  const slice = work.slice(call.device);
  if (source.byteLength > SOURCE_BYTES_MAX) {
    throw new SluiceError(
      "IMAGE_TOO_LARGE",
      `A source has [${source.byteLength}] bytes, more than [${SOURCE_BYTES_MAX}].`,
    );
  }
  if (call.options.length > COMPILE_OPTIONS_MAX) {
    throw bad(`A source comes with [${call.options.length}] options, more than [${COMPILE_OPTIONS_MAX}].`);
  }
  if (slice.device.compile === undefined) {
    throw without(slice, "compile CUDA C", "; load PTX instead, as `nvcc -ptx` makes it");
  }
  const options = call.options.map(({ text }) => text);
  const { image, text, log } = await slice.device.compile(decodeText(source), options, work.cache?.results);
  const keep = moduleKeeper(work, { module: call.module, slice, imageBytes: image.byteLength });
  const module: DeviceModule = await slice.device.loadModule(image, { text, leavesEnd: call.leavesEnd === 1 });
  return { ...(await keep(module)), log };
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SluiceError("BAD_IMAGE", "The source is not UTF-8 text.", { cause });
  }
}
