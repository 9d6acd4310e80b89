/**
 * cuDNN of one slice: the library's handle in the lease's context, its descriptors, and everything that is done with them. Work goes into the stream of the
 * call, as all other work of the slice; what the library loads for it by the way is paid for (dnn-loading.ts).
 */
import type { DnnAttribute } from "../../../shared/generated/calls.ts";
import type { DeviceStream } from "../device.ts";
import {
  type DeviceDnn,
  type DnnAnswer,
  type DnnCalling,
  type DnnExecution,
  type DnnLookup,
  type DnnOutcome,
  type DnnQuestion,
  type DnnResult,
  DnnStatus,
  type DnnVersions,
  dnnFailure,
} from "../dnn.ts";
import type { CudaContext } from "./context.ts";
import { CudaDescriptor, DescriptorStore } from "./dnn-descriptors.ts";
import { DnnFunctions, type PreparedCall } from "./dnn-functions.ts";
import { DnnGraph, planOf } from "./dnn-graph.ts";
import { Backend, DnnLibrary } from "./dnn-library.ts";
import { DnnLoading, type LoadingOptions } from "./dnn-loading.ts";
import type { CudaStream } from "./stream.ts";

/** Kinds of calls whose code is known to be loaded; where there are more, all are taken to load anew. */
const SHAPES_MAX = 65_536;
/** From here on a status tells of the device and not of the call. */
const INTERNAL_ERROR = 4000;
const NO_RESULTS = new Uint8Array(0);

export interface DnnOptions extends LoadingOptions {
  readonly driverVersion: number;
  /** Does work of the device's once the lease has its turn there. */
  readonly inTurn: <T>(work: () => T | Promise<T>) => T | Promise<T>;
  /** The stream to queue work in now. */
  readonly work: (stream: DeviceStream | undefined) => CudaStream;
}

export class CudaDnn implements DeviceDnn {
  readonly versions: DnnVersions;
  readonly #context: CudaContext;
  readonly #library: DnnLibrary;
  readonly #loading: DnnLoading;
  readonly #options: DnnOptions;
  readonly #handle: number;
  readonly #store: DescriptorStore;
  readonly #graph: DnnGraph;
  readonly #functions: DnnFunctions;
  readonly #shapes = new Set<string>();
  /** The stream that the library's handle has. */
  #stream: CudaStream | undefined;

  private constructor(
    context: CudaContext,
    parts: { library: DnnLibrary; loading: DnnLoading; options: DnnOptions; handle: number },
  ) {
    this.#context = context;
    this.#library = parts.library;
    this.#loading = parts.loading;
    this.#options = parts.options;
    this.#handle = parts.handle;
    this.versions = parts.library.versions;
    this.#store = new DescriptorStore((descriptor) => this.#destroy(descriptor));
    const shared = { library: parts.library, handle: parts.handle, store: this.#store };
    this.#graph = new DnnGraph(shared);
    this.#functions = new DnnFunctions(shared);
  }

  /** @throws SluiceError UNSUPPORTED where the server has no cuDNN, OUT_OF_MEMORY where the lease has no room for it */
  static async open(context: CudaContext, options: DnnOptions): Promise<CudaDnn> {
    const library = options.longWork(() => new DnnLibrary(options.driverVersion));
    const loading = new DnnLoading(context, options);
    const handle = new BigUint64Array(1);
    const status = await loading.load(() => {
      context.enter();
      return library.api.cudnnCreate(handle);
    }, true);
    if (status !== DnnStatus.SUCCESS) throw dnnFailure(library.outcome(status), "start");
    return new CudaDnn(context, { library, loading, options, handle: Number(handle[0]) });
  }

  async describe(
    type: number,
    attributes: readonly DnnAttribute[],
    lookup: DnnLookup,
  ): Promise<DnnOutcome & { readonly descriptor?: CudaDescriptor }> {
    const describe = (): DnnOutcome & { readonly descriptor?: CudaDescriptor } => {
      this.#context.enter();
      return this.#told(this.#graph.describe(type, attributes, lookup));
    };
    const loads = type === Backend.EXECUTION_PLAN || type === Backend.ENGINEHEUR;
    return loads ? this.#loading.load(describe, true) : describe();
  }

  forget(descriptor: CudaDescriptor): void {
    this.#context.enter();
    this.#store.forget(descriptor);
  }

  ask(question: DnnQuestion, lookup: DnnLookup): DnnAnswer {
    this.#context.enter();
    return this.#options.longWork(() => this.#told(this.#graph.ask(question, lookup)));
  }

  execute(execution: DnnExecution, lookup: DnnLookup): DnnOutcome | Promise<DnnOutcome> {
    const pack = this.#graph.pack(execution, lookup);
    const run = (): DnnOutcome => this.#told(this.#useStream(execution.stream) ?? this.#graph.execute(pack));
    return this.#options.inTurn(() =>
      planOf(pack.plan).hasRun ? run() : this.#loading.load(run, execution.mayReserve),
    );
  }

  call(calling: DnnCalling, lookup: DnnLookup): DnnResult | Promise<DnnResult> {
    this.#context.enter();
    const prepared = this.#functions.prepare(calling.function, calling.arguments, lookup);
    const failed = prepared.used.find((descriptor) => descriptor.failure !== undefined);
    if (failed !== undefined) return this.#end(prepared, failed.failure!, lookup);
    if (!prepared.computes) return this.#end(prepared, this.#call(prepared, lookup), lookup);
    const run = (): DnnResult =>
      this.#end(prepared, this.#useStream(calling.stream) ?? this.#call(prepared, lookup), lookup);
    return this.#options.inTurn(() => {
      if (this.#shapes.has(prepared.shape)) return run();
      const loaded = this.#loading.load(run, calling.mayReserve);
      return loaded instanceof Promise
        ? loaded.then((result) => this.#knows(prepared, result))
        : this.#knows(prepared, loaded);
    });
  }

  #knows({ shape }: PreparedCall, result: DnnResult): DnnResult {
    if (this.#shapes.size >= SHAPES_MAX) this.#shapes.clear();
    if (result.status === DnnStatus.SUCCESS) this.#shapes.add(shape);
    return result;
  }

  /** Drops what it knows of a stream that ends. */
  forgetStream(stream: CudaStream): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#library.api.cudnnSetStream(this.#handle, 0);
  }

  /** Gives everything back. Nothing may be under way. */
  close(): void {
    this.#store.close();
    this.#library.api.cudnnDestroy(this.#handle);
  }

  #call(prepared: PreparedCall, lookup: DnnLookup): DnnOutcome {
    this.#store.makeRoom(prepared.made.length);
    for (const { handle } of prepared.made) lookup.claim(handle);
    const status = this.#functions.call(prepared);
    if (status !== undefined) return this.#told(this.#library.outcome(status));
    return { status: DnnStatus.NOT_SUPPORTED, message: `The server's cuDNN has no [${prepared.name}].` };
  }

  /** What becomes of the descriptors that it was to make and to set, and the results. */
  #end({ made, set, used, extents, shape, results }: PreparedCall, outcome: DnnOutcome, lookup: DnnLookup): DnnResult {
    if (outcome.status !== DnnStatus.SUCCESS) {
      for (const descriptor of set) descriptor.failure = outcome;
      return { ...outcome, results: NO_RESULTS, isRemembered: set.length > 0 };
    }
    for (const { handle, kind, into } of made) {
      const descriptor = new CudaDescriptor(Number(into[0]), kind);
      this.#store.add(descriptor);
      lookup.made(handle, descriptor);
    }
    for (const descriptor of set) {
      descriptor.failure = undefined;
      descriptor.setting = shape;
      descriptor.extents = extents;
      this.#store.refer(descriptor, used);
    }
    return { ...outcome, results: joined(results), isRemembered: false };
  }

  /** Has the library's handle use the stream; says so where it cannot. */
  #useStream(stream: DeviceStream | undefined): DnnOutcome | undefined {
    const on = this.#options.work(stream);
    if (this.#stream === on) return undefined;
    const status = this.#library.api.cudnnSetStream(this.#handle, on.handle);
    this.#stream = status === DnnStatus.SUCCESS ? on : undefined;
    return status === DnnStatus.SUCCESS ? undefined : this.#library.outcome(status);
  }

  /** The same, unless it is the driver that fails: then that says why. */
  #told<T extends DnnOutcome>(outcome: T): T {
    const { api } = this.#context;
    if (outcome.status >= INTERNAL_ERROR) this.#context.ready(api.cuStreamQuery(0), "use cuDNN");
    return outcome;
  }

  #destroy(descriptor: CudaDescriptor): void {
    if (typeof descriptor.what === "number") this.#library.api.cudnnBackendDestroyDescriptor(descriptor.handle);
    else this.#functions.destroy(descriptor);
  }
}

/** Results one behind the other, padded to 8 bytes each. */
function joined(results: readonly Uint8Array[]): Uint8Array {
  const sizes = results.map(({ byteLength }) => Math.ceil(byteLength / 8) * 8);
  const all = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [index, result] of results.entries()) {
    all.set(result, at);
    at += sizes[index]!;
  }
  return all;
}
