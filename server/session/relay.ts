/** One direction of a connection that ends in the daemon and is carried on to an executor: bytes, and their end, bounded by the slower of the two. */
import type { Duplex } from "node:stream";

/** Bytes that wait for a slow end of a connection that is carried on, beyond which the other end is not read. */
export const WAITING_BYTES_MAX = 1024 * 1024;

/** What a record of TLS holds at most: behind a full one more is likely to follow at once. */
const RECORD_BYTES = 16 * 1024;

/**
 * Carries on what comes. Unlike `pipe`, which stops the reading for every record, since each alone is as much as a stream lets wait, and writes each
 * alone, which wakes an executor for it.
 */
export function relay(from: Duplex, to: Duplex): void {
  let isCorked = false;
  from.on("data", (data: Buffer) => {
    if (data.length >= RECORD_BYTES && !isCorked) {
      isCorked = true;
      to.cork();
      setImmediate(() => {
        isCorked = false;
        to.uncork();
      });
    }
    if (to.write(data) || to.writableLength < WAITING_BYTES_MAX) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
  from.once("end", () => to.end());
}
