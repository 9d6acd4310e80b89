/** Browsers on a server that asks for tokens: logging in, what a cookie allows, what other pages cannot do, and how a session ends. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { runShort } from "../support/commands.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { inTime } from "../support/wait-for.ts";

let server: TestServer;
let adminToken: string;
let tenantToken: string;

beforeAll(async () => {
  server = await startServer({ args: ["--device", "null:1x1GiB", "--require-token"] });
  adminToken = readFileSync(join(server.state, "admin-token"), "utf8").trim();
  tenantToken = await tokenFor("alice");
});
afterAll(async () => {
  await server.stop();
});

const sluice = (...args: readonly string[]) =>
  runShort(args, {
    env: { SLUICE_SERVER: server.grpc, SLUICE_TOKEN_FILE: join(server.state, "admin-token"), SLUICE_LEASE: "" },
  });

const tokenFor = async (tenant: string, role = "tenant"): Promise<string> =>
  (await sluice("token", "create", "--tenant", tenant, "--role", role)).stdout.trim();

const asJson = { "content-type": "application/json" };

interface Answered {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly body: Record<string, unknown>;
}

async function post(path: string, body: object, headers: Record<string, string> = {}): Promise<Answered> {
  const request = { method: "POST", headers: { ...asJson, ...headers }, body: JSON.stringify(body) };
  const answer = await fetch(`${server.admin}${path}`, request);
  const cookie = answer.headers.get("set-cookie") ?? undefined;
  return { status: answer.status, cookie, body: (await answer.json()) as Record<string, unknown> };
}

/** The cookie of a fresh login, as a browser sends it back. */
async function login(token: string): Promise<{ cookie: string }> {
  const { status, cookie = "" } = await post("/api/login", { token });
  expect(status).toBe(200);
  return { cookie: cookie.split(";")[0]! };
}

interface Feed {
  readonly socket: WebSocket;
  readonly closed: Promise<number>;
}

async function feed(headers: Record<string, string>): Promise<Feed> {
  const socket = new WebSocket(`${server.admin.replace("http", "ws")}/api/watch`, { headers });
  socket.on("error", () => {});
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  await inTime(
    "the feed's first message",
    Promise.race([new Promise((resolve) => socket.once("message", resolve)), closed]),
  );
  return { socket, closed };
}

describe("without a login", () => {
  it("there is the page itself and nothing behind it", async () => {
    expect((await fetch(server.admin)).status).toBe(200);
    for (const path of ["/api/session", "/metrics", "/api/history.csv?span=hour"]) {
      expect((await fetch(`${server.admin}${path}`)).status).toBe(401);
    }
    for (const path of ["/api/PoolService/ListDevices", "/api/AdminService/ListTokens", "/api/AdminService/Cordon"]) {
      expect((await post(path, {})).status).toBe(401);
    }
    const { socket, closed } = await feed({});
    expect(await closed).toBe(1006);
    expect(socket.readyState).toBe(WebSocket.CLOSED);
  });
});

describe("a login", () => {
  it("a monitor's reads the metrics, which a tenant's does not, and changes nothing", async () => {
    const monitor = await tokenFor("watchers", "monitor");
    const cookie = await login(monitor);
    for (const headers of [cookie, { authorization: `Bearer ${monitor}` }]) {
      expect((await fetch(`${server.admin}/metrics`, { headers })).status).toBe(200);
      expect((await post("/api/AdminService/ListEvents", {}, headers)).status).toBe(200);
      expect(await post("/api/AdminService/Cordon", { deviceId: "null:0" }, headers)).toMatchObject({
        status: 403,
        body: { code: "READ_ONLY" },
      });
    }
    expect((await fetch(`${server.admin}/metrics`, { headers: await login(await tokenFor("alice")) })).status).toBe(
      403,
    );
  });

  it("takes a token once, and a cookie stands for it that scripts do not see", async () => {
    const { cookie, body } = await post("/api/login", { token: ` ${adminToken}\n` });
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict$/);
    expect(JSON.stringify(body)).not.toContain(adminToken.slice(-20));
    const session = await fetch(`${server.admin}/api/session`, { headers: await login(adminToken) });
    expect(await session.json()).toMatchObject({ tenant: "admin", role: "admin", isOpen: false });
  });

  it("of a tenant is no admin's, over HTTP as over gRPC", async () => {
    const bearer = { authorization: `Bearer ${tenantToken}` };
    expect(await post("/api/AdminService/Cordon", { deviceId: "null:0" }, bearer)).toMatchObject({
      status: 403,
      body: { code: "ADMIN_ONLY" },
    });
    expect((await post("/api/PoolService/ListDevices", {}, bearer)).status).toBe(200);
  });
});

describe("another page", () => {
  it("cannot use the cookie: not from its origin, its forms, or its frames, nor log anybody in", async () => {
    const bearer = { authorization: `Bearer ${adminToken}` };
    const forged = [
      { origin: "http://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ];
    for (const headers of forged as Record<string, string>[]) {
      const answer = await post("/api/AdminService/Cordon", { deviceId: "null:0" }, { ...bearer, ...headers });
      expect(answer).toMatchObject({ status: 403, body: { code: "FOREIGN_PAGE" } });
      expect((await post("/api/login", { token: adminToken }, headers)).status).toBe(403);
      expect((await post("/api/logout", {}, headers)).status).toBe(403);
      const { closed } = await feed({ ...bearer, ...headers });
      expect(await closed).toBe(1006);
    }
    // What a form can send without being asked about it.
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      const answer = await post(
        "/api/AdminService/Cordon",
        { deviceId: "null:0" },
        { ...bearer, "content-type": type },
      );
      expect(answer.status).toBe(400);
    }
    const { stdout } = await sluice("audit", "--action", "Cordon", "--json");
    const outcomes = (JSON.parse(stdout) as { events: { outcome: string }[] }).events.map(({ outcome }) => outcome);
    expect(outcomes).not.toContain("OK");
  });
});

describe("a session", () => {
  it("ends with its token, at once: the feed says that the login is over, and the cookie is worth nothing", async () => {
    const token = await tokenFor("carol");
    const cookie = await login(token);
    const watching = await feed(cookie);
    expect((await post("/api/PoolService/ListDevices", {}, cookie)).status).toBe(200);
    expect((await sluice("token", "revoke", token)).code).toBe(0);
    expect(await inTime("the feed to end", watching.closed)).toBe(4401);
    expect((await post("/api/PoolService/ListDevices", {}, cookie)).status).toBe(401);
  });

  it("ends by logout, with its feed, and no other does", async () => {
    const [mine, other] = [await login(tenantToken), await login(tenantToken)];
    const feeds = [await feed(mine), await feed(other)] as const;
    const { cookie } = await post("/api/logout", {}, mine);
    expect(cookie).toMatch(/^sluice=; .*Max-Age=0/);
    expect(await inTime("the feed to end", feeds[0].closed)).toBe(4401);
    expect((await post("/api/PoolService/ListDevices", {}, mine)).status).toBe(401);
    expect((await post("/api/PoolService/ListDevices", {}, other)).status).toBe(200);
    expect(feeds[1].socket.readyState).toBe(WebSocket.OPEN);
    feeds[1].socket.close();
  });
});

describe("what an admin does in a browser", () => {
  it("is in the audit log as what is done over gRPC is, streams too", async () => {
    const bearer = { authorization: `Bearer ${adminToken}` };
    expect((await post("/api/AdminService/Drain", { deviceId: "null:0" }, bearer)).status).toBe(200);
    expect((await post("/api/AdminService/Uncordon", { deviceId: "null:0" }, bearer)).status).toBe(200);
    const { stdout } = await sluice("audit", "--json", "--limit", "2");
    expect((JSON.parse(stdout) as { events: object[] }).events).toMatchObject([
      { action: "Uncordon", outcome: "OK", tenant: "admin", address: expect.stringMatching(/^127\.0\.0\.1:/) },
      { action: "Drain", outcome: "OK", tenant: "admin" },
    ]);
  });
});

// The last one: it locks this address out for a while.
describe("a login", () => {
  it("with a wrong token is refused, and after ten a minute not looked at", async () => {
    const wrong = `${adminToken.slice(0, -2)}${adminToken.endsWith("A") ? "BB" : "AA"}`;
    for (const body of [{ token: wrong }, { token: "" }, { token: 7 }, {}]) {
      const { status, body: said, cookie } = await post("/api/login", body);
      expect([400, 401]).toContain(status);
      expect(cookie).toBeUndefined();
      expect(JSON.stringify(said)).not.toContain(wrong.slice(-20));
    }
    const statuses = [];
    for (let index = 0; index < 15; index++) statuses.push((await post("/api/login", { token: wrong })).status);
    expect(statuses.at(-1)).toBe(429);
  });
});
