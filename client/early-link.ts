/**
 * The data connection of a lease that is only asked for: it is made while the server decides, so that a grant need not wait for it. Nothing
 * is proved over it before there is a grant. It is dropped as soon as the request has to wait, so that no server holds connections for a queue.
 */
import type { AllocateRequest } from "../proto/generated/sluice/v1/AllocateRequest.ts";
import type { Granted__Output as Granted } from "../proto/generated/sluice/v1/Granted.ts";
import type { SluiceError } from "../shared/errors.ts";
import { bracketed } from "./address.ts";
import type { Control, QueuePlace } from "./control.ts";
import { Link } from "./link.ts";
import { withHost } from "./transport/open.ts";
import type { ServerLink } from "./transport/transport.ts";

/** A server that says nothing for so long is tried in the ordinary way, which is more patient. */
const TIMEOUT_MS = 1_000;

export class EarlyLink {
  readonly #over = new AbortController();
  #link: Promise<Link | undefined>;

  constructor(control: Control, endpoints: readonly string[]) {
    const { server, tls } = control;
    const host = bracketed(server.host);
    // A stream of gRPC costs as much as the request itself.
    const known = endpoints.filter((each) => each !== "grpc://").map((each) => withHost(each, host));
    this.#link = this.#dial(known, { tls, submit: () => control.submit() });
  }

  /** The connection, if it is to one of these endpoints (in full) and still there. From then on it is the caller's to close. */
  async take(endpoints: readonly string[]): Promise<Link | undefined> {
    const link = await this.#link;
    this.#link = Promise.resolve(undefined);
    if (link === undefined || this.#over.signal.aborted || link.isOver) return undefined;
    if (endpoints.includes(link.transport.endpoint)) return link;
    link.destroy();
    return undefined;
  }

  /** Closes what nobody took. Idempotent. */
  drop(): void {
    this.#over.abort();
    void this.#link.then((link) => link?.destroy());
  }

  async #dial(endpoints: readonly string[], server: ServerLink): Promise<Link | undefined> {
    const { signal } = this.#over;
    for (const endpoint of endpoints) {
      if (signal.aborted) return undefined;
      try {
        return await Link.dial(endpoint, { server, timeoutMs: TIMEOUT_MS, signal });
      } catch {
        // Why it does not answer is told by the ordinary way.
      }
    }
    return undefined;
  }
}

export interface LeaseWish {
  readonly request: AllocateRequest;
  /** Chooses of the endpoints that the server offers those that may be used. Undefined: no connection is wanted. */
  readonly choose?: ((endpoints: readonly string[]) => readonly string[]) | undefined;
  readonly onQueued?: ((place: QueuePlace) => void) | undefined;
  /** As in `Control.allocate`. */
  readonly onAway?: ((error: SluiceError) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A grant, and the connection that was made meanwhile. */
export interface RequestedLease {
  readonly granted: Granted;
  readonly early: EarlyLink;
}

/** Asks for a lease as `control.allocate` does, and connects meanwhile. Of what is granted the connection is the caller's to take or to drop. */
export async function requestLease(
  control: Control,
  { request, choose, onQueued, onAway, signal }: LeaseWish,
): Promise<RequestedLease> {
  const { dataEndpoints } = control;
  // Before the server's first answer there is nothing to choose of, and whoever chooses may object to that.
  const early = new EarlyLink(control, dataEndpoints.length === 0 ? [] : (choose?.(dataEndpoints) ?? []));
  try {
    const granted = await control.allocate(request, {
      onQueued: (place) => {
        early.drop();
        onQueued?.(place);
      },
      onAway,
      signal,
    });
    return { granted, early };
  } catch (error) {
    early.drop();
    throw error;
  }
}
