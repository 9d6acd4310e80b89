/**
 * The client's connection in the executor, read and written past Node's streams where this version of Node allows it: reads go
 * straight into the frame reader's memory, writes are tried at once, and the call behind an answer is waited for where it will
 * come. Elsewhere the stream does all that. The only file that knows what Node does not document about sockets: `_handle`, and
 * that a second socket can take it over.
 */
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import type { FrameReader } from "../../shared/wire/frame.ts";
import { isTurnOver, receiveSoon, sendNow, takesSoon } from "./socket-calls.ts";

/** Room for what comes while the reader has none. */
const OVERFLOW_BYTES = 64 * 1024;

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
  /** Whether more is likely to come soon, and nothing else is left to do: then it is waited for without a turn of the event loop. */
  isAwaiting?(): boolean;
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
  const readOn = readerOn(() => (direct as unknown as WithHandle)._handle, reading);
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
      if (!reading.onBytes(byteCount)) return false;
      return readOn();
    },
  };
  // Starting anew also tells the end of the stream again, which the first socket may have read.
  handle.readStop();
  handle.reading = false;
  const direct = new Socket({ handle, onread, readable: true, writable: true } as object);
  // The first socket must not close what is no longer its own.
  (socket as unknown as WithHandle)._handle = null;
  direct.once("close", () => socket.destroy());
  return direct;
}

/**
 * What reads what comes behind an answer, while there is nothing else to do; returns whether the socket is to go on reading. Once in a turn of the
 * event loop: libuv calls back up to 32 times in one.
 */
function readerOn(handleOf: () => Handle | null, reading: Reading): () => boolean {
  const { reader } = reading;
  let mayWait = true;
  const turn = (): void => {
    mayWait = true;
  };
  const waitAndRead = (): boolean => {
    const startedAt = performance.now();
    do {
      const space = reader.space();
      // A socket that has been closed meanwhile has no handle, and its descriptor may be another's.
      const fd = handleOf()?.fd;
      const byteCount = space === undefined || fd === undefined ? 0 : receiveSoon(fd, space);
      if (byteCount === 0) return true;
      reader.filled(byteCount);
      if (!reading.onBytes(byteCount)) return false;
    } while (reading.isAwaiting?.() && !isTurnOver(startedAt));
    return true;
  };
  return () => {
    if (!(mayWait && reading.isAwaiting?.())) return true;
    mayWait = false;
    const goesOn = waitAndRead();
    setImmediate(turn);
    return goesOn;
  };
}

function readFromStream(socket: Socket, { reader, onBytes }: Reading): Socket {
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    if (!onBytes(chunk.byteLength)) socket.pause();
  });
  return socket;
}

const descriptorOf = (socket: Socket): number | undefined => {
  const fd = (socket as unknown as WithHandle)._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
};

/** Whether `writeNow` ever takes anything. */
export const isDirect = (socket: Socket): boolean => descriptorOf(socket) !== undefined;

/**
 * Writes what the system takes at once and returns how much that is; 0 while the socket still has something to send. The rest
 * is the caller's to give to `socket.write`.
 */
export function writeNow(socket: Socket, bytes: Uint8Array): number {
  const fd = descriptorOf(socket);
  if (socket.writableLength > 0 || fd === undefined) return 0;
  try {
    return sendNow(fd, bytes) ?? writeSync(fd, bytes);
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
    waitingSince = performance.now();
    setImmediate(() => {
      waitingSince = undefined;
    });
  }
  while (taken < bytes.byteLength && !isTurnOver(waitingSince)) {
    const fd = descriptorOf(socket);
    if (fd === undefined || !takesSoon(fd)) break;
    taken += writeNow(socket, bytes.subarray(taken));
  }
  return taken;
}
