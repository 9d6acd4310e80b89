/** Counts what the sessions of one lease cost, and tells the daemon about it while it changes. */
import { NO_BYTES } from "../../shared/byte-count.ts";
import { CallShapeCounter } from "./call-shape.ts";
import type { ExecutorUsage } from "./control-messages.ts";

export class UsageCounter {
  calls = 0;
  batches = 0;
  answers = 0;
  bytesReceived = NO_BYTES;
  bytesSent = NO_BYTES;
  deviceMs = 0;
  readonly shape = new CallShapeCounter();
  #told = "";

  /** Counts on from what the lease has used before. */
  startFrom(usage: ExecutorUsage): void {
    Object.assign(this, usage);
  }

  /** The counts so far. */
  now(): ExecutorUsage {
    return {
      calls: this.calls,
      batches: this.batches,
      answers: this.answers,
      bytesReceived: this.bytesReceived + 0,
      bytesSent: this.bytesSent + 0,
      deviceMs: Math.round(this.deviceMs),
    };
  }

  /** The counts, when they differ from those returned last. */
  changes(): ExecutorUsage | undefined {
    const usage = this.now();
    const text = JSON.stringify(usage);
    if (text === this.#told) return undefined;
    this.#told = text;
    return usage;
  }
}
