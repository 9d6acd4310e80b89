/**
 * cuDNN's functions that belong to no graph, all called in one way by their lines in the table of functions: arguments are taken out of their packing, handles
 * become descriptors, addresses are checked for as many bytes as the function will take them to have, and arrays are as long as the counts beside them say.
 */
import { createHash } from "node:crypto";
import {
  type DnnArgument,
  type DnnDescriptorKind,
  dnnDescriptors,
  dnnFunctions,
} from "../../../shared/dnn-functions.ts";
import { SluiceError } from "../../../shared/errors.ts";
import { CALL_DATA_BYTES_MAX } from "../../../shared/limits.ts";
import { type DnnLookup, DnnStatus } from "../dnn.ts";
import type { CudaDescriptor } from "./dnn-descriptors.ts";
import type { GraphParts } from "./dnn-graph.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

type Value = number | bigint | ArrayBufferView;

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
  if (isResult || role === "new" || kind === "ints" || kind === "scalar") return "void *";
  return nativeNumbers[kind] ?? "uint64_t";
};

/** A call with its arguments as the library takes them. */
export interface PreparedCall {
  readonly name: string;
  readonly values: readonly Value[];
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
  /** Tells calls apart that may have the library load other code: all but where data is, and factors that are passed as numbers. */
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

/** A pointer that must be checked, once all arguments are known. */
interface Pointer {
  readonly argument: DnnArgument;
  readonly address: bigint;
}

export class DnnFunctions {
  readonly #parts: GraphParts;
  /** By name; absent where the library has none. */
  readonly #bound = new Map<string, ((...values: readonly unknown[]) => number) | undefined>();

  constructor(parts: GraphParts) {
    this.#parts = parts;
  }

  /** @throws SluiceError BAD_ARGUMENT and what `lookup` throws, before anything is done */
  prepare(number: number, packed: Uint8Array, lookup: DnnLookup): PreparedCall {
    const called = dnnFunctions[number];
    if (called === undefined) throw bad(`cuDNN has no function [${number}].`);
    const unpacker = new Unpacker(packed);
    const values: Value[] = [];
    const prepared = {
      ...{ results: [] as Uint8Array[], made: [] as PreparedCall["made"][number][] },
      ...{ set: [] as CudaDescriptor[], used: [] as CudaDescriptor[], shape: [] as unknown[] },
    };
    const descriptors = new Map<number, CudaDescriptor>();
    const pointers: Pointer[] = [];
    for (const [index, argument] of called.arguments.entries()) {
      const { kind, role, descriptor, isOptional, isResult } = argument;
      if (kind === "handle") values.push(this.#parts.handle);
      else if (isResult) {
        const result = new Uint8Array(kind === "ints" ? 4 * countOf(values[argument.of!]) : 8);
        prepared.results.push(result);
        values.push(result);
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
        if (address !== 0n || !isOptional) pointers.push({ argument, address });
        prepared.shape.push(address === 0n);
        values.push(address);
      } else {
        const isMemory = kind === "ints" || kind === "scalar";
        const value = isMemory
          ? unpacker.bytes(kind === "ints" ? 4 * countOf(values[argument.of!]) : 8)
          : unpacker.number(kind);
        // Factors and the like: the same code takes any.
        if (kind !== "f32" && kind !== "f64")
          prepared.shape.push(isMemory ? Buffer.from(value as Uint8Array).toString("hex") : value);
        values.push(value);
      }
    }
    unpacker.finish();
    const sizes = new Map<number, number>();
    for (const { argument, address } of pointers) {
      const of = argument.of;
      const size = of === undefined ? 1 : (sizes.get(of) ?? this.#byteCount(values[of]!, descriptors.get(of)));
      if (of !== undefined) sizes.set(of, size);
      lookup.check(Number(address), Math.max(1, size));
    }
    return {
      ...prepared,
      name: called.name,
      values,
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

  /** Of what a number counts, or a tensor describes, which the library itself says. */
  #byteCount(value: Value, descriptor: CudaDescriptor | undefined): number {
    if (typeof value === "bigint") return Number(value);
    if (descriptor === undefined) return 1;
    const size = new BigUint64Array(1);
    const status = this.#parts.library.api.cudnnGetTensorSizeInBytes(descriptor.handle, size);
    return status === DnnStatus.SUCCESS ? Number(size[0]) : 1;
  }
}

/** How many elements an array has. @throws SluiceError BAD_ARGUMENT */
function countOf(value: Value | undefined): number {
  const count = Number(value);
  if (count >= 0 && 4 * count <= CALL_DATA_BYTES_MAX) return count;
  throw bad(`An array of cuDNN's has [${count}] elements.`);
}

function descriptorOf(lookup: DnnLookup, handle: number, { name, descriptor: kind }: DnnArgument): CudaDescriptor {
  const found = lookup.descriptor(handle) as CudaDescriptor;
  if (found.what === kind) return found;
  throw bad(`The descriptor [${handle}] for [${name}] is of the kind [${found.what}], not [${kind}].`);
}
