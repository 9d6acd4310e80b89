/** The server that a measuring process works with, and a lease from it whose two parts, grant and attach, are timed apart. */
import { allocateRequest } from "../../client/allocate-options.ts";
import { Control } from "../../client/control.ts";
import { Lease } from "../../client/lease.ts";
import { SluiceError } from "../../shared/errors.ts";

export type TransportName = "tcp" | "unix";

/** Where a server is reached: directly, or through an emulated link in front of it. Plain data: it travels to workers. */
export interface Target {
  /** `HOST:PORT` of the gRPC port. */
  readonly server: string;
  /** Host to put into the data endpoints instead of the server's own. */
  readonly dataHost?: string | undefined;
  /** Use only endpoints of this kind. Default: whatever the client chooses by itself. */
  readonly transport?: TransportName | undefined;
}

export interface LeaseTimes {
  readonly grantNs: number;
  readonly attachNs: number;
}

/** The endpoints of a grant, as the target wants them reached. */
export function endpointsFor(target: Target, endpoints: readonly string[]): string[] {
  const { dataHost } = target;
  // A link emulated in front of the server carries TCP.
  const transport = target.transport ?? (dataHost === undefined ? undefined : "tcp");
  const wanted = endpoints.filter((endpoint) => transport === undefined || endpoint.startsWith(`${transport}:`));
  if (wanted.length === 0)
    throw new SluiceError("UNSUPPORTED", `The server offers no endpoint of the kind [${transport}].`);
  if (dataHost === undefined) return wanted;
  return wanted.map((endpoint) =>
    endpoint.replace(/^tcp:\/\/.*:(\d+)$/, (_all, port: string) => `tcp://${dataHost}:${port}`),
  );
}

/** As `pool.allocate`, but through the target's endpoints, and with its two parts timed. */
export async function openLease(
  control: Control,
  target: Target,
  options: { readonly memory: string },
): Promise<{ lease: Lease; times: LeaseTimes }> {
  const start = process.hrtime.bigint();
  const { lease: info, connection, secret } = await control.allocate(allocateRequest(options), {});
  const granted = process.hrtime.bigint();
  if (info === null || connection === null) throw new Error("The server grants without a lease.");
  const lease = await Lease.open({
    control,
    info,
    key: { leaseId: info.id, secret },
    connection: { ...connection, dataEndpoints: endpointsFor(target, connection.dataEndpoints) },
    devices: info.slices.length,
    owned: true,
    onOutput: () => {},
  });
  const times = { grantNs: Number(granted - start), attachNs: Number(process.hrtime.bigint() - granted) };
  return { lease, times };
}

export const openControl = (target: Target): Control => new Control({ server: target.server });
