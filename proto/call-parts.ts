/**
 * What several calls of the table have in common: fields of theirs and of their answers, and errors. As in `calls.ts`, a field that is released
 * stays what it is, in all calls that have it.
 */
import type { Field } from "./messages.ts";

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
