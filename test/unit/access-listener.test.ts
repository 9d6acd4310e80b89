/** The gRPC port's bounds, with small numbers: connections in all and by address, silence, and what one connection may send. */
import { connect as connectHttp2 } from "node:http2";
import { createConnection, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { credentials, Server as GrpcServer, type ServiceError, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { contract } from "../../proto/load.ts";
import { ConnectionLimit } from "../../server/access/connection-limit.ts";
import { GrpcListener, grpcBounds } from "../../server/access/grpc-listener.ts";
import type { TlsConfig } from "../../server/access/tls.ts";
import { type TestCertificates, testCertificates } from "../support/certificates.ts";
import { inTime, WAIT_MS_MAX, waitFor } from "../support/wait-for.ts";

/** Longer than any test, and short for those that wait until it is over. */
const SILENCE_MS_MAX = 60_000;
const SHORT_SILENCE_MS = 200;

let certificates: TestCertificates;
let server: GrpcServer;
let listener: GrpcListener;
let limit: ConnectionLimit;
let port: number;
let sockets: Socket[];

beforeAll(async () => {
  certificates = await testCertificates();
});
afterAll(() => certificates.remove());

async function begin(tls?: TlsConfig, silenceMsMax = SILENCE_MS_MAX): Promise<void> {
  server = new GrpcServer(grpcBounds);
  const handlers = { ListDevices: (_call: unknown, done: (error: null, answer: object) => void) => done(null, {}) };
  server.addService(contract.PoolService.service, handlers as unknown as UntypedServiceImplementation);
  limit = new ConnectionLimit({ connections: 4, perAddress: 2 });
  listener = new GrpcListener({ server, tls, limit, silenceMsMax });
  port = await listener.listen({ host: "127.0.0.1", port: 0 });
}

beforeEach(async () => {
  sockets = [];
  await begin();
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  end();
});

function end(): void {
  listener.close();
  server.forceShutdown();
}

async function beginAgain(...options: Parameters<typeof begin>): Promise<void> {
  end();
  await begin(...options);
}

function dial(localAddress: string): Socket {
  const socket = createConnection({ port, host: "127.0.0.1", localAddress }).on("error", () => {});
  sockets.push(socket);
  return socket.resume();
}

const closed = (socket: Socket): Promise<unknown> =>
  inTime("the connection to be closed", new Promise((resolve) => socket.once("close", resolve)));

function ask(): Promise<string> {
  const client = new contract.PoolService(`127.0.0.1:${port}`, credentials.createInsecure());
  return new Promise((resolve) => {
    client.listDevices({}, { deadline: Date.now() + WAIT_MS_MAX }, (error: ServiceError | null) => {
      client.close();
      resolve(error === null ? "OK" : error.details);
    });
  });
}

describe("connections", () => {
  it("are bounded by address and in all, and each that ends makes room", async () => {
    dial("127.0.0.2");
    const second = dial("127.0.0.2");
    await waitFor("two connections", () => limit.count === 2);
    await closed(dial("127.0.0.2"));
    dial("127.0.0.3");
    dial("127.0.0.4");
    await waitFor("four connections", () => limit.count === 4);
    await closed(dial("127.0.0.5"));
    second.destroy();
    await waitFor("room for another", () => limit.count === 3);
    expect(await ask()).toBe("OK");
  });

  it("that say nothing are closed, and one that speaks is not", async () => {
    await beginAgain(undefined, SHORT_SILENCE_MS);
    const spoken = await waitFor("one that was heard in time", async () => {
      const session = connectHttp2(`http://127.0.0.1:${port}`).on("error", () => {});
      await inTime("its end", new Promise((resolve) => session.once("localSettings", resolve).once("close", resolve)));
      return session.closed ? undefined : session;
    });
    const startedAt = performance.now();
    await closed(dial("127.0.0.2"));
    expect(performance.now() - startedAt).toBeGreaterThan(SHORT_SILENCE_MS * 0.9);
    expect(spoken.closed).toBe(false);
    expect(await ask()).toBe("OK");
    spoken.destroy();
  });

  it("over TLS are bounded alike", async () => {
    const { server: own, ca } = certificates;
    await beginAgain({ cert: own.cert, key: own.key, ca: ca.cert, mutual: false }, SHORT_SILENCE_MS);
    await closed(dial("127.0.0.2"));
    const socket = await waitFor("a handshake in time", async () => {
      const tried = connectTls({ port, host: "127.0.0.1", ca: ca.cert, ALPNProtocols: ["h2"] }).on("error", () => {});
      await inTime("its end", new Promise((resolve) => tried.once("secureConnect", resolve).once("close", resolve)));
      return tried.destroyed ? undefined : tried;
    });
    expect(socket.authorized).toBe(true);
    socket.destroy();
  });
});

describe("one connection", () => {
  it("sends no message above 64 KiB, whatever it says of its length", async () => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const status = (message: Buffer): Promise<string> =>
      new Promise((resolve) => {
        const headers = { "content-type": "application/grpc", te: "trailers" };
        const stream = session.request({
          ":method": "POST",
          ":path": "/sluice.v1.PoolService/ListDevices",
          ...headers,
        });
        let seen = "";
        const look = (found: Record<string, unknown>): void => {
          seen = String(found["grpc-status"] ?? seen);
        };
        stream
          .on("response", look)
          .on("trailers", look)
          .on("error", () => {});
        stream.once("close", () => resolve(seen));
        stream.resume().end(message);
      });
    const prefixed = (length: number, byteCount: number): Buffer => {
      const message = Buffer.alloc(5 + byteCount);
      message.writeUInt32BE(length, 1);
      return message;
    };
    const RESOURCE_EXHAUSTED = "8";
    expect(await status(prefixed(64 * 1024 + 1, 64 * 1024 + 1))).toBe(RESOURCE_EXHAUSTED);
    expect(await status(prefixed(0xffff_ffff, 10))).toBe(RESOURCE_EXHAUSTED);
    expect(await status(prefixed(0, 0))).toBe("0");
    session.destroy();
  });

  it("has a bounded number of streams", () => {
    expect(grpcBounds["grpc.max_concurrent_streams"]).toBeLessThanOrEqual(4_096);
    return new Promise<void>((resolve) => {
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      session.on("remoteSettings", ({ maxConcurrentStreams }) => {
        expect(maxConcurrentStreams).toBe(grpcBounds["grpc.max_concurrent_streams"]);
        session.destroy();
        resolve();
      });
    });
  });
});
