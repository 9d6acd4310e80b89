/** Large copies in pieces: each is one call, so that calls of other streams can go between them. */
import { CALL_DATA_BYTES_MAX } from "../shared/limits.ts";
import type { Encode, Session } from "./session.ts";

/** Bytes that wait in this process before the next piece is taken. */
const WAITING_BYTES_MAX = CALL_DATA_BYTES_MAX;

/** A piece of a larger array. */
export interface Piece {
  /** In bytes from the start. */
  readonly at: number;
  readonly byteCount: number;
  /** The bytes where they lie. */
  readonly bytes: () => Uint8Array;
}

/** An array in pieces of CALL_DATA_BYTES_MAX, the last may be shorter. */
export function piecesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Piece[] {
  return Array.from({ length: Math.ceil(byteLength / CALL_DATA_BYTES_MAX) }, (_unused, index): Piece => {
    const at = index * CALL_DATA_BYTES_MAX;
    const byteCount = Math.min(CALL_DATA_BYTES_MAX, byteLength - at);
    return { at, byteCount, bytes: () => new Uint8Array(buffer, byteOffset + at, byteCount) };
  });
}

export interface PiecesToSend {
  readonly pieces: readonly Piece[];
  /** Where the array's first byte goes. */
  readonly address: number;
  readonly stream: number;
  readonly opcode: number;
  readonly encode: Encode<{ address: number; stream: number; data: Uint8Array }>;
  readonly signal?: AbortSignal | undefined;
  /** Throws when the destination is no longer the caller's. */
  readonly check: () => void;
}

/** Issues one copy per piece, the next when the system has taken the one before. Resolves when all bytes are taken. */
export async function sendPieces(session: Session, to: PiecesToSend): Promise<void> {
  for (const piece of to.pieces) {
    to.check();
    const fields = { address: to.address + piece.at, stream: to.stream, data: piece.bytes() };
    session.issueAlways(to.opcode, fields, to.encode);
    await new Promise(setImmediate);
    if (session.queuedBytes > WAITING_BYTES_MAX) await session.flush(to.signal);
  }
}
