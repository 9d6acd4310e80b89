/**
 * A worker of a slice: sleeps until a launch is described in the control words, then deals itself chunks of blocks and runs them.
 * It answers nothing else; the slice ends it from outside, whatever it does.
 */

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { BlockRunner, Deadlock, type RegionFunction, type RunnableKernel } from "./block-runner.ts";
import { controlOver, FaultKind, Word } from "./control.ts";
import { exact } from "./exact.ts";
import { Heap, HeapFault, locked } from "./heap.ts";
import { Images } from "./images.ts";
import { KernelMemory } from "./kernel-memory.ts";
import { Context } from "./layout.ts";
import type { WorkerBirth, WorkerMessage, WorkerSetup } from "./messages.ts";
import { formatPrint } from "./printf.ts";

Atomics.wait((workerData as WorkerBirth).bell, 0, 0);
const { message: setup } = receiveMessageOnPort(parentPort!) as { message: WorkerSetup };
const { memory, control: buffer, layout, worker, port } = setup;
const control = controlOver(buffer);
const { words } = control;
const context = layout.contextOffset + worker * layout.contextBytes;
const header = new Int32Array(memory.buffer, context, Context.PARAMS / 4);
const params = new Uint8Array(memory.buffer, context + Context.PARAMS, control.params.length);
const gridId = new BigInt64Array(memory.buffer, context + Context.GRID_ID, 1);
const runner = new BlockRunner(memory.buffer, context);
const kernelMemory = new KernelMemory(memory.buffer, layout);
const kernels = new Map<number, RunnableKernel>();
const images = new Images({
  memory: memory.buffer,
  arenaBase: layout.arenaBase,
  texelAt: context + Context.TEXEL,
  fault: (kind, line, address) => {
    throw new KernelFault(kind, line, address);
  },
});

/** A fault that a kernel reports; it unwinds the kernel. */
class KernelFault extends Error {
  readonly kind: number;
  readonly line: number;
  readonly address: bigint;

  constructor(kind: number, line: number, address: bigint) {
    super();
    this.kind = kind;
    this.line = line;
    this.address = address;
  }
}

/** Appends bytes to the output; a call's text is there whole or not at all. */
function print(text: string): void {
  const bytes = Buffer.from(text, "latin1");
  const { output } = control;
  for (;;) {
    const at = Atomics.load(words, Word.OUTPUT_BYTES);
    if (at + bytes.length > output.length) {
      Atomics.store(words, Word.OUTPUT_DROPPED, 1);
      return;
    }
    if (Atomics.compareExchange(words, Word.OUTPUT_BYTES, at, at + bytes.length) !== at) continue;
    output.set(bytes, at);
    return;
  }
}

/** The heap of kernels, and where it lies; undefined without one. */
let heap: Heap | undefined;
let heapOffset = 0;

function findHeap(): void {
  const byteCount = words[Word.HEAP_BYTES]! >>> 0;
  if (heap !== undefined || byteCount === 0) return;
  heapOffset = words[Word.HEAP]! >>> 0;
  heap = new Heap(memory.buffer, { offset: heapOffset, byteCount });
}

/** Works on the heap alone. What it finds wrong there is the kernel's fault, at `address`. */
function onHeap<Result>({ line, address }: { line: number; address: bigint }, work: (heap: Heap) => Result): Result {
  const faulty = () => new KernelFault(FaultKind.ADDRESS, line, address);
  if (heap === undefined) throw faulty();
  const own = heap;
  try {
    return locked(words, Word.HEAP_LOCK, () => work(own));
  } catch (error) {
    throw error instanceof HeapFault ? faulty() : error;
  }
}

/** Beyond this an alignment is a mistake. */
const ALIGNMENT_MAX = 4096n;

function malloc(byteCount: bigint, alignment: bigint): bigint {
  const isPower = alignment > 0n && alignment <= ALIGNMENT_MAX && (alignment & (alignment - 1n)) === 0n;
  const size = BigInt.asUintN(64, byteCount);
  if (heap === undefined || size > 0xffff_ffffn || (alignment !== 0n && !isPower)) return 0n;
  const at = { line: 0, address: BigInt(layout.arenaBase + heapOffset) };
  const offset = onHeap(at, (own) => own.allocate(Number(size), Math.max(16, Number(alignment))));
  return offset === 0 ? 0n : BigInt(layout.arenaBase + heapOffset + offset);
}

function free(pointer: bigint, line: number): void {
  if (pointer === 0n) return;
  const address = BigInt.asUintN(64, pointer);
  const offset = Number(address - BigInt(layout.arenaBase + heapOffset));
  onHeap({ line, address }, (own) => own.free(offset));
}

const imports = {
  memory,
  fault: (kind: number, line: number, address: bigint) => {
    throw new KernelFault(kind + 1, line, address);
  },
  vprintf: (format: bigint, args: bigint, locals: number): number => {
    kernelMemory.locals = locals >>> 0;
    print(formatPrint(kernelMemory, format, args));
    return 0;
  },
  assertfail: (message: bigint, file: bigint, line: number, name: bigint, locals: number, thread: number) => {
    kernelMemory.locals = locals >>> 0;
    const text = (address: bigint) => kernelMemory.string(address);
    const [x, y, z] = [0, 1, 2].map((axis) => header[Context.BLOCK_INDEX / 4 + axis]!);
    const [width, height] = [header[0]!, header[1]!];
    const at = [thread % width, Math.floor(thread / width) % height, Math.floor(thread / width / height)];
    print(
      `${text(file)}:${line}: ${text(name)}: block: [${x},${y},${z}], thread: [${at.join()}] Assertion \`${text(message)}\` failed.\n`,
    );
    throw new KernelFault(FaultKind.ASSERTION, 0, 0n);
  },
  malloc,
  free,
  sin: Math.sin,
  cos: Math.cos,
  exp: Math.exp,
  log: Math.log,
  pow: Math.pow,
  tanh: Math.tanh,
  exact,
  ...images.imports,
  clock: () => process.hrtime.bigint(),
};

function receive(): void {
  for (;;) {
    const received = receiveMessageOnPort(port) as { message: WorkerMessage } | undefined;
    if (received === undefined) return;
    const { message } = received;
    if (message.kind === "drop") {
      kernels.delete(message.id);
      continue;
    }
    if (message.kind !== "kernel") {
      images.receive(message);
      continue;
    }
    const instance = new WebAssembly.Instance(message.module, { env: imports });
    const { suspensions, threadBytes, isUniform } = message;
    const regions = suspensions.map((_, index) => instance.exports[`r${index}`] as RegionFunction);
    kernels.set(message.id, { regions, suspensions, threadBytes, isUniform });
  }
}

/** Copies the launch's description into this worker's context. */
function prepare(): void {
  for (let axis = 0; axis < 3; axis++) {
    header[Context.BLOCK_SIZE / 4 + axis] = words[Word.BLOCK + axis]!;
    header[Context.GRID_SIZE / 4 + axis] = words[Word.GRID + axis]!;
  }
  header[Context.SHARED_BYTES / 4] = words[Word.SHARED_BYTES]!;
  header[Context.DYNAMIC_SHARED_BYTES / 4] = words[Word.DYNAMIC_SHARED_BYTES]!;
  header[Context.MEETING_PLACE / 4] = words[Word.MEETING_PLACE]!;
  header[Context.MEETING_PLACE / 4 + 1] = words[Word.MEETING_PLACE + 1]!;
  header[Context.WORKER / 4] = worker;
  header[Context.WORKERS / 4] = layout.workers;
  gridId[0] = BigInt(words[Word.LAUNCH]!);
  findHeap();
  params.set(control.params.subarray(0, words[Word.PARAM_BYTES]!));
}

/** Deals chunks until there are none left, or some worker's kernel has failed. */
function runBlocks(): void {
  const chunks = words[Word.CHUNKS]!;
  const perChunk = words[Word.BLOCKS_PER_CHUNK]!;
  const width = words[Word.GRID]! >>> 0;
  const height = words[Word.GRID + 1]!;
  const total = width * height * words[Word.GRID + 2]!;
  const at = Context.BLOCK_INDEX / 4;
  for (;;) {
    const chunk = Atomics.add(words, Word.NEXT_CHUNK, 1);
    if (chunk >= chunks) return;
    const end = Math.min(total, (chunk + 1) * perChunk);
    for (let block = chunk * perChunk; block < end; block++) {
      if (Atomics.load(words, Word.FAULT) !== 0) return;
      header[at] = block % width;
      header[at + 1] = Math.floor(block / width) % height;
      header[at + 2] = Math.floor(block / width / height);
      runner.run();
    }
  }
}

/** Leaves the first fault of a launch where the slice finds it. */
function report(error: unknown): void {
  let [kind, line, address]: [number, number, bigint] = [FaultKind.INTERNAL, 0, 0n];
  if (error instanceof KernelFault) [kind, line, address] = [error.kind, error.line, error.address];
  else if (error instanceof Deadlock) kind = FaultKind.DEADLOCK;
  else if (error instanceof RangeError) kind = FaultKind.STACK;
  // What the checks let through still ends at the end of linear memory.
  else if (error instanceof WebAssembly.RuntimeError && /out of bounds/.test(error.message)) kind = FaultKind.ADDRESS;
  if (Atomics.compareExchange(words, Word.FAULT, 0, -1) !== 0) return;
  words[Word.FAULT_LINE] = line;
  words[Word.FAULT_ADDRESS] = Number(BigInt.asIntN(32, address));
  words[Word.FAULT_ADDRESS + 1] = Number(BigInt.asIntN(32, address >> 32n));
  for (let axis = 0; axis < 3; axis++) words[Word.FAULT_BLOCK + axis] = header[Context.BLOCK_INDEX / 4 + axis]!;
  const text = Buffer.from(kind === FaultKind.INTERNAL ? String((error as Error)?.stack ?? error) : "");
  words[Word.FAULT_TEXT_BYTES] = text.copy(control.text);
  Atomics.store(words, Word.FAULT, kind);
}

function runLaunch(): void {
  try {
    receive();
    const kernel = kernels.get(words[Word.KERNEL]!);
    if (kernel === undefined) throw new Error("the kernel of a launch is not here");
    prepare();
    runner.begin(kernel, header[0]! * header[1]! * header[2]!);
    runBlocks();
  } catch (error) {
    report(error);
  }
}

let seen = 0;
for (;;) {
  Atomics.wait(words, Word.WAKE + worker, seen);
  const launch = Atomics.load(words, Word.WAKE + worker);
  if (launch === seen) continue;
  seen = launch;
  runLaunch();
  if (Atomics.add(words, Word.FINISHED_WORKERS, 1) + 1 === Atomics.load(words, Word.WANTED_WORKERS)) {
    Atomics.store(words, Word.DONE, launch);
    Atomics.notify(words, Word.DONE);
  }
}
