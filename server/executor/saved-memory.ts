/**
 * What the memory of devices held, in a file of this host, while the lease's work is suspended. The file has no name, so it is gone with the process
 * that has it open, whatever that dies of. It is encrypted under a key that is nowhere else, in pieces that tell whether they still are what
 * was written, each at its own place. What is zero is not in it. Knows no device.
 */
import { randomBytes, webcrypto } from "node:crypto";
import { type FileHandle, open, statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import { SluiceError, wordsOf } from "../../shared/errors.ts";
import { CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { giveBackPages } from "../device/host-memory.ts";
import { makeFolder } from "../folder.ts";

/** The most that a piece may have. */
export const PIECE_BYTES_MAX = CALL_DATA_BYTES_MAX;
/** Pieces under way at once: enough for the threads that encrypt and write, and a bound for the memory that they take. */
const UNDER_WAY_MAX = 6;
/** Stays free on the disk: the daemon's own state may be there too, and a full disk stops all grants. */
const DISK_BYTES_KEPT_FREE = 64 * 1024 * 1024;
/** How much is written between two looks at that. */
const LOOK_BYTES = 32 * 1024 * 1024;
const ALGORITHM = "AES-GCM";
const TAG_BYTES = 16;
const zeros = new Uint8Array(PIECE_BYTES_MAX);

/** A stretch of one device's memory in the file. */
export interface SavedPiece {
  /** Index of the slice. */
  readonly slice: number;
  readonly address: number;
  readonly byteCount: number;
  readonly position: number;
}

const unwritable = (cause: unknown): SluiceError =>
  new SluiceError("STORE_FAILED", `The memory of the lease cannot be saved [${wordsOf(cause)}].`, { cause });

export class SavedMemory {
  readonly pieces: SavedPiece[] = [];
  readonly #folder: string;
  readonly #file: FileHandle;
  readonly #key: webcrypto.CryptoKey;
  readonly #underWay = new Set<Promise<void>>();
  /** For copies of what is being written. */
  readonly #blocks: Uint8Array<ArrayBuffer>[] = [];
  #failure: unknown;
  #byteCount = 0;
  #lookAt = 0;
  #closed: Promise<void> | undefined;

  private constructor(folder: string, file: FileHandle, key: webcrypto.CryptoKey) {
    this.#folder = folder;
    this.#file = file;
    this.#key = key;
  }

  /** Makes the folder too, where it is not there. @throws SluiceError STORE_FAILED */
  static async create(folder: string): Promise<SavedMemory> {
    let file: FileHandle | undefined;
    try {
      makeFolder(folder);
      const path = join(folder, `saved-${randomBytes(16).toString("hex")}`);
      file = await open(path, "wx+", 0o600);
      await unlink(path);
      const key = await webcrypto.subtle.generateKey({ name: ALGORITHM, length: 256 }, false, ["encrypt", "decrypt"]);
      return new SavedMemory(folder, file, key as webcrypto.CryptoKey);
    } catch (error) {
      await file?.close();
      throw unwritable(error);
    }
  }

  /** Bytes in the file. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /**
   * Adds at most PIECE_BYTES_MAX bytes, which are the caller's again when this resolves; in the file they are once `written` has. Pieces of one slice come in order
   * of their addresses. @throws SluiceError STORE_FAILED, also for a piece before
   */
  async add({ slice, address }: Pick<SavedPiece, "slice" | "address">, bytes: Uint8Array): Promise<void> {
    if (Buffer.compare(bytes, zeros.subarray(0, bytes.byteLength)) === 0) return;
    const piece = { slice, address, byteCount: bytes.byteLength, position: this.#byteCount };
    // The memory may be shared with other threads, which the cipher does not take.
    const block = this.#blocks.pop() ?? new Uint8Array(PIECE_BYTES_MAX);
    block.set(bytes);
    this.#byteCount += bytes.byteLength + TAG_BYTES;
    this.pieces.push(piece);
    const writing: Promise<void> = this.#write(piece, block.subarray(0, piece.byteCount))
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#underWay.delete(writing);
        this.#blocks.push(block);
      });
    this.#underWay.add(writing);
    if (this.#underWay.size >= UNDER_WAY_MAX) await Promise.race(this.#underWay);
    if (this.#byteCount >= this.#lookAt) await this.#lookForRoom();
    this.#check();
  }

  /** Resolves when all is on the disk, behind which nothing is added. @throws SluiceError STORE_FAILED */
  async written(): Promise<void> {
    await Promise.all(this.#underWay);
    for (const block of this.#blocks.splice(0)) giveBackPages(block);
    this.#check();
    // What the disk refuses only now is refused before the memory is given away.
    await this.#file.datasync().catch((error: unknown) => {
      throw unwritable(error);
    });
  }

  /**
   * What a piece held; undefined when the file no longer holds what was written there. @throws SluiceError STORE_FAILED when it cannot be read
   */
  async read(piece: SavedPiece): Promise<Uint8Array | undefined> {
    const sealed = new Uint8Array(piece.byteCount + TAG_BYTES);
    try {
      for (let done = 0; done < sealed.byteLength; ) {
        const { bytesRead } = await this.#file.read(sealed, done, sealed.byteLength - done, piece.position + done);
        if (bytesRead === 0) return undefined;
        done += bytesRead;
      }
    } catch (error) {
      throw new SluiceError("STORE_FAILED", `The saved memory of the lease cannot be read [${wordsOf(error)}].`);
    }
    try {
      return new Uint8Array(await webcrypto.subtle.decrypt(this.#cipherOf(piece), this.#key, sealed));
    } catch {
      return undefined;
    }
  }

  /** The disk has its bytes back. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= Promise.all(this.#underWay).then(() => this.#file.close());
    return this.#closed;
  }

  async #write(piece: SavedPiece, bytes: Uint8Array): Promise<void> {
    const sealed = new Uint8Array(await webcrypto.subtle.encrypt(this.#cipherOf(piece), this.#key, bytes));
    for (let done = 0; done < sealed.byteLength; ) {
      const { bytesWritten } = await this.#file.write(sealed, done, sealed.byteLength - done, piece.position + done);
      done += bytesWritten;
    }
    // Nobody may collect garbage for as long as the process does nothing else, and what it saves is to be less than what it takes.
    giveBackPages(sealed);
  }

  /** No two pieces have one position, and each key is of one file. */
  #cipherOf({ position, address, slice }: SavedPiece): webcrypto.AesGcmParams {
    const iv = new Uint8Array(12);
    new DataView(iv.buffer).setFloat64(0, position);
    return { name: ALGORITHM, iv, additionalData: Float64Array.of(slice, address) };
  }

  async #lookForRoom(): Promise<void> {
    this.#lookAt = this.#byteCount + LOOK_BYTES;
    const { bavail, bsize } = await statfs(this.#folder).catch((error: unknown) => {
      throw unwritable(error);
    });
    if (bavail * bsize >= DISK_BYTES_KEPT_FREE) return;
    const few = `there are [${bavail * bsize}] bytes left on the disk of [${this.#folder}]`;
    throw unwritable(`${few}, of which [${DISK_BYTES_KEPT_FREE}] stay free`);
  }

  #check(): void {
    if (this.#failure !== undefined) throw unwritable(this.#failure);
  }
}
