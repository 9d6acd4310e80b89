/** Who is behind an HTTP request, as far as the request tells: its token and its address. What they mean is the gate's. */
import type { IncomingMessage } from "node:http";
import type { Shown } from "../access/browser-sessions.ts";

/** The token of `authorization: Bearer TOKEN`. */
const bearerOf = ({ headers }: IncomingMessage): string | undefined =>
  /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];

/** What a request shows, for the browsers' sessions. */
export const shownBy = (request: IncomingMessage): Shown => ({
  cookie: request.headers.cookie,
  bearer: bearerOf(request),
  address: peerOf(request),
});

/** HOST:PORT of the other side. */
export function peerOf({ socket }: IncomingMessage): string {
  const { remoteAddress = "", remotePort = 0 } = socket;
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
