/** Memory for what is read from devices: a block belongs to its answer until the client has it, and is then used again. */
import { ANSWER_BACKLOG_BYTES_MAX, CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { MemoryPool } from "../../shared/wire/memory-pool.ts";

const pool = new MemoryPool({ blockBytes: CALL_DATA_BYTES_MAX, keptBytesMax: ANSWER_BACKLOG_BYTES_MAX });
const own = new WeakSet<ArrayBufferLike>();

/** Memory of this size, at most CALL_DATA_BYTES_MAX. */
export function takeBlock(byteCount: number): Uint8Array<ArrayBuffer> {
  const block = pool.take();
  own.add(block.buffer);
  return block.subarray(0, byteCount);
}

/** Whether memory is a block, which nobody writes to while it is in use. */
export const isBlock = ({ buffer }: Uint8Array): boolean => own.has(buffer);

/** Gives memory back to which nothing refers any more; what is from elsewhere is left alone. */
export function giveBlock(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && own.has(buffer)) pool.give(new Uint8Array(buffer));
}
