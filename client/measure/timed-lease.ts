/** A lease as `pool.allocate` gives it, with its two parts, grant and attach, timed apart. */
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { Control } from "../control.ts";
import { requestLease } from "../early-link.ts";
import { Lease } from "../lease.ts";
import { since } from "./calls.ts";

export interface TimedLease {
  readonly lease: Lease;
  readonly grantNs: number;
  readonly attachNs: number;
}

export interface TimedLeaseOptions {
  readonly request: AllocateRequest;
  /** Chooses or changes the data endpoints. Default: all, as the server names them. */
  readonly endpoints?: (all: readonly string[]) => readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** Allocates and attaches. @throws SluiceError as `pool.allocate` does, UNSUPPORTED when no endpoint is left. */
export async function openTimedLease(control: Control, options: TimedLeaseOptions): Promise<TimedLease> {
  const { request, endpoints = (all) => all, signal } = options;
  const start = process.hrtime.bigint();
  const { granted, early } = await requestLease(control, { request, choose: endpoints, signal });
  const grantNs = since(start);
  const { lease: info, connection, secret } = granted;
  if (info === null || connection === null) throw new SluiceError("INTERNAL", "The server grants without a lease.");
  const key = { leaseId: info.id, secret };
  const dataEndpoints = [...endpoints(connection.dataEndpoints)];
  if (dataEndpoints.length === 0) {
    early.drop();
    await control.release(key);
    const all = connection.dataEndpoints.join(", ");
    throw new SluiceError(
      "UNSUPPORTED",
      `The server offers the data endpoints [${all}], and none of the kind asked for.`,
    );
  }
  const lease = await Lease.open({
    control,
    info,
    key,
    connection: { ...connection, dataEndpoints },
    devices: info.slices.length,
    owned: true,
    early,
    onOutput: () => {},
    signal,
  });
  return { lease, grantNs, attachNs: since(start) - grantNs };
}
