/** What the admin port offers, put together: the dashboard's files, the RPCs over HTTP, and the live feed. */
import type { IncomingMessage } from "node:http";
import type { SluiceError } from "../../shared/errors.ts";
import type { Access } from "../access/access.ts";
import type { ConnectionLimit } from "../access/connection-limit.ts";
import type { Identity } from "../access/identity.ts";
import type { TlsConfig } from "../access/tls.ts";
import type { PoolWatch } from "../control/pool-watch.ts";
import { shownBy } from "./caller.ts";
import { type AskPast, historyRoute } from "./history-csv.ts";
import { HttpServer } from "./http-server.ts";
import type { Metrics } from "./metrics.ts";
import { probeRoutes } from "./probe-routes.ts";
import { type BridgedService, rpcBridge } from "./rpc-bridge.ts";
import { sessionRoutes } from "./session-routes.ts";
import { staticRoutes } from "./static-files.ts";
import { WatchFeed } from "./watch-feed.ts";

export interface AdminPortOptions {
  readonly watch: PoolWatch;
  readonly access: Access;
  readonly tls: TlsConfig | undefined;
  readonly limit: ConnectionLimit;
  readonly services: readonly BridgedService[];
  readonly serverVersion: string;
  /** Where clients find the server, HOST:PORT. */
  readonly grpcAddress: string;
  readonly metrics: Metrics;
  readonly past: AskPast;
  /** Whether new leases are granted. */
  /** Why no leases are granted; undefined where they are. */
  readonly whyNotReady: () => string | undefined;
  readonly onInternalError: (error: SluiceError) => void;
}

export class AdminPort {
  readonly #server: HttpServer;
  readonly #feed: WatchFeed;

  constructor(options: AdminPortOptions) {
    const { sessions, tokens, requests } = options.access;
    const identify = (request: IncomingMessage): Identity => {
      const shown = shownBy(request);
      const caller = sessions.identify(shown);
      requests.admit(caller, shown.address);
      return caller;
    };
    this.#feed = new WatchFeed(options.watch, (identity, ended) => sessions.follow(identity, ended));
    this.#server = new HttpServer({
      routes: [
        ...staticRoutes(),
        ...probeRoutes(options.metrics, options.whyNotReady),
        ...sessionRoutes(options),
        historyRoute(options.past),
        rpcBridge(options.services),
      ],
      tls: options.tls,
      limit: options.limit,
      identify,
      isOpen: () => tokens.open,
      upgrade: (upgrade) => this.#feed.upgrade(upgrade),
      onInternalError: options.onInternalError,
    });
  }

  /** Returns the port. */
  listen(address: { readonly host: string; readonly port: number }): Promise<number> {
    return this.#server.listen(address);
  }

  /** New connections get other certificates. */
  renew(tls: TlsConfig): void {
    this.#server.renew(tls);
  }

  close(): void {
    this.#feed.close();
    this.#server.close();
  }
}
