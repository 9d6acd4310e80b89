/** The file that holds what devices held: what comes back is what went in, or it is said that it is not; and the file is nobody else's. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PIECE_BYTES_MAX, SavedMemory } from "../../server/executor/saved-memory.ts";
import { patterned } from "../support/device-stand.ts";

let folder: string;
let saved: SavedMemory;

beforeEach(async () => {
  folder = join(mkdtempSync(join(tmpdir(), "sluice-saved-")), "deeper", "still");
  saved = await SavedMemory.create(folder);
});

afterEach(async () => {
  await saved.close();
  rmSync(join(folder, "..", ".."), { recursive: true, force: true });
});

/** The file, by the only name that it has: that of the descriptor. */
function fileOf(): string {
  const found = readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  });
  expect(found).toHaveLength(1);
  return `/proc/self/fd/${found[0]}`;
}

async function add(slice: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES_MAX)
    await saved.add({ slice, address: 4096 + at }, bytes.subarray(at, at + PIECE_BYTES_MAX));
}

async function content(slice: number): Promise<Buffer> {
  const pieces = saved.pieces.filter((piece) => piece.slice === slice);
  return Buffer.concat(await Promise.all(pieces.map(async (piece) => (await saved.read(piece))!)));
}

test("what went in comes back, of each slice its own, also from memory that threads share", async () => {
  const bytes = patterned(5 * PIECE_BYTES_MAX + 12);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  shared.set(bytes);
  await add(0, bytes);
  await add(1, shared.subarray(8));
  // What it was given is the caller's again.
  shared.fill(0xff);
  await saved.written();
  expect((await content(0)).equals(bytes)).toBe(true);
  expect((await content(1)).equals(bytes.subarray(8))).toBe(true);
  expect(saved.byteCount).toBe(statSync(fileOf()).size);
});

test("zeros take no room", async () => {
  await add(0, new Uint8Array(50 * PIECE_BYTES_MAX));
  await add(0, Uint8Array.of(0, 0, 1));
  await saved.written();
  expect(saved.pieces.map(({ byteCount }) => byteCount)).toEqual([3]);
  expect(saved.byteCount).toBeLessThan(100);
});

test("the file has no name, is its owner's alone, and does not show what is in it", async () => {
  const bytes = patterned(PIECE_BYTES_MAX);
  await add(0, bytes);
  await saved.written();
  expect(readdirSync(folder)).toEqual([]);
  const file = await open(fileOf());
  const { mode, nlink } = await file.stat();
  expect([mode & 0o777, nlink]).toEqual([0o600, 0]);
  const raw = await file.readFile();
  expect(raw.includes(bytes.subarray(1000, 1016))).toBe(false);
  await file.close();
});

test("a byte that changes, a file that is cut, and pieces that change places are found", async () => {
  const bytes = patterned(3 * PIECE_BYTES_MAX);
  await add(0, bytes);
  await saved.written();
  const [first, second, third] = saved.pieces;
  const path = fileOf();
  const file = await open(path, "r+");
  const sizeOfOne = second!.position - first!.position;
  const [one, other] = [Buffer.alloc(sizeOfOne), Buffer.alloc(sizeOfOne)];
  await file.read(one, 0, sizeOfOne, first!.position);
  await file.read(other, 0, sizeOfOne, second!.position);
  await file.write(other, 0, sizeOfOne, first!.position);
  expect(await saved.read(first!)).toBeUndefined();
  await file.write(one, 0, sizeOfOne, first!.position);
  expect(Buffer.from((await saved.read(first!))!).equals(bytes.subarray(0, PIECE_BYTES_MAX))).toBe(true);
  await file.write(Buffer.of(other[77]! ^ 1), 0, 1, second!.position + 77);
  expect(await saved.read(second!)).toBeUndefined();
  truncateSync(path, third!.position + sizeOfOne - 1);
  expect(await saved.read(third!)).toBeUndefined();
  expect(await saved.read(first!)).toBeDefined();
  await file.close();
});

test("a file that cannot be read now is told from one that is spoiled", async () => {
  await add(0, patterned(PIECE_BYTES_MAX));
  await saved.written();
  await saved.close();
  await expect(saved.read(saved.pieces[0]!)).rejects.toMatchObject({ code: "STORE_FAILED" });
});

test("a folder that cannot be made or written to is told", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "");
  await expect(SavedMemory.create(path)).rejects.toMatchObject({ code: "STORE_FAILED" });
  await expect(SavedMemory.create("/proc/nothing")).rejects.toMatchObject({ code: "STORE_FAILED" });
});
