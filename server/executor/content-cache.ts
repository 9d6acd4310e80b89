/**
 * Bytes that clients sent once and need not send again, and results of work on them: pieces of at most CALL_DATA_BYTES_MAX, as files named by their SHA-256 in a folder of
 * the tenant's own. The hash is computed here, when a piece is kept and again when it is read: nobody can put other bytes under a name, and what
 * a disk spoils counts as lost. It is a cache: whatever fails costs a transfer and nothing else, and no state of a session depends on it.
 *
 * Several executors share a folder. A file appears by rename, whole; the least recently used go first once the folder is over its bound.
 */
import { createHash, webcrypto } from "node:crypto";
import { open, readdir, readFile, rename, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { wordsOf } from "../../shared/errors.ts";
import { CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { MemoryPool } from "../../shared/wire/memory-pool.ts";
import type { KeptResults } from "../device/device.ts";
import { makeFolder } from "../folder.ts";

export const HASH_BYTES = 32;

/** Where a tenant's pieces are, and how many bytes they may have together. */
export interface CacheAssignment {
  readonly directory: string;
  readonly bytesMax: number;
}

/** Pieces on their way to the disk; more make the session wait. */
const KEEPING_BYTES_MAX = 16 * CALL_DATA_BYTES_MAX;

/** Blocks that stay for the next pieces. */
const BLOCKS_KEPT = 4;

/** After keeping this share of the bound, the folder is looked at: others fill it too. */
const LOOK_SHARE = 1 / 16;

/** An eviction leaves this share of the bound, so that the next is not due at once. */
const LEFT_SHARE = 0.9;

/** Files begun by this process: a number of its own for each while it is written. */
let files = 0;

export class ContentCache {
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #onProblem: (message: string) => void;
  readonly #blocks = new MemoryPool({
    blockBytes: CALL_DATA_BYTES_MAX,
    keptBytesMax: BLOCKS_KEPT * CALL_DATA_BYTES_MAX,
  });
  readonly #keeping = new Set<Promise<void>>();
  #keepingBytes = 0;
  #keptBytes = Number.POSITIVE_INFINITY;
  #problemTold = false;
  #evicting: Promise<void> | undefined;

  /** `onProblem` hears once in words why nothing is kept. */
  constructor(options: CacheAssignment & { readonly onProblem: (message: string) => void }) {
    this.#directory = options.directory;
    this.#bytesMax = options.bytesMax;
    this.#onProblem = options.onProblem;
  }

  /**
   * Gives the piece with this hash and size to `use`, if it is there and sound; says whether it was. The bytes are valid until `use` is done.
   */
  async read(
    piece: { readonly hash: Uint8Array; readonly byteCount: number },
    use: (bytes: Uint8Array) => void | Promise<void>,
  ): Promise<boolean> {
    const path = join(this.#directory, hex(piece.hash));
    const block = this.#blocks.take();
    try {
      const bytes = block.subarray(0, piece.byteCount);
      if (!(await this.#fill(path, bytes))) return false;
      if (hex(await digest(bytes)) !== hex(piece.hash)) {
        await unlink(path).catch(() => {});
        return false;
      }
      await use(bytes);
      return true;
    } finally {
      this.#blocks.give(block);
    }
  }

  /** What this process keeps just now counts as kept. */
  async #fill(path: string, bytes: Uint8Array): Promise<boolean> {
    if (await readWhole(path, bytes)) return true;
    if (this.#keeping.size === 0) return false;
    await this.settled();
    return await readWhole(path, bytes);
  }

  /** As `read`, into memory of the caller's. */
  async readInto(hash: Uint8Array, into: Uint8Array): Promise<boolean> {
    return await this.read({ hash, byteCount: into.byteLength }, (bytes) => into.set(bytes));
  }

  /** Keeps a copy of a piece. Returns a promise when so much is on its way to the disk that the caller should wait. */
  keep(bytes: Uint8Array): Promise<void> | undefined {
    const block = this.#blocks.take();
    block.set(bytes);
    const kept = this.#keep(block.subarray(0, bytes.byteLength)).finally(() => {
      this.#blocks.give(block);
      this.#keepingBytes -= bytes.byteLength;
      this.#keeping.delete(kept);
    });
    this.#keeping.add(kept);
    this.#keepingBytes += bytes.byteLength;
    return this.#keepingBytes > KEEPING_BYTES_MAX ? Promise.race(this.#keeping) : undefined;
  }

  /**
   * Results of long work, in the same folder under names that no piece has: the hash of their ingredients. Each file begins with the hash of the
   * rest. They are this server's own work, so a client who knows the ingredients learns nothing that it could not compute.
   */
  readonly results: KeptResults = {
    find: async (ingredients) => {
      const path = this.#resultPath(ingredients);
      const file = await readFile(path).catch(() => undefined);
      if (file === undefined) return undefined;
      const result = file.subarray(HASH_BYTES);
      if (hex(await digest(result)) !== hex(file.subarray(0, HASH_BYTES))) {
        await unlink(path).catch(() => {});
        return undefined;
      }
      await touch(path, file.byteLength);
      return result;
    },
    keep: (ingredients, result) => {
      const own = result.slice();
      const kept = digest(own)
        .then((hash) => this.#put(this.#resultPath(ingredients), Buffer.concat([hash, own])))
        .catch((error: unknown) => this.#tell(error))
        .finally(() => this.#keeping.delete(kept));
      this.#keeping.add(kept);
    },
  };

  #resultPath(ingredients: readonly string[]): string {
    const hash = createHash("sha256").update(JSON.stringify(ingredients)).digest("hex");
    return join(this.#directory, `${hash}.result`);
  }

  /** Resolves when what is being kept is on the disk, or given up. */
  async settled(): Promise<void> {
    while (this.#keeping.size > 0) await Promise.all(this.#keeping);
  }

  /** Never rejects. */
  async #keep(bytes: Uint8Array): Promise<void> {
    try {
      const path = join(this.#directory, hex(await digest(bytes)));
      if (await touch(path, bytes.byteLength)) return;
      await this.#put(path, bytes);
    } catch (error) {
      this.#tell(error);
    }
  }

  async #put(path: string, bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength > this.#bytesMax) return;
    const own = `${path}.${process.pid}.${++files}`;
    makeFolder(this.#directory);
    try {
      await writeFile(own, bytes, { mode: 0o600, flag: "wx" });
      await rename(own, path);
    } catch (error) {
      await unlink(own).catch(() => {});
      throw error;
    }
    await this.#added(bytes.byteLength);
  }

  async #added(byteCount: number): Promise<void> {
    this.#keptBytes += byteCount;
    if (this.#keptBytes < this.#bytesMax * LOOK_SHARE) return;
    this.#keptBytes = 0;
    this.#evicting ??= this.#evict().finally(() => {
      this.#evicting = undefined;
    });
    await this.#evicting;
  }

  /** Removes the least recently used files once all together are over the bound; what a dead executor left half written is among them. */
  async #evict(): Promise<void> {
    const names = await readdir(this.#directory);
    const found = (await Promise.all(names.map((name) => fileAt(join(this.#directory, name))))).filter(
      (file) => file !== undefined,
    );
    let bytes = found.reduce((sum, file) => sum + file.bytes, 0);
    if (bytes <= this.#bytesMax) return;
    found.sort((a, b) => a.usedAt - b.usedAt);
    for (const file of found) {
      if (bytes <= this.#bytesMax * LEFT_SHARE) return;
      await unlink(file.path).catch(() => {});
      bytes -= file.bytes;
    }
  }

  #tell(error: unknown): void {
    if (this.#problemTold) return;
    this.#problemTold = true;
    this.#onProblem(`Nothing is kept in the cache [${this.#directory}]: [${wordsOf(error)}].`);
  }
}

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

/** Off the main thread, so that several pieces are hashed at once. */
const digest = async (bytes: Uint8Array): Promise<Uint8Array> =>
  new Uint8Array(await webcrypto.subtle.digest("SHA-256", bytes));

/** Fills `into` from a file of exactly its size, and marks the file as used; false when there is no such file. */
async function readWhole(path: string, into: Uint8Array): Promise<boolean> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return false;
  try {
    if ((await file.stat()).size !== into.byteLength) return false;
    const { bytesRead } = await file.read(into, 0, into.byteLength, 0);
    const now = new Date();
    await file.utimes(now, now).catch(() => {});
    return bytesRead === into.byteLength;
  } catch {
    return false;
  } finally {
    await file.close().catch(() => {});
  }
}

/** Marks a file of that size as used; false when there is none. */
async function touch(path: string, byteCount: number): Promise<boolean> {
  try {
    if ((await stat(path)).size !== byteCount) return false;
    const now = new Date();
    await utimes(path, now, now);
    return true;
  } catch {
    return false;
  }
}

async function fileAt(path: string): Promise<{ path: string; bytes: number; usedAt: number } | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { path, bytes: size, usedAt: mtimeMs };
  } catch {
    return undefined;
  }
}
