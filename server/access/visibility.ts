/**
 * What a tenant sees of others: that they hold what they hold and wait for what they wait for, since that explains its own place; not
 * what their jobs are called, where they run and what they do. Admins and monitors see all.
 */
import type { Lease } from "../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type Identity, seesAll } from "./identity.ts";

const mayRead = (identity: Identity, owner: string): boolean => seesAll(identity) || identity.tenant === owner;

const others = ({ role, tenant }: Identity): SluiceError =>
  new SluiceError("OTHER_TENANT", `The caller is the ${role} [${tenant}], and this is another's.`);

/** To change it. Throws SluiceError OTHER_TENANT unless the lease or request is the caller's own, or the caller is an admin. */
export function requireOwner(identity: Identity, owner: string): void {
  if (identity.role !== "admin" && identity.tenant !== owner) throw others(identity);
}

/** To read it. Throws SluiceError OTHER_TENANT unless it is the caller's own, or the caller sees all. */
export function requireReadable(identity: Identity, owner: string): void {
  if (!mayRead(identity, owner)) throw others(identity);
}

/** A lease as the caller may see it: of others without name, client address and use. */
export const leaseSeenBy = (identity: Identity, lease: Lease): Lease =>
  mayRead(identity, lease.tenant ?? "")
    ? lease
    : { ...lease, name: "", clientAddress: "", usage: null, activity: null };

/** A waiting request as the caller may see it: of others without name and request id. */
export const entrySeenBy = (identity: Identity, entry: QueueEntry): QueueEntry =>
  mayRead(identity, entry.tenant ?? "") ? entry : { ...entry, name: "", requestId: "" };
