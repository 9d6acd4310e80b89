/**
 * A way to a server that breaks where it is told: after so many bytes in one direction, cleanly or with a reset, for both ends or for one
 * that is not told. What lies between the cut and its notice is swallowed, as on a real network. It may also stall, and heal.
 */
import { once } from "node:events";
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";

export interface Cut {
  /** Bytes that still pass in the direction; the connection breaks behind them. */
  readonly direction: "up" | "down";
  readonly afterBytes: number;
  /** How the ends hear of it; `stall`: not at all, nothing passes until `healAll`. */
  readonly how: "fin" | "reset" | "stall";
  /** Who hears of it. The end that does not keeps a connection that is dead. Default: both. */
  readonly heardBy?: "client" | "server" | "both";
}

type Heard = Exclude<Cut["how"], "stall">;

/** Where the connection with this number, from 0, breaks; undefined: nowhere. */
export type CutPlan = (connection: number) => Cut | undefined;

/** `HOST:PORT`, or a path. */
function addressOf(target: string): NetConnectOpts {
  const [host, port] = target.split(":");
  return target.startsWith("/") ? { path: target } : { host: host!, port: Number(port), noDelay: true };
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  isStalled: boolean;
}

export class CuttingProxy {
  readonly #server: Server;
  #target: NetConnectOpts;
  readonly #pairs = new Set<Pair>();
  plan: CutPlan;
  /** Connections accepted, and broken by the plan or by `cutAll`. */
  connections = 0;
  cuts = 0;
  /** Bytes that were let through, over all connections. */
  readonly passed = { up: 0, down: 0 };

  private constructor(target: NetConnectOpts, plan: CutPlan) {
    this.#target = target;
    this.plan = plan;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  /** `target` is `HOST:PORT`, or a path; `path` is where it listens, by default at a free port. */
  static async to(target: string, plan: CutPlan = () => undefined, path?: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(addressOf(target), plan);
    if (path === undefined) proxy.#server.listen(0, "127.0.0.1");
    else proxy.#server.listen(path);
    await once(proxy.#server, "listening");
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null) throw new Error("The proxy does not listen.");
    if (typeof address === "string") return address;
    return `127.0.0.1:${address.port}`;
  }

  /** Connections that come lead there. */
  leadTo(target: string): void {
    this.#target = addressOf(target);
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Nothing passes over the connections that are open now. */
  stallAll(): void {
    for (const pair of this.#pairs) this.#stall(pair);
  }

  /** Lets pass what waits, and what comes. */
  healAll(): void {
    for (const pair of this.#pairs) this.#heal(pair);
  }

  /** As `healAll`, for the oldest connection alone. */
  healFirst(): void {
    for (const pair of [...this.#pairs].slice(0, 1)) this.#heal(pair);
  }

  #heal(pair: Pair): void {
    pair.isStalled = false;
    pair.client.resume();
    pair.server.resume();
  }

  #stall(pair: Pair): void {
    pair.isStalled = true;
    pair.client.pause();
    pair.server.pause();
  }

  /** Breaks every connection that is open now; returns how many. */
  cutAll(how: Heard = "reset", heardBy: Cut["heardBy"] = "both"): number {
    const count = this.#pairs.size;
    for (const pair of this.#pairs) this.#cut(pair, { how, heardBy });
    return count;
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    this.#pairs.clear();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(client: Socket): void {
    const cut = this.plan(this.connections++);
    const server = connect(this.#target);
    const pair = { client, server, isStalled: false };
    this.#pairs.add(pair);
    this.#forward(pair, { direction: "up", from: client, to: server, cut });
    this.#forward(pair, { direction: "down", from: server, to: client, cut });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on("error", () => {});
      socket.once("close", () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
  }

  #forward(
    pair: Pair,
    way: {
      readonly direction: Cut["direction"];
      readonly from: Socket;
      readonly to: Socket;
      readonly cut: Cut | undefined;
    },
  ): void {
    const { direction, from, to, cut } = way;
    let left = cut?.direction === direction ? cut.afterBytes : Number.POSITIVE_INFINITY;
    let isCut = false;
    const pass = (chunk: Buffer): void => {
      this.passed[direction] += chunk.byteLength;
      if (to.write(chunk)) return;
      from.pause();
      to.once("drain", () => {
        if (!pair.isStalled) from.resume();
      });
    };
    from.on("data", (chunk: Buffer) => {
      if (isCut || to.destroyed) return;
      const now = chunk.subarray(0, left);
      left -= now.byteLength;
      if (now.byteLength > 0) pass(now);
      if (left > 0 || cut === undefined) return;
      if (cut.how === "stall") {
        left = Number.POSITIVE_INFINITY;
        this.#stall(pair);
        from.unshift(chunk.subarray(now.byteLength));
        return;
      }
      isCut = true;
      this.#cut(pair, { ...cut, how: cut.how });
    });
    if (cut?.direction === direction && cut.afterBytes === 0) {
      const { how } = cut;
      if (how === "stall") this.#stall(pair);
      else {
        isCut = true;
        // Only once both are there is there something to break.
        pair.server.once("connect", () => this.#cut(pair, { ...cut, how }));
      }
    }
    from.once("end", () => to.end());
  }

  #cut(pair: Pair, { how, heardBy = "both" }: Pick<Cut, "heardBy"> & { readonly how: Heard }): void {
    if (!this.#pairs.delete(pair)) return;
    this.cuts++;
    const { client, server } = pair;
    for (const [socket, who] of [
      [client, "client"],
      [server, "server"],
    ] as const) {
      socket.removeAllListeners("data");
      socket.removeAllListeners("end");
      socket.removeAllListeners("close");
      // What still comes is swallowed.
      socket.on("data", () => {});
      socket.resume();
      if (heardBy !== "both" && heardBy !== who) {
        // It must not keep the test's process alive.
        socket.unref();
        this.#deaf.push(socket);
      } else if (how === "fin") socket.end();
      else if (socket.remoteAddress === undefined) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  /** Sockets whose other end believes that it is connected. */
  readonly #deaf: Socket[] = [];

  /** Lets those hear that are not told of a cut. */
  tellAll(): void {
    for (const socket of this.#deaf.splice(0)) socket.destroy();
  }
}
