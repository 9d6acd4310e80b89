/** What travels once, end to end: images and cached uploads of one job are free for the next, and nobody can make a lie of it. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type Lease, type Pool } from "sluice";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createToken } from "../support/populate-pool.ts";
import { ARENA, MiB, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { type ServerOptions, startServer, type TestServer } from "../support/server.ts";

interface Stage {
  readonly server: TestServer;
  readonly pool: Pool;
}

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const ptx = (padding: number): string =>
  `.version 8.0\n.target sm_75\n.address_size 64\n//${"x".repeat(padding)}\n.entry k() { ret; }`;

async function start({ args = [], ...options }: ServerOptions = {}): Promise<Stage> {
  const server = await startServer({ ...options, args: ["--device", "null:1x2GiB", ...args] });
  return { server, pool: await connect({ server: server.grpc, lease: "" }) };
}

/** A server that asks for tokens, with the pools of two tenants. */
async function startForTenants(...args: string[]): Promise<Stage & { readonly bob: Pool; readonly token: string }> {
  const server = await startServer({ args: ["--device", "null:1x2GiB", "--require-token", ...args] });
  const admin = readFileSync(join(server.state, "admin-token"), "utf8").trim();
  const open = (token: string): Promise<Pool> => connect({ server: server.grpc, token, lease: "" });
  const token = await createToken(server.grpc, { tenant: "alice" }, admin);
  const bob = await open(await createToken(server.grpc, { tenant: "bob" }, admin));
  return { server, pool: await open(token), bob, token };
}

async function stop({ server, pool }: Stage): Promise<void> {
  await pool.close();
  await server.stop();
}

/** What most tests share. */
let shared: Stage & { readonly bob: Pool; readonly token: string };
beforeAll(async () => {
  shared = await startForTenants();
});
afterAll(async () => {
  await shared.bob.close();
  await stop(shared);
});

/** A server of the test's own. */
async function withServer(options: ServerOptions, work: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = await start(options);
  try {
    await work(stage);
  } finally {
    await stop(stage);
  }
}

async function job<T>({ pool }: Pick<Stage, "pool">, work: (lease: Lease) => Promise<T>): Promise<T> {
  await using lease = await pool.allocate({ memory: "256MiB", wait: "10s" });
  return await work(lease);
}

/** Files of all tenants. */
function cacheFiles({ server }: Stage): string[] {
  const root = join(server.state, "cache");
  return readdirSync(root).flatMap((tenant) => readdirSync(join(root, tenant)).map((name) => join(root, tenant, name)));
}

const upload = (data: Uint8Array) => (lease: Lease) =>
  lease.devices[0].upload(data, { cached: true }).then(async (buffer) => {
    expect(Buffer.compare(await buffer.read(Uint8Array), data)).toBe(0);
    return lease.stats;
  });

const uploadTwice = (data: Uint8Array) => (lease: Lease) => upload(data)(lease).then(() => upload(data)(lease));

test("weights that one job uploads cost the next nothing", async () => {
  // More pieces than one call names.
  const weights = randomBytes(17 * MiB + 12);
  const first = await job(shared, upload(weights));
  expect(first.bytesToDevice).toBeGreaterThan(weights.length);
  expect(first.bytesSaved).toBe(0);
  const second = await job(shared, upload(weights));
  expect(second.bytesToDevice).toBeLessThan(8192);
  expect(second.bytesSaved).toBe(weights.length);
});

test("an image that one job loads need not travel for the next, and works", async () => {
  const image = ptx(2 * MiB);
  const run = async (lease: Lease) => {
    const [gpu] = lease.devices;
    const modules = await Promise.all([gpu.load(image), gpu.load(image)]);
    for (const module of modules) module.kernel("k").launch({ grid: 1, block: 1 }, []);
    await gpu.synchronize();
    return lease.stats;
  };
  const first = await job(shared, run);
  expect(first.bytesToDevice).toBeGreaterThan(2 * MiB);
  expect(first.bytesToDevice).toBeLessThan(3 * MiB);
  const second = await job(shared, run);
  expect(second.bytesToDevice).toBeLessThan(8192);
  expect(second.bytesSaved).toBe(2 * image.length);
});

test("a file that is spoiled on disk travels again, and is mended", async () => {
  const weights = randomBytes(2 * MiB);
  const before = cacheFiles(shared);
  await job(shared, upload(weights));
  const file = cacheFiles(shared).find((path) => !before.includes(path))!;
  const spoiled = readFileSync(file);
  spoiled[77]! ^= 4;
  writeFileSync(file, spoiled);
  expect((await job(shared, upload(weights))).bytesSaved).toBe(MiB);
  expect((await job(shared, upload(weights))).bytesSaved).toBe(2 * MiB);
});

test("on a disk that is full all travels, and nothing half written stays", async () => {
  // No file may grow beyond half a piece.
  await withServer({ wrapper: ["prlimit", `--fsize=${MiB / 2}`] }, async (stage) => {
    const weights = randomBytes(2 * MiB);
    expect((await job(stage, uploadTwice(weights))).bytesSaved).toBe(0);
    expect(cacheFiles(stage)).toEqual([]);
    expect(stage.server.log()).toContain("Nothing is kept in the cache");
  });
});

test("a server that is told to keep nothing keeps nothing", async () => {
  await withServer({ args: ["--cache-bytes", "0"] }, async (stage) => {
    const weights = randomBytes(2 * MiB);
    expect((await job(stage, uploadTwice(weights))).bytesSaved).toBe(0);
    expect(readdirSync(stage.server.state)).not.toContain("cache");
  });
});

const savedIn = async (pool: Pool, data: Uint8Array): Promise<number> => (await job({ pool }, upload(data))).bytesSaved;

test("what one tenant sent is no help to another, even for who knows the hash", async () => {
  const { pool: alice, bob, server } = shared;
  const secret = randomBytes(2 * MiB);
  expect(await savedIn(alice, secret)).toBe(0);
  expect(await savedIn(bob, secret)).toBe(0);
  expect(await savedIn(alice, secret)).toBe(secret.length);
  expect(readdirSync(join(server.state, "cache"))).toHaveLength(2);
});

test("where the admin says so, all tenants share what they sent", async () => {
  const weights = randomBytes(2 * MiB);
  const stage = await startForTenants("--shared-cache");
  try {
    expect(await savedIn(stage.pool, weights)).toBe(0);
    expect(await savedIn(stage.bob, weights)).toBe(weights.length);
    expect(readdirSync(join(stage.server.state, "cache"))).toEqual(["shared"]);
  } finally {
    await stage.bob.close();
    await stop(stage);
  }
});

test("hashes that are lies, malformed or of bytes never sent get nothing and break nothing", async () => {
  const control = new RawControl(shared.server.grpc, shared.token);
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(shared.server.data, lease);
  await session.ask(raw.attach());
  session.send(raw.allocate(ARENA, 4 * MiB));
  const bytes = randomBytes(MiB);
  const held = async (...args: Parameters<typeof raw.copyCached>) => {
    const answer = await session.ask(raw.copyCached(...args));
    if (answer.code !== "OK") return answer.code;
    return [...answer.body.subarray(8, 8 + answer.body.readUInt32LE(0))];
  };
  expect(await held(ARENA, MiB, sha256(bytes))).toEqual([0]);
  session.send(raw.copyToDeviceKept(ARENA, bytes));
  expect(await held(ARENA + MiB, MiB, sha256(bytes))).toEqual([1]);
  expect((await session.read(ARENA + MiB, MiB)).equals(bytes)).toBe(true);
  // The right hash with another size is another piece.
  expect(await held(ARENA, MiB - 1, sha256(bytes))).toEqual([0]);
  expect(await held(ARENA, MiB + 1, Buffer.concat([sha256(bytes), sha256(bytes)]))).toEqual([1, 0]);
  for (const [byteCount, hashes] of [
    [MiB, sha256(bytes).subarray(1)],
    [MiB, Buffer.concat([sha256(bytes), sha256(bytes)])],
    [MiB, new Uint8Array()],
    [4 * MiB, sha256(bytes)],
  ] as const) {
    expect(await held(ARENA, byteCount, hashes)).toBe("BAD_ARGUMENT");
  }
  expect(await held(ARENA, 0, new Uint8Array())).toBe("BAD_ARGUMENT");
  expect(await held(ARENA + 4 * MiB - 8, MiB, sha256(bytes))).toBe("NOT_ALLOCATED");
  expect(await held(ARENA + 64 * MiB - 8, MiB, sha256(bytes))).toBe("ADDRESS_OUTSIDE_ARENA");
  expect(await held(ARENA, MiB, sha256(bytes), 7)).toBe("NO_SUCH_HANDLE");
  expect((await session.ask(raw.moduleLoadCached(1, { totalBytes: 5, hashes: randomBytes(32) }))).body[0]).toBe(0);
  const tooLarge = raw.moduleLoadCached(1, { totalBytes: 2 ** 32 - 1, hashes: randomBytes(32) });
  expect((await session.ask(tooLarge)).code).toBe("BAD_ARGUMENT");
  expect((await session.ask(raw.moduleLoadCached(1, { image: 9 }))).code).toBe("NO_SUCH_HANDLE");
  expect((await session.ask(raw.memoryInfo())).code).toBe("OK");
  session.connection.destroy();
  await control.release(lease.id, lease.secret);
  control.close();
});

test("without a place to keep anything all travels, and works", async () => {
  const weights = randomBytes(2 * MiB);
  const cache = join(shared.server.state, "cache");
  rmSync(cache, { recursive: true, force: true });
  writeFileSync(cache, "in the way");
  expect((await job(shared, uploadTwice(weights))).bytesSaved).toBe(0);
  expect(shared.server.log()).toContain("Nothing is kept in the cache");
});
