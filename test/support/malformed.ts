/**
 * Requests that no good client sends, for each port: raw bytes, HTTP, gRPC and WebSockets. Each attempt tells how it ended; all of them
 * end by themselves. Seeded, so that a failure can be had again.
 */
import { connect as connectHttp2 } from "node:http2";
import { createConnection } from "node:net";
import { createRandom } from "./random.ts";
import { inTime } from "./wait-for.ts";

/** How an attempt ended: what the server said, or that it closed the connection. */
export type Ending = string;

interface Bytes {
  /** Pseudo-random bytes. */
  bytes(count: number): Buffer;
  pick<T>(from: readonly T[]): T;
  below(limit: number): number;
}

/** So that a seed means the same everywhere. */
export function seeded(seed: number): Bytes {
  const random = createRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  return {
    below,
    pick: (from) => from[below(from.length)]!,
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => below(256))),
  };
}

const hostPort = (address: string): { readonly host: string; readonly port: number } => {
  const [host = "", port = ""] = address.replace(/^https?:\/\//, "").split(":");
  return { host, port: Number(port) };
};

/** Somewhere on loopback, so that a flood has more than one source. */
export const someAddress = (random: Bytes): string => `127.0.3.${1 + random.below(16)}`;

/** Whether HTTP/2 has said its last word (GOAWAY): then the client closes. */
const isGoodbye = (answer: Buffer): boolean => answer.includes(Buffer.from([7, 0, 0, 0, 0, 0]));

/** Sends bytes as they are, from `localAddress`, and ends its side; tells the first line of the answer. */
export function sendRaw(address: string, bytes: Uint8Array, localAddress: string): Promise<Ending> {
  const ended = new Promise<Ending>((resolve) => {
    const socket = createConnection({ ...hostPort(address), localAddress });
    let answer = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      answer = Buffer.concat([answer, chunk]).subarray(0, 4_096);
      if (isGoodbye(answer)) socket.destroy();
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(answer.toString("latin1").split("\r\n")[0] ?? ""));
    socket.on("connect", () => socket.end(bytes));
  });
  return inTime("the server to end a connection", ended);
}

const header = (size: number, kind: number): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(size >>> 0, 0);
  bytes.writeUInt32LE(kind, 4);
  return bytes;
};

/** For the data port. */
export function malformedFrames(random: Bytes): Buffer {
  const size = random.pick([0, 8, 15, 16, 24, 4_096, 4_104, 0x7fff_fff8, 0xffff_ffff]);
  return random.pick([
    () => random.bytes(1 + random.below(200)),
    () => Buffer.concat([header(size, random.below(12)), random.bytes(random.below(300))]),
    () => Buffer.concat([header(16 + 64, 2), random.bytes(64)]),
    () => header(4_096, 2).subarray(0, 1 + random.below(15)),
    () => Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    () => Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    () => Buffer.alloc(0),
  ])();
}

/** For the gRPC port, below HTTP/2. */
export function malformedHttp2(random: Bytes): Buffer {
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  return random.pick([
    () => random.bytes(1 + random.below(300)),
    () => preface.subarray(0, random.below(24)),
    () => Buffer.concat([preface, random.bytes(random.below(200))]),
    () => Buffer.concat([preface, settings, Buffer.from([0xff, 0xff, 0xff, random.below(12), 0xff, 0, 0, 0, 1])]),
    () => Buffer.concat([preface, settings, Buffer.from([0, 0, 5, 1, 4, 0, 0, 0, 1]), random.bytes(5)]),
    () => Buffer.from("POST /sluice.v1.PoolService/ListDevices HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nxxxx"),
  ])();
}

/** For the admin port: HTTP that is none, and WebSockets from nowhere. */
export function malformedHttp(random: Bytes): Buffer {
  const path = random.pick([
    "/",
    "/../../etc/passwd",
    "/%2e%2e/%00",
    "//x",
    "*",
    "/api/AdminService/Cordon",
    "/api/PoolService/ListDevices",
    "/api/session",
    `/${"a".repeat(500)}`,
  ]);
  const method = random.pick(["GET", "POST", "PUT", "TRACE", "PRI", "G\u0000T"]);
  const upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
  const lines = random.pick([
    "",
    "content-type: application/json\r\ncontent-length: 5\r\n\r\n{{{{{",
    "content-type: application/json\r\ncontent-length: 70000\r\n\r\n{",
    "content-type: application/x-protobuf\r\ncontent-length: 3\r\n\r\n\u00ff\u00ff\u00ff",
    "transfer-encoding: chunked\r\n\r\nzz\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "content-length: -1\r\n",
    `x: ${"y".repeat(20_000)}\r\n`,
    "cookie: sluice=; sluice; =;;;\r\n",
    `authorization: Bearer sluice_000000000000_${"A".repeat(43)}\r\n`,
    `${upgrade}sec-websocket-key: short\r\norigin: http://evil.example\r\n`,
    `${upgrade}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: http://127.0.0.1\r\n`,
    `${upgrade}\r\n`,
  ]);
  const host = random.pick(["host: 127.0.0.1\r\n", "host: evil.example\r\n", "", "host: a\r\nhost: b\r\n"]);
  return random.pick([
    () => Buffer.from(`${method} ${path} HTTP/1.1\r\n${host}connection: close\r\n${lines}\r\n`, "latin1"),
    () => random.bytes(1 + random.below(300)),
    () => Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
    () => Buffer.from("GET / HTTP/9.9\r\n\r\n"),
  ])();
}

/** Whole gRPC calls over one connection that have something wrong with them; tells their gRPC status and message, or the HTTP status without one. */
export async function malformedCalls(address: string, random: Bytes, count: number): Promise<Ending[]> {
  const session = connectHttp2(`http://${address}`).on("error", () => {});
  const one = (): Promise<Ending> => {
    const path = random.pick([
      "PoolService/ListDevices",
      "PoolService/Allocate",
      "PoolService/Hold",
      "AdminService/CreateToken",
    ]);
    const wrong = random.pick([
      { ":path": `/sluice.v1.${path}` },
      { ":path": `/sluice.v1.${path}`, authorization: `Bearer sluice_000000000000_${"A".repeat(43)}` },
      { ":path": `/sluice.v1.${path}`, authorization: random.pick(["Bearer", "Basic eDp5", "Bearer \u00ff", ""]) },
      { ":path": `/sluice.v1.${path}`, "content-type": "text/html" },
      { ":path": "/sluice.v1.PoolService/Nothing" },
      { ":path": "/" },
      { ":path": `/sluice.v1.${path}`, "grpc-timeout": "99999999999999Z" },
      { ":path": `/sluice.v1.${path}`, "grpc-encoding": "bomb" },
      { ":path": `/sluice.v1.${path}`, x: "y".repeat(8_000) },
    ]);
    const body = random.pick([
      () => random.bytes(random.below(100)),
      () => Buffer.concat([Buffer.from([0, 0, 0, 0, 40]), random.bytes(40)]),
      () => Buffer.from([1, 0xff, 0xff, 0xff, 0xff]),
      () => Buffer.from([0, 0, 0, 0, 9, 1]),
      () => Buffer.alloc(0),
    ])();
    return new Promise((resolve) => {
      const headers = { ":method": "POST", "content-type": "application/grpc", te: "trailers", ...wrong };
      const stream = session.request(headers);
      let seen = "";
      const look = (found: Record<string, unknown>): void => {
        const status = found["grpc-status"];
        if (status !== undefined) seen = `${String(status)} ${decodeURIComponent(String(found["grpc-message"] ?? ""))}`;
        else if (seen === "") seen = `HTTP ${String(found[":status"])}`;
      };
      stream
        .on("response", look)
        .on("trailers", look)
        .on("error", () => {});
      stream.once("close", () => resolve(seen));
      stream.resume().end(body);
    });
  };
  const endings: Ending[] = [];
  for (let index = 0; index < count; index++) endings.push(await inTime("a call to end", one()));
  session.destroy();
  return endings;
}
