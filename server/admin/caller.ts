/** Who is behind an HTTP request, as far as the request tells: its token and its address. What they mean is the gate's. */
import type { IncomingMessage } from "node:http";

/** The token of `authorization: Bearer TOKEN`. */
export const bearerOf = ({ headers }: IncomingMessage): string | undefined =>
  /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];

/** HOST:PORT of the other side. */
export function peerOf({ socket }: IncomingMessage): string {
  const { remoteAddress = "", remotePort = 0 } = socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
