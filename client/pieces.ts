/**
 * Large copies in pieces: each is one call, issued when the system has taken the one before, so that calls of other streams go between them and
 * little of the copy waits in this process. What must stay behind a copy finds it complete: then the pieces that are left go first, at once.
 */
import { SluiceError, toSluiceError } from "../shared/errors.ts";
import { Opcode } from "../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX, CLIENT_BACKLOG_BYTES_MAX } from "../shared/limits.ts";
import { cancelled } from "./abort.ts";
import type { Encode, Session } from "./session.ts";

/** Bytes that wait to be sent before the next piece is taken. */
const WAITING_BYTES_MAX = CALL_DATA_BYTES_MAX;

/** The same with what is not acknowledged: a copy leaves half of the room to the calls of others. */
const HELD_BYTES_MAX = CLIENT_BACKLOG_BYTES_MAX / 2;

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
  /** The buffer that is written, and where in it the array's first byte goes. */
  readonly buffer: number;
  readonly offset: number;
  /** Handle of the stream; 0 is the default stream. */
  readonly stream: number;
  /** Whether the stream waits for the default stream, and the other way round. */
  readonly waitsForDefault: boolean;
  readonly opcode: number;
  readonly encode: Encode<{ address: number; stream: number; data: Uint8Array }>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Issues one copy per piece; the first before it returns, which gives the copy its place in its stream. Resolves when all bytes are taken.
 * Rejects with BAD_ARGUMENT when the array is taken away meanwhile, or why the session is over.
 */
export async function sendPieces(session: Session, to: PiecesToSend): Promise<void> {
  if (to.signal?.aborted) throw cancelled(to.signal);
  const copy = new RunningCopy(session, to);
  session.copies.add(copy);
  try {
    copy.issueNext();
    while (!copy.isOver) {
      await new Promise(setImmediate);
      const isFull = session.queuedBytes > WAITING_BYTES_MAX || session.heldBytes > HELD_BYTES_MAX;
      if (isFull) await roomFor(session, copy);
      copy.issueNext();
    }
  } finally {
    session.copies.remove(copy);
  }
  if (copy.failure !== undefined) throw copy.failure;
}

/** Waits until the system has what was issued; the end of the session is no failure of a copy that was completed meanwhile. */
async function roomFor(session: Session, copy: RunningCopy): Promise<void> {
  try {
    await session.flush(copy.to.signal);
  } catch (error) {
    if (!copy.isOver) throw error;
  }
}

class RunningCopy {
  readonly to: PiecesToSend;
  readonly #session: Session;
  #next = 0;
  failure: SluiceError | undefined;
  /** One of its own pieces is being issued. */
  isIssuing = false;

  constructor(session: Session, to: PiecesToSend) {
    this.#session = session;
    this.to = to;
  }

  get isOver(): boolean {
    return this.failure !== undefined || this.#next >= this.to.pieces.length;
  }

  /** Never throws: it may be another's call that waits for it. */
  issueNext(): void {
    if (this.isOver) return;
    const { to } = this;
    const isFirst = this.#next === 0;
    const piece = to.pieces[this.#next++]!;
    this.isIssuing = true;
    try {
      const fields = { address: to.buffer + to.offset + piece.at, stream: to.stream, data: bytesOf(piece) };
      if (isFirst) this.#session.issue(to.opcode, fields, to.encode);
      else this.#session.issueAlways(to.opcode, fields, to.encode);
    } catch (error) {
      this.failure = toSluiceError(error);
    }
    this.isIssuing = false;
  }

  finish(): void {
    while (!this.isOver) this.issueNext();
  }
}

/** An array that was transferred to another thread, or made smaller, has no such bytes any more. */
function bytesOf(piece: Piece): Uint8Array {
  try {
    return piece.bytes();
  } catch (cause) {
    const message = `The array that is copied has no [${piece.byteCount}] bytes at [${piece.at}] any more.`;
    throw new SluiceError("BAD_ARGUMENT", message, { cause });
  }
}

/** Calls in a stream, which their fields name. */
const inStream: ReadonlySet<number> = new Set([
  Opcode.launch,
  Opcode.multiply,
  Opcode.copyToDevice,
  Opcode.copyToDeviceKept,
  Opcode.copyCached,
  Opcode.copyFromDevice,
  Opcode.copyOnDevice,
  Opcode.fill,
  Opcode.eventRecord,
  Opcode.streamWaitEvent,
  Opcode.streamSynchronize,
  Opcode.streamQuery,
  Opcode.streamDestroy,
]);

/** Calls for which no copy's progress means anything: an event that a copy could hold up is recorded in its stream, behind it. */
const independent: ReadonlySet<number> = new Set([
  Opcode.allocate,
  Opcode.streamCreate,
  Opcode.eventCreate,
  Opcode.eventDestroy,
  Opcode.eventSynchronize,
  Opcode.eventQuery,
  Opcode.eventElapsed,
  Opcode.imageWrite,
  Opcode.moduleLoad,
  Opcode.moduleLoadCached,
  Opcode.compile,
  Opcode.memoryInfo,
  Opcode.recordingCreate,
  Opcode.recordingDestroy,
]);

/** The copies of a session whose later pieces are not issued yet, and the rule of what may overtake them. */
export class RunningCopies {
  readonly #running = new Set<RunningCopy>();

  get count(): number {
    return this.#running.size;
  }

  add(copy: RunningCopy): void {
    this.#running.add(copy);
  }

  remove(copy: RunningCopy): void {
    this.#running.delete(copy);
  }

  /** Completes the copies that a call must stay behind. */
  before(opcode: number, fields: unknown): void {
    for (const copy of this.#running) if (!copy.isIssuing && !mayOvertake(copy.to, opcode, fields)) copy.finish();
  }

  /** Completes all. */
  finish(): void {
    for (const copy of this.#running) copy.finish();
  }
}

/**
 * A call in another stream may overtake, unless the two are ordered through the default stream. What ends the buffer, and what waits for the
 * whole device or is not known here, may not.
 */
function mayOvertake({ stream, buffer, waitsForDefault }: PiecesToSend, opcode: number, fields: unknown): boolean {
  if (independent.has(opcode)) return true;
  const call = fields as { readonly stream?: number; readonly address?: number };
  if (opcode === Opcode.free) return call.address !== buffer;
  if (!inStream.has(opcode) || stream === 0 || call.stream === stream) return false;
  return call.stream !== 0 || !waitsForDefault;
}
