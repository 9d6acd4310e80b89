/**
 * A library's functions, all called in one way by their lines in its table: arguments are taken out of their packing, handles become descriptors, addresses are
 * checked for as many bytes as the function will take them to have, and arrays are as long as the counts beside them say.
 */
import { createHash } from "node:crypto";
import { SluiceError } from "../../../shared/errors.ts";
import {
  BUFFER_SIZE,
  DNN_PERF_BYTES,
  elementBytes,
  isWorkArea,
  type LibraryArgument,
  type LibraryArgumentKind,
  type LibraryFunction,
  type LibrarySize,
} from "../../../shared/library-functions.ts";
import { CALL_DATA_BYTES_MAX } from "../../../shared/limits.ts";
import { namesOf, parseSize, type SizeExpression, sizeOf } from "../../../shared/size-expression.ts";
import type { LibraryLookup } from "../libraries.ts";
import { HOST_WORK_BYTES_MAX } from "./host-work.ts";
import type { CudaDescriptor } from "./library-descriptors.ts";
import type { LibraryExtents, LibraryValue, NativeLibrary } from "./native-library.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** Kinds of arguments that are memory of the host's. */
const inMemory: readonly LibraryArgumentKind[] = ["ints", "longs", "scalar", "factor", "value", "hostWork"];
/** Bytes of the largest element, CUDNN_DATA_INT8x32. */
const ELEMENT_BYTES_MAX = 32;
/** What an array of results has behind it: libraries fill as many as there are dimensions, whatever they were told, and none has more of them. */
const SPARE_BYTES = 64;
/** Bytes of elements of arrays. */
const arrayBytes: Partial<Record<LibraryArgumentKind, number>> = {
  ...{ ints: 4, longs: 8, doubles: 8, perfs: DNN_PERF_BYTES },
};
/** Most that a work area in the server's memory may have beyond what the library asks for. */
const HOST_WORK_SPARE_BYTES = 1024 * 1024;
/** Bytes of an element by its cudaDataType: real and complex ones of f16, f32, f64, bf16, and integers. */
const dataTypeBytes: Readonly<Record<number, number>> = {
  ...{ 2: 2, 6: 4, 0: 4, 4: 8, 1: 8, 5: 16, 14: 2, 15: 4 },
  ...{ 3: 1, 7: 2, 8: 1, 9: 2, 10: 4, 11: 8, 12: 4, 13: 8, 20: 2, 21: 4, 22: 2, 23: 4, 24: 8, 25: 16, 26: 8, 27: 16 },
};

/** The same by its cusparseIndexType_t. */
const indexTypeBytes: Readonly<Record<number, number>> = { 1: 2, 2: 4, 3: 8 };

/** koffi's types for what is passed by value; everything else is an address. */
const nativeNumbers: Partial<Record<LibraryArgumentKind, string>> = {
  i8: "int8_t",
  i32: "int32_t",
  u32: "uint32_t",
  i64: "int64_t",
  u64: "uint64_t",
  f32: "float",
  f64: "double",
  type: "int32_t",
  dataType: "int32_t",
  indexType: "int32_t",
  which: "int32_t",
};

/** Whether the function itself takes it. */
const isPassed = ({ kind, by }: LibraryArgument): boolean => kind !== "stream" && by === undefined;

/** A call with its arguments as the library takes them. */
export interface PreparedCall {
  readonly called: LibraryFunction;
  /** One for each argument. */
  readonly values: readonly LibraryValue[];
  /** In order; each padded to 8 bytes. */
  readonly results: readonly Uint8Array[];
  /** Descriptors that it makes, with the client's handles, that it sets, and that it takes as they are. */
  readonly made: readonly { readonly handle: number; readonly kind: string; readonly into: BigUint64Array }[];
  readonly set: readonly CudaDescriptor[];
  readonly used: readonly CudaDescriptor[];
  /** Of those that it uses what it changes, and whether it gives them its work areas. */
  readonly changed: readonly { readonly descriptor: CudaDescriptor; readonly keeps: boolean }[];
  /** Of what it sets, where the library does not tell. */
  readonly extents: LibraryExtents | undefined;
  /** Tells calls apart that may have the library load other code: all but where data is, data itself, and factors that are passed as numbers. */
  readonly shape: string;
  /** Whether it has the device compute, in a stream. */
  readonly computes: boolean;
  /** The library's to use until that is done. */
  readonly hostWork: readonly Uint8Array[];
  /** Whether it gives a descriptor something on the device. */
  readonly fills: boolean;
}

/** Takes arguments out of their bytes, in order. */
class Unpacker {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A copy of the next bytes, which are padded to 8. */
  bytes(byteCount: number): Uint8Array {
    const start = this.#at;
    this.#at += Math.ceil(byteCount / 8) * 8;
    if (this.#at > this.#bytes.byteLength) throw bad(`Arguments of [${this.#bytes.byteLength}] bytes are too short.`);
    return this.#bytes.slice(start, start + byteCount);
  }

  number(kind: LibraryArgumentKind): number | bigint {
    const at = this.#at;
    this.bytes(8);
    switch (kind) {
      case "i8":
        return this.#view.getInt8(at);
      case "i32":
      case "type":
      case "dataType":
      case "indexType":
      case "which":
        return this.#view.getInt32(at, true);
      case "i64":
        return this.#view.getBigInt64(at, true);
      case "u64":
      case "pointer":
      case "held":
        return this.#view.getBigUint64(at, true);
      case "f32":
        return this.#view.getFloat32(at, true);
      case "f64":
        return this.#view.getFloat64(at, true);
      default:
        return this.#view.getUint32(at, true);
    }
  }

  finish(): void {
    if (this.#at !== this.#bytes.byteLength) throw bad(`Arguments of [${this.#bytes.byteLength}] bytes are too long.`);
  }
}

/** What must be checked once all arguments are known: a pointer, or how many elements an array has. */
interface Unchecked {
  readonly place: number;
  readonly argument: LibraryArgument;
  readonly given: bigint;
}

interface WantedResult extends Pick<LibraryArgument, "kind" | "of"> {
  readonly place: number;
  /** What the number is before. */
  readonly given: bigint | undefined;
}

/** One call while its arguments are taken out. */
class Preparation {
  readonly values: LibraryValue[] = [];
  readonly results: Uint8Array[] = [];
  readonly made: PreparedCall["made"][number][] = [];
  readonly set: CudaDescriptor[] = [];
  readonly used: CudaDescriptor[] = [];
  readonly changed: PreparedCall["changed"][number][] = [];
  /** Numbers that become results, by their places. */
  readonly given = new Map<number, bigint>();
  readonly shape: unknown[] = [];
  readonly descriptors = new Map<number, CudaDescriptor>();
  readonly pointers: Unchecked[] = [];
  readonly arrays: Unchecked[] = [];
  readonly #wanted: WantedResult[] = [];
  readonly #native: NativeLibrary;
  readonly #unpacker: Unpacker;
  readonly #lookup: LibraryLookup;

  constructor(native: NativeLibrary, packed: Uint8Array, lookup: LibraryLookup) {
    this.#native = native;
    this.#unpacker = new Unpacker(packed);
    this.#lookup = lookup;
  }

  /** Takes the next argument. @throws SluiceError BAD_ARGUMENT and what the lookup throws */
  take(argument: LibraryArgument, { arenaBase }: { readonly arenaBase: number }): void {
    const { kind, isResult, role } = argument;
    if (kind === "handle" || kind === "stream") this.values.push(this.#native.handle);
    else if (kind === "unread") this.values.push(arenaBase);
    else if (kind === "hostWork") this.values.push(null);
    else if (kind === "exact") this.values.push(sizeOf(argument.size!.count, () => 0n));
    else if (isResult) this.#takeResult(argument);
    else if (role === "new") {
      const into = new BigUint64Array(1);
      this.made.push({ handle: Number(this.#unpacker.number(kind)), kind: argument.descriptor!, into });
      this.values.push(into);
    } else if (kind === "descriptor") this.#takeDescriptor(argument);
    else if (kind === "pointer") this.#takePointer(argument);
    else if (kind === "held") this.values.push(this.#unpacker.number(kind));
    else if (inMemory.includes(kind)) this.#takeMemory(argument);
    else {
      const value = this.#unpacker.number(kind);
      // Factors and the like: the same code takes any.
      if (kind !== "f32" && kind !== "f64") this.shape.push(value);
      this.values.push(value);
    }
  }

  finish(): void {
    this.#unpacker.finish();
    for (const wanted of this.#wanted) this.#makeRoom(wanted);
  }

  #takeResult({ kind, of, isOptional, isInOut }: LibraryArgument): void {
    const given = isInOut ? (this.#unpacker.number("u64") as bigint) : undefined;
    const isWanted = !isOptional || this.#unpacker.number("u64") !== 0n;
    const place = this.values.push(null) - 1;
    if (given !== undefined) this.given.set(place, given);
    if (isWanted) this.#wanted.push({ kind, of, place, given });
  }

  /** How many there are is known once all arguments are. */
  #makeRoom({ kind, of, place, given }: WantedResult): void {
    const each = arrayBytes[kind];
    const byteCount = each === undefined ? 8 : each * countOf(this.values[of!], each);
    const room = new Uint8Array(byteCount + SPARE_BYTES);
    if (given !== undefined) new DataView(room.buffer).setBigUint64(0, given, true);
    this.results.push(room.subarray(0, byteCount));
    this.values[place] = room;
  }

  #takeDescriptor(argument: LibraryArgument): void {
    const handle = Number(this.#unpacker.number("descriptor"));
    const { role } = argument;
    const isChanged = role === "change" || role === "keep";
    const isSet = role !== "used" && !isChanged;
    const found = handle === 0 && argument.isOptional ? undefined : this.#descriptorOf(handle, argument);
    if (found !== undefined) {
      this.descriptors.set(this.values.length, found);
      (isSet ? this.set : this.used).push(found);
      if (isChanged) this.changed.push({ descriptor: found, keeps: role === "keep" });
    }
    this.shape.push(isSet ? 0 : found?.setting);
    this.values.push(found?.handle ?? 0);
  }

  #descriptorOf(handle: number, { name, descriptor: kind }: LibraryArgument): CudaDescriptor {
    const found = this.#lookup.descriptor(handle) as CudaDescriptor;
    if (found.what === kind) return found;
    throw bad(`The descriptor [${handle}] for [${name}] is of the kind [${found.what}], not [${kind}].`);
  }

  #takePointer(argument: LibraryArgument): void {
    const address = this.#unpacker.number("pointer") as bigint;
    if (address !== 0n || !argument.isOptional || isMeasuredArea(argument))
      this.pointers.push({ place: this.values.length, argument, given: address });
    this.shape.push(address === 0n);
    this.values.push(address);
  }

  #takeMemory(argument: LibraryArgument): void {
    const { kind, of, measure, isOptional } = argument;
    const isArray = kind === "ints" || kind === "longs";
    const isData = measure !== undefined;
    if (isArray && isOptional && this.#unpacker.number("u64") === 0n) {
      this.shape.push(null);
      this.values.push(null);
      return;
    }
    const each = kind === "longs" || kind === "factor" ? 8 : 4;
    const count = !isArray ? 2 : isData ? this.#unpacker.number("u64") : this.values[of!]!;
    if (isData) this.arrays.push({ place: this.values.length, argument, given: count as bigint });
    const value = this.#unpacker.bytes(each * countOf(count, each));
    if (!isData) this.shape.push(Buffer.from(value).toString("hex"));
    this.values.push(kind === "value" ? widened(value) : value);
  }
}

export class LibraryFunctions {
  readonly #native: NativeLibrary;
  readonly #arenaBase: number;
  /** Sizes of what descriptors hold, by their kinds. */
  readonly #holds: ReadonlyMap<number | string, readonly (readonly [name: string, size: SizeExpression])[]>;
  /** By name; absent where the library has none. */
  readonly #bound = new Map<string, ((...values: readonly unknown[]) => number) | undefined>();

  constructor(native: NativeLibrary, { arenaBase }: { readonly arenaBase: number }) {
    this.#native = native;
    this.#arenaBase = arenaBase;
    const sizes = (holds: Readonly<Record<string, string>>) =>
      Object.entries(holds).map(([name, size]) => [name, parseSize(size)] as const);
    this.#holds = new Map(
      Object.entries(native.table.descriptors).flatMap(([kind, { holds }]) =>
        holds === undefined ? [] : [[kind, sizes(holds)] as const],
      ),
    );
  }

  /** @throws SluiceError BAD_ARGUMENT and what `lookup` throws, before anything is done */
  prepare(number: number, packed: Uint8Array, lookup: LibraryLookup): PreparedCall {
    const { table } = this.#native;
    const called = table.functions[number];
    if (called === undefined) throw bad(`${table.name} has no function [${number}].`);
    const taken = new Preparation(this.#native, packed, lookup);
    for (const argument of called.arguments) taken.take(argument, { arenaBase: this.#arenaBase });
    taken.finish();
    const { values, results, made, set, used, changed, shape, pointers } = taken;
    // A descriptor that could not be made or set is not shown to the library.
    const isSound = used.every(({ failure }) => failure === undefined);
    if (isSound) for (const descriptor of used) this.#checkHeld(descriptor, lookup);
    const areas = isSound ? this.#workAreas(called, values) : [];
    const hostWork = this.#hostWork(called, values, areas[1] ?? 0n);
    this.#check(called, taken, { lookup, areas });
    return {
      ...{ called, values, results, made, set, used, changed, hostWork },
      extents: this.#native.extentsSet(called, values),
      // Of one length, since it becomes a part of others.
      shape: createHash("sha256")
        .update([called.name, ...shape].join())
        .digest("base64"),
      computes:
        (pointers.length > 0 || changed.length > 0) &&
        called.arguments.some(({ kind }) => kind === "handle" || kind === "stream"),
      // Given none of the memory that it would fill, it only sets the descriptor.
      fills:
        called.arguments.some(({ role }) => role === "fill") &&
        (pointers.length > 0 || called.arguments.every(({ kind }) => kind !== "pointer")),
    };
  }

  /** Calls the function, with the library's stream as it is. Undefined where the library has none of that name. */
  call({ called, values, used }: PreparedCall): number | undefined {
    for (const [place, { by }] of called.arguments.entries()) {
      if (by === undefined || values[place] === 0n) continue;
      const status = this.#function(by, [this.#native.descriptorType, "uint64_t"])?.(used[0]!.handle, values[place]);
      if (status !== 0) return status;
    }
    const passed = called.arguments.filter(isPassed);
    const types = passed.map((argument) => this.#nativeType(argument));
    return this.#function(called.name, types)?.(...values.filter((_, place) => isPassed(called.arguments[place]!)));
  }

  /** The library's destroyer of a kind of descriptor. */
  destroy({ handle, what }: CudaDescriptor): void {
    const { descriptors } = this.#native.table;
    this.#function(descriptors[what]!.destroy, [this.#native.descriptorType])?.(handle);
  }

  #function(name: string, types: readonly string[]): ((...values: readonly unknown[]) => number) | undefined {
    if (!this.#bound.has(name)) this.#bound.set(name, this.#native.bind(name, types));
    return this.#bound.get(name);
  }

  #nativeType({ kind, isResult, role }: LibraryArgument): string {
    if (isResult || role === "new" || inMemory.includes(kind)) return "void *";
    return kind === "descriptor" ? this.#native.descriptorType : (nativeNumbers[kind] ?? "uint64_t");
  }

  /** How large the library wants a function's work areas to be; nothing for one that has none. @throws SluiceError BAD_ARGUMENT */
  #workAreas({ name, arguments: own, workAreas: teller }: LibraryFunction, values: readonly LibraryValue[]): bigint[] {
    if (teller === undefined) return [];
    const results: BigInt64Array[] = [];
    const given = teller.arguments.map(({ name: each, kind, isResult }) => {
      if (kind === "handle") return this.#native.handle;
      if (kind === "unread") return this.#arenaBase;
      // Where the function itself takes no factors, any will do.
      if (!isResult) return values[own.findIndex((argument) => argument.name === each)] ?? new Uint8Array(16);
      results.push(new BigInt64Array(1));
      return results.at(-1);
    });
    const types = teller.arguments.map((argument) => this.#nativeType(argument));
    const status = this.#function(teller.name, types)?.(...given) ?? 0;
    if (status === 0) return results.map(([size]) => size!);
    throw bad(`${this.#native.table.name} has no size for the work areas of this [${name}]: [status ${status}].`);
  }

  /** Makes the work areas in the server's own memory. @throws SluiceError BAD_ARGUMENT, OUT_OF_MEMORY */
  #hostWork(called: LibraryFunction, values: LibraryValue[], wanted: bigint): Uint8Array[] {
    const areas: Uint8Array[] = [];
    for (const [place, { kind, of }] of called.arguments.entries()) {
      if (kind !== "hostWork") continue;
      const [given, asked] = [Number(values[of!]), Number(wanted)];
      const byteCount = Math.max(given, asked);
      if (given > asked + HOST_WORK_SPARE_BYTES) {
        throw bad(`A work area of [${given}] bytes on the host is much more than the [${asked}] that are asked for.`);
      }
      // Before it is made: the sum of all is looked at behind.
      if (byteCount > HOST_WORK_BYTES_MAX) {
        const wanted = `a work area of [${byteCount}] bytes on the host`;
        throw new SluiceError("OUT_OF_MEMORY", `The server has no room for ${wanted} for [${called.name}].`);
      }
      const area = new Uint8Array(Math.max(1, byteCount));
      areas.push(area);
      values[place] = area;
    }
    return areas;
  }

  /** Sees to the memory that a descriptor holds, and the work areas that it has. @throws SluiceError BAD_ARGUMENT and what `lookup` throws */
  #checkHeld({ what, facts, areas }: CudaDescriptor, lookup: LibraryLookup): void {
    for (const { address, byteCount } of areas.values()) if (byteCount > 0) lookup.check(address, byteCount);
    const held = this.#holds.get(what);
    if (held === undefined) return;
    for (const [name, value] of facts) if (value < 0n) throw bad(`A descriptor has [${value}] for [${name}].`);
    for (const [name, size] of held) {
      const address = facts.get(name) ?? 0n;
      const byteCount = address === 0n ? 0 : Number(sizeOf(size, (each) => facts.get(each) ?? 0n));
      if (byteCount > 0) lookup.check(Number(address), byteCount);
    }
  }

  /** Notes what a call says of a descriptor that it has made or set. */
  note({ called, values }: PreparedCall, { facts }: CudaDescriptor): void {
    for (const [place, { kind, name }] of called.arguments.entries()) {
      const value = values[place]!;
      if (kind === "dataType") facts.set(name, BigInt(dataTypeBytes[value as number] ?? ELEMENT_BYTES_MAX));
      else if (kind === "indexType") facts.set(name, BigInt(indexTypeBytes[value as number] ?? ELEMENT_BYTES_MAX));
      else if (kind === "held" || kind === "i32" || kind === "i64") facts.set(name, BigInt(value as number | bigint));
    }
  }

  #check(
    called: LibraryFunction,
    { values, descriptors, arrays, pointers, changed, given: before }: Preparation,
    { lookup, areas }: { readonly lookup: LibraryLookup; readonly areas: readonly bigint[] },
  ): void {
    const measured = new Map<string, number>();
    const measure = ({ argument }: Unchecked): number => {
      const { of, measure: part } = argument;
      if (of === undefined) return 1;
      const size = measured.get(`${of}.${part}`) ?? this.#native.measured(argument, values[of]!, descriptors.get(of));
      measured.set(`${of}.${part}`, size);
      return size;
    };
    for (const array of arrays) {
      if (Number(array.given) === measure(array)) continue;
      throw bad(`The array [${array.argument.name}] has [${array.given}] elements, not [${measure(array)}].`);
    }
    for (const pointer of pointers) {
      const { argument, place, given } = pointer;
      const each = argument.measure === "sequences" ? 4 : 1;
      const byteCount =
        argument.size === undefined
          ? each * measure(pointer)
          : this.#bytesOf(called, argument.size, { values, areas, before });
      if (byteCount > 0 && given === 0n && argument.isOptional) {
        throw bad(`There is no [${argument.name}] for [${called.name}], which takes [${byteCount}] bytes.`);
      }
      if (byteCount > 0) lookup.check(Number(given), byteCount);
      // Where a program gives one a library may look whether there is one; and what it has by a function of its own, where that is.
      else values[place] = argument.isOptional || argument.by !== undefined ? 0n : BigInt(this.#arenaBase);
      if (!isWorkArea(argument, called.arguments) || given === 0n) continue;
      const area = { address: Number(given), byteCount: Math.max(0, byteCount) };
      for (const { descriptor, keeps } of changed) if (keeps) descriptor.areas.set(argument.name, area);
    }
  }

  /** A number beyond 2^53 is inexact, and beyond every arena all the same. */
  #bytesOf(
    called: LibraryFunction,
    { count, element }: LibrarySize,
    {
      values,
      areas,
      before,
    }: {
      readonly values: readonly LibraryValue[];
      readonly areas: readonly bigint[];
      readonly before: ReadonlyMap<number, bigint>;
    },
  ): number {
    const named = (name: string): bigint => {
      if (name === BUFFER_SIZE) return areas[0] ?? 0n;
      const at = called.arguments.findIndex((each) => each.name === name);
      return before.get(at) ?? BigInt(values[at] as number | bigint);
    };
    const elements = Number(sizeOf(count, named));
    if (typeof element !== "object") return elements * (element === undefined ? 1 : elementBytes[element]);
    const type = Number(values[element.place]);
    const bytes = dataTypeBytes[type];
    if (bytes === undefined) throw bad(`The cudaDataType [${type}] is not known.`);
    return elements * bytes;
  }
}

/** Whether it is to a work area whose size is known, so that it must be there where that is not 0. */
const isMeasuredArea = ({ size, measure }: LibraryArgument): boolean =>
  measure === "area" || (size !== undefined && namesOf(size.count).includes(BUFFER_SIZE));

/** An element as large as one of any type. */
function widened(element: Uint8Array): Uint8Array {
  const room = new Uint8Array(ELEMENT_BYTES_MAX);
  room.set(element);
  return room;
}

/** How many elements an array has. @throws SluiceError BAD_ARGUMENT */
function countOf(value: LibraryValue | undefined, each: number): number {
  const count = Number(value);
  if (count >= 0 && each * count <= CALL_DATA_BYTES_MAX) return count;
  throw bad(`An array of a library's has [${count}] elements.`);
}
