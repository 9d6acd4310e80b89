/**
 * The admin port: an HTTP server with one table of routes, and the upgrade to WebSockets. It knows who may use a route and nothing of
 * what routes do. Everything it takes is bounded.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import { NOBODY } from "../access/audit-log.ts";
import type { ConnectionLimit } from "../access/connection-limit.ts";
import type { Identity } from "../access/identity.ts";
import { type TlsConfig, tlsServerOptions } from "../access/tls.ts";
import { answerError, type Exchange, errorHeaders, statusOf } from "./exchange.ts";
import { requireSameOrigin } from "./same-origin.ts";

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 5_000;
const HEADER_BYTES_MAX = 16 * 1024;

export interface Route {
  readonly method: "GET" | "POST";
  /** A whole path, or the beginning of many when it ends with a slash. */
  readonly path: string;
  /** `page`: open to every caller and page. `own`: from our own pages alone. `login`: from our own pages, for who has logged in. */
  readonly access: "page" | "own" | "login";
  readonly handle: (exchange: Exchange) => void | Promise<void>;
}

export interface HttpServerOptions {
  readonly routes: readonly Route[];
  readonly tls: TlsConfig | undefined;
  readonly limit: ConnectionLimit;
  /** Who asks; throws what the caller is told. */
  readonly identify: (request: IncomingMessage) => Identity;
  /** Whether anybody who can connect may use the server: then only pages that know it by its address may. */
  readonly isOpen: () => boolean;
  /** Takes over the connection of a WebSocket. */
  readonly upgrade: (upgrade: Upgrade) => void;
  readonly onInternalError: (error: SluiceError) => void;
}

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly caller: Identity;
}

/** Paths of WebSockets. */
const WATCH_PATH = "/api/watch";

/** Only the path of an address is looked at. */
const BASE = "http://server";

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const bounds = {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    const { tls } = options;
    this.#server = tls === undefined ? createServer(bounds) : createTlsServer({ ...bounds, ...tlsServerOptions(tls) });
    this.#server.on("connection", (socket: Socket) => options.limit.admit(socket));
    this.#server.on("request", (request, response) => void this.#answer(request, response)); // It never rejects.
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade({ request, socket, head }));
    this.#server.on("clientError", (_error, socket) => refuse(socket as Socket, 400));
  }

  /** Returns the port. */
  listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** New connections get other certificates. Only where TLS is configured. */
  renew(tls: TlsConfig): void {
    if (this.#server instanceof TlsServer) this.#server.setSecureContext(tlsServerOptions(tls));
  }

  /** Closes every connection. Idempotent. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = urlOf(request);
      const route = this.#find(request, url.pathname);
      if (route.access !== "page") this.#requireOwnPage(request);
      const caller = route.access === "login" ? this.#options.identify(request) : NOBODY;
      await route.handle({ request, response, url, caller });
    } catch (cause) {
      const error = toSluiceError(cause);
      if (error.code === "INTERNAL") this.#options.onInternalError(error);
      answerError(response, error, !request.complete);
    }
  }

  #find(request: IncomingMessage, path: string): Route {
    const method = request.method === "HEAD" ? "GET" : request.method;
    const here = this.#options.routes.filter((route) => {
      return route.path === path || (route.path.endsWith("/") && route.path !== "/" && path.startsWith(route.path));
    });
    const route = here.find((candidate) => candidate.method === method);
    if (route !== undefined) return route;
    const what = here.length > 0 ? `is not for the method [${printable(method ?? "")}]` : "is not here";
    throw new SluiceError("NO_SUCH_PAGE", `The page [${printable(path)}] ${what}.`);
  }

  #requireOwnPage(request: IncomingMessage): void {
    requireSameOrigin(request, !this.#options.isOpen());
  }

  #upgrade(connection: Omit<Upgrade, "caller">): void {
    const { request, socket } = connection;
    socket.on("error", () => socket.destroy());
    try {
      if (urlOf(request).pathname !== WATCH_PATH) throw new SluiceError("NO_SUCH_PAGE", "There is no such WebSocket.");
      this.#requireOwnPage(request);
      this.#options.upgrade({ ...connection, caller: this.#options.identify(request) });
    } catch (cause) {
      const error = toSluiceError(cause);
      refuse(socket, statusOf(error), errorHeaders(error));
    }
  }
}

function urlOf(request: IncomingMessage): URL {
  const path = request.url ?? "";
  if (!path.startsWith("/") || !URL.canParse(path, BASE)) {
    throw new SluiceError("BAD_ARGUMENT", "The address of the request is not a path.");
  }
  return new URL(path, BASE);
}

/** Ends a connection with a bare status. */
function refuse(socket: Duplex, status: number, headers: Readonly<Record<string, string>> = {}): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const lines = Object.entries({ connection: "close", "content-length": "0", ...headers });
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
}

const printable = (text: string): string => text.replace(/[^\w./:-]/g, "?").slice(0, 64);
