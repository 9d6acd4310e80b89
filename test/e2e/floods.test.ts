/**
 * Floods from somebody without a token, on every port, while a job runs: nothing but clean refusals, a log without faults, memory that
 * does not grow, and a job that does not notice. All of it on loopback, bounded in count.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { createConnection } from "node:net";
import { join } from "node:path";
import { credentials, Metadata } from "@grpc/grpc-js";
import { connect, type Lease, type Pool } from "sluice";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { AllocateResponse__Output } from "../../proto/generated/sluice/v1/AllocateResponse.ts";
import { contract } from "../../proto/load.ts";
import { testCertificates } from "../support/certificates.ts";
import {
  type Ending,
  malformedCalls,
  malformedFrames,
  malformedHttp,
  malformedHttp2,
  seeded,
  sendRaw,
  someAddress,
} from "../support/malformed.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

const MiB = 1024 ** 2;
const REQUESTS = 1_000;
const AT_ONCE = 20;
const SEED = 20_261_125;

/** Garbage that is not collected yet is no leak; 700 requests that leave 48 KiB each would be. */
const GROWTH_BYTES_MAX = 32 * MiB;

let server: TestServer;
let token: string;
let pool: Pool;
let lease: Lease;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:1x1GiB", "--require-token", "--grace", "1s"] });
  token = readFileSync(join(server.state, "admin-token"), "utf8").trim();
  pool = await connect({ server: server.grpc, token, lease: "" });
  lease = await pool.allocate({ memory: "64MiB" });
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

const memoryBytes = (): number =>
  1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))![1]);

/** Runs a job beside `work`: copies that must come back whole, one after the other. Returns how many did. */
async function beside(work: Promise<unknown>): Promise<number> {
  let isOver = false;
  void work.finally(() => {
    isOver = true;
  });
  let rounds = 0;
  for (; !isOver || rounds < 3; rounds++) {
    const sent = new Uint32Array(1_024).fill(rounds);
    const buffer = lease.devices[0].upload(sent);
    expect(await buffer.read(Uint32Array)).toEqual(sent);
    buffer.free();
    // It is there to notice, not to take the flood's time.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await work;
  return rounds;
}

/** `count` attempts, some at a time; how each ended. */
async function attempts(count: number, one: () => Promise<Ending>): Promise<Ending[]> {
  const endings: Ending[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) endings.push(await one());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return endings;
}

const random = seeded(SEED);

const floods: Record<string, { readonly send: (count: number) => Promise<Ending[]>; readonly isRefusal: RegExp }> = {
  "raw bytes to the data port": {
    send: (count) => attempts(count, () => sendRaw(server.data, malformedFrames(random), someAddress(random))),
    // What it says is a greeting and perhaps a refusal, in frames.
    isRefusal: /^/,
  },
  "raw bytes to the gRPC port": {
    send: (count) => attempts(count, () => sendRaw(server.grpc, malformedHttp2(random), someAddress(random))),
    isRefusal: /^/,
  },
  "calls to the gRPC port": {
    send: async (count) => {
      const parts = Array.from({ length: 10 }, () => malformedCalls(server.grpc, random, count / 10));
      return (await Promise.all(parts)).flat();
    },
    // Unauthenticated, unimplemented, malformed, too large, deadline; the library's words for what cannot be read; HTTP's own; a stream
    // that is reset. Never OK, and never a fault of ours.
    isRefusal: /^((16|12|3|8|4) .*|13 (Error deserializing request|Invalid grpc-timeout value .*)|HTTP 4\d\d|)$/,
  },
  "HTTP and WebSockets to the admin port": {
    send: (count) => attempts(count, () => sendRaw(server.admin, malformedHttp(random), someAddress(random))),
    // The dashboard's own page is for everybody.
    isRefusal: /^(HTTP\/1\.1 (4\d\d|200) .*|)$/,
  },
};

describe("a thousand malformed requests without a token", () => {
  it.each(Object.entries(floods))(
    "as %s end in clean refusals, and a job does not notice",
    async (_name, flood) => {
      const endings: Ending[] = [];
      const note = async (count: number): Promise<void> => {
        endings.push(...(await flood.send(count)));
      };
      // The first of them make the heap as large as such traffic needs it.
      await note(0.3 * REQUESTS);
      const before = memoryBytes();
      const rounds = await beside(note(0.7 * REQUESTS));
      expect(rounds).toBeGreaterThan(10);
      expect(endings.length).toBeGreaterThanOrEqual(REQUESTS);
      const wrong = endings.filter((ending) => !flood.isRefusal.test(ending));
      expect([...new Set(wrong)]).toEqual([]);
      expect(memoryBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
      const faults = server
        .log()
        .split("\n")
        .filter((line) => /"level":(50|60)|Error:|\bat .*\.js:\d+/.test(line));
      expect(faults).toEqual([]);
      // Whoever has a token is served as before.
      expect((await pool.devices()).length).toBe(1);
    },
    120_000,
  );

  it("leave no connection behind, as peers that write slowly do not", async () => {
    const [host = "", port = ""] = server.admin.replace("http://", "").split(":");
    const slow = createConnection({ host, port: Number(port) }).on("error", () => {});
    slow.write("GET / HTTP/1.1\r\nx-slow: ");
    const trickle = setInterval(() => slow.write("x"), 500);
    slow.resume().once("close", () => clearInterval(trickle));
    const connections = (): number => {
      const ports = [server.grpc, server.data, server.admin].map((address) => Number(address.split(":").at(-1)));
      const rows = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
      return rows.filter((row) => {
        const [, local = "", , state] = row.trim().split(/\s+/);
        return (state === "01" || state === "08") && ports.includes(Number.parseInt(local.split(":")[1] ?? "", 16));
      }).length;
    };
    await waitFor("the slow peer to be cut", () => slow.closed, 60_000);
    // Those of the job: its calls and heartbeats, and its session. Looked for last, since the system's list of thousands takes long to read.
    await waitFor("the connections of the flood to be gone", () => connections() <= 6, 60_000);
  }, 130_000);
});

/** A lease of its own, and what a heartbeat for it says. */
async function allocated(): Promise<{ leaseId: string; secret: Buffer }> {
  const client = new contract.PoolService(server.grpc, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const stream = client.allocate({ memoryBytes: MiB }, metadata);
  const [{ granted }] = (await once(stream, "data")) as [AllocateResponse__Output];
  client.close();
  return { leaseId: granted!.lease!.id, secret: granted!.secret };
}

describe("a peer that does not read", () => {
  it("gets no more answers to its heartbeats than fit into its window, and costs no memory", async () => {
    const session = connectHttp2(`http://${server.grpc}`, { settings: { initialWindowSize: 0 } });
    session.on("error", () => {});
    const stream = session.request({
      ...{ ":method": "POST", ":path": "/sluice.v1.PoolService/Hold", te: "trailers" },
      ...{ "content-type": "application/grpc", authorization: `Bearer ${token}` },
    });
    stream.on("error", () => {});
    const message = contract.PoolService.service.Hold.requestSerialize(await allocated());
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.byteLength, 1);
    const beat = Buffer.concat([prefix, message]);
    const flood = (): Promise<void> =>
      new Promise<void>((resolve) => {
        let left = 200;
        const send = (): void => {
          const more = stream.write(Buffer.concat(Array.from({ length: 500 }, () => beat)));
          if (--left === 0 || stream.destroyed) resolve();
          else if (more) setImmediate(send);
          else stream.once("drain", send);
        };
        stream.once("close", resolve);
        send();
      });
    // The first ones make the heap as large as such traffic needs it, which differs between versions of Node; a leak would go on.
    const growths: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const before = memoryBytes();
      await beside(flood());
      growths.push(memoryBytes() - before);
    }
    expect(stream.destroyed).toBe(false);
    expect(Math.min(...growths)).toBeLessThan(GROWTH_BYTES_MAX / 2);
    session.destroy();
  });
});

/** Asks for the live feed; returns how it is refused, undefined where it opens. */
const refusalOfFeed = (admin: string): Promise<{ status: number; retryAfter: unknown } | undefined> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${admin.replace("http", "ws")}/api/watch`);
    socket.once("unexpected-response", (_request, { statusCode = 0, headers }) => {
      resolve({ status: statusCode, retryAfter: headers["retry-after"] });
      socket.terminate();
    });
    socket.once("open", () => {
      resolve(undefined);
      socket.terminate();
    });
    socket.on("error", reject);
  });

describe("requests", () => {
  it("beyond the rate of --requests-per-second are refused with a code that says so, by every port alike, and so are pages that cost work", async () => {
    await using strict = await startServer({ args: ["--device", "null:1x1GiB", "--requests-per-second", "5"] });
    await using busy = await connect({ server: strict.grpc, lease: "" });
    const codes = await Promise.all(
      Array.from({ length: 60 }, () =>
        busy.devices().then(
          () => "OK",
          ({ code }: { code: string }) => code,
        ),
      ),
    );
    expect(codes.filter((code) => code === "TOO_MANY_REQUESTS").length).toBeGreaterThan(20);
    const asJson = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => fetch(`${strict.admin}/api/PoolService/ListDevices`, asJson)),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(20);
    expect(((await refused[0]!.json()) as { code: string }).code).toBe("TOO_MANY_REQUESTS");
    // Five a second: the next is free within one.
    expect(refused.map(({ headers }) => headers.get("retry-after"))).toEqual(refused.map(() => "1"));
    const feeds = await Promise.all(Array.from({ length: 60 }, () => refusalOfFeed(strict.admin)));
    const refusedFeeds = feeds.filter((answer) => answer !== undefined);
    expect(refusedFeeds.length).toBeGreaterThan(20);
    expect(refusedFeeds).toEqual(refusedFeeds.map(() => ({ status: 429, retryAfter: "1" })));
    await waitFor("the rate to allow another", () =>
      busy.devices().then(
        () => true,
        () => false,
      ),
    );
    // The metrics and the table of the past.
    for (const path of ["/metrics", "/api/history.csv"]) {
      await waitFor("the rate to allow one", async () => (await fetch(`${strict.admin}${path}`)).ok);
      const answers = await Promise.all(Array.from({ length: 60 }, () => fetch(`${strict.admin}${path}`)));
      expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(20);
    }
    expect((await fetch(`${strict.admin}/healthz`)).status).toBe(200);
  });

  it("come over no more than --connections-per-address connections, and the others go on", async () => {
    await using strict = await startServer({ args: ["--device", "null:1x1GiB", "--connections-per-address", "4"] });
    await using mine = await connect({ server: strict.grpc, lease: "" });
    const [host = "", port = ""] = strict.grpc.split(":");
    const sockets = Array.from({ length: 50 }, () =>
      createConnection({ host, port: Number(port) }).on("error", () => {}),
    );
    await waitFor("all but a few to be closed", () => sockets.filter(({ closed }) => closed).length >= 46);
    expect((await mine.devices()).length).toBe(1);
    for (const socket of sockets) socket.destroy();
  });
});

describe("ports that speak TLS", () => {
  it("outlive more malformed handshakes than they let in at once, and serve who speaks TLS", async () => {
    const certificates = await testCertificates();
    await using secure = await startServer({ args: ["--device", "null:1x1GiB", ...certificates.args] });
    const address = { server: secure.grpc, ca: certificates.ca.cert, lease: "", transports: ["tls"] } as const;
    for (const port of [secure.data, secure.grpc, secure.admin]) {
      const endings = await attempts(600, () => sendRaw(port, malformedHttp(random), someAddress(random)));
      // An alert of TLS at most, or HTTP's word about plain text.
      expect(endings.filter((ending) => /^HTTP\/1.1 [25]/.test(ending))).toEqual([]);
    }
    await using pool = await connect(address);
    await using own = await pool.allocate({ memory: "1MiB" });
    const buffer = own.devices[0].upload(new Uint32Array([7]));
    expect([...(await buffer.read(Uint32Array))]).toEqual([7]);
    expect(own.stats.endpoint).toMatch(/^tls:/);
    expect((await fetch(secure.admin.replace("https", "http")).catch(() => undefined))?.ok).not.toBe(true);
    certificates.remove();
  });
});
