/**
 * cuDNN's graph API: descriptors made of attributes, questions about them, and plans that run. Nothing is handed to the library whose size is not what it
 * takes it to have, no address that was not checked, and no pointer to the host's memory but to values that are the server's copies.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { DnnAttribute } from "../../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../../../shared/limits.ts";
import { type DnnAnswer, type DnnExecution, type DnnQuestion, DnnStatus } from "../dnn.ts";
import type { LibraryLookup, LibraryOutcome } from "../libraries.ts";
import { Attribute, AttributeType, Backend, type DnnLibrary, elementBytes } from "./dnn-library.ts";
import { tensorBytes } from "./dnn-sizes.ts";
import { CudaDescriptor, type DescriptorStore, type DnnPlan } from "./library-descriptors.ts";
import { addressOf } from "./symbols.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);
const unsupported = (message: string): LibraryOutcome => ({ status: DnnStatus.NOT_SUPPORTED, message });

/** Bytes of each value of a tensor by value. */
const VALUE_BYTES = 16;
/** Of all values of one execution: far above real graphs. */
const VALUES_BYTES_MAX = 256 * VALUE_BYTES;

/** Types of attribute that no client may set: pointers, and texts, from which the library would make plans that nobody has checked. */
const closedTypes: ReadonlySet<number> = new Set([AttributeType.VOID_PTR, AttributeType.CHAR]);
/** Or ask for: they are the server's. */
const hiddenTypes: ReadonlySet<number> = new Set([AttributeType.VOID_PTR, AttributeType.HANDLE]);

/** A descriptor of a graph; functions' descriptors are none. @throws SluiceError BAD_ARGUMENT */
function backend(descriptor: CudaDescriptor): CudaDescriptor {
  if (typeof descriptor.what === "number") return descriptor;
  throw bad(`A descriptor of the kind [${descriptor.what}] of functions belongs to no graph.`);
}

const view = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView => new DataView(buffer, byteOffset, byteLength);

const words = (data: Uint8Array): bigint[] => {
  if (data.byteLength % 8 !== 0) throw bad(`Words of [${data.byteLength}] bytes are not 8 bytes each.`);
  const all = view(data);
  return Array.from({ length: data.byteLength / 8 }, (_, index) => all.getBigUint64(8 * index, true));
};

export interface GraphParts {
  readonly library: DnnLibrary;
  /** cudnnHandle_t. */
  readonly handle: number;
  readonly store: DescriptorStore;
}

/** What is checked of an execution. */
interface Pack {
  readonly plan: CudaDescriptor;
  readonly uids: BigInt64Array;
  readonly pointers: BigUint64Array;
  readonly workspace: BigUint64Array;
}

export class DnnGraph {
  readonly #parts: GraphParts;
  /** What pointers of tensors by value point to, for the execution under way. */
  readonly #values = new Uint8Array(VALUES_BYTES_MAX);

  constructor(parts: GraphParts) {
    this.#parts = parts;
  }

  /** The library is entered, and there is room for what it loads. @throws SluiceError BAD_ARGUMENT and what `lookup` throws */
  describe(
    type: number,
    attributes: readonly DnnAttribute[],
    lookup: LibraryLookup,
  ): LibraryOutcome & { readonly descriptor?: CudaDescriptor } {
    const { library, store } = this.#parts;
    if (type === Backend.VARIANT_PACK) return unsupported("A variant pack is made where a plan is executed.");
    const refers = new Set<CudaDescriptor>();
    for (const { name, type: kind } of attributes) {
      if (closedTypes.has(kind)) return unsupported(`The attribute [${name}] of the type [${kind}] cannot be set.`);
    }
    const settings = attributes.map((attribute) => ({
      ...attribute,
      elements: this.#elements(attribute, lookup, refers),
    }));
    const tensor = type === Backend.TENSOR ? tensorOf(attributes) : undefined;
    store.makeRoom();
    const value = new BigUint64Array(1);
    const created = library.api.cudnnBackendCreateDescriptor(type, value);
    if (created !== DnnStatus.SUCCESS) return library.outcome(created);
    const descriptor = new CudaDescriptor(Number(value[0]), type, tensor);
    store.add(descriptor);
    try {
      store.refer(descriptor, refers);
      const outcome = this.#finish(descriptor, settings);
      if (outcome.status === DnnStatus.SUCCESS) return { ...outcome, descriptor };
      store.forget(descriptor);
      return outcome;
    } catch (error) {
      store.forget(descriptor);
      throw error;
    }
  }

  #finish(
    descriptor: CudaDescriptor,
    settings: readonly (DnnAttribute & { readonly elements: Uint8Array | BigUint64Array })[],
  ): LibraryOutcome {
    const { library } = this.#parts;
    const { cudnnBackendSetAttribute, cudnnBackendFinalize } = library.api;
    for (const { name, type, count, elements } of settings) {
      const set = cudnnBackendSetAttribute(descriptor.handle, name, type, count, count === 0 ? null : elements);
      if (set !== DnnStatus.SUCCESS) return library.outcome(set);
    }
    const finalized = cudnnBackendFinalize(descriptor.handle);
    if (finalized !== DnnStatus.SUCCESS) return library.outcome(finalized);
    return descriptor.what === Backend.EXECUTION_PLAN ? this.#makePlan(descriptor) : library.outcome(finalized);
  }

  /** An attribute's elements as the library takes them. Of what it refers to, `refers` hears. */
  #elements(
    { name, type, count, data }: DnnAttribute,
    lookup: LibraryLookup,
    refers: Set<CudaDescriptor>,
  ): Uint8Array | BigUint64Array {
    const isHandle = type === AttributeType.HANDLE;
    const isReference = type === AttributeType.BACKEND_DESCRIPTOR;
    const size = isHandle ? 0 : isReference ? 4 : elementBytes(type);
    if (size === undefined) throw bad(`The attribute [${name}] has the unknown type [${type}].`);
    if (count * size !== data.byteLength || (isHandle && count !== 1)) {
      throw bad(`The attribute [${name}] has [${count}] elements of [${size}] bytes in [${data.byteLength}].`);
    }
    if (isHandle) return BigUint64Array.of(BigInt(this.#parts.handle));
    if (!isReference) return data;
    const handles = view(data);
    return BigUint64Array.from({ length: count }, (_, index) => {
      const part = backend(lookup.descriptor(handles.getUint32(4 * index, true)) as CudaDescriptor);
      refers.add(part);
      return BigInt(part.handle);
    });
  }

  /** What its executions are checked by. */
  #makePlan(descriptor: CudaDescriptor): LibraryOutcome {
    const { library, store } = this.#parts;
    const tensors = store.tensorsOf(descriptor.parts);
    if (tensors === undefined) {
      return unsupported("Two tensors of the plan have one unique id, and one of them is by value.");
    }
    const bytes = new BigInt64Array(1);
    const { EXECUTION_PLAN_WORKSPACE_SIZE } = Attribute;
    const asked = this.#get(
      descriptor,
      { name: EXECUTION_PLAN_WORKSPACE_SIZE, type: AttributeType.INT64, count: 1 },
      bytes,
    );
    if (asked.status !== DnnStatus.SUCCESS) return asked;
    store.setPlan(descriptor, { tensors, workspaceBytes: Number(bytes[0]), hasRun: false });
    return library.outcome(DnnStatus.SUCCESS);
  }

  #get(
    descriptor: CudaDescriptor,
    { name, type, count }: Pick<DnnQuestion, "name" | "type" | "count">,
    into: ArrayBufferView | null,
  ): LibraryOutcome & { readonly count: number } {
    const { library } = this.#parts;
    const found = new BigInt64Array(1);
    const status = library.api.cudnnBackendGetAttribute(descriptor.handle, name, type, count, found, into);
    return { ...library.outcome(status), count: status === DnnStatus.SUCCESS ? Number(found[0]) : 0 };
  }

  /** @throws SluiceError BAD_ARGUMENT and what `lookup` throws */
  ask(question: DnnQuestion, lookup: LibraryLookup): DnnAnswer {
    const { name, type, count, into } = question;
    const descriptor = backend(question.descriptor as CudaDescriptor);
    const nothing = { count: 0, data: new Uint8Array(0) };
    if (hiddenTypes.has(type)) return { ...unsupported(`The type [${type}] cannot be asked for.`), ...nothing };
    const size = elementBytes(type);
    if (size === undefined) throw bad(`The attribute [${name}] is asked for in the unknown type [${type}].`);
    const isReference = type === AttributeType.BACKEND_DESCRIPTOR;
    if (count * size > CALL_DATA_BYTES_MAX || into.length !== (isReference ? count : 0)) {
      throw bad(`[${count}] elements of [${size}] bytes are asked for, into [${into.length}] descriptors.`);
    }
    if (isReference && count > 0) return this.#askDescriptors(descriptor, question, lookup);
    const data = new Uint8Array(count * size);
    const answer = this.#get(descriptor, question, count === 0 ? null : data);
    return { ...answer, data: data.subarray(0, Math.max(0, Math.min(answer.count, count)) * size) };
  }

  /** The library fills descriptors that are there already. What is filled refers to what was asked. */
  #askDescriptors(asked: CudaDescriptor, question: DnnQuestion, lookup: LibraryLookup): DnnAnswer {
    const { library, store } = this.#parts;
    const { into, intoType } = question;
    for (const handle of into) lookup.claim(handle);
    store.makeRoom(into.length);
    const made: CudaDescriptor[] = [];
    let kept = 0;
    const data = new Uint8Array(0);
    try {
      for (const _ of into) {
        const value = new BigUint64Array(1);
        const created = library.api.cudnnBackendCreateDescriptor(intoType, value);
        if (created !== DnnStatus.SUCCESS) return { ...library.outcome(created), count: 0, data };
        const descriptor = new CudaDescriptor(Number(value[0]), intoType);
        store.add(descriptor);
        made.push(descriptor);
      }
      const handles = BigUint64Array.from(made, ({ handle }) => BigInt(handle));
      const answer = this.#get(asked, question, handles);
      const count = Math.max(0, Math.min(answer.count, made.length));
      for (const descriptor of made.slice(0, count)) store.refer(descriptor, [asked]);
      for (; kept < count; kept++) lookup.made(into[kept]!, made[kept]!);
      return { ...answer, count, data };
    } finally {
      for (const descriptor of made.slice(kept)) store.forget(descriptor);
    }
  }

  /**
   * Checks all that an execution names, before anything is queued.
   * @throws SluiceError BAD_ARGUMENT and what `lookup` throws
   */
  pack({ plan: named, workspace, uids, addresses, values }: DnnExecution, lookup: LibraryLookup): Pack {
    const plan = named as CudaDescriptor;
    const { tensors, workspaceBytes } = planOf(plan);
    const [ids, places] = [words(uids), words(addresses)];
    if (ids.length !== places.length) throw bad(`[${ids.length}] tensors have [${places.length}] addresses.`);
    const seen = new Set<bigint>();
    if (values.byteLength > VALUES_BYTES_MAX) {
      throw bad(`Tensors by value have [${values.byteLength}] bytes, more than [${VALUES_BYTES_MAX}].`);
    }
    this.#values.set(values);
    const valuesAt = addressOf(this.#values);
    let valueBytes = 0;
    const pointers = ids.map((id, index) => {
      const uid = BigInt.asIntN(64, id);
      const tensor = tensors.get(uid);
      if (tensor === undefined || seen.has(uid)) throw bad(`The tensor [${uid}] is none of the plan, or named twice.`);
      seen.add(uid);
      const address = places[index]!;
      if (!tensor.isByValue) {
        lookup.check(Number(address), tensor.byteCount);
        return address;
      }
      if (address !== 0n || valueBytes + VALUE_BYTES > values.byteLength) {
        throw bad(`The tensor [${uid}] is by value: it has [${VALUE_BYTES}] bytes of the values, and no address.`);
      }
      valueBytes += VALUE_BYTES;
      return valuesAt + BigInt(valueBytes - VALUE_BYTES);
    });
    if (valueBytes !== values.byteLength) throw bad(`[${values.byteLength}] bytes of values are for [${valueBytes}].`);
    if (workspaceBytes > 0) lookup.check(workspace, workspaceBytes);
    return {
      plan,
      uids: BigInt64Array.from(ids, (id) => BigInt.asIntN(64, id)),
      pointers: BigUint64Array.from(pointers),
      workspace: BigUint64Array.of(workspaceBytes > 0 ? BigInt(workspace) : 0n),
    };
  }

  /** Queues it in the stream that the library has. */
  execute({ plan, uids, pointers, workspace }: Pack): LibraryOutcome {
    const { library, handle } = this.#parts;
    const { api } = library;
    const value = new BigUint64Array(1);
    const created = api.cudnnBackendCreateDescriptor(Backend.VARIANT_PACK, value);
    if (created !== DnnStatus.SUCCESS) return library.outcome(created);
    const pack = Number(value[0]);
    const { VOID_PTR, INT64 } = AttributeType;
    const count = uids.length;
    const set = api.cudnnBackendSetAttribute;
    try {
      const status =
        set(pack, Attribute.VARIANT_PACK_UNIQUE_IDS, INT64, count, uids) ||
        set(pack, Attribute.VARIANT_PACK_DATA_POINTERS, VOID_PTR, count, pointers) ||
        set(pack, Attribute.VARIANT_PACK_WORKSPACE, VOID_PTR, 1, workspace) ||
        api.cudnnBackendFinalize(pack) ||
        api.cudnnBackendExecute(handle, plan.handle, pack);
      if (status === DnnStatus.SUCCESS) planOf(plan).hasRun = true;
      return library.outcome(status);
    } finally {
      api.cudnnBackendDestroyDescriptor(pack);
    }
  }
}

/** @throws SluiceError BAD_ARGUMENT for a descriptor that is none */
export function planOf({ plan, what }: CudaDescriptor): DnnPlan {
  if (plan !== undefined) return plan;
  throw bad(`A descriptor of the kind [${what}] is no execution plan.`);
}

/** What its attributes say of a tensor: the last of a name counts, as for the library. */
function tensorOf(attributes: readonly DnnAttribute[]): CudaDescriptor["tensor"] {
  const last = (name: number, type: number): DataView | undefined => {
    const found = attributes.findLast((attribute) => attribute.name === name);
    return found === undefined || found.type !== type || found.count === 0 ? undefined : view(found.data);
  };
  const { INT64, BOOLEAN } = AttributeType;
  const numbers = (name: number): bigint[] | undefined => {
    const found = last(name, INT64);
    return found && Array.from({ length: found.byteLength / 8 }, (_, index) => found.getBigInt64(8 * index, true));
  };
  const uid = numbers(Attribute.TENSOR_UNIQUE_ID)?.[0];
  // Without one the library takes no tensor.
  if (uid === undefined) return undefined;
  const isByValue = (last(Attribute.TENSOR_IS_BY_VALUE, BOOLEAN)?.getUint8(0) ?? 0) !== 0;
  return { uid, isByValue, byteCount: extentOf(attributes, numbers) };
}

/** Bytes from the first element of a tensor to behind the last; 1 where that follows from other data. */
function extentOf(attributes: readonly DnnAttribute[], numbers: (name: number) => bigint[] | undefined): number {
  const dims = numbers(Attribute.TENSOR_DIMENSIONS);
  const strides = numbers(Attribute.TENSOR_STRIDES);
  const isRagged = attributes.some(({ name }) => name === Attribute.TENSOR_RAGGED_OFFSET_DESC);
  if (dims === undefined || strides === undefined || isRagged) return 1;
  const elements = dims.reduce((sum, dim, index) => sum + Number(dim - 1n) * Number(strides[index] ?? 0n), 1);
  const dataType = attributes.findLast(({ name }) => name === Attribute.TENSOR_DATA_TYPE);
  const type = dataType === undefined || dataType.data.byteLength < 4 ? 0 : view(dataType.data).getInt32(0, true);
  const vector = Number(numbers(Attribute.TENSOR_VECTOR_COUNT)?.[0] ?? 1n);
  return Math.max(1, tensorBytes(type, elements * vector));
}
