/** The last words on a connection: why it is refused. Used before and after a connection has proved its lease. */
import type { Socket } from "node:net";
import { errorTable, type SluiceError } from "../../shared/errors.ts";
import { encodeRefusal, FrameKind } from "../../shared/generated/calls.ts";
import { messageFrame } from "../../shared/wire/frame.ts";

/** How long the peer may take to read the refusal. */
const LINGER_MS = 2_000;

/**
 * Sends a REFUSAL and ends the connection. What the peer still sends is read and thrown away for a while: closing a
 * socket with unread bytes resets it, and the refusal would be lost.
 */
export function refuse(socket: Socket, error: SluiceError): void {
  if (socket.destroyed) return;
  const refusal = { code: errorTable[error.code].wire, message: error.message };
  closeAfter(socket, messageFrame(FrameKind.REFUSAL, refusal, encodeRefusal));
}

/** Sends a last frame and closes, giving the peer time to read it. */
export function closeAfter(socket: Socket, lastFrame: Uint8Array): void {
  socket.removeAllListeners("data");
  socket.on("data", () => {
    // Read only so that the close is not a reset.
  });
  socket.resume();
  socket.end(lastFrame);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}
