/**
 * Matrix products on a device: the options, and what can be said against them before anything is sent. Which library computes is the
 * server's business.
 */
import { SluiceError } from "../shared/errors.ts";
import { encodeMultiplyCall, type MultiplyCall, Opcode } from "../shared/generated/calls.ts";
import { type DeviceBuffer, type DeviceMemory, noteAddress, placeOf } from "./buffer.ts";
import { type DeviceContext, foreignError } from "./context.ts";
import { checkOptions, type KnownOptions, named } from "./known-options.ts";
import { shown } from "./shown.ts";
import { type Stream, streamHandle } from "./stream.ts";

/** By name: the number on the wire, and the bytes of an element of A and B, and of C. */
const types = {
  f32: { number: 0, factor: 4, result: 4 },
  tf32: { number: 1, factor: 4, result: 4 },
  f16: { number: 2, factor: 2, result: 2 },
  bf16: { number: 3, factor: 2, result: 2 },
  f64: { number: 4, factor: 8, result: 8 },
  "f16-f32": { number: 5, factor: 2, result: 4 },
  "bf16-f32": { number: 6, factor: 2, result: 4 },
  "i8-i32": { number: 7, factor: 1, result: 4 },
} as const;

const activations = { relu: 1, gelu: 2 } as const;

/**
 * `C = alpha op(A) op(B) + beta C`, with a bias and an activation if wished. Matrices stand row by row; op(A) is m x k, op(B) is k x n, C is m x n.
 */
export interface MultiplyOptions {
  /** Rows of C, 1 to 2^31 - 1, as all counts here. */
  readonly m: number;
  /** Columns of C. */
  readonly n: number;
  /** Columns of op(A) and rows of op(B). */
  readonly k: number;
  readonly a: DeviceMemory;
  readonly b: DeviceMemory;
  /** May share no element with A or B. */
  readonly c: DeviceMemory;
  /**
   * Of the elements of all matrices and of the bias; or of A and B, a dash, and that of C and the bias. `tf32` is f32 in memory, rounded to tf32 (10 bits
   * of fraction) for the products: several times faster on a GPU. Sums are f32, of `f64` f64, of `i8-i32` i32, which has no bias and no activation
   * (a GPU may want B transposed alone, and all sizes to be multiples of 4). Default `f32`.
   */
  readonly type?: keyof typeof types;
  /** A stands in memory with k rows and m columns. Default false. */
  readonly transposeA?: boolean;
  /** B stands in memory with n rows and k columns. Default false. */
  readonly transposeB?: boolean;
  /** As f32, with the type `f64` as f64, with `i8-i32` a whole number of 32 bits. Default 1. */
  readonly alpha?: number;
  /** As `alpha`. Default 0: what C holds is not read. */
  readonly beta?: number;
  /** n elements of C's type, each added to its column of every result. Default: none. */
  readonly bias?: DeviceMemory;
  /**
   * What becomes of each result x, its bias added: `relu` makes it 0 where it is below 0, `gelu` x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
   * Default: it stays.
   */
  readonly activation?: keyof typeof activations;
  /** Elements from one row of A in memory to the next (the leading dimension). Default: the columns of A in memory. */
  readonly lda?: number;
  readonly ldb?: number;
  readonly ldc?: number;
  /** Number of products. Default 1. */
  readonly batchCount?: number;
  /** Elements from one A of the batch to the next; 0 where all use the same. Default: its rows times `lda`. */
  readonly strideA?: number;
  readonly strideB?: number;
  /** As `strideA`, but results do not overlap. */
  readonly strideC?: number;
  /** Default: the default stream. */
  readonly stream?: Stream;
}

const known = {
  ...({ m: "number", n: "number", k: "number", a: "any", b: "any", c: "any", type: "any" } as const),
  ...({ transposeA: "boolean", transposeB: "boolean", alpha: "number", beta: "number", bias: "any" } as const),
  ...({ activation: "any", lda: "number", ldb: "number", ldc: "number", batchCount: "number" } as const),
  ...({ strideA: "number", strideB: "number", strideC: "number", stream: "any" } as const),
} satisfies KnownOptions<MultiplyOptions>;

const COUNT_MAX = 2 ** 31 - 1;

/** Where the fields with addresses begin in the body of `multiply`. */
const addressAt = { a: 0, b: 8, c: 16, bias: 104 } as const;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

function checkWhole(name: string, value: number, { least, most }: { least: number; most: number }): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw bad(
    `The [${name}] of a matrix product is [${shown(value)}], and not a whole number from [${least}] to [${most}].`,
  );
}

/** An infinity is passed on, but no number becomes one silently. */
function checkFactor(name: string, value: number, type: keyof typeof types): void {
  const isWide = type === "f64";
  if (type === "i8-i32") checkWhole(name, value, { least: -(2 ** 31), most: 2 ** 31 - 1 });
  const fits = typeof value === "number" && (isWide || !Number.isFinite(value) || Number.isFinite(Math.fround(value)));
  if (!fits) throw bad(`The [${name}] of a matrix product is [${shown(value)}], and not a number of its type.`);
}

interface Operand {
  readonly name: "a" | "b" | "c" | "bias";
  readonly memory: DeviceMemory;
  /** Rows and columns in memory. */
  readonly shape: readonly [rows: number, columns: number];
  readonly rowStride?: number | undefined;
  readonly batchStride?: number | undefined;
}

interface Shared {
  readonly context: DeviceContext;
  readonly batchCount: number;
  /** Of an element. */
  readonly bytes: number;
}

interface Placed {
  readonly name: Operand["name"];
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
  const { buffer, offset } = placeOf(`The [${name}] of a matrix product`, memory);
  if (buffer.context !== context) {
    throw foreignError(`[${name}] of a matrix product`, { owner: buffer.context, user: context });
  }
  if (offset % bytes !== 0) throw bad(`The offset [${offset}] of [${name}] is not a multiple of [${bytes}] bytes.`);
  const byteCount = ((batchCount - 1) * stride + (rows - 1) * ld + columns) * bytes;
  buffer.checkRange({ offset, byteCount });
  return { name, buffer, offset, byteCount, at: buffer.address + offset, ld, stride };
}

/** The results of a batch stand one behind the other, or side by side in the same rows. */
function checkResults({ ld, stride }: Placed, { m, n, batchCount }: MultiplyOptions & { batchCount: number }): void {
  if (batchCount === 1 || stride >= (m - 1) * ld + n) return;
  if (stride >= n && (batchCount - 1) * stride + n <= ld) return;
  throw bad(`The results of a batch of [${batchCount}] overlap: the next begins [${stride}] elements behind the last.`);
}

/** The operands, C and the bias behind A and B. */
function placeAll(context: DeviceContext, options: MultiplyOptions, batchCount: number): Placed[] {
  const { m, n, k, bias, type = "f32", transposeA = false, transposeB = false } = options;
  const { lda, ldb, ldc, strideA, strideB, strideC } = options;
  const { factor, result } = types[type];
  const factors = { context, batchCount, bytes: factor };
  const results = { context, batchCount, bytes: result };
  const shapeA = transposeA ? ([k, m] as const) : ([m, k] as const);
  const shapeB = transposeB ? ([n, k] as const) : ([k, n] as const);
  const placed = [
    place({ name: "a", memory: options.a, shape: shapeA, rowStride: lda, batchStride: strideA }, factors),
    place({ name: "b", memory: options.b, shape: shapeB, rowStride: ldb, batchStride: strideB }, factors),
    place({ name: "c", memory: options.c, shape: [m, n], rowStride: ldc, batchStride: strideC }, results),
  ];
  checkResults(placed[2]!, { ...options, batchCount });
  if (bias !== undefined)
    placed.push(place({ name: "bias", memory: bias, shape: [1, n] }, { ...results, batchCount: 1 }));
  return placed;
}

/** Puts the product into the batch. */
export function multiply(context: DeviceContext, options: MultiplyOptions): void {
  checkOptions("a matrix product", options, known);
  const { m, n, k, type = "f32", transposeA, transposeB, batchCount = 1, alpha = 1, beta = 0, activation } = options;
  const { number } = named("The type of a matrix product", types, type);
  for (const [name, value] of Object.entries({ m, n, k, batchCount })) {
    checkWhole(name, value, { least: 1, most: COUNT_MAX });
  }
  checkFactor("alpha", alpha, type);
  checkFactor("beta", beta, type);
  if (type === "i8-i32" && (options.bias !== undefined || activation !== undefined))
    throw bad("A matrix product of integers has no bias and no activation.");
  const placed = placeAll(context, options, batchCount);
  const [a, b, c, bias] = placed as [Placed, Placed, Placed, Placed | undefined];
  const fields: MultiplyCall = {
    ...{ a: a.at, b: b.at, c: c.at, strideA: a.stride, strideB: b.stride, strideC: c.stride },
    ...{ m, n, k, lda: a.ld, ldb: b.ld, ldc: c.ld, batchCount, alpha, beta, alphaF64: alpha, betaF64: beta },
    type: number,
    transposeA: transposeA ? 1 : 0,
    transposeB: transposeB ? 1 : 0,
    activation: activation === undefined ? 0 : named("The activation of a matrix product", activations, activation),
    bias: bias?.at ?? 0,
    ...{ scaleA: 0, scaleB: 0, narrow: 0 },
    stream: streamHandle(options.stream, context),
  };
  context.session.issue(Opcode.multiply, fields, encodeMultiplyCall);
  for (const operand of placed) noteAddress(operand, { field: addressAt[operand.name], byteCount: operand.byteCount });
}
