/**
 * Accepts data connections, over TCP, over a Unix socket and from whoever else has one, lets each shake hands within its bounds, and passes
 * on those that proved a lease. After that the daemon is not on the data path.
 */
import { chmodSync } from "node:fs";
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { SluiceError } from "../../shared/errors.ts";
import { HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX } from "../../shared/limits.ts";
import { hostOf } from "../access/identity.ts";
import { LOCAL_CLIENT_ADDRESS } from "../executor/control-messages.ts";
import { type HandshakeOptions, type ProvenConnection, shakeHands } from "./handshake.ts";
import { freeSocketPath } from "./local-socket.ts";
import { refuse } from "./refusal.ts";

export interface DataListenerOptions extends HandshakeOptions {
  readonly onProven: (connection: ProvenConnection & { readonly clientAddress: string }) => void;
  /** Default HANDSHAKES_MAX. */
  readonly handshakesMax?: number;
  /** Default HANDSHAKES_PER_ADDRESS_MAX. */
  readonly handshakesPerAddressMax?: number;
}

export interface ListenAddress {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
}

export class DataListener {
  readonly #options: DataListenerOptions;
  readonly #servers: Server[] = [];
  /** Connections of this process: shaking hands, or reading their refusal. */
  readonly #sockets = new Set<Socket>();
  #handshakes = 0;
  readonly #perAddress = new Map<string, number>();

  constructor(options: DataListenerOptions) {
    this.#options = options;
  }

  /** Listens on TCP, and returns the port; rejects with the system's error. */
  async listen(address: ListenAddress): Promise<number> {
    return portOf(await this.#listen(address), address);
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

  async #listen(where: ListenOptions): Promise<Server> {
    // The socket goes to another process: nothing may be read before that is decided.
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) =>
      this.accept(socket, addressOf(socket)),
    );
    this.#servers.push(server);
    return listening(server, where);
  }

  /** Accepts no more, and ends the connections that have not proved a lease. */
  close(): void {
    // Its callback would also wait for the sockets that executors have.
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets a connection in: a socket of the system from which nothing has been read. */
  accept(socket: Socket, clientAddress: string): void {
    socket.on("error", () => socket.destroy());
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const { handshakesMax = HANDSHAKES_MAX, handshakesPerAddressMax = HANDSHAKES_PER_ADDRESS_MAX } = this.#options;
    const address = hostOf(clientAddress);
    const fromAddress = this.#perAddress.get(address) ?? 0;
    // Those that read their refusal count too, or a flood of them would have no bound.
    if (this.#sockets.size > 2 * handshakesMax) {
      socket.destroy();
      return;
    }
    if (this.#handshakes >= handshakesMax || fromAddress >= handshakesPerAddressMax) {
      const counts = `[${this.#handshakes}] connections, [${fromAddress}] of them from this address,`;
      refuse(socket, new SluiceError("TOO_MANY_CONNECTIONS", `${counts} have not proved their lease yet.`));
      return;
    }
    this.#handshakes++;
    this.#perAddress.set(address, fromAddress + 1);
    void shakeHands(socket, this.#options).then((connection) => {
      // It never rejects: every fault of the peer ends in a refusal.
      this.#handshakes--;
      const left = this.#perAddress.get(address)! - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
      if (connection === undefined) return;
      this.#sockets.delete(socket);
      this.#options.onProven({ ...connection, clientAddress });
    });
  }
}

/** Of the other end, for messages. */
export function addressOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? LOCAL_CLIENT_ADDRESS : `${remoteAddress}:${remotePort ?? ""}`;
}

/** The server, once it listens; rejects with the system's error. */
export function listening<S extends Server>(server: S, where: ListenOptions): Promise<S> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}

/** The port at which a server listens. */
export function portOf(server: Server, asked: ListenAddress): number {
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : asked.port;
}
