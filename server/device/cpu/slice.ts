/**
 * A slice of the cpu device: one linear memory, its workers, its modules. Calls come one after the other; a launch is done when its
 * promise is. A kernel that fails poisons the slice, as a CUDA context is poisoned: every later call fails alike.
 */
import os from "node:os";
import { SluiceError } from "../../../shared/errors.ts";
import { OUTPUT_BYTES_MAX } from "../../../shared/limits.ts";
import type {
  DeviceAttributes,
  DeviceEvent,
  DeviceImage,
  DeviceModule,
  DeviceSlice,
  DeviceStream,
  LaunchOptions,
  MatrixProduct,
  SliceOptions,
} from "../device.ts";
import { giveBackPages } from "../host-memory.ts";
import { layoutBytes, type SurfaceOptions, type TextureOptions } from "../texel.ts";
import { describeAttributes } from "./attributes.ts";
import { EventBook } from "./events.ts";
import { GlobalsWindow } from "./globals.ts";
import { SliceImages } from "./images.ts";
import type { LoadedKernel } from "./kernel-table.ts";
import { checkLaunch } from "./launch.ts";
import { CpuModule, loadImage } from "./module.ts";
import { Products, requireWide } from "./product.ts";
import { type Control, controlOver, FaultKind, Word } from "./run/control.ts";
import { HEAP_BYTES_MIN, Heap, HeapFault } from "./run/heap.ts";
import { type LaunchMemory, type LaunchRecord, launchParams, takeLaunches } from "./run/launch-list.ts";
import { isGlobalRange, type MemoryLayout, PAGE_BYTES, planMemory } from "./run/layout.ts";
import { type Outcome, WorkerPool } from "./run/worker-pool.ts";

/** Blocks per chunk: few enough that workers end together, enough that dealing costs nothing. */
const CHUNKS_PER_WORKER = 16;
const BLOCKS_PER_CHUNK_MAX = 64;
/** Of an image of this size loading and compiling may take seconds. */
const LARGE_IMAGE_BYTES = 256 * 1024;

/** The counter of chunks has 32 bits, and each worker counts once past the end. */
/** What cooperative groups keep for a grid is a few words. */
const MEETING_PLACE_BYTES = 256;
const CHUNKS_MAX = 2 ** 30;

/** A launch with all that its kernels launch: the time that they have run together, which has one bound. */
interface LaunchSpan {
  usedMs: number;
}

/** What the workers need to know of a launch beside its kernel. */
type Work = Pick<LaunchOptions, "grid" | "block" | "sharedBytes" | "params" | "cooperative">;

export class CpuSlice implements DeviceSlice {
  readonly attributes: DeviceAttributes;
  readonly #options: SliceOptions;
  #layout: MemoryLayout;
  readonly #modules = new Set<CpuModule>();
  readonly #large = new WeakSet<CpuModule>();
  readonly #bytes: Uint8Array<ArrayBufferLike>;
  readonly #control: Control = controlOver();
  readonly #pool: WorkerPool;
  readonly #window: GlobalsWindow;
  readonly #events = new EventBook();
  readonly #products: Products;
  readonly #images: SliceImages;
  #nextKernel = 1;
  #launches = 0;
  /** Where it lies in linear memory, once a cooperative launch has needed it. */
  #meetingPlace: number | undefined;
  #poison: SluiceError | undefined;
  #isClosed = false;
  #deviceTimeMs = 0;

  constructor(options: SliceOptions, workers: number) {
    const { arenaBytes, arenaBase, description } = options;
    this.#options = options;
    const capacityBytes = Math.min(description.sliceBytesMax, Math.max(arenaBytes, os.totalmem() / 2));
    this.#layout = planMemory({ arenaBytes, arenaBase, workers, capacityBytes });
    const memory = allocate(this.#layout.memoryPages);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#window = new GlobalsWindow(this.#layout);
    this.#products = new Products(this.#layout);
    // Workers look at the arena's size only to read texts, where more than it has is nobody else's either.
    const layout = { ...this.#layout, arenaBytes: this.#layout.capacityBytes };
    const setup = { memory, control: this.#control.buffer, layout };
    this.#pool = new WorkerPool(this.#control, setup, () => this.#loseWorker());
    this.#images = new SliceImages(this.#pool, layout);
    this.attributes = describeAttributes(workers, description);
    // The first launch should find a worker awake.
    this.#pool.start(1);
  }

  /** Nothing moves: kernels are compiled for the new bound, and what is cut off stays this lease's own. */
  resize(arenaBytes: number): void {
    this.#requireHealthy();
    const { capacityBytes } = this.#layout;
    if (arenaBytes % PAGE_BYTES !== 0 || arenaBytes > capacityBytes) {
      const sizes = `of [${arenaBytes}] bytes is not a multiple of [${PAGE_BYTES}] up to [${capacityBytes}]`;
      throw new SluiceError("OUT_OF_MEMORY", `A slice ${sizes}, the most that this one can grow to.`);
    }
    this.#layout = { ...this.#layout, arenaBytes };
    this.#images.fit(this.#layout);
    for (const module of this.#modules) for (const id of module.table.fit(this.#layout)) this.#pool.dropKernel(id);
  }

  /** What a slice has shed while it shrank goes too. Variables and what workers need stay: they are no part of what a lease is charged. */
  releaseMemory(): void {
    this.#requireHealthy();
    giveBackPages(this.#bytes.subarray(0, this.#layout.capacityBytes));
  }

  /** Pages that were given back are zero, and come when they are touched. */
  retakeMemory(): void {}

  write(address: number, data: Uint8Array): void {
    const at = this.#range(address, data.byteLength);
    const isThere = data.buffer === this.#bytes.buffer && data.byteOffset === at;
    if (!isThere) this.#bytes.set(data, at);
  }

  /** Nothing else runs between two calls, so that the memory itself will do. */
  place(address: number, byteCount: number): Uint8Array {
    return this.view(address, byteCount);
  }

  read(address: number, into: Uint8Array): void {
    const at = this.#range(address, into.byteLength);
    into.set(this.#bytes.subarray(at, at + into.byteLength));
  }

  /** Kernels write only while their launch is waited for. */
  view(address: number, byteCount: number): Uint8Array {
    const at = this.#range(address, byteCount);
    return this.#bytes.subarray(at, at + byteCount);
  }

  copy({ destination, source, byteCount }: { destination: number; source: number; byteCount: number }): void {
    const from = this.#range(source, byteCount);
    const to = this.#range(destination, byteCount);
    this.#bytes.copyWithin(to, from, from + byteCount);
  }

  fill({ address, count, width, value }: { address: number; count: number; width: 1 | 2 | 4; value: number }): void {
    const at = this.#range(address, count * width);
    if (at % width !== 0)
      throw new SluiceError("BAD_ARGUMENT", `The address [${address}] is not a multiple of [${width}].`);
    const { buffer } = this.#bytes;
    if (width === 1) this.#bytes.fill(value, at, at + count);
    else if (width === 2) new Uint16Array(buffer, at, count).fill(value);
    else new Uint32Array(buffer, at, count).fill(value);
  }

  loadModule(image: Uint8Array): DeviceModule {
    this.#requireHealthy();
    const isLarge = image.byteLength >= LARGE_IMAGE_BYTES;
    const load = () => loadImage(image, { layout: this.#layout, window: this.#window, memory: this.#bytes });
    const module = isLarge ? this.#takesLong(load) : load();
    this.#modules.add(module);
    if (isLarge) this.#large.add(module);
    return module;
  }

  unloadModule(module: DeviceModule): void {
    const mine = own(module);
    this.#modules.delete(mine);
    for (const id of mine.table.launched()) this.#pool.dropKernel(id);
    if (mine.place !== undefined) this.#window.free(mine.place);
  }

  setHeap(address: number, byteCount: number): void {
    const offset = this.#range(address, byteCount);
    if (byteCount < HEAP_BYTES_MIN) {
      const sizes = `of [${byteCount}] bytes is smaller than [${HEAP_BYTES_MIN}], which it needs for itself`;
      throw new SluiceError("BAD_ARGUMENT", `A heap ${sizes}.`);
    }
    new Heap(this.#bytes.buffer, { offset, byteCount }).format();
    const { words } = this.#control;
    words[Word.HEAP] = offset;
    words[Word.HEAP_BYTES] = byteCount;
  }

  launch(options: LaunchOptions): void | Promise<void> {
    this.#requireHealthy();
    const module = own(options.module);
    const kernel = this.#kernel(module, options.kernel, options.block);
    checkLaunch(kernel.compiled, options, this.#layout.workers);
    const span = { usedMs: 0 };
    const running = this.#run(kernel, options, span);
    if (module.launches === undefined) return running;
    return Promise.resolve(running).then(() => this.#runLaunched(module, span));
  }

  /** Runs what a kernel has launched, and what that launches: each with all of its own before the next, which is one launch to whoever waits. */
  async #runLaunched(module: CpuModule, span: LaunchSpan): Promise<void> {
    const { listAt, kernels } = module.launches!;
    const { words } = this.#control;
    const heap = { offset: words[Word.HEAP]! >>> 0, byteCount: words[Word.HEAP_BYTES]! >>> 0 };
    const memory: LaunchMemory = { bytes: this.#bytes, base: this.#layout.arenaBase, heap, listAt };
    const open: LaunchRecord[] = [];
    try {
      for (;;) {
        open.push(...takeLaunches(memory).reverse());
        const record = open.pop();
        if (record === undefined) return;
        const number = kernels.get(record.kernel);
        if (number === undefined) {
          const what = `[0x${record.kernel.toString(16)}], which is no kernel of its module`;
          throw new SluiceError("BAD_LAUNCH", `A kernel launches ${what}.`);
        }
        const { grid, block, sharedBytes } = record;
        const kernel = this.#kernel(module, number, block);
        const params = launchParams(record, kernel.compiled.paramBytes, memory);
        const options = { module, kernel: number, grid, block, sharedBytes, params, stream: undefined };
        checkLaunch(kernel.compiled, options, this.#layout.workers);
        new Heap(this.#bytes.buffer, heap).free(record.offset - heap.offset);
        await this.#run(kernel, options, span);
      }
    } catch (error) {
      if (error instanceof HeapFault)
        throw this.#fail(new SluiceError("ILLEGAL_ADDRESS", "A kernel has overwritten the heap of kernels."));
      throw error instanceof SluiceError ? this.#fail(error) : error;
    }
  }

  #kernel(module: CpuModule, index: number, block: LaunchOptions["block"]): LoadedKernel {
    const { table } = module;
    if (table.isCompiled(index, block) || !this.#large.has(module)) return table.get(index, block);
    return this.#takesLong(() => table.get(index, block));
  }

  #takesLong<T>(work: () => T): T {
    const { longWork } = this.#options;
    return longWork === undefined ? work() : longWork(work);
  }

  multiply(product: MatrixProduct): void | Promise<void> {
    this.#requireHealthy();
    requireWide(product);
    const launch = this.#products.launch(product, (address, byteCount) => this.#range(address, byteCount));
    return this.#run(this.#products.kernel(product.type), launch);
  }

  prepareMultiply(product: MatrixProduct): void {
    requireWide(product);
    this.#products.kernel(product.type);
  }

  /** Runs a kernel, alone or in a span of others, when it is the lease's turn. */
  #run(kernel: LoadedKernel, options: Work, span: LaunchSpan = { usedMs: 0 }): void | Promise<void> {
    kernel.id ??= this.#deliver(kernel);
    const turn = this.#options.turns?.enter();
    if (turn === undefined) return this.#runNow(kernel, options, span);
    return turn.then(() => this.#runNow(kernel, options, span));
  }

  #runNow(kernel: LoadedKernel, options: Work, span: LaunchSpan): void | Promise<void> {
    const workers = this.#describe(kernel, options);
    const before = performance.now();
    const finish = (outcome: Outcome): void | Promise<void> => {
      const usedMs = performance.now() - before;
      this.#options.turns?.done(usedMs);
      this.#deviceTimeMs += usedMs;
      span.usedMs += usedMs;
      return this.#finish(outcome, kernel);
    };
    const limit = this.#options.kernelTimeoutMs;
    const outcome = this.#pool.run(workers, limit === 0 ? 0 : Math.max(1, limit - span.usedMs));
    return typeof outcome === "string" ? finish(outcome) : outcome.then(finish);
  }

  /** Time in which kernels ran; copies are the caller's own time. */
  deviceTimeMs(): number {
    return this.#deviceTimeMs;
  }

  createTexture(options: TextureOptions): DeviceImage {
    for (const each of [options.layout, ...(options.levels?.further ?? [])])
      this.#range(each.address, layoutBytes(each));
    return this.#images.createTexture(options);
  }

  destroyTexture(texture: DeviceImage): void {
    this.#images.destroy(texture);
  }

  createSurface(options: SurfaceOptions): DeviceImage {
    this.#range(options.layout.address, layoutBytes(options.layout));
    return this.#images.createSurface(options);
  }

  destroySurface(surface: DeviceImage): void {
    this.#images.destroy(surface);
  }

  createStream(): DeviceStream {
    return { kind: "stream" };
  }

  destroyStream(): void {}

  createEvent(flags: number): DeviceEvent {
    return this.#events.create(flags);
  }

  destroyEvent(event: DeviceEvent): void {
    this.#events.destroy(event);
  }

  recordEvent(event: DeviceEvent): void {
    this.#events.record(event);
  }

  waitEvent(): void {
    this.#requireHealthy();
  }

  queryEvent(): boolean {
    this.#requireHealthy();
    return true;
  }

  synchronizeEvent(): void {
    this.#requireHealthy();
  }

  elapsed(start: DeviceEvent, end: DeviceEvent): number {
    return this.#events.elapsed(start, end);
  }

  queryStream(): boolean {
    this.#requireHealthy();
    return true;
  }

  synchronizeStream(): void {
    this.#requireHealthy();
  }

  synchronize(): void {
    this.#requireHealthy();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool.end("closed");
  }

  #requireHealthy(): void {
    if (this.#poison !== undefined) throw this.#poison;
    if (this.#isClosed) throw new SluiceError("CLOSED", "The slice is closed.");
  }

  /** Offset in linear memory of a range that copies may touch: the arena, or the globals behind it. */
  #range(address: number, byteCount: number): number {
    this.#requireHealthy();
    const offset = address - this.#layout.arenaBase;
    if (!(byteCount >= 0 && isGlobalRange(this.#layout, { offset, byteCount }))) {
      throw new SluiceError(
        "ADDRESS_OUTSIDE_ARENA",
        `The range of [${byteCount}] bytes at [0x${address.toString(16)}] is not within the slice.`,
      );
    }
    return offset;
  }

  /** Compiles a kernel for the machine and hands it to the workers. */
  #deliver({ compiled }: LoadedKernel): number {
    const id = this.#nextKernel++;
    const module = new WebAssembly.Module(compiled.bytes);
    const { suspensions, threadBytes, isUniform } = compiled;
    this.#pool.addKernel({ kind: "kernel", id, module, suspensions, threadBytes, isUniform });
    return id;
  }

  /** Writes the launch into the control words; returns how many workers it is worth. */
  #describe({ compiled, id }: LoadedKernel, { grid, block, sharedBytes, params, cooperative }: Work): number {
    const { words } = this.#control;
    const blocks = grid[0] * grid[1] * grid[2];
    const workers = Math.min(this.#layout.workers, blocks);
    const even = Math.floor(blocks / (workers * CHUNKS_PER_WORKER));
    const perChunk = Math.max(1, Math.min(even, BLOCKS_PER_CHUNK_MAX), Math.ceil(blocks / CHUNKS_MAX));
    words[Word.LAUNCH] = ++this.#launches | 0;
    words[Word.KERNEL] = id!;
    words[Word.CHUNKS] = Math.ceil(blocks / perChunk);
    words[Word.BLOCKS_PER_CHUNK] = perChunk;
    for (let axis = 0; axis < 3; axis++) {
      words[Word.GRID + axis] = grid[axis]!;
      words[Word.BLOCK + axis] = block[axis]!;
    }
    const meetingPlace = cooperative ? this.#clearMeetingPlace() : 0;
    words[Word.MEETING_PLACE] = meetingPlace % 2 ** 32;
    words[Word.MEETING_PLACE + 1] = Math.floor(meetingPlace / 2 ** 32);
    words[Word.SHARED_BYTES] = compiled.sharedBytes + sharedBytes;
    words[Word.DYNAMIC_SHARED_BYTES] = sharedBytes;
    words[Word.PARAM_BYTES] = params.length;
    words[Word.FAULT] = 0;
    this.#control.params.set(params);
    return workers;
  }

  /** Address of zeroed memory by which the blocks of a launch wait for each other. */
  #clearMeetingPlace(): number {
    this.#meetingPlace ??= this.#window.take(MEETING_PLACE_BYTES);
    this.#bytes.fill(0, this.#meetingPlace, this.#meetingPlace + MEETING_PLACE_BYTES);
    return this.#layout.arenaBase + this.#meetingPlace;
  }

  /** Hands on what was printed, and turns what went wrong into an error. */
  #finish(outcome: Outcome, { compiled }: LoadedKernel): void | Promise<void> {
    this.#handOutput();
    if (outcome === "done") {
      if (this.#control.words[Word.FAULT] === 0) return;
      throw this.#fail(this.#faultError(compiled.name));
    }
    if (outcome === "closed")
      throw new SluiceError("CLOSED", `The slice is closed while the kernel [${compiled.name}] runs.`);
    const limit = this.#options.kernelTimeoutMs;
    const error =
      outcome === "timeout"
        ? this.#fail(new SluiceError("KERNEL_TIMEOUT", `The kernel [${compiled.name}] runs longer than [${limit}] ms.`))
        : this.#loseWorker();
    return this.#pool.end(outcome).then(() => {
      throw error;
    });
  }

  /** Remembers the first failure, which every later call repeats. */
  #fail(error: SluiceError): SluiceError {
    if (this.#poison === undefined) {
      this.#poison = error;
      this.#options.onFailure?.(error);
    }
    return this.#poison;
  }

  /** A worker has ended although nobody asked it to. */
  #loseWorker(): SluiceError {
    const { cause } = this.#pool;
    return this.#fail(new SluiceError("DEVICE_FAILED", "A worker of the cpu device dies.", { cause }));
  }

  #handOutput(): void {
    const { words, output } = this.#control;
    const count = words[Word.OUTPUT_BYTES]!;
    if (count === 0 && words[Word.OUTPUT_DROPPED] === 0) return;
    const text = Buffer.from(output.slice(0, count)).toString("utf8");
    const note = words[Word.OUTPUT_DROPPED] === 0 ? "" : `[output beyond ${OUTPUT_BYTES_MAX} bytes is dropped]\n`;
    words[Word.OUTPUT_BYTES] = 0;
    words[Word.OUTPUT_DROPPED] = 0;
    this.#options.onOutput(text + note);
  }

  #faultError(kernel: string): SluiceError {
    const { words, text } = this.#control;
    const line = words[Word.FAULT_LINE]!;
    const block = [0, 1, 2].map((axis) => words[Word.FAULT_BLOCK + axis]).join();
    const high = BigInt(words[Word.FAULT_ADDRESS + 1]! >>> 0);
    const address = (high << 32n) | BigInt(words[Word.FAULT_ADDRESS]! >>> 0);
    const where = `${line > 0 ? ` in PTX line [${line}]` : ""} in block [${block}]`;
    switch (words[Word.FAULT]) {
      case FaultKind.ADDRESS:
        return new SluiceError(
          "ILLEGAL_ADDRESS",
          `The kernel [${kernel}] accesses [0x${address.toString(16)}]${where}.`,
        );
      case FaultKind.TRAP:
        return new SluiceError("KERNEL_TRAP", `The kernel [${kernel}] stops itself${where}.`);
      case FaultKind.ASSERTION:
        return new SluiceError("KERNEL_TRAP", `An assertion in the kernel [${kernel}] fails${where}.`, DRIVER_ASSERT);
      case FaultKind.IMAGE:
        return new SluiceError(
          "ILLEGAL_ADDRESS",
          `The kernel [${kernel}] uses [0x${address.toString(16)}] as a texture or surface, which names none${where}.`,
        );
      case FaultKind.BOUNDARY:
        return new SluiceError(
          "ILLEGAL_ADDRESS",
          `The kernel [${kernel}] accesses a surface outside its bounds${where}.`,
        );
      case FaultKind.REDUCTION:
        return new SluiceError(
          "ILLEGAL_ADDRESS",
          `The kernel [${kernel}] reduces what is no whole number of its size in a surface, or not at a multiple of that${where}.`,
        );
      case FaultKind.STACK:
        return new SluiceError("ILLEGAL_ADDRESS", `The kernel [${kernel}] overflows its stack${where}.`);
      case FaultKind.DEADLOCK:
        return new SluiceError(
          "KERNEL_TIMEOUT",
          `The threads of the kernel [${kernel}] wait for each other for ever${where}.`,
        );
      default: {
        const details = Buffer.from(text.slice(0, words[Word.FAULT_TEXT_BYTES])).toString();
        return new SluiceError("INTERNAL", `The kernel [${kernel}] fails${where} [${details}].`);
      }
    }
  }
}

/** How the CUDA driver tells a failed assertion from other ends of a kernel; it is numbered in cuda.h. */
const DRIVER_ASSERT = { nativeCode: 710, nativeName: "CUDA_ERROR_ASSERT" } as const;

/** Fresh memory is zero, and costs nothing until touched. */
function allocate(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new SluiceError("OUT_OF_MEMORY", `The machine has no room for [${pages}] pages of 64 KiB.`, { cause });
  }
}

function own(module: DeviceModule): CpuModule {
  if (!(module instanceof CpuModule)) throw new Error("the module is of another device");
  return module;
}
