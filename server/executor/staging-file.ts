/**
 * A session's staging file: memory that a client on this host opens as a file, so that large copies need not go through its connection. It has no
 * name in any folder and cannot change its size, so it is gone with the last process that has it open, and reading it never fails. What is in
 * it is the client's: it may change at any moment, and nothing here believes it.
 */
import { randomBytes } from "node:crypto";
import { closeSync, ftruncateSync } from "node:fs";
import { SluiceError } from "../../shared/errors.ts";
import { STAGING_BYTES } from "../../shared/limits.ts";
import koffi from "../device/native.ts";
import { mapShared, unmap } from "./shared-mapping.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** No other seals, no smaller and no larger: F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW. */
const SEALS = 1 | 2 | 4;

type Libc = ReturnType<typeof load>;
let loaded: Libc | undefined;

function load() {
  const library = koffi.load(null);
  return {
    create: library.func("memfd_create", "int", ["string", "uint32_t"]),
    control: library.func("int fcntl(int fd, int command, ...)"),
  };
}

export class StagingFile {
  /** Where another process of the same user finds it, and what the link there says. */
  readonly path: string;
  readonly name: string;
  readonly byteLength = STAGING_BYTES;
  readonly #fd: number;
  readonly #address: bigint;
  /** Empty once it is closed: the memory behind it is then gone. */
  #bytes: Uint8Array<ArrayBuffer>;

  private constructor(fd: number, { tag, address }: { readonly tag: string; readonly address: bigint }) {
    this.path = `/proc/${process.pid}/fd/${fd}`;
    this.name = `/memfd:${tag} (deleted)`;
    this.#fd = fd;
    this.#address = address;
    this.#bytes = new Uint8Array(koffi.view(address, STAGING_BYTES));
  }

  /** Undefined where the system has no such files, or no memory for one: copies then take the connection. */
  static create(): StagingFile | undefined {
    let fd = -1;
    try {
      loaded ??= load();
      const tag = `sluice-${randomBytes(16).toString("hex")}`;
      fd = loaded.create(tag, MFD_CLOEXEC | MFD_ALLOW_SEALING) as number;
      if (fd < 0) return undefined;
      ftruncateSync(fd, STAGING_BYTES);
      // A file that shrinks would end this process when it is read.
      const isSealed = loaded.control(fd, F_ADD_SEALS, "int", SEALS) === 0;
      const address = isSealed ? mapShared(fd, STAGING_BYTES) : undefined;
      if (address !== undefined) return new StagingFile(fd, { tag, address });
    } catch {
      // No such function in this system's C library.
    }
    if (fd >= 0) closeSync(fd);
    return undefined;
  }

  /** All of it. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** A part of it. @throws SluiceError BAD_ARGUMENT */
  part(offset: number, byteCount: number): Uint8Array<ArrayBuffer> {
    if (offset + byteCount <= this.#bytes.byteLength) return this.#bytes.subarray(offset, offset + byteCount);
    const range = `[${byteCount}] bytes at [${offset}]`;
    throw new SluiceError("BAD_ARGUMENT", `The ${range} pass the end of the staging file [${this.#bytes.byteLength}].`);
  }

  /** Nothing may use a part any more. */
  close(): void {
    if (this.#bytes.byteLength === 0) return;
    this.#bytes = new Uint8Array(0);
    unmap(this.#address, STAGING_BYTES);
    closeSync(this.#fd);
  }
}
