/**
 * Bytes on their way between this program and the device: in calls that carry them, or, on the server's own host, in the session's staging
 * file with calls that name them there. Knows addresses and streams, no buffers.
 */
import { SluiceError } from "../shared/errors.ts";
import {
  decodeCopyFromDeviceAnswer,
  encodeCopyFromDeviceCall,
  encodeCopyFromDeviceStagedCall,
  encodeCopyToDeviceCall,
  encodeCopyToDeviceStagedCall,
  Opcode,
} from "../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../shared/limits.ts";
import { orAborted } from "./abort.ts";
import { type Decode, decodeNothing } from "./pending-answers.ts";
import { isPlace } from "./placed-answer.ts";
import type { Session } from "./session.ts";
import type { Staging } from "./staging.ts";

/** What a piece takes over the connection, about. A server that is busy with something else is waited for no longer than that would take. */
const PIECE_MS = 0.4;

/** Where bytes go, or come from. */
export interface DevicePlace {
  readonly address: number;
  /** Handle of the stream; 0 is the default stream. */
  readonly stream: number;
}

/** Issues a whole copy to the device. The bytes are taken when this returns. @throws SluiceError as `session.issue` does */
export function issueCopy(session: Session, { address, stream }: DevicePlace, data: ArrayBufferView): void {
  const { byteLength } = data;
  const staging = session.stagingFor(byteLength);
  const patientUntil = performance.now() + (PIECE_MS * byteLength) / CALL_DATA_BYTES_MAX;
  for (let at = 0; at < byteLength; at += CALL_DATA_BYTES_MAX) {
    const piece = new Uint8Array(data.buffer, data.byteOffset + at, Math.min(CALL_DATA_BYTES_MAX, byteLength - at));
    const place = { address: address + at, stream };
    issuePiece(session, place, { data: piece, isFirst: at === 0, staging, patientUntil });
  }
}

/** Issues one piece of a copy to the device. Once the first has found room the copy is complete or the session is over: never half of it. */
export function issuePiece(
  session: Session,
  { address, stream }: DevicePlace,
  piece: {
    readonly data: Uint8Array;
    readonly isFirst: boolean;
    /** As for the whole copy. */
    readonly staging: Staging | undefined;
    /** When to stop waiting for room in the staging file, as `performance.now()` tells it; 0 is at once. */
    readonly patientUntil: number;
  },
): void {
  const { data, isFirst, staging, patientUntil } = piece;
  const issue: Session["issue"] = (...call) => (isFirst ? session.issue(...call) : session.issueAlways(...call));
  const { byteLength } = data;
  const part = staging?.takePatiently(patientUntil);
  if (staging === undefined || part === undefined) {
    issue(Opcode.copyToDevice, { address, stream, data }, encodeCopyToDeviceCall);
    return;
  }
  try {
    staging.write(part, data);
    const fields = { address, stream, offset: part.offset, byteCount: byteLength };
    issue(Opcode.copyToDeviceStaged, fields, encodeCopyToDeviceStagedCall);
  } catch (error) {
    staging.release(part);
    throw error;
  }
  staging.sent(part, session.calls);
  // The server begins while the next piece is written.
  session.send();
}

/** Asks for one piece of a copy from the device. Rejects with BAD_ARGUMENT when `into` is not there any more as the bytes come. */
export function requestPiece(
  session: Session,
  place: DevicePlace,
  piece: {
    readonly into: Uint8Array;
    /** As for the whole copy. */
    readonly staging: Staging | undefined;
    readonly signal: AbortSignal | undefined;
    /** Told when the bytes are there. */
    readonly onArrived?: () => void;
  },
): Promise<void> {
  const { into, staging, signal, onArrived } = piece;
  const { address, stream } = place;
  const { byteLength } = into;
  const part = staging?.take();
  if (staging === undefined || part === undefined) {
    const fields = { address, stream, byteCount: byteLength };
    const decode = decodeInto(into, onArrived);
    const call = { fields, encode: encodeCopyFromDeviceCall, decode, into: isPlace(into) ? into : undefined };
    return session.request(Opcode.copyFromDevice, call, signal);
  }
  const answered = session.request(Opcode.copyFromDeviceStaged, {
    fields: { address, stream, offset: part.offset, byteCount: byteLength },
    encode: encodeCopyFromDeviceStagedCall,
    decode: (buffer, start, end) => {
      decodeNothing(buffer, start, end);
      if (into.byteLength !== byteLength) return takenAway();
      staging.read(part, into);
      return onArrived?.();
    },
  });
  const release = (): void => staging.release(part);
  // Whoever gives up waiting leaves the part to the server until it has answered.
  answered.then(release, release);
  return orAborted(answered, signal);
}

function decodeInto(into: Uint8Array, onArrived: (() => void) | undefined): Decode<void> {
  const { byteLength } = into;
  return (buffer, start, end, placed) => {
    if (placed === into) return into.byteLength === byteLength ? onArrived?.() : takenAway();
    const { data } = decodeCopyFromDeviceAnswer(buffer, start, end);
    if (data.byteLength !== byteLength) {
      throw new SluiceError(
        "PROTOCOL_ERROR",
        `The server answers a read of [${byteLength}] bytes with [${data.byteLength}].`,
      );
    }
    if (into.byteLength !== byteLength) return takenAway();
    into.set(data);
    return onArrived?.();
  };
}

/** An array that is transferred to another thread meanwhile is the caller's mistake, and no reason to end the session. */
const takenAway = (): Promise<never> =>
  Promise.reject(
    new SluiceError(
      "BAD_ARGUMENT",
      "The array that is read into is transferred, or made smaller, before the bytes come.",
    ),
  );
