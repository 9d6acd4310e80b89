/** The admin port of a live server: its headers, its calls over HTTP, its live feed, and what it refuses. */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { WatchPoolResponse__Output } from "../../proto/generated/sluice/v1/WatchPoolResponse.ts";
import { contract } from "../../proto/load.ts";
import { GiB, RawControl } from "../support/raw-client.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime, waitFor } from "../support/wait-for.ts";

let server: TestServer;
let control: RawControl;

beforeAll(async () => {
  server = await startServer();
  control = new RawControl(server.grpc);
});
afterAll(async () => {
  control.close();
  await server.stop();
});

const url = (path: string): string => `${server.admin}${path}`;

const post = (
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(url(path), { method: "POST", body, headers: { "content-type": "application/json", ...headers } });

/** Sends bytes as they are; returns all that is answered. */
function raw(bytes: string): Promise<string> {
  const { hostname, port } = new URL(server.admin);
  const socket = connect({ host: hostname, port: Number(port) });
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => {});
  socket.write(bytes);
  return inTime("an answer", new Promise((resolve) => socket.on("close", () => resolve(text))));
}

test("every answer carries headers that keep foreign code and foreign frames away", async () => {
  for (const path of ["/", "/api/session", "/nowhere"]) {
    const { headers } = await fetch(url(path));
    const policy = headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|http/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  }
  expect((await fetch(url("/"))).headers.get("content-type")).toContain("text/html");
});

test("a caller on this machine is its admin, and is told where clients connect", async () => {
  const session = await (await fetch(url("/api/session"))).json();
  expect(session).toMatchObject({ role: "admin", tenant: "local", grpcAddress: server.grpc });
});

test("the RPCs answer as JSON and as protobuf, with the errors of the table", async () => {
  const lease = await control.allocate({ memoryBytes: GiB, name: "bridge" });
  const listed = (await (await post("/api/PoolService/ListLeases", "{}")).json()) as { leases: unknown };
  expect(listed.leases).toMatchObject([{ id: lease.id, name: "bridge", slices: [{ memoryBytes: GiB }] }]);
  const { service } = contract.PoolService;
  const bytes = await post("/api/PoolService/ListDevices", new Uint8Array(), {
    "content-type": "application/x-protobuf",
  });
  const { devices } = service.ListDevices.responseDeserialize(Buffer.from(await bytes.arrayBuffer()));
  expect(devices!.map(({ id }) => id)).toEqual(["null:0", "null:1"]);
  const revoked = await post("/api/AdminService/Revoke", JSON.stringify({ leaseId: lease.id }));
  expect(revoked.status).toBe(200);
  await waitFor("the end of the lease", async () => (await control.leases()).leases.length === 0);
  const unknown = await post("/api/AdminService/Revoke", JSON.stringify({ leaseId: "lease-0" }));
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ code: "LEASE_NOT_FOUND", message: "There is no lease [lease-0]." });
});

test.each([
  ["a body that is no JSON", "/api/AdminService/Revoke", "{", {}, 400],
  ["a body that is no object", "/api/AdminService/Revoke", "[]", {}, 400],
  ["a body of a form", "/api/AdminService/Revoke", "a=b", { "content-type": "application/x-www-form-urlencoded" }, 400],
  ["a body without a type", "/api/AdminService/Revoke", "{}", { "content-type": "text/plain" }, 400],
  ["a body beyond the bound", "/api/AdminService/Revoke", `{"message":"${"x".repeat(70_000)}"}`, {}, 400],
  ["a stream", "/api/PoolService/WatchPool", "{}", {}, 404],
  ["an unknown call", "/api/AdminService/Burn", "{}", {}, 404],
  ["a page of another server", "/api/PoolService/ListLeases", "{}", { origin: "http://evil.example" }, 403],
  ["a sandboxed page", "/api/PoolService/ListLeases", "{}", { origin: "null" }, 403],
  [
    "a request that the browser calls foreign",
    "/api/PoolService/ListLeases",
    "{}",
    { "sec-fetch-site": "cross-site" },
    403,
  ],
  ["a page of a sibling", "/api/PoolService/ListLeases", "{}", { "sec-fetch-site": "same-site" }, 403],
])("%s is refused", async (_, path, body, headers, status) => {
  const response = await post(path, body, headers as Record<string, string>);
  expect(response.status).toBe(status);
  expect(await response.json()).toHaveProperty("remedy");
});

test("a page whose name was made to point here is refused", async () => {
  const request = (host: string): Promise<string> =>
    raw(`GET /api/session HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
  expect(await request("rebound.example:7462")).toContain("HTTP/1.1 403");
  expect(await request("localhost:7462")).toContain("HTTP/1.1 200");
  expect(await request("127.0.0.1")).toContain("HTTP/1.1 200");
});

test("no path leads out of the dashboard's files", async () => {
  for (const path of [
    "/../package.json",
    "/%2e%2e/package.json",
    "/assets/../../main.js",
    "//etc/passwd",
    "/assets/",
  ]) {
    const text = await raw(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
    expect(text).toContain("HTTP/1.1 404");
  }
  expect(await raw("GET http://[ HTTP/1.1\r\nhost: localhost\r\n\r\n")).toContain("HTTP/1.1 400");
  expect(await raw("nonsense\r\n\r\n")).toContain("HTTP/1.1 400");
});

/** Opens the feed; returns the messages so far, and how it ended. */
function openFeed(headers: Record<string, string> = {}, path = "/api/watch") {
  const socket = new WebSocket(url(path).replace("http", "ws"), { headers });
  const messages: WatchPoolResponse__Output[] = [];
  const { responseDeserialize } = contract.PoolService.service.WatchPool;
  socket.on("message", (data: Buffer) => messages.push(responseDeserialize(data) as WatchPoolResponse__Output));
  const ended = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", (code, reason) => resolve(`${code} ${reason}`));
  });
  return { socket, messages, ended };
}

test("the feed brings a snapshot and then changes, the same as over gRPC", async () => {
  const feed = openFeed({ origin: server.admin });
  await waitFor("the snapshot", () => feed.messages.length > 0);
  expect(feed.messages[0]).toMatchObject({ snapshot: true, sequence: 1 });
  expect(feed.messages[0]!.devices).toHaveLength(2);
  const stream = control.client.WatchPool({});
  const overGrpc: WatchPoolResponse__Output[] = [];
  stream.on("data", (message: WatchPoolResponse__Output) => overGrpc.push(message));
  stream.on("error", () => {});
  await waitFor("the snapshot over gRPC", () => overGrpc.length > 0);
  const lease = await control.allocate({ memoryBytes: GiB, name: "<script>alert(1)</script>" });
  for (const messages of [feed.messages, overGrpc]) {
    const has = await waitFor("the lease", () => messages.find(({ leases }) => leases.length > 0));
    expect(has).toMatchObject({ snapshot: false, leases: [{ id: lease.id, name: "<script>alert(1)</script>" }] });
  }
  await control.release(lease.id);
  await waitFor("its end", () => feed.messages.some(({ goneLeaseIds }) => goneLeaseIds.includes(lease.id)));
  stream.cancel();
  feed.socket.close();
});

test("the feed is for our own pages, and takes nothing from its readers", async () => {
  expect(await openFeed({ origin: "http://evil.example" }).ended).toContain("403");
  expect(await openFeed({ "sec-fetch-site": "cross-site" }).ended).toContain("403");
  expect(await openFeed({}, "/api/elsewhere").ended).toContain("404");
  const talkative = openFeed();
  await waitFor("the snapshot", () => talkative.messages.length > 0);
  talkative.socket.send("hello");
  expect(await inTime("the end", talkative.ended)).toContain("1006");
  const { leases } = await control.leases();
  expect(leases).toEqual([]);
});
