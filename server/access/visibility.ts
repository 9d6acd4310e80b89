/**
 * What a tenant sees of others: that they hold what they hold and wait for what they wait for, since that explains its own place; not
 * what their jobs are called, where they run and what they do. Admins see all.
 */
import type { Lease } from "../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { Identity } from "./identity.ts";

export const isOwner = ({ role, tenant }: Identity, owner: string): boolean => role === "admin" || tenant === owner;

/** Throws SluiceError OTHER_TENANT unless the lease or request is the caller's own, or the caller is an admin. */
export function requireOwner(identity: Identity, owner: string): void {
  if (isOwner(identity, owner)) return;
  throw new SluiceError("OTHER_TENANT", `The caller is the tenant [${identity.tenant}], and this is another's.`);
}

/** A lease as the caller may see it: of others without name, client address and use. */
export const leaseSeenBy = (identity: Identity, lease: Lease): Lease =>
  isOwner(identity, lease.tenant ?? "")
    ? lease
    : { ...lease, name: "", clientAddress: "", usage: null, activity: null };

/** A waiting request as the caller may see it: of others without name and request id. */
export const entrySeenBy = (identity: Identity, entry: QueueEntry): QueueEntry =>
  isOwner(identity, entry.tenant ?? "") ? entry : { ...entry, name: "", requestId: "" };
