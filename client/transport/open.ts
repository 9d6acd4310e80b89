/** The kinds of data endpoints that this client knows, and what opens each. Which of them a session takes is the link's to decide. */
import { openGrpc } from "./grpc.ts";
import { openTcp, openTls, openUnix } from "./socket.ts";
import type { OpenOptions, OpenTransport, Transport } from "./transport.ts";

const openers = {
  unix: openUnix,
  tcp: openTcp,
  tls: openTls,
  grpc: openGrpc,
} as const satisfies Record<string, OpenTransport>;

/** A kind of data endpoint that this client knows: the word before `://`. */
export type TransportKind = keyof typeof openers;

export const transportKinds = Object.keys(openers) as readonly TransportKind[];

const kindOf = (endpoint: string): string => endpoint.slice(0, endpoint.indexOf(":"));

const isKnown = (kind: string): kind is TransportKind => Object.hasOwn(openers, kind);

/** The endpoints of these kinds, in their order. Default: of all that this client knows. */
export const endpointsOf = (
  endpoints: readonly string[],
  kinds: readonly TransportKind[] = transportKinds,
): readonly string[] => endpoints.filter((endpoint) => kinds.some((kind) => kindOf(endpoint) === kind));

/** `tcp://:7461` means the host of the gRPC server. */
export function withHost(endpoint: string, host: string): string {
  return endpoint.replace(/^(\w+:\/\/):(\d+)$/, (_all, scheme: string, port: string) => `${scheme}${host}:${port}`);
}

/** Opens one endpoint of a kind that this client knows. Rejects as OpenTransport says. */
export function openTransport(options: OpenOptions): Promise<Transport> {
  const kind = kindOf(options.endpoint);
  if (!isKnown(kind)) throw new Error(`There is no transport for [${options.endpoint}].`);
  return openers[kind](options);
}
