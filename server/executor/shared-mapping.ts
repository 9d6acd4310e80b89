/** Files mapped into this process's memory, shared with whoever has them mapped too. */
import koffi from "../device/native.ts";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = (1n << 64n) - 1n;

type Libc = ReturnType<typeof load>;
let loaded: Libc | undefined;

function load() {
  const library = koffi.load(null);
  return {
    map: library.func("mmap", "uint64_t", ["uint64_t", "uint64_t", "int", "int", "int", "int64_t"]),
    unmap: library.func("munmap", "int", ["uint64_t", "uint64_t"]),
  };
}

/** Finds the system's functions, so that nobody has to wait for that later. */
export function prepareMappings(): void {
  loaded ??= load();
}

/** Address of the file's first bytes, to read and to write; undefined where there is no memory for it. The descriptor is not needed any more. */
export function mapShared(fd: number, byteCount: number): bigint | undefined {
  loaded ??= load();
  const address = BigInt(loaded.map(0, byteCount, PROT_READ_WRITE, MAP_SHARED, fd, 0));
  return address === MAP_FAILED ? undefined : address;
}

/** Nothing may use it any more. */
export function unmap(address: bigint, byteCount: number): void {
  loaded?.unmap(address, byteCount);
}
