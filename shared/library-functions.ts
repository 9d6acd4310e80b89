/**
 * The language of the tables of libraries' functions that travel by `libraryCall` and `libraryAskCall`: all that is known of a function is its line, from which
 * the server calls it and the C client's function is generated. Numbers of functions are places in their list, so it only grows at its end.
 *
 * A key is the function's name, or a family's: `cusolverDn{S,D,C,Z}getrf` are four functions, in whose lines `T` is the element type by the first letter of what
 * stands in the braces (f32, f64, c32, c64), and `R` the real one of it.
 *
 * A line is the function's arguments in order, as `KIND NAME`:
 * - `handle` the library's handle. It does not travel: the call names device and stream. `stream`: the same, but the function takes none.
 * - `i8 i32 u32 i64 u64 f32 f64`, `type`, a cudnnDataType_t (i32), `dataType`, a cudaDataType (i32), `indexType`, a cusparseIndexType_t (i32), and `which`, an i32 that
 *   tells apart what one function sets of a descriptor.
 * - `exact NAME of NUMBER` a u64 that must be just that. It does not travel.
 * - `scalar` pointer to a factor in the host's memory: f64 where the call's data is f64, else f32; one that is absent is 0.
 * - `factor NAME of ELEMENT` pointer to one such element in the host's memory, which takes 16 bytes on the wire.
 * - `value NAME of OTHER` pointer to an element in the host's memory, of the type that the tensor OTHER has.
 * - `pointer NAME` an address on the device. `of SIZE ELEMENT`: with so many elements (size-expression.ts; names are those of the line's integers), which
 *   are bytes without an ELEMENT: `f32 f64 c32 c64 i32 i64`, where c32 is two f32, or the name of a `dataType`. Where the size is 0 or less nothing is checked, and
 *   the library gets 0 for it, or the arena's first address where it may not be absent. `of OTHER`: with as many bytes as what the descriptor OTHER describes; `of OTHER.MEASURE`: as that part of it has, such as the `grid`
 *   of a spatial transformer; `of OTHER.sequences`: 4 for each of those that it describes. `by FUNCTION`: the library takes it by that function, which has a
 *   descriptor before it, and not among the arguments; of no bytes it is not passed at all.
 * - `held NAME` an address on the device that a descriptor, which the call makes or sets, has from then on. How many bytes there are to be behind it is said with the kind of
 *   descriptor (`holds`), and looked at by each function that takes the descriptor. It may be 0.
 * - `unread NAME` an address at which the function does not look. It does not travel.
 * - `hostWork NAME of BYTES` a work area in the host's memory, which is the server's own. It does not travel. So long as that argument says, and no less than the library
 *   itself asks for: beside such a function `NAME` there is `NAME_bufferSize`, or what the library's `teller` says, whose arguments are among its own by their names, and whose results are how large its
 *   work areas are: the first is what `bufferSize` is in sizes, in elements or bytes, and the second that of the host.
 * - `ints NAME of OTHER`, `longs NAME of OTHER` an array of i32 or i64 in the host's memory, with as many elements as that argument, which stands before it, says.
 *   `of OTHER.sequences`: one for each of them; `of OTHER.sum`: as many as the elements of that array are together.
 * - a kind of descriptor, such as `tensor`; with `set` before it the call decides what it describes, with `fill` it does so and gives it something of its own
 *   on the device, unless it has pointers and is given none, which then only sets it; with `new` it comes into being, by all that its line has.
 *   `change` before it: the call changes it, so that it is like no other from then on; `keep`: and it has the call's work areas then, as long as it is used. `of OTHER.area` is
 *   the size of the work area of the pointer's name that it has.
 * - `inout` before `u64`: a number in the host's memory that is given and becomes a result.
 * - `out` before a kind: a result, and `out?` one that a program may do without, before which its argument says whether it is wanted. Of `out ints NAME of OTHER`, of `out? doubles` and of `out perfs`, which are records of what an algorithm of a convolution costs, that argument
 *   says how many there is room for.
 * A function with results and a pointer that must be there computes, as all others with pointers do, in the stream of its handle.
 * A `?` behind the kind of a pointer, descriptor or array lets it be absent; an array that may be has 1 before it where it is there, and 0 where it is not.
 *
 * On the wire every argument but the handle takes 8 bytes, in order: shorter numbers with zeros behind them, descriptors as their handles, 0 for what is
 * absent; an array takes its elements' bytes, padded with zeros to 8, and has their number before it where no argument is just that. Results take nothing
 * there; in the answer they stand in the same manner, an array with as many elements as there was room for.
 */
import { namesOf, parseSize, type SizeExpression } from "./size-expression.ts";

const integers = ["i8", "i32", "u32", "i64", "u64"] as const;
const numbers = [...integers, "f32", "f64", "type", "dataType", "indexType", "which"] as const;
const others = [
  "scalar",
  "value",
  "factor",
  "exact",
  "pointer",
  "held",
  "unread",
  "hostWork",
  "ints",
  "longs",
  "doubles",
  "perfs",
  "descriptor",
] as const;
const roles = ["new", "set", "fill", "change", "keep"] as const;
const kinds = ["handle", "stream", ...numbers, ...others] as const;
export type LibraryArgumentKind = (typeof kinds)[number];

/** Bytes of elements by their words. */
export const elementBytes = { f32: 4, f64: 8, c32: 8, c64: 16, i32: 4, i64: 8 } as const;
export type ElementWord = keyof typeof elementBytes;

/** Bytes of a record of what an algorithm costs: cudnnConvolutionFwdAlgoPerf_t and its like. */
export const DNN_PERF_BYTES = 48;

/** What stands in sizes for what the library asks for, and at the end of the name of the function that tells it. */
export const BUFFER_SIZE = "bufferSize";

/** How much memory there is behind a pointer. */
export interface LibrarySize {
  readonly count: SizeExpression;
  /** Bytes without one; a place is that of the argument which says the type. */
  readonly element: ElementWord | { readonly place: number } | undefined;
}

export interface LibraryArgument {
  readonly kind: LibraryArgumentKind;
  readonly name: string;
  /** Of a descriptor its kind. */
  readonly descriptor: string | undefined;
  /** Whether the call sets the descriptor, fills it, makes it, changes it, or gives it work areas. */
  readonly role: "new" | "set" | "fill" | "change" | "keep" | "used";
  readonly isResult: boolean;
  /** Whether the result is given a number before. */
  readonly isInOut: boolean;
  readonly isOptional: boolean;
  /** Of a pointer with a size of its own; of a factor its one element, and of what is exact its value. */
  readonly size: LibrarySize | undefined;
  /** Else the place of the argument that says how much there is, and what of it says so where it is not all; undefined where nothing does. */
  readonly of: number | undefined;
  readonly measure: string | undefined;
  /** The function that passes it. */
  readonly by: string | undefined;
}

export interface LibraryFunction {
  readonly name: string;
  readonly arguments: readonly LibraryArgument[];
  /** The function that tells how large its work areas are. */
  readonly workAreas: LibraryFunction | undefined;
}

export interface DescriptorKind {
  readonly make: string;
  readonly destroy: string;
  /**
   * Bytes behind the addresses that it holds, by their names, as a size of all numbers that have made and set it, by theirs: a `dataType` and an `indexType` stand for an
   * element's bytes, and what was not set for 0.
   */
  readonly holds?: Readonly<Record<string, string>>;
}

export interface LibrarySpec {
  /** As it is called in sentences. */
  readonly name: string;
  /** As generated names have it. */
  readonly word: string;
  /** Kinds of descriptor by their words, with the functions that make and destroy one. */
  readonly descriptors: Readonly<Record<string, DescriptorKind>>;
  /** Parts of descriptors by which pointers and arrays are measured. */
  readonly measures: readonly string[];
  /** The name of the function that tells how large the work areas of another are, where that is not `NAME_bufferSize`. */
  readonly teller?: (name: string) => string;
  readonly lines: Readonly<Record<string, string>>;
}

export interface Library<W extends string = string> extends Omit<LibrarySpec, "lines"> {
  readonly word: W;
  /** Every function by its number. */
  readonly functions: readonly LibraryFunction[];
}

const isOneOf = <T extends string>(all: readonly T[], word: string | undefined): word is T =>
  all.some((each) => each === word);
const isElement = (word: string | undefined): word is ElementWord => word !== undefined && word in elementBytes;

const families: Readonly<Record<string, readonly [element: ElementWord, real: ElementWord]>> = {
  S: ["f32", "f32"],
  D: ["f64", "f64"],
  C: ["c32", "f32"],
  Z: ["c64", "f64"],
};

/** The functions of a family with their lines; of a plain name that function. */
function members(key: string, line: string): [name: string, line: string][] {
  const parts = /^(\w*)\{([\w,]+)\}(\w*)$/.exec(key);
  if (parts === null) return [[key, line]];
  const [, before = "", alternatives = "", behind = ""] = parts;
  return alternatives.split(",").map((alternative) => {
    const [element, real] = families[alternative[0]!] ?? ["f32", "f32"];
    return [`${before}${alternative}${behind}`, line.replaceAll(/\bT\b/g, element).replaceAll(/\bR\b/g, real)];
  });
}

/** What stands before the name, the name, and how much there is, as texts. */
const shape =
  /^(?:(?<before>out\??|inout|new|set|fill|change|keep) )?(?<word>\w+)(?<optional>\?)?(?: (?<name>\w+))?(?: of (?<of>[^ ]+)(?: (?<element>\w+))?)?(?: by (?<by>\w+))?$/;

/** Reads the lines of one library. */
class LineReader {
  readonly #spec: LibrarySpec;

  constructor(spec: LibrarySpec) {
    this.#spec = spec;
  }

  read(name: string, line: string): Omit<LibraryFunction, "workAreas"> {
    const texts = line.split(", ");
    const all = texts.map((text) => {
      const groups = shape.exec(text)?.groups;
      if (groups === undefined) throw this.#wrong(text);
      const { word = "", name: own = word } = groups;
      return { ...groups, text, word, name: own, kind: this.#kindOf(text, word) };
    });
    const [names, kindsOf] = [all.map((each) => each.name), all.map(({ kind }) => kind)];
    const place = (text: string, other: string): number => {
      const found = names.indexOf(other);
      if (found < 0) throw this.#wrong(text);
      return found;
    };
    return {
      name,
      arguments: all.map((groups) => {
        const { text, kind, word, name: own }: (typeof all)[number] = groups;
        const { before, optional, of, element, by } = groups as Readonly<Partial<Record<string, string>>>;
        const [other = "", measure] = /^\w+(\.\w+)?$/.test(of ?? "") ? of!.split(".") : [];
        const isBy = kind !== "pointer" || measure !== undefined || kindsOf[names.indexOf(other)] === "descriptor";
        const isOne = kind === "factor";
        const isSized = of !== undefined && (!isBy || isOne || kind === "exact");
        const isCounted = ["ints", "longs", "doubles", "perfs", "value", "hostWork", "factor", "exact"].includes(kind);
        if (isCounted && of === undefined) throw this.#wrong(text);
        if (measure !== undefined && !isOneOf(this.#spec.measures, measure)) throw this.#wrong(text);
        if (element !== undefined && !isSized) throw this.#wrong(text);
        return {
          kind,
          name: own,
          descriptor: kind === "descriptor" ? word : undefined,
          role: isOneOf(roles, before) ? before : "used",
          isResult: before === "out" || before === "out?" || before === "inout",
          isInOut: before === "inout",
          isOptional: optional === "?" || before === "out?",
          size: isSized
            ? this.#sizeOf(text, isOne ? { of: "1", element: of } : { of, element }, place, kindsOf)
            : undefined,
          of: of === undefined || isSized ? undefined : place(text, other),
          measure,
          by,
        };
      }),
    };
  }

  #kindOf(text: string, word: string): LibraryArgumentKind {
    if (word in this.#spec.descriptors) return "descriptor";
    if (isOneOf(kinds, word) && word !== "descriptor") return word;
    throw this.#wrong(text);
  }

  #sizeOf(
    text: string,
    { of, element }: { readonly of: string; readonly element: string | undefined },
    place: (text: string, name: string) => number,
    kindsOf: readonly LibraryArgumentKind[],
  ): LibrarySize {
    const count = parseSize(of);
    for (const name of namesOf(count)) {
      if (name === BUFFER_SIZE) continue;
      const kind = kindsOf[place(text, name)];
      if (!isOneOf(integers, kind) && kind !== "dataType") throw this.#wrong(text);
    }
    if (element === undefined || isElement(element)) return { count, element };
    const type = place(text, element);
    if (kindsOf[type] !== "dataType") throw this.#wrong(text);
    return { count, element: { place: type } };
  }

  #wrong(text: string): Error {
    return new Error(`An argument of ${this.#spec.name}'s table of functions is [${text}].`);
  }
}

/** Whether a pointer is to a work area: as large as another function says, or as a number that the library has told before. */
export function isWorkArea({ kind, size }: LibraryArgument, all: readonly LibraryArgument[]): boolean {
  if (kind !== "pointer" || size === undefined) return false;
  const names = namesOf(size.count);
  return names.includes(BUFFER_SIZE) || all.some(({ name, isInOut }) => isInOut && names.includes(name));
}

/** Whether it has work areas that are as large as another function says. */
const hasWorkAreas = (all: readonly LibraryArgument[]): boolean =>
  all.some(
    ({ kind, size }) => kind === "hostWork" || (size !== undefined && namesOf(size.count).includes(BUFFER_SIZE)),
  );

function readFunctions(spec: LibrarySpec): readonly LibraryFunction[] {
  const reader = new LineReader(spec);
  const functions: LibraryFunction[] = [];
  for (const [name, line] of Object.entries(spec.lines).flatMap(([key, each]) => members(key, each))) {
    const read = reader.read(name, line);
    const telling = spec.teller?.(name) ?? `${name}_${BUFFER_SIZE}`;
    const teller = functions.find((each) => each.name === telling);
    const has = hasWorkAreas(read.arguments);
    if (has && teller === undefined) throw new Error(`Nothing tells how large the work areas of [${name}] are.`);
    functions.push({ ...read, workAreas: has ? teller : undefined });
  }
  return functions;
}

/** A library by its table, which is read when its functions are first asked for: all tables together take a good part of an executor's start. */
export function readLibrary<W extends string>(given: LibrarySpec & { readonly word: W }): Library<W> {
  const { lines: _, ...spec } = given;
  let functions: readonly LibraryFunction[] | undefined;
  return {
    ...spec,
    /** @throws Error where a line is none */
    get functions() {
      functions ??= readFunctions(given);
      return functions;
    },
  };
}
