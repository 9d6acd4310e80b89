/**
 * Copies to the device whose data is read from the connection straight into the device's memory, or where it fetches it: a large copy that is alone in its frame, so that
 * its header says all that there is to check. The frame counts when it is whole, like any other; what it has brought before lies in memory
 * whose content is undefined until then, as that of any copy that is under way.
 */
import { type CopyToDeviceCall, FrameKind, Opcode } from "../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import {
  type BegunFrame,
  CALL_HEADER_BYTES,
  type CallView,
  FRAME_HEADER_BYTES,
  type Frame,
} from "../../shared/wire/frame.ts";
import type { WireBuffer } from "../../shared/wire/wire-buffer.ts";
import type { Workspace } from "./workspace.ts";

/** Below this, reading the head and the data one after the other costs more than copying the data once. */
const PLACED_BYTES_MIN = 64 * 1024;

/** The fixed part of `copyToDevice`: address, stream, byte count. */
const FIXED_BYTES = 16;

/** Bytes of the frame's payload before the data. */
export const PLACED_HEAD_BYTES = CALL_HEADER_BYTES + FIXED_BYTES;

interface Head {
  readonly address: number;
  readonly stream: number;
  readonly dataBytes: number;
}

function headAt(buffer: WireBuffer, start: number): Head {
  const at = start + CALL_HEADER_BYTES;
  const { u32 } = buffer;
  return { address: buffer.readU64(at), stream: u32[(at >> 2) + 2]!, dataBytes: u32[(at >> 2) + 3]! };
}

/** Where the data of this frame may be read to; undefined when it is not such a copy, or one that is going to fail. */
export function placeFor(work: Workspace, frame: BegunFrame): Uint8Array | undefined {
  const { byteCount, buffer, start, payloadBytes } = frame;
  if (byteCount < PLACED_BYTES_MIN || payloadBytes < PLACED_HEAD_BYTES) return undefined;
  if (frame.kind !== FrameKind.CALLS || frame.count !== 1 || buffer.u32[start >> 2] !== Opcode.copyToDevice)
    return undefined;
  const callBytes = buffer.u32[(start >> 2) + 1]!;
  const { address, stream, dataBytes } = headAt(buffer, start);
  const isWhole =
    dataBytes <= CALL_DATA_BYTES_MAX &&
    dataBytes % 8 === 0 &&
    callBytes === PLACED_HEAD_BYTES + dataBytes &&
    byteCount === FRAME_HEADER_BYTES + callBytes;
  if (!isWhole) return undefined;
  try {
    const slice = work.within(address, dataBytes);
    work.stream(stream, slice);
    return slice.device.place?.(address, dataBytes);
  } catch {
    // The call itself tells, once it is here.
    return undefined;
  }
}

/** The call of a frame whose data was read to where it goes. */
export function placedCopy({ buffer, start }: Frame, data: Uint8Array): { call: CallView; fields: CopyToDeviceCall } {
  const { address, stream } = headAt(buffer, start);
  const end = start + PLACED_HEAD_BYTES + data.byteLength;
  return {
    call: { opcode: Opcode.copyToDevice, start: start + CALL_HEADER_BYTES, end },
    fields: { address, stream, data: data as Uint8Array<ArrayBuffer> },
  };
}
