/**
 * The gRPC port: accepts connections within their bounds and gives them to the gRPC server, with TLS where it is configured. A
 * connection that says nothing is closed, as is one that rests for long. It knows no service.
 */
import { createServer, type Socket } from "node:net";
import {
  type ConnectionInjector,
  type Server as GrpcServer,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerOptions,
} from "@grpc/grpc-js";
import { complaintAbout, toStatus } from "../../proto/load.ts";
import type { ConnectionLimit } from "./connection-limit.ts";
import { grpcCredentials, type TlsConfig } from "./tls.ts";

/** A connection that has sent nothing by then is no client's. */
const SILENCE_MS_MAX = 10_000;

/** Refuses a request that is no message of its type, before anybody looks at it. */
const refuseUnreadable: ServerInterceptor = (_method, call) => {
  const refusing = new ServerInterceptingCall(call, {
    start: (next) =>
      next({
        onReceiveMessage: (request, take) => {
          const complaint = complaintAbout(request);
          if (complaint === undefined) take(request);
          else refusing.sendStatus(toStatus(complaint));
        },
      }),
  });
  return refusing;
};

/** The bounds of one connection, for the constructor of the gRPC server. */
export const grpcBounds: ServerOptions = {
  interceptors: [refuseUnreadable],
  // No message of a client of the control plane is larger than a few short strings.
  "grpc.max_receive_message_length": 64 * 1024,
  // One program may hold as many leases over one connection.
  "grpc.max_concurrent_streams": 4_096,
  // Mebibytes of answers that the peer does not take, and of its streams.
  "grpc-node.max_session_memory": 64,
  // A peer that is gone without a word is noticed, so that its streams end. So is a connection that HTTP/2 has given up after garbage:
  // Node leaves it open and tells nobody. The time-out bears a client that computes for a while and answers nothing.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // One without calls is closed; clients connect again by themselves.
  "grpc.max_connection_idle_ms": 30 * 60_000,
};

export interface GrpcListenerOptions {
  readonly server: GrpcServer;
  readonly tls: TlsConfig | undefined;
  readonly limit: ConnectionLimit;
  /** Default SILENCE_MS_MAX. */
  readonly silenceMsMax?: number;
}

export class GrpcListener {
  #injector: ConnectionInjector;
  readonly #listener = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  readonly #options: GrpcListenerOptions;

  constructor(options: GrpcListenerOptions) {
    this.#options = options;
    this.#injector = options.server.createConnectionInjector(grpcCredentials(options.tls));
  }

  /** Listens, and returns the port; rejects with the system's error. */
  listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#listener.once("error", reject);
      this.#listener.listen(port, host, () => {
        this.#listener.off("error", reject);
        const bound = this.#listener.address();
        resolve(typeof bound === "object" && bound !== null ? bound.port : port);
      });
    });
  }

  /** New connections get other certificates; those that there are go on with theirs, in the injector that they came by. */
  renew(tls: TlsConfig): void {
    this.#injector = this.#options.server.createConnectionInjector(grpcCredentials(tls));
  }

  /** Accepts no more; the connections that there are end with the gRPC server. */
  close(): void {
    this.#listener.close();
  }

  #accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    const { limit, silenceMsMax = SILENCE_MS_MAX } = this.#options;
    if (!limit.admit(socket)) return;
    const timer = setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy();
    }, silenceMsMax);
    timer.unref();
    socket.once("close", () => clearTimeout(timer));
    this.#injector.injectConnection(socket);
  }
}
