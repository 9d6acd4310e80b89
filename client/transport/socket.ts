/**
 * A transport over one socket: TCP, with Nagle's algorithm off since a batch is one write and must leave at once, a Unix socket, or TLS 1.3
 * over TCP. Endpoints are `tcp://HOST:PORT`, `unix:///PATH` and `tls://HOST:PORT`.
 */
import { readSync, writeSync } from "node:fs";
import { connect, isIP, type OnReadOpts, type Socket } from "node:net";
import { type ConnectionOptions, checkServerIdentity, connect as connectSecurely } from "node:tls";
import { NO_BYTES } from "../../shared/byte-count.ts";
import { SluiceError } from "../../shared/errors.ts";
import { cancelled } from "../abort.ts";
import { parseHostPort } from "../address.ts";
import type { ClientTls } from "../server-access.ts";
import type { OpenOptions, OpenTransport, Transport, TransportHandlers } from "./transport.ts";
import { sendUnpaced, UNPACING_PAYS_BYTES } from "./unpaced.ts";

/** What the stream has been given to read into, and whether bytes were read past it since: then what it reads next stands elsewhere. */
interface Offer {
  byteCount: number;
  isPassed: boolean;
}

/** A connection that is silent so long is asked whether it still is one. */
const KEEP_ALIVE_MS = 10_000;

class SocketTransport implements Transport {
  readonly endpoint: string;
  readonly #socket: Socket;
  readonly #handlers: TransportHandlers;
  /** Whether what the program writes is what the system sends. */
  readonly #isPlain: boolean;
  readonly #offer: Offer;
  /** Bytes that went past the stream. */
  #bytesWrittenNow = NO_BYTES;
  #bytesReadNow = NO_BYTES;
  /** Whether it was looked whether it need not be paced. */
  #isUnpaced = false;
  /** What the stream gets at the end of the tick, unless the system takes it before. */
  #waiting: { bytes: Uint8Array; readonly whenWritten: () => void }[] = [];
  #waitingBytes = 0;

  constructor(
    socket: Socket,
    options: { endpoint: string; handlers: TransportHandlers; isPlain: boolean; offer: Offer },
  ) {
    this.endpoint = options.endpoint;
    this.#isPlain = options.isPlain;
    this.#offer = options.offer;
    this.#socket = socket;
    const { handlers } = options;
    this.#handlers = handlers;
    let cause: Error | undefined;
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("close", () => handlers.onClose(cause));
  }

  get bytesSent(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength + this.#bytesWrittenNow;
  }

  get bytesReceived(): number {
    return this.#socket.bytesRead + this.#bytesReadNow;
  }

  get places(): boolean {
    return this.#descriptor() !== undefined;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength + this.#waitingBytes;
  }

  writeNow(bytes: Uint8Array, byteCount = bytes.byteLength): number {
    if (this.#waiting.length > 0) this.#sendWaiting();
    if (this.#waiting.length > 0 || this.#socket.writableLength > 0) return 0;
    return this.#try(bytes, byteCount);
  }

  readNow(): void {
    // The stream holds the space that it was given last, and will read into it: bytes that come now go elsewhere.
    if (this.#descriptor() === undefined) return;
    if (!this.#offer.isPassed) this.#handlers.leaveSpace();
    this.#offer.isPassed = true;
    for (let fd = this.#descriptor(); fd !== undefined; fd = this.#descriptor()) {
      this.readPlaced();
      const byteCount = this.#read(fd, this.#handlers.space());
      if (byteCount === 0) return;
      this.#handlers.onFilled(byteCount);
    }
  }

  /** Reads data straight to its place as long as all that is asked for is there. */
  readPlaced(): void {
    const { place, onPlaced } = this.#handlers;
    for (let into = place(); into !== undefined; into = place()) {
      const fd = this.#descriptor();
      const byteCount = fd === undefined ? 0 : this.#read(fd, into);
      if (byteCount > 0) onPlaced(byteCount);
      if (byteCount < into.byteLength) return;
    }
  }

  /** Bytes that are there at once; 0 also when the connection is gone, or ends, which is the stream's to tell. */
  #read(fd: number, into: Uint8Array): number {
    try {
      const byteCount = readSync(fd, into);
      this.#bytesReadNow += byteCount;
      return byteCount;
    } catch {
      return 0;
    }
  }

  write(bytes: Uint8Array, whenWritten: () => void): void {
    this.#waiting.push({ bytes, whenWritten });
    this.#waitingBytes += bytes.byteLength;
    if (this.#waiting.length > 1) return;
    process.nextTick(() => this.#handOver());
  }

  /** Tries again what the system did not take before, while the caller goes on producing. */
  #sendWaiting(): void {
    if (this.#socket.writableLength > 0) return;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const taken = this.#try(next.bytes, next.bytes.byteLength);
      this.#waitingBytes -= taken;
      if (taken < next.bytes.byteLength) {
        next.bytes = next.bytes.subarray(taken);
        return;
      }
      this.#waiting.shift();
      next.whenWritten();
    }
  }

  /** The stream waits until the system takes more. */
  #handOver(): void {
    this.#sendWaiting();
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { bytes, whenWritten } of waiting) this.#socket.write(bytes, whenWritten);
  }

  #try(bytes: Uint8Array, byteCount: number): number {
    const fd = this.#descriptor();
    if (fd === undefined) return 0;
    try {
      const taken = writeSync(fd, bytes, 0, byteCount);
      this.#bytesWrittenNow += taken;
      if (!this.#isUnpaced && this.#bytesWrittenNow >= UNPACING_PAYS_BYTES) {
        this.#isUnpaced = true;
        sendUnpaced(this.#socket, fd);
      }
      return taken;
    } catch {
      // The system takes nothing now, or the connection is gone: the stream waits, or tells.
      return 0;
    }
  }

  /** The descriptor of the connected socket, where Node shows it; undefined elsewhere, and then everything goes through the stream. */
  #descriptor(): number | undefined {
    if (!this.#isPlain) return undefined;
    const fd = (this.#socket as { _handle?: { fd?: number } })._handle?.fd;
    return fd !== undefined && fd >= 0 ? fd : undefined;
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  end(): void {
    this.#handOver();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

const addressIn = (endpoint: string) => parseHostPort(endpoint.replace(/^\w+:\/\//, ""));

export const openTcp: OpenTransport = (options) => {
  const { host, port } = addressIn(options.endpoint);
  return openSocket(options, { event: "connect", open: (onread) => connect({ host, port, noDelay: true, onread }) });
};

export const openUnix: OpenTransport = (options) => {
  const path = options.endpoint.slice("unix://".length);
  return openSocket(options, { event: "connect", open: (onread) => connect({ path, onread }) });
};

/** How to reach a `tls://` endpoint: TLS 1.3, and a certificate for the host that was asked for. */
export function secureOptions(endpoint: string, { ca, cert, key }: Partial<ClientTls> = {}): ConnectionOptions {
  const { host, port } = addressIn(endpoint);
  return {
    host,
    port,
    minVersion: "TLSv1.3",
    // Of an address there is no name to ask for; the certificate must have it all the same.
    ...(isIP(host) > 0 ? {} : { servername: host }),
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

export const openTls: OpenTransport = (options) => {
  const secure = secureOptions(options.endpoint, options.server?.tls);
  return openSocket(options, {
    event: "secureConnect",
    open: (onread) => connectSecurely({ ...secure, onread } as ConnectionOptions).setNoDelay(true),
  });
};

interface SocketOpener {
  /** What the socket says once it is connected. */
  readonly event: "connect" | "secureConnect";
  readonly open: (onread: OnReadOpts) => Socket;
}

function openSocket(options: OpenOptions, { event, open }: SocketOpener): Promise<Transport> {
  const { endpoint, handlers, timeoutMs, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(cancelled(signal));
      return;
    }
    const offer: Offer = { byteCount: 0, isPassed: false };
    let transport: SocketTransport | undefined;
    const socket = open({
      buffer: () => {
        const space = handlers.space();
        offer.byteCount = space.byteLength;
        offer.isPassed = false;
        return space;
      },
      callback: (byteCount: number, bytes: Uint8Array): boolean => {
        if (offer.isPassed) handlers.onBytes(bytes.subarray(0, byteCount));
        else handlers.onFilled(byteCount);
        // More is there only behind a full read; to ask in vain costs an exception.
        if (byteCount === offer.byteCount) transport?.readPlaced();
        return true;
      },
    });
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
    socket.once(event, () => {
      settle();
      // A path that has died without a word is noticed, also while nothing is sent.
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      transport = new SocketTransport(socket, { endpoint, handlers, isPlain: event === "connect", offer });
      resolve(transport);
    });
  });
}
