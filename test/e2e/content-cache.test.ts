/** What travels once, end to end: images and cached uploads of one job are free for the next, and nobody can make a lie of it. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type Lease, type Pool } from "sluice";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ARENA, MiB, RawControl, RawSession, raw } from "../support/raw-client.ts";
import { runSluice, startServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let pool: Pool;

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const ptx = (padding: number): string =>
  `.version 8.0\n.target sm_75\n.address_size 64\n//${"x".repeat(padding)}\n.entry k() { ret; }`;

async function start(...args: string[]): Promise<void> {
  server = await startServer({ args: ["--device", "null:1x2GiB", ...args] });
  pool = await connect({ server: server.grpc, lease: "" });
}

beforeEach(() => start());

afterEach(async () => {
  await pool.close();
  await server.stop();
});

async function job<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
  await using lease = await pool.allocate({ memory: "256MiB", wait: "10s" });
  return await work(lease);
}

/** The one folder of the one tenant. */
function cacheFiles(): string[] {
  const root = join(server.state, "cache");
  return readdirSync(root).flatMap((tenant) => readdirSync(join(root, tenant)).map((name) => join(root, tenant, name)));
}

const upload = (data: Uint8Array) => (lease: Lease) =>
  lease.devices[0].upload(data, { cached: true }).then(async (buffer) => {
    expect(Buffer.compare(await buffer.read(Uint8Array), data)).toBe(0);
    return lease.stats;
  });

test("weights that one job uploads cost the next nothing", async () => {
  const weights = randomBytes(40 * MiB + 12);
  const first = await job(upload(weights));
  expect(first.bytesToDevice).toBeGreaterThan(weights.length);
  expect(first.bytesSaved).toBe(0);
  const second = await job(upload(weights));
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
  const first = await job(run);
  expect(first.bytesToDevice).toBeGreaterThan(2 * MiB);
  expect(first.bytesToDevice).toBeLessThan(3 * MiB);
  const second = await job(run);
  expect(second.bytesToDevice).toBeLessThan(8192);
  expect(second.bytesSaved).toBe(2 * image.length);
});

test("a file that is spoiled on disk travels again, and is mended", async () => {
  const weights = randomBytes(2 * MiB);
  await job(upload(weights));
  const [file] = cacheFiles() as [string];
  const spoiled = readFileSync(file);
  spoiled[77]! ^= 4;
  writeFileSync(file, spoiled);
  expect((await job(upload(weights))).bytesSaved).toBe(MiB);
  expect((await job(upload(weights))).bytesSaved).toBe(2 * MiB);
});

test("without a place to keep anything all travels, and works", async () => {
  const weights = randomBytes(2 * MiB);
  rmSync(join(server.state, "cache"), { recursive: true, force: true });
  writeFileSync(join(server.state, "cache"), "in the way");
  await job(upload(weights));
  expect((await job(upload(weights))).bytesSaved).toBe(0);
  expect(server.log()).toContain("Nothing is kept in the cache");
});

test("on a disk that is full all travels, and nothing half written stays", async () => {
  await pool.close();
  await server.stop();
  // No file may grow beyond half a piece.
  const wrapper = ["prlimit", `--fsize=${MiB / 2}`];
  server = await startServer({ args: ["--device", "null:1x2GiB"], wrapper });
  pool = await connect({ server: server.grpc, lease: "" });
  const weights = randomBytes(2 * MiB);
  await job(upload(weights));
  expect((await job(upload(weights))).bytesSaved).toBe(0);
  expect(cacheFiles()).toEqual([]);
  expect(server.log()).toContain("Nothing is kept in the cache");
});

test("a server that is told to keep nothing keeps nothing", async () => {
  await pool.close();
  await server.stop();
  await start("--cache-bytes", "0");
  const weights = randomBytes(2 * MiB);
  await job(upload(weights));
  expect((await job(upload(weights))).bytesSaved).toBe(0);
  expect(readdirSync(server.state)).not.toContain("cache");
});

/** Pools of two tenants, on a server that asks for tokens. */
async function tenants(...args: string[]): Promise<[Pool, Pool]> {
  await pool.close();
  await server.stop();
  server = await startServer({ args: ["--device", "null:1x2GiB", "--require-token", ...args] });
  const admin = { SLUICE_SERVER: server.grpc, SLUICE_TOKEN_FILE: join(server.state, "admin-token"), SLUICE_LEASE: "" };
  const pools = ["alice", "bob"].map(async (tenant) => {
    const bundle = join(server.state, `${tenant}.json`);
    const made = await runSluice(["token", "create", "--tenant", tenant, "--bundle", bundle], { env: admin });
    expect(made).toMatchObject({ code: 0 });
    return await connect({ bundle, server: server.grpc, lease: "" });
  });
  const [alice, bob] = [await pools[0]!, await pools[1]!];
  pool = alice;
  return [alice, bob];
}

const savedIn = async (of: Pool, data: Uint8Array): Promise<number> => {
  await using lease = await of.allocate({ memory: "256MiB", wait: "10s" });
  return (await upload(data)(lease)).bytesSaved;
};

test("what one tenant sent is no help to another, even for who knows the hash", async () => {
  const secret = randomBytes(2 * MiB);
  const [alice, bob] = await tenants();
  expect(await savedIn(alice, secret)).toBe(0);
  expect(await savedIn(bob, secret)).toBe(0);
  expect(await savedIn(alice, secret)).toBe(secret.length);
  expect(readdirSync(join(server.state, "cache"))).toHaveLength(2);
  await bob.close();
});

test("where the admin says so, all tenants share what they sent", async () => {
  const weights = randomBytes(2 * MiB);
  const [alice, bob] = await tenants("--shared-cache");
  expect(await savedIn(alice, weights)).toBe(0);
  expect(await savedIn(bob, weights)).toBe(weights.length);
  expect(readdirSync(join(server.state, "cache"))).toEqual(["shared"]);
  await bob.close();
});

test("hashes that are lies, malformed or of bytes never sent get nothing and break nothing", async () => {
  const control = new RawControl(server.grpc);
  const lease = await control.allocate({ memoryBytes: 64 * MiB });
  const session = await RawSession.open(server.data, lease);
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
