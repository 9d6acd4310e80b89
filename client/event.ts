/** Events: marks in a stream that can be waited for, and whose distance in time can be asked. */
import {
  decodeEventElapsedAnswer,
  decodeEventQueryAnswer,
  encodeEventCreateCall,
  encodeEventDestroyCall,
  encodeEventElapsedCall,
  encodeEventQueryCall,
  encodeEventRecordCall,
  encodeEventSynchronizeCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { closedError, type DeviceContext, foreignError, KnownIdle, refuseInRecording } from "./context.ts";
import { checkOptions, type KnownOptions } from "./known-options.ts";
import { decodeNothing } from "./pending-answers.ts";
import { eventHandle, type Stream, streamHandle, type WaitOptions, waitOptions } from "./stream.ts";

export interface EventOptions {
  /** Whether recordings take a time stamp, which `elapsed` needs. Default true. */
  readonly timing?: boolean;
}

const eventOptions = { timing: "boolean" } satisfies KnownOptions<EventOptions>;

const DISABLE_TIMING = 2;

/** An event of one device, from `gpu.event()`. */
export class Event {
  readonly #context: DeviceContext;
  readonly #handle: number;
  readonly #done = new KnownIdle();
  /** Where it was recorded last, unless in the default stream. */
  #stream: Stream | undefined;
  #destroyed = false;

  /** @internal */
  constructor(context: DeviceContext, options: EventOptions) {
    checkOptions("an event", options, eventOptions);
    this.#context = context;
    this.#handle = context.handles.events.next();
    const flags = options.timing === false ? DISABLE_TIMING : 0;
    context.session.issue(
      Opcode.eventCreate,
      { event: this.#handle, device: context.index, flags },
      encodeEventCreateCall,
    );
  }

  /** @internal The number on the wire, for work on `user`. */
  eventHandleFor(user: DeviceContext): number {
    if (this.#destroyed) throw closedError("An event");
    if (user !== this.#context) throw foreignError("An event", { owner: this.#context, user });
    user.session.recorder?.need(this, { what: "An event", hasEnded: () => this.#destroyed });
    return this.#handle;
  }

  /**
   * Records the event behind all work before it in `stream` (default: the default stream); no round trip.
   * @throws SluiceError BAD_ARGUMENT for a stream of another device, CLOSED after the end of either, BACKLOG_FULL, or why the session has ended.
   */
  record(stream?: Stream): void {
    const fields = { event: this.eventHandleFor(this.#context), stream: streamHandle(stream, this.#context) };
    this.#context.session.issue(Opcode.eventRecord, fields, encodeEventRecordCall);
    this.#stream = stream;
  }

  /**
   * Resolves when the last recording is done; at once when it was never recorded. No round trip where the last answer has said so already.
   * @throws SluiceError CLOSED after `destroy`, CANCELLED, the first failure of the calls before, or why the session has ended.
   */
  async synchronize(options: WaitOptions = {}): Promise<void> {
    checkOptions("a synchronize", options, waitOptions);
    const { signal } = options;
    const fields = { event: this.eventHandleFor(this.#context) };
    if (this.#isKnownDone && !signal?.aborted) return;
    const { session } = this.#context;
    const call = { fields, encode: encodeEventSynchronizeCall, decode: decodeNothing };
    await this.#done.learn(session, () => session.request(Opcode.eventSynchronize, call, signal));
  }

  /** Whether the last recording is done, or there is none; rejects as `synchronize` does. No round trip where the last answer has said that it is. */
  async query(options: WaitOptions = {}): Promise<boolean> {
    checkOptions("a query", options, waitOptions);
    const { signal } = options;
    const fields = { event: this.eventHandleFor(this.#context) };
    if (this.#isKnownDone && !signal?.aborted) return true;
    const { session } = this.#context;
    const call = { fields, encode: encodeEventQueryCall, decode: decodeEventQueryAnswer };
    const ask = () => session.request(Opcode.eventQuery, call, signal);
    return (await this.#done.learn(session, ask, ({ done }) => done === 1)).done === 1;
  }

  /** Nothing was issued since an answer said that this event is done, or its stream, or the device. A recording is something issued. */
  get #isKnownDone(): boolean {
    const { session, idle } = this.#context;
    return session.isQuietSince(Math.max(idle.at, this.#done.at)) || this.#stream?.isKnownIdle === true;
  }

  /**
   * Milliseconds from this event's last recording to that of `end`.
   * @throws SluiceError NOT_READY while one of them is not done, BAD_ARGUMENT when one was never recorded or takes no time stamps.
   */
  async elapsed(end: Event, options: WaitOptions = {}): Promise<number> {
    checkOptions("a measure of time", options, waitOptions);
    const fields = { start: this.eventHandleFor(this.#context), end: eventHandle(end, this.#context) };
    const call = { fields, encode: encodeEventElapsedCall, decode: decodeEventElapsedAnswer };
    return (await this.#context.session.request(Opcode.eventElapsed, call, options.signal)).milliseconds;
  }

  /** Destroys the event. Idempotent. */
  destroy(): void {
    if (this.#destroyed) return;
    refuseInRecording(this.#context, Opcode.eventDestroy);
    this.#destroyed = true;
    const { session } = this.#context;
    session.issueEnd(Opcode.eventDestroy, { event: this.#handle }, encodeEventDestroyCall);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
