/**
 * A file of another process on this host as memory of this one, through libc, since Node maps no files. Only files that cannot shrink: reading
 * behind the end of a mapped file would end the program.
 */
import { closeSync, fstatSync, openSync, readlinkSync } from "node:fs";
import { createRequire } from "node:module";

const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = (1n << 64n) - 1n;

export interface MappedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Nothing may use the bytes any more. */
  unmap(): void;
}

type Libc = ReturnType<typeof load>;
let loaded: Libc | undefined;

/** Most programs never need it, and it takes milliseconds. */
function load() {
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  const library = koffi.load(null);
  return {
    control: library.func("int fcntl(int fd, int command, ...)"),
    map: library.func("mmap", "uint64_t", ["uint64_t", "uint64_t", "int", "int", "int", "int64_t"]),
    unmap: library.func("munmap", "int", ["uint64_t", "uint64_t"]),
    view: (address: bigint, byteCount: number) => new Uint8Array(koffi.view(address, byteCount)),
  };
}

/** Undefined where the link at `path` does not say `name`, or the file is not for this process. */
export function mapFile(file: {
  readonly path: string;
  readonly name: string;
  readonly byteCount: number;
}): MappedFile | undefined {
  const { path, name, byteCount } = file;
  let fd = -1;
  try {
    // The same path may be something else on this host.
    if (readlinkSync(path) !== name) return undefined;
    fd = openSync(path, "r+");
    loaded ??= load();
    const { control, map, unmap, view } = loaded;
    const seals = Number(control(fd, F_GET_SEALS));
    if (seals < 0 || (seals & F_SEAL_SHRINK) === 0 || fstatSync(fd).size < byteCount) return undefined;
    const address = BigInt(map(0, byteCount, PROT_READ_WRITE, MAP_SHARED, fd, 0));
    if (address === MAP_FAILED) return undefined;
    return { bytes: view(address, byteCount), unmap: () => void unmap(address, byteCount) };
  } catch {
    // Another user's, or this system has no such files.
    return undefined;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
