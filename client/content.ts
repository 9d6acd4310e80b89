/**
 * What need not travel twice: program images and cached uploads are named by the SHA-256 of their pieces, and only what the server lacks is sent.
 * One per session. The server proves every byte against its hash, so a wrong name costs a transfer and nothing else.
 */
import { createHash, webcrypto } from "node:crypto";
import { SluiceError } from "../shared/errors.ts";
import {
  decodeCopyCachedAnswer,
  decodeModuleLoadCachedAnswer,
  encodeCopyCachedCall,
  encodeCopyToDeviceKeptCall,
  encodeImageWriteCall,
  encodeModuleLoadCachedCall,
  type ModuleLoadCachedAnswer,
  Opcode,
} from "../shared/generated/calls.ts";
import { CACHED_PIECES_MAX, CALL_DATA_BYTES_MAX, IMAGE_BYTES_MAX, IMAGE_SENT_BYTES_MAX } from "../shared/limits.ts";
import type { SessionHandles } from "./context.ts";
import { type Piece, piecesOf, sendPieces } from "./pieces.ts";
import type { Session } from "./session.ts";

const HASH_BYTES = 32;

/** Images whose names are remembered: beyond it they are asked for anew. */
const IMAGES_MAX = 4096;

/** Questions about the cache that are under way at once: their pieces are hashed meanwhile. */
const QUESTIONS_MAX = 4;

/** A loaded program: its handle beside what the server tells. */
export type LoadedImage = ModuleLoadCachedAnswer & { readonly handle: number };

export interface LoadTarget {
  readonly device: number;
  /** 1: it takes nothing of the slice's end. */
  readonly leavesEnd: 0 | 1;
  /** Whether anybody still wants it, asked before its bytes are sent; what is asked for then goes on. */
  readonly signal?: AbortSignal | undefined;
}

export interface CachedWrite {
  /** The buffer, and where in it the first byte goes. */
  readonly buffer: number;
  readonly offset: number;
  /** Handle of the stream. */
  readonly stream: number;
  readonly waitsForDefault: boolean;
  readonly data: ArrayBufferView;
  readonly signal?: AbortSignal | undefined;
  /** Whether the memory may still be written, asked before anything is sent behind a wait. Throws when not. */
  readonly check: () => void;
}

export class Content {
  /** Bytes of images and uploads that did not travel, since the server had them. */
  bytesSaved = 0;
  readonly #session: Session;
  readonly #handles: SessionHandles;
  /** Images that this session has asked for or sent, by hash; resolves when the server's word is there. */
  readonly #images = new Map<string, Promise<void>>();
  /** False once the server lacks what it was just sent: it keeps nothing, and asking it is in vain. */
  #serverKeeps = true;

  constructor(session: Session, handles: SessionHandles) {
    this.#session = session;
    this.#handles = handles;
  }

  /**
   * Loads a program image on a device. One that fits into a batch rides with its load; a larger one is asked for first.
   * @throws SluiceError as `Device.load`
   */
  async load(image: Uint8Array, target: LoadTarget) {
    checkImage(image);
    this.#session.checkRequest(target.signal);
    // What is small is named and sent before this function returns to its caller for the first time; of the rest the caller may change the array.
    const isSmall = image.byteLength <= CALL_DATA_BYTES_MAX;
    const bytes = isSmall ? image : Uint8Array.from(image);
    const pieces = piecesOf(bytes);
    const hashes = isSmall ? hashNow(bytes) : await hashAll(pieces);
    const key = nameOf(hashes);
    const earlier = this.#images.get(key);
    if (this.#images.size >= IMAGES_MAX) this.#images.clear();
    if (!this.#serverKeeps || (earlier === undefined && bytes.byteLength <= IMAGE_SENT_BYTES_MAX)) {
      return await this.#sendAndLoad({ key, bytes }, target);
    }
    if (earlier !== undefined) await earlier;
    const asking = this.#request({ image: 0, totalBytes: bytes.byteLength, hashes }, target);
    const word = asking.then(noop, noop);
    if (earlier === undefined) this.#images.set(key, word);
    const loaded = await asking;
    if (loaded.held === 1) {
      this.bytesSaved += bytes.byteLength;
      return loaded;
    }
    if (earlier !== undefined) this.#serverKeeps = false;
    return await this.#sendAndLoad({ key, bytes }, target);
  }

  /** Writes to device memory what the server's cache holds, and sends the rest, which the server then keeps. */
  async write(to: CachedWrite): Promise<void> {
    const pieces = piecesOf(to.data);
    const lacking: Piece[] = [];
    const asking = new Set<Promise<void>>();
    for (let first = 0; first < pieces.length; first += CACHED_PIECES_MAX) {
      const group = pieces.slice(first, first + CACHED_PIECES_MAX);
      const hashes = await hashAll(group);
      to.check();
      const asked = this.#ask({ ...to, group, hashes, lacking }).finally(() => asking.delete(asked));
      asking.add(asked);
      if (asking.size >= QUESTIONS_MAX) await Promise.race(asking);
    }
    await Promise.all(asking);
    to.check();
    await sendPieces(this.#session, {
      ...to,
      // As they come from several questions, they may be out of order.
      pieces: lacking.sort((one, other) => one.at - other.at),
      issue: (place, data, isFirst) => {
        const fields = { ...place, data };
        if (isFirst) this.#session.issue(Opcode.copyToDeviceKept, fields, encodeCopyToDeviceKeptCall);
        else this.#session.issueAlways(Opcode.copyToDeviceKept, fields, encodeCopyToDeviceKeptCall);
      },
    });
  }

  async #ask(question: CachedWrite & { group: Piece[]; hashes: Uint8Array; lacking: Piece[] }): Promise<void> {
    const { group, hashes, lacking, stream } = question;
    const byteCount = group.reduce((sum, piece) => sum + piece.byteCount, 0);
    const fields = { address: question.buffer + question.offset + group[0]!.at, byteCount, stream, hashes };
    // The answer's bytes lie in a buffer that the next frame overwrites.
    const decode = (...body: Parameters<typeof decodeCopyCachedAnswer>) => decodeCopyCachedAnswer(...body).held.slice();
    const held = await this.#session.request(
      Opcode.copyCached,
      { fields, encode: encodeCopyCachedCall, decode },
      question.signal,
    );
    if (held.byteLength !== group.length) {
      throw new SluiceError(
        "PROTOCOL_ERROR",
        `The server answers for [${held.byteLength}] of [${group.length}] pieces.`,
      );
    }
    for (const [index, piece] of group.entries()) {
      if (held[index] === 1) this.bytesSaved += piece.byteCount;
      else lacking.push(piece);
    }
  }

  /** Sends a program image ahead of the call that uses it, unless that would be refused; returns its handle. */
  sendImage(bytes: Uint8Array, signal: AbortSignal | undefined): number {
    // The server keeps an image until it is loaded, and bears few that never are.
    this.#session.checkRequest(signal);
    const image = this.#handles.images.next();
    const totalBytes = bytes.byteLength;
    for (let offset = 0; offset < totalBytes; offset += CALL_DATA_BYTES_MAX) {
      const data = bytes.subarray(offset, offset + CALL_DATA_BYTES_MAX);
      const fields = { image, totalBytes, offset, data };
      if (offset === 0) this.#session.issue(Opcode.imageWrite, fields, encodeImageWriteCall);
      else this.#session.issueAlways(Opcode.imageWrite, fields, encodeImageWriteCall);
    }
    return image;
  }

  async #sendAndLoad({ key, bytes }: { key: string; bytes: Uint8Array }, target: LoadTarget): Promise<LoadedImage> {
    const image = this.sendImage(bytes, target.signal);
    this.#images.set(key, Promise.resolve());
    return await this.#request({ image, totalBytes: 0, hashes: noHashes }, target);
  }

  async #request(
    source: { readonly image: number; readonly totalBytes: number; readonly hashes: Uint8Array },
    { device, leavesEnd }: LoadTarget,
  ): Promise<LoadedImage> {
    const handle = this.#handles.modules.next();
    const call = {
      fields: { module: handle, device, leavesEnd, ...source },
      encode: encodeModuleLoadCachedCall,
      decode: decodeModuleLoadCachedAnswer,
    };
    return { handle, ...(await this.#session.request(Opcode.moduleLoadCached, call)) };
  }
}

function checkImage({ byteLength }: Uint8Array): void {
  if (byteLength === 0) throw new SluiceError("BAD_IMAGE", "The program image is empty.");
  if (byteLength <= IMAGE_BYTES_MAX) return;
  throw new SluiceError(
    "IMAGE_TOO_LARGE",
    `The program image has [${byteLength}] bytes; at most [${IMAGE_BYTES_MAX}] are allowed.`,
  );
}

const noHashes = new Uint8Array(0);
const noop = (): void => {};

const hashNow = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

/** The hashes of pieces one behind the other, computed off the main thread. */
async function hashAll(pieces: readonly Piece[]): Promise<Uint8Array> {
  const hashes = new Uint8Array(pieces.length * HASH_BYTES);
  await Promise.all(
    pieces.map(async (piece, index) => {
      const bytes = piece.bytes();
      // Of memory that threads share it hashes only a copy.
      const own = bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes;
      hashes.set(new Uint8Array(await webcrypto.subtle.digest("SHA-256", own)), index * HASH_BYTES);
    }),
  );
  return hashes;
}

/** One short name for the hashes of any number of pieces. */
const nameOf = (hashes: Uint8Array): string => Buffer.from(hashNow(hashes)).toString("base64");
