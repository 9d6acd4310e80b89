/** The leases of a grant, as the commands that ask for them need them. */
import type { Connection__Output as Connection } from "../../proto/generated/sluice/v1/Connection.ts";
import type { Granted__Output as Granted } from "../../proto/generated/sluice/v1/Granted.ts";
import type { Lease__Output as LeaseInfo } from "../../proto/generated/sluice/v1/Lease.ts";
import type { Slice__Output as Slice } from "../../proto/generated/sluice/v1/Slice.ts";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Control, LeaseKey } from "../control.ts";
import { note, sizeText } from "./output.ts";

export interface GrantedLease {
  readonly lease: LeaseInfo;
  readonly key: LeaseKey;
}

export interface GrantedLeases {
  /** At least one. */
  readonly leases: readonly GrantedLease[];
  readonly connection: Connection;
  readonly warnings: readonly string[];
}

/** @throws SluiceError INTERNAL for a grant without a lease */
export function leasesOf({ lease, secret, others, connection, warnings }: Granted): GrantedLeases {
  const leases = [{ lease, secret }, ...others].map((one) => {
    if (one.lease === null) throw new SluiceError("INTERNAL", "The server grants without a lease.");
    return { lease: one.lease, key: { leaseId: one.lease.id, secret: one.secret } };
  });
  if (connection === null) throw new SluiceError("INTERNAL", "The server grants without a connection.");
  return { leases, connection, warnings };
}

/**
 * Gives back a grant that has fewer leases than were asked for, as one of a server that knows no requests for several.
 * @throws SluiceError UNSUPPORTED
 */
export async function checkCount(control: Control, { leases }: GrantedLeases, count: number): Promise<void> {
  if (leases.length === count) return;
  await releaseQuietly(control, leases);
  throw new SluiceError("UNSUPPORTED", `The server grants [${leases.length}] of the [${count}] shares asked for.`);
}

/**
 * Whatever happens, a server that cannot be reached takes leases that are held back by their time-out. Returns how many calls they have made;
 * undefined where that is not known of all.
 */
export async function releaseQuietly(control: Control, leases: readonly GrantedLease[]): Promise<number | undefined> {
  const calls = await Promise.all(
    leases.map(async ({ key }) => {
      try {
        return Number((await control.release(key)).usage?.calls ?? Number.NaN);
      } catch (error) {
        note(`The lease ${key.leaseId} ends by its time-out: ${toSluiceError(error).message}`);
        return Number.NaN;
      }
    }),
  );
  const sum = calls.reduce((all, one) => all + one, leases.length === 0 ? Number.NaN : 0);
  return Number.isNaN(sum) ? undefined : sum;
}

/** What leases or reservations have, such as `2 x 4GiB of cuda:0`. */
export function shareText(
  holdings: readonly { readonly slices: readonly Pick<Slice, "deviceId" | "memoryBytes">[] }[],
): string {
  const counts = new Map<string, number>();
  for (const { deviceId, memoryBytes } of holdings.flatMap(({ slices }) => slices)) {
    const text = `${sizeText(memoryBytes)} of ${deviceId}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => (count === 1 ? text : `${count} x ${text}`)).join(", ");
}
