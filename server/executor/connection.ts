/**
 * The client's connection in the executor, read and written past Node's streams where this version of Node allows it: reads go
 * straight into the frame reader's memory, writes are tried at once, and the call behind an answer is waited for where it will
 * come. Elsewhere the stream does all that. The only file that knows what Node does not document about sockets: `_handle`, and
 * that a second socket can take it over.
 */
import { Socket } from "node:net";
import type { FrameReader } from "../../shared/wire/frame.ts";
import { Line } from "./line.ts";
import { isTurnOver } from "./socket-calls.ts";

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
  /** Bytes are in the reader; returns whether to go on reading. With `isFull` they were all that there was room for, so more is likely to be there. */
  onBytes(byteCount: number, isFull: boolean): boolean;
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
  const readOn = readerOn(() => direct.line, reading);
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
      const isFull = byteCount === into?.length;
      const wantsMore = reading.onBytes(byteCount, isFull);
      // Before libuv waits, which does not always ask for room in between; behind a full read it reads again first. A read that waits for more than
      // a byte would take what there is first, and sleep on when what is left is less.
      if (!isFull || reader.placedBytesLeft === 0) direct.line.wakeFor(reader.placedBytesLeft);
      if (!wantsMore || reader.placedBytesLeft > 0) return wantsMore;
      const goesOn = readOn();
      direct.line.wakeFor(reader.placedBytesLeft);
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

/** The client's socket, whose descriptor may wait for the next call while the event loop has no turn. */
class ClientSocket extends Socket {
  /** Once it is made; what happens before is not the line's. */
  readonly line: Line;

  constructor(handle: Handle, onread: object) {
    super({ handle, onread, readable: true, writable: true } as object);
    this.line = new Line(this, handle.fd ?? -1);
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, onWritten: (error?: Error | null) => void): void {
    this.line.streamBegins();
    super._write(chunk, encoding, (error) => {
      this.line.streamEnds();
      onWritten(error);
    });
  }

  override _writev(
    chunks: Parameters<NonNullable<Socket["_writev"]>>[0],
    onWritten: (error?: Error | null) => void,
  ): void {
    this.line.streamBegins();
    super._writev!(chunks, (error) => {
      this.line.streamEnds();
      onWritten(error);
    });
  }

  override _destroy(error: Error | null, onDestroyed: (error?: Error | null) => void): void {
    this.line.close();
    super._destroy(error, onDestroyed);
  }
}

/** What is read and written past the socket's stream; of any but one that `readInto` made that is nothing. */
export const lineOf = (socket: Socket): Line => (socket instanceof ClientSocket ? socket.line : new Line(socket, -1));

/**
 * What reads what comes behind an answer, while there is nothing else to do; returns whether the socket is to go on reading. Once in a turn of the
 * event loop: libuv calls back up to 32 times in one.
 */
function readerOn(lineOfSocket: () => Line, reading: Reading): () => boolean {
  const { reader } = reading;
  let mayWait = true;
  const turn = (): void => {
    mayWait = true;
  };
  const readWhileAnswering = (line: Line, startedAt: number): boolean => {
    for (;;) {
      const space = reader.space();
      const byteCount = space === undefined ? 0 : line.receive(space);
      if (byteCount === 0) return true;
      reader.filled(byteCount);
      if (!reading.onBytes(byteCount, byteCount === space!.length)) return false;
      const answeredAt = reading.answeredAt?.();
      if (answeredAt === undefined || isTurnOver(startedAt, answeredAt)) return true;
    }
  };
  return () => {
    const startedAt = mayWait ? reading.answeredAt?.() : undefined;
    if (startedAt === undefined) return true;
    const line = lineOfSocket();
    mayWait = false;
    setImmediate(turn);
    line.wait();
    try {
      return readWhileAnswering(line, startedAt);
    } finally {
      line.stopWaiting();
    }
  };
}

function readFromStream(socket: Socket, { reader, onBytes }: Reading): Socket {
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    if (!onBytes(chunk.byteLength, false)) socket.pause();
  });
  return socket;
}
