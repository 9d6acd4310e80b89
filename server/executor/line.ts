/**
 * The descriptor of a client's socket beside the stream that owns it: what the path of a call reads and writes. An object of its own, since V8
 * looks up by a hash what an object like a Stream has. Says nothing of how a connection came or what is said on it.
 */
import { writeSync } from "node:fs";
import type { Socket } from "node:net";
import { AWAKE_MS, AWAKE_VARIABLE, coresToUse, Wakefulness } from "../../shared/wakefulness.ts";
import { hostProcessors } from "../device/host-processors.ts";
import { nowMs } from "./clock.ts";
import {
  isTurnOver,
  limitWaits,
  receive,
  receiveAwake,
  receiveSoon,
  sendNow,
  sendUnpaced,
  setWaiting,
  takesSoon,
  wakeAt,
} from "./socket-calls.ts";

/** Bytes of large data that come together: enough to spare wakes, few enough that reading and sending overlap. */
const WAKING_BYTES = 256 * 1024;

/** When the first wait of `writeSoon` in this turn of the event loop began. */
let waitingSince: number | undefined;

export class Line {
  readonly #socket: Socket;
  readonly #isTcp: boolean;
  /** -1 where there is none, and once it is closed, when the number may be another's. */
  #fd: number;
  /**
   * A read that waits spares TCP a call and a microsecond. On a Unix socket it costs two where both ends share a core, since it wakes before its
   * writer is done; so there `poll` waits.
   */
  readonly #waitsInRead: boolean;
  readonly #wakefulness: Wakefulness;
  #waits = false;
  /** What the stream has to send. */
  #streamWrites = 0;
  #wakesAt = 1;

  /** `fd` is -1 where the stream alone reads and writes. `cores`: those that this process may use; default: what the system says, and the user. */
  constructor(socket: Socket, fd: number, cores = coresToUse(process.env[AWAKE_VARIABLE], hostProcessors())) {
    this.#socket = socket;
    this.#wakefulness = new Wakefulness(cores);
    this.#fd = fd;
    this.#isTcp = socket.remoteAddress !== undefined;
    if (this.#isTcp && fd >= 0 && socket.remoteAddress === socket.localAddress) sendUnpaced(fd);
    this.#waitsInRead = this.#isTcp && fd >= 0 && limitWaits(fd);
  }

  /** Whether `writeNow` ever takes anything. */
  get isDirect(): boolean {
    return this.#fd >= 0;
  }

  /** Whether the system has all that was written. */
  get isIdle(): boolean {
    return this.#streamWrites === 0;
  }

  /** The descriptor, for somebody who must not be made to wait by it; undefined where there is none. */
  takeFile(): number | undefined {
    this.stopWaiting();
    return this.#fd < 0 ? undefined : this.#fd;
  }

  /** Before the stream writes, and when it has: what it writes is libuv's to send, so reads do not wait any more. */
  streamBegins(): void {
    this.#streamWrites++;
    this.stopWaiting();
  }

  streamEnds(): void {
    this.#streamWrites--;
  }

  /** The stream closes the descriptor. */
  close(): void {
    this.#fd = -1;
    this.#waits = false;
  }

  /** From now on `receive` waits. Whoever says so takes it back before the event loop has a turn. */
  wait(): void {
    this.#waits = this.#waitsInRead && this.#fd >= 0 && setWaiting(this.#fd, true);
  }

  stopWaiting(): void {
    if (!this.#waits) return;
    this.#waits = false;
    // Whatever is wrong with it, libuv would hang in it.
    if (!setWaiting(this.#fd, false)) this.#socket.destroy();
  }

  /** Reads what is there, or waits for it, into `into`; 0 when the event loop is to have a turn. */
  receive(into: Uint8Array): number {
    if (this.#fd >= 0 && this.#wakefulness.stays()) {
      const byteCount = receiveAwake(this.#fd, into, nowMs() + AWAKE_MS);
      this.#wakefulness.learn(byteCount > 0);
      if (byteCount > 0) return byteCount;
    }
    if (this.#waits) return receive(this.#fd, into);
    return this.#fd < 0 ? 0 : receiveSoon(this.#fd, into);
  }

  /** Has the socket wake this process only once so much of the data is there that is on its way to its place: each time costs its sender too. For TCP. */
  wakeFor(bytesLeft: number): void {
    const wanted = Math.max(1, Math.min(bytesLeft, WAKING_BYTES));
    if (wanted === this.#wakesAt || !this.#isTcp || this.#fd < 0) return;
    this.#wakesAt = wanted;
    wakeAt(this.#fd, wanted);
  }

  /**
   * Writes what the system takes at once and returns how much that is; 0 while the stream still has something to send. The rest
   * is the caller's to give to the stream. With `isBegin` more follows at once, with which the bytes may travel.
   */
  writeNow(bytes: Uint8Array, isBegin = false): number {
    if (this.#fd < 0 || this.#streamWrites > 0) return 0;
    return sendNow(this.#fd, bytes, isBegin) ?? this.#writeByFile(bytes);
  }

  #writeByFile(bytes: Uint8Array): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch {
      // The system takes nothing now, or the connection is gone: the stream waits, or tells.
      return 0;
    }
  }

  /**
   * As `writeNow`, but waits while the system takes more soon, so that what is written can stay where it lies. In one turn of the event loop it waits
   * no longer than a turn may last, however often it is called.
   */
  writeSoon(bytes: Uint8Array): number {
    let taken = this.writeNow(bytes);
    if (taken === bytes.byteLength) return taken;
    if (waitingSince === undefined) {
      waitingSince = nowMs();
      setImmediate(() => {
        waitingSince = undefined;
      });
    }
    while (taken < bytes.byteLength && !isTurnOver(waitingSince, nowMs())) {
      if (this.#fd < 0 || !takesSoon(this.#fd)) break;
      taken += this.writeNow(bytes.subarray(taken));
    }
    return taken;
  }
}
