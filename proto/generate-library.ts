/**
 * Writes client/interposer/generated/WORD-functions.h for each library: its functions that travel, for the C client, each of which packs its arguments by helpers
 * that the client writes by hand. What comes first, and what is packed how, shared/library-functions.ts says.
 */
import { libraryNumber } from "../shared/libraries.ts";
import {
  BUFFER_SIZE,
  elementBytes,
  type Library,
  type LibraryArgument,
  type LibraryArgumentKind,
  type LibraryFunction,
  type LibrarySize,
} from "../shared/library-functions.ts";
import type { SizeExpression } from "../shared/size-expression.ts";

const snake = (name: string): string => name.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();

const numberTypes: Partial<Record<LibraryArgumentKind, string>> = {
  i8: "signed char ",
  i32: "int32_t ",
  u32: "uint32_t ",
  i64: "int64_t ",
  u64: "uint64_t ",
  f32: "float ",
  f64: "double ",
  type: "int32_t ",
  dataType: "int32_t ",
  indexType: "int32_t ",
  which: "int32_t ",
  exact: "uint64_t ",
};
/** Elements of arrays. */
const elementTypes: Partial<Record<LibraryArgumentKind, string>> = {
  ints: "int32_t",
  longs: "int64_t",
  doubles: "double",
  perfs: "struct sluice_dnn_perf",
};

function parameter({ kind, name, isResult, role }: LibraryArgument): string {
  const number = numberTypes[kind];
  if (number !== undefined) return `${number}${isResult ? "*" : ""}${name}`;
  const element = elementTypes[kind];
  if (element !== undefined) return `${isResult ? "" : "const "}${element} *${name}`;
  if (isResult || role === "new") return `void **${name}`;
  return kind === "scalar" || kind === "value" || kind === "factor" || kind === "unread" || kind === "hostWork"
    ? `const void *${name}`
    : `void *${name}`;
}

/** How many elements an array has, in C. */
function count({ of, measure }: LibraryArgument, all: readonly LibraryArgument[]): string {
  const counted = all[of!]!;
  if (measure === "sequences") return `sluice_dnn_sequences(${counted.name})`;
  return measure === "sum" ? `sluice_dnn_sum(${counted.name}, ${count(counted, all)})` : counted.name;
}

/** An expression in C, in numbers that never overflow. How much the library asks for is not known here, but that it is something. */
function size(expression: SizeExpression, all: readonly LibraryArgument[]): string {
  const inner = (each: SizeExpression): string => size(each, all);
  if ("name" in expression) {
    const { name } = expression;
    const isInOut = all.some((each) => each.isInOut && each.name === name);
    return name === BUFFER_SIZE ? "1.0" : isInOut ? `sluice_given(${name})` : `(double)${name}`;
  }
  if ("value" in expression) return `${expression.value}.0`;
  if ("reach" in expression) return `sluice_reach(${expression.reach.map(inner).join(", ")})`;
  const { operation, left, right } = expression;
  if (operation === "max" || operation === "min") return `sluice_${operation}(${inner(left)}, ${inner(right)})`;
  return `(${inner(left)} ${operation} ${inner(right)})`;
}

/** Bytes behind a pointer, as far as the arguments alone say it. */
function bytesBehind({ size: sized }: LibraryArgument, all: readonly LibraryArgument[]): string {
  if (sized === undefined) return "1.0";
  return sized.element === undefined
    ? size(sized.count, all)
    : `${size(sized.count, all)} * ${bytesEach(sized.element, all)}`;
}

const bytesEach = (element: NonNullable<LibrarySize["element"]>, all: readonly LibraryArgument[]): string =>
  typeof element === "object" ? `sluice_data_type_bytes(${all[element.place]!.name})` : `${elementBytes[element]}`;

const kindName = ({ word }: Library, descriptor: string): string => `SLUICE_${word}_${snake(descriptor)}`.toUpperCase();

/** The call that packs an argument; undefined for one that leaves no trace. */
function packing(argument: LibraryArgument, { arguments: all }: LibraryFunction, library: Library): string | undefined {
  const { kind, name, descriptor, role, isOptional, isResult, of, measure, by } = argument;
  // Whether what is passed by a function of its own may be absent follows from the descriptor, of which the server knows more.
  const optional = isOptional || by !== undefined ? "true" : "false";
  if (kind === "unread" || kind === "hostWork") return `(void)${name}`;
  if (kind === "handle" || kind === "stream") return `sluice_call_handle(&call, ${name})`;
  if (kind === "descriptor") {
    const which = kindName(library, descriptor!);
    if (role === "used") return `sluice_call_descriptor(&call, ${name}, ${which}, ${optional})`;
    if (role === "set") return `sluice_call_set_descriptor(&call, ${name}, ${which}, ${optional})`;
    return `sluice_call_${role === "keep" ? "change" : role}_descriptor(&call, ${name}, ${which})`;
  }
  if (kind === "factor")
    return `sluice_call_factor(&call, ${name}, (size_t)${bytesEach(argument.size!.element!, all)})`;
  if (kind === "exact") return `sluice_call_exact(&call, ${name}, ${size(argument.size!.count, all)})`;
  if (kind === "held") return `sluice_call_held(&call, ${name})`;
  if (argument.isInOut) return `sluice_call_inout(&call, ${name})`;
  if (kind === "value") return `sluice_dnn_value(&call, ${name}, ${all[of!]!.name})`;
  if (elementTypes[kind] !== undefined) {
    if (isResult && isOptional)
      return `sluice_call_out_optional(&call, ${name}, ${count(argument, all)}, sizeof *${name})`;
    if (isResult) return `sluice_call_out_array(&call, ${name}, ${count(argument, all)}, sizeof *${name})`;
    const counted = `${name}, ${count(argument, all)}`;
    if (measure !== undefined) return `sluice_call_counted_ints(&call, ${counted})`;
    return `sluice_call_array(&call, ${counted}, sizeof *${name}, ${optional})`;
  }
  if (kind === "pointer" && isResult) return `sluice_call_out_${isOptional ? "optional_" : ""}pointer(&call, ${name})`;
  if (isResult) return `sluice_call_out(&call, ${name}, sizeof *${name})`;
  if (kind === "pointer") return `sluice_call_pointer(&call, ${name}, ${optional}, ${bytesBehind(argument, all)})`;
  if (kind === "dataType" || kind === "indexType") return `sluice_call_i32(&call, ${name})`;
  return `sluice_call_${kind}(&call, ${name}${kind === "scalar" ? `, ${optional}` : ""})`;
}

function definition(f: LibraryFunction, number: number, library: Library): string {
  const { name, arguments: all } = f;
  const steps = all.map((argument) => `    ${packing(argument, f, library)};\n`).join("");
  return `SLUICE_API int SLUICE_NAME(${name})(${all.map(parameter).join(", ")}) {
    struct sluice_call call;
    sluice_call_begin(&call, ${number}, "${name}");
${steps}    return sluice_call_end(&call);
}
`;
}

export function generateLibrary(library: Library): string {
  const { word, descriptors, functions } = library;
  const all = Object.entries(descriptors);
  const numbers = all.map(([kind], index) => `    ${kindName(library, kind)} = ${index + 1},\n`);
  const makers = all.map(([, { make }]) => functions.findIndex(({ name }) => name === make));
  const destroyers = all.map(
    ([kind, { destroy }]) => `SLUICE_API int SLUICE_NAME(${destroy})(void *descriptor) {
    return sluice_call_destroy(descriptor, ${kindName(library, kind)});
}
`,
  );
  return `/* Generated by proto/generate.ts from shared/${word}-functions.ts. Do not edit.
   Whoever includes the functions has included library/call.h and defined SLUICE_API, and SLUICE_NAME, which gives a function its name here. */
#ifdef SLUICE_LIBRARY_FUNCTIONS
${[...destroyers, ...functions.map((f, number) => definition(f, number, library))].join("\n")}#else
/* On the wire. */
enum { SLUICE_${word.toUpperCase()}_NUMBER = ${libraryNumber(library)} };
${
  numbers.length === 0
    ? ""
    : `/* Kinds of descriptor. */
enum sluice_${word}_kind {
${numbers.join("")}};
`
}/* The number of the function that makes a descriptor, by its kind. */
static const uint32_t sluice_${word}_makers[] __attribute__((unused)) = {${[0, ...makers].join(", ")}};
#endif
`;
}
