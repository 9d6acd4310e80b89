/**
 * Answers whose data is read from the connection straight into the caller's memory: large ones that are alone in their frame, so that its header
 * says all that there is to check (proto/README.md, "Answers"). They count when they are whole, like any other.
 */
import { FrameKind } from "../shared/generated/calls.ts";
import {
  ANSWER_HEADER_BYTES,
  type AnswerView,
  type BegunFrame,
  FRAME_HEADER_BYTES,
  type Frame,
} from "../shared/wire/frame.ts";

/** Below this, reading the head and the data one after the other costs more than copying the data once. */
export const PLACED_BYTES_MIN = 64 * 1024;

/** The fixed part of an answer with data: byte count and padding. */
const FIXED_BYTES = 8;

/** Bytes of the frame's payload before the data. */
export const PLACED_HEAD_BYTES = ANSWER_HEADER_BYTES + FIXED_BYTES;

/** What such a frame says of itself; undefined when it is another, or one that fails. */
export function headOf(frame: BegunFrame): { readonly sequence: number; readonly dataBytes: number } | undefined {
  const { kind, count, byteCount, buffer, start, payloadBytes } = frame;
  if (kind !== FrameKind.ANSWERS || count !== 1 || payloadBytes < PLACED_HEAD_BYTES) return undefined;
  const word = start >> 2;
  const { u32 } = buffer;
  const dataBytes = u32[word + 4]!;
  const isWhole =
    dataBytes % 8 === 0 &&
    u32[word] === PLACED_HEAD_BYTES + dataBytes &&
    byteCount === FRAME_HEADER_BYTES + PLACED_HEAD_BYTES + dataBytes;
  const isGood = u32[word + 1] === 0;
  return isWhole && isGood ? { sequence: u32[word + 2]!, dataBytes } : undefined;
}

/** The answer of a frame whose data was read to its place. */
export function placedAnswer({ buffer, start, end }: Frame): AnswerView {
  return { sequence: buffer.u32[(start >> 2) + 2]!, status: 0, start: start + ANSWER_HEADER_BYTES, end };
}

/**
 * Whether data may be read into this memory as it comes. What is shared, or may change its size, is written to once the data is whole; small
 * data is copied.
 */
export function isPlace({ buffer, byteLength }: Uint8Array): boolean {
  if (byteLength < PLACED_BYTES_MIN || !(buffer instanceof ArrayBuffer)) return false;
  return (buffer as { readonly resizable?: boolean }).resizable !== true;
}
