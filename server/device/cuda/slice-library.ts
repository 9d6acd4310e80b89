/**
 * A library of one slice: its handle in the lease's context, its descriptors, and the functions of its table. Work goes into the stream of the call, as all
 * other work of the slice; what the library loads for it by the way is paid for (library-loading.ts).
 */
import type { SluiceError } from "../../../shared/errors.ts";
import type { DeviceStream } from "../device.ts";
import type {
  DeviceLibrary,
  LibraryCalling,
  LibraryLookup,
  LibraryOutcome,
  LibraryResult,
  LibraryVersions,
} from "../libraries.ts";
import type { CudaContext } from "./context.ts";
import { HostWork } from "./host-work.ts";
import { CudaDescriptor, DescriptorStore } from "./library-descriptors.ts";
import { LibraryFunctions, type PreparedCall } from "./library-functions.ts";
import { LibraryLoading, type LoadingOptions } from "./library-loading.ts";
import type { NativeLibrary } from "./native-library.ts";
import type { CudaStream } from "./stream.ts";

/** Kinds of calls whose code is known to be loaded; where there are more, all are taken to load anew. */
const SHAPES_MAX = 65_536;
const NO_RESULTS = new Uint8Array(0);

export interface LibraryOptions extends LoadingOptions {
  readonly driverVersion: number;
  readonly arenaBase: number;
  /** Does work of the device's once the lease has its turn there. */
  readonly inTurn: <T>(work: () => T | Promise<T>) => T | Promise<T>;
  /** The stream to queue work in now. */
  readonly work: (stream: DeviceStream | undefined) => CudaStream;
}

/** All that one is made of. */
export interface LibraryParts<N extends NativeLibrary> {
  readonly native: N;
  readonly context: CudaContext;
  readonly options: LibraryOptions;
  readonly loading: LibraryLoading;
}

/** Starts a library in the lease's context. @throws SluiceError OUT_OF_MEMORY where the lease has no room for it, and as `failure` */
export async function startLibrary<N extends NativeLibrary>(
  native: N,
  context: CudaContext,
  options: LibraryOptions,
): Promise<LibraryParts<N>> {
  const loading = new LibraryLoading(native.table.name, options);
  const start = (): number => {
    context.enter();
    return native.start();
  };
  const status = await loading.load(start, { mayReserve: true });
  if (status !== 0) throw native.failure(native.outcome(status), "start");
  return { native, context, options, loading };
}

export class SliceLibrary<N extends NativeLibrary = NativeLibrary> implements DeviceLibrary {
  protected readonly parts: LibraryParts<N>;
  protected readonly store: DescriptorStore;
  readonly #functions: LibraryFunctions;
  readonly #shapes = new Set<string>();
  /** How many descriptors it has made. */
  #made = 0;
  readonly #hostWork: HostWork;
  /** The stream that the library's handle has. */
  #stream: CudaStream | undefined;

  constructor(parts: LibraryParts<N>) {
    const { native, options } = parts;
    this.parts = parts;
    this.store = new DescriptorStore(native.table.name, (descriptor) => this.destroy(descriptor));
    this.#functions = new LibraryFunctions(native, options);
    this.#hostWork = new HostWork(parts.context);
  }

  get versions(): LibraryVersions {
    return this.parts.native.versions;
  }

  failure(outcome: LibraryOutcome, doing: string): SluiceError {
    return this.parts.native.failure(outcome, doing);
  }

  forget(descriptor: CudaDescriptor): void {
    this.parts.context.enter();
    this.store.forget(descriptor);
  }

  call(calling: LibraryCalling, lookup: LibraryLookup): LibraryResult | Promise<LibraryResult> {
    const { context, options, loading, native } = this.parts;
    const { stream, mayReserve } = calling;
    context.enter();
    const prepared = this.#functions.prepare(calling.function, calling.arguments, lookup);
    const failed = prepared.used.find((descriptor) => descriptor.failure !== undefined);
    if (failed !== undefined) return this.#end(prepared, failed.failure!, lookup);
    const { called, computes, fills, hostWork, set, shape, used } = prepared;
    const isQuestion = !computes && !fills;
    const asksAnew = native.loadsForQuestions === true && called.arguments.some(({ kind }) => kind === "handle");
    if (isQuestion && (!asksAnew || this.#shapes.has(shape)))
      return this.#end(prepared, this.#call(prepared, lookup), lookup, mayReserve);
    const run = (): LibraryResult => {
      if (hostWork.length > 0) this.#hostWork.makeRoom(hostWork);
      const unfit = computes ? this.useStream(stream, used[0]) : undefined;
      const outcome = unfit ?? this.#call(prepared, lookup);
      if (hostWork.length > 0) this.#hostWork.keep(options.work(stream), hostWork);
      return this.#end(prepared, outcome, lookup, mayReserve);
    };
    const taken = (byteCount: number): void => {
      // Without a handle it is the plan or the generator that has what is taken.
      const owners = fills ? set : native.handle === 0 ? used : [];
      for (const descriptor of owners) descriptor.takenBytes += byteCount;
    };
    const load = (): LibraryResult | Promise<LibraryResult> => {
      if (!fills && this.#shapes.has(shape)) return run();
      const loaded = loading.load(run, { mayReserve, taken });
      return loaded instanceof Promise
        ? loaded.then((result) => this.#knows(prepared, result))
        : this.#knows(prepared, loaded);
    };
    return isQuestion ? load() : options.inTurn(load);
  }

  /** Drops what it knows of a stream that ends. */
  forgetStream(stream: CudaStream): void {
    const { native } = this.parts;
    this.#hostWork.forget(stream);
    if (this.#stream === stream) {
      this.#stream = undefined;
      native.setStream(0, undefined);
    }
    if (native.handle !== 0) return;
    for (const plan of this.store.live) {
      if (plan.stream !== stream) continue;
      plan.stream = undefined;
      native.setStream(0, plan);
    }
  }

  /** Gives everything back. Nothing may be under way. */
  close(): void {
    this.store.close();
    this.parts.native.close();
  }

  /** Has the library's handle use the stream, or the plan where there is no handle; says so where it cannot. */
  protected useStream(stream: DeviceStream | undefined, plan: CudaDescriptor | undefined): LibraryOutcome | undefined {
    const { native, options } = this.parts;
    const on = options.work(stream);
    const isPlans = native.handle === 0 && plan !== undefined;
    if ((isPlans ? plan.stream : this.#stream) === on) return undefined;
    const status = native.setStream(on.handle, isPlans ? plan : undefined);
    const now = status === 0 ? on : undefined;
    if (isPlans) plan.stream = now;
    else this.#stream = now;
    return status === 0 ? undefined : native.outcome(status);
  }

  /** The same, unless it is the driver that fails: then that says why. */
  protected told<T extends LibraryOutcome>(outcome: T): T {
    const { context, native } = this.parts;
    if (native.isDevices(outcome.status)) context.ready(context.api.cuStreamQuery(0), `use ${native.table.name}`);
    return outcome;
  }

  protected destroy(descriptor: CudaDescriptor): void {
    if (descriptor.isAbsent) return;
    this.parts.loading.unload(() => this.#functions.destroy(descriptor), descriptor.takenBytes);
  }

  #knows({ shape, fills }: PreparedCall, result: LibraryResult): LibraryResult {
    if (this.#shapes.size >= SHAPES_MAX) this.#shapes.clear();
    if (result.status === 0 && !fills) this.#shapes.add(shape);
    return result;
  }

  #call(prepared: PreparedCall, lookup: LibraryLookup): LibraryOutcome {
    const { native } = this.parts;
    this.store.makeRoom(prepared.made.length);
    for (const { handle } of prepared.made) lookup.claim(handle);
    const status = this.#functions.call(prepared);
    if (status !== undefined) return this.told(native.outcome(status));
    const { name } = prepared.called;
    return { status: native.notSupported, message: `The server's ${native.table.name} has no [${name}].` };
  }

  /** What becomes of the descriptors that it was to make and to set, and the results. */
  #end(prepared: PreparedCall, outcome: LibraryOutcome, lookup: LibraryLookup, isAnswered = true): LibraryResult {
    const { made, set, used, changed, extents, shape, results } = prepared;
    const { native } = this.parts;
    if (outcome.status !== 0) {
      for (const descriptor of set) descriptor.failure = outcome;
      // Whoever uses what could not be made hears of it where nobody was told.
      for (const { handle, kind } of isAnswered ? [] : made) {
        const absent = new CudaDescriptor(0, kind);
        absent.isAbsent = true;
        absent.failure = outcome;
        this.store.add(absent);
        lookup.made(handle, absent);
      }
      const told = native.hasResults?.(outcome.status) === true ? joined(results) : NO_RESULTS;
      return { ...outcome, results: told, isRemembered: set.length > 0 || (made.length > 0 && !isAnswered) };
    }
    for (const { handle, kind, into } of made) {
      const descriptor = new CudaDescriptor(Number(into[0]), kind);
      // Each loads anew what it has for itself.
      descriptor.setting = native.handle === 0 ? String(++this.#made) : shape;
      this.store.add(descriptor);
      this.#functions.note(prepared, descriptor);
      lookup.made(handle, descriptor);
      const status = native.made?.(descriptor) ?? 0;
      if (status !== 0) return { ...native.outcome(status), results: NO_RESULTS, isRemembered: false };
    }
    for (const descriptor of set) {
      descriptor.failure = undefined;
      descriptor.setting = shape;
      descriptor.extents = extents;
      this.#functions.note(prepared, descriptor);
      this.store.refer(descriptor, used);
    }
    for (const { descriptor, keeps } of changed) {
      if (keeps) this.store.refer(descriptor, unchanged(prepared));
      native.changed?.(descriptor);
    }
    return { ...outcome, results: joined(results), isRemembered: false };
  }
}

/** The descriptors that a call takes as they are. */
function unchanged({ used, changed }: PreparedCall): CudaDescriptor[] {
  return used.filter((each) => changed.every(({ descriptor }) => descriptor !== each));
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
