/** A stream of a slice: the driver's handle, and what the meter must know about it. */
import type { DeviceStream } from "../device.ts";

/** Work between two time stamps of one stream. */
export interface Span {
  readonly start: number;
  readonly end: number;
  /** Pieces of work in it. */
  count: number;
  /** Whether they are kernels. */
  readonly isKernel: boolean;
  /** Its last time stamp is the first of the span behind it. */
  isFollowed: boolean;
  /** Part of it in which the device had nothing to do. */
  restMs: number;
  /** Time at which the start was first seen to be reached; undefined before. */
  startedAtMs: number | undefined;
}

export class CudaStream implements DeviceStream {
  readonly kind = "stream";
  /** The driver's handle; 0 is the default stream. */
  readonly handle: number;
  /** The span that work now falls into. */
  open: Span | undefined;
  /** Pieces of work that the next spans take; few where work is slow, so that each can be watched. */
  workPerSpan = 1;
  /** Since when the device has done all of the work so far, by `performance.now()`, as long as it was seen; only while a span is open. */
  restsSinceMs: number | undefined;
  /** As soon as so many spans are pending, it is looked which are done. */
  reapsAt = 0;
  /** Closed spans that the device has not finished, oldest first. */
  readonly pending: Span[] = [];

  constructor(handle: number) {
    this.handle = handle;
  }
}
