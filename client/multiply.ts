/**
 * Matrix products on a device: the options, and what can be said against them before anything is sent. Which library computes is the
 * server's business.
 */
import { SluiceError } from "../shared/errors.ts";
import { encodeMultiplyCall, type MultiplyCall, Opcode } from "../shared/generated/calls.ts";
import { BufferView, type DeviceBuffer, noteAddress } from "./buffer.ts";
import { type DeviceContext, foreignError } from "./context.ts";
import { type Stream, streamHandle } from "./stream.ts";

/** Types of the elements of all three matrices; sums are f32 always. */
const types = {
  f32: { number: 0, bytes: 4 },
  /** f32 in memory, rounded to tf32 (10 bits of fraction) for the products: several times faster on a GPU. */
  tf32: { number: 1, bytes: 4 },
  f16: { number: 2, bytes: 2 },
  bf16: { number: 3, bytes: 2 },
} as const;

/** `C = alpha op(A) op(B) + beta C`. Matrices stand row by row; op(A) is m x k, op(B) is k x n, C is m x n. */
export interface MultiplyOptions {
  /** Rows of C. */
  readonly m: number;
  /** Columns of C. */
  readonly n: number;
  /** Columns of op(A) and rows of op(B). */
  readonly k: number;
  readonly a: DeviceBuffer | BufferView;
  readonly b: DeviceBuffer | BufferView;
  /** May share no element with A or B. */
  readonly c: DeviceBuffer | BufferView;
  /** Of the elements of all three. `tf32` is f32 in memory, rounded for the products. Default `f32`. */
  readonly type?: keyof typeof types;
  /** A stands in memory with k rows and m columns. Default false. */
  readonly transposeA?: boolean;
  /** B stands in memory with n rows and k columns. Default false. */
  readonly transposeB?: boolean;
  /** Default 1. */
  readonly alpha?: number;
  /** Default 0: what C holds is not read. */
  readonly beta?: number;
  /** Elements from one row of A in memory to the next (the leading dimension). Default: the columns of A in memory. */
  readonly lda?: number;
  readonly ldb?: number;
  readonly ldc?: number;
  /** Number of products. Default 1. */
  readonly batchCount?: number;
  /** Elements from one A of the batch to the next; 0 where all use the same. Default: its rows times `lda`. */
  readonly strideA?: number;
  readonly strideB?: number;
  readonly strideC?: number;
  /** Default: the default stream. */
  readonly stream?: Stream;
}

const COUNT_MAX = 2 ** 31 - 1;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

function checkWhole(name: string, value: number, { least, most }: { least: number; most: number }): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw bad(`The [${name}] of a matrix product is [${value}], and not a whole number from [${least}] to [${most}].`);
}

interface Operand {
  readonly name: "a" | "b" | "c";
  readonly memory: DeviceBuffer | BufferView;
  /** Rows and columns in memory. */
  readonly shape: readonly [rows: number, columns: number];
  readonly rowStride: number | undefined;
  readonly batchStride: number | undefined;
}

interface Shared {
  readonly context: DeviceContext;
  readonly batchCount: number;
  readonly bytes: number;
}

interface Placed {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly byteCount: number;
  readonly at: number;
  readonly ld: number;
  readonly stride: number;
}

/** Address and strides of an operand whose every element lies inside its buffer. */
function place(operand: Operand, { context, batchCount, bytes }: Shared): Placed {
  const { name, memory, shape } = operand;
  const [rows, columns] = shape;
  const ld = checkWhole(`ld${name}`, operand.rowStride ?? columns, { least: columns, most: COUNT_MAX });
  const packed = batchCount === 1 ? 0 : rows * ld;
  const bounds = { least: 0, most: Number.MAX_SAFE_INTEGER };
  const stride = checkWhole(`stride${name.toUpperCase()}`, operand.batchStride ?? packed, bounds);
  const { buffer, offset } = memory instanceof BufferView ? memory : { buffer: memory, offset: 0 };
  if (buffer.context !== context) {
    throw foreignError(`[${name}] of a matrix product`, { owner: buffer.context, user: context });
  }
  if (offset % bytes !== 0) throw bad(`The offset [${offset}] of [${name}] is not a multiple of [${bytes}] bytes.`);
  const byteCount = ((batchCount - 1) * stride + (rows - 1) * ld + columns) * bytes;
  buffer.checkRange({ offset, byteCount });
  return { buffer, offset, byteCount, at: buffer.address + offset, ld, stride };
}

/** Puts the product into the batch. */
export function multiply(context: DeviceContext, options: MultiplyOptions): void {
  const { type = "f32", transposeA = false, transposeB = false, batchCount = 1, alpha = 1, beta = 0 } = options;
  if (!Object.hasOwn(types, type)) {
    throw bad(`The type [${type}] of a matrix product is none of [${Object.keys(types).join(", ")}].`);
  }
  const whole = { least: 1, most: COUNT_MAX };
  const [m, n, k] = (["m", "n", "k"] as const).map((name) => checkWhole(name, options[name], whole)) as [
    number,
    number,
    number,
  ];
  checkWhole("batchCount", batchCount, whole);
  const shared = { context, batchCount, bytes: types[type].bytes };
  const { lda, ldb, ldc, strideA, strideB, strideC } = options;
  const a = place(
    { name: "a", memory: options.a, shape: transposeA ? [k, m] : [m, k], rowStride: lda, batchStride: strideA },
    shared,
  );
  const b = place(
    { name: "b", memory: options.b, shape: transposeB ? [n, k] : [k, n], rowStride: ldb, batchStride: strideB },
    shared,
  );
  const c = place({ name: "c", memory: options.c, shape: [m, n], rowStride: ldc, batchStride: strideC }, shared);
  const fields: MultiplyCall = {
    ...{ a: a.at, b: b.at, c: c.at, strideA: a.stride, strideB: b.stride, strideC: c.stride },
    ...{ m, n, k, lda: a.ld, ldb: b.ld, ldc: c.ld, batchCount, alpha, beta },
    type: types[type].number,
    transposeA: transposeA ? 1 : 0,
    transposeB: transposeB ? 1 : 0,
    ...{ activation: 0, bias: 0, alphaF64: 0, betaF64: 0 },
    stream: streamHandle(options.stream, context),
  };
  context.session.issue(Opcode.multiply, fields, encodeMultiplyCall);
  for (const [index, operand] of [a, b, c].entries())
    noteAddress(operand, { field: index * 8, byteCount: operand.byteCount });
}
