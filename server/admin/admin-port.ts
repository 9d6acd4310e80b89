/** What the admin port offers, put together: the dashboard's files, the RPCs over HTTP, and the live feed. */
import type { SluiceError } from "../../shared/errors.ts";
import type { Gate } from "../access/identity.ts";
import type { TlsConfig } from "../access/tls.ts";
import type { PoolWatch } from "../control/pool-watch.ts";
import { bearerOf, peerOf } from "./caller.ts";
import { answerJson } from "./exchange.ts";
import { HttpServer, type Route } from "./http-server.ts";
import type { Metrics } from "./metrics.ts";
import { probeRoutes } from "./probe-routes.ts";
import { type BridgedService, rpcBridge } from "./rpc-bridge.ts";
import { staticRoutes } from "./static-files.ts";
import { WatchFeed } from "./watch-feed.ts";

export interface AdminPortOptions {
  readonly watch: PoolWatch;
  readonly gate: Gate;
  readonly tls: TlsConfig | undefined;
  readonly services: readonly BridgedService[];
  readonly serverVersion: string;
  /** Where clients find the server, HOST:PORT. */
  readonly grpcAddress: string;
  readonly metrics: Metrics;
  /** Whether new leases are granted. */
  readonly isReady: () => boolean;
  readonly onInternalError: (error: SluiceError) => void;
}

export class AdminPort {
  readonly #server: HttpServer;
  readonly #feed: WatchFeed;

  constructor(options: AdminPortOptions) {
    const { gate } = options;
    this.#feed = new WatchFeed(options.watch);
    this.#server = new HttpServer({
      routes: [
        ...staticRoutes(),
        ...probeRoutes(options.metrics, options.isReady),
        sessionRoute(options),
        rpcBridge(options.services, bearerOf),
      ],
      tls: options.tls,
      identify: (request) => gate.identify(bearerOf(request), peerOf(request)),
      isOpen: () => gate.open,
      upgrade: (upgrade) => this.#feed.upgrade(upgrade),
      onInternalError: options.onInternalError,
    });
  }

  /** Returns the port. */
  listen(address: { readonly host: string; readonly port: number }): Promise<number> {
    return this.#server.listen(address);
  }

  close(): void {
    this.#feed.close();
    this.#server.close();
  }
}

/** Who the caller is, and what a page must know before it shows anything. */
const sessionRoute = ({ serverVersion, grpcAddress }: AdminPortOptions): Route => ({
  method: "GET",
  path: "/api/session",
  access: "login",
  handle: ({ response, caller: { tenant, role } }) =>
    answerJson(response, { tenant, role, serverVersion, grpcAddress }),
});
