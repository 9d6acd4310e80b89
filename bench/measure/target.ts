/** The server that a measuring process works with, and a lease from it whose two parts, grant and attach, are timed apart. */
import { allocateRequest } from "../../client/allocate-options.ts";
import { Control } from "../../client/control.ts";
import { openTimedLease, type TimedLease } from "../../client/measure/timed-lease.ts";
import type { TransportKind } from "../../client/transport/open.ts";

export type TransportName = "tcp" | "unix";

/** Where a server is reached: directly, or through an emulated link in front of it. Plain data: it travels to workers. */
export interface Target {
  /** `HOST:PORT` of the gRPC port. */
  readonly server: string;
  /** Host to put into the data endpoints instead of the server's own. */
  readonly dataHost?: string | undefined;
  /** Use only endpoints of this kind. Default: whatever the client chooses by itself. */
  readonly transport?: TransportKind | undefined;
  /** The CA of a server that speaks TLS, in PEM. Default: it does not. */
  readonly ca?: string | undefined;
}

/** Those of a server's endpoints that the target may use, as it wants them reached. */
function endpointsFor(target: Target, endpoints: readonly string[]): string[] {
  const { dataHost } = target;
  // A link emulated in front of the server carries TCP.
  const transport = target.transport ?? (dataHost === undefined ? undefined : "tcp");
  const wanted = endpoints.filter((endpoint) => transport === undefined || endpoint.startsWith(`${transport}:`));
  if (dataHost === undefined) return wanted;
  return wanted.map((endpoint) =>
    endpoint.replace(/^tcp:\/\/.*:(\d+)$/, (_all, port: string) => `tcp://${dataHost}:${port}`),
  );
}

/** As `pool.allocate`, but through the target's endpoints, and with its two parts timed. */
export const openLease = (
  control: Control,
  target: Target,
  options: { readonly memory: string; readonly compute?: number },
): Promise<TimedLease> =>
  openTimedLease(control, {
    request: allocateRequest(options),
    endpoints: (all) => endpointsFor(target, all),
  });

export const openControl = ({ server, ca }: Target): Control =>
  new Control({ server, tls: ca === undefined ? undefined : { ca, cert: undefined, key: undefined } });
