/**
 * What a tenant sees of others: that they hold what they hold and wait for what they wait for, since that explains its own place; not
 * what their jobs are called, where they run, what they do, nor by which ids they are known. Admins and monitors see all.
 */
import { createHmac } from "node:crypto";
import type { Lease } from "../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import { SluiceError } from "../../shared/errors.ts";
import { type Identity, seesAll } from "./identity.ts";

/** Hexadecimal digits of a stand-in for an id, as many as an id has. */
const STANDIN_DIGITS = 16;

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

/** Whose a lease or a request is, and its id. */
export interface Owned {
  readonly id: string;
  readonly tenant: string;
}

/** What of leases and requests a caller is told. In place of others' ids it says stand-ins, which name the same thing as long as it lives. */
export class Visibility {
  readonly #key: Uint8Array;

  /** `key` is random and told to nobody: stand-ins say nothing of ids to who does not have it. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The id by which the caller may know a lease or request; a waiting request and the lease that it becomes have the same. */
  idSeenBy(identity: Identity, { id, tenant }: Owned): string {
    if (mayRead(identity, tenant)) return id;
    return `other-${createHmac("sha256", this.#key).update(id).digest("hex").slice(0, STANDIN_DIGITS)}`;
  }

  /** A lease as the caller may see it: of others without name, client address and use, and without why it is suspended. */
  leaseSeenBy(identity: Identity, lease: Lease): Lease {
    const { id = "", tenant = "" } = lease;
    if (mayRead(identity, tenant)) return lease;
    const standin = this.idSeenBy(identity, { id, tenant });
    const suspension = lease.suspension ? { ...lease.suspension, message: "", savedBytes: 0, keptBytes: 0 } : null;
    return { ...lease, id: standin, name: "", clientAddress: "", usage: null, activity: null, suspension };
  }

  /** A waiting request as the caller may see it: of others without name and request id. */
  entrySeenBy(identity: Identity, entry: QueueEntry): QueueEntry {
    const { id = "", tenant = "" } = entry;
    if (mayRead(identity, tenant)) return entry;
    const standin = this.idSeenBy(identity, { id, tenant });
    return { ...entry, id: standin, name: "", requestId: "", leaseId: entry.leaseId ? standin : "" };
  }
}
