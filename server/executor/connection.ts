/**
 * The client's connection in the executor, read and written past Node's streams where this version of Node allows it: reads go
 * straight into the frame reader's memory, writes are tried at once, and the call behind an answer is waited for where it will
 * come. Elsewhere the stream does all that. The only file that knows what Node does not document about sockets: `_handle`, and
 * that a second socket can take it over.
 */
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import type { FrameReader } from "../../shared/wire/frame.ts";
import { nowMs } from "./clock.ts";
import {
  isTurnOver,
  limitWaits,
  receive,
  receiveSoon,
  sendNow,
  sendUnpaced,
  setWaiting,
  takesSoon,
  wakeAt,
} from "./socket-calls.ts";

/** Room for what comes while the reader has none. */
const OVERFLOW_BYTES = 64 * 1024;

/** Bytes of large data that come together: enough to spare wakes, few enough that reading and sending overlap. */
const WAKING_BYTES = 256 * 1024;

interface Handle {
  readonly fd?: number;
  readonly readStop?: () => number;
  /** Whether its socket believes that it reads. */
  reading?: boolean;
}

type WithHandle = { _handle: Handle | null };

export interface Reading {
  readonly reader: FrameReader;
  /** Bytes are in the reader; returns whether to go on reading. */
  onBytes(byteCount: number): boolean;
  /**
   * When the peer was answered last, in milliseconds as of `nowMs`, if nothing is left to do but to hear what it does next: then that is
   * waited for without a turn of the event loop. Otherwise undefined.
   */
  answeredAt?(): number | undefined;
}

/**
 * Takes over a socket that came from another process; returns the socket to use from now on. What has been read of it is in the
 * reader then: a socket reads by itself from its arrival, which in a process that still starts is long before it is used.
 */
export function readInto(socket: Socket, reading: Reading): Socket {
  const { reader } = reading;
  for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) reader.push(chunk);
  const { _handle: handle } = socket as unknown as WithHandle;
  if (typeof handle?.readStop !== "function") return readFromStream(socket, reading);
  let overflow: Uint8Array | undefined;
  let into: Uint8Array | undefined;
  const readOn = readerOn(() => direct, reading);
  const wake = socket.remoteAddress === undefined ? undefined : wakerOf(() => direct.fd);
  const onread = {
    buffer: (): Uint8Array => {
      into = reader.space();
      if (into !== undefined) return into;
      overflow ??= new Uint8Array(OVERFLOW_BYTES);
      return overflow;
    },
    callback: (byteCount: number): boolean => {
      if (into !== undefined) reader.filled(byteCount);
      else reader.push(overflow!.subarray(0, byteCount));
      const wantsMore = reading.onBytes(byteCount);
      // Before libuv waits, which does not always ask for room in between. A read that waits for more than a byte would take what there is first,
      // and sleep on when what is left is less.
      wake?.(reader.placedBytesLeft);
      if (!wantsMore || reader.placedBytesLeft > 0) return wantsMore;
      const goesOn = readOn();
      wake?.(reader.placedBytesLeft);
      return goesOn;
    },
  };
  // Starting anew also tells the end of the stream again, which the first socket may have read.
  handle.readStop();
  handle.reading = false;
  const direct = new ClientSocket(handle, onread);
  // The first socket must not close what is no longer its own.
  (socket as unknown as WithHandle)._handle = null;
  direct.once("close", () => socket.destroy());
  return direct;
}

/** Has the socket wake this process only once so much of the data is there that is on its way to its place: each time costs its sender too. For TCP. */
function wakerOf(fdOfSocket: () => number): (bytesLeft: number) => void {
  let wakesAt = 1;
  return (bytesLeft) => {
    const wanted = Math.max(1, Math.min(bytesLeft, WAKING_BYTES));
    const fd = wanted === wakesAt ? -1 : fdOfSocket();
    if (fd < 0) return;
    wakesAt = wanted;
    wakeAt(fd, wanted);
  };
}

/**
 * The client's socket, whose descriptor may wait for the next call while the event loop has no turn. What the stream writes is libuv's to
 * send, so from then on it does not wait any more.
 */
class ClientSocket extends Socket {
  /** What its descriptor was when it was opened. No private field: V8 looks those of an object like a Stream up by a hash. */
  readonly descriptor: number;
  /**
   * A read that waits spares TCP a call and a microsecond. On a Unix socket it costs two where both ends share a core, since it wakes before its
   * writer is done; so there `poll` waits.
   */
  readonly #waitsInRead: boolean;
  #waits = false;

  constructor(handle: Handle, onread: object) {
    super({ handle, onread, readable: true, writable: true } as object);
    this.descriptor = handle.fd ?? -1;
    const { remoteAddress } = this;
    this.#waitsInRead = remoteAddress !== undefined && this.descriptor >= 0 && limitWaits(this.descriptor);
    if (this.#waitsInRead && remoteAddress === this.localAddress) sendUnpaced(this.descriptor);
  }

  /** Its descriptor; -1 once it is closed, when the number may be another's. */
  get fd(): number {
    return (this as unknown as WithHandle)._handle === null ? -1 : this.descriptor;
  }

  /** From now on `receive` waits. Whoever says so takes it back before the event loop has a turn. */
  wait(): void {
    this.#waits = this.#waitsInRead && this.fd >= 0 && setWaiting(this.fd, true);
  }

  /** Reads what is there, or waits for it, into `into`; 0 when the event loop is to have a turn. */
  receive(into: Uint8Array): number {
    const { fd } = this;
    if (fd < 0) return 0;
    return this.#waits ? receive(fd, into) : receiveSoon(fd, into);
  }

  stopWaiting(): void {
    if (!this.#waits) return;
    this.#waits = false;
    // Not closed, nor another's: whatever is wrong with it, libuv would hang in it.
    if (this.fd >= 0 && !setWaiting(this.fd, false)) this.destroy();
  }

  override _write(...args: Parameters<Socket["_write"]>): void {
    this.stopWaiting();
    super._write(...args);
  }

  override _writev(...args: Parameters<NonNullable<Socket["_writev"]>>): void {
    this.stopWaiting();
    super._writev!(...args);
  }
}

/**
 * What reads what comes behind an answer, while there is nothing else to do; returns whether the socket is to go on reading. Once in a turn of the
 * event loop: libuv calls back up to 32 times in one.
 */
function readerOn(socketOf: () => ClientSocket, reading: Reading): () => boolean {
  const { reader } = reading;
  let mayWait = true;
  const turn = (): void => {
    mayWait = true;
  };
  const readWhileAnswering = (socket: ClientSocket, startedAt: number): boolean => {
    for (;;) {
      const space = reader.space();
      const byteCount = space === undefined ? 0 : socket.receive(space);
      if (byteCount === 0) return true;
      reader.filled(byteCount);
      if (!reading.onBytes(byteCount)) return false;
      const answeredAt = reading.answeredAt?.();
      if (answeredAt === undefined || isTurnOver(startedAt, answeredAt)) return true;
    }
  };
  return () => {
    const startedAt = mayWait ? reading.answeredAt?.() : undefined;
    if (startedAt === undefined) return true;
    const socket = socketOf();
    mayWait = false;
    setImmediate(turn);
    socket.wait();
    try {
      return readWhileAnswering(socket, startedAt);
    } finally {
      socket.stopWaiting();
    }
  };
}

function readFromStream(socket: Socket, { reader, onBytes }: Reading): Socket {
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    if (!onBytes(chunk.byteLength)) socket.pause();
  });
  return socket;
}

/** Its descriptor; -1 where there is none, or none any more. */
const fdOf = (socket: Socket): number =>
  socket instanceof ClientSocket ? socket.fd : ((socket as unknown as WithHandle)._handle?.fd ?? -1);

/** Whether `writeNow` ever takes anything. */
export const isDirect = (socket: Socket): boolean => fdOf(socket) >= 0;

/**
 * Writes what the system takes at once and returns how much that is; 0 while the socket still has something to send. The rest
 * is the caller's to give to `socket.write`. With `isBegin` more follows at once, with which the bytes may travel.
 */
export function writeNow(socket: Socket, bytes: Uint8Array, isBegin = false): number {
  const fd = fdOf(socket);
  if (fd < 0 || socket.writableLength > 0) return 0;
  try {
    return sendNow(fd, bytes, isBegin) ?? writeSync(fd, bytes);
  } catch {
    // The system takes nothing now, or the connection is gone: the stream waits, or tells.
    return 0;
  }
}

/** When the first wait of `writeSoon` in this turn of the event loop began. */
let waitingSince: number | undefined;

/**
 * As `writeNow`, but waits while the system takes more soon, so that what is written can stay where it lies. In one turn of the event loop it waits
 * no longer than a turn may last, however often it is called.
 */
export function writeSoon(socket: Socket, bytes: Uint8Array): number {
  let taken = writeNow(socket, bytes);
  if (taken === bytes.byteLength) return taken;
  if (waitingSince === undefined) {
    waitingSince = nowMs();
    setImmediate(() => {
      waitingSince = undefined;
    });
  }
  while (taken < bytes.byteLength && !isTurnOver(waitingSince, nowMs())) {
    const fd = fdOf(socket);
    if (fd < 0 || !takesSoon(fd)) break;
    taken += writeNow(socket, bytes.subarray(taken));
  }
  return taken;
}
