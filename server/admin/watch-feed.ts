/** The pool for browsers: the messages of WatchPool, each as one binary message of a WebSocket. Nothing is taken from the other side. */
import { type WebSocket, WebSocketServer } from "ws";
import { contract } from "../../proto/load.ts";
import { type SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { BrowserSessions } from "../access/browser-sessions.ts";
import type { PoolWatch } from "../control/pool-watch.ts";
import type { Upgrade } from "./http-server.ts";

/** The watcher has nothing to say. */
const MESSAGE_BYTES_MAX = 1_024;
/** WebSocket status: try again later. */
const TRY_AGAIN = 1013;
/** Sluice's own status: the login is over. */
const LOGIN_OVER = 4401;

export class WatchFeed {
  readonly #watch: PoolWatch;
  readonly #follow: BrowserSessions["follow"];
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false });

  constructor(watch: PoolWatch, follow: BrowserSessions["follow"]) {
    this.#watch = watch;
    this.#follow = follow;
  }

  /** Takes a connection that may watch. */
  upgrade({ request, socket, head, caller }: Upgrade): void {
    this.#sockets.handleUpgrade(request, socket, head, (client) => this.#begin(client, caller));
  }

  /** Cuts every connection. */
  close(): void {
    for (const client of this.#sockets.clients) client.terminate();
    this.#sockets.close();
  }

  #begin(client: WebSocket, caller: Upgrade["caller"]): void {
    client.on("error", () => client.terminate());
    client.on("message", () => client.terminate());
    const end = (error: SluiceError): void => {
      client.close(error.code === "UNAUTHENTICATED" ? LOGIN_OVER : TRY_AGAIN, error.code);
      // One that does not read would not see that either.
      setTimeout(() => client.terminate(), 1_000).unref();
    };
    try {
      const { responseSerialize } = contract.PoolService.service.WatchPool;
      const stop = this.#watch.open(caller, {
        intervalMs: 0,
        send: (message, done) => client.send(responseSerialize(message), { binary: true }, done),
        cut: end,
      });
      const leave = this.#follow(caller, end);
      client.on("close", () => {
        stop();
        leave();
      });
    } catch (error) {
      end(toSluiceError(error));
    }
  }
}
