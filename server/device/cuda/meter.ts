/**
 * Measures device time, and notices kernels that never end: time stamps (driver events) before and after each span of work in a stream. A
 * span ends with the turn of the event loop, or after a few launches; one that follows in the same turn begins with the stamp that ends the one
 * before. In between the device may have waited for its host, which the host then knows. Spans of several streams at once each count.
 */
import { SluiceError } from "../../../shared/errors.ts";
import { CUresult } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";

/** Work that shares one pair of time stamps at most: a record costs about half a launch, so it must not come with every one. */
const WORK_PER_SPAN_MAX = 8;
/** Work slower than this has time stamps of its own, so that each kernel is held to its bound alone. */
const SLOW_WORK_MS = 1;
/** Twice as many as the driver queues launches; beyond these the last span goes on, so that nothing is unmeasured. */
const STAMPS_MAX = 2048;
/** New spans of a burst after which the device is asked what it has done: a question that it answers with not yet costs as much as a launch. */
const REAPED_AT_ONCE = 16;
const WATCH_MS_MIN = 20;
const WATCH_MS_MAX = 1000;

export class Meter {
  readonly #context: CudaContext;
  readonly #kernelTimeoutMs: number;
  readonly #separates: boolean;
  readonly #streams = new Set<CudaStream>();
  /** Events that no span uses. */
  readonly #free: number[] = [];
  /** All of them, whatever becomes of their spans. */
  readonly #events: number[] = [];
  readonly #elapsed = new Float32Array(1);
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
    this.#goOn(stream);
    const { open } = stream;
    const isOther = this.#separates && open !== undefined && open.isKernel !== isKernel;
    if (open === undefined || isOther || open.count >= stream.workPerSpan) this.#begin(stream, isKernel);
    if (stream.open !== undefined) stream.open.count++;
  }

  /** The device was just seen to have done all that was queued in the stream: until more is, it rests. */
  rests(stream: CudaStream): void {
    if (stream.open !== undefined) stream.restsSinceMs ??= performance.now();
  }

  #goOn(stream: CudaStream): void {
    const { open, restsSinceMs } = stream;
    if (restsSinceMs === undefined) return;
    if (open !== undefined) open.restMs += performance.now() - restsSinceMs;
    stream.restsSinceMs = undefined;
  }

  #begin(stream: CudaStream, isKernel: boolean): void {
    if (stream.workPerSpan === 1 || stream.pending.length >= stream.reapsAt) this.#reap(stream);
    const before = stream.open;
    const end = this.#take();
    const start = before?.end ?? this.#take();
    if (end === undefined || start === undefined) {
      if (end !== undefined) this.#free.push(end);
      return;
    }
    this.pause(stream);
    if (before === undefined) this.#record(start, stream);
    else before.isFollowed = true;
    stream.open = { start, end, count: 0, isKernel, isFollowed: false, restMs: 0, startedAtMs: undefined };
    this.#streams.add(stream);
    this.#closing ??= setImmediate(() => this.#closeAll());
  }

  /** Ends the stream's span, so that what it waits for next does not count. */
  pause(stream: CudaStream): void {
    const span = stream.open;
    if (span === undefined) return;
    this.#goOn(stream);
    stream.open = undefined;
    this.#record(span.end, stream);
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

  #record(event: number, stream: CudaStream): void {
    this.#context.check(this.#context.api.cuEventRecord(event, stream.handle), "record an event");
  }

  /** An event for a time stamp; undefined when there are as many as there may be. */
  #take(): number | undefined {
    const event = this.#free.pop();
    if (event !== undefined) return event;
    if (this.#events.length < STAMPS_MAX) return this.#createEvent();
    for (const stream of this.#streams) this.#reap(stream);
    return this.#free.pop();
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
        if (span === undefined) continue;
        if (span.startedAtMs === undefined && this.#context.api.cuEventQuery(span.start) !== CUresult.SUCCESS) continue;
        span.startedAtMs ??= performance.now();
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

  /** Counts the spans that are done. */
  #reap(stream: CudaStream): void {
    const { api } = this.#context;
    for (let span = stream.pending[0]; span !== undefined; span = stream.pending[0]) {
      if (!this.#context.ready(api.cuEventQuery(span.end), "query an event")) break;
      this.#context.check(api.cuEventElapsedTime(this.#elapsed, span.start, span.end), "measure time");
      const milliseconds = Math.max(0, this.#elapsed[0]! - span.restMs);
      this.#totalMs += milliseconds;
      if (span.isKernel) this.#kernelMs += milliseconds;
      stream.workPerSpan = milliseconds > SLOW_WORK_MS * span.count ? 1 : WORK_PER_SPAN_MAX;
      stream.pending.shift();
      this.#free.push(span.start);
      if (!span.isFollowed) this.#free.push(span.end);
    }
    stream.reapsAt = stream.pending.length + REAPED_AT_ONCE;
  }
}
