/**
 * The data port and its twin on this host, a Unix socket: accepts connections, lets each shake hands within its bounds, and passes on
 * those that proved a lease. After that the daemon is not on the data path.
 */
import { chmodSync } from "node:fs";
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { SluiceError } from "../../shared/errors.ts";
import { HANDSHAKES_MAX } from "../../shared/limits.ts";
import { type HandshakeOptions, type ProvenConnection, shakeHands } from "./handshake.ts";
import { freeSocketPath } from "./local-socket.ts";
import { refuse } from "./refusal.ts";

export interface DataListenerOptions extends HandshakeOptions {
  readonly onProven: (connection: ProvenConnection) => void;
  /** Default HANDSHAKES_MAX. */
  readonly handshakesMax?: number;
}

export class DataListener {
  readonly #options: DataListenerOptions;
  readonly #servers: Server[] = [];
  /** Connections of this process: shaking hands, or reading their refusal. */
  readonly #sockets = new Set<Socket>();
  #handshakes = 0;

  constructor(options: DataListenerOptions) {
    this.#options = options;
  }

  /** Listens on TCP, and returns the port; rejects with the system's error. */
  async listen(address: { readonly host: string; readonly port: number }): Promise<number> {
    const server = await this.#listen(address);
    const bound = server.address();
    return typeof bound === "object" && bound !== null ? bound.port : address.port;
  }

  /**
   * Listens on a Unix socket, for its owner alone. A file that a server which is gone left there is replaced; `close` removes it.
   * @throws SluiceError BAD_ARGUMENT for a path that is too long, SERVER_UNREACHABLE when somebody listens there; the system's error.
   */
  async listenLocally(path: string): Promise<void> {
    await freeSocketPath(path);
    await this.#listen({ path });
    chmodSync(path, 0o600);
  }

  #listen(where: ListenOptions): Promise<Server> {
    // The socket goes to another process: nothing may be read before that is decided.
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(where, () => {
        server.off("error", reject);
        this.#servers.push(server);
        resolve(server);
      });
    });
  }

  /** Accepts no more, and ends the connections that have not proved a lease. */
  close(): void {
    // Its callback would also wait for the sockets that executors have.
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const { handshakesMax = HANDSHAKES_MAX } = this.#options;
    // Those that read their refusal count too, or a flood of them would have no bound.
    if (this.#sockets.size > 2 * handshakesMax) {
      socket.destroy();
      return;
    }
    if (this.#handshakes >= handshakesMax) {
      refuse(
        socket,
        new SluiceError("TOO_MANY_CONNECTIONS", `[${handshakesMax}] connections have not proved their lease yet.`),
      );
      return;
    }
    this.#handshakes++;
    void shakeHands(socket, this.#options).then((connection) => {
      // It never rejects: every fault of the peer ends in a refusal.
      this.#handshakes--;
      if (connection === undefined) return;
      this.#sockets.delete(socket);
      this.#options.onProven(connection);
    });
  }
}
