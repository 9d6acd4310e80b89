/**
 * Large copies in pieces: each is one call, issued when the system has taken the one before, so that calls of other streams go between them and
 * little of the copy waits in this process. What must stay behind a copy finds it complete: then the pieces that are left go first, at once.
 */
import { SluiceError, toSluiceError } from "../shared/errors.ts";
import { Opcode } from "../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX, CLIENT_BACKLOG_BYTES_MAX } from "../shared/limits.ts";
import { cancelled } from "./abort.ts";
import type { DevicePlace } from "./copies.ts";
import type { Session } from "./session.ts";

/** Bytes that wait to be sent before the next piece is taken. */
const WAITING_BYTES_MAX = CALL_DATA_BYTES_MAX;

/** The same with what is not acknowledged: a copy leaves half of the room to the calls of others. */
const HELD_BYTES_MAX = CLIENT_BACKLOG_BYTES_MAX / 2;

/** Pieces of one copy from the device that are asked for at once: enough to keep a link busy, few enough that other answers come soon. */
const RECEIVING_PIECES_MAX = 4;

/** The same where no other answer could come between them: nearly what the staging file holds. */
const RECEIVING_ALONE_PIECES_MAX = 7;

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

/** Where a copy runs, which decides what may overtake it. */
export interface CopyPlace {
  /** Address of the buffer, and where in it the array's first byte is. */
  readonly buffer: number;
  readonly offset: number;
  /** Handle of the stream; 0 is the default stream. */
  readonly stream: number;
  /** Whether the stream waits for the default stream, and the other way round. */
  readonly waitsForDefault: boolean;
  /** Whether calls of other streams may. Default: they may. */
  readonly mayBeOvertaken?: boolean;
}

export interface CopyInPieces extends CopyPlace {
  readonly pieces: readonly Piece[];
  readonly signal?: AbortSignal | undefined;
}

interface Steps {
  /** Issues one piece; what it throws ends the copy. */
  readonly issue: (piece: Piece, isFirst: boolean) => void;
  /** Resolves when there is room for the next; undefined when there is. */
  readonly room: () => Promise<unknown> | undefined;
}

/**
 * Issues a copy to the device, one call per piece; the first before it returns, which gives the copy its place in its stream. Resolves when all
 * bytes are taken. Rejects with BAD_ARGUMENT when the array is taken away meanwhile, or why the session is over.
 */
export async function sendPieces(
  session: Session,
  to: CopyInPieces & { readonly issue: (place: DevicePlace, data: Uint8Array, isFirst: boolean) => void },
): Promise<void> {
  const { issue, buffer, offset, stream } = to;
  await runCopy(session, to, {
    issue: (piece, isFirst) => issue({ address: buffer + offset + piece.at, stream }, bytesOf(piece), isFirst),
    room: () => {
      const isFull = session.queuedBytes > WAITING_BYTES_MAX || session.heldBytes > HELD_BYTES_MAX;
      return isFull ? session.flush(to.signal) : undefined;
    },
  });
}

/** Issues a copy from the device, one answered call per piece, a few at once; resolves when all have come. `request` asks for one. */
export async function receivePieces(
  session: Session,
  from: CopyInPieces & { readonly request: (piece: Piece) => Promise<void> },
): Promise<void> {
  const most = from.mayBeOvertaken === false ? RECEIVING_ALONE_PIECES_MAX : RECEIVING_PIECES_MAX;
  const underWay = new Set<Promise<void>>();
  const all: Promise<void>[] = [];
  await runCopy(session, from, {
    issue: (piece) => {
      const asked = from.request(piece).finally(() => underWay.delete(asked));
      // It is heard below, or as the next to be waited for.
      asked.catch(() => {});
      underWay.add(asked);
      all.push(asked);
    },
    room: () => (underWay.size < most ? undefined : Promise.race(underWay)),
  });
  await Promise.all(all);
}

async function runCopy(session: Session, place: CopyInPieces, steps: Steps): Promise<void> {
  if (place.signal?.aborted) throw cancelled(place.signal);
  const copy = new RunningCopy(place, steps);
  session.copies.add(copy);
  try {
    copy.issueNext();
    while (!copy.isOver) {
      if (place.mayBeOvertaken !== false) await new Promise(setImmediate);
      await roomFor(copy, steps);
      copy.issueNext();
    }
  } finally {
    session.copies.remove(copy);
  }
  if (copy.failure !== undefined) throw copy.failure;
}

/** The end of the session, or a piece that failed, is no news of a copy that was completed meanwhile: it is told where that is waited for. */
async function roomFor(copy: RunningCopy, { room }: Steps): Promise<void> {
  try {
    await room();
  } catch (error) {
    if (!copy.isOver) throw error;
  }
}

class RunningCopy {
  readonly place: CopyInPieces;
  readonly #issue: Steps["issue"];
  #next = 0;
  failure: SluiceError | undefined;
  /** One of its own pieces is being issued. */
  isIssuing = false;

  constructor(place: CopyInPieces, { issue }: Steps) {
    this.place = place;
    this.#issue = issue;
  }

  get isOver(): boolean {
    return this.failure !== undefined || this.#next >= this.place.pieces.length;
  }

  /** Never throws: it may be another's call that waits for it. */
  issueNext(): void {
    if (this.isOver) return;
    const isFirst = this.#next === 0;
    const piece = this.place.pieces[this.#next++]!;
    this.isIssuing = true;
    try {
      this.#issue(piece, isFirst);
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
export function bytesOf(piece: Piece): Uint8Array {
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
  Opcode.copyToDeviceStaged,
  Opcode.copyToDeviceKept,
  Opcode.copyCached,
  Opcode.copyFromDevice,
  Opcode.copyFromDeviceStaged,
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
  Opcode.heap,
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
    for (const copy of this.#running) if (!copy.isIssuing && !mayOvertake(copy.place, opcode, fields)) copy.finish();
  }

  /** Completes all. */
  finish(): void {
    for (const copy of this.#running) copy.finish();
  }
}

/** Calls that change nothing that a copy from the device could see. */
const reading: ReadonlySet<number> = new Set([Opcode.copyFromDevice, Opcode.copyFromDeviceStaged]);

/**
 * A call in another stream may overtake, unless the two are ordered through the default stream. What ends the buffer, and what waits for the
 * whole device or is not known here, may not.
 */
function mayOvertake(
  { stream, buffer, waitsForDefault, mayBeOvertaken = true }: CopyPlace,
  opcode: number,
  fields: unknown,
): boolean {
  if (independent.has(opcode)) return true;
  if (!mayBeOvertaken) return reading.has(opcode);
  const call = fields as { readonly stream?: number; readonly address?: number };
  if (opcode === Opcode.free) return call.address !== buffer;
  if (!inStream.has(opcode) || stream === 0 || call.stream === stream) return false;
  return call.stream !== 0 || !waitsForDefault;
}
