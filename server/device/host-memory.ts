/** The memory of devices that have the host's: how it goes back to the system while its addresses stay. */
import { SluiceError } from "../../shared/errors.ts";
import koffi from "./native.ts";

/** No system has larger ones, huge pages aside, which are split. */
const PAGE_BYTES = 65_536n;
const MADV_DONTNEED = 4;

type Native = ReturnType<ReturnType<typeof koffi.load>["func"]>;
let madvise: Native | undefined;
/** Undefined before it was looked for, null where this system's C library has none. */
let trim: Native | null | undefined;

/** Gives back what this process has freed and keeps for the next time. */
export function giveBackFreed(): void {
  if (trim === undefined) {
    try {
      trim = koffi.load(null).func("malloc_trim", "int", ["size_t"]);
    } catch {
      trim = null;
    }
  }
  trim?.(0);
}

/**
 * Gives the memory's pages back to the system: it reads as zero from then on, and takes pages again where it is written. Only for memory of this
 * process alone that no file stands behind, as that of buffers and of WebAssembly is.
 * @throws SluiceError UNSUPPORTED where the system keeps it; it then holds what it held
 */
export function giveBackPages(bytes: Uint8Array): void {
  if (bytes.byteLength === 0) return;
  const start = koffi.address(bytes);
  const end = start + BigInt(bytes.byteLength);
  const from = ((start + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES;
  const to = (end / PAGE_BYTES) * PAGE_BYTES;
  if (from >= to) {
    bytes.fill(0);
    return;
  }
  madvise ??= koffi.load(null).func("madvise", "int", ["uint64_t", "uint64_t", "int"]);
  if (madvise(from, to - from, MADV_DONTNEED) !== 0)
    throw new SluiceError(
      "UNSUPPORTED",
      `The system keeps [${bytes.byteLength}] bytes of a slice that is to be given back.`,
    );
  // What shares a page with other memory stays.
  bytes.fill(0, 0, Number(from - start));
  bytes.fill(0, Number(to - start));
}
