/** How much of some memory of this process the system has real pages for. */
import { closeSync, openSync, readSync } from "node:fs";
import koffi from "../../server/device/native.ts";

const PAGE_BYTES = 4096;

export function residentBytes(bytes: Uint8Array): number {
  const first = Number(koffi.address(bytes) / BigInt(PAGE_BYTES));
  const count = Math.floor(bytes.byteLength / PAGE_BYTES);
  const entries = new BigUint64Array(count);
  const fd = openSync("/proc/self/pagemap", "r");
  try {
    readSync(fd, entries, 0, entries.byteLength, first * 8);
  } finally {
    closeSync(fd);
  }
  // The highest bit says that the page is there.
  return entries.reduce((sum, entry) => sum + (entry >> 63n === 1n ? PAGE_BYTES : 0), 0);
}
