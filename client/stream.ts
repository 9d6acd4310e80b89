/** Streams: work in one stream runs in order, work in different streams may overlap. */
import { SluiceError } from "../shared/errors.ts";
import {
  decodeStreamQueryAnswer,
  encodeStreamCreateCall,
  encodeStreamDestroyCall,
  encodeStreamQueryCall,
  encodeStreamSynchronizeCall,
  encodeStreamWaitEventCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { closedError, type DeviceContext, foreignError, KnownIdle, refuseInRecording } from "./context.ts";
import type { Event } from "./event.ts";
import { checkOptions, type KnownOptions } from "./known-options.ts";
import { decodeNothing } from "./pending-answers.ts";
import { shown } from "./shown.ts";

export interface StreamOptions {
  /** A whole number. Lower ones run first where the device has priorities, which bounds them. Default 0. */
  readonly priority?: number;
  /** Whether the stream waits for the default stream and the other way round, as in CUDA. Default true. */
  readonly waitsForDefault?: boolean;
}

export interface WaitOptions {
  /**
   * Ends the waiting with CANCELLED, whose `cause` is the signal's reason. What is waited for goes on; a module, texture or surface that comes of it
   * is ended again. Where it is aborted already, nothing is sent.
   */
  readonly signal?: AbortSignal;
}

export const waitOptions = { signal: "signal" } satisfies KnownOptions<WaitOptions>;
const streamOptions = { priority: "number", waitsForDefault: "boolean" } satisfies KnownOptions<StreamOptions>;

const NON_BLOCKING = 1;

/** A stream of one device, from `gpu.stream()`. */
export class Stream {
  readonly #context: DeviceContext;
  /** Whether it waits for the default stream and the other way round. */
  readonly waitsForDefault: boolean;
  readonly #handle: number;
  readonly #idle = new KnownIdle();
  #destroyed = false;

  /** @internal */
  constructor(context: DeviceContext, options: StreamOptions) {
    checkOptions("a stream", options, streamOptions);
    const { priority = 0 } = options;
    if ((priority | 0) !== priority) {
      throw new SluiceError(
        "BAD_ARGUMENT",
        `The priority of a stream is a whole number of 32 bits, and [${priority}] is not.`,
      );
    }
    this.#context = context;
    this.#handle = context.handles.streams.next();
    this.waitsForDefault = options.waitsForDefault ?? true;
    const flags = this.waitsForDefault ? 0 : NON_BLOCKING;
    context.session.issue(
      Opcode.streamCreate,
      { stream: this.#handle, device: context.index, flags, priority },
      encodeStreamCreateCall,
    );
  }

  /** @internal The number on the wire, for work on `user`. */
  handleFor(user: DeviceContext): number {
    if (this.#destroyed) throw closedError("A stream");
    if (user !== this.#context) throw foreignError("A stream", { owner: this.#context, user });
    user.session.recorder?.need(this, { what: "A stream", hasEnded: () => this.#destroyed });
    return this.#handle;
  }

  /**
   * Resolves when all work before it in the stream is done; rejects with the first failure of the calls before it. No round trip where the last
   * answer has said so already.
   * @throws SluiceError CLOSED after `destroy`, CANCELLED, or why the session has ended.
   */
  async synchronize(options: WaitOptions = {}): Promise<void> {
    checkOptions("a synchronize", options, waitOptions);
    const { signal } = options;
    const fields = { stream: this.handleFor(this.#context) };
    if (this.isKnownIdle && !signal?.aborted) return;
    const { session } = this.#context;
    const call = { fields, encode: encodeStreamSynchronizeCall, decode: decodeNothing };
    await this.#idle.learn(session, () => session.request(Opcode.streamSynchronize, call, signal));
  }

  /**
   * Whether all work before it in the stream is done; rejects as `synchronize` does. No round trip where the last answer has said that it is.
   */
  async query(options: WaitOptions = {}): Promise<boolean> {
    checkOptions("a query", options, waitOptions);
    const { signal } = options;
    const fields = { stream: this.handleFor(this.#context) };
    if (this.isKnownIdle && !signal?.aborted) return true;
    const { session } = this.#context;
    const call = { fields, encode: encodeStreamQueryCall, decode: decodeStreamQueryAnswer };
    const ask = () => session.request(Opcode.streamQuery, call, signal);
    return (await this.#idle.learn(session, ask, ({ done }) => done === 1)).done === 1;
  }

  /** @internal Whether it is certain, without asking, that the stream has nothing to do. */
  get isKnownIdle(): boolean {
    const { session, idle } = this.#context;
    return session.isQuietSince(Math.max(idle.at, this.#idle.at));
  }

  /**
   * Makes later work in this stream wait for the last recording of `event`; no round trip.
   * @throws SluiceError BAD_ARGUMENT for an event of another device, CLOSED after the end of either, BACKLOG_FULL, or why the session has ended.
   */
  wait(event: Event): void {
    const fields = { stream: this.handleFor(this.#context), event: eventHandle(event, this.#context) };
    this.#context.session.issue(Opcode.streamWaitEvent, fields, encodeStreamWaitEventCall);
  }

  /** Destroys the stream once its work is done. Idempotent. */
  destroy(): void {
    if (this.#destroyed) return;
    refuseInRecording(this.#context, Opcode.streamDestroy);
    this.#destroyed = true;
    const { session } = this.#context;
    session.issueEnd(Opcode.streamDestroy, { stream: this.#handle }, encodeStreamDestroyCall);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/** The number on the wire of an optional stream: 0 is the default stream. */
export function streamHandle(stream: Stream | undefined, user: DeviceContext): number {
  if (stream === undefined) return 0;
  if (stream instanceof Stream) return stream.handleFor(user);
  throw new SluiceError("BAD_ARGUMENT", `[${shown(stream)}] is not a stream, from gpu.stream().`);
}

/** The number on the wire of an event. */
export function eventHandle(event: Event, user: DeviceContext): number {
  // Events know streams, so streams do not know the class.
  if (typeof event?.eventHandleFor === "function") return event.eventHandleFor(user);
  throw new SluiceError("BAD_ARGUMENT", `[${shown(event)}] is not an event, from gpu.event().`);
}
