/**
 * Measures device time, and notices kernels that never end: time stamps (driver events) before and after each span of work in a stream. A
 * span ends with the turn of the event loop, or after a few launches. Spans of several streams at once each count.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { CUresult } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { CudaStream, Span } from "./stream.ts";

/** Work that shares one pair of time stamps at most: a record costs about half a launch, so it must not come with every one. */
const WORK_PER_SPAN_MAX = 8;
/** Work slower than this has time stamps of its own, so that each kernel is held to its bound alone. */
const SLOW_WORK_MS = 1;
/** As many as the driver queues launches; beyond these the last span goes on, so that nothing is unmeasured. */
const SPANS_MAX = 1024;
const WATCH_MS_MIN = 20;
const WATCH_MS_MAX = 1000;

export class Meter {
  readonly #context: CudaContext;
  readonly #kernelTimeoutMs: number;
  readonly #separates: boolean;
  readonly #streams = new Set<CudaStream>();
  readonly #free: Span[] = [];
  /** All of them, whatever becomes of their spans. */
  readonly #events: number[] = [];
  #totalMs = 0;
  #kernelMs = 0;
  #ended = false;
  #closing: NodeJS.Immediate | undefined;
  readonly #watch: NodeJS.Timeout | undefined;

  /** `separates`: kernels share no span with copies, so that they are counted alone. */
  constructor(context: CudaContext, options: { kernelTimeoutMs: number; separates: boolean }) {
    this.#context = context;
    this.#separates = options.separates;
    this.#kernelTimeoutMs = options.kernelTimeoutMs;
    if (options.kernelTimeoutMs > 0) {
      const period = Math.min(WATCH_MS_MAX, Math.max(WATCH_MS_MIN, options.kernelTimeoutMs / 8));
      this.#watch = setInterval(() => this.#look(), period).unref();
    }
  }

  /** To be called before each piece of work in a stream. */
  work(stream: CudaStream, kind: "kernel" | "copy"): void {
    const isKernel = kind === "kernel";
    const { open } = stream;
    const isOther = this.#separates && open !== undefined && open.isKernel !== isKernel;
    if (open === undefined || isOther || open.count >= stream.workPerSpan) this.#begin(stream, isKernel);
    if (stream.open !== undefined) stream.open.count++;
  }

  #begin(stream: CudaStream, isKernel: boolean): void {
    this.#reap(stream);
    const span = this.#take();
    if (span === undefined) return;
    this.pause(stream);
    this.#context.check(this.#context.api.cuEventRecord(span.start, stream.handle), "record an event");
    span.startedAtMs = undefined;
    span.count = 0;
    span.isKernel = isKernel;
    stream.open = span;
    this.#streams.add(stream);
    this.#closing ??= setImmediate(() => this.#closeAll());
  }

  /** Ends the stream's span, so that what it waits for next does not count. */
  pause(stream: CudaStream): void {
    const span = stream.open;
    if (span === undefined) return;
    stream.open = undefined;
    this.#context.check(this.#context.api.cuEventRecord(span.end, stream.handle), "record an event");
    stream.pending.push(span);
  }

  /** Device time of all finished work since the slice opened, in milliseconds. */
  totalMs(): number {
    this.#closeAll();
    return this.#totalMs;
  }

  /** The part of it in which kernels and library calls ran, where they are counted alone. */
  kernelMs(): number {
    this.#closeAll();
    return this.#kernelMs;
  }

  /** Forgets a stream that ends; all its work must be done. */
  forget(stream: CudaStream): void {
    this.pause(stream);
    this.#reap(stream);
    this.#streams.delete(stream);
  }

  /** Stops watching, and leaves the events to the end of the process. */
  abandon(): void {
    this.#ended = true;
    clearInterval(this.#watch);
    clearImmediate(this.#closing);
  }

  /** Stops watching and destroys the events. */
  close(): void {
    this.abandon();
    for (const event of this.#events.splice(0)) this.#context.api.cuEventDestroy_v2(event);
    this.#streams.clear();
    this.#free.length = 0;
  }

  #take(): Span | undefined {
    if (this.#free.length === 0) for (const stream of this.#streams) this.#reap(stream);
    const span = this.#free.pop();
    if (span !== undefined || this.#events.length >= 2 * SPANS_MAX) return span;
    return { start: this.#createEvent(), end: this.#createEvent(), count: 0, isKernel: false, startedAtMs: undefined };
  }

  #createEvent(): number {
    const handle = new BigUint64Array(1);
    this.#context.check(this.#context.api.cuEventCreate(handle, 0), "create an event");
    const event = Number(handle[0]);
    this.#events.push(event);
    return event;
  }

  #closeAll(): void {
    clearImmediate(this.#closing);
    this.#closing = undefined;
    this.#quietly(() => {
      for (const stream of this.#streams) {
        this.pause(stream);
        this.#reap(stream);
      }
    });
  }

  #look(): void {
    this.#quietly(() => {
      for (const stream of this.#streams) {
        this.#reap(stream);
        const span = stream.pending[0];
        if (span?.startedAtMs === undefined) continue;
        // Each of them may take as long as one may, so no kernel is ever ended before its time.
        const limitMs = this.#kernelTimeoutMs * span.count;
        if (performance.now() - span.startedAtMs <= limitMs) continue;
        this.#context.poison(
          new SluiceError(
            "KERNEL_TIMEOUT",
            `[${span.count}] kernels or copies run longer than [${limitMs}] ms, of which each has [${this.#kernelTimeoutMs}].`,
          ),
        );
      }
    });
  }

  /** Between calls there is nobody to throw at: the context remembers what ends it, and the next call tells. */
  #quietly(work: () => void): void {
    if (this.#ended || this.#context.failure !== undefined) return;
    try {
      this.#context.enter();
      work();
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#context.poison(error);
    }
  }

  /** Counts the spans that are done, and notes when the oldest of the others started. */
  #reap(stream: CudaStream): void {
    const { api } = this.#context;
    for (let span = stream.pending[0]; span !== undefined; span = stream.pending[0]) {
      if (!this.#context.ready(api.cuEventQuery(span.end), "query an event")) {
        if (span.startedAtMs === undefined && api.cuEventQuery(span.start) === CUresult.SUCCESS) {
          span.startedAtMs = performance.now();
        }
        return;
      }
      const milliseconds = new Float32Array(1);
      this.#context.check(api.cuEventElapsedTime(milliseconds, span.start, span.end), "measure time");
      this.#totalMs += milliseconds[0]!;
      if (span.isKernel) this.#kernelMs += milliseconds[0]!;
      stream.workPerSpan = milliseconds[0]! > SLOW_WORK_MS * span.count ? 1 : WORK_PER_SPAN_MAX;
      stream.pending.shift();
      this.#free.push(span);
    }
  }
}
