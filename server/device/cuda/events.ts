/**
 * The events of a slice: made, recorded and asked in its context, and gone with it. Waiting for one is the slice's, which has other work meanwhile.
 * The caller of `record` and `query` names streams and events of this slice only.
 */
import { SluiceError } from "../../../shared/errors.ts";
import type { DeviceEvent } from "../device.ts";
import { CUresult, EVENT_DISABLE_TIMING } from "./constants.ts";
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";

export class CudaEvent implements DeviceEvent {
  readonly kind = "event";
  readonly handle: number;
  /** False for an event created without time stamps. */
  readonly timed: boolean;
  recorded = false;

  constructor(handle: number, timed: boolean) {
    this.handle = handle;
    this.timed = timed;
  }
}

export class CudaEvents {
  readonly #context: CudaContext;
  readonly #events = new Set<CudaEvent>();

  constructor(context: CudaContext) {
    this.#context = context;
  }

  create(flags: number): CudaEvent {
    this.#context.enter();
    const handle = new BigUint64Array(1);
    const untimed = flags & EVENT_DISABLE_TIMING;
    this.#context.check(this.#context.api.cuEventCreate(handle, untimed), "create an event");
    const event = new CudaEvent(Number(handle[0]), untimed === 0);
    this.#events.add(event);
    return event;
  }

  destroy(event: CudaEvent): void {
    this.#context.enter();
    this.#events.delete(event);
    this.#context.check(this.#context.api.cuEventDestroy_v2(event.handle), "destroy an event");
  }

  record(event: CudaEvent, stream: CudaStream): void {
    this.#context.enter();
    this.#context.check(this.#context.api.cuEventRecord(event.handle, stream.handle), "record an event");
    event.recorded = true;
  }

  /** Whether all before its record is done. */
  query(event: CudaEvent): boolean {
    this.#context.enter();
    return this.#context.ready(this.#context.api.cuEventQuery(event.handle), "query an event");
  }

  /** Milliseconds from one to the other. @throws SluiceError BAD_ARGUMENT, NOT_READY */
  elapsed(start: CudaEvent, end: CudaEvent): number {
    this.#context.enter();
    for (const event of [start, end]) {
      if (!event.timed) throw new SluiceError("BAD_ARGUMENT", "An event takes no time stamps.");
      if (!event.recorded) throw new SluiceError("BAD_ARGUMENT", "An event is not recorded yet.");
    }
    const milliseconds = new Float32Array(1);
    const result = this.#context.api.cuEventElapsedTime(milliseconds, start.handle, end.handle);
    if (result === CUresult.NOT_READY) throw new SluiceError("NOT_READY", "An event is not done yet.");
    this.#context.check(result, "measure time");
    return milliseconds[0]!;
  }

  /** Destroys all of them. The caller has entered the context, which may be in error. */
  release(): void {
    for (const event of this.#events) this.#context.api.cuEventDestroy_v2(event.handle);
  }
}
