/**
 * The data port with TLS 1.3: it shakes hands, with the client's certificate where one is asked for, and gives on what is secure then. It
 * knows no frames and no leases.
 */
import { createServer, type Server, type TLSSocket } from "node:tls";
import { HANDSHAKE_TIMEOUT_MS, HANDSHAKES_MAX } from "../../shared/limits.ts";
import { type TlsConfig, tlsServerOptions } from "../access/tls.ts";
import { type ListenAddress, listening, portOf } from "./data-listener.ts";

/** A connection that is silent so long is asked whether it still is one. */
const KEEP_ALIVE_MS = 10_000;

export interface TlsDoorOptions {
  readonly tls: TlsConfig;
  readonly onSecure: (socket: TLSSocket) => void;
  /** Default HANDSHAKES_MAX. */
  readonly handshakesMax?: number;
}

const optionsFor = (tls: TlsConfig) => ({ ...tlsServerOptions(tls), minVersion: "TLSv1.3" }) as const;

export class TlsDoor {
  readonly #server: Server;
  /** Connections that are not secure yet. */
  #handshakes = 0;

  constructor({ tls, onSecure, handshakesMax = HANDSHAKES_MAX }: TlsDoorOptions) {
    this.#server = createServer({
      ...optionsFor(tls),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      noDelay: true,
    });
    this.#server.on("connection", (socket) => {
      if (++this.#handshakes > handshakesMax) socket.destroy();
    });
    this.#server.on("tlsClientError", (_error, socket) => {
      this.#handshakes--;
      socket.destroy();
    });
    this.#server.on("secureConnection", (socket) => {
      this.#handshakes--;
      socket.on("error", () => socket.destroy());
      // The executor's end of the connection is a local one: only here can a client that is gone without a word be noticed.
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      onSecure(socket);
    });
  }

  /** Listens, and returns the port; rejects with the system's error. */
  async listen(address: ListenAddress): Promise<number> {
    return portOf(await listening(this.#server, address), address);
  }

  /** New connections get other certificates; those that there are go on with theirs. */
  renew(tls: TlsConfig): void {
    this.#server.setSecureContext(optionsFor(tls));
  }

  /** Accepts no more; what is secure already is not its own. */
  close(): void {
    this.#server.close();
  }
}
