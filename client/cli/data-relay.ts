/**
 * A plain way to a server that has none: a Unix socket in a folder of this user's alone, whose connections are carried on inside TLS, or
 * inside gRPC. For programs that speak plain sockets only, such as those with the libraries of client/interposer. It carries bytes, and
 * knows no frames.
 */
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectSecurely } from "node:tls";
import { withHost } from "../transport/open.ts";
import { secureOptions } from "../transport/socket.ts";
import type { ServerLink, SubmitStream } from "../transport/transport.ts";
import { makeOwnFolder } from "./own-folder.ts";

/** Bytes of one message of gRPC; the server takes no larger ones. */
const MESSAGE_BYTES_MAX = 60 * 1024;

/** Of silence, before the other end is asked whether it is there. */
const KEEP_ALIVE_MS = 3_000;

export interface DataRelayOptions {
  /** The server's data endpoints; the first of the kinds `tls` and `grpc` is used. */
  readonly endpoints: readonly string[];
  /** Host of the gRPC server, for endpoints that name none. */
  readonly host: string;
  readonly server: ServerLink;
}

export class DataRelay {
  /** Such as `unix:///tmp/sluice-relay-x/data.sock`. */
  readonly endpoint: string;
  readonly #server: Server;
  readonly #folder: string;
  readonly #sockets: Set<Socket>;

  private constructor(parts: { server: Server; folder: string; path: string; sockets: Set<Socket> }) {
    this.endpoint = `unix://${parts.path}`;
    this.#server = parts.server;
    this.#folder = parts.folder;
    this.#sockets = parts.sockets;
  }

  /** Undefined where no endpoint needs a relay. */
  static async open(options: DataRelayOptions): Promise<DataRelay | undefined> {
    const endpoint = options.endpoints.find((each) => /^(tls|grpc):/.test(each));
    if (endpoint === undefined) return undefined;
    const folder = makeOwnFolder("relay");
    const path = join(folder, "data.sock");
    const sockets = new Set<Socket>();
    const carry = endpoint.startsWith("tls:") ? carrySecurely : carryInGrpc;
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      carry(socket, withHost(endpoint, options.host), options.server);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    return new DataRelay({ server, folder, path, sockets });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function carrySecurely(socket: Socket, endpoint: string, { tls }: ServerLink): void {
  // A path that is dead is noticed, so that the program comes back over another.
  const far = connectSecurely(secureOptions(endpoint, tls)).setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
  far.on("error", () => far.destroy());
  socket.pipe(far);
  far.pipe(socket);
  far.once("close", () => socket.destroySoon());
  socket.once("close", () => far.destroy());
}

function carryInGrpc(socket: Socket, _endpoint: string, { submit }: ServerLink): void {
  const stream: SubmitStream = submit();
  stream.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    let isTaken = true;
    for (let at = 0; at < bytes.byteLength; at += MESSAGE_BYTES_MAX) {
      isTaken = stream.write({ data: bytes.subarray(at, at + MESSAGE_BYTES_MAX) });
    }
    if (isTaken) return;
    socket.pause();
    stream.once("drain", () => socket.resume());
  });
  stream.on("data", ({ data }) => {
    if (socket.write(data)) return;
    stream.pause();
    socket.once("drain", () => stream.resume());
  });
  socket.once("end", () => stream.end());
  stream.once("end", () => socket.end());
  socket.once("close", () => stream.cancel());
}
