/** The calls that use the tenant's cache: uploads whose bytes are kept, or need not travel; see proto/calls.ts. */
import { SluiceError } from "../../shared/errors.ts";
import type { CopyCachedAnswer, CopyCachedCall, CopyToDeviceKeptCall } from "../../shared/generated/calls.ts";
import { CACHED_PIECES_MAX, CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { HASH_BYTES } from "./content-cache.ts";
import { copyToDevice } from "./memory-calls.ts";
import type { Workspace } from "./workspace.ts";

/** Pieces that are read and hashed at once, while the one before them is written. */
const READ_AHEAD = 4;

export function copyToDeviceKept(work: Workspace, call: CopyToDeviceKeptCall): void | Promise<void> {
  const writing = copyToDevice(work, call);
  const keeping = call.data.byteLength > 0 ? work.cache?.keep(call.data) : undefined;
  if (writing === undefined || keeping === undefined) return writing ?? keeping;
  return Promise.all([writing, keeping]).then(() => {});
}

/** Piece by piece, each only once its bytes are proved: what the cache lacks is left as it is. */
export async function copyCached(work: Workspace, call: CopyCachedCall): Promise<CopyCachedAnswer> {
  const { address, byteCount } = call;
  // The frame is not this call's once others are read.
  const hashes = checkedHashes(call, byteCount, CACHED_PIECES_MAX);
  const slice = work.within(address, byteCount);
  const stream = work.stream(call.stream, slice);
  const held = new Uint8Array(hashes.length);
  const { cache } = work;
  if (cache === undefined) return { held };
  let written: Promise<void> = Promise.resolve();
  let next = 0;
  const readOn = async (): Promise<void> => {
    for (let index = next++; index < hashes.length; index = next++) {
      const start = index * CALL_DATA_BYTES_MAX;
      const piece = { hash: hashes[index]!, byteCount: Math.min(CALL_DATA_BYTES_MAX, byteCount - start) };
      const found = await cache.read(piece, async (bytes) => {
        // A device takes one call at a time.
        const turn = written.then(() => slice.device.write(address + start, bytes, stream));
        written = turn.catch(() => {});
        await turn;
      });
      if (found) held[index] = 1;
    }
  };
  await allSettled(Array.from({ length: READ_AHEAD }, readOn));
  return { held };
}

/** The hashes of the pieces of `byteCount` bytes, one each; throws BAD_ARGUMENT. */
export function checkedHashes({ hashes }: { hashes: Uint8Array }, byteCount: number, piecesMax: number): Uint8Array[] {
  const pieces = Math.ceil(byteCount / CALL_DATA_BYTES_MAX);
  if (pieces < 1 || pieces > piecesMax || hashes.byteLength !== pieces * HASH_BYTES) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `The [${hashes.byteLength}] bytes of hashes are not those of [${byteCount}] bytes in pieces of [${CALL_DATA_BYTES_MAX}], of which there may be [${piecesMax}].`,
    );
  }
  return Array.from({ length: pieces }, (_unused, index) => hashes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES));
}

/** Waits for all, also when one fails, so that nothing of them goes on behind the call's end. */
async function allSettled(running: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(running)).find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
