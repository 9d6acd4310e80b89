/** Messages as lines of JSON over a stream: the form of everything that daemon and executors say to each other. Knows no message. */
import type { Socket } from "node:net";

/** A session's message holds what a client sent behind HELLO, as base64: at most one read of a socket. */
const LINE_BYTES_MAX = 1024 * 1024;

const NEWLINE = 0x0a;

/** Sends a message; what cannot be sent any more is told by the stream's close. */
export function writeMessage(stream: Socket, message: object): void {
  if (stream.writable) stream.write(`${JSON.stringify(message)}\n`);
}

/** Calls `receive` with every message that comes, in order. A peer that breaks the form loses its stream. */
export function readMessages(stream: Socket, receive: (message: unknown) => void): void {
  let rest: Buffer[] = [];
  let restBytes = 0;
  stream.on("data", (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...rest, chunk.subarray(start, end)]).toString("utf8");
      rest = [];
      restBytes = 0;
      start = end + 1;
      const message = parsed(line);
      if (message === undefined) {
        stream.destroy();
        return;
      }
      receive(message);
    }
    if (start < chunk.byteLength) rest.push(chunk.subarray(start));
    restBytes += chunk.byteLength - start;
    if (restBytes > LINE_BYTES_MAX) stream.destroy();
  });
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
