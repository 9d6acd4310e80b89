/**
 * What a session needs of a byte stream, and nothing more: sockets, TLS and a stream of gRPC implement it, with the same frames. A transport knows no frames, no calls and no leases.
 */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { SubmitRequest } from "../../proto/generated/sluice/v1/SubmitRequest.ts";
import type { SubmitResponse__Output } from "../../proto/generated/sluice/v1/SubmitResponse.ts";
import type { ClientTls } from "../server-access.ts";

/** What a transport tells its session; never from inside a call of the session's but `readNow`. */
export interface TransportHandlers {
  /** Where the next bytes go, asked before each read. */
  space(): Uint8Array;
  /** Bytes have come into the last `space`. */
  onFilled(byteCount: number): void;
  /** Where bytes that come next go in memory that may be taken away: asked, and told with `onPlaced`, only around a read that is over at once. */
  place(): Uint8Array | undefined;
  onPlaced(byteCount: number): void;
  /** Somebody still holds the last `space` and may write to it: the next one must be other memory. */
  leaveSpace(): void;
  /** Bytes have come into a space that was left. */
  onBytes(bytes: Uint8Array): void;
  /** Called once, at the end, after the last `onFilled`. `cause` is set when the connection broke. */
  onClose(cause: Error | undefined): void;
}

export interface Transport {
  /** The endpoint that it is connected to, for messages. */
  readonly endpoint: string;
  /** Bytes sent and received so far, as counted on the wire. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Whether it reads into `place`. */
  readonly places: boolean;
  /** Bytes given to `write` that the system has not taken yet. */
  readonly unsentBytes: number;
  /**
   * Gives the first `byteCount` bytes (default: all) to the system as far as it takes them at once, and returns how many it took: 0 while
   * something written before is still unsent. The bytes are the caller's again when this returns.
   */
  writeNow(bytes: Uint8Array, byteCount?: number): number;
  /** Reads what the system has at once, where that is possible. */
  readNow?(): void;
  /** Sends bytes, which must not change until `whenWritten` is called. */
  write(bytes: Uint8Array, whenWritten: () => void): void;
  /** Makes the connection keep the program alive, or not. */
  ref(): void;
  unref(): void;
  /** Closes once everything written is sent. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

/** What this client knows of the server, for transports that need more than an address. */
export interface ServerLink {
  /** How to speak TLS; undefined where the control plane does not. */
  readonly tls: ClientTls | undefined;
  /** Opens the stream of gRPC that carries a data connection. */
  readonly submit: () => SubmitStream;
}

export type SubmitStream = ClientDuplexStream<SubmitRequest, SubmitResponse__Output>;

export interface OpenOptions {
  /** Such as `tcp://127.0.0.1:7461`. */
  readonly endpoint: string;
  readonly handlers: TransportHandlers;
  /** Absent: there are no transports that need it. */
  readonly server?: ServerLink | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Connects, or throws SluiceError SERVER_UNREACHABLE (or CANCELLED, when `signal` is aborted). */
export type OpenTransport = (options: OpenOptions) => Promise<Transport>;
