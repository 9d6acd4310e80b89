/**
 * One lease's share of a GPU: an arena in device memory, and the calls of the table on it. Work is queued and errors of kernels surface later,
 * as the driver tells them. What the driver cannot do: end a kernel that runs. Such a slice is lost, and its process must end.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type {
  CompiledSource,
  DeviceAttributes,
  DeviceEvent,
  DeviceImage,
  DeviceModule,
  DeviceSlice,
  DeviceStream,
  KeptResults,
  LaunchOptions,
  LoadOptions,
  MatrixProduct,
  SliceOptions,
} from "../device.ts";
import type { DeviceLibrary } from "../libraries.ts";
import type { SurfaceOptions, TextureOptions } from "../texel.ts";
import { Admission } from "./admission.ts";
import { attributesOf } from "./attributes.ts";
import { compileSource } from "./compiler.ts";
import { STREAM_NON_BLOCKING } from "./constants.ts";
import { CudaContext } from "./context.ts";
import { type CudaEvent, CudaEvents } from "./events.ts";
import { Launcher, launchLimits } from "./launch.ts";
import { type CudaLibrary, setMemory } from "./library.ts";
import { MemoryInUse } from "./memory-in-use.ts";
import { Meter } from "./meter.ts";
import { Mirrors, rangeOf } from "./mirror.ts";
import type { CudaModule } from "./module.ts";
import { CudaModules } from "./modules.ts";
import { Multiplier, WORKSPACE_BYTES_MAX } from "./multiplier.ts";
import { OutputCapture } from "./output.ts";
import { type Allowance, StreamFees } from "./overhead.ts";
import { SliceLibraries } from "./slice-libraries.ts";
import { SliceSize, type SliceWork } from "./slice-size.ts";
import { Staging } from "./staging.ts";
import { CudaStream } from "./stream.ts";
import { CudaTextures } from "./texture.ts";
import { after, waitUntil } from "./waiting.ts";

export class CudaSlice implements DeviceSlice {
  readonly attributes: DeviceAttributes;
  /** First address of the arena: the wanted one, unless the driver chose another. */
  readonly arenaBase: number;
  readonly #context: CudaContext;
  readonly #size: SliceSize;
  /** Set before the slice is anybody's. */
  #staging!: Staging;
  readonly #meter: Meter;
  readonly #admission: Admission | undefined;
  readonly #launcher: Launcher;
  readonly #mirrors: Mirrors;
  readonly #textures: CudaTextures;
  readonly #outside: Allowance;
  readonly #onOutput: (text: string) => void;
  readonly #longWork: <T>(work: () => T) => T;
  /** There from the first module on whose kernels may print. */
  #output: OutputCapture | undefined;
  /** There from the first matrix product on. */
  #multiplier: Multiplier | undefined;
  /** There once it is opened. */
  readonly #libraries = new SliceLibraries();
  readonly #defaultStream = new CudaStream(0);
  readonly #streams = new Set<CudaStream>();
  readonly #fees: StreamFees;
  readonly #inUse: MemoryInUse;
  /** Streams that the session has destroyed while they had work. */
  readonly #ending = new Set<CudaStream>();
  readonly #modules: CudaModules;
  readonly #events: CudaEvents;
  /** Slices on other devices, whose work may use this one's memory. */
  readonly #users = new Set<CudaSlice>();
  /** The stream whose fetches are the last work of all, and all work that is left. */
  #fetching: CudaStream | undefined;
  /** Resolves when the last change of the size is over, however. */
  #resizing: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(library: CudaLibrary, parts: { device: number; context: CudaContext; options: SliceOptions }) {
    const { device, context, options } = parts;
    this.attributes = attributesOf(library, device);
    this.#context = context;
    this.#events = new CudaEvents(context);
    this.#onOutput = options.onOutput;
    this.#longWork = options.longWork ?? ((work) => work());
    const known = new Map(this.attributes.attributes.map(({ attribute, value }) => [attribute, value]));
    const attribute = (number: number): number => known.get(number) ?? 0;
    this.#size = new SliceSize(context, options, { work: this.#sizeWork(), attribute });
    this.arenaBase = this.#size.arena.base;
    const { local } = this.#size;
    this.#launcher = new Launcher(context, launchLimits(attribute), local);
    this.#outside = local.outside;
    this.#fees = new StreamFees(local.outside);
    this.#inUse = new MemoryInUse(context, options.description.details?.uuid ?? "");
    this.#modules = new CudaModules(context, {
      size: this.#size,
      capability: this.attributes.capabilityMajor * 10 + this.attributes.capabilityMinor,
      longWork: this.#longWork,
      owedBytes: () => this.#owedBytes(),
    });
    this.#mirrors = new Mirrors(context, {
      outside: this.#outside,
      idle: () => this.synchronize(),
      defaultStream: this.#defaultStream,
    });
    this.#textures = new CudaTextures(context, this.#mirrors);
    const { turns, kernelTimeoutMs } = options;
    this.#meter = new Meter(context, { kernelTimeoutMs, separates: turns !== undefined });
    const isIdle = (): boolean => this.#isIdle();
    this.#admission = turns && new Admission({ turns, meter: this.#meter, isIdle });
  }

  /** Opens a slice with zeroed memory on the driver's device `device`. Takes a few hundred milliseconds where the context is the process's first. */
  static async open(library: CudaLibrary, device: number, options: SliceOptions): Promise<CudaSlice> {
    const context = new CudaContext({
      api: library.api,
      device,
      onFailure: (error) => options.onFailure?.(error),
    });
    options.onStep?.("context");
    let slice: CudaSlice;
    try {
      slice = new CudaSlice(library, { device, context, options });
      options.onStep?.("memory");
    } catch (error) {
      context.release();
      throw error;
    }
    try {
      const zeros = slice.#zero(0);
      zeros.catch(() => undefined);
      // The host locks pages while the device writes zeros.
      slice.#staging = new Staging(context);
      options.onStep?.("page-locked memory");
      await zeros;
      options.onStep?.("zeros");
      return slice;
    } catch (error) {
      await slice.close();
      throw error;
    }
  }

  /** The driver ends a context that has failed only with its process. */
  get needsNewProcess(): boolean {
    return this.#context.failure !== undefined;
  }

  /** Device time of the lease's finished work so far, in milliseconds. */
  deviceTimeMs(): number {
    return this.#meter.totalMs();
  }

  /** Kernels and copies run behind their calls; a slice that is lost does nothing that anybody waits for. */
  isBusy(): boolean {
    try {
      return !this.#isIdle();
    } catch {
      return false;
    }
  }

  #isIdle(): boolean {
    return [this.#defaultStream, ...this.#streams, ...this.#ending].every((stream) => this.queryStream(stream));
  }

  /** Behind all work; what comes new is zero. */
  resize(arenaBytes: number): Promise<void> {
    const resized = this.#size.resize(arenaBytes);
    this.#resizing = resized.catch(() => undefined);
    return resized;
  }

  releaseMemory(): Promise<void> {
    return this.#size.release();
  }

  retakeMemory(): Promise<void> {
    return this.#size.retake();
  }

  allocated(address: number, byteCount: number): void | Promise<void> {
    if (!this.#size.has(address + byteCount)) return this.#size.provide(address + byteCount);
  }

  setStack(threadBytes: number): Promise<number> {
    return this.#size.setStack(threadBytes);
  }

  /** Nothing uses the memory when they resolve: behind a copy that is done the meter may have a mark of its time under way. */
  #sizeWork(): SliceWork {
    return {
      synchronize: () => this.#settle(),
      zero: (offset) => this.#zero(offset),
      read: async (address, into) => {
        await this.readAsIs(address, into);
        await this.#settle();
      },
      write: async (address, data) => {
        await this.writeAsIs(address, data);
        await this.#settle();
      },
    };
  }

  /** Waits for all work here, and on the devices that may use the memory. */
  #settle(): void | Promise<void> {
    return this.#users.size === 0 ? this.synchronize() : this.#settleAll([this, ...this.#users]);
  }

  /** While one is waited for, the meter of another may have queued a mark. */
  async #settleAll(slices: readonly CudaSlice[]): Promise<void> {
    const open = (): CudaSlice[] => slices.filter((slice) => slice.#closed === undefined);
    do {
      for (const slice of open()) await slice.synchronize();
    } while (!open().every((slice) => slice.#isIdle()));
  }

  /** Past the arrays that stand for some of it, which keep what they have, and not counted as the lease's work. */
  async readAsIs(address: number, into: Uint8Array): Promise<void> {
    await this.#staging.read(address, into, this.#defaultStream);
  }

  async writeAsIs(address: number, data: Uint8Array): Promise<void> {
    await this.#staging.write(address, data, this.#defaultStream);
  }

  write(address: number, data: Uint8Array, stream: DeviceStream | undefined): void | Promise<void> {
    const on = this.#work(stream);
    const range = rangeOf(address, data.byteLength);
    this.#mirrors.willWrite(range, on);
    const written = this.#staging.write(address, data, on);
    return this.#mirrors.isEmpty ? written : after(written, () => this.#mirrors.wrote(range, on));
  }

  fetch(address: number, data: Uint8Array, stream: DeviceStream | undefined): Promise<void> | undefined {
    if (!this.#staging.isAdopted(data)) return undefined;
    // It is the caller's again when the device has it: behind other work than that of its like, that would hold up all calls.
    const isNext = this.#fetching === this.#stream(stream) || this.queryStream(stream);
    if (!isNext) return undefined;
    const on = this.#work(stream);
    const range = rangeOf(address, data.byteLength);
    this.#mirrors.willWrite(range, on);
    const fetched = this.#staging.fetch(address, data, on);
    this.#mirrors.wrote(range, on);
    this.#fetching = on;
    return fetched;
  }

  place(_address: number, byteCount: number): Uint8Array | undefined {
    return this.#staging.place(byteCount);
  }

  adopt(memory: Uint8Array<ArrayBuffer>): void {
    this.#context.enter();
    this.#staging.adopt(memory);
  }

  read(address: number, into: Uint8Array, stream: DeviceStream | undefined): void | Promise<void> {
    const on = this.#work(stream);
    this.#mirrors.willRead(rangeOf(address, into.byteLength), on);
    const reading = this.#staging.read(address, into, on);
    if (reading === undefined) this.#meter.rests(on);
    if (this.#output === undefined) return reading;
    // What kernels printed is passed on by a stream that is idle, which the copy's end is not: the meter may have a mark behind it.
    return Promise.resolve(reading).then(() => this.synchronizeStream(stream));
  }

  copy(to: { destination: number; source: number; byteCount: number }, stream: DeviceStream | undefined): void {
    if (to.byteCount === 0) return;
    const on = this.#work(stream);
    const written = rangeOf(to.destination, to.byteCount);
    this.#mirrors.willRead(rangeOf(to.source, to.byteCount), on);
    this.#mirrors.willWrite(written, on);
    this.#context.check(
      this.#context.api.cuMemcpyDtoDAsync_v2(to.destination, to.source, to.byteCount, on.handle),
      "copy on the device",
    );
    this.#mirrors.wrote(written, on);
  }

  copyFrom(
    from: DeviceSlice,
    { destination, source, byteCount }: { destination: number; source: number; byteCount: number },
    stream: DeviceStream | undefined,
  ): boolean {
    // What an array has is the other slice's to fetch, in a stream of its own.
    if (!(from instanceof CudaSlice) || !from.#mirrors.isEmpty) return false;
    const on = this.#work(stream);
    if (from.#context.device !== this.#context.device) {
      if (!from.#size.arena.allowPeer(this.#context.device)) return false;
      from.#users.add(this);
    }
    // One address space holds all devices, so that this is an ordinary copy once the memory may be used.
    const written = rangeOf(destination, byteCount);
    this.#mirrors.willWrite(written, on);
    const result = this.#context.api.cuMemcpyDtoDAsync_v2(destination, source, byteCount, on.handle);
    this.#context.check(result, "copy between devices");
    this.#mirrors.wrote(written, on);
    return true;
  }

  fill(
    { address, count, width, value }: { address: number; count: number; width: 1 | 2 | 4; value: number },
    stream: DeviceStream | undefined,
  ): void {
    if (count === 0) return;
    const on = this.#work(stream);
    const written = rangeOf(address, count * width);
    this.#mirrors.willWrite(written, on);
    this.#context.check(setMemory(this.#context.api, { address, count, width, value }, on.handle), "fill memory");
    this.#mirrors.wrote(written, on);
  }

  get reservedBytes(): number {
    return this.#size.reservedBytes;
  }

  get keptBytes(): number {
    return this.#size.keptBytes;
  }

  loadModule(image: Uint8Array, options: LoadOptions = {}): DeviceModule | Promise<DeviceModule> {
    const loaded = this.#modules.load(image, options);
    return loaded instanceof Promise ? loaded.then((module) => this.#listen(module)) : this.#listen(loaded);
  }

  #listen(module: CudaModule): CudaModule {
    if (module.prints) this.#output ??= new OutputCapture(this.#onOutput);
    return module;
  }

  compile(source: string, options: readonly string[], kept?: KeptResults): Promise<CompiledSource> {
    const { capabilityMajor, capabilityMinor, driverVersion } = this.attributes;
    return compileSource(source, { capability: capabilityMajor * 10 + capabilityMinor, driverVersion, options, kept });
  }

  async unloadModule(module: DeviceModule, isUntold = false): Promise<void> {
    await this.synchronize();
    await this.#modules.unload(module, isUntold);
  }

  launch(options: LaunchOptions): void | Promise<void> {
    const hungry = this.#launcher.beyondMemory(options);
    if (hungry !== undefined)
      return this.#size.growLocal(hungry.name, hungry.localBytes).then(() => this.launch(options));
    return this.#inTurn(() => {
      const on = this.#work(options.stream, "kernel");
      this.#launcher.launch(options, on);
      if (!this.#mirrors.isEmpty) this.#mirrors.launched(on);
    });
  }

  /** Does work of the device's once the lease has its turn there: at once, where it need not wait. */
  #inTurn<T>(work: () => T | Promise<T>): T | Promise<T> {
    const turn = this.#admission?.admit();
    return turn === undefined ? work() : turn.then(work);
  }

  multiply(product: MatrixProduct, stream: DeviceStream | undefined): void | Promise<void> {
    return this.#inTurn(() => this.#products().multiply(product, this.#work(stream, "kernel")));
  }

  prepareMultiply(product: MatrixProduct): void {
    this.#context.enter();
    this.#products().prepare(product);
  }

  #products(): Multiplier {
    const { driverVersion } = this.attributes;
    const longWork = this.#longWork;
    const make = (): Multiplier => new Multiplier(this.#context, { driverVersion, outside: this.#outside, longWork });
    this.#multiplier ??= longWork(make);
    return this.#multiplier;
  }

  openLibrary(number: number): Promise<DeviceLibrary> {
    return this.#libraries.open(number, this.#context, {
      driverVersion: this.attributes.driverVersion,
      arenaBase: this.arenaBase,
      size: this.#size,
      inUse: this.#inUse,
      longWork: this.#longWork,
      owedBytes: () => this.#owedBytes(),
      inTurn: (work) => this.#inTurn(work),
      work: (stream) => this.#work(stream, "kernel"),
    });
  }

  /** What calls without an answer may need of the allowance yet. */
  #owedBytes(): number {
    return this.#fees.owedBytes + (this.#multiplier === undefined ? WORKSPACE_BYTES_MAX : 0);
  }

  freed(address: number, byteCount: number): void {
    this.#mirrors.freed(rangeOf(address, byteCount));
  }

  createTexture(options: TextureOptions): DeviceImage | Promise<DeviceImage> {
    return this.#textures.createTexture(options);
  }

  destroyTexture(texture: DeviceImage): void | Promise<void> {
    return this.#textures.destroyTexture(texture);
  }

  createSurface(options: SurfaceOptions): Promise<DeviceImage> {
    return this.#textures.createSurface(options);
  }

  destroySurface(surface: DeviceImage): Promise<void> {
    return this.#textures.destroySurface(surface);
  }

  createStream({ flags, priority }: { flags: number; priority: number }): DeviceStream {
    this.#context.enter();
    this.#fees.pay(this.#streams.size + this.#ending.size + 1);
    const handle = new BigUint64Array(1);
    this.#context.check(
      this.#context.api.cuStreamCreateWithPriority(handle, flags & STREAM_NON_BLOCKING, priority),
      "create a stream",
    );
    const stream = new CudaStream(Number(handle[0]));
    this.#streams.add(stream);
    return stream;
  }

  destroyStream(stream: DeviceStream): void {
    this.#context.enter();
    const ending = stream as CudaStream;
    this.#streams.delete(ending);
    this.#ending.add(ending);
    this.#endStreams();
  }

  createEvent(flags: number): DeviceEvent {
    return this.#events.create(flags);
  }

  destroyEvent(event: DeviceEvent): void {
    this.#events.destroy(event as CudaEvent);
  }

  recordEvent(event: DeviceEvent, stream: DeviceStream | undefined): void {
    this.#events.record(event as CudaEvent, this.#stream(stream));
  }

  waitEvent(stream: DeviceStream | undefined, event: DeviceEvent): void {
    this.#context.enter();
    const waiting = this.#stream(stream);
    this.#fetching = undefined;
    this.#meter.pause(waiting);
    const result = this.#context.api.cuStreamWaitEvent(waiting.handle, (event as CudaEvent).handle, 0);
    this.#context.check(result, "make a stream wait");
  }

  queryEvent(event: DeviceEvent): boolean {
    return this.#events.query(event as CudaEvent);
  }

  synchronizeEvent(event: DeviceEvent): void | Promise<void> {
    const finish = (): void => {
      // At once, since the event is done; the driver passes on what kernels print only when it is asked to wait.
      if (this.#output === undefined) return;
      this.#context.check(this.#context.api.cuEventSynchronize((event as CudaEvent).handle), "wait for an event");
      this.#output.drain();
    };
    return after(
      waitUntil(() => this.queryEvent(event)),
      finish,
    );
  }

  elapsed(start: DeviceEvent, end: DeviceEvent): number {
    return this.#events.elapsed(start as CudaEvent, end as CudaEvent);
  }

  queryStream(stream: DeviceStream | undefined): boolean {
    this.#context.enter();
    return this.#context.ready(this.#context.api.cuStreamQuery(this.#stream(stream).handle), "query a stream");
  }

  synchronizeStream(stream: DeviceStream | undefined): void | Promise<void> {
    const on = this.#stream(stream);
    const finish = (): void => {
      this.#meter.rests(on);
      this.#collectOutput(on);
    };
    return after(
      waitUntil(() => this.queryStream(stream)),
      finish,
    );
  }

  synchronize(): void | Promise<void> {
    const all = [this.#defaultStream, ...this.#streams, ...this.#ending];
    const finish = (): void => {
      this.#context.enter();
      // At once, since every stream is done; asked for what only it tells: late errors, and output of all streams.
      this.#context.check(this.#context.api.cuCtxSynchronize(), "wait for the device");
      for (const stream of all) this.#meter.rests(stream);
      this.#endStreams();
      this.#output?.drain();
    };
    return after(
      waitUntil(() => all.every((stream) => !this.#knows(stream) || this.queryStream(stream))),
      finish,
    );
  }

  /**
   * Waits for the work under way and gives everything back. A slice that is lost (a fault, or a kernel that does not end) cannot give its
   * memory back by itself: it resolves at once, and the memory returns when the process ends, which its owner must see to.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#resizing;
    try {
      await this.synchronize();
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
    }
    this.#output?.close();
    if (this.#context.failure?.code === "KERNEL_TIMEOUT") {
      this.#meter.abandon();
      this.#size.abandon();
      return;
    }
    const { api } = this.#context;
    this.#context.enterToRelease();
    this.#events.release();
    for (const stream of [...this.#streams, ...this.#ending]) api.cuStreamDestroy_v2(stream.handle);
    this.#modules.release();
    this.#textures.release();
    this.#multiplier?.close();
    this.#libraries.close();
    this.#meter.close();
    // Not there where the opening has failed.
    this.#staging?.close();
    this.#size.close();
    this.#context.release();
  }

  /** Memory from `offset` on was another's. */
  async #zero(offset: number): Promise<void> {
    const [address, count] = [this.arenaBase + offset, (this.#size.arena.byteCount - offset) / 4];
    this.fill({ address, count, width: 4, value: 0 }, undefined);
    await this.synchronize();
  }

  /** The stream to queue work in; enters the context and lets the meter know. */
  #work(stream: DeviceStream | undefined, kind: "kernel" | "copy" = "copy"): CudaStream {
    this.#context.enter();
    const on = this.#stream(stream);
    this.#fetching = undefined;
    this.#meter.work(on, kind);
    return on;
  }

  #stream(stream: DeviceStream | undefined): CudaStream {
    return stream === undefined ? this.#defaultStream : (stream as CudaStream);
  }

  /** False for a stream that was destroyed while somebody waited. */
  #knows(stream: CudaStream): boolean {
    return stream === this.#defaultStream || this.#streams.has(stream) || this.#ending.has(stream);
  }

  /** The stream is idle: has the driver pass on what kernels printed. */
  #collectOutput(stream: CudaStream): void {
    if (this.#output === undefined) return;
    this.#context.enter();
    this.#context.check(this.#context.api.cuStreamSynchronize(stream.handle), "wait for a stream");
    this.#output.drain();
  }

  /** Destroys the streams whose session is done with them and whose work is done. */
  #endStreams(): void {
    for (const stream of this.#ending) {
      this.#meter.pause(stream);
      if (!this.queryStream(stream)) continue;
      this.#ending.delete(stream);
      this.#meter.forget(stream);
      this.#staging.forget(stream);
      this.#multiplier?.forget(stream);
      this.#libraries.forgetStream(stream);
      this.#context.check(this.#context.api.cuStreamDestroy_v2(stream.handle), "destroy a stream");
    }
  }
}
