/** The cache of what clients sent: whose bytes it gives, what it makes of a bad disk, and its bound. */
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ContentCache } from "../../server/executor/content-cache.ts";

const MiB = 1024 ** 2;

let folder: string;
let problems: string[];

const cacheIn = (directory: string, bytesMax = 64 * MiB): ContentCache =>
  new ContentCache({ directory, bytesMax, onProblem: (message) => problems.push(message) });
const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const fileOf = (bytes: Uint8Array): string => join(folder, "cache", sha256(bytes).toString("hex"));

async function readBack(cache: ContentCache, hash: Uint8Array, byteCount: number): Promise<Buffer | undefined> {
  const into = Buffer.alloc(byteCount);
  return (await cache.readInto(hash, into)) ? into : undefined;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-cache-"));
  problems = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("what is kept comes back by its hash, also to another process that uses the folder", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const bytes = randomBytes(100_003);
  void cache.keep(bytes);
  await cache.settled();
  expect(await readBack(cacheIn(join(folder, "cache")), sha256(bytes), bytes.length)).toEqual(bytes);
  expect(statSync(join(folder, "cache")).mode & 0o777).toBe(0o700);
  expect(statSync(fileOf(bytes)).mode & 0o777).toBe(0o600);
  expect(problems).toEqual([]);
});

test("bytes that change behind the call are kept as they were", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const bytes = randomBytes(MiB);
  const before = Buffer.from(bytes);
  void cache.keep(bytes);
  bytes.fill(0);
  await cache.settled();
  expect(await readBack(cache, sha256(before), MiB)).toEqual(before);
  expect(await readBack(cache, sha256(bytes), MiB)).toBeUndefined();
});

test("what is on its way to the disk is there already for who keeps it", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const bytes = randomBytes(MiB);
  void cache.keep(bytes);
  expect(await readBack(cache, sha256(bytes), MiB)).toEqual(bytes);
});

test("a hash that nothing was kept under, and a wrong size, give nothing", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const bytes = randomBytes(4096);
  expect(await readBack(cache, sha256(bytes), 4096)).toBeUndefined();
  void cache.keep(bytes);
  await cache.settled();
  expect(await readBack(cache, sha256(bytes), 4095)).toBeUndefined();
  expect(await readBack(cache, sha256(bytes), 4097)).toBeUndefined();
  expect(await readBack(cache, randomBytes(32), 4096)).toBeUndefined();
  expect(await readBack(cache, sha256(bytes), 4096)).toEqual(bytes);
});

test("a file that was spoiled is noticed, removed, and can be kept anew", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const bytes = randomBytes(4096);
  void cache.keep(bytes);
  await cache.settled();
  const spoiled = readFileSync(fileOf(bytes));
  spoiled[2000]! ^= 1;
  writeFileSync(fileOf(bytes), spoiled);
  let used = false;
  const piece = { hash: sha256(bytes), byteCount: 4096 };
  expect(
    await cache.read(piece, () => {
      used = true;
    }),
  ).toBe(false);
  expect(used).toBe(false);
  expect(existsSync(fileOf(bytes))).toBe(false);
  void cache.keep(bytes);
  await cache.settled();
  truncateSync(fileOf(bytes), 100);
  expect(await readBack(cache, piece.hash, 4096)).toBeUndefined();
  void cache.keep(bytes);
  await cache.settled();
  expect(await readBack(cache, piece.hash, 4096)).toEqual(bytes);
});

test("a folder that cannot be made is told once, and costs nothing but the transfer", async () => {
  writeFileSync(join(folder, "file"), "");
  const cache = cacheIn(join(folder, "file", "cache"));
  const bytes = randomBytes(10);
  void cache.keep(bytes);
  void cache.keep(bytes);
  await cache.settled();
  expect(await readBack(cache, sha256(bytes), 10)).toBeUndefined();
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(join(folder, "file", "cache"));
});

test("a folder where a directory stands under the name of a piece goes on working for others", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const [odd, bytes] = [randomBytes(10), randomBytes(10)];
  mkdirSync(fileOf(odd), { recursive: true });
  chmodSync(fileOf(odd), 0o700);
  void cache.keep(odd);
  void cache.keep(bytes);
  await cache.settled();
  expect(await readBack(cache, sha256(odd), 10)).toBeUndefined();
  expect(await readBack(cache, sha256(bytes), 10)).toEqual(bytes);
});

test("beyond its bound the least recently used go first, leftovers of a dead process among them", async () => {
  const cache = cacheIn(join(folder, "cache"), 10_000);
  const pieces = Array.from({ length: 9 }, () => randomBytes(1000));
  for (const piece of pieces) {
    void cache.keep(piece);
    await cache.settled();
  }
  writeFileSync(`${fileOf(pieces[0]!)}.999.1`, randomBytes(500));
  const names = [`${fileOf(pieces[0]!)}.999.1`, ...pieces.map(fileOf)];
  for (const [age, name] of names.entries()) utimesSync(name, 1000 + age, 1000 + age);
  // The oldest is used once more, and lives.
  expect(await readBack(cache, sha256(pieces[0]!), 1000)).toEqual(pieces[0]);
  const late = [randomBytes(1000), randomBytes(1000)];
  for (const piece of late) {
    void cache.keep(piece);
    await cache.settled();
  }
  const left = readdirSync(join(folder, "cache"));
  expect(left.length * 1000).toBeLessThanOrEqual(10_000);
  expect(left.every((name) => name.length === 64)).toBe(true);
  for (const piece of [pieces[0]!, ...late]) expect(left).toContain(sha256(piece).toString("hex"));
  expect(left).not.toContain(sha256(pieces[1]!).toString("hex"));
});

test("a piece larger than the bound is not kept", async () => {
  const cache = cacheIn(join(folder, "cache"), 999);
  void cache.keep(randomBytes(1000));
  await cache.settled();
  expect(existsSync(join(folder, "cache"))).toBe(false);
});

test("many processes may fill one folder at once", async () => {
  const pieces = Array.from({ length: 20 }, () => randomBytes(1000));
  const caches = [1, 2, 3, 4].map(() => cacheIn(join(folder, "cache"), 1 * MiB));
  for (const piece of pieces) for (const cache of caches) void cache.keep(piece);
  await Promise.all(caches.map((cache) => cache.settled()));
  expect(readdirSync(join(folder, "cache")).sort()).toEqual(
    pieces.map((piece) => sha256(piece).toString("hex")).sort(),
  );
  expect(problems).toEqual([]);
});

test("who keeps faster than the disk has to wait", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const bytes = randomBytes(MiB);
  let waits = 0;
  for (let index = 0; index < 40; index++) {
    bytes.writeUInt32LE(index);
    const wait = cache.keep(bytes);
    if (wait === undefined) continue;
    waits++;
    await wait;
  }
  expect(waits).toBeGreaterThanOrEqual(20);
  await cache.settled();
  expect(readdirSync(join(folder, "cache"))).toHaveLength(40);
});

test("a result comes back by its ingredients, all of them, also in another process", async () => {
  const cache = cacheIn(join(folder, "cache"));
  const result = randomBytes(10_007);
  cache.results.keep(["compiler 1", "a", "b"], result);
  await cache.settled();
  const other = cacheIn(join(folder, "cache"));
  expect(Buffer.from((await other.results.find(["compiler 1", "a", "b"]))!)).toEqual(result);
  for (const ingredients of [["compiler 2", "a", "b"], ["compiler 1", "ab"], ["compiler 1", "a"], []]) {
    expect(await other.results.find(ingredients)).toBeUndefined();
  }
  expect(problems).toEqual([]);
});

test("a result that a disk spoils, or cuts short, counts as lost", async () => {
  const cache = cacheIn(join(folder, "cache"));
  for (const spoil of [
    (path: string) => writeFileSync(path, Buffer.alloc(64, 1)),
    (path: string) => truncateSync(path, 40),
    (path: string) => truncateSync(path, 0),
  ]) {
    cache.results.keep(["x"], randomBytes(100));
    await cache.settled();
    const [name] = readdirSync(join(folder, "cache"));
    spoil(join(folder, "cache", name!));
    expect(await cache.results.find(["x"])).toBeUndefined();
    expect(readdirSync(join(folder, "cache"))).toEqual([]);
  }
});
