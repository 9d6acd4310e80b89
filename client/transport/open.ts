/** Chooses a transport: the first of a lease's data endpoints, best first, that this client knows and can reach. */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import { openTcp, openUnix } from "./socket.ts";
import type { OpenTransport, Transport, TransportHandlers } from "./transport.ts";

const openers = { unix: openUnix, tcp: openTcp } as const satisfies Record<string, OpenTransport>;

/** A kind of data endpoint that this client knows: the word before `://`. */
export type TransportKind = keyof typeof openers;

const kindOf = (endpoint: string): string => endpoint.slice(0, endpoint.indexOf(":"));

const isKnown = (kind: string): kind is TransportKind => Object.hasOwn(openers, kind);

/** The endpoints of these kinds. Default: all. */
export const endpointsOf = (endpoints: readonly string[], kinds?: readonly TransportKind[]): readonly string[] =>
  kinds === undefined ? endpoints : endpoints.filter((endpoint) => kinds.some((kind) => kindOf(endpoint) === kind));

/** `tcp://:7461` means the host of the gRPC server. */
export function withHost(endpoint: string, host: string): string {
  return endpoint.replace(/^(\w+:\/\/):(\d+)$/, (_all, scheme: string, port: string) => `${scheme}${host}:${port}`);
}

export async function openTransport(options: {
  readonly endpoints: readonly string[];
  /** Host of the gRPC server, as it stands in an address (an IPv6 one in brackets). */
  readonly host: string;
  readonly handlers: TransportHandlers;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}): Promise<Transport> {
  const { handlers, timeoutMs, signal } = options;
  let failure: SluiceError | undefined;
  for (const endpoint of options.endpoints) {
    const kind = kindOf(endpoint);
    if (!isKnown(kind)) continue;
    try {
      return await openers[kind]({ endpoint: withHost(endpoint, options.host), handlers, timeoutMs, signal });
    } catch (error) {
      failure ??= toSluiceError(error);
      if (failure.code === "CANCELLED") break;
    }
  }
  if (failure !== undefined) throw failure;
  throw new SluiceError(
    "UNSUPPORTED",
    `The server offers the data endpoints [${options.endpoints.join(", ")}], and this client speaks [${Object.keys(openers).join(", ")}].`,
  );
}
