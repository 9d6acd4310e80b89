/**
 * The doors of the data plane: the port, with TLS where it is configured, the Unix socket for clients on this host, and the stream of gRPC.
 * Behind each is the same listener; what that hands on is always a socket of the system, so that executors know none of this.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { toSluiceError } from "../../shared/errors.ts";
import type { TlsConfig } from "../access/tls.ts";
import { addressOf, DataListener, type DataListenerOptions, type ListenAddress } from "./data-listener.ts";
import { relay } from "./relay.ts";
import { joinedSockets } from "./socket-pair.ts";
import { carrySubmit, type SubmitCall } from "./submit.ts";
import { TlsDoor } from "./tls-door.ts";

/** Remembers the name of the data socket, in the state directory. */
const SOCKET_NAME_FILE = "data-socket";
const SOCKET_NAME = /^data-[0-9a-f]{16}\.sock$/;

export interface DataDoorsOptions extends DataListenerOptions {
  readonly tls: TlsConfig | undefined;
  readonly stateDirectory: string;
  readonly onLog: (level: "warn", message: string) => void;
}

export class DataDoors {
  readonly #options: DataDoorsOptions;
  readonly #listener: DataListener;
  readonly #tls: TlsDoor | undefined;
  /** The daemon's ends of connections that end here. */
  readonly #carried = new Set<Socket>();

  constructor(options: DataDoorsOptions) {
    this.#options = options;
    this.#listener = new DataListener(options);
    const { tls } = options;
    this.#tls = tls && new TlsDoor({ tls, onSecure: (socket) => this.#carrySecure(socket) });
  }

  /** Opens all doors; returns the port, and the endpoints for clients, best first. Rejects with the system's error for the port. */
  async open(address: ListenAddress): Promise<{ readonly port: number; readonly endpoints: readonly string[] }> {
    const port = await (this.#tls ?? this.#listener).listen(address);
    const isWildcard = address.host === "0.0.0.0" || address.host === "::";
    const known = address.host.includes(":") ? `[${address.host}]` : address.host;
    const endpoint = `${this.#tls === undefined ? "tcp" : "tls"}://${isWildcard ? "" : known}:${port}`;
    return { port, endpoints: [...(await this.#listenLocally()), endpoint, "grpc://"] };
  }

  /** Carries a gRPC stream as the connection that it is. */
  readonly submit = (call: SubmitCall): void => {
    try {
      this.#carry(call.getPeer(), (inner) => carrySubmit(call, inner));
    } catch (error) {
      call.destroy(toSluiceError(error));
    }
  };

  /** New connections get other certificates. Only where TLS is configured. */
  renew(tls: TlsConfig): void {
    this.#tls?.renew(tls);
  }

  /** Closes every door, and the connections that end here. */
  close(): void {
    this.#listener.close();
    this.#tls?.close();
    for (const socket of this.#carried) socket.destroy();
  }

  /** The Unix socket for clients of this host; without one they have the port. */
  async #listenLocally(): Promise<string[]> {
    try {
      const path = socketPath(this.#options.stateDirectory);
      await this.#listener.listenLocally(path);
      return [`unix://${path}`];
    } catch (error) {
      this.#options.onLog("warn", `Clients on this host get no Unix socket: ${toSluiceError(error).message}`);
      return [];
    }
  }

  #carrySecure(socket: TLSSocket): void {
    try {
      this.#carry(addressOf(socket), (inner) => {
        relay(socket, inner);
        relay(inner, socket);
        socket.once("close", () => inner.destroy());
        inner.once("close", () => socket.destroySoon());
      });
    } catch {
      socket.destroy();
    }
  }

  #carry(clientAddress: string, join: (inner: Socket) => void): void {
    const [inner, outer] = joinedSockets();
    inner.on("error", () => inner.destroy());
    this.#carried.add(inner);
    inner.once("close", () => this.#carried.delete(inner));
    join(inner);
    this.#listener.accept(outer, clientAddress);
  }
}

/**
 * Where this server's socket is: at a path that no other host has, so that a client elsewhere whose own host has such a server does not
 * take that for this one. It stays the same over restarts.
 */
function socketPath(stateDirectory: string): string {
  const file = join(stateDirectory, SOCKET_NAME_FILE);
  let name: string | undefined;
  try {
    name = readFileSync(file, "utf8").trim();
  } catch {
    // The first start.
  }
  if (name === undefined || !SOCKET_NAME.test(name)) {
    name = `data-${randomBytes(8).toString("hex")}.sock`;
    writeFileSync(file, `${name}\n`, { mode: 0o600 });
  }
  return join(stateDirectory, name);
}
