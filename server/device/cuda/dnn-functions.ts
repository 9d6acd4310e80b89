/**
 * cuDNN's functions that belong to no graph, all called in one way by their lines in the table of functions: arguments are taken out of their packing, handles
 * become descriptors, addresses are checked for as many bytes as the function will take them to have, and arrays are as long as the counts beside them say.
 */
import { createHash } from "node:crypto";
import {
  DNN_PERF_BYTES,
  type DnnArgument,
  type DnnDescriptorKind,
  dnnDescriptors,
  dnnFunctions,
} from "../../../shared/dnn-functions.ts";
import { SluiceError } from "../../../shared/errors.ts";
import { CALL_DATA_BYTES_MAX } from "../../../shared/limits.ts";
import type { DnnLookup } from "../dnn.ts";
import type { CudaDescriptor } from "./dnn-descriptors.ts";
import type { GraphParts } from "./dnn-graph.ts";
import { DIMENSIONS_MAX } from "./dnn-library.ts";
import { type DnnExtents, DnnSizes, type DnnValue, extentsSet } from "./dnn-sizes.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** Kinds of arguments that are memory of the host's. */
const inMemory: readonly DnnArgument["kind"][] = ["ints", "scalar", "value"];
/** Bytes of the largest element, CUDNN_DATA_INT8x32. */
const ELEMENT_BYTES_MAX = 32;
/** Bytes of elements of arrays. */
const elementBytes: Partial<Record<DnnArgument["kind"], number>> = { ints: 4, perfs: DNN_PERF_BYTES };

/** koffi's types for what is passed by value; everything else is an address. */
const nativeNumbers: Partial<Record<DnnArgument["kind"], string>> = {
  i32: "int32_t",
  u32: "uint32_t",
  u64: "uint64_t",
  f32: "float",
  f64: "double",
  type: "int32_t",
};
const nativeType = ({ kind, isResult, role }: DnnArgument): string => {
  if (isResult || role === "new" || inMemory.includes(kind)) return "void *";
  return nativeNumbers[kind] ?? "uint64_t";
};

/** A call with its arguments as the library takes them. */
export interface PreparedCall {
  readonly name: string;
  readonly values: readonly DnnValue[];
  /** In order; each padded to 8 bytes. */
  readonly results: readonly Uint8Array[];
  /** Descriptors that it makes, with the client's handles, that it sets, and that it takes as they are. */
  readonly made: readonly {
    readonly handle: number;
    readonly kind: DnnDescriptorKind;
    readonly into: BigUint64Array;
  }[];
  readonly set: readonly CudaDescriptor[];
  readonly used: readonly CudaDescriptor[];
  /** Of what it sets, where the library does not tell. */
  readonly extents: DnnExtents | undefined;
  /** Tells calls apart that may have the library load other code: all but where data is, data itself, and factors that are passed as numbers. */
  readonly shape: string;
  /** Whether it has the device compute, in the stream of the library's handle. */
  readonly computes: boolean;
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

  number(kind: DnnArgument["kind"]): number | bigint {
    const at = this.#at;
    this.bytes(8);
    if (kind === "i32" || kind === "type") return this.#view.getInt32(at, true);
    if (kind === "f32") return this.#view.getFloat32(at, true);
    if (kind === "f64") return this.#view.getFloat64(at, true);
    return kind === "u64" || kind === "pointer" ? this.#view.getBigUint64(at, true) : this.#view.getUint32(at, true);
  }

  finish(): void {
    if (this.#at !== this.#bytes.byteLength) throw bad(`Arguments of [${this.#bytes.byteLength}] bytes are too long.`);
  }
}

/** What must be checked once all arguments are known: a pointer, or how many elements an array has. */
interface Unchecked {
  readonly argument: DnnArgument;
  readonly given: bigint;
}

export class DnnFunctions {
  readonly #parts: GraphParts;
  readonly #sizes: DnnSizes;
  /** By name; absent where the library has none. */
  readonly #bound = new Map<string, ((...values: readonly unknown[]) => number) | undefined>();

  constructor(parts: GraphParts) {
    this.#parts = parts;
    this.#sizes = new DnnSizes(parts.library);
  }

  /** @throws SluiceError BAD_ARGUMENT and what `lookup` throws, before anything is done */
  prepare(number: number, packed: Uint8Array, lookup: DnnLookup): PreparedCall {
    const called = dnnFunctions[number];
    if (called === undefined) throw bad(`cuDNN has no function [${number}].`);
    const unpacker = new Unpacker(packed);
    const values: DnnValue[] = [];
    const prepared = {
      ...{ results: [] as Uint8Array[], made: [] as PreparedCall["made"][number][] },
      ...{ set: [] as CudaDescriptor[], used: [] as CudaDescriptor[], shape: [] as unknown[] },
    };
    const descriptors = new Map<number, CudaDescriptor>();
    const [pointers, arrays]: [Unchecked[], Unchecked[]] = [[], []];
    for (const [index, argument] of called.arguments.entries()) {
      const { kind, role, descriptor, isOptional, isResult, measure } = argument;
      if (kind === "handle") values.push(this.#parts.handle);
      else if (isResult) {
        const each = elementBytes[kind];
        const byteCount = each === undefined ? 8 : each * countOf(values[argument.of!], each);
        // The library fills as many as it has dimensions, whatever it was told.
        const room = new Uint8Array(byteCount + 4 * DIMENSIONS_MAX);
        prepared.results.push(room.subarray(0, byteCount));
        values.push(room);
      } else if (role === "new") {
        const into = new BigUint64Array(1);
        prepared.made.push({ handle: Number(unpacker.number(kind)), kind: descriptor!, into });
        values.push(into);
      } else if (kind === "descriptor") {
        const handle = Number(unpacker.number(kind));
        const found = handle === 0 && isOptional ? undefined : descriptorOf(lookup, handle, argument);
        if (found !== undefined) {
          descriptors.set(index, found);
          prepared[role === "set" ? "set" : "used"].push(found);
        }
        prepared.shape.push(role === "set" ? 0 : found?.setting);
        values.push(found?.handle ?? 0);
      } else if (kind === "pointer") {
        const address = unpacker.number(kind) as bigint;
        if (address !== 0n || !isOptional) pointers.push({ argument, given: address });
        prepared.shape.push(address === 0n);
        values.push(address);
      } else {
        const isMemory = inMemory.includes(kind);
        const isData = measure !== undefined;
        const count = kind !== "ints" ? 2 : isData ? unpacker.number("u64") : values[argument.of!];
        if (isData) arrays.push({ argument, given: count as bigint });
        const value = isMemory ? unpacker.bytes(4 * countOf(count, 4)) : unpacker.number(kind);
        // Factors and the like: the same code takes any.
        if (kind !== "f32" && kind !== "f64" && !isData)
          prepared.shape.push(isMemory ? Buffer.from(value as Uint8Array).toString("hex") : value);
        values.push(kind === "value" ? widened(value as Uint8Array) : value);
      }
    }
    unpacker.finish();
    const sizes = new Map<string, number>();
    const measured = ({ argument }: Unchecked): number => {
      const { of, measure } = argument;
      if (of === undefined) return 1;
      const size = sizes.get(`${of}.${measure}`) ?? this.#sizes.measured(argument, values[of]!, descriptors.get(of));
      sizes.set(`${of}.${measure}`, size);
      return size;
    };
    for (const array of arrays) {
      if (Number(array.given) === measured(array)) continue;
      throw bad(`The array [${array.argument.name}] has [${array.given}] elements, not [${measured(array)}].`);
    }
    for (const pointer of pointers) {
      const each = pointer.argument.measure === "sequences" ? 4 : 1;
      lookup.check(Number(pointer.given), Math.max(1, each * measured(pointer)));
    }
    return {
      ...prepared,
      name: called.name,
      values,
      extents: extentsSet(called, values),
      // Of one length, since it becomes a part of others.
      shape: createHash("sha256")
        .update([called.name, ...prepared.shape].join())
        .digest("base64"),
      computes: pointers.length > 0 && called.arguments.some(({ kind }) => kind === "handle"),
    };
  }

  /** Calls the function, with the library's stream as it is. Undefined where the library has none of that name. */
  call({ name, values }: PreparedCall): number | undefined {
    if (!this.#bound.has(name)) {
      const called = dnnFunctions.find((each) => each.name === name)!;
      this.#bound.set(name, this.#parts.library.bind(name, called.arguments.map(nativeType)));
    }
    return this.#bound.get(name)?.(...values);
  }

  /** The library's destroyer of a kind of descriptor. */
  destroy({ handle, what }: CudaDescriptor): void {
    const name = `cudnnDestroy${dnnDescriptors[what as keyof typeof dnnDescriptors]}Descriptor`;
    if (!this.#bound.has(name)) this.#bound.set(name, this.#parts.library.bind(name, ["uint64_t"]));
    this.#bound.get(name)?.(handle);
  }
}

/** An element as large as one of any type. */
function widened(element: Uint8Array): Uint8Array {
  const room = new Uint8Array(ELEMENT_BYTES_MAX);
  room.set(element);
  return room;
}

/** How many elements an array has. @throws SluiceError BAD_ARGUMENT */
function countOf(value: DnnValue | undefined, each: number): number {
  const count = Number(value);
  if (count >= 0 && each * count <= CALL_DATA_BYTES_MAX) return count;
  throw bad(`An array of cuDNN's has [${count}] elements.`);
}

function descriptorOf(lookup: DnnLookup, handle: number, { name, descriptor: kind }: DnnArgument): CudaDescriptor {
  const found = lookup.descriptor(handle) as CudaDescriptor;
  if (found.what === kind) return found;
  throw bad(`The descriptor [${handle}] for [${name}] is of the kind [${found.what}], not [${kind}].`);
}
