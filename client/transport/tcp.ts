/**
 * A transport over one TCP connection, with Nagle's algorithm off: a batch is one write and must leave at once.
 * Endpoints are `tcp://HOST:PORT`.
 */
import { connect, type Socket } from "node:net";
import { SluiceError } from "../../shared/errors.ts";
import { cancelled } from "../abort.ts";
import { parseHostPort } from "../address.ts";
import type { OpenTransport, Transport, TransportHandlers } from "./transport.ts";

class TcpTransport implements Transport {
  readonly endpoint: string;
  readonly #socket: Socket;

  constructor(socket: Socket, options: { endpoint: string; handlers: TransportHandlers }) {
    this.endpoint = options.endpoint;
    this.#socket = socket;
    const { handlers } = options;
    let cause: Error | undefined;
    socket.on("data", (chunk: Uint8Array) => handlers.onBytes(chunk));
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("close", () => handlers.onClose(cause));
  }

  get bytesSent(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  get bytesReceived(): number {
    return this.#socket.bytesRead;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array, whenWritten: () => void): void {
    let told = false;
    const tell = (): void => {
      if (told) return;
      told = true;
      whenWritten();
    };
    this.#socket.write(bytes, tell);
    // A write to an idle socket is tried at once: what the system took is not counted any more when `write` returns.
    if (this.#socket.writableLength === 0) tell();
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

export const openTcp: OpenTransport = ({ endpoint, handlers, timeoutMs, signal }) => {
  const { host, port } = parseHostPort(endpoint.slice("tcp://".length));
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(cancelled(signal));
      return;
    }
    const socket = connect({ host, port, noDelay: true });
    const fail = (error: SluiceError): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(cancelled(signal));
    const onError = (error: Error): void => {
      fail(
        new SluiceError("SERVER_UNREACHABLE", `The data port [${endpoint}] does not answer [${error.message}].`, {
          cause: error,
        }),
      );
    };
    const onTimeout = (): void => {
      fail(
        new SluiceError("SERVER_UNREACHABLE", `The data port [${endpoint}] does not answer within [${timeoutMs}] ms.`),
      );
    };
    const timer = setTimeout(onTimeout, timeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      // A late error of a socket given up must not end the program.
      socket.on("error", () => {});
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("connect", () => {
      settle();
      resolve(new TcpTransport(socket, { endpoint, handlers }));
    });
  });
};
