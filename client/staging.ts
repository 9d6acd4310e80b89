/**
 * The staging file of a session (proto/README.md, "Copies on one host"): memory that the server's process and this one share, where both are on
 * one host. Large copies go through it, a piece at a time, and only their calls travel. The account of which part is in use is kept here alone.
 */
import type { AttachAnswer } from "../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../shared/limits.ts";
import { AWAKE_MS, Wakefulness } from "../shared/wakefulness.ts";
import { copyTogether, startHelpers } from "./copy-helpers.ts";
import { usableCores } from "./cores.ts";
import { type MappedFile, mapFile } from "./mapped-file.ts";

/** Opening takes a program that has not loaded koffi some 5 ms; each MiB that goes through the file saves 0.2 to 0.3 ms. */
export const OPENING_PAYS_BYTES = 16 * 1024 * 1024;

/** Helpers take some 30 ms to start, and save 0.05 ms of each MiB. */
const HELPERS_PAY_BYTES = 64 * 1024 * 1024;

/** A look at what the server has said costs a system call, and a pause lets a server on the same core go on; it takes longer than it says. */
const PAUSE_MS = 0.02;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** What a staging file asks its session. */
export interface StagingHost {
  /** Sequence number of the last call that the server says it has executed. */
  readonly executed: number;
  /** Takes what the server has said, without waiting for more. */
  look(): void;
}

/** Where the server says that the file is. */
export type StagingOffer = Pick<AttachAnswer, "stagingPath" | "stagingName" | "stagingBytes">;

/** One part of the file, of CALL_DATA_BYTES_MAX. */
export interface StagingPart {
  readonly offset: number;
  /** The copy to the device that uses it, once that is issued. */
  sequence: number;
}

export class Staging {
  readonly #host: StagingHost;
  readonly #file: MappedFile;
  /** Empty behind the end: then the memory is gone. */
  #bytes: Uint8Array<ArrayBuffer>;
  readonly #wakefulness = new Wakefulness(usableCores());
  readonly #free: StagingPart[] = [];
  /** Parts that copies to the device use, in the order of their calls. */
  readonly #sent: StagingPart[] = [];
  /** Bytes that went through it. */
  bytesWritten = 0;
  bytesRead = 0;

  private constructor(host: StagingHost, file: MappedFile) {
    this.#host = host;
    this.#file = file;
    this.#bytes = file.bytes;
    for (let offset = 0; offset + CALL_DATA_BYTES_MAX <= file.bytes.byteLength; offset += CALL_DATA_BYTES_MAX) {
      this.#free.unshift({ offset, sequence: 0 });
    }
  }

  /** Opens what the server offers; undefined where it is not for this process, which may be on another host or another user's. */
  static open({ stagingPath, stagingName, stagingBytes }: StagingOffer, host: StagingHost): Staging | undefined {
    const file = mapFile({ path: stagingPath, name: stagingName, byteCount: stagingBytes });
    return file && new Staging(host, file);
  }

  /** A part that nobody uses; undefined when there is none. The caller gives it to `sent` or to `release`. */
  take(): StagingPart | undefined {
    const { executed } = this.#host;
    for (let next = this.#sent[0]; next !== undefined && next.sequence <= executed; next = this.#sent[0]) {
      this.#free.push(next);
      this.#sent.shift();
    }
    // The part used last is the part in the processor's caches.
    return this.#free.pop();
  }

  /** As `take`, and waits, event loop and all, for one that a copy to the device uses; `until` is a time of `performance.now()`. */
  takePatiently(until: number): StagingPart | undefined {
    let part = this.take();
    if (part !== undefined) return part;
    const stays = this.#wakefulness.stays();
    const awakeUntil = stays ? performance.now() + AWAKE_MS : 0;
    while (part === undefined && this.#sent.length > 0 && performance.now() < until) {
      this.#host.look();
      part = this.take();
      if (part === undefined && performance.now() >= awakeUntil) Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
    if (stays) this.#wakefulness.learn(performance.now() < awakeUntil);
    return part;
  }

  write({ offset }: StagingPart, bytes: Uint8Array): void {
    copyTogether(this.#bytes.subarray(offset, offset + bytes.byteLength), bytes);
    this.bytesWritten += bytes.byteLength;
    this.#callHelpers();
  }

  read({ offset }: StagingPart, into: Uint8Array): void {
    copyTogether(into, this.#bytes.subarray(offset, offset + into.byteLength));
    this.bytesRead += into.byteLength;
    this.#callHelpers();
  }

  #callHelpers(): void {
    if (this.bytesWritten + this.bytesRead >= HELPERS_PAY_BYTES) startHelpers();
  }

  /** The copy with this number uses the part until it is executed. */
  sent(part: StagingPart, sequence: number): void {
    part.sequence = sequence;
    this.#sent.push(part);
  }

  release(part: StagingPart): void {
    if (this.#bytes.byteLength > 0) this.#free.push(part);
  }

  /** The session is over: no copy takes a part from now on. */
  close(): void {
    if (this.#bytes.byteLength === 0) return;
    this.#bytes = new Uint8Array(0);
    this.#free.length = 0;
    this.#sent.length = 0;
    this.#file.unmap();
  }
}
