/**
 * What several calls of the table have in common: fields of theirs and of their answers, and errors. As in `calls.ts`, a field that is released
 * stays what it is, in all calls that have it.
 */
import type { Field } from "./messages.ts";

/** Of the calls that load a module. */
export const leavesEnd = [
  "leavesEnd",
  "u32",
  "0: it may take memory from the arena's end, where nothing may be allocated until the answer is there; 1: it may not, and where it would have to it fails with OUT_OF_MEMORY",
] as const;

/** What is told of a loaded module. */
export const moduleFields = [
  ["kernels", { list: "KernelInfo" }, "every kernel; its position in this list is its index in `launch`"],
  ["globals", { list: "GlobalInfo" }, "every variable in global or constant memory of the module"],
  ["reservedBytes", "u64", "bytes at the arena's end that modules and stacks have: they are not there to be allocated"],
] as const;

/** Of what makes a texture or a surface. */
export const imageErrors = [
  "BAD_ARGUMENT",
  "ADDRESS_OUTSIDE_ARENA",
  "NOT_ALLOCATED",
  "HANDLE_IN_USE",
  "TOO_MANY_HANDLES",
  "UNSUPPORTED",
] as const;

/** Where the texels of a texture or a surface are, and what they are. */
export const texels = [
  ["address", "u64", "address of the first texel, a multiple of a texel's bytes"],
  ["rowBytes", "u64", "bytes from one row to the next, a multiple of a texel's bytes"],
  ["planeBytes", "u64", "bytes from one plane or layer to the next, a multiple of a texel's bytes"],
  ["width", "u32", "texels in a row, 1 or more"],
  ["height", "u32", "rows; 0 in one dimension"],
  ["depth", "u32", "planes; 0 in less than three dimensions"],
  ["layers", "u32", "layers; 0 where there are none"],
  [
    "format",
    "u32",
    "of a number, as in CUarray_format of cuda.h: 1 u8, 2 u16, 3 u32, 8 s8, 9 s16, 10 s32, 16 f16, 32 f32",
  ],
  ["channels", "u32", "numbers per texel: 1, 2 or 4"],
] as const satisfies readonly Field[];

/** What a matrix product may fail with. */
export const productErrors = [
  "BAD_ARGUMENT",
  "ADDRESS_OUTSIDE_ARENA",
  "NOT_ALLOCATED",
  "NO_SUCH_HANDLE",
  "UNSUPPORTED",
  "OUT_OF_MEMORY",
  "KERNEL_TIMEOUT",
] as const;

/** Of a matrix product. */
export const productFields = [
  ["a", "u64", "address of A: op(A) has m rows and k columns"],
  ["b", "u64", "address of B: op(B) has k rows and n columns"],
  ["c", "u64", "address of C, of m rows and n columns; it shares no element with A or B"],
  ["strideA", "u64", "elements from one A of the batch to the next; 0 where all products use the same"],
  ["strideB", "u64", "elements from one B of the batch to the next; 0 where all products use the same"],
  ["strideC", "u64", "elements from one C of the batch to the next; they do not overlap"],
  ["m", "u32", "rows of C, 1 to 2^31-1"],
  ["n", "u32", "columns of C, 1 to 2^31-1"],
  ["k", "u32", "columns of op(A), 1 to 2^31-1"],
  ["lda", "u32", "elements from one row of A in memory to the next, at least its columns in memory, at most 2^31-1"],
  ["ldb", "u32", "the same of B"],
  ["ldc", "u32", "the same of C"],
  ["batchCount", "u32", "number of products, 1 to 2^31-1"],
  [
    "type",
    "u32",
    "of all operands: 0 f32, 1 tf32 (f32 in memory, rounded to tf32 for the products), 2 f16, 3 bf16, 4 f64; or of A and B, and C is f32: 5 f16, 6 bf16; or A and B are i8, and C is i32: 7",
  ],
  ["transposeA", "u32", "1 where A stands transposed in memory (k rows, m columns), else 0"],
  ["transposeB", "u32", "1 where B stands transposed in memory (n rows, k columns), else 0"],
  ["alpha", "f32", "factor of the product"],
  ["beta", "f32", "factor of what C holds; with 0 it is not read"],
  ["stream", "u32", "stream handle, 0 for the default stream"],
  [
    "activation",
    "u32",
    "what becomes of each result, its bias added: 0 it stays, 1 below 0 it becomes 0 (ReLU), 2 x becomes x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (GELU); of i8 0",
  ],
  ["bias", "u64", "address of n elements of C's type, each added to its column of C; 0 for none, as of i8"],
  [
    "alphaF64",
    "f64",
    "in place of alpha where the type is f64, or of i8: then a whole number of 32 bits; else not read",
  ],
  ["betaF64", "f64", "the same in place of beta"],
  [
    "scaleA",
    "u64",
    "address of an f32 by which the product is multiplied, beside alpha; 0 for none, as where narrow is 0",
  ],
  ["scaleB", "u64", "the same of B"],
  [
    "narrow",
    "u32",
    "floats of 8 bits that A and B are: 0 none; 1 both e4m3, 2 A e4m3 and B e5m2, 3 A e5m2 and B e4m3, and the type, 0, 2 or 3, is C's alone",
  ],
] as const satisfies readonly Field[];
