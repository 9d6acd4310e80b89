/**
 * Keeps one lease alive: heartbeats over Hold, a new stream when one breaks, and the word of the server when the lease ends. It does
 * not keep the program alive, and it knows no session.
 */
import type { ServiceError } from "@grpc/grpc-js";
import type { Connection__Output as Connection } from "../proto/generated/sluice/v1/Connection.ts";
import type { HoldResponse__Output as HoldResponse } from "../proto/generated/sluice/v1/HoldResponse.ts";
import { fromStatus } from "../proto/load.ts";
import { type ErrorCode, SluiceError } from "../shared/errors.ts";
import type { Control, LeaseKey } from "./control.ts";
import type { SliceSize } from "./device.ts";
import { isRefused, PAUSE_MS_MAX } from "./outage.ts";

/** A program's first calls are over before it is opened: a beat is due in seconds, and the server keeps its notices until then. */
const OPEN_MS = 50;

/** Pause before a broken stream is opened again; it doubles up to PAUSE_MS_MAX while the server is away. */
const REOPEN_MS = 100;

/** How long a broken connection waits for the server's word about why. */
const REASON_WAIT_MS = 1_000;

/** Errors that say nothing about the lease: the stream is opened again. */
const passing: ReadonlySet<ErrorCode> = new Set(["SERVER_UNREACHABLE", "INTERNAL", "CANCELLED", "SHUTTING_DOWN"]);

/** Something that the holder of a lease should know. */
export interface LeaseNotice {
  readonly kind:
    | "SHUTTING_DOWN"
    | "TIME_ALMOST_OVER"
    | "REVOKED"
    | "IDLE"
    | "PREEMPTED"
    | "DEVICE_UNHEALTHY"
    | "EXTENDED"
    | "SUSPENDED"
    | "RESUMED"
    | "UNSPECIFIED";
  /** The notice as a sentence. */
  readonly message: string;
  /** When what it announces happens, in milliseconds since the Unix epoch by the server's clock; undefined when it has no time. */
  readonly deadlineAtMs: number | undefined;
}

export interface HolderOptions {
  readonly control: Control;
  readonly key: LeaseKey;
  readonly connection: Connection;
  readonly onNotice: (notice: LeaseNotice) => void;
  /** A slice of the lease has this size now. */
  readonly onResized?: (index: number, size: SliceSize) => void;
  /** Called once when the lease ends by itself. */
  readonly onEnded: (error: SluiceError) => void;
}

export class Holder {
  readonly #options: HolderOptions;
  #stream: ReturnType<Control["hold"]> | undefined;
  #beats: NodeJS.Timeout | undefined;
  #opening: NodeJS.Timeout | undefined;
  #lastBeatAt = performance.now();
  #lastTryAt = performance.now();
  #reopenMs = REOPEN_MS;
  #stopped = false;
  #ended: SluiceError | undefined;
  #waiting: ((error: SluiceError | undefined) => void)[] = [];

  constructor(options: HolderOptions) {
    this.#options = options;
    const { heartbeatIntervalMs } = options.connection;
    if (heartbeatIntervalMs > 0) {
      this.#beats = setInterval(() => this.#beat(), heartbeatIntervalMs);
      this.#beats.unref();
    }
    this.#openIn(Math.min(OPEN_MS, heartbeatIntervalMs));
  }

  /** Why the lease has ended, as soon as the server says so; undefined when it does not within a second. Keeps the program alive. */
  reason(): Promise<SluiceError | undefined> {
    if (this.#ended !== undefined || this.#stopped) return Promise.resolve(this.#ended);
    if (this.#stream === undefined) this.#openIn(0);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), REASON_WAIT_MS);
      this.#waiting.push((error) => {
        clearTimeout(timer);
        resolve(error);
      });
    });
  }

  /** Ends the heartbeats; the lease itself is its owner's to release. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#beats);
    clearTimeout(this.#opening);
    this.#stream?.cancel();
    for (const tell of this.#waiting) tell(this.#ended);
    this.#waiting = [];
  }

  #openIn(milliseconds: number): void {
    clearTimeout(this.#opening);
    this.#opening = setTimeout(() => this.#open(), milliseconds).unref();
  }

  #open(): void {
    const { control, key } = this.#options;
    // Whoever closed it wants no word about its leases any more.
    if (control.isClosed) {
      this.stop();
      return;
    }
    const stream = control.hold();
    this.#stream = stream;
    stream.on("data", (response: HoldResponse) => this.#onResponse(response));
    // gRPC tells the status of an ended stream as an error, unless it is OK; both mean that this stream is over.
    stream.on("error", (error: ServiceError) => this.#onStreamEnd(stream, fromStatus(error)));
    stream.on("end", () => this.#onStreamEnd(stream, undefined));
    stream.write({ leaseId: key.leaseId, secret: Buffer.from(key.secret) });
  }

  #beat(): void {
    const { heartbeatTimeoutMs } = this.#options.connection;
    const now = performance.now();
    // Who stood still (a stopped process, a machine out of memory) has not listened either: whether the lease lives, the server will say.
    if (now - this.#lastTryAt > heartbeatTimeoutMs / 2) this.#lastBeatAt = now;
    this.#lastTryAt = now;
    const silenceMs = now - this.#lastBeatAt;
    if (heartbeatTimeoutMs > 0 && silenceMs > heartbeatTimeoutMs) {
      const seconds = Math.round(silenceMs / 1000);
      this.#end(
        new SluiceError(
          "LEASE_EXPIRED",
          `The server answers no heartbeat of the lease [${this.#options.key.leaseId}] for [${seconds}] s.`,
        ),
      );
      return;
    }
    if (this.#stream !== undefined) this.#stream.write({ leaseId: this.#options.key.leaseId });
  }

  #onResponse(response: HoldResponse): void {
    if (this.#stopped) return;
    this.#lastBeatAt = performance.now();
    this.#reopenMs = REOPEN_MS;
    const { notice, resized } = response;
    if (resized?.slice) {
      const { index, memoryBytes } = resized.slice;
      this.#options.onResized?.(index, { bytes: memoryBytes, revision: resized.revision });
    }
    if (!notice) return;
    this.#options.onNotice({
      kind: notice.kind.replace("NOTICE_KIND_", "") as LeaseNotice["kind"],
      message: notice.message,
      deadlineAtMs: notice.deadlineAtMs === 0 ? undefined : notice.deadlineAtMs,
    });
  }

  #onStreamEnd(stream: ReturnType<Control["hold"]>, error: SluiceError | undefined): void {
    if (this.#stopped || this.#stream !== stream) return;
    this.#stream = undefined;
    if (error !== undefined && !passing.has(error.code)) {
      this.#end(new SluiceError(error.code, error.message, { leaseId: this.#options.key.leaseId, cause: error }));
      return;
    }
    // Nobody is there who could end the lease: its executor runs on, and the server that comes back counts from then.
    if (error !== undefined && isRefused(error)) this.#lastBeatAt = performance.now();
    this.#openIn(this.#reopenMs);
    this.#reopenMs = Math.min(this.#reopenMs * 2, PAUSE_MS_MAX);
  }

  #end(error: SluiceError): void {
    this.#ended = error;
    this.stop();
    this.#options.onEnded(error);
  }
}
