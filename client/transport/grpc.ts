/**
 * A transport inside a stream of gRPC (`Submit`), for clients that reach only that port: the slowest, and the last choice. Its endpoint is
 * `grpc://`; where it leads is where the control plane leads.
 */
import { SluiceError } from "../../shared/errors.ts";
import { cancelled } from "../abort.ts";
import type { OpenTransport, SubmitStream, Transport, TransportHandlers } from "./transport.ts";

/** Bytes of one message; the server takes no larger ones. */
const MESSAGE_BYTES_MAX = 60 * 1024;

/** Timers reach no further; nobody waits for this one. */
const FOREVER_MS = 2 ** 31 - 1;

class GrpcTransport implements Transport {
  readonly endpoint: string;
  readonly places = false;
  readonly #stream: SubmitStream;
  bytesReceived = 0;
  #bytesGiven = 0;
  unsentBytes = 0;
  /** A stream of gRPC does not keep the program alive; this does. */
  #alive: NodeJS.Timeout | undefined;

  constructor(stream: SubmitStream, endpoint: string) {
    this.endpoint = endpoint;
    this.#stream = stream;
    this.ref();
  }

  get bytesSent(): number {
    return this.#bytesGiven - this.unsentBytes;
  }

  writeNow(): number {
    return 0;
  }

  write(bytes: Uint8Array, whenWritten: () => void): void {
    const { byteLength } = bytes;
    this.#bytesGiven += byteLength;
    this.unsentBytes += byteLength;
    for (let at = 0; at < byteLength; at += MESSAGE_BYTES_MAX) {
      const piece = bytes.subarray(at, at + MESSAGE_BYTES_MAX);
      const data = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      this.#stream.write({ data }, () => {
        this.unsentBytes -= piece.byteLength;
        if (at + MESSAGE_BYTES_MAX >= byteLength) whenWritten();
      });
    }
  }

  /** Gives what came to the session, as much at a time as it has room for. */
  deliver(data: Buffer, handlers: TransportHandlers): void {
    this.bytesReceived += data.byteLength;
    for (let at = 0; at < data.byteLength; ) {
      const space = handlers.space();
      const byteCount = Math.min(space.byteLength, data.byteLength - at);
      space.set(data.subarray(at, at + byteCount));
      at += byteCount;
      handlers.onFilled(byteCount);
    }
  }

  ref(): void {
    this.#alive ??= setInterval(() => {}, FOREVER_MS);
  }

  unref(): void {
    clearInterval(this.#alive);
    this.#alive = undefined;
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.unref();
    this.#stream.cancel();
  }
}

export const openGrpc: OpenTransport = ({ endpoint, handlers, server, timeoutMs, signal }) => {
  if (server === undefined) throw new Error("Nothing opens a stream of gRPC here.");
  const stream = server.submit();
  const transport = new GrpcTransport(stream, endpoint);
  return new Promise((resolve, reject) => {
    let isOpen = false;
    let isOver = false;
    const over = (error: SluiceError, cause?: Error): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      transport.destroy();
      if (isOpen) handlers.onClose(cause);
      else reject(error);
    };
    const unreachable = (why: string): SluiceError =>
      new SluiceError("SERVER_UNREACHABLE", `The gRPC port carries no data connection [${why}].`);
    const onAbort = (): void => over(cancelled(signal));
    const timer = setTimeout(() => over(unreachable(`no answer within ${timeoutMs} ms`)), timeoutMs);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    stream.on("data", ({ data }) => {
      if (!isOver) transport.deliver(data, handlers);
    });
    stream.on("error", (error) => over(unreachable(error.message), error));
    stream.on("end", () => over(unreachable("the server ends it")));
    stream.once("metadata", () => {
      if (isOver) return;
      isOpen = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve(transport);
    });
  });
};
