/**
 * Descriptors of a library, of cuDNN's graphs too: what each refers to lives as long as it does, for the library keeps no count of that, and what a client has
 * forgotten must not be used by what it has not.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { HANDLES_MAX } from "../../../shared/limits.ts";
import type { LibraryDescriptor, LibraryOutcome } from "../libraries.ts";
import type { LibraryExtents } from "./native-library.ts";
import type { CudaStream } from "./stream.ts";

/** References among the descriptors of a session, and tensors of plans: some hundred bytes each. */
export const REFERENCES_MAX = 1_048_576;

/** What a plan's execution is checked by. */
export interface DnnTensor {
  /** Bytes from the first element to behind the last, at least. */
  readonly byteCount: number;
  readonly isByValue: boolean;
}

/** What is known of a plan. */
export interface DnnPlan {
  /** By their unique ids. */
  readonly tensors: ReadonlyMap<bigint, DnnTensor>;
  readonly workspaceBytes: number;
  /** Whether the library has loaded what it takes. */
  hasRun: boolean;
}

export class CudaDescriptor implements LibraryDescriptor {
  readonly kind = "descriptor";
  /** The library's. */
  readonly handle: number;
  /** Its cudnnBackendDescriptorType_t, or the kind that functions take. */
  readonly what: number | string;
  /** A tensor of a graph, with its unique id. */
  readonly tensor: (DnnTensor & { readonly uid: bigint }) | undefined;
  /** Of an execution plan. */
  plan: DnnPlan | undefined;
  /** The failure of the call that was to set it; those who use it fail alike. */
  failure: LibraryOutcome | undefined;
  /** Whether the library has none: the call that was to make it has failed. */
  isAbsent = false;
  /** How large is what it describes, where the library does not tell. */
  extents: LibraryExtents | undefined;
  /** Tells what it was set to last. */
  setting = "";
  /** Of a plan that has one: the stream in which it works. */
  stream: CudaStream | undefined;
  /** What the library has taken of the device for it, at most. */
  takenBytes = 0;
  /** The numbers and addresses of the calls that have made and set it, by their names; of a type an element's bytes. */
  readonly facts = new Map<string, bigint>();
  /** The work areas that it was given last, by the names of their pointers. */
  readonly areas = new Map<string, { readonly address: number; readonly byteCount: number }>();
  /** What it refers to. */
  parts: ReadonlySet<CudaDescriptor> = new Set();
  /** How many refer to it, its handle included. */
  users = 1;

  constructor(handle: number, what: CudaDescriptor["what"], tensor?: CudaDescriptor["tensor"]) {
    this.handle = handle;
    this.what = what;
    this.tensor = tensor;
  }
}

export class DescriptorStore {
  /** The library's name. */
  readonly #name: string;
  readonly #live = new Set<CudaDescriptor>();
  readonly #destroy: (descriptor: CudaDescriptor) => void;
  #references = 0;

  constructor(name: string, destroy: (descriptor: CudaDescriptor) => void) {
    this.#name = name;
    this.#destroy = destroy;
  }

  /** All that there are. */
  get live(): Iterable<CudaDescriptor> {
    return this.#live;
  }

  /** To be asked before one is made: those that are forgotten and in use count, too. @throws SluiceError TOO_MANY_HANDLES */
  makeRoom(count = 1): void {
    if (this.#live.size + count <= HANDLES_MAX) return;
    throw new SluiceError("TOO_MANY_HANDLES", `The session has [${this.#live.size}] descriptors of ${this.#name}.`);
  }

  add(descriptor: CudaDescriptor): void {
    this.#live.add(descriptor);
  }

  /** @throws SluiceError TOO_MANY_HANDLES, and nothing has changed */
  refer(from: CudaDescriptor, parts: Iterable<CudaDescriptor>): void {
    const next = new Set(parts);
    next.delete(from);
    this.#count(next.size - from.parts.size);
    for (const part of next) part.users++;
    const before = from.parts;
    from.parts = next;
    this.#release(before);
  }

  /** All tensors that a descriptor refers to, at any distance. Those that contradict each other make it unfit: undefined. */
  tensorsOf(parts: Iterable<CudaDescriptor>): ReadonlyMap<bigint, DnnTensor> | undefined {
    const tensors = new Map<bigint, DnnTensor>();
    const seen = new Set(parts);
    // A set that grows while it is gone through gives what is added, too.
    for (const descriptor of seen) {
      for (const part of descriptor.parts) seen.add(part);
      const { tensor } = descriptor;
      if (tensor === undefined) continue;
      const known = tensors.get(tensor.uid);
      if (known !== undefined && known.isByValue !== tensor.isByValue) return undefined;
      if (known === undefined || known.byteCount < tensor.byteCount) tensors.set(tensor.uid, tensor);
    }
    return tensors;
  }

  /** Makes a descriptor a plan. @throws SluiceError TOO_MANY_HANDLES, and nothing has changed */
  setPlan(descriptor: CudaDescriptor, plan: DnnPlan): void {
    this.#count(plan.tensors.size);
    descriptor.plan = plan;
  }

  /** Its handle is gone; it ends once nobody refers to it. */
  forget(descriptor: CudaDescriptor): void {
    this.#release([descriptor]);
  }

  /** Ends all, those that refer to others before them. */
  close(): void {
    for (const descriptor of [...this.#live].reverse()) this.#destroy(descriptor);
    this.#live.clear();
  }

  #count(more: number): void {
    if (this.#references + more > REFERENCES_MAX) {
      throw new SluiceError("TOO_MANY_HANDLES", `The session's descriptors refer to [${this.#references}] others.`);
    }
    this.#references += more;
  }

  #release(descriptors: Iterable<CudaDescriptor>): void {
    const left = [...descriptors];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      next.users--;
      if (next.users > 0) continue;
      this.#references -= next.parts.size + (next.plan?.tensors.size ?? 0);
      left.push(...next.parts);
      this.#live.delete(next);
      this.#destroy(next);
    }
  }
}
